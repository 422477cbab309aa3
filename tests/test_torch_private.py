"""Each private part of PyTorch is taken away or answers otherwise: the same numbers come out, if more slowly."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

import core.torchvision_guard  # noqa: F401 - torchvision comes after it
from core import torch_private
from core.config import AdamConfig
from core.inspection import describe_layers, walk
from core.labs.in_place import CASES, run_case
from core.layers import kinds
from core.models import ARCHITECTURES, build
from core.presets import PRESETS
from core.torch_private import (
    amx_tiles,
    contents_mark,
    each_operation,
    forward_hooks,
    has_adam_step,
    has_onednn_linear,
    onednn_linear,
    signature_of,
)
from core.training.dense import chain_of
from core.training.inference import private_copy
from core.training.optimizers import Stepper, build_optimizer


@pytest.fixture
def asked_anew():
    """What is found out once is found out again, in the test and after it."""
    has_adam_step.cache_clear()
    yield
    has_adam_step.cache_clear()


# Adam

def trained(sometimes: bool = False, stepper: bool = True) -> tuple[list[float], dict[str, list[float]]]:
    """Weights and state after ten steps. sometimes: one of the weights has a gradient in every second step only."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    optimizer = build_optimizer(AdamConfig(learning_rate=0.01, weight_decay=0.1), model.parameters())
    stepping = Stepper(optimizer) if stepper else optimizer
    for number in range(10):
        stepping.zero_grad()
        model(torch.randn(8, 4)).square().sum().backward()
        if sometimes and number % 2:
            model[0].bias.grad = None
        stepping.step()
    state = {f"{number}.{name}": value.flatten().tolist() for number, entry in enumerate(optimizer.state.values())
             for name, value in entry.items()}
    return nn.utils.parameters_to_vector(model.parameters()).tolist(), state


@pytest.mark.parametrize("sometimes", [False, True])
def test_steps_are_those_of_pytorch(sometimes):
    assert has_adam_step(), "with this version of PyTorch training is slower; see core.torch_private"
    assert trained(sometimes) == trained(sometimes, stepper=False)


class OtherTorch:
    """PyTorch as core.torch_private sees it, with another kernel, or none. PyTorch's own optimizers keep theirs."""

    def __init__(self, kernel: Callable[..., None] | None) -> None:
        self.kernel = kernel

    def __getattr__(self, name: str) -> object:
        if name != "_fused_adam_":
            return getattr(torch, name)
        if self.kernel is None:
            raise AttributeError(name)
        return self.kernel


def otherwise(*given):
    """Takes no names any more."""


def counting(*given, **named):
    """Counts the steps itself, as a later version might."""
    torch._fused_adam_(*given, **named)
    for count in given[5]:
        count.add_(1)


@pytest.mark.parametrize("kernel", [None, otherwise, counting])
def test_adam_without_its_kernel(kernel, monkeypatch, asked_anew):
    expected = trained()
    monkeypatch.setattr(torch_private, "torch", OtherTorch(kernel))
    has_adam_step.cache_clear()
    assert trained() == expected
    assert not has_adam_step()


# oneDNN's product

@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch is built without oneDNN")
def test_onednn_multiplies_in_any_strides():
    assert has_onednn_linear(), "with this version of PyTorch wide linear layers train slower; see core.torch_private"
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*shape, generator=generator) for shape in ((9, 33), (17, 33), (17,)))
    for given in ((x, weight, bias), (x, weight, None), (x.t().contiguous().t(), weight.t().contiguous().t(), bias)):
        torch.testing.assert_close(onednn_linear(*given), nn.functional.linear(*given))


@pytest.mark.parametrize("found", [None, otherwise, lambda x, weight, *others: nn.functional.linear(x, weight)])
def test_without_onednns_product(found, monkeypatch):
    """It is gone, takes other arguments, or does another thing: here it forgets the bias."""
    class Operators:
        class mkldnn:
            if found is not None:
                _linear_pointwise = staticmethod(found)

    monkeypatch.setattr(torch, "ops", Operators)
    assert not has_onednn_linear.__wrapped__()


