"""Training speed through the whole app beside bare fit(): python -m benchmarks.whole_app [--rounds 4].

The same run in turn: fit() alone in a process of its own, as a worker is (nice 10, the same threads), and submitted to the
engine, whose worker writes metrics, answers and checkpoints while it trains. Compared is images/s of the epochs after the first
by the clock, validation and bookkeeping included. Needs MNIST.
"""

import argparse
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from benchmarks.conditions import (
    add_busy,
    beside,
    conditions,
    in_words,
    keeping_busy,
    offered_in_the_app,
    spread,
    steps_with,
)
from core.data import spec_of
from core.devices import usable_cores
from core.presets import PRESETS
from core.runs import ACTIVE, LocalEngine, RunStore
from core.settings import Settings
from core.training import candidates

EPOCHS = {"mnist-mlp-50": 60, "mnist-cnn-fast": 4}
AIM = 0.97
SECONDS_PER_LOOK = 0.05

BARE = """
from core.process import configure
configure("training")
import json, os, sys, time
from benchmarks.conditions import steps_with, threads_in_the_app
from core.devices import select_device
from core.presets import PRESETS
from core.settings import Settings
from core.training import Epoch, Threads, choose, fit, prepare
os.nice(10)
settings = Settings.from_environment()
config = PRESETS[sys.argv[1]].config.with_values({"training.epochs": int(sys.argv[2])})
data, model = prepare(config, settings.data_dir, settings.cache_dir)
config = choose(config, data, model, select_device(), settings.cache_dir).put_into(config)
events = fit(config, data, model, select_device(), threads=threads_in_the_app(model, select_device()))
ends, changes = [], []
for event in events:
    if isinstance(event, Epoch):
        ends.append(time.perf_counter())
        last = event.step
    elif isinstance(event, Threads):
        changes.append((event.step, event.threads))
print(json.dumps([len(data.train) * (len(ends) - 1) / (ends[-1] - ends[0]), list(steps_with(changes, last).items())]))
"""


def bare(name: str, epochs: int) -> tuple[float, Counter[int]]:
    """Images/s of fit() alone, and how many steps it took with each number of threads."""
    # a session of its own, as a worker is: Linux shares the processor out between sessions, and on a busy machine a process
    # beside the benchmark's own got two and a half times as much of it
    ran = subprocess.run([sys.executable, "-c", BARE, name, str(epochs)], capture_output=True, text=True, check=True,
                         start_new_session=True)
    speed, steps = json.loads(ran.stdout)
    return speed, Counter(dict(steps))


def through_app(name: str, epochs: int, store: RunStore, engine: LocalEngine) -> tuple[float, Counter[int]]:
    """Images/s of a run in the engine's worker, by when its epochs were written down; its steps with each number of threads."""
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
    numbers = store.metrics(run_id, names=("threads",)).series["threads"]
    steps = steps_with([(step, int(number)) for step, number in zip(*numbers, strict=True)], store.get(run_id).step)
    return 55_000 * (last - first) / (seen[last] - seen[first]), steps


def compare(name: str, epochs: int, rounds: int, store: RunStore, engine: LocalEngine) -> None:
    """One preset by both, in turn, and what came out."""
    through_app(name, 2, store, engine)  # the worker is warm afterwards
    found: dict[str, list[float]] = {"fit() alone": [], "the app": []}
    steps: dict[str, Counter[int]] = {way: Counter() for way in found}
    for _ in range(rounds):
        for way, (speed, taken) in (("fit() alone", bare(name, epochs)), ("the app", through_app(name, epochs, store, engine))):
            found[way].append(speed)
            steps[way] += taken
    alone, whole = (statistics.median(speeds) for speeds in found.values())
    print(f"\n{name}, {epochs} epochs")
    for way, speeds in found.items():
        print(f"  {way:<12} {spread(speeds, 'images/s', 0)}; {in_words(offered_in_the_app(PRESETS[name].config), steps[way])}")
    print(f"  ratio {whole / alone:.2f} (aim {AIM})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--presets", nargs="+", choices=list(EPOCHS), default=list(EPOCHS))
    parser.add_argument("--epochs", type=int, default=0, help=f"at least 3; {', '.join(map(str, EPOCHS.values()))} if not given")
    add_busy(parser)
    args = parser.parse_args()
    print(conditions(candidates(usable_cores())))
    print(beside(args.busy, args.busy_tab))
    with tempfile.TemporaryDirectory() as folder, keeping_busy(args.busy, args.busy_tab):
        settings = replace(Settings.from_environment(), runs_dir=Path(folder), workers=1)
        store = RunStore(settings.runs_dir)
        engine = LocalEngine(store, settings)
        try:
            for name in args.presets:
                if spec_of(PRESETS[name].config.data.dataset).is_available(settings.data_dir):
                    compare(name, args.epochs or EPOCHS[name], args.rounds, store, engine)
                else:
                    print(f"{name}: its data are not in {settings.data_dir}")
        finally:
            engine.close()


if __name__ == "__main__":
    main()
