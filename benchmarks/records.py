"""What record holders do, tried on mnist-cnn-fast: python -m benchmarks.records [--variants nesterov-0.1 …].

train_mnist_fast and airbench read MNIST and CIFAR-10 in seconds by a rate that rises and falls, Nesterov's momentum or Muon,
label smoothing, averages of weights and fewer steps. Each is one variant of the preset, trained over the same seeds in turn.
Mirrored images, in training and in evaluation, are left out: mirroring changes digits.

Each training has a process of its own, settled as the app's training processes are; all compute with the same number of threads
(--threads) and in the same number format. Counted is fit() from its first to its last event, and with averages their batch norm,
too: by the clock and by the processor's time, which other work beside it changes less. Differences are to the preset with the
same seed. To choose by is the accuracy on the validation images; the test images say what came out. Needs MNIST.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn, update_bn

from benchmarks.conditions import add_busy, as_in_the_app, beside, conditions, in_own_process, keeping_busy, spread
from core.config import OptimizerConfig, RunConfig
from core.data import DataError, Dataset, load
from core.data.batches import Batches
from core.devices import select_device
from core.evaluation import evaluate
from core.presets import PRESETS
from core.process import configure_training_process
from core.settings import Settings
from core.training import Epoch, Finished, ThreadChoice, build_for, fit
from core.training.optimizers import build_optimizer
from core.training.shortcuts import Shortcuts
from core.training.step import batches_of_epoch

PRESET = "preset"  # the variant that all others are compared with
BATCHES_FOR_NORMS = 50  # batches after which the batch norm of averaged weights is known well enough
# K. Jordan, https://kellerjordan.github.io/posts/muon/: a step of X ← aX + (bXXᵀ + c(XXᵀ)²)X, five of which bring all singular
# values into 0.7 … 1.2
MUON_STEPS = (3.4445, -4.7750, 2.0315)


@dataclass(frozen=True)
class Averaging:
    """A mean of the weights after each step, from this share of the training on. decay: of an exponential mean; 0: plain."""

    since: float
    decay: float = 0.0


@dataclass(frozen=True)
class Variant:
    """What differs from the preset: fields of its config by their dotted names, and what no config has.

    muon: peak of Muon's learning rate for the convolutions; 0 leaves them to the config's optimizer.
    """

    title: str
    changes: dict[str, Any] = field(default_factory=dict)
    averaging: Averaging | None = None
    muon: float = 0.0


def nesterov(rate: float) -> Variant:
    """SGD with Nesterov's momentum instead of Adam."""
    return Variant(f"SGD, Nesterov's momentum 0.9, rate {rate:g}", {
        "training.optimizer.name": "sgd", "training.optimizer.learning_rate": rate, "training.optimizer.momentum": 0.9,
        "training.optimizer.nesterov": True})


def smoothing(share: float) -> Variant:
    return Variant(f"label smoothing {share:g}", {"training.label_smoothing": share})


def batches_of(images: int, rate: float) -> Variant:
    return Variant(f"batches of {images}, rate {rate:g}", {
        "training.batch_size": images, "training.optimizer.learning_rate": rate})


CONSTANT = {"training.schedule.name": "constant"}
RATE = "training.optimizer.learning_rate"
BOTH = batches_of(128, 0.02).changes | smoothing(0.1).changes
VARIANTS: dict[str, Variant] = {
    PRESET: Variant("mnist-cnn-fast as it is"),
    "constant-0.01": Variant("constant rate 0.01", CONSTANT),
    "constant-0.003": Variant("constant rate 0.003", CONSTANT | {RATE: 0.003}),
    "smoothing-0.05": smoothing(0.05), "smoothing-0.1": smoothing(0.1), "smoothing-0.2": smoothing(0.2),
    "nesterov-0.05": nesterov(0.05), "nesterov-0.1": nesterov(0.1), "nesterov-0.2": nesterov(0.2),
    "mean-20": Variant("mean of the last 20 % of weights", averaging=Averaging(0.8)),
    "ema-0.99": Variant("exponential mean of weights, 0.99", averaging=Averaging(0.5, 0.99)),
    "constant-mean": Variant("constant rate 0.003, mean of the last half", CONSTANT | {RATE: 0.003}, Averaging(0.5)),
    "muon-0.02": Variant("Muon 0.02, others Adam", muon=0.02), "muon-0.05": Variant("Muon 0.05, others Adam", muon=0.05),
    "batch-96": batches_of(96, 0.01), "batch-128": batches_of(128, 0.01), "batch-128-0.02": batches_of(128, 0.02),
    "images-85": Variant("85 % of the training images", {"data.fraction": 0.85}),
    "images-85-smoothing": Variant("85 % of the images, label smoothing 0.1", {"data.fraction": 0.85} | smoothing(0.1).changes),
    "images-70-smoothing": Variant("70 % of the images, label smoothing 0.1", {"data.fraction": 0.7} | smoothing(0.1).changes),
    "batch-128-smoothing": Variant("batches of 128, rate 0.02, label smoothing 0.1", BOTH),
    "all-three": Variant("70 % of the images, batches of 128, rate 0.02, label smoothing 0.1", {"data.fraction": 0.7} | BOTH),
    "all-three-half": Variant("the same with half of the images", {"data.fraction": 0.5} | BOTH),
}


