"""A photograph of ink on paper: read by a process with limits, then shadow, grain and table taken away, step by step.

    pixels = read_upload(content)            # hostile until checked
    photo = flatten(pixels)
    drawing = prepare(photo.rgba)
"""

import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from core.data.drawing import LUMINANCE, DrawingError
from core.data.drawing.connected_components import label
from core.data.drawing.rulings import find_tilt, turned_back, without_rulings
from core.subprocesses import ONE_THREAD, run
from core.wording import size_of_bytes

LONGEST = 560  # pixels: twice the canvas, so that thin lines survive
MOST_MB = 32  # a phone's 48 megapixels take 10 to 25
SECONDS = 30.0  # by the clock, for one picture
SPECK = 0.02  # marks with less than this share of the largest mark's ink are dust
BACKGROUND = 6  # the paper's light is the brightest of windows of a sixth of the picture
CLEARLY = 5.0  # how far ink and paper must be apart, in standard deviations within them
FAINT = 0.06  # ink less dark than this share of the paper's light is paper

Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class Photograph:
    """Every stage from a photograph to clean ink. (H, W) float32 in [0, 1] but for the last.

    gray: as bright as the eye finds it. light: how bright the paper is at each place. flat: gray divided by that light and
    without rulings, so that paper is 1 everywhere. threshold: Otsu's, between ink and paper, of flat. ink: 1 where there is ink,
    its edge smooth. rgba: (H, W, 4) uint8, the ink black on white: what prepare() takes. light_on_dark: chalk on a board, turned
    round first.
    """

    gray: np.ndarray
    light: np.ndarray
    flat: np.ndarray
    threshold: float
    ink: np.ndarray
    rgba: np.ndarray
    light_on_dark: bool


def read_upload(content: bytes, longest: int = LONGEST) -> np.ndarray:
    """A picture file of unknown origin → (H, W, 4) uint8, at most `longest` pixels long. Raises DrawingError, one line."""
    return read_in_child(content, {"longest": longest}, lambda folder: np.load(folder / "picture.npy", allow_pickle=False))


def read_in_child(content: bytes, options: dict[str, Any], load: Callable[[Path], Found]) -> Found:
    """What the process core.importing.picture makes of a file of unknown origin. load: from the folder that it wrote into. Raises
    DrawingError, one line."""
    if len(content) > MOST_MB << 20:
        raise DrawingError(f"This file has {size_of_bytes(len(content))}; a picture of at most {MOST_MB} MB can be read.")
    with tempfile.TemporaryDirectory(prefix="playground-picture-") as name:
        folder = Path(name)
        (folder / "upload").write_bytes(content)
        asked = json.dumps({"file": str(folder / "upload"), "folder": str(folder)} | options)
        try:
            code = run("core.importing.picture", asked, seconds=SECONDS, environment=ONE_THREAD)
        except subprocess.TimeoutExpired:
            raise DrawingError("Reading this picture takes too long. Make it smaller, or save it again as PNG or JPEG.") from None
        try:
            refused = json.loads((folder / "result.json").read_text(encoding="utf-8")).get("refused")
        except (OSError, ValueError):
            raise DrawingError(f"Reading this picture failed (exit code {code}). Save it again as PNG or JPEG.") from None
        if refused:
            raise DrawingError(f"This file can't be used: {refused}.")
        return load(folder)


def looks_photographed(rgba: np.ndarray) -> bool:
    """Whether a picture needs its background taken away: its border has not one colour, as a drawing's has."""
    if rgba[..., 3].min() < 255:
        return False
    gray = rgba[..., :3].astype(np.float32) @ LUMINANCE
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    return float(np.percentile(border, 95) - np.percentile(border, 5)) > 8


