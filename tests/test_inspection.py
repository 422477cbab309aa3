"""The layer table against torchinfo, hand counts and gradients."""

import random
import re
from math import prod

import pytest
import torch
import torchinfo
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import core.torchvision_guard  # noqa: F401 - torchvision comes after it
from core.inspection import InspectionError, LayerRow, describe_layers, totals, walk
from core.models import (
    ARCHITECTURES,
    CNNConfig,
    LeNet5Config,
    MLPConfig,
    MobileNetV3SmallConfig,
    ResNet18Config,
    SmallResNetConfig,
    SoftmaxRegressionConfig,
    StackConfig,
    VGG16Config,
    build,
)
from tests.shared_networks import Plan, random_shared

CONFIGS = [
    SoftmaxRegressionConfig(),
    MLPConfig(),
    MLPConfig(hidden=()),
    MLPConfig(hidden=(512, 512), activation="gelu", dropout=0.5),
    CNNConfig(),
    CNNConfig(channels=(8, 16, 8), kernel=5, batch_norm=True, head="global_average", dropout=0.5),
    CNNConfig(channels=(6,), kernel=2, fc_width=0),
    CNNConfig(channels=(4, 6), stride=2, padding="none", pooling="average"),
    LeNet5Config(),
    SmallResNetConfig(),
    SmallResNetConfig(channels=(4, 8), blocks=2),
    VGG16Config(fc_width=16, batch_norm=True),
    ResNet18Config(),
    MobileNetV3SmallConfig(),
    StackConfig(),
]


def row_of(rows: list[LayerRow], name: str) -> LayerRow:
    return next(row for row in rows if row.name == name)


def macs(layer) -> int:
    """torchinfo's mult-adds; of normalisation, which it counts for each channel only: two for each value that comes out."""
    return 2 * prod(layer.output_size[1:]) if "Norm" in layer.class_name else layer.macs


def compare_with_torchinfo(model: nn.Module, shape: tuple[int, ...]) -> None:
    """Shapes, parameters and mult-adds of each layer, in order, and the totals."""
    rows = describe_layers(model, shape)
    info = torchinfo.summary(model, input_size=(1, *shape), depth=20, verbose=0, device="cpu", mode="eval")
    layers = [layer for layer in info.summary_list if layer.is_leaf_layer and layer.executed]
    ours = [(row.kind, row.output_shape, row.parameters, row.mult_adds) for row in rows]
    theirs = [(layer.class_name, tuple(layer.output_size[1:]), 0 if layer.is_recursive else layer.num_params, macs(layer))
              for layer in layers]
    assert ours == theirs
    sums = totals(rows)
    assert (sums.parameters, sums.trainable) == (info.total_params, info.trainable_params)
    assert sums.mult_adds == info.total_mult_adds + sum(macs(layer) - layer.macs for layer in layers)
    assert sums.weight_bytes == info.total_param_bytes


def test_every_architecture_is_compared():
    assert {config.architecture for config in CONFIGS} == {key for key, spec in ARCHITECTURES.items() if "images" in spec.takes}


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 40)])
@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_architectures_agree_with_torchinfo(config, shape):
    compare_with_torchinfo(build(config, shape, 10, seed=0), shape)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "vgg16"])
def test_torchvision_agrees_with_torchinfo(name):
    import torchvision

    # weights on meta: the numbers do not depend on them, and drawing vgg16's takes seconds
    with torch.device("meta"):
        model = getattr(torchvision.models, name)(weights=None)
    compare_with_torchinfo(model.to_empty(device="cpu"), (3, 64, 64))


