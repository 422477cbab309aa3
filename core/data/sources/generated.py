"""Points that are computed instead of read: sets in the plane to tell apart, and numbers to predict from two others.

To add one: write a function that draws its points, and name it in RULES at the foot of this module.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi

import torch
from torch import Generator, Tensor

from core.config import DataConfig

TEST_POINTS = 500  # drawn apart from the others, so that a result says something about points nobody has seen
TRUE_WEIGHTS, TRUE_BIAS = (2.0, 3.0), 4.0  # of the linear regression, as in the notes

Draw = Callable[[int, float, Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Generated:
    """Points (N, F) float32 and what belongs to them (N,): int64 classes or float32 numbers; for training, validation, test."""

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Rule:
    """One entry of RULES.

    draw: (points, noise, generator) → points (N, F) float32 and labels (N,).
    classes: their names; none where a number is predicted.
    points, noise: what one starts with.
    """

    title: str
    summary: str
    draw: Draw
    classes: tuple[str, ...]
    source: str = "computed by this app"
    features: int = 2
    points: int = 200
    noise: float = 0.1

    def generate(self, config: DataConfig) -> Generated:
        """The points that the config asks for. Each split has random numbers of its own, so that none changes with another's
        size: the training points are those of torch.manual_seed(split_seed)."""
        sizes = (config.points, config.validation, TEST_POINTS)
        train, validation, test = (self.draw(size, config.noise, Generator().manual_seed(seed))
                                   for size, seed in zip(sizes, split_seeds(config.split_seed), strict=True))
        if config.added:
            added = torch.tensor(config.added, dtype=torch.float32)
            train = (torch.cat([train[0], added[:, :2]]), torch.cat([train[1], added[:, 2].to(train[1].dtype)]))
        return Generated(train, validation, test)

    @property
    def in_plane(self) -> bool:
        """Whether its points have two coordinates, which can be drawn, and from which other inputs can be computed."""
        return self.features == 2


def split_seeds(seed: int) -> tuple[int, int, int]:
    """Seeds for training, validation and test points; below 2³², as PyTorch's generator on the CPU looks at 32 bits."""
    return seed, seed + 2**31, (seed + 2**31 + 2**30) % 2**32


def circle(count: int, noise: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Normally spread points; those closer than 1 to the middle are one class. Noise moves them after they were labelled."""
    points = torch.randn(count, 2, generator=generator)
    labels = (points.square().sum(1) < 1).long()
    return _strayed(points, noise, generator), labels


def xor(count: int, noise: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Four quarters of a square; opposite ones belong together, so that no straight line separates them."""
    points = torch.rand(count, 2, generator=generator) * 4 - 2
    labels = (points.prod(1) > 0).long()
    return _strayed(points, noise, generator), labels


def blobs(count: int, noise: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Two round clouds."""
    labels = torch.arange(count) % 2
    centres = torch.tensor([[-1.2, -1.2], [1.2, 1.2]])
    return centres[labels] + (0.3 + noise) * torch.randn(count, 2, generator=generator), labels


def moons(count: int, noise: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Two half circles that reach into each other, as scikit-learn's make_moons, here centred."""
    labels = torch.arange(count) % 2
    angle = torch.rand(count, generator=generator) * pi
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    points = torch.where(labels[:, None] == 0, upper, torch.tensor([1.0, 0.5]) - upper) - torch.tensor([0.5, 0.25])
    return _strayed(points * 1.5, noise, generator), labels


def spirals(count: int, noise: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Two arms that wind around each other one and three quarter times: the hardest of these sets."""
    labels = torch.arange(count) % 2
    share = torch.rand(count, generator=generator).sqrt()  # evenly along the arm, not crowded in the middle
    angle = 3.5 * pi * share + pi * labels
    points = 2 * share[:, None] * torch.stack([angle.sin(), angle.cos()], 1)
    return _strayed(points, noise, generator), labels


def linear(count: int, noise: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """y = 2·x₁ + 3·x₂ + 4 + noise."""
    points = torch.randn(count, 2, generator=generator)
    return points, points @ torch.tensor(TRUE_WEIGHTS) + TRUE_BIAS + noise * torch.randn(count, generator=generator)


def hills(count: int, noise: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Three hills and three hollows in two rows, each a cone of radius 1: the number to predict is the height."""
    points = torch.rand(count, 2, generator=generator) * 4 - 2
    centres = torch.tensor([[x, y] for y in (-1.0, 1.0) for x in (-1.5, 0.0, 1.5)])
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    cones = (1 - torch.cdist(points, centres)).clamp(min=0) * signs  # (N, 6); where two overlap, the larger one counts
    heights = cones.gather(1, cones.abs().argmax(1, keepdim=True))[:, 0]
    return points, heights + noise * torch.randn(count, generator=generator)


def random_labels(count: int, noise: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Ten random numbers and an answer that has nothing to do with them: there is nothing to learn, only to memorise."""
    points = torch.randn(count, 10, generator=generator)
    if count == len(NOTES_ANSWERS):
        return points, torch.tensor(NOTES_ANSWERS)
    return points, torch.randint(2, (count,), generator=generator)


def random_numbers(count: int, noise: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Two random numbers, and a third to predict that has nothing to do with them."""
    points = torch.randn(count, 2, generator=generator)
    numbers = torch.randn(count, generator=generator)
    return _strayed(points, noise, generator), numbers


NOTES_ANSWERS = (1, 0, 0, 1, 1, 1, 0, 0, 1, 1)  # what the notes ask of their ten samples


def _strayed(points: Tensor, noise: float, generator: Generator) -> Tensor:
    """Points moved by normally distributed steps; untouched, and no random number taken, where there is no noise."""
    return points + noise * torch.randn(points.shape, generator=generator) if noise else points


_INSIDE_OR_NOT = ("outside", "inside")
_TWO = ("orange", "blue")

RULES: dict[str, Rule] = {
    "circle": Rule("Circle", "Is a point inside the circle? No straight line can tell.", circle, _INSIDE_OR_NOT,
                   points=100, noise=0.0),
    "xor": Rule("Exclusive or", "Opposite quarters belong together: the problem a single layer can't solve.", xor, _TWO),
    "blobs": Rule("Two clouds", "Two groups that a straight line can tell apart: the easiest of these sets.", blobs, _TWO),
    "moons": Rule("Two moons", "Two half circles that reach into each other.", moons, _TWO),
    "spirals": Rule("Two spirals", "Two arms that wind around each other: the hardest of these sets.", spirals, _TWO, noise=0.05),
    "linear": Rule("A plane", "A number to predict: y = 2·x₁ + 3·x₂ + 4, and a little noise.", linear, (), points=100),
    "hills": Rule("Hills", "A number to predict: three hills and three hollows.", hills, (), noise=0.0),
    "random_labels": Rule("Random answers", "Ten random numbers each, and answers that have nothing to do with them.",
                          random_labels, ("no", "yes"), features=10, points=10, noise=0.0),
    "random_numbers": Rule("Random numbers", "Two random numbers each, and a number to predict that has nothing to do with them.",
                           random_numbers, (), points=10, noise=0.0),
}

__all__ = ["RULES", "TEST_POINTS", "TRUE_BIAS", "TRUE_WEIGHTS", "Generated", "Rule"]
