"""The table of runs as CSV that spreadsheets open."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime

from core.runs.table import COLUMNS, Entry, Value, text_of
from core.wording import cell


def runs_csv(entries: Sequence[Entry], columns: Sequence[str]) -> bytes:
    """A row for each run, its whole id first, a column for each of `columns`, named as in COLUMNS. Numbers have all their digits,
    shares are from 0 to 1, dates in UTC. Texts that a spreadsheet would take for formulas begin with an apostrophe. UTF-8."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["run", *columns])
    for entry in entries:
        writer.writerow([entry.id, *(_cell(key, entry.values.get(key)) for key in columns)])
    return file.getvalue().encode()


def _cell(key: str, value: Value) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds") if COLUMNS[key].kind == "date" else repr(value)
    return cell(text_of(value))
