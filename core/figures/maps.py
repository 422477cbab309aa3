"""Feature maps, filters and rows of numbers as sharp pictures: every number is a square of whole pixels."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

# RdBu's ends: blue below zero, white at zero, red above; told apart with colour-blind eyes
NEGATIVE, ZERO, POSITIVE = np.array([33, 102, 172]), np.array([247, 247, 247]), np.array([178, 24, 43])
GAP, LABEL = 3, 14  # pixels between tiles, and above one for its number
BACKGROUND, INK = (128, 128, 128), (255, 255, 255)
NOT_A_NUMBER = (255, 0, 255)
SIDES = ((1, 224), (2, 168), (8, 112), (32, 84), (64, 60))  # up to so many maps: so many pixels for a map's longer side
SMALLEST_SIDE, SHEET_WIDTH = 40, 720
LINE_GAP = 4


def colours(values: np.ndarray, bound: float | None = None) -> np.ndarray:
    """(…) float → (…, 3) uint8: without negative values grey from 0 (black) to `bound` (white), else blue, white and red.

    bound: which |value| has the full colour; the largest if None. Infinite and NaN values are magenta.
    """
    finite = np.isfinite(values)
    clean = np.where(finite, values, 0.0)
    bound = float(np.abs(clean).max(initial=0.0)) if bound is None else bound
    share = np.clip(clean / bound if bound > 0 else clean * 0.0, -1, 1)[..., None]
    if (clean < 0).any():
        picture = ZERO + np.where(share < 0, (NEGATIVE - ZERO) * -share, (POSITIVE - ZERO) * share)
    else:
        picture = np.repeat(share * 255, 3, axis=-1)
    picture = np.rint(picture).astype(np.uint8)
    picture[~finite] = NOT_A_NUMBER
    return picture


def map_sheet(maps: Tensor, own_scale: bool = False, numbered: bool = True, most: int = 128) -> np.ndarray:
    """(C, h, w) → (H, W, 3) uint8, the first `most` maps in rows, each with its number above.

    own_scale: each map's colours span its own values, which shows faint patterns; else all share one scale and compare.
    """
    values = maps[:most].numpy()
    count, height, width = values.shape
    side = next((size for most_maps, size in SIDES if count <= most_maps), SMALLEST_SIDE)
    scale = max(1, side // max(height, width))
    tile_h, tile_w = height * scale, width * scale
    label = LABEL if numbered and count > 1 else 0
    columns = max(1, min(count, (SHEET_WIDTH - GAP) // (max(tile_w, 18) + GAP)))
    step_h, step_w = tile_h + label + GAP, max(tile_w, 18 if label else 1) + GAP
    sheet = Image.new("RGB", (columns * step_w + GAP, -(-count // columns) * step_h + GAP), BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    shared = None if own_scale else colours(values)  # one call: the same bound, and the same choice of grey or colour
    for index, tile in enumerate(values):
        pixels = colours(tile) if shared is None else shared[index]
        left, top = GAP + index % columns * step_w, GAP + index // columns * step_h
        if label:
            draw.text((left, top - 1), str(index), fill=INK, font=font)
        sheet.paste(Image.fromarray(pixels.repeat(scale, axis=0).repeat(scale, axis=1)), (left, top + label))
    return np.asarray(sheet)


def row_picture(values: Tensor, most: int = 4096) -> np.ndarray:
    """(F,) → (H, W, 3) uint8: the numbers as one row of squares, broken into lines like text where it is too long."""
    numbers = values[:most].numpy()
    count = max(1, len(numbers))
    cell = next((size for up_to, size in ((24, 28), (144, 14), (2048, 8)) if count <= up_to), 5)
    line = min(count, SHEET_WIDTH // cell)
    lines = -(-count // line)
    height = max(cell, 8)
    sheet = np.full((lines * (height + LINE_GAP) - LINE_GAP, line * cell, 3), BACKGROUND, dtype=np.uint8)
    shaded = colours(numbers)
    for index in range(lines):
        pixels = shaded[index * line:(index + 1) * line][None].repeat(height, axis=0).repeat(cell, axis=1)
        top = index * (height + LINE_GAP)
        sheet[top:top + height, :pixels.shape[1]] = pixels
    return sheet


def colour_picture(image: Tensor, side: int = 224) -> np.ndarray:
    """(1 or 3, H, W) float of any range → uint8 picture, from its smallest (black) to its largest value (white)."""
    low, high = float(image.min()), float(image.max())
    pixels = ((image - low) / (high - low) if high > low else image * 0).mul(255).round().byte().permute(1, 2, 0).numpy()
    scale = max(1, side // max(pixels.shape[:2]))
    pixels = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)
