"""What a random step draws: one set of numbers for each image, by torchvision's own rules, for a whole batch at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from core.transforms.configs import (
    GaussianNoiseConfig,
    RandomAffineConfig,
    RandomErasingConfig,
    RandomHorizontalFlipConfig,
    RandomResizedCropConfig,
    RandomRotationConfig,
    TransformConfig,
)

TRIES = 10  # as torchvision: so many rectangles are tried for each image before it gives up


@dataclass(frozen=True, eq=False)  # tensors have no single truth value, so == would raise
class AffineDraw:
    """angle: degrees clockwise; right, down: pixels; scale: factor; shear: degrees, upright lines lean left at the top for
    positive ones. Each (N,) float32."""

    angle: Tensor
    right: Tensor
    down: Tensor
    scale: Tensor
    shear: Tensor


@dataclass(frozen=True, eq=False)
class FlipDraw:
    """flipped: (N,) bool."""

    flipped: Tensor


@dataclass(frozen=True, eq=False)
class BoxDraw:
    """A rectangle of whole pixels in each image, (N,) float32 each; height 0 where there is none."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


@dataclass(frozen=True, eq=False)
class NoiseDraw:
    """noise: of the images' shape, standard deviation 1."""

    noise: Tensor


Draw = AffineDraw | FlipDraw | BoxDraw | NoiseDraw | None


def generator_for(*numbers: int, device: torch.device | str = "cpu") -> Generator:
    """A generator that depends on these whole numbers alone: a run's seed, an epoch, a place in it.

    They are mixed as SplitMix64 does (Steele, Lea & Flood, OOPSLA 2014), since PyTorch's generator on the CPU looks at 32 bits of
    a seed, and neighbouring places must not share any.
    """
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) % 2**64
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
        state ^= state >> 31
    return Generator(device).manual_seed(state % 2**32)


def draw(step: TransformConfig, shape: tuple[int, ...], generator: Generator, device: torch.device | str = "cpu") -> Draw:
    """Random numbers for each of N images of `shape` (N, C, H, W); None for a step that is not random.

    Args:
        generator: on the CPU. device: where the noise is drawn, from a generator of that device seeded from this one; all
            other numbers are few, and drawn on the CPU.
    """
    count, _, height, width = shape
    rule = DRAWS.get(type(step))
    if isinstance(step, GaussianNoiseConfig):
        own = generator
        if torch.device(device).type != "cpu":
            own = Generator(device).manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
        return NoiseDraw(torch.randn(shape, generator=own, device=device))
    return rule(step, count, height, width, generator) if rule else None


def uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    """(N,) float32 in [low, high]."""
    return torch.rand(count, generator=generator).mul_(high - low).add_(low)


def _rotation(step: RandomRotationConfig, count: int, height: int, width: int, generator: Generator) -> AffineDraw:
    zero = torch.zeros(count)
    # torchvision's rotate counts the other way round than its affine does
    return AffineDraw(-uniform(count, -step.degrees, step.degrees, generator), zero, zero, torch.ones(count), zero)


def _affine(step: RandomAffineConfig, count: int, height: int, width: int, generator: Generator) -> AffineDraw:
    angle = uniform(count, -step.degrees, step.degrees, generator)
    farthest_right, farthest_down = step.translate * width, step.translate * height
    right = uniform(count, -farthest_right, farthest_right, generator).round_()  # whole pixels, as in torchvision
    down = uniform(count, -farthest_down, farthest_down, generator).round_()
    scale = uniform(count, step.scale_min, step.scale_max, generator)
    return AffineDraw(angle, right, down, scale, uniform(count, -step.shear, step.shear, generator))


def _flip(step: RandomHorizontalFlipConfig, count: int, height: int, width: int, generator: Generator) -> FlipDraw:
    return FlipDraw(torch.rand(count, generator=generator) < step.p)


