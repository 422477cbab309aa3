"""One setting trained by fit(): how well it does on examples it has not seen, and what a run's store would hold of it."""

import time
from dataclasses import asdict, dataclass, field
from functools import cache
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.config import DataConfig, RunConfig
from core.data import DataError, Dataset, load
from core.evaluation.evaluation import answer
from core.evaluation.predictions import predict
from core.fields import ConfigError
from core.models import ModelError
from core.runs.recorder import Recorder
from core.training import Finished, Started, build_for, check, fit

Series = dict[str, tuple[list[int], list[float]]]


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    ended: "completed", "diverged" or "refused". accuracy: on the test examples; of numbers 1 − error / variance, what is
    explained. log_loss: mean of −log p of the right class, at most 20; of numbers 0. climbed: the last validation loss as a
    multiple of the smallest.
    """

    ended: str
    accuracy: float = 0.0
    log_loss: float = 20.0
    climbed: float = 1.0
    seconds: float = 0.0
    why: str = ""

    def values(self) -> dict[str, Any]:
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


@dataclass
class Trained:
    """outcome; series by metric name; steps of an epoch; whether it ended with NaN."""

    outcome: Outcome
    series: Series = field(default_factory=dict)
    steps_per_epoch: int = 0
    not_finite: bool = False


class _Store:
    """Takes what a Recorder hands over."""

    def __init__(self, series: Series) -> None:
        self.series = series

    def record(self, run_id: str, metrics: Any, snapshots: Any, looks: Any, interventions: Any, **progress: float) -> bool:
        for metric in metrics:
            steps, values = self.series.setdefault(metric.name, ([], []))
            steps.append(metric.step)
            values.append(metric.value)
        return True


KEPT = ("loss", "accuracy", "train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "learning_rate")


@cache
def _data(config: DataConfig, root: Path, cache_dir: Path) -> Dataset:
    return load(config, root, cache_dir)


def train(config: RunConfig, root: Path, cache_dir: Path) -> Trained:
    """Train and judge. What the app refuses is an outcome, too."""
    began = time.perf_counter()
    try:
        check(config, root)
        data = _data(config.data, root, cache_dir)
        model = build_for(config, data)
        run = Trained(Outcome("completed"))
        recorder = Recorder(_Store(run.series), "")  # pyright: ignore[reportArgumentType]  # it asks for record() alone
        for event in fit(config, data, model, torch.device("cpu")):
            recorder.take(event)
            if isinstance(event, Started):
                run.steps_per_epoch = event.steps_per_epoch
            elif isinstance(event, Finished):
                run.not_finite = event.reason == "diverged"
        recorder.flush()
    except (DataError, ConfigError, ModelError, ValueError) as error:
        return Trained(Outcome("refused", why=str(error)))
    run.series = {name: kept for name, kept in run.series.items() if name in KEPT or name.startswith(("gradient.", "dead."))}
    run.outcome = _judged(config, data, model, run, time.perf_counter() - began)
    return run


def _judged(config: RunConfig, data: Dataset, model: torch.nn.Module, run: Trained, seconds: float) -> Outcome:
    losses = [loss for loss in run.series.get("validation_loss", ([], []))[1] if isfinite(loss)] or [inf]
    climbed = min(1e6, float(np.median(losses[-3:])) / max(1e-9, min(losses))) if isfinite(losses[0]) else 1.0
    ended = "diverged" if run.not_finite else "completed"
    model.eval()
    if data.target == "number":
        got = answer(model, data, config, data.test)
        error = (got.logits[:, 0] - got.labels).square().mean() / got.labels.float().var()
        return Outcome(ended, max(-1.0, 1 - float(error)), 0.0, climbed, seconds)
    predictions = predict(model, data, config)
    right = np.asarray(predictions.probabilities)[np.arange(len(predictions.targets)), np.asarray(predictions.targets)]
    return Outcome(ended, float(predictions.correct.mean()), float(-np.log(np.clip(right, 2e-9, 1)).mean()), climbed, seconds)
