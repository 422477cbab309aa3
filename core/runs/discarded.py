"""Runs that were deleted lately: nothing lists or finds them, but all that belongs to them is still there."""

import json
import sqlite3
import time
from collections.abc import Iterable
from contextlib import suppress

from core.actors import DELETED_BY_TEACHER, Actor
from core.config import read_config
from core.fields import ConfigError
from core.runs.annotations import AMONG
from core.runs.rights import NotYours

HELD_BACK = "deleted IS NOT NULL AND deleted_by = 'teacher'"  # from anybody but a teacher


def discard(db: sqlite3.Connection, actor: Actor, run_ids: Iterable[str]) -> list[str]:
    """Those that have ended; the ids of the ones that were there."""
    rows = db.execute(
        f"UPDATE runs SET deleted = ?, deleted_by = ? WHERE {AMONG} AND deleted IS NULL AND status NOT IN ('queued', 'running') "
        "RETURNING id", (time.time(), actor.kind, json.dumps(list(run_ids)))).fetchall()
    return [row["id"] for row in rows]


def restore(db: sqlite3.Connection, actor: Actor, run_ids: Iterable[str]) -> list[str]:
    """Raises NotYours where a teacher has deleted any of them and somebody else asks."""
    ids = json.dumps(list(run_ids))
    if not actor.sees_all and db.execute(f"SELECT 1 FROM runs WHERE {AMONG} AND {HELD_BACK} LIMIT 1", (ids,)).fetchone():
        raise NotYours(DELETED_BY_TEACHER)
    rows = db.execute(f"UPDATE runs SET deleted = NULL, deleted_by = '' WHERE {AMONG} AND deleted IS NOT NULL RETURNING id",
                      (ids,)).fetchall()
    return [row["id"] for row in rows]


def held_back(db: sqlite3.Connection, actor: Actor, own: str, key: tuple[str, ...]) -> set[str]:
    """The ids of those that restore() refuses to this one. own, key: here and below, see rights.whose()."""
    if actor.sees_all:
        return set()
    return {row["id"] for row in db.execute(f"SELECT id FROM runs WHERE {HELD_BACK} {own}", key).fetchall()}


def titles_of_discarded(db: sqlite3.Connection, own: str, key: tuple[str, ...]) -> dict[str, str]:
    """By id, the one that was deleted last first."""
    rows = db.execute(f"SELECT id, title FROM runs WHERE deleted IS NOT NULL {own} ORDER BY deleted DESC, number DESC",
                      key).fetchall()
    return {row["id"]: row["title"] for row in rows}


def sets_of_discarded(db: sqlite3.Connection, own: str, key: tuple[str, ...]) -> set[str]:
    """The data sets that they name."""
    found: set[str] = set()
    for row in db.execute(f"SELECT config FROM runs WHERE deleted IS NOT NULL {own}", key).fetchall():
        with suppress(ConfigError):  # another version's settings: what they name stays
            data = read_config(row["config"]).data
            found |= {data.dataset, *data.join}
    return found


def discarded_before(db: sqlite3.Connection, moment: float, own: str, key: tuple[str, ...]) -> list[str]:
    """The ids of those that were deleted until then, in seconds since 1970; the one that was deleted first comes first."""
    rows = db.execute(f"SELECT id FROM runs WHERE deleted <= ? {own} ORDER BY deleted, number", (moment, *key)).fetchall()
    return [row["id"] for row in rows]
