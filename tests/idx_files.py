"""Small idx files in torchvision's layout, for tests of what reads them."""

import gzip
import struct
from pathlib import Path

import numpy as np

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx_bytes(array: np.ndarray) -> bytes:
    """A uint8 array as an idx file: two zeros, type 8, number of dimensions, each of them big-endian, then the values."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write `array` to `path`, gzipped where it ends in .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def make_arrays(rows: tuple[int, int] = (60, 20), size: int = 28, classes: int = 10, seed: int = 0) -> list[np.ndarray]:
    """Random train images, train labels, test images, test labels. Every class occurs in both parts."""
    random = np.random.default_rng(seed)
    arrays = []
    for count in rows:
        arrays += [random.integers(0, 256, (count, size, size), dtype=np.uint8),
                   random.permutation(np.arange(count, dtype=np.uint8) % classes)]
    return arrays


def write_set(folder: Path, arrays: list[np.ndarray], packed: bool = True) -> None:
    """The four files of a data set, as a download leaves them (gzipped) or unpacked."""
    for name, array in zip(NAMES, arrays, strict=True):
        write_idx(folder / f"{name}{'.gz' if packed else ''}", array)
