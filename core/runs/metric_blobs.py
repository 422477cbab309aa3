"""How the store keeps a metric's points: those of one flush together, as two blobs.

A row and its place in two indices for each point took the training thread 11 µs, and a small network does 6,000 steps a
second. A blob costs the same for one point and for a thousand, and a page reads 100,000 of them in a few milliseconds.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from core.runs.records import Metric

STEPS, VALUES = np.dtype("<i8"), np.dtype("<f8")


def insert_metrics(db: sqlite3.Connection, run: int, metrics: Iterable[Metric]) -> dict[str, np.ndarray]:
    """Keep metrics of a run (its number), one row for each name; of points at one step the last. The values of each name."""
    named: dict[str, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    for name, step, value in metrics:
        steps, values = named[name]
        steps.append(step)
        values.append(value)
    kept: dict[str, np.ndarray] = {}
    for name, points in named.items():
        at, what = in_order(np.array(points[0], STEPS), np.array(points[1], VALUES))
        kept[name] = what
        db.execute("INSERT INTO metrics (run, name, first_step, last_step, steps, points) VALUES (?, ?, ?, ?, ?, ?)",
                   (run, name, int(at[0]), int(at[-1]), at.tobytes(), what.tobytes()))
    return kept


def read_points(rows: Sequence[sqlite3.Row]) -> tuple[list[int], list[float]]:
    """Steps and values of one metric's rows, given as they came: ascending, and of points at one step the last."""
    steps, values = in_order(*(np.concatenate(parts) for parts in zip(*map(_blobs, rows), strict=True)))
    return steps.tolist(), values.tolist()


def points_of_many(db: sqlite3.Connection, runs: Sequence[int], name: str, low: float, high: float,
                   ) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """One metric of several runs (their numbers) as arrays of steps and values, ascending, of points at one step the last; of
    what was flushed together it is all or nothing, and all that has a step from low to high is there. Runs without it are left
    out."""
    # where each step has a value, the first and the last one say it all: half as much to copy
    rows = db.execute("SELECT run, first_step, last_step, CASE WHEN last_step - first_step + 1 = length(points) / 8 THEN NULL "
                      f"ELSE steps END, points FROM metrics WHERE run IN ({', '.join('?' * len(runs))}) AND name = ? "
                      "AND last_step >= ? AND first_step <= ? ORDER BY run, seq", (*runs, name, low, high))
    parts: dict[int, list[tuple[int, int, bytes | None, bytes]]] = {}
    for run, *part in map(tuple, rows):
        parts.setdefault(run, []).append(tuple(part))
    return {run: _joined(of_one) for run, of_one in parts.items()}


def _joined(parts: list[tuple[int, int, bytes | None, bytes]]) -> tuple[np.ndarray, np.ndarray]:
    """What was flushed one after another, each as its first and last step, its steps (None: all between them) and its values."""
    values = np.frombuffer(b"".join(part[3] for part in parts), VALUES)
    first, last = parts[0][0], parts[-1][1]
    unbroken = all(part[2] is None for part in parts) and all(
        after[0] == before[1] + 1 for before, after in pairwise(parts))
    if unbroken:
        return np.arange(first, last + 1, dtype=STEPS), values
    steps = [np.arange(start, end + 1, dtype=STEPS) if blob is None else np.frombuffer(blob, STEPS)
             for start, end, blob, _ in parts]
    return in_order(np.concatenate(steps), values)


def forget_points(db: sqlite3.Connection, run: int, step: int) -> None:
    """Drop a run's points beyond a step."""
    cut = db.execute("SELECT seq, steps, points FROM metrics WHERE run = ? AND first_step <= ? AND last_step > ?",
                     (run, step, step)).fetchall()
    for row in cut:  # in its place: of points at one step those of the last row count
        steps, values = _blobs(row)
        kept = steps <= step
        db.execute("UPDATE metrics SET last_step = ?, steps = ?, points = ? WHERE seq = ?",
                   (int(steps[kept][-1]), steps[kept].tobytes(), values[kept].tobytes(), row["seq"]))
    db.execute("DELETE FROM metrics WHERE run = ? AND first_step > ?", (run, step))


def from_single_rows(db: sqlite3.Connection) -> None:
    """Take over what earlier versions kept: a row for each point, in `single_metrics`, which is dropped."""
    for (run,) in db.execute("SELECT DISTINCT run FROM single_metrics").fetchall():
        points = db.execute("SELECT name, step, value FROM single_metrics WHERE run = ? ORDER BY seq", (run,))
        # SQLite kept what is not a number as NULL
        insert_metrics(db, run, (Metric(name, step, np.nan if value is None else value) for name, step, value in points))
    db.execute("DROP TABLE single_metrics")


def in_order(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points by ascending step; of those at one step the last."""
    if (np.diff(steps) > 0).all():  # as they nearly always come
        return steps, values
    order = np.argsort(steps, kind="stable")
    last = np.append(np.diff(steps[order]) > 0, True)
    return steps[order][last], values[order][last]


def _blobs(row: sqlite3.Row) -> tuple[np.ndarray, np.ndarray]:
    return np.frombuffer(row["steps"], STEPS), np.frombuffer(row["points"], VALUES)
