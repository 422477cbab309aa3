"""A CSV of texts, as people have it, as texts and classes: which column is which, what the labels say, what is left out.

Nothing is taken in silence: whatever the file does not say itself (no titles, unusual ones, another encoding, lines that can't be
used) is a note, a line each.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.data.dataset import DataError
from core.data.sources.texts import CLASSES
from core.importing.names import plain_name
from core.wording import plural, size_of_bytes

MOST_MEGABYTES, MOST_TEXTS, MOST_CHARACTERS, FEWEST, MOST_CLASSES, MOST_COLUMNS = 100, 100_000, 100_000, 10, 200, 1000
SIDES = {"negative": 0, "neg": 0, "positive": 1, "pos": 1}
# numbers that say which side, where the titles say that the labels are of this kind; Sentiment140 has 0 and 4
SIDE_NUMBERS = ({"0": 0, "1": 1}, {"0": 0, "4": 1}, {"-1": 0, "1": 1})
SIDE_TITLES = ("sentiment", "polarity")
# Titles of the columns, the likeliest first, in small letters without spaces and signs
TEXT_TITLES = ("text", "review", "reviewtext", "reviewbody", "sentence", "content", "comment", "commenttext", "tweet", "message",
               "body", "sms", "article", "description", "question", "utterance", "phrase", "headline", "document", "post")
# names before numbers of classes: tables with both call the first label_text or label_name
LABEL_TITLES = ("labeltext", "labelname", "categoryname", "label", "labels", "sentiment", "polarity", "target", "class",
                "category", "classindex", "topic", "intent", "emotion", "genre", "stars", "rating", "score", "language", "type")
HOW = "It needs a first line text,label and then one text in each line with the name of its class"
LOOKED_AT = 10_000  # lines, where titles don't say which column is which
LONGEST_LABEL = 60
MOST_LEFT_OUT = 0.1  # of the lines: more of them are no accident
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
INTEGER = re.compile(r"[+-]?\d{1,9}(\.0*)?")

Row = tuple[str, int]  # text, place of its class
Labelled = tuple[int, str, str]  # line, text, label


class TextsRefused(DataError):
    """A CSV that can't be used; the message is one line that says where and what to do.

    columns: what its columns are called, where it has any to choose from.
    """

    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadTexts:
    """rows: texts with the places of their classes. notes: what was understood and left out, a line each. columns: what the
    columns are called; taken: the places of those that were taken for the text and the label."""

    rows: list[Row]
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    taken: tuple[int, int]


@dataclass(frozen=True)
class _Columns:
    text: int
    label: int
    has_titles: bool


def read_csv(content: bytes, taken: tuple[int, int] | None = None, known: tuple[str, ...] | None = None) -> ReadTexts:
    """The texts of a CSV and their classes.

    Args:
        taken: the columns of text and label, where somebody has said which they are.
        known: the classes, of a file that has been kept: any other label is refused.

    Raises TextsRefused with one line for what can't be used.
    """
    if len(content) > MOST_MEGABYTES * 1_000_000:
        raise TextsRefused(f"The file has {size_of_bytes(len(content))}; at most {MOST_MEGABYTES} MB are read. Take a part "
                           "of it.")
    if not content.strip():
        raise TextsRefused(f"The file is empty. {HOW}.")
    text, notes = _decode(content)
    records = _records(text)
    if not records:
        raise TextsRefused(f"The file is empty. {HOW}.")
    try:
        return _read(records, taken, known, notes)
    except TextsRefused as error:
        error.columns = tuple(_plain_title(cell, place, True) for place, cell in enumerate(records[0][1]))
        raise


def _read(records: list[tuple[int, list[str]]], taken: tuple[int, int] | None, known: tuple[str, ...] | None,
          notes: list[str]) -> ReadTexts:
    names = [_title(cell) for cell in records[0][1]]
    columns = _found(records, names, taken)
    if columns.has_titles and len(records) == 1:
        raise TextsRefused(f"The file has a first line and no texts. {HOW}.")
    if not columns.has_titles:
        notes.append(f"There are no titles: column {columns.text + 1} was taken for the text, column {columns.label + 1} for the "
                     "label.")
    elif (names[columns.text], names[columns.label]) != ("text", "label"):
        notes.append(f"{_short(records[0][1][columns.text])} was taken for the text, {_short(records[0][1][columns.label])} for "
                     "the label.")
    labelled, wrong = _labelled(records[1 if columns.has_titles else 0:], len(names), columns)
    if known:
        rows, classes = _of_known(labelled, known), known
    else:
        rows, classes = _classed(labelled, [names[columns.label], names[columns.text]] if columns.has_titles else [], notes)
    if wrong:
        notes.append(f"{plural(len(wrong), 'line')} left out. The first: {wrong[0]}")
    titles = tuple(_plain_title(cell, place, columns.has_titles) for place, cell in enumerate(records[0][1]))
    return ReadTexts(rows, classes, tuple(notes), titles, (columns.text, columns.label))


def _decode(content: bytes) -> tuple[str, list[str]]:
    """UTF-8, UTF-16 with its mark, else Western European, which is then said."""
    notes = []
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        text = content.decode("cp1252", errors="replace")
        signs = sum(sign == "�" or (not sign.isprintable() and sign not in "\r\n\t") for sign in text[:10_000])
        if signs > 0.01 * len(text[:10_000]):
            shown = f" (byte {content[error.start]:#04x} at position {error.start:,})"
            raise TextsRefused(f"The file is not UTF-8 text{shown}. Save it as “CSV UTF-8” and upload it again.") from None
        notes.append("It is not UTF-8 text and was read as Western European (Windows-1252).")
    if "\0" in text:
        raise TextsRefused("The file has NUL bytes in it, as text files never do. Save it as “CSV UTF-8” and upload it again.")
    return text, notes


def _records(text: str) -> list[tuple[int, list[str]]]:
    """Each record with the number of the line it ends on. A semicolon or tab may stand for the comma."""
    first = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(_bounded(text, delimiter), delimiter=delimiter, strict=True)
    records = []
    try:
        for record in reader:
            if len(record) > MOST_COLUMNS:
                raise TextsRefused(f"Line {reader.line_num:,} has {len(record):,} columns; at most {MOST_COLUMNS:,} are read.")
            if any(cell.strip() for cell in record):
                records.append((reader.line_num, record))
            if len(records) > MOST_TEXTS + 1:
                raise TextsRefused(f"The file has more than {MOST_TEXTS:,} texts. Take a part of it.")
    except csv.Error as error:
        reason = {"unexpected end of data": "a quotation mark is opened and never closed"}.get(str(error), str(error))
        raise TextsRefused(f"Line {reader.line_num:,} can't be read: {reason}. Put a text with commas in quotation marks, and "
                           "write a quotation mark inside it twice.") from None
    return records


def _bounded(text: str, delimiter: str) -> Iterator[str]:
    """The lines of a text. One that may have millions of columns is refused before they are made."""
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if line.count(delimiter) > MOST_CHARACTERS + MOST_COLUMNS:
            raise TextsRefused(f"Line {number:,} has {line.count(delimiter):,} commas or tabs; at most {MOST_COLUMNS:,} columns "
                               "are read.")
        yield line


# --- which column is which

def _found(records: list[tuple[int, list[str]]], names: list[str], taken: tuple[int, int] | None) -> _Columns:
    rows = [record for _, record in records[:LOOKED_AT]]
    if taken is not None:
        if len({*taken}) < 2 or not 0 <= min(taken) <= max(taken) < len(names):
            raise TextsRefused(f"Text and label must be two different columns of the {len(names)}.")
        return _Columns(*taken, _has_titles(rows, names, taken[1]))
    for title in (*TEXT_TITLES, *LABEL_TITLES):
        if names.count(title) > 1:
            raise TextsRefused(f"The file has more than one column {title}; its first line is {_shown(records[0][1])}. {HOW}.")
    text = next((names.index(title) for title in TEXT_TITLES if title in names), None)
    label = next((names.index(title) for title in LABEL_TITLES if title in names), None)
    if text is not None and label is not None:
        return _Columns(text, label, True)
    titled = text is not None or label is not None
    label = _label_column(rows[titled:], text) if label is None else label
    if label is not None and text is None:
        text = _longest(rows[titled:], label)
    if text is None or label is None:
        wanting = "label" if text is not None or not set(names) & set(LABEL_TITLES) else "text"
        raise TextsRefused(f"The file has no column {wanting}; its first line is {_shown(records[0][1])}. {HOW}.")
    return _Columns(text, label, titled or _has_titles(rows, names, label))


def _label_column(rows: list[list[str]], text: int | None) -> int | None:
    """The column with the fewest different short values, at least two of which come back; None where there is none."""
    width = len(rows[0]) if rows else 0
    found = {}
    for column in range(width):
        values = Counter(_label(row[column]) for row in rows if len(row) > column)
        values.pop("", None)
        often = {value for value, count in values.items() if count > 1}
        if column != text and len(often) > 1 and len(values) <= MOST_CLASSES and max(map(len, values)) <= LONGEST_LABEL:
            found[column] = len(values)
    return min(found, key=found.__getitem__) if found else None


def _longest(rows: list[list[str]], label: int) -> int | None:
    """The column with the most characters in it, but for that of the labels."""
    others = [column for column in range(len(rows[0]) if rows else 0) if column != label]
    return max(others, key=lambda column: sum(len(row[column]) for row in rows if len(row) > column), default=None)


def _has_titles(rows: list[list[str]], names: list[str], label: int) -> bool:
    """Whether the first line has titles: usual ones, or the label's cell is none of the labels below it."""
    below = {_label(row[label]) for row in rows[1:] if len(row) > label}
    return names[label] in LABEL_TITLES or (_label(rows[0][label]) not in below and len(rows) > 1)


