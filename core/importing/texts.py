"""A CSV of texts, as people have it, as texts and classes: which column is which, what the labels say, what is left out.

Nothing is taken in silence: whatever the file does not say itself (no titles, unusual ones, another encoding, lines that can't be
used) is a note, a line each. The file is gone through three times, for its encoding, for its labels and for its texts, and is
never in memory as a whole.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from core.importing.names import plain_name
from core.importing.text_columns import (
    CHARACTERS_LOOKED_AT,
    LONGEST_LABEL,
    LOOKED_AT,
    Columns,
    called,
    find_columns,
    short,
    value_of,
)
from core.importing.text_labels import MOST_LEFT_OUT, Labels, classes_of
from core.importing.text_lines import (
    HOW,
    MOST_CHARACTERS,
    TextRow,
    TextsRefused,
    how_written,
    rows_of,
)
from core.wording import plural

BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)

Row = tuple[str, int]  # text, place of its class


@dataclass(frozen=True)
class FoundTexts:
    """How a file is understood. counts: texts of each class. notes: what was understood and left out, a line each. columns: what
    the columns are called; taken: the places of those that were taken for the text and the label."""

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    taken: tuple[int, int]


@dataclass
class _LeftOut:
    """How many lines can't be used, and why the first one can't."""

    count: int = 0
    first: str = ""

    def add(self, why: str) -> None:
        self.count += 1
        self.first = self.first or why


class TextsFile:
    """A file of texts that has been looked through. found: how it is understood."""

    def __init__(self, file: BinaryIO, taken: tuple[int, int] | None = None, known: tuple[str, ...] | None = None) -> None:
        """Look it through.

        Args:
            taken: the columns of text and label, where somebody has said which they are.
            known: the classes, of a file that has been kept: any other label is refused.

        Raises TextsRefused with one line for what can't be used.
        """
        self._file = file
        self._written = how_written(file)
        head = self._head()
        try:
            self._columns = find_columns(head, taken)
            self._width = len(head[0][1])
            self.found = self._look_through(known)
        except TextsRefused as error:
            error.columns = called(head[0][1])
            raise

    def rows(self) -> Iterator[Row]:
        """Each text with the place of its class."""
        for _, text, label in self._labelled(_LeftOut().add):
            if (place := self._places.get(self._key(label))) is not None:
                yield text, place

    def _look_through(self, known: tuple[str, ...] | None) -> FoundTexts:
        notes = [note for note in (self._written.note, self._columns.note) if note]
        labels, wrong = Labels(), _LeftOut()
        self._key: Callable[[str], str] = value_of if known is None else str
        for line, _, label in self._labelled(wrong.add):
            if known is not None and label not in known:
                raise TextsRefused(f"The label in line {line:,} is {short(label)}, which is none of its classes.")
            labels.add(label)
        if not labels.texts and not wrong.count:
            raise TextsRefused(f"The file has a first line and no texts. {HOW}.")
        if wrong.count > max(1, MOST_LEFT_OUT * (labels.texts + wrong.count)) or not labels.texts:
            raise TextsRefused(wrong.first)
        columns = self._columns
        if known is None:
            titles = (columns.names[columns.label], columns.names[columns.text]) if columns.has_titles else ()
            classes = classes_of(labels, titles, notes)
            names, self._places, counts = classes.names, classes.places, classes.counts
        else:
            names, self._places = known, {name: place for place, name in enumerate(known)}
            counts = tuple(sum(count for (_, name), count in labels.written.items() if name == one) for one in known)
        if wrong.count:
            notes.append(f"{plural(wrong.count, 'line')} left out. The first: {wrong.first}")
        return FoundTexts(names, counts, tuple(notes), columns.called, (columns.text, columns.label))

    def _head(self) -> list[TextRow]:
        """The first rows, to find out what they are."""
        head: list[TextRow] = []
        characters = 0
        for line, row in rows_of(self._file, self._written):
            head.append((line, row))
            characters += sum(map(len, row))
            if len(head) >= LOOKED_AT or characters > CHARACTERS_LOOKED_AT:
                break
        if not head:
            raise TextsRefused(f"The file is empty. {HOW}.")
        return head

    def _labelled(self, left_out: Callable[[str], object]) -> Iterator[tuple[int, str, str]]:
        """Line, text and label of each row; left_out is told why another one can't be used."""
        for place, (line, row) in enumerate(rows_of(self._file, self._written)):
            if not place and self._columns.has_titles:
                continue
            try:
                text, label = _row(line, row, self._width, self._columns)
            except TextsRefused as error:
                left_out(str(error))
            else:
                yield line, text, label


def _row(line: int, row: list[str], width: int, columns: Columns) -> tuple[str, str]:
    """Text and label of a row. Raises TextsRefused."""
    if len(row) != width:
        raise TextsRefused(f"Line {line:,} has {len(row)} columns and the first line {width}. Put a text with commas in "
                           "quotation marks.")
    text, label = BREAK.sub(" ", row[columns.text]).strip(), row[columns.label].strip()
    if not text:
        raise TextsRefused(f"Line {line:,} has an empty text.")
    if len(text) > MOST_CHARACTERS:
        raise TextsRefused(f"The text in line {line:,} has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read.")
    if not plain_name(label):
        raise TextsRefused(f"Line {line:,} has no label.")
    if len(label) > LONGEST_LABEL:
        raise TextsRefused(f"The label in line {line:,} is {short(label)}: {len(label):,} characters, and a class's name has "
                           f"{LONGEST_LABEL} at most. Is it the column of the texts?")
    return text, label
