"""Pictures as numbers: tables of pixels (Kaggle's train.csv), NumPy's arrays (Keras' mnist.npz), MNIST's own idx files.

Each is read row by row from the archive, whatever its size. Formats: NumPy's NEP 1; for idx Y. LeCun's description of MNIST.
"""

import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import Any

import numpy as np

from core.importing.archive import BadEntry, Entry, Listing
from core.importing.folders import part_of
from core.importing.in_pieces import Opened, lines_of, mark_of, numbers_in
from core.importing.names import plain_name
from core.importing.tables import ENDINGS, LABELS

SMALLEST, LARGEST = 8, 256  # pixels of a side
LOOKED_AT = 200  # rows, to find out what the numbers are
MOST_LABELS = 1000
IDX_IMAGES, IDX_LABELS = b"\0\0\x08\x03", b"\0\0\x08\x01"
IMAGE_WORDS, LABEL_WORDS = ("x", "images", "image", "data", "features", "pixels"), ("y", "labels", "label", "target", "targets")


@dataclass(frozen=True)
class Shape:
    """How a row of numbers is a picture. planes: a colour after the other, not a pixel after the other. times: what brings its
    numbers to 0 … 255."""

    height: int
    width: int
    channels: int
    planes: bool
    times: float

    def picture(self, numbers: np.ndarray) -> np.ndarray:
        """(H, W, C) uint8 of a row (H·W·C,)."""
        found = np.clip(numbers.astype(np.float32) * self.times + 0.5, 0, 255).astype(np.uint8)
        if self.planes:
            return found.reshape(self.channels, self.height, self.width).transpose(1, 2, 0)
        return found.reshape(self.height, self.width, self.channels)


@dataclass
class Pixels:
    """Pictures of one file, or of two that belong together. said: what was understood, as a sentence."""

    entry: Entry
    part: str
    shape: Shape
    count: int
    labels: Any  # (N,) of text, or None where the rows bring theirs
    column: int | None = None  # of the label in a table
    header: bool = False
    said: str = ""

    def rows(self, archive: zipfile.ZipFile) -> Iterator[tuple[str, np.ndarray]]:
        """(label, picture (H, W, C) uint8), one after the other. Raises BadEntry where the file is damaged or ends early."""
        with Opened(archive, self.entry) as file:
            if self.labels is None:
                yield from self._table_rows(file)
                return
            kind = _start(file)
            size = self.shape.height * self.shape.width * self.shape.channels
            for label in self.labels:
                data = file.read(size * kind.itemsize)
                if len(data) < size * kind.itemsize:
                    raise BadEntry("cut off: fewer pictures than it says")
                yield label, self.shape.picture(np.frombuffer(data, kind))

    def _table_rows(self, file: Opened) -> Iterator[tuple[str, np.ndarray]]:
        mark = b","
        for number, line in enumerate(lines_of(file)):
            if number == 0:
                mark = mark_of(line)
                if self.header:
                    continue
            cells = numbers_in(line, mark)
            size = self.shape.height * self.shape.width * self.shape.channels
            if cells is None or len(cells) != size + 1 or self.column is None:
                raise BadEntry(f"line {number + 1:,} does not have the {size + 1:,} numbers of the others")
            label = cells[self.column]
            pixels = cells[1:] if self.column == 0 else cells[:-1] if self.column == size else np.delete(cells, self.column)
            yield _text(label), self.shape.picture(pixels)


@dataclass
class Found:
    """All pictures as numbers that an archive holds. notes: files of this kind that can't be used, a line each."""

    parts: list[Pixels] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def reading(self) -> str:
        return " ".join(part.said for part in self.parts)


def find_pixels(archive: zipfile.ZipFile, listing: Listing) -> Found:
    """Look for tables of pixels, pairs of arrays and pairs of idx files. Nothing is decoded yet but a few rows."""
    found = Found()
    arrays: dict[str, list[tuple[Entry, tuple[int, ...], np.dtype]]] = defaultdict(list)
    for entry in listing.entries:
        try:
            if entry.ending in ENDINGS:
                _take_table(archive, entry, found)
            elif (head := _head(archive, entry)) is not None:
                arrays["images" if len(head[0]) > 1 and head[0][1] not in (0, 1) and np.prod(head[0][1:]) >= SMALLEST**2
                       else "labels"].append((entry, *head))
        except BadEntry as error:
            found.notes.append(f"{entry.name} can't be used: {error}.")
    _take_pairs(archive, arrays["images"], arrays["labels"], found)
    if len({pixels.part for pixels in found.parts}) < 2:
        for pixels in found.parts:
            pixels.part = ""
    return found


# --- tables of pixels

