"""Many models on the same images: which ranks they share because no test can tell them apart, and which are worth their cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.evaluation.comparison import mcnemar
from core.evaluation.metrics import Interval, wilson


@dataclass(frozen=True)
class Place:
    """One model's place. index: among the models as they were given. rank: 1 + how many the test finds better.

    right: images that it got right. accuracy: from 0 to 1, with its 95 % interval. p: of the comparison with the first model of
    the board, corrected; None for that one itself.
    """

    index: int
    rank: int
    right: int
    accuracy: float
    interval: Interval
    p: float | None


def shared_ranks(correct: Sequence[np.ndarray], level: float = 0.05) -> list[Place]:
    """Places by accuracy, the best first. A model's rank is 1 + the number of models that got more images right and that
    McNemar's test tells apart from it; models between which it can't decide may share a rank so.

    Args:
        correct: for each model (N,) bool, right or not, on the same images in the same order.
        level: how probable one false distinction on the whole board may be. Every two models are compared, so each p is
            corrected for all pairs (S. Holm, Scand. J. Stat. 6, 1979, 65–70).

    Raises ValueError where the models were not asked about equally many images, or about none.
    """
    if len({len(one) for one in correct}) > 1 or not all(len(one) for one in correct):
        raise ValueError("The models were not asked about the same images.")
    if not correct:
        return []
    right = np.stack([one.astype(np.int64) for one in correct])  # (models, N)
    totals = right.sum(axis=1)
    both = right @ right.T  # (models, models): images that both got right
    order = np.argsort(-totals, kind="stable")
    pairs = [(int(a), int(b)) for place, a in enumerate(order) for b in order[place + 1:]]
    p = dict(zip(pairs, holm([mcnemar(int(totals[b] - both[a, b]), int(totals[a] - both[a, b])).p for a, b in pairs]),
                 strict=True))
    count, best = right.shape[1], int(order[0])
    return [Place(int(one), 1 + sum(p[int(better), int(one)] < level for better in order[:place] if totals[better] > totals[one]),
                  int(totals[one]), float(totals[one] / count), wilson(int(totals[one]), count),
                  None if one == best else p[best, int(one)]) for place, one in enumerate(order)]


def holm(p: Sequence[float]) -> list[float]:
    """Each p corrected for there being several, so that they can be compared with the level of all together: the smallest times
    their number, the next times one less, and so on, none smaller than the one before it, at most 1 (S. Holm, 1979)."""
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return corrected.tolist()


def pareto_front(costs: Sequence[float], values: Sequence[float], higher: bool = True) -> list[int]:
    """Positions of the models that none other beats: none costs no more, is as good, and is better in one of the two. By cost.
    higher: whether a larger value is better.
    """
    sign = -1 if higher else 1
    order = sorted(range(len(costs)), key=lambda one: (costs[one], sign * values[one]))
    front: list[int] = []
    for one in order:
        same = front and (costs[front[-1]], values[front[-1]]) == (costs[one], values[one])  # a twin is on it as well
        if not front or same or sign * values[one] < sign * values[front[-1]]:
            front.append(one)
    return front
