"""The store's four busiest statements in PostgreSQL beside SQLite: python -m benchmarks.postgres_store [--runs 100].

A measurement of what a store for several servers would cost, and no store: the app keeps its runs in SQLite. Starts a throw-away
PostgreSQL of this machine (Debian: apt-get install postgresql; pip install "psycopg[binary]"), makes the tables that these
statements need, and does with both in turn: create so many runs; claim them by four workers at once (SQLite in its write
transaction, PostgreSQL by FOR UPDATE SKIP LOCKED); record 20 batches of 64 points of two metrics for each; read all of a run's
points. Each of SQLite's is the real RunStore, with all that it checks besides, whose commits reach the disk a little later;
PostgreSQL's are the bare statements over a Unix socket, each on the disk when it returns. Prints milliseconds for one of each.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np

from benchmarks.conditions import conditions, spread
from core.presets import PRESETS
from core.runs import Metric, RunStore

WORKERS, BATCHES, POINTS = 4, 20, 64
CONFIG = PRESETS["digits-quick"].config
SCHEMA = """
CREATE TABLE runs (number BIGSERIAL PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, title TEXT NOT NULL,
    config JSONB NOT NULL, status TEXT NOT NULL, worker TEXT, created DOUBLE PRECISION NOT NULL, started DOUBLE PRECISION,
    heartbeat DOUBLE PRECISION, step INTEGER NOT NULL DEFAULT 0, moved INTEGER NOT NULL DEFAULT 0);
CREATE INDEX runs_waiting ON runs(moved DESC, number) WHERE status = 'queued';
CREATE TABLE metrics (seq BIGSERIAL PRIMARY KEY, run BIGINT NOT NULL REFERENCES runs(number) ON DELETE CASCADE,
    name TEXT NOT NULL, first_step INTEGER NOT NULL, last_step INTEGER NOT NULL, steps BYTEA NOT NULL, points BYTEA NOT NULL);
