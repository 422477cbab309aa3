"""Pictures as numbers in an archive: which files hold some, and pairs of arrays (Keras' mnist.npz, MNIST's own idx files).

Each is read row by row from the archive, whatever its size. Formats: NumPy's NEP 1; for idx Y. LeCun's description of MNIST.
"""

import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.importing.archive import BadEntry, Entry, Listing
from core.importing.in_pieces import Opened
from core.importing.parquet import Importing, take_parquet
from core.importing.pixel_tables import take_table
from core.importing.pixels import (
    LARGEST,
    LOOKED_AT,
    SMALLEST,
    Found,
    Pixels,
    Shape,
    part_in,
    said_of,
    shape_of,
    sides_of,
    text_of,
)
from core.importing.records import take_records
from core.importing.tables import ENDINGS

PARQUET = {".parquet", ".pq"}
IDX_IMAGES, IDX_LABELS = b"\0\0\x08\x03", b"\0\0\x08\x01"
IMAGE_WORDS, LABEL_WORDS = ("x", "images", "image", "data", "features", "pixels"), ("y", "labels", "label", "target", "targets")


@dataclass
class ArrayOfPixels(Pixels):
    """labels: of its pictures, in their order."""

    shape: Shape
    labels: list[str]

    def rows(self, archive: zipfile.ZipFile) -> Iterator[tuple[str, np.ndarray]]:
        with Opened(archive, self.entry) as file:
            kind = _start(file)
            size = self.shape.height * self.shape.width * self.shape.channels
            for label in self.labels:
                data = file.read(size * kind.itemsize)
                if len(data) < size * kind.itemsize:
                    raise BadEntry("cut off: fewer pictures than it says")
                yield label, self.shape.picture(np.frombuffer(data, kind))


def find_pixels(archive: zipfile.ZipFile, listing: Listing, folder: Path, asked: str, importing: Importing) -> Found:
    """Look for tables of pixels, Parquet, pairs of arrays or idx files, and CIFAR's records. Nothing is decoded yet but a few
    rows.

    folder: where Parquet files are unpacked. asked: one of the readings that were found before, or "". importing: see
    take_parquet.
    """
    found = Found()
    arrays: dict[str, list[tuple[Entry, tuple[int, ...], np.dtype]]] = defaultdict(list)
    for entry in listing.entries:
        try:
            if entry.ending in ENDINGS:
                take_table(archive, entry, found)
            elif entry.ending in PARQUET:
                take_parquet(archive, entry, folder, asked, importing, found)
            elif entry.ending == ".bin":
                take_records(archive, entry, listing, found)
            elif (head := _head(archive, entry)) is not None:
                size = int(np.prod(head[0][1:], dtype=np.float64)) if len(head[0]) > 1 else 0
                arrays["images" if size >= SMALLEST**2 else "labels"].append((entry, *head))
        except BadEntry as error:
            found.notes.append(f"{entry.name} can't be used: {error}.")
    _take_pairs(archive, arrays["images"], arrays["labels"], found)
    if len({pixels.part for pixels in found.parts}) < 2:
        for pixels in found.parts:
            pixels.part = ""
    return found


def _head(archive: zipfile.ZipFile, entry: Entry) -> tuple[tuple[int, ...], np.dtype] | None:
    """Shape and kind of numbers of an .npy or idx file; None for any other. Raises BadEntry."""
    if entry.ending != ".npy" and "ubyte" not in entry.parts[-1].lower():
        return None
    with Opened(archive, entry) as file:
        if entry.ending != ".npy":
            start = file.read(4)
            if start not in (IDX_IMAGES, IDX_LABELS):
                raise BadEntry("not an idx file of bytes")
            return tuple(int.from_bytes(file.read(4), "big") for _ in range(start[3])), np.dtype(np.uint8)
        return _npy_head(file)


def _npy_head(file: Any) -> tuple[tuple[int, ...], np.dtype]:
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, kind = read(file)
    except Exception:  # a crafted header raises anything
        raise BadEntry("damaged: it begins like an array and isn't one") from None
    if kind.hasobject or kind.kind not in "buif" or fortran or not all(0 <= side < 2**31 for side in shape) or len(shape) > 4:
        raise BadEntry("an array that is not read here; save plain numbers, in C's order")
    return shape, kind


