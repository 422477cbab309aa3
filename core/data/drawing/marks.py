"""The marks on a sheet: ink that hangs together, broken strokes joined, what touches parted, specks and frames left out."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from core.data.drawing import Box
from core.data.drawing.rulings import connected

FAINT = 0.07  # of the paper's light: less is paper
CLEARLY = 5.0  # how many times the paper's grain ink must take
EDGE = 0.42  # of a mark's own darkness: where its edge is
NEAR = 0.22  # of a digit's height: pieces as near as that are of one digit
THIN = 0.22  # of the usual thickness: what is thinner is the rest of a line
WIDEST = 1.9  # times its height: no digit is wider
TALL = 1.45  # of a digit's height: no digit is taller, joined or not


@dataclass(eq=False)
class Piece:
    """Ink that hangs together. box: where it is. ink: (height, width) float32 in [0, 1], its own alone."""

    box: Box
    ink: np.ndarray
    edge: np.ndarray = field(init=False)  # (n, 2) int: rows and columns of some of its pixels, in the picture's

    def __post_init__(self) -> None:
        places = np.argwhere(self.ink > 0)
        self.edge = places[::max(1, len(places) // 200)] + (self.box.top, self.box.left)


def find_marks(dark: np.ndarray, most: int) -> list[Piece]:
    """Marks of about a digit's size.

    Args:
        dark: (H, W) float32 in [0, 1], what ink takes of the paper's light; no rulings.
        most: more pieces than four times this number are returned as they are: somebody else says that they are too many.

    Returns:
        In no particular order; none where there is no ink.
    """
    pieces = _pieces(dark)
    if len(pieces) > 4 * most:
        return pieces
    pieces = [piece for piece in pieces if not _at_edge(piece, dark.shape)]
    if not pieces:
        return []
    height = usual_height(pieces)
    pieces = [piece for piece in pieces if piece.box.height < 3.2 * height and piece.box.width < 6 * height]
    pieces = _joined(pieces, height)
    pieces = [part for piece in pieces for part in _parted(piece, height)]
    pen = float(np.median([_thickness(piece) for piece in pieces]))
    return [piece for piece in pieces if _is_mark(piece, height) and _thickness(piece) > THIN * pen]


def usual_height(pieces: list[Piece]) -> float:
    """How tall digits are here, in pixels: the median, every piece counting as much as it has ink."""
    heights = np.array([max(piece.box.height, 0.6 * piece.box.width) for piece in pieces])
    amounts = np.array([float(piece.ink.sum()) for piece in pieces])
    # what is much larger than most of the ink's pieces, such as a frame, has no voice of its own
    amounts = np.minimum(amounts, 3 * np.median(amounts[amounts >= np.median(amounts)]))
    order = heights.argsort()
    total = amounts[order].cumsum()
    return float(heights[order][np.searchsorted(total, total[-1] / 2)])


def _pieces(dark: np.ndarray, noise: float | None = None) -> list[Piece]:
    """Ink that hangs together, each piece's edge drawn by its own darkness: a pencil's and a pen's stand on one sheet.

    noise: the paper's grain, a standard deviation; measured where it is None and most of the picture is paper.
    """
    from scipy import ndimage

    if noise is None:
        noise = 1.4826 * float(np.median(np.abs(dark[::4, ::4] - np.median(dark[::4, ::4]))))
    floor = max(FAINT, CLEARLY * noise)
    rough, _ = connected(dark > floor)
    found = []
    for number, where in enumerate(ndimage.find_objects(rough), 1):
        rows, columns = where
        if rows.stop - rows.start < 4 and columns.stop - columns.start < 4:
            continue
        ink = np.where(rough[where] == number, dark[where], 0)
        seen = ink[ink > 0]
        full = float(np.percentile(seen, 90))
        if full < 1.6 * floor:
            continue
        # a ramp about the edge keeps it smooth, as anti-aliasing does
        ink = np.clip((ink / full - EDGE) / 0.4 + 0.5, 0, 1).astype(np.float32)
        marks, parts = connected(ink > 0.3)
        for part, inside in enumerate(ndimage.find_objects(marks), 1):
            own = np.where(marks[inside] == part, ink[inside], 0)
            if parts > 1 and own.sum() < 12:
                continue
            top, left = rows.start + inside[0].start, columns.start + inside[1].start
            found.append(Piece(Box(top, left, own.shape[0], own.shape[1]), own))
    if not found:
        return []
    darkest = np.array([float(piece.ink.sum()) for piece in found])
    return [piece for piece, amount in zip(found, darkest, strict=True) if amount >= 0.02 * np.percentile(darkest, 90)]


def _at_edge(piece: Piece, shape: tuple[int, ...]) -> bool:
    """Whether it reaches in from the picture's edge and is large: a table, a finger, the next sheet."""
    box = piece.box
    touches = box.top <= 1 or box.left <= 1 or box.top + box.height >= shape[0] - 1 or box.left + box.width >= shape[1] - 1
    return touches and max(box.height / shape[0], box.width / shape[1]) > 0.12


