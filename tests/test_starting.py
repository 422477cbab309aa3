"""Weights to start from: another run's, and torchvision's as a file of unknown origin; what fits is taken over, and said."""

import hashlib
import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as safetensors_save
from torch import nn

from core.config import RunConfig
from core.data import DataError, DataMissing
from core.data.download.lock import Progress
from core.models import build
from core.models.pretrained import PretrainedWeights, fitting, layers_anew, pretrained_weights, published_shapes, take
from core.runs import CheckpointError, RunStore, StoreError, has_checkpoint, load_model
from core.runs.deleting import delete_run
from core.runs.execute import execute
from core.runs.made_with import read_made_with
from core.runs.starting import fits, start_problem, start_weights
from core.settings import Settings
from core.takeaway.record import lines_of, record_of
from core.torchvision_guard import torchvision
from core.training import fresh_model
from core.weights import published
from core.weights.child import read_published
from core.weights.file import WeightsRefused
from tests.helpers import StopAfter, run_here, tiny, wait_for
from tests.test_download import Handler, Server, server  # noqa: F401  (a fixture)

SMALL = {"model__architecture": "cnn", "model__channels": [4], "model__fc_width": 8}
SEVEN, THREE = ["0", "1", "2", "3", "4", "5", "6"], ["7", "8", "9"]


# --- what fits


def network(channels: int = 1, classes: int = 10) -> nn.Module:
    torch.manual_seed(channels + classes)
    return build(tiny(**SMALL).model, (channels, 28, 28), classes)


def test_what_fits_is_taken_over():
    ours, theirs = network(classes=3), network(classes=7)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    found = fitting(ours.state_dict(), theirs.state_dict())
    assert found.anew == {"fc2": ((7, 8), (3, 8))} and not found.adapted and not found.missing and not found.extra
    take(ours, found)
    for name, value in ours.state_dict().items():
        assert torch.equal(value, before[name] if name.startswith("fc2") else theirs.state_dict()[name])


@pytest.mark.parametrize(("theirs", "ours"), [(3, 1), (1, 3), (3, 2)])
def test_a_grey_picture_gives_what_it_gave_as_equal_channels(theirs, ours):
    """Both networks see the same picture, on as many equal channels as they have."""
    source, target = network(theirs), network(ours)
    found = fitting(target.state_dict(), source.state_dict())
    assert found.adapted == "conv1" and not found.anew
    take(target, found)
    grey = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(target(grey.expand(-1, ours, -1, -1)), source(grey.expand(-1, theirs, -1, -1)))


def test_other_names_are_named():
    found = fitting(network().state_dict(), {"conv1.weight": torch.zeros(4, 1, 3, 3), "extra": torch.zeros(1)})
    assert found.extra == ("extra",) and "fc1.weight" in found.missing


# --- a run's weights


def test_a_last_layer_for_other_classes_is_new(store, settings):
    first = run_here(store, settings, tiny(**SMALL, data__only_classes=SEVEN))
    config = tiny(**SMALL, data__only_classes=THREE, training__start_from=first.id, training__trainable="linear_layers",
                  training__rate_below_last=0.1)
    assert start_problem(store, config, settings) == "" and fits(config, first.config, settings)
    second = run_here(store, settings, config)
    assert second.status == "finished", second.message
    before, after = (load_model(store, run.id).model.state_dict() for run in (first, second))
    assert torch.equal(before["conv1.weight"], after["conv1.weight"]) and after["fc2.weight"].shape == (3, 8)
    assert not torch.equal(before["fc1.weight"], after["fc1.weight"]), "it learns, slower"
    said = read_made_with(store, second.id)["starts"][0]["taken_over"]
    assert said == f"the weights of run '{first.id[:8]}': all other layers are taken over; fc2 is new, of 3×8 instead of 7×8"
    lines = {line.name: line.value for line in lines_of(record_of(store, second), second)}
    assert lines["Started from"] == said
    began = start_weights(store, second.id, settings)
    assert torch.equal(began["fc1.weight"], before["fc1.weight"])
    fresh = fresh_model(config, (1, 28, 28), 3).state_dict()
    assert torch.equal(began["fc2.weight"], fresh["fc2.weight"]), "drawn from the run's own seed"


