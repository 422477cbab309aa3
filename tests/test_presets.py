"""Every preset is the system it says it is, down to each number, and its network fits its data."""

import operator
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.drawing_quality import drawn_strokes, measure
from core.config import OneCycleConfig, RunConfig, read_config
from core.data import spec_of
from core.models import build
from core.presets import PRESETS, UnknownPreset, preset, title_of
from core.training import outputs_for
from core.transforms import RandomAffineConfig

# Written by hand from the classic notes that the presets rebuild; not computed from the presets.
IS_8 = {
    "data.dataset": "mnist", "data.task": "is_target", "data.target": 8, "data.normalization": "half", "data.validation": 5000,
    "data.variations": 0, "data.split_seed": 0,
    "model.architecture": "cnn", "model.channels": (32, 64), "model.kernel": 3, "model.fc_width": 128,
    "training.loss": "bce_with_logits", "training.optimizer.name": "adam", "training.optimizer.learning_rate": 0.001,
    "training.batch_size": 64, "training.seed": 0, "training.precision": "auto", "training.device": "auto",
}
TABLE = {
    "mnist-mlp-50": {
        "data.dataset": "mnist", "data.task": "classes", "data.normalization": "none", "data.validation": 5000,
        "data.variations": 0, "data.split_seed": 0,
        "model.architecture": "mlp", "model.hidden": (50,), "model.activation": "relu", "model.dropout": 0.0,
        "training.loss": "cross_entropy", "training.optimizer.name": "adam", "training.optimizer.learning_rate": 0.001,
        "training.batch_size": 64, "training.epochs": 10, "training.seed": 0, "training.precision": "auto",
        "training.device": "auto",
    },
    "mnist-is-8-cnn": IS_8 | {
        "model.batch_norm": False, "model.head": "flatten", "model.dropout": 0.0, "training.epochs": 5},
    "mnist-is-8-gap": IS_8 | {
        "model.batch_norm": True, "model.head": "global_average", "model.dropout": 0.5, "training.epochs": 10},
    "mnist-cnn-fast": {
        "data.dataset": "mnist", "data.normalization": "half", "data.validation": 5000, "model.architecture": "stack",
        "model.layers": PRESETS["mnist-cnn-fast"].config.model.layers,  # by their sizes below
        "training.loss": "cross_entropy", "training.optimizer.name": "adam", "training.optimizer.learning_rate": 0.01,
        "training.schedule": OneCycleConfig(rise=0.3), "training.batch_size": 64, "training.epochs": 1,
    },
    "mnist-cnn-record": {
        "data.dataset": "mnist", "data.normalization": "half", "data.validation": 5000, "data.fraction": 0.7,
        "model.architecture": "stack", "model.layers": PRESETS["mnist-cnn-fast"].config.model.layers,
        "training.loss": "cross_entropy", "training.optimizer.name": "adam", "training.optimizer.learning_rate": 0.02,
        "training.label_smoothing": 0.1, "training.schedule": OneCycleConfig(rise=0.3), "training.batch_size": 128,
        "training.epochs": 1,
    },
    "mnist-handwriting": {
        "data.dataset": "mnist", "data.normalization": "half", "data.validation": 5000, "model.architecture": "stack",
        "data.transforms": (RandomAffineConfig(degrees=6, translate=0.07, scale_min=0.75, scale_max=1.25, shear=15),),
        "model.layers": PRESETS["mnist-cnn-fast"].config.model.layers,
        "training.loss": "cross_entropy", "training.optimizer.name": "adam", "training.optimizer.learning_rate": 0.01,
        "training.schedule": OneCycleConfig(rise=0.3), "training.batch_size": 64, "training.epochs": 4,
    },
    "fashion-mlp-512": {
        "data.dataset": "fashion_mnist", "data.task": "classes", "data.normalization": "none", "data.validation": 5000,
        "data.variations": 0, "data.split_seed": 0,
        "model.architecture": "mlp", "model.hidden": (512, 512), "model.activation": "relu", "model.dropout": 0.0,
        "training.loss": "cross_entropy", "training.optimizer.name": "sgd", "training.optimizer.learning_rate": 0.001,
        "training.optimizer.momentum": 0.0, "training.batch_size": 64, "training.epochs": 10, "training.seed": 0,
        "training.precision": "auto", "training.device": "auto",
    },
    "digits-quick": {
        "data.dataset": "digits", "data.task": "classes", "data.normalization": "none", "data.validation": 200,
        "data.variations": 4, "data.split_seed": 0,
        "model.architecture": "cnn", "model.channels": (8, 16), "model.kernel": 5, "model.batch_norm": False,
        "model.head": "flatten", "model.fc_width": 128, "model.dropout": 0.25,
        "training.loss": "cross_entropy", "training.optimizer.name": "adam", "training.optimizer.learning_rate": 0.002,
        "training.batch_size": 64, "training.epochs": 6, "training.seed": 0, "training.precision": "auto",
        "training.device": "auto",
    },
    "circle-2d": {
        "data.dataset": "circle", "data.points": 100, "data.noise": 0.0, "data.validation": 100, "data.split_seed": 0,
        "model.architecture": "mlp", "model.hidden": (4,), "model.activation": "relu",
        "training.loss": "bce", "training.optimizer.name": "sgd", "training.optimizer.learning_rate": 0.1,
        "training.optimizer.momentum": 0.0, "training.batch_size": 100, "training.epochs": 100,
    },
    "circle-2d-closed": {
        "data.dataset": "circle", "data.points": 100, "data.noise": 0.0, "data.validation": 100, "data.split_seed": 0,
        "model.architecture": "mlp", "model.hidden": (4,), "model.activation": "relu",
        "training.loss": "bce", "training.optimizer.name": "sgd", "training.optimizer.learning_rate": 1.0,
        "training.optimizer.momentum": 0.0, "training.batch_size": 100, "training.epochs": 1000,
    },
    "toy-sigmoid": {
        "data.dataset": "random_labels", "data.points": 10, "data.noise": 0.0, "data.validation": 100, "data.split_seed": 0,
        "model.architecture": "mlp", "model.hidden": (5,), "model.activation": "relu",
        "training.loss": "mse", "training.optimizer.name": "sgd", "training.optimizer.learning_rate": 0.01,
        "training.optimizer.momentum": 0.0, "training.batch_size": 10, "training.epochs": 50,
    },
    "toy-2-2-1": {
        "data.dataset": "random_numbers", "data.points": 10, "data.noise": 0.0, "data.validation": 100, "data.split_seed": 0,
        "model.architecture": "mlp", "model.hidden": (2,), "model.activation": "relu",
        "training.loss": "mse", "training.optimizer.name": "sgd", "training.optimizer.learning_rate": 0.01,
        "training.optimizer.momentum": 0.0, "training.batch_size": 10, "training.epochs": 100,
    },
    "linear-regression": {
        "data.dataset": "linear", "data.points": 100, "data.noise": 0.1, "data.validation": 100, "data.split_seed": 0,
        "model.architecture": "mlp", "model.hidden": (),
        "training.loss": "mse", "training.optimizer.name": "sgd", "training.optimizer.learning_rate": 0.01,
        "training.optimizer.momentum": 0.0, "training.batch_size": 100, "training.epochs": 1000,
    },
    "reviews-embedding": {
        "data.dataset": "reviews", "data.validation": 100, "data.vocabulary": 1000, "data.text_length": 64, "data.text_file": "",
        "data.split_seed": 0,
        "model.architecture": "text_embedding", "model.words": 1000, "model.width": 16, "model.fc_width": 16,
        "model.dropout": 0.0,
        "training.loss": "bce_with_logits", "training.optimizer.name": "adam", "training.optimizer.learning_rate": 0.01,
        "training.batch_size": 32, "training.epochs": 20,
    },
}

