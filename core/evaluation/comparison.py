"""Two models on the same images: is one better, or was it luck?"""

from dataclasses import dataclass
from math import comb, erfc, sqrt

import numpy as np

from core.evaluation.metrics import Interval
from core.evaluation.predictions import Predictions

FEW = 25  # fewer images than this on which only one is right: the exact test, as is usual
RESAMPLES = 10_000


@dataclass(frozen=True)
class McNemar:
    """only_first, only_second: images that one model got right and the other wrong. p: how probable a difference at least this
    large would be if both were equally good. statistic: chi-square, None for the exact test."""

    only_first: int
    only_second: int
    p: float
    statistic: float | None

    @property
    def exact(self) -> bool:
        return self.statistic is None


@dataclass(frozen=True, eq=False)
class Comparison:
    """difference: accuracy of the second minus that of the first, with its 95 % interval.

    gained, lost: (n,) positions of images that only the second, or only the first, got right.
    """

    difference: float
    interval: Interval
    test: McNemar
    both_right: int
    both_wrong: int
    gained: np.ndarray
    lost: np.ndarray


def why_unfair(first: Predictions, second: Predictions) -> str | None:
    """One line that says why two models can't be compared on these predictions; None where they can."""
    if first.classes != second.classes:
        return (f"The two models answer different questions: one of {_few(first.classes)}, the other of {_few(second.classes)}. "
                "A fair comparison needs the same question.")
    if first.split != second.split or first.images != second.images:
        return ("The two models were tested on different images, so a difference may come from the images. Choose two models of "
                "the same data set.")
    return None


def compare(first: Predictions, second: Predictions, seed: int = 0) -> Comparison:
    """McNemar's test, a bootstrap interval, and the images that flipped. Raises ValueError where why_unfair() has a reason."""
    if reason := why_unfair(first, second):
        raise ValueError(reason)
    gained, lost = np.flatnonzero(~first.correct & second.correct), np.flatnonzero(first.correct & ~second.correct)
    both = int((first.correct & second.correct).sum())
    return Comparison((len(gained) - len(lost)) / len(first), bootstrap_difference(first.correct, second.correct, seed),
                      mcnemar(len(lost), len(gained)), both, len(first) - both - len(gained) - len(lost), gained, lost)


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """Two-sided test whether two models are right equally often (Q. McNemar, Psychometrika 12, 1947, 153–157).

    Only images count on which they differ: if both were equally good each would be right on half of them. Below 25 such images
    by the binomial distribution, 2·P(X ≤ smaller), from 25 on by chi-square with one degree of freedom and Edwards' continuity
    correction, (|b − c| − 1)² / (b + c).
    """
    differing, smaller = only_first + only_second, min(only_first, only_second)
    if differing < FEW:
        p = min(1.0, 2 * sum(comb(differing, few) for few in range(smaller + 1)) / 2**differing) if differing else 1.0
        return McNemar(only_first, only_second, p, None)
    statistic = max(0, abs(only_first - only_second) - 1) ** 2 / differing
    return McNemar(only_first, only_second, erfc(sqrt(statistic / 2)), statistic)


def bootstrap_difference(first: np.ndarray, second: np.ndarray, seed: int, level: float = 0.95,
                         resamples: int = RESAMPLES) -> Interval:
    """Percentile interval of mean(second) − mean(first) over resamples of the images, the same images for both.

    Args:
        first, second: (N,) bool, right or not.

    For each image the difference is −1, 0 or 1, so drawing N images with replacement is drawing how many there are of each:
    one multinomial draw instead of N (B. Efron, Ann. Stat. 7, 1979, 1–26, for the bootstrap).
    """
    count = len(first)
    shares = np.array([(first & ~second).sum(), (first == second).sum(), (~first & second).sum()]) / count
    drawn = np.random.default_rng(seed).multinomial(count, shares, size=resamples)
    low, high = np.quantile((drawn[:, 2] - drawn[:, 0]) / count, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _few(classes: tuple[str, ...]) -> str:
    return ", ".join(classes) if len(classes) <= 3 else f"{', '.join(classes[:2])}, … ({len(classes)} classes)"
