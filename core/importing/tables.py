"""Tables that say what pictures show: any CSV or TSV file of the archive that names them, whatever its columns are called."""

import csv
import io
import re
import unicodedata
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath

from core.importing.archive import BadEntry, Entry, Refused, read_entry
from core.importing.folders import part_of
from core.importing.names import plain_name, shown
from core.importing.reading import PICTURES

MOST_BYTES, MOST_ROWS, MOST_TABLES, MOST_COLUMNS = 8 << 20, 200_000, 10, 200
ENDINGS = {".csv", ".tsv", ".txt"}
LOOKED_AT = 300  # rows, to find out what a column is
# Titles without their spaces and signs, the likeliest first
LABELS = ("label", "labels", "class", "classname", "classlabel", "category", "target", "y", "breed", "species", "diagnosis", "dx",
          "tag", "kind")
SPLITS = {"split", "subset", "set", "part", "partition", "usage"}
INDEX = {"", "index", "unnamed0", "row", "no", "nr"}


@dataclass
class Table:
    """A table whose rows name pictures.

    titles: of its columns, "" for those without. names: which column names the pictures. part: which one says the split, None
    for none. labels: columns that can be the class, the likeliest first; several of them at once where each class has a column
    of ones and zeros. named: the share of rows whose picture is there. covered: about what share of the pictures has a row.
    """

    entry: Entry
    titles: list[str]
    rows: list[list[str]]
    names: int
    part: int | None = None
    labels: list[int] = field(default_factory=list)
    one_hot: tuple[int, ...] = ()
    named: float = 0.0
    covered: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.entry.parts[-1]

    def choices(self) -> list[int]:
        """Columns that may well be the class."""
        return [column for column in self.labels if _word(self.titles[column]) not in INDEX]

    def title(self, column: int) -> str:
        """What a column is called, for people."""
        return plain_name(self.titles[column]) or f"column {column + 1}"


class Files:
    """An archive's files, found by what tables call them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.paths: set[tuple[str, ...]] = set()
        self.folders: set[str] = set()
        self._by_name: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for entry in entries:
            self.paths.add(entry.parts)
            self.folders |= {folder.casefold() for folder in entry.parts[:-1]}
            last = entry.parts[-1].casefold()
            self._by_name[last].append(entry.parts)
            if (bare := PurePosixPath(last).stem) != last:
                self._by_name[bare].append(entry.parts)

    def find(self, cell: str, table: Entry) -> tuple[str, ...]:
        """The file that a cell of a table names: by its path from the table's folder, else by the last parts of its path, without
        regard to capitals, and without an ending where the cell has none. Raises BadEntry."""
        text = unicodedata.normalize("NFC", cell)
        parts = tuple(part for part in re.split(r"[\\/]+", text) if part not in {"", "."})
        if ".." in parts:
            raise BadEntry("a path that leads out of the archive (..)")
        if not parts or "\0" in text:
            raise BadEntry("no file's name")
        folder = table.parts[:-1]
        if (path := (*folder, *parts)) in self.paths:
            return path
        near = self._by_name.get(parts[-1].casefold(), [])
        near = [path for path in near if path[:len(folder)] == folder] or near
        shared = {path: _last_shared(path, parts) for path in near}
        best = [path for path in near if shared[path] == max(shared.values())]
        if len(best) > 1:
            best = [path for path in best if path[-1] == parts[-1]] or best
        if len(best) > 1:
            raise BadEntry("several files have this name; write its folder into the row too")
        # what lies before the shared end is a folder elsewhere, unless the archive has one that is called so
        if not best or any(part.casefold() in self.folders for part in parts[:-1][:len(parts) - shared[best[0]]]):
            raise BadEntry(f"named in {table.parts[-1]}, but not in the archive")
        return best[0]

    def finds(self, cell: str, table: Entry) -> bool:
        try:
            return bool(self.find(cell, table))
        except BadEntry:
            return False


def _last_shared(path: tuple[str, ...], parts: tuple[str, ...]) -> int:
    """How many of their last parts are the same; the very last one counts."""
    count = 1
    for one, other in zip(path[-2::-1], parts[-2::-1], strict=False):
        if one.casefold() != other.casefold():
            break
        count += 1
    return count


def find_table(archive: zipfile.ZipFile, entry: Entry, files: Files) -> Table | None:
    """The table in a file; None where it names no picture. Raises Refused where it can't be read."""
    rows, notes = read_rows(archive, entry)
    if not rows:
        return None
    width = min(MOST_COLUMNS, max(map(len, rows[:LOOKED_AT])))
    sample = rows[:LOOKED_AT]
    named = [sum(column < len(row) and files.finds(row[column], entry) for row in sample) for column in range(width)]
    names = named.index(max(named))
    if not max(named):
        return None
    table = _understood(entry, rows, names, not files.finds(_cell(rows[0], names), entry), width, notes)
    table.named = max(named) / len(sample)
    table.covered = table.named * len(rows) / max(1, len(files.paths))
    return table


