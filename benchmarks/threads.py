"""Training with threads that are chosen as it goes, beside each fixed number: python -m benchmarks.threads --busy 2 --rounds 5.

Each round trains the same steps with every number and with the choice, in turn, in a process that is set up as a training
process; --busy keeps so many other processes at work all the while, --busy-tab a Chromium's tab that takes three quarters of a
core. What is printed for each round is the time of the choice
divided by the fastest fixed number's of that round.
"""

import argparse
import copy
import time
from statistics import median

import torch

from benchmarks.conditions import (
    After,
    as_in_the_app,
    beside,
    conditions,
    in_own_process,
    keeping_busy,
    spread,
    threads_in_the_app,
)
from core.data import DataError
from core.devices import usable_cores
from core.presets import preset
from core.process import configure_training_process
from core.settings import Settings
from core.training import ThreadChoice, candidates, fit, prepare

PRESETS = ("digits-quick", "mnist-is-8-cnn", "mnist-cnn-fast", "mnist-mlp-50", "fashion-mlp-512")
CHOSEN = "chosen"


def seconds(name: str, steps: int, rounds: int) -> dict[str, list[float]]:
    """Of each number of threads, and of the choice; in this process, which is one of its own."""
    configure_training_process()
    settings = Settings.from_environment()
    config = preset(name).config
    data, model = prepare(config, settings.data_dir, settings.cache_dir)
    cpu = torch.device("cpu")
    config = as_in_the_app(config, data, model, cpu)
    ways = {**{str(number): (number,) for number in candidates(usable_cores())}, CHOSEN: threads_in_the_app(model, cpu).numbers}
    found: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):  # the first warms up
        for way, numbers in ways.items():
            network = copy.deepcopy(model)
            began = time.perf_counter()
            for _ in fit(config, data, network, cpu, After(steps), threads=ThreadChoice(numbers)):
                pass
            if number:
                found[way].append(time.perf_counter() - began)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=0, help="other processes that compute without a pause")
    parser.add_argument("--busy-tab", action="store_true", help="a browser's tab that keeps three quarters of a core busy")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    asked = parser.parse_args()
    print(conditions())
    print(f"{beside(asked.busy, asked.busy_tab)}, {asked.steps} steps")
    with keeping_busy(asked.busy, asked.busy_tab):
        for name in asked.presets:
            try:
                found = in_own_process(seconds, name, asked.steps, asked.rounds)
            except DataError as error:
                print(f"{name:16} {error}")
                continue
            for way, values in found.items():
                print(f"{name:16} {way:>6} {'threads' if way != CHOSEN else '':8} {spread(values, 's')}")
            fixed = [values for way, values in found.items() if way != CHOSEN]
            ratios = [chosen / min(others) for chosen, *others in zip(found[CHOSEN], *fixed, strict=True)]
            best = min(median(values) for values in fixed)
            print(f"{name:16} chosen / best of its round: {spread(ratios, '')}; of medians {median(found[CHOSEN]) / best:.2f}")


if __name__ == "__main__":
    main()