def _start(file: Opened) -> np.dtype:
    """Leave a file at its first number; the kind of its numbers."""
    start = file.peek(4)[:4]
    if start in (IDX_IMAGES, IDX_LABELS):
        file.read(4 + 4 * start[3])
        return np.dtype(np.uint8)
    return _npy_head(file)[1]


def _take_pairs(archive: zipfile.ZipFile, images: list, labels: list, found: Found) -> None:
    """Each array of pictures with the labels that are as many and called alike."""
    for entry, shape, kind in images:
        fitting = [(other, length) for other, length, _ in labels if length and length[0] == shape[0] and np.prod(length) in
                   (shape[0], shape[0] * (length[1] if len(length) > 1 else 1))]
        fitting.sort(key=lambda pair: _unlike(entry, pair[0]))
        if not fitting:
            found.notes.append(f"{entry.name} has {shape[0]:,} pictures, and no file here has as many labels.")
            continue
        if (sides := _array_sides(shape)) is None:
            found.notes.append(f"{entry.name} has the shape {'×'.join(map(str, shape))}, which is no row of pictures.")
            continue
        try:
            said = _labels(archive, fitting[0][0])
            form = shape_of(sides, _sample(archive, entry, shape, kind),
                          planes=len(shape) == 4 and shape[1] in (1, 3) and shape[2] == shape[3])
        except BadEntry as error:
            found.notes.append(f"{entry.name} can't be used: {error}.")
            continue
        line = f"{entry.name} has {shape[0]:,} pictures: {said_of(form)}, with the labels of {fitting[0][0].name}."
        found.parts.append(ArrayOfPixels(entry, part_in(entry), shape[0], line, form, said))


def _unlike(entry: Entry, other: Entry) -> tuple[bool, bool, int]:
    """How little the names of two arrays have to do with each other: x_train and y_train belong together."""
    def bare(name: str) -> str:
        words = [word for word in re.split(r"[\W_]+", re.sub(r"idx\d|ubyte|npy", "", name.lower())) if word]
        return "".join(word for word in words if word not in (*IMAGE_WORDS, *LABEL_WORDS))

    one, two = bare(entry.parts[-1]), bare(other.parts[-1])
    return one != two, entry.parts[:-1] != other.parts[:-1], abs(len(one) - len(two))


def _labels(archive: zipfile.ZipFile, entry: Entry) -> list[str]:
    """A label for each picture, as text; of rows of ones and zeros, which is one."""
    with Opened(archive, entry) as file:
        if entry.ending == ".npy":
            shape, kind = _npy_head(file)
        else:
            file.read(8)
            shape, kind = (entry.info.file_size - 8,), np.dtype(np.uint8)
        count = int(np.prod(shape, dtype=np.int64))
        if count > 100_000_000 // max(1, kind.itemsize):
            raise BadEntry(f"{count:,} labels")
        data = file.read(count * kind.itemsize)
    if len(data) < count * kind.itemsize:
        raise BadEntry("cut off: fewer labels than it says")
    numbers = np.frombuffer(data, kind).reshape(shape)
    if numbers.ndim > 1 and numbers.shape[1] > 1:
        numbers = numbers.argmax(1)
    return [text_of(number) for number in numbers.reshape(-1).tolist()]


def _sample(archive: zipfile.ZipFile, entry: Entry, shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    size, count = int(np.prod(shape[1:])), min(LOOKED_AT, shape[0])
    with Opened(archive, entry) as file:
        _start(file)
        data = file.read(size * count * kind.itemsize)
    if len(data) < size * count * kind.itemsize or not count:
        raise BadEntry("cut off: fewer pictures than it says")
    return np.frombuffer(data, kind).reshape(count, size).astype(np.float64)


def _array_sides(shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Height, width and channels of arrays (N, H, W), (N, H, W, C), (N, C, H, W) or (N, pixels)."""
    match shape[1:]:
        case (pixels,):
            return sides_of(pixels)
        case (height, width):
            sides = height, width, 1
        case (1 | 3 as channels, height, width):
            sides = height, width, channels
        case (height, width, 1 | 3 as channels):
            sides = height, width, channels
        case _:
            return None
    return sides if all(SMALLEST <= side <= LARGEST for side in sides[:2]) else None
