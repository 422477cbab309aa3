"""A network that a person composes: a list of layers, built in order. What each layer takes is inferred from shapes."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from pydantic import model_validator
from torch import nn

from core.errors import reason
from core.fields import Config, setting
from core.models.base import Architecture, ModelError, Shape, which
from core.models.layers import (
    LAYERS,
    AdaptiveAvgPool2dConfig,
    AvgPool2dConfig,
    BatchNorm1dConfig,
    BatchNorm2dConfig,
    Conv2dConfig,
    FlattenConfig,
    LayerConfig,
    LinearConfig,
    MaxPool2dConfig,
    PlainLayerConfig,
    ReLUConfig,
    Residual,
    ResidualConfig,
    make,
)

MOST_LAYERS = 200  # with those inside residual blocks
BATCH = 2  # for shapes; batch norm needs two
PICTURE_LAYERS = (Conv2dConfig, MaxPool2dConfig, AvgPool2dConfig, AdaptiveAvgPool2dConfig, BatchNorm2dConfig)
ROW_LAYERS = (LinearConfig, BatchNorm1dConfig)
WINDOWS = (Conv2dConfig, MaxPool2dConfig, AvgPool2dConfig)
POOLS = (MaxPool2dConfig, AvgPool2dConfig)
RESHAPE = (*WINDOWS, AdaptiveAvgPool2dConfig, FlattenConfig, LinearConfig)  # all others return the shape they receive


class StackConfig(Config):
    """A composed network. Edit it with core.models.composer, which also says what is wrong with it."""

    architecture: Literal["stack"] = which("stack")
    layers: tuple[LayerConfig, ...] = setting(
        (FlattenConfig(), LinearConfig(), ReLUConfig(), LinearConfig(out_features=0)),
        "The layers, first to last.", max_length=MOST_LAYERS)

    @model_validator(mode="after")
    def _not_too_many(self) -> "StackConfig":
        if (count := count_layers(self.layers)) > MOST_LAYERS:
            raise ValueError(f"a network has at most {MOST_LAYERS} layers, and this one {count}")
        return self


@dataclass(frozen=True)
class LayerMisfit:
    """Why a layer can't take a shape. `needs` completes "received 64×7×7 and needs …"."""

    code: Literal["picture", "row", "window", "padding", "size"]
    needs: str


def build(config: StackConfig, input_shape: Shape, outputs: int) -> nn.Sequential:
    """(N, *input_shape) → (N, outputs). Layers are named by what they are, conv1, relu1, fc1, …; see `named`.

    The same seed gives the same weights as the architecture that the layers come from: they are drawn in the same order.

    Raises:
        ModelError: a layer does not fit what it receives, or what comes out is not `outputs` numbers; the line names the row.
    """
    plan = _plan(config.layers, tuple(input_shape), outputs, "")
    if not plan:
        raise ModelError("The network has no layers yet: add Flatten and Linear.")
    if plan[-1].returned != (outputs,):
        raise ModelError(f"Row {len(plan)} ({title(config.layers[-1])}) returns {size(plan[-1].returned)}, and {outputs} "
                         f"number{'s are' if outputs > 1 else ' is'} needed at the end: set the units of the last linear layer.")
    return _sequential(plan, outputs)


@dataclass(frozen=True)
class _Planned:
    """A layer with what it receives and returns."""

    layer: LayerConfig
    received: Shape
    returned: Shape
    inside: tuple["_Planned", ...] = ()


def _plan(layers: Iterable[LayerConfig], shape: Shape, outputs: int, above: str) -> tuple[_Planned, ...]:
    """All layers with their shapes. Raises ModelError for the first that does not fit."""
    plan = []
    for number, layer in enumerate(layers, start=1):
        row = f"{above}{number}"
        if problem := misfit(layer, shape):
            raise ModelError(f"Row {row} ({title(layer)}) received {size(shape)} and needs {problem.needs}.")
        inside = _plan(layer.layers, shape, outputs, f"{row}.") if isinstance(layer, ResidualConfig) else ()
        try:
            if isinstance(layer, ResidualConfig):
                returned = inside[-1].returned if inside else shape
                check_skip(layer, shape, returned)
            else:
                returned = probe(layer, shape, outputs).returned
        except ModelError as error:
            raise ModelError(f"Row {row} ({title(layer)}) {error}") from None
        plan.append(_Planned(layer, shape, returned, inside))
        shape = returned
    return tuple(plan)


