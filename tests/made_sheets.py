"""Sheets of digits made for tests and benchmarks: what is on them and where is known. Written in hands, on paper, photographed.

A hand is ten drawings of each digit; a sheet has rows of digits, each row in one hand. Paper and ink let a share of the light
through, so that a line under a stroke is seen through it; then the sheet is turned, shadowed, blurred and grained.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from tests import other_hands, strokes

Paper = Literal["plain", "ruled", "squared", "form"]
Pen = Callable[[int, np.random.Generator], np.ndarray]  # a digit → (h, w) float32 in [0, 1], cut to its ink


@dataclass(frozen=True)
class Look:
    """How a sheet is made. tilt in degrees, counterclockwise; shares are of the paper's light; blur in pixels (sigma)."""

    paper: Paper = "plain"
    tilt: float = 0.0
    shadow: float = 0.0  # how much darker the shadowed half is
    blur: float = 0.6
    grain: float = 2.0  # of 255, normal
    ink: float = 0.75  # what the pen takes of the light
    line: float = 0.25  # what a ruling takes
    spacing: int = 52  # pixels between rulings


@dataclass(frozen=True, eq=False)
class MadeSheet:
    """rgba: (H, W, 4) uint8. digits: what is written, in reading order. corners: (n, 4, 2), x and y of their boxes in rgba."""

    rgba: np.ndarray
    digits: list[int]
    corners: np.ndarray


def stroke_pens(count: int, seed: int = 0, others: bool = True) -> list[Pen]:
    """Hands that write with tests/strokes.py and, if others, tests/other_hands.py: each keeps its styles, slant and pen."""
    chance = np.random.default_rng(seed)
    pens = []
    for place in range(count):
        slant, brush = float(chance.uniform(-12, 15)), float(chance.uniform(9, 22))
        if others and place % 2:
            styles = {digit: str(chance.choice(list(known))) for digit, known in other_hands.STYLES.items()}
            pens.append(lambda digit, luck, styles=styles, slant=slant, brush=brush: _cut(255 - other_hands.drawn(
                other_hands.Hand(digit, styles[digit], 190, brush, slant, int(luck.integers(2**31))))[..., 0]))
        else:
            variants = {digit: int(chance.integers(len(known))) for digit, known in strokes.STROKES.items()}
            pens.append(lambda digit, luck, variants=variants, slant=slant, brush=brush: _cut(_leant(
                255 - strokes.draw(digit, variants[digit], brush)[..., 0], slant)))
    return pens


def image_pens(images: np.ndarray, labels: np.ndarray, count: int, seed: int = 0) -> list[Pen]:
    """Hands that copy images (N, 28, 28) uint8, as MNIST's: each has a stretch of the set, where neighbours are of one writer."""
    chance = np.random.default_rng(seed)
    length = 200
    pens = []
    for start in chance.integers(0, len(labels) - length, count):
        own, names = images[start:start + length], labels[start:start + length]
        pens.append(lambda digit, luck, own=own, names=names: _cut(np.asarray(Image.fromarray(
            own[luck.choice(np.flatnonzero(names == digit))]).resize((224, 224), Image.Resampling.BICUBIC))))
    return pens


