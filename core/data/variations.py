"""Training images and copies of them as other hands might have written them, made once and kept."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.config import DataConfig
from core.data.cached_arrays import kept_array
from core.data.dataset import DataError, Split

MOST_IMAGES = 50_000  # copies are made at some 4,000 images/s: twelve seconds at most
DIGITS = frozenset({"digits", "mnist"})  # data sets whose classes are digits, so that some copies can be written anew


def with_variations(train: Split, config: DataConfig, cache: Path, shown: Tensor | None = None) -> Split:
    """The split's images followed by `config.variations` copies of all of them, memory-mapped from the cache.

    Validation and test images stay as they are: they stand for what the network will meet.

    Args:
        shown: (N,) the digit that each of the split's images shows; None where they show no digits, or which is not known.

    Raises:
        DataError: the images are not 28×28 in gray, or too many.
    """
    copies = config.variations
    refuse_variations(config, tuple(train.images.shape[1:]))
    if len(train) * copies > MOST_IMAGES:
        raise DataError(f"data.variations is {copies}, which makes {len(train) * copies:,} copies; at most {MOST_IMAGES:,} are "
                        "made. Set it to 0: a data set of this size needs none.")
    labels = train.labels[train.rows].repeat(copies + 1)
    images = torch.from_numpy(_kept(train, copies, cache, shown))
    return Split(images, labels, torch.arange(len(labels)))


def digits_shown(config: DataConfig, classes: tuple[str, ...], labels: Tensor) -> Tensor | None:
    """(N,) the digit that each image shows, by its label (N,) among the data set's classes; None where they are no digits."""
    return torch.tensor([int(name) for name in classes])[labels] if config.dataset in DIGITS else None


def refuse_variations(config: DataConfig, shape: tuple[int, ...]) -> None:
    """Raises DataError where images of this shape (C, H, W) are to be varied and can't be."""
    if config.variations and shape != (1, 28, 28):
        raise DataError(f"data.variations is {config.variations}; copies can only be made of gray 28×28 images. Set it to 0.")


def _kept(train: Split, copies: int, cache: Path, shown: Tensor | None) -> np.ndarray:
    """(N · (copies + 1), 1, 28, 28) uint8, from the cache or made now."""
    originals = train.images[train.rows].numpy()
    # the pixels themselves are the name: another split, data set or number of copies is another file
    known = b"" if shown is None else shown.numpy().tobytes()
    name = hashlib.sha256(originals.tobytes() + known).hexdigest()[:16]

    def make() -> np.ndarray:
        from core.data.sources.digits import vary  # here, since it brings scikit-learn with it
        from core.data.sources.written import some_written

        varied = vary(originals[:, 0], copies)
        if shown is not None:
            varied = some_written(varied, np.tile(shown.numpy(), copies))
        return np.concatenate([originals, varied[:, None]])

    return kept_array(cache / "variations" / f"{name}-{copies}-v2.npy", (len(originals) * (copies + 1), 1, 28, 28), make)
