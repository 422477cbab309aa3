"""How accuracy falls as images get harder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.data import Split
from core.evaluation.corruptions import CORRUPTIONS, corrupt

BATCH = 250  # images at once: a page's process has little memory to spare


@dataclass(frozen=True)
class Point:
    """How many of `examples` images were recognised with CORRUPTIONS[kind] at `strength`."""

    kind: str
    strength: float
    right: int
    examples: int

    @property
    def accuracy(self) -> float:
        return self.right / self.examples


def points_of(kinds: Sequence[str] = tuple(CORRUPTIONS)) -> int:
    """How many Points robustness() yields, for a progress bar."""
    return sum(len(CORRUPTIONS[kind].strengths) for kind in kinds)


def sample(split: Split, count: int, seed: int = 0) -> Split:
    """`count` images of a split drawn by a seed, or all: the first ones may be easier than the rest, as MNIST's are."""
    if count >= len(split):
        return split
    chosen = np.sort(np.random.default_rng(seed).choice(len(split), size=count, replace=False))
    return Split(split.images, split.labels, split.rows[torch.from_numpy(chosen)])


def robustness(answer: Callable[[Tensor], Tensor], split: Split, kinds: Sequence[str] = tuple(CORRUPTIONS)) -> Iterator[Point]:
    """Accuracy for each kind at each of its strengths, one Point after the other.

    Args:
        answer: images (n, C, H, W) float32 in [0, 1] → class of each, (n,) int64.
        split: the images; sample() makes it quick.
    """
    everything = torch.arange(len(split))
    plain: int | None = None  # at neutral strength the images are themselves, so one look serves all kinds
    for kind in kinds:
        for strength in CORRUPTIONS[kind].strengths:
            neutral = strength == CORRUPTIONS[kind].neutral
            right = plain if neutral and plain is not None else _count(answer, split, everything, kind, strength)
            plain = right if neutral else plain
            yield Point(kind, float(strength), right, len(split))


def _count(answer: Callable[[Tensor], Tensor], split: Split, everything: Tensor, kind: str, strength: float) -> int:
    right = 0
    for positions in everything.split(BATCH):
        pixels, labels = split.take(positions)
        right += int((answer(corrupt(pixels.float().div_(255), kind, strength)) == labels).sum())
    return right
