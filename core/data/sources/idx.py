"""The idx files of MNIST and its relatives, in torchvision's layout, memory-mapped.

Source of the format: Yann LeCun's MNIST page: two zero bytes, a type byte (8 = unsigned byte), the number of dimensions,
each dimension as a big-endian 32-bit integer, then the values.
"""

import gzip
import os
import shutil
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core.data.dataset import DataDamaged, DataMissing
from core.files import write_atomically


@dataclass(frozen=True)
class IdxFolder:
    """Where one data set's four files are.

    folder: torchvision's, below the data directory: "MNIST/raw".
    rows: images in (train, test).
    """

    folder: str
    rows: tuple[int, int]
    size: int = 28

    def load(self, root: Path, cache: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Train images (n, H, W), train labels (n,), test images, test labels: uint8, backed by the files themselves.

        Raises:
            DataMissing: a file is neither there unpacked nor gzipped.
            DataDamaged: a file is truncated or isn't what its name says.
        """
        train, test = self.rows
        return (
            self._array(root, cache, "train-images-idx3-ubyte", (train, self.size, self.size)),
            self._array(root, cache, "train-labels-idx1-ubyte", (train,)),
            self._array(root, cache, "t10k-images-idx3-ubyte", (test, self.size, self.size)),
            self._array(root, cache, "t10k-labels-idx1-ubyte", (test,)),
        )

    def is_available(self, root: Path) -> bool:
        """Whether all four files are in the data directory; says nothing about whether they are whole."""
        return all(find_file(root / self.folder, name) is not None for name in FILES)

    def _array(self, root: Path, cache: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
        packed = find_file(root / self.folder, name)
        if packed is None:
            raise DataMissing(f"{root / self.folder / name} is missing (looked for {name}.gz too). Download the data set on the "
                              "page “Explore data”, or set PLAYGROUND_DATA to the folder that holds it.")
        if packed.suffix != ".gz":
            return map_idx(packed, shape)
        # size and time in the name: another file of that name is unpacked anew
        about = packed.stat()
        unpacked = cache / self.folder / f"{name}-{about.st_size}-{about.st_mtime_ns}"
        if unpacked.exists():
            try:
                return map_idx(unpacked, shape)
            except DataDamaged:
                pass  # the copy, which says nothing about the file itself: unpack that again
        unpack(packed, unpacked)
        try:
            return map_idx(unpacked, shape, shown_as=packed)
        except DataDamaged:
            unpacked.unlink(missing_ok=True)
            raise


FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def find_file(folder: Path, name: str) -> Path | None:
    """One of FILES, unpacked or gzipped, under either spelling (Kaggle's archives have train-images.idx3-ubyte), and also in a
    folder of its own name, as those unpack; None where it is not there."""
    spelled = [name, name.replace("-idx", ".idx")]
    names = [one for spelling in spelled for one in (spelling, f"{spelling}.gz")]
    places = [folder / inside / one for one in names for inside in ("", *spelled)]
    # os.path and not Path.is_file, which raises where the directory may not be entered
    return next((path for path in places if os.path.isfile(path)), None)


def unpack(packed: Path, into: Path) -> None:
    """gunzip `packed` into `into`, which appears only when whole. Raises DataDamaged, or OSError for a full disk."""
    try:
        with gzip.open(packed, "rb") as source:
            write_atomically(into, lambda file: shutil.copyfileobj(source, file, 1 << 20))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DataDamaged(f"{packed} is truncated or damaged. Delete it and download it again.") from None


def map_idx(path: Path, shape: tuple[int, ...], shown_as: Path | None = None) -> np.ndarray:
    """The values of an unpacked idx file, (shape) uint8, memory-mapped so that processes share one copy.

    Raises:
        DataDamaged: the header or the length does not fit `shape`.
    """
    header = struct.pack(">HBB", 0, 8, len(shape)) + b"".join(struct.pack(">I", n) for n in shape)
    with path.open("rb") as file:
        start = file.read(len(header))
    length = path.stat().st_size
    if start != header or length != len(header) + int(np.prod(shape)):
        wanted = len(header) + int(np.prod(shape))
        what = f"it has {length:,} bytes and should have {wanted:,}" if length != wanted else "its header is wrong"
        raise DataDamaged(f"{shown_as or path} is damaged: {what} (unpacked). Delete it and download it again.")
    # mode "c": private pages that nobody writes to stay shared, and PyTorch gets the writable array it wants
    return np.memmap(path, dtype=np.uint8, mode="c", offset=len(header), shape=shape)


def as_images(array: np.ndarray) -> torch.Tensor:
    """(N, H, W) uint8 → (N, 1, H, W) uint8 tensor over the same memory."""
    return torch.from_numpy(array).unsqueeze(1)
