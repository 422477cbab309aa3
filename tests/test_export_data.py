"""A script reads what the app keeps, in the app's order: its losses are the run's, plain and fast. What is not there or damaged
gets one line."""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch

from core.config import RunConfig
from core.data import DATASETS, ImportReport, import_images
from core.data.download import remotes
from core.data.own.digits import MyDigits, as_set
from core.export import ExportError, script
from core.export.head_code import PACKAGES
from core.export.points_script import points_script
from core.export.reading_code import CIFAR10, EMNIST, MIRRORS, SUMS
from core.presets import PRESETS
from core.training import Epoch, fit, prepare
from tests.archives import png, zipped
from tests.helpers import tiny
from tests.idx_files import NAMES, write_set
from tests.scripts import run_script, run_text
from tests.small_sets import cifar_batches, emnist_files, write_small

ROOT = Path(__file__).parents[1]
EXACT = 1e-5
SMALL = {"data.validation": 40, "model.hidden": [6], "training.batch_size": 64, "training.epochs": 2,
         "training.optimizer.learning_rate": 0.005}


def losses_of_run(config: RunConfig, root: Path) -> list[float]:
    data, model = prepare(config, root)
    epochs = [event for event in fit(config, data, model, torch.device("cpu")) if isinstance(event, Epoch)]
    return [loss for epoch in epochs for loss in (epoch.train_loss, epoch.validation_loss)]


def assert_the_runs_losses(config: RunConfig, root: Path, folder: Path, tolerance: float = EXACT) -> None:
    """Plain and fast alike."""
    plain, left = run_script(config, folder, "--data", str(root), root=root)
    assert plain == pytest.approx(losses_of_run(config, root), abs=tolerance)
    fast, too = run_script(config, folder, "--data", str(root), fast=True, root=root)
    assert fast == pytest.approx(plain, abs=EXACT)
    assert left.get("test_loss", 0.0) == pytest.approx(too.get("test_loss", 0.0), abs=EXACT)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ImportReport]:
    """A data directory with pictures of one's own: three classes, of another size than they are kept in, in colour."""
    root = tmp_path_factory.mktemp("own")
    random = np.random.default_rng(0)
    pictures = {f"{name}/{n}.png": png(random.integers(0, 256, (20, 15, 3), dtype=np.uint8)) for name in ("cat", "dog", "owl")
                for n in range(60)}
    return root / "data", import_images(zipped(root / "own.zip", pictures), root / "data", 12, 3, title='My "pets"\\')


@pytest.mark.parametrize("changes", [
    {}, {"data.normalization": "half"}, {"data.normalization": "standard", "data.label_noise": 0.2, "data.fraction": 0.7},
    {"data.only_classes": ["cat", "owl"], "data.task": "is_target", "data.target": 1, "training.loss": "bce_with_logits"},
    {"data.imbalance": 0.3, "data.transforms": [{"kind": "resize", "size": 8}], "data.normalization": "standard"},
], ids=str)
def test_images_of_ones_own(changes, own, tmp_path):
    root, report = own
    config = tiny().with_values({"data.dataset": report.name, **SMALL, **changes})
    # Resize: torchvision rounds to whole grey levels
    assert_the_runs_losses(config, root, tmp_path, 3e-3 if "data.transforms" in changes else EXACT)


def test_a_copy_of_the_folder_is_enough(own, tmp_path):
    root, report = own
    copied = tmp_path / "copied"
    shutil.copytree(root / "imported" / report.name.removeprefix("own:"), copied)
    config = tiny().with_values({"data.dataset": report.name, **SMALL})
    losses, _ = run_script(config, tmp_path, "--data", str(copied), root=root)
    assert losses == pytest.approx(losses_of_run(config, root), abs=EXACT)


@pytest.mark.parametrize(("damage", "says"), [
    (lambda folder: shutil.rmtree(folder), "images.npy is missing"),
    (lambda folder: (folder / "labels.npy").write_bytes(b""), "a file there is damaged"),
    (lambda folder: (folder / "images.npy").write_bytes((folder / "images.npy").read_bytes()[:500]), "a file there is damaged"),
    (lambda folder: np.save(folder / "images.npy", np.zeros((3, 3, 12, 12), np.uint8)), "holds other images"),
    (lambda folder: np.save(folder / "labels.npy", np.array([{}], dtype=object)), "a file there is damaged")])