def random_stack(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    """A few layers that fit each other, on pictures of a random size."""
    choose = random.Random(seed)
    channels, side = choose.randint(1, 4), choose.randint(12, 20)
    shape, layers = (channels, side, side), []
    for _ in range(choose.randint(1, 4)):
        filters, kernel = choose.choice([2, 4, 6]), choose.randint(1, 3)
        groups = 2 if channels % 2 == 0 and choose.random() < 0.3 else 1
        layers.append(nn.Conv2d(channels, filters, kernel, stride=choose.randint(1, 2), padding=choose.randint(1, 2),
                                dilation=choose.randint(1, 2), groups=groups, bias=choose.random() < 0.7))
        channels = filters
        layers.append(choose.choice([nn.ReLU(), nn.BatchNorm2d(channels), nn.Identity(), nn.MaxPool2d(2, 1, padding=1),
                                     nn.AvgPool2d(2, 1, ceil_mode=True), nn.GroupNorm(2, channels), nn.Dropout2d()]))
    layers += [nn.AdaptiveAvgPool2d(choose.randint(1, 3)), nn.Flatten()]
    features = channels * layers[-2].output_size ** 2
    layers += [nn.Linear(features, 7, bias=choose.random() < 0.5), nn.LayerNorm(7), nn.Linear(7, 3)]
    return nn.Sequential(*layers), shape


@pytest.mark.parametrize("seed", range(30))
def test_random_stacks_agree_with_torchinfo(seed):
    compare_with_torchinfo(*random_stack(seed))


@pytest.mark.parametrize("seed", range(25))
def test_networks_that_share_agree_with_torchinfo(seed):
    """Names, kinds, shapes, parameters and mult-adds of each call, in order.

    torchinfo 1.8.0 names every call of a shared module by the last place where it stands, and counts some weights twice (its
    pull requests 396 and 397 mend both). So it is asked about the twin in which each place has a module of its own: there it
    gives each call its caller's name. Weights count at the first call of what the plan shares.
    """
    plan, shape = random_shared(seed)
    model, plans = plan.build(), dict[nn.Module, Plan]()
    info = torchinfo.summary(plan.build_apart(plans), input_size=(1, *shape), depth=20, verbose=0, device="cpu", mode="eval")
    rows, theirs, counted = describe_layers(model, shape), [], set()
    for layer in (layer for layer in info.summary_list if layer.is_leaf_layer and layer.executed):
        names, place, part = [], layer, plans[layer.module]
        while place.parent_info is not None:
            names.insert(0, place.var_name)
            place = place.parent_info
        parameters = 0 if part in counted else layer.num_params
        counted.add(part)
        theirs.append((".".join(names), layer.class_name, tuple(layer.output_size[1:]), parameters, macs(layer)))
    called = [row for row in rows if row.input_shape]
    assert [(row.name, row.kind, row.output_shape, row.parameters, row.mult_adds) for row in called] == theirs
    assert all(type(model.get_submodule(row.name)).__name__ == row.kind for row in rows)
    assert totals(rows).mult_adds == sum(row[-1] for row in theirs)
    assert totals(rows).parameters == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("seed", range(30))
def test_formulas_of_random_stacks_come_out(seed):
    """Each formula, worked out as arithmetic, gives the number of the table."""
    for row in describe_layers(*random_stack(seed)):
        if row.parameters:
            left, right = row.formula.rsplit(" = ", 1)
            assert worked_out(left) == row.parameters == int(right.replace(",", ""))
        for part in row.shape_formula.split("; ") if row.shape_formula else []:
            left, right = re.sub("^(height|width) ", "", part).rsplit(" = ", 1)
            assert worked_out(left) == int(right)
            assert int(right) in row.output_shape


def worked_out(text: str) -> int:
    floor = re.sub(r"⌊(.*)/(\d+)⌋", r"((\1)//\2)", text.replace("·", "*").replace("−", "-"))
    return eval(re.sub(r"⌈(.*)/(\d+)⌉", r"(-(-(\1)//\2))", floor))


# Counts and formulas by hand

def test_cnn_of_the_notes_by_hand():
    rows = describe_layers(build(CNNConfig(), (1, 28, 28), 10, seed=0), (1, 28, 28))
    assert [row.name for row in rows] == ["conv1", "pool1", "relu1", "conv2", "pool2", "relu2", "flatten", "fc1", "relu3", "fc2"]
    conv1, conv2, fc1 = (row_of(rows, name) for name in ("conv1", "conv2", "fc1"))
    assert conv1.parameters == (9 + 1) * 32 == 320
    assert conv1.formula == "(3·3·1)·32 + 32 = 320"
    assert conv1.arguments == "1→32, kernel 3×3, padding 1"
    assert conv1.shape_formula == "⌊(28 + 2·1 − 3)/1⌋ + 1 = 28"
    assert (conv1.input_shape, conv1.output_shape) == ((1, 28, 28), (32, 28, 28))
    assert conv1.mult_adds == 320 * 28 * 28
    assert conv1.activation_bytes == 4 * 32 * 28 * 28
    assert (conv2.parameters, conv2.formula) == (18_496, "(3·3·32)·64 + 64 = 18,496")
    assert (fc1.parameters, fc1.formula) == (401_536, "3136·128 + 128 = 401,536")
    assert row_of(rows, "flatten").shape_formula == "64·7·7 = 3136"
    assert [row.receptive_field for row in rows] == [3, 4, 4, 8, 10, 10, None, None, None, None]


@pytest.mark.parametrize(("layer", "shape", "expected"), [
    (nn.Conv2d(1, 32, 3), (1, 28, 28), (9 + 1) * 32 * 26 * 26),  # nine products and the bias for each number
    (nn.Conv2d(1, 32, 3, bias=False), (1, 28, 28), 9 * 32 * 26 * 26),
    (nn.Linear(4, 3), (4,), (4 + 1) * 3),
    (nn.BatchNorm2d(8), (8, 5, 5), 2 * 8 * 5 * 5),  # (x − mean) / deviation, then · weight + bias
    (nn.BatchNorm2d(8, affine=False), (8, 5, 5), 8 * 5 * 5),
    (nn.BatchNorm1d(8), (8,), 2 * 8),
    (nn.InstanceNorm2d(8), (8, 5, 5), 8 * 5 * 5),
    (nn.GroupNorm(2, 8), (8, 5, 5), 2 * 8 * 5 * 5),
    (nn.LayerNorm(4), (3, 4), 2 * 3 * 4),
    (nn.ReLU(), (8,), 0),
])
def test_mult_adds_by_hand(layer, shape, expected):
    assert [row.mult_adds for row in describe_layers(layer, shape)] == [expected]


def test_a_convolution_on_colour_has_896_parameters():
    rows = describe_layers(nn.Conv2d(3, 32, 3), (3, 32, 32))
    assert (rows[0].name, rows[0].parameters, rows[0].formula) == ("Conv2d", 896, "(3·3·3)·32 + 32 = 896")


@pytest.mark.parametrize(("layer", "shape", "formula", "output"), [
    (nn.BatchNorm2d(32), (32, 4, 4), "2·32 = 64", (32, 4, 4)),
    (nn.LayerNorm((3, 4)), (3, 4), "2·(3·4) = 24", (3, 4)),
    (nn.Embedding(1000, 64), (5,), "1000·64 = 64,000", (5, 64)),
    (nn.Linear(4, 3, bias=False), (4,), "4·3 = 12", (3,)),
    (nn.Conv2d(8, 8, 3, groups=8), (8, 5, 5), "(3·3·1)·8 + 8 = 80", (8, 3, 3)),
    (nn.ConvTranspose2d(8, 4, 2, stride=2), (8, 5, 5), "(2·2·4)·8 + 4 = 132", (4, 10, 10)),
    (nn.Conv1d(2, 3, 5), (2, 9), "(5·2)·3 + 3 = 33", (3, 5)),
    (nn.ReLU(), (7,), "", (7,)),
    (nn.PReLU(), (7,), "1 = 1", (7,)),
])
def test_formulas(layer, shape, formula, output):
    row = describe_layers(layer, shape)[0]
    assert (row.formula, row.output_shape) == (formula, output)


def test_shape_formula_names_axes_that_differ():
    row = describe_layers(nn.Conv2d(1, 1, (3, 5), padding=(1, 0), dilation=(1, 2)), (1, 28, 28))[0]
    assert row.shape_formula == ("height ⌊(28 + 2·1 − 3)/1⌋ + 1 = 28; width ⌊(28 + 2·0 − 2·(5 − 1) − 1)/1⌋ + 1 = 20")
    assert describe_layers(nn.ConvTranspose2d(1, 1, 2, stride=2), (1, 5, 5))[0].output_shape == (1, 10, 10)


def test_totals_and_shares():
    rows = describe_layers(build(MLPConfig(), (1, 28, 28), 10, seed=0), (1, 28, 28))
    sums = totals(rows)
    assert (sums.parameters, sums.weight_bytes) == (39_760, 159_040)
    assert sums.share(row_of(rows, "fc1")) == 39_250 / 39_760
    assert sum(sums.share(row, "activation_bytes") for row in rows) == pytest.approx(1)
    assert totals([]).share(rows[0]) == 0.0


# Networks that are not a plain stack

class Sequence(nn.Module):
    """A class token, attention and an LSTM, returning a dict; one layer and one list of parameters beside."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.lstm = nn.LSTM(8, 4, batch_first=True)
        self.forgotten = nn.Linear(3, 3)
        self.scales = nn.ParameterList([torch.ones(2)])
        self.kept = None

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
        self.kept, weights = self.attention(x, x, x)
        return {"out": self.lstm(self.kept)[0] * self.scales[0].sum(), "weights": weights}


def test_tuples_dicts_root_parameters_and_unused_layers():
    model = Sequence()
    rows = describe_layers(model, (5, 8))
    assert [(row.name, row.note) for row in rows] == [
        ("token", ""), ("attention", "also returns (6, 6)"), ("lstm", "also returns (1, 4), (1, 4)"),
        ("forgotten", "not used"), ("scales", "used without being called")]
    attention, lstm = rows[1:3]
    assert attention.parameters == sum(parameter.numel() for parameter in model.attention.parameters()) == 4 * 64 + 4 * 8
    assert (lstm.input_shape, lstm.output_shape, lstm.parameters) == ((6, 8), (6, 4), 4 * (8 * 4 + 4 * 4 + 4 + 4))
    assert lstm.mult_adds == 6 * lstm.parameters  # as torchinfo: once for each step
    assert lstm.activation_bytes == 4 * (6 * 4 + 4 + 4)
    assert totals(rows).parameters == sum(parameter.numel() for parameter in model.parameters())
    assert model.kept is None
    assert model.lstm._flat_weights[0] is model.lstm.weight_ih_l0
    assert model(torch.rand(2, 5, 8))["out"].shape == (2, 6, 4)


@pytest.mark.parametrize("layer", [nn.LSTM(8, 4, batch_first=True, num_layers=2), nn.GRU(8, 4, batch_first=True),
                                   nn.LSTM(8, 4, batch_first=True, bidirectional=True)])
def test_recurrent_layers_agree_with_torchinfo(layer):
    compare_with_torchinfo(nn.Sequential(layer), (5, 8))


def test_sequence_first_layers_show_the_shape_without_batch():
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.lstm(x.transpose(0, 1))[0]

    row = describe_layers(Turned(), (5, 8))[0]
    assert (row.input_shape, row.output_shape) == ((5, 8), (5, 4))


def test_a_layer_used_twice_is_counted_once():
    linear, relu = nn.Linear(4, 4), nn.ReLU()
    model = nn.Sequential(linear, relu, linear, relu)
    weight = linear.weight
    rows = describe_layers(model, (4,))
    assert [(row.name, row.parameters, row.mult_adds, row.note) for row in rows] == [
        ("0", 20, 20, ""), ("1", 0, 0, ""), ("2", 0, 20, "shared"), ("3", 0, 0, "used again")]
    assert linear.weight is weight
    assert not linear.weight.is_meta


class Calls(nn.Module):
    """Its parts one after the other, by name."""

    def __init__(self, *names: str, **parts: nn.Module) -> None:
        super().__init__()
        self.names = names
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        for name in self.names:
            x = self.get_submodule(name)(x)
        return x


def test_a_shared_layer_has_its_callers_name():
    """a(b(x)): the first call is b's, and has the 20 parameters."""
    lin = nn.Linear(4, 4)
    model = Calls("b", "a", a=Calls("lin", lin=lin), b=Calls("lin", lin=lin))
    rows = describe_layers(model, (4,))
    assert [(row.name, row.parameters, row.mult_adds, row.note) for row in rows] == [
        ("b.lin", 20, 20, ""), ("a.lin", 0, 20, "shared")]
    assert totals(rows).parameters == 20 and totals(rows).mult_adds == 40


def test_what_a_shared_block_does_not_call_is_listed_where_the_block_is_called():
    block = Calls("used", used=nn.Linear(4, 4), unused=nn.Linear(4, 2))
    model = Calls("b", a=Calls(inner=block), b=Calls("inner", "inner", inner=block))
    assert [(row.name, row.parameters, row.note) for row in describe_layers(model, (4,))] == [
        ("b.inner.used", 20, ""), ("b.inner.used", 0, "shared"), ("b.inner.unused", 10, "not used")]
    nobody = Calls("b", a=Calls(inner=block), b=Calls("relu", relu=nn.ReLU(), inner=block))
    assert [row.name for row in describe_layers(nobody, (4,))] == ["b.relu", "b.inner.used", "b.inner.unused"]


def test_a_shared_blocks_own_parameter_has_its_callers_name():
    class Scales(Calls):
        def __init__(self) -> None:
            super().__init__("relu", relu=nn.ReLU())
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * self.scale.sum()

    block = Scales()
    rows = describe_layers(Calls("b", "a", a=Calls("inner", inner=block), b=Calls("inner", inner=block)), (4,))
    assert [(row.name, row.parameters) for row in rows] == [("b.inner.scale", 3), ("b.inner.relu", 0), ("a.inner.relu", 0)]


def test_a_network_that_calls_itself():
    class Again(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(4, 4)

        def forward(self, x: Tensor, times: int = 3) -> Tensor:
            return self(self.lin(x), times - 1) if times else x

    rows = describe_layers(Again(), (4,))
    assert [(row.name, row.parameters) for row in rows] == [("lin", 20), ("lin", 0), ("lin", 0)]
    assert totals(rows).mult_adds == 60


def test_weights_used_by_a_function_beside_a_shared_call():
    class Uses(nn.Module):
        def __init__(self, lin: nn.Linear) -> None:
            super().__init__()
            self.lin = lin

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(x, self.lin.weight)

    lin = nn.Linear(4, 4)
    rows = describe_layers(Calls("a", "b", a=Uses(lin), b=Calls("lin", lin=lin)), (4,))
    assert [(row.name, row.parameters, row.note) for row in rows] == [("a", 16, ""), ("b.lin", 4, "shared with a")]
    rows = describe_layers(Calls("b", "a", a=Uses(lin), b=Calls("lin", lin=lin)), (4,))
    assert [(row.name, row.parameters, row.note) for row in rows] == [("b.lin", 20, ""), ("a", 0, "shared with b.lin")]


def test_a_block_that_does_nothing_is_no_layer():
    lin = nn.Linear(4, 4)
    model = Calls("full", "empty", full=Calls("lin", lin=lin), empty=Calls(lin=lin))
    assert [row.name for row in describe_layers(model, (4,))] == ["full.lin"]
    assert [stage.name for stage in walk(model, torch.rand(1, 4))] == ["image", "full.lin"]


def test_the_line_names_a_shared_layer_by_its_caller():
    lin = nn.Linear(4, 4)
    model = Calls("b", "wider", "a", a=Calls("lin", lin=lin), b=Calls("lin", lin=lin), wider=nn.Linear(4, 5))
    with pytest.raises(InspectionError, match=r"^a\.lin \(Linear\) received 5 features and needs 4$"):
        describe_layers(model, (4,))


def test_tied_weights_are_counted_once():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.out = nn.Embedding(10, 4), nn.Linear(4, 10)
            self.out.weight = self.words.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.words(x))

    model = Tied()
    rows = describe_layers(model, (6,))
    assert [(row.parameters, row.formula) for row in rows] == [(40, "10·4 = 40"), (10, "10 = 10")]
    assert rows[1].note == "shared with words; mult-adds of one of 6 positions"
    assert totals(rows).parameters == sum(parameter.numel() for parameter in model.parameters())
    assert model.out.weight is model.words.weight and isinstance(model.out.weight, nn.Parameter)


def test_frozen_parameters():
    model = build(CNNConfig(), (1, 28, 28), 10, seed=0)
    model.conv1.requires_grad_(False)
    model.fc1.bias.requires_grad_(False)
    rows = describe_layers(model, (1, 28, 28))
    assert (row_of(rows, "conv1").trainable, row_of(rows, "conv1").note) == (0, "frozen")
    assert (row_of(rows, "fc1").trainable, row_of(rows, "fc1").note) == (401_408, "partly frozen")
    assert totals(rows).trainable == sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_parametrized_layers_are_one_row(wrap):
    model = nn.Sequential(wrap(nn.Linear(4, 5)), nn.ReLU())
    rows = describe_layers(model, (4,))
    assert [row.kind for row in rows] == ["Linear", "ReLU"]
    assert rows[0].mult_adds == 25
    assert totals(rows).parameters == sum(parameter.numel() for parameter in model.parameters())


class Decides(nn.Module):
    """Needs real numbers to know what to do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2, momentum=None)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        x = self.norm(self.conv(x))
        torch.rand(3)
        return x if x.sum().item() > 1e9 else x.flatten(1)


def test_networks_that_need_numbers_are_run():
    model = Decides()
    before, state = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    rows = describe_layers(model, (1, 5, 5))
    assert [row.output_shape for row in rows] == [(2, 3, 3), (2, 3, 3)]
    assert [row.receptive_field for row in rows] == [None, None]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_scripted_networks_still_add_up():
    model = torch.jit.script(nn.Sequential(nn.Linear(4, 2), nn.ReLU()))
    assert totals(describe_layers(model, (4,))).parameters == 10


def test_huge_layers_need_no_memory():
    with torch.device("meta"):
        model = nn.Linear(100_000, 100_000)
    row = describe_layers(model, (100_000,))[0]
    assert row.parameters == 10_000_100_000
    assert row.weight_bytes == 4 * row.parameters


# The model is as it was

class Fails(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.conv(x)).view(-1, 17))


@pytest.mark.parametrize(("model", "shape"), [
    (build(CNNConfig(batch_norm=True, dropout=0.5), (1, 28, 28), 10, seed=0), (1, 28, 28)), (Fails(), (1, 28, 28)),
    (build(CNNConfig(batch_norm=True), (1, 28, 28), 10, seed=0), (1, 8, 8)), (Sequence(), (5, 8)), (Sequence(), (5, 9))])
def test_nothing_is_changed(model, shape):
    modules = list(model.modules())
    for number, module in enumerate(modules):
        module.training = number % 2 == 0
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    parameters = dict(model.named_parameters())
    values = {name: value.clone() for name, value in model.state_dict().items()}
    states = torch.get_rng_state(), random.getstate()
    try:
        describe_layers(model, shape)
    except InspectionError as error:
        assert "\n" not in str(error)
    assert [module.training for module in modules] == [number % 2 == 0 for number in range(len(modules))]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
    assert all(parameters[name] is parameter for name, parameter in model.named_parameters())
    assert all(torch.equal(parameter.grad, torch.ones_like(parameter)) for parameter in model.parameters())
    assert all(torch.equal(values[name], value) for name, value in model.state_dict().items())
    assert torch.equal(states[0], torch.get_rng_state()) and states[1] == random.getstate()


# What does not fit

@pytest.mark.parametrize(("model", "shape", "line"), [
    (build(CNNConfig(), (1, 28, 28), 10, seed=0), (1, 20, 20), "fc1 (Linear) received 1600 features and needs 3136"),
    (build(CNNConfig(), (1, 28, 28), 10, seed=0), (3, 28, 28), "conv1 (Conv2d) received 3 channels and needs 1"),
    (build(CNNConfig(), (1, 28, 28), 10, seed=0), (784,),
     "conv1 (Conv2d) received shape (784,) and needs channels, height and width"),
    (build(MLPConfig(), (1, 28, 28), 10, seed=0), (3, 28, 28), "fc1 (Linear) received 2352 features and needs 784"),
    (nn.Linear(784, 10), (1, 28, 28), "Linear received 28 features and needs 784; its input has shape (1, 28, 28), "
                                      "which a Flatten layer before it makes 784"),
    (nn.Sequential(nn.Conv2d(1, 2, 7)), (1, 5, 5), "0 (Conv2d) received 5×5 pixels, 5×5 with padding, and needs at least 7×7"),
    (nn.Sequential(nn.MaxPool2d(4)), (1, 3, 3), "0 (MaxPool2d) received 3×3 pixels and needs at least 4×4"),
    (nn.Sequential(nn.BatchNorm2d(4)), (3, 5, 5), "0 (BatchNorm2d) received 3 channels and needs 4"),
    (nn.Sequential(nn.LayerNorm(4)), (3,), "0 (LayerNorm) received 3 and needs 4 at the end"),
    (nn.Sequential(nn.LSTM(4, 4)), (6, 3), "0 (LSTM) received 3 features and needs a sequence of 4 features at each step"),
    (nn.Sequential(nn.LazyLinear(4)), (3,), "0 (LazyLinear) does not know its sizes yet; "
                                            "run one batch through the network first"),
    (Fails(), (1, 28, 28), "Fails received 2 examples of shape (1, 28, 28) and can't use it: "
                           "shape '[-1, 17]' is invalid for input of size 2704"),
    (nn.ReLU(), (0, 3), "(0, 3) is no shape of an example: sizes are whole numbers from 1"),
])
def test_the_line_says_what_does_not_fit(model, shape, line):
    with pytest.raises(InspectionError, match="^" + re.escape(line) + "$"):
        describe_layers(model, shape)


def test_the_rows_before_the_error_are_there():
    with pytest.raises(InspectionError) as caught:
        describe_layers(build(CNNConfig(), (1, 28, 28), 10, seed=0), (1, 20, 20))
    assert [row.name for row in caught.value.rows] == ["conv1", "pool1", "relu1", "conv2", "pool2", "relu2", "flatten"]


def test_a_layer_with_a_forward_of_its_own_is_not_judged():
    class PictureNorm(nn.LayerNorm):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.movedim(1, -1)).movedim(-1, 1)

    assert describe_layers(PictureNorm(3), (3, 4, 5))[0].output_shape == (3, 4, 5)


# Receptive fields

class Residual(nn.Module):
    """Two paths of different depth, added; then a branch that is put beside."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 5, padding=2)
        self.short = nn.Conv2d(2, 2, 1)
        self.last = nn.Conv2d(4, 2, 3, dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.two(self.one(x))) + self.short(x)
        return self.last(torch.cat([y, nn.functional.avg_pool2d(x, 3, 1, 1)], dim=1))


STACKS = {  # name: (network, its receptive fields by hand: r grows by (kernel - 1)·dilation·product of strides so far)
    "plain": (nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 5)), [3, 5, 9]),
    "strides": (nn.Sequential(nn.Conv2d(2, 2, 3, stride=2, padding=1), nn.AvgPool2d(2), nn.Conv2d(2, 2, 3, padding=1)),
                [3, 5, 13]),
    "dilation": (nn.Sequential(nn.Conv2d(2, 2, 3, dilation=2), nn.Conv2d(2, 2, 3, dilation=3, padding="same")), [5, 11]),
    "one_axis": (nn.Sequential(nn.Conv2d(2, 2, (3, 1)), nn.AvgPool2d((1, 4))), [(3, 1), (3, 4)]),
    "normalized": (nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(), nn.AvgPool2d(3, 2, 1)),
                   [3, 3, 3, 3, 5]),
    "padded": (nn.Sequential(nn.ZeroPad2d(2), nn.Conv2d(2, 2, 3, padding_mode="reflect", padding=1), nn.ReplicationPad2d(1)),
               [1, 3, 3]),
    "up": (nn.Sequential(nn.Conv2d(2, 2, 3, stride=2), nn.ConvTranspose2d(2, 2, 2, stride=2), nn.Upsample(scale_factor=2),
                         nn.Conv2d(2, 2, 3)), [3, 3, 3, 5]),
    "residual": (Residual(), [3, 7, 1, 11]),
}


