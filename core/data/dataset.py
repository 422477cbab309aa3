"""What a loaded data set is: pixels or points shared with other processes, and which rows are for what."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from core.actors import NOT_YOUR_DATA
from core.transforms import Steps, resize, shape_after
from core.wording import Kind


class DataError(ValueError):
    """Data that can't be used; the message is one line that says which file and what to do."""


class DataMissing(DataError):
    """A data set's files are not there."""


class DataDamaged(DataError):
    """A data set's file is not what it should be."""


class NotYourData(DataError):
    """Data that somebody else has brought."""

    def __init__(self) -> None:
        super().__init__(NOT_YOUR_DATA)


Target = Literal["classes", "number"]


@dataclass(frozen=True)
class Split:
    """Some rows of a stack of examples.

    images: the whole stack, whatever the examples are: images (M, C, H, W) uint8, memory-mapped where they come from a file;
        points (M, F) float32; texts (M, L) int64, the number of each word, 0 where a text has ended.
    labels: (M,) one for each example of the stack: int64 classes, or float32 where a number is to be predicted.
    rows: (N,) int64, which of them belong to this split, ascending; a row that is learned from several times is there so often.
    sizes: heights and widths that images are brought to when they are taken, one after the other; none leaves them as stored.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    sizes: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Images (n, C, H, W) uint8 and labels (n,) at positions within the split, in the size that a network gets."""
        images, labels = self.stored(positions)
        for size in self.sizes:
            images = resize(images, size)
        return images, labels

    def stored(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """As take, but images in the size they are stored in."""
        rows = self.rows.index_select(0, positions)  # 55,000 images take 7 ms so, and 52 ms with square brackets
        return self.images.index_select(0, rows), self.labels.index_select(0, rows)

    def positions(self, label: int | None, start: int, count: int) -> Tensor:
        """Positions of at most `count` images from the `start`-th on, of one label or of all (None)."""
        found = torch.arange(len(self)) if label is None else (self.labels[self.rows] == label).nonzero()[:, 0]
        return found[start:start + count]

    def counts(self, classes: int) -> list[int]:
        """How many examples of each class the split has; none where numbers are predicted."""
        if self.labels.is_floating_point():
            return []
        return torch.bincount(self.labels[self.rows], minlength=classes).tolist()


@dataclass(frozen=True)
class Dataset:
    """A data set as a run sees it: split, with its task's labels and its normalisation.

    classes: names, by label. For the task "is it an 8?" these are ("not 8", "8").
    source_classes: names of the data set's own classes. Both are empty where a number is predicted.
    mean, std: for each channel, of pixels in [0, 1], or for each feature of points; what normalize() uses. Empty for texts. They
        stand for all Normalize steps and the normalization after them, as images meet them that go through nothing random.
    kind: what the examples are. target: what is asked of them.
    transforms: steps that training images go through; then comes (x − last_mean) / last_std.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    source_classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: Split
    validation: Split
    test: Split
    kind: Kind = "images"
    target: Target = "classes"
    transforms: Steps = ()
    last_mean: tuple[float, ...] = ()
    last_std: tuple[float, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one example as a network gets it: (C, H, W) of an image, (F,) of a point, (L,) of a text."""
        return shape_after(tuple(self.train.images.shape[1:]), self.transforms)

    def split(self, name: str) -> Split:
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]


def normalize(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Images (N, C, H, W), uint8 or float in [0, 1], or points (N, F) → float32 with (x − mean) / std for each channel or
    feature. Texts (N, L) int64 have no mean and stay as they are."""
    if not mean:
        return images
    scale = 1 / 255 if images.dtype == torch.uint8 else 1.0
    # one multiply and at most one add: (x · scale − m) / s = x · (scale / s) − m / s
    pixels = images.to(torch.float32, copy=True).mul_(_channels([scale / s for s in std], images))
    return pixels.add_(_channels([-m / s for m, s in zip(mean, std, strict=True)], images)) if any(mean) else pixels


def _channels(values: list[float], examples: Tensor) -> Tensor:
    """One value for each channel or feature; for a single one a plain scalar, which is faster to multiply with."""
    if len(values) == 1:
        return torch.tensor(values[0], device=examples.device)
    return torch.tensor(values, device=examples.device).view(-1, *(1 for _ in examples.shape[2:]))