def _joined(pieces: list[Piece], height: float) -> list[Piece]:
    """Pieces of one digit put together: nearer than a share of its height, and not larger than a digit afterwards."""
    pieces = sorted(pieces, key=lambda piece: float(piece.ink.sum()))
    done = []
    while pieces:
        small = pieces.pop(0)
        near = [(gap, index) for index, other in enumerate(pieces) if (gap := _gap(small, other, height)) is not None]
        if near:
            index = min(near)[1]
            whole = _together(small, pieces.pop(index))
            pieces.append(whole)
            pieces.sort(key=lambda piece: float(piece.ink.sum()))
        else:
            done.append(small)
    return done


def _gap(small: Piece, other: Piece, height: float) -> float | None:
    """How far a piece is from a larger one it may belong to, in pixels; None where it can't."""
    a, b = small.box, other.box
    union = _union(a, b)
    if union.height > TALL * height or union.width > 1.1 * height:
        return None
    across = max(a.left, b.left) - min(a.left + a.width, b.left + b.width)  # below 0: they overlap
    down = max(a.top, b.top) - min(a.top + a.height, b.top + b.height)
    if max(across, down) > NEAR * height:
        return None
    whole = min(a.height, b.height) > 0.72 * height
    if whole and across > -0.35 * min(a.width, b.width):  # two digits side by side
        return None
    gap = float(np.sqrt(((small.edge[:, None] - other.edge[None]) ** 2).sum(axis=2).min()))
    return gap if gap <= NEAR * height else None


def _union(a: Box, b: Box) -> Box:
    top, left = min(a.top, b.top), min(a.left, b.left)
    return Box(top, left, max(a.top + a.height, b.top + b.height) - top, max(a.left + a.width, b.left + b.width) - left)


def _together(one: Piece, other: Piece) -> Piece:
    box = _union(one.box, other.box)
    ink = np.zeros((box.height, box.width), np.float32)
    for piece in (one, other):
        spot = ink[piece.box.top - box.top:, piece.box.left - box.left:][:piece.box.height, :piece.box.width]
        np.maximum(spot, piece.ink, out=spot)
    return Piece(box, ink)


def _parted(piece: Piece, height: float) -> list[Piece]:
    """Two digits that touch, cut where one thin stroke is all that joins them; what is one digit, however wide, stays whole.

    Each part must be nearly as tall as the whole: of a wide 2, 4 or 5 one side is not.
    """
    box = piece.box
    if box.width < height or box.width < 1.1 * box.height:
        return [piece]
    inked = piece.ink > 0.3
    thick = inked.sum(axis=0)
    strokes = np.diff(np.pad(inked, ((1, 0), (0, 0))).astype(np.int8), axis=0).clip(0).sum(axis=0)
    low, high = round(0.25 * box.width), round(0.75 * box.width)
    for cut in sorted(range(low, high), key=lambda column: int(thick[column])):
        if strokes[cut] > 1 or thick[cut] > 0.25 * box.height:
            continue
        parts = [_piece(piece.ink[:, :cut], box.top, box.left), _piece(piece.ink[:, cut:], box.top, box.left + cut)]
        whole = [part for part in parts if part is not None and part.box.height >= 0.8 * box.height
                 and part.box.height > 0.9 * part.box.width]
        if len(whole) == 2:
            return [part for half in whole for part in _parted(half, height)]
    return _in_equal_parts(piece) if box.width > WIDEST * box.height else [piece]


def _in_equal_parts(piece: Piece) -> list[Piece]:
    """What is wider than any digit, cut as if its digits were equally wide: rings that run into each other have no thin place."""
    box = piece.box
    count = max(2, round(box.width / (0.8 * box.height)))
    cuts = [round(box.width * place / count) for place in range(count + 1)]
    parts = [_piece(piece.ink[:, left:right], box.top, box.left + left) for left, right in pairwise(cuts)]
    return [part for part in parts if part is not None]


def _piece(ink: np.ndarray, top: int, left: int) -> Piece | None:
    """The piece cut to its ink; None where it has none."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return None
    ink = ink[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    return Piece(Box(top + int(rows[0]), left + int(columns[0]), *ink.shape), ink)


def _thickness(piece: Piece) -> float:
    """About how wide its strokes are, for as much line as a digit has: ink by height and width, in pixels."""
    return float(piece.ink.sum()) / (piece.box.height + piece.box.width)


def _is_mark(piece: Piece, height: float) -> bool:
    """Whether it is as large as a digit: no speck, dash, dot or bar."""
    box = piece.box
    if box.height > 2.2 * height or box.width > 2.2 * height:
        return False
    return box.height >= 0.42 * height and float((piece.ink > 0.5).sum()) >= 12


def whole_ink(dark: np.ndarray) -> np.ndarray | None:
    """All ink in a box (h, w) float32 that is no speck, in [0, 1]; None where there is none."""
    pieces = _pieces(dark, noise=0.0)
    if not pieces:
        return None
    whole = pieces[0]
    for piece in pieces[1:]:
        whole = _together(whole, piece)
    return whole.ink
