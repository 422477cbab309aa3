"""The lab on metrics: its topics, one function each. Each returns the code that prints what it shows, or None."""

import numpy as np
import streamlit as st

from core.evaluation.metrics import class_table
from core.figures.evaluation import confusion_figure, precision_recall_figure, roc_figure
from core.figures.in_words import in_words
from core.figures.linear_regression import predictions_figure
from core.labs.metrics import (
    Share,
    average_figures,
    class_figures,
    curve_of,
    given_arrays,
    metrics_code,
    number_steps,
    score_figures,
    split_counts,
    threshold_figures,
)
from core.labs.metrics_table import Table, TableRefused, literal, read_numbers
from core.wording import percent
from pages.parts.learn.lab import covered, predict, tried
from pages.parts.learn.metrics.table import PATH, choose_numbers, show_figures
from pages.parts.learn.questions import METRICS
from pages.parts.shell.markdown import as_text
from pages.parts.widgets.table import draw_table, rows_table

STILL = {"displayModeBar": False}
FIGURES: dict[str, Share] = {"Precision": "precision", "Recall": "recall", "F1": "f1"}


def classes_section(table: Table, positive: str) -> str:
    """The confusion matrix, the four counts, and what is made of them."""
    predict(PATH, METRICS["rare"])
    row = split_counts(table, positive)
    tp, fp, fn = row.right, row.predicted_count - row.right, row.support - row.right
    figure = confusion_figure(table.counts, table.classes)
    st.plotly_chart(figure, key="metrics.confusion", config=STILL, alt=in_words(figure, "Confusion matrix"))
    name = as_text(positive)
    st.markdown(f"With “{name}” as the positive class: **TP = {tp}** true positives (it is {name} and was called so), "
                f"**FP = {fp}** false positives (called so and is not), **FN = {fn}** false negatives (is, and was not called "
                f"so), **TN = {len(table) - tp - fp - fn}** true negatives.")
    largest = int(table.counts.sum(axis=1).max())
    st.caption(f"Always saying the most frequent class would get {percent(largest / len(table))} accuracy.")
    figures, given = class_figures(table, positive), given_arrays(table, positive)
    show_figures(figures, given, "classes")
    return metrics_code(given, figures, literal(positive, table.classes))


def averages_section(table: Table, positive: str) -> str:
    """One figure for each class, and three ways to make one of them."""
    predict(PATH, METRICS["average"])
    rows = class_table(table.counts, table.classes)
    draw_table(rows_table([{
        "Class": row.name, "Precision": _digits(row.precision), "Recall": _digits(row.recall), "F1": _digits(row.f1),
        "Support nₖ": row.support} for row in rows]), hide_index=True, height="content", key="metrics.rows")
    st.markdown("**Macro**: the mean over the K classes, a rare class counts as much as a frequent one. **Weighted**: each class "
                "counts by its support nₖ, how often it is true. **Micro**: all classes' counts added first, then divided once.")
    chosen = st.segmented_control("Figure", list(FIGURES), default="Precision", required=True, key="metrics.average",
                                  bind="query-params", on_change=tried, args=(PATH,))
    figures, given = average_figures(table, FIGURES[chosen]), given_arrays(table, positive)
    show_figures(figures, given, "averages")
    if len(table.classes) == 2:
        st.caption("With two classes scikit-learn's own choice is average='binary': the positive class alone, and no mean.")
    return metrics_code(given, figures)


def scores_section(table: Table, positive: str) -> str | None:
    """A threshold to move, what follows from it, and figures of all thresholds together."""
    seen = predict(PATH, METRICS["threshold"])
    try:
        curve = curve_of(table, positive)
    except TableRefused as error:
        st.info(as_text(str(error)), icon=":material/score:")
        return None
    low, high = float(curve.thresholds[-1]), float(curve.thresholds[1])
    top = high + 0.01 * max(high - low, 0.01)
    threshold = st.slider(f"Threshold: say “{as_text(positive)}” from this score on", low, top, min(max(0.5, low), top),
                          (top - low) / 200, format="%.4g", key=f"metrics.threshold.{low:g}.{top:g}",
                          bind="query-params", on_change=tried,
                          args=(PATH,))
    decision, at = threshold_figures(table, positive, threshold)
    left, right = st.columns(2)
    counts = np.array([[decision.true_negatives, decision.false_positives], [decision.false_negatives, decision.true_positives]])
    figure = confusion_figure(counts, ("rest", positive))
    left.plotly_chart(figure, key="metrics.at", config=STILL, alt=in_words(figure, "Counts at this threshold"))
    curves = {positive: curve}
    figure = roc_figure(curves, points=[decision])
    right.plotly_chart(figure, key="metrics.roc", config=STILL, alt=in_words(figure, "ROC curve"))
    st.markdown("**At this threshold**")
    given = given_arrays(table, positive, threshold)
    show_figures(at, given, "threshold")
    st.markdown("**Over all thresholds.** ROC AUC is the share of pairs of a positive and a negative in which the positive has "
                "the higher score. Average precision adds up the precision wherever another positive is found.")
    whole = score_figures(table, positive)
    show_figures(whole, given, "scores")
    if seen:
        figure = precision_recall_figure(curves, points=[decision])
        st.plotly_chart(figure, key="metrics.pr", config=STILL, alt=in_words(figure, "Precision-recall curve"))
    else:
        covered(400)
    return metrics_code(given, [*at, *whole], literal(positive, table.classes), threshold)


def numbers_section() -> str | None:
    """Predicted numbers instead of classes."""
    seen = predict(PATH, METRICS["numbers"])
    try:
        y_true, y_pred = read_numbers(choose_numbers())
    except TableRefused as error:
        st.error(as_text(str(error)), icon=":material/block:")
        return None
    if not seen:
        covered()
        return None
    figures = number_steps(y_true, y_pred)
    given = {"y_true": y_true.tolist(), "y_pred": y_pred.tolist()}
    left, right = st.columns([1.4, 1])
    with left:
        show_figures(figures, given, "numbers")
    figure = predictions_figure(y_true, y_pred)
    right.plotly_chart(figure, key="metrics.predicted", config=STILL, alt=in_words(figure, "Predictions and targets"))
    return metrics_code(given, figures)


def _digits(share: float | None) -> str:
    return "–" if share is None else f"{share:.4f}"
