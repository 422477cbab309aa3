"""How well whole sheets are read: python -m benchmarks.sheet_quality."""

import math
from dataclasses import dataclass, replace

import numpy as np

from core.data.drawing import Box
from core.data.drawing.sheet import Sheet
from tests.made_sheets import Look, MadeSheet, make_sheet, stroke_pens

SHEETS = {
    "plain": Look(),
    "plain, 7°, shadow": Look(tilt=7, shadow=0.5),
    "ruled": Look("ruled"),
    "ruled, −10°, blur": Look("ruled", tilt=-10, blur=1.8, shadow=0.3),
    "ruled, dark, pencil": Look("ruled", tilt=3, line=0.5, ink=0.45, shadow=0.4),
    "squared": Look("squared"),
    "squared, 10°, shadow": Look("squared", tilt=10, shadow=0.5, blur=1.0),
    "squared, dark, pencil": Look("squared", tilt=-4, line=0.45, ink=0.45, grain=4),
    "squared, small": Look("squared", tilt=6, line=0.3, spacing=36, blur=1.3),
    "form": Look("form", tilt=2, line=0.6),
}


@dataclass(frozen=True)
class Score:
    """pairs: (index of a digit, index of the mark that is it). false: marks that are no digit."""

    pairs: list[tuple[int, int]]
    false: int


def made(family: str, look: Look, seed: int) -> MadeSheet:
    if family == "mnist":
        from core.data.sources.idx import read_idx_file  # noqa
    return make_sheet(stroke_pens(10, seed), look, seed=seed)


def truth(made: MadeSheet, sheet: Sheet) -> list[Box]:
    """The digits' boxes in the sheet's picture."""
    turn = math.radians(-sheet.tilt)
    matrix = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    centre = np.array(made.rgba.shape[1::-1]) / 2
    new = np.array(sheet.picture.shape[1::-1]) / 2
    boxes = []
    for corners in made.corners:
        places = (corners - centre) @ matrix.T + new
        left, top = places.min(axis=0)
        right, bottom = places.max(axis=0)
        boxes.append(Box(round(top), round(left), round(bottom - top), round(right - left)))
    return boxes


def score(made: MadeSheet, sheet: Sheet) -> Score:
    """Which marks are which digits: those whose boxes share at least half of the two together."""
    boxes, pairs, taken = truth(made, sheet), [], set()
    for digit, box in enumerate(boxes):
        best = max(((overlap(box, mark.box), index) for index, mark in enumerate(sheet.marks) if index not in taken),
                   default=(0.0, -1))
        if best[0] >= 0.5:
            pairs.append((digit, best[1]))
            taken.add(best[1])
    return Score(pairs, len(sheet.marks) - len(taken))


def overlap(a: Box, b: Box) -> float:
    """Intersection over union; a box narrower than 0.4 of its height counts as that wide."""
    a, b = _widened(a), _widened(b)
    down = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    across = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    both = max(0, down) * max(0, across)
    return both / (a.height * a.width + b.height * b.width - both)


def _widened(box: Box) -> Box:
    more = max(0, round(0.4 * box.height) - box.width)
    return replace(box, left=box.left - more // 2, width=box.width + more)
