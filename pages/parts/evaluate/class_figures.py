"""Evaluate, Numbers: accuracy with its interval, loss, and each class's figures."""

from collections.abc import Sequence

import pyarrow as pa
import streamlit as st

from core.evaluation.metrics import ClassRow, Means, class_table, confusion_counts, macro_means, summarize, weighted_means
from core.evaluation.tables import classes_csv, predictions_csv
from core.wording import percent
from pages.parts.evaluate.by_scikit_learn import by_scikit_learn
from pages.parts.evaluate.subject import EvaluatedRun, columns, save_csv
from pages.parts.shell.markdown import as_text, in_table
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.table import draw_table, rows_table


def section(server: Services, found: Sequence[EvaluatedRun]) -> None:
    """The whole section."""
    for place, subject in zip(columns(found), found, strict=True):
        with place:
            _figures(subject)
            _table(subject)
            by_scikit_learn(subject, "overview")
    with st.expander("What do these words mean?", icon=":material/help:"):
        st.markdown(
            "- **Precision**: of all images it called a 4, the share that are a 4.\n"
            "- **Recall**: of all images that are a 4, the share it called a 4.\n"
            "- **F1**: their harmonic mean, 2·precision·recall / (precision + recall); low if either is.\n"
            "- **Support**: how many images of the class there are.\n"
            "- **Macro mean**: each class counts the same. **Weighted mean**: each class counts by its support.\n"
            "- **95 % interval**: accuracy is measured on a sample of images. In about 95 of 100 such samples the interval, "
            "Wilson's, holds the accuracy on all images of this kind.\n\n"
            "All as scikit-learn defines them.")


def _figures(subject: EvaluatedRun) -> None:
    about = summarize(subject.predictions)
    metrics_row({
        "Accuracy": (percent(about.accuracy), "Share of right answers."),
        "95 % interval": (f"{100 * about.interval.low:.2f} – {percent(about.interval.high)}",
                          "How far the accuracy on all images of this kind may be from the one on these (Wilson's interval)."),
        "Loss": (f"{about.loss:.4f}", "How wrong it is, counting how sure it was. Smaller is better."),
    })
    beats = "" if about.accuracy > about.larger_share else " **This model does no better.**"
    st.markdown(f"{about.right:,} of {about.examples:,} images are right. Always saying “{as_text(about.larger_class)}”, without "
                f"looking, would get {percent(about.larger_share)}.{beats}")


def _table(subject: EvaluatedRun) -> None:
    rows = class_table(confusion_counts(subject.predictions), subject.classes)
    macro, weighted = macro_means(rows), weighted_means(rows)
    draw_table(_frame(rows, macro, weighted), hide_index=True, height="content" if len(rows) <= 20 else 700,
               key=f"evaluate.classes.{subject.run.id}", column_config={
                   "Class": st.column_config.Column(width=115), "Support": st.column_config.NumberColumn(format="localized")})
    if reasons := _reasons(rows):
        st.caption(f"{reasons} In the means a “–” counts as 0, as scikit-learn has it.")
    with st.container(horizontal=True):
        name = f"{subject.run.id[:8]}-{subject.predictions.split}"
        save_csv("Table (CSV)", lambda: classes_csv(rows, macro, weighted), f"classes-{name}")
        save_csv("All answers (CSV)", lambda: predictions_csv(subject.predictions), f"answers-{name}")


def _frame(rows: Sequence[ClassRow], macro: Means, weighted: Means) -> pa.Table:
    lines = [{"Class": in_table(row.name), "Precision": _digits(row.precision), "Recall": _digits(row.recall),
              "F1": _digits(row.f1), "Support": row.support} for row in rows]
    total = sum(row.support for row in rows)
    lines += [{"Class": name, "Precision": _digits(means.precision), "Recall": _digits(means.recall), "F1": _digits(means.f1),
               "Support": total} for name, means in (("macro mean", macro), ("weighted mean", weighted))]
    return rows_table(lines)


def _reasons(rows: Sequence[ClassRow]) -> str:
    """Why some shares are missing."""
    unsaid = [row.name for row in rows if row.precision is None]
    unseen = [row.name for row in rows if row.recall is None]
    return " ".join(filter(None, [
        f"No precision for {_list(unsaid)}: the model never says so." if unsaid else "",
        f"No recall for {_list(unseen)}: there are no such images." if unseen else ""]))


def _list(names: Sequence[str]) -> str:
    return as_text(", ".join(names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _digits(share: float | None) -> str:
    return "–" if share is None else f"{share:.4f}"
