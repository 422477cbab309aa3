"""python -m core: what it prints where, its exit status, and one line on stderr for whatever can't be done."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from core.__main__ import OWNER, main
from core.data import DATASETS
from core.presets import PRESETS
from core.runs import RunStore, StoreError, has_checkpoint, load_model
from core.wording import percent
from tests.helpers import PATIENCE, wait_for, wait_until

EPOCH_KEYS = ["event", "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds",
              "images_per_second"]
# digits-quick in a tenth of a second
QUICK = ["--set", "data.variations=0", "--set", "model.architecture=mlp", "--set", "model.hidden=[8]", "--set",
         "training.precision=float32", "--set", "training.device=cpu"]


@pytest.fixture(autouse=True)
def own_runs(settings, monkeypatch) -> Path:
    """PLAYGROUND_RUNS is the test's own folder; it is not there yet."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(settings.runs_dir))
    return settings.runs_dir


@pytest.fixture
def command(capsys):
    """Runs a command here: (exit status, lines on stdout, lines on stderr)."""

    def run(*arguments):
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ended:  # argparse's own errors and --help
            status = ended.code
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err.splitlines()

    return run


def python_m_core(*arguments, **environment):
    """The same in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "core", *map(str, arguments)], capture_output=True, text=True,
                          env=os.environ | environment)
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def fails(said, *words):
    status, out, err = said
    assert status == 2 and len(err) == 1, said
    assert all(word in err[0] for word in words), err
    return out


# --- presets, summary

def test_presets(command):
    status, out, err = command("presets")
    assert (status, err) == (0, [])
    assert [line.split()[0] for line in out] == list(PRESETS)
    missing = [line.split()[0] for line in out if "[data not downloaded]" in line]
    assert missing == [name for name, entry in PRESETS.items() if DATASETS[entry.config.data.dataset].folder]


def test_presets_as_a_process():
    status, out, err = python_m_core("presets")
    assert (status, err) == (0, [])
    assert [line.split()[0] for line in out] == list(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_summary(command, name):
    status, rows, err = command("summary", name, "--json")
    assert (status, err) == (0, [])
    rows = [json.loads(row) for row in rows]
    keys = {"name", "kind", "input_shape", "output_shape", "parameters", "formula", "mult_adds"}
    assert all(keys <= row.keys() for row in rows)
    shape = list(DATASETS[PRESETS[name].config.data.dataset].input_shape)
    assert rows[0]["input_shape"][-len(shape):] == shape
    status, text, err = command("summary", name)
    assert (status, err) == (0, [])
    assert f"total: {sum(row['parameters'] for row in rows):,} parameters" in text[-1]
    assert all(any(line.startswith(row["name"]) for line in text) for row in rows)


def test_summary_by_hand(command):
    text = command("summary", "mnist-mlp-50")[1]
    assert text[-1] == "total: 39,760 parameters, 159.0 kB in float32; 39,760 multiply-adds for one image"  # as torchinfo counts
    wider = command("summary", "mnist-mlp-50", "--set", "model.hidden=[100]")[1]
    assert "total: 79,510 parameters" in wider[-1]


# --- train

def test_train_prints_one_object_per_line(command, own_runs):
    status, lines, err = command("train", "digits-quick", *QUICK, "--set", "training.epochs=3", "--json")
    assert (status, err) == (0, [])
    *epochs, end = map(json.loads, lines)
    assert [list(epoch) for epoch in epochs] == [EPOCH_KEYS] * 3
    assert [(epoch["event"], epoch["epoch"]) for epoch in epochs] == [("epoch", 1), ("epoch", 2), ("epoch", 3)]
    for epoch in epochs:
        assert 0 <= epoch["train_accuracy"] <= 1 and 0 <= epoch["validation_accuracy"] <= 1
        assert epoch["images_per_second"] == pytest.approx(1237 / epoch["seconds"])
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]
    assert list(end) == ["event", "run", "test_accuracy", "seconds"] and end["event"] == "finished"
    assert 0.3 < end["test_accuracy"] <= 1 and end["seconds"] >= sum(epoch["seconds"] for epoch in epochs)

    store = RunStore(own_runs)
    run, = store.runs()
    assert (run.id, run.status, run.owner, run.title) == (end["run"], "finished", OWNER, PRESETS["digits-quick"].title)
    assert run.test_accuracy == end["test_accuracy"] and run.config.model.hidden == (8,)
    assert store.metrics(run.id).series["validation_loss"][1] == [epoch["validation_loss"] for epoch in epochs]
    trained = load_model(store, run.id)
    assert trained.config == run.config and trained.predict(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_train_in_words(command):
    status, lines, err = command("train", "digits-quick", *QUICK, "--set", "training.epochs=2")
    assert (status, err) == (0, []) and len(lines) == 3
    assert re.fullmatch(r"epoch   2  loss [\d.]+  accuracy [\d.]+ %  validation loss [\d.]+  accuracy [\d.]+ %  [\d.]+ s  "
                        r"[\d,]+ images/s", lines[1])
    assert re.fullmatch(r"test accuracy [\d.]+ %, trained in [\d.]+ s; run [0-9a-f]{32}", lines[2])


def test_train_as_a_process(own_runs):
    """The preset as it is, varied copies and all, but for its epochs."""
    status, lines, err = python_m_core("train", "digits-quick", "--set", "training.epochs=1", "--json")
    assert (status, err) == (0, [])
    epoch, end = map(json.loads, lines)
    assert list(epoch) == EPOCH_KEYS and epoch["images_per_second"] == pytest.approx(5 * 1237 / epoch["seconds"])
    assert end["event"] == "finished" and end["test_accuracy"] > 0.7
    assert RunStore(own_runs).get(end["run"]).config.data.variations == 4


def test_a_run_that_fails_ends_with_its_reason(command, own_runs):
    out = fails(command("train", "mnist-mlp-50", "--json"), "MNIST")
    end, = map(json.loads, out)
    assert (end["event"], list(end)[-1]) == ("failed", "reason") and "MNIST" in end["reason"]
    run, = RunStore(own_runs).runs()
    assert (run.id, run.status, run.message) == (end["run"], "failed", end["reason"])
    assert fails(command("train", "mnist-mlp-50"), "MNIST") == []


def test_divergence_is_a_failed_run(command):
    astray = ["--set", "model.hidden=[64,64,64]", "--set", "training.optimizer.name=sgd", "--set",
              "training.optimizer.learning_rate=100"]
    out = fails(command("train", "digits-quick", *QUICK, *astray, "--json"), "became NaN or infinite at step")
    assert json.loads(out[-1])["event"] == "failed"


def test_no_line_says_nan(command, monkeypatch):
    """JSON has no NaN and no infinity: a strict reader must be able to read every line, also of a network that goes astray."""
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    monkeypatch.setattr("core.training.inference.Outputs.loss", lambda answers, objective: float("nan"))
    status, lines, _ = command("train", "digits-quick", *QUICK, "--set", "training.epochs=1", "--json")
    epoch, end = (json.loads(line, parse_constant=refuse) for line in lines)
    assert epoch["validation_loss"] is None and epoch["train_loss"] > 0 and end["event"] == "finished"


def test_a_runs_folder_that_fills_up(command, monkeypatch):
    def no_space(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    out = fails(command("train", "digits-quick", *QUICK, "--json"), "the disk is full")
    assert json.loads(out[-1])["event"] == "failed" and "the disk is full" in json.loads(out[-1])["reason"]


def test_a_store_that_can_no_longer_be_written(command, monkeypatch):
    def refuse(*arguments, **named):
        raise StoreError("The disk is gone.")

    monkeypatch.setattr(RunStore, "record", refuse)
    monkeypatch.setattr(RunStore, "finish", refuse)
    out = fails(command("train", "digits-quick", *QUICK, "--json"), "The disk is gone.")
    assert json.loads(out[-1])["event"] == "failed" and json.loads(out[-1])["reason"] == "The disk is gone."


def test_a_cache_that_cannot_be_written(command, monkeypatch, tmp_path):
    (tmp_path / "blocked").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path / "blocked"))
    out = fails(command("train", "digits-quick", "--json"))
    assert json.loads(out[-1])["event"] == "failed"


def test_copies_that_cannot_be_kept(command, monkeypatch, tmp_path, cache_dir):
    """The digits are there, and the folder for their copies is not to be had."""
    (tmp_path / "digits").symlink_to(cache_dir / "digits")
    (tmp_path / "variations").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path))
    out = fails(command("train", "digits-quick", "--json"), "variations")
    assert json.loads(out[-1])["event"] == "failed"


LONG = ["train", "digits-quick", *QUICK, "--set", "training.epochs=1000", "--json"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_keeps_what_was_learned(own_runs):
    process = subprocess.Popen([sys.executable, "-m", "core", *LONG], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert json.loads(process.stdout.readline())["epoch"] == 1
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, err) == (0, "")
    end = json.loads(out.splitlines()[-1])
    assert (end["event"], end["test_accuracy"]) == ("stopped", None)
    store = RunStore(own_runs)
    assert store.get(end["run"]).status == "stopped" and load_model(store, end["run"]).epoch >= 1


def test_a_page_can_stop_it(command, own_runs):
    """The run is recorded like any other, so whoever sees it can ask it to stop."""
    store = RunStore(own_runs)
    said = []

    def stop():
        run_id = wait_until(lambda: [run.id for run in store.runs() if run.step], lambda: store.runs())[0]
        wait_until(lambda: has_checkpoint(store, run_id), lambda: store.get(run_id))
        store.request_stop(run_id)
        said.append(wait_for(store, run_id).status)

    thread = threading.Thread(target=stop)
    thread.start()
    status, lines, err = command(*LONG)
    thread.join()
    assert (status, err, said) == (0, [], ["stopped"])
    assert json.loads(lines[-1])["event"] == "stopped"


def test_training_here_leaves_ctrl_c_as_it_was(command):
    before = signal.getsignal(signal.SIGINT)
    command("train", "digits-quick", *QUICK, "--set", "training.epochs=1")
    assert signal.getsignal(signal.SIGINT) is before


# --- places, runs

@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_places_stand_before_or_after_the_command(command, own_runs, tmp_path, before):
    places = ["--data", tmp_path / "my data", "--runs", tmp_path / "my runs"]
    train = ["train", "digits-quick", *QUICK, "--set", "training.epochs=1", "--json"]
    status, lines, _ = command(*places, *train) if before else command(*train, *places)
    assert status == 0 and not own_runs.exists()
    run, = RunStore(tmp_path / "my runs").runs()
    assert run.id == json.loads(lines[-1])["run"]
    missing = ["train", "mnist-mlp-50"]
    fails(command(*places, *missing) if before else command(*missing, *places), str(tmp_path / "my data"))
    status, lines, _ = command(*places, "runs") if before else command("runs", *places)
    assert status == 0 and len(lines) == 2


def test_a_place_after_the_command_wins(command, tmp_path):
    command("--runs", tmp_path / "one", "runs", "--runs", tmp_path / "two")
    assert (tmp_path / "two").exists() and not (tmp_path / "one").exists()


def test_runs(command):
    assert command("runs") == (0, [], [])
    good = json.loads(command("train", "digits-quick", *QUICK, "--json")[1][-1])
    failed = json.loads(command("train", "mnist-mlp-50", "--json")[1][-1])
    status, lines, err = command("runs", "--json")
    assert (status, err) == (0, [])
    newest, oldest = map(json.loads, lines)
    assert (newest["run"], newest["status"], newest["message"]) == (failed["run"], "failed", failed["reason"])
    assert (oldest["run"], oldest["status"], oldest["test_accuracy"]) == (good["run"], "finished", good["test_accuracy"])
    assert oldest["config"]["model"] == {"architecture": "mlp", "hidden": [8], "activation": "relu", "dropout": 0.0}
    text = command("runs")[1]
    assert text[0].startswith(f"{failed['run']}  failed") and percent(good['test_accuracy']) in text[1]


# --- one line for what can't be done

@pytest.mark.parametrize(("arguments", "words"), [
    ([], ["COMMAND"]),
    (["dance"], ["dance"]),
    (["train"], ["PRESET"]),
    (["train", "no-such"], ["no preset 'no-such'", *PRESETS]),
    (["summary", "no-such"], ["no preset 'no-such'"]),
    (["train", "digits-quick", "--set"], ["--set"]),
    (["train", "digits-quick", "--set", "training.epochs"], ["--set training.epochs", "FIELD=VALUE"]),
    (["train", "digits-quick", "--set", "training.epoch=2"], ["training.epoch", "no such field", "epochs"]),
    (["train", "digits-quick", "--set", "training.epochs=0"], ["training.epochs", "0", "from 1 to 1000 epochs"]),
    (["train", "digits-quick", "--set", "training.epochs=2.5"], ["training.epochs", "2.5"]),
    (["train", "digits-quick", "--set", "training.optimizer.learning_rate=NaN"], ["learning_rate", "nan"]),
    (["train", "digits-quick", "--set", "model.architecture=transformer"], ["transformer", "cnn"]),
    (["train", "digits-quick", "--set", "=2"], ["no such field"]),
    (["summary", "digits-quick", "--set", "data.dataset=mine"], ["no data set 'mine'", "digits"]),
    (["summary", "digits-quick", "--set", "model.channels=[1,1,1,1,1]"], ["use at most 4 channels"]),
    (["train", "digits-quick", "--data"], ["--data"]),
    (["presets", "--unknown"], ["--unknown"]),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_cannot_be_done_is_one_line(command, own_runs, arguments, words):
    assert fails(command(*arguments), *words) == []
    assert not own_runs.exists()  # nothing was recorded


NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")


@pytest.mark.parametrize(("field", "says"), [
    ("data.validation=5000", "data.validation is 5,000"),
    ("model.channels=[4,4,4,4,4,4,4,4]", "use at most 4 channels"),
    pytest.param("training.device=cuda", "training.device is 'cuda'", marks=NO_CUDA)])
def test_what_shows_only_when_it_starts(command, field, says):
    out = fails(command("train", "digits-quick", "--set", "data.variations=0", "--set", field, "--json"), says)
    assert says in json.loads(out[-1])["reason"]


@pytest.mark.parametrize("arguments", [["runs"], ["train", "digits-quick", *QUICK]], ids=["runs", "train"])
def test_a_runs_folder_that_cannot_be_used(command, tmp_path, arguments):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        assert fails(command(*arguments, "--runs", place), str(place), "PLAYGROUND_RUNS") == []


def test_a_runs_folder_that_may_only_be_read(command, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    if os.access(tmp_path / "locked", os.W_OK):
        pytest.skip("this user may write anywhere")
    assert fails(command("train", "digits-quick", *QUICK, "--runs", tmp_path / "locked"), "locked") == []


def test_settings_that_make_no_sense(command, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_WORKERS", "many")
    assert fails(command("presets"), "PLAYGROUND_WORKERS", "many") == []


def test_an_error_as_a_process():
    assert fails(python_m_core("train", "mnist-mlp-50"), "MNIST") == []
    assert fails(python_m_core()) == []
