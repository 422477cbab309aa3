"""Read a sheet: the picture with its boxes and the list of marks, both to correct, each showing what the other changed."""

from collections.abc import Sequence

import numpy as np
import streamlit as st
import torch
from streamlit.errors import StreamlitAPIException

from core.data.drawing import Box, DrawingError
from core.data.drawing.boxes import LabelledBox
from core.data.own.sheet import NO_DIGIT_NAME, Entry, LabelledSheet
from core.figures.pictures import data_uri, to_bytes
from core.wording import percent, surely
from pages.parts.sheet.canvas import UNSURE, background_of, drawing_of, is_shown, sheet_canvas, tolerance, views
from pages.parts.sheet.work import Ask, Work
from pages.parts.shell.markdown import as_text
from pages.parts.widgets.label_list import Labelled, label_list

WIDTHS = {340: "Small", 720: "Medium", 1080: "Large"}
ALL, DOUBTFUL = "All", "Those it is not sure of"
MODEL_SAYS = "what the model says"


def draw_anew() -> None:
    """Run again with what has just been learned: this fragment alone, where it is what runs."""
    try:
        st.rerun(scope="fragment")
    except StreamlitAPIException:
        st.rerun()


def picture_section(work: Work, ask: Ask) -> None:
    """The picture with its boxes: draw a box to add a mark; with the pencil above the picture move, resize, delete, relabel."""
    assert work.labelled is not None
    left, middle, right = st.columns(3)
    usual = 340 if "Mobile" in (st.context.headers.get("User-Agent") or "") else 720
    width = left.segmented_control("Picture", list(WIDTHS), default=usual, required=True, key="sheet.width",
                                   format_func=WIDTHS.__getitem__, bind="query-params")
    parts = views(work.labelled)
    part = middle.selectbox("Part of it", list(parts), key="sheet.part", persist_state="session")
    view = parts[part]
    labels = ["", "–", *work.labelled.classes]
    label = right.selectbox("A box that you draw is", labels, key="sheet.label", persist_state="session",
                            format_func=lambda one: MODEL_SAYS if not one else NO_DIGIT_NAME if one == "–" else one)
    if (work.width, work.view) != (width, view):
        work.width, work.view, work.drawing = width, view, {}
        work.background = background_of(work.labelled, view, width)
    if not work.drawing:
        work.version += 1
        work.drawing = drawing_of(work.labelled, view, width, work.version)
    st.space("medium")  # the canvas's own tools appear above it
    sent = sheet_canvas(view, width, label, work.background, work.drawing,
                        f"sheet.canvas.{work.digest[:12]}.{work.quarters}.{width}.{part}.{view.top}.{view.left}")
    if sent is not None:
        take_boxes(work, *sent, ask)
    if st.button("Add a box", icon=":material/add_box:", key="sheet.add", help="In the middle of the picture: choose the pencil "
                 "above it, and drag the box to where it belongs. By touch this is the way to add one."):
        box = middle_of(view, work.labelled)
        work.labelled = work.labelled.with_box(box, work.labelled.label_of(label) if label else None, ask)
        work.drawing, work.saved = {}, ""
        draw_anew()
    st.caption("**Draw** a rectangle to add a mark. The pencil above the picture's right corner turns drawing into **editing**: "
               "drag a box or its corners, press :material/close: there to delete the chosen one, or click it again to write its "
               f"label (– for no digit). Blue: sure; orange: less than {percent(UNSURE, 0)} sure; green: yours; gray: no digit.")


def take_boxes(work: Work, boxes: list[LabelledBox], message: str, ask: Ask) -> None:
    """Make the marks what the canvas shows, if it has said something; have it drawn anew where the labels are others then."""
    assert work.labelled is not None
    if message == work.seen:
        return
    work.seen = message
    work.answered = max((one.drawing for one in boxes if one.drawing is not None), default=work.answered)
    if work.answered != work.version:  # of a drawing that has been replaced: it knows nothing of the last corrections
        return
    assert work.view is not None
    slack = tolerance(work.view, work.width)
    if is_shown(work.labelled, boxes, slack, work.view):
        return
    work.labelled, work.note = work.labelled.with_boxes(boxes, slack, ask, work.view)
    work.saved = ""
    if not is_shown(work.labelled, boxes, slack, work.view):
        work.drawing = {}
    draw_anew()


def middle_of(view: Box, labelled: LabelledSheet) -> Box:
    """A box as large as a usual mark, in the middle of the view."""
    sizes = np.array([(mark.box.height, mark.box.width) for mark in labelled.sheet.marks])
    height, width = (max(8, int(length)) for length in np.median(sizes, axis=0))
    return Box(view.top + (view.height - height) // 2, view.left + (view.width - width) // 2, height, width)


def list_section(work: Work, labelled: LabelledSheet) -> None:
    """The marks one by one, each with a list of labels."""
    st.header("Mark by mark")
    doubtful = [entry for entry in labelled.entries if not entry.by_hand and entry.sure < UNSURE]
    shown = st.segmented_control("Show", [ALL, DOUBTFUL], default=ALL, required=True, key="sheet.show", bind="query-params",
                                 label_visibility="collapsed",
                                 format_func=lambda one: f"{one} ({len(doubtful if one == DOUBTFUL else labelled.entries)})")
    entries = doubtful if shown == DOUBTFUL else labelled.entries
    if not entries:
        st.caption("No mark is doubtful." if labelled.entries else "There are no marks. Draw a box on the picture.")
        return
    try:
        edits = label_list(items_of(labelled, entries), labelled.classes, NO_DIGIT_NAME,
                           f"sheet.list.{work.digest[:12]}.{work.quarters}", "Marks with their labels", work.edited)
    except DrawingError as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return
    fresh = [edit for edit in edits if edit[0] > work.edited]
    for when, place, label in fresh:
        labelled, work.edited = labelled.relabelled(place, label), when
    if fresh:
        work.labelled = labelled
        work.drawing, work.saved = {}, ""
        draw_anew()


def items_of(labelled: LabelledSheet, entries: Sequence[Entry]) -> list[Labelled]:
    """The entries as the list shows them."""
    items = []
    for entry in entries:
        image = entry.image if entry.image is not None else torch.zeros(labelled.shape)
        said = ("no ink in this box" if entry.image is None else
                f"read as {labelled.classes[entry.answer]}, {surely(entry.sure)}")
        items.append(Labelled(entry.id, data_uri(to_bytes(image)), entry.label, f"Mark {entry.id + 1}: {said}",
                              not entry.by_hand and entry.sure < UNSURE))
    return items
