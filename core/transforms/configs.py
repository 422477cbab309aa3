"""The steps of a pipeline, each a config: what torchvision.transforms.v2 calls them, and the settings a person decides.

To add one: write its config, name it in `TransformConfig` and TRANSFORMS, and say in draws.py what it draws for each image and in
steps.py what it does with that. tests/test_transforms.py compares it with torchvision's own.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Discriminator, model_validator
from pydantic_core import PydanticCustomError

from core.fields import Config, setting

MOST_STEPS = 12
SMALLEST, LARGEST = 8, 128  # pixels that pictures can be brought to


def kind(name: str) -> Any:
    """The field that says which step a config is for."""
    return setting(name, "Which transform it is.", label="Transform")


def size(default: int) -> Any:
    """Height and width that come out."""
    return setting(default, "Height and width of the pictures that come out.", unit="pixels", ge=SMALLEST, le=LARGEST, step=4)


def probability(default: float, what: str) -> Any:
    """How often something happens to an image."""
    return setting(default, f"Probability that an image is {what}.", label="Probability", ge=0.0, le=1.0, step=0.05)


def degrees(default: float) -> Any:
    """The largest turn."""
    return setting(default, "Largest turn to either side; each image gets its own angle.", label="Turn", unit="degrees", ge=0.0,
                   le=180.0, step=1.0)


class ToTensorConfig(Config):
    """Pixels from 0 to 255 become numbers from 0 to 1."""

    kind: Literal["to_tensor"] = kind("to_tensor")


class NormalizeConfig(Config):
    """(x − mean) / std for each value."""

    kind: Literal["normalize"] = kind("normalize")
    mean: float = setting(0.5, "Subtracted from every value, in every channel.", ge=-10.0, le=10.0, step=0.05)
    std: float = setting(0.5, "What is left is divided by this.", label="Standard deviation", ge=0.001, le=10.0, step=0.05)


class ResizeConfig(Config):
    """Another height and width."""

    kind: Literal["resize"] = kind("resize")
    size: int = size(32)


class RandomRotationConfig(Config):
    """A turn about the middle."""

    kind: Literal["random_rotation"] = kind("random_rotation")
    degrees: float = degrees(10.0)


class RandomHorizontalFlipConfig(Config):
    """Left and right exchanged, for some of the images."""

    kind: Literal["random_horizontal_flip"] = kind("random_horizontal_flip")
    p: float = probability(0.5, "mirrored")


class _InOrder(Config):
    """Two fields for a smallest and a largest value must be in order."""

    @model_validator(mode="after")
    def _smallest_first(self) -> "_InOrder":
        for name in ("scale", "ratio"):
            low, high = getattr(self, f"{name}_min", 0.0), getattr(self, f"{name}_max", 0.0)
            if low > high:
                raise PydanticCustomError("order", "{name}_min is {low}, which is more than {name}_max, {high}",
                                          {"name": name, "low": f"{low:g}", "high": f"{high:g}"})
        return self


class RandomResizedCropConfig(_InOrder):
    """A random part of the picture, brought to one size."""

    kind: Literal["random_resized_crop"] = kind("random_resized_crop")
    size: int = size(28)
    scale_min: float = setting(0.6, "Smallest share of the picture's area that is kept.", label="Smallest share",
                               ge=0.01, le=1.0, step=0.05)
    scale_max: float = setting(1.0, "Largest share of the picture's area that is kept.", label="Largest share",
                               ge=0.01, le=1.0, step=0.05)
    ratio_min: float = setting(0.75, "Narrowest part: its width divided by its height.", label="Narrowest shape",
                               ge=0.2, le=5.0, step=0.05)
    ratio_max: float = setting(1.33, "Widest part: its width divided by its height.", label="Widest shape",
                               ge=0.2, le=5.0, step=0.05)


class RandomAffineConfig(_InOrder):
    """A turn, a shift, another size and a slant at once."""

    kind: Literal["random_affine"] = kind("random_affine")
    degrees: float = degrees(10.0)
    translate: float = setting(0.1, "Largest shift along each side, as a share of it: 0.1 of 28 pixels is 2 whole pixels.",
                               label="Shift", ge=0.0, le=1.0, step=0.05)
    scale_min: float = setting(0.9, "Smallest size: 0.9 draws the picture at nine tenths.", label="Smallest size", ge=0.1, le=4.0,
                               step=0.05)
    scale_max: float = setting(1.1, "Largest size.", label="Largest size", ge=0.1, le=4.0, step=0.05)
    shear: float = setting(0.0, "Largest slant of upright lines to either side.", label="Slant", unit="degrees", ge=0.0, le=60.0,
                           step=1.0)


class RandomErasingConfig(_InOrder):
    """A random rectangle becomes 0."""

    kind: Literal["random_erasing"] = kind("random_erasing")
    p: float = probability(0.5, "given a hole")
    scale_min: float = setting(0.02, "Smallest share of the picture that is erased.", label="Smallest share", ge=0.0, le=1.0,
                               step=0.01)
    scale_max: float = setting(0.2, "Largest share of the picture that is erased.", label="Largest share", ge=0.0, le=1.0,
                               step=0.05)
    ratio_min: float = setting(0.3, "Widest hole: its height divided by its width.", label="Widest shape", ge=0.1, le=10.0,
                               step=0.1)
    ratio_max: float = setting(3.3, "Narrowest hole: its height divided by its width.", label="Narrowest shape", ge=0.1, le=10.0,
                               step=0.1)


class GaussianNoiseConfig(Config):
    """A random number added to each value."""

    kind: Literal["gaussian_noise"] = kind("gaussian_noise")
    sigma: float = setting(0.1, "Standard deviation of the noise, where the pixels go from 0 to 1.", label="Strength",
                           ge=0.0, le=2.0, step=0.05)
    clip: bool = setting(True, "Cut off what goes below 0 or above 1. After Normalize that would cut off half of the picture.",
                         label="Keep between 0 and 1")


TransformConfig = Annotated[
    ToTensorConfig | NormalizeConfig | ResizeConfig | RandomRotationConfig | RandomHorizontalFlipConfig | RandomResizedCropConfig
    | RandomAffineConfig | RandomErasingConfig | GaussianNoiseConfig, Discriminator("kind")]
Steps = tuple[TransformConfig, ...]


@dataclass(frozen=True)
class TransformSpec:
    """One entry of TRANSFORMS.

    title: its name in torchvision.transforms.v2. random: it draws anew for each image, and so acts on training images only.
    """

    title: str
    summary: str
    config: type[TransformConfig]
    random: bool


TRANSFORMS: dict[str, TransformSpec] = {
    "to_tensor": TransformSpec("ToTensor", "Turns pixels from 0 to 255 into numbers from 0 to 1, in a tensor of float32. In "
                               "torchvision's v2 that is ToImage and ToDtype.", ToTensorConfig, False),
    "normalize": TransformSpec("Normalize", "Subtracts the mean and divides by the standard deviation.", NormalizeConfig, False),
    "resize": TransformSpec("Resize", "Brings all images to one height and width; the network must fit it.", ResizeConfig, False),
    "random_rotation": TransformSpec("RandomRotation", "Turns each image by an angle of its own, about the middle. Corners that "
                                     "come in are black.", RandomRotationConfig, True),
    "random_horizontal_flip": TransformSpec("RandomHorizontalFlip", "Mirrors some of the images, left and right exchanged.",
                                            RandomHorizontalFlipConfig, True),
    "random_resized_crop": TransformSpec("RandomResizedCrop", "Cuts a random part out of each image and brings it to one size.",
                                         RandomResizedCropConfig, True),
    "random_affine": TransformSpec("RandomAffine", "Turns, shifts, scales and slants each image by numbers of its own.",
                                   RandomAffineConfig, True),
    "random_erasing": TransformSpec("RandomErasing", "Blacks out a random rectangle in some of the images.", RandomErasingConfig,
                                    True),
    "gaussian_noise": TransformSpec("GaussianNoise", "Adds a random number to every value of every image.", GaussianNoiseConfig,
                                    True),
}


def is_random(step: TransformConfig) -> bool:
    """Whether a step draws anew for each image."""
    return TRANSFORMS[step.kind].random


def with_to_tensor(steps: Steps) -> Steps:
    """The steps with the one ToTensor that every pipeline has: where it is written first; where it isn't before a Normalize or
    noise, which need numbers and no pixels, right before that; and at the end where nothing needs it."""
    numbers = ToTensorConfig | NormalizeConfig | GaussianNoiseConfig
    first = next((index for index, step in enumerate(steps) if isinstance(step, numbers)), len(steps))
    rest = tuple(step for step in steps[first:] if not isinstance(step, ToTensorConfig))
    return *steps[:first], ToTensorConfig(), *rest


def fixed_sizes(steps: Steps) -> tuple[int, ...]:
    """Heights and widths that images are brought to, one after the other, where nothing is random: a random crop's as well."""
    return tuple(step.size for step in steps if isinstance(step, ResizeConfig | RandomResizedCropConfig))


