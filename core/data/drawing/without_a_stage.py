"""What a network would get if one stage of preparing a drawing were left out."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from core.data.drawing import Drawing, fit, place


@dataclass(frozen=True, eq=False)
class Variant:
    """A drawing prepared in another way. image: (1, size, size) float32 in [0, 1]."""

    title: str
    about: str
    image: torch.Tensor


def variants(drawing: Drawing) -> dict[str, Variant]:
    """The drawing with all stages, and with one or all of them left out. The drawing must not be empty."""
    size = drawing.image.shape[-1]
    fitted, image = drawing.fitted, drawing.image
    return {
        "all": Variant("All stages", "As MNIST was made.", image),
        "plain": Variant("Only made smaller", "The whole picture squeezed to 28×28: what a first try usually does.",
                         _frame(_resized(drawing.raw, size, size), size)),
        "crop": Variant("Without cutting out", "The paper around the ink stays, so the drawing gets small.",
                        torch.from_numpy(place(fit(_squared(drawing.raw), size), size)[0])[None]),
        "margin": Variant("Without the margin of 4", "As large as the frame, not 20×20.",
                          _frame(_resized(drawing.crop, *_inside(drawing.crop.shape, size)), size)),
        "centre": Variant("Without centring", "In the top left corner of the frame, not by its centre of mass.",
                          _frame(fitted, size, corner=True)),
        "inverted": Variant("Dark on light", "As it is on paper: training images have white ink on black.", 1 - image),
    }


def _squared(ink: np.ndarray) -> np.ndarray:
    """(h, w) with paper added to make it square, in the middle."""
    side = max(ink.shape)
    frame = np.zeros((side, side), np.float32)
    top, left = (side - ink.shape[0]) // 2, (side - ink.shape[1]) // 2
    frame[top:top + ink.shape[0], left:left + ink.shape[1]] = ink
    return frame


def _inside(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """Height and width that keep the ratio, the longer one `size`."""
    scale = size / max(shape)
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _resized(ink: np.ndarray, height: int, width: int) -> np.ndarray:
    """(h, w) → (height, width) float32, each pixel the mean of what it covers where the picture shrinks."""
    picture = Image.fromarray(np.ascontiguousarray(ink, dtype=np.float32))
    shrinks = ink.shape[0] >= height and ink.shape[1] >= width
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
    return np.asarray(picture.resize((width, height), method)).clip(0, 1)


def _frame(ink: np.ndarray, size: int, corner: bool = False) -> torch.Tensor:
    """(h, w) → (1, size, size), in the middle or in the top left corner."""
    frame = np.zeros((size, size), np.float32)
    top, left = (0, 0) if corner else ((size - ink.shape[0]) // 2, (size - ink.shape[1]) // 2)
    frame[top:top + ink.shape[0], left:left + ink.shape[1]] = ink
    return torch.from_numpy(frame)[None]
