"""Which device, number format and threads a run gets."""

import hashlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from core.cgroups import cpu_quota

WHOLE_VECTORS = 16  # channels that fill the vectors of every processor
# Kinds of device on which networks are asked with images laid out channels_last. On MPS training alone tries that.
CHANNELS_LAST_ON = ("cpu", "cuda")
FINE = 1e-5  # seconds: a clock of the processor's time that is coarser tells nothing about a step; Windows' is
KINDS = ("cuda", "mps", "cpu")  # of devices, the fastest first: "auto" takes the first one that is there


class DeviceError(ValueError):
    """A device that was asked for and isn't there."""


@dataclass(frozen=True)
class DeviceInfo:
    """What a page says about the device: "CPU (2 cores)", "NVIDIA H200 (141 GB)"."""

    kind: str
    title: str
    cores: int


def select_device(name: str = "auto") -> torch.device:
    """The device for "auto", "cpu", "cuda" or "mps". Raises DeviceError where it isn't there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in KINDS if there[kind]))
    if not there.get(name, False):
        found = ", ".join(kind for kind in there if there[kind])
        raise DeviceError(f"training.device is {name!r}, but this machine has {found}; use auto.")
    return torch.device(name)


def training_devices(workers: int) -> tuple[str, ...]:
    """The device of each training process of this machine: every GPU has one of its own, the processor as many as are wanted."""
    gpus: list[str] = []
    if workers and torch.cuda.is_available():
        gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    elif workers and torch.backends.mps.is_available():
        gpus = ["mps"]
    return (*gpus, *["cpu"] * workers)


def shares(devices: Sequence[str]) -> list[tuple[str, ...]]:
    """Which runs the training process of each device takes, by the devices that configs ask for.

    "auto" is for the GPUs where there are any. A device that no process has is asked for in vain: those that take "auto" take
    such runs, too, and each run says so of itself.
    """
    kinds = [torch.device(device).type for device in devices]
    best = next((kind for kind in KINDS if kind in kinds), "")
    asked = {"auto": best} | {kind: kind if kind in kinds else best for kind in KINDS}
    return [tuple(name for name, kind in asked.items() if kind == own) for own in kinds]


def device_for(asked: str, given: torch.device) -> torch.device:
    """The device of a run that asks for "auto", "cpu", "cuda" or "mps", in a process that has been given one. Raises
    DeviceError where what it asks for isn't there."""
    return given if asked in ("auto", given.type) else select_device(asked)


def describe_device(device: torch.device | None = None) -> DeviceInfo:
    """The device's name for people. Without one, all that "auto" may take: "2 × NVIDIA H200 (141 GB)"."""
    count = torch.cuda.device_count() if device is None else 1
    device = device or select_device()
    cores = usable_cores()
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        several = f"{count} × " if count > 1 else ""
        return DeviceInfo("cuda", f"{several}{about.name} ({about.total_memory / 1e9:.0f} GB)", cores)
    if device.type == "mps":
        return DeviceInfo("mps", f"Apple GPU ({platform.processor() or 'Apple silicon'})", cores)
    return DeviceInfo("cpu", f"CPU ({cores} core{'s' if cores != 1 else ''})", cores)


def processor_name() -> str:
    """The processor's model; on a virtual machine often no more than its family, such as "AMD EPYC"."""
    return _processor_says("model name") or platform.processor() or "unknown processor"


def machine_mark(device: torch.device) -> str:
    """Short text that is another one where arithmetic may be another: on another processor or GPU, or with another PyTorch.

    By what the processor says it can do too, as its name alone may not tell it from others.
    """
    known = [torch.__version__, platform.machine(), processor_name(), _processor_says("flags") or _processor_says("Features")]
    known.append(torch.cuda.get_device_name(device) if device.type == "cuda" else device.type)
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]


def _processor_says(name: str) -> str:
    """One line of what Linux says about the first processor; "" where it says nothing."""
    with suppress(OSError, StopIteration), open("/proc/cpuinfo", encoding="utf-8") as file:
        return next(line.split(":", 1)[1].strip() for line in file if line.split(":", 1)[0].strip() == name)
    return ""


