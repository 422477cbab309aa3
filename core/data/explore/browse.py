"""Finding images: by name of their class, in file order or shuffled."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from core.data.dataset import Dataset, Split

PROBES, IN_A_ROW = 64, 16  # images of each split that a fingerprint looks at, and how many of them lie beside each other


def find_classes(classes: Sequence[str], text: str) -> list[int]:
    """Labels of the classes whose name has `text` in it, upper or lower case; those named exactly so if there are any."""
    wanted = text.strip().casefold()
    exact = [label for label, name in enumerate(classes) if name.casefold() == wanted]
    return exact or [label for label, name in enumerate(classes) if wanted in name.casefold()]


def find_images(split: Split, labels: Sequence[int] | None = None, seed: int = 0) -> Tensor:
    """(n,) positions of all images with one of these labels (all if None), in file order, or shuffled where seed is not 0."""
    found = torch.arange(len(split))
    if labels is not None:
        wanted = torch.zeros(int(split.labels.max()) + 1 if len(split.labels) else 1, dtype=torch.bool)
        wanted[[label for label in labels if label < len(wanted)]] = True
        found = wanted[split.labels[split.rows]].nonzero()[:, 0]
    return found[torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))] if seed else found


def fingerprint(data: Dataset) -> str:
    """What tells loaded data sets apart, for caches: all labels and rows, and some images. Takes about a millisecond."""
    digest = hashlib.blake2b(repr((data.name, data.title, data.classes, data.mean, data.std)).encode(), digest_size=16)
    for split in (data.train, data.validation, data.test):
        digest.update(repr(tuple(split.images.shape)).encode())
        digest.update(split.labels[split.rows].numpy().data)
        digest.update(split.rows.numpy().data)
        # 64 that are scattered over a mapped file bring nearly all of MNIST into memory with them
        starts = torch.linspace(0, max(0, len(split) - IN_A_ROW), PROBES // IN_A_ROW).long()
        some = (starts[:, None] + torch.arange(min(IN_A_ROW, len(split)))).flatten()
        digest.update(split.images.index_select(0, split.rows.index_select(0, some)).numpy().data)
    return digest.hexdigest()
