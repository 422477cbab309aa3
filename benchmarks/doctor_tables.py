"""Where the doctor's tables come from: what small networks reach, by learning rate, images per class, hidden units and words.

    python -m benchmarks.doctor_tables           # scikit-learn's digits, points and the built-in reviews; minutes on one core
    python -m benchmarks.doctor_tables units words
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

from benchmarks.conditions import conditions
from benchmarks.doctor_runs import train
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
UNITS = {"circle": (1, 2, 3, 4, 16), "xor": (1, 2, 3, 4, 16), "moons": (1, 2, 3, 4, 16), "spirals": (2, 4, 6, 7, 8, 16),
         "hills": (1, 2, 3, 4, 6, 16)}
WORDS, LENGTHS = (3, 10, 30, 100, 1000), (1, 2, 4, 16, 64)
FAST = {"device": "cpu", "precision": "float32"}


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


def digits(normalization: str, cache: Path) -> Dataset:
    return load(DataConfig(dataset="digits", validation=200, normalization=normalization), Path("data"), cache)


def learning_rates(seeds: int, cache: Path) -> None:
    """Test accuracy of each optimizer at each rate."""
    data = digits("none", cache)
    print(f"\n{len(data.train)} digits, batch 64, 10 epochs (200 steps), {len(data.test)} test images, mean of {seeds} seeds. "
          "Test accuracy in %:")
    for model in MODELS:
        for name, optimizer in OPTIMIZERS.items():
            means = [sum(accuracy(run(model, optimizer | {"learning_rate": rate}, 10, seed), data)
                         for seed in range(seeds)) / seeds for rate in RATES]
            print(f"{model}, {name}: " + "  ".join(f"{rate:.0e} {100 * mean:.0f}"
                                                   for rate, mean in zip(RATES, means, strict=True)), flush=True)


def images_per_class(seeds: int, cache: Path) -> None:
    print("\nTraining images per class, Adam 1e-3, 200 epochs:")
    data = digits("none", cache)
    for model in MODELS:
        means = [sum(accuracy(run(model, {"name": "adam"}, 200, seed), few(data, count))
                     for seed in range(seeds)) / seeds for count in PER_CLASS]
        print(f"{model}: " + "  ".join(f"{count} {100 * mean:.0f}" for count, mean in zip(PER_CLASS, means, strict=True)),
              flush=True)


def normalisation(seeds: int, cache: Path) -> None:
    print("\nNormalisation, Adam 1e-3, 10 epochs:")
    for model in MODELS:
        print(f"{model}: " + "  ".join(f"{name} " + " ".join(
            f"{100 * accuracy(run(model, {'name': 'adam'}, 10, seed, name), digits(name, cache)):.1f}" for seed in range(4))
            for name in ("none", "half", "standard")), flush=True)


def hidden_units(seeds: int, cache: Path) -> None:
    """One hidden layer of ReLU or tanh on points: what core.inspection.doctor.capacity.NEEDED is read from."""
    print("\n300 points, networks 2-h-1, Adam 0.03, batch 50, 200 epochs (1,200 steps), 500 test points. "
          "Median of 8 seeds, test accuracy in % (hills: variance explained), by hidden units:")
    for name, counts in UNITS.items():
        for activation in ("relu", "tanh"):
            medians = [median(train(read_config({
                "data": {"dataset": name, "points": 300, "validation": 20},
                "model": {"architecture": "mlp", "hidden": [units], "activation": activation},
                "training": FAST | {"epochs": 200, "batch_size": 50, "seed": seed, "loss": "mse" if name == "hills" else
                                    "bce_with_logits", "optimizer": {"name": "adam", "learning_rate": 0.03}}}),
                Path("data"), cache).outcome.accuracy for seed in range(8)) for units in counts]
            print(f"{name}, {activation}: " + "  ".join(f"{units} {100 * reached:.0f}" for units, reached in zip(
                counts, medians, strict=True)), flush=True)


def known_words(seeds: int, cache: Path) -> None:
    """A bag of embeddings on the built-in reviews: what core.inspection.doctor.data_rules.WORDS_ACCURACY is read from."""
    print("\nBuilt-in reviews, bag of embeddings (width 16), Adam 0.01, batch 16, 6 epochs. Mean of 4 seeds, test accuracy in %:")
    for what, sizes in {"vocabulary": WORDS, "text_length": LENGTHS}.items():
        means = [sum(train(read_config({
            "data": {"dataset": "reviews", "validation": 100, "vocabulary": 1000, what: size},
            "model": {"architecture": "text_embedding", "width": 16, "fc_width": 16, "words": 1000},
            "training": FAST | {"epochs": 6, "batch_size": 16, "seed": seed, "loss": "bce_with_logits",
                                "optimizer": {"name": "adam", "learning_rate": 0.01}}}), Path("data"), cache).outcome.accuracy
            for seed in range(4)) / 4 for size in sizes]
        print(f"{what}: " + "  ".join(f"{size} {100 * mean:.0f}" for size, mean in zip(sizes, means, strict=True)), flush=True)


TABLES = {"rates": learning_rates, "images": images_per_class, "normalisation": normalisation, "units": hidden_units,
          "words": known_words}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", choices=[[], *TABLES], default=[], metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--seeds", type=int, default=2, help="of rates and images")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(conditions())
    with tempfile.TemporaryDirectory() as cache:
        for name in asked.tables or TABLES:
            TABLES[name](asked.seeds, Path(cache))


if __name__ == "__main__":
    main()