# --- what the labels say

def _labelled(records: list[tuple[int, list[str]]], width: int, columns: _Columns) -> tuple[list[Labelled], list[str]]:
    """Line, text and label; lines that can't be used are left out, as long as they are few, and said in the second list."""
    rows: list[Labelled] = []
    wrong: list[str] = []
    for line, record in records:
        try:
            rows.append((line, *_row(line, record, width, columns)))
        except TextsRefused as error:
            wrong.append(str(error))
            if len(wrong) > max(1, MOST_LEFT_OUT * len(records)):
                raise TextsRefused(wrong[0]) from None
    if not rows:
        raise TextsRefused(wrong[0])
    return rows, wrong


def _row(line: int, record: list[str], width: int, columns: _Columns) -> tuple[str, str]:
    if len(record) != width:
        raise TextsRefused(f"Line {line:,} has {len(record)} columns and the first line {width}. Put a text with commas in "
                           "quotation marks.")
    text, label = BREAK.sub(" ", record[columns.text]).strip(), record[columns.label].strip()
    if not text:
        raise TextsRefused(f"Line {line:,} has an empty text.")
    if len(text) > MOST_CHARACTERS:
        raise TextsRefused(f"The text in line {line:,} has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read.")
    if not plain_name(label):
        raise TextsRefused(f"Line {line:,} has no label.")
    if len(label) > LONGEST_LABEL:
        raise TextsRefused(f"The label in line {line:,} is {_short(label)}: {len(label):,} characters, and a class's name has "
                           f"{LONGEST_LABEL} at most. Is it the column of the texts?")
    return text, label


