"""Evaluate, Calibration: is it right as often as it is sure, and what mends that?"""

from collections.abc import Sequence

import streamlit as st

from core.evaluation import Predictions
from core.evaluation.calibration import Reliability, Temperature, fit_temperature, reliability
from core.evaluation.tables import table_csv
from core.figures.evaluation import confidence_figure, reliability_figure
from core.figures.in_words import in_words
from core.wording import percent
from pages.parts.evaluate.by_scikit_learn import by_scikit_learn
from pages.parts.evaluate.subject import CHART, EvaluatedRun, answers, columns, one_line, save_csv
from pages.parts.runs.answers import compute
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row

AFTER = " after"


def section(server: Services, found: Sequence[EvaluatedRun]) -> None:
    """The whole section."""
    st.markdown("Of all answers that a network gives with 90 % certainty, 90 % should be right: then it is **calibrated**. "
                "Points below the line mean that it is surer than it should be.")
    st.caption("Its certainty is made from its **logits**: the plain numbers, of any size and sign, that the last layer returns, "
               "one for each class. A softmax turns them into probabilities that add up to 1; for a single yes-no number it is a "
               "sigmoid. The larger the gaps between logits, the surer the answer.")
    shown: dict[str, Reliability] = {}
    for place, subject in zip(columns(found), found, strict=True):
        with place:
            before = reliability(subject.predictions.scores, subject.predictions.targets)
            shown[subject.name] = before
            _figures(before)
            by_scikit_learn(subject, "calibration")
            temperature = _temperature(server, subject)
            if temperature is not None:
                after = reliability(subject.predictions.scores, subject.predictions.targets, temperature.value)
                _mended(subject, before, after, temperature)
                if len(found) == 1:
                    shown[subject.name + AFTER] = after
    left, right = st.columns([1.3, 1])
    figure = reliability_figure(shown)
    left.plotly_chart(figure, key="evaluate.reliability", config=CHART, alt=in_words(figure, "Reliability diagram"))
    figure = confidence_figure(shown)
    right.plotly_chart(figure, key="evaluate.confidence", config=CHART, alt=in_words(figure, "How sure the answers are"))
    bins = next(iter(shown.values())).bins
    save_csv("Bins (CSV)", lambda: table_csv(
        ["low", "high", "images", "confidence", "accuracy"],
        [[row.low for row in bins], [row.high for row in bins], [row.count for row in bins],
         [float("nan") if row.confidence is None else row.confidence for row in bins],
         [float("nan") if row.accuracy is None else row.accuracy for row in bins]]), "calibration")
    st.caption("15 equal bins of the probability of the answer given; the bars are 95 % intervals. The expected calibration "
               "error "
               "is the mean distance between being sure and being right, weighted by the images in each bin (Guo et al., "
               "arXiv:1706.04599).")


def _figures(result: Reliability) -> None:
    metrics_row({
        "Calibration error": (percent(result.error), "Expected calibration error: how far being sure is from being "
                                                             "right, "
                              "on average. 0 is best."),
        "Surer than right by": (f"{100 * result.gap:+.2f} points".replace("-", "−"), "Mean certainty minus accuracy, in "
                                                                                     "percentage "
                                "points. Above 0: too sure. Below 0: too modest."),
        "−log p(true class)": (f"{result.loss:.4f}", "Mean negative logarithm of the probability it gave to what is true."),
    })


def _temperature(server: Services, subject: EvaluatedRun) -> Temperature | None:
    """Fitted on the validation images, which the test figures have not seen; a button where their answers are missing."""
    if subject.predictions.split == "validation":
        st.caption("Temperature scaling is fitted on validation images, so look at test images to judge it.")
        return None
    validation = answers(server, subject.run, "validation")
    if validation is None or not validation.is_finite:
        if st.button("Fit a temperature on the validation images", key=f"evaluate.temperature.{subject.run.id}",
                     icon=":material/thermostat:",
                     help="Divides all logits by one number, so that the network becomes as sure as it should be."):
            try:
                compute(server, subject.run, "validation")
            except (ValueError, RuntimeError, MemoryError) as error:  # DataError and CheckpointError are ValueErrors
                st.warning(as_text(one_line(error)), icon=":material/broken_image:")
                return None
            st.rerun()
        return None
    return _fitted(validation, validation.digest)


@st.cache_data(max_entries=32, show_spinner=False)
def _fitted(_validation: Predictions, digest: str) -> Temperature:
    return fit_temperature(_validation.scores, _validation.targets)


def _mended(subject: EvaluatedRun, before: Reliability, after: Reliability, temperature: Temperature) -> None:
    """What the temperature does on images it was not fitted on."""
    direction = "less" if temperature.value > 1 else "more"
    limit = " (the end of the range that was searched: with so few mistakes no best value can be found)" * temperature.at_limit
    st.markdown(f"**Temperature {temperature.value:.3f}**{limit}, fitted on the validation images: all logits are divided by "
                "it, so "
                f"the network is {direction} sure. No answer changes. On these test images the calibration error goes from "
                f"{percent(before.error)} to **{percent(after.error)}**, −log p(true class) from {before.loss:.4f} to "
                f"**{after.loss:.4f}**." + (" It does not help here." if after.error >= before.error else ""))
