"""The part of RunStore that is the queue: whose turn it is, what workers take and say, what runs are asked to do."""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence

from core.actors import ONLY_THE_TEACHER
from core.config import RunConfig
from core.runs.database import StoreError
from core.runs.interventions import ask_for_edit, waiting_edits
from core.runs.limits import book, check_trained, check_turn
from core.runs.records import NUMBER_FORMAT, Going, Run, Status
from core.runs.rights import NotYours, check_server
from core.runs.rows import RunUnreadable, read_run
from core.runs.store_base import StoreBase
from core.runs.turns import FOR_DEVICES, in_order, next_of, note_turn, read_queue, seconds_ahead
from core.training import Command, Started, WeightEdit
from core.version import VERSION

MADE_ROOM = "Stopped after a minute of pause, because another run was waiting. “Continue” goes on from where it was."
# by whom, where many use a server
STOPPED_BY = {"visitor": "Stopped by its owner.", "teacher": "Stopped by the teacher.", "local": ""}
INTERRUPTED = "The app ended while this run was going. Weights of its last full epoch were kept, if any."


class QueueStore(StoreBase):
    """Runs that wait and that are going."""

    # --- whose turn it is

    def queue_position(self, run_id: str) -> int:
        """How many runs start before this queued one does, if nobody comes: 0 for the next. Counts those that are running as
        well, but not one that was asked to stop."""
        with self._database.reading() as db:
            if self._in_turns:
                return self._place_in_turns(db, run_id)
            # whatever its number: a run that goes on has an old one, and waits for younger ones that are running
            row = db.execute("SELECT count(*) FROM runs WHERE id <> ?1 AND (status = 'running' AND stop_requested IS NULL OR "
                             "status = 'queued' AND (-moved, number) < (SELECT -moved, number FROM runs WHERE id = ?1))",
                             (run_id,)).fetchone()
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

    def others_wait(self) -> bool:
        """Whether any run is in the queue."""
        with self._database.reading() as db:
            return db.execute("SELECT 1 FROM runs WHERE status = 'queued' LIMIT 1").fetchone() is not None

    def count_waiting(self, devices: Sequence[str]) -> int:
        """How many runs in the queue ask for one of these devices, such as ("auto", "cuda")."""
        check_server(self.actor)
        with self._database.reading() as db:
            return db.execute(f"SELECT count(*) FROM runs WHERE status = 'queued' AND {FOR_DEVICES}",
                              (f" {' '.join(devices)} ",)).fetchone()[0]

    def move_to_front(self, run_id: str) -> None:
        """Let a run that waits be the next one. Raises RunNotFound, and NotYours for anybody but a teacher and this machine."""
        if not self.actor.sees_all:
            raise NotYours(ONLY_THE_TEACHER)
        self.get(run_id)
        with self._database.writing() as db:
            db.execute("UPDATE runs SET moved = 1 + (SELECT max(moved) FROM runs) WHERE id = ? AND status = 'queued'", (run_id,))

    # --- what workers do

    def claim(self, worker: str, devices: Sequence[str] = ()) -> Run | None:
        """Take the run that was moved to the front last, else the oldest, or that of whoever's turn it is, if any run waits, and
        mark it running. devices: takes only runs that ask for one of these, such as ("auto", "cuda"); any if none is named."""
        check_server(self.actor)
        wanted = f" {' '.join(devices)} " if devices else ""
        waits = f"status = 'queued' AND {FOR_DEVICES}"
        with self._database.reading() as db:  # looked at first, so that idle workers don't take turns for the write lock
            if not db.execute(f"SELECT 1 FROM runs WHERE {waits} LIMIT 1", (wanted,)).fetchone():
                return None
        now = time.time()
        with self._database.writing() as db:
            first = next_of(*read_queue(db, wanted)) if self._in_turns else None
            which = "?4" if first else f"(SELECT number FROM runs WHERE {waits} ORDER BY moved DESC, number LIMIT 1)"
            row = db.execute("UPDATE runs SET status = 'running', moved = 0, worker = ?2, started = ?3, heartbeat = ?3 WHERE "
                             f"number = {which} RETURNING *",
                             (wanted, worker, now, *([first.number] if first else []))).fetchone()
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

    def heartbeat(self, worker: str) -> None:
        """Say that a worker and its run are alive."""
        check_server(self.actor)
        with self._database.writing() as db:
            db.execute("UPDATE runs SET heartbeat = ? WHERE worker = ? AND status = 'running'", (time.time(), worker))

    def going(self) -> list[Going]:
        """The runs that workers are doing, for whoever watches over them."""
        check_server(self.actor)
        with self._database.reading() as db:
            rows = db.execute("SELECT id, worker, heartbeat, stop_requested, max(pause_requested, started) AS paused, "
                              "trained_before, most_seconds, most_pause FROM runs WHERE status = 'running'").fetchall()
        return [Going(*row) for row in rows]

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

    # --- ending, pausing and changing what is going

    def finish(self, run_id: str, status: Status, message: str = "", test_accuracy: float | None = None,
               test_loss: float | None = None, seconds: float | None = None) -> None:
        """End a run, unless it has ended already."""
        # why it was asked to stop says more than that it has
        self._surely(lambda db: db.execute(
            "UPDATE runs SET status = ?1, message = CASE WHEN ?1 = 'stopped' AND message <> '' THEN message "
            "ELSE ?2 END, finished = ?3, test_accuracy = ?4, test_loss = ?5, seconds = ?6 WHERE id = ?7 AND status IN "
            "('queued', 'running')", (status, message, time.time(), test_accuracy, test_loss, seconds, run_id)), run_id)

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

    def set_pace(self, run_id: str, seconds_per_epoch: float) -> None:
        """Let a run that waits or goes take so many seconds for an epoch at least, so that eyes can follow; 0 is as fast as it
        goes. Raises RunNotFound."""
        with self._changing(run_id) as db:
            db.execute("UPDATE runs SET pace = ? WHERE id = ? AND status IN ('queued', 'running')", (seconds_per_epoch, run_id))
        self.get(run_id)

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

    # --- for whoever watches over the workers

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

    def requeue(self, run_id: str, config: RunConfig) -> None:
        """Put a run that has ended back into the queue, to go on from its last checkpoint. Raises RunNotFound, or StoreError
        while it is active."""
        with self._changing(run_id) as db:
            check_trained(db, self.actor, run_id)
            check_turn(db, self.actor, 1)
            if db.execute("SELECT 1 FROM runs WHERE id = ? AND deleted IS NULL", (run_id,)).fetchone():
                book(db, run_id)
            changed = db.execute(
                "UPDATE runs SET status = 'queued', config = ?, version = ?, message = '', started = NULL, finished = NULL, "
                "trained_before = trained_before + max(0, coalesce(finished - started, 0)), "
                "stop_requested = NULL, pause_requested = NULL, steps_requested = 0, worker = NULL, "
                "test_accuracy = NULL, test_loss = NULL WHERE id = ? AND deleted IS NULL AND status NOT IN ('queued', 'running')",
                (config.model_dump_json(), VERSION, run_id)).rowcount
            if changed:  # what nobody has done in time is void
                db.execute("DELETE FROM weight_edits WHERE run = (SELECT number FROM runs WHERE id = ?)", (run_id,))
        if self.get(run_id) and not changed:
            raise StoreError("This run is still going.")

    def end_runs_of(self, worker: str, status: Status, message: str) -> list[str]:
        """End what a worker that is gone was doing; the ids of those runs."""
        check_server(self.actor)
        rows = self._surely(lambda db: db.execute(
            "UPDATE runs SET status = CASE WHEN stop_requested IS NULL THEN ? ELSE 'stopped' END, "
            "message = CASE WHEN stop_requested IS NULL THEN ? WHEN message <> '' THEN message ELSE 'Stopped.' END, finished = ? "
            "WHERE worker = ? AND status = 'running' RETURNING id", (status, message, time.time(), worker)).fetchall())
        return [row["id"] for row in rows]

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
