"""The learning rate range test: a few steps with a learning rate that grows at each, and what the loss does.

Leslie N. Smith: Cyclical Learning Rates for Training Neural Networks, WACV 2017, arXiv:1506.01186, section 3.3. The rate grows
by a factor at each step here, as fastai's `lr_find` does it, so that one test covers seven powers of ten.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from math import inf, isfinite

import torch
from torch import nn

from core.config import RunConfig
from core.data import Dataset
from core.data.batches import Batch, Batches
from core.training.shortcuts import Shortcuts
from core.training.step import TrainingStep, batches_of_epoch
from core.training.trainable import train_mode

LOWEST, HIGHEST = 1e-6, 10.0
SMOOTHING = 0.9  # weight of the past in the running mean of the loss, against the noise of single batches
BLOWN_UP = 4.0  # times the lowest smoothed loss; fastai stops there too


@dataclass(frozen=True)
class RangeTest:
    """What the test showed.

    rates, losses: at each step, losses smoothed; ends where the loss blew up.
    suggested: a tenth of the rate with the lowest loss, the rule of thumb of fastai's `lr_find` ("minimum/10").
    too_high: the rate at which the loss had blown up; None if it never did.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggested: float
    too_high: float | None


@dataclass(frozen=True)
class RangeStep:
    """One step of the test, counted from 1. loss: of its batch, NaN or infinite where it blew up; smoothed: the running mean."""

    step: int
    rate: float
    loss: float
    smoothed: float


def range_test(config: RunConfig, data: Dataset, model: nn.Module, steps: int = 100) -> RangeTest:
    """Train a copy of `model` for at most `steps` steps on the CPU, from a learning rate of 1e-6 to 10.

    model: with the weights that the run would start from. Neither `model` nor PyTorch's random state is changed.

    Raises:
        ValueError: fewer than 10 steps, or no training images.
    """
    model = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        return conclude(list(range_steps(config, data, model, torch.device("cpu"), steps)))


def range_steps(config: RunConfig, data: Dataset, model: nn.Module, device: torch.device, steps: int = 100,
                shortcuts: Shortcuts | None = None) -> Iterator[RangeStep]:
    """The test step by step, for whoever wants to show or stop it. Trains `model` itself and seeds PyTorch's random state.

    The steps are those of fit() with these learning rates, whatever the config's schedule and however few epochs it has. Ends
    after `steps` steps or where the loss has blown up. Raises ValueError as range_test() does.
    """
    if steps < 10:
        raise ValueError(f"steps is {steps}; a range test needs at least 10")
    if not len(data.train):
        raise ValueError("there are no training images")
    training_step = TrainingStep(config.training, data.target, model, device, shortcuts)
    train_mode(training_step.model)
    torch.manual_seed(config.training.seed)
    smoothed = lowest = inf
    batches = _batches(config, Batches(data, data.train, device, channels_last=training_step.channels_last))
    for step, batch in enumerate(islice(batches, steps), start=1):
        rate = LOWEST * (HIGHEST / LOWEST) ** ((step - 1) / (steps - 1))
        loss, _ = training_step.take(batch, rate)
        value = loss.item()
        smoothed = value if step == 1 else SMOOTHING * smoothed + (1 - SMOOTHING) * value
        lowest = min(lowest, smoothed)
        yield RangeStep(step, rate, value, smoothed)
        if not isfinite(value) or smoothed > BLOWN_UP * lowest:
            return


def conclude(steps: Sequence[RangeStep]) -> RangeTest:
    """What the steps so far show. The suggestion is a tenth of the rate with the lowest smoothed loss, and 1e-6 at least."""
    good = [step for step in steps if isfinite(step.loss)]
    if not good:
        return RangeTest((), (), LOWEST, steps[-1].rate if steps else None)
    lowest = min(good, key=lambda step: step.smoothed)
    blown_up = not isfinite(steps[-1].loss) or steps[-1].smoothed > BLOWN_UP * lowest.smoothed
    return RangeTest(tuple(step.rate for step in good), tuple(step.smoothed for step in good), max(LOWEST, lowest.rate / 10),
                     steps[-1].rate if blown_up else None)


def _batches(config: RunConfig, batches: Batches) -> Iterator[Batch]:
    """Those of a run that never ends, through the training images again and again."""
    for epoch in count(1):
        yield from batches_of_epoch(batches, config.training, epoch)
