"""A picture brought to a network as the images of its own set were when they were brought here: same size, cut, colour.

    how = preparation_of(config.data, model_shape, root)     # None: a drawing goes the way of MNIST's digits
    prepared = from_file(content, how)                       # hostile bytes: read by the process with limits
    prepared = from_sheet(rgba, how)                         # what the canvas on a page sent

The work itself is core.importing.decode's, which an import uses, so that a picture of the set comes out pixel for pixel as it
lies there.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.config import DataConfig
from core.data.dataset import DataError
from core.data.drawing import BOX_SHARE, DrawingError, find_box, place_like_mnist
from core.data.drawing.photograph import LONGEST, read_in_child
from core.data.own.sets import is_own, read_arrays, read_set
from core.importing.decode import BadImage, Fit, decode

LOOKED_AT = 300  # images of a set, to find out how they lie in their frame
LIKE_MNIST = 0.9  # of them: whoever has a few odd ones among their digits has digits still
SEEN = 25  # gray values by which something must be unlike the ground
DARK = 64  # gray values up to here are a dark ground
DRAWING_SHAPE = (1, 28, 28)  # what prepare() makes of a drawing


@dataclass(frozen=True)
class Preparation:
    """How a set's images became what a network gets.

    size: height and width in pixels. light_on_dark: their ground is dark, so that ink on white paper would be the reverse. said:
    whether the set says how; else the likeliest way is taken. title: what the set is called. filled: how much of an image's side
    what it shows takes, as far as that can be told from its ground.
    """

    size: int
    channels: int
    fit: Fit
    light_on_dark: bool
    said: bool
    title: str
    filled: float = BOX_SHARE


@dataclass(frozen=True, eq=False)
class Prepared:
    """Every stage. given: (H, W, 3 or 4) uint8, at most 560 pixels long. fitted: (h, w, 3 or 4) uint8, made smaller. framed:
    (size, size, 3) uint8, on a ground. image: (C, size, size) float32 in [0, 1], what the network gets. flat: it has one colour.
    inverted: light and dark were swapped."""

    given: np.ndarray
    fitted: np.ndarray
    framed: np.ndarray
    image: Tensor
    flat: bool
    inverted: bool


def preparation_of(config: DataConfig, shape: tuple[int, ...], root: Path) -> Preparation | None:
    """How a picture is prepared for a network that takes `shape`, (C, H, W); None where it goes the way of MNIST's digits, as for
    gray images of 28×28 that lie so in their frame, or of which nothing else is known."""
    if not is_own(config.dataset):
        square = len(shape) == 3 and shape[1] == shape[2]
        return None if shape == DRAWING_SHAPE or not square else Preparation(shape[1], shape[0], "crop", False, False, "")
    try:
        own, images = read_set(root, config.dataset), read_arrays(root, config.dataset).images
    except DataError:  # it has been deleted: its networks stay
        return None if shape == DRAWING_SHAPE else Preparation(shape[1], shape[0], "pad", False, False, "")
    some = images[:: max(1, len(images) // LOOKED_AT)][:LOOKED_AT] if len(images) else images
    if own.input_shape == DRAWING_SHAPE and lies_like_mnist(some):
        return None
    channels, size, _ = own.input_shape
    return Preparation(size, channels, own.fit or "pad", has_dark_ground(some), bool(own.fit), own.title, share_filled(some))


def lies_like_mnist(images: np.ndarray) -> bool:
    """Whether (N, 1, 28, 28) uint8 images are light ink on black, with the middle of the ink in the middle of the frame."""
    if not len(images):
        return False
    pixels = images[:, 0].astype(np.float64)
    border = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1)
    places, amount = np.arange(28), np.maximum(pixels.sum((1, 2)), 1e-9)
    middles = np.stack([pixels.sum(axis) @ places / amount for axis in (2, 1)])
    lies = (np.median(border, axis=1) < DARK / 2) & (np.abs(middles - 14) <= 1.5).all(0)
    return bool(lies.mean() >= LIKE_MNIST)


def has_dark_ground(images: np.ndarray) -> bool:
    """Whether the edges of most (N, C, H, W) uint8 images are dark."""
    if not len(images):
        return False
    border = np.concatenate([images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]], axis=2)
    return bool((np.median(border, axis=(1, 2)) < DARK).mean() > 0.5)


def share_filled(images: np.ndarray) -> float:
    """How much of the side of (N, C, S, S) uint8 images what they show takes: the median of the longer side of what is unlike the
    colour of their edge. That of MNIST's digits where nothing is."""
    found = []
    for image in images.astype(np.float32):
        border = np.concatenate([image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]], axis=1)
        apart = np.abs(image - np.median(border, axis=1)[:, None, None]).max(axis=0)
        box = find_box(np.where(apart > max(SEEN, 0.4 * apart.max()), apart, 0))
        if box is not None:
            found.append(max(box.height, box.width) / image.shape[1])
    return float(np.clip(np.median(found), 0.3, 1.0)) if found else BOX_SHARE


def from_file(content: bytes, how: Preparation) -> Prepared:
    """A picture file of unknown origin. Raises DrawingError, one line."""
    def load(folder: Path) -> Prepared:
        with np.load(folder / "prepared.npz", allow_pickle=False) as found:
            return _prepared(np.load(folder / "picture.npy", allow_pickle=False), found["fitted"], found["framed"],
                             found["pixels"], bool(found["flat"]), False)

    options = {"longest": LONGEST, "size": how.size, "channels": how.channels, "fit": how.fit}
    return read_in_child(content, options, load)


def from_sheet(rgba: np.ndarray, how: Preparation) -> Prepared:
    """What was drawn: (H, W, 4) uint8, dark on white. Swapped where the set's ground is dark. Raises DrawingError."""
    drawn = 255 - rgba[..., :3] if how.light_on_dark else rgba[..., :3]
    file, steps = io.BytesIO(), {}
    Image.fromarray(np.ascontiguousarray(drawn)).save(file, format="PNG")
    try:
        picture = decode(file.getvalue(), how.size, how.channels, how.fit, steps)
    except BadImage as error:
        raise DrawingError(f"The drawing can't be used: {error}.") from None
    return _prepared(rgba[..., :3], steps["fitted"], steps["framed"], picture.pixels, "flat" in picture.told, how.light_on_dark)


def from_ink(ink: np.ndarray, how: Preparation | None) -> Tensor:
    """The ink of one mark, (h, w) float32 in [0, 1], as a network gets it: with as much room around it as the set's images have,
    dark on white, and then as from_sheet(); (C, size, size) float32 in [0, 1]. how None: as MNIST was made."""
    if how is None:
        return torch.from_numpy(place_like_mnist(ink))[None]
    side = max(8, round(max(ink.shape) / how.filled))
    sheet = np.full((side, side, 4), 255, np.uint8)
    top, left = ((side - length) // 2 for length in ink.shape)
    sheet[top:top + ink.shape[0], left:left + ink.shape[1], :3] = np.rint(255 * (1 - ink.clip(0, 1)))[..., None].astype(np.uint8)
    return from_sheet(sheet, how).image


def _prepared(given: np.ndarray, fitted: np.ndarray, framed: np.ndarray, pixels: np.ndarray, flat: bool,
              inverted: bool) -> Prepared:
    return Prepared(given, fitted, framed, torch.from_numpy(pixels.astype(np.float32)) / 255, flat, inverted)
