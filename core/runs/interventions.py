"""What people change by hand while a run trains, as the store keeps it: asked for first, and a record once it is done."""

import sqlite3
from collections.abc import Iterable

from core.training import Intervention, InterventionError, WeightEdit

MOST_EDITS = 10_000  # of weights in one run, done and waiting


def ask_for_edit(db: sqlite3.Connection, run_id: str, edit: WeightEdit) -> None:
    """Let a weight edit wait for the training process, behind those that wait already. Raises InterventionError where the run is
    no training that is going."""
    row = db.execute("SELECT number FROM runs WHERE id = ? AND status = 'running' AND kind = 'training' AND stop_requested IS "
                     "NULL", (run_id,)).fetchone()
    if row is None:
        raise InterventionError("Only a run that is training or paused can be changed by hand; this one is not.")
    count = db.execute("SELECT (SELECT count(*) FROM weight_edits WHERE run = ?1) + (SELECT count(*) FROM interventions WHERE "
                       "run = ?1 AND what = 'weight')", (row["number"],)).fetchone()[0]
    if count >= MOST_EDITS:
        raise InterventionError(f"{MOST_EDITS:,} weights of this run have been set by hand, which is all that is kept.")
    db.execute("INSERT INTO weight_edits (run, layer, at_row, at_column, value) VALUES (?, ?, ?, ?, ?)",
               (row["number"], edit.layer, edit.row, edit.column, edit.value))


def waiting_edits(db: sqlite3.Connection, run: int) -> tuple[WeightEdit, ...]:
    """Those of a run (its number) that have not been recorded as done, in their order."""
    rows = db.execute("SELECT number, layer, at_row, at_column, value FROM weight_edits WHERE run = ? ORDER BY number", (run,))
    return tuple(WeightEdit(*row) for row in rows.fetchall())


def insert_interventions(db: sqlite3.Connection, run: int, interventions: Iterable[Intervention]) -> None:
    """Keep what has been done to a run (its number); those that asked for it wait no more."""
    rows = [(run, one.number, one.step, one.what, one.before, one.after, one.layer, one.row, one.column, one.edit)
            for one in interventions]
    db.executemany("INSERT OR REPLACE INTO interventions (run, number, step, what, value_before, value_after, layer, at_row, "
                   "at_column, edit) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    db.execute("DELETE FROM weight_edits WHERE run = ? AND number <= ?", (run, max(row[-1] for row in rows)))


def read_interventions(db: sqlite3.Connection, run_id: str) -> list[Intervention]:
    rows = db.execute("SELECT number, step, what, value_before, value_after, layer, at_row, at_column, edit FROM interventions "
                      "WHERE run = (SELECT number FROM runs WHERE id = ?) ORDER BY number", (run_id,)).fetchall()
    return [Intervention(*row) for row in rows]


def forget_interventions(db: sqlite3.Connection, run: int, beyond: int) -> None:
    """Drop those of a run (its number) after the first `beyond`."""
    db.execute("DELETE FROM interventions WHERE run = ? AND number > ?", (run, beyond))
