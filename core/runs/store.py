"""RunStore: every run's description, state, metrics and weights. It is the queue and the message bus too."""

import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import uuid4

import numpy as np
from torch import Tensor

from core.config import RunConfig
from core.errors import os_reason
from core.files import why_not_written, write_atomically
from core.runs.annotations import Change, Replaced, annotate, take_back
from core.runs.database import StoreError
from core.runs.discarded import discard, discarded_before, held_back, restore, sets_of_discarded, titles_of_discarded
from core.runs.limits import book, check_kept, check_turn, most_pause, most_seconds
from core.runs.looks import WATCHED, watched_bytes, watched_images
from core.runs.records import ACTIVE, TEST_LOOKS, Kind, Looked, Run, RunNotFound
from core.runs.rights import check_change, check_owner, whose
from core.runs.rows import readable
from core.runs.store_base import in_parts
from core.runs.store_history import HistoryStore
from core.runs.store_lessons import LessonStore
from core.runs.store_queue import QueueStore
from core.runs.store_sweeps import SweepStore, insert_trial, trial_there
from core.runs.sweep_records import TrialOf
from core.runs.table import Entry, read_entries
from core.runs.whose import label_of_owner, note_visitor
from core.version import VERSION


class RunStore(QueueStore, HistoryStore, LessonStore, SweepStore):
    """Runs in a directory: `runs.sqlite3`, and for each run a folder with its config and checkpoint.

    Safe to use from several threads and processes at once. Raises StoreError from every method where the directory can't
    be read or written.

    actor: who asks, the one person at this machine unless as_actor() says otherwise. A visitor of a server that many use finds
    their own runs in every list, and others' by their id; what would change another's run raises NotYours and changes nothing.
    lesson: code of the one in which create() and create_group() make runs, none unless in_lesson() says otherwise.
    """

    # --- making and finding runs

    def create(self, config: RunConfig, owner: str, title: str = "", key: str | None = None, *, kind: Kind = "training",
               paused: bool = False, pace: float = 0.0, watch: Tensor | np.ndarray | None = None) -> str:
        """Put a run in the queue; its id. While a run of this owner with the same key is active, that one's id instead, if it
        is of the same lesson.

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

    def create_trial(self, config: RunConfig, owner: str, trial: TrialOf, title: str = "") -> str:
        """Put a trial of a search in the queue; its id. That of the run that is this trial already, where there is one: whoever
        was interrupted may ask again. Raises StoreError where the search is not going any more."""
        return self._create([(config, title)], owner, None, "training", False, trial=trial)[0]

    def _create(self, runs: Sequence[tuple[RunConfig, str]], owner: str, key: str | None, kind: Kind, paused: bool,
                group: str = "", pace: float = 0.0, watch: Tensor | np.ndarray | None = None,
                trial: TrialOf | None = None) -> list[str]:
        check_owner(self.actor, owner)
        now, images = time.time(), None if watch is None else watched_images(watch)
        most = most_seconds(self.actor.limits), most_pause(self.actor.limits)
        ids = [uuid4().hex for _ in runs]
        with self._making(ids) as db:
            if key is not None:
                same = db.execute("SELECT id, group_id FROM runs WHERE owner = ? AND key = ? AND lesson = ? AND status IN "
                                  "('queued', 'running')", (owner, key, self.lesson)).fetchone()
                if same and not same["group_id"]:
                    return [same["id"]]
                if same:
                    rows = db.execute("SELECT id FROM runs WHERE group_id = ? ORDER BY number", (same["group_id"],)).fetchall()
                    return [row["id"] for row in rows]
            if trial is not None and (there := trial_there(db, trial)):
                return [there]
            check_kept(db, self.actor, len(runs))
            check_turn(db, self.actor, len(runs))
            note_visitor(db, self.actor)
            if images is not None:  # before the runs can be seen: a worker takes them at once
                self._keep_watched(ids, images)
            db.executemany("INSERT INTO runs (id, kind, group_id, owner, key, title, config, status, created, pause_requested, "
                           "pace, version, lesson, most_seconds, most_pause) VALUES "
                           "(?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)",
                           [(run_id, kind, group, owner, key, title, config.model_dump_json(), now, now if paused else None, pace,
                             VERSION, self.lesson, *most) for run_id, (config, title) in zip(ids, runs, strict=True)])
            if trial is not None:
                insert_trial(db, ids[0], trial)
        return ids

    @contextmanager
    def _making(self, ids: Sequence[str]) -> Iterator[sqlite3.Connection]:
        """One transaction that makes these runs; where it fails, no files of theirs are left."""
        try:
            with self._database.writing() as db:
                yield db
        except BaseException:
            for run_id in ids:
                shutil.rmtree(self.folder(run_id), ignore_errors=True)
            raise

    def _keep_watched(self, ids: Sequence[str], images: Tensor) -> None:
        content = watched_bytes(images)
        try:
            for run_id in ids:
                write_atomically(self.folder(run_id) / WATCHED, lambda file: file.write(content), durable=False)
        except OSError as error:
            raise StoreError(why_not_written(f"The runs folder {self.path}", error, "PLAYGROUND_RUNS")) from None

    def create_running(self, config: RunConfig, owner: str, worker: str, title: str = "",
                       watch: Tensor | np.ndarray | None = None) -> Run:
        """A run that starts at once, outside the queue and of every lesson, as the command line's does. watch: as in create()."""
        check_owner(self.actor, owner)
        run_id, now = uuid4().hex, time.time()
        images = None if watch is None else watched_images(watch)
        with self._making([run_id]) as db:
            check_kept(db, self.actor)
            note_visitor(db, self.actor)
            if images is not None:
                self._keep_watched([run_id], images)
            db.execute("INSERT INTO runs (id, owner, title, config, status, created, started, heartbeat, worker, version) "
                       "VALUES (?, ?, ?, ?, 'running', ?, ?, ?, ?, ?)",
                       (run_id, owner, title, config.model_dump_json(), now, now, now, worker, VERSION))
        return self.get(run_id)

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
            for some in in_parts(list(run_ids), 500):
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
        """How often the test images of each data set and task were looked at by the runs that lists show, at least: for a
        visitor their own."""
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
            return read_entries(db, owner, self._settings, self.actor)

    def whose(self, run: Run) -> str:
        """Whose a run is, as a teacher is told; "" for anybody else. See core.runs.whose."""
        if self.actor.kind != "teacher":
            return ""
        with self._database.reading() as db:
            row = db.execute("SELECT number FROM visitors WHERE owner = ?", (run.owner,)).fetchone()
        return label_of_owner(self.actor, run.owner, row["number"] if row else None)

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
                             f"{os_reason(error)}.") from None
        self._database.write_again()

        def write(db: sqlite3.Connection) -> None:
            book(db, run_id)
            db.execute("DELETE FROM runs WHERE id = ? AND status NOT IN ('queued', 'running')", (run_id,))

        self._surely(write)

    def names(self, text: str) -> bool:
        """Whether the settings of any run name this, such as a data set, whoever's run it is."""
        with self._database.reading() as db:
            return db.execute("SELECT 1 FROM runs WHERE instr(config, ?) LIMIT 1", (text,)).fetchone() is not None

    # --- what people say of runs

    def annotate(self, run_ids: Iterable[str], change: Change) -> dict[str, Replaced]:
        """Name, note, tag, star or put away runs, all of them or none; what that has replaced in those that it changed, for
        put_back(). Runs that are gone are left out. Raises AnnotationError for what can't be kept."""
        ids = list(run_ids)
        with self._changing(*ids) as db:
            return annotate(db, ids, change)

    def put_back(self, replaced: Mapping[str, Replaced]) -> None:
        """Say of runs again what annotate() replaced. What has been said otherwise since, as in another tab, stays."""
        with self._changing(*replaced) as db:
            take_back(db, replaced)

    # --- deleted for a while

    def discard(self, run_ids: Iterable[str]) -> list[str]:
        """Delete runs that have ended so that restore() can bring them back whole: nothing lists or finds them meanwhile, and
        their metrics, looks and files stay. Those that are active or gone are left alone; the ids of the others."""
        ids = list(run_ids)
        return self._surely(lambda db: discard(db, self.actor, ids), *ids)

    def restore(self, run_ids: Iterable[str]) -> list[str]:
        """Bring discarded runs back; the ids of those that were still there. Raises NotYours for what held_back() names."""
        ids = list(run_ids)
        with self._changing(*ids) as db:
            return restore(db, self.actor, ids)

    def held_back(self) -> set[str]:
        """The ids of discarded runs that restore() refuses: a teacher has deleted them, and who asks is none."""
        with self._database.reading() as db:
            return held_back(db, self.actor, *whose(self.actor))

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
