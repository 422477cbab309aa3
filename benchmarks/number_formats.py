"""float32 beside bfloat16: speed in turn, and accuracy of several seeds: python -m benchmarks.number_formats --seeds 5 --busy 1.

For each preset with convolutions: what the app's training process would take here and how long it tried (see
core.training.formats), then the time of the same steps in each format in turn, then the test accuracy of the same seeds in each.
Each preset is done in a process that is set up as a training process; --busy keeps so many other processes at work all the while,
--busy-tab a tab. --epochs makes the runs for the accuracies shorter than the presets'; --seeds 0 leaves them out. Needs MNIST in
PLAYGROUND_DATA.
"""

import argparse
import copy
import os
import statistics
import time
from dataclasses import dataclass

import torch

from benchmarks.conditions import After, add_busy, beside, conditions, in_own_process, keeping_busy, spread
from core.config import RunConfig
from core.data import DataError, Dataset
from core.devices import select_device, usable_cores
from core.evaluation import evaluate
from core.presets import preset
from core.process import configure_training_process
from core.settings import Settings
from core.training import NumberFormat, build_for, choose, computed_in, fit, prepare
from core.training.formats import PRECISIONS

PRESETS = ("mnist-cnn-fast", "mnist-is-8-cnn", "mnist-is-8-gap", "mnist-handwriting")
AIM = 0.2  # points of accuracy that a format may cost


@dataclass(frozen=True)
class Found:
    """Of one preset, by format: seconds of the same steps, each round; test accuracy of each seed in percent."""

    taken: NumberFormat
    trying: list[float]  # seconds
    seconds: dict[str, list[float]]
    accuracy: dict[str, list[float]]


def compare(name: str, threads: int, steps: int, rounds: int, seeds: int, epochs: int | None) -> Found:
    """In this process, which is one of its own."""
    configure_training_process()
    torch.set_num_threads(threads)
    settings, device = Settings.from_environment(), select_device()
    config = preset(name).config
    if epochs is not None:
        config = config.with_values({"training.epochs": epochs})
    data, model = prepare(config, settings.data_dir, settings.cache_dir)
    trying = []
    for _ in range(3):
        began = time.perf_counter()
        taken = choose(config, data, model, device)  # without a cache, so that it is measured each time
        trying.append(time.perf_counter() - began)
    seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for number in range(rounds + 1):  # the first warms up
        for precision in PRECISIONS:
            network = copy.deepcopy(model)
            began = time.perf_counter()
            for _ in fit(computed_in(config, precision), data, network, device, After(steps)):
                pass
            if number:
                seconds[precision].append(time.perf_counter() - began)
    accuracy = {precision: [accuracy_of(computed_in(config, precision), data, seed, device) for seed in range(seeds)]
                for precision in PRECISIONS}
    return Found(taken, trying, seconds, accuracy)


def accuracy_of(config: RunConfig, data: Dataset, seed: int, device: torch.device) -> float:
    """On the test images, in percent."""
    config = config.with_values({"training.seed": seed})
    model = build_for(config, data)
    for _ in fit(config, data, model, device):
        pass
    return 100 * (evaluate(model, data, config).accuracy or 0)


def report(name: str, steps: int, found: Found) -> None:
    ratio = [plain / half for plain, half in zip(*(found.seconds[precision] for precision in PRECISIONS), strict=True)]
    print(f"\n{name}: {found.taken.why or found.taken.precision}; tried in {spread(found.trying, 's')}; load "
          f"{os.getloadavg()[0] if hasattr(os, 'getloadavg') else float('nan'):.1f}")
    for precision in PRECISIONS:
        print(f"  {precision:<9} {steps} steps {spread(found.seconds[precision], 's')}", end="")
        right = found.accuracy[precision]
        print(f"; test accuracy {spread(right, '%')}, mean {statistics.mean(right):.2f} %" if right else "")
    print(f"  bfloat16 {spread(ratio, 'times as fast in its round')}", end="")
    if not found.accuracy["float32"]:
        return print()
    pairs = [half - plain for plain, half in zip(*(found.accuracy[precision] for precision in PRECISIONS), strict=True)]
    error = statistics.stdev(pairs) / len(pairs) ** 0.5 if len(pairs) > 1 else float("nan")
    print(f"; accuracy {statistics.mean(pairs):+.2f} points, standard error {error:.2f} (aim within ±{AIM})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_busy(parser)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="of the runs for the accuracies; the preset's if not given")
    parser.add_argument("--threads", type=int, default=usable_cores())
    asked = parser.parse_args()
    print(conditions((asked.threads,)))
    print(beside(asked.busy, asked.busy_tab))
    with keeping_busy(asked.busy, asked.busy_tab):
        for name in asked.presets:
            try:
                found = in_own_process(compare, name, asked.threads, asked.steps, asked.rounds, asked.seeds, asked.epochs)
            except DataError as error:
                print(f"\n{name}: {error}")
                continue
            report(name, asked.steps, found)


if __name__ == "__main__":
    main()
