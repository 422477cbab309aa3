"""Rows of the table of runs as Run, whatever version wrote them."""

import sqlite3
from collections.abc import Iterable
from contextlib import suppress

from core.config import read_config
from core.fields import ConfigError
from core.runs.annotations import read_tags
from core.runs.database import StoreError
from core.runs.records import Run
from core.version import VERSION, another_version


class RunUnreadable(StoreError):
    """A run whose settings this version can't read; the message is one line."""


def read_run(row: sqlite3.Row) -> Run:
    """Raises RunUnreadable."""
    values = {name: row[name] for name in Run.__dataclass_fields__} | {
        "tags": read_tags(row["tags"]), "starred": bool(row["starred"])}
    try:
        values["config"] = read_config(row["config"])
    except ConfigError as error:
        whose = "can't be read" if row["version"] == VERSION else f"was written by {another_version(row['version'])}"
        raise RunUnreadable(f"Run {row['id']} {whose}: {error}") from None
    return Run(**values)


def readable(rows: Iterable[sqlite3.Row]) -> list[Run]:
    """Those that can be read."""
    found = []
    for row in rows:
        with suppress(RunUnreadable):
            found.append(read_run(row))
    return found