def plain_table(archive: zipfile.ZipFile, entry: Entry) -> Table:
    """A table of file names and labels, though it names no picture that is there: each row is then told so. Raises Refused."""
    rows, notes = read_rows(archive, entry)
    header = bool(rows) and len(rows[0]) > 1
    return _understood(entry, rows, 0, header, max([2, *(min(MOST_COLUMNS, len(row)) for row in rows[:LOOKED_AT])]), notes)


def _understood(entry: Entry, rows: list[list[str]], names: int, unnamed: bool, width: int, notes: list[str]) -> Table:
    """What each column is. unnamed: whether the first row names no file, so that it may be titles."""
    first = _cell(rows[0], names) if rows else ""
    has_titles = unnamed and bool(rows) and len(rows[0]) > 1 and PurePosixPath(first.lower()).suffix not in PICTURES
    titles = [_cell(rows[0], column) if has_titles else "" for column in range(width)]
    body = rows[1:] if has_titles else rows
    found = Table(entry, titles, body, names, notes=notes)
    sample = body[:LOOKED_AT]
    columns = {column: [_cell(row, column) for row in sample] for column in range(width) if column != names}
    found.part = next((column for column, cells in columns.items() if _is_split(titles[column], cells)), None)
    if found.part is not None:
        del columns[found.part]
    found.labels = _label_columns(titles, columns)
    if found.labels and _word(titles[found.labels[0]]) not in LABELS:
        ones = [column for column, cells in columns.items() if titles[column] and set(cells) <= {"0", "1", "0.0", "1.0"}]
        if len(ones) > 1 and all(sum(float(_cell(row, column)) for column in ones) == 1 for row in sample):
            found.one_hot = tuple(ones)
    return found


def _cell(row: Sequence[str], column: int) -> str:
    return row[column] if column < len(row) else ""


def _word(title: str) -> str:
    return re.sub(r"[\W_]", "", title.lower())


def _is_split(title: str, cells: Sequence[str]) -> bool:
    """Whether a column says which split a picture is in: nearly all cells do, and there are two kinds, or its title says so."""
    parts = Counter(part_of(cell) for cell in cells if cell)
    whole = sum(parts.values()) > 0 and parts[""] <= 0.1 * sum(parts.values())
    return whole and (_word(title) in SPLITS or len(set(parts) - {""}) > 1)


