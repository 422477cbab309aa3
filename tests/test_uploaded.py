"""Weights from elsewhere: a process with limits reads them, they answer as they did, and whatever else is uploaded is refused."""

import io
import json
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as safetensors_save
from torch import nn

from core.config import DataConfig
from core.data import load
from core.evaluation import evaluate
from core.models import MLPConfig
from core.runs import RunStore, load_model
from core.runs.uploaded import UploadRefused, keep_upload
from core.settings import Settings
from core.weights.child import main
from core.weights.file import MAX_BYTES
from pages.parts.shell import keys
from tests.test_pages import PAGES, alone, assert_whole, is_lab

DIGITS = DataConfig(dataset="digits", validation=200)


def network(outputs: int = 10) -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 12), nn.ReLU(), nn.Linear(12, outputs))


def pth(weights) -> bytes:
    file = io.BytesIO()
    torch.save(weights, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def uploads(places) -> tuple[RunStore, Settings]:
    settings = Settings(places / "data", places / "uploads", places / "cache", workers=0)
    return RunStore(settings.runs_dir), settings


@pytest.fixture(scope="module")
def uploaded(uploads):
    store, settings = uploads
    return keep_upload(store, settings, pth(network().state_dict()), "my_[model].pth", DIGITS, "me")


def test_an_upload_answers_as_it_did(uploads, uploaded):
    store, settings = uploads
    run = store.get(uploaded.run.id)
    assert run.status == "finished" and run.title == "Uploaded: my_(model).pth" and run.parameters == 784 * 12 + 12 + 130
    assert run.config.model == MLPConfig(hidden=(12,)) and run.test_accuracy is None and run.owner == "me"
    model, images = load_model(store, run.id), torch.rand(5, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(model.predict(images), network()(images).softmax(1))
    assert any("ReLU" in note for note in uploaded.notes)
    data = load(run.config.data, settings.data_dir, settings.cache_dir)
    assert evaluate(model.model, data, run.config).examples == len(data.test)


@pytest.mark.parametrize("path", [path for path in PAGES if not is_lab(path)])
def test_an_upload_works_on_every_page(uploads, uploaded, path, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(uploads[0].path))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    at = alone(path, uploaded.run.id)
    assert_whole(at)
    assert not at.error, [e.value for e in at.error]


def run_child(content: bytes, folder: Path, name: str = "file.pth") -> dict:
    """The child's work in this process, without its limits."""
    (folder / "upload").write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.weights.child.limit", lambda memory, seconds: None)
        main(json.dumps({"file": str(folder / "upload"), "name": name, "folder": str(folder), "input_shape": [1, 28, 28]}))
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def test_half_precision_and_safetensors(tmp_path):
    weights = {name: value.half() for name, value in network().state_dict().items()}
    for content in (pth(weights), safetensors_save({name: value.contiguous() for name, value in weights.items()})):
        found = run_child(content, tmp_path)
        assert "refused" not in found, found
        assert found["model"]["hidden"] == [12]

    deep = nn.Sequential(nn.Flatten(), *(nn.Linear(784 - n, 783 - n) for n in range(11)), nn.Linear(773, 10))
    found = run_child(safetensors_save(deep.state_dict()), tmp_path)  # a format that keeps no order: 10 comes after 9
    assert found["model"]["hidden"] == list(range(783, 772, -1))


class Runs:
    def __reduce__(self):
        return (open, ("/tmp/never-written", "w"))


def deflated(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    return file.getvalue()


def bad(value: float) -> dict:
    weights = network().state_dict()
    weights["1.weight"][0, 0] = value
    return weights


@pytest.mark.parametrize(("content", "words"), [
    (lambda: b"", "empty"), (lambda: b"hello", "neither"), (lambda: pickle.dumps(Runs()), "neither|pickle"),
    (lambda: pth(Runs()), "refused"), (lambda: pth(network()), "whole object"),
    (lambda: pth(network().state_dict())[:3000], "damaged"),
    (lambda: deflated(pth(network().state_dict())), "compressed"), (lambda: pth(bad(float("nan"))), "NaN"),
    (lambda: pth({"1.weight": torch.zeros(3, 3).to_sparse()}), "sparse"),
    (lambda: pth(network().double().state_dict()), "float64"),
    (lambda: pth({"fc1.weight": torch.zeros(10, 5)}), "takes 5 numbers"), (lambda: pth([1, 2]), "state_dict"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_no_usable_state_dict_gets_one_line(content, words, tmp_path):
    refused = run_child(content(), tmp_path)["refused"]
    assert re.search(words, refused) and "\n" not in refused
    assert not Path("/tmp/never-written").exists()


def test_refusals_keep_nothing(uploads, tmp_path):
    store, settings = uploads
    before = [run.id for run in store.runs()]
    with pytest.raises(UploadRefused, match="MB"):
        keep_upload(store, settings, b"\0" * (MAX_BYTES + 1), "x.pth", DIGITS, "me")
    with pytest.raises(UploadRefused, match="no data set"):
        keep_upload(store, settings, b"x", "x.pth", DataConfig(dataset="nothing"), "me")
    with pytest.raises(UploadRefused, match="answers with 7 classes"):
        keep_upload(store, settings, pth(network(7).state_dict()), "x.pth", DIGITS, "me")
    assert [run.id for run in store.runs()] == before


def test_a_reader_that_dies_gets_one_line(uploads, tmp_path, monkeypatch):
    store, settings = uploads
    monkeypatch.setattr("core.subprocesses.ROOT", tmp_path)  # no such module there: it dies at once
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(UploadRefused, match=r"failed \(exit code 1\)") as refused:
        keep_upload(store, settings, pth(network().state_dict()), "x.pth", DIGITS, "me")
    assert "\n" not in str(refused.value)


def test_weights_that_go_astray_between_the_processes_get_one_line(uploads, monkeypatch):
    store, settings = uploads
    found = {"model": MLPConfig(hidden=(12,)).model_dump(mode="json"), "outputs": 10, "notes": []}
    monkeypatch.setattr("core.runs.uploaded._read", lambda *arguments: found)  # and no file of weights
    before = [run.id for run in store.runs()]
    with pytest.raises(UploadRefused, match="could not be read. Save or download it again"):
        keep_upload(store, settings, b"x", "x.pth", DIGITS, "me")
    assert [run.id for run in store.runs()] == before


def test_memory_that_runs_out_while_reading_is_said_in_one_line(tmp_path):
    """16 MB of half precision, which take 32 MB as float32 and as much again to be written, where 60 MB are allowed."""
    deep = {"1.weight": torch.zeros(10_000, 784).half(), "1.bias": torch.zeros(10_000).half(),
            "3.weight": torch.zeros(10, 10_000).half(), "3.bias": torch.zeros(10).half()}
    (tmp_path / "upload").write_bytes(pth(deep))
    options = {"file": str(tmp_path / "upload"), "name": "x.pth", "folder": str(tmp_path), "input_shape": [1, 28, 28]}
    code = "import sys; from core.weights import child; child.MEMORY = 60 << 20; child.main(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, json.dumps(options)], cwd=Path(__file__).parents[1], check=True)
    refused = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["refused"]
    assert ("memory" in refused or "PyTorch can't read" in refused) and "\n" not in refused


def test_one_answer_becomes_a_yes_no_question(uploads):
    store, settings = uploads
    data = DIGITS.model_copy(update={"target": 3, "normalization": "half"})
    run = keep_upload(store, settings, pth(network(1).state_dict()), "is_it.pth", data, "me").run
    model = load_model(store, run.id)
    assert model.classes == ("not 3", "3") and model.mean == model.std == (0.5,)
    assert run.config.training.loss == "bce_with_logits" and run.config.data.task == "is_target"
    store.delete(run.id)


@pytest.mark.parametrize(("values", "mean", "std"), [
    ({"normalization": "channels", "channel_mean": (0.1307,), "channel_std": (0.3081,)}, (0.1307,), (0.3081,)),
    ({"normalization": "imagenet"}, (0.449,), (0.226,))])
def test_numbers_that_a_script_normalised_with(uploads, values, mean, std):
    store, settings = uploads
    run = keep_upload(store, settings, pth(network().state_dict()), "n.pth", DIGITS.model_copy(update=values), "me").run
    model = load_model(store, run.id)
    assert (model.mean, model.std) == (mean, std)
    store.delete(run.id)


def test_the_form_uses_a_file_and_refuses_another(uploads, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(uploads[0].path))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    at = alone("pages/draw_digit.py")
    at.selectbox(key="draw.weights.data").set_value("digits").run()
    at.selectbox(key="draw.weights.normalization").set_value("channels").run()
    assert (at.number_input(key="draw.weights.mean").value, at.number_input(key="draw.weights.std").value) == (0.1307, 0.3081)
    at.file_uploader(key="draw.weights.0").set_value(("weights.pth", b"nonsense", "application/octet-stream")).run()
    at.button(key="draw.weights.use").click().run()
    assert_whole(at)
    assert "neither" in at.error[0].value
    content = pth(network().state_dict())
    at.file_uploader(key="draw.weights.0").set_value(("weights.pth", content, "application/octet-stream")).run()
    at.button(key="draw.weights.use").click().run()
    assert_whole(at)
    assert any("fit more than one network" in one.value for one in at.markdown)
    assert {"ReLU", "Tanh"} <= set(at.dataframe[-1].value["Network"]) and "test images" in at.caption[-1].value
    at.selectbox(key="draw.weights.choice").set_value(0).run()
    at.button(key="draw.weights.choose").click().run()
    assert_whole(at)
    assert any("is ready and chosen" in one.value and "Taken for: ReLU" in one.value for one in at.success)
    run = uploads[0].get(at.session_state[keys.RUN])
    assert run.title == "Uploaded: weights.pth"
    assert (run.config.data.normalization, run.config.data.channel_mean) == ("channels", (0.1307,))
