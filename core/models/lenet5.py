"""LeNet-5 (LeCun et al., 1998): two convolutions and three linear layers, the network that read cheques."""

from collections import OrderedDict
from typing import Literal

from torch import nn

from core.fields import Config, setting
from core.models.base import ACTIVATIONS, Architecture, ModelError, Shape, which

PAPER_SIDE = 32  # the paper's pictures: digits of 28×28 with a border of 2


class LeNet5Config(Config):
    architecture: Literal["lenet5"] = which("lenet5")
    activation: Literal["tanh", "relu", "sigmoid"] = setting(
        "tanh", "What each unit does with its sum. The paper uses tanh; ReLU is more usual.")
    pooling: Literal["average", "max"] = setting(
        "average", "What becomes of every 2×2 pixels: their mean, close to the paper's subsampling, or their largest.")


def build(config: LeNet5Config, input_shape: Shape, outputs: int) -> nn.Module:
    """(N, C, H, W) → (N, outputs) logits; 61,706 parameters for one channel at 28×28 or 32×32 and ten classes.

    As usually written today: every filter sees all pictures of the layer before, subsampling has no weights, and the last
    layer is linear. Pictures smaller than the paper's 32×32 get a border of 2 zeros, which gives MNIST the paper's size.

    Raises:
        ModelError: the picture is smaller than 12×12, or has no height and width.
    """
    if len(input_shape) != 3:
        raise ModelError(f"LeNet-5 needs pictures (channels, height, width), not shape {input_shape}; choose an MLP.")
    channels, height, width = input_shape
    padding = 2 if min(height, width) < PAPER_SIDE else 0
    height, width = (((length + 2 * padding - 4) // 2 - 4) // 2 for length in (height, width))
    if min(height, width) < 1:
        raise ModelError(f"LeNet-5 shrinks a {input_shape[1]}×{input_shape[2]} picture to nothing; it needs at least "
                         "12×12 pixels.")
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (filters, border) in enumerate(((6, padding), (16, 0)), start=1):
        layers[f"conv{number}"] = nn.Conv2d(channels, filters, 5, padding=border)
        layers[f"{config.activation}{number}"] = ACTIVATIONS[config.activation]()
        layers[f"pool{number}"] = nn.AvgPool2d(2) if config.pooling == "average" else nn.MaxPool2d(2)
        channels = filters
    layers["flatten"] = nn.Flatten()  # (N, 16, H, W) → (N, 16·H·W), 400 as in the paper
    features = channels * height * width
    for number, units in enumerate((120, 84), start=1):
        layers[f"fc{number}"] = nn.Linear(features, units)
        layers[f"{config.activation}{number + 2}"] = ACTIVATIONS[config.activation]()
        features = units
    layers["fc3"] = nn.Linear(features, outputs)
    return nn.Sequential(layers)


LENET5 = Architecture(
    title="LeNet-5",
    short_title="LeNet-5",
    summary="The classic of 1998, made for handwritten digits: small, and in its paper it misread 0.95 % of MNIST's test images.",
    config=LeNet5Config,
    build=build,
)
