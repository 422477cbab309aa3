"""Drawings that a person has kept with what they mean: a small data set, and a zip file that Explore data imports again."""

import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.actors import LOCAL, Actor
from core.data.dataset import DataError
from core.data.own.sets import OwnSet, held_for_testing, save_set

MOST = 500  # drawings of one person: 0.4 MB


@dataclass(frozen=True, eq=False)
class MyDigits:
    """images: (N, 1, 28, 28) uint8, white ink on black. labels: (N,) int64. classes: names, by label."""

    classes: tuple[str, ...]
    images: Tensor
    labels: Tensor

    @classmethod
    def none_yet(cls, classes: tuple[str, ...]) -> "MyDigits":
        return cls(classes, torch.zeros(0, 1, 28, 28, dtype=torch.uint8), torch.zeros(0, dtype=torch.long))

    def __len__(self) -> int:
        return len(self.labels)

    def keep(self, image: Tensor, label: int) -> "MyDigits":
        """With one more (1, 28, 28) float32 in [0, 1]. Raises DataError where there are too many already."""
        if len(self) >= MOST:
            raise DataError(f"{MOST} drawings are kept at most. Download them, then delete some.")
        pixels = image.clamp(0, 1).mul(255).round().to(torch.uint8)[None]
        return replace(self, images=torch.cat([self.images, pixels]), labels=torch.cat([self.labels, torch.tensor([label])]))

    def without(self, place: int) -> "MyDigits":
        """Without the drawing at this place."""
        rest = [i for i in range(len(self)) if i != place]
        return replace(self, images=self.images[rest], labels=self.labels[rest])

    def counts(self) -> list[int]:
        """Drawings of each class."""
        return torch.bincount(self.labels, minlength=len(self.classes)).tolist()


def zip_of(kept: MyDigits) -> bytes:
    """A zip file with a folder of PNG files for each class, as Explore data and import_images take it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, (image, label) in enumerate(zip(kept.images, kept.labels.tolist(), strict=True)):
            picture = io.BytesIO()
            Image.fromarray(image[0].numpy()).save(picture, format="PNG")
            name = kept.classes[label].replace("/", "_")
            archive.writestr(zipfile.ZipInfo(f"my-digits/{name}/{place + 1:03d}.png"), picture.getvalue())
    return file.getvalue()


def as_set(kept: MyDigits, root: Path, title: str, copies: int = 0, hidden: bool = False,
           actor: Actor = LOCAL) -> OwnSet:
    """Keep the drawings as a data set of one's own: all to learn from where it is hidden, as it is joined to another set then;
    else with a fifth of them and their copies for testing.

    Args:
        root: the data directory. title: what it is called where it is listed.
        copies: so many of each drawing as other hands might have written it are added.
        hidden: only who knows its name can use it, and no list shows it. actor: whose it becomes.

    Raises:
        DataError: the data directory can't be written to.
    """
    images, labels = kept.images.numpy(), kept.labels.numpy()
    if copies:
        from core.data.sources.digits import vary

        images = np.concatenate([images, vary(images[:, 0], copies)[:, None]])
        labels = np.tile(labels, copies + 1)
    test = np.zeros(len(labels), bool)
    if not hidden:
        test = np.tile(held_for_testing(kept.labels.numpy()), copies + 1)  # with its copies, which are nobody else's images
    return save_set(root, title, kept.classes, images, labels, test, "drawn here", hidden, actor)
