"""The SQLite file behind RunStore: opening it, its schema, and errors in words."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import reason
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
]
MOST_IDLE = 2  # connections that are kept open for the next look; each may hold 2 MB of the file in memory


class StoreError(RuntimeError):
    """The runs directory can't be used; the message is one line that says what to do."""


class Database:
    """One file, used by several threads and processes at once. Readers never wait; writers take turns for up to five seconds."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises StoreError."""
        self.path = path
        # Connections that nobody uses just now. Opening one and closing it again took 2 ms of each page's look and each flush.
        self._idle: list[sqlite3.Connection] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"The runs folder {path.parent} can't be made: {error.strerror or reason(error)}. "
                             "Set PLAYGROUND_RUNS to a folder that can be written to.") from None
        with self.explained():
            # Held open: when the last connection closes, SQLite folds its log back in, which costs a disk sync each time.
            self._keeper = self._connect()
            self._keeper.execute("PRAGMA journal_mode = WAL")
            self._file = self._identity()
            self._migrate()

    def close(self) -> None:
        self._close_idle()
        self._keeper.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading. Raises StoreError."""
        with self.explained(), self._connection() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that holds the write lock from its start: all of it is kept, or nothing. Raises StoreError."""
        with self.explained(), self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

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
            raise StoreError(f"The runs folder {self.path.parent} can't be used: {error}. Free some space, make it writable, "
                             "or set PLAYGROUND_RUNS to another folder.") from error

    def _connect(self) -> sqlite3.Connection:
        # isolation_level None: we say BEGIN ourselves; a connection is used by one thread at a time
        connection = sqlite3.connect(self.path, timeout=5.0, isolation_level=None, check_same_thread=False)
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


def _who_made(connection: sqlite3.Connection, schema: int) -> str:
    """The version that brought a file to a schema later than ours."""
    with suppress(sqlite3.Error):  # that schema may keep it otherwise
        row = connection.execute("SELECT version FROM schemas WHERE schema = ?", (schema,)).fetchone()
        if row is not None:
            return str(row["version"])
    return "a newer one"
