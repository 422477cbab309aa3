"""The learning-rate range test as a run: done by a worker, watched, stopped and forgotten like a training."""

import time
from collections.abc import Iterable
from typing import Any

import torch

from core.config import RunConfig
from core.data import Dataset
from core.runs.recorder import FALLBACKS
from core.runs.records import Metric, Metrics, Run, Snapshot
from core.runs.store import RunStore
from core.training import Control, Started
from core.training.formats import NumberFormat
from core.training.range_test import RangeStep, conclude, range_steps
from core.training.shortcuts import Shortcuts

STEPS = 150
SUGGESTION = "suggestion"  # name of the snapshot
RATE, LOSS, SMOOTHED = "rate", "loss", "smoothed"  # names of the metrics
SECONDS_PER_FLUSH = 0.25


def run_range_test(store: RunStore, run: Run, config: RunConfig, number_format: NumberFormat, data: Dataset,
                   model: torch.nn.Module, device: torch.device, control: Control | None, shortcuts: Shortcuts) -> None:
    """Do the test, write down its steps while it goes and its suggestion at the end. config: with the number format."""
    began = flushed = time.monotonic()
    parameters = sum(p.numel() for p in model.parameters())
    store.begin(run.id, Started(STEPS, STEPS, parameters, str(device), number_format.precision, number_format.why))
    done: list[RangeStep] = []
    written = 0
    for step in range_steps(config, data, model, device, STEPS, shortcuts):
        done.append(step)
        if time.monotonic() - flushed >= SECONDS_PER_FLUSH:
            if not _write(store, run, done[written:]):
                return  # ended from outside
            written, flushed = len(done), time.monotonic()
        if control is not None and control.command().stop:
            store.finish(run.id, "stopped", "Stopped.")
            return
    result = conclude(done)
    suggestion = Snapshot(SUGGESTION, len(done), {"rate": result.suggested, "too_high": result.too_high})
    lines = [[0, line] for line in shortcuts.news()]
    failed = [Snapshot(FALLBACKS, len(done), {"lines": lines})] if lines else []
    _write(store, run, done[written:], [suggestion, *failed])
    store.finish(run.id, "finished", seconds=time.monotonic() - began)


def _write(store: RunStore, run: Run, steps: Iterable[RangeStep], snapshots: Iterable[Snapshot] = ()) -> bool:
    metrics = [Metric(name, step.step, getattr(step, name)) for step in steps for name in (RATE, LOSS, SMOOTHED)]
    progress: dict[str, Any] = {"step": metrics[-1].step} if metrics else {}
    return store.record(run.id, metrics, tuple(snapshots), **progress)


def range_curve(metrics: Metrics) -> list[RangeStep]:
    """The steps that a range test has written down, in order."""
    (steps, rates), (_, losses), (_, smoothed) = (metrics.series.get(name, ([], [])) for name in (RATE, LOSS, SMOOTHED))
    return [RangeStep(*values) for values in zip(steps, rates, losses, smoothed, strict=True)]
