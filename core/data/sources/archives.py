"""Data sets that come as one archive: EMNIST's letters in a zip file, CIFAR-10 in a tar file.

Nothing is unpacked to a place that an archive names: members are found by their exact names and read as a stream, no further than
a data set of this size reaches, into one array in the cache that is then memory-mapped. No pickle is ever read.
"""

import gzip
import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from core.data.cached_arrays import Put, kept_filled
from core.data.dataset import DataDamaged, DataMissing

PIECE = 4096  # images at once
BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile, NotImplementedError, RuntimeError,
          UnicodeDecodeError)  # RuntimeError: an encrypted member; NotImplementedError: a way of packing that Python lacks


class Readable(Protocol):
    """A stream of bytes, packed or not."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True)
class Stack:
    """images: (train + test, C, H, W), labels: (train + test,), training images first; uint8, mapped from the cache."""

    images: np.ndarray
    labels: np.ndarray


def _kept_stack(path: Path, rows: int, shape: tuple[int, int, int], classes: int, source: Path,
                fill: Callable[[Put, Put], None]) -> Stack:
    """A stack kept as one flat file, all images and then all labels. `fill` gets a put() for images and one for labels."""
    pixels = int(np.prod(shape))

    def fill_flat(put: Put) -> None:
        fill(lambda first, images: put(first * pixels, images.reshape(-1)),
             lambda first, labels: put(rows * pixels + first, _checked(labels, classes, source)))

    try:
        flat = kept_filled(path, (rows * (pixels + 1),), fill_flat)
    except BROKEN:
        raise DataDamaged(f"{source} is truncated or damaged. Delete it and download it again.") from None
    return Stack(flat[:rows * pixels].reshape(rows, *shape), flat[rows * pixels:])


def _checked(labels: np.ndarray, classes: int, source: Path) -> np.ndarray:
    if len(labels) and labels.max() >= classes:
        raise DataDamaged(f"{source} holds labels beyond {classes - 1}. Delete it and download it again.")
    return labels


def _stamp(path: Path) -> str:
    """Size and time: another file of that name is read anew."""
    about = path.stat()
    return f"{about.st_size}-{about.st_mtime_ns}"


# EMNIST

EMNIST_PARTS = tuple(f"emnist-letters-{part}-{kind}-ubyte" for part in ("train", "test")
                     for kind in ("images-idx3", "labels-idx1"))
EMNIST_ZIP = "gzip.zip"


def emnist_is_there(folder: Path) -> bool:
    """Whether the letters are there: in the zip file, or as the four files that torchvision unpacks from it."""
    return os.path.exists(folder / EMNIST_ZIP) or all(
        os.path.exists(folder / name) or os.path.exists(folder / f"{name}.gz") for name in EMNIST_PARTS)


def read_emnist(folder: Path, cache: Path, counts: tuple[int, int]) -> Stack:
    """EMNIST's letters, upright and with labels from 0: the files have rows and columns exchanged, and labels from 1 to 26.

    Raises:
        DataMissing: neither the zip file nor the four files are there. DataDamaged: they are not what they should be.
    """
    if not emnist_is_there(folder):
        raise DataMissing(f"{folder / EMNIST_ZIP} is missing. Download the data set on the page “Explore data”, or set "
                          "PLAYGROUND_DATA to the folder that holds it.")
    # the unpacked files where they are all there, else the zip file
    apart = [next((path for path in (folder / name, folder / f"{name}.gz") if path.exists()), None) for name in EMNIST_PARTS]
    unpacked = [path for path in apart if path is not None]
    sources = unpacked if len(unpacked) == len(EMNIST_PARTS) else [folder / EMNIST_ZIP] * len(EMNIST_PARTS)
    name = "-".join(dict.fromkeys(_stamp(path) for path in sources))

    def fill(put_images: Put, put_labels: Put) -> None:
        for part, (first, count) in enumerate(((0, counts[0]), (counts[0], counts[1]))):
            for at, images in _idx_pieces(sources[part * 2], EMNIST_PARTS[part * 2], (count, 28, 28)):
                put_images(first + at, images.transpose(0, 2, 1))
            for at, labels in _idx_pieces(sources[part * 2 + 1], EMNIST_PARTS[part * 2 + 1], (count,)):
                put_labels(first + at, labels - 1)  # a 0 becomes 255, which is refused

    return _kept_stack(cache / "EMNIST" / f"letters-{name}.npy", sum(counts), (1, 28, 28), 26, sources[0], fill)


@contextmanager
def _opened(source: Path, name: str) -> Iterator[Readable]:
    """The bytes of an idx file: the file itself, gzipped, or gzipped in the zip file."""
    if source.suffix == ".zip":
        with zipfile.ZipFile(source) as archive:
            member = next((f for f in (f"gzip/{name}.gz", f"{name}.gz") if f in archive.NameToInfo), None)
            if member is None:
                raise DataDamaged(f"{source} has no {name}.gz. Delete it and download it again.")
            with archive.open(member) as packed, gzip.open(packed) as file:
                yield file
    else:
        with gzip.open(source) if source.suffix == ".gz" else source.open("rb") as file:
            yield file


def _idx_pieces(source: Path, name: str, shape: tuple[int, ...]) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, rows (n, …) uint8) of an idx file that must have this shape; format: see core.data.sources.idx."""
    header = struct.pack(">HBB", 0, 8, len(shape)) + b"".join(struct.pack(">I", n) for n in shape)
    row = int(np.prod(shape[1:]))
    with _opened(source, name) as file:
        if file.read(len(header)) != header:
            raise DataDamaged(f"{source} is damaged: the header of {name} is wrong. Delete it and download it again.")
        for first in range(0, shape[0], PIECE):
            count = min(PIECE, shape[0] - first)
            yield first, np.frombuffer(_exactly(file, count * row), np.uint8).reshape(count, *shape[1:])
        if file.read(1):
            raise DataDamaged(f"{source} is damaged: {name} is too long. Delete it and download it again.")


