"""The digits that the class of a lesson draws: one labelled set, to which everybody who has the lesson's link adds.

An SQLite file for each lesson in the data directory: class_digits/K7M2XQ.sqlite3. A drawing remembers the key of whoever drew it,
which is in no answer: to others, those who draw are numbers, in the order in which they came. What the class trains on is a copy
of the set as it is then: see class_sets.py.
"""

import errno
import io
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.actors import Actor
from core.data.dataset import DataDamaged, DataError, DataMissing
from core.fields import ConfigError
from core.files import why_not_written
from core.lessons.kept import CODE, may_change, path_of, read_kept

FOLDER = "class_digits"  # in the data directory
DIGITS = tuple(map(str, range(10)))
SHAPE = (1, 28, 28)
MOST, MOST_OF_ONE = 5000, 100  # drawings of a class, and of one who draws: 5 MB at most
TEST_SHARE = 5  # every so-manieth drawing of each digit is for testing, not of all digits the same: each who draws has some
INK = 0.5  # a drawing whose darkest ink is fainter than this is empty: core.data.drawing gives every other one some of 1
PATIENCE = 20.0  # seconds: thirty may write at the same moment, and each takes some milliseconds
SCHEMA = 1
TABLES = """
CREATE TABLE pupils (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL UNIQUE
);
CREATE TABLE drawings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used again
    pupil INTEGER NOT NULL REFERENCES pupils(number),
    label INTEGER NOT NULL,
    for_testing INTEGER NOT NULL,
    image BLOB NOT NULL                         -- 28×28 bytes, white ink on black
);
CREATE TABLE sets (
    name TEXT PRIMARY KEY,                      -- of a data set that was made of the drawings
    drawings TEXT NOT NULL,                     -- a digest of their numbers
    made REAL NOT NULL                          -- seconds since 1970
)
"""


class NotYourDrawing(DataError):
    """A drawing that is somebody else's; the message is one line."""

    def __init__(self) -> None:
        super().__init__("Only whoever has drawn it can take it back.")


class NotYourClass(DataError):
    """What only whoever made the lesson may do, or the teacher; the message is one line."""

    def __init__(self) -> None:
        super().__init__("Only whoever made this lesson, or the teacher, can do this.")


@dataclass(frozen=True)
class Counts:
    """Drawings of each digit: of the class, and one's own. pupils: how many have drawn some of them."""

    every: tuple[int, ...]
    mine: tuple[int, ...]
    pupils: int


@dataclass(frozen=True, eq=False)
class Collected:
    """Drawings, the oldest first.

    numbers: (N,) int64, what each is called. images: (N, 1, 28, 28) uint8, white ink on black. labels: (N,) int64.
    pupils: (N,) int64, a number for whoever drew it. test: (N,) bool, which are for testing.
    """

    numbers: Tensor
    images: Tensor
    labels: Tensor
    pupils: Tensor
    test: Tensor

    def __len__(self) -> int:
        return len(self.numbers)


def next_digit(every: Sequence[int], mine: Sequence[int], start: int = 0) -> int:
    """Which digit is asked for next: of those that the class has fewest of, one that this pupil has fewest of, the first from
    `start` on. So the class's counts never differ by more than the number of those who draw at the same time."""
    wanted = [digit for digit in range(len(every)) if every[digit] == min(every)]
    fewest = min(mine[digit] for digit in wanted)
    return min((digit for digit in wanted if mine[digit] == fewest), key=lambda digit: (digit - start) % len(every))


