"""Labelled boxes as the canvas and the list of crops send them: messages that anybody can forge, read with limits."""

import math
from dataclasses import dataclass

from core.data.drawing import Box, DrawingError

MOST_BOXES = 1000
SMALLEST = 3  # pixels of the picture: a click that was no box
MOST_EDITS = 200
USUAL_MITER = 4  # of a rectangle that was drawn by hand
DAMAGED = "The canvas sent something that is no drawing of boxes. Reload the page; the sheet can be read again."
ORIGIN = {"left": 0.0, "top": 0.0, "center": 0.5, "right": 1.0, "bottom": 1.0}


@dataclass(frozen=True)
class LabelledBox:
    """A box in the picture's pixels, and what was written on it.

    id, drawing: the mark it was drawn for, and in which drawing, as carried() has put them on it; None on a box drawn by hand.
    """

    box: Box
    label: str
    id: int | None = None
    drawing: int | None = None


def carried(mark: int, drawing: int) -> dict[str, int]:
    """Properties of a rectangle that carry these two numbers there and back: the canvas keeps no others of one's own, and of a
    line that is not dashed and turns at right angles they change nothing."""
    return {"strokeDashOffset": mark + 1, "strokeMiterLimit": drawing + USUAL_MITER}


def read_boxes(raw: object, shape: tuple[int, int], scale: float) -> list[LabelledBox]:
    """What streamlit-drawable-canvas sends as its drawing → the labelled boxes on it, cut to the picture.

    Args:
        raw: its json_data; boxes outside the picture, mere clicks and other shapes are left out.
        shape: (height, width) of the picture. scale: pixels of the canvas for each of the picture's.

    Raises:
        DrawingError: what is no such drawing, a number that is none, or more than MOST_BOXES boxes; one line.
    """
    objects = raw.get("objects") if isinstance(raw, dict) else None
    if not isinstance(objects, list):
        raise DrawingError(DAMAGED)
    if len(objects) > MOST_BOXES:
        raise DrawingError(f"The canvas sent {len(objects):,} boxes; at most {MOST_BOXES:,} are taken. Delete some, or read a "
                           "part of the sheet.")
    found = [_box(one, shape, scale) for one in objects if isinstance(one, dict) and one.get("type") == "LabeledRect"]
    return [one for one in found if one is not None]


def read_edits(raw: object, count: int) -> list[tuple[int, int, int]]:
    """What the list of crops sends → (when, id of a mark, number of a label from −1, no digit, to count − 1), oldest first.

    Raises:
        DrawingError: what is no such list, or a label that there is not; one line.
    """
    if raw is None:
        return []
    if not isinstance(raw, list) or len(raw) > MOST_EDITS:
        raise DrawingError("The list of marks sent something that is no correction. Reload the page and correct it again.")
    found = []
    for one in raw:
        if not isinstance(one, list) or len(one) != 3 or not all(_is_count(value) for value in one) or not -1 <= one[2] < count:
            raise DrawingError("A mark is one of the listed labels or no digit; this correction is neither, and was left out.")
        found.append((int(one[0]), int(one[1]), int(one[2])))
    return sorted(found)


def _box(one: dict, shape: tuple[int, int], scale: float) -> LabelledBox | None:
    """A rectangle of the canvas in the picture's pixels; None for what is outside or too small."""
    width, height = (_number(one, name) * _number(one, by, 1) for name, by in (("width", "scaleX"), ("height", "scaleY")))
    origins = [ORIGIN.get(str(one.get(name, usual))) for name, usual in (("originX", "left"), ("originY", "top"))]
    if origins[0] is None or origins[1] is None:
        raise DrawingError(DAMAGED)
    left, top = _number(one, "left") - origins[0] * width, _number(one, "top") - origins[1] * height
    (x0, x1), (y0, y1) = sorted((left, left + width)), sorted((top, top + height))  # drawn leftwards, its width is below 0
    x0, x1 = (min(max(x / scale, 0), shape[1]) for x in (x0, x1))
    y0, y1 = (min(max(y / scale, 0), shape[0]) for y in (y0, y1))
    box = Box(round(y0), round(x0), round(y1) - round(y0), round(x1) - round(x0))
    if min(box.height, box.width) < SMALLEST:
        return None
    label = one.get("label", "")
    mark, drawing = _number(one, "strokeDashOffset"), _number(one, "strokeMiterLimit", USUAL_MITER)
    own = mark >= 1 and drawing > USUAL_MITER
    return LabelledBox(box, label.strip()[:40] if isinstance(label, str) else "", int(mark) - 1 if own else None,
                       int(drawing) - USUAL_MITER if own else None)


def _number(one: dict, name: str, usual: float = 0.0) -> float:
    value = one.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e7:
        raise DrawingError(DAMAGED)
    return float(value)


def _is_count(value: object) -> bool:
    """Whether it is a whole number that JavaScript can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
