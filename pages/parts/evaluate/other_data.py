"""Evaluate, Other data: does what it learned hold for images of another source?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st
import torch

from core.data import Dataset, available
from core.evaluation import Predictions, predict
from core.evaluation.metrics import summarize
from core.evaluation.mistakes import confident_mistakes
from core.evaluation.other_data import DRAWING_SHAPE, as_split, other_config, others, through_drawing, to_try
from core.evaluation.robustness import sample
from core.evaluation.tables import predictions_csv
from core.runs import CheckpointError, TrainedModel
from core.runs.evaluations import weights_stamp
from core.wording import percent
from pages.parts.evaluate.subject import EvaluatedRun, columns, one_line, save_csv, show_images
from pages.parts.shell.frame import link
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset, trained_model
from pages.parts.widgets.metrics import metrics_row

MOST_DRAWN = 500  # images through the drawing pipeline, 3 ms each
SHOWN = 10


@dataclass(frozen=True)
class Answered:
    """What a model said about another data set, and that data set."""

    predictions: Predictions
    data: Dataset


def section(server: Services, found: Sequence[EvaluatedRun]) -> None:
    """The whole section."""
    st.markdown("A test set comes from the same source as the training images. Images of another source, of the same classes, "
                "tell "
                "whether the network has learned the digits or the data set.")
    for place, subject in zip(columns(found), found, strict=True):
        with place:
            try:
                _subject(server, subject, trained_model(server.store, subject.run.id))
            except CheckpointError as error:
                st.error(as_text(str(error)), icon=":material/broken_image:")


def _subject(server: Services, subject: EvaluatedRun, trained: TrainedModel) -> None:
    """One model: which data sets fit, and its accuracy on the chosen one."""
    known = available(server.settings.data_dir, server.actor)
    titles = {name: known[name].title for name in known}
    reasons = others(trained.config.data, trained.classes, trained.input_shape, server.settings.data_dir,
                     server.actor)
    fitting = [name for name, reason in reasons.items() if reason is None]
    unfit = " ".join(f"Not {titles[name]}: {reason}." for name, reason in reasons.items() if reason)
    if not fitting:
        st.info(f"No other data set fits this model. {unfit}", icon=":material/info:")
        return
    key = f"evaluate.other.{subject.run.id}"
    name = st.selectbox("Data set", fitting, format_func=titles.__getitem__, key=key)
    if unfit:
        st.caption(unfit)
    if not known[name].is_available(server.settings.data_dir):
        st.info(f"{as_text(titles[name])} is not on this machine yet.", icon=":material/cloud_download:")
        link("pages/explore_data.py", "Get it on the page “Explore data”", ":material/grid_view:")
        return
    drawn = trained.input_shape == DRAWING_SHAPE and st.toggle(
        "Through the drawing pipeline", key=f"{key}.drawn",
        help=f"Each image as if you had drawn it on the canvas, then prepared like a drawing. {MOST_DRAWN} images at most.")
    pressed = st.button("Try it", key=f"{key}.try", icon=":material/play_arrow:")
    if not pressed and st.session_state.get(f"{key}.done") != (name, drawn):
        return
    st.session_state[f"{key}.done"] = (name, drawn)
    try:
        answered = _answers(server, subject.run.id, name, drawn, tuple(weights_stamp(server.store, subject.run.id)))
    except (ValueError, RuntimeError, MemoryError) as error:  # DataError is a ValueError
        st.error(as_text(one_line(error)), icon=":material/broken_image:")
        return
    _result(subject, replace(subject, predictions=answered.predictions, data=answered.data), name, titles[name])


def _result(subject: EvaluatedRun, elsewhere: EvaluatedRun, name: str, title: str) -> None:
    own, there = summarize(subject.predictions), summarize(elsewhere.predictions)
    metrics_row({
        "On its own data": (percent(own.accuracy), f"{own.examples:,} images it did not learn from."),
        f"On {as_text(title)}": (percent(there.accuracy), f"{there.examples:,} images of the other source."),
        "95 % interval": (f"{100 * there.interval.low:.2f} – {percent(there.interval.high)}", "Of the accuracy on the other "
                                                                                              "data."),
    })
    wrong = confident_mistakes(elsewhere.predictions, SHOWN)
    if len(wrong):
        st.markdown("The mistakes there that it was surest of:")
        show_images(elsewhere, wrong, f"other-{name}-{subject.run.id[:8]}")
    save_csv("All answers there (CSV)", lambda: predictions_csv(elsewhere.predictions),
             f"answers-{name.replace(':', '-')}-{subject.run.id[:8]}")


@st.cache_resource(max_entries=4, show_spinner="Asking it about the other images…")
def _answers(_server: Services, run_id: str, name: str, drawn: bool, weights: tuple[int, ...]) -> Answered:
    trained = trained_model(_server.store, run_id)
    data = dataset(other_config(trained.config.data, trained.classes, name, _server.settings.data_dir), _server.settings)
    data = to_try(data, trained.mean, trained.std)
    if drawn:
        some = sample(data.test, MOST_DRAWN)
        data = replace(data, test=as_split(torch.stack(list(through_drawing(some))), some.labels[some.rows]))
    return Answered(predict(trained.model, data, trained.config), data)
