"""The part of RunStore that is what runs have recorded: metrics, snapshots, looks and changes by hand."""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from core.runs.epoch_results import note_results, recount_results
from core.runs.interventions import forget_interventions, insert_interventions, read_interventions
from core.runs.looks import WATCHED, insert_looks, read_looks, read_watched
from core.runs.metric_blobs import forget_points, insert_metrics, points_of_many, read_points
from core.runs.records import Metric, Metrics, Run, Snapshot
from core.runs.rights import check_change, check_server, whose
from core.runs.store_base import StoreBase, in_parts
from core.training import Intervention, Look

AT_ONCE = 64  # runs whose curves are in memory together while many are read


class HistoryStore(StoreBase):
    """What trainings write, and whoever looks at them reads."""

    # --- what a training writes

    def record(self, run_id: str, metrics: Sequence[Metric], snapshots: Sequence[Snapshot] = (), looks: Sequence[Look] = (),
               interventions: Sequence[Intervention] = (), patience: float | None = None, **progress: Any) -> bool:
        """Keep a batch of metrics, snapshots, looks, changes by hand and progress (step, epoch, validation_accuracy) together; a
        metric at the same step, a snapshot of the same name, a look of the same kind and step and a change by hand of the same
        number are replaced. Returns False, and keeps nothing, where the run is no longer this worker's to write (stopped or
        failed).

        patience: instead of the store's. Raises StoreBusy after that; nothing is kept then, and the same may be handed over
        again."""
        columns = {name: progress[name] for name in ("step", "epoch", "validation_accuracy") if name in progress}
        sets = "".join(f", {name} = ?" for name in columns)
        with self._database.writing(patience) as db:
            check_change(db, self.actor, [run_id])
            row = db.execute(f"UPDATE runs SET heartbeat = ?{sets} WHERE id = ? AND status = 'running' RETURNING number",
                             (time.time(), *columns.values(), run_id)).fetchone()
            if row is None:
                return False
            note_results(db, row["number"], insert_metrics(db, row["number"], metrics))
            db.executemany("INSERT OR REPLACE INTO snapshots (run, name, step, value) VALUES (?, ?, ?, ?)",
                           [(row["number"], s.name, s.step, json.dumps(s.value)) for s in snapshots])
            if looks:
                insert_looks(db, row["number"], looks)
            if interventions:
                insert_interventions(db, row["number"], interventions)
        return True

    def keep_snapshot(self, run_id: str, snapshot: Snapshot) -> None:
        """Keep one of a run that may have ended; nothing for an unknown run."""
        check_server(self.actor)
        with self._database.writing() as db:
            db.execute("INSERT OR REPLACE INTO snapshots (run, name, step, value) SELECT number, ?, ?, ? FROM runs WHERE id = ?",
                       (snapshot.name, snapshot.step, json.dumps(snapshot.value), run_id))

    def forget_after(self, run_id: str, step: int, interventions: int) -> None:
        """Drop what a run recorded after the checkpoint it now goes on from: metrics, snapshots and looks beyond a step, and
        changes by hand beyond so many; between the same two steps there may be some before it and some after."""
        check_server(self.actor)
        with self._database.writing() as db:
            for (number,) in db.execute("SELECT number FROM runs WHERE id = ?", (run_id,)).fetchall():
                forget_points(db, number, step)
                recount_results(db, number)
                db.execute("DELETE FROM snapshots WHERE step > ? AND run = ?", (step, number))
                db.execute("DELETE FROM looks WHERE step > ? AND run = ?", (step, number))
                forget_interventions(db, number, interventions)

    # --- metrics

    def metrics(self, run_id: str, after: int = 0, names: Sequence[str] = ()) -> Metrics:
        """What was recorded since `after` (a Metrics.seq; 0 for all), steps ascending. Empty for an unknown run.

        names: only these metrics; all if empty.
        """
        only = f"AND name IN ({', '.join('?' * len(names))})" if names else ""
        with self._database.reading() as db:
            rows = db.execute("SELECT seq, name, steps, points FROM metrics WHERE run = (SELECT number FROM runs WHERE id = ?) "
                              f"AND seq > ? {only} ORDER BY seq", (run_id, after, *names)).fetchall()
        named: dict[str, list[sqlite3.Row]] = {}
        for row in rows:
            named.setdefault(row["name"], []).append(row)
        return Metrics(rows[-1]["seq"] if rows else after, {name: read_points(its_rows) for name, its_rows in named.items()})

    def metric_names(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Which metrics these runs have, and how many of the runs have each; in alphabetical order."""
        counts: dict[str, int] = {}
        with self._database.reading() as db:
            for some in in_parts(list(run_ids), 500):
                rows = db.execute("SELECT name, count(DISTINCT run) FROM metrics WHERE run IN (SELECT number FROM runs WHERE id "
                                  f"IN ({', '.join('?' * len(some))})) GROUP BY name", some).fetchall()
                for name, count in map(tuple, rows):
                    counts[name] = counts.get(name, 0) + count
        return dict(sorted(counts.items()))

    def points(self, runs: Sequence[Run], name: str, low: float = 0, high: float = float("inf"),
               ) -> Iterator[tuple[Run, np.ndarray, np.ndarray]]:
        """One metric of many runs, a run at a time: its steps (N,) int64 and values (N,) float64, steps ascending. Some points
        beyond low and high may be there too. Runs without it are left out."""
        for some in in_parts(list(runs), AT_ONCE):
            with self._database.reading() as db:
                found = points_of_many(db, [run.number for run in some], name, low, high)
            for run in some:
                if run.number in found:
                    yield run, *found[run.number]

    def snapshots(self, run_id: str) -> dict[str, Snapshot]:
        """The newest snapshot of each name. Empty for an unknown run."""
        with self._database.reading() as db:
            rows = db.execute("SELECT name, step, value FROM snapshots WHERE run = (SELECT number FROM runs WHERE id = ?)",
                              (run_id,)).fetchall()
        return {row["name"]: Snapshot(row["name"], row["step"], json.loads(row["value"])) for row in rows}

    # --- looks, and changes by hand

    def looks(self, run_id: str, kind: str, after: int = -1, most: int = -1) -> list[Look]:
        """The history of a watcher's looks at a run, in the order of their steps, from the first later than `after` on, and not
        more than `most` (-1: all of them). Empty for an unknown run.

        They are thinned as they become many, but not the first ones, and the last look replaces one at the same step where a
        run ends with other weights than its last ones: whoever asks with `after` while it goes asks for all in the end.
        """
        with self._database.reading() as db:
            return read_looks(db, run_id, kind, after, most)

    def look_times(self, run_id: str, kind: str) -> dict[int, float]:
        """Of which steps there are looks, ascending, and after how many seconds of training each was taken."""
        with self._database.reading() as db:
            rows = db.execute("SELECT step, seconds FROM looks WHERE run = (SELECT number FROM runs WHERE id = ?) AND kind = ? "
                              "ORDER BY step", (run_id, kind)).fetchall()
        return {row["step"]: row["seconds"] for row in rows}

    def seconds_watched(self, run_id: str) -> float:
        """How long a run had trained at its last look; 0 where there is none."""
        with self._database.reading() as db:
            row = db.execute("SELECT max(seconds) FROM looks WHERE run = (SELECT number FROM runs WHERE id = ?)",
                             (run_id,)).fetchone()
        return row[0] or 0.0

    def watched(self, run_id: str) -> Tensor | None:
        """The images that a run is watched with, (W, C, H, W) float32 in [0, 1]; None where there are none, or they are damaged.
        Raises RunNotFound for what is no id."""
        return read_watched(self.folder(run_id) / WATCHED)

    def interventions(self, run_id: str) -> list[Intervention]:
        """What was changed by hand while a run trained, in its order. Empty for an unknown run."""
        with self._database.reading() as db:
            return read_interventions(db, run_id)

    def changed_by_hand(self) -> dict[str, int]:
        """How many changes by hand each run has had, by its id; those without are left out."""
        own, key = whose(self.actor)
        with self._database.reading() as db:
            rows = db.execute("SELECT id, count(*) FROM interventions JOIN runs ON runs.number = interventions.run WHERE 1 "
                              f"{own} GROUP BY runs.number", key).fetchall()
        return dict(map(tuple, rows))
