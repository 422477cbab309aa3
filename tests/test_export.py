"""A network's class computes what the network computes; a script is the run it says it is."""

import ast
import contextlib
import io
import random
import re
import runpy
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.config import RunConfig, TrainingConfig
from core.data import DataMissing, Dataset, load, outline
from core.export import ExportError, model_class, script
from core.models import ACTIVATIONS, ARCHITECTURES, CNNConfig, MLPConfig, ModelError, SoftmaxRegressionConfig, build
from core.presets import PRESETS
from core.training import Epoch, fit, prepare
from tests.helpers import tiny

SHAPES = [(1, 28, 28), (3, 32, 32), (2, 17, 23)]


def rebuilt(text: str, original: nn.Module) -> nn.Module:
    """The text's last class with the original's weights, which must have the same names."""
    network = last_class(text)()
    network.load_state_dict(original.state_dict())
    return network


def last_class(text: str) -> type[nn.Module]:
    """Our own code's output, run in an empty namespace: what a person does who copies it."""
    space: dict[str, object] = {}
    exec(compile(text, "network.py", "exec"), space)
    return space[[node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)][-1]]


def assert_same(one: nn.Module, two: nn.Module, shape: tuple[int, ...], train: bool = False) -> None:
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(1))
    answers = []
    for network in (one, two):
        network.train(train)
        torch.manual_seed(2)  # the same units dropped
        answers.append(network(images))
    assert torch.allclose(*answers, atol=1e-6), (answers[0] - answers[1]).abs().max()


def random_config(chance: random.Random):
    kind = chance.choice(["softmax_regression", "mlp", "mlp", "cnn", "cnn", "cnn"])
    if kind == "softmax_regression":
        return SoftmaxRegressionConfig()
    if kind == "mlp":
        return MLPConfig(hidden=tuple(chance.randint(1, 40) for _ in range(chance.randint(0, 4))),
                         activation=chance.choice(sorted(ACTIVATIONS)), dropout=chance.choice([0.0, 0.25, 0.5, 0.9]))
    return CNNConfig(channels=tuple(chance.randint(1, 9) for _ in range(chance.randint(1, 4))), kernel=chance.randint(1, 7),
                     batch_norm=chance.random() < 0.5, head=chance.choice(["flatten", "global_average"]),
                     fc_width=chance.choice([0, 1, 16]), dropout=chance.choice([0.0, 0.3, 0.5]))


# --- the class


@pytest.mark.parametrize("seed", range(200))
def test_random_networks_as_classes(seed):
    chance = random.Random(seed)
    config, shape, outputs = random_config(chance), chance.choice(SHAPES), chance.choice([1, 2, 10])
    original = build(config, shape, outputs, seed=seed)
    text = model_class(config, shape, outputs)
    copy = rebuilt(text, original)
    assert_same(original, copy, shape)
    assert_same(original, copy, shape, train=True)
    assert not re.search(r"\bcore\b", text)
    assert text == model_class(original, shape, name=type(copy).__name__), "a config and its network give the same text"


@pytest.mark.parametrize("key", ARCHITECTURES)
def test_every_architecture_as_a_class(key):
    config, text = ARCHITECTURES[key].config(), ARCHITECTURES[key].takes == ("text",)
    shape = (12,) if text else (1, 28, 28)
    original = build(config, shape, 10, seed=0)
    copy = rebuilt(model_class(config, shape, 10), original)
    if text:
        numbers = torch.randint(1002, (5, 12), generator=torch.Generator().manual_seed(1))
        assert torch.equal(original(numbers), copy(numbers))
    else:
        assert_same(original, copy, shape)


def test_the_notes_network_reads_as_in_the_notes():
    assert model_class(CNNConfig(), (1, 28, 28), 1) == '''\
import torch
import torch.nn.functional as F
from torch import nn


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, padding=1)
        self.fc1 = nn.Linear(3136, 128)
        self.fc2 = nn.Linear(128, 1)

    def forward(self, x):                           # (N, 1, 28, 28)
        x = F.relu(F.max_pool2d(self.conv1(x), 2))  # (N, 32, 14, 14)
        x = F.relu(F.max_pool2d(self.conv2(x), 2))  # (N, 64, 7, 7)
        x = torch.flatten(x, 1)                     # (N, 3136)
        x = F.relu(self.fc1(x))                     # (N, 128)
        return self.fc2(x)                          # (N, 1)
'''


