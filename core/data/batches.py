"""Batches by index selection from a whole data set in memory, normalised a few thousand images at a time.

A DataLoader calls Python once for each image. Here one selection serves many batches, and each batch is a view of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from core.data.dataset import Dataset, Split, normalize
from core.transforms import Workspace, augment, fixed_sizes, generator_for, has_chance

# Images gathered and normalised at once: 784-50-10 trains 4 % faster so than with 512. Random transforms need several arrays of
# that size, which would leave the processor's cache; besides, what they draw belongs to the piece.
PIECE, VARIED_PIECE = 2048, 512
LARGEST_PIECE = 4_000_000  # values, 16 MB in float32: fewer images at once where they are large


@dataclass(frozen=True)
class Batch:
    """images: (n, C, H, W) float32, normalised; labels: (n,) int64; both on the device."""

    images: Tensor
    labels: Tensor


class Batches:
    """A split's images on their way to a network: in memory as uint8, on the GPU from the start if there is one."""

    def __init__(self, data: Dataset, split: Split, device: torch.device, channels_last: bool = False) -> None:
        if split.images.dim() == 4:  # images from elsewhere, too, come in the size that the network gets
            split = replace(split, sizes=fixed_sizes(data.transforms))
        self.data, self.mean, self.std = data, data.mean, data.std
        self.device = device
        self.channels_last = channels_last
        self.space = Workspace()
        # CPU: the memory-mapped stack itself, no copy. GPU: the split's rows once, so that no batch crosses the bus.
        self.split = split if device.type == "cpu" else Split(
            split.images[split.rows].to(device), split.labels[split.rows].to(device),
            torch.arange(len(split), device=device), split.sizes)

    def __len__(self) -> int:
        return len(self.split)

    def iterate(self, batch_size: int, order: Tensor | None = None, skip: int = 0, chance: tuple[int, ...] | None = None,
                ) -> Iterator[Batch]:
        """The split's batches, the last one smaller where it does not divide evenly.

        Args:
            order: positions within the split, each once, in the order to visit them; None goes from first to last.
            skip: batches that have been visited already.
            chance: whole numbers that decide what random transforms draw, such as a seed and an epoch; each batch is then the
                same whatever was skipped. None leaves random transforms out.
        """
        order = torch.arange(len(self.split)) if order is None else order
        order = order.to(self.split.rows.device)
        if not has_chance(self.data.transforms):
            chance = None
        per_piece = self.batches_per_piece(batch_size, chance is not None)
        # what is drawn belongs to the whole piece, so all of it is made again; other pieces may begin anywhere
        first = skip if chance is None else skip - skip % per_piece
        for start in range(first * batch_size, len(order), per_piece * batch_size):
            positions = order[start:start + per_piece * batch_size]
            images, labels = self.piece(positions, None if chance is None else (*chance, start // batch_size))
            done = max(0, skip - start // batch_size)
            yield from map(Batch, images.split(batch_size)[done:], labels.split(batch_size)[done:])

    def batches_per_piece(self, batch_size: int, varied: bool) -> int:
        """How many batches are gathered at once, for random transforms or without."""
        most = min(VARIED_PIECE if varied else PIECE, LARGEST_PIECE // prod(self.data.input_shape))
        return max(1, most // batch_size)

    def piece(self, positions: Tensor, chance: tuple[int, ...] | None) -> tuple[Tensor, Tensor]:
        """Images, ready for the network, and labels at positions; through random transforms where there is a `chance`."""
        if chance is None:
            pixels, labels = self.split.take(positions)
            images = normalize(pixels, self.mean, self.std)
        else:
            pixels, labels = self.split.stored(positions)
            images = augment(self.data.transforms, pixels, self.data.last_mean, self.data.last_std, generator_for(*chance),
                             self.space)
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return images, labels
