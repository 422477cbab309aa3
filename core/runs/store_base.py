"""What the parts of RunStore share: the folder with its database, who asks, and how a change is written."""

import copy
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from core.actors import LOCAL, Actor
from core.runs.database import SECONDS_OF_PATIENCE, Database, StoreFull
from core.runs.records import Run, RunNotFound
from core.runs.rights import check_change, check_server
from core.runs.rows import read_run
from core.runs.table import KnownSettings

Found = TypeVar("Found")


class StoreBase:
    """Runs in a directory, as somebody may use it. See core.runs.store."""

    def __init__(self, path: Path, patience: float = SECONDS_OF_PATIENCE, in_turns: bool = False) -> None:
        """patience: seconds to wait for others who are writing; where nobody waits for an answer there may be more of it.
        in_turns: owners take turns in the queue; else the oldest run is next. One that was moved to the front comes first
        either way."""
        self.path = Path(path)
        self._database = Database(self.path / "runs.sqlite3", patience)
        self._settings = KnownSettings()
        self.actor, self._in_turns = LOCAL, in_turns
        self.lesson = ""

    def as_actor(self, actor: Actor) -> Self:
        """The same store as somebody may use it. Raises NotYours where it is already somebody's."""
        check_server(self.actor)
        view = copy.copy(self)
        view.actor = actor
        return view

    def close(self) -> None:
        check_server(self.actor)
        self._database.close()

    @property
    def read_only(self) -> str:
        """Why runs can be looked at and nothing can be written, in one line; "" where it can."""
        return self._database.read_only

    def write_again(self) -> bool:
        """Whether anything can be written. Where it could not when the runs were opened, it is tried once more."""
        check_server(self.actor)
        self._database.write_again()
        return not self.read_only

    @property
    def is_full(self) -> bool:
        """Whether the disk has no room left, but for what was held for such a case: a run deleted so that it can be brought back
        would free none."""
        return self._database.is_full

    def keep_spare(self) -> None:
        """Hold some room on the disk, so that runs can be deleted, stopped and ended when it is full."""
        check_server(self.actor)
        self._database.keep_spare()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading, of which nobody else has a use meanwhile. Raises StoreError."""
        check_server(self.actor)
        with self._database.reading() as db:
            yield db

    def _surely(self, write: Callable[[sqlite3.Connection], Found], *run_ids: str) -> Found:
        """Write what makes room or says how these runs ended: on a full disk in the room that the spare file has held. Raises
        NotYours."""
        try:
            with self._changing(*run_ids) as db:
                return write(db)
        except StoreFull:
            if not self._database.release_spare():
                raise
        with self._changing(*run_ids) as db:
            return write(db)

    @contextmanager
    def _changing(self, *run_ids: str) -> Iterator[sqlite3.Connection]:
        """One transaction that changes these runs. Raises NotYours."""
        with self._database.writing() as db:
            check_change(db, self.actor, run_ids)
            yield db

    def check_change(self, run_id: str) -> None:
        """Raises NotYours where a run is somebody else's, for what takes long before it changes one."""
        if self.actor.sees_all:  # also where there is no such run: an id from an address bar may be anything
            return
        self.folder(run_id)
        with self._database.reading() as db:
            check_change(db, self.actor, [run_id])

    def get(self, run_id: str) -> Run:
        """Raises RunNotFound, and RunUnreadable where this version can't read its settings."""
        self.folder(run_id)  # an id from an address bar may be anything, even what SQLite can't take
        with self._database.reading() as db:
            row = db.execute("SELECT * FROM runs WHERE id = ? AND deleted IS NULL", (run_id,)).fetchone()
        if row is None:
            raise RunNotFound(run_id)
        return read_run(row)

    def folder(self, run_id: str) -> Path:
        """Where a run's files are. Raises RunNotFound for anything that is not an id, so that no path can be smuggled in."""
        if not (len(run_id) == 32 and all(c in "0123456789abcdef" for c in run_id)):
            raise RunNotFound(run_id)
        return self.path / run_id


def in_parts(whole: list[Any], most: int) -> Iterator[list[Any]]:
    """A list in parts of at most so many: SQLite takes a limited number of values in one question."""
    for start in range(0, len(whole), most):
        yield whole[start:start + most]
