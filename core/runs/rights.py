"""What whoever asks may do with runs: looked up in the same transaction as what they ask for."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from core.actors import CLASS, NOT_YOUR_CLASS, NOT_YOUR_DATA, NOT_YOURS, ONLY_THE_SERVER, Actor
from core.config import DataConfig
from core.data.sources import owners_of
from core.runs.annotations import AMONG
from core.runs.database import StoreError


class NotYours(StoreError):
    """What was asked for is nobody's but its owner's to do; the message is one line."""

    def __init__(self, line: str = NOT_YOURS) -> None:
        super().__init__(line)


def check_owner(actor: Actor, owner: str) -> None:
    """Raises NotYours where somebody would make a run in another's name."""
    if not actor.is_local and owner != actor.key:
        raise NotYours


def check_data(actor: Actor, data: DataConfig, data_dir: Path) -> None:
    """Raises NotYours for settings that would train on what somebody else has brought or drawn."""
    others = [owner for owner in owners_of(data, data_dir) if not actor.may_use(owner)]
    if others:
        raise NotYours(NOT_YOUR_CLASS if all(owner.startswith(CLASS) for owner in others) else NOT_YOUR_DATA)


def check_change(db: sqlite3.Connection, actor: Actor, run_ids: Iterable[str]) -> None:
    """Raises NotYours where any of these runs is somebody else's; runs that are gone are nobody's."""
    if actor.sees_all:
        return
    rows = db.execute(f"SELECT DISTINCT owner FROM runs WHERE {AMONG}", (json.dumps(list(run_ids)),)).fetchall()
    if not all(actor.may_change(row[0]) for row in rows):
        raise NotYours


def check_server(actor: Actor) -> None:
    """Raises NotYours for what only the server and its training processes do."""
    if not actor.is_local:
        raise NotYours(ONLY_THE_SERVER)


def whose(actor: Actor) -> tuple[str, tuple[str, ...]]:
    """What is added to a condition on runs, and its value, so that only those are found that lists show to them."""
    return ("", ()) if actor.sees_all else (" AND runs.owner = ?", (actor.key,))
