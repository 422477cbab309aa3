"""Which images are most alike, pixel by pixel, and which are the same."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

from core.data.dataset import Dataset, Split

CHUNK = 256  # images compared at once: 0.8 MB of MNIST's as int32. With 2,048, freed pieces stayed with the process: 200 MB
MOST_PIXELS = 33_000  # 255² · 33,000 fits into the int32 in which differences are summed


@dataclass(frozen=True)
class Neighbours:
    """The most alike first. positions: (k,) in the split; distances: (k,) float64, root of summed squared differences of pixels
    in [0, 1]; labels: (k,)."""

    positions: Tensor
    distances: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Place:
    """One image: its split's name, its position there, its label."""

    split: str
    position: int
    label: int


@dataclass(frozen=True)
class Duplicates:
    """Images that are there more than once, pixel for pixel.

    conflicting: groups whose members have different labels. copies: how many images could be left out without losing one.
    across: how many groups have members in more than one split.
    """

    conflicting: tuple[tuple[Place, ...], ...]
    copies: int
    across: int


def squared_distances(split: Split, image: Tensor) -> Tensor:
    """(N,) int64: summed squared differences between an image (C, H, W) uint8 and each of the split's, exact.

    Raises ValueError for images of more than MOST_PIXELS values.
    """
    if image.numel() > MOST_PIXELS:
        raise ValueError(f"images of more than {MOST_PIXELS:,} values can't be compared; these have {image.numel():,}")
    wanted = image.flatten().int()
    found = torch.zeros(len(split), dtype=torch.int64)
    for rows, place in zip(split.rows.split(CHUNK), found.split(CHUNK), strict=True):
        difference = split.images.index_select(0, rows).flatten(1).int()  # (n, C·H·W)
        difference -= wanted
        torch.sum(difference.square_(), dim=1, out=place)
    return found


def nearest(split: Split, image: Tensor, count: int, leave_out: int | None = None) -> Neighbours:
    """The split's `count` images with the smallest Euclidean distance in pixel space; of equally far ones the first.

    leave_out: the position of the image itself, if it is one of them.
    """
    distances = squared_distances(split, image)
    order = torch.argsort(distances, stable=True)
    if leave_out is not None:
        order = order[order != leave_out]
    order = order[:count]
    return Neighbours(order, distances[order].double().sqrt() / 255, split.labels[split.rows[order]])


def duplicates(data: Dataset) -> Duplicates:
    """Equal images, found by a 128-bit hash of their pixels and then compared."""
    groups: dict[bytes, list[Place]] = defaultdict(list)
    for name in ("train", "validation", "test"):
        split = data.split(name)
        labels = split.labels[split.rows].tolist()
        for start in range(0, len(split), CHUNK):
            images, _ = split.take(torch.arange(start, min(start + CHUNK, len(split))))
            for offset, pixels in enumerate(images.flatten(1).numpy()):
                digest = hashlib.blake2b(pixels, digest_size=16).digest()
                groups[digest].append(Place(name, start + offset, labels[start + offset]))
    same = [group for group in groups.values() if len(group) > 1 and _equal(data, group)]
    return Duplicates(tuple(tuple(group) for group in same if len({place.label for place in group}) > 1),
                      sum(len(group) - 1 for group in same), sum(len({place.split for place in group}) > 1 for group in same))


def picture_at(data: Dataset, place: Place) -> Tensor:
    """(C, H, W) uint8"""
    return data.split(place.split).take(torch.tensor([place.position]))[0][0]


def _equal(data: Dataset, group: list[Place]) -> bool:
    first = picture_at(data, group[0])
    return all(torch.equal(first, picture_at(data, place)) for place in group[1:])
