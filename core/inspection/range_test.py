"""The learning rate range test: a few steps with a learning rate that grows at each, and what the loss does.

Leslie N. Smith: Cyclical Learning Rates for Training Neural Networks, WACV 2017, arXiv:1506.01186, section 3.3. The rate grows
by a factor at each step here, as fastai's `lr_find` does it, so that one test covers seven powers of ten.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

import torch
from torch import nn

from core.config import RunConfig
from core.data import Dataset
from core.data.batches import Batch, Batches
from core.training import OBJECTIVES
from core.training.optimizers import build_optimizer

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


def range_test(config: RunConfig, data: Dataset, model: nn.Module, steps: int = 100) -> RangeTest:
    """Train a copy of `model` for at most `steps` steps on the CPU, from a learning rate of 1e-6 to 10.

    Neither `model` nor PyTorch's random state is changed.

    Raises:
        ValueError: fewer than 10 steps, or no training images.
    """
    if steps < 10:
        raise ValueError(f"steps is {steps}; a range test needs at least 10")
    if not len(data.train):
        raise ValueError("there are no training images")
    model = copy.deepcopy(model).cpu().train()
    objective = OBJECTIVES[config.training.loss]
    optimizer = build_optimizer(config.training.optimizer, model.parameters())
    rates: list[float] = []
    losses: list[float] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        for step, batch in enumerate(_batches(config, data, steps)):
            rate = LOWEST * (HIGHEST / LOWEST) ** (step / (steps - 1))
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            loss = objective.loss(model(batch.images).float(), batch.labels)
            loss.backward()
            optimizer.step()
            if not isfinite(loss.item()):
                return _result(rates, losses, rate)
            smooth = loss.item() if not losses else SMOOTHING * losses[-1] + (1 - SMOOTHING) * loss.item()
            rates.append(rate)
            losses.append(smooth)
            if smooth > BLOWN_UP * min(losses):
                return _result(rates, losses, rate)
    return _result(rates, losses, None)


def _batches(config: RunConfig, data: Dataset, steps: int) -> Iterator[Batch]:
    """`steps` batches in random order, through the training images as often as it takes."""
    batches = Batches(data, data.train, torch.device("cpu"))
    done = epoch = 0
    while done < steps:
        order = torch.randperm(len(batches), generator=torch.Generator().manual_seed(config.training.seed + epoch))
        for batch in batches.iterate(config.training.batch_size, order):
            yield batch
            done += 1
            if done == steps:
                return
        epoch += 1


def _result(rates: list[float], losses: list[float], too_high: float | None) -> RangeTest:
    """The suggestion: a tenth of the rate with the lowest smoothed loss."""
    if not rates:
        return RangeTest((), (), LOWEST, too_high)
    best = rates[min(range(len(losses)), key=losses.__getitem__)]
    return RangeTest(tuple(rates), tuple(losses), max(LOWEST, best / 10), too_high)
