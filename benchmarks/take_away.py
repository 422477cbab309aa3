"""A run in every form that it can be taken away in, as the page makes it: python -m benchmarks.take_away [--presets NAME …].

Trains each preset for one epoch and prints for each kind how long it takes until its bytes are there (the aim is 3 s): those that
the server makes itself, and those that get a process of their own, whose start is in it. A notebook is left out, as it trains as
it is made; the bundle is all the others, one after another. Presets whose data are not there are left out, and so is a kind whose
package is missing, with the line that says so. Takes about two minutes on two cores.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.conditions import conditions, spread
from core.data import spec_of
from core.presets import PRESETS
from core.runs import RunStore
from core.runs.execute import execute
from core.settings import Settings
from core.takeaway import KINDS, REFUSALS, Subject, take
from core.takeaway.apart import take_apart
from core.wording import size_of_bytes


def measure(subject: Subject, name: str, repeats: int) -> str:
    """How long a kind takes, in a line."""
    make = take_apart if KINDS[name].own_process else take
    times, size = [], 0
    for _ in range(repeats):
        fresh = Subject(subject.store, subject.run, subject.settings)  # what one kind has read is not there for the next
        began = time.perf_counter()
        try:
            size = len(make(fresh, name))
        except REFUSALS as error:
            return f"left out: {error}"
        times.append(time.perf_counter() - began)
    where = "a process of its own" if KINDS[name].own_process else "the server"
    return f"{spread(times, 's')}, {size_of_bytes(size)}, by {where}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=["mnist-mlp-50", "mnist-cnn-fast"])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)  # as the server has it
    print(conditions())
    settings = Settings.from_environment()
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder) / "runs")
        settings = Settings(settings.data_dir, store.path, settings.cache_dir)
        for name in args.presets:
            config = PRESETS[name].config.with_values({"training.epochs": 1})
            if not spec_of(config.data.dataset).is_available(settings.data_dir):
                print(f"{name}: {spec_of(config.data.dataset).title} is not below PLAYGROUND_DATA")
                continue
            run = execute(store, store.create_running(config, "benchmark", "here"), settings)
            print(f"{name}, {run.steps:,} steps, {run.parameters:,} parameters (aim: 3 s for each kind):")
            for kind in KINDS:
                if kind != "notebook":
                    print(f"  {kind}: {measure(Subject(store, run, settings), kind, args.repeats)}")
        store.close()


if __name__ == "__main__":
    main()
