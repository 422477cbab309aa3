"""A pipeline on a whole batch in as few passes as it takes: for training, where it must not cost more than the network.

Neighbouring turns, shifts and flips become one matrix for each image and one resampling, so that pictures are read and
interpolated once. Scaling to 0…1 and normalising are carried along as one factor and one addend for each channel, and applied
once, at the end, wherever nothing in between needs the values themselves.
"""

import torch
from torch import Generator, Tensor

from core.transforms.configs import (
    GaussianNoiseConfig,
    NormalizeConfig,
    RandomAffineConfig,
    RandomHorizontalFlipConfig,
    RandomResizedCropConfig,
    RandomRotationConfig,
    ResizeConfig,
    Steps,
    ToTensorConfig,
    is_random,
)
from core.transforms.draws import AffineDraw, BoxDraw, FlipDraw, NoiseDraw, draw
from core.transforms.geometry import Workspace, crop, erase, for_grid, matrix_of, one_after_the_other, resample, resize

MOVES = RandomRotationConfig | RandomAffineConfig | RandomHorizontalFlipConfig


def augment(steps: Steps, images: Tensor, mean: tuple[float, ...], std: tuple[float, ...], generator: Generator,
            space: Workspace | None = None) -> Tensor:
    """The training images that a network gets: each through the steps with random numbers of its own, then (x − mean) / std.

    As steps.walk does it one by one, but that pixels are not rounded before ToTensor (half a grey level at most for each step)
    and that neighbouring moves interpolate once and not each.

    Args:
        images: (N, C, H, W) uint8, on any device.
        mean, std: for each channel, of values after the steps.
        generator: on the CPU; what comes out depends on nothing else.
        space: memory from the batch before; what is returned is never part of it.

    Returns:
        (N, C, H', W') float32.
    """
    return _Batch(images, len(mean), space or Workspace()).through(steps, generator).normalized(mean, std)


def has_chance(steps: Steps) -> bool:
    """Whether any step is random."""
    return any(map(is_random, steps))


class _Batch:
    """Images on their way. What they stand for is factor · pixels + addend for each channel, moved as `move` says."""

    def __init__(self, images: Tensor, channels: int, space: Workspace) -> None:
        self.pixels, self.space = images, space
        self.is_ours = False  # whether the pixels are in a tensor of their own, which may be changed and returned
        self.factor, self.addend = [1 / 255] * channels, [0.0] * channels
        self.move: Tensor | None = None  # (N, 2, 3), not made yet

    def through(self, steps: Steps, generator: Generator) -> "_Batch":
        for step in steps:
            if isinstance(step, ToTensorConfig):
                continue  # the factor has been 1/255 from the start
            if isinstance(step, NormalizeConfig):
                self.factor = [factor / step.std for factor in self.factor]
                self.addend = [(addend - step.mean) / step.std for addend in self.addend]
                continue
            made = draw(step, tuple(self.pixels.shape), generator, self.pixels.device)
            if isinstance(step, MOVES):
                assert isinstance(made, AffineDraw | FlipDraw), made
                self.then_move(matrix_of(made))
            elif isinstance(step, ResizeConfig):
                self.pixels, self.is_ours = resize(self.moved(), step.size), self.is_ours or self.resizes(step.size)
            elif isinstance(step, RandomResizedCropConfig):
                assert isinstance(made, BoxDraw), made
                self.pixels, self.is_ours = crop(self.moved(), made, step.size), True
            elif isinstance(step, GaussianNoiseConfig):
                assert isinstance(made, NoiseDraw), made
                self.add_noise(step, made.noise)
            else:
                assert isinstance(made, BoxDraw), made
                self.pixels, self.is_ours = erase(self.zero_is_zero(), made), True
        return self

    def then_move(self, matrix: Tensor) -> None:
        """Outside of the picture is 0 of what the pixels stand for, so an addend must be in them before they move."""
        if any(self.addend):
            self.zero_is_zero()
        self.move = matrix if self.move is None else one_after_the_other(self.move, matrix)

    def moved(self) -> Tensor:
        """The pixels in float, where they belong."""
        if not self.pixels.is_floating_point():
            self.pixels = self.space.floats("pixels", tuple(self.pixels.shape), self.pixels.device).copy_(self.pixels)
        if self.move is not None:
            self.pixels = resample(self.pixels, for_grid(self.move, *self.pixels.shape[2:]), self.space)
            self.move, self.is_ours = None, True
        return self.pixels

    def resizes(self, size: int) -> bool:
        """Whether the pixels have another size than that."""
        return tuple(self.pixels.shape[2:]) != (size, size)

    def zero_is_zero(self) -> Tensor:
        """The pixels, so that a 0 among them stands for 0."""
        pixels = self.moved()
        return self.applied(pixels) if any(self.addend) else pixels

    def applied(self, pixels: Tensor) -> Tensor:
        """The values themselves, in a tensor of their own; factor 1 and addend 0 from here on."""
        factor = _channels(self.factor, pixels)
        self.pixels, self.is_ours = pixels.mul_(factor) if self.is_ours else pixels.mul(factor), True
        if any(self.addend):
            self.pixels.add_(_channels(self.addend, pixels))
        self.factor, self.addend = [1.0] * len(self.factor), [0.0] * len(self.addend)
        return self.pixels

    def add_noise(self, step: GaussianNoiseConfig, noise: Tensor) -> None:
        values = self.applied(self.moved()).add_(noise, alpha=step.sigma)
        self.pixels = values.clamp_(0, 1) if step.clip else values

    def normalized(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
        """The values after one last (x − mean) / std."""
        self.factor = [factor / s for factor, s in zip(self.factor, std, strict=True)]
        self.addend = [(addend - m) / s for addend, m, s in zip(self.addend, mean, std, strict=True)]
        return self.applied(self.moved())


def _channels(values: list[float], images: Tensor) -> Tensor:
    """One value for each channel; for a single one a plain scalar, which is faster to multiply with."""
    if len(values) == 1:
        return torch.tensor(values[0], device=images.device)
    return torch.tensor(values, device=images.device).view(-1, 1, 1)
