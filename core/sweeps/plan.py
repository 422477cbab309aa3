"""What a search is to do: from which settings, over which ranges, chosen how, for how long."""

import json
from collections.abc import Mapping
from math import inf, prod
from typing import Any, Literal

from pydantic import ValidationError

from core.config import KIND_PATHS, RunConfig
from core.fields import Config, ConfigError, explain, setting
from core.runs.differing import SEED, flat

MOST_TRIALS = 1000
GRID_POINTS = 5  # of a range, on a grid
DIGITS = 4  # that a chosen number keeps: nobody can tell 0.0031827 from 0.003183

Sampler = Literal["tpe", "random", "grid", "qmc"]
Pruner = Literal["none", "median", "hyperband"]
Metric = Literal["validation_accuracy", "validation_loss"]


class SweepError(ValueError):
    """A search that can't be; the message is one line."""


class Range(Config):
    """Where one setting may lie: from low to high, or one of some choices.

    log: by factors instead of by differences. whole: no fractions.
    """

    path: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def is_number(self) -> bool:
        return not self.choices

    @property
    def count(self) -> float:
        """How many values there are: infinitely many of a range that is not of whole numbers."""
        if self.low is None or self.high is None:
            return len(self.choices)
        return self.high - self.low + 1 if self.whole else inf

    def values(self) -> tuple[Any, ...]:
        """All of them, of a range of whole numbers or of choices."""
        if self.low is None or self.high is None:
            return self.choices
        return tuple(range(int(self.low), int(self.high) + 1))

    def points(self, most: int = GRID_POINTS) -> tuple[Any, ...]:
        """Its choices, or at most so many numbers evenly from its low to its high end."""
        if not self.is_number:
            return self.choices
        return tuple(dict.fromkeys(self.at(place / (most - 1)) for place in range(most)))

    def at(self, share: float) -> Any:
        """What lies at this share, from 0 to 1, of the way from its low to its high end, or from its first choice to its last."""
        if self.low is None or self.high is None:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        return self.rounded(self.low * (self.high / self.low) ** share if self.log else self.low + share * (self.high - self.low))

    def rounded(self, number: float) -> float | int:
        """A number in it with few digits; one that was chosen before it was narrowed stays where it is."""
        assert self.low is not None and self.high is not None
        short = round(number) if self.whole else float(f"{number:.{DIGITS}g}")
        return type(short)(min(max(short, min(self.low, number)), max(self.high, number)))


class SweepPlan(Config):
    """Everything that decides what a search does, as plain JSON."""

    base: RunConfig
    vary: tuple[Range, ...]
    trials: int = setting(40, "How many settings are tried; fresh seeds of the best come on top.", unit="trials", ge=2,
                          le=MOST_TRIALS, step=10)
    minutes: float = setting(10.0, "How long the search may take in all; 0 is no limit.", unit="min", ge=0.0, le=10_080.0,
                             step=5.0, label="Time")
    sampler: Sampler = setting(
        "tpe", "How the next settings are chosen. tpe: near those that did well (Tree-structured Parzen Estimator). random: by "
        "chance. qmc: by chance, but evenly spread. grid: every combination, five points of each range.", label="Choose by")
    pruner: Pruner = setting(
        "median", "Whether trials that lag behind are ended early. median: below the middle of the others at the same epoch, "
        "after the first third of them. hyperband: many short trials, the best of them longer. none: each goes to its end.",
        label="End early")
    metric: Metric = setting("validation_accuracy", "What decides, on the validation images alone: the share of right answers, "
                             "or the loss.", label="Judge by")
    seeds: int = setting(3, "Fresh seeds that measure luck at the beginning, and with which each of the best is repeated.",
                         unit="seeds", ge=2, le=10, step=1)
    patience: int = setting(20, "End after so many trials in a row, of those that went to their end, that beat the best by no "
                            "more than luck; 0 never does.", unit="trials", ge=0, le=MOST_TRIALS, step=5)
    since: int = setting(0, "Patience counts from this trial on: before it, trials were added.", ge=0)

    @property
    def higher(self) -> bool:
        """Whether more of the metric is better."""
        return self.metric == "validation_accuracy"

    @property
    def step(self) -> float:
        """By which two results differ at least: by one validation image; losses by anything."""
        return 1 / self.base.data.validation if self.higher else 0.0

    @property
    def seconds(self) -> float:
        """That it may take; infinity without a limit."""
        return 60 * self.minutes or inf

    @property
    def grid_size(self) -> int:
        return prod(len(one.points()) for one in self.vary)

    @property
    def combinations(self) -> float:
        """How many different settings there are to choose from."""
        return self.grid_size if self.sampler == "grid" else prod(one.count for one in self.vary)

    @property
    def most_trials(self) -> int:
        """How many different settings are tried at most."""
        return int(min(self.trials, self.combinations))

    def config_of(self, params: Mapping[str, Any], repeat: int = 0) -> RunConfig:
        """A trial: some settings, with a fresh seed for each repeat. It keeps no moments to go back to, of which hundreds of runs
        would have gigabytes. Raises ConfigError."""
        return with_params(self.base, params).with_values({SEED: self.base.training.seed + repeat, "training.moments": 0})

    def first_params(self) -> dict[str, Any]:
        """The settings to begin with: the base's own, as far as the ranges hold them."""
        values, found = flat(self.base), {}
        for one in self.vary:
            value = values.get(one.path)
            if one.is_number and isinstance(value, int | float) and one.low is not None and one.high is not None:
                found[one.path] = min(max(value, one.low), one.high)
            elif value in one.choices:
                found[one.path] = value
        return found


def with_params(base: RunConfig, params: Mapping[str, Any]) -> RunConfig:
    """The settings with some changed; one that they do not have, as their kind is another, is left out. Raises ConfigError."""
    kinds = base.with_values({path: value for path, value in params.items() if path in KIND_PATHS})
    there = flat(kinds)
    return kinds.with_values({path: value for path, value in params.items() if path in there and path not in KIND_PATHS})


def read_plan(text: str) -> SweepPlan:
    """A plan from its JSON. Raises SweepError."""
    try:
        return SweepPlan.model_validate_json(text)
    except ValidationError as error:
        raise SweepError(f"What this search was to do can't be read: {explain(error, SweepPlan)}") from None
    except (ConfigError, json.JSONDecodeError) as error:
        raise SweepError(f"What this search was to do can't be read: {error}") from None
