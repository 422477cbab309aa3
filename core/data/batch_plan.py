"""How an epoch is cut into batches, and in which order images come."""

from dataclasses import dataclass

import torch
from torch import Tensor

ORDERS = ("shuffled", "as stored", "sorted by label")


@dataclass(frozen=True)
class BatchPlan:
    """full: batches of batch_size images. last: images of one more, smaller batch; 0 if there is none. dropped: images that no
    batch has."""

    full: int
    batch_size: int
    last: int
    dropped: int

    @property
    def batches(self) -> int:
        return self.full + (self.last > 0)

    def size(self, index: int) -> int:
        """Images in the batch with that index, from 0."""
        return self.batch_size if index < self.full else self.last


def plan(images: int, batch_size: int, drop_last: bool = False) -> BatchPlan:
    """An epoch of `images` images, as torch.utils.data.DataLoader cuts it. Raises ValueError for a batch size below 1."""
    if batch_size < 1:
        raise ValueError("a batch has at least one image")
    full, rest = divmod(images, batch_size)
    return BatchPlan(full, batch_size, 0 if drop_last else rest, rest if drop_last else 0)


def visiting_order(labels: Tensor, order: str, seed: int = 0) -> Tensor:
    """(N,) positions in the order an epoch visits them.

    shuffled: as DataLoader(shuffle=True, generator=torch.Generator().manual_seed(seed)) draws it. sorted by label: the worst
    case of a folder that was read class by class.
    """
    if order == "shuffled":
        # DataLoader's sampler first draws a seed for its workers from the generator it was given
        generator = torch.Generator().manual_seed(seed)
        torch.empty((), dtype=torch.int64).random_(generator=generator)
        return torch.randperm(len(labels), generator=generator)
    if order == "sorted by label":
        return labels.argsort(stable=True)
    return torch.arange(len(labels))


def shares(labels: Tensor, classes: int, steps: int = 60) -> Tensor:
    """(steps, K) share of each class in equal stretches of an epoch's labels (N,); fewer stretches than images, at least one."""
    parts = labels.tensor_split(max(1, min(steps, len(labels))))
    return torch.stack([torch.bincount(part, minlength=classes) / max(1, len(part)) for part in parts])
