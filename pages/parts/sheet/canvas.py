"""Read a sheet: the picture with its boxes, on streamlit-drawable-canvas."""

import hashlib
import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from core.data.drawing import Box, DrawingError
from core.data.drawing.boxes import LabelledBox, carried, read_boxes
from core.data.own.sheet import NO_DIGIT_SIGN, SAME, Entry, LabelledSheet
from pages.parts.shell.markdown import as_text

MARKS, WHOLE = "All marks", "The whole picture"
QUARTERS = (("Top left", 0, 0), ("Top right", 0, 1), ("Bottom left", 1, 0), ("Bottom right", 1, 1))
MANY = 30  # marks that are shown in quarters too
UNSURE = 0.9  # probability below which an answer is to be looked at
SURE_COLOUR, UNSURE_COLOUR, HAND_COLOUR, NONE_COLOUR = "#1467c8", "#d9820f", "#23863b", "#767b85"


def sheet_canvas(view: Box, width: int, new_label: str, background: bytes, drawing: dict,
                 key: str) -> tuple[list[LabelledBox], str] | None:
    """The boxes as they are on the canvas, in the picture's pixels, and the message they came in, to tell it from a new one;
    None where that was no drawing, which is said.

    view: the part of the picture that is shown. width: of the canvas, in pixels. new_label: of boxes that are drawn, "" for
    whatever the model says. drawing: what the canvas begins with; another one is drawn anew.
    """
    from streamlit_drawable_canvas import st_canvas  # here: no other page needs it

    scale = width / view.width
    result = st_canvas(fill_color="rgba(0, 0, 0, 0)", stroke_width=2, stroke_color=HAND_COLOUR, background_image=background,
                       height=round(view.height * scale), width=width, drawing_mode="labeled_rect", label=new_label, font_size=13,
                       initial_drawing=drawing, key=key)
    try:
        boxes = read_boxes(result.json_data, (view.height, view.width), scale)
    except DrawingError as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return None
    moved = [replace(one, box=replace(one.box, top=one.box.top + view.top, left=one.box.left + view.left)) for one in boxes]
    return moved, digest_of(result.json_data)


def views(labelled: LabelledSheet) -> dict[str, Box]:
    """Parts of the picture that can be shown: all marks, the whole of it, and of many marks quarters, for a small screen."""
    height, width = labelled.sheet.picture.shape[:2]
    whole = Box(0, 0, height, width)
    boxes = [mark.box for mark in labelled.sheet.marks]  # as they were found: the picture does not move while it is corrected
    margin = round(1.5 * float(np.median([box.height for box in boxes])))
    top, left = (max(0, min(start) - margin) for start in ([box.top for box in boxes], [box.left for box in boxes]))
    bottom = min(height, max(box.top + box.height for box in boxes) + margin)
    right = min(width, max(box.left + box.width for box in boxes) + margin)
    marks = Box(top, left, bottom - top, right - left)
    found = {MARKS: marks, WHOLE: whole}
    if len(boxes) > MANY:
        half, wide = marks.height // 2, marks.width // 2
        for name, down, across in QUARTERS:
            found[name] = Box(top + down * half, left + across * wide, marks.height - half if down else half,
                              marks.width - wide if across else wide)
    return found


def drawing_of(labelled: LabelledSheet, view: Box, width: int, version: int) -> dict:
    """What the canvas begins with: a labelled box for each mark, with the drawing's version on it."""
    scale = width / view.width
    entries = labelled.within(view)
    tall = float(np.median([entry.box.height for entry in entries])) * scale if entries else 0.0
    size = round(min(13, max(7, 0.45 * tall)))  # a label as tall as its digit would hide the one above
    return {"version": "6.7.1", "objects": [
        _rectangle(entry, labelled, view, scale, size) | carried(entry.id, version) for entry in entries]}


def background_of(labelled: LabelledSheet, view: Box, width: int) -> bytes:
    """This part of the picture as a JPEG of the canvas's size."""
    picture = Image.fromarray(labelled.sheet.picture[view.top:view.top + view.height, view.left:view.left + view.width])
    size = width, max(1, round(picture.height * width / picture.width))
    file = io.BytesIO()
    picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0).save(file, "JPEG", quality=80)
    return file.getvalue()


def tolerance(view: Box, width: int) -> float:
    """Pixels of the picture by which a box on the canvas may be off and was not moved."""
    return max(1.0, SAME * view.width / width)


def is_shown(labelled: LabelledSheet, boxes: list[LabelledBox], slack: float, view: Box) -> bool:
    """Whether the canvas shows just these marks and labels already."""
    left = list(boxes)
    for entry in labelled.within(view):
        name = labelled.name(entry.label, NO_DIGIT_SIGN)
        same = next((one for one in left if one.label == name and abs(one.box.left - entry.box.left) <= slack
                     and abs(one.box.top - entry.box.top) <= slack), None)
        if same is None:
            return False
        left.remove(same)
    return not left


def colour_of(entry: Entry) -> str:
    if entry.by_hand:
        return HAND_COLOUR
    if entry.label < 0:
        return NONE_COLOUR
    return SURE_COLOUR if entry.sure >= UNSURE else UNSURE_COLOUR


def _rectangle(entry: Entry, labelled: LabelledSheet, view: Box, scale: float, size: int) -> dict[str, Any]:
    """As the canvas itself writes a labelled box."""
    box = entry.box
    left, top = box.left - view.left, box.top - view.top
    return {"type": "LabeledRect", "label": labelled.name(entry.label, NO_DIGIT_SIGN), "fontSize": size,
            "left": round(left * scale, 2), "top": round(top * scale, 2), "width": round(box.width * scale, 2),
            "height": round(box.height * scale, 2), "originX": "left", "originY": "top", "scaleX": 1, "scaleY": 1, "angle": 0,
            "stroke": colour_of(entry), "strokeWidth": 2, "fill": "rgba(0, 0, 0, 0)", "lockRotation": True, "strokeUniform": True}


def digest_of(raw: object) -> str:
    return hashlib.sha256(json.dumps(raw, sort_keys=True, default=str).encode()).hexdigest()
