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

def read_queue(db: sqlite3.Connection) -> tuple[list[Waiting], dict[str, int]]:
    """What waits, and when each owner had their last turn."""
    queue = [Waiting(*row) for row in db.execute("SELECT number, owner, moved FROM runs WHERE status = 'queued'").fetchall()]
    return queue, dict(map(tuple, db.execute("SELECT owner, turn FROM turns").fetchall()))


def note_turn(db: sqlite3.Connection, owner: str) -> None:
    db.execute("INSERT OR REPLACE INTO turns (owner, turn) SELECT ?, 1 + coalesce(max(turn), 0) FROM turns", (owner,))


def seconds_ahead(db: sqlite3.Connection, before: Sequence[int], now: float) -> float | None:
    """About how long the runs that are going and these that wait will take, one after another; None where nothing is known to
    judge by, or where one that is going is paused.

    before: their numbers. What is going takes as long for its other steps as for those it has done; what has none yet takes as
    long as the middle one of the last runs did, and no more than it may. now: as the store's times.
    """
    ended = db.execute("SELECT finished - started FROM runs WHERE finished > started AND step > 0 ORDER BY finished DESC LIMIT ?",
                       (JUDGED_BY,)).fetchall()
    usual = median(row[0] for row in ended) if ended else None
    going = db.execute("SELECT started, step - first_step AS done, steps - step AS todo, pause_requested, most_seconds FROM runs "
                       "WHERE status = 'running' AND stop_requested IS NULL").fetchall()
    waiting = db.execute("SELECT number, most_seconds FROM runs WHERE status = 'queued'").fetchall()
    known = {row["number"]: row["most_seconds"] for row in waiting}
    total = 0.0
    for row in going:
        taken = now - row["started"]
        left = taken / row["done"] * row["todo"] if row["done"] > 0 else usual
        if left is None or row["pause_requested"] is not None:
            return None
        total += max(0.0, min(left, (row["most_seconds"] or inf) - taken))
    if before and usual is None:
        return None
    return total + sum(min(usual or 0.0, known.get(number) or inf) for number in before)
