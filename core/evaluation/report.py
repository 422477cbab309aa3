"""All figures of one evaluation as plain JSON values, for the command line and for scripts."""

from dataclasses import asdict
from math import isfinite
from typing import Any

import numpy as np

from core.evaluation.calibration import reliability
from core.evaluation.metrics import class_table, confusion_counts, macro_means, summarize, weighted_means
from core.evaluation.predictions import Predictions
from core.evaluation.thresholds import sweep


def evaluation_report(predictions: Predictions) -> dict[str, Any]:
    """Accuracy with its 95 % interval, loss, calibration, means, each class with its areas, and the confusion counts.

    None where there is nothing to divide by, or where the network answers with infinite numbers.
    """
    about, counts = summarize(predictions), confusion_counts(predictions)
    rows = class_table(counts, predictions.classes)
    whole = predictions.is_finite
    calibration = reliability(predictions.scores, predictions.targets) if whole else None
    classes = []
    for label, row in enumerate(rows):
        curve = sweep(predictions.probabilities[:, label], predictions.targets == label) if whole else None
        classes.append(asdict(row) | {"roc_area": curve.roc_area if curve else None,
                                      "average_precision": curve.average_precision if curve else None})
    return {
        "examples": about.examples, "right": about.right, "accuracy": about.accuracy,
        "accuracy_interval": [about.interval.low, about.interval.high], "loss": about.loss if isfinite(about.loss) else None,
        "larger_class": about.larger_class, "larger_share": about.larger_share,
        "calibration_error": calibration.error if calibration else None,
        "macro_mean": asdict(macro_means(rows)), "weighted_mean": asdict(weighted_means(rows)),
        "classes": classes, "confusion": np.asarray(counts).tolist(),
    }
