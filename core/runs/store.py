"""RunStore: every run's description, state, metrics and weights. It is the queue and the message bus too."""

import copy
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import numpy as np
from torch import Tensor

from core.actors import LOCAL, ONLY_THE_TEACHER, Actor
from core.config import RunConfig
from core.errors import reason
from core.files import why_not_written, write_atomically
from core.runs.annotations import Annotations, Change, annotate, write_annotations
from core.runs.database import SECONDS_OF_PATIENCE, Database, StoreError, StoreFull
from core.runs.discarded import discard, discarded_before, restore, sets_of_discarded, titles_of_discarded
from core.runs.epoch_results import note_results, recount_results
from core.runs.interventions import (
    ask_for_edit,
    forget_interventions,
    insert_interventions,
    read_interventions,
    waiting_edits,
)
from core.runs.limits import check_kept, check_trained, check_turn, most_pause, most_seconds
from core.runs.looks import WATCHED, insert_looks, read_looks, read_watched, watched_bytes, watched_images
from core.runs.metric_blobs import forget_points, insert_metrics, points_of_many, read_points
from core.runs.records import (
    ACTIVE,
    NUMBER_FORMAT,
    TEST_LOOKS,
    Going,
    Kind,
    Looked,
    Metric,
    Metrics,
    Run,
    RunNotFound,
    Snapshot,
    Status,
)
from core.runs.rights import NotYours, check_change, check_owner, check_server, whose
from core.runs.rows import RunUnreadable, read_run, readable
from core.runs.table import Entry, KnownSettings, read_entries
from core.runs.turns import in_order, next_of, note_turn, read_queue, seconds_ahead
from core.training import Command, Intervention, Look, Started, WeightEdit
from core.version import VERSION

AT_ONCE = 64  # runs whose curves are in memory together while many are read
MADE_ROOM = "Stopped after a minute of pause, because another run was waiting. “Continue” goes on from where it was."
# by whom, where many use a server
STOPPED_BY = {"visitor": "Stopped by its owner.", "teacher": "Stopped by the teacher.", "local": ""}
INTERRUPTED = "The app ended while this run was going. Weights of its last full epoch were kept, if any."
Found = TypeVar("Found")


