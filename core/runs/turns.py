"""Whose turn it is: where many use a server, people take turns, however many runs each has in the queue."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


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
