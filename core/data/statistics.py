"""What a data set's pixels are like: means, variances and counts of values, exact, in one pass over the images."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.data.dataset import Dataset, Split

CHUNK = 256  # images at once: sums of 256 squares of 255 are exact in float32, and little memory is taken


@dataclass(frozen=True)
class ClassMoments:
    """mean, variance: (K, C, H, W) float32 of pixels in [0, 1], variance with the divisor N; NaN for a class without images.

    counts: (K,) images of each class.
    """

    mean: Tensor
    variance: Tensor
    counts: Tensor


@dataclass(frozen=True)
class PixelHistogram:
    """How often each of the 256 pixel values occurs.

    counts: (C, 256). values: (C, 256), what each pixel value, from 0 to 255, is for the network.
    mean, std: of these values over all channels; std with the divisor N.
    """

    counts: np.ndarray
    values: np.ndarray
    mean: float
    std: float


def pixel_counts(split: Split) -> np.ndarray:
    """(C, 256) int64: how often each pixel value occurs in each channel."""
    channels = split.images.shape[1]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for rows in split.rows.split(CHUNK):
        images = split.images.index_select(0, rows).numpy()
        for channel in range(channels):
            counts[channel] += _count_bytes(images[:, channel])
    return counts


def _count_bytes(values: np.ndarray) -> np.ndarray:
    """np.bincount for bytes, two at a time, which takes half as long."""
    flat = np.ascontiguousarray(values).ravel()
    odd = flat[len(flat) // 2 * 2:]
    pairs = np.bincount(flat[:len(flat) // 2 * 2].view(np.uint16), minlength=65536).reshape(256, 256)
    return pairs.sum(0) + pairs.sum(1) + np.bincount(odd, minlength=256)


def moments(counts: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and (population) standard deviation of each channel, pixels in [0, 1], from pixel_counts()."""
    values = np.arange(256) / 255
    means, deviations = [], []
    for channel in counts:
        mean = float(channel @ values / channel.sum())
        means.append(mean)
        deviations.append(max(float(np.sqrt(channel @ (values - mean) ** 2 / channel.sum())), 1e-6))  # 1e-6: a flat channel
    return tuple(means), tuple(deviations)


def channel_statistics(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and (population) standard deviation of each channel, pixels in [0, 1], exact: from counts of the 256 values; or of
    each feature of points."""
    if split.images.dim() == 2:
        points = split.images[split.rows].double()
        deviation = points.std(0, correction=0).clamp(min=1e-6)  # a flat feature
        return tuple(points.mean(0).tolist()), tuple(deviation.tolist())
    return moments(pixel_counts(split))


def pixel_histogram(counts: np.ndarray, mean: tuple[float, ...] | None = None,
                    std: tuple[float, ...] | None = None) -> PixelHistogram:
    """The histogram of (x − mean) / std, x being pixels in [0, 1]; of the bytes themselves, 0 to 255, without mean and std.

    Args:
        counts: from pixel_counts(). mean, std: for each channel, as normalize() takes them.
    """
    levels = np.arange(256, dtype=float)
    values = np.tile(levels, (len(counts), 1))
    if mean is not None and std is not None:
        values = (values / 255 - np.array(mean)[:, None]) / np.array(std)[:, None]
    total = counts.sum()
    average = float((counts * values).sum() / total)
    return PixelHistogram(counts, values, average, float(np.sqrt((counts * (values - average) ** 2).sum() / total)))


def class_moments(split: Split, classes: int) -> ClassMoments:
    """Mean and variance image of each class."""
    shape = split.images.shape[1:]
    total = torch.zeros(classes, shape.numel(), dtype=torch.float64)
    squares = torch.zeros_like(total)
    counts = torch.bincount(split.labels[split.rows], minlength=classes)
    for rows in split.rows.split(CHUNK):
        pixels = split.images.index_select(0, rows).flatten(1).float()  # (n, C·H·W)
        member = F.one_hot(split.labels.index_select(0, rows), classes).T.float()  # (K, n)
        total += member @ pixels
        squares += member @ pixels.square()
    mean = total / counts[:, None]
    variance = (squares / counts[:, None] - mean ** 2).clamp_min(0)  # NaN stays NaN
    return ClassMoments((mean / 255).float().reshape(classes, *shape), (variance / 255 ** 2).float().reshape(classes, *shape),
                        counts)


def class_balance(data: Dataset) -> dict[str, list[int]]:
    """Split → how many images of each class it has."""
    return {name: data.split(name).counts(len(data.classes)) for name in ("train", "validation", "test")}


def memory_bytes(data: Dataset) -> int:
    """What images and labels take in memory; splits that share a stack count it once."""
    stacks = {tensor.data_ptr(): tensor.nbytes for split in (data.train, data.validation, data.test)
              for tensor in (split.images, split.labels)}
    return sum(stacks.values())
