"""A photograph or scan of many digits: straightened, its light and rulings taken away, its marks found and prepared as MNIST was.

    pixels = read_upload(content, SHEET_LONGEST)
    sheet = find_sheet(pixels)
    batch = torch.stack([mark.image for mark in sheet.marks])
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from core.data.drawing import LUMINANCE, Box, Drawing, DrawingError, place_like_mnist
from core.data.drawing.connected_components import label
from core.data.drawing.marks import Piece, find_marks, whole_ink
from core.data.drawing.rulings import Ruled, find_slope, find_tilt, turned_back, without_rulings

SHEET_LONGEST = 1800  # pixels: a hundred digits are 60 to 120 pixels tall then
MOST_MARKS = 600  # on one sheet
LIGHT_WINDOW = 20  # the paper's light is the brightest of windows of a twentieth of the picture
MANY = 12  # marks that make rows whose slope can be told
WHITE = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Mark:
    """One mark. box: where it is in the sheet's picture. ink: (height, width) uint8, its own alone, 0 paper. image: (1, 28, 28)
    float32 in [0, 1], as MNIST was made."""

    box: Box
    ink: np.ndarray
    image: torch.Tensor


@dataclass(frozen=True, eq=False)
class Sheet:
    """picture: (H, W, 3) uint8, straightened. ink: (H, W) uint8, 0 paper. tilt: by how many degrees it was turned, clockwise.

    marks: in reading order. ruled: the share of the picture that rulings cover.
    """

    picture: np.ndarray
    ink: np.ndarray
    tilt: float
    marks: tuple[Mark, ...]
    ruled: float


def find_sheet(rgba: np.ndarray, quarter_turns: int = 0) -> Sheet:
    """Find the marks in a photograph (H, W, 4) uint8; quarter_turns: it is turned by so many times 90° clockwise first.

    Raises:
        DrawingError: no marks, or more than MOST_MARKS; one line that says what to do.
    """
    rgba = np.rot90(rgba, -quarter_turns)
    gray, picture = _gray(rgba)
    dark = _darkness(gray)
    tilt = find_tilt(dark)
    ruled, pieces = _found(dark, tilt)
    if tilt and not ruled.lines.any():  # it was no ruling's
        tilt = 0.0
        ruled, pieces = _found(dark, tilt)
    if not ruled.lines.any() and MANY <= len(pieces) <= MOST_MARKS and (tilt := find_slope(dark)):
        ruled, pieces = _found(dark, tilt)
    if len(pieces) > MOST_MARKS:
        raise DrawingError(f"There are some {len(pieces):,} marks in this picture; at most {MOST_MARKS} are read at once. "
                           "Photograph a part of the sheet, or cut the picture up.")
    if not pieces:
        raise DrawingError("No marks were found in this picture: digits are dark on paper or light on a board, and at least "
                           "1 % of the picture's height. Come nearer, or give it more light.")
    marks = tuple(Mark(piece.box, _eight_bits(piece.ink), prepared(piece.ink)) for piece in in_reading_order(pieces))
    ink = _eight_bits(ruled.ink)
    return Sheet(turned_back(np.ascontiguousarray(picture), tilt, WHITE), ink, tilt, marks, float((ruled.lines > 0).mean()))


def _found(dark: np.ndarray, tilt: float) -> tuple[Ruled, list[Piece]]:
    """The picture turned back and without its rulings, and its pieces."""
    ruled = without_rulings(turned_back(dark, tilt, 0.0))
    return ruled, find_marks(ruled.ink, MOST_MARKS)


def marks_in(drawing: Drawing) -> int:
    """How many marks of a digit's size stand side by side in a drawing that is read as one; 1 for a digit of several strokes."""
    _, pieces = label(drawing.raw > 0.3)
    if pieces < 2:  # as nearly always; the rest takes SciPy's 19 MB
        return 1
    return max(1, len(find_marks(drawing.raw, MOST_MARKS)))


def prepared(ink: np.ndarray) -> torch.Tensor:
    """(h, w) float32 in [0, 1] → (1, 28, 28): as MNIST was made."""
    return torch.from_numpy(place_like_mnist(ink))[None]


def in_reading_order(pieces: list[Piece]) -> list[Piece]:
    """Row by row from the top, each from the left."""
    return [piece for row in rows_of([piece.box for piece in pieces]) for piece in (pieces[index] for index in row)]


def rows_of(boxes: list[Box]) -> list[list[int]]:
    """Indices of boxes by row, from the top, each row from the left: a box is of the row whose last box it overlaps by half."""
    rows: list[list[int]] = []
    for index in sorted(range(len(boxes)), key=lambda i: boxes[i].left):
        box = boxes[index]
        best, share = None, 0.5
        for row in rows:
            last = boxes[row[-1]]
            both = min(box.top + box.height, last.top + last.height) - max(box.top, last.top)
            if both / min(box.height, last.height) > share:
                best, share = row, both / min(box.height, last.height)
        if best is None:
            rows.append([index])
        else:
            best.append(index)
    return sorted(rows, key=lambda row: float(np.mean([boxes[i].top + boxes[i].height / 2 for i in row])))


def numbers_of(boxes: list[Box], gap: float = 0.55) -> list[list[int]]:
    """Boxes that make one number, by index: neighbours in a row that are nearer than `gap` of their height."""
    numbers: list[list[int]] = []
    for row in rows_of(boxes):
        for place, index in enumerate(row):
            before = boxes[row[place - 1]] if place else None
            box = boxes[index]
            if before is not None and box.left - before.left - before.width < gap * max(box.height, before.height):
                numbers[-1].append(index)
            else:
                numbers.append([index])
    return numbers


def _gray(rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) float32 in [0, 1], smoothed against the sensor's grain, and (H, W, 3) uint8: laid on white."""
    from scipy import ndimage

    picture = rgba[..., :3]
    if rgba[..., 3].min() < 255:
        picture = np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.shape[1::-1], WHITE),
                                                   Image.fromarray(np.ascontiguousarray(rgba))).convert("RGB"))
    gray = ndimage.gaussian_filter(picture.astype(np.float32) @ (LUMINANCE / 255), 0.7)
    if np.median(gray) < 0.4 and np.median(gray) < gray.mean():  # chalk on a board
        gray = 1 - gray
    return gray, picture


def _darkness(gray: np.ndarray) -> np.ndarray:
    """(H, W) → (H, W) float32 in [0, 1]: the share of the paper's light that is missing at each pixel."""
    from scipy import ndimage

    size = max(8, gray.shape[1] // 4), max(8, gray.shape[0] // 4)
    small = np.asarray(Image.fromarray(gray).resize(size, Image.Resampling.BOX))
    window = max(5, max(small.shape) // LIGHT_WINDOW)
    closed = ndimage.grey_closing(small, size=(window, window), mode="nearest")
    light = ndimage.gaussian_filter(closed, window / 8, mode="nearest")
    light = np.asarray(Image.fromarray(light).resize(gray.shape[::-1], Image.Resampling.BILINEAR))
    return np.clip(1 - gray / np.maximum(light, 0.05), 0, 1)


def in_box(sheet: Sheet, box: Box) -> np.ndarray | None:
    """The ink in a box that somebody drew, (h, w) float32 in [0, 1]; None where there is none."""
    ink = sheet.ink[box.top:box.top + box.height, box.left:box.left + box.width].astype(np.float32) / 255
    return whole_ink(ink) if ink.size else None


def _eight_bits(ink: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(ink, 0, 1) * 255).astype(np.uint8)
