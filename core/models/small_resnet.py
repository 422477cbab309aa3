"""A small residual network: blocks whose result is added to what they received (He et al., 2015)."""

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from core.fields import Config, setting
from core.models.base import Architecture, ModelError, Shape, which
from core.models.layers import (
    AdaptiveAvgPool2dConfig,
    BatchNorm2dConfig,
    Conv2dConfig,
    FlattenConfig,
    LayerConfig,
    LinearConfig,
    ReLUConfig,
    ResidualConfig,
)
from core.models.stack import StackConfig
from core.models.stack import build as build_stack


class SmallResNetConfig(Config):
    architecture: Literal["small_resnet"] = which("small_resnet")
    channels: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = setting(
        (16, 32, 64), "Filters in each stage, first to last. Each stage after the first halves the picture's height and width.",
        label="Channels", unit="filters", min_length=1, max_length=6)
    blocks: int = setting(1, "Residual blocks in each stage; each has two convolutions.", unit="blocks", ge=1, le=4, step=1,
                          label="Blocks for each stage")


def build(config: SmallResNetConfig, input_shape: Shape, outputs: int) -> nn.Module:
    """(N, C, H, W) → (N, outputs) logits; the layout of the paper's networks for 32×32 pictures, section 4.2.

    A 3×3 convolution, then stages of blocks (3×3 convolution, batch norm, ReLU, 3×3 convolution, batch norm; plus the input;
    ReLU), one mean for each channel, one linear layer. Where the shape changes, the input goes through a 1×1 convolution.

    Raises:
        ModelError: the input has no height and width.
    """
    if len(input_shape) != 3:
        raise ModelError(f"A residual network needs pictures (channels, height, width), not shape {input_shape}; choose an MLP.")
    return build_stack(layers_of(config), input_shape, outputs)


def layers_of(config: SmallResNetConfig) -> StackConfig:
    """The network as a composition."""
    layers: list[LayerConfig] = [_convolution(config.channels[0]), BatchNorm2dConfig(), ReLUConfig()]
    for stage, filters in enumerate(config.channels):
        for block in range(config.blocks):
            shrinks = stage > 0 and block == 0
            inside = (_convolution(filters, 2 if shrinks else 1), BatchNorm2dConfig(), ReLUConfig(), _convolution(filters),
                      BatchNorm2dConfig())
            layers += [ResidualConfig(layers=inside, skip="projection" if shrinks else "identity"), ReLUConfig()]
    return StackConfig(layers=(*layers, AdaptiveAvgPool2dConfig(), FlattenConfig(), LinearConfig(out_features=0)))


def _convolution(filters: int, stride: int = 1) -> Conv2dConfig:
    return Conv2dConfig(out_channels=filters, stride=stride, bias=False)  # batch norm after it adds its own


SMALL_RESNET = Architecture(
    title="Small residual network",
    short_title="Small ResNet",
    summary="Convolutions whose result is added to what they received, so that depth does not get in the way of learning.",
    config=SmallResNetConfig,
    build=build,
)
