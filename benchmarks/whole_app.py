"""Training speed through the whole app beside bare fit(): python -m benchmarks.whole_app [--rounds 4].

The same run in turn: fit() alone in a process of its own, as a worker is (nice 10, the same threads), and submitted to the
engine, whose worker writes metrics, answers and checkpoints while it trains. Compared is images/s of the epochs after the first
by the clock, validation and bookkeeping included. Needs MNIST.
"""

import argparse
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.conditions import conditions, spread
from core.presets import PRESETS
from core.runs import ACTIVE, LocalEngine, RunStore
from core.settings import Settings

EPOCHS = {"mnist-mlp-50": 60, "mnist-cnn-fast": 4}
AIM = 0.97
SECONDS_PER_LOOK = 0.05

BARE = """
from core.process import configure
configure("training")
import os, sys, time
from benchmarks.conditions import threads_in_the_app
from core.devices import select_device
from core.presets import PRESETS
from core.settings import Settings
from core.training import Epoch, choose, fit, prepare
os.nice(10)
settings = Settings.from_environment()
config = PRESETS[sys.argv[1]].config.with_values({"training.epochs": int(sys.argv[2])})
data, model = prepare(config, settings.data_dir, settings.cache_dir)
config = choose(config, data, model, select_device(), settings.cache_dir).put_into(config)
events = fit(config, data, model, select_device(), threads=threads_in_the_app(model, select_device()))
ends = [time.perf_counter() for event in events if isinstance(event, Epoch)]
print(len(data.train) * (len(ends) - 1) / (ends[-1] - ends[0]))
"""


def bare(name: str, epochs: int) -> float:
    """Images/s of fit() alone."""
    # a session of its own, as a worker is: Linux shares the processor out between sessions, and on a busy machine a process
    # beside the benchmark's own got two and a half times as much of it
    ran = subprocess.run([sys.executable, "-c", BARE, name, str(epochs)], capture_output=True, text=True, check=True,
                         start_new_session=True)
    return float(ran.stdout)


def through_app(name: str, epochs: int, store: RunStore, engine: LocalEngine) -> float:
    """Images/s of a run in the engine's worker, by when its epochs were written down."""
    config = PRESETS[name].config.with_values({"training.epochs": epochs})
    run_id = engine.submit(config, "benchmark")
    seen: dict[int, float] = {}  # epoch → when it was seen to be done
    # store.get() 20 times a second took 2 % of a core, and a network that computes on all cores waits for the slowest
    looks = sqlite3.connect(store.path / "runs.sqlite3")
    status = "queued"
    while status in ACTIVE:
        status, epoch = looks.execute("SELECT status, epoch FROM runs WHERE id = ?", (run_id,)).fetchone()
        if epoch:
            seen.setdefault(epoch, time.perf_counter())
        time.sleep(SECONDS_PER_LOOK)
    looks.close()
    first, last = min(seen), max(seen)
    return 55_000 * (last - first) / (seen[last] - seen[first])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    args = parser.parse_args()
    print(conditions())
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(Settings.from_environment(), runs_dir=Path(folder), workers=1)
        store = RunStore(settings.runs_dir)
        engine = LocalEngine(store, settings)
        try:
            for name, epochs in EPOCHS.items():
                alone, whole = [], []
                through_app(name, 2, store, engine)  # the worker is warm afterwards
                for _ in range(args.rounds):
                    alone.append(bare(name, epochs))
                    whole.append(through_app(name, epochs, store, engine))
                ratio = statistics.median(whole) / statistics.median(alone)
                print(f"\n{name}, {epochs} epochs\n  fit() alone  {spread(alone, 'images/s', 0)}\n  the app      "
                      f"{spread(whole, 'images/s', 0)}\n  ratio {ratio:.2f} (aim {AIM})")
        finally:
            engine.close()


if __name__ == "__main__":
    main()
