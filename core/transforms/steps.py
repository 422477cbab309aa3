"""One step after the other, as torchvision does them: for people to look at, and to compare the fast way in batch.py with."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from core.transforms.configs import (
    GaussianNoiseConfig,
    NormalizeConfig,
    RandomResizedCropConfig,
    ResizeConfig,
    Steps,
    ToTensorConfig,
    TransformConfig,
    is_random,
    with_to_tensor,
)
from core.transforms.draws import AffineDraw, BoxDraw, Draw, FlipDraw, NoiseDraw, draw
from core.transforms.geometry import crop, erase, for_grid, matrix_of, resample, resize


@dataclass(frozen=True, eq=False)
class Stage:
    """What one step makes of a batch. images: (N, C, H, W), uint8 before ToTensor and float32 after it."""

    step: TransformConfig
    images: Tensor
    draw: Draw

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of one image."""
        return tuple(self.images.shape[1:])

    @property
    def dtype(self) -> str:
        """As PyTorch writes it: "uint8", "float32"."""
        return str(self.images.dtype).removeprefix("torch.")

    @property
    def lowest(self) -> float:
        return float(self.images.min())

    @property
    def highest(self) -> float:
        return float(self.images.max())


def walk(steps: Steps, images: Tensor, generator: Generator | None) -> list[Stage]:
    """Every step's result in turn for images (N, C, H, W) uint8, ToTensor put in where it is missing.

    Args:
        generator: on the CPU; None for images that are not learned from: random steps are left out then, and a random crop is a
            resize.
    """
    stages = []
    for step in with_to_tensor(steps if generator is not None else without_chance(steps)):
        made = draw(step, tuple(images.shape), generator) if generator is not None else None
        images = apply_step(step, images, made)
        stages.append(Stage(step, images, made))
    return stages


def without_chance(steps: Steps) -> Steps:
    """The steps that validation, test and drawn images go through: the same each time."""
    fixed = [ResizeConfig(size=step.size) if isinstance(step, RandomResizedCropConfig) else step for step in steps]
    return tuple(step for step in fixed if not is_random(step))


def apply_step(step: TransformConfig, images: Tensor, made: Draw = None) -> Tensor:
    """What torchvision.transforms.v2.functional does for this step with these random numbers.

    Args:
        images: (N, C, H, W) uint8, or float32 as it is after ToTensor. Results of uint8 are rounded to uint8.
    """
    if isinstance(step, ToTensorConfig):
        return images.float().div_(255) if images.dtype == torch.uint8 else images
    if isinstance(step, NormalizeConfig):
        return (images - step.mean) / step.std
    if isinstance(step, ResizeConfig):
        return resize(images, step.size)
    if isinstance(made, FlipDraw):
        return torch.where(made.flipped.view(-1, 1, 1, 1).to(images.device), images.flip(3), images)
    if isinstance(made, BoxDraw) and not isinstance(step, RandomResizedCropConfig):
        return erase(images, made)
    if images.dtype == torch.uint8:
        full = 255.0  # noise is measured on the scale from 0 to 1
        return _changed(step, images.float(), made, full).round_().clamp_(0, full).to(torch.uint8)
    return _changed(step, images, made, 1.0)


def _changed(step: TransformConfig, images: Tensor, made: Draw, full: float) -> Tensor:
    """The steps that calculate in float. full: what 1 is in these images."""
    if isinstance(made, AffineDraw):
        return resample(images, for_grid(matrix_of(made), *images.shape[2:]))
    if isinstance(step, RandomResizedCropConfig) and isinstance(made, BoxDraw):
        return crop(images, made, step.size)
    if isinstance(step, GaussianNoiseConfig) and isinstance(made, NoiseDraw):
        noisy = torch.add(images, made.noise, alpha=step.sigma * full)
        return noisy.clamp_(0, full) if step.clip else noisy
    raise ValueError(f"{step.kind} needs random numbers of its own, not {type(made).__name__}")