def config_of(variant: Variant) -> RunConfig:
    """The preset with the variant's changes. Raises ConfigError where they make no run."""
    return PRESETS["mnist-cnn-fast"].config.with_values(variant.changes)


# --- what no config has


def orthogonal(matrix: Tensor) -> Tensor:
    """(rows, columns) float: U S Vᵀ with the matrix's own U and V, and singular values S near 1, by Newton and Schulz's steps."""
    a, b, c = MUON_STEPS
    x = matrix / matrix.norm().clamp(min=1e-7)
    x = x.T if len(matrix) > matrix.shape[1] else x
    for _ in range(5):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if len(matrix) > matrix.shape[1] else x


class Muon(torch.optim.Adam):
    """Muon for weights of convolutions, each filter a row; Adam for all others. torch.optim.Muon takes matrices alone.

    lr is Adam's; Muon's is `share` times that, so that both follow one schedule.
    """

    def __init__(self, weights: Sequence[nn.Parameter], lr: float, share: float, momentum: float = 0.95) -> None:
        super().__init__(weights, lr, fused=True)
        self.share, self.momentum = share, momentum

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        group = self.param_groups[0]
        filters = [weight for weight in group["params"] if weight.dim() > 2 and weight.grad is not None]
        gradients = [weight.grad for weight in filters]
        for weight, gradient in zip(filters, gradients, strict=True):
            mean = self.state[weight].setdefault("momentum_buffer", torch.zeros_like(gradient))
            mean.lerp_(gradient, 1 - self.momentum)
            update = orthogonal(gradient.lerp(mean, self.momentum).flatten(1))
            scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
            weight.add_(update.view_as(weight), alpha=-group["lr"] * self.share * scale)
            weight.grad = None  # Adam passes by weights without a gradient
        super().step()
        for weight, gradient in zip(filters, gradients, strict=True):
            weight.grad = gradient


def build_muon(rate: float, config: OptimizerConfig, weights: Sequence[nn.Parameter], shortcuts: Shortcuts | None = None) -> Muon:
    """In place of core's build_optimizer()."""
    return Muon(list(weights), config.learning_rate, rate / config.learning_rate)


class WeightMean:
    """A watcher of fit() that keeps a mean of the weights instead of a picture."""

    def __init__(self, averaging: Averaging, model: nn.Module, steps: int) -> None:
        self.last = round(averaging.since * steps)  # step that is in the mean, or is the last one before it begins
        mean = get_ema_multi_avg_fn(averaging.decay) if averaging.decay else get_swa_multi_avg_fn()
        self.averaged = AveragedModel(model, multi_avg_fn=mean)

    def due(self, step: int, seconds: float) -> bool:
        return step > self.last

    def look(self, model: nn.Module, step: int, epoch: int, seconds: float, loss: float) -> None:
        if self.due(step, seconds):  # fit() also lets look before the first step, and once more after the last
            self.last = step
            self.averaged.update_parameters(model)

    def put_into(self, model: nn.Module, data: Dataset, config: RunConfig) -> None:
        """The mean instead of the last weights, with the batch norm that belongs to it."""
        weights = self.averaged.module
        batches = batches_of_epoch(Batches(data, data.train, next(weights.parameters()).device), config.training, 1)
        update_bn((batch.images for batch in islice(batches, BATCHES_FOR_NORMS)), weights)
        model.load_state_dict(weights.state_dict())


# --- trainings


