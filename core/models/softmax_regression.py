"""Softmax regression: one linear layer from pixels to classes, the smallest classifier there is."""

from collections import OrderedDict
from math import prod
from typing import Literal

from torch import nn

from core.fields import Config
from core.models.base import Architecture, Shape, which


class SoftmaxRegressionConfig(Config):
    architecture: Literal["softmax_regression"] = which("softmax_regression")


def build(config: SoftmaxRegressionConfig, input_shape: Shape, outputs: int) -> nn.Module:
    """(N, *input_shape) → (N, outputs) logits; the loss applies the softmax."""
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), fc1=nn.Linear(prod(input_shape), outputs)))


SOFTMAX_REGRESSION = Architecture(
    title="Softmax regression",
    short_title="Softmax regression",
    summary="One weight for each pixel and class, nothing hidden. The baseline every network should beat.",
    config=SoftmaxRegressionConfig,
    build=build,
)