# Layers and counts by hand, from the notes' networks: weights + biases of each.
PARAMETERS = {
    "mnist-mlp-50": (784 * 50 + 50) + (50 * 10 + 10),
    "mnist-is-8-cnn": (9 * 32 + 32) + (9 * 32 * 64 + 64) + (64 * 7 * 7 * 128 + 128) + (128 + 1),
    "mnist-is-8-gap": (9 * 32 + 32) + 2 * 32 + (9 * 32 * 64 + 64) + 2 * 64 + (64 * 128 + 128) + (128 + 1),
    "mnist-cnn-fast": 25 * 16 + 2 * 16 + 9 * 16 * 32 + 2 * 32 + 9 * 32 * 64 + 2 * 64 + (64 * 3 * 3 * 10 + 10),
    "mnist-cnn-record": 25 * 16 + 2 * 16 + 9 * 16 * 32 + 2 * 32 + 9 * 32 * 64 + 2 * 64 + (64 * 3 * 3 * 10 + 10),
    "mnist-handwriting": 25 * 16 + 2 * 16 + 9 * 16 * 32 + 2 * 32 + 9 * 32 * 64 + 2 * 64 + (64 * 3 * 3 * 10 + 10),
    "fashion-mlp-512": (784 * 512 + 512) + (512 * 512 + 512) + (512 * 10 + 10),
    "digits-quick": (25 * 8 + 8) + (25 * 8 * 16 + 16) + (16 * 7 * 7 * 128 + 128) + (128 * 10 + 10),
    "circle-2d": (2 * 4 + 4) + (4 + 1),
    "circle-2d-closed": (2 * 4 + 4) + (4 + 1),
    "toy-sigmoid": (10 * 5 + 5) + (5 + 1),
    "toy-2-2-1": (2 * 2 + 2) + (2 + 1),
    "linear-regression": 2 + 1,
    "reviews-embedding": 1002 * 16 + (16 * 16 + 16) + (16 + 1),
}
OUTPUTS = {"mnist-cnn-fast": 10, "mnist-cnn-record": 10, "mnist-handwriting": 10, "mnist-mlp-50": 10,
           "mnist-is-8-cnn": 1, "mnist-is-8-gap": 1, "fashion-mlp-512": 10, "digits-quick": 10,
           "circle-2d": 1, "circle-2d-closed": 1, "toy-sigmoid": 1, "toy-2-2-1": 1, "linear-regression": 1,
           "reviews-embedding": 1}


