"""Evaluate, Confusion: which class is taken for which, and the images behind each number."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st

from core.data.sources import kind_of
from core.evaluation.metrics import confusion_counts
from core.evaluation.mistakes import in_cell
from core.evaluation.tables import confusion_csv
from core.figures.confusion import confusion_picture
from core.figures.images import png_file
from core.wording import EXAMPLES, plural
from pages.parts.evaluate.by_scikit_learn import by_scikit_learn
from pages.parts.evaluate.subject import EvaluatedRun, columns, save, save_csv, show_images
from pages.parts.evaluate.whose import about_mine, hands_of, line_and_marks
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.confusion_table import confusion_table

MOST = 40  # images of one cell


@dataclass(frozen=True)
class Cell:
    """The cell whose images are shown; each choice of one is another turn."""

    truth: int
    said: int
    turn: int = 0


def section(server: Services, found: Sequence[EvaluatedRun]) -> None:
    """The whole section."""
    as_shares = st.segmented_control("Show", ["Counts", "Shares (%)"], default="Counts", required=True, key="evaluate.confusion",
                                     bind="query-params") != "Counts"
    st.caption("Rows are what the images are, columns what the model said: the diagonal is right. Colour is the share of the "
               "row. Click on a cell to see its images, or choose it from the two lists below the matrix.")
    for place, subject in zip(columns(found), found, strict=True):
        with place:
            about_mine(server, subject)
            counts = matrix(subject, as_shares)
            _downloads(subject, counts, as_shares)
            by_scikit_learn(subject, "confusion")
            images_of_cell(server, subject, counts)


def matrix(subject: EvaluatedRun, as_shares: bool) -> np.ndarray:
    """The matrix, whose cells can be pressed. Returns its counts, (C, C): a row for each true class."""
    counts = confusion_counts(subject.predictions)
    key, cell = _key(subject), _cell(subject, counts)
    confusion_table(counts, subject.classes, as_shares, key, f"Confusion matrix of {subject.name}", (cell.truth, cell.said),
                    partial(_picked, key))
    return counts


def _key(subject: EvaluatedRun) -> str:
    return f"evaluate.matrix.{subject.run.id}.{subject.predictions.split}"


def _cell(subject: EvaluatedRun, counts: np.ndarray) -> Cell:
    """The cell that was clicked on or chosen, at first the commonest mistake."""
    wrong = counts - np.diag(np.diag(counts))
    return st.session_state.setdefault(f"{_key(subject)}.cell", Cell(*divmod(int(wrong.argmax()), len(counts))))


def _picked(key: str, truth: int, said: int) -> None:
    """A cell of the matrix was pressed."""
    st.session_state[f"{key}.cell"] = Cell(truth, said, st.session_state[f"{key}.cell"].turn + 1)


def _chosen(key: str, name: str, place: int, turn: int) -> None:
    """A choice in the list of true classes (place 0) or of what was said (1), as they were drawn in that turn.

    A click that comes before the browser has drawn the last one's answer brings the former lists' values along, as if
    somebody had chosen them just now: lists of another turn than the present one are not heard.
    """
    cell = st.session_state[f"{key}.cell"]
    if turn == cell.turn:
        _picked(key, *((st.session_state[name], cell.said) if place == 0 else (cell.truth, st.session_state[name])))


def _downloads(subject: EvaluatedRun, counts: np.ndarray, as_shares: bool) -> None:
    name = f"confusion-{subject.run.id[:8]}-{subject.predictions.split}"
    with st.container(horizontal=True):
        save_csv("Matrix (CSV)", lambda: confusion_csv(counts, subject.classes), name)
        save("Matrix (PNG)", lambda: png_file(confusion_picture(counts, subject.classes, as_shares)), f"{name}.png", "image/png",
             f"{name}.png")


def images_of_cell(server: Services, subject: EvaluatedRun, counts: np.ndarray) -> None:
    """The two lists and the cell's images."""
    key, cell, everything = _key(subject), _cell(subject, counts), list(range(len(subject.classes)))
    with st.container(horizontal=True):
        for place, (label, start) in enumerate((("True class", cell.truth), ("What it said", cell.said))):
            name = f"{key}.{place}.{cell.turn}"  # other widgets each turn: a list's own value would win over the matrix's
            st.selectbox(label, everything, start, format_func=subject.classes.__getitem__, key=name, width=180,
                         on_change=partial(_chosen, key, name, place, cell.turn))
    positions = in_cell(subject.predictions, cell.truth, cell.said)
    what = EXAMPLES[kind_of(subject.run.config.data.dataset)].removesuffix("s")
    if not len(positions):
        st.caption(f"No {what} is in this cell.")
        return
    some = f", the {MOST} surest of them" if len(positions) > MOST else ""
    line, marks = line_and_marks(hands_of(server, subject, positions))
    st.markdown(f"**{plural(len(positions), what)}** of {as_text(subject.classes[cell.truth])} that it called "
                f"{as_text(subject.classes[cell.said])}{some}: {line}")
    show_images(subject, positions[:MOST], f"cell-{subject.run.id[:8]}-{cell.truth}-{cell.said}", marks[:MOST])
