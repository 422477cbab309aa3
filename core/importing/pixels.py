"""Pictures as numbers: what the readers of tables, arrays, records and Parquet files have in common."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isqrt

import numpy as np

from core.importing.archive import BadEntry, Entry
from core.importing.folders import part_of
from core.importing.names import plain_name

SMALLEST, LARGEST = 8, 256  # pixels of a side
LOOKED_AT = 200  # rows, to find out what the numbers are


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
    """Pictures of one file, or of two that belong together. part: the split that its name says. count: about how many there are.
    said: what was understood, as a sentence."""

    entry: Entry
    part: str
    count: int
    said: str

    def rows(self, archive: zipfile.ZipFile) -> Iterator[tuple[str, np.ndarray | bytes]]:
        """(label, picture), one after the other: (H, W, C) uint8, or the bytes of a picture file. Raises BadEntry where the file
        is damaged or ends early."""
        raise NotImplementedError


@dataclass
class Found:
    """All pictures as numbers that an archive holds. notes: files of this kind that can't be used, a line each. readings: other
    ways to read them, by what find_pixels() is asked for and what it means."""

    parts: list[Pixels] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    readings: list[tuple[str, str]] = field(default_factory=list)

    @property
    def reading(self) -> str:
        return " ".join(part.said for part in self.parts)


def sides_of(pixels: int) -> tuple[int, int, int] | None:
    """Height, width and channels of so many numbers in a row: a square in gray or in three colours."""
    for channels in (1, 3):
        side = isqrt(pixels // channels)
        if pixels == channels * side * side and SMALLEST <= side <= LARGEST:
            return side, side, channels
    return None


def shape_of(sides: tuple[int, int, int] | None, sample: np.ndarray, planes: bool | None = None) -> Shape:
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


def said_of(shape: Shape) -> str:
    scale = {255.0: ", from 0 to 1", 255 / 16: ", from 0 to 16", 255 / 65535: ", from 0 to 65,535"}.get(shape.times, "")
    order = "" if shape.channels == 1 else ", colour after colour" if shape.planes else ", pixel after pixel"
    return f"pixels {shape.height}×{shape.width}{' in colour' if shape.channels == 3 else ''}{scale}{order}"


def part_in(entry: Entry) -> str:
    """The split that a file's name says: mnist_test.csv, t10k-images.idx3-ubyte."""
    words = [word for word in re.split(r"[\W_]+", entry.parts[-1].lower().rpartition(".")[0] or entry.parts[-1].lower()) if word]
    return next((part for word in words if (part := "test" if word == "t10k" else part_of(word))), "")


def word_of(title: str) -> str:
    return re.sub(r"[\W_]", "", title.lower())


def text_of(label: float) -> str:
    """A class's name: 7 for 7.0."""
    return plain_name(str(int(label)) if float(label).is_integer() else f"{label:g}")
