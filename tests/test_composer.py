"""Editing a stack, the way back, its text, what is wrong with it and the edit that mends it."""

import json
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.fields import ConfigError
from core.models import (
    ARCHITECTURES,
    CNNConfig,
    LeNet5Config,
    MLPConfig,
    ModelError,
    SmallResNetConfig,
    SoftmaxRegressionConfig,
    StackConfig,
    VGG16Config,
    build,
)
from core.models.composer import (
    Edit,
    History,
    add,
    apply,
    check,
    delete,
    duplicate,
    fixed,
    from_json,
    from_model_config,
    layer_at,
    move,
    places,
    problems,
    replace,
    to_json,
    with_fields,
)
from core.models.layers import (
    LAYERS,
    AvgPool2dConfig,
    BatchNorm1dConfig,
    BatchNorm2dConfig,
    Conv2dConfig,
    DropoutConfig,
    FlattenConfig,
    LinearConfig,
    MaxPool2dConfig,
    ReLUConfig,
    ResidualConfig,
    SoftmaxConfig,
    TanhConfig,
)
from core.presets import PRESETS
from tests.random_stacks import random_stack

FLATTEN, RELU, END = FlattenConfig(), ReLUConfig(), LinearConfig(out_features=0)
STACK = StackConfig(layers=(FLATTEN, LinearConfig(), RELU, END))
BLOCK = StackConfig(layers=(ResidualConfig(layers=(RELU, TanhConfig())), FLATTEN, END))


def kinds(stack: StackConfig) -> list[str]:
    return [layer.kind for layer in stack.layers]


# Edits

def test_rows_are_added_moved_copied_and_deleted():
    assert kinds(add(STACK, DropoutConfig(), 2)) == ["flatten", "linear", "dropout", "relu", "linear"]
    assert kinds(add(STACK, DropoutConfig())) == ["flatten", "linear", "relu", "linear", "dropout"]
    assert kinds(add(STACK, DropoutConfig(), 4)) == kinds(add(STACK, DropoutConfig()))
    assert kinds(move(STACK, 1, 2)) == ["flatten", "relu", "linear", "linear"]
    assert kinds(move(STACK, 3, 0)) == ["linear", "flatten", "linear", "relu"]
    assert kinds(duplicate(STACK, 2)) == ["flatten", "linear", "relu", "relu", "linear"]
    assert kinds(delete(STACK, 0)) == ["linear", "relu", "linear"]
    assert kinds(replace(STACK, 2, TanhConfig())) == ["flatten", "linear", "tanh", "linear"]
    assert StackConfig(layers=(FLATTEN, LinearConfig(), RELU, END)) == STACK  # as it was


def test_rows_inside_a_block():
    assert places(BLOCK) == [(0,), (0, 0), (0, 1), (1,), (2,)]
    assert layer_at(BLOCK, (0, 1)) == TanhConfig()
    assert layer_at(move(BLOCK, (0, 1), (0, 0)), 0).layers == (TanhConfig(), RELU)
    assert layer_at(add(BLOCK, SoftmaxConfig(), (0, 2)), 0).layers == (RELU, TanhConfig(), SoftmaxConfig())
    assert layer_at(delete(BLOCK, (0, 0)), 0).layers == (TanhConfig(),)
    assert layer_at(duplicate(BLOCK, (0, 0)), 0).layers == (RELU, RELU, TanhConfig())
    projected = replace(BLOCK, 0, ResidualConfig(layers=(RELU,), skip="projection"))
    assert layer_at(add(projected, RELU, (0, 0)), 0).skip == "projection"
    assert kinds(apply(BLOCK, Edit("", "unwrap", (0,)))) == ["relu", "tanh", "flatten", "linear"]


@pytest.mark.parametrize(("edit", "line"), [
    (lambda: delete(STACK, 4), "There is no row 5."),
    (lambda: delete(STACK, -1), "There is no row 0."),
    (lambda: delete(STACK, (1, 0)), "There is no row 2.1."),
    (lambda: delete(BLOCK, (0, 2)), "There is no row 1.3."),
    (lambda: add(STACK, RELU, 5), "There is no row 6."),
    (lambda: layer_at(STACK, (9, 9)), "There is no row 10.10."),
    (lambda: move(STACK, 0, 4), "There is no row 5 to move to; there are 4."),
    (lambda: move(BLOCK, (0, 0), 1),
     "A layer moves within its own list: copy it to move it into a residual block, or out of one."),
    (lambda: add(BLOCK, ResidualConfig(), (0, 0)), "layers.0"),
    (lambda: with_fields(Conv2dConfig(), kernel=0), "kernel is 0; it must be from 1 to 31 pixels"),
    (lambda: with_fields(RELU, slope=1), "slope: there is no such field"),
    (lambda: duplicate(StackConfig(layers=(RELU,) * 200), 0), "layers has 201 entries; it can have at most 200"),
])
def test_edits_that_cannot_be_made(edit, line):
    with pytest.raises(ConfigError) as caught:
        edit()
    assert str(caught.value).startswith(line)


