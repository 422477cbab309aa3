"""What the training doctor looks at: a run's metrics, and the few numbers that several rules ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np

from core.config import RunConfig
from core.fields import ConfigError
from core.inspection.doctor.case import Finding
from core.inspection.training_doctor.guessing import Guess, guess_of

Series = tuple[Sequence[int], Sequence[float]]

SAMPLE = 2000  # batches that a whole run is judged by; more of them would only make the means less noisy
FEW = 200  # records of one layer's gradients or dead units: networks have tens of layers
EARLY = 200  # first batches that are all looked at: a run that blows up does it here, in a step or two
RECENT = 50  # batches whose median is "now": long enough against noise, under 1 s of a small network


@dataclass(frozen=True)
class Trouble(Finding):
    """A Finding about a run that trains, and where it shows.

    first_step, last_step: the range, from 1. charts: which of "loss", "accuracy", "gradient" and "dead" show it.
    """

    first_step: int = 1
    last_step: int = 1
    charts: tuple[str, ...] = ("loss",)


@dataclass(frozen=True)
class Window:
    """Some batches: the mean of their losses and its standard error."""

    mean: float
    error: float
    first_step: int
    last_step: int


@dataclass(frozen=True)
class Record:
    """A run's metrics. Numbers that are NaN or infinite are left out."""

    config: RunConfig
    series: Mapping[str, Series]
    steps_per_epoch: int
    not_finite: bool = False

    def sample(self, name: str, most: int = SAMPLE) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values, (n,) int64 and float64: all where there are few, else the first EARLY, then `most` or so evenly, and
        the last. A mean over later ones is that of the run, but for its noise."""
        steps, values = self.series.get(name, ((), ()))
        stride = max(1, len(steps) // most)
        if stride > 1:  # slices of lists, because turning 100,000 numbers into an array takes 4 ms
            cut = slice(EARLY, len(steps) - 1, stride)
            steps, values = [*steps[:EARLY], *steps[cut], steps[-1]], [*values[:EARLY], *values[cut], values[-1]]
        return _finite(steps, values)

    @cached_property
    def losses(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps and losses of single batches."""
        return self.sample("loss")

    @property
    def last_step(self) -> int:
        """The newest batch whose loss is a number."""
        return int(self.losses[0][-1]) if len(self.losses[0]) else 0

    @cached_property
    def start(self) -> float:
        """The loss of the first batch, which the fresh weights had: what guessing costs. 0 where nothing is known."""
        steps, losses = self.losses
        return float(losses[0]) if len(steps) and steps[0] == 1 else 0.0

    @cached_property
    def now(self) -> float:
        """The median loss of the last batches: one unlucky batch does not move it."""
        steps, values = self.series.get("loss", ((), ()))
        _, recent = _finite(steps[-RECENT:], values[-RECENT:])
        return float(np.median(recent)) if len(recent) else 0.0

    @property
    def is_over(self) -> bool:
        """Whether the last step of the run is done, or early stopping has ended it."""
        training, losses = self.config.training, self.sample("validation_loss")[1]
        waited = len(losses) - 1 - int(losses.argmin()) if len(losses) else 0
        return bool(self.last_step) and (self.last_step >= self.steps_per_epoch * training.epochs
                                         or 0 < training.early_stopping <= waited)

    @cached_property
    def guess(self) -> Guess | None:
        """What an answer costs that ignores its input."""
        return guess_of(self.config)

    def learned(self, loss: float) -> float:
        """How far a loss has come from guessing (0) to the smallest that there can be (1); below 0 it is worse than guessing. "
        "By the
        first loss where nothing is known of the data."""
        worst, best = (self.guess.loss, self.guess.floor) if self.guess else (self.start, 0.0)
        return (worst - loss) / (worst - best) if worst > best else 1.0

    @cached_property
    def skill(self) -> float:
        """The better of what the last tenth of the batches (8 to 50) and the last epoch's validation say."""
        validation, losses = self.sample("validation_loss")[1], self.losses[1]
        recent = losses[-max(8, min(RECENT, len(losses) // 10)):]
        trained = self.learned(float(np.median(recent)) if len(recent) else self.now)
        return max(trained, self.learned(float(validation[-1]))) if len(validation) else trained

    def window(self, begin: float, end: float, name: str = "loss") -> Window | None:
        """The batches from one share of the steps so far to another; None where they are fewer than 10."""
        steps, values = self.losses if name == "loss" else self.sample(name)
        inside = (steps > begin * self.last_step) & (steps <= end * self.last_step)
        if inside.sum() < 10:
            return None
        chosen = values[inside]
        return Window(float(chosen.mean()), float(chosen.std(ddof=1)) / sqrt(len(chosen)), int(steps[inside][0]),
                      int(steps[inside][-1]))

    def under(self, prefix: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The series whose names begin with `prefix`, by the rest of their names, in the order of the network's layers."""
        return {name.removeprefix(prefix): self.sample(name, FEW) for name in self.series if name.startswith(prefix)}

    def epoch_of(self, step: int) -> str:
        """Where a step is, for people: "step 1,200 (epoch 2)"."""
        epoch = f" (epoch {-(-step // self.steps_per_epoch)})" if self.steps_per_epoch else ""
        return f"step {step:,}{epoch}"

    @cached_property
    def rate(self) -> float:
        """The largest learning rate that was used: the config's, or what it was changed to."""
        used = self.sample("learning_rate")[1]
        return max(self.config.training.optimizer.learning_rate, float(used.max()) if len(used) else 0.0)

    def changed(self, **values: Any) -> RunConfig | None:
        """The config with fields replaced, "training__loss" for training.loss; None where that is impossible or no change."""
        try:
            config = self.config.with_values({name.replace("__", "."): value for name, value in values.items()})
        except ConfigError:
            return None
        return config if config != self.config else None


def _finite(steps: Sequence[int], values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    at, of = np.asarray(steps, dtype=np.int64), np.asarray(values, dtype=float)
    finite = np.isfinite(of)
    return at[finite], of[finite]
