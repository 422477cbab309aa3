"""The page Compare runs with many runs: python -m benchmarks.runs_page [--runs 1000] [--points 10000] [--reruns 20].

Makes a store of so many runs with so many points each, then asks the app for the page over Streamlit's own websocket:
milliseconds from the request to the end of the script, which is the server's share, and the bytes that come. The page is asked
for as the table alone, sorted and filtered, and with the training losses of 20 runs and of all of them below it; each of 20 are
others, so that none is kept from the time before.

Of the curves side by side the server's work on one chart is measured by itself, too: the runs, their metrics and points read
from the store, smoothed and thinned, the chart made and written as the JSON that goes to the browser. "Of the processor" is the
time that it computed, whatever else the machine did.

The large store has the same database and besides, as checkpoints, sparse files that say they have 10 GB together; what is
measured is how long RunStore takes to open it, and then to list its runs, in a process of its own whose imports are done, and
with the pages of the database in the system's cache. With 1,000 runs all of it takes about a minute on two cores.
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

from websockets.sync.client import ClientConnection

from benchmarks.conditions import conditions, in_own_process, spread
from benchmarks.page_latency import answered, app_process, computed, rerun, session
from core.figures.side_by_side import MOST_NAMED, looks, overlay_chart, pixels_for
from core.presets import PRESETS
from core.runs import Metric, RunStore
from core.runs.curves import View as CurveView
from core.runs.curves import read_curves
from core.runs.differing import by_seed, names_of
from core.runs.table import usual_columns
from core.runs.view import View, shown
from core.training import Started

FLUSHES, EPOCHS = 10, 20  # of each run
LARGE = 10**10  # bytes
CURVES = "metric=loss"
RATES, BATCHES = (0.0003, 0.001, 0.003, 0.01, 0.03), (16, 32, 64, 128)


def make_runs(store: RunStore, count: int, points: int) -> list[str]:
    """Runs that have finished, of three networks and several settings, with losses and accuracies that fall and rise."""
    names = ("mnist-mlp-50", "mnist-is-8-cnn", "fashion-mlp-512")
    steps, ids = points // 2, []
    for number in range(count):
        config = PRESETS[names[number % 3]].config.with_values({
            "training.seed": number, "training.optimizer.learning_rate": RATES[number % len(RATES)],
            "training.batch_size": BATCHES[number % len(BATCHES)], "training.epochs": EPOCHS})
        run = store.create_running(config, "benchmark", "here", f"{names[number % 3]} {number}")
        store.begin(run.id, Started(steps // EPOCHS, steps, 40_000 + 1000 * (number % 3), "cpu", "float32"))
        for flush in range(FLUSHES):
            at = range(flush * steps // FLUSHES + 1, (flush + 1) * steps // FLUSHES + 1)
            losses = [2.3 * math.exp(-step / steps * 4) + 0.2 * math.sin(step * (number + 1)) for step in at]
            metrics = [Metric("loss", step, loss) for step, loss in zip(at, losses, strict=True)]
            metrics += [Metric("accuracy", step, 1 - loss / 3) for step, loss in zip(at, losses, strict=True)]
            for epoch in range(flush * EPOCHS // FLUSHES + 1, (flush + 1) * EPOCHS // FLUSHES + 1):
                step, loss = epoch * steps // EPOCHS, 2.3 / (epoch + 1) + number % 7 / 100
                metrics += [Metric("validation_loss", step, loss), Metric("validation_accuracy", step, 1 - loss / 3)]
            store.record(run.id, metrics, step=at[-1], epoch=(flush + 1) * EPOCHS // FLUSHES, validation_accuracy=0.9)
        store.finish(run.id, "finished", "", 0.9 + number % 97 / 1000, 0.3, 12.0)
        ids.append(run.id)
    return ids


def measure_pages(folder: Path, runs: int, reruns: int) -> None:
    """The page itself, and what of it is reading, choosing and ordering."""
    store = RunStore(folder)
    reading, working = [], []
    for _ in range(reruns):
        start = time.perf_counter()
        entries = store.entries("benchmark")
        middle = time.perf_counter()
        usual_columns(shown(entries, View(sort="test_accuracy")))
        reading.append((middle - start) * 1000)
        working.append((time.perf_counter() - middle) * 1000)
    print(f"  rows read from the store   {spread(reading, 'ms', 0)}\n  filtered, sorted, columns  {spread(working, 'ms', 0)}")
    with app_process(folder) as (port, pid), session(port) as connection:
        asked = {"all runs": "", "sorted, filtered": "sort=-test_accuracy&where=training.batch_size>=32&words=mnist"}
        for said, query in asked.items():
            for _ in range(2):
                rerun(connection, "compare_runs", query)
            print(f"  the page, {said:<16} {asked_for(connection, pid, [query] * reruns)} (aim: ≤ 300 ms)")
        few = [f"selected={first}-{first + 19}&{CURVES}" for first in range(1, 20 * min(reruns, runs // 20), 20)]
        print(f"  the page, curves of 20 others each time: {asked_for(connection, pid, few)}")
        every = [f"selected=1-{runs}&{CURVES}"] * 4
        print(f"  the page, curves of all {runs:,}, at first: {asked_for(connection, pid, every[:1])} (aim: ≤ 4 MB)")
        print(f"  the page, curves of all {runs:,}, again: {asked_for(connection, pid, every[1:])}")


def asked_for(connection: ClientConnection, pid: int, queries: list[str]) -> str:
    """Ask for the page with each of these addresses: how long that takes, how much of it the server computes, on average, and
    what the last one sends."""
    before = computed(pid)
    found = [answered(connection, "compare_runs", query) for query in queries]
    each = (computed(pid) - before) / len(queries)
    return f"{spread([took for took, _ in found], 'ms', 0)}, of the processor {each:.0f} ms; {found[-1][1] / 1e6:.2f} MB"


def overlay(store: RunStore, run_ids: list[str], view: CurveView) -> tuple[float, float, int]:
    """Seconds for one chart of these runs, by the clock and of the processor, and bytes that go to the browser."""
    began, worked = time.perf_counter(), time.process_time()
    runs = store.these(run_ids)
    store.metric_names(run_ids)
    by_seed(runs)
    lines = read_curves(store, runs, view, pixels_for(len(runs)))
    named = looks(names_of(runs[:MOST_NAMED if len(runs) <= MOST_NAMED else 5]), {})
    sent = overlay_chart(view.name, view.axis, lines, named).to_json() or ""
    return time.perf_counter() - began, time.process_time() - worked, len(sent.encode())


def measure_curves(folder: Path, run_ids: list[str], repeats: int = 5) -> None:
    """Charts of 20 runs and of all of them, plain and smoothed."""
    store = RunStore(folder)
    for count in (20, len(run_ids)):
        for smoothing in (0.0, 0.9):
            found = [overlay(store, run_ids[:count], CurveView("loss", smoothing=smoothing)) for _ in range(repeats)]
            aim = 300 if count <= 20 else 1500
            print(f"  curves of {count:,} runs, smoothing {smoothing} (aim: ≤ {aim} ms, ≤ 4 MB): "
                  f"first {found[0][0] * 1000:.0f} ms, then "
                  f"{spread([seconds * 1000 for seconds, *_ in found[1:]], 'ms', 0)}; of the processor "
                  f"{spread([worked * 1000 for _, worked, _ in found[1:]], 'ms', 0)}; {found[0][2] / 1e6:.2f} MB to the browser")
    seconds, *_ = overlay(store, run_ids[:20], CurveView("loss", low=1.0, high=1.5))
    print(f"  curves of 20 runs, half an epoch of them looked at closely: {seconds * 1000:.0f} ms")
    store.close()


def measure_opening(folder: Path, ids: list[str], reruns: int) -> None:
    """Opening a store whose files are large."""
    store = RunStore(folder)
    for run_id in ids:
        store.folder(run_id).mkdir(exist_ok=True)
        with (store.folder(run_id) / "checkpoint.safetensors").open("wb") as file:
            file.truncate(LARGE // len(ids))
    store.close()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    database = (folder / "runs.sqlite3").stat().st_size
    opened, listed = zip(*(in_own_process(opening, folder) for _ in range(reruns)), strict=True)
    print(f"  a store of {size / 1e9:.1f} GB ({database / 1e6:.0f} MB of them the database, the others sparse files) opens: "
          f"{spread(opened, 'ms', 0)} (aim: ≤ 200 ms), and has then listed its runs: {spread(listed, 'ms', 0)}")


def opening(folder: Path) -> tuple[float, float]:
    """Milliseconds until it is open, and until its runs are listed, too."""
    start = time.perf_counter()
    store = RunStore(folder)
    opened = time.perf_counter() - start
    store.entries("benchmark")
    listed = time.perf_counter() - start
    store.close()
    return opened * 1000, listed * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=10_000, help="of each run")
    parser.add_argument("--reruns", type=int, default=20)
    args = parser.parse_args()
    print(conditions())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = RunStore(folder)
        start = time.perf_counter()
        ids = make_runs(store, args.runs, args.points)
        store.close()
        took, size = time.perf_counter() - start, (folder / "runs.sqlite3").stat().st_size
        print(f"{args.runs:,} runs × {args.points:,} points, {size / 1e6:.0f} MB, written in {took:.0f} s:")
        measure_pages(folder, len(ids), args.reruns)
        measure_curves(folder, ids)
        measure_opening(folder, ids, min(5, args.reruns))


if __name__ == "__main__":
    main()
