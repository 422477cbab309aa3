"""The layers that a stack is made of: each a config of what a person decides; what goes in is inferred from shapes.

To add one: write its config, name it in `PlainLayerConfig` and LAYERS, and say in `make` which module it is.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Discriminator
from torch import nn

from core.fields import Config, setting
from core.models.base import ModelError, Shape
from core.wording import percent

MOST_CHANNELS, MOST_UNITS, MOST_INSIDE = 8192, 10_000_000, 50  # bounds that keep every count of a stack below 2⁶³
WHICH = "Which layer it is."


class Conv2dConfig(Config):
    kind: Literal["conv2d"] = setting("conv2d", WHICH)
    out_channels: int = setting(32, "Filters: how many pictures the layer makes of what it receives.", label="Filters",
                                unit="filters", ge=1, le=MOST_CHANNELS, step=1)
    kernel: int = setting(3, "Height and width of the window that slides over the picture.", unit="pixels", ge=1, le=31, step=1)
    stride: int = setting(1, "How far the window moves each time. 2 halves height and width.", unit="pixels", ge=1, le=16, step=1)
    padding: int = setting(1, "Rows of zeros on each side. Half of an odd kernel keeps the size: 1 for 3, 2 for 5.",
                           unit="pixels", ge=0, le=15, step=1)
    bias: bool = setting(True, "Add one learned number to each filter's result. Not needed right before batch norm.")


class MaxPool2dConfig(Config):
    kind: Literal["max_pool2d"] = setting("max_pool2d", WHICH)
    kernel: int = setting(2, "Height and width of the window of which the largest number is kept.", unit="pixels",
                          ge=1, le=31, step=1)
    stride: int = setting(2, "How far the window moves each time; as far as it is wide leaves no overlap.", unit="pixels",
                          ge=1, le=31, step=1)
    padding: int = setting(0, "Rows added on each side, at most half of the window.", unit="pixels", ge=0, le=15, step=1)


class AvgPool2dConfig(Config):
    kind: Literal["avg_pool2d"] = setting("avg_pool2d", WHICH)
    kernel: int = setting(2, "Height and width of the window of which the mean is taken.", unit="pixels", ge=1, le=31, step=1)
    stride: int = setting(2, "How far the window moves each time; as far as it is wide leaves no overlap.", unit="pixels",
                          ge=1, le=31, step=1)
    padding: int = setting(0, "Rows of zeros on each side, at most half of the window.", unit="pixels", ge=0, le=15, step=1)


class AdaptiveAvgPool2dConfig(Config):
    kind: Literal["adaptive_avg_pool2d"] = setting("adaptive_avg_pool2d", WHICH)
    size: int = setting(1, "Height and width that come out, whatever goes in. 1 is global average pooling: one mean for each "
                        "channel.", unit="pixels", ge=1, le=256, step=1)


class FlattenConfig(Config):
    kind: Literal["flatten"] = setting("flatten", WHICH)


class LinearConfig(Config):
    kind: Literal["linear"] = setting("linear", WHICH)
    out_features: int = setting(128, "How many numbers come out. 0: as many as the question needs, which is one for each class, "
                                "or one for yes or no.", label="Units", unit="units", ge=0, le=MOST_UNITS, step=1)
    bias: bool = setting(True, "Add one learned number to each unit's sum.")


class BatchNorm1dConfig(Config):
    kind: Literal["batch_norm1d"] = setting("batch_norm1d", WHICH)


class BatchNorm2dConfig(Config):
    kind: Literal["batch_norm2d"] = setting("batch_norm2d", WHICH)


class DropoutConfig(Config):
    kind: Literal["dropout"] = setting("dropout", WHICH)
    share: float = setting(0.5, "Share of the numbers that is set to 0 at random in each training step. The others are divided "
                           "by 1 − share, so that their sum stays the same on average.",
                           ge=0.0, le=0.95, step=0.05)


class ReLUConfig(Config):
    kind: Literal["relu"] = setting("relu", WHICH)


class LeakyReLUConfig(Config):
    kind: Literal["leaky_relu"] = setting("leaky_relu", WHICH)
    slope: float = setting(0.01, "What numbers below 0 are multiplied by.", ge=0.0, le=1.0, step=0.01)


class GELUConfig(Config):
    kind: Literal["gelu"] = setting("gelu", WHICH)


class SigmoidConfig(Config):
    kind: Literal["sigmoid"] = setting("sigmoid", WHICH)


class TanhConfig(Config):
    kind: Literal["tanh"] = setting("tanh", WHICH)


class SoftmaxConfig(Config):
    kind: Literal["softmax"] = setting("softmax", WHICH)


PlainLayerConfig = Annotated[
    Conv2dConfig | MaxPool2dConfig | AvgPool2dConfig | AdaptiveAvgPool2dConfig | FlattenConfig | LinearConfig | BatchNorm1dConfig
    | BatchNorm2dConfig | DropoutConfig | ReLUConfig | LeakyReLUConfig | GELUConfig | SigmoidConfig | TanhConfig | SoftmaxConfig,
    Discriminator("kind")]


class ResidualConfig(Config):
    """Layers whose result is added to what they received."""

    kind: Literal["residual"] = setting("residual", WHICH)
    layers: tuple[PlainLayerConfig, ...] = setting(
        (Conv2dConfig(bias=False), BatchNorm2dConfig(), ReLUConfig(), Conv2dConfig(bias=False), BatchNorm2dConfig()),
        "The layers inside the block, first to last.", max_length=MOST_INSIDE)
    skip: Literal["identity", "projection"] = setting(
        "identity", "What is added to the result. identity: the input as it is, which must have the same shape. projection: the "
        "input through a 1×1 convolution (for a row of numbers a linear layer) that brings it to the result's shape.")


LayerConfig = Annotated[PlainLayerConfig | ResidualConfig, Discriminator("kind")]


@dataclass(frozen=True)
class LayerSpec:
    """One entry of LAYERS. prefix: of the layer's name in the network; alone: a first one of its kind has no number."""

    title: str
    summary: str
    config: type[LayerConfig]
    prefix: str
    alone: bool = False