@dataclass(frozen=True)
class Trained:
    """One training: seconds by the clock and of the processor, accuracies in percent."""

    steps: int
    seconds: float
    processor: float
    validation: float
    test: float


def number_format(settings: Settings) -> str:
    """What a training process of the app takes here for the preset."""
    configure_training_process()
    config = config_of(VARIANTS[PRESET])
    data = load(config.data, settings.data_dir, settings.cache_dir)
    return as_in_the_app(config, data, build_for(config, data), select_device()).training.precision


def train(variant: Variant, settings: Settings, seed: int, precision: str, threads: int) -> Trained:
    """One run of a variant, in this process."""
    configure_training_process()  # first of all, as a worker does: threads that are there already stay as they were
    config = config_of(variant).with_values({"training.seed": seed, "training.precision": precision})
    data = load(config.data, settings.data_dir, settings.cache_dir)
    model, device = build_for(config, data), select_device()
    clock, processor = time.perf_counter(), time.process_time()
    steps = config.training.epochs * -(-len(data.train) // config.training.batch_size)
    mean = WeightMean(variant.averaging, model, steps) if variant.averaging else None
    built = partial(build_muon, variant.muon) if variant.muon else build_optimizer
    with patch("core.training.step.build_optimizer", built):
        events = list(fit(config, data, model, device, threads=ThreadChoice((threads,)), watchers=[mean] if mean else []))
    if mean:
        mean.put_into(model, data, config)
    seconds, processor = time.perf_counter() - clock, time.process_time() - processor
    assert isinstance(events[-1], Finished) and events[-1].reason == "completed"
    *_, last = (event for event in events if isinstance(event, Epoch))
    validation = evaluate(model, data, config, data.validation).accuracy if mean else last.validation_accuracy
    test = evaluate(model, data, config).accuracy
    return Trained(events[-1].steps, seconds, processor, 100 * (validation or 0), 100 * (test or 0))


def difference(values: Sequence[float], others: Sequence[float]) -> str:
    """Mean difference of pairs with its standard error; without one for a single pair."""
    pairs = [value - other for value, other in zip(values, others, strict=True)]
    error = f" ± {statistics.stdev(pairs) / len(pairs) ** 0.5:.3f}" if len(pairs) > 1 else ""
    return f"{statistics.mean(pairs):+.3f}{error}"


def lines(name: str, runs: list[Trained], preset: list[Trained]) -> str:
    """What came out of a variant, beside the preset with the same seeds."""
    test, validation = [run.test for run in runs], [run.validation for run in runs]
    text = (f"{name}: {VARIANTS[name].title}; {runs[0].steps} steps\n"
            f"  test {statistics.mean(test):.3f} % (min {min(test):.2f}, max {max(test):.2f}, n={len(test)}), "
            f"validation {statistics.mean(validation):.3f} %")
    if name != PRESET:
        text += (f"; difference ± standard error: test {difference(test, [run.test for run in preset])}, "
                 f"validation {difference(validation, [run.validation for run in preset])}")
    processor, theirs = ([run.processor for run in some] for some in (runs, preset))
    return (f"{text}\n  {spread([run.seconds for run in runs], 's')}, of the processor {spread(processor, 's')}, "
            f"{statistics.median(processor) / statistics.median(theirs):.2f} times the preset's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=1, help="processor threads of each training")
    add_busy(parser)
    args = parser.parse_args()
    settings = Settings.from_environment()
    names = list(dict.fromkeys([PRESET, *args.variants]))
    runs: dict[str, list[Trained]] = {name: [] for name in names}
    print(conditions())
    try:
        precision = in_own_process(number_format, settings)
        print(f"{beside(args.busy, args.busy_tab)}; each training with {args.threads} threads, in {precision}", flush=True)
        with keeping_busy(args.busy, args.busy_tab):
            for seed in range(args.first_seed, args.first_seed + args.seeds):
                for name in names:
                    run = in_own_process(train, VARIANTS[name], settings, seed, precision, args.threads)
                    runs[name].append(run)
                    print(f"seed {seed} {name}: {run.test:.2f} %, {run.processor:.2f} s of the processor", flush=True)
    except (DataError, OSError) as error:
        raise SystemExit(f"MNIST is needed in PLAYGROUND_DATA: {error}") from None
    print()
    for name in names:
        print(lines(name, runs[name], runs[PRESET]), flush=True)


if __name__ == "__main__":
    main()
