"""Pictures of the plane while a network on 2-D points learns: its answer everywhere and what each hidden unit makes of it."""

import time
from collections.abc import Callable
from math import ceil, log2

import numpy as np
import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.data import Dataset, as_features, normalize
from core.data.sources.generated import RULES
from core.models import MLPConfig
from core.training.events import Look
from core.training.objectives import objective_of

PLANE = "plane"  # the kind of PlaneWatcher's looks
EXTENT = 3.0  # pictures go from −EXTENT to EXTENT both ways
SIDE, UNIT_SIDE = 49, 25  # points along each side of the answer's picture, and of a unit's: every second one
MOST_LAYERS, MOST_UNITS = 6, 8  # of a network that is drawn: 22 kB a picture at most
FEWEST_A_SECOND, MOST_A_SECOND = 30.0, 60.0  # pictures: a screen shows 60
SECONDS_PER_STRIDE = 0.25  # after which it is looked whether that holds
SHARE = 0.06  # of the time that looking may take, and
FREE = 0.01  # seconds of it that are there at the start: about twenty pictures


def can_show(config: RunConfig) -> bool:
    """Whether pictures can be made: of a set in the plane, and a network of linear layers that fits on a screen."""
    spec = RULES.get(config.data.dataset)
    model = config.model
    return (spec is not None and spec.in_plane and isinstance(model, MLPConfig) and len(model.hidden) <= MOST_LAYERS
            and max(model.hidden, default=1) <= MOST_UNITS and config.data.task == "classes")


def grid(side: int = SIDE) -> Tensor:
    """(side², 2) points, row by row from the top left, where x₁ is −EXTENT and x₂ is EXTENT."""
    across = torch.linspace(-EXTENT, EXTENT, side)
    x2, x1 = torch.meshgrid(across.flip(0), across, indexing="ij")
    return torch.stack([x1.flatten(), x2.flatten()], dim=1)


def as_grey(values: Tensor) -> Tensor:
    """Values from −1 to 1 as uint8: 0 for −1, 255 for 1."""
    return ((values.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


class EvenPace:
    """When to look so that pictures come at even steps: at each 2ᵏ-th one, with k such that 30 to 60 of them come a second,
    waiting included, and looking takes a bounded share of the time.

    clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock, self.stride = clock, 1
        self.began = self.since = clock()
        self.seen = 0  # how many steps it could have looked at since `since`
        self.first: int | None = None  # the step that it was asked about first
        self.cost, self.looks = 0.0, 0  # seconds that looks have taken, but for the very first one, which prepares; how many

    def due(self, step: int) -> bool:
        if step % self.stride:
            return False
        now = self.clock()
        if self.first is None:
            self.first, self.began, self.since = step, now, now
        self.seen += 1
        if now - self.since >= SECONDS_PER_STRIDE:
            self._choose(self.seen / (now - self.since))
            self.since, self.seen = now, 0
        elif self.cost > FREE + SHARE * (now - self.began) and step > self.first:
            steps = self.cost / self.looks / SHARE / ((now - self.began) / (step - self.first))  # that one look may cost
            self.stride = max(2 * self.stride, 2 ** ceil(log2(steps)))
        return step % self.stride == 0

    def _choose(self, rate: float) -> None:
        if rate > MOST_A_SECOND:
            self.stride *= 2 ** ceil(log2(rate / MOST_A_SECOND))
        elif rate < FEWEST_A_SECOND and self.stride > 1:
            self.stride //= 2

    def spent(self, began: float) -> None:
        """To be called after a look, with when it began."""
        if self.first is not None:
            self.cost, self.looks = self.cost + self.clock() - began, self.looks + 1


class PlaneWatcher:
    """What a network of can_show() says at every point of the plane, again and again while it learns.

    A Look's arrays:
        answer (SIDE, SIDE) uint8; row 0 is the top. For two classes 0 is surely the first and 255 surely the second, for a number
            −bound to bound.
        units (U, UNIT_SIDE, UNIT_SIDE) uint8: those of all hidden layers, each as a share of its own largest size, −1 to 1.
        largest (U,) float32: that size.
        weights, biases float32: of all linear layers one after the other, weights row by row (outputs, inputs). Of an output
            layer with two classes, the second row less the first: what speaks for the second class.
        standing (3,) float32: loss over all training points, over all validation points, and share of these that it gets right
            (NaN for a number), of exactly these weights.
        made (1,) float64: when, in seconds since 1970.
    """

    def __init__(self, config: RunConfig, data: Dataset, device: torch.device,
                 clock: Callable[[], float] = time.perf_counter) -> None:
        self.pace, self.device = EvenPace(clock), device
        self.objective, self.classes = objective_of(config.training, data.target), data.target == "classes"
        splits = [split.take(torch.arange(len(split))) for split in (data.train, data.validation)]
        self.labels = [labels.to(device) for _, labels in splits]
        self.bound = 1.0 if self.classes else max(float(self.labels[0].abs().max()), 1e-9)
        examples = torch.cat([as_features(grid(), config.data.features), *(points for points, _ in splits)])
        self.inputs = normalize(examples, data.mean, data.std).to(device)  # (SIDE² + training + validation points, F)
        self.sizes = [SIDE * SIDE, *map(len, self.labels)]

    def due(self, step: int, seconds: float) -> bool:
        return self.pace.due(step)

    def look(self, model: nn.Module, step: int, epoch: int, seconds: float, loss: float) -> Look | None:
        """None where an answer is not finite, as those of weights that are lost."""
        began = self.pace.clock()
        with torch.inference_mode():
            arrays = self.arrays(model)
        self.pace.spent(began)
        return None if arrays is None else Look(PLANE, step, epoch, seconds, arrays)

    def arrays(self, model: nn.Module) -> dict[str, np.ndarray] | None:
        """See the class. model: as core.models.mlp builds it."""
        values, units, linear = self.inputs, [], []
        for module in model.children():
            if isinstance(module, nn.Dropout):  # off, as whenever a network is asked
                continue
            if isinstance(module, nn.Linear):
                if linear:
                    units.append(values[:SIDE * SIDE].T.reshape(-1, SIDE, SIDE)[:, ::2, ::2])  # (units of the layer, 25, 25)
                linear.append(module)
            values = module(values)
        logits, learned, held_back = values.float().split(self.sizes)
        said = self.objective.probabilities(logits)
        answer = said[:, 1] * 2 - 1 if self.classes else said[:, 0] / self.bound
        if not bool(torch.isfinite(values.sum())):
            return None
        maps = torch.cat(units) if units else values.new_zeros(0, UNIT_SIDE, UNIT_SIDE)
        largest = maps.abs().amax((1, 2))
        weights, biases = [layer.weight for layer in linear], [layer.bias for layer in linear]
        if len(weights[-1]) == 2:
            weights[-1], biases[-1] = weights[-1][1:] - weights[-1][:1], biases[-1][1:] - biases[-1][:1]
        right = (self.objective.predict(held_back) == self.labels[1]).float().mean() if self.classes else torch.tensor(torch.nan)
        standing = torch.stack([self.objective.loss(learned, self.labels[0]), self.objective.loss(held_back, self.labels[1]),
                                right.to(self.device)])
        found = {"answer": as_grey(answer.view(SIDE, SIDE)), "units": as_grey(maps / largest.clamp(min=1e-9)[:, None, None]),
                 "largest": largest, "weights": torch.cat([weight.flatten() for weight in weights]), "biases": torch.cat(biases),
                 "standing": standing}
        return {name: value.to("cpu").numpy() for name, value in found.items()} | {"made": np.array([time.time()])}
