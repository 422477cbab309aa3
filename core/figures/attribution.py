"""What pixels have to do with an answer, laid over the image: sharp pictures for st.image, at home on light and dark pages."""

import numpy as np
from torch import Tensor

from core.figures.maps import NEGATIVE, POSITIVE

STRENGTH = np.array([123, 50, 148])  # purple: how much, without for or against
PAPER, INK = 250.0, 200.0  # greys that the image is drawn in below the colours
SIDE = 180  # pixels of the longer side, about: four of them are as wide as a page
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def overlay(image: Tensor, values: Tensor, strength: bool = False, side: int = SIDE) -> np.ndarray:
    """(C, H, W) in [0, 1] in pale grey, with (H, W) values over it → (H·s, W·s, 3) uint8, pixels kept square.

    Red above 0, blue below; purple for both with `strength`. The colour is full at the largest |value|.
    """
    return _coloured(_pale(image), values, strength, side)


def difference_picture(difference: Tensor, side: int = SIDE) -> np.ndarray:
    """(C, H, W) change of pixels → red where brighter, blue where darker, white where nothing changed; scaled to its largest."""
    return _coloured(np.array([PAPER]), difference.mean(0), False, side)


def plain_picture(image: Tensor, side: int = SIDE) -> np.ndarray:
    """(C, H, W) in [0, 1] as it is, in the size of the others."""
    pixels = image.detach().clamp(0, 1).cpu().numpy().transpose(1, 2, 0) * 255
    return _enlarged(np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels, side)


def _coloured(ground: np.ndarray, values: Tensor, strength: bool, side: int) -> np.ndarray:
    numbers = np.nan_to_num(values.detach().float().cpu().numpy())
    largest = float(np.abs(numbers).max(initial=0.0))
    share = (np.abs(numbers) / largest if largest > 0 else np.zeros_like(numbers))[..., None]
    colour = STRENGTH if strength else np.where(numbers[..., None] < 0, NEGATIVE, POSITIVE)
    return _enlarged((1 - share) * ground + share * colour, side)


def _pale(image: Tensor) -> np.ndarray:
    """(H, W, 1) greys. Ink that is bright on a dark ground is drawn dark on paper."""
    pixels = image.detach().clamp(0, 1).cpu().numpy()
    bright = np.tensordot(LUMINANCE, pixels, 1) if len(pixels) == 3 else pixels.mean(0)
    ink = bright if len(pixels) == 1 and np.median(bright) < 0.5 else 1 - bright
    return (PAPER + (INK - PAPER) * ink)[..., None]


def _enlarged(picture: np.ndarray, side: int) -> np.ndarray:
    pixels = np.rint(np.clip(picture, 0, 255)).astype(np.uint8)
    scale = max(1, round(side / max(pixels.shape[:2])))
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)
