"""benchmarks/gpu_day.sh where there is no GPU: what it calls and prints, and that the benchmarks that it calls are ready for it.

Its PYTHON is a stand-in that notes what it is asked for and prints what the benchmarks' own main() makes of made-up figures.
"""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks import conditions, time_to_accuracy, training_speed
from benchmarks.cuda_graphs import Trained
from benchmarks.number_formats import Found
from core.models import MLPConfig
from core.training import Epoch, NumberFormat
from tests.helpers import tiny

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks/gpu_day.sh"
CPU, CUDA, META = (torch.device(kind) for kind in ("cpu", "cuda", "meta"))
FOR_BASH = pytest.mark.skipif(sys.platform == "win32", reason="it is a script for bash")

PYTHON = """#!/bin/sh
[ "$1" = -c ] && echo "1 × A GPU torch 2" && exit
here=$(dirname "$0")
echo "$@" >> "$here/called"
cat "$here/$2" 2>/dev/null
exit "$(cat "$here/$2.status" 2>/dev/null || echo 0)"
"""
TIMEOUT = """#!/bin/sh
echo "$2 $3" >> "$(dirname "$0")/seconds"
shift 3
exec "$@"
"""
MODULES = ("pytest", "benchmarks.time_to_accuracy", "benchmarks.cuda_graphs", "benchmarks.number_formats",
           "benchmarks.training_speed")


@pytest.mark.skipif(torch.cuda.is_available(), reason="it would take its ten minutes")
@FOR_BASH
def test_without_a_gpu_it_says_so_in_one_line():
    ran = subprocess.run(["bash", str(SCRIPT)], env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}, capture_output=True,
                         text=True, encoding="utf-8", check=False)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.count("\n") == 1 and ran.stderr.startswith("There is no CUDA GPU here")


