"""What a run writes down while it trains: metrics, snapshots and progress, handed to the store a few times a second."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import isfinite

import torch

from core.devices import device_memory_bytes, resident_bytes
from core.runs.database import StoreBusy
from core.runs.outlet import Outlet
from core.runs.records import Metric, Snapshot
from core.runs.store import RunStore
from core.training import (
    Epoch,
    Event,
    Fallback,
    Gradients,
    Intervention,
    Look,
    Paused,
    SampleAnswers,
    Step,
    Threads,
    Validation,
)
from core.training.plane import PLANE

SECONDS_PER_FLUSH = 0.25  # at most this often to the store; a page looks once a second
FLUSH_SHARE, MOST_SECONDS_PER_FLUSH = 0.005, 0.8  # of the training's time; where a flush takes longer, they come less often
SECONDS_PER_PICTURES = 0.1  # where the plane is watched, whose pictures a page plays as they come
MOST_CLASSES = 100  # of a confusion matrix that is kept: with 1,000 it would be a million numbers
PER_EPOCH = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds", "images_per_second")
PREDICTIONS, CONFUSION, FALLBACKS = "predictions", "confusion", "fallbacks"  # names of snapshots
MEGABYTE = 1e6
PATIENCE = 0.5  # seconds that a training waits for others who are writing; then it goes on, and its batch waits
MOST_WAITING = 1_000_000  # metrics that are held back; with more it is waited as for a checkpoint


class Recorder:
    """Collects what a run reports and hands it to the store. `is_ours` turns False where the run was ended from outside.

    Metrics for each step: loss, accuracy. A few times a second: learning_rate, gradient.LAYER, throughput (images/s of training
    alone), memory (MB of this process) and on a GPU gpu_memory (MB). For each epoch: PER_EPOCH, dead.LAYER (0 to 1).
    """

    def __init__(self, store: RunStore, run_id: str, clock: Callable[[], float] = time.monotonic,
                 outlet: Outlet | None = None) -> None:
        """outlet: where metrics go as well, once the store has them."""
        self.store, self.run_id, self.clock, self.outlet = store, run_id, clock, outlet
        self.device = torch.device("cpu")
        self.metrics: list[Metric] = []
        self.snapshots: dict[str, Snapshot] = {}
        self.looks: list[Look] = []
        self.interventions: list[Intervention] = []
        self.progress: dict[str, float] = {}
        self.lines: list[list[int | str]] = []  # step and line of each Fallback
        self.images, self.seconds = 0, 0.0  # since the last flush
        self.flushed: float | None = None  # so that the first steps are flushed at once
        self.tried: float | None = None  # the last flush, also where another process was writing
        self.gap, self.took = SECONDS_PER_FLUSH, 0.0  # took: the last flush
        self.is_ours = True

    def take(self, event: Event) -> None:
        """Write down what fit() says, as far as a run keeps it."""
        match event:
            case Threads():
                self.add(event.step, {"threads": event.threads})
            case Fallback():
                self.fallback(event)
            case Intervention():
                self.intervention(event)
            case Step():
                self.step(event)
            case Gradients():
                self.gradients(event)
            case SampleAnswers():
                self.predictions(event)
            case Look():
                self.look(event)
            case Epoch():
                self.epoch(event)
            case Validation():
                self.validation(event)
            case Paused():  # nothing comes for a while, and somebody looks at the last step
                with suppress(StoreBusy):  # it comes with whatever is next
                    self.flush(at_once=True)

    def step(self, event: Step) -> None:
        self.metrics.append(Metric("loss", event.step, event.loss))
        if event.accuracy is not None:
            self.metrics.append(Metric("accuracy", event.step, event.accuracy))
        self.progress["step"] = event.step

    def gradients(self, event: Gradients) -> None:
        """After some steps: hand them on, if it is time to, with how fast they were and what they took."""
        self.images, self.seconds = self.images + event.images, self.seconds + event.seconds
        if not self.is_due():
            return
        self.add(event.step, {"learning_rate": event.learning_rate, "memory": resident_bytes() / MEGABYTE,
                              **{f"gradient.{name}": norm for name, norm in event.norms.items()}})
        if self.seconds:
            self.add(event.step, {"throughput": self.images / self.seconds})
        if self.device.type != "cpu":
            self.add(event.step, {"gpu_memory": device_memory_bytes(self.device) / MEGABYTE})
        self.images, self.seconds = 0, 0.0
        self.flush()

    def fallback(self, event: Fallback) -> None:
        """Kept beside those before it, for the next flush."""
        self.lines.append([event.step, event.line])
        self.snapshots[FALLBACKS] = Snapshot(FALLBACKS, event.step, {"lines": self.lines})

    def predictions(self, event: SampleAnswers) -> None:
        """Kept for the next flush: a page could not show more of them."""
        self.snapshots[PREDICTIONS] = Snapshot(PREDICTIONS, event.step, {
            "epoch": event.epoch, "positions": event.positions, "labels": event.labels, "answers": event.answers,
            "probabilities": [round(p, 4) if isfinite(p) else None for p in event.probabilities]})

    def look(self, event: Look) -> None:
        """Kept for the next flush; the first steps' comes at once."""
        self.looks.append(event)
        if event.kind == PLANE:
            self.gap = SECONDS_PER_PICTURES

    def intervention(self, event: Intervention) -> None:
        """Kept for the next flush, which comes before any checkpoint: weights that are kept were changed by nobody unnamed."""
        self.interventions.append(event)

    def epoch(self, event: Epoch) -> None:
        found = {name: getattr(event, name) for name in PER_EPOCH}
        self.metrics += [Metric(name, event.step, value) for name, value in found.items() if value is not None]
        self.progress |= {"step": event.step, "epoch": event.epoch}
        if event.validation_accuracy is not None:
            self.progress["validation_accuracy"] = event.validation_accuracy
        if self.is_due():  # small networks on a few points do hundreds of epochs a second
            self.flush()

    def validation(self, event: Validation) -> None:
        self.add(event.step, {f"dead.{name}": share for name, share in event.dead_units.items()})
        if 0 < len(event.confusion) <= MOST_CLASSES:
            self.snapshots[CONFUSION] = Snapshot(CONFUSION, event.step, {"epoch": event.epoch, "counts": event.confusion})
        if self.is_due():
            self.flush()

    def is_due(self) -> bool:
        """Whether the last flush is long enough ago for what it took."""
        gap = self.gap if self.gap < SECONDS_PER_FLUSH else max(self.gap, min(self.took / FLUSH_SHARE, MOST_SECONDS_PER_FLUSH))
        return self.tried is None or self.clock() - self.tried >= gap

    def add(self, step: int, values: dict[str, float]) -> None:
        self.metrics += [Metric(name, step, value) for name, value in values.items() if isfinite(value)]

    def flush(self, at_once: bool = False) -> None:
        """Hand over everything now. Where another process is writing, all is kept and comes with the next flush.

        at_once: wait for that process as long as the store does; raises StoreBusy after that.
        """
        began = self.clock()
        batch = self.outlet.batch(self.metrics) if self.outlet else None
        snapshots: Sequence[Snapshot] = tuple(self.snapshots.values())
        if self.outlet and batch and batch.rows:
            snapshots = (*snapshots, self.outlet.snapshot(batch))
        at_once = at_once or len(self.metrics) > MOST_WAITING
        try:
            kept = self.store.record(self.run_id, self.metrics, snapshots, self.looks, self.interventions,
                                     patience=None if at_once else PATIENCE, **self.progress)
        except StoreBusy:
            if at_once:
                raise
            self.tried = self.clock()  # not flushed: nobody has said that the run is still ours
            return
        self.is_ours = kept and self.is_ours
        if self.outlet and batch and kept:
            self.outlet.hand(batch)
        self.metrics, self.snapshots, self.looks, self.interventions = [], {}, [], []
        self.progress = {}
        self.flushed = self.tried = self.clock()
        self.took = self.tried - began
