"""The way of a run's metrics to a sink, beside the store and after it: see core.sinks.

A training hands rows over and never waits. They queue in memory, up to a bound, for a thread that writes them to the sink's
process; what a sink can't keep up with is left out there and counted, and is in the store all the same. Once a run has ended its
sink has SECONDS_TO_END to end as well, and is ended then.
"""

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from math import isfinite
from queue import SimpleQueue
from typing import Any

from core.errors import os_reason
from core.runs.database import StoreError
from core.runs.records import SINK, Metric, Run, RunNotFound, Snapshot
from core.runs.store import RunStore
from core.settings import Settings
from core.sinks import SinkRun
from core.subprocesses import end, start
from core.wording import plural

SECONDS_TO_END = 30.0  # after its run, for a sink
MOST_WAITING = 100_000  # rows in memory
MOST_BYTES = 10_000  # of what a sink's process says at its end


@dataclass(frozen=True)
class Mark:
    """How far a sink has been told: up to a step, and at that step which metrics."""

    step: int = -1
    names: frozenset[str] = frozenset()

    def is_new(self, metric: Metric) -> bool:
        return metric.step > self.step or (metric.step == self.step and metric.name not in self.names)


@dataclass(frozen=True)
class Batch:
    """Steps with their values by the metric's name to hand over, ascending, and the mark after them."""

    rows: tuple[tuple[int, dict[str, float]], ...]
    mark: Mark


class Outlet:
    """One run's way to its sink, from when it starts to train, or goes on, to its end.

    A run that goes on from a checkpoint does some of its steps again: they are not told twice.
    """

    def __init__(self, store: RunStore, run: Run, sink: str, seconds: float = SECONDS_TO_END, most: int = MOST_WAITING) -> None:
        self.store, self.run_id, self.sink, self.seconds, self.most = store, run.id, sink, seconds, most
        self.mark = _mark_of(store, run.id, sink)
        self.offered = self.waiting = 0  # rows: in all; not yet written to the sink's process
        self.late = False  # whether the sink had to be ended
        self._lock = threading.Lock()  # held for a moment, for what both threads change
        self._queue: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._child: subprocess.Popen[bytes] | None = None
        about = SinkRun(run.id, f"{run.config.model.architecture}-{run.id[:8]}", run.title, run.group_id, run.tags,
                        run.config.model_dump(mode="json"))
        self._queue.put({"start": asdict(about)})
        self._timer = threading.Timer(seconds, self._end_late)
        self._timer.daemon = True
        self._thread = threading.Thread(target=self._feed, name=f"sink of {run.id}", daemon=True)
        self._thread.start()

    # --- for the training, which waits for none of these

    def batch(self, metrics: Sequence[Metric]) -> Batch:
        """What is new in metrics that the store is about to get."""
        rows: dict[int, dict[str, float]] = {}
        for metric in filter(self.mark.is_new, metrics):
            rows.setdefault(metric.step, {})[metric.name] = metric.value
        if not rows:
            return Batch((), self.mark)
        last = max(rows)
        names = frozenset(rows[last]) | (self.mark.names if last == self.mark.step else frozenset())
        return Batch(tuple(sorted(rows.items())), Mark(last, names))

    def snapshot(self, batch: Batch, line: str = "") -> Snapshot:
        """What the store keeps of this beside the batch's metrics."""
        return Snapshot(SINK, 0, {"name": self.sink, "step": batch.mark.step, "names": sorted(batch.mark.names), "line": line})

    def hand(self, batch: Batch) -> None:
        """Hand over what the store has kept by now; left out where too much waits already."""
        self.mark = batch.mark
        self.offered += len(batch.rows)
        with self._lock:
            if not batch.rows or self.waiting + len(batch.rows) > self.most:
                return
            self.waiting += len(batch.rows)
        self._queue.put({"rows": batch.rows})

    def close(self, status: str, summary: Mapping[str, float]) -> None:
        """The run has ended."""
        self._queue.put({"finish": {"status": status, "summary": dict(summary)}})
        self._queue.put(None)
        self._timer.start()

    def wait(self) -> None:
        """Until the sink has ended, which takes SECONDS_TO_END at most."""
        self._thread.join()

    # --- the thread

    def _feed(self) -> None:
        said: dict[str, Any] = {}
        try:
            child = start("core.sink_child", self.sink, own_group=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
            with self._lock:
                self._child = child
                if self.late:
                    child.kill()
            said = self._write(child)
            end(child)
        except OSError as error:  # no process can be started
            said = {"trouble": os_reason(error)}
            self._skip()
        self._timer.cancel()
        with suppress(StoreError):
            self.store.keep_snapshot(self.run_id, self.snapshot(Batch((), self.mark), self._line(said)))

    def _write(self, child: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Write what comes until there is no more; what the process says in the end, {} if nothing that can be read."""
        assert child.stdin is not None and child.stdout is not None
        try:
            while (message := self._queue.get()) is not None:
                child.stdin.write(json.dumps(message).encode() + b"\n")
                child.stdin.flush()
                with self._lock:
                    self.waiting -= len(message.get("rows", ()))
        except OSError:  # it has ended, by itself or by _end_late()
            self._skip()
        with suppress(OSError):
            child.stdin.close()
        with suppress(OSError, ValueError):
            found = json.loads(child.stdout.read(MOST_BYTES))
            return found if isinstance(found, dict) else {}
        return {}

    def _skip(self) -> None:
        while self._queue.get() is not None:
            pass

    def _end_late(self) -> None:
        with self._lock:
            self.late = True
            if self._child is not None:
                self._child.kill()

    def _line(self, said: dict[str, Any]) -> str:
        """What a run's record says of its sink."""
        taken = said.get("rows", 0)
        if self.late:  # it has said nothing
            return (f"{self.sink}: it did not end within {self.seconds:g} s of the run and was ended; what it has kept is not "
                    "known")
        left_out = self.offered - taken
        line = f"{self.sink}: {plural(taken, 'row')} of metrics" + (f", {left_out:,} left out" if left_out else "")
        trouble = said.get("trouble") if said else "its process died"
        return line + (f" ({trouble})" if trouble else "")


def _mark_of(store: RunStore, run_id: str, sink: str) -> Mark:
    """Where a sink was when its run last trained."""
    kept = store.snapshots(run_id).get(SINK)
    if kept is None or kept.value.get("name") != sink:
        return Mark()
    return Mark(int(kept.value["step"]), frozenset(kept.value["names"]))


@contextmanager
def outlet_of(store: RunStore, run: Run, settings: Settings, wait: bool = False) -> Iterator[Outlet | None]:
    """A training's way to the sink that the settings name; None where they name none. As the block ends, the run has ended.

    wait: until the sink has ended, too.
    """
    if not settings.sink or run.kind != "training":
        yield None
        return
    outlet = Outlet(store, run, settings.sink)
    try:
        yield outlet
    finally:
        outlet.close(*_ended(store, run.id))
        if wait:
            outlet.wait()


def _ended(store: RunStore, run_id: str) -> tuple[str, dict[str, float]]:
    """How a run has ended, and what is known of it as a whole."""
    try:
        run = store.get(run_id)
    except (RunNotFound, StoreError):
        return "failed", {}
    known = {"test_accuracy": run.test_accuracy, "test_loss": run.test_loss, "training_seconds": run.seconds}
    return run.status, {name: value for name, value in known.items() if value is not None and isfinite(value)}
