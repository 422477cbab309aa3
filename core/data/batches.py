"""Batches by index selection from a whole data set in memory, normalised a few thousand images at a time.

A DataLoader calls Python once for each image. Here one selection serves many batches, and each batch is a view of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from core.data.dataset import Dataset, Split, normalize

# Images gathered and normalised at once. Smaller pays the overhead more often; larger leaves the processor's cache.
PIECE = 512


@dataclass(frozen=True)
class Batch:
    """images: (n, C, H, W) float32, normalised; labels: (n,) int64; both on the device."""

    images: Tensor
    labels: Tensor


class Batches:
    """A split's images on their way to a network: in memory as uint8, on the GPU from the start if there is one."""

    def __init__(self, data: Dataset, split: Split, device: torch.device, channels_last: bool = False) -> None:
        self.mean, self.std = data.mean, data.std
        self.device = device
        self.channels_last = channels_last
        # CPU: the memory-mapped stack itself, no copy. GPU: the split's rows once, so that no batch crosses the bus.
        self.split = split if device.type == "cpu" else Split(
            split.images[split.rows].to(device), split.labels[split.rows].to(device),
            torch.arange(len(split), device=device))

    def __len__(self) -> int:
        return len(self.split)

    def iterate(self, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
        """The split's batches, the last one smaller where it does not divide evenly.

        Args:
            order: positions within the split, each once, in the order to visit them; None goes from first to last.
        """
        order = torch.arange(len(self.split)) if order is None else order
        if not len(order):
            return  # split() would give one empty batch
        order = order.to(self.split.rows.device)
        per_piece = max(1, PIECE // batch_size) * batch_size
        for positions in order.split(per_piece):
            pixels, labels = self.split.take(positions)
            images = normalize(pixels, self.mean, self.std)
            if self.channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            yield from map(Batch, images.split(batch_size), labels.split(batch_size))
