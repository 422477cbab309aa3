"""Digits written by a program: forms that few of scikit-learn's 13 writers use, by unsteady hands with pens of many widths.

A copy that is only bent and thinned has the strokes of its original. A 1 with a flag or on a foot, a 7 with a bar or a hook, a 6
whose tail is short have others, and a network that never saw them reads them surely and wrongly.
"""

import math

import numpy as np
from PIL import Image, ImageDraw

from core.data.drawing import place_like_mnist
from core.data.drawing.pen import by_hand, strokes_of

WRITTEN = 0.4  # of a data set's varied copies
HEIGHT = 56  # pixels, on a sheet of four times that
PENS = (0.06, 0.2)  # widths, as shares of the height
FORMS: dict[int, tuple[str, ...]] = {  # as core.data.drawing.pen reads them
    0: ("~40 10 05 38 68 85 70 40", "~50 20 13 25 48 66 73 50", "~40 21 14 27 48 67 74 61 40", "~60 30 04 17 48 78 83 60 40"),
    1: ("40 48", "50 38", "~50 44 38", "12 40 48", "03 40 48", "02 50 48", "22 40 48", "12 40 48|18 68", "02 40 48|08 88",
        "13 50 48|28 78", "40 48|18 68", "~11 30 40|40 48", "05 50 48", "04 50 58|28 88", "22 50 58|18 88", "03 40 38|08 78"),
    2: ("~12 30 60 72 44 08|08 78", "~02 20 60 73 55 08|08 88", "~12 40 63 44 08 26 58 88", "~02 40 71 54 17 06 26 58 88",
        "01 50 73 08 88", "~13 20 50 62 44 18|18 68", "~02 30 71 63 35 08|~08 37 58 87"),
    3: ("~11 40 71 53 34|~34 65 77 48 07", "00 70 33|~33 74 77 48 07", "~01 40 62 44|~44 66 57 28 07", "~00 40 71 34 75 68 08",
        "~02 30 61 43 24 64 77 48 17", "10 60|60 34|~34 65 67 38 07"),
    4: ("10 04 74|60 68", "50 05 85|50 58", "~20 04 14 54 74|~71 64 58", "40 05 75|54 59", "00 04 64|70 68",
        "~10 05 25 64|70 48", "58 50 06 86", "20 13 15 75|61 58"),
    5: ("70 10 04|~04 43 75 68 38 07", "60 10 13|~13 53 75 68 28 06", "~70 20 14 54 76 48 07", "~14 44 76 48 08|14 10 70",
        "80 20 13|~13 54 66 48 08", "~60 30 11 14 53 65 57 28 07"),
    6: ("~50 22 05 28 58 75 54 16", "~60 20 05 17 48 67 65 44 06", "~30 14 06 38 68 75 54 25 07", "~44 15 06 28 58 66 54 35 06",
        "~52 24 06 28 58 76 54 25 06", "40 14|~14 06 38 68 75 54 24 06", "61 24|~43 15 06 28 58 76 65 43",
        "~70 42 15 07 38 67 65 45 17", "~51 34|~34 05 17 48 77 75 44 34", "~62 34|~44 14 06 28 58 77 74 44"),
    7: ("00 80 38", "01 00 70 28", "10 70 48|24 74", "~02 11 40 70|70 38", "00 70|~70 54 38", "~01 20 50 80|~80 54 48",
        "02 00 80 38|24 64", "10 80|~80 55 58|34 84", "00 70 18", "01 10 80 58"),
    8: ("~70 30 11 33 55 67 48 18 06 34 62 70", "~40 10 02 34 65 67 38 07 15 44 71 40", "~40 21 33 44 61 40|~44 16 28 48 67 44",
        "~50 21 24 44 62 50|~44 15 28 58 66 44", "~72 40 11 23 56 68 38 07 25 53 72"),
    9: ("~70 30 03 24 64 70|70 68", "~71 40 12 14 44 71|~71 65 48", "~62 40 11 04 35 63 61|~62 66 48 17",
        "~60 20 02 25 55 70|~70 65 58", "~72 50 11 14 45 72|72 58", "~71 30 03 35 62 71|~71 77 48 18"),
}


def some_written(copies: np.ndarray, digits: np.ndarray, seed: int = 0) -> np.ndarray:
    """Copies (N, 28, 28) uint8 of images of these digits (N,), of which a share of WRITTEN is written anew."""
    chosen = np.flatnonzero(np.random.default_rng(seed).random(len(digits)) < WRITTEN)
    found = copies.copy()
    found[chosen] = write(digits[chosen], seed)
    return found


def write(digits: np.ndarray, seed: int = 0) -> np.ndarray:
    """Digits (N,) from 0 to 9 → images (N, 28, 28) uint8 in MNIST's form; the same seed gives the same ones."""
    random = np.random.default_rng(seed)
    images = np.zeros((len(digits), 28, 28), np.uint8)
    for place, digit in enumerate(digits.tolist()):
        form = strokes_of(FORMS[digit][random.integers(len(FORMS[digit]))])
        width = HEIGHT * math.exp(random.uniform(math.log(PENS[0]), math.log(PENS[1])))
        sheet = Image.new("L", (4 * HEIGHT, 4 * HEIGHT))
        pen = ImageDraw.Draw(sheet)
        for path in by_hand(form, random):
            spots = [(x, y) for x, y in (path + 1.5) * HEIGHT]
            pen.line(spots, fill=255, width=round(width))
            for x, y in spots:  # round ends and corners
                pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
        images[place] = np.rint(place_like_mnist(np.asarray(sheet, np.float32) / 255) * 255)
    return images