class Residual(nn.Module):
    """As a composer makes it: layers whose result is added to what they received."""

    def __init__(self, body: nn.Module, skip: nn.Module) -> None:
        super().__init__()
        self.body, self.skip = body, skip

    def forward(self, x):
        return self.body(x) + self.skip(x)


def composed(chance: random.Random, shape: tuple[int, ...]) -> nn.Sequential:
    """A random Sequential of standard layers with named and residual parts."""
    channels, layers = shape[0], OrderedDict()
    for number in range(1, chance.randint(2, 5)):
        wide = chance.randint(1, 8)
        kind = chance.choice(["conv", "pool", "residual", "identity", "norm"])
        if kind == "conv":
            kernel, bias = chance.choice([1, 3, (1, 3)]), chance.random() < 0.5
            layers[f"conv{number}"] = nn.Conv2d(channels, wide, kernel, padding="same", bias=bias)
            channels = wide
        elif kind == "pool":
            layers[f"pool{number}"] = chance.choice([nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2, 1), nn.MaxPool2d(2, ceil_mode=True),
                                                     nn.AdaptiveAvgPool2d((5, 6))])
        elif kind == "norm":
            layers[f"bn{number}"] = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.2)
        else:
            body = nn.Sequential(OrderedDict(conv1=nn.Conv2d(channels, wide, 3, padding=1, bias=False), bn1=nn.BatchNorm2d(wide),
                                             relu1=nn.ReLU(), drop=nn.Dropout(0.2)))
            skip = nn.Conv2d(channels, wide, 1, bias=False)
            if kind == "identity":
                body, skip, wide = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1), nn.Tanh()), nn.Identity(), channels
            layers[f"block{number}"] = Residual(body, skip)
            channels = wide
        layers[f"act{number}"] = chance.choice([nn.ReLU(inplace=True), nn.LeakyReLU(0.2), nn.GELU(), nn.GELU("tanh"),
                                                nn.Sigmoid(), nn.Tanh(), nn.ELU(), nn.Softplus()])
    layers["flatten"] = nn.Flatten()
    with torch.no_grad():
        width = nn.Sequential(layers).eval()(torch.zeros(2, *shape)).shape[1]
    layers["fc1"] = nn.Linear(width, 10, bias=chance.random() < 0.5)
    if chance.random() < 0.5:
        layers["softmax"] = chance.choice([nn.Softmax(1), nn.LogSoftmax(dim=-1)])
    return nn.Sequential(layers)


@pytest.mark.parametrize("seed", range(100))
def test_random_compositions_as_classes(seed):
    chance = random.Random(seed)
    shape = chance.choice(SHAPES)
    torch.manual_seed(seed)
    original = composed(chance, shape)
    copy = rebuilt(model_class(original, shape), original)
    assert_same(original, copy, shape)
    assert_same(original, copy, shape, train=True)


def test_layers_without_names_get_some_and_keep_their_order():
    original = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3 * 24 * 24, 4))
    copy = last_class(model_class(original, (1, 28, 28)))()
    assert list(copy.state_dict()) == [f"{n}.{k}" for n in ("conv1", "conv2", "fc1") for k in ("weight", "bias")]
    copy.load_state_dict(dict(zip(copy.state_dict(), original.state_dict().values(), strict=True)))
    assert_same(original, copy, (1, 28, 28))


