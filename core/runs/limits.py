"""What a visitor's limits refuse: each with one line that names the limit and says what to do."""

import sqlite3
import time
from pathlib import Path

from core.actors import Actor
from core.config import DataConfig, RunConfig
from core.data import spec_for
from core.data.combine import training_estimate
from core.limits import Limits
from core.runs.database import StoreError
from core.wording import plural

HOUR = 3600.0


class LimitReached(StoreError):
    """More than one person may take of this server; the message is one line."""


def check_turn(db: sqlite3.Connection, actor: Actor, runs: int) -> None:
    """Raises LimitReached where so many more runs may not wait."""
    limits = actor.limits
    if limits.waiting and runs > limits.waiting:
        raise LimitReached(f"That would be {plural(runs, 'run')}; one person may have {limits.waiting} waiting on this server. "
                           "Start fewer at once.")
    if limits.waiting and (there := _waiting(db, "AND owner = ?", actor.key)) + runs > limits.waiting:
        raise LimitReached(f"You have {plural(there, 'run')} waiting, and one person may have {limits.waiting} on this server. "
                           "Wait until one starts, or stop one.")
    if limits.all_waiting and _waiting(db) + runs > limits.all_waiting:
        raise LimitReached(f"The queue is full: {plural(limits.all_waiting, 'run')} may wait on this server. Try again in a "
                           "minute.")
    if limits.hour_minutes:
        now = time.time()
        taken = _seconds_since(db, actor.key, now - HOUR, now)
        if taken >= 60 * limits.hour_minutes:
            raise LimitReached(f"Your runs have trained for {minutes(taken)} within the last hour; the limit for one person on "
                               f"this server is {minutes(60 * limits.hour_minutes)}. Try again later.")


def check_kept(db: sqlite3.Connection, actor: Actor, runs: int = 1) -> None:
    """Raises LimitReached where so many more runs may not be kept."""
    most = actor.limits.runs
    if most and db.execute("SELECT count(*) FROM runs WHERE owner = ?", (actor.key,)).fetchone()[0] + runs > most:
        raise LimitReached(f"One person may keep {plural(most, 'run')} on this server. Delete some on “Compare runs”, and there "
                           "remove those that were deleted lately for good.")


def check_trained(db: sqlite3.Connection, actor: Actor, run_id: str) -> None:
    """Raises LimitReached where a run has trained for as long as one may."""
    most = actor.limits.run_minutes
    row = db.execute("SELECT trained_before + max(0, coalesce(finished - started, 0)) FROM runs WHERE id = ?",
                     (run_id,)).fetchone()
    if most and row is not None and row[0] >= 60 * most:
        raise LimitReached(f"This run has trained for {minutes(row[0])}; the limit for one run on this server is "
                           f"{minutes(60 * most)}.")


def book(db: sqlite3.Connection, run_id: str) -> None:
    """Keep for an hour how long a run that has ended has trained the last time: its row goes, or is about to hold other times."""
    hour_ago = time.time() - HOUR
    db.execute("DELETE FROM trained WHERE finished <= ?", (hour_ago,))
    db.execute("INSERT INTO trained (owner, finished, seconds) SELECT owner, finished, finished - started FROM runs WHERE id = ? "
               "AND status NOT IN ('queued', 'running') AND finished > max(started, ?)", (run_id, hour_ago))


def check_size(actor: Actor, config: RunConfig, data_dir: Path, parameters: int) -> None:
    """Raises LimitReached for a network that is too large, and a training that looks at too many examples. Raises DataError."""
    limits, epochs = actor.limits, config.training.epochs
    if limits.parameters and parameters > limits.parameters:
        raise LimitReached(f"This network has {parameters:,} parameters; {limits.parameters:,} are the limit on this server. "
                           "Take fewer or narrower layers.")
    if not limits.examples:
        return
    examples = examples_of(config.data, data_dir)
    if epochs * examples > limits.examples:
        raise LimitReached(f"{plural(epochs, 'epoch')} of {examples:,} examples are {epochs * examples:,}; {limits.examples:,} "
                           "are the limit on this server. Take fewer epochs, or fewer examples.")


def examples_of(data: DataConfig, data_dir: Path) -> int:
    """How many training examples an epoch has, without those that are held back; about, where a part of each class is
    taken: as if all were equally large. Raises DataError."""
    spec = spec_for(data, data_dir)
    if spec.generate is not None:
        return round(data.fraction * (data.points + len(data.added)))
    if spec.kind == "text":
        return max(0, spec.counts[0] - data.validation)
    return training_estimate(data, spec, data_dir) * (1 + data.variations)


def minutes(seconds: float) -> str:
    """"10 minutes": whole ones, as limits are."""
    return plural(int(seconds // 60), "minute")


def most_seconds(limits: Limits) -> float | None:
    """How long a run may train; None without a limit."""
    return 60.0 * limits.run_minutes or None


def most_pause(limits: Limits) -> float | None:
    """For how long a run may be paused in all while others wait; None without a limit."""
    return 60.0 * limits.pause_minutes or None


def _waiting(db: sqlite3.Connection, whose: str = "", *key: str) -> int:
    return db.execute(f"SELECT count(*) FROM runs WHERE status = 'queued' {whose}", key).fetchone()[0]


def _seconds_since(db: sqlite3.Connection, owner: str, moment: float, now: float) -> float:
    """Of training, of what trains now and of what is gone, too."""
    return db.execute("SELECT coalesce(sum(max(0, until - max(began, ?2))), 0) FROM ("
                      "SELECT started AS began, coalesce(finished, ?1) AS until FROM runs WHERE owner = ?3 AND started IS NOT "
                      "NULL AND status <> 'queued' UNION ALL SELECT finished - seconds, finished FROM trained WHERE owner = ?3)",
                      (now, moment, owner)).fetchone()[0]
