"""Two small sets of pictures, drawn by rules, as if a person had brought them: coloured shapes and grey clothes.

Nothing that the doctors' tables were measured on: other sizes, other numbers of classes, colours, and clothes that look much like
each other, as Fashion-MNIST's do. Each is kept as a set of one's own under a name that is always the same.
"""

import random
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from core.data import is_own
from core.data.own.sets import FOLDER, PREFIX, save_set

Point = tuple[float, float]
SCALE = 4  # drawn so much larger, then made smaller: soft edges
SHAPES, CLOTHES = f"{PREFIX}5ca1ed", f"{PREFIX}c10de5"
SHAPE_NAMES = ("circle", "square", "triangle", "cross", "ring")
CLOTHES_NAMES = ("T-shirt", "pullover", "dress", "trousers", "sneaker", "boot", "bag")


def made_sets(root: Path) -> None:
    """Put both sets into a data directory that lacks them."""
    for name, title, classes, draw, counts in (
            (SHAPES, "Coloured shapes", SHAPE_NAMES, _shape, (600, 200)),
            (CLOTHES, "Clothes", CLOTHES_NAMES, _clothing, (900, 300))):
        place = root / FOLDER / name.removeprefix(PREFIX)
        if place.exists():
            continue
        assert is_own(name)
        choose = random.Random(title)
        labels = np.array([number % len(classes) for number in range(sum(counts))])
        images = np.stack([draw(choose, int(label)) for label in labels])
        test = np.arange(len(labels)) >= counts[0]
        own = save_set(root, title, classes, images, labels, test, "drawn by rules")
        shutil.move(root / FOLDER / own.id, place)


def _shape(choose: random.Random, kind: int) -> np.ndarray:
    """(3, 16, 16) uint8: one shape of any colour, size and place on a noisy ground."""
    side = 16 * SCALE
    ground, colour = (tuple(choose.randint(0, 255) for _ in range(3)) for _ in range(2))
    while sum(abs(a - b) for a, b in zip(ground, colour, strict=True)) < 150:
        colour = tuple(choose.randint(0, 255) for _ in range(3))
    picture = Image.new("RGB", (side, side), ground)
    pen = ImageDraw.Draw(picture)
    r = choose.uniform(0.3, 0.42) * side
    x, y = (choose.uniform(r, side - r) for _ in range(2))
    match SHAPE_NAMES[kind]:
        case "circle":
            pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        case "square":
            pen.rectangle((x - r, y - r, x + r, y + r), fill=colour)
        case "triangle":
            pen.polygon([(x, y - r), (x + r, y + r), (x - r, y + r)], fill=colour)
        case "cross":
            pen.line((x - r, y - r, x + r, y + r), fill=colour, width=side // 8)
            pen.line((x - r, y + r, x + r, y - r), fill=colour, width=side // 8)
        case "ring":
            pen.ellipse((x - r, y - r, x + r, y + r), outline=colour, width=side // 10)
    return _small(picture, choose, 16, 12).transpose(2, 0, 1)


def _clothing(choose: random.Random, kind: int) -> np.ndarray:
    """(1, 28, 28) uint8: one piece of clothing, grey on black, of its own cut and cloth."""
    side = 28 * SCALE
    picture = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(picture)
    for outline in _cut(choose, CLOTHES_NAMES[kind]):
        pen.polygon([(x * side, y * side) for x, y in outline], fill=choose.randint(110, 250))
    for row in range(0, side, choose.choice([6, 9, 14])) if choose.random() < 0.3 else ():  # striped
        pen.line((0, row, side, row), fill=40, width=2)
    turned = picture.rotate(choose.uniform(-8, 8), translate=(choose.randint(-8, 8), choose.randint(-6, 6)))
    return _small(turned, choose, 28, 10)[None]


def _cut(choose: random.Random, name: str) -> list[list[Point]]:
    """Outlines in shares of the picture, mirrored where the piece is."""
    u = choose.uniform
    wide, top = u(0.16, 0.26), u(0.1, 0.18)
    if name in {"T-shirt", "pullover", "dress"}:
        low = u(0.78, 0.92)
        sleeve = u(0.3, 0.58) if name == "T-shirt" else u(0.46, 0.85) if name == "pullover" else u(0.18, 0.5)
        hem = wide + (u(0.02, 0.18) if name == "dress" else u(-0.03, 0.06))
        half = [(0.08, top), (wide + 0.04, top + 0.03), (wide + u(0.1, 0.18), sleeve), (wide + 0.03, sleeve + 0.04),
                (wide, top + 0.2), (hem, low)]
        return [[(0.5 + x, y) for x, y in half] + [(0.5 - x, y) for x, y in reversed(half)]]
    if name == "trousers":
        hem, cut = u(0.05, 0.12), u(0.3, 0.45)
        half = [(wide, top), (wide + 0.02, 0.9), (wide + 0.02 - hem, 0.9), (0.02, cut)]
        return [[(0.5 + x, y) for x, y in half] + [(0.5 - x, y) for x, y in reversed(half)]]
    if name == "bag":
        box, grip = u(0.25, 0.4), u(0.15, 0.3)
        return [[(0.5 - grip, 0.45), (0.5 - grip + 0.08, grip), (0.5 + grip - 0.08, grip), (0.5 + grip, 0.45)],
                [(0.5 - box, 0.42), (0.5 + box, 0.42), (0.5 + box, u(0.75, 0.9)), (0.5 - box, u(0.75, 0.9))]]
    shaft = u(0.45, 0.58) if name == "sneaker" else u(0.12, 0.4)
    return [[(0.12, shaft), (u(0.35, 0.5), shaft), (0.5, 0.55), (0.88, u(0.62, 0.7)), (0.9, 0.8), (0.12, 0.8)]]


def _small(picture: Image.Image, choose: random.Random, size: int, noise: float) -> np.ndarray:
    """At its size, with a camera's noise."""
    pixels = np.asarray(picture.resize((size, size), Image.Resampling.BOX)).astype(float)
    grain = np.random.default_rng(choose.randint(0, 2**31)).normal(0, noise, pixels.shape)
    return np.clip(pixels + grain, 0, 255).astype(np.uint8)