def _exactly(file: Readable, size: int) -> bytes:
    content = file.read(size)
    if len(content) != size:
        raise EOFError
    return content


# CIFAR-10

CIFAR_TAR = "cifar-10-binary.tar.gz"
CIFAR_FOLDER = "cifar-10-batches-bin"
CIFAR_BATCHES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
CIFAR_SHAPE = (3, 32, 32)
MOST_MEMBERS = 100  # the real archive has nine


def cifar_is_there(folder: Path) -> bool:
    """Whether CIFAR-10's binary version is there, packed or unpacked."""
    return os.path.exists(folder / CIFAR_TAR) or all(os.path.exists(folder / CIFAR_FOLDER / name) for name in CIFAR_BATCHES)


def read_cifar10(folder: Path, cache: Path, counts: tuple[int, int]) -> Stack:
    """CIFAR-10 from its binary version: records of 3,073 bytes, the label and then 32×32 red, green and blue values.

    Source of the format: A. Krizhevsky's page of CIFAR-10, "Binary version".

    Raises:
        DataMissing: neither archive nor files are there. DataDamaged: they are not what they should be.
    """
    batch, record = counts[0] // 5, 1 + int(np.prod(CIFAR_SHAPE))
    sizes = {name: (batch if name.startswith("data") else counts[1]) * record for name in CIFAR_BATCHES}
    packed = folder / CIFAR_TAR
    if not cifar_is_there(folder):
        raise DataMissing(f"{packed} is missing. Download the data set on the page “Explore data”, or set PLAYGROUND_DATA to the "
                          "folder that holds it. (The Python version is made of pickles, which can run code and are not read.)")
    source = packed if packed.exists() else folder / CIFAR_FOLDER / CIFAR_BATCHES[0]

    def fill(put_images: Put, put_labels: Put) -> None:
        for name, content in _cifar_batches(folder, sizes):
            rows, first = np.frombuffer(content, np.uint8).reshape(-1, record), CIFAR_BATCHES.index(name) * batch
            put_images(first, rows[:, 1:])
            put_labels(first, rows[:, 0])

    return _kept_stack(cache / "cifar-10" / f"{_stamp(source)}.npy", sum(counts), CIFAR_SHAPE, 10, source, fill)


def _cifar_batches(folder: Path, sizes: dict[str, int]) -> Iterator[tuple[str, bytes]]:
    """Every batch with its bytes, in the archive's order."""
    if not (folder / CIFAR_TAR).exists():
        for name, size in sizes.items():
            path = folder / CIFAR_FOLDER / name
            if path.stat().st_size != size:
                raise DataDamaged(f"{path} has {path.stat().st_size:,} bytes and should have {size:,}. Delete it and unpack "
                                  "it again.")
            yield name, path.read_bytes()
        return
    yield from _tar_members(folder / CIFAR_TAR, {f"{CIFAR_FOLDER}/{name}": size for name, size in sizes.items()})


def _tar_members(path: Path, wanted: dict[str, int]) -> Iterator[tuple[str, bytes]]:
    """(base name, bytes) of the members with exactly these names and sizes, in the order of the archive.

    Links and everything else that is no plain file are refused under these names and passed by under others; an archive that
    unpacks to more than twice what is wanted is given up.
    """
    missing, seen = dict(wanted), 0
    with gzip.open(path) as unpacked:
        limited = _Limited(unpacked, 2 * sum(wanted.values()) + (1 << 20))
        with tarfile.open(fileobj=limited, mode="r|") as archive:
            for member in archive:
                seen += 1
                if seen > MOST_MEMBERS:
                    raise tarfile.ReadError
                if member.name not in missing:
                    continue
                file = archive.extractfile(member) if member.isreg() and member.size == missing.pop(member.name) else None
                if file is None:
                    raise tarfile.ReadError
                yield member.name.rpartition("/")[2], _exactly(file, member.size)
                if not missing:
                    while limited.read(1 << 20):
                        pass  # to the end, where gzip's own checksum is
                    return
    raise DataDamaged(f"{path} has no {', '.join(missing)}. Delete it and download it again.")


class _Limited(io.BufferedIOBase):
    """A stream that ends in an error where it is longer than expected: a bomb unpacks to a thousand times its size."""

    def __init__(self, file: Readable, most: int) -> None:
        self._file, self._left = file, most

    def read(self, size: int | None = -1, /) -> bytes:
        content = self._file.read(-1 if size is None else size)
        self._left -= len(content)
        if self._left < 0:
            raise tarfile.ReadError
        return content
