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
# that size, which would leave the processor's cache; besides, what they draw belongs to the chunk.
CHUNK, VARIED_CHUNK = 2048, 512
LARGEST_CHUNK = 4_000_000  # values, 16 MB in float32: fewer images at once where they are large


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

    def iterate(self, batch_size: int, order: Tensor | None = None, skip: int = 0,
                augmentation_seed: tuple[int, ...] | None = None) -> Iterator[Batch]:
        """The split's batches, the last one smaller where it does not divide evenly.

        Args:
            order: positions within the split, each once, in the order to visit them; None goes from first to last.
            skip: batches that have been visited already.
            augmentation_seed: whole numbers that decide what random transforms draw, such as a seed and an epoch; each batch is
                then the same whatever was skipped. None leaves random transforms out.
        """
        order = torch.arange(len(self.split)) if order is None else order
        order = order.to(self.split.rows.device)
        if not has_chance(self.data.transforms):
            augmentation_seed = None
        per_chunk = self.batches_per_chunk(batch_size, augmentation_seed is not None)
        # what is drawn belongs to the whole chunk, so all of it is made again; other pieces may begin anywhere
        first = skip if augmentation_seed is None else skip - skip % per_chunk
        for start in range(first * batch_size, len(order), per_chunk * batch_size):
            positions = order[start:start + per_chunk * batch_size]
            seed = None if augmentation_seed is None else (*augmentation_seed, start // batch_size)
            images, labels = self.chunk(positions, seed)
            done = max(0, skip - start // batch_size)
            yield from map(Batch, images.split(batch_size)[done:], labels.split(batch_size)[done:])

    def batches_per_chunk(self, batch_size: int, varied: bool) -> int:
        """How many batches are gathered at once, for random transforms or without."""
        most = min(VARIED_CHUNK if varied else CHUNK, LARGEST_CHUNK // prod(self.data.input_shape))
        return max(1, most // batch_size)

    def chunk(self, positions: Tensor, augmentation_seed: tuple[int, ...] | None) -> tuple[Tensor, Tensor]:
        """Images, ready for the network, and labels at positions; through random transforms where there is a seed."""
        if augmentation_seed is None:
            pixels, labels = self.split.take(positions)
            images = normalize(pixels, self.mean, self.std)
        else:
            pixels, labels = self.split.stored(positions)
            images = augment(self.data.transforms, pixels, self.data.last_mean, self.data.last_std,
                             generator_for(*augmentation_seed), self.space)
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return images, labels