def seen_by(model: nn.Module, layer: nn.Module, shape: tuple[int, ...], everywhere: bool = False) -> tuple[int, ...]:
    """Height and width of the input pixels that change one output pixel, found by gradients. Weights become positive.

    The middle output pixel is asked, or with `everywhere` the one that sees most.
    """
    outputs = {}
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.5)
    handle = layer.register_forward_hook(lambda module, args, output: outputs.update(out=output))
    picture = torch.ones(1, *shape, dtype=torch.float64, requires_grad=True)
    model.double().eval()(picture)
    handle.remove()
    height, width = outputs["out"].shape[2:]
    places = [(y, x) for y in range(height) for x in range(width)] if everywhere else [(height // 2, width // 2)]
    best = (0, 0)
    for y, x in places:
        gradient = torch.autograd.grad(outputs["out"][0, :, y, x].sum(), picture, retain_graph=True)[0]
        pixels = gradient[0].abs().sum(0).nonzero()
        spans = (pixels.max(0).values - pixels.min(0).values + 1).tolist()
        best = (max(best[0], spans[0]), max(best[1], spans[1]))
    model.float()
    return best


@pytest.mark.parametrize("name", STACKS)
def test_receptive_fields_by_hand_and_by_gradient(name):
    model, expected = STACKS[name]
    rows = describe_layers(model, (2, 32, 32))
    assert [row.receptive_field for row in rows] == expected
    modules = dict(model.named_modules())
    for row in rows:
        field = row.receptive_field if isinstance(row.receptive_field, tuple) else (row.receptive_field,) * 2
        assert seen_by(model, modules[row.name], (2, 32, 32), everywhere=name == "up") == field


@pytest.mark.parametrize("config", [CNNConfig(channels=(2, 2, 2), kernel=5, fc_width=0),
                                    CNNConfig(channels=(2, 2), kernel=4, head="global_average", fc_width=0)])
def test_a_field_is_never_larger_than_the_picture(config):
    """In a small picture the edges cut the field; gradients agree at the output pixel that sees most."""
    model = build(config, (1, 20, 26), 1, seed=0)
    rows = describe_layers(model, (1, 20, 26))
    for name, module in list(model.named_children()):
        if isinstance(module, nn.MaxPool2d):  # its gradient shows one of the four pixels, the mean's all of them
            setattr(model, name, nn.AvgPool2d(2))
    for row in (row for row in rows if row.receptive_field is not None):
        field = row.receptive_field if isinstance(row.receptive_field, tuple) else (row.receptive_field,) * 2
        assert seen_by(model, getattr(model, row.name), (1, 20, 26), everywhere=True) == field
    assert any(row.receptive_field == (20, 26) for row in rows)


def test_resnet_fields_as_published():
    """Araujo, Norris and Sim (2019) give 435 for ResNet-18's last convolution; here the picture is large enough."""
    import torchvision

    with torch.device("meta"):
        model = torchvision.models.resnet18(weights=None)
    rows = describe_layers(model, (3, 960, 960))
    assert [row_of(rows, name).receptive_field for name in
            ("conv1", "maxpool", "layer1.1.conv2", "layer2.1.conv2", "layer3.1.conv2", "layer4.1.conv2")] == [
                7, 11, 43, 99, 211, 435]
    assert row_of(rows, "layer2.0.downsample.0").receptive_field == 43


def test_no_field_where_it_is_not_defined():
    rows = describe_layers(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(2), nn.Linear(36, 36), nn.Unflatten(2, (6, 6)),
                                         nn.Conv2d(2, 1, 3)), (1, 8, 8))
    assert [row.receptive_field for row in rows] == [3, None, None, None, None]


class Overwrites(nn.Module):
    """Writes other pixels into a part of its tensor, behind the back of the name it reads later."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(x.clone())
        y[:, :, 1:] += self.conv(x)[:, :, :-1]
        return nn.functional.relu(self.relu(y))


def test_writing_in_place_is_not_overlooked():
    assert [row.receptive_field for row in describe_layers(Overwrites(), (1, 8, 8))] == [1, 3, None]


def test_one_dimension():
    rows = describe_layers(nn.Sequential(nn.Conv1d(2, 3, 5, stride=2), nn.MaxPool1d(2), nn.AvgPool1d(3)), (2, 50))
    assert [row.receptive_field for row in rows] == [5, 7, 15]
