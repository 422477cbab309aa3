"""What a yes-no decision gains and costs at every threshold: ROC and precision-recall curves, by scikit-learn's definitions."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Sweep:
    """Counts at every threshold that changes one, from the highest down; "yes" is said where the score is at or above it.

    thresholds, true_positives, false_positives: (T,) arrays; the first threshold is infinite, where nothing is a yes.
    positives, negatives: how many images there are of each.
    """

    thresholds: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray
    positives: int
    negatives: int

    @property
    def recall(self) -> np.ndarray:
        """Share of positives that are found, also called true positive rate. NaN where there are none."""
        return self.true_positives / self.positives if self.positives else np.full(len(self.true_positives), np.nan)

    @property
    def false_positive_rate(self) -> np.ndarray:
        """Share of negatives that are taken for positives, also called false positive rate. NaN where there are none."""
        return self.false_positives / self.negatives if self.negatives else np.full(len(self.true_positives), np.nan)

    @property
    def precision(self) -> np.ndarray:
        """Share of yeses that are right; 1 where nothing is said, as scikit-learn ends its curve."""
        said = self.true_positives + self.false_positives
        return np.divide(self.true_positives, said, out=np.ones(len(said)), where=said > 0)

    @property
    def roc_area(self) -> float | None:
        """Area under the ROC curve by trapezoids: how often a positive scores above a negative. None without both kinds."""
        if not self.positives or not self.negatives:
            return None
        return float(np.trapezoid(self.recall, self.false_positive_rate))

    @property
    def average_precision(self) -> float | None:
        """Σ (Rₙ − Rₙ₋₁)·Pₙ, the area of the precision-recall curve without interpolation. None without positives."""
        return float(np.sum(np.diff(self.recall) * self.precision[1:])) if self.positives else None


@dataclass(frozen=True)
class Decision:
    """What one threshold gives: images counted."""

    threshold: float
    true_positives: int
    false_negatives: int
    false_positives: int
    true_negatives: int

    @property
    def examples(self) -> int:
        return self.true_positives + self.false_negatives + self.false_positives + self.true_negatives

    @property
    def accuracy(self) -> float:
        return (self.true_positives + self.true_negatives) / self.examples

    @property
    def precision(self) -> float | None:
        """None where it never says yes."""
        said = self.true_positives + self.false_positives
        return self.true_positives / said if said else None

    @property
    def recall(self) -> float | None:
        """None where there are no positives."""
        positives = self.true_positives + self.false_negatives
        return self.true_positives / positives if positives else None

    @property
    def false_positive_rate(self) -> float | None:
        """None where there are no negatives."""
        negatives = self.false_positives + self.true_negatives
        return self.false_positives / negatives if negatives else None

    def cost(self, miss: float, false_alarm: float) -> float:
        """All misses and false alarms at their prices."""
        return self.false_negatives * miss + self.false_positives * false_alarm


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
    found = np.cumsum(yes)[last]
    return Sweep(np.append(np.inf, ordered[last]), np.append(0, found), np.append(0, last + 1 - found), int(yes.sum()),
                 int(len(yes) - yes.sum()))


def decide(curve: Sweep, threshold: float) -> Decision:
    """The counts where "yes" is said at `threshold` and above."""
    # thresholds fall, so the last one that is still at or above the asked one has everything that is a yes
    index = int(np.searchsorted(-curve.thresholds, -threshold, side="right")) - 1
    true, false = int(curve.true_positives[max(index, 0)]), int(curve.false_positives[max(index, 0)])
    return Decision(threshold, true, curve.positives - true, false, curve.negatives - false)


def cheapest(curve: Sweep, miss: float, false_alarm: float) -> Decision:
    """The threshold with the lowest cost; of equal ones the one nearest to one half. Thresholds above 1 are shown as 1."""
    costs = (curve.positives - curve.true_positives) * miss + curve.false_positives * false_alarm
    best = np.flatnonzero(costs == costs.min())
    chosen = best[np.argmin(np.abs(np.minimum(curve.thresholds[best], 1.0) - 0.5))]
    return decide(curve, float(curve.thresholds[chosen]))


def thinned(curve: Sweep, points: int = 300) -> np.ndarray:
    """Positions of the points of a curve that a picture needs: at most about `points`, spread along both axes."""
    if len(curve.thresholds) <= points:
        return np.arange(len(curve.thresholds))
    # equal steps of what moves in either picture, so that corners keep their points
    steps = (np.abs(np.diff(np.nan_to_num(values), prepend=values[0]))
             for values in (curve.recall, curve.false_positive_rate, curve.precision))
    way = np.cumsum(sum(steps))
    wanted = np.searchsorted(way, np.linspace(0, way[-1], points))
    return np.unique(np.concatenate([[0, len(way) - 1], np.clip(wanted, 0, len(way) - 1)]))
