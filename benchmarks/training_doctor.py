"""What the training doctor's thresholds rest on: figures of sound and of troubled runs, and what one look costs.

    python -m benchmarks.training_doctor          # about 20 s; scikit-learn's digits, no download

For each run: the highest batch loss and the loss now, as multiples of the first; the mean loss of the last quarter over that of
the third; the validation loss now over its smallest; the largest gradient norm of a layer; the first layer's gradient over the
last one's; the largest share of dead units of a layer, on 64 validation images; and what the doctor says.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.conditions import conditions, spread
from core.config import RunConfig
from core.data import load
from core.inspection.activations.weights import dead_units
from core.inspection.training_doctor import examine
from core.training import Epoch, Finished, Gradients, Step, build_for, fit

BASE = RunConfig().with_values({"data.dataset": "digits", "data.validation": 200, "training.device": "cpu"})
MLP, OPTIMIZER = "model.hidden", "training.optimizer"
RUNS = {
    "784-50-10": {MLP: [50]}, "2 sigmoid layers": {MLP: [50] * 2, "model.activation": "sigmoid"},
    "3 sigmoid layers": {MLP: [50] * 3, "model.activation": "sigmoid"},
    "4 tanh layers": {MLP: [50] * 4, "model.activation": "tanh"},
    "8 ReLU layers": {MLP: [50] * 8}, "batch 1": {MLP: [50], "training.batch_size": 1, "training.epochs": 5},
    "CNN": {"model.architecture": "cnn", "training.epochs": 6}, "LeNet-5": {"model.architecture": "lenet5", "training.epochs": 6},
    "softmax regression": {"model.architecture": "softmax_regression"}, "cosine": {"training.schedule.name": "cosine"},
    "SGD 0.001": {f"{OPTIMIZER}.name": "sgd", f"{OPTIMIZER}.learning_rate": 0.001},
    "— Adam, rate 1": {MLP: [50], f"{OPTIMIZER}.learning_rate": 1.0},
    "— CNN, Adam, rate 0.1": {"model.architecture": "cnn", f"{OPTIMIZER}.learning_rate": 0.1, "training.epochs": 6},
    "— SGD, rate 2": {MLP: [64] * 2, f"{OPTIMIZER}.name": "sgd", f"{OPTIMIZER}.learning_rate": 2.0},
    "— 6 sigmoid layers": {MLP: [50] * 6, "model.activation": "sigmoid"},
    "— 10 sigmoid layers": {MLP: [50] * 10, "model.activation": "sigmoid"}, "— zeros": {"training.initialization": "zeros"},
    "— 137 images": {"data.validation": 1300, MLP: [256], "training.batch_size": 16, "training.epochs": 100,
                     f"{OPTIMIZER}.learning_rate": 0.003},
}


def record(config: RunConfig, cache: Path) -> tuple[dict, bool]:
    """What a run's store would hold, and whether it ended with NaN."""
    data = load(config.data, cache, cache)
    model, series, diverged = build_for(config, data), {}, False
    images = data.validation.take(torch.arange(64))[0]
    for event in fit(config, data, model, torch.device("cpu")):
        match event:
            case Step():
                values = {"loss": event.loss, "accuracy": event.accuracy}
            case Gradients():
                values = {"learning_rate": event.learning_rate} | {f"gradient.{name}": norm for name, norm in event.norms.items()}
                values |= {f"dead.{layer.name}": len(layer.dead) / layer.units
                           for layer in dead_units(model, images, data.mean, data.std)}
            case Epoch():
                values = {"train_loss": event.train_loss, "validation_loss": event.validation_loss}
            case _:
                diverged = isinstance(event, Finished) and event.reason == "diverged"
                continue
        for name, value in values.items():
            for entries, entry in zip(series.setdefault(name, ([], [])), (event.step, value), strict=True):
                entries.append(entry)
    return series, diverged


def row(name: str, config: RunConfig, series: dict, diverged: bool) -> str:
    """One run's figures."""
    losses = np.asarray(series["loss"][1])
    quarter = len(losses) // 4
    gradients = [np.asarray(values) for key, (_, values) in series.items() if key.startswith("gradient.")]
    first, last = (np.median(values[-20:]) for values in (gradients[0], gradients[-1]))
    dead = max((values[-1] for key, (_, values) in series.items() if key.startswith("dead.")), default=0.0)
    validation = np.asarray(series.get("validation_loss", ([], [np.nan]))[1])
    said = ", ".join(trouble.rule for trouble in examine(config, series, 20, diverged)) or "nothing"
    fall = losses[-quarter:].mean() / losses[-2 * quarter:-quarter].mean()
    return (f"{name:24s} {losses.max() / losses[0]:9.2f} {np.median(losses[-50:]) / losses[0]:7.3f} {fall:8.3f} "
            f"{np.median(validation[-3:]) / validation.min():10.2f} {max(values.max() for values in gradients):9.3g} "
            f"{first / last:9.2g} {dead:6.2f}  {said}")


def cost(steps: int = 100_000, layers: int = 20) -> list[float]:
    """Milliseconds of one look at a run of so many steps."""
    random, at = np.random.default_rng(0), list(range(1, steps, 25))
    series = {"loss": (list(range(1, steps + 1)), (2 * np.exp(-np.arange(steps) / 3e4)).tolist()),
              "accuracy": (list(range(1, steps + 1)), random.random(steps).tolist())}
    series |= {f"{what}.{layer}": (at, random.random(len(at)).tolist()) for what in ("gradient", "dead")
               for layer in range(layers)}
    taken = []
    for _ in range(50):
        began = time.perf_counter()
        examine(BASE, series, 1000)
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def main() -> None:
    torch.set_num_threads(1)
    print(conditions())
    print(f"{'run (— troubled)':24s} {'peak':>9s} {'now':>7s} {'quarter':>8s} {'validation':>10s} {'gradient':>9s} "
          f"{'1st/last':>9s} {'dead':>6s}  the doctor says")
    with TemporaryDirectory() as folder:
        for name, changes in RUNS.items():
            config = BASE.with_values({"training.epochs": 20} | changes)
            print(row(name, config, *record(config, Path(folder))), flush=True)
    taken = cost()
    print(f"one look at 100,000 steps and 20 layers: {spread(taken, 'ms', 1)}")


if __name__ == "__main__":
    main()
