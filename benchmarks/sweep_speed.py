"""How much of a search's time is training: python -m benchmarks.sweep_speed [--trials 200] [--workers 2] [--epochs 3].

Searches a learning rate, a batch size and a network's size in so many short trials on so many training processes, with the app
open on the same runs folder: its server drives the search, and the page Search settings is asked for again and again meanwhile.
Said are the share of the training processes' time that was training, from the first trial's start to the last one's end: the
runs' own seconds, and with what comes before and after it in a run's process (reading the data, choosing threads and number
format, keeping weights); and what a rerun of the page takes beside it. Needs the development requirements and those of a search.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.conditions import conditions, spread
from benchmarks.page_latency import app_process, rerun, session
from core.presets import preset
from core.runs import RunStore
from core.runs.sweep_records import Trial
from core.sweeps import GET, SweepPlan, is_available, plan_of

SHARE, MILLISECONDS = 0.85, 100.0
SECONDS_BETWEEN = 0.5
VARY = ("training.optimizer.learning_rate=1e-4..1e-1:log", "training.batch_size=32..256:log", "model.hidden=[64]|[128]|[256]")


def plan_for(trials: int, epochs: int) -> SweepPlan:
    base = preset("digits-quick").config.with_values({
        "model": {"architecture": "mlp", "hidden": [128]}, "training.epochs": epochs, "training.threads": 1,
        "training.precision": "float32"})
    return plan_of(base, VARY, trials=trials, minutes=0, pruner="none", patience=0)


def shares(trials: list[Trial], workers: int) -> tuple[float, float, float]:
    """Of the processes' time: that was training, that a run had a process; and how long it was in seconds."""
    done = [trial for trial in trials if trial.started is not None and trial.finished is not None and not trial.tested]
    wall = max(trial.finished or 0.0 for trial in done) - min(trial.started or 0.0 for trial in done)
    training = sum(trial.seconds or 0.0 for trial in done)
    held = sum((trial.finished or 0.0) - (trial.started or 0.0) for trial in done)
    return training / wall / workers, held / wall / workers, wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    if not is_available():
        parser.exit(2, f"{GET}\n")
    print(conditions())
    with tempfile.TemporaryDirectory() as folder, app_process(Path(folder), args.workers) as (port, _), session(
            port) as connection:
        store, taken = RunStore(Path(folder)), []
        for _ in range(3):  # workers warm up, and the page reads what it reads once
            rerun(connection, "search_settings", "")
            time.sleep(2)
        sweep_id = store.create_sweep(plan_for(args.trials, args.epochs).model_dump_json(), "", "Benchmark")
        while store.sweep(sweep_id).is_active:
            taken.append(rerun(connection, "search_settings", ""))
            time.sleep(SECONDS_BETWEEN)
        sweep, trials = store.sweep(sweep_id), store.trials(sweep_id)
        store.close()
    training, held, wall = shares(trials, args.workers)
    seconds = [trial.seconds for trial in trials if trial.seconds is not None]
    print(f"{len(trials)} runs of {args.trials} trials, {args.workers} training processes, {wall:.0f} s; a run's training: "
          f"{spread(seconds, 's')}; the search {sweep.status}")
    print(f"training: {training:.1%} of the processes' time (aim: ≥ {SHARE:.0%} of it), a run in its process: {held:.1%}")
    print(f"page Search settings beside it (aim: median ≤ {MILLISECONDS:g} ms): {spread(taken, 'ms', 0)}, p95 "
          f"{statistics.quantiles(taken, n=20)[-1]:.0f} ms")


if __name__ == "__main__":
    main()