class Own(nn.Module):
    """Functions in forward, a skip over several layers, a layer used twice, and one that is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.unused = nn.Linear(784, 30), nn.Linear(30, 30), nn.Linear(5, 5)
        self.blocks = nn.ModuleList([nn.Linear(30, 30), nn.Linear(30, 30)])
        self.drop = nn.Dropout(0.3)

    def forward(self, x):
        x = torch.relu(self.first(x.view(x.size(0), -1)))
        kept = x
        x = torch.tanh(self.again(x)) * 0.5 + self.drop(kept)
        for block in self.blocks:
            x = F.dropout(F.leaky_relu(block(x), 0.2), 0.25, training=self.training)
        x = torch.cat([x, self.again(kept)], dim=1)
        return x - x.mean(dim=1, keepdim=True)


def test_a_class_of_ones_own():
    torch.manual_seed(0)
    original = Own()
    copy = last_class(model_class(original, (1, 28, 28)))()
    weights = {name: value for name, value in original.state_dict().items() if not name.startswith("unused")}
    copy.load_state_dict(weights)
    assert_same(original, copy, (1, 28, 28))
    assert_same(original, copy, (1, 28, 28), train=True)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1"])
def test_torchvisions_networks(name):
    from core.torchvision_guard import torchvision

    original = getattr(torchvision.models, name)(num_classes=10)
    text = model_class(original, (3, 64, 64))
    assert_same(original, rebuilt(text, original), (3, 64, 64))


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * self.scale


class BySize(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :3] / x.size(0)


class ByValue(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :3] if x.sum() > 0 else x.flatten(1)[:, :4]


@pytest.mark.parametrize(("network", "says"), [
    (Scaled(), "weights of its own"), (BySize(), "batch size"), (ByValue(), "numbers it gets"),
    (nn.Sequential(nn.Flatten(), nn.Linear(3, 3)), "can't run on this input"),
    (nn.Sequential(nn.Flatten(), nn.Softmax()), "dim"),
])
def test_what_cannot_be_written_says_so(network, says):
    with pytest.raises(ExportError) as caught:
        model_class(network, (1, 28, 28))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_config_needs_outputs_and_a_network_that_fits():
    with pytest.raises(ExportError, match="how many outputs"):
        model_class(CNNConfig(), (1, 28, 28))
    with pytest.raises(ModelError, match="at most 4"):
        model_class(CNNConfig(channels=(8,) * 5), (1, 28, 28), 10)


def test_a_huge_network_is_written_without_building_it():
    assert "nn.Linear(16384, 16384)" in model_class(MLPConfig(hidden=(16384,) * 8), (1, 28, 28), 10)


def test_writing_a_class_leaves_the_network_alone():
    original = Own().train()
    before = {name: value.clone() for name, value in original.state_dict().items()}
    model_class(original, (1, 28, 28))
    assert all(module.training for module in original.modules())
    assert all(torch.equal(before[name], value) for name, value in original.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in original.modules())


# --- the script


def variants() -> list[RunConfig]:
    base = [entry.config for entry in PRESETS.values() if outline(entry.config.data).kind != "text"]
    changes = [{"data.normalization": "standard"}, {"data.task": "is_target", "data.target": 3},
               {"training.loss": "bce_with_logits"}, {"training.optimizer.name": "sgd", "training.optimizer.momentum": 0.9},
               {"training.device": "cpu"}, {"data.task": "is_target", "training.loss": "bce_with_logits"}]
    images = [config for config in base if config.data.dataset in {"mnist", "fashion_mnist", "digits"}]
    return base + [config.with_values(change) for config in images for change in changes]


def test_scripts_compile_and_name_all_they_use(tmp_path):
    for number, config in enumerate(variants()):
        text = script(config)
        compile(text, "train.py", "exec")
        assert not re.search(r"\b(from|import) core\b", text)
        (tmp_path / f"train{number}.py").write_text(text, encoding="utf-8")
    found = subprocess.run([sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F,E9", tmp_path],
                           capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_texts_have_no_script_yet():
    with pytest.raises(ExportError, match="Short film reviews has no plain script yet"):
        script(PRESETS["reviews-embedding"].config)


def test_a_script_says_what_its_config_says():
    text = script(PRESETS["mnist-is-8-gap"].config)
    for line in ("BATCH_SIZE = 64", "EPOCHS = 10", "LEARNING_RATE = 0.001", "VALIDATION = 5000", "TARGET = 8",
                 "v2.Normalize([0.5], [0.5])", "nn.BCEWithLogitsLoss()", "torch.optim.Adam(", "DataLoader(train_set", "SEED = 0",
                 "(labels == TARGET).float()", "torch.save(model.state_dict()", "RandomSampler(train_set"):
        assert line in text, line
    assert "momentum=" not in text and "torch.sigmoid" not in text


def test_a_script_of_digits_runs_and_learns(tmp_path, cache_dir, digits: Dataset):
    """In a process of its own, with nothing of this project in reach; its images are the run's, pixel for pixel."""
    config = tiny(model__hidden=[32], training__epochs=15, data__normalization="standard", data__variations=1)
    check = "\nnp.savez('seen.npz', train=train_set.tensors[0], labels=train_set.tensors[1], test=test_set.tensors[0], " \
            "validation=validation_set.tensors[0])\n"
    (tmp_path / "train.py").write_text(script(config) + check, encoding="utf-8")
    ran = subprocess.run([sys.executable, "-I", "train.py"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    accuracy = float(re.search(r"test accuracy ([\d.]+)%", ran.stdout)[1])
    assert accuracy > 90
    assert len(re.findall(r"^epoch", ran.stdout, re.M)) == 15
    data = load(config.data, tmp_path, cache_dir)
    seen = np.load(tmp_path / "seen.npz")
    for name in ("train", "validation", "test"):
        pixels, labels = data.split(name).take(torch.arange(len(data.split(name))))
        ours = (pixels / 255 - data.mean[0]) / data.std[0]
        assert seen[name].shape == ours.shape
        assert np.abs(seen[name] - ours.numpy()).max() < 1e-4, name
        if name == "train":
            assert np.array_equal(seen["labels"], labels.numpy())
    weights = torch.load(tmp_path / "mlp.pth", weights_only=True)
    build(config.model, (1, 28, 28), 10).load_state_dict(weights)


POINTS = {"training.epochs": 12, "data.points": 40, "data.validation": 60, "training.batch_size": 40}
WAYS = [
    {}, {"training.loss": "nll"}, {"training.loss": "cross_entropy", "training.label_smoothing": 0.2}, {"training.loss": "mse"},
    {"training.loss": "bce_with_logits", "data.task": "is_target", "data.target": 1},
    {"training.loss": "mse", "data.task": "is_target", "data.target": 0},
    {"training.optimizer.name": "adam", "training.optimizer.beta1": 0.8, "training.optimizer.weight_decay": 0.01},
    {"training.optimizer.name": "adamw", "training.optimizer.beta2": 0.9, "training.optimizer.weight_decay": 0.1},
    {"training.optimizer.name": "rmsprop", "training.optimizer.momentum": 0.5, "training.optimizer.alpha": 0.9},
    {"training.optimizer.name": "adagrad", "training.optimizer.weight_decay": 0.1},
    {"training.optimizer.momentum": 0.9, "training.optimizer.nesterov": True, "training.gradient_clipping": 0.05},
    {"training.schedule.name": "step", "training.schedule.every": 3, "training.schedule.factor": 0.3},
    {"training.schedule.name": "cosine", "training.schedule.final": 0.1}, {"training.schedule.name": "one_cycle"},
    {"training.schedule.name": "warm_up", "training.schedule.share": 0.5},
    {"training.schedule.name": "plateau", "training.schedule.patience": 0, "training.optimizer.learning_rate": 30.0},
    {"training.early_stopping": 2, "training.keep": "best", "training.optimizer.learning_rate": 30.0},
    {"data.dataset": "spirals", "data.normalization": "standard", "data.noise": 0.1}, {"data.normalization": "half"},
    {"data.normalization": "channels", "data.channel_mean": [0.5, -0.25], "data.channel_std": [2.0]},
    {"data.dataset": "xor"}, {"data.dataset": "blobs"}, {"data.dataset": "moons"},
]


def losses_of_script(config: RunConfig, folder: Path) -> tuple[list[float], dict]:
    """What the script prints for each epoch, and what it leaves behind. Run here: it is our own text, and torch is loaded."""
    path = folder / "train.py"
    path.write_text(script(config), encoding="utf-8")
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said):
        left = runpy.run_path(str(path))
    return [float(x) for line in said.getvalue().splitlines() if line.startswith("epoch")
            for x in re.findall(r"loss ([\d.]+)", line)], left


NOTES = [{"preset": name} for name in ("toy-sigmoid", "toy-2-2-1", "circle-2d", "linear-regression")]


@pytest.mark.parametrize("way", [*WAYS, *NOTES], ids=str)
def test_a_script_of_points_gives_the_runs_losses(way, tmp_path):
    """Each loss, optimizer, schedule and option: with all points in one batch there is nothing that could differ."""
    if "preset" in way:
        config = PRESETS[way["preset"]].config.with_values({"training.epochs": 20})
    else:
        config = PRESETS["circle-2d"].config.with_values(POINTS | way)
    data, model = prepare(config, tmp_path)
    epochs = [event for event in fit(config, data, model, torch.device("cpu")) if isinstance(event, Epoch)]
    printed, left = losses_of_script(config, tmp_path)
    assert len(printed) == 2 * len(epochs)
    assert printed == pytest.approx([loss for epoch in epochs for loss in (epoch.train_loss, epoch.validation_loss)], abs=1.1e-4)
    for mine, theirs in zip(model.state_dict().values(), left["model"].state_dict().values(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-4, rtol=1e-3)


def test_a_script_that_goes_astray_before_there_are_best_weights_ends_with_the_last(tmp_path):
    config = PRESETS["linear-regression"].config.with_values({
        "training.keep": "best", "training.optimizer.learning_rate": 100.0, "training.batch_size": 1, "training.epochs": 2})
    _, left = losses_of_script(config, tmp_path)
    assert left["best_loss"] == float("inf")
    assert not any(bool(value.isfinite().any()) for value in left["model"].state_dict().values())


@pytest.mark.parametrize("how", ["xavier_uniform", "kaiming_normal", "normal", "zeros"])
def test_a_script_starts_as_it_is_told(how, tmp_path):
    config = PRESETS["circle-2d"].config.with_values(POINTS | {"training.initialization": how, "model.hidden": [400],
                                                               "training.optimizer.learning_rate": 1e-9})
    _, left = losses_of_script(config, tmp_path)
    weight = left["model"].state_dict()["fc1.weight"]
    expected = {"xavier_uniform": (6 / 402) ** 0.5 / 3 ** 0.5, "kaiming_normal": 1.0, "normal": 0.01, "zeros": 0.0}[how]
    assert float(weight.std()) == pytest.approx(expected, rel=0.1)
    assert float(left["model"].state_dict()["fc1.bias"].abs().max()) < 1e-6


@pytest.mark.mnist
def test_an_mnist_script_runs(tmp_path, mnist_root):
    """On the real MNIST, where it lies; one epoch."""
    text = script(PRESETS["mnist-mlp-50"].config.with_values({"training.epochs": 1}), fast=True)
    (tmp_path / "train.py").write_text(text, encoding="utf-8")
    ran = subprocess.run([sys.executable, "-I", "train.py", "--data", mnist_root], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert float(re.search(r"test accuracy ([\d.]+)%", ran.stdout)[1]) > 90


class LaterTraining(TrainingConfig):
    """A setting that may come one day."""

    warmth: str = "none"


def test_a_setting_that_is_not_known_is_not_left_out_in_silence():
    later = RunConfig().model_copy(update={"training": LaterTraining()})
    assert script(later) == script(RunConfig())
    with pytest.raises(ExportError, match=r"training\.warmth can't be written"):
        script(RunConfig().model_copy(update={"training": LaterTraining(warmth="high")}))


def test_blocks_that_differ_in_numbers_share_a_class():
    blocks = [Residual(nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU()), nn.Conv2d(a, b, 1))
              for a, b in ((1, 4), (4, 8), (8, 8))]
    text = model_class(nn.Sequential(*blocks, nn.Flatten()), (1, 6, 6))
    assert text.count("class Residual") == 1 and "def __init__(self, in_channels, out_channels):" in text
    assert [f"Residual({a}, {b})" in text for a, b in ((1, 4), (4, 8), (8, 8))] == [True] * 3


def test_what_has_no_script():
    with pytest.raises(DataMissing):
        script(tiny(data__dataset="flowers"))
