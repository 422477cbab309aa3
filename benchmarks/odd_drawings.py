"""Pictures that are no digits, as somebody might put them on the canvas: letters, scribbles, dots, solid shapes, noise.

All are white ink on black at 28×28, after the pipeline that drawings go through. They have nothing in common with
core.evaluation.ood.glyphs, which is what is learned from: capitals and joined-up small letters are strokes written down anew,
printed letters come from fonts of matplotlib. AMBIGUOUS letters, which a reader might take for a digit, are kept apart.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits

import numpy as np
import torch
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from core.data.drawing import place_like_mnist, prepare
from tests.strokes import rounded

Point = tuple[float, float]
LETTERS: dict[str, tuple[tuple[Point, ...], ...]] = {  # strokes in a unit square, x to the right and y down
    "A": (((.2, .85), (.5, .15), (.8, .85)), ((.32, .58), (.68, .58))),
    "E": (((.75, .15), (.3, .15), (.3, .85), (.75, .85)), ((.3, .5), (.65, .5))),
    "F": (((.75, .15), (.3, .15), (.3, .85)), ((.3, .5), (.65, .5))),
    "H": (((.25, .15), (.25, .85)), ((.75, .15), (.75, .85)), ((.25, .5), (.75, .5))),
    "K": (((.3, .15), (.3, .85)), ((.75, .15), (.3, .5), (.75, .85))),
    "M": (((.2, .85), (.2, .15), (.5, .6), (.8, .15), (.8, .85)),),
    "N": (((.25, .85), (.25, .15), (.75, .85), (.75, .15)),),
    "P": (((.3, .85), (.3, .15), (.65, .18), (.72, .33), (.62, .48), (.3, .5)),),
    "R": (((.3, .85), (.3, .15), (.65, .18), (.7, .33), (.62, .48), (.3, .5), (.72, .85)),),
    "T": (((.2, .15), (.8, .15)), ((.5, .15), (.5, .85))),
    "U": (((.25, .15), (.25, .65), (.4, .85), (.6, .85), (.75, .65), (.75, .15)),),
    "V": (((.2, .15), (.5, .85), (.8, .15)),),
    "W": (((.15, .15), (.32, .85), (.5, .4), (.68, .85), (.85, .15)),),
    "X": (((.2, .15), (.8, .85)), ((.8, .15), (.2, .85))),
    "Y": (((.2, .15), (.5, .5), (.8, .15)), ((.5, .5), (.5, .85))),
    "&": (((.8, .85), (.35, .3), (.45, .15), (.6, .25), (.25, .6), (.35, .85), (.6, .8), (.8, .55)),),
    "?!": (((.2, .3), (.3, .15), (.45, .3), (.32, .5), (.32, .65)), ((.32, .82), (.33, .84)), ((.75, .15), (.75, .65)),
           ((.75, .82), (.76, .84))),
}

# Small letters as they are written joined up, with the strokes that lead in and out; all are smooth curves
CURSIVE: dict[str, tuple[tuple[Point, ...], ...]] = {
    "a": (((.62,.35), (.42,.28), (.24,.45), (.26,.70), (.45,.78), (.60,.60), (.66,.34), (.64,.62), (.70,.78), (.88,.66)),),
    "c": (((.66,.38), (.52,.28), (.32,.38), (.25,.58), (.36,.78), (.56,.76), (.75,.62)),),
    "d": (((.56,.48), (.42,.42), (.24,.56), (.28,.80), (.46,.82), (.60,.62), (.68,.12), (.64,.60), (.70,.84), (.86,.74)),),
    "e": (((.14,.68), (.36,.60), (.58,.44), (.52,.28), (.36,.34), (.30,.56), (.40,.78), (.60,.76), (.82,.58)),),
    "f": (((.16,.62), (.40,.46), (.60,.22), (.52,.10), (.42,.28), (.40,.60), (.38,.90), (.48,.86), (.52,.66), (.78,.56)),),
    "h": (((.14,.74), (.36,.46), (.46,.18), (.36,.14), (.30,.40), (.28,.82)),
          ((.28,.80), (.40,.54), (.56,.48), (.60,.66), (.62,.82), (.84,.70))),
    "k": (((.16,.70), (.38,.40), (.44,.16), (.34,.14), (.28,.48), (.27,.84)),
          ((.27,.64), (.46,.46), (.58,.52), (.48,.64), (.32,.64), (.50,.74), (.64,.84), (.82,.74))),
    "m": (((.06,.48), (.14,.38), (.18,.74)), ((.18,.70), (.26,.42), (.38,.36), (.42,.74)),
          ((.42,.70), (.50,.42), (.62,.36), (.67,.68), (.76,.76), (.92,.64))),
    "n": (((.14,.46), (.24,.34), (.28,.56), (.27,.78)), ((.27,.74), (.36,.46), (.52,.34), (.60,.52), (.62,.76), (.84,.66))),
    "p": (((.18,.40), (.32,.30), (.33,.56), (.28,.92)), ((.31,.48), (.46,.28), (.64,.36), (.62,.58), (.44,.66), (.31,.58))),
    "r": (((.16,.72), (.36,.36), (.42,.28), (.46,.38), (.64,.38), (.60,.58), (.62,.74), (.84,.66)),),
    "t": (((.18,.70), (.42,.38), (.50,.14), (.46,.50), (.46,.78), (.60,.80), (.76,.68)), ((.30,.36), (.52,.34), (.72,.33))),
    "u": (((.12,.50), (.24,.34), (.22,.62), (.36,.76), (.54,.62), (.62,.34)), ((.62,.34), (.60,.66), (.70,.76), (.88,.64))),
    "v": (((.14,.44), (.26,.32), (.32,.52), (.40,.76), (.54,.54), (.62,.32), (.70,.40), (.88,.36)),),
    "w": (((.08,.42), (.18,.34), (.18,.64), (.30,.76), (.42,.58), (.44,.38)),
          ((.44,.38), (.44,.66), (.58,.76), (.70,.54), (.72,.34), (.80,.42), (.94,.38))),
    "x": (((.14,.44), (.30,.32), (.42,.50), (.52,.72), (.68,.76), (.84,.64)), ((.70,.32), (.50,.50), (.26,.78))),
    "y": (((.14,.40), (.26,.26), (.26,.48), (.38,.58), (.54,.44), (.62,.26)),
          ((.62,.26), (.60,.60), (.50,.90), (.34,.86), (.44,.70), (.80,.52))),
}
AMBIGUOUS = frozenset("OoQDIiljJZzSsBbGgq")  # what a reader would take for a digit
FONTS = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif-Italic.ttf", "DejaVuSansMono.ttf", "cmmi10.ttf", "cmr10.ttf",
         "cmtt10.ttf", "STIXGeneral.ttf", "STIXGeneralItalic.ttf")
NAMES: dict[str, list[str]] = {  # what pictures of letters show, one after the other and then from the beginning
    "letters": list(LETTERS), "joined-up letters": list(CURSIVE),
    "printed capitals": [letter for letter in ascii_uppercase if letter not in AMBIGUOUS],
    "printed small letters": [letter for letter in ascii_lowercase if letter not in AMBIGUOUS]}


def letters(count: int, seed: int = 0) -> Tensor:
    """(count, 1, 28, 28) letters by unsteady hands, with pens of 10 to 28 pixels on a canvas of 280."""
    random = np.random.default_rng(seed)
    names = list(LETTERS)
    return torch.stack([_drawn([_shaken(stroke, random) for stroke in LETTERS[names[i % len(names)]]], random)
                        for i in range(count)])


def cursive(count: int, seed: int = 0) -> Tensor:
    """(count, 1, 28, 28) joined-up small letters, none of them ambiguous, by the same hands and pens."""
    random = np.random.default_rng(seed)
    names = list(CURSIVE)
    return torch.stack([_drawn([np.array(rounded(_shaken(stroke, random))) for stroke in CURSIVE[names[i % len(names)]]], random)
                        for i in range(count)])


def printed_capitals(count: int, seed: int = 0) -> Tensor:
    """(count, 1, 28, 28) capital letters of FONTS, none of them ambiguous."""
    return _printed(NAMES["printed capitals"], count)


def printed_small(count: int, seed: int = 0) -> Tensor:
    """(count, 1, 28, 28) small letters of FONTS, none of them ambiguous."""
    return _printed(NAMES["printed small letters"], count)


def printed_ambiguous(count: int, seed: int = 0) -> Tensor:
    """(count, 1, 28, 28) letters of FONTS that a reader might take for a digit: nobody can ask that they be told from digits."""
    return _printed(sorted(AMBIGUOUS), count)


def printed_digits(count: int, seed: int = 0) -> Tensor:
    """(count, 1, 28, 28) digits of FONTS."""
    return _printed(digits, count)


def scribbles(count: int, seed: int = 0) -> Tensor:
    """(count, 1, 28, 28) lines to and fro without a plan, 8 to 30 turns."""
    random = np.random.default_rng(seed)
    return torch.stack([_drawn([random.uniform(0.1, 0.9, (random.integers(8, 30), 2))], random) for _ in range(count)])


def noise(count: int, seed: int = 0) -> Tensor:
    """(count, 1, 28, 28) every pixel a random gray, a different share of them black."""
    random = np.random.default_rng(seed)
    images = random.random((count, 1, 28, 28)) * (random.random((count, 1, 28, 28)) < random.uniform(0.1, 1, (count, 1, 1, 1)))
    return torch.from_numpy(images.astype(np.float32))


def dots(count: int, seed: int = 0) -> Tensor:
    """(count, 1, 28, 28) one touch of the pen, 4 to 60 pixels wide: the pipeline enlarges it to a disc."""
    random = np.random.default_rng(seed)
    return torch.stack([dot(float(random.uniform(4, 60)), tuple(random.uniform(0.2, 0.8, 2))) for _ in range(count)])


def dot(brush: float, place: Point = (0.5, 0.5)) -> Tensor:
    """(1, 28, 28): one round dot of so many pixels on a canvas of 280."""
    return prepare(_canvas([np.array([place, place])], brush)).image


def solids(count: int, seed: int = 0) -> Tensor:
    """(count, 1, 28, 28) filled boxes, at most 1.5 times as long as wide (a slimmer one might be a bold 1), some as large as
    the canvas but for a rim."""
    random = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        canvas = np.full((280, 280, 4), 255, np.uint8)
        long = int(random.integers(40, 277))
        short = int(long / random.uniform(1, 1.5))
        height, width = (long, short) if random.random() < 0.5 else (short, long)
        top, left = random.integers(1, 279 - height + 1), random.integers(1, 279 - width + 1)
        canvas[top:top + height, left:left + width, :3] = 0
        images.append(prepare(canvas).image)
    return torch.stack(images)


def blank(count: int, seed: int = 0) -> Tensor:
    """(count, 1, 28, 28) zeros, and full white: what no drawing ever becomes, and a model can be asked about."""
    return torch.stack([torch.full((1, 28, 28), float(i % 2)) for i in range(count)])


def tiled(count: int, seed: int = 0) -> Tensor:
    """(count, 1, 28, 28) checkerboards and stripes, standing in for textures such as those of clothes."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:28, :28]
    images = []
    for _ in range(count):
        period, across = int(random.integers(2, 9)), bool(random.integers(2))
        pattern = (rows // period + (columns // period if across else 0)) % 2
        ink = pattern * np.float32(random.uniform(0.5, 1))
        ink[:random.integers(0, 8)] = 0
        ink[:, :random.integers(0, 8)] = 0
        images.append(torch.from_numpy(place_like_mnist(ink.astype(np.float32)))[None])
    return torch.stack(images)


def _printed(signs: Sequence[str], count: int) -> Tensor:
    """(count, 1, 28, 28): one after the other in one font after the other."""
    folder, images = Path(get_data_path()) / "fonts/ttf", []
    for number in range(count):
        font = ImageFont.truetype(folder / FONTS[number // len(signs) % len(FONTS)], 200)
        canvas = Image.new("RGBA", (280, 280), "white")
        ImageDraw.Draw(canvas).text((140, 140), signs[number % len(signs)], "black", font, anchor="mm")
        images.append(prepare(np.asarray(canvas)).image)
    return torch.stack(images)


def _shaken(stroke: tuple[Point, ...], random: np.random.Generator) -> np.ndarray:
    return np.array(stroke) + random.normal(0, 0.025, (len(stroke), 2))


def _drawn(strokes: list[np.ndarray], random: np.random.Generator) -> Tensor:
    """Slanted a little, drawn and prepared."""
    slant, turn = random.uniform(-0.25, 0.25), random.uniform(-0.15, 0.15)
    matrix = np.array([[1, turn], [slant, 1]])
    return prepare(_canvas([(stroke - 0.5) @ matrix * 0.8 + 0.5 for stroke in strokes], float(random.uniform(10, 28)))).image


def _canvas(strokes: list[np.ndarray], brush: float) -> np.ndarray:
    """(280, 280, 4) uint8: black strokes with round caps on white, edges smoothed."""
    side, radius = 560, brush  # twice as large, then halved
    mask = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(mask)
    for stroke in strokes:
        spots = [tuple(spot) for spot in stroke * side]
        pen.line(spots, fill=255, width=max(1, round(2 * radius)))
        for x, y in spots:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    ink = 255 - np.asarray(mask.resize((280, 280), Image.Resampling.BOX))
    return np.dstack([ink, ink, ink, np.full_like(ink, 255)])


ODD: dict[str, Callable[[int, int], Tensor]] = {
    "letters": letters, "joined-up letters": cursive, "printed capitals": printed_capitals,
    "printed small letters": printed_small, "scribbles": scribbles, "dots": dots, "solid boxes": solids, "blank and full": blank,
    "noise": noise, "stripes and checks": tiled}
