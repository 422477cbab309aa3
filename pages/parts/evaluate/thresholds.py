"""Evaluate, Thresholds: ROC and precision-recall curves, and for a yes-no question what each threshold gives and costs."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.evaluation import Predictions
from core.evaluation.metrics import summarize
from core.evaluation.tables import curves_csv
from core.evaluation.thresholds import Decision, Sweep, cheapest, decide, sweep
from core.figures.evaluation import MODEL_COLORS, confusion_figure, precision_recall_figure, roc_figure
from core.figures.in_words import in_words
from core.figures.palette import CLASSES
from core.wording import percent
from pages.parts.evaluate.by_scikit_learn import by_scikit_learn
from pages.parts.evaluate.subject import CHART, EvaluatedRun, columns, save_csv
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row

THRESHOLD, MISS, ALARM = "evaluate.threshold", "evaluate.miss", "evaluate.false_alarm"


def section(server: Services, found: Sequence[EvaluatedRun]) -> None:
    """The whole section."""
    first = found[0]
    alike = [subject for subject in found if subject.classes == first.classes]
    if len(alike) < len(found):
        st.info(f"{as_text(found[1].name)} answers another question, so its curves are not laid over these.",
                icon=":material/info:")
    if len(first.classes) == 2:
        _yes_no(alike)
    else:
        _one_against_rest(alike)
    for place, subject in zip(columns(alike), alike, strict=True):
        with place:
            at = st.session_state[THRESHOLD] if len(subject.classes) == 2 else None
            by_scikit_learn(subject, "thresholds", at)
    with st.expander("How to read these curves", icon=":material/help:"):
        st.markdown(
            "A network answers with a probability. A **threshold** turns it into a yes: said at the threshold and above. A low "
            "one finds more (recall) and is wrong more often (false alarms).\n"
            "- **ROC**: recall against the share of false alarms, for all thresholds. Its area is how often a random image of "
            "the "
            "class gets a higher probability than a random other one: 0.5 is guessing, 1 is perfect.\n"
            "- **Precision and recall**: more telling where the class is rare, because many images that are right to be refused "
            "don't count. Its area is the average precision, Σ (Rₙ − Rₙ₋₁)·Pₙ.\n\nAs scikit-learn defines them.")


@st.cache_resource(max_entries=64, show_spinner=False)
def _curve(_predictions: Predictions, digest: str, label: int) -> Sweep:
    return sweep(_predictions.probabilities[:, label], _predictions.targets == label)


def _sweep(subject: EvaluatedRun, label: int) -> Sweep:
    return _curve(subject.predictions, subject.predictions.digest, label)


def _one_against_rest(found: Sequence[EvaluatedRun]) -> None:
    """Each class against all others; with two models, or many classes, one class at a time."""
    classes = found[0].classes
    everything = ["all classes", *classes] if len(found) == 1 and len(classes) <= 10 else list(classes)
    if st.session_state.get("evaluate.class") not in everything:
        st.session_state["evaluate.class"] = everything[0]
    chosen = st.selectbox("Class against all others", everything, key="evaluate.class", bind="query-params", width=240)
    if chosen == "all classes":
        curves = {name: _sweep(found[0], label) for label, name in enumerate(classes)}
    else:
        curves = {subject.name: _sweep(subject, classes.index(chosen)) for subject in found}
    colors = CLASSES if chosen == "all classes" else MODEL_COLORS
    _charts(curves, colors, [])
    if chosen == "all classes":
        areas = [curve.roc_area for curve in curves.values() if curve.roc_area is not None]
        precisions = [curve.average_precision for curve in curves.values() if curve.average_precision is not None]
        if len(areas) == len(precisions) == len(curves):
            st.markdown(f"Mean over classes: ROC area **{np.mean(areas):.4f}**, average precision **{np.mean(precisions):.4f}**.")
    _missing(curves)


def _yes_no(found: Sequence[EvaluatedRun]) -> None:
    """A threshold that moves the points, the counts and the cost."""
    no, yes = found[0].classes
    curves = {subject.name: _sweep(subject, 1) for subject in found}
    left, middle, right = st.columns([2, 1, 1], vertical_alignment="bottom")
    miss = middle.number_input(f"Cost of a miss ({yes} not found)", 0.0, 1e6, 1.0, 1.0, key=MISS, bind="query-params")
    alarm = right.number_input(f"Cost of a false alarm ({no} called {yes})", 0.0, 1e6, 1.0, 1.0, key=ALARM,
                               bind="query-params")
    threshold = left.slider(f"Threshold: say “{yes}” from this probability on", 0.0, 1.0, 0.5, 0.01, key=THRESHOLD,
                            bind="query-params")
    decisions = [decide(curve, threshold) for curve in curves.values()]
    best = cheapest(next(iter(curves.values())), miss, alarm)
    for place, subject, decision in zip(columns(found), found, decisions, strict=True):
        with place:
            _decision(subject, decision, miss, alarm)
    _charts(curves, MODEL_COLORS, decisions)
    st.markdown(f"The lowest cost on these images{' for the first model' if len(found) > 1 else ''} is "
                f"**{best.cost(miss, alarm):,.6g}**, at a threshold of {min(best.threshold, 1.0):.4f} "
                f"({best.false_negatives:,} misses, {best.false_positives:,} false alarms). Choose a threshold on validation "
                "images and check it on test images: chosen on the test images it looks better than it is.")
    _missing(curves)


def _decision(subject: EvaluatedRun, decision: Decision, miss: float, alarm: float) -> None:
    """Figures and counts of one threshold, beside what not looking would get."""
    about = summarize(subject.predictions)
    metrics_row({
        "Accuracy": (percent(decision.accuracy), "Share of right answers at this threshold."),
        f"Always “{as_text(about.larger_class)}”": (
            percent(about.larger_share), "Accuracy of not looking at all: the larger class's share. A high accuracy means little "
                                         "where this is high too."),
        "Recall": (percent(decision.recall), "Share of the yes-images that it finds."),
        "Precision": (percent(decision.precision), "Share of its yeses that are right. “–” where it never says yes."),
        "Cost": (f"{decision.cost(miss, alarm):,.6g}", "Misses and false alarms, each times its cost."),
    })
    counts = np.array([[decision.true_negatives, decision.false_positives], [decision.false_negatives, decision.true_positives]])
    figure = confusion_figure(counts, subject.classes)
    st.plotly_chart(figure, key=f"evaluate.counts.{subject.run.id}", config=CHART,
                    alt=in_words(figure, "Counts at this threshold"))
    if decision.accuracy <= about.larger_share:
        st.caption(f"No better than always saying “{as_text(about.larger_class)}”: this is why {percent(about.larger_share)} "
                   "can mean nothing.")


def _charts(curves: dict[str, Sweep], colors: Sequence[str], points: Sequence[Decision]) -> None:
    corner = st.toggle("Enlarge the corner where good models are", key="evaluate.corner", bind="query-params")
    left, right = st.columns(2)
    figure = roc_figure(curves, colors, points, corner)
    left.plotly_chart(figure, key="evaluate.roc", config=CHART, alt=in_words(figure, "ROC curves"))
    figure = precision_recall_figure(curves, colors, points, corner)
    right.plotly_chart(figure, key="evaluate.pr", config=CHART, alt=in_words(figure, "Precision-recall curves"))
    st.caption("In brackets: the area under each curve.")
    save_csv("Curves (CSV)", lambda: curves_csv(curves), "curves")


def _missing(curves: dict[str, Sweep]) -> None:
    """Classes that have no curve, and why."""
    for name, curve in curves.items():
        if curve.roc_area is None:
            st.caption(f"No curve for {as_text(name)}: "
                       f"{'no image is of this class' if not curve.positives else 'every image is of this class'}.")
