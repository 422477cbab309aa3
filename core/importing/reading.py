"""What has been understood of an archive: which file shows which class."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.importing.archive import Entry
from core.importing.names import plain_name

PICTURES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".pnm",
            ".heic", ".heif"}
MOST_QUOTED = 6


@dataclass(frozen=True)
class Example:
    """One file and what it is said to show. part: "train", "test" or "validation", "" where the archive has no splits."""

    entry: Entry
    label: str
    part: str


@dataclass
class Plan:
    """What is to be read. classes: also those without a file.

    reading: a sentence on what was taken for class and split, "" where there was nothing to decide. readings: other ways to read
    the archive, by what plan() is asked for and what it means.
    """

    examples: list[Example] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reading: str = ""
    readings: list[tuple[str, str]] = field(default_factory=list)


def quoted(names: Sequence[str]) -> str:
    """“cat”, “dog” and 3 more."""
    some = ", ".join(f"“{plain_name(name)}”" for name in names[:MOST_QUOTED])
    return some + (f" and {len(names) - MOST_QUOTED:,} more" if len(names) > MOST_QUOTED else "")
