"""What a network may get to see of a point in the plane besides its two coordinates.

To add one: name it in Feature in core/config.py and in FEATURES at the foot of this module.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Feature:
    """One entry of FEATURES. value: points (N, 2) → (N,). code: the same as Python text, of a tensor `points`."""

    title: str
    value: Callable[[Tensor], Tensor]
    code: str


def as_features(points: Tensor, names: Sequence[str]) -> Tensor:
    """Points (N, 2) float → (N, len(names)) float, in that order; what a network of a DataConfig with these features takes."""
    return torch.stack([FEATURES[name].value(points) for name in names], dim=1)


FEATURES: dict[str, Feature] = {
    "x1": Feature("x₁", lambda points: points[:, 0], "points[:, 0]"),
    "x2": Feature("x₂", lambda points: points[:, 1], "points[:, 1]"),
    "x1_squared": Feature("x₁²", lambda points: points[:, 0].square(), "points[:, 0].square()"),
    "x2_squared": Feature("x₂²", lambda points: points[:, 1].square(), "points[:, 1].square()"),
    "x1_x2": Feature("x₁·x₂", lambda points: points[:, 0] * points[:, 1], "points[:, 0] * points[:, 1]"),
    "sin_x1": Feature("sin x₁", lambda points: points[:, 0].sin(), "points[:, 0].sin()"),
    "sin_x2": Feature("sin x₂", lambda points: points[:, 1].sin(), "points[:, 1].sin()"),
}