def test_a_run_that_has_begun_needs_what_it_started_from_no_more(store, settings):
    first = run_here(store, settings, tiny(training__seed=5))
    config = tiny(training__start_from=first.id, training__epochs=3, training__trainable="last_layer")
    stopped = run_here(store, settings, config, StopAfter(25))
    assert stopped.status == "stopped" and stopped.step
    delete_run(store, first.id, settings.data_dir)
    assert "was deleted" in start_problem(store, config, settings)
    late = run_here(store, settings, config)
    assert late.status == "failed" and "was deleted" in late.message and not has_checkpoint(store, late.id)
    store.requeue(stopped.id, config)
    again = execute(store, store.claim("here"), settings)
    assert again.id == stopped.id and again.status == "finished", again.message
    assert len(start_weights(store, again.id, settings)) == 4, "its script needs it no more, either"


@pytest.mark.parametrize(("other", "says"), [
    ({"model__hidden": [9]}, "its network is another one: its layer fc1 has shape 9×784, and this network needs 8×784"),
    ({"model__hidden": [8, 8]}, "its network is another one"),
    (SMALL, "its network is another one: this network needs no conv1.bias")])  # whose linear layers fit
def test_another_network_is_one_clear_line(store, settings, other, says):
    first = run_here(store, settings, tiny(**other))
    config = tiny(training__start_from=first.id)
    assert not fits(config, first.config, settings) and "has another network" in start_problem(store, config, settings)
    run = run_here(store, settings, config)
    assert run.status == "failed" and run.message.startswith("This run can't start from the weights of run")
    assert says in run.message and len(run.message) < 300 and "\n" not in run.message


def test_a_single_layer_for_other_classes_gives_nothing(store, settings):
    one = {"model__architecture": "softmax_regression"}
    first = run_here(store, settings, tiny(**one, data__only_classes=SEVEN))
    config = tiny(**one, data__only_classes=THREE, training__start_from=first.id)
    assert not fits(config, first.config, settings)
    assert "nothing of it fits" in run_here(store, settings, config).message


def test_the_engine_trains_with_frozen_layers_and_refuses_what_is_gone(engine, places, cache_dir):
    """A worker process, its pause and step, and a start run that is deleted before another one begins."""
    store, settings = engine.store, engine.settings
    first = wait_for(store, engine.submit(tiny(**SMALL, data__only_classes=SEVEN), "me"))
    config = tiny(**SMALL, data__only_classes=THREE, training__start_from=first.id, training__trainable="linear_layers",
                  training__rate_below_last=0.1, training__epochs=2)
    run_id = engine.submit(config, "me", paused=True)
    wait_for(store, run_id, lambda run: bool(run.steps) and run.pause_requested is not None)
    engine.step(run_id, 2)
    wait_for(store, run_id, lambda run: run.step >= 2)
    engine.set_learning_rate(run_id, 0.005)
    engine.pause(run_id, False)
    ended = wait_for(store, run_id)
    assert ended.status == "finished", ended.message
    before, after = (load_model(store, one).model.state_dict() for one in (first.id, run_id))
    assert torch.equal(before["conv1.weight"], after["conv1.weight"])
    assert not torch.equal(before["fc1.weight"], after["fc1.weight"])
    delete_run(store, first.id, settings.data_dir)
    for ask in (engine.submit, engine.find_rate, lambda one, who: engine.submit_seeds(one, who, 2)):
        with pytest.raises(StoreError, match="was deleted. Choose others to start from"):
            ask(config, "me")
    engine.resume(run_id, 1)
    assert wait_for(store, run_id).status == "finished", "one that has begun goes on"


