"""Multilayer perceptron: linear layers with an activation between them."""

from collections import OrderedDict
from math import prod
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from core.fields import Config, setting
from core.models.base import Architecture, Shape, activation, which


class MLPConfig(Config):
    architecture: Literal["mlp"] = which("mlp")
    hidden: tuple[Annotated[int, Field(ge=1, le=16384)], ...] = setting(
        (50,), "Units in each hidden layer, first to last, such as 512, 512. More units can learn more and take longer.",
        label="Hidden layers", unit="units", max_length=16)
    activation: Literal["relu", "leaky_relu", "gelu", "sigmoid", "tanh", "softmax", "identity"] = setting(
        "relu", "What each hidden unit does with its sum; softmax shares 1 out among a layer's units. Without an activation "
        "(identity), any stack of linear layers is one linear layer.")
    dropout: float = setting(
        0.0, "Share of hidden units switched off at random in each training step, which makes it harder to memorise the "
        "images (overfit).",
        ge=0.0, le=0.95, step=0.05)


def build(config: MLPConfig, input_shape: Shape, outputs: int) -> nn.Module:
    """(N, *input_shape) → (N, outputs) logits. Layers are named fc1, fc2, … as in the classic notes."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())  # (N, C, H, W) → (N, C·H·W)
    width = prod(input_shape)
    for number, units in enumerate(config.hidden, start=1):
        layers[f"fc{number}"] = nn.Linear(width, units)
        layers[f"{config.activation}{number}"] = activation(config.activation)
        if config.dropout:
            layers[f"dropout{number}"] = nn.Dropout(config.dropout)
        width = units
    layers[f"fc{len(config.hidden) + 1}"] = nn.Linear(width, outputs)
    return nn.Sequential(layers)


MLP = Architecture(
    title="Multilayer perceptron (MLP)",
    short_title="MLP",
    summary="Every unit of a layer sees every unit of the one before. Good on small images, blind to where a pixel is.",
    config=MLPConfig,
    build=build,
)
