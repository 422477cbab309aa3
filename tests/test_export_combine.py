"""A script with classes, share, imbalance and label noise learns from the run's own images and labels, exactly."""

import contextlib
import io
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

import core.torchvision_guard  # noqa: F401  (before the script imports torchvision)
from core.config import DataConfig, RunConfig
from core.data import DATASETS, Dataset, load
from core.export import ExportError, script
from core.models import MLPConfig
from tests.helpers import tiny
from tests.idx_files import write_set
from tests.small_sets import write_small

CHOICES = [
    {"data.fraction": 0.3},
    {"data.imbalance": 0.2, "data.split_seed": 3},
    {"data.label_noise": 0.25},
    {"data.only_classes": ["3", "1", "8"], "data.task": "is_target", "data.target": 2},
    {"data.only_classes": ["3", "1", "8", "9"], "data.fraction": 0.5, "data.imbalance": 0.3, "data.label_noise": 0.2,
     "data.variations": 1, "data.normalization": "standard"},
]


def run(config: RunConfig, folder: Path) -> dict:
    """What the script leaves behind. Run here: it is our own text, and torch is loaded."""
    path = folder / "train.py"
    path.write_text(script(config), encoding="utf-8")
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        return runpy.run_path(str(path))


def assert_same(left: dict, data: Dataset, task: str = "classes", target: int = 0) -> None:
    """The script's three sets are the run's, in any order: all pixels or points, and all labels."""
    for name in ("train", "validation", "test"):
        theirs = [left[f"{name}_set"][i] for i in range(len(left[f"{name}_set"]))]
        examples, labels = data.split(name).take(torch.arange(len(data.split(name))))
        scale = 255 if examples.dtype == torch.uint8 else 1
        mean, std = (torch.tensor(values).view(-1, *[1] * (examples.dim() - 2)) for values in (data.mean, data.std))
        ours = ((examples / scale - mean) / std).flatten(1)
        found = torch.stack([torch.as_tensor(example) for example, _ in theirs]).flatten(1).float()
        given = torch.tensor([float(label) for _, label in theirs])
        if task == "is_target":  # the script asks that in its loop
            given = (given == target).float()
        assert found.shape == ours.shape, name
        weights = torch.randn(ours.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        one, other = (x.double() @ weights for x in (ours, found))
        assert torch.allclose(one.sort().values, other.sort().values, atol=1e-2), name
        assert torch.allclose(labels[one.argsort()].float(), given[other.argsort()], atol=1e-5), name


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_digits(choice, tmp_path, cache_dir):
    config = tiny(data__validation=200, training__epochs=1).with_values(choice)
    left = run(config, tmp_path)
    assert_same(left, load(config.data, tmp_path, cache_dir), config.data.task, config.data.target)
    torch.load(tmp_path / "mlp.pth", weights_only=True)


@pytest.mark.parametrize("choice", CHOICES[:4], ids=str)
@pytest.mark.parametrize("normalization", ["none", "standard", "imagenet"])
def test_torchvisions_sets(choice, normalization, tmp_path, monkeypatch):
    write_set(tmp_path / "data/MNIST/raw", write_small("mnist", tmp_path, monkeypatch), packed=False)
    config = RunConfig(data=DataConfig(dataset="mnist", validation=40, normalization=normalization), model=MLPConfig(hidden=(4,)))
    config = config.with_values({**choice, "training.epochs": 1})
    assert_same(run(config, tmp_path), load(config.data, tmp_path, tmp_path / "cache"), config.data.task, config.data.target)


@pytest.mark.parametrize("normalization", ["half", "standard", "imagenet", "channels"])
def test_cifar10(normalization, tmp_path, monkeypatch):
    """Pictures in colour, normalised for each channel."""
    write_small("cifar10", tmp_path / "data", monkeypatch)
    config = RunConfig(data=DataConfig(dataset="cifar10", validation=40, normalization=normalization, imbalance=0.3,
                                       channel_mean=(0.4, 0.5, 0.6), channel_std=(0.25,),
                                       only_classes=("cat", "dog", "ship")), model=MLPConfig(hidden=(4,)))
    config = config.with_values({"training.epochs": 1})
    data = load(config.data, tmp_path / "data", tmp_path / "cache")
    assert_same(run(config, tmp_path), data)
    assert np.ptp(data.mean) > 0 or normalization == "half"


@pytest.mark.parametrize("name", [name for name, spec in DATASETS.items() if spec.kind == "points"])
def test_points(name, tmp_path):
    spec = DATASETS[name]
    more = {"imbalance": 0.5, "label_noise": 0.1, "only_classes": spec.classes[:2]}
    values = {"fraction": 0.5, **(more if spec.classes else {})}
    data = DataConfig(dataset=name, points=60, validation=30, normalization="standard", noise=spec.noise, **values)
    config = RunConfig(data=data, model=MLPConfig(hidden=(4,))).with_values(
        {"training.epochs": 1, "training.loss": "cross_entropy" if spec.classes else "mse"})
    assert_same(run(config, tmp_path), load(config.data, tmp_path))


@pytest.mark.parametrize(("values", "says"), [
    ({"data.label_noise": 0.1, "data.task": "is_target"}, "data.label_noise"),
])
def test_what_a_script_cannot_say(values, says):
    with pytest.raises(ExportError, match=says) as refused:
        script(tiny().with_values(values))
    assert len(str(refused.value).splitlines()) == 1
