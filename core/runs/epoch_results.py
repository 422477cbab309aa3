"""A run's best and last validation results as columns of its row: a table of thousands of runs reads no curves."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from core.runs.metric_blobs import read_points

ACCURACY, LOSS = "validation_accuracy", "validation_loss"  # metrics of each epoch


def note_results(db: sqlite3.Connection, run: int, values: Mapping[str, np.ndarray]) -> None:
    """Take new epochs of a run (its number) into account. values: of metrics by name, in the order of their steps."""
    accuracies, losses = values.get(ACCURACY), values.get(LOSS)
    if accuracies is not None:
        db.execute("UPDATE runs SET best_accuracy = max(coalesce(best_accuracy, ?1), coalesce(?1, best_accuracy)) "
                   "WHERE number = ?2", (_largest(accuracies), run))
    if losses is not None:
        db.execute("UPDATE runs SET best_loss = min(coalesce(best_loss, ?1), coalesce(?1, best_loss)), validation_loss = ?2 "
                   "WHERE number = ?3", (_smallest(losses), _last(losses), run))


def recount_results(db: sqlite3.Connection, run: int) -> None:
    """Work a run's results out anew, once some of its metrics are gone."""
    db.execute("UPDATE runs SET best_accuracy = NULL, best_loss = NULL, validation_loss = NULL WHERE number = ?", (run,))
    _from_metrics(db, "AND run = ?", (run,))


def fill_results(db: sqlite3.Connection) -> None:
    """Work them out for all runs, which earlier versions kept in their metrics alone."""
    _from_metrics(db)


def _from_metrics(db: sqlite3.Connection, which: str = "", values: tuple[int, ...] = ()) -> None:
    cursor = db.cursor()
    cursor.row_factory = sqlite3.Row
    named: dict[int, dict[str, list[sqlite3.Row]]] = defaultdict(lambda: defaultdict(list))
    for row in cursor.execute("SELECT run, name, steps, points FROM metrics WHERE name IN (?, ?) "
                              f"{which} ORDER BY seq", (ACCURACY, LOSS, *values)):
        named[row["run"]][row["name"]].append(row)
    for run, rows in named.items():
        note_results(db, run, {name: np.array(read_points(its)[1]) for name, its in rows.items()})


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]  # a loss that became NaN is no best one


def _largest(values: np.ndarray) -> float | None:
    finite = _finite(values)
    return float(finite.max()) if len(finite) else None


def _smallest(values: np.ndarray) -> float | None:
    finite = _finite(values)
    return float(finite.min()) if len(finite) else None


def _last(values: np.ndarray) -> float | None:
    return float(values[-1]) if np.isfinite(values[-1]) else None
