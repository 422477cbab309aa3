"""A copy of a runs folder in one zip file, made while runs go on: unpacked, it is a runs folder again.

The table of runs is copied first, by SQLite, as it was at one moment; their files come after it, so that no run lacks what it had
kept by then. A run that somebody deletes meanwhile is taken out of the copy.
"""

import sqlite3
import tempfile
import time
import zipfile
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from core.errors import reason
from core.files import put_in_place, why_not_written
from core.lessons.kept import FOLDER as LESSONS
from core.runs.database import StoreError
from core.runs.records import RunNotFound
from core.runs.store import RunStore
from core.runs.sweep_records import STUDIES
from core.visitors import KEY_FILE

FILE = "runs.sqlite3"
PAGES_AT_ONCE = 1000  # copied between two looks at whether somebody wants to write


class BackupError(ValueError):
    """A backup that can't be made; the message is one line."""


FOR_A_DELETE = 1.0  # seconds: a run's files go before its row, so one that is being deleted is known by its row a little later


@dataclass(frozen=True)
class Backup:
    """What a backup holds. size: of the zip file in bytes."""

    runs: int
    files: int
    size: int


def back_up(runs_dir: Path, out: Path) -> Backup:
    """Write a zip file with all runs, their metrics and their files, the studies of searches and the lessons made here, over what
    is there. Its folder is made where it is missing.

    Raises BackupError where there are no runs, where one can't be read or the file can't be written; nothing is left behind then.
    """
    if not (runs_dir / FILE).is_file():
        raise BackupError(f"There are no runs in {runs_dir}.")
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".part", dir=out.absolute().parent) as name:
            copy, part = Path(name) / FILE, Path(name) / out.name
            with closing(RunStore(runs_dir)) as store:
                _copy_table(store, copy)
                found = _write(store, copy, part)
            put_in_place(part, out)
        return found
    except OSError as error:
        raise BackupError(why_not_written(str(out), error, "--out")) from None
    except sqlite3.Error as error:
        raise BackupError(f"The runs in {runs_dir} can't be copied: {reason(error)}.") from None


def _copy_table(store: RunStore, copy: Path) -> None:
    """The table as it is now, with what is written while it is copied or without it, and never with half of it."""
    with closing(sqlite3.connect(copy)) as to, store.connection() as db:
        db.execute("BEGIN")  # one moment, however long it takes: a copy in steps would begin anew with each write
        try:
            db.execute("SELECT count(*) FROM runs").fetchone()
            db.backup(to, pages=PAGES_AT_ONCE)
        finally:
            db.execute("ROLLBACK")


def _write(store: RunStore, copy: Path, part: Path) -> Backup:
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        ids = [row[0] for row in db.execute("SELECT id FROM runs ORDER BY number")]
        files = 0
        # stored: weights are hardly smaller when packed, and a minute later
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for run_id in ids:
                files += _add_files(archive, store.folder(run_id))
            files += _add_files(archive, store.path / LESSONS) + _add_files(archive, store.path / STUDIES)
            time.sleep(FOR_A_DELETE)
            kept = [run_id for run_id in ids if _is_there(store, run_id)]
            gone = set(ids) - set(kept)
            db.executemany("DELETE FROM runs WHERE id = ?", [(run_id,) for run_id in gone])
            db.execute("PRAGMA journal_mode = DELETE")  # no file beside it
            problem = db.execute("PRAGMA integrity_check").fetchone()[0]
            if problem != "ok":
                raise BackupError(f"The runs in {store.path} are damaged, so they were not copied: {problem}.")
            archive.write(copy, FILE)
            if (key := store.path / KEY_FILE).is_file():  # or nobody's cookie would hold where the copy is opened
                archive.write(key, KEY_FILE)
    return Backup(len(kept), files, part.stat().st_size)


def _add_files(archive: zipfile.ZipFile, folder: Path) -> int:
    """Each file as it is when it is read: it was renamed to its place whole."""
    count = 0
    for path in sorted(folder.glob("[!.]*")):  # those with a dot are being written
        with suppress(FileNotFoundError):  # replaced by nothing: the run was deleted, or a file that it needs no more
            content = path.read_bytes()
            archive.writestr(zipfile.ZipInfo(f"{folder.name}/{path.name}"), content)
            count += 1
    return count


def _is_there(store: RunStore, run_id: str) -> bool:
    try:
        store.get(run_id)
    except RunNotFound:
        return False
    except StoreError:  # this version can't read its settings: another one can
        return True
    return True
