"""Curves made ready to be drawn: smoothed, thinned to the pixels of a chart, and several seeds as mean and band."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Points = tuple[np.ndarray, np.ndarray]  # x ascending and y, both (N,) float64; y may be infinite or NaN
NO_POINTS: Points = (np.empty(0), np.empty(0))


@dataclass(frozen=True, eq=False)
class Band:
    """Several runs taken together: at each x (N,) the smallest, mean and largest value of those that got so far."""

    x: np.ndarray
    low: np.ndarray
    mean: np.ndarray
    high: np.ndarray


def thinned(points: Points, low: float, high: float, pixels: int) -> Points:
    """At most three points for each of `pixels` equal parts of low to high: the smallest, the largest and the last one.

    Spikes are what one looks for in a loss curve, so means over parts would hide the point. Where a part has no finite value one
    NaN stands for it: a gap. The points next to the window on both sides stay as well, so that a line runs to its edges.
    """
    x, y = points
    first, end = np.searchsorted(x, low, "left"), np.searchsorted(x, high, "right")
    before, after = slice(max(0, first - 1), first), slice(end, end + 1)
    inside_x, inside_y = x[first:end], y[first:end]
    if len(inside_x) > 3 * pixels:
        parts = np.searchsorted(inside_x, np.linspace(low, high, pixels + 1)[1:-1])
        kept = _extremes(np.unique(np.append(0, parts[parts < len(inside_x)])), inside_y)
        inside_x, inside_y = inside_x[kept], inside_y[kept]
    return (np.concatenate((x[before], inside_x, x[after])),
            _gaps(np.concatenate((y[before], inside_y, y[after]))))


def _extremes(starts: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Positions, ascending, of the smallest, the largest and the last value of each part; of equal ones the first.

    starts: where each part begins, ascending from 0; none is empty.
    """
    ends = np.append(starts[1:], len(y))
    finite = np.isfinite(y)
    found = [ends - 1]
    for reduce, nothing in ((np.minimum, np.inf), (np.maximum, -np.inf)):
        values = y if finite.all() else np.where(finite, y, nothing)
        at = np.flatnonzero((values == np.repeat(reduce.reduceat(values, starts), ends - starts)) & finite)
        part = np.searchsorted(starts, at, "right")
        found.append(at[np.diff(part, prepend=0) > 0])
    kept = np.sort(np.concatenate(found))
    return kept[np.diff(kept, prepend=-1) > 0]


def _gaps(y: np.ndarray) -> np.ndarray:
    """Infinite values as NaN: a chart has no place for them."""
    return np.where(np.isfinite(y), y, np.nan)


def running_mean(values: Sequence[float] | np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average, corrected for its start: sum(w^k · v[n−k]) / sum(w^k). weight: w, 0 to below 1.

    What is infinite or NaN counts nowhere; in its place stands the mean of what was before it, NaN where nothing was. As pandas'
    ewm(), which would cost a server 45 MB. Source: the debiasing of Kingma & Ba, Adam, arXiv:1412.6980, section 3.
    """
    y = np.asarray(values, dtype=float)
    there = np.isfinite(y)
    sums = np.stack([np.where(there, y, 0.0), there])  # (2, N): of values, and of how much they count
    reach = 1  # each sum is of as many terms; a run of 100,000 steps is smoothed at each redraw, so no loop over those
    while reach < len(y) and weight**reach:
        sums[:, reach:] += weight**reach * sums[:, :-reach]
        reach *= 2
    known = np.maximum.accumulate(np.where(there, np.arange(len(y)), -1))  # the last place that has a value
    return np.where(known < 0, np.nan, sums[0, known] / np.where(known < 0, 1.0, sums[1, known]))


def mean_and_band(runs: Sequence[Points], low: float, high: float, most: int = 400) -> Band:
    """Mean and range of several runs between low and high, at the places where any of them has a value, thinned evenly to `most`.

    Between two of its own points a run counts with the straight line from one to the next; before its first and after its last it
    does not count. What is infinite or NaN is left out.
    """
    finite = [(x[np.isfinite(y)], y[np.isfinite(y)]) for x, y in runs]
    places = np.unique(np.concatenate([x for x, _ in finite] or [np.empty(0)]))
    places = places[(places >= low) & (places <= high)]
    if not len(places):
        return Band(*(np.empty(0) for _ in range(4)))
    places = places[np.unique(np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int))]
    values = np.array([np.interp(places, x, y, np.nan, np.nan) for x, y in finite if len(x)])  # (runs, N)
    return Band(places, np.nanmin(values, axis=0), np.nanmean(values, axis=0), np.nanmax(values, axis=0))
