"""Ruled and squared paper: lines are found as what they are, long, thin and straight, and taken out of the paper's light.

A threshold can't part a dark ruling from a faint pencil, but their shapes differ. Along its direction a ruling is there at most
places, so a median over a long stretch sees it and no digit; across it, it is a few pixels wide, so an opening sees it go. Where
ink crosses a line both let less light through, and dividing by the line's share leaves the ink's.
"""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from PIL import Image

STEP = 16  # pixels: lines are looked for in pieces this long
REACH = 4  # pieces to either side that are asked together: 9 × 16 pixels; in small pictures a quarter of their length
SLOPES = np.linspace(-1, 1, 9)  # pixels a piece, up to 3.6°: what is left of a tilt, and a camera held at an angle
PART = 400  # pixels: in parts as large lines have one slope
THICKEST = 11  # pixels: a wider line is a bar; in small pictures a 60th of their length
REGULAR, ALONE = 3, 0.7  # fewer lines than three are rulings only if they go through 70 % of the picture
FAINTEST = 0.025  # share of the paper's light that a line must take at least
BRIDGED = 0.15  # a line that takes more than this hides ink that crosses it, so that the gap is closed
MOST_TILT = 10.5  # degrees
STRAIGHT = 0.2  # degrees: less is not turned
CLEAR, CLEAR_ROWS = 1.5, 1.15  # how much sharper sums must be at the best tilt than at most others, of lines and of rows
SAME_HEIGHT = 5  # pixels: stretches no further apart are of one line


@dataclass(frozen=True, eq=False)
class Ruled:
    """ink: (H, W) float32, what ink alone takes of the light. lines: (H, W) float32, what the rulings take; 0 elsewhere."""

    ink: np.ndarray
    lines: np.ndarray


def find_tilt(dark: np.ndarray) -> float:
    """How far the paper's lines are turned, in degrees; positive is counterclockwise.

    The best angle is the one along which the picture, summed, has the sharpest peaks: thin horizontal lines and thin vertical
    ones together.

    Args:
        dark: (H, W) float32 in [0, 1], the share of the light that is missing.

    Returns:
        An angle from −10.5 to 10.5; 0 where no direction is clear.
    """
    small = _shrunk(np.minimum(dark, 0.35))
    return _clearest([_strongest(_thin(small), -1), _strongest(_thin(small.T), 1)], CLEAR)


def find_slope(dark: np.ndarray) -> float:
    """How far rows of many marks on plain paper are turned; as find_tilt, by the sums of their ink."""
    return _clearest([_strongest(_shrunk(np.minimum(dark, 0.35)), -1)], CLEAR_ROWS)


def without_rulings(dark: np.ndarray, least: float = 0.25) -> Ruled:
    """Take the nearly horizontal and vertical lines out of a picture.

    Args:
        dark: (H, W) float32 in [0, 1], the share of the light that is missing.
        least: how long a line must be at least, as a share of the picture's width or height.
    """
    lines, ink = np.zeros_like(dark), dark
    for turned in (False, True):
        seen = ink.T if turned else ink
        found = _lines(seen, least)
        if found.any():
            rest = np.clip((seen - found) / (1 - found), 0, 1)
            rest = _bridged(rest, found)
            ink = np.ascontiguousarray(rest.T) if turned else rest
            lines = np.maximum(lines, found.T if turned else found)
    return Ruled(ink, lines)


def turned_back(picture: np.ndarray, tilt: float, paper: float | tuple[int, ...]) -> np.ndarray:
    """A picture (H, W) float32 or (H, W, 3) uint8 turned clockwise by `tilt` degrees, its frame as large as that needs.

    paper: what the new corners are filled with.
    """
    if not tilt:
        return picture
    return np.asarray(Image.fromarray(picture).rotate(-tilt, Image.Resampling.BILINEAR, expand=True, fillcolor=paper))


