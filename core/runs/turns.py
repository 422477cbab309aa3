"""Whose turn it is: where many use a server, people take turns, however many runs each has in the queue."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

JUDGED_BY = 20  # the last runs that have ended


@dataclass(frozen=True)
class Waiting:
    """A run in the queue. moved: the later the teacher moved it to the front, the larger; 0 where nobody did."""

    number: int
    owner: str
    moved: int = 0


def next_of(queue: Iterable[Waiting], turns: Mapping[str, int]) -> Waiting | None:
    """The run that is next: one that was moved to the front, else the oldest of whoever had their last turn the longest ago.

    turns: of each owner, the number of their last turn; who has had none yet is first.
    """
    return min(queue, key=lambda run: (-run.moved, turns.get(run.owner, 0), run.number), default=None)


def in_order(queue: Iterable[Waiting], turns: Mapping[str, int]) -> list[int]:
    """The numbers of all that wait, as they will start if nobody comes."""
    left, had, order = {run.number: run for run in queue}, dict(turns), []
    while (run := next_of(left.values(), had)) is not None:
        order.append(left.pop(run.number).number)
        had[run.owner] = 1 + max(had.values(), default=0)
    return order


# --- the store's rows

# the device that a run's settings ask for; "auto" where they can't be read, as a training process says so
ASKED = """CASE WHEN json_valid(config) AND json_extract(config, '$.training.device') IN ('cpu', 'cuda', 'mps')
    THEN json_extract(config, '$.training.device') ELSE 'auto' END"""
FOR_DEVICES = f"(?1 = '' OR instr(?1, ' ' || {ASKED} || ' '))"  # of a text of devices, or of any where it is empty


def read_queue(db: sqlite3.Connection, devices: str = "") -> tuple[list[Waiting], dict[str, int]]:
    """What waits, and when each owner had their last turn. devices: those that runs may ask for, " auto cpu "; any if empty."""
    queue = [Waiting(*row) for row in db.execute("SELECT number, owner, moved FROM runs WHERE status = 'queued' AND "
                                                 f"{FOR_DEVICES}", (devices,)).fetchall()]
    return queue, dict(map(tuple, db.execute("SELECT owner, turn FROM turns").fetchall()))


def note_turn(db: sqlite3.Connection, owner: str) -> None:
    db.execute("INSERT OR REPLACE INTO turns (owner, turn) SELECT ?, 1 + coalesce(max(turn), 0) FROM turns", (owner,))


# of a run's epoch, as far as its settings say so: among runs of one network and data set it goes with the examples. A range test
# counts as one epoch.
SIZE = """CASE kind WHEN 'range_test' THEN 1 ELSE coalesce(json_extract(config, '$.data.fraction'), 1)
    * coalesce(json_extract(config, '$.data.points'), 1) * (1 + coalesce(json_extract(config, '$.data.variations'), 0)) END"""
EPOCHS_LEFT = """CASE kind WHEN 'range_test' THEN 1
    ELSE max(0, coalesce(json_extract(config, '$.training.epochs'), 1) - epoch) END"""
ALIKE = """kind || coalesce(json_extract(config, '$.model.architecture'), '')
    || coalesce(json_extract(config, '$.data.dataset'), '')"""


def seconds_ahead(db: sqlite3.Connection, before: Sequence[int], now: float) -> float | None:
    """About how long the runs that are going and these that wait will take, one after another; None where nothing is known to
    judge by, or where one that is going is paused.

    before: their numbers. What is going takes as long for its other steps as for those it has done. What has none yet takes for
    each of its epochs, by their size, as long as the middle one of the last runs of the same network and data did; of other
    runs, where there are none, whatever their size; and no more than it may. now: as the store's times.
    """
    rates = db.execute(
        f"SELECT {ALIKE} AS alike, took / passed AS per_epoch, took / passed / max({SIZE}, 1e-9) AS per_size FROM (SELECT *, "
        "finished - started AS took, 1.0 * (step - first_step) / steps_per_epoch AS passed FROM runs WHERE finished > started "
        "AND step > first_step AND steps_per_epoch > 0 AND json_valid(config) ORDER BY finished DESC LIMIT ?)",
        (JUDGED_BY,)).fetchall()

    def judged(row: sqlite3.Row) -> float | None:
        """Seconds for all the epochs that a run has left."""
        if alike := [one["per_size"] for one in rates if one["alike"] == row["alike"]]:
            return median(alike) * row["size"] * row["epochs"]
        return median(one["per_epoch"] for one in rates) * row["epochs"] if rates else None

    rows = db.execute("SELECT number, status, started, step - first_step AS done, steps - step AS todo, pause_requested, "
                      f"most_seconds - trained_before AS may, {ALIKE} AS alike, {SIZE} AS size, {EPOCHS_LEFT} AS epochs "
                      "FROM runs WHERE (status = 'queued' OR status = 'running' AND stop_requested IS NULL) AND "
                      "json_valid(config)").fetchall()
    wanted, total = set(before), 0.0
    for row in rows:
        going = row["status"] == "running"
        if not going and row["number"] not in wanted:
            continue
        taken = now - row["started"] if going else 0.0
        left = taken / row["done"] * row["todo"] if going and row["done"] > 0 else judged(row)
        if left is None or row["pause_requested"] is not None and going:
            return None
        total += max(0.0, min(left, (inf if row["may"] is None else row["may"]) - taken))
    return total
