"""The page Compare runs on a large store: python -m benchmarks.runs_page [--runs 1000] [--points 10000].

What the server does for the curves of one metric side by side: the runs, their metrics and points read from the store,
smoothed and thinned, the chart made and written as the JSON that goes to the browser. Files in the system's cache, as after the
first look; the first of all is given too.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.conditions import conditions, spread
from core.config import RunConfig
from core.figures.side_by_side import MOST_NAMED, looks, overlay_chart, pixels_for
from core.runs import Metric, RunStore
from core.runs.curves import View, read_curves
from core.runs.differing import by_seed, names_of
from core.training import Started

FLUSH = 250  # points that a training process hands over at once
PER_EPOCH = 500


def made_store(folder: Path, runs: int, points: int) -> RunStore:
    """A store of finished runs with a loss at each of `points` steps, and validation figures for each epoch."""
    store, draw = RunStore(folder), np.random.default_rng(0)
    for number in range(runs):
        config = RunConfig().with_values({"training.optimizer.learning_rate": 1e-4 * (1 + number % 50), "training.seed": number})
        run = store.create_running(config, "benchmark", "here", f"Run {number}")
        store.begin(run.id, Started(PER_EPOCH, points, 39_760, "cpu", "float32"))
        loss = np.exp(-np.arange(points) / points * 3) + 0.1 * draw.random(points)
        for start in range(0, points, FLUSH):
            metrics = [Metric("loss", start + step + 1, float(value)) for step, value in enumerate(loss[start:start + FLUSH])]
            end = start + len(metrics)
            if end % PER_EPOCH == 0:
                metrics += [Metric("validation_loss", end, float(loss[end - 1])), Metric("validation_accuracy", end, 0.9),
                            Metric("seconds", end, 1.0)]
            store.record(run.id, metrics, step=end, epoch=end // PER_EPOCH, validation_accuracy=0.9)
        store.finish(run.id, "finished", "", 0.9, 0.3, points / PER_EPOCH)
    return store


def overlay(store: RunStore, run_ids: list[str], view: View) -> tuple[float, float, int]:
    """Seconds for one chart of these runs, by the clock and of the processor, and bytes that go to the browser."""
    began, worked = time.perf_counter(), time.process_time()
    runs = store.these(run_ids)
    store.metric_names(run_ids)
    by_seed(runs)
    lines = read_curves(store, runs, view, pixels_for(len(runs)))
    named = looks(names_of(runs[:MOST_NAMED if len(runs) <= MOST_NAMED else 5]), {})
    sent = overlay_chart(view.name, view.axis, lines, named).to_json() or ""
    return time.perf_counter() - began, time.process_time() - worked, len(sent.encode())


def report_overlays(store: RunStore, run_ids: list[str], repeats: int = 5) -> None:
    """Charts of 20 runs and of all of them, plain and smoothed."""
    for count in (20, len(run_ids)):
        for smoothing in (0.0, 0.9):
            found = [overlay(store, run_ids[:count], View("loss", smoothing=smoothing)) for _ in range(repeats)]
            print(f"curves of {count:,} runs, smoothing {smoothing}: first {found[0][0] * 1000:.0f} ms, then "
                  f"{spread([seconds * 1000 for seconds, *_ in found[1:]], 'ms', 0)}; of the processor "
                  f"{spread([worked * 1000 for _, worked, _ in found[1:]], 'ms', 0)}; {found[0][2] / 1e6:.2f} MB to the browser")
    seconds, *_ = overlay(store, run_ids[:20], View("loss", low=1.0, high=1.5))
    print(f"curves of 20 runs, half an epoch of them looked at closely: {seconds * 1000:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=10_000)
    given = parser.parse_args()
    print(conditions())
    with tempfile.TemporaryDirectory() as folder:
        store = made_store(Path(folder), given.runs, given.points)
        size = (Path(folder) / "runs.sqlite3").stat().st_size
        print(f"{given.runs:,} runs × {given.points:,} points, {size / 1e6:.0f} MB")
        report_overlays(store, [run.id for run in store.runs(limit=given.runs)])
        store.close()


if __name__ == "__main__":
    main()
