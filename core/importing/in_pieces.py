"""A file of an archive in pieces, and its lines as numbers: what is too large to be unpacked at once."""

import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from core.importing.archive import MOST_PIXEL_BYTES, BadEntry, Entry

warnings.filterwarnings("ignore", "string or file could not be read", DeprecationWarning)  # of text among numbers: we count
MOST_LINE = 2_000_000  # characters


class Opened:
    """A file of the archive, for reading in pieces. Raises BadEntry where it can't be, as do its reads."""

    def __init__(self, archive: zipfile.ZipFile, entry: Entry) -> None:
        if entry.info.file_size > MOST_PIXEL_BYTES:
            raise BadEntry(f"{entry.info.file_size / 1e6:,.0f} MB; at most {MOST_PIXEL_BYTES / 1e6:.0f} MB for one file")
        try:
            self._file: Any = entry.open(archive)
        except Exception as error:  # a crafted header can make zipfile raise anything
            raise BadEntry(f"can't be read from the archive ({type(error).__name__})") from None

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, count: int) -> bytes:
        return _read(lambda: self._file.read(count))

    def readline(self, most: int) -> bytes:
        return _read(lambda: self._file.readline(most))

    def peek(self, count: int) -> bytes:
        return _read(lambda: self._file.peek(count))


def mark_of(line: bytes) -> bytes:
    """What stands between the numbers of a line."""
    return max((b",", b";", b"\t", b" "), key=line.count)


def numbers_in(line: bytes, mark: bytes) -> np.ndarray | None:
    """The numbers of a line; None where not all of it is numbers."""
    text = line.strip().replace(b'"', b"")
    # of whole numbers NumPy reads five times as many in the same time
    kind = np.float64 if text.translate(None, b"0123456789" + mark) else np.int64
    try:
        found = np.fromstring(text.decode("ascii"), dtype=kind, sep=mark.decode()).astype(np.float64, copy=False)
    except (ValueError, DeprecationWarning):
        return None
    return found if len(found) == (len(text.split()) if mark == b" " else text.count(mark) + 1) else None


def lines_of(file: Opened) -> Iterator[bytes]:
    """Lines that are not empty, none of which may be endless. Raises BadEntry."""
    while line := file.readline(MOST_LINE + 1):
        if len(line) > MOST_LINE:
            raise BadEntry(f"a line of more than {MOST_LINE:,} characters")
        if line.strip():
            yield line


def _read(read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise BadEntry("damaged in the archive: its bytes don't match its checksum or length") from None