def _take_table(archive: zipfile.ZipFile, entry: Entry, found: Found) -> None:
    """A table whose rows are pictures and their labels; others are left alone."""
    with Opened(archive, entry) as file:
        lines = [line for line, _ in zip(lines_of(file), range(LOOKED_AT + 1), strict=False)]
    if not lines:
        return
    mark = mark_of(lines[0])
    first = numbers_in(lines[0], mark)
    titles = [_word(cell) for cell in lines[0].decode("utf-8", errors="replace").split(mark.decode())] if first is None else []
    rows = [numbers_in(line, mark) for line in lines[1 if titles else 0:]]
    if not rows or rows[0] is None or len(rows[0]) <= SMALLEST**2:
        return
    width = len(rows[0])
    if any(row is None or len(row) != width for row in rows):
        raise BadEntry("its lines do not all have as many numbers")
    sample = np.stack([row for row in rows if row is not None])
    if _sides(width) is not None and not any(title in LABELS for title in titles):
        found.notes.append(f"{entry.name} has {width:,} numbers in a row and no label: its pictures can't be learned from.")
        return
    if _sides(width - 1) is None:
        return
    column = _label_column(titles, sample)
    pixels = np.delete(sample, column, axis=1)
    shape = _shape(_sides(width - 1), pixels)
    where = {0: "first", width - 1: "last"}.get(column, f"in column {column + 1:,}")
    said = f"{entry.name} has {width:,} numbers in a row: {_said(shape)}, the label {where}."
    count = entry.info.file_size // max(1, len(lines[-1]))  # about: what a progress bar needs
    found.parts.append(Pixels(entry, _part(entry), shape, count, None, column, bool(titles), said))


def _label_column(titles: Sequence[str], sample: np.ndarray) -> int:
    """The one whose title says so; else the first or the last one, whichever looks like numbers of classes."""
    named = [place for place, title in enumerate(titles) if title in LABELS]
    if named:
        return named[0]

    def likely(column: np.ndarray) -> tuple[bool, int]:
        different = len(np.unique(column))
        whole = bool((column == np.round(column)).all()) and bool((column >= 0).all()) and column.max() < MOST_LABELS
        return whole and 1 < different <= max(2, len(column) // 2), different

    first, last = likely(sample[:, 0]), likely(sample[:, -1])
    return sample.shape[1] - 1 if last[0] and not first[0] else 0


# --- arrays

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
            form = _shape(sides, _sample(archive, entry, shape, kind),
                          planes=len(shape) == 4 and shape[1] in (1, 3) and shape[2] == shape[3])
        except BadEntry as error:
            found.notes.append(f"{entry.name} can't be used: {error}.")
            continue
        line = f"{entry.name} has {shape[0]:,} pictures: {_said(form)}, with the labels of {fitting[0][0].name}."
        found.parts.append(Pixels(entry, _part(entry), form, shape[0], said, said=line))


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
    return [_text(number) for number in numbers.reshape(-1).tolist()]


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
            return _sides(pixels)
        case (height, width):
            sides = height, width, 1
        case (1 | 3 as channels, height, width):
            sides = height, width, channels
        case (height, width, 1 | 3 as channels):
            sides = height, width, channels
        case _:
            return None
    return sides if all(SMALLEST <= side <= LARGEST for side in sides[:2]) else None


# --- what both have in common

def _sides(pixels: int) -> tuple[int, int, int] | None:
    """Height, width and channels of so many numbers in a row: a square in gray or in three colours."""
    for channels in (1, 3):
        side = isqrt(pixels // channels)
        if pixels == channels * side * side and SMALLEST <= side <= LARGEST:
            return side, side, channels
    return None


def _shape(sides: tuple[int, int, int] | None, sample: np.ndarray, planes: bool | None = None) -> Shape:
    """How numbers are pictures: their range, and whether colours come one after the other, of which the smoother one is right."""
    assert sides is not None
    height, width, channels = sides
    largest, least = float(sample.max()), float(sample.min())
    if not np.isfinite(sample).all() or least < 0:
        raise BadEntry("its numbers are not all 0 or more; save pixels as 0 to 255 or 0 to 1")
    times = 255.0 if largest <= 1 else 255 / 16 if largest <= 16 else 1.0 if largest <= 255 else 255 / 65535
    if channels == 1:
        return Shape(height, width, 1, False, times)
    if planes is None:
        def rough(by_planes: bool) -> float:
            form = Shape(height, width, channels, by_planes, times)
            pictures = np.stack([form.picture(row) for row in sample[:20]]).astype(np.float32)
            return float(np.abs(np.diff(pictures, axis=1)).mean() + np.abs(np.diff(pictures, axis=2)).mean())
        planes = rough(True) < rough(False)
    return Shape(height, width, channels, planes, times)


def _said(shape: Shape) -> str:
    scale = {255.0: ", from 0 to 1", 255 / 16: ", from 0 to 16", 255 / 65535: ", from 0 to 65,535"}.get(shape.times, "")
    order = "" if shape.channels == 1 else ", colour after colour" if shape.planes else ", pixel after pixel"
    return f"pixels {shape.height}×{shape.width}{' in colour' if shape.channels == 3 else ''}{scale}{order}"


def _part(entry: Entry) -> str:
    """The split that a file's name says: mnist_test.csv, t10k-images.idx3-ubyte."""
    words = [word for word in re.split(r"[\W_]+", entry.parts[-1].lower().rpartition(".")[0] or entry.parts[-1].lower()) if word]
    return next((part for word in words if (part := "test" if word == "t10k" else part_of(word))), "")


def _word(title: str) -> str:
    return re.sub(r"[\W_]", "", title.lower())


def _text(label: float) -> str:
    """A class's name: 7 for 7.0."""
    return plain_name(str(int(label)) if float(label).is_integer() else f"{label:g}")
