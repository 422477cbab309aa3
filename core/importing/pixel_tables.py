"""Tables of pixels: a picture in each row, with its label in a column, as Kaggle's train.csv. Read line by line."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.importing.archive import BadEntry, Entry
from core.importing.in_pieces import Opened, lines_of, mark_of, numbers_in
from core.importing.pixels import (
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
    word_of,
)
from core.importing.tables import LABELS

MOST_LABELS = 1000


@dataclass
class TableOfPixels(Pixels):
    """column: of the label. header: whether the first line is titles."""

    shape: Shape
    column: int
    header: bool

    def rows(self, archive: zipfile.ZipFile) -> Iterator[tuple[str, np.ndarray]]:
        mark = b","
        size = self.shape.height * self.shape.width * self.shape.channels
        with Opened(archive, self.entry) as file:
            for number, line in enumerate(lines_of(file)):
                if number == 0:
                    mark = mark_of(line)
                    if self.header:
                        continue
                cells = numbers_in(line, mark)
                if cells is None or len(cells) != size + 1:
                    raise BadEntry(f"line {number + 1:,} does not have the {size + 1:,} numbers of the others")
                pixels = cells[1:] if self.column == 0 else cells[:-1] if self.column == size else np.delete(cells, self.column)
                yield text_of(cells[self.column]), self.shape.picture(pixels)


def take_table(archive: zipfile.ZipFile, entry: Entry, found: Found) -> None:
    """A table whose rows are pictures and their labels; others are left alone."""
    with Opened(archive, entry) as file:
        lines = [line for line, _ in zip(lines_of(file), range(LOOKED_AT + 1), strict=False)]
    if not lines:
        return
    mark = mark_of(lines[0])
    first = numbers_in(lines[0], mark)
    titles = [word_of(cell) for cell in lines[0].decode("utf-8", errors="replace").split(mark.decode())] if first is None else []
    rows = [numbers_in(line, mark) for line in lines[1 if titles else 0:]]
    if not rows or rows[0] is None or len(rows[0]) <= SMALLEST**2:
        return
    width = len(rows[0])
    if any(row is None or len(row) != width for row in rows):
        raise BadEntry("its lines do not all have as many numbers")
    sample = np.stack([row for row in rows if row is not None])
    if sides_of(width) is not None and not any(title in LABELS for title in titles):
        found.notes.append(f"{entry.name} has {width:,} numbers in a row and no label: its pictures can't be learned from.")
        return
    if sides_of(width - 1) is None:
        return
    column = _label_column(titles, sample)
    pixels = np.delete(sample, column, axis=1)
    shape = shape_of(sides_of(width - 1), pixels)
    where = {0: "first", width - 1: "last"}.get(column, f"in column {column + 1:,}")
    said = f"{entry.name} has {width:,} numbers in a row: {said_of(shape)}, the label {where}."
    count = entry.info.file_size // max(1, len(lines[-1]))  # about: what a progress bar needs
    found.parts.append(TableOfPixels(entry, part_in(entry), count, said, shape, column, bool(titles)))


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
