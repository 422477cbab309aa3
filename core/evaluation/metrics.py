"""Figures that are counts and shares of counts, by scikit-learn's definitions.

In NumPy, and held to scikit-learn by the tests: importing sklearn.metrics into the server would take 60 MB and a second.
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np

from core.evaluation.predictions import Predictions


@dataclass(frozen=True)
class Interval:
    """From low to high."""

    low: float
    high: float


@dataclass(frozen=True)
class ClassRow:
    """One class. Shares from 0 to 1; None where there is nothing to divide by.

    support: images of the class; said: how often the network said it; right: how often it was right to.
    precision: right / said; recall: right / support; f1: their harmonic mean, 2·right / (said + support).
    """

    name: str
    support: int
    predicted_count: int
    right: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Means:
    """Means over classes of precision, recall and F1; where one is undefined it counts as 0, scikit-learn's default."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Summary:
    """The figures that come first. larger_share: what always saying the most frequent class would get."""

    examples: int
    right: int
    accuracy: float
    interval: Interval
    loss: float
    larger_share: float
    larger_class: str


def summarize(predictions: Predictions) -> Summary:
    """Accuracy with its 95 % interval, loss, and the accuracy of not looking at all."""
    right, examples = int(predictions.correct.sum()), len(predictions)
    counts = np.bincount(predictions.targets, minlength=len(predictions.classes))
    largest = int(counts.argmax())
    return Summary(examples, right, right / examples, wilson(right, examples), predictions.mean_loss,
                   float(counts[largest] / examples), predictions.classes[largest])


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Wilson's score interval for a share (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927, 209–212).

    Unlike p ± 1.96·√(p(1−p)/n) it stays inside 0 to 1 and is not empty where all or none are right.

    Raises:
        ValueError: no trials, or more successes than trials.
    """
    if not 0 <= successes <= trials or not trials:
        raise ValueError(f"{successes} of {trials} is no share.")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, spread = successes / trials, z * z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * sqrt(share * (1 - share) / trials + spread / (4 * trials))
    # exact at the ends, where rounding would leave 1e-17
    return Interval(0.0 if not successes else max(0.0, centre - half), 1.0 if successes == trials else min(1.0, centre + half))


def confusion_counts(predictions: Predictions) -> np.ndarray:
    """(K, K) int64: rows are true classes, columns what the network said."""
    classes = len(predictions.classes)
    return np.bincount(predictions.targets * classes + predictions.predicted, minlength=classes**2).reshape(classes, classes)


def confusion_shares(counts: np.ndarray) -> np.ndarray:
    """(K, K) float64: each row divided by its sum; NaN in the row of a class without images."""
    sums = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, sums, out=np.full(counts.shape, np.nan), where=sums > 0)


def class_table(counts: np.ndarray, classes: tuple[str, ...]) -> list[ClassRow]:
    """Precision, recall and F1 of each class, from confusion counts (K, K)."""
    rows = []
    for index, name in enumerate(classes):
        right, said, support = int(counts[index, index]), int(counts[:, index].sum()), int(counts[index].sum())
        rows.append(ClassRow(name, support, said, right, _share(right, said), _share(right, support),
                             _share(2 * right, said + support)))
    return rows


def macro_means(rows: list[ClassRow]) -> Means:
    """Each class counts the same, however many images it has."""
    return _means(rows, [1.0] * len(rows))


def weighted_means(rows: list[ClassRow]) -> Means:
    """Each class counts by its number of images."""
    return _means(rows, [float(row.support) for row in rows])


def _means(rows: list[ClassRow], weights: list[float]) -> Means:
    def mean(name: str) -> float:
        return float(np.average([getattr(row, name) or 0.0 for row in rows], weights=weights))

    return Means(mean("precision"), mean("recall"), mean("f1"))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