def make_sheet(pens: Sequence[Pen], look: Look = Look(), columns: int = 10, height: int = 64, cell: tuple[int, int] = (140, 170),
               seed: int = 0, text: Sequence[str] | None = None, margin: int = 110) -> MadeSheet:
    """A sheet with one row of digits for each pen.

    Args:
        columns: digits in a row, by chance; text gives rows of one's own, with a space where nothing is written.
        height: of the digits, in pixels. cell: width and height of the place for each.
    """
    chance = np.random.default_rng(seed)
    rows = text or ["".join(str(d) for d in chance.permutation(columns) % 10) for _ in pens]
    wide, tall = 2 * margin + cell[0] * max(map(len, rows)), 2 * margin + cell[1] * len(rows)
    ink, boxes, digits = np.zeros((tall, wide), np.float32), [], []
    for row, (pen, line) in enumerate(zip(pens, rows, strict=True)):
        for column, letter in enumerate(line):
            if letter == " ":
                continue
            drawn = pen(int(letter), chance)
            scale = height * float(chance.uniform(0.85, 1.15)) / drawn.shape[0]
            size = max(3, round(drawn.shape[1] * scale)), max(3, round(drawn.shape[0] * scale))
            mark = np.asarray(Image.fromarray(drawn).resize(size, Image.Resampling.BOX)).clip(0, 1)
            top = round(margin + (row + 0.5) * cell[1] - size[1] / 2 + chance.uniform(-5, 5))
            left = round(margin + (column + 0.5) * cell[0] - size[0] / 2 + chance.uniform(-5, 5))
            spot = ink[top:top + size[1], left:left + size[0]]
            np.maximum(spot, mark[:spot.shape[0], :spot.shape[1]], out=spot)
            boxes.append((left, top, left + size[0], top + size[1]))
            digits.append(int(letter))
    light = (1 - look.ink * ink) * (1 - look.line * _printed(look, ink.shape, cell, margin, rows))
    corners = np.array([[(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for x0, y0, x1, y1 in boxes], float)
    return _photographed(light, corners, digits, look, chance)


def _photographed(light: np.ndarray, corners: np.ndarray, digits: list[int], look: Look,
                  chance: np.random.Generator) -> MadeSheet:
    before = np.array(light.shape[::-1]) / 2
    picture = Image.fromarray(light.astype(np.float32)).rotate(look.tilt, Image.Resampling.BICUBIC, expand=True, fillcolor=1.0)
    turn = math.radians(look.tilt)
    matrix = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    corners = (corners - before) @ matrix.T + np.array(picture.size) / 2
    light = np.asarray(picture)
    if look.blur:
        light = _blurred(light, look.blur)
    rows, columns = np.mgrid[:light.shape[0], :light.shape[1]]
    slope = 1 - 0.15 * rows / light.shape[0]
    edge = (columns + 0.4 * rows - 0.7 * light.shape[1]) / 40
    lit = light * slope * (1 - look.shadow / (1 + np.exp(-np.clip(edge, -30, 30))))
    rgb = lit[..., None] * np.array([245, 240, 228])
    rgb = (rgb + chance.normal(0, look.grain, rgb.shape)).clip(0, 255).astype(np.uint8)
    return MadeSheet(np.dstack([rgb, np.full(light.shape, 255, np.uint8)]), digits, corners)


def _printed(look: Look, shape: tuple[int, int], cell: tuple[int, int], margin: int, rows: Sequence[str]) -> np.ndarray:
    """(H, W) float32, 1 where the paper is printed."""
    lines = np.zeros(shape, np.float32)
    if look.paper in ("ruled", "squared"):
        for start in range(look.spacing // 2, shape[0], look.spacing):
            lines[start:start + 2] = 1
    if look.paper == "squared":
        for start in range(look.spacing // 2, shape[1], look.spacing):
            lines[:, start:start + 2] = 1
    if look.paper == "form":
        for row in range(len(rows) + 1):
            for column in range(len(rows[0]) + 1):
                y, x = margin + row * cell[1], margin + column * cell[0]
                if column < len(rows[0]):
                    lines[y:y + 3, x:x + cell[0] + 3] = 1
                if row < len(rows):
                    lines[y:y + cell[1] + 3, x:x + 3] = 1
    return lines


def _blurred(light: np.ndarray, sigma: float) -> np.ndarray:
    steps = np.arange(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1)
    kernel = np.exp(-(steps**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        padded = np.pad(light, [(len(steps) // 2,) * 2 if axis == other else (0, 0) for other in (0, 1)], mode="edge")
        light = sum(weight * np.take(padded, range(place, place + light.shape[axis]), axis)
                    for place, weight in enumerate(kernel))
    return light


def _cut(ink: np.ndarray) -> np.ndarray:
    """(H, W) uint8 → (h, w) float32, only where there is ink."""
    rows, columns = np.flatnonzero((ink > 40).any(axis=1)), np.flatnonzero((ink > 40).any(axis=0))
    return ink[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1].astype(np.float32) / 255


def _leant(ink: np.ndarray, degrees: float) -> np.ndarray:
    lean = math.tan(math.radians(degrees))
    wide = Image.new("L", (ink.shape[1] * 2, ink.shape[0]))
    wide.paste(Image.fromarray(ink), (ink.shape[1] // 2, 0))
    return np.asarray(wide.transform(wide.size, Image.Transform.AFFINE, (1, lean, -lean * ink.shape[0] / 2, 0, 1, 0),
                                     Image.Resampling.BICUBIC))
