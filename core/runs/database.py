"""The SQLite file behind RunStore: opening it, its schema, and errors in words."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import os_reason
from core.files import write_atomically
from core.runs.epoch_results import fill_results
from core.runs.metric_blobs import from_single_rows
from core.version import VERSION, another_version

# One entry for each schema version, SQL and then perhaps what SQL can't do; a file of version n gets the entries from n on.
# Never change one that has shipped. Statements end with a semicolon, so comments have none.
MIGRATIONS: list[str | tuple[str, Callable[[sqlite3.Connection], None]]] = [
    """
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        key TEXT,                       -- idempotency key of the request that made it
        title TEXT NOT NULL,
        config TEXT NOT NULL,           -- RunConfig as JSON
        status TEXT NOT NULL,
        message TEXT NOT NULL DEFAULT '',
        created REAL NOT NULL,          -- these are seconds since 1970
        started REAL,
        finished REAL,
        heartbeat REAL,
        stop_requested REAL,
        worker TEXT,                    -- who has claimed it
        steps_per_epoch INTEGER NOT NULL DEFAULT 0,
        steps INTEGER NOT NULL DEFAULT 0,
        step INTEGER NOT NULL DEFAULT 0,
        epoch INTEGER NOT NULL DEFAULT 0,
        parameters INTEGER,
        device TEXT NOT NULL DEFAULT '',
        precision TEXT NOT NULL DEFAULT '',
        validation_accuracy REAL,
        test_accuracy REAL,
        test_loss REAL,
        seconds REAL                    -- of training
    );
    CREATE INDEX runs_status ON runs(status);
    CREATE TABLE metrics (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
        name TEXT NOT NULL,
        step INTEGER NOT NULL,
        value REAL,
        UNIQUE (run, name, step)
    );
    CREATE INDEX metrics_run ON metrics(run);
    """,
    # first_step: where the run began or went on the last time. learning_rate: instead of the config's, while it trains.
    """
    ALTER TABLE runs ADD COLUMN pause_requested REAL;
    ALTER TABLE runs ADD COLUMN first_step INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE runs ADD COLUMN learning_rate REAL
    """,
    # kind and group_id: see records.Run. steps_requested: counts single steps asked for while paused. snapshots: one row for
    # each name, the newest; value is JSON.
    """
    ALTER TABLE runs ADD COLUMN kind TEXT NOT NULL DEFAULT 'training';
    ALTER TABLE runs ADD COLUMN group_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN steps_requested INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE snapshots (
        run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
        name TEXT NOT NULL,
        step INTEGER NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID
    """,
    # seconds that an epoch should take at least
    """
    ALTER TABLE runs ADD COLUMN pace REAL NOT NULL DEFAULT 0
    """,
    # metrics: a row for all points of one flush, see metric_blobs
    ("""
    DROP INDEX metrics_run;
    ALTER TABLE metrics RENAME TO single_metrics;
    CREATE TABLE metrics (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
        name TEXT NOT NULL,
        first_step INTEGER NOT NULL,
        last_step INTEGER NOT NULL,
        steps BLOB NOT NULL,
        points BLOB NOT NULL
    );
    CREATE INDEX metrics_run ON metrics(run)
    """, from_single_rows),
    # version: of Torch Playground that wrote the run's config, empty where it kept none. schemas: which version brought the file
    # to which schema, for older ones to name
    """
    ALTER TABLE runs ADD COLUMN version TEXT NOT NULL DEFAULT '';
    CREATE TABLE schemas (
        schema INTEGER PRIMARY KEY,
        version TEXT NOT NULL
    )
    """,
    # looks: see core.training.Look, arrays as a safetensors file
    """
    CREATE TABLE looks (
        run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        step INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        seconds REAL NOT NULL,
        arrays BLOB NOT NULL,
        PRIMARY KEY (run, kind, step)
    )
    """,
    # interventions: see core.training.Intervention. weight_edits: asked for and not yet done, see core.training.WeightEdit. Their
    # numbers are never used again
    """
    CREATE TABLE interventions (
        run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        step INTEGER NOT NULL,
        what TEXT NOT NULL,
        value_before REAL NOT NULL,
        value_after REAL NOT NULL,
        layer TEXT NOT NULL,
        at_row INTEGER,
        at_column INTEGER,
        edit INTEGER NOT NULL,
        PRIMARY KEY (run, number)
    ) WITHOUT ROWID;
    CREATE TABLE weight_edits (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
        layer TEXT NOT NULL,
        at_row INTEGER NOT NULL,
        at_column INTEGER,
        value REAL NOT NULL
    );
    CREATE INDEX weight_edits_run ON weight_edits(run)
    """,
    # note, tags (JSON), starred, archived (since when): what people say of a run. deleted: since when, of one that can still be
    # brought back; without their index, asking for them took 7 ms of 10,000 runs. best_accuracy, best_loss, validation_loss: see
    # epoch_results
    ("""
    ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT '';
    ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE runs ADD COLUMN starred INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE runs ADD COLUMN archived REAL;
    ALTER TABLE runs ADD COLUMN deleted REAL;
    ALTER TABLE runs ADD COLUMN best_accuracy REAL;
    ALTER TABLE runs ADD COLUMN best_loss REAL;
    ALTER TABLE runs ADD COLUMN validation_loss REAL;
    CREATE INDEX runs_deleted ON runs(deleted) WHERE deleted IS NOT NULL
    """, fill_results),
    # most_seconds, most_pause: how long a run may train, and be paused in all while others wait. trained_before: seconds that it
    # had a training process before it went on, without pauses. moved, turns: see turns.py. trained: what the runs' own times no
    # longer say, see limits.py. visitors: whose runs there have been, see whose.py. lesson: code of the one that a run was
    # started in. wall_names, predictions: what is kept of a lesson's pupils, see store_lessons.py
    """
    ALTER TABLE runs ADD COLUMN trained_before REAL NOT NULL DEFAULT 0;
    ALTER TABLE runs ADD COLUMN most_seconds REAL;
    ALTER TABLE runs ADD COLUMN most_pause REAL;
    ALTER TABLE runs ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE turns (
        owner TEXT PRIMARY KEY,
        turn INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE trained (
        owner TEXT NOT NULL,
        finished REAL NOT NULL,
        seconds REAL NOT NULL
    );
    CREATE TABLE visitors (
        number INTEGER PRIMARY KEY,
        owner TEXT NOT NULL UNIQUE
    );
    CREATE INDEX runs_owner ON runs(owner);
    ALTER TABLE runs ADD COLUMN lesson TEXT NOT NULL DEFAULT '';
    CREATE INDEX runs_lesson ON runs(lesson) WHERE lesson <> '';
    CREATE TABLE wall_names (
        lesson TEXT NOT NULL,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        allowed INTEGER NOT NULL DEFAULT 1,
        PRIMARY KEY (lesson, owner)
    ) WITHOUT ROWID;
    CREATE TABLE predictions (
        number INTEGER PRIMARY KEY,
        lesson TEXT NOT NULL,
        question TEXT NOT NULL,
        owner TEXT NOT NULL,
        choice INTEGER NOT NULL,
        UNIQUE (lesson, question, owner)
    )
    """,
    # searches over settings: see sweep_records. plan, result and params are JSON. A trial's number and repeat are there once, so
    # that none is done twice. deleted_by: kind of the core.actors.Actor who deleted a run that can still be brought back
    """
    ALTER TABLE runs ADD COLUMN deleted_by TEXT NOT NULL DEFAULT '';
    CREATE TABLE sweeps (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        kind TEXT NOT NULL,
        lesson TEXT NOT NULL DEFAULT '',
        title TEXT NOT NULL DEFAULT '',
        plan TEXT NOT NULL,
        status TEXT NOT NULL,
        message TEXT NOT NULL DEFAULT '',
        note TEXT NOT NULL DEFAULT '',
        created REAL NOT NULL,
        finished REAL,
        driver TEXT NOT NULL DEFAULT '',
        heartbeat REAL NOT NULL DEFAULT 0,
        seconds REAL NOT NULL DEFAULT 0,
        result TEXT NOT NULL DEFAULT ''
    );
    CREATE TABLE trials (
        run INTEGER PRIMARY KEY REFERENCES runs(number) ON DELETE CASCADE,
        sweep TEXT NOT NULL,
        trial INTEGER NOT NULL,
        repeat INTEGER NOT NULL,
        params TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT '',
        value REAL,
        reason TEXT NOT NULL DEFAULT '',
        retries INTEGER NOT NULL DEFAULT 0,
        tested INTEGER NOT NULL DEFAULT 0,
        UNIQUE (sweep, trial, repeat)
    )
    """,
    # who was led to a run of somebody else's, in a lesson that trains equal settings once: see store_lessons.py
    """
    CREATE TABLE sharers (
        run INTEGER NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
        owner TEXT NOT NULL,
        PRIMARY KEY (run, owner)
    ) WITHOUT ROWID
    """,
]
MOST_IDLE = 2  # connections that are kept open for the next look; each may hold 2 MB of the file in memory
SECONDS_OF_PATIENCE = 5.0  # for others who are writing
SPARE = ".spare"  # holds room on the disk for what has to be written down when it is full: deletions, and how runs ended
SPARE_BYTES = 2_000_000
LITTLE = 100_000  # bytes; with less a disk is full, whatever SQLite's word for it is


class StoreError(RuntimeError):
    """The runs directory can't be used; the message is one line that says what to do."""


class StoreBusy(StoreError):
    """Another process has been writing for longer than was waited."""


class StoreFull(StoreError):
    """There is no room on the disk."""


class StoreReadOnly(StoreError):
    """The runs directory can be read, but not written to."""


class Database:
    """One file, used by several threads and processes at once. Readers never wait; writers take turns for a few seconds.

    read_only: why nothing can be written, in one line; "" where it can. What a disk that is full or can only be read still
    holds can be looked at.
    """

    def __init__(self, path: Path, patience: float = SECONDS_OF_PATIENCE) -> None:
        """Open or make the file. patience: seconds to wait for others who are writing. Raises StoreError."""
        self.path, self.patience = path, patience
        self.read_only, self._address = "", ""
        # Connections that nobody uses just now. Opening one and closing it again took 2 ms of each page's look and each flush.
        self._idle: list[sqlite3.Connection] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"The runs folder {path.parent} can't be made: {os_reason(error)}. "
                             "Set PLAYGROUND_RUNS to a folder that can be written to.") from None
        try:
            self._open()
        except (StoreFull, StoreReadOnly) as error:
            if not self._open_after_all():
                self._open_to_read(error)

    def _open(self) -> None:
        with self.explained():
            # Held open: when the last connection closes, SQLite folds its log back in, which costs a disk sync each time.
            self._keeper = self._connect()
            try:
                self._keeper.execute("PRAGMA journal_mode = WAL")
                self._file = self._identity()
                self._migrate()
            except BaseException:
                self._keeper.close()
                self._close_idle()
                raise

    def _open_after_all(self) -> bool:
        """Open the file in the room that the spare file has held, if there is one."""
        if not self.release_spare():
            return False
        try:
            self._open()
        except StoreError:
            return False
        return True

    def _open_to_read(self, error: StoreError) -> None:
        """Open the file so that nothing is written, not even beside it. Raises `error` where there is nothing to be read."""
        # first with what has not been folded into the file yet, which needs a file of SQLite's beside it
        for address in (f"{self.path.absolute().as_uri()}?mode=ro", f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"):
            self._address = address
            with suppress(sqlite3.Error):
                self._keeper = self._connect()
                if self._keeper.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS):
                    self._keeper.execute("SELECT count(*) FROM runs").fetchone()
                    self._file, self.read_only = self._identity(), str(error)
                    return
                self._keeper.close()
        self._address = ""
        raise error

    def write_again(self) -> None:
        """Where the file could only be read: whether it can be written to by now is tried, once."""
        if not self.read_only:
            return
        try:
            tried = Database(self.path, self.patience)  # beside this one, which others read meanwhile
        except StoreError:
            return
        if tried.read_only:
            tried.close()
            return
        before, self._keeper, self._file, self._address = self._keeper, tried._keeper, tried._file, ""
        self._close_idle()
        self.read_only = ""
        before.close()

    def close(self) -> None:
        self._close_idle()
        self._keeper.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading. Raises StoreError."""
        with self.explained(), self._connection() as connection:
            yield connection

    @contextmanager
    def writing(self, patience: float | None = None) -> Iterator[sqlite3.Connection]:
        """One transaction that holds the write lock from its start: all of it is kept, or nothing.

        patience: instead of what was said for all. Raises StoreBusy after that, StoreFull, and StoreError.
        """
        if self.read_only:
            raise StoreReadOnly(self.read_only)
        with self.explained(), self._connection() as connection:
            if patience is not None:
                connection.execute(f"PRAGMA busy_timeout = {round(1000 * patience)}")
            connection.execute("BEGIN IMMEDIATE")  # on trouble the connection is closed, so that the next one is as it was
            if patience is not None:
                connection.execute(f"PRAGMA busy_timeout = {round(1000 * self.patience)}")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    # --- the spare file

    @property
    def is_full(self) -> bool:
        """Whether there is no room on the disk, or none but what the spare file has held."""
        try:
            return _is_full(self.path.parent) or not self.path.with_name(SPARE).exists() and not self._has_room()
        except OSError:  # the folder is not there
            return False

    def _has_room(self) -> bool:
        """For much more than the spare file. Raises OSError."""
        return shutil.disk_usage(self.path.parent).free > 8 * SPARE_BYTES

    def keep_spare(self) -> None:
        """Write the spare file where there is none and there is room for much more than it."""
        path = self.path.with_name(SPARE)
        with suppress(OSError):
            if not self.read_only and not path.exists() and self._has_room():
                # random, so that no file system can pack it into less
                write_atomically(path, lambda file: file.write(os.urandom(SPARE_BYTES)))

    def release_spare(self) -> bool:
        """Give the spare file's room back to the disk; False where there is none."""
        try:
            self.path.with_name(SPARE).unlink()
        except OSError:
            return False
        return True

    # --- connections

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that nobody else uses meanwhile: an idle one, or a new one."""
        if self._identity() != self._file:  # somebody has removed the folder, or put another one there
            self._close_idle()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        except BaseException:
            connection.close()  # whatever it was in the middle of
            raise
        if len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def _close_idle(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _identity(self) -> tuple[int, int] | None:
        """Which file is at the path now; None where there is none."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn SQLite's errors into one line for people."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise _explained(error, self.path.parent) from error

    def _connect(self) -> sqlite3.Connection:
        # isolation_level None: we say BEGIN ourselves; a connection is used by one thread at a time
        connection = sqlite3.connect(self._address or self.path, timeout=self.patience, isolation_level=None,
                                     check_same_thread=False, uri=bool(self._address))
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _migrate(self) -> None:
        with self.writing() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise StoreError(f"The runs in {self.path.parent} were written by "
                                 f"{another_version(_who_made(connection, version))}, with schema {version} where this one knows "
                                 f"{len(MIGRATIONS)}. Update Torch Playground, or set PLAYGROUND_RUNS to another folder.")
            for migration in MIGRATIONS[version:]:
                script, then = migration if isinstance(migration, tuple) else (migration, None)
                for statement in script.split(";"):
                    if statement.strip():
                        connection.execute(statement)
                if then is not None:
                    then(connection)
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            connection.execute("INSERT OR IGNORE INTO schemas (schema, version) VALUES (?, ?)", (len(MIGRATIONS), VERSION))


def _explained(error: sqlite3.DatabaseError, folder: Path) -> StoreError:
    """What is wrong, and what helps against that."""
    where, elsewhere = f"The runs folder {folder}", "or set PLAYGROUND_RUNS to another folder"
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # what stands above says where in SQLite it was
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreError(f"{where} can't be used: its file runs.sqlite3 is damaged ({error}). Put a backup in its place, "
                          f"{elsewhere}.")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(f"{where} can't be written to just now: another program is writing ({error}). Try again.")
    if code == sqlite3.SQLITE_FULL or _is_full(folder):
        return StoreFull(f"{where} can't be written to: the disk is full. Free some space, as deleting runs does, {elsewhere}.")
    if code == sqlite3.SQLITE_READONLY or (code == sqlite3.SQLITE_CANTOPEN and (folder / "runs.sqlite3").is_file()):
        return StoreReadOnly(f"{where} can't be written to: {error}. Make it writable, {elsewhere}.")
    return StoreError(f"{where} can't be used: {error}. Free some space, make it writable, {elsewhere}.")


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < LITTLE
    except OSError:  # it is not there
        return False


def _who_made(connection: sqlite3.Connection, schema: int) -> str:
    """The version that brought a file to a schema later than ours."""
    with suppress(sqlite3.Error):  # that schema may keep it otherwise
        row = connection.execute("SELECT version FROM schemas WHERE schema = ?", (schema,)).fetchone()
        if row is not None:
            return str(row["version"])
    return "a newer one"
