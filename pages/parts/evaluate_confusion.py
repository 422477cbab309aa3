"""Evaluate, Confusion: which class is taken for which, and the images behind each number."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st

from core.evaluation.metrics import confusion_counts, confusion_shares
from core.evaluation.mistakes import in_cell
from core.evaluation.tables import confusion_csv
from core.figures.evaluation import confusion_figure
from pages.parts.evaluate_subject import CHART, Subject, columns, save_csv, show_images
from pages.parts.services import Services

MOST = 40  # images of one cell


def section(server: Services, found: Sequence[Subject]) -> None:
    """The whole section."""
    as_shares = st.segmented_control("Show", ["Counts", "Shares (%)"], default="Counts", required=True, key="evaluate.confusion",
                                     persist_state="session") != "Counts"
    st.caption("Rows are what the images are, columns what the model said: the diagonal is right. Colour is the share of the "
               "row. "
               "Click on a cell to see its images.")
    for place, subject in zip(columns(found), found, strict=True):
        with place:
            counts = confusion_counts(subject.predictions)
            key = f"evaluate.matrix.{subject.run.id}.{subject.predictions.split}"
            st.plotly_chart(confusion_figure(counts, confusion_shares(counts), subject.classes, as_shares), key=key, config=CHART,
                            on_select=partial(_clicked, key, len(subject.classes)), selection_mode="points",
                            alt=f"Confusion matrix of {subject.name}, {len(subject.classes)} classes")
            save_csv("Matrix (CSV)", lambda counts=counts, subject=subject: confusion_csv(counts, subject.classes),
                     f"confusion-{subject.run.id[:8]}-{subject.predictions.split}")
            _cell(subject, counts, key)


def _clicked(key: str, size: int) -> None:
    """A click on the chart chooses in the two lists; a click beside the cells leaves them as they are."""
    points = st.session_state[key]["selection"]["point_indices"]
    if points:
        st.session_state[f"{key}.cell"] = divmod(points[0], size)


def _chosen(key: str, name: str, place: int) -> None:
    """A choice in one of the lists: the true class (place 0) or what was said (1)."""
    cell = list(st.session_state[f"{key}.cell"])
    cell[place] = st.session_state[name]
    st.session_state[f"{key}.cell"] = tuple(cell)


def _cell(subject: Subject, counts: np.ndarray, key: str) -> None:
    """The images of one cell: that was clicked on, chosen from two lists, or at first the commonest mistake."""
    everything = list(range(len(subject.classes)))
    wrong = counts - np.diag(np.diag(counts))
    truth, said = st.session_state.setdefault(f"{key}.cell", divmod(int(wrong.argmax()), len(everything)))
    # The cell is part of the lists' keys: a click can send two events, and the second would bring the lists' old values along
    with st.container(horizontal=True):
        for place, (label, start) in enumerate((("True class", truth), ("What it said", said))):
            name = f"{key}.{place}.{truth}.{said}"
            st.selectbox(label, everything, start, format_func=lambda i: subject.classes[i], key=name, width=180,
                         on_change=partial(_chosen, key, name, place))
    positions = in_cell(subject.predictions, truth, said)
    if not len(positions):
        st.caption("No image is in this cell.")
        return
    some = f", the {MOST} surest of them" if len(positions) > MOST else ""
    st.markdown(f"**{len(positions):,} image{'s' * (len(positions) > 1)}** of {subject.classes[truth]} that it called "
                f"{subject.classes[said]}{some}:")
    show_images(subject, positions[:MOST], f"cell-{subject.run.id[:8]}-{truth}-{said}")