# --- torchvision's weights


def test_torchvision_knows_the_files():
    for name, file in (("vgg16", "vgg16-397923af.pth"), ("resnet18", "resnet18-f37072fd.pth"),
                       ("mobilenet_v3_small", "mobilenet_v3_small-047dcff4.pth")):
        weights = pretrained_weights(RunConfig().with_values({"model.architecture": name}).model)
        assert weights.file == file and weights.address.endswith(file) and weights.checksum == file[-12:-4]
        assert weights.size == pytest.approx({"vgg16": 553e6, "resnet18": 46.8e6}.get(name, 10.2e6), rel=0.02)
    with_norms = RunConfig().with_values({"model.architecture": "vgg16", "model.batch_norm": True}).model
    assert pretrained_weights(with_norms).file == "vgg16_bn-6c64b313.pth" and pretrained_weights(tiny().model) is None


@pytest.mark.parametrize(("changes", "channels", "anew"), [
    ({"architecture": "resnet18"}, 3, ["conv1", "fc"]), ({"architecture": "resnet18", "stem": "imagenet"}, 3, ["fc"]),
    ({"architecture": "resnet18", "stem": "imagenet"}, 1, ["fc"]), ({"architecture": "mobilenet_v3_small"}, 1, ["classifier.3"]),
    ({"architecture": "vgg16"}, 1, ["classifier.6"]),
    ({"architecture": "vgg16", "fc_width": 512}, 3, ["classifier.0", "classifier.3", "classifier.6"])], ids=str)
def test_what_starts_anew_beside_torchvisions_weights(changes, channels, anew):
    config = RunConfig.model_validate({"model": changes}).model
    with torch.device("meta"):
        model = build(config, (channels, 32, 32), 10)
    found = fitting(model.state_dict(), published_shapes(pretrained_weights(config).network))
    assert list(found.anew) == list(layers_anew(config, model)) == anew and bool(found.adapted) == (channels == 1)


@pytest.fixture(scope="module")
def stand_in() -> dict[str, torch.Tensor]:
    """Random weights of torchvision's smallest network, in place of those that are learned."""
    torch.manual_seed(1)
    return torchvision.models.mobilenet_v3_small(weights=None).state_dict()