def _classed(rows: list[Labelled], titles: list[str], notes: list[str]) -> tuple[list[Row], tuple[str, ...]]:
    """Texts with the places of their classes. Classes of fewer than FEWEST texts are left out where they are few."""
    counts = Counter(_label(label) for _, _, label in rows)
    if len(counts) > MOST_CLASSES:
        raise TextsRefused(f"The labels have {len(counts):,} different values; at most {MOST_CLASSES} classes can be told apart. "
                           "Choose a column of classes for the label.")
    rare = {value for value, count in counts.items() if count < FEWEST}
    few = [line for line, _, label in rows if _label(label) in rare]
    if len(counts) < 2:
        raise TextsRefused(f"All texts have the label {_short(rows[0][2])}; a network needs two classes or more to tell apart.")
    if len(counts) - len(rare) < 2 or len(few) > max(1, MOST_LEFT_OUT * len(rows)):
        said = ", ".join(f"{counts[value]:,} with {_short(value)}" for value in sorted(rare)[:5])
        raise TextsRefused(f"{plural(len(rare), 'label')} of {len(counts):,} have too few texts: {said}. A network needs two "
                           f"classes or more, with at least {FEWEST} texts each.")
    if rare:
        shown = ", ".join(_short(value) for value in sorted(rare)[:3]) + ("…" if len(rare) > 3 else "")
        notes.append(f"{plural(len(few), 'line')} left out whose label has fewer than {FEWEST} texts: {shown}.")
    names = _names(rows, {value: count for value, count in counts.items() if value not in rare}, titles, notes)
    classes = CLASSES if set(names.values()) == set(CLASSES) else tuple(sorted(names.values(), key=_in_order))
    places = {value: classes.index(name) for value, name in names.items()}
    return [(text, places[_label(label)]) for _, text, label in rows if _label(label) in places], classes