# AMX

def test_where_nothing_is_said_of_amx(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert amx_tiles()
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert not amx_tiles()


# Changes in place

class Overwriting(nn.Module):
    """Changes a layer's result and a buffer in place, outside of any layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 3), nn.Linear(3, 2)
        self.register_buffer("calls", torch.zeros(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        return self.second(self.first(x.flatten(1)).mul_(2))


def stages(model: nn.Module, shape: tuple[int, ...]) -> list[tuple]:
    return [(stage.name, stage.kind, stage.source, stage.values.tolist()) for stage in walk(model, torch.rand(2, *shape))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_a_change_is_seen_in_the_values(dtype, monkeypatch):
    monkeypatch.setattr(torch_private, "in_place_changes", lambda tensor: None)
    tensor = torch.zeros(3, 2, dtype=dtype).t()
    before = contents_mark(tensor)
    assert contents_mark(tensor) == before
    tensor[1, 1] = 1
    assert contents_mark(tensor) != before
    assert contents_mark(tensor[1, 1]) != contents_mark(tensor[0, 0]), "numbers without dimensions too"


def test_a_walk_without_counted_changes(monkeypatch):
    models = [(Overwriting().eval(), (1, 2, 2)), (build(PRESETS["mnist-cnn-fast"].config.model, (1, 28, 28), 10), (1, 28, 28))]
    for model, shape in models:
        with monkeypatch.context() as patch:
            torch.manual_seed(0)
            expected = stages(model, shape)
            patch.setattr(torch_private, "in_place_changes", lambda tensor: None)
            torch.manual_seed(0)
            assert stages(model, shape) == expected
    assert not models[0][0].calls.any(), "buffers are put back"


def test_the_lab_on_changes_in_place_without_counts(monkeypatch):
    expected = {name: run_case(name) for name in CASES}
    monkeypatch.setattr("core.labs.in_place.in_place_changes", lambda tensor: None)
    for name in CASES:
        assert run_case(name) == replace(expected[name], version=None)


# Hooks

def test_a_copy_where_hooks_are_kept_otherwise(monkeypatch):
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].register_forward_hook(lambda module, given, result: result + 1)
    assert [len(hooks) for hooks in forward_hooks(model[0])] == [1, 0]
    expected = private_copy(model)(torch.ones(1, 2))
    monkeypatch.setattr("core.training.inference.forward_hooks", lambda module: [])
    assert torch.equal(private_copy(model)(torch.ones(1, 2)), expected)
    plain = copy.copy(model[0])
    del plain.__dict__["_forward_hooks"], plain.__dict__["_forward_pre_hooks"]
    assert forward_hooks(plain) == []


# Operations

NETWORKS = [(name, (3, 64, 64) if name in {"resnet18", "vgg16", "mobilenet_v3_small"} else (1, 28, 28))
            for name in ARCHITECTURES if name != "text_embedding"]


def table(name: str, shape: tuple[int, ...]) -> list:
    config = ARCHITECTURES[name].config()
    with torch.device("meta"):
        return describe_layers(build(config, shape, 10), shape)


def without_fields(rows: list) -> list:
    return [replace(row, receptive_field=None) for row in rows]


class Unused(nn.Module):
    """Weights used without being called, called and not used, and one whose shape alone is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.left = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(3, 3)
        self.scale, self.idle = nn.Parameter(torch.ones(8)), nn.Parameter(torch.ones(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(2).transpose(1, 2) * self.scale
        return self.attention(x, x, x)[0].sum(1)[:, :self.idle.shape[0]]


@pytest.mark.parametrize(("name", "shape"), NETWORKS)
def test_layers_where_single_operations_can_not_be_watched(name, shape, monkeypatch):
    """All of the table but its receptive fields."""
    expected = table(name, shape)
    monkeypatch.delattr("torch.utils._python_dispatch.TorchDispatchMode")
    found = table(name, shape)
    assert found == without_fields(expected)


def test_which_weights_are_used_where_single_operations_can_not_be_watched(monkeypatch):
    expected = describe_layers(Unused(), (8, 4, 4))
    assert {row.name: row.note for row in expected}["idle"] == "not used"
    monkeypatch.delattr("torch.utils._python_dispatch.TorchDispatchMode")
    assert without_fields(describe_layers(Unused(), (8, 4, 4))) == without_fields(expected)


@pytest.mark.parametrize(("name", "shape"), [network for network in NETWORKS if network[0] in {"cnn", "lenet5", "small_resnet"}])
def test_layers_where_operations_do_not_say_their_arguments(name, shape, monkeypatch):
    expected = table(name, shape)
    assert any(row.receptive_field for row in expected)
    monkeypatch.setattr("core.layers.receptive_field.signature_of", lambda operation: signature_of(None))
    found = table(name, shape)
    assert found == without_fields(expected)


class Averaging(nn.Module):
    """Writes over its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.copy_(x.mean((2, 3), keepdim=True).expand_as(x))


def test_what_an_unknown_operation_may_have_written_to_is_unknown(monkeypatch):
    model = nn.Sequential(Averaging(), nn.Identity())
    assert [row.receptive_field for row in describe_layers(model, (1, 4, 4))] == [4, 4]
    monkeypatch.setattr("core.layers.receptive_field.signature_of", lambda operation: signature_of(None))
    assert [row.receptive_field for row in describe_layers(model, (1, 4, 4))] == [None, None]


def test_each_operation_is_carried_out_once_by_the_handler(monkeypatch):
    seen = []

    def handler(operation, given, named):
        seen.append(signature_of(operation))
        return operation(*given, **named)

    weight = torch.ones(2, 2)
    with each_operation(handler):
        assert torch.equal(nn.functional.linear(weight, weight), torch.full((2, 2), 2.0))
    assert {"mm", "t"} <= {signature.name for signature in seen}
    add = signature_of(torch.ops.aten.add_.Tensor)
    assert (add.name, list(add.defaults), add.written, add.mutable) == ("add_", ["self", "other", "alpha"], ("self",), True)
    seen.clear()
    monkeypatch.delattr("torch.utils._python_dispatch.TorchDispatchMode")
    with each_operation(handler):
        assert torch.equal(nn.functional.linear(weight, weight), torch.full((2, 2), 2.0))
    assert seen and set(seen) == {None}


# Kinds of layers

@pytest.mark.parametrize(("ours", "base"), [
    (kinds.Convolution, nn.Conv2d.__mro__[1]), (kinds.TransposedConvolution, nn.ConvTranspose2d.__mro__[1]),
    (kinds.BatchNorm, nn.BatchNorm2d.__mro__[1]), (kinds.InstanceNorm, nn.InstanceNorm2d.__mro__[1]),
    (kinds.AdaptivePool, (nn.AdaptiveAvgPool2d.__mro__[1], nn.AdaptiveMaxPool2d.__mro__[1])),
], ids=["convolution", "transposed", "batch norm", "instance norm", "adaptive pool"])
def test_kinds_hold_all_layers_with_the_base_that_they_share(ours, base):
    layers = [layer for layer in vars(nn).values() if isinstance(layer, type)]
    theirs = {layer for layer in layers if issubclass(layer, base)}
    assert len(theirs) >= 3 and {layer for layer in layers if issubclass(layer, ours)} == theirs


# Chains without autograd

def test_where_hooks_are_kept_otherwise_autograd_does_every_step(monkeypatch):
    model = nn.Sequential(nn.Linear(2, 2))
    assert chain_of(model) is not None
    monkeypatch.setattr("core.training.dense.forward_hooks", lambda module: [])
    assert chain_of(model) is None
