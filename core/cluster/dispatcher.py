"""Has a cluster do the runs of the queue: starts and gives back places as the queue wants them, in a thread of the server."""

import json
import os
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.cluster.connection import answers
from core.cluster.data_files import KnownFiles
from core.cluster.link import Link
from core.cluster.slots import Room, Slot
from core.devices import shares
from core.errors import reason
from core.pieces import finish
from core.process import configured
from core.runs.database import StoreError
from core.runs.ood_reference import take_wanted
from core.runs.store import RunStore
from core.runs.store_queue import INTERRUPTED
from core.runs.worker import SECONDS_OF_PATIENCE, SECONDS_PER_HEARTBEAT, look_back_at
from core.settings import Settings
from core.subprocesses import end, start
from core.wording import plural

SECONDS_PER_LOOK = 0.25
SECONDS_BETWEEN_TRIES = 5.0  # to start a process on the cluster
SECONDS_TO_START = 20.0  # of one; then it is said that the cluster has no room for it
SECONDS_BETWEEN_COUNTS = 10.0  # of the cluster's GPUs and cores
SECONDS_TO_END = 5.0  # of a place, once the child has ended
MOST_FAILURES = 3  # of places, one after another


class Dispatcher:
    """name: of the worker that the store knows its runs by. link: to the child that joins the cluster.

    trouble: why the queue waits, in one line; "" where it does not. pids: of the processes on the cluster.
    """

    def __init__(self, name: str, settings: Settings, child: subprocess.Popen[bytes]) -> None:
        self.name, self.settings = name, settings
        self.store = RunStore(settings.runs_dir, SECONDS_OF_PATIENCE, in_turns=settings.hosted)
        self.known = KnownFiles(settings.data_dir)
        self.changed, self.leaving = threading.Event(), threading.Event()
        self.link = Link(child, self.changed.set)
        self.slots: list[Slot] = []
        self.room = Room()
        self.pids: tuple[int, ...] = ()
        self._counting: Future[Any] | None = None
        self._looking: subprocess.Popen[bytes] | None = None
        self._counted = self._beaten = -SECONDS_BETWEEN_COUNTS
        self._trouble, self._full, self._retry_at, self._failures, self._started = "", "", 0.0, 0, False
        self._thread = threading.Thread(target=self._run, name="cluster", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str:
        return self.link.state.trouble or self._trouble or self._full

    def wake(self) -> None:
        """Something is in the queue."""
        for slot in list(self.slots):
            slot.wake.set()
        self.changed.set()

    def end_run(self, run_id: str) -> None:
        """End the process that does this run, as it does not stop by itself."""
        for slot in list(self.slots):
            slot.end_run(run_id)

    def leave(self) -> None:
        """Mark what goes on as interrupted, and have the child leave the cluster and end."""
        self._end_runs()  # before anything stops, or it would read as if a person had stopped it
        self.leaving.set()
        for slot in list(self.slots):
            slot.leave()
        self.link.ask("leave")
        self.changed.set()

    def join(self) -> None:
        """Wait for its threads, once the child has ended."""
        self._thread.join(2 * SECONDS_TO_END)

    # --- the thread

    def _run(self) -> None:
        while not self.leaving.is_set() and not self.link.over:
            try:
                self._look_at_all(time.monotonic())
            except (StoreError, OSError):
                pass  # a full disk or memory may be free at the next look
            except Exception as error:  # a mistake of ours: the engine begins anew with another child
                traceback.print_exc()
                self.link.ask("lose", f" ({reason(error)})")
            self.changed.wait(SECONDS_PER_LOOK)
            self.changed.clear()
        self.pids = ()
        if self._looking is not None:
            end(self._looking)
        for slot in self.slots:
            slot.join(SECONDS_TO_END)
        if all(slot.over for slot in self.slots):
            self.store.close()

    def _look_at_all(self, now: float) -> None:
        if now - self._beaten >= SECONDS_PER_HEARTBEAT:
            self._beaten = now
            self.store.heartbeat(self.name)
        self._look_back()
        if self.link.state.joined:
            self._look(now)

    def _end_runs(self) -> None:
        with suppress(StoreError):  # then the next server finds them silent
            self.store.end_runs_of(self.name, "interrupted", INTERRUPTED)

    def _look(self, now: float) -> None:
        """Start and give back places as the queue wants them, and say how it stands."""
        self._count(now)
        for slot in [slot for slot in self.slots if slot.over]:
            self.slots.remove(slot)
            if slot.lost:
                self._failed(slot)
            if slot.trouble:
                self._trouble, self._retry_at = slot.trouble, now + SECONDS_BETWEEN_TRIES
        if self._counted > 0 and now >= self._retry_at:
            self._fit()
        ready = [slot.about for slot in self.slots if slot.about is not None]
        if ready:
            self._trouble, self._failures = "", 0
        late = not ready and any(slot.waiting_since is not None and now - slot.waiting_since > SECONDS_TO_START
                                 for slot in self.slots)
        wanted = f"{plural(self.room.cores, 'processor core')}{' and a GPU' if self.room.gpus else ''}"
        full = f"The cluster at {self.settings.cluster} has no free machine with {wanted} for a run just now."
        self._full = full if late else ""
        self.pids = tuple(about.pid for about in ready)

    def _count(self, now: float) -> None:
        """How many GPUs the cluster has, and how many cores a run can have; asked without waiting, as a lost one never says."""
        if self._counting is None and now - self._counted > SECONDS_BETWEEN_COUNTS:
            self._counting = self.link.ask("nodes")
            self._counting.add_done_callback(lambda done: self.changed.set())
        if self._counting is not None and self._counting.done():
            counting, self._counting, self._counted = self._counting, None, now
            if counting.exception() is None:
                nodes = counting.result()
                most = max((node.get("CPU", 1) for node in nodes), default=1)
                self.room = Room(round(sum(node.get("GPU", 0) for node in nodes)),
                                 max(1, min(self.settings.cluster_cores, round(most))))

    def _failed(self, slot: Slot) -> None:
        """A place is gone, for a mistake of ours or as Ray can't be used any more: three in a row are no mistake of one run's."""
        self._failures += 1
        if self._failures >= MOST_FAILURES or not answers(self.settings.cluster):
            self.link.ask("lose", f" ({slot.lost})")
        elif slot.run_id:
            self.store.finish(slot.run_id, "failed", f"The run ended with {slot.lost}")

    def _fit(self) -> None:
        kinds = ("cuda", "cpu") if self.room.gpus else ("cpu",)
        takes = dict(zip(kinds, shares(kinds), strict=True))
        for slot in self.slots:  # a machine with a GPU may have come or gone
            slot.takes = takes.get("cuda" if slot.gpu else "cpu", slot.takes)
        if not self._started:  # so that one is warm before anybody presses a button
            self._started = True
            self._start(kinds[0], takes[kinds[0]])
        for kind in kinds:
            waiting = self.store.count_waiting(takes[kind])
            free = [slot for slot in self.slots if slot.is_free and slot.gpu == (kind == "cuda")]
            if waiting <= len(free):
                continue
            if len(self.slots) < self.settings.workers:
                self._start(kind, takes[kind])
            else:
                idle = next((slot for slot in self.slots if slot.is_free and slot.gpu != (kind == "cuda")), None)
                if idle is not None:
                    idle.leave()

    def _start(self, kind: str, takes: tuple[str, ...]) -> None:
        if self.settings.workers:
            self.slots.append(Slot(self.link, self.name, self.store, self.settings, self.known, kind == "cuda", takes,
                                   lambda: self.room, lambda: len(self.slots), self.changed.set))

    def _look_back(self) -> None:
        """What training images look like to a network that somebody looks at is worked out here, in a process of its own, as
        nobody would start a machine for a second or two. For other runs it is left until somebody does."""
        if self._looking is not None and self._looking.poll() is None:
            return
        if (run_id := take_wanted(self.store)) is not None:
            places = [str(place) for place in (self.settings.data_dir, self.settings.runs_dir, self.settings.cache_dir)]
            nowhere = subprocess.DEVNULL
            self._looking = start(*configured("training", "core.cluster.dispatcher", json.dumps([run_id, *places])),
                                  own_group=True, stdin=nowhere, stdout=nowhere, stderr=nowhere)


def main() -> None:
    """The process that _look_back() starts."""
    if hasattr(os, "nice"):
        os.nice(10)
    run_id, data, runs, cache = json.loads(sys.argv[1])
    settings = Settings(Path(data), Path(runs), Path(cache))
    finish(look_back_at(RunStore(settings.runs_dir, SECONDS_OF_PATIENCE), run_id, settings, is_wanted=True))


if __name__ == "__main__":
    main()
