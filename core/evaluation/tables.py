"""Figures as CSV files to take away: UTF-8, commas, one header line; no text in them is a formula to a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from core.evaluation.comparison import Comparison
from core.evaluation.metrics import ClassRow, Means
from core.evaluation.predictions import Predictions
from core.evaluation.robustness import Point
from core.evaluation.thresholds import Sweep
from core.wording import cell


def predictions_csv(predictions: Predictions) -> bytes:
    """One line for each image: its number within the split (from 0), label, answer, and the probability of each class."""
    names = predictions.classes
    rows = ([number, names[truth], names[said], int(truth == said), *(f"{p:.6g}" for p in probabilities)]
            for number, (truth, said, probabilities) in enumerate(zip(
                predictions.targets.tolist(), predictions.predicted.tolist(), predictions.probabilities.tolist(), strict=True)))
    return csv_of(["image", "label", "said", "right", *(f"p({name})" for name in names)], rows)


def classes_csv(rows: Sequence[ClassRow], macro: Means, weighted: Means) -> bytes:
    """Precision, recall, F1 and support of each class and their means; empty where undefined."""
    lines = [[row.name, *(_number(value) for value in (row.precision, row.recall, row.f1)), row.support, row.predicted_count]
             for row in rows]
    total = sum(row.support for row in rows)
    for name, means in (("macro mean", macro), ("weighted mean", weighted)):
        lines.append([name, *(_number(value) for value in (means.precision, means.recall, means.f1)), total, total])
    return csv_of(["class", "precision", "recall", "f1", "support", "said"], lines)


def confusion_csv(counts: np.ndarray, classes: Sequence[str]) -> bytes:
    """Confusion counts, rows are true classes."""
    return csv_of(["true class", *(f"said {name}" for name in classes)],
                ([name, *row] for name, row in zip(classes, counts.tolist(), strict=True)))


def robustness_csv(named: Mapping[str, Sequence[Point]]) -> bytes:
    """Accuracy of each model for each kind and strength."""
    return csv_of(["model", "change", "strength", "right", "images", "accuracy"],
                ([name, p.kind, f"{p.strength:g}", p.right, p.examples, _number(p.accuracy)]
                 for name, points in named.items() for p in points))


def curves_csv(curves: dict[str, Sweep]) -> bytes:
    """Every threshold of each curve by name, from the highest down."""
    return csv_of(["curve", "threshold", "recall", "false_positive_rate", "precision"],
                ([name, *map(_number, values)] for name, curve in curves.items()
                 for values in zip(curve.thresholds.tolist(), curve.recall.tolist(), curve.false_positive_rate.tolist(),
                                   curve.precision.tolist(), strict=True)))


def comparison_csv(first: str, second: str, result: Comparison) -> bytes:
    """What the fair comparison of two models found; accuracies' difference and interval as shares, second minus first."""
    test = result.test
    return csv_of(["first", "second", "both_right", "only_first", "only_second", "both_wrong", "difference", "interval_low",
                 "interval_high", "mcnemar_p"],
                [[first, second, result.both_right, test.only_first, test.only_second, result.both_wrong,
                  *map(_number, (result.difference, result.interval.low, result.interval.high, test.p))]])


def table_csv(header: Sequence[str], columns: Sequence[Sequence[float]]) -> bytes:
    """Columns of numbers."""
    return csv_of(list(header), ([_number(float(value)) for value in row] for row in zip(*columns, strict=True)))


def _number(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.6g}"


def csv_of(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Any table as such a file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(cell, header))
    writer.writerows([cell(value) if isinstance(value, str) else value for value in row] for row in rows)
    return text.getvalue().encode()
