"""What the app holds in memory: python -m benchmarks.memory [--sessions 10] [--reruns 100] [--runs 10] [--once].

Starts the app twice on a runs directory and a cache of its own: with the cache empty, and again with what the first time left
there. Each time: a fresh server, every page visited once, mnist-cnn-fast and mnist-mlp-50 trained to their ends and watched on
Train model, and every page once more on a finished run. Then, to see whether it grows: reruns of one page, more sessions that
visit every page, more runs of digits-quick.

For server and worker, at each stage: RSS, what the kernel counts as resident now, pages of libraries and data that processes
share counted in each of them; PSS, those shared out between the processes that map them; and the most RSS has been since the
stage before. Aim: RSS ≤ 450 MB each. Needs MNIST (PLAYGROUND_DATA), Linux, and the development requirements.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from benchmarks.conditions import conditions
from benchmarks.page_latency import app_process, children, rerun, session
from core.presets import PRESETS
from core.runs import RunStore
from core.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = ["", *sorted(path.stem for path in (ROOT / "pages").glob("[!_]*.py"))]
TRAINED = ("mnist-cnn-fast", "mnist-mlp-50")
AIM = 450  # MB


@dataclass(frozen=True)
class Held:
    """One process's memory in MB."""

    rss: float
    pss: float
    peak: float


def held(pid: int) -> Held:
    """What a process holds now, and the most it has held since this was last asked of it."""
    rollup = _kilobytes(Path(f"/proc/{pid}/smaps_rollup"))
    status = _kilobytes(Path(f"/proc/{pid}/status"))
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="utf-8")  # the peak begins anew
    return Held(rollup["Rss"] / 1000, rollup["Pss"] / 1000, status["VmHWM"] / 1000)


def _kilobytes(path: Path) -> dict[str, float]:
    """The lines "Name:  123 kB" of a file below /proc, a kB being 1,024 bytes; in thousands of bytes."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return {parts[0].rstrip(":"): int(parts[1]) * 1.024 for parts in lines if len(parts) == 3 and parts[2] == "kB"}


class Table:
    """Prints a line for each stage, and remembers the worst."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.worst = {"server": 0.0, "worker": 0.0}
        print(f"  {'MB':<44}{'server RSS':>11}{'PSS':>6}{'peak':>6}{'worker RSS':>13}{'PSS':>6}{'peak':>6}")

    def line(self, stage: str) -> None:
        server, *workers = (held(pid) for pid in (self.pid, *children(self.pid)))
        text = f"  {stage:<44}{server.rss:>11.0f}{server.pss:>6.0f}{server.peak:>6.0f}"
        self.worst["server"] = max(self.worst["server"], server.rss)
        for worker in workers:
            text += f"{worker.rss:>13.0f}{worker.pss:>6.0f}{worker.peak:>6.0f}"
            self.worst["worker"] = max(self.worst["worker"], worker.rss)
        print(text, flush=True)


def train(name: str, store: RunStore, port: int) -> str:
    """Train a preset to its end, watched on Train model once a second; its id. Raises RuntimeError where it does not finish."""
    run_id = store.create(PRESETS[name].config, "benchmark", name)
    with session(port) as connection:
        while store.get(run_id).is_active:
            rerun(connection, "train_model", f"run={run_id}")
            time.sleep(1)
        rerun(connection, "train_model", f"run={run_id}")
    if store.get(run_id).status != "finished":
        raise RuntimeError(store.get(run_id).message)
    return run_id


def visit(port: int, run_id: str = "") -> None:
    """A session that opens every page once."""
    with session(port) as connection:
        for page in PAGES:
            rerun(connection, page, f"run={run_id}" if run_id else "")


def stages(table: Table, store: RunStore, port: int) -> str:
    """What a first visitor does; the id of a finished run."""
    with session(port) as connection:
        rerun(connection, "", "")
    time.sleep(8)  # the worker warms up
    table.line("Home opened")
    for page in PAGES[1:]:
        with session(port) as connection:
            rerun(connection, page, "")
        table.line(f"{page} opened")
    for name in TRAINED:
        run_id = train(name, store, port)
        table.line(f"{name} trained and watched")
    for page in PAGES:
        with session(port) as connection:
            rerun(connection, page, f"run={run_id}")
        table.line(f"{page or 'Home'} on that run")
    return run_id


def growth(table: Table, store: RunStore, port: int, run_id: str, args: argparse.Namespace) -> None:
    """The same again and again."""
    with session(port) as connection:
        for _ in range(args.reruns):
            rerun(connection, "train_model", f"run={run_id}")
    table.line(f"{args.reruns} reruns of Train model")
    for _ in range(args.sessions):
        visit(port, run_id)
    table.line(f"{args.sessions} sessions through every page")
    for _ in range(args.runs):
        train("digits-quick", store, port)
    table.line(f"{args.runs} more runs, of digits-quick")
    for name in TRAINED:
        train(name, store, port)
    table.line(f"{' and '.join(TRAINED)} again")


@contextmanager
def started(runs: Path, cache: Path) -> Iterator[tuple[int, Table]]:
    with patch.dict(os.environ, {"PLAYGROUND_CACHE": str(cache)}), app_process(runs) as (port, pid):
        table = Table(pid)
        yield port, table
        print("  most RSS at any stage (aim ≤ {} MB each): server {:.0f} MB, worker {:.0f} MB".format(AIM, *table.worst.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reruns", type=int, default=100)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--once", action="store_true", help="with an empty cache only")
    args = parser.parse_args()
    print(conditions())
    if not (Settings.from_environment().data_dir / "MNIST").exists():
        raise SystemExit("MNIST is needed: set PLAYGROUND_DATA to the folder that holds it.")
    with tempfile.TemporaryDirectory() as cache:
        for what in ("empty",) if args.once else ("empty", "warm"):
            print(f"\ncache {what}")
            with tempfile.TemporaryDirectory() as runs, started(Path(runs), Path(cache)) as (port, table):
                store = RunStore(Path(runs))
                run_id = stages(table, store, port)
                growth(table, store, port, run_id, args)


if __name__ == "__main__":
    main()