def _crop(step: RandomResizedCropConfig, count: int, height: int, width: int, generator: Generator) -> BoxDraw:
    """Area and shape of the part: the shape's logarithm is uniform. Where ten tries don't fit, the largest middle part does."""
    ratio, area = _shapes(step, count, height, width, generator)
    wide, high = (area * ratio).sqrt().round_(), (area / ratio).sqrt().round_()
    fits = (wide > 0) & (wide <= width) & (high > 0) & (high <= height)
    own = min(max(width / height, step.ratio_min), step.ratio_max)
    whole_width, whole_height = (width, round(width / own)) if width / height < own else (round(height * own), height)
    box_height, box_width = _first(high, fits, whole_height), _first(wide, fits, whole_width)
    top, left = _corner(box_height, height, generator), _corner(box_width, width, generator)
    middle = ~fits.any(1)
    return BoxDraw(top.where(~middle, (height - box_height).div(2, rounding_mode="floor")),
                   left.where(~middle, (width - box_width).div(2, rounding_mode="floor")), box_height, box_width)


def _hole(step: RandomErasingConfig, count: int, height: int, width: int, generator: Generator) -> BoxDraw:
    """As _crop, but for the ratio, which is height by width here, and that there is no hole where ten tries don't fit."""
    erased = torch.rand(count, generator=generator) < step.p
    ratio, area = _shapes(step, count, height, width, generator)
    high, wide = (area * ratio).sqrt().round_(), (area / ratio).sqrt().round_()
    fits = (high < height) & (wide < width)
    box_height, box_width = _first(high, fits, 0) * erased, _first(wide, fits, 0) * erased
    return BoxDraw(_corner(box_height, height, generator), _corner(box_width, width, generator), box_height, box_width)


def _shapes(step: Any, count: int, height: int, width: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Ratios and areas of all tries, (N, TRIES) each."""
    area = uniform(count * TRIES, step.scale_min, step.scale_max, generator).mul_(height * width)
    ratio = uniform(count * TRIES, math.log(step.ratio_min), math.log(step.ratio_max), generator).exp_()
    return ratio.view(count, TRIES), area.view(count, TRIES)


def _first(values: Tensor, fits: Tensor, otherwise: float) -> Tensor:
    """For each image the value of its first try that fits."""
    first = values.gather(1, fits.int().argmax(1, keepdim=True))[:, 0]
    return first.where(fits.any(1), torch.tensor(float(otherwise)))


def _corner(length: Tensor, of: int, generator: Generator) -> Tensor:
    """A whole number from 0 to of − length for each image."""
    place = (torch.rand(len(length), generator=generator) * (of + 1 - length)).floor_()
    return place.minimum(of - length)  # the product can be rounded up to of + 1 − length


def words(made: Draw, index: int) -> str:
    """What was drawn for one image, in words."""
    if isinstance(made, FlipDraw):
        return "mirrored" if made.flipped[index] else "not mirrored"
    if isinstance(made, BoxDraw):
        top, left, height, width = (int(value[index]) for value in (made.top, made.left, made.height, made.width))
        return f"{height}×{width} pixels from row {top}, column {left}" if height and width else "none"
    if not isinstance(made, AffineDraw):
        return ""
    angle, right, down, scale, shear = (float(value[index]) for value in (made.angle, made.right, made.down, made.scale,
                                                                          made.shear))
    return ", ".join(part for part in (
        f"turned {abs(angle):.0f}° {'clockwise' if angle > 0 else 'anticlockwise'}" if round(angle) else "",
        f"{abs(right):.0f} px {'right' if right > 0 else 'left'}" if right else "",
        f"{abs(down):.0f} px {'down' if down > 0 else 'up'}" if down else "",
        f"{scale:.2f} times as large" if round(scale, 2) != 1 else "",
        f"slanted {abs(shear):.0f}°" if round(shear) else "") if part) or "as it was"


DRAWS: dict[type, Callable[..., Draw]] = {
    RandomRotationConfig: _rotation, RandomAffineConfig: _affine, RandomHorizontalFlipConfig: _flip,
    RandomResizedCropConfig: _crop, RandomErasingConfig: _hole}