@pytest.fixture
def stand_ins(tmp_path):
    """The folder of a python and a timeout that note in it what they are asked for."""
    for name, text in (("python", PYTHON), ("timeout", TIMEOUT)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def run_script(folder):
    """Its exit code, and its table: (title, how it ended, lines) of each part."""
    environment = {"PATH": f"{folder}{os.pathsep}/usr/bin:/bin", "PYTHON": str(folder / "python"), "TMPDIR": str(folder)}
    ran = subprocess.run(["bash", str(SCRIPT)], env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
    assert ran.stderr == ""
    before, table = ran.stdout.split("| what | result |\n| --- | --- |\n")
    assert before.endswith("1 × A GPU torch 2\n")
    *rows, whole = table.splitlines()
    assert whole.startswith("Whole output: ")
    parts = []
    for row in rows:
        what, result = (cell.strip() for cell in row.strip("|").split("|", 1))
        if what:
            parts.append((what, result, []))
        else:
            parts[-1][2].append(result)
    return ran.returncode, parts


def calls(folder):
    """By module: the arguments that it was called with."""
    return {line.split()[1]: line.split()[2:] for line in (folder / "called").read_text(encoding="utf-8").splitlines()}


def made_up(work, *given, plain=False):
    """Instead of a process of its own: figures as if `work` had measured them on a GPU. plain: no matter."""
    if work.__module__ == "benchmarks.cuda_graphs":
        return Trained([0.25, 0.26], 99.0, [])
    if work.__module__ == "benchmarks.number_formats":
        *_, seeds, epochs = given
        return Found(NumberFormat("float32"), [0.3], {"float32": [0.2], "bfloat16": [0.1]},
                     {"float32": [99.0] * seeds, "bfloat16": [99.1] * seeds})
    if work.__module__ == "benchmarks.training_speed":
        return [(0.5, 0.5)], 99.0
    return (0.5, 99.1, 99.2) if work.__name__ == "ours" else (20.0, 99.0, 3)


@pytest.fixture
def printed(monkeypatch, capsys):
    """(module, arguments) → what that benchmark prints on a machine with a GPU."""
    def printed(name, arguments):
        module = import_module(name)
        for what, instead in {"in_own_process": made_up, "select_device": lambda: CUDA, "conditions": lambda: "A GPU",
                              "unpacked": lambda settings, into: into}.items():
            monkeypatch.setattr(module, what, instead, raising=False)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        module.main()
        return capsys.readouterr().out

    return printed


@FOR_BASH
def test_with_a_gpu_every_part_is_done_and_has_its_rows(stand_ins, printed):
    assert run_script(stand_ins)[0] == 0
    asked = calls(stand_ins)
    assert tuple(asked) == MODULES
    assert asked["pytest"][:4] == ["-n", "0", "-m", "cuda"]
    assert asked["pytest"][4:] == sorted(f"tests/{path.name}" for path in (ROOT / "tests").glob("test_*.py")
                                         if "@pytest.mark.cuda\n" in path.read_text(encoding="utf-8"))
    limits = [line.split() for line in (stand_ins / "seconds").read_text(encoding="utf-8").splitlines()]
    assert len(limits) == len(MODULES) and sum(int(seconds) + int(after) for after, seconds in limits) <= 590

    (stand_ins / "pytest").write_text("SKIPPED [1] tests/test_engine.py:1: fewer than 2\n13 passed, 1 skipped in 9.0s\n",
                                      encoding="utf-8")
    for name in MODULES[1:]:
        (stand_ins / name).write_text(printed(name, asked[name]), encoding="utf-8")
    code, parts = run_script(stand_ins)
    assert code == 0 and all(re.fullmatch(r"done; \d+ s", ended) for _, ended, _ in parts)
    of_part = {title: "\n".join(lines) for title, _, lines in parts}
    assert len(of_part) == len(parts) == len(MODULES)
    assert "13 passed" in of_part["tests marked cuda"] and "SKIPPED" in of_part["tests marked cuda"]
    assert "mnist-cnn-fast   ratio 1.00" in of_part["graphs on and off"]
    assert "ours on cuda: timed after the same run" in of_part["time to accuracy"]
    assert "n=5), aim 0.7 s; test accuracy mean 99.20 % of 5 seeds" in of_part["time to accuracy"]
    assert "notes' loop  median 20.00 s" in of_part["time to accuracy"]
    assert of_part["number formats"].count("n=5), mean 99.10 %") == 2, "of two presets"
    assert of_part["training speed"].count("ratio 1.0×") == 3


@FOR_BASH
@pytest.mark.parametrize(("status", "says", "last"), [
    (1, "failed: exit 1;", "RuntimeError: no such kernel"), (124, "failed: more than 95 s;", "bfloat16 so far"),
    (137, "failed: more than 95 s;", "bfloat16 so far")])
def test_a_part_that_fails_says_so_and_the_others_are_done(stand_ins, status, says, last):
    (stand_ins / "benchmarks.number_formats").write_text(f"float32 so far\n{last}\n", encoding="utf-8")
    (stand_ins / "benchmarks.number_formats.status").write_text(str(status), encoding="utf-8")
    code, parts = run_script(stand_ins)
    assert code == 1 and tuple(calls(stand_ins)) == MODULES
    failed, = (part for part in parts if not part[1].startswith("done;"))
    assert failed[0] == "number formats" and failed[1].startswith(says)
    assert failed[2] == ["float32 so far", last]


# --- the benchmarks that it calls, on a device that is none of the processor's

def fake_torchvision(examples):
    return SimpleNamespace(
        transforms=SimpleNamespace(ToTensor=lambda: None, Normalize=lambda mean, std: None, Compose=list),
        datasets=SimpleNamespace(MNIST=lambda root, train, transform: examples))


@pytest.mark.parametrize(("name", "network", "device"), [
    ("mlp", training_speed.NotesMLP, META), ("mlp", training_speed.NotesMLP, CPU),
    ("is-8", lambda: training_speed.NotesCNN(1), META)])
def test_the_notes_loop_trains_on_the_device_that_is_measured(name, network, device, monkeypatch):
    """META stands for a GPU: what is there can't be mixed with what is not."""
    monkeypatch.setattr(training_speed, "torchvision", fake_torchvision([(torch.rand(1, 28, 28), 8), (torch.rand(1, 28, 28), 1)]))
    monkeypatch.setattr(training_speed, "select_device", lambda: device)
    system, model = training_speed.SYSTEMS[name], network()
    seconds = training_speed.train_as_notes(system, model, torch.arange(2), ROOT, 0)
    assert len(seconds) == system.config.training.epochs
    assert {weight.grad.device for weight in model.parameters()} == {device}


@pytest.mark.parametrize(("device", "runs", "seconds"), [(CPU, 1, 50.0), (CUDA, 2, 1.0)])
def test_a_gpu_is_warmed_up_before_it_is_timed(device, runs, seconds, digits, monkeypatch):
    """By a clock that says 50 s for the first run and 1 s for the next."""
    now, networks = [0.0], []

    def fit(config, data, model, on, threads):
        networks.append(model)
        assert on == device
        now[0] += 50 if len(networks) == 1 else 1
        yield Epoch(1, 1, 0.1, 0.9, 0.1, 0.97, 1.0, 1)

    monkeypatch.setattr(time_to_accuracy, "fit", fit)
    monkeypatch.setattr(time_to_accuracy, "select_device", lambda: device)
    monkeypatch.setattr(time_to_accuracy, "configure_training_process", lambda: None)
    monkeypatch.setattr(time_to_accuracy, "as_in_the_app", lambda config, data, model, on: config)
    monkeypatch.setattr(time_to_accuracy, "load", lambda *given: digits)
    monkeypatch.setattr(time_to_accuracy, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    settings = SimpleNamespace(data_dir=None, cache_dir=None)
    config = tiny().model_copy(update={"model": MLPConfig(hidden=(4,))})
    assert time_to_accuracy.ours(config, settings, 3)[:2] == (seconds, pytest.approx(97.0))
    assert len(networks) == runs == len({id(network) for network in networks}), "the first is a copy"
    weights = [next(network.parameters()) for network in networks]
    assert torch.equal(weights[0], weights[-1]), "both from the seed's weights"


@pytest.mark.parametrize(("name", "device", "busy", "aim"), [
    ("cnn", "cpu", False, 2.2), ("cnn", "cpu", True, 3.0), ("cnn", "cuda", False, 0.7), ("cnn", "cuda", True, None),
    ("digits", "cuda", False, None), ("mlp", "cpu", False, None)])
def test_seconds_that_are_aimed_at(name, device, busy, aim):
    assert time_to_accuracy.seconds_aim(name, device, busy) == aim


@pytest.mark.parametrize(("device", "threads", "numbers"), [(CPU, 0, (4, 2, 1)), (CUDA, 0, (4,)), (CUDA, 3, (3,))])
def test_threads_are_chosen_as_in_the_app(device, threads, numbers, monkeypatch):
    monkeypatch.setattr("core.devices.usable_cores", lambda: 4)
    assert conditions.threads_in_the_app(torch.nn.Conv2d(1, 1, 1), device, threads).numbers == numbers
