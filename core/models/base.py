"""What every architecture's config and module share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import nn

from core.fields import Config, setting

Shape = tuple[int, ...]
ConfigT = TypeVar("ConfigT", bound=Config)


class ModelError(ValueError):
    """A network that can't be built for this input; the message says what to change."""


@dataclass(frozen=True)
class Architecture(Generic[ConfigT]):
    """One entry of ARCHITECTURES, for one kind of config.

    takes: the kinds of data it can read. torchvision: by a config of it, what torchvision calls the network whose weights fit;
    None where it has none.
    """

    title: str
    short_title: str
    summary: str
    config: type[ConfigT]
    build: Callable[[ConfigT, Shape, int], nn.Module]  # (config, input_shape (C, H, W), outputs)
    takes: tuple[str, ...] = ("images", "points")
    torchvision: Callable[[ConfigT], str] | None = None


def which(name: str) -> Any:
    """The field that says which architecture a config is for."""
    return setting(name, "The kind of network: what its layers are and how they are connected.", label="Architecture")


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softmax": nn.Softmax,
    "identity": nn.Identity,
}


def activation(name: str) -> nn.Module:
    """One of ACTIVATIONS, for rows of numbers (N, units): a softmax shares 1 out among the units of each row."""
    return nn.Softmax(dim=1) if name == "softmax" else ACTIVATIONS[name]()
