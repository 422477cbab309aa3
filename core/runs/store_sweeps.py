"""The part of RunStore that is searches over settings: what they are to do, who drives them, which runs are their trials."""

import json
import sqlite3
import time
from typing import Any
from uuid import uuid4

from core.runs.database import StoreError
from core.runs.rights import NotYours, check_owner, check_server, whose
from core.runs.store_base import StoreBase
from core.runs.sweep_records import Sweep, SweepNotFound, SweepStatus, Trial, TrialOf, TrialState

ONE_AT_A_TIME = "A search is going already. Stop it or wait for its end, then start this one."
CHANGEABLE = ("status", "message", "plan")
OF_RUN = ("number", "status", "message", "epoch", "validation_accuracy", "validation_loss", "test_accuracy", "test_loss",
          "seconds", "parameters", "created", "started", "finished")


class SweepStore(StoreBase):
    """Searches and their trials."""

    # --- searches

    def create_sweep(self, plan: str, owner: str, title: str = "") -> str:
        """Keep a search that is to be done; its id. plan: as JSON. One is going at a time: of a visitor's own, else of all.

        Raises StoreError where one is going or paused.
        """
        check_owner(self.actor, owner)
        own, key = ("", ()) if self.actor.is_local else ("AND owner = ?", (owner,))
        with self._database.writing() as db:
            if db.execute(f"SELECT 1 FROM sweeps WHERE status IN ('running', 'paused') {own}", key).fetchone():
                raise StoreError(ONE_AT_A_TIME)
            sweep_id = uuid4().hex
            db.execute("INSERT INTO sweeps (id, owner, kind, lesson, title, plan, status, created) VALUES "
                       "(?, ?, ?, ?, ?, ?, 'running', ?)",
                       (sweep_id, owner, self.actor.kind, self.lesson, title, plan, time.time()))
        return sweep_id

    def sweep(self, sweep_id: str) -> Sweep:
        """The search of that id, whoever's it is. Raises SweepNotFound."""
        with self._database.reading() as db:
            row = db.execute("SELECT * FROM sweeps WHERE id = ?", (sweep_id[:40],)).fetchone()
        if row is None:
            raise SweepNotFound(sweep_id)
        return Sweep(**dict(row))

    def sweeps(self, limit: int = 50) -> list[Sweep]:
        """The newest searches first."""
        own, key = whose(self.actor)
        with self._database.reading() as db:
            rows = db.execute(f"SELECT * FROM sweeps WHERE 1 {own.replace('runs.', '')} ORDER BY number DESC LIMIT ?",
                              (*key, limit)).fetchall()
        return [Sweep(**dict(row)) for row in rows]

    def change_sweep(self, sweep_id: str, only: tuple[SweepStatus, ...] = ("running", "paused"), **values: str) -> bool:
        """Give a search another status, message or plan; False where its status is none of `only`. Raises SweepNotFound."""
        assert set(values) <= set(CHANGEABLE)
        ended = ", finished = ?" if values.get("status") in ("finished", "stopped", "failed") else ""
        sets = ", ".join(f"{name} = ?" for name in values)
        with self._database.writing() as db:
            self._check_sweep(db, sweep_id)
            return db.execute(f"UPDATE sweeps SET {sets}{ended} WHERE id = ? AND status IN ({', '.join('?' * len(only))})",
                              (*values.values(), *([time.time()] if ended else []), sweep_id, *only)).rowcount > 0

    def _check_sweep(self, db: sqlite3.Connection, sweep_id: str) -> None:
        row = db.execute("SELECT owner FROM sweeps WHERE id = ?", (sweep_id,)).fetchone()
        if row is None:
            raise SweepNotFound(sweep_id)
        if not self.actor.may_change(row["owner"]) and not self.actor.is_local:
            raise NotYours

    # --- for whoever drives them

    def take_sweep(self, sweep_id: str, driver: str, heartbeat: float) -> bool:
        """Be the one who drives a search: where nobody does, or has said so since `heartbeat`."""
        check_server(self.actor)
        with self._database.writing() as db:
            return db.execute("UPDATE sweeps SET driver = ?1, heartbeat = ?2 WHERE id = ?3 AND (driver IN ('', ?1) OR "
                              "heartbeat = ?4)", (driver, time.time(), sweep_id, heartbeat)).rowcount > 0

    def drive_sweep(self, sweep_id: str, driver: str, seconds: float, note: str) -> bool:
        """Say that a search is driven, for how long by now, and what it does; False where somebody else drives it."""
        check_server(self.actor)
        with self._database.writing() as db:
            return db.execute("UPDATE sweeps SET heartbeat = ?, seconds = ?, note = ? WHERE id = ? AND driver = ?",
                              (time.time(), seconds, note, sweep_id, driver)).rowcount > 0

    def leave_sweep(self, sweep_id: str, driver: str) -> None:
        """Drive it no longer, so that another may at once."""
        check_server(self.actor)
        with self._database.writing() as db:
            db.execute("UPDATE sweeps SET driver = '' WHERE id = ? AND driver = ?", (sweep_id, driver))

    def end_sweep(self, sweep_id: str, status: SweepStatus, message: str, result: str = "") -> None:
        """Say how a search that was going has ended."""
        check_server(self.actor)
        with self._database.writing() as db:
            db.execute("UPDATE sweeps SET status = ?, message = ?, result = ?, note = '', finished = ? WHERE id = ? AND status "
                       "IN ('running', 'paused')", (status, message, result, time.time(), sweep_id))

    # --- trials

    def trials(self, sweep_id: str) -> list[Trial]:
        """All runs of a search in the order in which they were made, also those that were deleted and can be brought back."""
        with self._database.reading() as db:
            rows = db.execute("SELECT runs.id AS run_id, trial, repeat, params, state, value, reason, retries, tested, "
                              f"deleted IS NOT NULL AS deleted, {', '.join(f'runs.{name}' for name in OF_RUN)} FROM trials "
                              "JOIN runs ON runs.number = trials.run WHERE trials.sweep = ? ORDER BY runs.number",
                              (sweep_id,)).fetchall()
        return [Trial(**dict(row) | {"params": json.loads(row["params"]), "tested": bool(row["tested"]),
                                     "deleted": bool(row["deleted"])}) for row in rows]

    def trial_of(self, run_id: str) -> TrialOf | None:
        """Which trial of which search a run is; None for a run on its own."""
        with self._database.reading() as db:
            row = db.execute("SELECT sweep, trial, repeat, params FROM trials WHERE run = (SELECT number FROM runs WHERE id = ?)",
                             (run_id,)).fetchone()
        return TrialOf(row["sweep"], row["trial"], row["repeat"], json.loads(row["params"])) if row else None

    def holds_test(self, run_id: str) -> bool:
        """Whether a run leaves its test images alone, as all trials but the chosen one do."""
        with self._database.reading() as db:
            return db.execute("SELECT 1 FROM trials WHERE run = (SELECT number FROM runs WHERE id = ?) AND NOT tested",
                              (run_id,)).fetchone() is not None

    def note_trial(self, run_id: str, state: TrialState, value: float | None = None, reason: str = "") -> None:
        """What became of a trial."""
        self._set_trial(run_id, state=state, value=value, reason=reason)

    def note_retry(self, run_id: str, retries: int) -> None:
        """How often a trial has been begun again."""
        self._set_trial(run_id, retries=retries)

    def let_test(self, run_id: str) -> None:
        """Let a trial look at its test images at its end, once it is resumed."""
        self._set_trial(run_id, tested=1)

    def _set_trial(self, run_id: str, **values: Any) -> None:
        with self._changing(run_id) as db:
            db.execute(f"UPDATE trials SET {', '.join(f'{name} = ?' for name in values)} WHERE run = (SELECT number FROM runs "
                       "WHERE id = ?)", (*values.values(), run_id))


def trial_there(db: sqlite3.Connection, trial: TrialOf) -> str | None:
    """The id of the run that is this trial already."""
    row = db.execute("SELECT id FROM runs WHERE number = (SELECT run FROM trials WHERE sweep = ? AND trial = ? AND repeat = ?)",
                     (trial.sweep, trial.trial, trial.repeat)).fetchone()
    return row["id"] if row else None


def insert_trial(db: sqlite3.Connection, run_id: str, trial: TrialOf) -> None:
    """Keep which trial a new run is. Raises StoreError where its search is not going any more."""
    if not db.execute("SELECT 1 FROM sweeps WHERE id = ? AND status = 'running'", (trial.sweep,)).fetchone():
        raise StoreError("This search is not going any more.")
    db.execute("INSERT INTO trials (run, sweep, trial, repeat, params) SELECT number, ?, ?, ?, ? FROM runs WHERE id = ?",
               (trial.sweep, trial.trial, trial.repeat, json.dumps(trial.params), run_id))
