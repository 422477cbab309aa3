"""Fewer points that look the same."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def thin(steps: Sequence[int], values: Sequence[float], points: int = 400) -> tuple[list[int], list[float]]:
    """At most `points` of the (step, value) pairs, in order, that keep every bucket's smallest and largest value.

    Spikes are what one looks for in a loss curve, so means over buckets would hide the point.
    """
    if len(steps) <= points:
        return list(steps), list(values)
    array = np.asarray(values, dtype=float)
    edges = np.linspace(0, len(array), points // 2 + 1).astype(int)
    keep: set[int] = set()
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        keep |= {start + int(array[start:end].argmin()), start + int(array[start:end].argmax())}
    kept = sorted(keep)
    return [steps[i] for i in kept], [values[i] for i in kept]


def smooth(values: Sequence[float], weight: float = 0.9) -> list[float]:
    """Exponential moving average, corrected for its start: sum(w^k · v[n−k]) / sum(w^k).

    Source: the debiasing of Kingma & Ba, Adam, arXiv:1412.6980, section 3. pandas does it in C: a run of 100,000 steps is
    smoothed at each redraw.
    """
    return pd.Series(values, dtype=float).ewm(alpha=1 - weight, adjust=True).mean().tolist()
