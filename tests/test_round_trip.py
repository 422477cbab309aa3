"""Every form that a run or its data can be taken away in comes back in, or is named as what it is."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch

from core.config import read_config
from core.data import import_images
from core.data.own.digits import MyDigits, zip_of
from core.data.own.sets import read_arrays
from core.runs import RunStore, load_model
from core.runs.uploaded import UploadRefused, keep_upload
from core.settings import Settings
from core.takeaway import KINDS, Options, Subject, bring_back, take
from tests.helpers import run_here, tiny
from tests.test_bring_more import IMAGES

IMAGE = (1, 28, 28)


@pytest.fixture(scope="module", params=["classes", "yes or no"])
def subject(request, places):
    """A small convolutional network on scikit-learn's digits, or one that answers whether it is an 8."""
    settings = Settings(places / "data", places / f"trips-{len(request.param)}", places / "cache", workers=0)
    store = RunStore(settings.runs_dir)
    values = {"data.normalization": "half", "training.epochs": 1, "model.architecture": "cnn"}
    if request.param != "classes":
        values |= {"data.task": "is_target", "training.loss": "bce_with_logits"}
    config = tiny().with_values(values).with_values({"model.channels": [4, 6], "model.fc_width": 12})
    run = run_here(store, settings, config)
    assert run.status == "finished", run.message
    yield Subject(store, run, settings)
    store.close()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "alone"), [("pth", False), ("safetensors", False), ("onnx", False), ("onnx", True)])
def test_weights_come_back_and_answer_as_they_did(subject, kind, alone):
    content = take(Subject(subject.store, subject.run, subject.settings, Options(alone=alone)), kind)
    kept = keep_upload(subject.store, subject.settings, content, f"net{KINDS[kind].ending}", subject.run.config.data, "me")
    before, after = load_model(subject.store, subject.run.id), load_model(subject.store, kept.run.id)
    images = torch.rand(20, *IMAGE)
    assert after.classes == before.classes
    torch.testing.assert_close(after.predict(images), before.predict(images), rtol=1e-3, atol=1e-5)
    subject.store.delete(kept.run.id)


def test_a_program_of_torch_export_is_named(subject):
    content = take(subject, "torch-export")
    with pytest.raises(UploadRefused, match="is a program of torch.export, not weights"):
        keep_upload(subject.store, subject.settings, content, "net.pt2", subject.run.config.data, "me")


def test_settings_and_the_bundle_come_back(subject, tmp_path):
    assert read_config(take(subject, "config")) == subject.run.config
    (tmp_path / "all.zip").write_bytes(take(subject, "bundle"))
    back = bring_back(subject.store, tmp_path / "all.zip", "me")
    images = torch.rand(5, *IMAGE)
    torch.testing.assert_close(load_model(subject.store, back.id).predict(images),
                               load_model(subject.store, subject.run.id).predict(images))
    subject.store.delete(back.id)


def test_drawings_as_class_folders_come_back(tmp_path):
    kept = MyDigits.none_yet(("0", "1"))
    for place, pixels in enumerate(np.random.default_rng(0).random((12, *IMAGE), np.float32)):
        kept = kept.keep(torch.from_numpy(pixels), place % 2)
    (tmp_path / "mine.zip").write_bytes(zip_of(kept))
    report = import_images(tmp_path / "mine.zip", tmp_path / "data")
    back = read_arrays(tmp_path / "data", report.name)
    assert report.classes == ("0", "1") and len(back.images) == 12
    wanted = {(image.numpy().tobytes(), int(label)) for image, label in zip(
        kept.images, kept.labels, strict=True)}
    assert {(image.tobytes(), int(label)) for image, label in zip(back.images, back.labels, strict=True)} == wanted


def test_arrays_of_a_kept_set_come_back_as_npz(tmp_path):
    """images.npy and labels.npy of a set's folder, packed as people pack them."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in (("images", IMAGES[:, None]), ("labels", np.arange(24) % 3)):
            data = io.BytesIO()
            np.save(data, array)
            archive.writestr(f"{name}.npy", data.getvalue())
    (tmp_path / "set.npz").write_bytes(file.getvalue())
    report = import_images(tmp_path / "set.npz", tmp_path / "data", size=12)
    assert report.accepted == 24 and json.dumps(report.classes) == '["0", "1", "2"]'
