"""Which column of a table of texts has the texts, and which one says what they are."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from core.importing.names import plain_name
from core.importing.text_lines import HOW, TextRow, TextsRefused

# Titles of the columns, the likeliest first, in small letters without spaces and signs
TEXT_TITLES = ("text", "review", "reviewtext", "reviewbody", "sentence", "content", "comment", "commenttext", "tweet", "message",
               "body", "sms", "article", "description", "question", "utterance", "phrase", "headline", "document", "post")
# names before numbers of classes: tables with both call the first label_text or label_name
LABEL_TITLES = ("labeltext", "labelname", "categoryname", "label", "labels", "sentiment", "polarity", "target", "class",
                "category", "classindex", "topic", "intent", "emotion", "genre", "stars", "rating", "score", "language", "type")
LOOKED_AT, CHARACTERS_LOOKED_AT = 10_000, 2_000_000  # rows, where titles don't say which column is which
MOST_CLASSES, LONGEST_LABEL = 200, 60
INTEGER = re.compile(r"[+-]?\d{1,9}(\.0*)?")


@dataclass(frozen=True)
class Columns:
    """Places of the texts and the labels. titles: of all columns, as the first row has them. names: the same in small letters,
    without signs."""

    text: int
    label: int
    has_titles: bool
    titles: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def note(self) -> str:
        """A line on what was taken for what; "" where the titles are just text and label."""
        if not self.has_titles:
            return (f"There are no titles: column {self.text + 1} was taken for the text, column {self.label + 1} for the "
                    "label.")
        if (self.names[self.text], self.names[self.label]) == ("text", "label"):
            return ""
        return (f"{short(self.titles[self.text])} was taken for the text, {short(self.titles[self.label])} for the label.")

    @property
    def called(self) -> tuple[str, ...]:
        """What to call each column where one is to be chosen."""
        return called(self.titles, self.has_titles)


def find_columns(first_rows: Sequence[TextRow], taken: tuple[int, int] | None) -> Columns:
    """Which column is which, by titles and by content. taken: those of text and label, where somebody has said so.

    Raises TextsRefused.
    """
    rows = [row for _, row in first_rows]
    titles = tuple(rows[0])
    names = tuple(re.sub(r"[\W_]", "", cell.lower()) for cell in titles)
    if taken is not None:
        if len({*taken}) < 2 or not 0 <= min(taken) <= max(taken) < len(names):
            raise TextsRefused(f"Text and label must be two different columns of the {len(names)}.")
        return Columns(*taken, _has_titles(rows, names, taken[1]), titles, names)
    for title in (*TEXT_TITLES, *LABEL_TITLES):
        if names.count(title) > 1:
            raise TextsRefused(f"The file has more than one column {title}; its first line is {_shown(titles)}. {HOW}.")
    text = next((names.index(title) for title in TEXT_TITLES if title in names), None)
    label = next((names.index(title) for title in LABEL_TITLES if title in names), None)
    if text is not None and label is not None:
        return Columns(text, label, True, titles, names)
    titled = text is not None or label is not None
    label = _label_column(rows[titled:], text) if label is None else label
    if label is not None and text is None:
        text = _longest(rows[titled:], label)
    if text is None or label is None:
        wanting = "label" if text is not None or not set(names) & set(LABEL_TITLES) else "text"
        raise TextsRefused(f"The file has no column {wanting}; its first line is {_shown(titles)}. {HOW}.")
    return Columns(text, label, titled or _has_titles(rows, names, label), titles, names)


def called(titles: Sequence[str], has_titles: bool = True) -> tuple[str, ...]:
    """What to call each column where one is to be chosen."""
    return tuple((plain_name(title, 30) if has_titles else "") or f"column {place + 1}" for place, title in enumerate(titles))


def value_of(cell: str) -> str:
    """What makes two labels one: without regard to capitals, 1.0 as 1."""
    value = plain_name(cell, LONGEST_LABEL + 1).casefold()
    return str(int(float(value))) if value.isascii() and INTEGER.fullmatch(value) else value


def short(cell: str) -> str:
    """A cell in quotation marks, its first 30 characters."""
    shown = "".join(c if c.isprintable() else "?" for c in cell[:30])
    return f"“{shown}{'…' if len(cell) > 30 else ''}”"


def _label_column(rows: list[list[str]], text: int | None) -> int | None:
    """The column with the fewest different short values, at least two of which come back; None where there is none."""
    width = len(rows[0]) if rows else 0
    found = {}
    for column in range(width):
        values = Counter(value_of(row[column]) for row in rows if len(row) > column)
        values.pop("", None)
        often = {value for value, count in values.items() if count > 1}
        if column != text and len(often) > 1 and len(values) <= MOST_CLASSES and max(map(len, values)) <= LONGEST_LABEL:
            found[column] = len(values)
    return min(found, key=found.__getitem__) if found else None


def _longest(rows: list[list[str]], label: int) -> int | None:
    """The column with the most characters in it, but for that of the labels."""
    others = [column for column in range(len(rows[0]) if rows else 0) if column != label]
    return max(others, key=lambda column: sum(len(row[column]) for row in rows if len(row) > column), default=None)


def _has_titles(rows: list[list[str]], names: Sequence[str], label: int) -> bool:
    """Whether the first line has titles: usual ones, or the label's cell is none of the labels below it."""
    below = {value_of(row[label]) for row in rows[1:] if len(row) > label}
    return names[label] in LABEL_TITLES or (value_of(rows[0][label]) not in below and len(rows) > 1)


def _shown(cells: Sequence[str]) -> str:
    return ", ".join(short(cell) for cell in cells[:5])