def random_layer(choose: random.Random):
    return LAYERS[choose.choice(list(LAYERS))].config()


def random_edit(choose: random.Random, stack: StackConfig) -> StackConfig:
    """A random change of a stack at its top."""
    count = len(stack.layers)
    row = choose.randrange(count) if count else 0
    match choose.choice(["add", "move", "duplicate", "delete"]) if count else "add":
        case "add":
            return add(stack, random_layer(choose), row)
        case "move":
            return move(stack, row, choose.randrange(count))
        case "duplicate":
            return duplicate(stack, row)
    return delete(stack, row)


def test_every_change_can_be_undone_and_redone():
    choose = random.Random(0)
    history, seen = History(STACK), [STACK]
    for _ in range(60):
        changed = random_edit(choose, history.now)
        history = history.then(changed)
        if changed != seen[-1]:
            seen.append(changed)
    for stack in reversed(seen):
        assert history.now == stack
        history = history.undone()
    assert history.now == STACK and history.undone() == history
    for stack in seen:
        assert history.now == stack
        history = history.redone()
    assert history.redone() == history


def test_a_new_change_forgets_what_was_undone():
    history = History(STACK).then(delete(STACK, 0)).undone().then(delete(STACK, 2))
    assert history.after == () and history.undone().now == STACK
    assert History(STACK).then(STACK) == History(STACK)
    for units in range(1, 150):
        history = history.then(StackConfig(layers=(LinearConfig(out_features=units),)))
    assert len(history.before) == 100


# Text

def test_json_round_trip():
    for seed in range(200):
        stack, _, _ = random_stack(seed)
        assert from_json(to_json(stack)) == from_json(to_json(stack).encode()) == stack


@pytest.mark.parametrize(("text", "line"), [
    ("", "this is not valid JSON: EOF while parsing a value at line 1 column 0"),
    (b"\xff\xfe", "this is not valid JSON"),
    ("[]", "this is []; input should be an object"),
    ('{"architecture": "mlp"}', "architecture is 'mlp'; input should be 'stack'"),
    ('{"layers": [{"kind": "relu"}], "author": "me"}', "author: there is no such field"),
    ('{"layers": [{"kind": "conv3d"}]}', "layers.0: there is no 'conv3d'; choose from conv2d, max_pool2d, "),
    ('{"layers": [{"kind": "relu"}, {"kind": "linear", "out_features": 10000001}]}',
     "layers.1.out_features is 10000001; it must be from 0 to 10000000 units"),
    ('{"layers": [{"kind": "residual", "layers": [{"kind": "conv2d", "kernel": 32}]}]}',
     "layers.0.layers.0.kernel is 32; it must be from 1 to 31 pixels"),
    ('{"layers": [{"kind": "residual", "layers": [{"kind": "residual"}]}]}', "layers.0.layers.0: there is no 'residual'; "),
    (json.dumps({"layers": [{"kind": "relu"}] * 201}), "layers has 201 entries; it can have at most 200"),
    (json.dumps({"layers": [{"kind": "residual"}] * 40}), "this: a network has at most 200 layers, and this one 240"),
    ("x" * 200_001, "This has 200,001 characters, and a composition at most 200,000: it is no composition."),
])
def test_text_that_is_no_composition_gets_one_line(text, line):
    with pytest.raises(ConfigError) as caught:
        from_json(text)
    assert str(caught.value).startswith(line) and len(str(caught.value).splitlines()) == 1


ANY = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.integers(), max_size=2)
LAYER = st.fixed_dictionaries({"kind": st.sampled_from(list(LAYERS))}, optional={
    name: st.integers(-1, 40) | ANY for name in ("out_channels", "kernel", "stride", "padding", "out_features", "share", "size")})
NEARLY = st.fixed_dictionaries({"layers": st.lists(LAYER | ANY, max_size=4) | ANY}, optional={"architecture": ANY})


@settings(max_examples=200)
@given(NEARLY.map(json.dumps) | st.text() | st.binary())
def test_any_text_is_a_composition_or_gets_one_line(text):
    try:
        stack = from_json(text)
    except ConfigError as error:
        assert str(error).strip() and len(str(error).splitlines()) == 1
    else:
        assert from_json(to_json(stack)) == stack


# From other architectures

