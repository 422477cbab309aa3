"""Which class every picture of an archive belongs to: by its folder, or by a labels.csv."""

import csv
import io
import unicodedata
import zipfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath

from core.importing.archive import BadEntry, Entry, Listing, Refused, read_entry, safe_parts
from core.importing.names import plain_name, shown

PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test",
         "val": "validation", "valid": "validation", "validation": "validation"}
PICTURES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif"}
TABLE = "labels.csv"
MOST_TABLE_BYTES, MOST_ROWS, MOST_TABLES = 8 << 20, 200_000, 10


@dataclass(frozen=True)
class Example:
    """One file and what it is said to show. part: "train", "test" or "validation", "" where the archive has no splits."""

    entry: Entry
    label: str
    part: str


@dataclass
class Plan:
    """What is to be read. classes: also those without a file."""

    examples: list[Example] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan(archive: zipfile.ZipFile, listing: Listing) -> Plan:
    """Examples of the archive, by class and name. Raises Refused where a labels.csv can't be read."""
    tables = [entry for entry in listing.entries if entry.parts[-1].lower() == TABLE]
    found = by_table(archive, listing, tables) if tables else by_folder(listing)
    found.examples.sort(key=lambda example: (example.label, example.entry.parts))
    folded = Counter(name.casefold() for name in found.classes)
    if twins := sorted(name for name in found.classes if folded[name.casefold()] > 1):
        names = ", ".join(f"“{name}”" for name in twins[:4])
        found.notes.append(f"These classes differ only in capital letters and are kept apart: {names}.")
    return found


def by_folder(listing: Listing) -> Plan:
    """ImageFolder's layout: the folder is the class; above it there may be train, test and val, and one folder around all."""
    found = Plan()
    pictures = [entry.parts for entry in listing.entries if entry.ending in PICTURES]
    outer = enclosing([*pictures, *((*folder, "") for folder in listing.folders)] if pictures else
                      [entry.parts for entry in listing.entries])
    has_parts = splits_in([parts[outer:] for parts in pictures])
    for entry in listing.entries:
        *folders, _ = entry.parts[outer:] or ("",)
        part = PARTS[folders.pop(0).lower()] if has_parts and folders and folders[0].lower() in PARTS else ""
        label = plain_name(folders[0]) if folders else ""
        if not label or (has_parts and not part):
            reason = "in no class folder" if entry.ending in PICTURES else "not a picture, and in no class folder"
            found.rejected.append((entry.name, reason))
            continue
        found.classes.add(label)
        found.examples.append(Example(entry, label, part))
    for folder in listing.folders:
        inner = folder[outer:]
        inner = inner[1:] if has_parts and inner and inner[0].lower() in PARTS else inner
        if inner and plain_name(inner[0]):
            found.classes.add(plain_name(inner[0]))
    return found


def enclosing(paths: list[tuple[str, ...]]) -> int:
    """How many folders lie around everything: 1 for data/cat/1.png and data/dog/2.png, 0 for cat/1.png and dog/2.png."""
    count = 0
    while True:
        folders = {path[count] for path in paths if len(path) > count + 1}
        if len(folders) != 1 or not any(len(path) > count + 2 for path in paths):  # the last folder left is the class
            return count
        count += 1


def splits_in(paths: list[tuple[str, ...]]) -> bool:
    """Whether the outermost folders are splits and not classes: nothing but train, test and val, and at least two of them."""
    first = {path[0].lower() for path in paths if len(path) > 1}
    return first <= set(PARTS) and len({PARTS[name] for name in first}) > 1 and any(len(path) > 2 for path in paths)


