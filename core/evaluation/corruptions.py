"""Images made harder in one way at a time, by how much one likes. All at once, in PyTorch."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SEED = 0  # of the noise: the same images get the same noise at every strength and for every model
REACH = 4.0  # a Gaussian is cut off after so many standard deviations, as scipy.ndimage does


@dataclass(frozen=True)
class Corruption:
    """One entry of CORRUPTIONS.

    unit: of the strength, for an axis; neutral: the strength that changes nothing, exactly.
    strengths: what a curve is drawn through, ascending, with neutral among them.
    apply: (images (N, C, H, W) float32 in [0, 1], strength) → the same shape in [0, 1].
    """

    title: str
    unit: str
    about: str
    neutral: float
    strengths: tuple[float, ...]
    apply: Callable[[Tensor, float], Tensor]


def corrupt(images: Tensor, kind: str, strength: float) -> Tensor:
    """Images (N, C, H, W) float32 in [0, 1] changed by CORRUPTIONS[kind]; a copy of themselves at its neutral strength."""
    entry = CORRUPTIONS[kind]
    return images.clone() if strength == entry.neutral else entry.apply(images, strength).clamp_(0, 1)


def shift_right(images: Tensor, pixels: float) -> Tensor:
    """Moved right by so many pixels, left where negative; what comes in is black. Between pixels by linear interpolation."""
    return _affine(images, [[1, 0, -2 * pixels / images.shape[3]], [0, 1, 0]])


def shift_down(images: Tensor, pixels: float) -> Tensor:
    """Moved down by so many pixels, up where negative."""
    return _affine(images, [[1, 0, 0], [0, 1, -2 * pixels / images.shape[2]]])


def rotate(images: Tensor, degrees: float) -> Tensor:
    """Turned anticlockwise about the middle, with bilinear interpolation."""
    turn, height, width = math.radians(degrees), images.shape[2], images.shape[3]
    cos, sin = math.cos(turn), math.sin(turn)
    # affine_grid's coordinates run from −1 to 1 along both sides, so a turn of a picture that isn't square needs their ratio
    return _affine(images, [[cos, -sin * height / width, 0], [sin * width / height, cos, 0]])


def scale(images: Tensor, factor: float) -> Tensor:
    """Enlarged about the middle by a factor above 0; below 1 it shrinks."""
    return _affine(images, [[1 / factor, 0, 0], [0, 1 / factor, 0]])


def add_noise(images: Tensor, deviation: float) -> Tensor:
    """Normal noise with this standard deviation on each pixel, then cut to 0 … 1."""
    generator = torch.Generator().manual_seed(SEED)
    return images + deviation * torch.randn(images.shape, generator=generator).to(images.device)


def blur(images: Tensor, deviation: float) -> Tensor:
    """Convolved with a Gaussian of this standard deviation in pixels; outside the picture is black."""
    reach = int(REACH * deviation + 0.5)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = (weights / weights.sum()).to(images)
    channels = images.shape[1]
    across = F.conv2d(images, kernel.view(1, 1, 1, -1).repeat(channels, 1, 1, 1), padding=(0, reach), groups=channels)
    return F.conv2d(across, kernel.view(1, 1, -1, 1).repeat(channels, 1, 1, 1), padding=(reach, 0), groups=channels)


def thicken(images: Tensor, pixels: float) -> Tensor:
    """Bright strokes wider by so many pixels on each side, narrower where negative.

    A whole pixel is the largest (or smallest) value of 3×3 neighbours, grey dilation and erosion; parts of one lie between.
    """
    sign, whole = (1.0 if pixels > 0 else -1.0), int(abs(pixels))
    part = abs(pixels) - whole
    changed = sign * images
    for _ in range(whole):
        changed = F.max_pool2d(changed, 3, 1, 1)
    if part:
        changed = torch.lerp(changed, F.max_pool2d(changed, 3, 1, 1), part)
    return sign * changed


def change_contrast(images: Tensor, factor: float) -> Tensor:
    """Each image's distance from its own mean brightness, times a factor of 0 or more; 0 leaves plain grey."""
    if images.shape[1] == 3:
        weights = torch.tensor([0.2989, 0.587, 0.114]).to(images).view(1, 3, 1, 1)  # ITU-R BT.601, with torchvision's digits
        mean = (images * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    else:
        mean = images.mean((1, 2, 3), keepdim=True)
    return mean + factor * (images - mean)


def _affine(images: Tensor, matrix: list[list[float]]) -> Tensor:
    """Where each new pixel comes from, in coordinates from −1 to 1; black beyond the edges."""
    grid = F.affine_grid(torch.tensor([matrix], dtype=torch.float32), [1, 1, *images.shape[2:]], align_corners=False)
    return F.grid_sample(images, grid.to(images.device).expand(len(images), -1, -1, -1), mode="bilinear", padding_mode="zeros",
                         align_corners=False)


CORRUPTIONS: dict[str, Corruption] = {
    "shift_right": Corruption("Shifted sideways", "pixels to the right", "Moved left or right; the gap is black.", 0.0,
                              (-8, -6, -4, -2, 0, 2, 4, 6, 8), shift_right),
    "shift_down": Corruption("Shifted up or down", "pixels down", "Moved up or down; the gap is black.", 0.0,
                             (-8, -6, -4, -2, 0, 2, 4, 6, 8), shift_down),
    "rotation": Corruption("Turned", "degrees anticlockwise", "Turned about the middle.", 0.0,
                           (-60, -45, -30, -15, 0, 15, 30, 45, 60), rotate),
    "scale": Corruption("Scaled", "times as large", "Smaller or larger, the middle stays.", 1.0,
                        (0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6), scale),
    "noise": Corruption("Noise", "standard deviation, white is 1", "Random specks on every pixel.", 0.0,
                        (0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8), add_noise),
    "blur": Corruption("Blur", "pixels (standard deviation)", "Out of focus.", 0.0, (0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0), blur),
    "thickness": Corruption("Stroke thickness", "pixels on each side", "Bright strokes wider or narrower.", 0.0,
                            (-1.0, -0.75, -0.5, -0.25, 0, 0.5, 1.0, 1.5, 2.0), thicken),
    "contrast": Corruption("Contrast", "times the contrast", "Washed out, or black and white only.", 1.0,
                           (0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5), change_contrast),
}