def test_images_of_ones_own_that_are_not_there(damage, says, own, tmp_path, monkeypatch):
    root, report = own
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    shutil.copytree(root, tmp_path / "data")
    (tmp_path / "train.py").write_text(script(tiny().with_values({"data.dataset": report.name, **SMALL}), root), encoding="utf-8")
    damage(tmp_path / "data" / "imported" / report.name.removeprefix("own:"))
    assert says in ends_with_a_line(tmp_path / "train.py")


def ends_with_a_line(path: Path, *arguments: str) -> str:
    """What a script ends with that can't go on: SystemExit with text is one line on standard error, and status 1."""
    with pytest.raises(SystemExit) as ended:
        run_text(path, *arguments)
    assert isinstance(ended.value.code, str) and len(ended.value.code.splitlines()) == 1
    return ended.value.code


# --- joined sets

@pytest.fixture(scope="module")
def drawn(places: Path) -> str:
    """Threes and eights that somebody has drawn, to be joined to sets of digits."""
    random = np.random.default_rng(1)
    kept = MyDigits.none_yet(("8", "3"))
    for number in range(30):
        kept = kept.keep(torch.from_numpy(random.random((1, 28, 28), dtype=np.float32)), number % 2)
    return as_set(kept, places / "data", "Drawn").name


@pytest.mark.parametrize("changes", [
    {"data.join_times": 3},
    {"data.join_times": 2, "data.label_noise": 0.3, "data.fraction": 0.3, "data.imbalance": 0.5, "data.normalization": "standard",
     "training.initialization": "xavier_uniform", "model.dropout": 0.3},
    {"data.only_classes": ["3", "8", "9"], "data.join_times": 2, "data.normalization": "half"},
    {"data.fraction": 0.1, "data.variations": 1, "data.join_times": 2, "data.normalization": "standard"},
    {"data.only_classes": ["3", "8", "9"], "data.variations": 1, "data.label_noise": 0.3, "data.normalization": "standard"},
], ids=str)
def test_joined_sets(changes, drawn, places, tmp_path):
    config = tiny().with_values({"data.join": [drawn], **SMALL, **changes})
    assert_the_runs_losses(config, places / "data", tmp_path)
    assert ("ConcatDataset(" in script(config)) != ("data.variations" in changes)


def test_joined_sets_of_different_files(drawn, places, tmp_path, monkeypatch):
    """MNIST's files, scikit-learn's digits and a set of one's own; classes that have other numbers there."""
    write_small("mnist", places / "data", monkeypatch)
    config = tiny().with_values({"data.dataset": "mnist", "data.join": ["digits", drawn], **SMALL, "data.fraction": 0.5})
    assert_the_runs_losses(config, places / "data", tmp_path)
    shutil.rmtree(places / "data" / "MNIST")


# --- each registered set, in each form the app reads

@pytest.mark.parametrize("name", [name for name, spec in DATASETS.items() if spec.folder and spec.kind == "images"])
def test_every_set_with_files(name, tmp_path, monkeypatch):
    write_small(name, tmp_path / "data", monkeypatch)
    change = {"model": {"architecture": "mlp", "hidden": [4]}, "data.dataset": name, "data.normalization": "standard"}
    config = tiny().with_values(change | {key: value for key, value in SMALL.items() if not key.startswith("model")})
    assert_the_runs_losses(config, tmp_path / "data", tmp_path)