def by_table(archive: zipfile.ZipFile, listing: Listing, tables: list[Entry]) -> Plan:
    """Pictures anywhere, and each labels.csv saying what those in its folder show."""
    if len(tables) > MOST_TABLES:
        raise Refused(f"The archive has {len(tables):,} files named {TABLE}; at most {MOST_TABLES} are read.")
    found, labels = Plan(), {}
    files = [entry for entry in listing.entries if entry.parts[-1].lower() != TABLE]
    for table in tables:
        labels |= _labels(archive, table, files, found)
    whole = enclosing([entry.parts for entry in files])
    has_parts = splits_in([entry.parts[whole:] for entry in files])
    for entry in files:
        if entry.parts not in labels:
            found.rejected.append((entry.name, f"has no row in {TABLE}"))
        elif label := labels[entry.parts]:
            found.classes.add(label)
            part = PARTS.get(entry.parts[whole].lower(), "") if has_parts and len(entry.parts) > whole else ""
            found.examples.append(Example(entry, label, part))
    return found


def _labels(archive: zipfile.ZipFile, table: Entry, files: list[Entry], found: Plan) -> dict[tuple[str, ...], str]:
    """Path → class as one labels.csv says; "" for a file that its rows disagree about. Bad rows go to found.rejected."""
    rows = read_rows(archive, table)
    folder = table.parts[:-1]
    paths = {entry.parts for entry in files}
    by_name: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for entry in files:
        if entry.parts[:len(folder)] == folder:
            by_name[entry.parts[-1]].append(entry.parts)
    labels: dict[tuple[str, ...], str] = {}
    for number, cells in enumerate(rows, start=1):
        try:
            path, label = _row(cells, folder, paths, by_name)
        except BadEntry as error:
            if number == 1 and _is_header(cells):
                continue
            name = shown(cells[0]) if cells and cells[0] else f"{table.name}, row {number:,}"
            found.rejected.append((name, str(error)))
            continue
        if labels.setdefault(path, label) == label and label:
            continue
        if labels[path] or not label:  # once for each file
            found.rejected.append((shown("/".join(path)), f"has two different labels in {TABLE}" if label else
                                   f"its row in {TABLE} has no label"))
        labels[path] = ""
    return labels


def _row(cells: list[str], folder: tuple[str, ...], paths: set[tuple[str, ...]],
         by_name: dict[str, list[tuple[str, ...]]]) -> tuple[tuple[str, ...], str]:
    """The path and the class of one row, "" where that is missing. Raises BadEntry where no file can be found for it."""
    if len(cells) < 2 or not cells[0]:
        raise BadEntry(f"this row of {TABLE} needs a file name and a label")
    parts = safe_parts(unicodedata.normalize("NFC", cells[0]))
    path = (*folder, *parts)
    if path not in paths:
        namesakes = by_name.get(parts[-1], []) if len(parts) == 1 else []
        if len(namesakes) > 1:
            raise BadEntry("several files have this name; write its folder into the row too")
        if not namesakes:
            raise BadEntry(f"named in {TABLE}, but not in the archive")
        path = namesakes[0]
    return path, plain_name(cells[1])


def _is_header(cells: list[str]) -> bool:
    """Whether a first row that names no file is one of titles: "file name, label"."""
    return len(cells) > 1 and PurePosixPath(cells[0].lower()).suffix not in PICTURES


def read_rows(archive: zipfile.ZipFile, table: Entry) -> list[list[str]]:
    """All rows, cells stripped, empty rows left out. Commas, semicolons (Excel in much of Europe) or tabs between cells."""
    try:
        text = read_entry(archive, table, MOST_TABLE_BYTES).decode("utf-8-sig")
    except BadEntry as error:
        raise Refused(f"{table.name} can't be used: {error}.") from None
    except UnicodeDecodeError:
        raise Refused(f"{table.name} is not UTF-8 text. Save it as “CSV UTF-8” and zip again.") from None
    first = text.partition("\n")[0]
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        rows = [[cell.strip() for cell in row] for row in islice(reader, MOST_ROWS + 1)]
    except csv.Error as error:
        raise Refused(f"{table.name} can't be read as a table: {error}.") from None
    if len(rows) > MOST_ROWS:
        raise Refused(f"{table.name} has more than {MOST_ROWS:,} rows.")
    return [row for row in rows if any(row)]