def misfit(layer: LayerConfig, shape: Shape) -> LayerMisfit | None:
    """Why a layer can't take `shape` (without batch); None where it can. Of a residual block, nothing of what is inside."""
    if isinstance(layer, PICTURE_LAYERS) and len(shape) != 3:
        return LayerMisfit("picture", "a picture: channels × height × width")
    if isinstance(layer, ROW_LAYERS) and len(shape) != 1:
        return LayerMisfit("row", "one row of numbers, as Flatten makes it")
    if isinstance(layer, POOLS) and layer.padding > layer.kernel // 2:
        return LayerMisfit("padding", f"at most {layer.kernel // 2} pixels of padding for a {layer.kernel}×{layer.kernel} "
                                      f"window, not {layer.padding}")
    if isinstance(layer, WINDOWS) and min(shape[1:]) + 2 * layer.padding < layer.kernel:
        with_padding = f" with its padding of {layer.padding}" if layer.padding else ""
        return LayerMisfit("window", f"at least {layer.kernel}×{layer.kernel} pixels{with_padding}")
    return None


@dataclass(frozen=True)
class Probe:
    """What a layer does with a shape."""

    returned: Shape  # without batch
    parameters: int


def probe(layer: PlainLayerConfig, received: Shape, outputs: int) -> Probe:
    """Try a plain layer that fits on the meta device, where nothing is computed or allocated.

    Raises:
        ModelError: the result has more numbers than PyTorch can count; the line completes "Row 3 (Linear) …".
    """
    try:
        with torch.device("meta"), torch.no_grad():
            module = make(layer, received, outputs).eval()
            # what keeps the shape is not tried: batch norm alone takes 2 ms on the meta device
            returned = tuple(module(torch.empty(BATCH, *received)).shape[1:]) if isinstance(layer, RESHAPE) else received
    except (RuntimeError, OverflowError) as error:
        raise ModelError(f"received {size(received)} and can't work with it: {reason(error)}") from None
    return Probe(returned, sum(parameter.numel() for parameter in module.parameters()))


def check_skip(layer: ResidualConfig, received: Shape, returned: Shape) -> int:
    """How many parameters the way around a block has. Raises ModelError where it does not lead to the shape `returned`."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in _skip(layer, received, returned).parameters())


def _skip(layer: ResidualConfig, received: Shape, returned: Shape) -> nn.Module:
    """The way around a block. Raises ModelError where it does not lead to the same shape."""
    if layer.skip == "identity":
        if received != returned:
            raise ModelError(f"received {size(received)} and makes {size(returned)} of it; the two can only be added "
                             "where they are alike, or where the skip is a projection.")
        return nn.Identity()
    if len(received) == len(returned) == 1:
        return nn.Linear(received[0], returned[0], bias=False)
    stride = projection_stride(received, returned)
    if not stride:
        raise ModelError(f"received {size(received)} and makes {size(returned)} of it; a 1×1 convolution can't bring one to the "
                         "other.")
    return nn.Conv2d(received[0], returned[0], 1, stride, bias=False)


def projection_stride(received: Shape, returned: Shape) -> int | None:
    """The stride with which a 1×1 convolution gives the block's height and width; None where there is none."""
    if len(received) != 3 or len(returned) != 3:
        return None
    for stride in range(1, max(received[1:]) + 1):
        if all((before - 1) // stride + 1 == after for before, after in zip(received[1:], returned[1:], strict=True)):
            return stride
    return None


def _sequential(plan: Sequence[_Planned], outputs: int) -> nn.Sequential:
    """The modules, in order: what is inside a block before its skip, as a seed draws them."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for name, row in zip(named(row.layer for row in plan), plan, strict=True):
        if isinstance(row.layer, ResidualConfig):
            modules[name] = Residual(_sequential(row.inside, outputs), _skip(row.layer, row.received, row.returned))
        else:
            modules[name] = make(row.layer, row.received, outputs)
    return nn.Sequential(modules)


def named(layers: Iterable[LayerConfig]) -> list[str]:
    """Names as in the classic notes: conv1, bn1, pool1, relu1, flatten, fc1, dropout, fc2. Counted for each kind of name."""
    counts: dict[str, int] = {}
    names = []
    for layer in layers:
        spec = LAYERS[layer.kind]
        number = counts[spec.prefix] = counts.get(spec.prefix, 0) + 1
        names.append(spec.prefix if spec.alone and number == 1 else f"{spec.prefix}{number}")
    return names


def count_layers(layers: Iterable[LayerConfig]) -> int:
    """How many layers there are, with those inside residual blocks."""
    return sum(1 + (len(layer.layers) if isinstance(layer, ResidualConfig) else 0) for layer in layers)


def title(layer: LayerConfig) -> str:
    """What a layer is called: "Conv2d"."""
    return LAYERS[layer.kind].title


def size(shape: Shape) -> str:
    """(64, 7, 7) → "64×7×7"; (128,) → "128 numbers"."""
    if len(shape) == 1:
        return f"{shape[0]:,} number{'s' * (shape[0] != 1)}"
    return "×".join(map(str, shape)) or f"{prod(shape)} number"


STACK = Architecture(
    title="Composed network",
    short_title="Composed network",
    summary="Layers of your own choice, in your order.",
    config=StackConfig,
    build=build,
)
