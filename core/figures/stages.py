"""What transforms make of images, as pictures a page can show: any size, any range of values."""

import numpy as np
import torch
from torch import Tensor

from core.figures.images import contact_sheet

SIDE = 84  # pixels of one picture, roughly: several fit beside each other on a phone


def shown(images: Tensor) -> Tensor:
    """Images (N, C, H, W) uint8, or float of any range, as uint8: values from 0 to 1 as they are, others from the lowest as black
    to the highest as white. One or three channels of more are shown."""
    visible = images if images.shape[1] in (1, 3) else images[:, :1]
    if visible.dtype == torch.uint8:
        return visible
    low, high = float(visible.min()), float(visible.max())
    if low < 0 or high > 1 + 1e-4:
        visible = (visible - low) / max(high - low, 1e-9)
    return (visible.clamp(0, 1) * 255).round().to(torch.uint8)


def strip(images: Tensor, columns: int) -> np.ndarray:
    """Images (N, C, H, W) beside each other, each about 84 pixels wide, as one picture."""
    return contact_sheet(shown(images), columns, scale=max(1, SIDE // images.shape[3]), gap=4)


def in_words(value: float) -> str:
    """A value of a range: "0", "0.25", "−1"."""
    return f"{round(value, 2) + 0:g}".replace("-", "−")  # adding 0 makes −0 a 0
