"""Evaluate, Compare two: is one model really better, and on which images do they differ?"""

from collections.abc import Sequence

import streamlit as st

from core.evaluation.comparison import Comparison, compare, why_unfair
from core.evaluation.tables import comparison_csv, csv_of
from core.figures.evaluation import difference_figure
from core.figures.in_words import in_words
from core.wording import percent, plural
from pages.parts.evaluate.subject import CHART, EvaluatedRun, caption, save_csv, show_images
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.table import draw_table, rows_table

MOST = 20


def section(server: Services, found: Sequence[EvaluatedRun]) -> None:
    """The whole section."""
    if len(found) < 2:
        st.info("Two models that have been asked about these images are needed: choose the second above under “Beside it”.",
                icon=":material/compare_arrows:")
        return
    first, second = found
    if reason := why_unfair(first.predictions, second.predictions):
        st.warning(reason, icon=":material/balance:")
        return
    result = compare(first.predictions, second.predictions)
    _verdict(first, second, result)
    _counts(first, second, result)
    _flips(first, second, result)


def _verdict(first: EvaluatedRun, second: EvaluatedRun, result: Comparison) -> None:
    better = second if result.difference > 0 else first
    p = f"p = {result.test.p:.4f}" if result.test.p >= 0.0001 else "p < 0.0001"
    if result.test.p < 0.05:
        st.success(f"**{as_text(better.name)}** is better ({p}): a difference like this would be rare if both were equally good.",
                   icon=":material/trophy:")
    else:
        st.info(f"The difference may be luck ({p}): two equally good models would often differ this much on these images.",
                icon=":material/casino:")
    metrics_row({
        first.name: (percent(float(first.predictions.correct.mean())), "Accuracy of the first model."),
        second.name: (percent(float(second.predictions.correct.mean())), "Accuracy of the second model."),
        "Difference (points)": (_points(result.difference), "Second minus first, in percentage points."),
        "95 % interval (points)": (f"{_points(result.interval.low)} to {_points(result.interval.high)}",
                                   "From 10,000 resamples of the images, the same for both models (paired bootstrap, seed 0)."),
    })
    figure = difference_figure(result.difference, result.interval.low, result.interval.high)
    st.plotly_chart(figure, key="evaluate.difference", config=CHART,
                    alt=in_words(figure, "Difference of accuracies with its interval"))


def _counts(first: EvaluatedRun, second: EvaluatedRun, result: Comparison) -> None:
    test = result.test
    draw_table(rows_table([
        {"": "first right", "second right": result.both_right, "second wrong": test.only_first},
        {"": "first wrong", "second right": test.only_second, "second wrong": result.both_wrong}]), hide_index=True,
        key="evaluate.mcnemar", width="content")
    how = (f"exact: 2·P(X ≤ {min(test.only_first, test.only_second)}) for {test.only_first + test.only_second} tosses of a coin"
           if test.exact else f"χ² = (|{test.only_first} − {test.only_second}| − 1)² / {test.only_first + test.only_second} = "
           f"{test.statistic:.3f} with one degree of freedom")
    st.caption(f"McNemar's test ({how}). Only images count on which just one model is right. The test speaks for these two sets "
               "of "
               "weights: another seed would give others, so train several before you prefer a recipe.")


def _flips(first: EvaluatedRun, second: EvaluatedRun, result: Comparison) -> None:
    """The images on which only one is right."""
    for positions, text, key in ((result.gained, "Only the second is right", "gained"),
                                 (result.lost, "Only the first is right", "lost")):
        st.header(f"{text}: {plural(len(positions), 'image')}")
        if len(positions):
            wrong = first if key == "gained" else second
            st.caption(f"Below each image: what it is, and what {as_text(wrong.name)} said"
                       + (f"; the first {MOST} of them." if len(positions) > MOST else "."))
            show_images(wrong, positions[:MOST], f"flips-{key}")
    name = f"{first.run.id[:8]}-{second.run.id[:8]}"
    save_csv("Comparison (CSV)", lambda: comparison_csv(first.name, second.name, result), f"comparison-{name}")
    save_csv("Flipped images (CSV)", lambda: _csv(first, second, result), f"flips-{name}")


def _csv(first: EvaluatedRun, second: EvaluatedRun, result: Comparison) -> bytes:
    return csv_of(["image", "right", "first", "second"],
                  ([int(position), right, caption(first.predictions, int(position)), caption(second.predictions, int(position))]
                   for positions, right in ((result.gained, "second"), (result.lost, "first")) for position in positions))


def _points(difference: float) -> str:
    return f"{100 * difference:+.2f}".replace("-", "−")
