"""Pipelines to start from, and the edits that a composer makes; each returns new steps and leaves the old ones."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from core.fields import Config, ConfigError, describe, explain
from core.transforms.configs import (
    MOST_STEPS,
    NormalizeConfig,
    RandomAffineConfig,
    RandomErasingConfig,
    RandomHorizontalFlipConfig,
    RandomResizedCropConfig,
    RandomRotationConfig,
    Steps,
    ToTensorConfig,
    TransformConfig,
)


@dataclass(frozen=True)
class Pipeline:
    """One entry of PIPELINES. `summary` says in a line what it is good for."""

    title: str
    summary: str
    steps: Steps


def read_steps(values: Any) -> Steps:
    """Steps from a list of plain dicts. Raises ConfigError with one line for anything they can't be."""
    class Whole(Config):
        steps: Steps

    try:
        return Whole.model_validate({"steps": values}).steps
    except ValidationError as error:
        raise ConfigError(explain(error, Whole)) from None


def with_field(step: TransformConfig, name: str, value: Any) -> TransformConfig:
    """The step with another value. Raises ConfigError where it is not allowed."""
    try:
        return type(step).model_validate({**step.model_dump(), name: value})
    except ValidationError as error:
        raise ConfigError(explain(error, type(step))) from None


def added(steps: Steps, step: TransformConfig, place: int) -> Steps:
    """With one more step, the place-th from 0. Raises ConfigError where there are as many as there can be."""
    if len(steps) >= MOST_STEPS:
        raise ConfigError(f"A pipeline has at most {MOST_STEPS} steps; take one out first.")
    return *steps[:place], step, *steps[place:]


def removed(steps: Steps, place: int) -> Steps:
    """Without the place-th step from 0."""
    return *steps[:place], *steps[place + 1:]


def moved(steps: Steps, place: int, to: int) -> Steps:
    """With the place-th step at another place."""
    rest = removed(steps, place)
    return *rest[:to], steps[place], *rest[to:]


def replaced(steps: Steps, place: int, step: TransformConfig) -> Steps:
    """With another step at a place."""
    return *steps[:place], step, *steps[place + 1:]


def settings_of(step: TransformConfig) -> str:
    """A step's values in words: "turn 10, shift 0.1"."""
    parts = []
    for name in type(step).model_fields:
        if name != "kind":
            about, value = describe(type(step), name), getattr(step, name)
            said = ("yes" if value else "no") if isinstance(value, bool) else f"{value:g}"
            parts.append(f"{about.label.lower()} {said}{'°' if about.unit == 'degrees' else ''}")
    return ", ".join(parts)


PIPELINES: dict[str, Pipeline] = {
    "digits": Pipeline(
        "Small shifts and turns", "Good for digits: as if others had written them, a little elsewhere and at another angle.",
        (RandomAffineConfig(degrees=10, translate=0.1, scale_min=0.9, scale_max=1.1), ToTensorConfig())),
    "things": Pipeline(
        "Flips and crops", "Good for pictures of things, where left and right don't matter and a part shows enough.",
        (RandomHorizontalFlipConfig(), RandomResizedCropConfig(scale_min=0.6), ToTensorConfig())),
    "holes": Pipeline(
        "Small turns and holes", "The network can't rely on one spot, since any may be missing.",
        (RandomRotationConfig(degrees=10), ToTensorConfig(), RandomErasingConfig(p=0.5, scale_max=0.15))),
    "plain": Pipeline(
        "ToTensor and Normalize", "What the classic notes begin with: nothing random, values from −1 to 1.",
        (ToTensorConfig(), NormalizeConfig())),
}
