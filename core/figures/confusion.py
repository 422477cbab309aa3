"""A confusion matrix as texts and colours of its cells, and as a picture."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.evaluation.metrics import confusion_shares
from core.wording import percent

PALE, DEEP = np.array([238, 243, 246]), np.array([29, 98, 131])  # nothing, and all of the row; light also in the dark theme
CELL, HEAD = 48, 96  # pixels of the picture
LONGEST = 12  # characters of a class name there
INK = (20, 20, 20)


def row_shares(counts: np.ndarray) -> np.ndarray:
    """(K, K) counts → float64 from 0 to 1 of each row; rows without images are 0."""
    return np.nan_to_num(confusion_shares(counts))


def cell_texts(counts: np.ndarray, as_shares: bool) -> list[list[str]]:
    """What each cell says: its count, or its share of the row in percent; nothing for 0."""
    return [["" if not n else f"{100 * share:.1f}" if as_shares else f"{n:,}" for n, share in zip(*row, strict=True)]
            for row in zip(counts.tolist(), row_shares(counts).tolist(), strict=True)]


def about_cells(counts: np.ndarray, classes: Sequence[str]) -> list[list[str]]:
    """Each cell in words: "true 7, said 3: 4 images, 0.4 % of class 7"."""
    return [[f"true {truth}, said {said}: {n:,} image{'' if n == 1 else 's'}, {percent(share, 1)} of class {truth}"
             for said, n, share in zip(classes, *row, strict=True)]
            for truth, row in zip(classes, zip(counts.tolist(), row_shares(counts).tolist(), strict=True), strict=True)]


def cell_colors(counts: np.ndarray) -> list[list[tuple[str, str]]]:
    """Background and text of each cell as #rrggbb; darker for a larger share, on a root scale so that rare mistakes show."""
    return [[(f"#{r:02x}{g:02x}{b:02x}", "#ffffff" if _is_dark(r, g, b) else "#000000") for r, g, b in row]
            for row in _backgrounds(counts).tolist()]


def confusion_picture(counts: np.ndarray, classes: Sequence[str], as_shares: bool) -> np.ndarray:
    """(H, W, 3) uint8: the matrix with the classes' names, true ones on the left, said ones on top."""
    side = HEAD + CELL * len(classes)
    sheet = Image.new("RGB", (side, side), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    draw.multiline_text((8, 30), "rows: true class\ncolumns: said", fill=INK, font=ImageFont.load_default(10))
    for place, name in enumerate(classes):
        short, middle = name if len(name) <= LONGEST else f"{name[:LONGEST - 1]}…", HEAD + CELL * place + CELL // 2
        draw.text((HEAD - 6, middle), short, fill=INK, font=font, anchor="rm")
        draw.text((middle, HEAD - 6), short if len(short) <= 5 else f"{short[:4]}…", fill=INK, font=font, anchor="mb")
    for row, (texts, colors) in enumerate(zip(cell_texts(counts, as_shares), _backgrounds(counts).tolist(), strict=True)):
        for column, (text, color) in enumerate(zip(texts, colors, strict=True)):
            left, top = HEAD + CELL * column, HEAD + CELL * row
            draw.rectangle((left, top, left + CELL - 2, top + CELL - 2), fill=tuple(color))
            draw.text((left + CELL // 2, top + CELL // 2), text, fill="white" if _is_dark(*color) else "black",
                      font=font, anchor="mm")
    return np.asarray(sheet)


def _backgrounds(counts: np.ndarray) -> np.ndarray:
    """(K, K, 3) uint8."""
    depth = np.sqrt(row_shares(counts))[:, :, None]
    return np.rint(PALE + (DEEP - PALE) * depth).astype(np.uint8)


def _is_dark(red: int, green: int, blue: int) -> bool:
    """Whether white can be read better on it than black; either way the contrast is 4.58 at least
    (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""
    shares = np.array([red, green, blue]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return (luminance + 0.05) ** 2 < 1.05 * 0.05