class RunStore:
    """Runs in a directory: `runs.sqlite3`, and for each run a folder with its config and checkpoint.

    Safe to use from several threads and processes at once. Raises StoreError from every method where the directory can't
    be read or written.

    actor: who asks, the one person at this machine unless as_actor() says otherwise. A visitor of a server that many use finds
    their own runs in every list, and others' by their id; what would change another's run raises NotYours and changes nothing.
    """

    def __init__(self, path: Path, patience: float = SECONDS_OF_PATIENCE, in_turns: bool = False) -> None:
        """patience: seconds to wait for others who are writing; where nobody waits for an answer there may be more of it.
        in_turns: owners take turns in the queue; else the oldest run is next."""
        self.path = Path(path)
        self._database = Database(self.path / "runs.sqlite3", patience)
        self._settings = KnownSettings()
        self.actor, self._in_turns = LOCAL, in_turns

    def as_actor(self, actor: Actor) -> "RunStore":
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

    # --- making and finding runs

    def create(self, config: RunConfig, owner: str, title: str = "", key: str | None = None, *, kind: Kind = "training",
               paused: bool = False, pace: float = 0.0, watch: Tensor | np.ndarray | None = None) -> str:
        """Put a run in the queue; its id. While a run of this owner with the same key is active, that one's id instead.

        paused: it waits before its first step. pace: see set_pace. watch: a few images (W, C, H, W) float in [0, 1], kept beside
        the run, that its network answers again and again while it learns. Raises WatchError where they are no such images.
        """
        return self._create([(config, title)], owner, key, kind, paused, pace=pace, watch=watch)[0]

    def create_group(self, runs: Sequence[tuple[RunConfig, str]], owner: str, key: str | None = None,
                     watch: Tensor | np.ndarray | None = None) -> list[str]:
        """Put runs that belong together, each a config and a title, in the queue one after another; their ids.

        While a run of this owner with the same key is active, the ids of its group instead. watch: as in create(), for each.
        """
        return self._create(runs, owner, key, "training", False, uuid4().hex, watch=watch)

    def _create(self, runs: Sequence[tuple[RunConfig, str]], owner: str, key: str | None, kind: Kind, paused: bool,
                group: str = "", pace: float = 0.0, watch: Tensor | np.ndarray | None = None) -> list[str]:
        check_owner(self.actor, owner)
        now, images = time.time(), None if watch is None else watched_images(watch)
        most = most_seconds(self.actor.limits), most_pause(self.actor.limits)
        with self._database.writing() as db:
            if key is not None:
                same = db.execute("SELECT id, group_id FROM runs WHERE owner = ? AND key = ? AND status IN ('queued', 'running')",
                                  (owner, key)).fetchone()
                if same and not same["group_id"]:
                    return [same["id"]]
                if same:
                    rows = db.execute("SELECT id FROM runs WHERE group_id = ? ORDER BY number", (same["group_id"],)).fetchall()
                    return [row["id"] for row in rows]
            check_turn(db, self.actor, len(runs))
            ids = [uuid4().hex for _ in runs]
            if images is not None:  # before the runs can be seen: a worker takes them at once
                self._keep_watched(ids, images)
            db.executemany("INSERT INTO runs (id, kind, group_id, owner, key, title, config, status, created, pause_requested, "
                           "pace, version, most_seconds, most_pause) VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?)",
                           [(run_id, kind, group, owner, key, title, config.model_dump_json(), now, now if paused else None, pace,
                             VERSION, *most) for run_id, (config, title) in zip(ids, runs, strict=True)])
        return ids

    def _keep_watched(self, ids: Sequence[str], images: Tensor) -> None:
        content = watched_bytes(images)
        try:
            for run_id in ids:
                write_atomically(self.folder(run_id) / WATCHED, lambda file: file.write(content), durable=False)
        except OSError as error:
            raise StoreError(why_not_written(f"The runs folder {self.path}", error, "PLAYGROUND_RUNS")) from None

    def create_running(self, config: RunConfig, owner: str, worker: str, title: str = "",
                       watch: Tensor | np.ndarray | None = None) -> Run:
        """A run that starts at once, outside the queue, as the command line's does. watch: as in create()."""
        check_owner(self.actor, owner)
        run_id, now = uuid4().hex, time.time()
        if watch is not None:
            self._keep_watched([run_id], watched_images(watch))
        with self._database.writing() as db:
            check_kept(db, self.actor)
            db.execute("INSERT INTO runs (id, owner, title, config, status, created, started, heartbeat, worker, version) "
                       "VALUES (?, ?, ?, ?, 'running', ?, ?, ?, ?, ?)",
                       (run_id, owner, title, config.model_dump_json(), now, now, now, worker, VERSION))
        return self.get(run_id)

    def get(self, run_id: str) -> Run:
        """Raises RunNotFound, and RunUnreadable where this version can't read its settings."""
        self.folder(run_id)  # an id from an address bar may be anything, even what SQLite can't take
        with self._database.reading() as db:
            row = db.execute("SELECT * FROM runs WHERE id = ? AND deleted IS NULL", (run_id,)).fetchone()
        if row is None:
            raise RunNotFound(run_id)
        return read_run(row)

    def runs(self, limit: int = 200, statuses: Iterable[str] | None = None, kinds: Sequence[Kind] = ("training",),
             archived: bool = True) -> list[Run]:
        """The newest runs first. One whose config this version can't read is left out.

        limit: -1 for all. archived: whether those that were put away are listed, too.
        """
        wanted = list(statuses) if statuses is not None else []
        where = f"AND status IN ({', '.join('?' * len(wanted))})" if statuses is not None else ""
        where += "" if archived else " AND archived IS NULL"
        own, key = whose(self.actor)
        with self._database.reading() as db:
            rows = db.execute(f"SELECT * FROM runs WHERE deleted IS NULL AND kind IN ({', '.join('?' * len(kinds))}) {where} "
                              f"{own} ORDER BY number DESC LIMIT ?", (*kinds, *wanted, *key, limit)).fetchall()
        return readable(rows)

    def these(self, run_ids: Sequence[str]) -> list[Run]:
        """The runs of these ids, in their order; those that are gone or that this version can't read are left out."""
        found: dict[str, Run] = {}
        with self._database.reading() as db:
            for some in _in_parts(list(run_ids), 500):
                rows = db.execute("SELECT * FROM runs WHERE deleted IS NULL AND id IN "
                                  f"({', '.join('?' * len(some))})", some).fetchall()
                found |= {run.id: run for run in readable(rows)}
        return [found[run_id] for run_id in run_ids if run_id in found]

    def of_configs(self, configs: Sequence[RunConfig]) -> list[list[Run]]:
        """For each config the trainings of exactly it that nobody changed by hand, the newest first."""
        texts, (own, key) = [config.model_dump_json() for config in configs], whose(self.actor)
        with self._database.reading() as db:
            rows = db.execute(f"SELECT * FROM runs WHERE config IN ({', '.join('?' * len(texts))}) AND kind = 'training' AND "
                              f"deleted IS NULL AND number NOT IN (SELECT run FROM interventions) {own} ORDER BY number DESC",
                              (*texts, *key)).fetchall()
        return [readable([row for row in rows if row["config"] == text]) for text in texts]

    def looks_at_test_images(self) -> dict[tuple[str, str], Looked]:
        """How often the test images of each data set and task were looked at by runs of this store, at least."""
        own, key = whose(self.actor)
        with self._database.reading() as db:
            rows = db.execute("SELECT json_extract(config, '$.data.dataset'), json_extract(config, '$.data.task'), "
                              "sum(test_accuracy IS NOT NULL OR test_loss IS NOT NULL), sum(coalesce(later, 0)) FROM runs LEFT "
                              "JOIN (SELECT run, json_extract(value, '$.count') AS later FROM snapshots WHERE name = ?) ON run = "
                              f"number WHERE json_valid(config) {own} GROUP BY 1, 2", (TEST_LOOKS, *key)).fetchall()
        return {(dataset, task): Looked(runs, later) for dataset, task, runs, later in map(tuple, rows) if runs or later}

    def note_test_look(self, run_id: str) -> None:
        """Count that a run's network was asked about the test images once more, by whomever, which stays so when the run goes on.
        Nothing for an unknown run."""
        with self._database.writing() as db:
            db.execute("INSERT INTO snapshots (run, name, step, value) SELECT number, ?, -1, json_object('count', 1) FROM runs "
                       "WHERE id = ? ON CONFLICT (run, name) DO UPDATE SET value = json_object('count', "
                       "json_extract(value, '$.count') + 1)", (TEST_LOOKS, run_id))

    def entries(self, owner: str = "") -> list[Entry]:
        """Every training as a row of the table of runs, the newest first, also where this version can't read its settings.

        owner: whose runs are marked as one's own.
        """
        with self._database.reading() as db:
            return read_entries(db, owner, self._settings, *whose(self.actor))

    def like(self, run_id: str) -> list[str]:
        """The ids of other finished runs with exactly this one's config, the newest first."""
        own, key = whose(self.actor)
        with self._database.reading() as db:
            rows = db.execute("SELECT id FROM runs WHERE status = 'finished' AND deleted IS NULL AND id <> ? AND config = "
                              f"(SELECT config FROM runs WHERE id = ?) {own} ORDER BY number DESC",
                              (run_id, run_id, *key)).fetchall()
        return [row["id"] for row in rows]

    def group(self, group_id: str) -> list[Run]:
        """The runs that were started together, in the order in which they train."""
        own, key = whose(self.actor)
        with self._database.reading() as db:
            rows = db.execute(f"SELECT * FROM runs WHERE group_id = ? AND group_id <> '' AND deleted IS NULL {own} "
                              "ORDER BY number", (group_id, *key)).fetchall()
        return readable(rows)

    def queue_position(self, run_id: str) -> int:
        """How many runs start before this queued one does, if nobody comes: 0 for the next. Counts those that are running as
        well, but not one that was asked to stop."""
        with self._database.reading() as db:
            if self._in_turns:
                return self._place_in_turns(db, run_id)
            # whatever its number: a run that goes on has an old one, and waits for younger ones that are running
            row = db.execute("SELECT count(*) FROM runs WHERE id <> ?1 AND (status = 'running' AND stop_requested IS NULL "
                             "OR status = 'queued' AND number < (SELECT number FROM runs WHERE id = ?1))", (run_id,)).fetchone()
        return row[0]

    def _place_in_turns(self, db: sqlite3.Connection, run_id: str) -> int:
        going = db.execute("SELECT count(*) FROM runs WHERE id <> ? AND status = 'running' AND stop_requested IS NULL",
                           (run_id,)).fetchone()[0]
        return going + len(self._before(db, run_id))

    def _before(self, db: sqlite3.Connection, run_id: str) -> list[int]:
        """The numbers of the runs in the queue that start before this one."""
        found = db.execute("SELECT number FROM runs WHERE id = ? AND status = 'queued'", (run_id,)).fetchone()
        order = in_order(*read_queue(db)) if found else []
        return order[:order.index(found[0])] if found else []

    def seconds_to_wait(self, run_id: str) -> float | None:
        """About how long a queued run waits for its turn, where owners take turns and one process trains; None where that can't
        be judged."""
        if not self._in_turns:
            return None
        with self._database.reading() as db:
            return seconds_ahead(db, self._before(db, run_id), time.time())

    def is_held(self) -> bool:
        """Whether a run that is going is paused, whoever's it is."""
        with self._database.reading() as db:
            paused = db.execute("SELECT 1 FROM runs WHERE status = 'running' AND pause_requested IS NOT NULL LIMIT 1").fetchone()
        return paused is not None

    def move_to_front(self, run_id: str) -> None:
        """Let a run that waits be the next one. Raises RunNotFound, and NotYours for anybody but a teacher and this machine."""
        if not self.actor.sees_all:
            raise NotYours(ONLY_THE_TEACHER)
        self.get(run_id)
        with self._database.writing() as db:
            db.execute("UPDATE runs SET moved = 1 + (SELECT max(moved) FROM runs) WHERE id = ? AND status = 'queued'", (run_id,))

    def delete(self, run_id: str) -> None:
        """Remove an ended run with all that belongs to it, for good; see discard(). Raises RunNotFound, or StoreError while it is
        active."""
        self.folder(run_id)
        with self._database.reading() as db:  # not get(): one that can't be read can be deleted
            row = db.execute("SELECT status FROM runs WHERE id = ? AND deleted IS NULL", (run_id,)).fetchone()
            check_change(db, self.actor, [run_id])
        if row is None:
            raise RunNotFound(run_id)
        if row["status"] in ACTIVE:
            raise StoreError("This run is still going; stop it before deleting it.")
        self._remove(run_id)

    def _remove(self, run_id: str) -> None:
        """Its files first, which make the room that its rows need to go where the disk is full. Whoever calls knows that it may
        be removed."""
        folder = self.folder(run_id)
        try:
            for file in folder.glob("*") if folder.is_dir() else ():
                file.unlink(missing_ok=True)
            if folder.is_dir():
                folder.rmdir()
        except OSError as error:
            raise StoreError(f"The run can't be deleted, as its files in {folder} can't be: "
                             f"{error.strerror or reason(error)}.") from None
        self._database.write_again()
        self._surely(lambda db: db.execute("DELETE FROM runs WHERE id = ? AND status NOT IN ('queued', 'running')", (run_id,)))

    def names(self, text: str) -> bool:
        """Whether the settings of any run name this, such as a data set, whoever's run it is."""
        with self._database.reading() as db:
            return db.execute("SELECT 1 FROM runs WHERE instr(config, ?) LIMIT 1", (text,)).fetchone() is not None

    # --- what people say of runs

    def annotate(self, run_ids: Iterable[str], change: Change) -> dict[str, Annotations]:
        """Name, note, tag, star or put away runs, all of them or none; what was said before of those that it changed, for
        put_back(). Runs that are gone are left out. Raises AnnotationError for what can't be kept."""
        ids = list(run_ids)
        with self._changing(*ids) as db:
            return annotate(db, ids, change)

    def put_back(self, said: Mapping[str, Annotations]) -> None:
        """Say of runs again what annotate() replaced."""
        with self._changing(*said) as db:
            write_annotations(db, said)

    # --- deleted for a while

    def discard(self, run_ids: Iterable[str]) -> list[str]:
        """Delete runs that have ended so that restore() can bring them back whole: nothing lists or finds them meanwhile, and
        their metrics, looks and files stay. Those that are active or gone are left alone; the ids of the others."""
        ids = list(run_ids)
        return self._surely(lambda db: discard(db, ids), *ids)

    def restore(self, run_ids: Iterable[str]) -> list[str]:
        """Bring discarded runs back; the ids of those that were still there."""
        ids = list(run_ids)
        with self._changing(*ids) as db:
            return restore(db, ids)

    def discarded(self) -> dict[str, str]:
        """Titles of the runs that restore() can bring back, by their id, the one that was deleted last first."""
        with self._database.reading() as db:
            return titles_of_discarded(db, *whose(self.actor))

    def sets_of_discarded(self) -> set[str]:
        """The data sets that discarded runs name."""
        with self._database.reading() as db:
            return sets_of_discarded(db, *whose(self.actor))

    def remove_discarded(self, older_than: float = 0.0, most: int | None = None) -> list[str]:
        """Remove for good what was discarded so many seconds ago or earlier, the first deleted first and no more than `most`; the
        runs that were. Raises StoreError for files that can't be removed."""
        with self._database.reading() as db:
            gone = discarded_before(db, time.time() - older_than, *whose(self.actor))[:most]
        for run_id in gone:
            self._remove(run_id)
        return gone

    # --- what workers do

    def claim(self, worker: str) -> Run | None:
        """Take the oldest queued run, or that of whoever's turn it is, if there is one, and mark it running."""
        check_server(self.actor)
        with self._database.reading() as db:  # looked at first, so that idle workers don't take turns for the write lock
            if not db.execute("SELECT 1 FROM runs WHERE status = 'queued' LIMIT 1").fetchone():
                return None
        now = time.time()
        with self._database.writing() as db:
            first = next_of(*read_queue(db)) if self._in_turns else None
            which = "?" if first else "(SELECT min(number) FROM runs WHERE status = 'queued')"
            row = db.execute("UPDATE runs SET status = 'running', moved = 0, worker = ?, started = ?, heartbeat = ? WHERE "
                             f"number = {which} RETURNING *", (worker, now, now, *([first.number] if first else []))).fetchone()
            if first:
                note_turn(db, first.owner)
        try:
            return read_run(row) if row else None
        except RunUnreadable as error:
            self.finish(row["id"], "failed", str(error))
            return None  # the caller looks again

    def begin(self, run_id: str, event: Started) -> None:
        """Note what training is about to do; the clock of `seconds_left` starts here. The number format and why it was taken are
        the snapshot NUMBER_FORMAT."""
        with self._changing(run_id) as db:
            db.execute("UPDATE runs SET started = ?, first_step = step, steps_per_epoch = ?, steps = ?, parameters = ?, "
                       "device = ?, precision = ? WHERE id = ?",
                       (time.time(), event.steps_per_epoch, event.steps, event.parameters, event.device, event.precision, run_id))
            db.execute("INSERT OR REPLACE INTO snapshots (run, name, step, value) SELECT number, ?, 0, ? FROM runs WHERE id = ?",
                       (NUMBER_FORMAT, json.dumps({"precision": event.precision, "why": event.why}), run_id))

    def record(self, run_id: str, metrics: Sequence[Metric], snapshots: Sequence[Snapshot] = (), looks: Sequence[Look] = (),
               interventions: Sequence[Intervention] = (), patience: float | None = None, **progress: Any) -> bool:
        """Keep a batch of metrics, snapshots, looks, changes by hand and progress (step, epoch, validation_accuracy) together; a
        metric at the same step, a snapshot of the same name, a look of the same kind and step and a change by hand of the same
        number are replaced. Returns False, and keeps nothing, where the run is no longer this worker's to write (stopped or
        failed).

        patience: instead of the store's. Raises StoreBusy after that; nothing is kept then, and the same may be handed over
        again."""
        columns = {name: progress[name] for name in ("step", "epoch", "validation_accuracy") if name in progress}
        sets = "".join(f", {name} = ?" for name in columns)
        with self._database.writing(patience) as db:
            check_change(db, self.actor, [run_id])
            row = db.execute(f"UPDATE runs SET heartbeat = ?{sets} WHERE id = ? AND status = 'running' RETURNING number",
                             (time.time(), *columns.values(), run_id)).fetchone()
            if row is None:
                return False
            note_results(db, row["number"], insert_metrics(db, row["number"], metrics))
            db.executemany("INSERT OR REPLACE INTO snapshots (run, name, step, value) VALUES (?, ?, ?, ?)",
                           [(row["number"], s.name, s.step, json.dumps(s.value)) for s in snapshots])
            if looks:
                insert_looks(db, row["number"], looks)
            if interventions:
                insert_interventions(db, row["number"], interventions)
        return True

    def keep_snapshot(self, run_id: str, snapshot: Snapshot) -> None:
        """Keep one of a run that may have ended; nothing for an unknown run."""
        check_server(self.actor)
        with self._database.writing() as db:
            db.execute("INSERT OR REPLACE INTO snapshots (run, name, step, value) SELECT number, ?, ?, ? FROM runs WHERE id = ?",
                       (snapshot.name, snapshot.step, json.dumps(snapshot.value), run_id))

    def heartbeat(self, worker: str) -> None:
        """Say that a worker and its run are alive."""
        check_server(self.actor)
        with self._database.writing() as db:
            db.execute("UPDATE runs SET heartbeat = ? WHERE worker = ? AND status = 'running'", (time.time(), worker))

    def finish(self, run_id: str, status: Status, message: str = "", test_accuracy: float | None = None,
               test_loss: float | None = None, seconds: float | None = None) -> None:
        """End a run, unless it has ended already."""
        # why it was asked to stop says more than that it has
        self._surely(lambda db: db.execute(
            "UPDATE runs SET status = ?1, message = CASE WHEN ?1 = 'stopped' AND message <> '' THEN message "
            "ELSE ?2 END, finished = ?3, test_accuracy = ?4, test_loss = ?5, seconds = ?6 WHERE id = ?7 AND status IN "
            "('queued', 'running')", (status, message, time.time(), test_accuracy, test_loss, seconds, run_id)), run_id)

    # --- stopping, and finding what died

    def request_stop(self, run_id: str) -> None:
        """A queued run is stopped at once, a running one asked to stop; one that has ended stays as it is.

        Raises RunNotFound.
        """
        own = self.get(run_id).owner == self.actor.key
        now, by = time.time(), STOPPED_BY["visitor" if own and not self.actor.is_local else self.actor.kind]
        early = by.replace("Stopped", "Stopped before it started") or "Stopped before it started."

        def write(db: sqlite3.Connection) -> None:
            db.execute("UPDATE runs SET status = 'stopped', finished = ?, message = ? WHERE id = ? AND status = 'queued'",
                       (now, early, run_id))
            # whoever asked first has stopped it
            db.execute("UPDATE runs SET stop_requested = ?, message = ? WHERE id = ? AND status = 'running' AND "
                       "stop_requested IS NULL", (now, by, run_id))

        self._surely(write, run_id)

    def set_pause(self, run_id: str, pause: bool) -> None:
        """Ask an active run to wait after its next step, or to go on. Raises RunNotFound."""
        now = time.time()
        with self._changing(run_id) as db:
            # the clock of `seconds_left` stands still meanwhile
            db.execute("UPDATE runs SET started = started + coalesce(? - max(pause_requested, started), 0), pause_requested = ? "
                       "WHERE id = ? AND status IN ('queued', 'running') AND (pause_requested IS NOT NULL) <> ?",
                       (now, now if pause else None, run_id, pause))
        self.get(run_id)

    def request_step(self, run_id: str, count: int = 1) -> None:
        """Ask a paused run for one more step, from which its pause counts anew; one that is not paused stays as it is.
        Raises RunNotFound."""
        now = time.time()
        with self._changing(run_id) as db:
            db.execute("UPDATE runs SET steps_requested = steps_requested + ?, started = started + (? - max(pause_requested, "
                       "started)), pause_requested = ? WHERE id = ? AND pause_requested IS NOT NULL AND status IN "
                       "('queued', 'running')", (count, now, now, run_id))
        self.get(run_id)

    def make_room(self, pauses: Mapping[str, float]) -> None:
        """Ask paused runs to stop, if another one waits: a worker does one run at a time, and whoever paused may have closed the
        browser. They can be continued.

        pauses: since when each has been paused, as going() said; one that has gone on or taken a step meanwhile stays.
        """
        check_server(self.actor)
        with self._database.reading() as db:  # looked at first: this may be asked several times a second
            if not pauses or not db.execute("SELECT 1 FROM runs WHERE status = 'queued' LIMIT 1").fetchone():
                return
        with self._database.writing() as db:
            db.executemany("UPDATE runs SET stop_requested = ?, message = ? WHERE id = ? AND status = 'running' AND "
                           "max(pause_requested, started) = ? AND stop_requested IS NULL AND "
                           "EXISTS (SELECT 1 FROM runs WHERE status = 'queued')",
                           [(time.time(), MADE_ROOM, *pause) for pause in pauses.items()])

    def stop_over_limit(self, run_id: str, message: str) -> None:
        """Ask a running run to stop because a limit of this server is reached, and say so. Raises NotYours."""
        check_server(self.actor)
        with self._database.writing() as db:
            db.execute("UPDATE runs SET stop_requested = ?, message = ? WHERE id = ? AND status = 'running' AND "
                       "stop_requested IS NULL", (time.time(), message, run_id))

    def others_wait(self) -> bool:
        """Whether any run is in the queue."""
        with self._database.reading() as db:
            return db.execute("SELECT 1 FROM runs WHERE status = 'queued' LIMIT 1").fetchone() is not None

    def set_learning_rate(self, run_id: str, learning_rate: float) -> None:
        """Give a running run another learning rate from its next step on. Raises RunNotFound, and ConfigError where it is out of
        the optimizer's bounds."""
        self.get(run_id).config.with_values({"training.optimizer.learning_rate": learning_rate})
        with self._changing(run_id) as db:
            db.execute("UPDATE runs SET learning_rate = ? WHERE id = ? AND status = 'running'", (learning_rate, run_id))

    def request_edit(self, run_id: str, edit: WeightEdit) -> None:
        """Ask a training that is going or paused to set a weight before its next step; edits are done in the order in which they
        were asked for. Raises RunNotFound, InterventionError where it is not going, or was changed too often."""
        self.get(run_id)
        with self._changing(run_id) as db:
            ask_for_edit(db, run_id, edit)

    def interventions(self, run_id: str) -> list[Intervention]:
        """What was changed by hand while a run trained, in its order. Empty for an unknown run."""
        with self._database.reading() as db:
            return read_interventions(db, run_id)

    def changed_by_hand(self) -> dict[str, int]:
        """How many changes by hand each run has had, by its id; those without are left out."""
        own, key = whose(self.actor)
        with self._database.reading() as db:
            rows = db.execute("SELECT id, count(*) FROM interventions JOIN runs ON runs.number = interventions.run WHERE 1 "
                              f"{own} GROUP BY runs.number", key).fetchall()
        return dict(map(tuple, rows))

    def set_pace(self, run_id: str, seconds_per_epoch: float) -> None:
        """Let a run that waits or goes take so many seconds for an epoch at least, so that eyes can follow; 0 is as fast as it
        goes. Raises RunNotFound."""
        with self._changing(run_id) as db:
            db.execute("UPDATE runs SET pace = ? WHERE id = ? AND status IN ('queued', 'running')", (seconds_per_epoch, run_id))
        self.get(run_id)

    def command(self, run_id: str) -> Command:
        """What a run should do now. One that was deleted or ended from outside should stop."""
        with self._database.reading() as db:
            row = db.execute("SELECT number, stop_requested, pause_requested, learning_rate, steps_requested, pace, status "
                             "FROM runs WHERE id = ?", (run_id,)).fetchone()
            edits = waiting_edits(db, row["number"]) if row is not None else ()
        if row is None:
            return Command(stop=True)
        return Command(row["stop_requested"] is not None or row["status"] != "running", row["pause_requested"] is not None,
                       row["learning_rate"], row["steps_requested"], row["pace"], edits)

    def requeue(self, run_id: str, config: RunConfig) -> None:
        """Put a run that has ended back into the queue, to go on from its last checkpoint. Raises RunNotFound, or StoreError
        while it is active."""
        with self._changing(run_id) as db:
            check_trained(db, self.actor, run_id)
            check_turn(db, self.actor, 1)
            changed = db.execute(
                "UPDATE runs SET status = 'queued', config = ?, version = ?, message = '', finished = NULL, "
                "trained_before = trained_before + max(0, coalesce(finished - started, 0)), "
                "stop_requested = NULL, pause_requested = NULL, steps_requested = 0, worker = NULL, "
                "test_accuracy = NULL, test_loss = NULL WHERE id = ? AND deleted IS NULL AND status NOT IN ('queued', 'running')",
                (config.model_dump_json(), VERSION, run_id)).rowcount
            if changed:  # what nobody has done in time is void
                db.execute("DELETE FROM weight_edits WHERE run = (SELECT number FROM runs WHERE id = ?)", (run_id,))
        if self.get(run_id) and not changed:
            raise StoreError("This run is still going.")

    def forget_after(self, run_id: str, step: int, interventions: int) -> None:
        """Drop what a run recorded after the checkpoint it now goes on from: metrics, snapshots and looks beyond a step, and
        changes by hand beyond so many; between the same two steps there may be some before it and some after."""
        check_server(self.actor)
        with self._database.writing() as db:
            for (number,) in db.execute("SELECT number FROM runs WHERE id = ?", (run_id,)).fetchall():
                forget_points(db, number, step)
                recount_results(db, number)
                db.execute("DELETE FROM snapshots WHERE step > ? AND run = ?", (step, number))
                db.execute("DELETE FROM looks WHERE step > ? AND run = ?", (step, number))
                forget_interventions(db, number, interventions)

    def end_runs_of(self, worker: str, status: Status, message: str) -> list[str]:
        """End what a worker that is gone was doing; the ids of those runs."""
        check_server(self.actor)
        rows = self._surely(lambda db: db.execute(
            "UPDATE runs SET status = CASE WHEN stop_requested IS NULL THEN ? ELSE 'stopped' END, "
            "message = CASE WHEN stop_requested IS NULL THEN ? WHEN message <> '' THEN message ELSE 'Stopped.' END, finished = ? "
            "WHERE worker = ? AND status = 'running' RETURNING id", (status, message, time.time(), worker)).fetchall())
        return [row["id"] for row in rows]

    def going(self) -> list[Going]:
        """The runs that workers are doing, for whoever watches over them."""
        check_server(self.actor)
        with self._database.reading() as db:
            rows = db.execute("SELECT id, worker, heartbeat, stop_requested, max(pause_requested, started) AS paused, "
                              "trained_before, most_seconds, most_pause FROM runs WHERE status = 'running'").fetchall()
        return [Going(*row) for row in rows]

    def end_abandoned(self, silent: Mapping[str, float]) -> list[str]:
        """Mark as interrupted the runs whose worker has said nothing more: their server has died. Their ids.

        silent: the last heartbeat of each, as going() said; a run that has been heard of since then goes on. Raises StoreBusy at
        once where another process is writing: then it may be that nobody could say anything.
        """
        check_server(self.actor)
        if not silent:
            return []
        with self._database.writing(patience=0) as db:
            return [run_id for run_id, heartbeat in silent.items() if db.execute(
                "UPDATE runs SET status = 'interrupted', finished = ?, message = ? WHERE id = ? AND heartbeat = ? AND "
                "status = 'running'", (time.time(), INTERRUPTED, run_id, heartbeat)).rowcount]

    # --- metrics

    def metrics(self, run_id: str, after: int = 0, names: Sequence[str] = ()) -> Metrics:
        """What was recorded since `after` (a Metrics.seq; 0 for all), steps ascending. Empty for an unknown run.

        names: only these metrics; all if empty.
        """
        only = f"AND name IN ({', '.join('?' * len(names))})" if names else ""
        with self._database.reading() as db:
            rows = db.execute("SELECT seq, name, steps, points FROM metrics WHERE run = (SELECT number FROM runs WHERE id = ?) "
                              f"AND seq > ? {only} ORDER BY seq", (run_id, after, *names)).fetchall()
        named: dict[str, list[sqlite3.Row]] = {}
        for row in rows:
            named.setdefault(row["name"], []).append(row)
        return Metrics(rows[-1]["seq"] if rows else after, {name: read_points(its_rows) for name, its_rows in named.items()})

    def metric_names(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Which metrics these runs have, and how many of the runs have each; in alphabetical order."""
        counts: dict[str, int] = {}
        with self._database.reading() as db:
            for some in _in_parts(list(run_ids), 500):
                rows = db.execute("SELECT name, count(DISTINCT run) FROM metrics WHERE run IN (SELECT number FROM runs WHERE id "
                                  f"IN ({', '.join('?' * len(some))})) GROUP BY name", some).fetchall()
                for name, count in map(tuple, rows):
                    counts[name] = counts.get(name, 0) + count
        return dict(sorted(counts.items()))

    def points(self, runs: Sequence[Run], name: str, low: float = 0, high: float = float("inf"),
               ) -> Iterator[tuple[Run, np.ndarray, np.ndarray]]:
        """One metric of many runs, a run at a time: its steps (N,) int64 and values (N,) float64, steps ascending. Some points
        beyond low and high may be there too. Runs without it are left out."""
        for some in _in_parts(list(runs), AT_ONCE):
            with self._database.reading() as db:
                found = points_of_many(db, [run.number for run in some], name, low, high)
            for run in some:
                if run.number in found:
                    yield run, *found[run.number]

    def snapshots(self, run_id: str) -> dict[str, Snapshot]:
        """The newest snapshot of each name. Empty for an unknown run."""
        with self._database.reading() as db:
            rows = db.execute("SELECT name, step, value FROM snapshots WHERE run = (SELECT number FROM runs WHERE id = ?)",
                              (run_id,)).fetchall()
        return {row["name"]: Snapshot(row["name"], row["step"], json.loads(row["value"])) for row in rows}

    # --- looks

    def looks(self, run_id: str, kind: str, after: int = -1, most: int = -1) -> list[Look]:
        """The history of a watcher's looks at a run, in the order of their steps, from the first later than `after` on, and not
        more than `most` (-1: all of them). Empty for an unknown run.

        They are thinned as they become many, but not the first ones, and the last look replaces one at the same step where a
        run ends with other weights than its last ones: whoever asks with `after` while it goes asks for all in the end.
        """
        with self._database.reading() as db:
            return read_looks(db, run_id, kind, after, most)

    def look_times(self, run_id: str, kind: str) -> dict[int, float]:
        """Of which steps there are looks, ascending, and after how many seconds of training each was taken."""
        with self._database.reading() as db:
            rows = db.execute("SELECT step, seconds FROM looks WHERE run = (SELECT number FROM runs WHERE id = ?) AND kind = ? "
                              "ORDER BY step", (run_id, kind)).fetchall()
        return {row["step"]: row["seconds"] for row in rows}

    def seconds_watched(self, run_id: str) -> float:
        """How long a run had trained at its last look; 0 where there is none."""
        with self._database.reading() as db:
            row = db.execute("SELECT max(seconds) FROM looks WHERE run = (SELECT number FROM runs WHERE id = ?)",
                             (run_id,)).fetchone()
        return row[0] or 0.0

    def watched(self, run_id: str) -> Tensor | None:
        """The images that a run is watched with, (W, C, H, W) float32 in [0, 1]; None where there are none, or they are damaged.
        Raises RunNotFound for what is no id."""
        return read_watched(self.folder(run_id) / WATCHED)

    # --- files

    def folder(self, run_id: str) -> Path:
        """Where a run's files are. Raises RunNotFound for anything that is not an id, so that no path can be smuggled in."""
        if not (len(run_id) == 32 and all(c in "0123456789abcdef" for c in run_id)):
            raise RunNotFound(run_id)
        return self.path / run_id


def _in_parts(whole: list[Any], most: int) -> Iterator[list[Any]]:
    """A list in parts of at most so many: SQLite takes a limited number of values in one question."""
    for start in range(0, len(whole), most):
        yield whole[start:start + most]