def shape_after(shape: tuple[int, ...], steps: Steps) -> tuple[int, ...]:
    """(C, H, W) of an image after the steps; other shapes are returned as they are."""
    sizes = fixed_sizes(steps) if len(shape) == 3 else ()
    return (shape[0], sizes[-1], sizes[-1]) if sizes else shape


def normalized_twice(first: tuple[tuple[float, ...], tuple[float, ...]], second: tuple[tuple[float, ...], tuple[float, ...]],
                     ) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The one mean and standard deviation that do what two do in turn, for each channel:
    ((x − m) / s − n) / t = (x − (m + s·n)) / (s·t)."""
    (means, deviations), (then_means, then_deviations) = first, second
    return (tuple(m + s * n for m, s, n in zip(means, deviations, then_means, strict=True)),
            tuple(s * t for s, t in zip(deviations, then_deviations, strict=True)))


def with_normalizes(steps: Steps, mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of all Normalize steps together, followed by (mean, std): what an image that meets no random
    step is normalised with, since resizing leaves means as they are."""
    whole: tuple[tuple[float, ...], tuple[float, ...]] = ((0.0,) * len(mean), (1.0,) * len(mean))
    for step in steps:
        if isinstance(step, NormalizeConfig):
            whole = normalized_twice(whole, ((step.mean,) * len(mean), (step.std,) * len(mean)))
    return normalized_twice(whole, (mean, std))
