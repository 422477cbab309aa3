"""Is the network right as often as it is sure? C. Guo et al., On Calibration of Modern Neural Networks, arXiv:1706.04599."""

from dataclasses import dataclass

import numpy as np

from core.evaluation.predictions import softmax

BINS = 15  # as in the paper
COLDEST, HOTTEST = 0.05, 20.0  # temperatures beyond these say that something else is wrong
HALVINGS = 60


@dataclass(frozen=True)
class Bin:
    """Answers whose confidence is above `low` and at most `high`. Means are None where there are none."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Reliability:
    """error: expected calibration error, Σ (count / N)·|accuracy − confidence|, 0 to 1. loss: mean −log of the true class's
    probability. gap: mean confidence − accuracy, above 0 where the network is too sure."""

    bins: tuple[Bin, ...]
    error: float
    loss: float
    gap: float


@dataclass(frozen=True)
class Temperature:
    """What the scores are divided by. at_limit: the best value lies beyond the range that was searched."""

    value: float
    at_limit: bool


def reliability(scores: np.ndarray, labels: np.ndarray, temperature: float = 1.0, bins: int = BINS) -> Reliability:
    """Confidence against accuracy in equal bins (low, high] of the confidence in the most probable class.

    Args:
        scores: (N, K) whose softmax is the probabilities, as Predictions.scores.
        labels: (N,) int64.
    """
    probabilities = softmax(scores / temperature)
    said = probabilities.argmax(1)
    confidence, right = probabilities.max(1), said == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sure, correct = (np.bincount(place, weights=values, minlength=bins) for values in (confidence, right))
    rows = tuple(Bin(float(edges[i]), float(edges[i + 1]), int(n), sure[i] / n if n else None, correct[i] / n if n else None)
                 for i, n in enumerate(counts.tolist()))
    error = float(np.abs(correct - sure).sum() / len(labels))
    return Reliability(rows, error, log_loss(scores, labels, temperature), float(confidence.mean() - right.mean()))


def log_loss(scores: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    """Mean −log p(true class) with p = softmax(scores / temperature), without overflow."""
    scaled = scores / temperature
    top = scaled.max(axis=1)
    total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return float(np.mean(total - scaled[np.arange(len(labels)), labels]))


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> Temperature:
    """The temperature with the lowest log_loss() on these images, which must not be those it is judged on.

    With β = 1/T the loss is convex: its slope, mean(Σ pₖ·sₖ − s_label) with p = softmax(β·s), only rises. So halving the
    range finds the one place where it is 0. (torch's LBFGS gives the same and brings 80 MB into the server, scipy.optimize 23.)
    """
    centred = scores - scores.max(axis=1, keepdims=True)
    of_label = float(centred[np.arange(len(labels)), labels].mean())

    def slope(beta: float) -> float:
        return float((softmax(beta * centred) * centred).sum(axis=1).mean()) - of_label

    low, high = 1 / HOTTEST, 1 / COLDEST
    if slope(low) >= 0:
        return Temperature(HOTTEST, True)
    if slope(high) <= 0:
        return Temperature(COLDEST, True)
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
        if high / low < 1 + 1e-9:
            break
    return Temperature(2 / (low + high), False)