def _lines(dark: np.ndarray, least: float) -> np.ndarray:
    """(H, W) float32: what nearly horizontal lines take of the light at each pixel; 0 where there is none."""
    from scipy import ndimage

    height, width = dark.shape
    count = width // STEP
    if count < 8 or height < 2 * THICKEST:
        return np.zeros_like(dark)
    reach = min(REACH, count // 8)
    thickest = min(THICKEST, max(5, round(max(dark.shape) / 60)))
    # a partition, as np.median takes ten times as long
    pieces = np.partition(dark[:, :count * STEP].reshape(height, count, STEP), STEP // 2, axis=2)[..., STEP // 2]
    strong = _along(pieces, thickest, reach)
    noise = 1.4826 * float(np.median(np.abs(strong - np.median(strong))))
    floor = max(FAINTEST, 5 * noise)
    marks, found = connected(strong > floor)
    lengths = _lengths(ndimage.find_objects(marks)) if found else np.zeros(0)
    if (lengths >= least * count).sum() < REGULAR:  # one or two alone must go nearly all the way
        least = max(least, ALONE)
    long = np.flatnonzero(lengths >= least * count) + 1
    if not len(long):
        return np.zeros_like(dark)
    near = ndimage.binary_dilation(np.isin(marks, long), np.ones((5, 1)))
    kept = np.where(near, np.maximum(strong, 0), 0).astype(np.float32)
    kept = ndimage.grey_closing(kept, size=(1, 2 * reach + 3))  # where digits stand on it, it is as dark as beside them
    # near its ends most of what is asked lies beyond: it goes on as long as it is seen there
    kept = np.maximum(kept, np.minimum(ndimage.grey_dilation(kept, size=(1, 2 * reach + 1)), pieces))
    places = np.clip((np.arange(width) + 0.5) / STEP - 0.5, 0, count - 1)
    left = np.minimum(places.astype(int), count - 2)
    share = (places - left).astype(np.float32)
    return np.minimum(kept[:, left] * (1 - share) + kept[:, left + 1] * share, 0.95)


def connected(picture: np.ndarray) -> tuple[np.ndarray, int]:
    """(H, W) bool → (H, W) int, each mark's number, and how many there are; pixels that touch at a corner too are of one mark.

    SciPy's, where core.data.drawing.connected_components does without: whoever looks at a sheet needs SciPy anyway.
    """
    from scipy import ndimage

    return cast(tuple[np.ndarray, int], ndimage.label(picture, np.ones((3, 3))))


def _lengths(found: list[tuple[slice, slice]]) -> np.ndarray:
    """How long each line is, in pieces: all stretches on one height together, as a large digit may hide its middle."""
    own = np.array([columns.stop - columns.start for _, columns in found])
    middles = np.array([(rows.start + rows.stop) / 2 for rows, _ in found])
    together = np.abs(middles[:, None] - middles) <= SAME_HEIGHT
    return (together & (own >= 3)) @ own * (own >= 3)


def _along(pieces: np.ndarray, thickest: int, reach: int) -> np.ndarray:
    """(H, n) → (H, n): at each place the median of the 2 · reach + 1 pieces on a line through it, less what is wide around it.

    The line's slope is that along which lines are sharpest in this part of the picture.
    """
    from scipy import ndimage

    padded = np.pad(pieces, ((reach + 1, reach + 1), (reach, reach)), mode="edge")
    height, count = pieces.shape
    parts = [(rows, columns) for rows in np.array_split(np.arange(height), max(1, height // PART))
             for columns in np.array_split(np.arange(count), max(1, count * STEP // PART))]
    best, sharpest = np.zeros_like(pieces), np.zeros(len(parts))
    for slope in sorted(SLOPES, key=abs):
        line = [padded[reach + 1 + round(slope * step):][:height, reach + step:reach + step + count]
                for step in range(-reach, reach + 1)]
        strong = np.partition(np.stack(line, axis=-1), reach, axis=-1)[..., reach]
        strong = strong - ndimage.grey_opening(strong, size=(thickest, 1))  # what is wide is no line
        for place, (rows, columns) in enumerate(parts):
            where = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            sharp = float((strong[where]**2).sum())
            if sharp > 1.02 * sharpest[place]:
                best[where], sharpest[place] = strong[where], sharp
    return best


def _bridged(ink: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Ink carried over a dark line wherever there is ink on both of its sides."""
    from scipy import ndimage

    hidden = lines > BRIDGED
    if not hidden.any():
        return ink
    starts = int(hidden[0].sum()) + int((hidden[1:] & ~hidden[:-1]).sum())
    thick = min(THICKEST, math.ceil(hidden.sum() / starts))
    closed = ndimage.grey_closing(ink, size=(thick + 3, 3))
    return np.where(hidden, np.maximum(ink, closed), ink)


def _shrunk(dark: np.ndarray) -> np.ndarray:
    """At most 1,000 pixels long, each the mean of what it covers."""
    scale = 1000 / max(dark.shape)
    if scale >= 1:
        return dark
    size = max(1, round(dark.shape[1] * scale)), max(1, round(dark.shape[0] * scale))
    return np.asarray(Image.fromarray(dark).resize(size, Image.Resampling.BOX))


def _thin(dark: np.ndarray) -> np.ndarray:
    """How much darker each pixel is than those four rows above and below: large on thin lines, small in strokes."""
    around = np.pad(dark, ((4, 4), (0, 0)), mode="edge")
    return np.clip(dark - np.maximum(around[:-8], around[8:]), 0, None)


def _strongest(picture: np.ndarray, sign: int, most: int = 60_000) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Rows, columns and values of the darkest pixels, in the direction that `sign` times the tangent moves their rows."""
    values = picture.ravel()
    count = min(most, len(values) // 8)
    chosen = np.argpartition(values, -count)[-count:]
    rows, columns = np.divmod(chosen, picture.shape[1])
    return rows, columns - picture.shape[1] / 2, values[chosen], -sign


def _clearest(places: list, clear: float) -> float:
    """The angle in degrees at which sums are sharpest, to a tenth; 0 where they are not so much sharper than at most others."""
    angles = np.arange(-MOST_TILT, MOST_TILT + 0.01, 0.5)
    scores = np.array([_sharpness(places, angle) for angle in angles])
    best = int(scores.argmax())
    if scores[best] <= clear * max(np.median(scores), 1e-9):
        return 0.0
    angles = angles[best] + np.arange(-0.5, 0.51, 0.1)
    found = round(float(angles[int(np.argmax([_sharpness(places, angle) for angle in angles]))]), 1)
    return found if abs(found) >= STRAIGHT else 0.0


def _sharpness(places: list, angle: float) -> float:
    """How unevenly the pixels fall on rows that are turned by this angle in degrees: the sum of the squares of their sums."""
    total = 0.0
    for rows, columns, values, sign in places:
        at = np.rint(rows + sign * columns * np.tan(np.radians(angle))).astype(int)
        profile = np.bincount(at - at.min(), weights=values)
        total += float((profile**2).sum())
    return total
