"""The lines of scikit-learn that give the same figures as the page Evaluate, and a file of answers that they run on.

The server does not run them: what they print is put together from this project's own figures, and the tests run the lines to
see that scikit-learn prints the same.
"""

import io
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from core.evaluation.calibration import BINS, reliability
from core.evaluation.metrics import class_table, confusion_counts, macro_means, summarize, weighted_means
from core.evaluation.numbers import NumberAnswers, number_figures
from core.evaluation.predictions import YES_NO_PER_CLASS, Predictions
from core.evaluation.thresholds import decide, sweep

DIGITS = 4  # after the point, in all that is printed
# scikit-learn's log_loss takes no probability for smaller than that, the rounding unit of float64
SMALLEST = float(np.finfo(np.float64).eps)
FUNCTIONS = {"precision": "precision_score", "recall": "recall_score", "f1": "f1_score"}


@dataclass(frozen=True)
class Lines:
    """A script that runs beside the file of answers, and what it prints."""

    code: str
    output: str


class _Script:
    """Lines with what each prints, and the functions of sklearn.metrics that they need."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.printed: list[str] = []
        self.needed: set[str] = set()

    def say(self, comment: str) -> None:
        self.lines += [*([""] if self.lines else []), f"# {comment}"]

    def do(self, line: str, *functions: str) -> None:
        """A line that prints nothing."""
        self.lines.append(line)
        self.needed |= set(functions)

    def show(self, name: str, expression: str, value: object, *functions: str) -> None:
        """print(name, expression); numbers and arrays are rounded in the same way on both sides."""
        array = isinstance(value, np.ndarray) and value.dtype.kind == "i"
        rounded = expression if array else f"np.round({expression}, {DIGITS})"
        self.do(f'print("{name}:", {rounded})' if not array else f'print("{name}:\\n", {expression})', *functions)
        self.printed.append(f"{name}:\n {value}" if array else f"{name}: {np.round(np.asarray(value, np.float64), DIGITS)}")

    def finish(self, opening: list[str]) -> Lines:
        imports = f"from sklearn.metrics import {', '.join(sorted(self.needed))}"
        if len(imports) > 100:
            names = "".join(f"    {name},\n" for name in sorted(self.needed))
            imports = f"from sklearn.metrics import (\n{names})"
        return Lines("\n".join(["import numpy as np", imports, "", *opening, *self.lines]) + "\n", "\n".join(self.printed))


def file_name(run_id: str, split: str) -> str:
    """What the file of answers is called, in the download and in the lines."""
    return f"answers-{run_id[:8]}-{split}.npz"


def answers_file(predictions: Predictions) -> bytes:
    """y_true and y_pred (N,) int64, scores (N, K) float64, the probabilities; classes (K,) names. As a .npz of NumPy.

    Where a loss asks one yes-no question for each class, yes (N, K) float64 are the probabilities before they are divided by
    their sum.
    """
    arrays = {"y_true": predictions.targets, "y_pred": predictions.predicted, "scores": predictions.probabilities,
              "classes": np.array(predictions.classes)}
    if _asks_each(predictions):
        arrays["yes"] = torch.sigmoid(predictions.logits.double()).numpy()
    return _npz(**arrays)


def numbers_file(answers: NumberAnswers) -> bytes:
    """y_true and y_pred, both (N,) float64, as a .npz of NumPy."""
    return _npz(y_true=answers.y_true, y_pred=answers.y_pred)


def overview_lines(predictions: Predictions, name: str) -> Lines:
    """Accuracy with its interval, loss, and precision, recall and F1 of each class and their means."""
    script, about = _Script(), summarize(predictions)
    counts = confusion_counts(predictions)
    rows = class_table(counts, predictions.classes)
    script.show("accuracy", "accuracy_score(y_true, y_pred)", about.accuracy, "accuracy_score")
    _loss(script, predictions)
    script.say("each class by itself; nan where there is nothing to divide by, a dash on the page")
    for figure, function in FUNCTIONS.items():
        values = np.array([_number(getattr(row, figure)) for row in rows])
        script.show(figure, f"{function}(y_true, y_pred, labels=labels, average=None, zero_division=np.nan)", values, function)
    script.say("means over classes: each counts the same (macro), or by its number of images (weighted)")
    for average, means in (("macro", macro_means(rows)), ("weighted", weighted_means(rows))):
        for figure, function in FUNCTIONS.items():
            script.show(f"{average} {figure}",
                        f'{function}(y_true, y_pred, labels=labels, average="{average}", zero_division=0)',
                        getattr(means, figure), function)
    if len(rows) == 2:
        script.say("a yes-no question: the figures of the yes alone")
        for figure, function in FUNCTIONS.items():
            script.show(f"binary {figure}", f"{function}(y_true, y_pred, pos_label=1, zero_division=np.nan)",
                        _number(getattr(rows[1], figure)), function)
    script.say("scikit-learn has no interval for a share; Wilson's by hand")
    script.do("n, p, z = len(y_true), np.mean(y_true == y_pred), 1.959964")
    script.do("centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)")
    script.do("half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))")
    script.show("95 % interval", "np.array([centre - half, centre + half])", np.array([about.interval.low, about.interval.high]))
    return script.finish(_opening(predictions, name))


def confusion_lines(predictions: Predictions, name: str) -> Lines:
    """The confusion matrix in counts and in shares of each row."""
    script, counts = _Script(), confusion_counts(predictions)
    script.say("rows are true classes, columns what the model said")
    script.show("counts", "confusion_matrix(y_true, y_pred, labels=labels)", counts, "confusion_matrix")
    sums = counts.sum(axis=1, keepdims=True)
    script.say("shares of each row; scikit-learn puts 0 where a class has no images")
    script.show("shares", 'confusion_matrix(y_true, y_pred, labels=labels, normalize="true")',
                counts / np.maximum(sums, 1), "confusion_matrix")
    return script.finish(_opening(predictions, name))


def threshold_lines(predictions: Predictions, name: str, threshold: float | None = None) -> Lines:
    """Areas under both curves of each class against the rest; at a threshold, for a yes-no question, what it gives."""
    script, labels = _Script(), range(len(predictions.classes))
    curves = [sweep(predictions.probabilities[:, label], predictions.targets == label) for label in labels]
    chosen = [1] if len(curves) == 2 else list(labels)
    usable = [label for label in chosen if curves[label].roc_area is not None]
    if usable:
        which = "for the yes" if len(curves) == 2 else "for each class against all others"
        left_out = "" if len(usable) == len(chosen) else "; classes that all images have, or none, have no curve"
        script.say(f"areas {which}{left_out}")
        script.do(f"usable = {usable if len(usable) < len(curves) else 'labels'}")
        for title, function, area in (("ROC area", "roc_auc_score", "roc_area"),
                                      ("average precision", "average_precision_score", "average_precision")):
            script.show(title, f"np.array([{function}(y_true == k, scores[:, k]) for k in usable])",
                        np.array([getattr(curves[label], area) for label in usable]), function)
        script.say("the curves themselves, of the last of these classes")
        script.do("false_alarms, recall, thresholds = roc_curve(y_true == usable[-1], scores[:, usable[-1]])", "roc_curve")
        script.do("precision, recall, thresholds = precision_recall_curve(y_true == usable[-1], scores[:, usable[-1]])",
                  "precision_recall_curve")
    if threshold is not None:
        _at_threshold(script, predictions, threshold)
    return script.finish(_opening(predictions, name))


def _at_threshold(script: _Script, predictions: Predictions, threshold: float) -> None:
    decision = decide(sweep(predictions.probabilities[:, 1], predictions.targets == 1), threshold)
    script.say("yes from the threshold on")
    script.do(f"said = (scores[:, 1] >= {threshold!r}).astype(int)")
    script.show("accuracy", "accuracy_score(y_true, said)", decision.accuracy, "accuracy_score")
    for figure in ("precision", "recall"):
        script.show(figure, f"{FUNCTIONS[figure]}(y_true, said, zero_division=np.nan)", _number(getattr(decision, figure)),
                    FUNCTIONS[figure])
    counts = np.array([[decision.true_negatives, decision.false_positives], [decision.false_negatives, decision.true_positives]])
    script.show("counts", "confusion_matrix(y_true, said, labels=labels)", counts, "confusion_matrix")


def calibration_lines(predictions: Predictions, name: str) -> Lines:
    """log_loss, and the expected calibration error by hand."""
    script, found = _Script(), reliability(predictions.scores, predictions.targets)
    _log_loss(script, predictions, "-log p(true class)", found.loss)
    script.say("scikit-learn has no expected calibration error; by hand, in 15 equal bins")
    script.do("sure, right = scores.max(axis=1), scores.argmax(axis=1) == y_true")
    script.do(f"bins = np.clip(np.searchsorted(np.linspace(0, 1, {BINS + 1}), sure) - 1, 0, {BINS - 1})")
    script.do("gaps = np.bincount(bins, right) - np.bincount(bins, sure)")
    script.show("calibration error", "np.abs(gaps).sum() / len(y_true)", found.error)
    script.show("surer than right by", "sure.mean() - right.mean()", found.gap)
    return script.finish(_opening(predictions, name))


def number_lines(answers: NumberAnswers, name: str) -> Lines:
    """Mean squared error, mean absolute error and R² of predicted numbers."""
    script, found = _Script(), number_figures(answers.y_true, answers.y_pred)
    script.show("MSE", "mean_squared_error(y_true, y_pred)", found.mse, "mean_squared_error")
    script.show("its square root", "root_mean_squared_error(y_true, y_pred)", found.mse ** 0.5, "root_mean_squared_error")
    script.show("MAE", "mean_absolute_error(y_true, y_pred)", found.mae, "mean_absolute_error")
    if found.r2 is not None:
        script.show("R2", "r2_score(y_true, y_pred)", found.r2, "r2_score")
    return script.finish([f'answers = np.load("{name}")', 'y_true, y_pred = answers["y_true"], answers["y_pred"]', ""])


def _opening(predictions: Predictions, name: str) -> list[str]:
    each = ', answers["scores"]  # labels (N,), answers (N,), probabilities (N, K)'
    return [f'answers = np.load("{name}")', f'y_true, y_pred, scores = answers["y_true"], answers["y_pred"]{each}',
            'labels = np.arange(len(answers["classes"]))  # all classes, also those that no image has', ""]


def _loss(script: _Script, predictions: Predictions) -> None:
    """The loss that the run was trained with, as the page shows it."""
    if predictions.loss == "mse":
        yes_no = predictions.logits.shape[1] == 1
        script.show("loss", "mean_squared_error(y_true, scores[:, 1])" if yes_no else
                    "mean_squared_error(np.eye(len(labels))[y_true], scores)", predictions.mean_loss, "mean_squared_error")
    elif _asks_each(predictions):
        script.say("binary cross-entropy of one yes-no question for each class")
        truth = F.one_hot(predictions.labels, len(predictions.classes)).double()
        yes = torch.sigmoid(predictions.logits.double()).clamp(SMALLEST, 1 - SMALLEST)
        value = float(F.binary_cross_entropy(yes, truth))
        _say_if_other(script, value, predictions.mean_loss)
        script.show("loss", 'log_loss(np.eye(len(labels))[y_true].ravel(), answers["yes"].ravel())', value, "log_loss")
    else:
        _log_loss(script, predictions, "loss", predictions.mean_loss)


def _log_loss(script: _Script, predictions: Predictions, name: str, shown: float) -> None:
    """Cross-entropy; `shown` is the page's figure."""
    truth = predictions.probabilities[np.arange(len(predictions)), predictions.targets]
    value = float(-np.log(np.clip(truth, SMALLEST, 1 - SMALLEST)).mean())
    _say_if_other(script, value, shown)
    script.show(name, "log_loss(y_true, scores, labels=labels)", value, "log_loss")


def _say_if_other(script: _Script, value: float, shown: float) -> None:
    """Where probabilities are too small for scikit-learn its figure is another one, and the lines say why."""
    if abs(value - shown) >= 10 ** -DIGITS:
        script.say(f"{shown:.4f} on the page: scikit-learn takes no probability for smaller than 2.2e-16, so that nothing costs "
                   "more than 36.04")


def _asks_each(predictions: Predictions) -> bool:
    return predictions.loss in YES_NO_PER_CLASS and predictions.logits.shape[1] > 1


def _number(share: float | None) -> float:
    return float("nan") if share is None else share


def _npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()