def test_unpacked_files_of_each_kind(tmp_path, monkeypatch):
    """The same losses as from the packed ones."""
    for name, folder in (("mnist", "MNIST/raw"), ("emnist_letters", "EMNIST/raw"), ("cifar10", "cifar-10")):
        arrays = write_small(name, tmp_path / "packed", monkeypatch)
        place = tmp_path / "plain" / folder
        if name == "mnist":
            write_set(place, arrays, packed=False)
        elif name == "emnist_letters":
            place.mkdir(parents=True)
            for number, (file, content) in enumerate(emnist_files(arrays).items()):  # some gzipped
                (place / (f"{file}.gz" if number % 2 else file)).write_bytes(gzip.compress(content) if number % 2 else content)
        else:
            for file, content in cifar_batches(arrays).items():
                (place / file).parent.mkdir(parents=True, exist_ok=True)
                (place / file).write_bytes(content)
        config = tiny().with_values({"data.dataset": name, **SMALL, "training.epochs": 1})
        packed, _ = run_script(config, tmp_path, "--data", str(tmp_path / "packed"), fast=True)
        plain, _ = run_script(config, tmp_path, "--data", str(tmp_path / "plain"), fast=True)
        assert packed == plain


def test_the_places_a_script_looks_in(tmp_path, monkeypatch):
    """--data alone, else PLAYGROUND_DATA, else the folder data where it is started."""
    write_small("mnist", tmp_path / "app", monkeypatch)
    config = tiny().with_values({"data.dataset": "mnist", **SMALL, "training.epochs": 1})
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr("urllib.request.urlopen", offline)
    path = tmp_path / "train.py"
    path.write_text(script(config), encoding="utf-8")
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "app"))
    by_environment, _ = run_text(path)
    assert "is missing" in ends_with_a_line(path, "--data", str(tmp_path / "empty"))
    monkeypatch.delenv("PLAYGROUND_DATA")
    assert run_text(path, "--data", str(tmp_path / "app"))[0] == by_environment
    assert "data/MNIST/raw" in ends_with_a_line(path)
    (tmp_path / "app").rename(tmp_path / "data")
    assert run_text(path)[0] == by_environment
    assert "There is no folder" in ends_with_a_line(path, "--data", str(tmp_path / "app"))


# --- what is not there

def offline(address: str, timeout: float) -> None:
    raise urllib.error.URLError(OSError(-3, "Temporary failure in name resolution"))


def files_of(folder: Path) -> list[Path]:
    return [folder / "data/MNIST/raw" / f"{name}.gz" for name in NAMES]


@pytest.mark.parametrize(("damage", "says"), [
    (lambda raw: raw[0].unlink(), r"train-images-idx3-ubyte.gz is missing and can't be downloaded \(.*resolution\). Put it"),
    (lambda raw: shutil.rmtree(raw[0].parents[2]), "train-images-idx3-ubyte.gz is missing"),
    (lambda raw: raw[1].write_bytes(raw[1].read_bytes()[:-20]), "train-labels-idx1-ubyte.gz can't be read"),
    (lambda raw: raw[2].write_bytes(b"no gzip file"), "t10k-images-idx3-ubyte.gz can't be read"),
    (lambda raw: raw[2].with_suffix("").write_bytes(b"\0\0\x08\x03"), "t10k-images-idx3-ubyte is damaged"),
    (lambda raw: raw[3].write_bytes(gzip.compress(bytes(58))), "t10k-labels-idx1-ubyte.gz is damaged"),
    (lambda raw: (raw[3].unlink(), raw[3].mkdir(), (raw[3] / "x").touch()), "t10k-labels-idx1-ubyte.gz"),
])
def test_files_that_are_missing_or_damaged(damage, says, tmp_path, monkeypatch):
    write_small("mnist", tmp_path / "data", monkeypatch)
    monkeypatch.delenv("PLAYGROUND_DATA")
    monkeypatch.setattr("urllib.request.urlopen", offline)
    path = tmp_path / "train.py"
    path.write_text(script(tiny().with_values({"data.dataset": "mnist", **SMALL})), encoding="utf-8")
    damage(files_of(tmp_path))
    assert re.search(says, ends_with_a_line(path))


@pytest.mark.parametrize("name", ["emnist_letters", "cifar10"])
def test_archives_that_are_damaged(name, tmp_path, monkeypatch):
    write_small(name, tmp_path / "data", monkeypatch)
    path = tmp_path / "train.py"
    path.write_text(script(tiny().with_values({"data.dataset": name, **SMALL})), encoding="utf-8")
    archive = next(one for one in (tmp_path / "data").rglob("*") if one.is_file())
    archive.write_bytes(archive.read_bytes()[:-3000])
    assert re.search(r"can't be read|is damaged", ends_with_a_line(path, "--data", str(tmp_path / "data")))