def wait_for(device: torch.device) -> None:
    """Until the device has done what it was asked: a GPU answers before it has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def ran_out(error: RuntimeError) -> bool:
    """Whether PyTorch's error says that there was no memory left. Its allocator for processors has no error of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def memory_bytes(device: torch.device | None = None) -> int | None:
    """Memory of the device, for processors what this machine or container may use at most; None where that isn't known."""
    device = device or select_device()
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    found = []
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):  # a container's, v2 and v1
        with suppress(OSError, ValueError), open(path, encoding="utf-8") as file:
            found.append(int(file.read()))
    with suppress(OSError, ValueError, AttributeError):  # sysconf is not on Windows
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(found, default=None)


def resident_bytes() -> int:
    """Memory that this process holds now; where the system doesn't say, the most it has held."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if platform.system() == "Darwin" else most * 1024  # macOS counts bytes, others kibibytes


def device_memory_bytes(device: torch.device) -> int:
    """Memory that this process's tensors take on a GPU; 0 on the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return int(torch.mps.current_allocated_memory()) if device.type == "mps" else 0


def free_memory_bytes(device: torch.device | None = None) -> int | None:
    """Memory of the device that is free now, for processors within what this container may use; None where that isn't known."""
    device = device or select_device()
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found = []
    with suppress(OSError, ValueError, StopIteration), open("/proc/meminfo", encoding="utf-8") as file:
        found.append(next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:")))
    # a container's own limit, less what it holds and could not give back
    for folder, limit, held in (("/sys/fs/cgroup", "memory.max", "memory.current"),
                                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")):
        with (suppress(OSError, ValueError), open(f"{folder}/{limit}", encoding="utf-8") as most,
              open(f"{folder}/{held}", encoding="utf-8") as now, open(f"{folder}/memory.stat", encoding="utf-8") as parts):
            cached = sum(int(line.split()[1]) for line in parts if line.split()[0] in ("inactive_file", "active_file"))
            found.append(max(0, int(most.read()) - int(now.read()) + cached))
    return min(found, default=None)


def usable_cores() -> int:
    """Whole processor cores that this process may use: of those it may run on, no more than a container's share of time is worth.

    A thread more than that would be stopped, with all that wait for it, as soon as the share is used up.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def is_convolutional(model: nn.Module) -> bool:
    """Whether the network has convolutions over pictures, on which number format, threads and the layout in memory depend."""
    return any(isinstance(module, nn.Conv2d) for module in model.modules())


def suits_channels_last(model: nn.Module) -> bool:
    """Whether a network with convolutions may be trained with pictures laid out channels_last.

    Not with convolutions of 1×1 that take every second or third pixel of few channels: on processors without AVX-512, PyTorch
    2.13 writes behind the end of their weights' gradient then, and the process dies (double free or corruption).
    """
    return is_convolutional(model) and not any(
        isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and max(module.stride) > 1
        and module.in_channels % WHOLE_VECTORS for module in model.modules())


def autocast_type(precision: str) -> torch.dtype | None:
    """bfloat16 where autocast is to be used, None for plain float32.

    "auto" is float32 until somebody has measured what is faster here and put that in its place: see core.training.formats.
    """
    return torch.bfloat16 if precision == "bfloat16" else None


def processor_clock(of: Literal["process", "thread"]) -> Callable[[], float]:
    """Seconds of the processor's time that this process or thread has used, which others that are busy don't lengthen; seconds by
    the clock on the wall where the system counts it more coarsely than FINE."""
    name: Literal["process_time", "thread_time"] = "process_time" if of == "process" else "thread_time"
    return getattr(time, name) if time.get_clock_info(name).resolution <= FINE else time.perf_counter


@contextmanager
def with_threads(number: int) -> Iterator[None]:
    """So many processor threads for what is done inside, as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_for(parameters: int, convolutional: bool, shared_by: int = 1) -> int:
    """The most processor threads that a run may take, where `shared_by` runs train at once: its share of the cores. Of these a
    run with training.threads "auto" chooses (core.training.threads); a range test and a measurement take all of them.

    Small linear networks may take two where that share is four cores or more, and never more: an epoch of 784-50-10 on two quiet
    cores took 0.31 s with one thread and 0.27 s with two (with autograd's steps), while beside other work that keeps both cores
    busy a step with two takes twenty times as long as with one (AMD EPYC), so that on fewer cores the little that there is to
    gain is not worth trying for.
    """
    share = max(1, usable_cores() // max(1, shared_by))
    if not is_small(parameters, convolutional):
        return share
    return 2 if share >= 4 else 1


def is_small(parameters: int, convolutional: bool) -> bool:
    """Whether a network's steps are so short that threads mostly wait for each other."""
    return not convolutional and parameters < 200_000
