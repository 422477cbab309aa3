"""How an archive is laid out: by folders, by a table that names the pictures, or by the names of its files."""

import zipfile
from collections import Counter

from core.importing.archive import Entry, Listing, Refused
from core.importing.folders import by_folder, by_names, enclosing, part_of, splits_in
from core.importing.reading import Example, Plan
from core.importing.tables import ENDINGS, MOST_TABLES, Files, Table, examples_of, find_table, plain_table

TABLE = "labels.csv"  # wins over folders; another table only where these say nothing
FOLDERS, NAMES, TABLES = "folders", "names", "table:"  # what plan() can be asked for, the last one with a column's title


def plan(archive: zipfile.ZipFile, listing: Listing, asked: str = "") -> Plan:
    """Examples of the archive, by class and name. asked: one of the `readings` of a plan before; "" for the likeliest, as is one
    that there isn't here. Raises Refused where a labels.csv can't be read."""
    found = _plan(archive, listing, asked)
    found.examples.sort(key=lambda example: (example.label, example.entry.parts))
    folded = Counter(name.casefold() for name in found.classes)
    if twins := sorted(name for name in found.classes if folded[name.casefold()] > 1):
        names = ", ".join(f"“{name}”" for name in twins[:4])
        found.notes.append(f"These classes differ only in capital letters and are kept apart: {names}.")
    return found


def _plan(archive: zipfile.ZipFile, listing: Listing, asked: str) -> Plan:
    files = Files(entry for entry in listing.entries if entry.ending not in ENDINGS)
    tables, notes = tables_of(archive, listing, files)
    folders, names = by_folder(listing), by_names(listing)
    sorted_out = len({example.label for example in folders.examples}) > 1
    if sorted_out:  # a list of the classes may hit upon a file's name
        tables = [table for table in tables if min(table.named, table.covered) >= 0.5]
    ours = [table for table in tables if table.name.lower() == TABLE]
    ways = [(NAMES, names.reading)] if names.classes and not sorted_out else []
    if tables and ours and sorted_out:
        ways.append((FOLDERS, "Folders say what each picture is; tables are not looked at"))
    by_itself = bool(tables) and (bool(ours) or not sorted_out)  # a table is taken if nothing is asked for
    ways += [(f"{TABLES}{table.title(column)}", f"“{table.title(column)}” of {table.name} is the class")
             for table in (ours or tables)[:1] for column in table.choices() if not by_itself or column != table.labels[0]]
    column = asked.removeprefix(TABLES) if asked.startswith(TABLES) else ""
    if asked == NAMES and names.classes:
        found = names
    elif asked in {"inner", "outer"}:
        found = by_folder(listing, asked)
    elif tables and (column or (by_itself and asked != FOLDERS)):
        found = by_table(listing, tables if column or not ours else ours, files, column)
    else:
        found = folders
        if not ours and (wrong := [entry for entry in listing.entries if entry.parts[-1].lower() == TABLE]) and not sorted_out:
            found = by_table(listing, [plain_table(archive, entry) for entry in wrong[:MOST_TABLES]], files, "")
    found.notes += notes
    found.readings = [*(folders.readings if sorted_out and not by_itself else []), *ways]
    return found


def tables_of(archive: zipfile.ZipFile, listing: Listing, files: Files) -> tuple[list[Table], list[str]]:
    """Tables that name pictures of the archive, and what is to be said of others. Raises Refused for a labels.csv that can't be
    read, and for too many."""
    found, notes = [], []
    candidates = [entry for entry in listing.entries if entry.ending in ENDINGS]
    if (count := sum(entry.parts[-1].lower() == TABLE for entry in candidates)) > MOST_TABLES:
        raise Refused(f"The archive has {count:,} files named {TABLE}; at most {MOST_TABLES} are read.")
    candidates.sort(key=lambda entry: (entry.parts[-1].lower() != TABLE, entry.ending == ".txt", entry.parts))
    for entry in candidates[:MOST_TABLES]:
        try:
            if (table := find_table(archive, entry, files)) is None:
                notes += [f"{entry.name} names no picture that is here, and was not used."] if entry.ending != ".txt" else []
            elif not table.labels:
                notes.append(f"{entry.name} has no column that could be a class, and was not used.")
            else:
                found.append(table)
        except Refused:
            if entry.parts[-1].lower() == TABLE:
                raise
            notes.append(f"{entry.name} can't be read as a table, and was not used.")
    return found, notes


def by_table(listing: Listing, tables: list[Table], files: Files, asked: str) -> Plan:
    """Pictures anywhere, and each table saying what those that it names show. asked: the title of the column that is the class;
    "" for each table's likeliest."""
    found, said = Plan(), {}
    names = {table.entry.parts for table in tables}
    for table in tables:
        column = next((column for column in table.labels if table.title(column) == asked), None)
        examples_of(table, column, files, said, found.rejected)
        found.notes += table.notes
        found.reading = f"{found.reading} {in_words(table, column)}".strip()
    pictures = [entry for entry in listing.entries if entry.parts not in names]
    paths = [entry.parts for entry in pictures if entry.ending not in ENDINGS]
    whole = enclosing(paths)
    has_parts = splits_in([path[whole:] for path in paths])
    for entry in pictures:
        if entry.ending in ENDINGS:
            found.rejected.append((entry.name, "a table or text that was not used"))
        elif entry.parts not in said:
            found.rejected.append((entry.name, f"has no row in {_names_of(tables)}"))
        elif (label := said[entry.parts][0]):
            part = said[entry.parts][1] or (_part(entry, whole) if has_parts else "")
            found.classes.add(label)
            found.examples.append(Example(entry, label, part))
    if len({example.part for example in found.examples}) < 2:
        found.examples = [Example(example.entry, example.label, "") for example in found.examples]
    return found


def _part(entry: Entry, whole: int) -> str:
    return part_of(entry.parts[whole]) if len(entry.parts) > whole + 1 else ""


def _names_of(tables: list[Table]) -> str:
    return " or ".join(sorted({table.name for table in tables})[:3])


def in_words(table: Table, column: int | None) -> str:
    """What was taken for what, as a sentence."""
    if table.one_hot and column is None:
        label = "the columns of ones and zeros are the classes"
    elif table.labels:
        label = f"“{table.title(table.labels[0] if column is None else column)}” is the class"
    else:
        label = "no column is the class"
    part = "" if table.part is None else f", “{table.title(table.part)}” the split"
    return f"In {table.name}, “{table.title(table.names)}” names the pictures, {label}{part}."