def test_a_download_is_kept_where_the_app_has_it(tmp_path, monkeypatch):
    """From the second address, since the first one has another file; and the next start needs none."""
    write_small("mnist", tmp_path / "served", monkeypatch)
    served = tmp_path / "served/MNIST/raw"
    (tmp_path / "wrong").mkdir()
    for name in NAMES:
        (tmp_path / "wrong" / f"{name}.gz").write_bytes(b"a page that says to log in")
    sums = tuple(hashlib.md5((served / f"{name}.gz").read_bytes(), usedforsecurity=False).hexdigest() for name in NAMES)
    monkeypatch.setitem(SUMS, "mnist", sums)
    monkeypatch.setitem(MIRRORS, "mnist", (f"{(tmp_path / 'wrong').as_uri()}/", f"{served.as_uri()}/"))
    monkeypatch.delenv("PLAYGROUND_DATA")
    losses, _ = run_script(tiny().with_values({"data.dataset": "mnist", **SMALL}), tmp_path)
    assert [(tmp_path / "data/MNIST/raw" / f"{name}.gz").read_bytes() for name in NAMES] == [
        (served / f"{name}.gz").read_bytes() for name in NAMES]
    shutil.rmtree(served)
    assert run_text(tmp_path / "train.py")[0] == losses
    files_of(tmp_path)[0].unlink()
    assert "is missing and can't be downloaded" in ends_with_a_line(tmp_path / "train.py")


def test_places_that_cannot_be_written_to(tmp_path, monkeypatch, places):
    """A file where the data folder should be; a folder where the weights should go."""
    write_small("mnist", tmp_path / "served", monkeypatch)
    served = tmp_path / "served/MNIST/raw"
    sums = tuple(hashlib.md5((served / f"{name}.gz").read_bytes(), usedforsecurity=False).hexdigest() for name in NAMES)
    monkeypatch.setitem(SUMS, "mnist", sums)
    monkeypatch.setitem(MIRRORS, "mnist", (f"{served.as_uri()}/",))
    monkeypatch.delenv("PLAYGROUND_DATA")
    (tmp_path / "data").write_text("a file", encoding="utf-8")
    path = tmp_path / "train.py"
    path.write_text(script(tiny().with_values({"data.dataset": "mnist", **SMALL})), encoding="utf-8")
    assert "can't be written" in ends_with_a_line(path)
    path.write_text(script(tiny()), encoding="utf-8")
    (tmp_path / "mlp.pth").mkdir()
    assert "mlp.pth can't be saved in this folder: Is a directory." in ends_with_a_line(path)


def test_addresses_are_the_apps():
    for name in MIRRORS:
        assert [(remote.md5, remote.addresses) for remote in remotes(name)] == [
            (md5, tuple(f"{mirror}{file}.gz" for mirror in MIRRORS[name]))
            for file, md5 in zip(NAMES, SUMS[name], strict=True)], name
    for name, (md5, address) in {"emnist_letters": EMNIST, "cifar10": CIFAR10}.items():
        assert [(remote.md5, remote.addresses) for remote in remotes(name)] == [(md5, (address,))]


# --- presets, and how a script begins

@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.config.data.dataset != "reviews"])
def test_every_presets_script_has_its_losses(name, tmp_path, monkeypatch):
    """Batch norm and Adam make rounding grow (the app keeps pictures in another order in memory), so such networks take small
    steps here. What random transforms draw differs: of those only plain and fast are compared closely."""
    config = PRESETS[name].config.with_values({"training.device": "cpu", "training.precision": "float32", "training.epochs": 1})
    if config.data.dataset in {"mnist", "fashion_mnist"}:
        write_small(config.data.dataset, tmp_path / "data", monkeypatch)
        config = config.with_values({"data.validation": 172, "training.epochs": 2})
    elif config.data.dataset == "digits":
        config = config.with_values({"data.fraction": 0.1})
    if "BatchNorm" in script(config):
        config = config.with_values({"training.optimizer.learning_rate": 1e-5})
    (tmp_path / "data").mkdir(exist_ok=True)
    assert_the_runs_losses(config, tmp_path / "data", tmp_path, 0.2 if config.data.transforms else EXACT)


