"""Read a sheet: the picture with its boxes, on streamlit-drawable-canvas."""

import hashlib
import io
import json
from typing import Any

import streamlit as st
from PIL import Image

from core.data.drawing import DrawingError
from core.data.drawing.boxes import LabelledBox, read_boxes
from core.data.own.sheet import NO_DIGIT_SIGN, SAME, Entry, LabelledSheet
from pages.parts.widgets.markdown import as_text

UNSURE = 0.9  # probability below which an answer is to be looked at
SURE_COLOUR, UNSURE_COLOUR, HAND_COLOUR, NONE_COLOUR = "#1467c8", "#d9820f", "#23863b", "#767b85"


def sheet_canvas(labelled: LabelledSheet, width: int, new_label: str, background: bytes, drawing: dict,
                 key: str) -> tuple[list[LabelledBox], str] | None:
    """The boxes as they are on the canvas, in the picture's pixels, and the message they came in, to tell it from a new one;
    None where that was no drawing, which is said.

    width: of the canvas, in pixels. new_label: of boxes that are drawn, "" for whatever the model says. drawing: what the canvas
    begins with; another one is drawn anew.
    """
    from streamlit_drawable_canvas import st_canvas  # here: no other page needs it

    height, wide = labelled.sheet.picture.shape[:2]
    scale = width / wide
    result = st_canvas(fill_color="rgba(0, 0, 0, 0)", stroke_width=2, stroke_color=HAND_COLOUR, background_image=background,
                       height=round(height * scale), width=width, drawing_mode="labeled_rect", label=new_label, font_size=13,
                       initial_drawing=drawing, key=key)
    try:
        return read_boxes(result.json_data, (height, wide), scale), digest_of(result.json_data)
    except DrawingError as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return None


def drawing_of(labelled: LabelledSheet, width: int) -> dict:
    """What the canvas begins with: a labelled box for each mark."""
    scale = width / labelled.sheet.picture.shape[1]
    return {"version": "6.7.1", "objects": [_rectangle(entry, labelled, scale) for entry in labelled.entries]}


def background_of(labelled: LabelledSheet, width: int) -> bytes:
    """The picture as a JPEG of the canvas's size."""
    picture = Image.fromarray(labelled.sheet.picture)
    size = width, max(1, round(picture.height * width / picture.width))
    file = io.BytesIO()
    picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0).save(file, "JPEG", quality=80)
    return file.getvalue()


def tolerance(labelled: LabelledSheet, width: int) -> float:
    """Pixels of the picture by which a box on the canvas may be off and was not moved."""
    return max(1.0, SAME * labelled.sheet.picture.shape[1] / width)


def is_shown(labelled: LabelledSheet, boxes: list[LabelledBox], slack: float) -> bool:
    """Whether the canvas shows just these marks and labels already."""
    left = list(boxes)
    for entry in labelled.entries:
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


def _rectangle(entry: Entry, labelled: LabelledSheet, scale: float) -> dict[str, Any]:
    """As the canvas itself writes a labelled box."""
    box = entry.box
    return {"type": "LabeledRect", "label": labelled.name(entry.label, NO_DIGIT_SIGN), "fontSize": 13,
            "left": round(box.left * scale, 2), "top": round(box.top * scale, 2), "width": round(box.width * scale, 2),
            "height": round(box.height * scale, 2), "originX": "left", "originY": "top", "scaleX": 1, "scaleY": 1, "angle": 0,
            "stroke": colour_of(entry), "strokeWidth": 2, "fill": "rgba(0, 0, 0, 0)", "lockRotation": True, "strokeUniform": True}


def digest_of(raw: object) -> str:
    return hashlib.sha256(json.dumps(raw, sort_keys=True, default=str).encode()).hexdigest()
