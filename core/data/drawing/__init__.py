"""A drawing, an upload or a photograph of one digit, brought to the form of an MNIST image.

How MNIST was made (Yann LeCun, http://yann.lecun.com/exdb/mnist/): NIST's black-or-white scans were size-normalised to fit a
20×20 box with the aspect ratio kept, which gave gray levels by anti-aliasing, and moved in a 28×28 frame until their centre of
mass was at its centre. A network sees a drawing as it saw its training images only if the drawing goes the same way.

Where that page is silent, the images say it: in all 10,000 test images the centre of mass lies in [13.5, 14.5) along both axes
(mean 14.0), counting pixels from 0. So the move is by whole pixels, and the centre of a 28×28 frame is the pixel with index 14.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image

from core.data.drawing.connected_components import label

BOX_SHARE = 20 / 28  # MNIST's box, as a share of its frame
FAINTEST = 0.1  # a picture whose pixels all differ less than this from the paper's colour is blank
SPECK = 0.02  # a mark with less than this share of the largest mark's ink is dust
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601: how bright the eye finds red, green and blue

Polarity = Literal["dark on light", "light on dark"]


class DrawingError(ValueError):
    """Something that can't be read as a drawing; the message is one line."""


@dataclass(frozen=True)
class Box:
    """Where the ink is in the picture, in pixels from the top left corner."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Shift:
    """How far the digit was moved from the middle of the frame to bring its centre of mass there, in pixels."""

    down: int
    right: int


@dataclass(frozen=True, eq=False)  # arrays have no single truth value, so == would raise
class Drawing:
    """Every stage on the way from a picture to what a network gets. All arrays are float32 in [0, 1], 0 paper and 1 ink."""

    raw: np.ndarray  # (H, W) ink: how far each pixel is from the paper's colour
    crop: np.ndarray  # (h, w) the part of raw inside box; all of raw if empty
    fitted: np.ndarray  # (a, b) crop scaled so that the longer of a and b is 20
    image: torch.Tensor  # (1, size, size) fitted, placed by its centre of mass: what the network gets
    polarity: Polarity
    empty: bool  # nothing was drawn: image is all zeros
    box: Box | None  # None if empty
    shift: Shift

    @property
    def solid(self) -> bool:
        """Whether it is a dot or a filled shape, with no strokes to read.

        Nearly as wide as high, and 72 % of its box inked: 3 of MNIST's first 55,000 digits are. Or 55 % of a box that is less
        than a ninth of the picture, where a dot is a handful of pixels and no digit can be. A mark at the picture's edge counts
        as half of what was meant, as of a dot there half is seen; 65 % of its box is enough then.
        """
        box = self.box
        if box is None:
            return False
        whole = [length * (2 if (start == 0) != (start + length == side) else 1) for start, length, side in (
            (box.top, box.height, self.raw.shape[0]), (box.left, box.width, self.raw.shape[1]))]
        round_ = min(box.height, box.width) >= 0.6 * max(box.height, box.width)
        if not round_ and min(whole) < 0.6 * max(whole):
            return False
        small = 9 * max(box.height, box.width) < max(self.raw.shape)
        return float((self.fitted > 0.5).mean()) > (0.55 if small else 0.72 if round_ else 0.65)


def prepare(rgba: np.ndarray, size: int = 28) -> Drawing:
    """Bring a picture of one digit to the form of an MNIST image: white ink on black, 20×20 box, centre of mass in the middle.

    Args:
        rgba: (H, W, 4) uint8 red, green, blue, alpha (not premultiplied). Ink and paper may have any colours, and the paper
            may be transparent.
        size: height and width of the result in pixels, at least 8.

    Raises:
        DrawingError: wrong type, shape or size. A blank canvas is no error: it gives zeros and empty=True.
    """
    _check(rgba, size)
    rgb = _on_paper(rgba)
    raw = _ink(rgb)
    box = find_box(raw)
    if box is None:
        blank = np.zeros((_box_side(size),) * 2, np.float32)
        light = _luminance(np.median(_border(rgb), axis=0)) >= 127.5
        return Drawing(raw, raw, blank, torch.zeros(1, size, size), "dark on light" if light else "light on dark", True, None,
                       Shift(0, 0))
    crop = raw[box.top:box.top + box.height, box.left:box.left + box.width]
    fitted = fit(crop, size)
    frame, shift = place(fitted, size)
    paper, ink = np.median(_border(rgb), axis=0), rgb[raw > 0].mean(axis=0)
    polarity: Polarity = "dark on light" if _luminance(ink) < _luminance(paper) else "light on dark"
    return Drawing(raw, crop, fitted, torch.from_numpy(frame)[None], polarity, False, box, shift)


def place_like_mnist(ink: np.ndarray, size: int = 28) -> np.ndarray:
    """Crop, scale to the 20×20 box and place by centre of mass.

    Args:
        ink: (h, w) float in [0, 1], 0 where there is no ink.

    Returns:
        (size, size) float32 in [0, 1]; zeros if there is no ink.
    """
    box = find_box(ink)
    if box is None:
        return np.zeros((size, size), np.float32)
    return place(fit(ink[box.top:box.top + box.height, box.left:box.left + box.width], size), size)[0]


def find_box(ink: np.ndarray) -> Box | None:
    """The smallest box that holds all ink > 0 of an (h, w) picture; None if there is none."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return Box(top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1)