def saved(weights: object) -> bytes:
    file = io.BytesIO()
    torch.save(weights, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def content(stand_in) -> bytes:
    return saved(stand_in)


def described(content: bytes, address: str = "http://127.0.0.1:9/x", network: str = "mobilenet_v3_small") -> PretrainedWeights:
    name = f"{network}-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    return PretrainedWeights(network, name, address)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Settings:
    """Places of a test's own; torch hub's cache is empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    return Settings(tmp_path / "data", tmp_path / "runs", tmp_path / "cache", workers=0)


def put(content: bytes, weights: PretrainedWeights, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / weights.file).write_bytes(content)
    return folder / weights.file


@pytest.fixture(scope="module")
def checked(content, tmp_path_factory) -> Settings:
    """Places in which a process has read the stand-in: its checked copy is in the cache."""
    root = tmp_path_factory.mktemp("checked")
    settings = Settings(root / "data", root / "runs", root / "cache", workers=0)
    weights = described(content)
    put(content, weights, settings.data_dir / "weights")
    published.read(weights, settings.data_dir, settings.cache_dir)
    return settings


@pytest.mark.parametrize("where", ["data/weights", "hub/hub/checkpoints"])
def test_a_file_is_found(where, tmp_path, here, content):
    weights = described(content)
    with pytest.raises(WeightsRefused, match="not on this machine. Download mobilenet_v3_small-.*under “Starting weights”"):
        published.read(weights, here.data_dir, here.cache_dir)
    path = put(content, weights, tmp_path / where)
    assert published.find(weights, here.data_dir) == path and published.is_here(weights, here.data_dir, here.cache_dir)


def test_a_file_is_read(checked, here, content, stand_in):
    weights = described(content)
    found = published.read(weights, checked.data_dir, checked.cache_dir)
    assert found.keys() == stand_in.keys() and all(torch.equal(value, stand_in[name]) for name, value in found.items())
    assert published.read(weights, here.data_dir, checked.cache_dir).keys() == found.keys(), "its checked copy is enough"
    copy = here.cache_dir / "weights" / f"{Path(weights.file).stem}.safetensors"
    copy.parent.mkdir(parents=True)
    for damaged in (b"damaged", saved_safely(network().state_dict())):
        copy.write_bytes(damaged)
        with pytest.raises(WeightsRefused, match="not on this machine"):
            published.read(weights, here.data_dir, here.cache_dir)
        assert not copy.exists()


def test_older_files_lack_batch_norms_counters(here, content, stand_in):
    older = {name: value for name, value in stand_in.items() if not name.endswith("num_batches_tracked")}
    copy = here.cache_dir / "weights" / f"{Path(described(content).file).stem}.safetensors"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(saved_safely(older))
    assert published.read(described(content), here.data_dir, here.cache_dir).keys() == older.keys()


def saved_safely(weights: dict[str, torch.Tensor]) -> bytes:
    return safetensors_save({name: value.contiguous() for name, value in weights.items()})


class Bomb:
    def __reduce__(self):
        return print, ("this ran",)


def zipped_zeros() -> bytes:
    """A .pth whose storages are compressed: a small file that claims a gigabyte."""
    source, file = zipfile.ZipFile(io.BytesIO(saved({"a": torch.zeros(4)}))), io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for info in source.infolist():
            target.writestr(info.filename, source.read(info))
    return file.getvalue()


HOSTILE = {
    "pickle": (lambda weights: pickle.dumps(Bomb()), "can't be read as a file of tensors"),
    "pickle in a .pth": (lambda weights: saved({"a": Bomb()}), "can't be read as a file of tensors"),
    "no dictionary": (lambda weights: saved(torch.zeros(3)), "holds more than named tensors"),
    "empty": (lambda weights: b"", "can't be read as a file of tensors"),
    "text": (lambda weights: b"<html>Not found</html>", "can't be read as a file of tensors"),
    "NaN": (lambda weights: saved({name: value * float("nan") if value.is_floating_point() else value
                                   for name, value in weights.items()}), "NaN or infinite"),
    "float64": (lambda weights: saved({name: value.double() for name, value in weights.items()}), "float64"),
    "sparse": (lambda weights: saved({"a": torch.eye(3).to_sparse()}), "holds more than named tensors"),
}


def reading(content: bytes, checksum: str, folder: Path) -> dict:
    """What the process does, here."""
    (folder / "file.pth").write_bytes(content)
    return read_published(folder / "file.pth", "file.pth", checksum, folder)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_line(name, tmp_path, stand_in, capfd):
    """Its name says its own checksum, so that it is read."""
    make, says = HOSTILE[name]
    content = make(stand_in)
    with pytest.raises(WeightsRefused, match=says) as caught:
        reading(content, hashlib.sha256(content).hexdigest()[:8], tmp_path)
    assert "\n" not in str(caught.value) and "this ran" not in "".join(capfd.readouterr())
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("make", [lambda: saved({"a": Bomb()}), zipped_zeros], ids=["pickle", "compressed"])
def test_nothing_is_kept_of_a_hostile_file(make, here, capfd):
    """Through the process."""
    content = make()
    weights = described(content)
    put(content, weights, here.data_dir / "weights")
    with pytest.raises(WeightsRefused, match="can't be read as a file of tensors|weights of another network than torchvision's"):
        published.read(weights, here.data_dir, here.cache_dir)
    assert "this ran" not in "".join(capfd.readouterr()) and not list(here.cache_dir.rglob("*.safetensors"))


@pytest.mark.parametrize("damage", ["truncated", "another byte"])
def test_a_file_that_is_not_what_its_name_says_is_not_opened(damage, tmp_path, content, monkeypatch):
    spoiled = content[:len(content) // 2] if damage == "truncated" else content[:-1] + bytes([content[-1] ^ 1])
    monkeypatch.setattr(torch, "load", lambda *given, **more: pytest.fail("it was opened"))
    with pytest.raises(WeightsRefused, match="its checksum differs. Delete it and download it again"):
        reading(spoiled, described(content).checksum, tmp_path)


def test_a_download_goes_on_where_it_broke_off(server, here, content):  # noqa: F811
    weights = described(content, server.address("ranged", "w.pth"))
    server.files["w.pth"] = content
    server.cuts = [500_000]
    with pytest.raises(DataMissing, match="the connection ended after 500,000 of"):
        published.download(weights, here.data_dir)
    assert published.find(weights, here.data_dir) is None
    seen: list[Progress] = []
    published.download(weights, here.data_dir, seen.append)
    assert server.ranges[-1][0] == "bytes=500000-" and seen[-1].share == 1.0
    assert published.find(weights, here.data_dir).read_bytes() == content
    assert published.downloading(here.data_dir) is None
    asked = len(server.ranges)
    published.download(weights, here.data_dir)
    assert len(server.ranges) == asked, "it is there"


@pytest.mark.parametrize("how", ["wrong", "truncated", "status404"])
def test_what_comes_instead_is_not_kept(how, server, here, content):  # noqa: F811
    server.files["w.pth"] = content
    weights = described(content, server.address(how, "w.pth"))
    with pytest.raises(DataError) as caught:
        published.download(weights, here.data_dir)
    assert "\n" not in str(caught.value) and published.find(weights, here.data_dir) is None


@pytest.fixture
def pretrained_here(checked, content, monkeypatch) -> PretrainedWeights:
    """The stand-in in the place of torchvision's file."""
    weights = described(content)
    monkeypatch.setattr("core.runs.starting.pretrained_weights", lambda model: weights)
    return weights


MOBILE = {"model__architecture": "mobilenet_v3_small", "data__normalization": "imagenet", "data__fraction": 0.02,
          "data__validation": 20, "training__start_from": "imagenet", "training__batch_size": 16, "training__moments": 0}


def test_a_run_starts_from_torchvisions_weights(checked, pretrained_here, stand_in):
    """Digits of 28×28 and one channel; all is frozen but the last layer, which is new."""
    store = RunStore(checked.runs_dir)
    config = tiny(**MOBILE, training__trainable="last_layer")
    assert start_problem(store, config, checked) == ""
    run = run_here(store, checked, config)
    assert run.status == "finished", run.message
    weights = load_model(store, run.id).model.state_dict()
    assert torch.equal(weights["features.0.0.weight"], stand_in["features.0.0.weight"].sum(1, keepdim=True))
    for name, value in stand_in.items():
        if not name.startswith(("features.0.0", "classifier.3")):
            assert torch.equal(weights[name], value), name
    said = read_made_with(store, run.id)["starts"][0]["taken_over"]
    assert said == ("ImageNet's weights: all other layers are taken over; classifier.3 is new, of 10×1024 instead of 1000×1024; "
                    "features.0.0 is brought to another number of channels")
    again = start_weights(store, run.id, checked)
    assert torch.equal(again["classifier.3.weight"], fresh_model(config, (1, 28, 28), 10).state_dict()["classifier.3.weight"])
    store.close()


def test_without_the_file_a_run_fails_with_one_line(here):
    store = RunStore(here.runs_dir)
    config = tiny(**MOBILE)
    assert start_problem(store, config, here).startswith("torchvision's weights for this network are not on this machine.")
    run = run_here(store, here, config)
    assert run.status == "failed" and "can't start from ImageNet's weights: torchvision's weights" in run.message
    with pytest.raises(CheckpointError):
        start_weights(store, run.id, here)
    store.close()
