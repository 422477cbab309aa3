"""What a network has learned from a few new images, and what it has forgotten meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from core.evaluation.predictions import Predictions


@dataclass(frozen=True)
class Change:
    """Right answers before and after on the same images. lost: right before and wrong after; gained: the reverse."""

    images: int
    before: int
    after: int
    lost: int
    gained: int


def change(right_before: np.ndarray, right_after: np.ndarray) -> Change:
    """From (N,) bool for each of the same N images."""
    before, after = np.asarray(right_before, bool), np.asarray(right_after, bool)
    return Change(len(before), int(before.sum()), int(after.sum()), int((before & ~after).sum()), int((~before & after).sum()))


def change_on_images(before: Callable[[Tensor], Tensor], after: Callable[[Tensor], Tensor], images: Tensor,
                     labels: Tensor) -> Change:
    """On drawings. before, after: (N, C, H, W) float32 in [0, 1] → (N, K) probabilities. images: uint8. labels: (N,) int64."""
    pixels = images.float() / 255
    return change(*((ask(pixels).argmax(1) == labels).numpy() for ask in (before, after)))


def change_on_test(before: Predictions | None, after: Predictions | None) -> Change | None:
    """On test images; None where the two were not asked about the same ones."""
    if before is None or after is None or before.images != after.images:
        return None
    return change(before.correct, after.correct)
