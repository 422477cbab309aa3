"""Every form that a run or its data can be taken away in comes back in, or is named; bundles: tests/test_bundles.py."""

import io
import zipfile

import numpy as np
import pytest
import torch

from core.config import read_config
from core.data import import_images
from core.data.own.digits import MyDigits, zip_of
from core.data.own.sets import read_arrays
from core.models import build
from core.runs import RunStore, load_model
from core.runs.uploaded import UploadRefused, keep_read, keep_upload, read_upload
from core.settings import Settings
from core.takeaway import KINDS, Options, Subject, take
from core.weights import child
from core.weights.file import WeightsRefused
from tests.helpers import run_here, tiny
from tests.test_bring import npy
from tests.test_bring_more import IMAGES
from tests.test_importing import here

IMAGE = (1, 28, 28)


@pytest.fixture(scope="module", params=["classes", "yes or no"])
def subject(request, places):
    """A small convolutional network on scikit-learn's digits, or one that answers whether it is an 8."""
    settings = Settings(places / "data", places / f"trips-{len(request.param)}", places / "cache", workers=0)
    store = RunStore(settings.runs_dir)
    values = {"data.normalization": "half", "model.architecture": "cnn"}
    if request.param != "classes":
        values |= {"data.task": "is_target", "training.loss": "bce_with_logits"}
    config = tiny().with_values(values).with_values({"model.channels": [4, 6], "model.fc_width": 12})
    run = run_here(store, settings, config)
    assert run.status == "finished", run.message
    yield Subject(store, run, settings)
    store.close()


@pytest.fixture(autouse=True)
def read_here(monkeypatch):
    """Weights are read in this process, without its limits: starting another takes seconds, and tests/test_uploaded.py does."""
    def read(content, name, folder, shape):
        try:
            return child.read(content, name, folder, shape)
        except WeightsRefused as error:
            raise UploadRefused(str(error)) from None

    monkeypatch.setattr("core.runs.uploaded._read", read)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "alone"), [("pth", False), ("safetensors", False), ("onnx", False), ("onnx", True)])
def test_weights_come_back_and_answer_as_they_did(subject, kind, alone):
    content = take(Subject(subject.store, subject.run, subject.settings, Options(alone=alone)), kind)
    data = subject.run.config.data
    if kind == "onnx" and not alone:  # the file says itself how it normalises
        data = data.model_copy(update={"normalization": "none"})
    kept = keep_upload(subject.store, subject.settings, content, f"net{KINDS[kind].ending}", data, "me")
    before, after = load_model(subject.store, subject.run.id), load_model(subject.store, kept.run.id)
    images = torch.rand(20, *IMAGE)
    assert after.classes == before.classes
    torch.testing.assert_close(after.predict(images), before.predict(images), rtol=1e-3, atol=1e-5)
    subject.store.delete(kept.run.id)


@pytest.mark.filterwarnings("ignore")
def test_residual_blocks_come_back_from_onnx(places):
    settings = Settings(places / "data", places / "trips-blocks", places / "cache", workers=0)
    store = RunStore(settings.runs_dir)
    run = run_here(store, settings, tiny(model__architecture="small_resnet", model__channels=[4, 6], data__fraction=0.2))
    content = take(Subject(store, run, settings), "onnx")
    data = run.config.data.model_copy(update={"normalization": "none"})  # the file normalises itself
    kept = keep_upload(store, settings, content, "net.onnx", data, "me")
    images = torch.rand(20, *IMAGE)
    assert [layer.kind for layer in kept.run.config.model.layers].count("residual") == 2
    torch.testing.assert_close(load_model(store, kept.run.id).predict(images), load_model(store, run.id).predict(images),
                               rtol=1e-3, atol=1e-5)
    store.close()


def test_the_weights_that_a_run_began_with_come_back(subject):
    kept = keep_upload(subject.store, subject.settings, take(subject, "start"), "start.pth", subject.run.config.data, "me")
    began = torch.load(io.BytesIO(take(subject, "start")), weights_only=True)
    back = load_model(subject.store, kept.run.id).model.state_dict()
    assert all(torch.equal(value, back[name]) for name, value in began.items()) and began.keys() == back.keys()
    subject.store.delete(kept.run.id)


def test_settings_come_back(subject):
    assert read_config(take(subject, "config")) == subject.run.config


def test_a_program_of_torch_export_is_named(subject):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:  # what torch.export.save writes first
        archive.writestr("net/archive_format", "pt2")
        archive.writestr("net/byteorder", "little")
    with pytest.raises(UploadRefused, match="is a program of torch.export, not weights"):
        keep_upload(subject.store, subject.settings, file.getvalue(), "net.pt2", subject.run.config.data, "me")


def test_the_best_choice_is_kept_under_its_own_names(subject):
    """The same weights as another network: saved, loaded and asked, it answers as that one."""
    read = read_upload(subject.settings, take(subject, "pth"), "net.pth", subject.run.config.data)
    place = len(read.candidates) - 1
    kept = keep_read(subject.store, read, place, "me")
    assert place and kept.run.config.model == read.candidates[place].model
    assert build(kept.run.config.model, IMAGE, read.outputs).state_dict().keys() == load_model(
        subject.store, kept.run.id).model.state_dict().keys()
    subject.store.delete(kept.run.id)


def test_drawings_as_class_folders_come_back(tmp_path):
    kept = MyDigits.none_yet(("0", "1"))
    for place, pixels in enumerate(np.random.default_rng(0).random((12, *IMAGE), np.float32)):
        kept = kept.keep(torch.from_numpy(pixels), place % 2)
    (tmp_path / "mine.zip").write_bytes(zip_of(kept))
    report = import_images(tmp_path / "mine.zip", tmp_path / "data")
    back = read_arrays(tmp_path / "data", report.name)
    assert report.classes == ("0", "1") and len(back.images) == 12
    wanted = {(image.numpy().tobytes(), int(label)) for image, label in zip(kept.images, kept.labels, strict=True)}
    assert {(image.tobytes(), int(label)) for image, label in zip(back.images, back.labels, strict=True)} == wanted


def test_arrays_of_a_kept_set_come_back_as_npz(tmp_path, monkeypatch):
    """images.npy and labels.npy of a set's folder, packed as people pack them."""
    monkeypatch.setattr("core.importing.child._say", lambda done, total: None)
    monkeypatch.setattr("core.importing.child._end_if_alone", lambda folder: None)
    with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
        archive.writestr("images.npy", npy(IMAGES[:, None]))
        archive.writestr("labels.npy", npy(np.arange(24) % 3))
    assert here(tmp_path / "set.npz", tmp_path / "out", size=12)["classes"] == ["0", "1", "2"]
    assert {image.tobytes() for image in np.load(tmp_path / "out/images.npy")} == {image.tobytes() for image in IMAGES}
