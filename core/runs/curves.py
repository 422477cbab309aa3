"""Curves of many runs side by side: one metric over steps, epochs or seconds, smoothed and thinned where it is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.runs.records import Run
from core.runs.store import RunStore
from core.runs.thinning import NO_POINTS, Band, Points, mean_and_band, running_mean, thinned

Axis = Literal["step", "epoch", "seconds"]
POINTS_PER_EPOCH = 3  # with no more than these a metric is not smoothed: it is a mean already
SECONDS = "seconds"  # the metric: of the training part of each epoch


@dataclass(frozen=True)
class View:
    """What is looked at. name: of the metric. low, high: the window on the axis, in its unit; high None is to the end.

    smoothing: weight of the past in the running mean, 0 to below 1; metrics with a value or two for each epoch stay as they are.
    """

    name: str
    axis: Axis = "epoch"
    low: float = 0.0
    high: float | None = None
    smoothing: float = 0.0


def extent(runs: Sequence[Run], axis: Axis, clocks: Mapping[str, Points]) -> float:
    """How far the axis goes: to the last step, epoch or second that any of the runs has come to; 0 where none has."""
    if axis == "seconds":
        return max((float(clocks[run.id][1][-1]) for run in runs if run.id in clocks), default=0.0)
    return max((run.step if axis == "step" else run.step / max(1, run.steps_per_epoch) for run in runs), default=0.0)


def read_clocks(store: RunStore, runs: Sequence[Run]) -> dict[str, Points]:
    """Seconds of training by step, (0, 0) and then the end of each epoch; by the run's id. Without evaluation and pauses; runs
    that have not finished an epoch are left out."""
    return {run.id: (np.append(0.0, steps), np.append(0.0, np.cumsum(np.nan_to_num(seconds))))
            for run, steps, seconds in store.points(runs, SECONDS)}


def read_curves(store: RunStore, runs: Sequence[Run], view: View, pixels: int,
                clocks: Mapping[str, Points] | None = None) -> dict[str, Points]:
    """What of the view is to be drawn, by the run's id: see thinned(). clocks: see read_clocks(), for the axis of seconds.

    Runs that have nothing in the window are left out.
    """
    runs = list(runs)
    high = _end(runs, view, clocks)
    found = {run.id: thinned((x, y), view.low, high, pixels) for run, x, y in _lines(store, runs, view, high, clocks)}
    return {run_id: points for run_id, points in found.items() if len(points[0])}


def read_bands(store: RunStore, groups: Sequence[Sequence[Run]], view: View, most: int,
               clocks: Mapping[str, Points] | None = None) -> list[Band]:
    """Of each group of runs the mean and the range, at no more than `most` places."""
    high = _end([run for group in groups for run in group], view, clocks)
    return [mean_and_band([(x, y) for _, x, y in _lines(store, group, view, high, clocks)], view.low, high, most)
            for group in groups]


def last_values(store: RunStore, runs: Sequence[Run], name: str) -> dict[str, float]:
    """A metric's last value by the run's id; runs without it are left out."""
    return {run.id: float(values[-1]) for run, _, values in store.points(runs, name) if len(values)}


def _end(runs: Sequence[Run], view: View, clocks: Mapping[str, Points] | None) -> float:
    return extent(runs, view.axis, clocks or {}) if view.high is None else view.high


def _lines(store: RunStore, runs: Sequence[Run], view: View, high: float, clocks: Mapping[str, Points] | None,
           ) -> Iterator[tuple[Run, np.ndarray, np.ndarray]]:
    """Each run's points on the view's axis, smoothed. Of a window only what is in and next to it is read where that can be."""
    low_step, high_step = 0.0, float("inf")
    if not view.smoothing and view.axis != "seconds":  # a running mean begins at the beginning, and a clock is not even
        epoch = max((max(1, run.steps_per_epoch) for run in runs), default=1)
        unit = [1, 1] if view.axis == "step" else [min((max(1, run.steps_per_epoch) for run in runs), default=1), epoch]
        low_step, high_step = view.low * unit[0] - epoch, high * unit[1] + epoch  # metrics of the next epoch, for a line to it
    for run, steps, values in store.points(runs, view.name, low_step, high_step):
        x, y = _placed(run, steps, values, view.axis, clocks or {})
        if view.smoothing and len(y) > POINTS_PER_EPOCH * max(1, run.epoch):
            y = running_mean(np.where(np.isfinite(y), y, np.nan), view.smoothing)
        yield run, x, y


def _placed(run: Run, steps: np.ndarray, values: np.ndarray, axis: Axis, clocks: Mapping[str, Points]) -> Points:
    """The points on the axis. Within an epoch time is taken as even; what comes after the last whole epoch has no time yet."""
    if axis == "step":
        return steps.astype(float), values
    if axis == "epoch":
        return steps / max(1, run.steps_per_epoch), values
    at, seconds = clocks.get(run.id, NO_POINTS)
    timed = steps <= at[-1] if len(at) else np.zeros(len(steps), bool)
    return np.interp(steps[timed], at, seconds) if len(at) else np.empty(0), values[timed]
