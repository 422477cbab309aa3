"""What a yes-no decision gains and costs at every threshold: ROC and precision-recall curves, by scikit-learn's definitions."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Sweep:
    """Counts at every threshold that changes one, from the highest down; "yes" is said where the score is at or above it.

    thresholds, hits, false_alarms: (T,) arrays; the first threshold is infinite, where nothing is a yes.
    positives, negatives: how many images there are of each.
    """

    thresholds: np.ndarray
    hits: np.ndarray
    false_alarms: np.ndarray
    positives: int
    negatives: int

    @property
    def recall(self) -> np.ndarray:
        """Share of positives that are found, also called true positive rate. NaN where there are none."""
        return self.hits / self.positives if self.positives else np.full(len(self.hits), np.nan)

    @property
    def false_alarm_rate(self) -> np.ndarray:
        """Share of negatives that are taken for positives, also called false positive rate. NaN where there are none."""
        return self.false_alarms / self.negatives if self.negatives else np.full(len(self.hits), np.nan)

    @property
    def precision(self) -> np.ndarray:
        """Share of yeses that are right; 1 where nothing is said, as scikit-learn ends its curve."""
        said = self.hits + self.false_alarms
        return np.divide(self.hits, said, out=np.ones(len(said)), where=said > 0)

    @property
    def roc_area(self) -> float | None:
        """Area under the ROC curve by trapezoids: how often a positive scores above a negative. None without both kinds."""
        if not self.positives or not self.negatives:
            return None
        return float(np.trapezoid(self.recall, self.false_alarm_rate))

    @property
    def average_precision(self) -> float | None:
        """Σ (Rₙ − Rₙ₋₁)·Pₙ, the area of the precision-recall curve without interpolation. None without positives."""
        return float(np.sum(np.diff(self.recall) * self.precision[1:])) if self.positives else None


@dataclass(frozen=True)
class Decision:
    """What one threshold gives: images counted."""

    threshold: float
    hits: int
    misses: int
    false_alarms: int
    rejections: int

    @property
    def examples(self) -> int:
        return self.hits + self.misses + self.false_alarms + self.rejections

    @property
    def accuracy(self) -> float:
        return (self.hits + self.rejections) / self.examples

    @property
    def precision(self) -> float | None:
        """None where it never says yes."""
        said = self.hits + self.false_alarms
        return self.hits / said if said else None

    @property
    def recall(self) -> float | None:
        """None where there are no positives."""
        positives = self.hits + self.misses
        return self.hits / positives if positives else None

    @property
    def false_alarm_rate(self) -> float | None:
        """None where there are no negatives."""
        negatives = self.false_alarms + self.rejections
        return self.false_alarms / negatives if negatives else None

    def cost(self, miss: float, false_alarm: float) -> float:
        """All misses and false alarms at their prices."""
        return self.misses * miss + self.false_alarms * false_alarm


def sweep(scores: np.ndarray, positive: np.ndarray) -> Sweep:
    """All thresholds of (N,) scores against (N,) bool.

    Raises:
        ValueError: no images, or a score that is not a number.
    """
    if not len(scores) or not np.isfinite(scores).all():
        raise ValueError("A threshold needs scores that are finite numbers, at least one.")
    order = np.argsort(-scores, kind="stable")
    ordered, yes = scores[order], positive[order].astype(np.int64)
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # the last of each run of equal scores
    hits = np.cumsum(yes)[last]
    return Sweep(np.append(np.inf, ordered[last]), np.append(0, hits), np.append(0, last + 1 - hits), int(yes.sum()),
                 int(len(yes) - yes.sum()))


def decide(curve: Sweep, threshold: float) -> Decision:
    """The counts where "yes" is said at `threshold` and above."""
    # thresholds fall, so the last one that is still at or above the asked one has everything that is a yes
    index = int(np.searchsorted(-curve.thresholds, -threshold, side="right")) - 1
    hits, false_alarms = int(curve.hits[max(index, 0)]), int(curve.false_alarms[max(index, 0)])
    return Decision(threshold, hits, curve.positives - hits, false_alarms, curve.negatives - false_alarms)


def cheapest(curve: Sweep, miss: float, false_alarm: float) -> Decision:
    """The threshold with the lowest cost; of equal ones the one nearest to one half. Thresholds above 1 are shown as 1."""
    costs = (curve.positives - curve.hits) * miss + curve.false_alarms * false_alarm
    best = np.flatnonzero(costs == costs.min())
    chosen = best[np.argmin(np.abs(np.minimum(curve.thresholds[best], 1.0) - 0.5))]
    return decide(curve, float(curve.thresholds[chosen]))


def thinned(curve: Sweep, points: int = 300) -> np.ndarray:
    """Positions of the points of a curve that a picture needs: at most about `points`, spread along both axes."""
    if len(curve.thresholds) <= points:
        return np.arange(len(curve.thresholds))
    # equal steps of what moves in either picture, so that corners keep their points
    steps = (np.abs(np.diff(np.nan_to_num(values), prepend=values[0]))
             for values in (curve.recall, curve.false_alarm_rate, curve.precision))
    way = np.cumsum(sum(steps))
    wanted = np.searchsorted(way, np.linspace(0, way[-1], points))
    return np.unique(np.concatenate([[0, len(way) - 1], np.clip(wanted, 0, len(way) - 1)]))