def flatten(rgba: np.ndarray) -> Photograph:
    """Take the light's unevenness out of a photograph (H, W, 4) uint8 of dark ink on paper, or of chalk on a board.

    The paper's light at each place is the brightest nearby (a grey closing, J. Serra 1982), smoothed by a Gaussian; dividing by
    it leaves paper at 1 whatever the shadow. Otsu's threshold (IEEE Trans. SMC 9, 1979) then parts ink from paper.
    """
    from scipy import ndimage  # here: 19 MB that only photographs need

    gray = (rgba[..., :3].astype(np.float32) @ LUMINANCE) / 255
    alpha = rgba[..., 3].astype(np.float32) / 255
    gray = gray * alpha + (1 - alpha)  # what is clear is paper
    smooth = ndimage.gaussian_filter(gray, 1.0)  # the sensor's grain
    light_on_dark = bool(np.median(smooth) < smooth.mean() and np.median(smooth) < 0.4)
    if light_on_dark:
        smooth = 1 - smooth
    light = _paper_light(smooth)
    flat = _without_lines(np.clip(smooth / np.maximum(light, 0.05), 0, 1))
    threshold = otsu(flat)
    dark = float(np.percentile(flat, 0.5))
    if threshold >= 1 or _parted(flat, threshold) < CLEARLY or 1 - dark < FAINT:
        ink = np.zeros_like(flat)  # nothing on the paper
    else:
        # a ramp about the threshold keeps edges smooth, as anti-aliasing does
        width = max(0.04, 0.25 * (1 - dark))
        ink = np.clip((threshold - flat) / width + 0.5, 0, 1).astype(np.float32)
        ink = _main_marks(ink)
    paper = np.rint((1 - ink) * 255).astype(np.uint8)
    clean = np.dstack([paper, paper, paper, np.full_like(paper, 255)])
    return Photograph(gray, light, flat, threshold, ink, clean, light_on_dark)


def _parted(flat: np.ndarray, threshold: float) -> float:
    """How far the two groups' means are apart, in standard deviations within them: grain alone, cut in two, is 3 to 4 apart,
    a pencil one tenth darker than its paper 6."""
    ink, paper = flat[flat < threshold], flat[flat >= threshold]
    if not len(ink) or not len(paper):
        return 0.0
    within = float(np.sqrt((len(ink) * ink.var() + len(paper) * paper.var()) / flat.size))
    return float(paper.mean() - ink.mean()) / max(within, 1e-6)


def otsu(values: np.ndarray, bins: int = 256) -> float:
    """The threshold between two groups of values in [0, 1] that makes their variance within smallest; 1 where all are equal."""
    counts, edges = np.histogram(values, bins=bins, range=(0.0, 1.0))
    if np.count_nonzero(counts) < 2:
        return 1.0
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2  # the variance between, but for a constant
    between = np.nan_to_num(between[:-1])
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))  # a gap between the groups: its middle
    return float(edges[1 + best].mean())


def _without_lines(flat: np.ndarray) -> np.ndarray:
    """Evenly lit paper (H, W) without its rulings: they may be as dark as a pencil, and no threshold parts the two.

    A line must go through most of the picture, as the stroke of a large digit may be half as long.
    """
    tilt = find_tilt(1 - flat)
    ruled = without_rulings(turned_back(1 - flat, tilt, 0.0), least=0.7)
    if not ruled.lines.any():
        return flat
    ink = turned_back(ruled.ink, -tilt, 0.0)
    top, left = (ink.shape[0] - flat.shape[0]) // 2, (ink.shape[1] - flat.shape[1]) // 2
    return 1 - ink[top:top + flat.shape[0], left:left + flat.shape[1]]


def _paper_light(gray: np.ndarray) -> np.ndarray:
    """How bright the paper is at each place: the brightest in a window wider than any stroke, brought back and smoothed."""
    from scipy import ndimage

    small = np.asarray(Image.fromarray(gray).resize((max(8, gray.shape[1] // 4), max(8, gray.shape[0] // 4)),
                                                    Image.Resampling.BOX))
    window = max(5, max(small.shape) // BACKGROUND)
    closed = ndimage.grey_closing(small, size=(window, window), mode="nearest")
    light = ndimage.gaussian_filter(closed, window / 3, mode="nearest")
    return np.asarray(Image.fromarray(light).resize((gray.shape[1], gray.shape[0]), Image.Resampling.BICUBIC))


def _main_marks(ink: np.ndarray) -> np.ndarray:
    """Without dust, and without what reaches in from the picture's edge, such as a table, unless that is all there is."""
    from scipy import ndimage

    marks, count = label(ink > 0.3)
    if count < 1:
        return ink
    amount = np.bincount(marks.ravel(), weights=ink.ravel())
    at_edge = set(np.unique(np.concatenate([marks[0], marks[-1], marks[:, 0], marks[:, -1]]))) - {0}
    inside = [mark for mark in range(1, count + 1) if mark not in at_edge]
    if inside and amount[inside].max() >= 0.02 * amount[1:].max():
        keep = [mark for mark in inside if amount[mark] >= SPECK * amount[inside].max()]
    else:
        keep = [mark for mark in range(1, count + 1) if amount[mark] >= SPECK * amount[1:].max()]
    near = ndimage.binary_dilation(np.isin(marks, keep), iterations=2)  # with their smooth edges
    return np.where(near, ink, 0).astype(np.float32)
