"""The lab on metrics: each figure with its formula, the numbers put in, and its call in scikit-learn.

Figures are those of core.evaluation. What they are undefined for is None here, with why, and scikit-learn's own value for it is
what `ask_scikit_learn` brings from a process of its own.
"""

import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from math import inf, log
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.evaluation.metrics import ClassRow, class_table, macro_means, weighted_means
from core.evaluation.numbers import number_figures
from core.evaluation.thresholds import Decision, Sweep, decide, sweep
from core.labs.metrics_table import Table, TableRefused, literal
from core.subprocesses import ONE_THREAD, run
from core.wording import plural

MOST_SUMMANDS = 12  # that are written out
SECONDS = 60.0  # that scikit-learn is waited for

Share = Literal["precision", "recall", "f1"]
Role = Literal["y_true", "y_pred", "yes", "said", "scores", "from_threshold"]


@dataclass(frozen=True)
class Call:
    """A function of sklearn.metrics and what it is given, by the names that the code has for them."""

    function: str
    arguments: tuple[Role, ...]
    keywords: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.function}({', '.join([*self.arguments, *(f'{name}={value!r}' for name, value in self.keywords.items())])})"


@dataclass(frozen=True)
class Figure:
    """One figure. formula, filled: LaTeX, in general and with the numbers put in; value: None where it is undefined, `why` then
    says why; elsewhere `why` may add something worth knowing."""

    name: str
    formula: str
    filled: str
    value: float | None
    why: str
    call: Call


@dataclass(frozen=True)
class Answer:
    """What scikit-learn gave: a value, or the error that it raised; and what it warned of."""

    value: float | None
    error: str
    warning: str


def split_counts(table: Table, positive: str) -> ClassRow:
    """The class's row: its support, how often it was said and how often that was right."""
    return class_table(table.counts, table.classes)[table.classes.index(positive)]


def class_figures(table: Table, positive: str) -> list[Figure]:
    """Accuracy, and precision, recall and F1 of the positive class."""
    row, right = split_counts(table, positive), int(np.trace(table.counts))
    tp, fp, fn = row.right, row.predicted_count - row.right, row.support - row.right
    # scikit-learn refuses a pos_label that is nowhere in the table
    two, keywords = len({*table.truth, *table.said}) == len(table.classes) == 2, {"pos_label": literal(positive, table.classes)}
    given: tuple[Role, ...] = ("y_true", "y_pred") if two else ("yes", "said")

    def call(function: str) -> Call:
        return Call(function, given, keywords if two else {})

    return [
        Figure("Accuracy", r"\frac{\text{right answers}}{\text{all answers}}", rf"\frac{{{right}}}{{{len(table)}}}",
               right / len(table), "", Call("accuracy_score", ("y_true", "y_pred"))),
        Figure("Precision", r"\frac{TP}{TP + FP}", rf"\frac{{{tp}}}{{{tp} + {fp}}}", row.precision,
               "" if row.precision is not None else "0 / 0: the positive class was never said, so there is nothing to be right "
               "about", call("precision_score")),
        Figure("Recall", r"\frac{TP}{TP + FN}", rf"\frac{{{tp}}}{{{tp} + {fn}}}", row.recall,
               "" if row.recall is not None else "0 / 0: the positive class never occurs, so there is nothing to find",
               call("recall_score")),
        Figure("F1", r"\frac{2\,TP}{2\,TP + FP + FN}", rf"\frac{{2 \cdot {tp}}}{{2 \cdot {tp} + {fp} + {fn}}}", row.f1,
               "" if row.f1 is not None else "0 / 0: the positive class neither occurs nor was it said", call("f1_score")),
    ]


def average_figures(table: Table, figure: Share) -> list[Figure]:
    """The mean of one figure over classes, in three ways. An undefined one counts as 0, as scikit-learn has it."""
    rows, counts = class_table(table.counts, table.classes), table.counts
    shares = [getattr(row, figure) or 0.0 for row in rows]
    right, n = int(np.trace(counts)), len(table)
    undefined = [row.name for row in rows if getattr(row, figure) is None]
    why = f"{plural(len(undefined), 'class has', 'classes have')} 0 / 0 and {'counts' if len(undefined) == 1 else 'count'} as 0" \
        if undefined else ""
    symbol = {"precision": "P", "recall": "R", "f1": "F"}[figure]
    listed = _sum([f"{share:.4f}" for share in shares])
    weighted = _sum([rf"{row.support} \cdot {share:.4f}" for row, share in zip(rows, shares, strict=True)])
    function = {"precision": "precision_score", "recall": "recall_score", "f1": "f1_score"}[figure]
    labels = [literal(name, table.classes) for name in table.classes]

    def call(average: str) -> Call:
        return Call(function, ("y_true", "y_pred"), {"labels": labels, "average": average, "zero_division": 0})

    return [
        Figure("Macro", rf"\frac{{1}}{{K}} \sum_k {symbol}_{{k}}", rf"\frac{{1}}{{{len(rows)}}} ({listed})",
               getattr(macro_means(rows), figure), why, call("macro")),
        Figure("Weighted", rf"\frac{{1}}{{N}} \sum_k n_k\,{symbol}_{{k}}", rf"\frac{{1}}{{{n}}} ({weighted})",
               getattr(weighted_means(rows), figure), why, call("weighted")),
        Figure("Micro", r"\frac{\sum_k TP_k}{\sum_k TP_k + \sum_k " + ("FN_k}" if figure == "recall" else "FP_k}"),
               rf"\frac{{{right}}}{{{right} + {n - right}}}", right / n,
               "each wrong answer is a false positive of one class and a false negative of another, so this is the accuracy",
               call("micro")),
    ]


