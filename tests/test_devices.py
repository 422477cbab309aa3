"""Device, number format and threads of a run."""

import io
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from core import devices
from core.devices import (
    DeviceError,
    autocast_type,
    describe_device,
    device_for,
    is_convolutional,
    processor_clock,
    select_device,
    shares,
    suits_channels_last,
    threads_for,
    training_devices,
    usable_cores,
)

ROOT = Path(__file__).parents[1]
CPU, CUDA, MPS = (torch.device(kind) for kind in ("cpu", "cuda", "mps"))


def machine_with(monkeypatch, *, cuda: bool = False, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(("there", "best"), [
    ({}, "cpu"), ({"cuda": True}, "cuda"), ({"mps": True}, "mps"), ({"cuda": True, "mps": True}, "cuda")])
def test_auto_takes_the_best_there_is(monkeypatch, there, best):
    machine_with(monkeypatch, **there)
    assert select_device() == select_device("auto") == torch.device(best)
    assert select_device("cpu") == CPU
    assert select_device(best) == torch.device(best)


@pytest.mark.parametrize(("name", "there", "found"), [
    ("cuda", {}, "cpu"), ("mps", {}, "cpu"), ("mps", {"cuda": True}, "cpu, cuda"), ("cuda", {"mps": True}, "cpu, mps"),
    ("tpu", {}, "cpu")])
def test_a_device_that_is_not_there(monkeypatch, name, there, found):
    machine_with(monkeypatch, **there)
    with pytest.raises(DeviceError) as refused:
        select_device(name)
    assert str(refused.value) == f"training.device is {name!r}, but this machine has {found}; use auto."


@pytest.mark.parametrize(("cores", "title"), [(1, "CPU (1 core)"), (2, "CPU (2 cores)")])
def test_description_of_a_processor(monkeypatch, cores, title):
    monkeypatch.setattr(devices, "usable_cores", lambda: cores)
    about = describe_device(CPU)
    assert (about.kind, about.title, about.cores) == ("cpu", title, cores)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
def test_description_of_a_gpu():
    about = describe_device()
    assert about.kind == "cuda"
    assert about.title.startswith(torch.cuda.get_device_name()) and about.title.endswith(" GB)")


@pytest.mark.parametrize(("precision", "expected"), [("float32", None), ("bfloat16", torch.bfloat16), ("auto", None)])
def test_number_format(precision, expected):
    assert autocast_type(precision) is expected


CPUINFO = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2{}\n\nprocessor\t: 1\nmodel name\t: other\n"


def test_processors_of_one_name_are_told_by_what_they_can_do(monkeypatch):
    said = {"now": CPUINFO.format("")}
    monkeypatch.setattr("builtins.open", lambda path, **how: io.StringIO(said["now"]))
    assert devices.processor_name() == "AMD EPYC"
    plain = devices.machine_mark(CPU)
    assert plain == devices.machine_mark(CPU) != devices.machine_mark(MPS)
    said["now"] = CPUINFO.format(" avx512_bf16")
    assert devices.processor_name() == "AMD EPYC" and devices.machine_mark(CPU) != plain


def test_a_processor_that_nothing_is_said_of(monkeypatch):
    def nothing(path, **how):
        raise FileNotFoundError(path)

    monkeypatch.setattr("builtins.open", nothing)
    monkeypatch.setattr("platform.processor", lambda: "")
    assert devices.processor_name() == "unknown processor"
    assert devices.machine_mark(CPU) != devices.machine_mark(MPS)


@pytest.mark.parametrize(("parameters", "convolutional", "shared_by", "threads"), [
    (39_760, False, 1, 2),  # 784-50-10
    (199_999, False, 1, 2),
    (39_760, False, 3, 1),  # 2 of 8 cores each: one is left for who waits for a page
    (39_760, False, 8, 1),
    (200_000, False, 1, 8),
    (1_000, True, 1, 8),
    (1_000, True, 2, 4),
    (1_000, True, 3, 2),
    (1_000, True, 16, 1),  # more runs than cores
    (1_000, True, 0, 8),
])
def test_threads(monkeypatch, parameters, convolutional, shared_by, threads):
    monkeypatch.setattr(devices, "usable_cores", lambda: 8)
    assert threads_for(parameters, convolutional, shared_by) == threads


def test_what_is_convolutional():
    assert is_convolutional(nn.Sequential(nn.ReLU(), nn.Sequential(nn.Conv2d(1, 1, 1))))
    assert not is_convolutional(nn.Sequential(nn.Conv1d(1, 1, 1), nn.Linear(1, 1)))


def test_cores_are_the_ones_this_process_may_use(monkeypatch):
    assert usable_cores() >= 1
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr("os.sched_getaffinity")  # macOS and Windows have none
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert usable_cores() == 6
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.parametrize(("module", "suits"), [
    (nn.Conv2d(4, 4, 1, stride=2), False), (nn.Conv2d(6, 16, 1, stride=(1, 3)), False), (nn.Conv2d(16, 4, 1, stride=2), True),
    (nn.Conv2d(4, 4, 1), True), (nn.Conv2d(4, 4, 3, stride=2), True), (nn.Linear(4, 4), False)], ids=str)
def test_what_is_laid_out_channels_last(module, suits):
    assert suits_channels_last(nn.Sequential(nn.Identity(), module)) == suits


def test_a_strided_convolution_of_few_channels_trains():
    """In a process of its own: where the layout is wrong for it, PyTorch ends the process."""
    program = """if True:
        import torch
        from torch import nn
        from core.config import TrainingConfig
        from core.data.batches import Batch
        from core.training.step import TrainingStep
        torch.set_num_threads(1)
        model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 1, stride=2), nn.Flatten(), nn.Linear(784, 10))
        step = TrainingStep(TrainingConfig(), "classes", model, torch.device("cpu"))
        for _ in range(60):
            images = torch.rand(64, 1, 28, 28)
            if step.channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            step.take(Batch(images, torch.zeros(64, dtype=torch.int64)), 0.001)
        print("trained")"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "trained\n", done.stderr


# --- several

@pytest.mark.parametrize(("gpus", "mps", "workers", "devices"), [
    (0, False, 1, ("cpu",)), (0, False, 3, ("cpu", "cpu", "cpu")), (4, False, 1, ("cuda:0", "cuda:1", "cuda:2", "cuda:3", "cpu")),
    (0, True, 1, ("mps", "cpu")), (2, True, 0, ()),
])
def test_every_gpu_has_a_training_process(monkeypatch, gpus, mps, workers, devices):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert training_devices(workers) == devices


@pytest.mark.parametrize(("devices", "expected"), [
    ((), []),
    (("cpu", "cpu"), [("auto", "cuda", "mps", "cpu")] * 2),  # a GPU is asked for in vain, and the run says so
    (("cuda:0", "cuda:1", "cpu"), [("auto", "cuda", "mps"), ("auto", "cuda", "mps"), ("cpu",)]),
    (("cuda:0",), [("auto", "cuda", "mps", "cpu")]),  # no process for the processor alone
    (("mps", "cpu"), [("auto", "cuda", "mps"), ("cpu",)]),
])
def test_which_runs_a_training_process_takes(devices, expected):
    assert shares(devices) == expected
    for asked in ("auto", "cpu", "cuda", "mps"):
        assert not devices or [takes for takes in shares(devices) if asked in takes], "somebody takes every run"


def test_a_run_takes_the_device_of_its_process():
    given = torch.device("cuda:3")
    assert device_for("auto", given) == device_for("cuda", given) == given
    assert device_for("cpu", given) == torch.device("cpu")
    if not torch.backends.mps.is_available():
        with pytest.raises(DeviceError, match="mps"):
            device_for("mps", given)


def test_several_gpus_are_counted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(name="A GPU", total_memory=80e9))
    assert describe_device().title == "2 × A GPU (80 GB)"
    assert describe_device(torch.device("cuda:1")).title == "A GPU (80 GB)"


@pytest.mark.parametrize("of", ["process", "thread"])
def test_a_clock_of_the_processors_time_is_fine_enough_or_another_is_taken(of, monkeypatch):
    clock = processor_clock(of)
    began = clock()
    while clock() - began < 2e-3:
        pass  # what computes uses it
    for resolution, taken in ((1e-9, getattr(time, f"{of}_time")), (0.0156, time.perf_counter)):  # the second is Windows'
        monkeypatch.setattr(time, "get_clock_info", lambda name, found=resolution: SimpleNamespace(resolution=found))
        assert processor_clock(of) is taken