class ClassDigits:
    """What one lesson's class draws, as somebody who has its code may use it. Every method raises DataMissing where there is no
    such lesson, and DataError, with one line, where the file can't be read or written."""

    def __init__(self, code: str, data_dir: Path, runs_dir: Path, actor: Actor, owner: str = "") -> None:
        """owner: under whom drawings are kept where one person may do everything; all others have their own key for that."""
        self.code, self.data_dir, self._runs_dir, self._actor = code, data_dir, runs_dir, actor
        self._owner = owner_of(actor, owner)

    # --- one's own

    def add(self, image: Tensor, label: int) -> int:
        """Add a drawing (1, 28, 28) float32 in [0, 1], white ink on black; its number. Raises DataError for anything else, and
        where there are too many already."""
        pixels = _pixels(image, label)
        with self._writing() as db:
            pupil = self._pupil(db, make=True)
            if db.execute("SELECT count(*) FROM drawings WHERE pupil = ?", (pupil,)).fetchone()[0] >= MOST_OF_ONE:
                raise DataError(f"You have drawn {MOST_OF_ONE} digits, which is all that one person can add. Thank you!")
            if db.execute("SELECT count(*) FROM drawings").fetchone()[0] >= MOST:
                raise DataError(f"The class has {MOST:,} drawings, which is all that fit.")
            count, tested = db.execute("SELECT count(*), coalesce(sum(for_testing), 0) FROM drawings WHERE label = ?",
                                       (label,)).fetchone()
            row = db.execute("INSERT INTO drawings (pupil, label, for_testing, image) VALUES (?, ?, ?, ?)",
                             (pupil, label, count >= TEST_SHARE * tested + 3 * label % TEST_SHARE, pixels))
            number = row.lastrowid or 0
        self._check_still_there()
        return number

    def mine(self) -> Collected:
        """One's own drawings."""
        with self._reading() as db:
            return _collected(db, "WHERE pupil = ?", (self._pupil(db),))

    def take_back(self, number: int) -> None:
        """Remove a drawing of one's own; nothing where it is gone already. Raises NotYourDrawing."""
        with self._writing() as db:
            row = db.execute("SELECT pupil FROM drawings WHERE number = ?", (number,)).fetchone()
            if row is not None and row["pupil"] != self._pupil(db):
                raise NotYourDrawing
            db.execute("DELETE FROM drawings WHERE number = ?", (number,))

    def counts(self) -> Counts:
        with self._reading() as db:
            rows = db.execute("SELECT label, count(*) AS every, sum(pupil = ?) AS mine FROM drawings GROUP BY label",
                              (self._pupil(db),)).fetchall()
            pupils = db.execute("SELECT count(DISTINCT pupil) FROM drawings").fetchone()[0]
        of = {row["label"]: (row["every"], row["mine"]) for row in rows}
        every, mine = zip(*(of.get(digit, (0, 0)) for digit in range(len(DIGITS))), strict=True)
        return Counts(every, mine, pupils)

    def next_digit(self, counts: Counts | None = None) -> int:
        """Which digit whoever asks is to draw next: see next_digit(). Each begins with another one."""
        counts = counts or self.counts()
        start = zlib.crc32(self._owner.encode()) + 7 * sum(counts.mine)  # 7 and 10 have no divisor in common: each comes by
        return next_digit(counts.every, counts.mine, start)

    # --- the teacher's

    @property
    def may_clean(self) -> bool:
        """Whether they may look through the whole set, and remove what does not belong there: of a lesson of their own."""
        self._check_there()
        if self._actor.sees_all:
            return True
        try:
            return may_change(read_kept(path_of(self._runs_dir, self.code)), self._actor)
        except (OSError, ConfigError):  # deleted just now, or damaged
            return False

    def everything(self) -> Collected:
        """The whole set. Raises NotYourClass."""
        self._check_clean()
        return self._everything()

    def remove(self, numbers: Sequence[int]) -> int:
        """Remove any drawings; how many there were. Raises NotYourClass."""
        self._check_clean()
        with self._writing() as db:
            return sum(db.execute("DELETE FROM drawings WHERE number = ?", (number,)).rowcount for number in set(numbers))

    def zip_file(self) -> bytes:
        """A zip file with a folder of PNG files for each digit, white ink on black, as Explore data takes it. Nothing in it says
        whose a drawing is. Raises NotYourClass."""
        found, file, names = self.everything(), io.BytesIO(), [0] * len(DIGITS)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for image, label in zip(found.images, found.labels.tolist(), strict=True):
                names[label] += 1
                picture = io.BytesIO()
                Image.fromarray(image[0].numpy()).save(picture, format="PNG")
                archive.writestr(zipfile.ZipInfo(f"{DIGITS[label]}/{names[label]:04d}.png"), picture.getvalue())
        return file.getvalue()

    # --- the file

    @property
    def path(self) -> Path:
        return file_of(self.data_dir, self.code)

    def _everything(self) -> Collected:
        with self._reading() as db:
            return _collected(db)

    def _numbers(self) -> list[int]:
        """What all drawings are called, the oldest first."""
        with self._reading() as db:
            return [row["number"] for row in db.execute("SELECT number FROM drawings ORDER BY number")]

    def _pupil(self, db: sqlite3.Connection, make: bool = False) -> int:
        """The number of whoever asks; 0 where they have drawn nothing."""
        if make:
            db.execute("INSERT INTO pupils (owner) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM pupils WHERE owner = ?1)",
                       (self._owner,))
        row = db.execute("SELECT number FROM pupils WHERE owner = ?", (self._owner,)).fetchone()
        return row["number"] if row else 0

    def _check_clean(self) -> None:
        if not self.may_clean:
            raise NotYourClass

    def _check_there(self) -> None:
        if not CODE.fullmatch(self.code) or not path_of(self._runs_dir, self.code).is_file():
            raise DataMissing("There is no lesson with this code here, so nothing can be drawn for it. It may have been deleted.")

    def _check_still_there(self) -> None:
        """A lesson that was deleted while somebody wrote takes what they wrote along."""
        try:
            self._check_there()
        except DataMissing:
            self.path.unlink(missing_ok=True)
            raise

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        self._check_there()
        with opened(self.path) as db:
            yield db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone from its beginning on."""
        self._check_there()
        with opened(self.path, to_write=True) as db:
            db.execute("BEGIN IMMEDIATE")
            yield db  # what raises leaves it uncommitted
            db.execute("COMMIT")


def owner_of(actor: Actor, owner: str) -> str:
    """Under whom somebody's drawings are kept: `owner` is heard on a server of one person alone, where each browser is one."""
    return owner if actor.is_local else actor.key