def curve_of(table: Table, positive: str) -> Sweep:
    """All thresholds of the scores against the positive class. Raises TableRefused where there are no scores."""
    if table.scores is None:
        raise TableRefused("There are no scores: write a third number in each line, higher for surer of the positive class.")
    return sweep(np.array(table.scores), np.array(table.truth) == positive)


def score_figures(table: Table, positive: str) -> list[Figure]:
    """ROC area by pairs, average precision step by step, and log loss. Raises TableRefused where there are no scores."""
    curve = curve_of(table, positive)
    scores, yes = np.array(table.scores), np.array(table.truth) == positive
    return [_roc(scores, yes, curve), _average_precision(curve), _log_loss(scores, yes)]


def _roc(scores: np.ndarray, yes: np.ndarray, curve: Sweep) -> Figure:
    pairs = scores[yes][:, None] - scores[~yes][None, :]
    above, equal = int((pairs > 0).sum()), int((pairs == 0).sum())
    why = "" if curve.roc_area is not None else "there are no pairs: every answer is of the positive class" if yes.all() else \
        "there are no pairs: no answer is of the positive class"
    return Figure("ROC AUC", r"\frac{\text{pairs in the right order} + \frac{1}{2}\,\text{ties}}{\text{positives} \cdot "
                  r"\text{negatives}}", rf"\frac{{{above} + \frac{{1}}{{2}} \cdot {equal}}}{{{curve.positives} \cdot "
                  rf"{curve.negatives}}}", curve.roc_area, why, Call("roc_auc_score", ("yes", "scores")))


def _average_precision(curve: Sweep) -> Figure:
    found = np.diff(curve.true_positives)
    parts = [rf"\frac{{{new}}}{{{curve.positives}}} \cdot \frac{{{tp}}}{{{tp + fp}}}" for new, tp, fp in zip(
        found, curve.true_positives[1:], curve.false_positives[1:], strict=True) if new]
    return Figure("Average precision", r"\sum_n (R_n - R_{n-1})\,P_n", _sum(parts) or "0", curve.average_precision,
                  "" if curve.positives else "0 / 0: no answer is of the positive class, so there is no recall",
                  Call("average_precision_score", ("yes", "scores")))


def _log_loss(scores: np.ndarray, yes: np.ndarray) -> Figure:
    call = Call("log_loss", ("yes", "scores"), {"labels": [False, True]})
    formula = r"-\frac{1}{N} \sum_i \ln p_i(\text{true class})"
    if scores.min() < 0 or scores.max() > 1:
        return Figure("Log loss", formula, r"\text{–}", None, "it needs probabilities, and these scores are not all from 0 to 1",
                      call)
    truth = np.where(yes, scores, 1 - scores).tolist()
    shown = _sum([rf"\ln {p:.4g}" for p in truth])
    costs = [-log(p) if p else inf for p in truth]
    why = "" if all(truth) else ("it was sure and wrong: −ln 0 is infinite. scikit-learn takes no probability for smaller than "
                                 "2.2e-16, so that such an answer costs it 36.04")
    return Figure("Log loss", formula, rf"-\frac{{1}}{{{len(truth)}}} ({shown})", sum(costs) / len(costs), why, call)


def threshold_figures(table: Table, positive: str, threshold: float) -> tuple[Decision, list[Figure]]:
    """What comes of saying the positive class where the score is at or above the threshold. Raises TableRefused."""
    decision = decide(curve_of(table, positive), threshold)
    tp, fp, fn, tn = (decision.true_positives, decision.false_positives, decision.false_negatives, decision.true_negatives)
    given: tuple[Role, ...] = ("yes", "from_threshold")
    return decision, [
        Figure("Accuracy", r"\frac{TP + TN}{N}", rf"\frac{{{tp} + {tn}}}{{{len(table)}}}", decision.accuracy, "",
               Call("accuracy_score", given)),
        Figure("Precision", r"\frac{TP}{TP + FP}", rf"\frac{{{tp}}}{{{tp} + {fp}}}", decision.precision,
               "" if decision.precision is not None else "0 / 0: no score reaches the threshold", Call("precision_score", given)),
        Figure("Recall", r"\frac{TP}{TP + FN}", rf"\frac{{{tp}}}{{{tp} + {fn}}}", decision.recall,
               "" if decision.recall is not None else "0 / 0: the positive class never occurs", Call("recall_score", given)),
    ]


