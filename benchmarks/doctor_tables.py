"""Where the doctor's tables come from: test accuracy against the learning rate, and against training images per class.

    python -m benchmarks.doctor_tables           # scikit-learn's digits; a few minutes on one core
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.conditions import conditions
from core.config import DataConfig, RunConfig, read_config
from core.data import Dataset, Split, load
from core.evaluation import evaluate
from core.training import build_for, fit

MODELS = {"MLP 50": {"architecture": "mlp", "hidden": [50]}, "CNN 8-16": {"architecture": "cnn", "channels": [8, 16]}}
OPTIMIZERS = {"Adam": {"name": "adam"}, "SGD": {"name": "sgd"}, "SGD, momentum 0.9": {"name": "sgd", "momentum": 0.9},
              "AdamW": {"name": "adamw"}, "RMSprop": {"name": "rmsprop"},
              "RMSprop, momentum 0.9": {"name": "rmsprop", "momentum": 0.9}, "Adagrad": {"name": "adagrad"}}
RATES = [10.0 ** (half / 2) for half in range(-12, 5)]
PER_CLASS = (1, 2, 5, 10, 20, 50, 100)


def accuracy(config: RunConfig, data: Dataset) -> float:
    """Test accuracy after a whole run; chance where it diverged."""
    model = build_for(config, data)
    for _ in fit(config, data, model, torch.device("cpu")):
        pass
    return evaluate(model, data, config).accuracy


def run(model: str, optimizer: dict[str, object], epochs: int, seed: int, normalization: str = "none") -> RunConfig:
    return read_config({"data": {"dataset": "digits", "validation": 200, "normalization": normalization},
                        "model": MODELS[model], "training": {
                            "optimizer": optimizer, "epochs": epochs, "seed": seed, "device": "cpu", "precision": "float32"}})


def few(data: Dataset, per_class: int) -> Dataset:
    """The same data with so many training images of each class."""
    kept = torch.cat([data.train.rows[data.train.positions(label, 0, per_class)] for label in range(len(data.classes))])
    return replace(data, train=Split(data.train.images, data.train.labels, kept.sort().values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)
    print(conditions())
    with tempfile.TemporaryDirectory() as cache:
        data = {name: load(DataConfig(dataset="digits", validation=200, normalization=name), Path("data"), Path(cache))
                for name in ("none", "half", "standard")}
        print(f"\n{len(data['none'].train)} digits, batch 64, 10 epochs (200 steps), {len(data['none'].test)} test images, "
              f"mean of {seeds} seeds. Test accuracy in %:")
        for model in MODELS:
            for name, optimizer in OPTIMIZERS.items():
                means = [sum(accuracy(run(model, optimizer | {"learning_rate": rate}, 10, seed), data["none"])
                             for seed in range(seeds)) / seeds for rate in RATES]
                print(f"{model}, {name}: " + "  ".join(f"{rate:.0e} {100 * mean:.0f}"
                                                       for rate, mean in zip(RATES, means, strict=True)), flush=True)
        print("\nTraining images per class, Adam 1e-3, 200 epochs:")
        for model in MODELS:
            means = [sum(accuracy(run(model, {"name": "adam"}, 200, seed), few(data["none"], count))
                         for seed in range(seeds)) / seeds for count in PER_CLASS]
            print(f"{model}: " + "  ".join(f"{count} {100 * mean:.0f}" for count, mean in zip(PER_CLASS, means, strict=True)),
                  flush=True)
        print("\nNormalisation, Adam 1e-3, 10 epochs:")
        for model in MODELS:
            print(f"{model}: " + "  ".join(f"{name} " + " ".join(
                f"{100 * accuracy(run(model, {'name': 'adam'}, 10, seed, name), data[name]):.1f}" for seed in range(4))
                for name in data), flush=True)


if __name__ == "__main__":
    main()