@pytest.mark.parametrize("config", [
    *(entry.config.model for entry in PRESETS.values() if entry.config.data.dataset in {"mnist", "fashion_mnist", "digits"}),
    SoftmaxRegressionConfig(), LeNet5Config(),
    LeNet5Config(activation="relu", pooling="max"), SmallResNetConfig(), SmallResNetConfig(channels=(4, 8), blocks=2),
    MLPConfig(hidden=(), dropout=0.5),
    MLPConfig(activation="leaky_relu", dropout=0.2), CNNConfig(stride=2, padding="none", pooling="average"),
    CNNConfig(kernel=4, pooling="none")], ids=lambda config: config.model_dump_json(exclude_defaults=True) + config.architecture)
@pytest.mark.parametrize(("shape", "outputs"), [((1, 28, 28), 1), ((3, 32, 32), 10)])
def test_a_preset_taken_apart_computes_the_same(config, shape, outputs):
    stack = from_model_config(config, shape, outputs)
    assert not problems(check(stack, shape, outputs))
    ours, theirs = build(stack, shape, outputs, seed=1), build(config, shape, outputs, seed=2)
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(4, *shape)
    with torch.no_grad():
        assert torch.equal(ours.eval()(images), theirs.eval()(images))
        torch.manual_seed(0)
        training = ours.train()(images)
        torch.manual_seed(0)
        assert torch.equal(training, theirs.train()(images))  # dropout and batch norm as well
    assert all(torch.equal(value, build(config, shape, outputs, seed=5).state_dict()[name])
               for name, value in build(stack, shape, outputs, seed=5).state_dict().items())


def test_what_cannot_be_taken_apart_says_so():
    with pytest.raises(ModelError, match=r"^VGG-16 \(torchvision\) can't be taken apart into rows: VGG is not a plain sequence"):
        from_model_config(VGG16Config(fc_width=8), (1, 28, 28), 10)
    with pytest.raises(ModelError, match="at most 4 channels"):
        from_model_config(CNNConfig(channels=(4,) * 5), (1, 28, 28), 10)
    assert from_model_config(STACK, (1, 28, 28), 10) is STACK
    assert set(ARCHITECTURES) >= {"lenet5", "small_resnet", "vgg16", "resnet18", "mobilenet_v3_small", "stack"}


# What is wrong, and its fix

