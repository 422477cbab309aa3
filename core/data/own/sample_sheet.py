"""A small sheet of digits to try Read a sheet with: scikit-learn's handwritten digits on squared paper, as a JPEG file."""

import io

import numpy as np
from PIL import Image

from core.data.sources.digits import bitmap_counts

ROWS = ("472 38  5", "16  905 2", "7  31  80", "264  9 57")
CELL, TALL, MARGIN = (52, 128), 58, 80  # pixels: the place for each digit, its height, the paper around
SQUARES = 48
TILT = -4  # degrees, counterclockwise
PAPER = (244, 240, 230)


def sample_sheet(seed: int = 0) -> bytes:
    """Rows of numbers as a camera might see them: a little tilted, one side in shadow. The same for the same seed."""
    chance = np.random.default_rng(seed)
    images, labels = bitmap_counts()
    light = np.ones((2 * MARGIN + CELL[1] * len(ROWS), 2 * MARGIN + CELL[0] * len(ROWS[0])), np.float32)
    for row, text in enumerate(ROWS):
        for column, letter in enumerate(text):
            if letter == " ":
                continue
            ink = images[chance.choice(np.flatnonzero(labels == int(letter)))].astype(np.float32) / 16
            ink = ink[:, ink.any(axis=0)]
            wide = round(TALL * ink.shape[1] / ink.shape[0])
            large = np.asarray(Image.fromarray(ink).resize((wide, TALL), Image.Resampling.BICUBIC)).clip(0, 1)
            top = MARGIN + CELL[1] * row + (CELL[1] - TALL) // 2 + int(chance.integers(-4, 5))
            left = MARGIN + CELL[0] * column + (CELL[0] - wide) // 2
            light[top:top + TALL, left:left + wide] -= 0.8 * large
    for axis, length in enumerate(light.shape):
        for start in range(SQUARES // 2, length, SQUARES):
            light[(slice(None),) * axis + (slice(start, start + 2),)] *= 0.75
    turned = np.asarray(Image.fromarray(light).rotate(TILT, Image.Resampling.BICUBIC, expand=True, fillcolor=1.0))
    shadow = 1 - 0.35 / (1 + np.exp(-(np.arange(turned.shape[1]) - 0.6 * turned.shape[1]) / 40))
    pixels = (turned * shadow)[..., None] * np.array(PAPER) + chance.normal(0, 2, (*turned.shape, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()