def _in_order(name: str) -> tuple[int, int, str]:
    """Numbers by their size, then names by the alphabet."""
    return (0, int(name), "") if name.isascii() and re.fullmatch(r"[+-]?\d{1,9}", name) else (1, 0, name.casefold())


def _names(rows: list[Labelled], counts: dict[str, int], titles: list[str], notes: list[str]) -> dict[str, str]:
    """What each label's class is called: negative and positive where the labels or the titles say so, else as it is written most
    often."""
    values = set(counts)
    if values <= set(SIDES) and len({SIDES[value] for value in values}) == 2:
        return {value: CLASSES[SIDES[value]] for value in values}
    for sides in SIDE_NUMBERS:
        # 0 and 4 are Sentiment140's, which has no titles
        if values == set(sides) and (bool(set(titles) & set(SIDE_TITLES)) or "4" in values):
            first, second = sides
            notes.append(f"{first} was taken for negative, {second} for positive.")
            return {value: CLASSES[side] for value, side in sides.items()}
    if all(value.isascii() and INTEGER.fullmatch(value) for value in values):
        return {value: value for value in values}
    written: dict[str, Counter[str]] = {value: Counter() for value in values}
    for _, _, label in rows:
        if _label(label) in written:
            written[_label(label)][plain_name(label)] += 1
    return {value: spellings.most_common(1)[0][0] for value, spellings in written.items()}


def _of_known(rows: list[Labelled], known: tuple[str, ...]) -> list[Row]:
    places = {name: place for place, name in enumerate(known)}
    for line, _, label in rows:
        if label not in places:
            raise TextsRefused(f"The label in line {line:,} is {_short(label)}, which is none of its classes.")
    return [(text, places[label]) for _, text, label in rows]


def _label(cell: str) -> str:
    """What makes two labels one: without regard to capitals, 1.0 as 1."""
    value = plain_name(cell, LONGEST_LABEL + 1).casefold()
    return str(int(float(value))) if value.isascii() and INTEGER.fullmatch(value) else value


# --- words

def _title(cell: str) -> str:
    return re.sub(r"[\W_]", "", cell.lower())


def _plain_title(cell: str, place: int, titled: bool) -> str:
    return (plain_name(cell, 30) if titled else "") or f"column {place + 1}"


def _shown(cells: Sequence[str]) -> str:
    return ", ".join(_short(cell) for cell in cells[:5])


def _short(cell: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in cell[:30])
    return f"“{shown}{'…' if len(cell) > 30 else ''}”"
