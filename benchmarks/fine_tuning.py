"""60 pictures of three classes, learned from nothing and by fine-tuning, in turn: python -m benchmarks.fine_tuning --data mnist.

A small CNN learns seven digits first. Then each seed draws 60 other pictures, 20 of each of the other three digits, and networks
of the same kind learn them in the same number of steps: from random weights, and from those of the seven digits with all layers
trained, with a smaller rate below the last one, with the linear layers alone, and with the last one alone. Printed is the share
of right answers on all test pictures of the three digits, of each way and each seed, and what each way gains over the first.
"""

import argparse
import statistics
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.conditions import conditions
from core.config import RunConfig
from core.data import DataError, Dataset, load
from core.evaluation import evaluate
from core.labs.transfer import few
from core.runs import RunStore
from core.runs.execute import execute
from core.runs.starting import starting_model
from core.settings import Settings
from core.training import fit

SEVEN, THREE = ("0", "1", "2", "3", "4", "5", "6"), ("7", "8", "9")
PER_CLASS = 20  # 60 pictures in all
NOTHING = "from nothing"
WAYS: dict[str, dict[str, Any]] = {
    NOTHING: {"start_from": ""}, "fine-tuned, all layers": {}, "a tenth of the rate below": {"rate_below_last": 0.1},
    "linear layers alone": {"trainable": "linear_layers"}, "last layer alone": {"trainable": "last_layer"}}


@dataclass(frozen=True)
class Sizes:
    """How much is learned: epochs on the seven digits and on the 60 pictures; varied copies of each picture of the seven, which
    make better features; pictures held back."""

    before: int = 12
    after: int = 20
    copies: int = 4
    validation: int = 100


# 60,000 pictures of MNIST teach as much in one epoch, and need no copies
SIZES = {"digits": Sizes(), "mnist": Sizes(before=1, copies=0, validation=5000)}


def source_config(dataset: str, sizes: Sizes) -> RunConfig:
    """The run that learns seven digits."""
    return RunConfig.model_validate({
        "data": {"dataset": dataset, "validation": sizes.validation, "only_classes": SEVEN, "variations": sizes.copies},
        "model": {"architecture": "cnn", "channels": [16, 32], "fc_width": 64},
        "training": {"epochs": sizes.before, "batch_size": 64, "optimizer": {"name": "adam", "learning_rate": 0.002},
                     "precision": "float32", "device": "cpu", "threads": 1, "moments": 0}})


def accuracies(store: RunStore, settings: Settings, source: RunConfig, start: str, whole: Dataset, sizes: Sizes, seed: int,
               ways: Collection[str]) -> dict[str, float]:
    """On the test pictures of the three digits, 0 to 1, by way. start: id of the run of seven digits."""
    data = replace(whole, train=few(whole, PER_CLASS, seed))
    found = {}
    for name in ways:
        values = {"start_from": start, "epochs": sizes.after, "batch_size": 20, "seed": seed} | WAYS[name]
        config = source.with_values({"data.only_classes": THREE, "data.variations": 0} | {
            f"training.{field}": value for field, value in values.items()})
        model = starting_model(store, config, data, settings)
        for _ in fit(config, data, model, torch.device("cpu")):
            pass
        found[name] = evaluate(model, data, config).accuracy or 0.0
    return found


def compare(settings: Settings, dataset: str, seeds: int, sizes: Sizes,
            ways: Collection[str] = tuple(WAYS)) -> dict[str, list[float]]:
    """Accuracies of all seeds, by way."""
    store, source = RunStore(settings.runs_dir), source_config(dataset, sizes)
    try:
        run = execute(store, store.create_running(source, "", "benchmark"), settings)
        if run.status != "finished":
            raise SystemExit(run.message)
        three = source.data.model_copy(update={"only_classes": THREE, "variations": 0})
        whole = load(three, settings.data_dir, settings.cache_dir)
        each = [accuracies(store, settings, source, run.id, whole, sizes, seed, ways) for seed in range(seeds)]
    finally:
        store.close()
    return {name: [one[name] for one in each] for name in ways}


def report(found: dict[str, list[float]]) -> None:
    for name, values in found.items():
        gains = [100 * (value - base) for value, base in zip(values, found[NOTHING], strict=True)]
        gain = "" if name == NOTHING else (f"; {statistics.mean(gains):+.1f} points over {NOTHING}, better with "
                                           f"{sum(gain > 0 for gain in gains)} of {len(gains)} seeds")
        print(f"  {name:<26} mean {100 * statistics.mean(values):.1f} % (min {100 * min(values):.1f}, max "
              f"{100 * max(values):.1f}){gain}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("digits", "mnist"), default="digits", help="mnist needs PLAYGROUND_DATA")
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    print(conditions())
    torch.set_num_threads(1)
    sizes, began = SIZES[asked.data], time.perf_counter()
    print(f"{asked.data}: {sizes.before} epochs on digits {', '.join(SEVEN)} with {sizes.copies} varied copies of each;\n"
          f"then {sizes.after} epochs on {3 * PER_CLASS} pictures of {', '.join(THREE)}, batches of 20, Adam 0.002, "
          f"{asked.seeds} seeds, one thread")
    with TemporaryDirectory(prefix="playground-fine-tuning-") as folder:
        settings = replace(Settings.from_environment(), runs_dir=Path(folder), workers=0)
        try:
            report(compare(settings, asked.data, asked.seeds, sizes))
        except DataError as error:
            raise SystemExit(str(error)) from None
    print(f"in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
