"""Fewer points that look the same."""

from collections.abc import Sequence

import numpy as np

from core.runs.thinning import running_mean


def thin(steps: Sequence[int], values: Sequence[float], points: int = 400) -> tuple[list[int], list[float]]:
    """At most `points` of the (step, value) pairs, in order, that keep every bucket's smallest and largest value.

    Spikes are what one looks for in a loss curve, so means over buckets would hide the point.
    """
    if len(steps) <= points:
        return list(steps), list(values)
    array = np.asarray(values, dtype=float)
    finite = np.isfinite(array)  # of a bucket that has finite values these count: NaN would be both its smallest and largest
    lows, highs = np.where(finite, array, np.inf), np.where(finite, array, -np.inf)
    edges = np.linspace(0, len(array), points // 2 + 1).astype(int)
    keep: set[int] = set()
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        keep |= {start + int(lows[start:end].argmin()), start + int(highs[start:end].argmax())}
    kept = sorted(keep)
    return [steps[i] for i in kept], [values[i] for i in kept]


def smooth(values: Sequence[float], weight: float = 0.9) -> list[float]:
    """core.runs.thinning.running_mean() as a list."""
    return running_mean(values, weight).tolist()
