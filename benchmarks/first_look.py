"""Runs with watched images beside the same runs without, in turn: `python -m benchmarks.first_look`.

Prints how many looks the first two seconds of training have (the aim is ten), when the first comes after a step, what looking
takes as a share of the run, and whether the weights are the same in the end. Each run goes through execute(), with its store, at
one number of threads. Presets whose data are not there are left out.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.conditions import add_busy, beside, conditions, keeping_busy, spread
from core.config import RunConfig
from core.data import spec_of
from core.presets import PRESETS
from core.runs import Run, RunStore, load_model
from core.runs.execute import execute
from core.settings import Settings
from core.training import ImageWatcher
from core.training.watchers import SECONDS_AT_FIRST, WATCH

LOOK = ImageWatcher.look
MOST = 3  # percent of a run that looks may take


@dataclass
class Cost:
    """Seconds that looks have taken, each."""

    seconds: list[float] = field(default_factory=list)

    def look(self, *given, **named):  # in ImageWatcher.look's place
        began = time.perf_counter()
        found = LOOK(*given, **named)
        self.seconds.append(time.perf_counter() - began)
        return found


def train(store: RunStore, settings: Settings, config: RunConfig, images: torch.Tensor | None) -> Run:
    return execute(store, store.create_running(config, "benchmark", "here", "a benchmark's run", images), settings)


def compare(store: RunStore, settings: Settings, name: str, epochs: int, threads: int, turns: int) -> None:
    """Print what watching costs one preset."""
    config = PRESETS[name].config
    config = config.with_values({"training.threads": threads, "training.epochs": epochs or config.training.epochs})
    images = torch.rand(1, *spec_of(config.data.dataset).input_shape, generator=torch.Generator().manual_seed(0))
    train(store, settings, config.with_values({"training.epochs": 1}), images)  # what is slow the first time
    plain, watched, shares, early, first, costs = [], [], [], [], [], []
    for _ in range(turns):
        cost = Cost()
        ImageWatcher.look = lambda *given, cost=cost, **named: cost.look(*given, **named)
        with_images, without = train(store, settings, config, images), train(store, settings, config, None)
        looks = store.looks(with_images.id, WATCH)
        watched.append(with_images.seconds)
        plain.append(without.seconds)
        shares.append(100 * sum(cost.seconds) / with_images.seconds)
        costs += [1000 * seconds for seconds in cost.seconds]
        early.append(len([look for look in looks if look.seconds < SECONDS_AT_FIRST]))
        first.append(1000 * next(look.seconds for look in looks if look.step))
        a, b = (load_model(store, run.id).model.state_dict() for run in (with_images, without))
        same = all(torch.equal(a[weight], b[weight]) for weight in a)
        print(f"  {len(looks)} looks kept, weights {'the same' if same else 'NOT THE SAME'}, bit for bit", flush=True)
    ImageWatcher.look = LOOK
    print(f"{name}, {epochs or config.training.epochs} epochs: {spread(watched, 's')} watched, {spread(plain, 's')} not")
    print(f"  looks in the first {SECONDS_AT_FIRST:.0f} s: {spread(early, '', 0)}; the first after a step at "
          f"{spread(first, 'ms', 0)}")
    print(f"  a look takes {spread(costs, 'ms', 1)}; all of them {spread(shares, '% of the run', 1)}, aim {MOST} %; "
          f"difference of the medians {statistics.median(watched) / statistics.median(plain) * 100 - 100:+.1f} %", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", default=["digits-quick", "mnist-mlp-50", "mnist-cnn-fast"])
    parser.add_argument("--epochs", type=int, default=0, help="instead of the preset's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3)
    add_busy(parser)
    asked = parser.parse_args()
    print(conditions((asked.threads,)))
    print(beside(asked.busy, asked.busy_tab))
    environment = Settings.from_environment()
    with tempfile.TemporaryDirectory() as folder, keeping_busy(asked.busy, asked.busy_tab):
        settings = Settings(environment.data_dir, Path(folder) / "runs", environment.cache_dir, 1)
        store = RunStore(settings.runs_dir)
        for name in asked.presets:
            if spec_of(PRESETS[name].config.data.dataset).is_available(settings.data_dir):
                compare(store, settings, name, asked.epochs, asked.threads, asked.turns)
            else:
                print(f"{name}: its data are not in {settings.data_dir}")
        store.close()


if __name__ == "__main__":
    main()