def _label_columns(titles: Sequence[str], columns: dict[int, list[str]]) -> list[int]:
    """Columns that can be the class: those whose title says so, then those with few different values, words before numbers."""
    def rank(column: int) -> tuple[int, int, int]:
        word, cells = _word(titles[column]), [cell for cell in columns[column] if cell]
        different = len(set(cells))
        if word in LABELS:
            return 0, LABELS.index(word), column
        if any(part in word for part in ("label", "class")) and not word.endswith("id"):
            return 1, 0, column
        repeated = 1 < different <= max(2, len(cells) // 2)
        return (2 if repeated else 3) + 2 * (word in INDEX or _counts(cells)), all(map(_is_number, cells)), column

    return sorted((column for column, cells in columns.items() if any(cells)), key=rank)


def _counts(cells: Sequence[str]) -> bool:
    """Whether they are 0, 1, 2, … or 1, 2, 3, …: the index that spreadsheets and pandas write."""
    return len(cells) > 2 and cells[0] in {"0", "1"} and all(cell == str(n) for n, cell in enumerate(cells, int(cells[0])))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def examples_of(table: Table, label: int | None, files: Files, found: dict[tuple[str, ...], tuple[str, str]],
                rejected: list[tuple[str, str]]) -> None:
    """Path → (class, split) of a table's rows into `found`, "" for the class of a file that rows disagree about.

    label: the column that is the class; None takes the table's own choice. Bad rows go to `rejected`.
    """
    column = table.labels[0] if label is None and table.labels else label
    whole = column is not None and all(re.fullmatch(r"-?\d+\.0+", _cell(row, column)) for row in table.rows if _cell(row, column))
    for number, cells in enumerate(table.rows, start=1 + any(table.titles)):
        try:
            if len(cells) < 2 or not _cell(cells, table.names):
                raise BadEntry(f"this row of {table.name} needs a file name and a label")
            path = files.find(cells[table.names], table.entry)
        except BadEntry as error:
            given = _cell(cells, table.names)
            rejected.append((shown(given) if given else f"{table.entry.name}, row {number:,}", str(error)))
            continue
        if table.one_hot and label is None:
            said = [table.titles[one] for one in table.one_hot if _cell(cells, one) in {"1", "1.0"}]
            text = said[0] if len(said) == 1 else ""
        else:
            text = _cell(cells, column) if column is not None else ""
        said = plain_name(text.partition(".")[0] if whole else text)
        part = part_of(_cell(cells, table.part)) if table.part is not None else ""
        before = found.setdefault(path, (said, part))
        if before[0] == said and said:
            continue
        if before[0] or not said:  # once for each file
            rejected.append((shown("/".join(path)), f"has two different labels in {table.name}" if said else
                             f"its row in {table.name} has no label"))
        found[path] = "", part


def read_rows(archive: zipfile.ZipFile, table: Entry) -> tuple[list[list[str]], list[str]]:
    """All rows, cells stripped, empty rows left out, and what is to be said of how they were read. Commas, semicolons (Excel in
    much of Europe), tabs or bars between cells; else the last blank of a line. Raises Refused."""
    try:
        text, notes = _decoded(table.name, read_entry(archive, table, MOST_BYTES))
    except BadEntry as error:
        raise Refused(f"{table.name} can't be used: {error}.") from None
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t|", key=first.count)
    if not first.count(delimiter) and '"' not in first:
        if len(lines := text.splitlines()) > MOST_ROWS:
            raise Refused(f"{table.name} has more than {MOST_ROWS:,} rows.")
        return [[cell.strip() for cell in line.rsplit(None, 1)] for line in lines if line.strip()], notes
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        rows = [[cell.strip() for cell in row] for row in islice(reader, MOST_ROWS + 1)]
    except csv.Error as error:
        raise Refused(f"{table.name} can't be read as a table: {error}.") from None
    if len(rows) > MOST_ROWS:
        raise Refused(f"{table.name} has more than {MOST_ROWS:,} rows.")
    return [row for row in rows if any(row)], notes


def _decoded(name: str, data: bytes) -> tuple[str, list[str]]:
    """A table's text: UTF-8, UTF-16 with its mark (Excel's “Unicode text”), else Western European, which is then said."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace"), []
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), [
            f"{name} is not UTF-8 text and was read as Western European (Windows-1252): look at the names of the classes."]
