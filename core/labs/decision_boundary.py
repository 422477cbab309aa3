"""A network on points in the plane: what it starts from, and pictures of it where its run has none."""

from collections.abc import Sequence

import torch

from core.config import RunConfig
from core.data import Dataset, as_features
from core.data.sources.generated import RULES, Generated
from core.trained_model import TrainedModel
from core.training import Look, PlaneWatcher, build_for, can_show
from core.training.objectives import objective_of
from core.training.plane import EXTENT, MOST_LAYERS, MOST_UNITS, UNIT_SIDE, as_grey, grid

MOST_PICTURES, MOST_BYTES = 200, 2_000_000  # of a run that has ended, that are sent to a browser


def plane_points(config: RunConfig) -> Generated:
    """The points of a run as they lie in the plane, (N, 2), before inputs are computed from them. Raises KeyError for a set that
    is not computed."""
    return RULES[config.data.dataset].generate(config.data)


def untrained(config: RunConfig, data: Dataset) -> TrainedModel:
    """The network that a run of `config` starts from, with its first weights. Raises ModelError and ConfigError."""
    objective_of(config.training, data.target)
    return TrainedModel(config, data.classes, build_for(config, data).eval(), data.input_shape, data.mean, data.std, 0)


def picture_of(trained: TrainedModel, data: Dataset, step: int = 0) -> Look | None:
    """What a PlaneWatcher sees of a network of can_show(); None where an answer is not finite."""
    return PlaneWatcher(trained.config, data, torch.device("cpu")).look(trained.model, step, trained.epoch, 0.0, torch.nan)


def input_maps(names: Sequence[str]) -> torch.Tensor:
    """(inputs, UNIT_SIDE, UNIT_SIDE) uint8: each input over the plane as a share of its largest size, as a PlaneWatcher's
    units."""
    values = as_features(grid(UNIT_SIDE), names).T.reshape(-1, UNIT_SIDE, UNIT_SIDE)
    return as_grey(values / values.abs().amax((1, 2), keepdim=True))


def spread_over(steps: Sequence[int], most: int) -> list[int]:
    """At most `most` (from 2 on) of ascending steps: the first, the last, and between them every so many-th one."""
    if len(steps) <= most:
        return list(steps)
    places = torch.linspace(0, len(steps) - 1, most).round().long().tolist()
    return [steps[place] for place in places]


__all__ = ["EXTENT", "MOST_BYTES", "MOST_LAYERS", "MOST_PICTURES", "MOST_UNITS", "can_show", "input_maps", "picture_of",
           "plane_points", "spread_over", "untrained"]
