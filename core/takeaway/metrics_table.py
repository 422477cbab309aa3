"""Every metric of a run as a table: CSV that spreadsheets open."""

import csv
import io

from core.runs import Run
from core.takeaway.parts import Subject
from core.wording import cell


def metrics_csv(subject: Subject) -> bytes:
    """One row for each step at which something was recorded, one column for each metric; empty where there is no value.

    Numbers have all their digits: reading them gives the same floats. UTF-8.
    """
    return table(subject.run, subject.store.metrics(subject.run.id).series).encode()


def table(run: Run, series: dict[str, tuple[list[int], list[float]]]) -> str:
    """The text of metrics_csv(), of metrics by name as (steps, values)."""
    names = sorted(series)
    rows: dict[int, dict[str, float]] = {}
    for name in names:
        for step, value in zip(*series[name], strict=True):
            rows.setdefault(step, {})[name] = value
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["step", "epoch", *map(cell, names)])
    for step in sorted(rows):
        epoch = repr(step / run.steps_per_epoch) if run.steps_per_epoch else ""
        writer.writerow([step, epoch, *(repr(rows[step][name]) if name in rows[step] else "" for name in names)])
    return file.getvalue()
