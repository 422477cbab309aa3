"""Device, number format and threads of a run."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from core import devices
from core.devices import (
    DeviceError,
    autocast_type,
    describe_device,
    is_convolutional,
    select_device,
    suits_channels_last,
    threads_for,
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