def number_steps(y_true: np.ndarray, y_pred: np.ndarray) -> list[Figure]:
    """MSE, its root, MAE and R² of predicted numbers."""
    found, n = number_figures(y_true, y_pred), len(y_true)
    errors = y_true - y_pred
    given: tuple[Role, ...] = ("y_true", "y_pred")
    squares, spread = float((errors ** 2).sum()), float(((y_true - y_true.mean()) ** 2).sum())
    why = "" if found.r2 is not None else (
        "one number has no spread to be explained, so R² is undefined" if n == 1 else
        "0 in the denominator: all true numbers are the same. scikit-learn gives 1 where all answers are right, and 0 elsewhere")
    return [
        Figure("MSE", r"\frac{1}{N} \sum_i (y_i - \hat y_i)^2", rf"\frac{{1}}{{{n}}} ({_sum([f'({e:.4g})^2' for e in errors])})",
               found.mse, "", Call("mean_squared_error", given)),
        Figure("RMSE", r"\sqrt{MSE}", rf"\sqrt{{{found.mse:.4f}}}", found.mse ** 0.5, "",
               Call("root_mean_squared_error", given)),
        Figure("MAE", r"\frac{1}{N} \sum_i |y_i - \hat y_i|", rf"\frac{{1}}{{{n}}} ({_sum([f'|{e:.4g}|' for e in errors])})",
               found.mae, "", Call("mean_absolute_error", given)),
        Figure("R²", r"1 - \frac{\sum_i (y_i - \hat y_i)^2}{\sum_i (y_i - \bar y)^2}", rf"1 - \frac{{{squares:.4f}}}"
               rf"{{{spread:.4f}}}", found.r2, why, Call("r2_score", given)),
    ]


def _sum(parts: list[str]) -> str:
    """Summands in LaTeX, not in a fraction, so that a line can break between them; of many the first three and the last."""
    return " + ".join(parts if len(parts) <= MOST_SUMMANDS else [*parts[:3], r"\dots", parts[-1]])


def given_arrays(table: Table, positive: str, threshold: float | None = None) -> dict[str, list[Any]]:
    """What a Call's names stand for."""
    literals = {name: literal(name, table.classes) for name in table.classes}
    given: dict[str, list[Any]] = {
        "y_true": [literals[name] for name in table.truth], "y_pred": [literals[name] for name in table.said],
        "yes": [name == positive for name in table.truth], "said": [name == positive for name in table.said]}
    if table.scores is not None:
        given["scores"] = list(table.scores)
        if threshold is not None:
            given["from_threshold"] = [score >= threshold for score in table.scores]
    return given


def ask_scikit_learn(given: dict[str, list[Any]], figures: list[Figure]) -> list[Answer]:
    """scikit-learn's own value of each figure, from a process that ends with it. Raises OSError where it can't be run."""
    question = {"given": given, "calls": [{"function": figure.call.function, "arguments": figure.call.arguments,
                                           "keywords": figure.call.keywords} for figure in figures]}
    with tempfile.TemporaryDirectory(prefix="metrics-") as folder:
        asked, said = Path(folder) / "question.json", Path(folder) / "answers.json"
        asked.write_text(json.dumps(question), encoding="utf-8")
        try:
            code = run("core.metrics_child", str(asked), str(said), seconds=SECONDS, environment=ONE_THREAD)
        except subprocess.TimeoutExpired:
            code = -1
        if code:
            raise OSError("scikit-learn did not answer")
        found = json.loads(said.read_text(encoding="utf-8"))
    return [Answer(None if answer["value"] is None else float(answer["value"]), answer["error"], answer["warning"])
            for answer in found]


def metrics_code(given: dict[str, list[Any]], figures: list[Figure], positive: Any = None, threshold: float | None = None) -> str:
    """The table and the lines that print each figure; runs alone."""
    names = sorted({figure.call.function for figure in figures})
    used = {name for figure in figures for name in figure.call.arguments}
    lines = ["import numpy as np", f"from sklearn.metrics import {', '.join(names)}", ""]
    lines += [f"{name} = np.array({given[name]!r})" for name in ("y_true", "y_pred", "scores") if name in given]
    if used & {"yes", "said", "from_threshold"}:
        lines.append(f"positive = {positive!r}")
    if "yes" in used:
        lines.append("yes = y_true == positive  # (N,) bool: is it the positive class?")
    if "said" in used:
        lines.append("said = y_pred == positive")
    if "from_threshold" in used:
        lines.append(f"from_threshold = scores >= {threshold!r}")
    lines += ["", *(f'print("{figure.name}:", np.round({figure.call}, 4))' for figure in figures)]
    return "\n".join(lines) + "\n"