CONV = Conv2dConfig(out_channels=4)
WRONG = {  # name: (layers, outputs, place, problem, what the fix's button says, kinds after it)
    "linear on a picture": ((CONV, END), 10, (1,), "received 4×28×28 and needs one row of numbers, as Flatten makes it",
                            "Put Flatten before it", ["conv2d", "flatten", "linear"]),
    "batch norm 1d on a picture": ((CONV, BatchNorm1dConfig(), FLATTEN, END), 10, (1,), "received 4×28×28 and needs one row",
                                   "Make it BatchNorm2d", ["conv2d", "batch_norm2d", "flatten", "linear"]),
    "batch norm 2d on a row": ((FLATTEN, BatchNorm2dConfig(), END), 10, (1,), "received 784 numbers and needs a picture",
                               "Make it BatchNorm1d", ["flatten", "batch_norm1d", "linear"]),
    "convolution after flatten": ((FLATTEN, CONV, END), 10, (1,), "received 784 numbers and needs a picture",
                                  "Move it before Flatten", ["conv2d", "flatten", "linear"]),
    "pooling after a linear layer": ((CONV, FLATTEN, LinearConfig(), MaxPool2dConfig(), END), 10, (3,), "received 128 numbers",
                                     "Move it before Flatten", ["conv2d", "max_pool2d", "flatten", "linear", "linear"]),
    "pooling too large": ((MaxPool2dConfig(kernel=30), FLATTEN, END), 10, (0,),
                          "received 1×28×28 and needs at least 30×30 pixels", "Remove it", ["flatten", "linear"]),
    "pooling once too often": ((*[AvgPool2dConfig()] * 5, FLATTEN, END), 10, (4,), "received 1×1×1 and needs at least 2×2 pixels",
                               "Remove it", [*["avg_pool2d"] * 4, "flatten", "linear"]),
    "kernel too large": ((Conv2dConfig(kernel=31, padding=0), FLATTEN, END), 10, (0,),
                         "received 1×28×28 and needs at least 31×31 pixels", "Set its padding to 15",
                         ["conv2d", "flatten", "linear"]),
    "padding of a pool": ((AvgPool2dConfig(padding=2), FLATTEN, END), 10, (0,), "needs at most 1 pixels of padding",
                          "Set its padding to 1", ["avg_pool2d", "flatten", "linear"]),
    "too many outputs": ((FLATTEN, LinearConfig(out_features=12)), 10, (1,),
                         "returns 12 numbers at the end, and the question needs 10 numbers, one for each class",
                         "Set its units to 10", ["flatten", "linear"]),
    "yes or no": ((FLATTEN, LinearConfig(out_features=10), SoftmaxConfig()), 1, (1,), "needs 1 number, yes or no",
                  "Set its units to 1", ["flatten", "linear", "softmax"]),
    "a picture at the end": ((CONV,), 10, (0,), "returns 4×28×28 at the end", "Add Flatten and Linear 10",
                             ["conv2d", "flatten", "linear"]),
    "no linear layer": ((FLATTEN, RELU), 10, (1,), "returns 784 numbers at the end", "Add Linear 10",
                        ["flatten", "relu", "linear"]),
    "nothing": ((), 10, (0,), "There are no layers yet", "Add Flatten and Linear 10", ["flatten", "linear"]),
    "block changes the channels": ((ResidualConfig(layers=(CONV,)), FLATTEN, END), 10, (0,),
                                   "received 1×28×28 and makes 4×28×28 of it", "Make the skip a projection",
                                   ["residual", "flatten", "linear"]),
    "block loses the border": ((CONV, ResidualConfig(layers=(Conv2dConfig(out_channels=4, padding=0),)), FLATTEN, END), 10, (1,),
                               "received 4×28×28 and makes 4×26×26 of it", "Pad so that sizes stay",
                               ["conv2d", "residual", "flatten", "linear"]),
    "block flattens": ((ResidualConfig(layers=(FLATTEN,)), END), 10, (0,), "received 1×28×28 and makes 784 numbers of it",
                       "Take the layers out of the block", ["flatten", "linear"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_row_is_told_and_mended(name):
    layers, outputs, place, problem, label, after = WRONG[name]
    stack = StackConfig(layers=layers)
    (row,) = problems(check(stack, (1, 28, 28), outputs))
    assert row.place == place and problem in row.problem and row.needs
    assert (row.output_shape is None) != row.problem.startswith("returns")
    assert row.fix.label == label
    with pytest.raises(ModelError):
        build(stack, (1, 28, 28), outputs)
    right = apply(stack, row.fix)
    assert kinds(right) == after
    assert not problems(check(right, (1, 28, 28), outputs))
    assert build(right, (1, 28, 28), outputs)(torch.rand(2, 1, 28, 28)).shape == (2, outputs)


def test_a_wrong_row_inside_a_block():
    stack = StackConfig(layers=(ResidualConfig(layers=(CONV, LinearConfig(), MaxPool2dConfig(kernel=31))), FLATTEN, END))
    rows = check(stack, (1, 28, 28), 10)
    assert [(row.place, bool(row.problem)) for row in rows] == [
        ((0,), False), ((0, 0), False), ((0, 1), True), ((0, 2), True), ((1,), False), ((2,), False)]
    *_, right = fixed(stack, (1, 28, 28), 10)
    assert build(right, (1, 28, 28), 10)(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_every_row_tells_of_its_own_mistake_alone():
    stack = StackConfig(layers=(CONV, LinearConfig(out_features=6), BatchNorm2dConfig(), LinearConfig(out_features=3)))
    rows = check(stack, (1, 28, 28), 10)
    assert [row.fix and row.fix.label for row in rows] == [
        None, "Put Flatten before it", "Make it BatchNorm1d", "Set its units to 10"]
    assert rows[2].input_shape == (6,)  # as it will be


def test_any_stack_builds_exactly_if_nothing_is_wrong_and_can_be_mended():
    """Random stacks, broken by random changes."""
    broken = 0
    for seed in range(200):
        choose = random.Random(seed)
        stack, shape, outputs = random_stack(seed)
        for _ in range(choose.randint(1, 4)):
            stack = random_edit(choose, stack)
        wrong = problems(check(stack, shape, outputs))
        broken += bool(wrong)
        assert all(row.fix for row in wrong)
        try:
            with torch.device("meta"):
                build(stack, shape, outputs)
            assert not wrong
        except ModelError:
            assert wrong
        *_, right = [stack, *fixed(stack, shape, outputs)]
        assert not problems(check(right, shape, outputs))
        assert build(right, shape, outputs, seed=0).eval()(torch.rand(2, *shape)).shape == (2, outputs)
    assert 100 < broken < 200  # both cases were tried


@settings(max_examples=100)
@given(st.lists(st.fixed_dictionaries({"kind": st.sampled_from(list(LAYERS))}), max_size=8),
       st.sampled_from([(1, 28, 28), (3, 2, 1), (1, 1, 1), (7,)]), st.sampled_from([1, 10]))
def test_any_order_of_layers_can_be_mended(layers, shape, outputs):
    stack = from_json(json.dumps({"layers": layers}))
    *_, right = [stack, *fixed(stack, shape, outputs)]
    with torch.device("meta"):
        build(right, shape, outputs)