CREATE INDEX metrics_run ON metrics(run);
"""
CLAIM = """
UPDATE runs SET status = 'running', worker = %s, started = %s, heartbeat = %s WHERE number = (
    SELECT number FROM runs WHERE status = 'queued' ORDER BY moved DESC, number LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id
"""


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def by_workers(claim: Callable[[int], float | None]) -> list[float]:
    """Milliseconds of every claim of several workers at once, until nothing waits."""
    def one(worker: int) -> list[float]:
        found = []
        while (took := claim(worker)) is not None:
            found.append(took)
        return found

    with ThreadPoolExecutor(WORKERS) as pool:
        return [took for each in pool.map(one, range(WORKERS)) for took in each]


def sqlite(folder: Path, runs: int) -> dict[str, list[float]]:
    stores = [RunStore(folder) for _ in range(WORKERS)]
    store, ids = stores[0], list[str]()
    took = {"create": [timed(lambda: ids.append(store.create(CONFIG, "owner"))) for _ in range(runs)]}

    def claim(worker: int) -> float | None:
        began = time.perf_counter()
        found = stores[worker].claim(f"worker {worker}")
        return None if found is None else 1000 * (time.perf_counter() - began)

    took["claim, 4 at once"] = by_workers(claim)
    took["record"] = [timed(partial(store.record, run_id, batch(place), step=POINTS * (place + 1)))
                      for place in range(BATCHES) for run_id in ids]
    took["read a run"] = [timed(partial(store.metrics, run_id)) for run_id in ids]
    assert all(len(store.metrics(run_id).series["loss"][0]) == BATCHES * POINTS for run_id in ids)
    for one in stores:
        one.close()
    return took


def batch(place: int) -> list[Metric]:
    steps = range(POINTS * place + 1, POINTS * (place + 1) + 1)
    return [Metric(name, step, 1 / step) for step in steps for name in ("loss", "accuracy")]


def postgres(address: str, runs: int) -> dict[str, list[float]]:
    import psycopg  # of no use but here

    connections = [psycopg.connect(address, autocommit=True) for _ in range(WORKERS)]
    db, ids, text = connections[0], list[str](), CONFIG.model_dump_json()
    db.execute(SCHEMA)

    def create() -> None:
        ids.append(uuid4().hex)
        db.execute("INSERT INTO runs (id, owner, title, config, status, created) VALUES (%s, 'owner', '', %s, 'queued', %s)",
                   (ids[-1], text, time.time()))

    def claim(worker: int) -> float | None:
        began, now = time.perf_counter(), time.time()
        found = connections[worker].execute(CLAIM, (f"worker {worker}", now, now)).fetchone()
        return None if found is None else 1000 * (time.perf_counter() - began)

    def record(run_id: str, place: int) -> None:
        steps = np.arange(POINTS * place + 1, POINTS * (place + 1) + 1, dtype=np.uint32)
        with db.transaction():
            number, = db.execute("UPDATE runs SET heartbeat = %s, step = %s WHERE id = %s AND status = 'running' "
                                 "RETURNING number", (time.time(), int(steps[-1]), run_id)).fetchone() or (0,)
            for name in ("loss", "accuracy"):
                db.execute("INSERT INTO metrics (run, name, first_step, last_step, steps, points) "
                           "VALUES (%s, %s, %s, %s, %s, %s)",
                           (number, name, int(steps[0]), int(steps[-1]), steps.tobytes(), (1 / steps).tobytes()))

    def read(run_id: str) -> int:
        rows = db.execute("SELECT name, steps, points FROM metrics WHERE run = (SELECT number FROM runs WHERE id = %s) "
                          "ORDER BY seq", (run_id,)).fetchall()
        return sum(len(np.frombuffer(points)) for name, _, points in rows if name == "loss")

    took = {"create": [timed(create) for _ in range(runs)], "claim, 4 at once": by_workers(claim)}
    assert len(took["claim, 4 at once"]) == runs, "none was claimed twice, none was left"
    took["record"] = [timed(partial(record, run_id, place)) for place in range(BATCHES) for run_id in ids]
    took["read a run"] = [timed(partial(read, run_id)) for run_id in ids]
    assert all(read(run_id) == BATCHES * POINTS for run_id in ids)
    for one in connections:
        one.close()
    return took


@contextmanager
def throw_away() -> Iterator[str]:
    """A PostgreSQL of its own in a folder of its own, listening on a socket there alone: where it is."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        raise SystemExit('No PostgreSQL is here: apt-get install postgresql; pip install "psycopg[binary]"')
    # it refuses to run as root; Debian's package brings a user for it
    who = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="throw-away-postgres-"))
    if who:
        shutil.chown(folder, "postgres")
    data, control = folder / "data", str(binaries[-1] / "pg_ctl")
    try:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True, "cwd": folder}
        subprocess.run([*who, str(binaries[-1] / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust"], **quiet)
        options = f"-k {folder} -c listen_addresses=''"
        subprocess.run([*who, control, "-D", str(data), "-w", "-o", options, "-l", str(folder / "log"), "start"], **quiet)
        try:
            yield f"host={folder} user=bench dbname=postgres"
        finally:
            subprocess.run([*who, control, "-D", str(data), "-m", "fast", "stop"], **quiet)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(conditions())
    found: dict[str, dict[str, list[float]]] = {"SQLite": {}, "PostgreSQL": {}}
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory() as folder, throw_away() as address:
            for name, took in (("SQLite", sqlite(Path(folder), asked.runs)), ("PostgreSQL", postgres(address, asked.runs))):
                for what, values in took.items():
                    found[name].setdefault(what, []).extend(values)
    for what in found["SQLite"]:
        for name, of_store in found.items():
            print(f"{what:18} {name:11} {spread(of_store[what], 'ms')}")


if __name__ == "__main__":
    main()
