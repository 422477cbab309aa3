"""What moments of a training cost on disk, before it begins, and which of too many stay: see core.runs.moments."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from torch import nn

from core.config import RunConfig, TrainingConfig
from core.runs.records import Run

RUN_BYTES = 100 * 10**6  # that the moments of one run may take
FEWEST = 3  # moments: where there is room for fewer, none is kept


@dataclass(frozen=True)
class Cost:
    """What moments take on disk at most. count: 0 where there is no room for FEWEST of so large a network, or none
    are wanted. certain: the chosen epochs among them, ascending; of too many, as many of the first as there is room for."""

    count: int
    bytes_each: int
    certain: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        return self.count * self.bytes_each


def cost_of(model: nn.Module, wanted: int, certain: Sequence[int] = (), about: int = 0) -> Cost:
    """What moments of a network cost before the run; a model on the meta device will do.

    wanted: how many besides the `certain` epochs, which the run will reach. about: bytes of what a file says beside its weights;
    see bytes_about().
    """
    each = about + sum(value.numel() * (2 if value.is_floating_point() else value.element_size())
                       for value in model.state_dict().values())
    epochs = sorted(set(certain))
    count = min(wanted + len(epochs), RUN_BYTES // max(1, each))
    if wanted < FEWEST or count < FEWEST:
        return Cost(0, each)
    return Cost(count, each, tuple(epochs[:count - 2]))  # the first moment and the last stay, whatever they are


def bytes_about(model: nn.Module, config: RunConfig, classes: Sequence[str]) -> int:
    """At most how many bytes a moment's file has beside its weights: its settings, and a line for each tensor."""
    about = {"config": config.model_dump(mode="json"), "classes": classes}
    tensors = sum(120 + len(json.dumps(name)) + 12 * value.dim() for name, value in model.state_dict().items())
    return len(json.dumps(json.dumps(about))) + tensors + 600  # for version, step, seconds, and input shape, mean and std


def epochs_of(training: TrainingConfig) -> list[int]:
    """The chosen epochs that a run will reach."""
    return [epoch for epoch in training.moment_epochs if epoch <= training.epochs]


def chosen_steps(run: Run) -> set[int]:
    """The steps after which a run was to keep a moment for certain."""
    return {epoch * run.steps_per_epoch for epoch in run.config.training.moment_epochs}


def thinned(steps: Sequence[int], most: int, keep_all: bool = False, certain: Collection[int] = ()) -> list[int]:
    """Which `most` of ascending steps stay: the first, the last, and between them those whose distance grows with the step.

    Of all but the ends, the one whose neighbours are the nearest to each other, as a ratio, goes first. keep_all: none goes.
    certain: steps that stay, even if more than `most` do then.
    """
    left = list(steps)
    while len(left) > max(2, most) and not keep_all:
        inner = [index for index in range(1, len(left) - 1) if left[index] not in certain]
        if not inner:
            break
        del left[min(inner, key=lambda i: ((left[i + 1] + 1) / (left[i - 1] + 1), i))]
    return left
