"""Image tensors as arrays a page can show."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def as_picture(image: Tensor, scale: int = 1) -> np.ndarray:
    """(1 or 3, H, W) uint8, or float in [0, 1] → (H·scale, W·scale) or (H·scale, W·scale, 3) uint8, pixels kept square."""
    pixels = image if image.dtype == torch.uint8 else (image.clamp(0, 1) * 255).round().to(torch.uint8)
    array = pixels.permute(1, 2, 0).cpu().numpy()
    array = array[:, :, 0] if array.shape[2] == 1 else array
    return array.repeat(scale, axis=0).repeat(scale, axis=1)


def contact_sheet(images: Tensor, columns: int, scale: int = 2, gap: int = 2) -> np.ndarray:
    """(N, C, H, W) uint8 → one picture of all of them in rows of `columns`, with a grey gap between.

    One picture travels to the browser faster than a hundred. Empty input gives one empty row.
    """
    count, channels, height, width = images.shape
    rows = max(1, -(-count // columns))
    cell_h, cell_w = height * scale + gap, width * scale + gap
    sheet = np.full((rows * cell_h + gap, columns * cell_w + gap, channels), 128, dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = gap + index // columns * cell_h, gap + index % columns * cell_w
        picture = as_picture(image, scale)
        sheet[top:top + height * scale, left:left + width * scale] = picture if picture.ndim == 3 else picture[:, :, None]
    return sheet[:, :, 0] if channels == 1 else sheet


def ink_picture(ink: np.ndarray, side: int = 140) -> np.ndarray:
    """(h, w) ink in [0, 1] → (side, side) uint8, white ink on black, as large as fits, pixels kept square and sharp."""
    pixels = np.rint(np.clip(ink, 0, 1) * 255).astype(np.uint8)
    longest = max(pixels.shape)
    if longest <= side:
        pixels = pixels.repeat(side // longest, axis=0).repeat(side // longest, axis=1)
    else:
        pixels = np.asarray(Image.fromarray(pixels).resize(
            (max(1, pixels.shape[1] * side // longest), max(1, pixels.shape[0] * side // longest)), Image.Resampling.BOX))
    frame = np.zeros((side, side), dtype=np.uint8)
    top, left = (side - pixels.shape[0]) // 2, (side - pixels.shape[1]) // 2
    frame[top:top + pixels.shape[0], left:left + pixels.shape[1]] = pixels
    return frame


def png_file(picture: np.ndarray) -> bytes:
    """(H, W) or (H, W, 3) uint8 as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return file.getvalue()