def file_of(data_dir: Path, code: str) -> Path:
    """Where a class's drawings are."""
    assert CODE.fullmatch(code), code
    return data_dir / FOLDER / f"{code}.sqlite3"


@contextmanager
def opened(path: Path, to_write: bool = False) -> Iterator[sqlite3.Connection]:
    """The file of a class; an empty one in memory where there is none and nothing is to be written. Raises DataError."""
    try:
        if to_write:
            path.parent.mkdir(parents=True, exist_ok=True)
        # rw: one that has just been deleted is not made again by a look at it
        address = f"{path.absolute().as_uri()}?mode={'rwc' if to_write else 'rw'}" if to_write or path.is_file() else ":memory:"
        with closing(sqlite3.connect(address, timeout=PATIENCE, isolation_level=None, uri=True)) as db:
            db.row_factory = sqlite3.Row
            _prepare(db, path)
            yield db
    except OSError as error:
        raise DataError(why_not_written("The data folder", error, "PLAYGROUND_DATA")) from None
    except sqlite3.DatabaseError as error:
        raise _in_words(error, path) from None


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables where there are none. Raises DataDamaged for a file of another kind."""
    def schema() -> int:
        return db.execute("PRAGMA user_version").fetchone()[0]

    if not schema():
        db.execute("BEGIN IMMEDIATE")  # of many who come first, one makes them
        if not schema():
            for statement in TABLES.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.execute("COMMIT")
    if schema() != SCHEMA:
        raise DataDamaged(f"The class's drawings were kept by another version of Torch Playground ({path}).")


def _in_words(error: sqlite3.DatabaseError, path: Path) -> DataError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # what stands above says where in SQLite it was
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DataDamaged(f"The file of the class's drawings is damaged ({path}). Put a backup in its place, or make the lesson "
                           "anew.")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DataError("Too many are writing just now. Try again.")
    if code == sqlite3.SQLITE_FULL:
        return DataError(why_not_written("The data folder", OSError(errno.ENOSPC, "the disk is full"), "PLAYGROUND_DATA"))
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return DataError(why_not_written("The data folder", OSError(errno.EACCES, str(error)), "PLAYGROUND_DATA"))
    return DataError(f"The class's drawings can't be used: {error}.")


def _pixels(image: Tensor, label: int) -> bytes:
    """What is kept of a drawing. Raises DataError for what is none."""
    if type(label) is not int or not 0 <= label < len(DIGITS):
        raise DataError(f"{label!r} is no digit from 0 to 9.")
    if not isinstance(image, Tensor) or tuple(image.shape) != SHAPE or not image.is_floating_point():
        raise DataError("This is no drawing of 28×28 pixels in gray.")
    if not image.isfinite().all():
        raise DataError("This drawing has pixels that are no numbers.")
    if float(image.max()) < INK:
        raise DataError("There is nothing on the sheet yet: draw something first.")
    return image.clamp(0, 1).mul(255).round().to(torch.uint8).contiguous().numpy().tobytes()


def _collected(db: sqlite3.Connection, where: str = "", values: tuple[int, ...] = ()) -> Collected:
    rows = db.execute(f"SELECT * FROM drawings {where} ORDER BY number", values).fetchall()
    pixels = np.frombuffer(bytearray(b"".join(row["image"] for row in rows)), np.uint8).reshape(len(rows), *SHAPE)
    columns = {name: torch.tensor([row[name] for row in rows], dtype=torch.long)
               for name in ("number", "label", "pupil", "for_testing")}
    return Collected(columns["number"], torch.from_numpy(pixels), columns["label"], columns["pupil"],
                     columns["for_testing"].bool())