LAYERS: dict[str, LayerSpec] = {
    "conv2d": LayerSpec("Conv2d", "Small filters slide over the picture; each makes a picture of where it fits.", Conv2dConfig,
                        "conv"),
    "max_pool2d": LayerSpec("MaxPool2d", "Keeps the largest number of each window: a smaller picture.", MaxPool2dConfig, "pool"),
    "avg_pool2d": LayerSpec("AvgPool2d", "Keeps the mean of each window: a smaller picture.", AvgPool2dConfig, "pool"),
    "adaptive_avg_pool2d": LayerSpec("AdaptiveAvgPool2d", "Means over as many windows as give the wanted size.",
                                     AdaptiveAvgPool2dConfig, "gap", alone=True),
    "flatten": LayerSpec("Flatten", "Writes a picture as one row of numbers, which linear layers need.", FlattenConfig, "flatten",
                         alone=True),
    "linear": LayerSpec("Linear", "Every unit sums all numbers it receives, each times its own weight.", LinearConfig, "fc"),
    "batch_norm1d": LayerSpec("BatchNorm1d", "Brings each number to mean 0 and standard deviation 1 within the batch.",
                              BatchNorm1dConfig, "bn"),
    "batch_norm2d": LayerSpec("BatchNorm2d", "Brings each channel to mean 0 and standard deviation 1 within the batch.",
                              BatchNorm2dConfig, "bn"),
    "dropout": LayerSpec("Dropout", "Switches numbers off at random while training, so that no unit relies on another.",
                         DropoutConfig, "dropout", alone=True),
    "relu": LayerSpec("ReLU", "Numbers below 0 become 0.", ReLUConfig, "relu"),
    "leaky_relu": LayerSpec("LeakyReLU", "Numbers below 0 become small instead of 0.", LeakyReLUConfig, "leaky_relu"),
    "gelu": LayerSpec("GELU", "A smooth ReLU.", GELUConfig, "gelu"),
    "sigmoid": LayerSpec("Sigmoid", "Squeezes every number between 0 and 1.", SigmoidConfig, "sigmoid"),
    "tanh": LayerSpec("Tanh", "Squeezes every number between −1 and 1.", TanhConfig, "tanh"),
    "softmax": LayerSpec("Softmax", "Shares that add up to 1. The cross-entropy loss already applies it.", SoftmaxConfig,
                         "softmax", alone=True),
    "residual": LayerSpec("Residual block", "Adds what a few layers make to what they received.", ResidualConfig, "residual"),
}


class Residual(nn.Module):
    """body(x) + skip(x), as in He et al. (2015), https://arxiv.org/abs/1512.03385; a ReLU after it is a layer of its own."""

    def __init__(self, body: nn.Sequential, skip: nn.Module) -> None:
        super().__init__()
        self.body, self.skip = body, skip

    def forward(self, x):  # (N, *received) → (N, *returned)
        return self.body(x) + self.skip(x)