def fit(crop: np.ndarray, size: int = 28) -> np.ndarray:
    """Scale a cropped (h, w) picture so that its longer side is 20 of 28 pixels, and its strongest ink is 1.

    Shrinking averages the ink over the area that each new pixel covers, which is the anti-aliasing; enlarging is bicubic.
    A stroke thinner than a new pixel comes out gray, hence the last step: each MNIST image reaches full white.
    """
    height, width = crop.shape
    scale = _box_side(size) / max(height, width)
    new = max(1, round(width * scale)), max(1, round(height * scale))  # Pillow says (width, height)
    picture = Image.fromarray(np.ascontiguousarray(crop, dtype=np.float32))
    fitted = np.asarray(picture.resize(new, Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX)).clip(0, 1)
    return fitted / fitted.max()


def place(fitted: np.ndarray, size: int = 28) -> tuple[np.ndarray, Shift]:
    """Put an (a, b) digit with some ink into a (size, size) frame, its centre of mass in [size/2 − 0.5, size/2 + 0.5).

    The frame, and how far that is from the middle of the frame. a and b are at most size; no ink ever leaves the frame.
    """
    frame = np.zeros((size, size), np.float32)
    start, shift = [], []
    for axis in (0, 1):
        length = fitted.shape[axis]
        profile = fitted.sum(axis=1 - axis, dtype=np.float64)
        centre = float(profile @ np.arange(length) / profile.sum())
        # Never out of the frame: lopsided ink stops at the edge instead.
        first = int(np.clip(np.ceil(size / 2 - 0.5 - centre), 0, size - length))
        start.append(first)
        shift.append(first - (size - length) // 2)
    frame[start[0]:start[0] + fitted.shape[0], start[1]:start[1] + fitted.shape[1]] = fitted
    return frame, Shift(*shift)


def _check(rgba: np.ndarray, size: int) -> None:
    if not isinstance(rgba, np.ndarray) or rgba.dtype != np.uint8:
        kind = f"an array of {rgba.dtype}" if isinstance(rgba, np.ndarray) else type(rgba).__name__
        raise DrawingError(f"A drawing is a NumPy array of uint8 values from 0 to 255, not {kind}.")
    if rgba.ndim != 3 or rgba.shape[2] != 4 or 0 in rgba.shape:
        raise DrawingError(f"A drawing has shape (height, width, 4) for red, green, blue and alpha, not {rgba.shape}.")
    if size < 8:
        raise DrawingError(f"size is {size}; a digit needs at least 8 pixels.")


def _on_paper(rgba: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 → (H, W, 3) uint8, laid on paper where it is transparent.

    A transparent canvas holds ink alone, so the paper is white or black, whichever the ink shows on. A picture with paper of
    its own and a few clear pixels, such as rounded corners, is laid on more of that paper.
    """
    rgb, alpha = rgba[..., :3], rgba[..., 3]
    if alpha.min() == 255:
        return rgb
    seen = alpha >= min(128, alpha.max())
    light = _luminance(rgb[seen].astype(np.float32))
    ink_alone = seen.mean() < 0.5 or light.std() < 16
    paper = np.full(3, 255.0 if light.mean() < 127.5 else 0.0) if ink_alone else np.median(rgb[seen], axis=0)
    flat = np.empty_like(rgb)
    share = alpha.astype(np.float32) / 255
    for channel in range(3):  # one at a time: a 12 megapixel photograph takes 48 MB for each
        flat[..., channel] = np.rint(paper[channel] + share * (rgb[..., channel] - np.float32(paper[channel])))
    return flat


def _ink(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 → (H, W) float32 in [0, 1]: 0 is paper, 1 is ink.

    The paper's colour is the median of the picture's border. A pixel is as much ink as it differs from that colour, in the
    channel where it differs most: so yellow on white counts as much as black on white, and white on black as the reverse.
    """
    border = _border(rgb)
    ink = np.zeros(rgb.shape[:2], np.float32)
    for channel in range(3):
        paper = np.float32(np.median(border[:, channel]))
        np.maximum(ink, np.abs(rgb[..., channel] - paper), out=ink)
    ink /= 255
    strongest = float(ink.max())
    if strongest < FAINTEST:
        return np.zeros_like(ink)
    full = float(np.median(ink[ink > strongest / 2]))  # what solid ink is here: a median, so that one speck can't decide
    # Marks below the floor are paper: its grain, its shadows, JPEG dust. On the border half of the pixels differ less than
    # this median, and normal noise would differ less than 4.5 of it with 99.8 % probability.
    grain = float(np.median(_border(ink)))
    floor = float(np.clip(4.5 * grain / full, 0.1, 0.5))
    ink = np.minimum(ink / full, 1)
    ink[ink < floor] = 0
    return _without_specks(ink)


def _without_specks(ink: np.ndarray) -> np.ndarray:
    """Wipe out marks that have less than 2 % of the largest mark's ink: dust would enlarge the crop and shrink the digit."""
    marks, count = label(ink > 0)
    if count < 2:
        return ink
    amount = np.bincount(marks.ravel(), weights=ink.ravel())  # [0] is paper, with no ink
    return np.where((amount < SPECK * amount.max())[marks], np.float32(0), ink)


def _border(picture: np.ndarray) -> np.ndarray:
    """The outermost pixels of an (H, W) or (H, W, C) picture, as (n,) or (n, C)."""
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def _box_side(size: int) -> int:
    return round(size * BOX_SHARE)


def _luminance(rgb: np.ndarray) -> np.ndarray:
    """(…, 3) → (…)"""
    return rgb @ LUMINANCE
