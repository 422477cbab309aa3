"""CIFAR's binary version: records of a label or two and a picture's colours, one after the other.

Format: A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html: of CIFAR-10 a byte for the class and 3,072 of pixels; of
CIFAR-100 a byte for the coarse class, one for the fine one, and the pixels. 1,024 bytes of red come first, row by row, then green
and blue.
"""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.importing.archive import BadEntry, Entry, Listing, read_entry
from core.importing.in_pieces import Opened
from core.importing.names import plain_name
from core.importing.pixels import LOOKED_AT, Found, Pixels, Shape, part_in

PIXELS = 3 * 32 * 32
SHAPE = Shape(32, 32, 3, True, 1.0)
KINDS = {1: (10,), 2: (20, 100)}  # bytes before each picture → how many classes each of them tells apart
NAMES = {1: ("batches.meta.txt",), 2: ("fine_label_names.txt",)}  # of the classes, one in each line
BATCH = re.compile(r"(data|test)_?batch", re.IGNORECASE)


@dataclass
class Records(Pixels):
    """lead: bytes before each picture, the last of which is its class. names: of the classes, none where nobody says them."""

    lead: int
    names: tuple[str, ...]

    def rows(self, archive: zipfile.ZipFile) -> Iterator[tuple[str, np.ndarray]]:
        with Opened(archive, self.entry) as file:
            while record := file.read(self.lead + PIXELS):
                if len(record) < self.lead + PIXELS:
                    raise BadEntry("cut off: it ends in the middle of a picture")
                label = record[self.lead - 1]
                if label >= KINDS[self.lead][-1]:
                    raise BadEntry(f"a class numbered {label}, where CIFAR has {KINDS[self.lead][-1]}")
                pixels = np.frombuffer(record, np.uint8)[self.lead:]
                yield (self.names[label] if self.names else str(label)), SHAPE.picture(pixels)


def take_records(archive: zipfile.ZipFile, entry: Entry, listing: Listing, found: Found) -> None:
    """A file of CIFAR's records; any other is left alone. Raises BadEntry for one that is called so and isn't one."""
    size = entry.info.file_size
    lead = next((lead for lead in KINDS if size and size % (lead + PIXELS) == 0), 0)
    if not lead:
        if BATCH.search(entry.parts[-1]):
            raise BadEntry("cut off: its size is no multiple of a record's")
        return
    count = min(LOOKED_AT, size // (lead + PIXELS))
    with Opened(archive, entry) as file:
        data = file.read(count * (lead + PIXELS))
    if len(data) < count * (lead + PIXELS):
        raise BadEntry("cut off: fewer pictures than it says")
    records, classes = np.frombuffer(data, np.uint8).reshape(count, -1), KINDS[lead]
    if any(int(records[:, place].max()) >= most for place, most in enumerate(classes)):
        return
    names = _names(archive, listing, entry, lead, classes[-1])
    said = (f"{entry.name} has {size // (lead + PIXELS):,} of CIFAR-{classes[-1]}'s records: a class, then 32×32 pixels, red "
            f"before green before blue{'' if names else '; the classes are called by their numbers'}.")
    part = part_in(entry) or ("train" if BATCH.search(entry.parts[-1]) else "")
    found.parts.append(Records(entry, part, size // (lead + PIXELS), said, lead, names))


def _names(archive: zipfile.ZipFile, listing: Listing, entry: Entry, lead: int, count: int) -> tuple[str, ...]:
    """What the list beside the records calls the classes; none where there is no such list, or not of so many names."""
    for other in listing.entries:
        if other.parts[:-1] == entry.parts[:-1] and other.parts[-1].lower() in NAMES[lead]:
            lines = read_entry(archive, other, 100_000).decode("utf-8", errors="replace").split("\n")
            names = tuple(name for line in lines if (name := plain_name(line)))
            if len(names) == count == len(set(names)):
                return names
    return ()