@pytest.mark.parametrize(("dataset", "dropout"), [("digits", 0.0), ("digits", 0.3), ("moons", 0.0)])
def test_without_shuffle_all_take_the_order_of_the_files(dataset, dropout, tmp_path):
    config = tiny(data__dataset=dataset, data__validation=100, model__dropout=dropout, training__epochs=2,
                  training__shuffle=False)
    (tmp_path / "data").mkdir()
    assert_the_runs_losses(config, tmp_path / "data", tmp_path, EXACT)


def test_a_script_runs_alone_beside_a_torch_without_cuda(tmp_path, monkeypatch):
    """A process of its own, with nothing of this project in reach and torchvision as it was installed."""
    write_small("mnist", tmp_path / "data", monkeypatch)
    text = script(tiny().with_values({"data.dataset": "mnist", **SMALL}))
    (tmp_path / "train.py").write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PLAYGROUND_DATA"}
    ran = subprocess.run([sys.executable, "-I", "train.py"], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"^test loss ", ran.stdout, re.M) and (tmp_path / "mlp.pth").exists()
    files_of(tmp_path)[0].write_bytes(b"")
    ran = subprocess.run([sys.executable, "-I", "train.py"], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert ran.returncode == 1 and ran.stderr.count("\n") == 1 and "Traceback" not in ran.stderr


def test_what_to_install_is_what_is_imported():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("#")[0].strip().split("==") for line in lines if "==" in line)
    assert all(pins[pinned.split("==")[0]] == pinned.split("==")[1] for pinned in PACKAGES.values())
    mnist, digits = (script(tiny(data__dataset=name)) for name in ("mnist", "digits"))
    needed = {
        mnist: ["torch", "torchvision"], script(tiny(data__dataset="mnist"), fast=True): ["torch"],
        digits: ["torch", "numpy", "scikit-learn", "pillow"], script(PRESETS["circle-2d"].config): ["torch"],
        points_script(PRESETS["circle-2d"].config): ["torch", "plotly"]}
    for text, packages in needed.items():
        line = re.search(r"^Install first: pip install (.*)$", text, re.M)[1]
        assert line.split() == [f"{package}=={pins[package]}" for package in packages]
        imported = set(re.findall(r"^(?:from|import) (\w+)", text, re.M)) - sys.stdlib_module_names
        assert len(imported) == len(packages)
        assert ("sys.modules" in text) == ("torchvision" in imported)


def test_a_title_does_not_end_the_docstring(own):
    root, report = own
    text = script(tiny().with_values({"data.dataset": report.name, **SMALL}), root)
    assert "My ”pets”" in text.splitlines()[0]
    compile(text, "train.py", "exec")


@pytest.mark.parametrize(("device", "says"), [("cuda", "no cuda device"), ("mps", "no mps device")])
def test_a_device_that_is_not_there(device, says, tmp_path, monkeypatch):
    monkeypatch.setattr(f"torch.{'cuda' if device == 'cuda' else 'backends.mps'}.is_available", lambda: False)
    path = tmp_path / "train.py"
    path.write_text(script(tiny(training__device=device)), encoding="utf-8")
    assert says in ends_with_a_line(path)


@pytest.mark.parametrize(("cuda", "mps", "found"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_takes_what_the_app_takes(cuda, mps, found, monkeypatch):
    from core.devices import select_device

    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)
    text = script(tiny(training__device="auto"))
    space: dict = {"torch": torch}
    exec(re.search(r"^device = .*\n +.*$", text, re.M)[0], space)
    assert space["device"].type == found == select_device("auto").type


def test_texts_say_why_they_have_none():
    with pytest.raises(ExportError, match="no plain script yet"):
        script(PRESETS["reviews-embedding"].config)