def network(config: RunConfig) -> nn.Module:
    spec = spec_of(config.data.dataset)
    return build(config.model, spec.input_shape, outputs_for(config, len(spec.classes)), seed=0)


def test_every_preset_is_in_the_tables():
    assert set(PRESETS) == set(TABLE) == set(PARAMETERS) == set(OUTPUTS), "a new preset needs its own lines here, by hand"


@pytest.mark.parametrize(("name", "field"), [(name, field) for name in TABLE for field in TABLE[name]])
def test_field_by_field(name, field):
    assert operator.attrgetter(field)(PRESETS[name].config) == TABLE[name][field]


@pytest.mark.parametrize("name", PRESETS)
def test_no_field_of_a_preset_is_left_out_of_the_table(name):
    config = PRESETS[name].config
    known = TABLE[name].keys() | {"data.target", "training.optimizer"}  # the target says nothing where all classes are asked for
    fields = {f"{part}.{field}" for part in RunConfig.model_fields for field in getattr(config, part).model_fields_set}
    assert fields <= known


@pytest.mark.parametrize("name", PRESETS)
def test_json_round_trip(name):
    config = PRESETS[name].config
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
    assert read_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("name", PRESETS)
def test_its_network_fits_its_data(name):
    config = PRESETS[name].config
    model = network(config)
    assert sum(weights.numel() for weights in model.parameters()) == PARAMETERS[name]
    spec = spec_of(config.data.dataset)
    images = torch.rand(5, *spec.input_shape) if spec.kind != "text" else torch.randint(1002, (5, *spec.input_shape))
    assert model(images).shape == (5, OUTPUTS[name])
    # logits: the losses here put the sigmoid or softmax on themselves
    assert isinstance(list(model.modules())[-1], nn.Linear)


@pytest.mark.parametrize("target", range(10))
@pytest.mark.parametrize("name", ["mnist-is-8-cnn", "mnist-is-8-gap"])
def test_any_digit_can_take_the_8s_place(name, target):
    config = PRESETS[name].config.with_values({"data.target": target})
    assert config.data.target == target
    assert network(config)(torch.rand(2, 1, 28, 28)).shape == (2, 1)
    assert title_of(config) == (PRESETS[name].title if target == 8 else f"CNN 32-64 on MNIST, is it {target}?")


def test_the_improved_networks_size_is_as_said():
    times = PARAMETERS["mnist-is-8-cnn"] / PARAMETERS["mnist-is-8-gap"]
    assert f"{times:.0f} times fewer weights" in PRESETS["mnist-is-8-gap"].summary


@pytest.mark.parametrize("name", PRESETS)
def test_texts(name):
    entry = preset(name)
    assert entry is PRESETS[name]
    assert entry.title and entry.summary.endswith(".") and "\n" not in entry.summary
    assert title_of(entry.config) == entry.title


@pytest.mark.mnist
def test_handwriting_is_read_after_one_epoch(mnist_root, settings):
    """Of a third of the images. The whole preset and its figures: benchmarks/drawing_quality.py."""
    config = PRESETS["mnist-handwriting"].config.with_values({"training.epochs": 1, "data.fraction": 0.3})
    sets = {"drawn strokes": drawn_strokes(every=7)}
    right = measure(config, replace(settings, data_dir=mnist_root), sets)
    assert len(sets["drawn strokes"][0]) > 150
    assert right["its own test images"] > 98 and right["drawn strokes"] > 96


def test_titles_and_configs_are_told_apart():
    assert len({entry.title for entry in PRESETS.values()}) == len(PRESETS)
    assert len({entry.config.model_dump_json() for entry in PRESETS.values()}) == len(PRESETS)


def test_unknown_preset():
    with pytest.raises(UnknownPreset) as unknown:
        preset("mnist-mlp-51")
    assert str(unknown.value) == f"There is no preset 'mnist-mlp-51'; choose from {', '.join(PRESETS)}."


@pytest.mark.parametrize(("changes", "title"), [
    ({"model.hidden": [64, 32]}, "MLP 64-32 on MNIST"),
    ({"model.hidden": []}, "MLP on MNIST"),
    ({"model.architecture": "cnn", "model.channels": [8], "data.dataset": "fashion_mnist"}, "CNN 8 on Fashion-MNIST"),
    ({"model.architecture": "softmax_regression", "data.dataset": "digits", "data.validation": 200},
     "Softmax regression on Digits (scikit-learn)"),
    ({"data.dataset": "fashion_mnist", "data.task": "is_target", "data.target": 9}, "MLP 50 on Fashion-MNIST, is it Ankle boot?"),
    ({"data.task": "is_target", "data.target": 12}, "MLP 50 on MNIST"),
])
def test_title_of_anything_else(changes, title):
    assert title_of(RunConfig().with_values(changes)) == title