def settings_of(layer: LayerConfig, outputs: int) -> str:
    """What a person decided for a layer, in a few words: "32 filters, 3×3, padding 1"; "" where there is nothing."""
    match layer:
        case Conv2dConfig() | MaxPool2dConfig() | AvgPool2dConfig():
            filters = f"{layer.out_channels:,} filters, " if isinstance(layer, Conv2dConfig) else ""
            usual = 1 if filters else layer.kernel
            parts = [f"{filters}{layer.kernel}×{layer.kernel}", f"stride {layer.stride}" if layer.stride != usual else "",
                     f"padding {layer.padding}" if layer.padding else "", "" if getattr(layer, "bias", True) else "no bias"]
            return ", ".join(part for part in parts if part)
        case AdaptiveAvgPool2dConfig():
            return f"to {layer.size}×{layer.size}"
        case LinearConfig():
            units = f"{layer.out_features:,} units" if layer.out_features else f"{outputs} for the answer"
            return units + ("" if layer.bias else ", no bias")
        case DropoutConfig():
            return percent(layer.share, 0)
        case LeakyReLUConfig():
            return f"slope {layer.slope:g}"
        case ResidualConfig():
            return "plus its input" if layer.skip == "identity" else "plus its input through a projection"
    return ""


def make(layer: PlainLayerConfig, received: Shape, outputs: int) -> nn.Module:
    """The module of one plain layer, for input of the shape `received` (without batch), which must fit."""
    match layer:
        case Conv2dConfig():
            return nn.Conv2d(received[0], layer.out_channels, layer.kernel, layer.stride, layer.padding, bias=layer.bias)
        case MaxPool2dConfig():
            return nn.MaxPool2d(layer.kernel, layer.stride, layer.padding)
        case AvgPool2dConfig():
            return nn.AvgPool2d(layer.kernel, layer.stride, layer.padding)
        case AdaptiveAvgPool2dConfig():
            return nn.AdaptiveAvgPool2d(layer.size)
        case FlattenConfig():
            return nn.Flatten()
        case LinearConfig():
            return nn.Linear(received[0], layer.out_features or outputs, bias=layer.bias)
        case BatchNorm1dConfig():
            return nn.BatchNorm1d(received[0])
        case BatchNorm2dConfig():
            return nn.BatchNorm2d(received[0])
        case DropoutConfig():
            return nn.Dropout(layer.share)
        case LeakyReLUConfig():
            return nn.LeakyReLU(layer.slope)
        case SoftmaxConfig():
            return nn.Softmax(dim=1)
    return {ReLUConfig: nn.ReLU, GELUConfig: nn.GELU, SigmoidConfig: nn.Sigmoid, TanhConfig: nn.Tanh}[type(layer)]()


def layer_of(module: nn.Module) -> LayerConfig:
    """The config that a stack builds `module` from. Raises ModelError for what no layer config describes."""
    if isinstance(module, Residual):
        return ResidualConfig(layers=tuple(map(_plain_layer_of, module.body)),
                              skip="identity" if isinstance(module.skip, nn.Identity) else "projection")
    return _plain_layer_of(module)


def _plain_layer_of(module: nn.Module) -> PlainLayerConfig:
    """The config that `make` builds `module` from. Raises ModelError."""
    match module:
        case nn.Conv2d(groups=1, dilation=(1, 1), padding_mode="zeros") if not isinstance(module.padding, str):
            return Conv2dConfig(out_channels=module.out_channels, kernel=_one(module.kernel_size), stride=_one(module.stride),
                                padding=_one(module.padding), bias=module.bias is not None)
        case nn.MaxPool2d(ceil_mode=False, dilation=1):
            return MaxPool2dConfig(kernel=_one(module.kernel_size), stride=_one(module.stride), padding=_one(module.padding))
        case nn.AvgPool2d(ceil_mode=False):
            return AvgPool2dConfig(kernel=_one(module.kernel_size), stride=_one(module.stride), padding=_one(module.padding))
        case nn.AdaptiveAvgPool2d():
            return AdaptiveAvgPool2dConfig(size=_one(module.output_size))
        case nn.Linear():
            return LinearConfig(out_features=module.out_features, bias=module.bias is not None)
        case nn.Dropout():
            return DropoutConfig(share=module.p)
        case nn.LeakyReLU():
            return LeakyReLUConfig(slope=module.negative_slope)
    plain = {nn.Flatten: FlattenConfig, nn.BatchNorm1d: BatchNorm1dConfig, nn.BatchNorm2d: BatchNorm2dConfig, nn.ReLU: ReLUConfig,
             nn.GELU: GELUConfig, nn.Sigmoid: SigmoidConfig, nn.Tanh: TanhConfig, nn.Softmax: SoftmaxConfig}
    if type(module) not in plain:
        raise ModelError(f"{type(module).__name__} is no layer that a composed network can have.")
    return plain[type(module)]()


def _one(value: int | tuple[int | None, ...] | None) -> int:
    """3 for 3 and for (3, 3). Raises ModelError for a window that is not square, and for None, a size that is left as it is."""
    one, *others = set(value) if isinstance(value, tuple) else {value}
    if others or one is None:
        raise ModelError(f"{value} is not square, as a composed network's windows are.")
    return one
