"""`python -m core export`: a preset or a recorded run as a script."""

import ast

import pytest
import torch

from core.__main__ import main
from core.export import script
from core.presets import PRESETS
from core.runs import Run, RunStore, load_model
from core.settings import Settings
from core.takeaway import Subject, take


@pytest.fixture
def where(tmp_path) -> list[str]:
    return ["--runs", str(tmp_path / "runs"), "--data", str(tmp_path / "data")]


def test_a_preset_on_the_screen(capsys, where):
    assert main(["export", "digits-quick", "--to", "script", *where]) == 0
    assert capsys.readouterr().out == script(PRESETS["digits-quick"].config)


def test_a_script_is_what_is_exported_and_a_fast_one_on_request(capsys, where):
    assert main(["export", "digits-quick", *where]) == 0
    assert capsys.readouterr().out == script(PRESETS["digits-quick"].config)
    assert main(["export", "digits-quick", "--fast", *where]) == 0
    fast = capsys.readouterr().out
    assert fast == script(PRESETS["digits-quick"].config, fast=True)
    assert "class Batches" in fast and "DataLoader(" not in fast


def test_a_changed_preset_in_a_file(tmp_path, capsys, where):
    out = tmp_path / "train.py"
    assert main(["export", "mnist-mlp-50", "--to", "script", "--out", str(out), "--set", "training.epochs=3", *where]) == 0
    assert capsys.readouterr().out == ""
    assert "EPOCHS = 3" in out.read_text(encoding="utf-8") and ast.parse(out.read_text(encoding="utf-8"))


def test_a_recorded_run(capsys, trained: tuple[RunStore, Run], tmp_path):
    store, run = trained
    assert main(["export", run.id, "--to", "script", "--runs", str(store.path), "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out == script(run.config)


@pytest.mark.parametrize(("arguments", "says"), [
    (["nonsense", "--to", "script"], "no preset or run 'nonsense'"),
    (["../../etc/passwd", "--to", "script"], "no preset or run"),
    (["digits-quick", "--to", "script", "--set", "data.dataset=flowers"], "no data set 'flowers'"),
    (["digits-quick", "--to", "script", "--set", "model.channels=[8,8,8,8,8]"], "at most 4"),
    (["digits-quick", "--to", "script", "--set", 'data.only_classes=["1", "3", "5"]', "--set", "data.task=is_target", "--set",
      "data.target=3"], "data.target is 3; Digits (scikit-learn) has classes 0 to 2."),
    (["digits-quick", "--to", "script", "--set", 'data.only_classes=["1", "3"]', "--set", "data.validation=400"],
     "data.validation is 400; Digits (scikit-learn) has 287 training images"),
    (["circle-2d", "--to", "script", "--set", "data.variations=2"], "data.variations is 2; Circle are points"),
    (["linear-regression", "--to", "script", "--set", "training.loss=bce"], "numbers are predicted with mse"),
    (["reviews-embedding", "--to", "script", "--set", "model.architecture=cnn"], "can't read texts"),
    (["digits-quick", "--to", "script", "--out", "/no/such/folder/train.py"], "no such folder"),
])
def test_what_cannot_be_exported_gets_one_line(arguments, says, capsys, where):
    assert main(["export", *arguments, *where]) == 2
    said = capsys.readouterr()
    assert said.out == "" and says in said.err and said.err.count("\n") == 1


def test_an_unknown_format_gets_one_line(capsys, where):
    with pytest.raises(SystemExit) as ended:
        main(["export", "digits-quick", "--to", "poem", *where])
    assert ended.value.code == 2 and capsys.readouterr().err.count("\n") == 1


# --- recorded runs in other forms

@pytest.mark.parametrize("kind", ["csv", "card", "config"])
def test_a_text_comes_on_the_screen_or_into_a_file(capsys, trained, places, tmp_path, kind):
    store, run = trained
    where = ["--runs", str(store.path), "--data", str(places / "data")]
    assert main(["export", run.id, "--to", kind, *where]) == 0
    shown = capsys.readouterr().out
    assert shown.encode() == take(Subject(store, run, Settings(places / "data", store.path, places / "cache")), kind)
    assert main(["export", run.id, "--to", kind, "--out", str(tmp_path / "out"), *where]) == 0
    assert (tmp_path / "out").read_bytes() == shown.encode() and capsys.readouterr().out == ""


def test_what_is_no_text_goes_to_a_file_that_is_named_after_the_run(capsys, trained, tmp_path, monkeypatch):
    store, run = trained
    monkeypatch.chdir(tmp_path)
    assert main(["export", run.id, "--to", "pth", "--runs", str(store.path), "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith(f"mlp-{run.id[:8]}.pth  ")
    assert torch.load(tmp_path / f"mlp-{run.id[:8]}.pth", weights_only=True).keys() == load_model(
        store, run.id).model.state_dict().keys()


@pytest.mark.parametrize(("arguments", "says"), [
    (["digits-quick", "--to", "onnx"], "nothing has been trained yet. Train it with python -m core train digits-quick"),
    (["RUN", "--to", "onnx", "--set", "training.epochs=2"], "a run that has been is what it was"),
    (["RUN", "--to", "pth", "--out", "/no/such/folder/w.pth"], "no such folder"),
    (["0" * 32, "--to", "pth"], "no preset or run"),
])
def test_what_cannot_be_taken_away_gets_one_line(arguments, says, capsys, trained, tmp_path):
    store, run = trained
    given = [run.id if one == "RUN" else one for one in arguments]
    assert main(["export", *given, "--runs", str(store.path), "--data", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and says in said.err and said.err.count("\n") == 1
