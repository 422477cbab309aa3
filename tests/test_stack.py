"""Composed networks: built as written, equal to plain PyTorch, counted as torchinfo counts; the errors name the row."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from core.config import RunConfig
from core.inspection import describe_layers
from core.models import ModelError, StackConfig, build
from core.models.composer import check, problems
from core.models.layers import (
    LAYERS,
    BatchNorm2dConfig,
    Conv2dConfig,
    DropoutConfig,
    FlattenConfig,
    LinearConfig,
    MaxPool2dConfig,
    ReLUConfig,
    ResidualConfig,
    SoftmaxConfig,
    layer_of,
    make,
)
from core.models.stack import Probe, named, probe
from core.training import Epoch, fit, prepare
from tests.helpers import tiny
from tests.random_stacks import random_stack
from tests.test_inspection import compare_with_torchinfo

SEEDS = range(200)
NOTES = StackConfig(layers=(
    Conv2dConfig(out_channels=4), ReLUConfig(), MaxPool2dConfig(), FlattenConfig(), LinearConfig(out_features=32), ReLUConfig(),
    DropoutConfig(share=0.25), LinearConfig(out_features=0)))


def test_as_plain_pytorch_writes_it():
    model = build(NOTES, (1, 28, 28), 10, seed=3)
    torch.manual_seed(3)
    plain = nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(1, 4, 3, padding=1), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2), flatten=nn.Flatten(),
        fc1=nn.Linear(784, 32), relu2=nn.ReLU(), dropout=nn.Dropout(0.25), fc2=nn.Linear(32, 10)))
    assert str(model) == str(plain)
    images = torch.rand(5, 1, 28, 28)
    assert torch.equal(model.eval()(images), plain.eval()(images))


@pytest.mark.parametrize("skip", ["identity", "projection"])
def test_a_residual_block_by_hand(skip):
    inside = (Conv2dConfig(out_channels=3 if skip == "identity" else 5, stride=1 if skip == "identity" else 2), ReLUConfig())
    stack = StackConfig(layers=(ResidualConfig(layers=inside, skip=skip), FlattenConfig(), LinearConfig(out_features=0)))
    model = build(stack, (3, 9, 6), 2, seed=0)
    x = torch.rand(4, 3, 9, 6)
    block = model.residual1
    skipped = x if skip == "identity" else nn.functional.conv2d(x, block.skip.weight, stride=2)
    expected = torch.relu(block.body.conv1(x)) + skipped
    assert torch.equal(block(x), expected)
    assert block(x).shape == ((4, 3, 9, 6) if skip == "identity" else (4, 5, 5, 3))
    if skip == "projection":
        assert block.skip.weight.shape == (5, 3, 1, 1) and block.skip.bias is None


def test_names_are_counted_for_each_kind():
    layers = (Conv2dConfig(), BatchNorm2dConfig(), ReLUConfig(), Conv2dConfig(), FlattenConfig(), DropoutConfig(),
              DropoutConfig(), LinearConfig(), SoftmaxConfig())
    assert named(layers) == ["conv1", "bn1", "relu1", "conv2", "flatten", "dropout", "dropout2", "fc1", "softmax"]


def test_random_stacks_have_every_kind_of_layer():
    kinds = [layer.kind for seed in SEEDS for layer in random_stack(seed)[0].layers]
    assert set(kinds) == set(LAYERS)
    assert min(kinds.count(kind) for kind in LAYERS) >= 10
    assert random_stack(7) == random_stack(7) != random_stack(8)


@pytest.mark.parametrize("block", range(10))
def test_random_stacks_agree_with_torchinfo(block):
    for seed in SEEDS[block::10]:
        stack, shape, outputs = random_stack(seed)
        model = build(stack, shape, outputs, seed=seed)
        compare_with_torchinfo(model, shape)
        logits = model.train()(torch.rand(2, *shape))
        assert logits.shape == (2, outputs)
        logits.sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


def test_rows_of_the_check_are_those_of_the_layer_table():
    for seed in SEEDS:
        stack, shape, outputs = random_stack(seed)
        checked = check(stack, shape, outputs)
        assert not problems(checked)
        with torch.device("meta"):
            table = {row.name: row for row in describe_layers(build(stack, shape, outputs), shape)}
        for row in checked:
            above = next(other.name for other in checked if other.place == row.place[:1])
            name = row.name if len(row.place) == 1 else f"{above}.body.{row.name}"
            if name in table:
                assert (row.title, row.input_shape, row.output_shape, row.parameters) == (
                    table[name].kind, table[name].input_shape, table[name].output_shape, table[name].parameters)
            else:
                assert row.title == "Residual block"
                assert row.parameters == sum(other.parameters for path, other in table.items() if path.startswith(f"{name}."))


@pytest.mark.parametrize("kind", [kind for kind in LAYERS if kind != "residual"])
def test_layers_come_back_from_their_modules(kind):
    layer = LAYERS[kind].config()
    received = (16,) if kind in {"linear", "batch_norm1d"} else (3, 8, 8)
    module = make(layer, received, 10)
    assert layer_of(module) == layer
    assert type(module).__name__ == LAYERS[kind].title


@pytest.mark.parametrize("module", [nn.LSTM(2, 2), nn.Conv2d(2, 2, 3, groups=2), nn.Conv2d(1, 1, (3, 5)), nn.Identity(),
                                    nn.MaxPool2d(2, ceil_mode=True), nn.Conv2d(1, 1, 3, padding="same")])
def test_other_modules_are_no_layers(module):
    with pytest.raises(ModelError):
        layer_of(module)


@pytest.mark.parametrize(("layers", "line"), [
    ((LinearConfig(),), "Row 1 (Linear) received 1×28×28 and needs one row of numbers, as Flatten makes it."),
    ((FlattenConfig(), Conv2dConfig()), "Row 2 (Conv2d) received 784 numbers and needs a picture: channels × height × width."),
    ((Conv2dConfig(), ResidualConfig(layers=(ReLUConfig(), LinearConfig()))),
     "Row 2.2 (Linear) received 32×28×28 and needs one row of numbers, as Flatten makes it."),
    ((MaxPool2dConfig(kernel=29),), "Row 1 (MaxPool2d) received 1×28×28 and needs at least 29×29 pixels."),
    ((Conv2dConfig(kernel=31, padding=1),),
     "Row 1 (Conv2d) received 1×28×28 and needs at least 31×31 pixels with its padding of 1."),
    ((MaxPool2dConfig(padding=2),), "Row 1 (MaxPool2d) received 1×28×28 and needs at most 1 pixels of padding for a 2×2 window, "
                                    "not 2."),
    ((ResidualConfig(layers=(Conv2dConfig(out_channels=2),)),),
     "Row 1 (Residual block) received 1×28×28 and makes 2×28×28 of it; the two can only be added where they are alike, or where "
     "the skip is a projection."),
    ((FlattenConfig(), LinearConfig(out_features=12)), "Row 2 (Linear) returns 12 numbers, and 10 numbers are needed at the end: "
                                                       "set the units of the last linear layer."),
    ((), "The network has no layers yet: add Flatten and Linear."),
])
def test_the_line_names_the_row(layers, line):
    with pytest.raises(ModelError) as caught:
        build(StackConfig(layers=layers), (1, 28, 28), 10)
    assert str(caught.value) == line


def resident() -> int:
    """Bytes of memory in use by this process."""
    with open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * 4096


def test_a_billion_parameters_are_counted_without_memory():
    stack = StackConfig(layers=(FlattenConfig(), LinearConfig(out_features=1_300_000), LinearConfig(out_features=0)))
    before = resident()
    rows = check(stack, (1, 28, 28), 10)
    with torch.device("meta"):
        model = build(stack, (1, 28, 28), 10)
    table = describe_layers(model, (1, 28, 28))
    assert resident() - before < 100e6  # the weights would take 4 GB
    assert rows[1].parameters == table[1].parameters == 784 * 1_300_000 + 1_300_000 > 1e9
    assert rows[1].warning.startswith("1,020,500,000 parameters: 4.1 GB of weights")
    assert not problems(rows) and not rows[2].warning


def test_what_no_number_can_count_is_a_problem():
    wide = Conv2dConfig(out_channels=8192, kernel=1, padding=15)
    stack = StackConfig(layers=(wide,) * 198 + (FlattenConfig(), LinearConfig(out_features=10_000_000)))
    (row,) = [row for row in problems(check(stack, (3, 32, 32), 10)) if "can't work with it" in row.problem]
    assert row.place == (199,) and row.fix.label == "Set its units to 128"


def test_a_probe_takes_no_random_numbers():
    state = torch.get_rng_state()
    assert probe(LinearConfig(out_features=3), (4,), 10) == Probe((3,), 15)
    assert torch.equal(state, torch.get_rng_state())


def test_a_stack_learns(digits, places, cache_dir):
    config = tiny(training__epochs=6, training__optimizer__learning_rate=0.01)
    config = RunConfig(data=config.data, model=NOTES, training=config.training)
    data, model = prepare(config, places / "data", cache_dir)
    epochs = [event for event in fit(config, data, model, torch.device("cpu")) if isinstance(event, Epoch)]
    assert epochs[-1].validation_accuracy > 0.8 > epochs[0].train_accuracy
    assert epochs[-1].train_loss < epochs[0].train_loss / 2
