"""A file of texts in pieces: what it is encoded in, what stands between its columns, and its rows one after the other.

The file is never in memory as a whole, and neither is a row that is no row of texts: an endless line, a quotation mark that is
never closed, millions of columns.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from core.wording import size_of_bytes

MOST_MEGABYTES, MOST_TEXTS, MOST_CHARACTERS, MOST_COLUMNS = 100, 100_000, 100_000, 1000
MOST_ROW = 2_000_000  # characters, and so of a line
PIECE = 1 << 20  # bytes
HOW = "It needs a first line text,label and then one text in each line with the name of its class"
WESTERN, UTF_8, UTF_16 = "cp1252", "utf-8-sig", "utf-16"
MARKS_OF_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SIGNS = 10_000  # characters that are looked at …
MOST_SIGNS = 0.01  # … of which more than this share are none: it is no text
DELIMITERS = ",;\t"
NUL = "The file has NUL bytes in it, as text files never do. Save it as “CSV UTF-8” and upload it again."

TextRow = tuple[int, list[str]]  # the number of the line it ends on, its cells


class TextsRefused(ValueError):
    """A file of texts that can't be used; the message is one line that says where and what to do.

    columns: what its columns are called, where it has any to choose from.
    """

    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """How a file is written. note: a line on what was guessed; "" where nothing was."""

    encoding: str
    delimiter: str
    note: str = ""


def how_written(file: BinaryIO) -> Written:
    """Encoding and delimiter: UTF-8, UTF-16 with its mark, else Western European, which is then said. A semicolon or tab may
    stand for the comma. Raises TextsRefused."""
    size = file.seek(0, io.SEEK_END)
    if size > MOST_MEGABYTES * 1_000_000:
        raise TextsRefused(f"The file has {size_of_bytes(size)}; at most {MOST_MEGABYTES} MB are read. Take a part of it.")
    encoding, note = _encoding(file)
    first = next((line for line in _lines(file, encoding) if line.strip()), "").lstrip()
    if not first:
        raise TextsRefused(f"The file is empty. {HOW}.")
    return Written(encoding, max(DELIMITERS, key=first.count), note)


def rows_of(file: BinaryIO, written: Written) -> Iterator[TextRow]:
    """Each row with anything in it. Raises TextsRefused, with the line, for what can't be read as one."""
    lines = _Bounded(_lines(file, written.encoding), written.delimiter)
    reader = csv.reader(lines, delimiter=written.delimiter, strict=True)
    count = 0
    try:
        for row in reader:
            lines.characters = lines.marks = 0
            if len(row) > MOST_COLUMNS:
                raise TextsRefused(f"Line {reader.line_num:,} has {len(row):,} columns; at most {MOST_COLUMNS:,} are read.")
            if any(cell.strip() for cell in row):
                count += 1
                if count > MOST_TEXTS + 1:  # with the titles
                    raise TextsRefused(f"The file has more than {MOST_TEXTS:,} texts. Take a part of it.")
                yield reader.line_num, row
    except csv.Error as error:
        reason = {"unexpected end of data": "a quotation mark is opened and never closed"}.get(str(error), str(error))
        raise TextsRefused(f"Line {reader.line_num:,} can't be read: {reason}. Put a text with commas in quotation marks, and "
                           "write a quotation mark inside it twice.") from None


class _Bounded:
    """Lines for a reader of CSV. A row that may have millions of columns is refused before they are made. characters, marks: of
    the row so far, which its reader sets back."""

    def __init__(self, lines: Iterator[str], delimiter: str) -> None:
        self.lines, self.delimiter = lines, delimiter
        self.characters = self.marks = self.number = 0

    def __iter__(self) -> "_Bounded":
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        self.number += 1
        self.characters += len(line)
        self.marks += line.count(self.delimiter)
        if self.marks > MOST_CHARACTERS + MOST_COLUMNS:
            raise TextsRefused(f"Line {self.number:,} has more than {MOST_CHARACTERS + MOST_COLUMNS:,} commas or tabs; at most "
                               f"{MOST_COLUMNS:,} columns are read.")
        if self.characters > MOST_ROW:
            raise TextsRefused(f"The row on line {self.number:,} has more than {MOST_ROW:,} characters. Is a quotation mark "
                               "opened there and never closed?")
        return line


def _lines(file: BinaryIO, encoding: str) -> Iterator[str]:
    """The lines, with their ends as they are; of a longer one than a row may be, a piece that is too long for one."""
    file.seek(0)
    text = io.TextIOWrapper(file, encoding, "replace" if encoding == WESTERN else "strict", newline="")
    try:
        while line := text.readline(MOST_ROW + 1):
            yield line
    finally:
        with suppress(ValueError):  # the file was closed while somebody kept this iterator
            text.detach()  # else it would close the file


def _encoding(file: BinaryIO) -> tuple[str, str]:
    """What the whole file can be decoded with, and a line where it is a guess. Raises TextsRefused."""
    file.seek(0)
    encoding, note = UTF_16 if file.read(2) in MARKS_OF_UTF_16 else UTF_8, ""
    if wrong := _undecodable(file, encoding):
        file.seek(0)
        start = file.read(SIGNS).decode(WESTERN, errors="replace")
        signs = sum(sign == "�" or (not sign.isprintable() and sign not in "\r\n\t") for sign in start)
        if signs > MOST_SIGNS * len(start):
            raise TextsRefused(f"The file is not UTF-8 text ({wrong}). Save it as “CSV UTF-8” and upload it again.")
        if _has_nul(file):
            raise TextsRefused(NUL)
        encoding, note = WESTERN, "It is not UTF-8 text and was read as Western European (Windows-1252)."
    return encoding, note


def _undecodable(file: BinaryIO, encoding: str) -> str:
    """The first byte that the encoding doesn't have, in words; "" where there is none. Raises TextsRefused for NUL."""
    decoder, done = codecs.getincrementaldecoder(encoding)(), 0
    file.seek(0)
    piece = b"start"
    while piece:
        piece = file.read(PIECE)
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            place = done + len(piece) - len(error.object) + error.start
            return f"byte {error.object[error.start]:#04x} at position {place:,}"
        if "\0" in text:
            raise TextsRefused(NUL)
        done += len(piece)
    return ""


def _has_nul(file: BinaryIO) -> bool:
    file.seek(0)
    while piece := file.read(PIECE):
        if b"\0" in piece:
            return True
    return False
