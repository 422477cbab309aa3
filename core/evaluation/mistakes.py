"""Which images to look at: positions within a split."""

import numpy as np

from core.evaluation.predictions import Predictions


def confident_mistakes(predictions: Predictions, count: int) -> np.ndarray:
    """Wrong answers, the surest first; equally sure ones in the split's order."""
    wrong = np.flatnonzero(~predictions.correct)
    return wrong[np.argsort(-predictions.confidence[wrong], kind="stable")][:count]


def unsure_successes(predictions: Predictions, count: int) -> np.ndarray:
    """Right answers, the least sure first."""
    right = np.flatnonzero(predictions.correct)
    return right[np.argsort(predictions.confidence[right], kind="stable")][:count]


def random_images(predictions: Predictions, count: int, seed: int) -> np.ndarray:
    """Some images, each at most once; the same for the same seed and number of images."""
    generator = np.random.default_rng(seed)
    return generator.choice(len(predictions), size=min(count, len(predictions)), replace=False)


def in_cell(predictions: Predictions, truth: int, said: int) -> np.ndarray:
    """Images of class `truth` that the network took for `said`, the surest first."""
    found = np.flatnonzero((predictions.targets == truth) & (predictions.predicted == said))
    return found[np.argsort(-predictions.confidence[found], kind="stable")]
