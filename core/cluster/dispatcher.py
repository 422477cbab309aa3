"""Joins a Ray cluster and has it do the runs of the queue. A child process of the server, started and watched by RayEngine.

It runs as `python -m core.process other core.cluster.dispatcher NAME SETTINGS`, settings as JSON. Its standard input is the
lifeline, as a worker's is: an empty line says that something is in the queue, `end RUN` that a run's process is to be ended, and
its end that the server is gone. On its standard output it writes what it is at, a line of JSON each time that changes: see State.
"""

import json
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from core.cluster.connection import CannotJoin, answers, join
from core.cluster.data_files import KnownFiles
from core.cluster.slots import Slot
from core.devices import shares
from core.errors import reason
from core.runs.database import StoreError
from core.runs.ood_reference import take_wanted
from core.runs.store import RunStore
from core.runs.store_queue import INTERRUPTED
from core.runs.worker import (
    SECONDS_BEFORE_LOOKING_BACK,
    SECONDS_OF_PATIENCE,
    SECONDS_PER_HEARTBEAT,
    look_back_at,
)
from core.settings import Settings

SECONDS_PER_LOOK = 0.25
SECONDS_BETWEEN_TRIES = 5.0  # to join
SECONDS_TO_JOIN = 20.0  # then it is said that nothing has come of it yet
NO_RAY_THERE = "Something answers at {}, but not as a Ray cluster does. Look whether RAY_ADDRESS is right."
SECONDS_PER_PING, SECONDS_OF_SILENCE = 2.0, 8.0  # of the cluster's address; after these it is lost
SECONDS_TO_START = 20.0  # of a process on the cluster; then it is said that the cluster has no room for it
SECONDS_BETWEEN_COUNTS = 10.0  # of the cluster's GPUs and cores
MOST_FAILURES = 3  # of places, one after another
LOST = ("The cluster was lost while this run was going. Weights of its last full epoch were kept, if any; “Continue” goes on "
        "from there.")
SECONDS_TO_LEAVE = 60.0  # at most
LOST_CODE = 3  # exit code once runs have been marked


@dataclass(frozen=True)
class State:
    """trouble: why the queue waits, in one line; "" where it does not. pids: of the processes on the cluster. joined: whether it
    has been joined."""

    trouble: str = ""
    pids: tuple[int, ...] = ()
    joined: bool = False


class Dispatcher:
    """output: where lines of State go."""

    def __init__(self, name: str, settings: Settings, output: TextIO) -> None:
        self.name, self.settings, self.output = name, settings, output
        self.store = RunStore(settings.runs_dir, SECONDS_OF_PATIENCE, in_turns=settings.hosted)
        self.known = KnownFiles(settings.data_dir)
        self.changed, self.leaving = threading.Event(), threading.Event()
        self.slots: list[Slot] = []
        self.ray: Any = None
        self.gpus, self.cores = 0, 1
        self._said: State | None = None
        self._counted, self._retry_at = -SECONDS_BETWEEN_COUNTS, 0.0
        self._trouble, self._failures, self._started = "", 0, False

    def run(self) -> None:
        for loop in (self.watch_lifeline, self.beat, self.look_back):
            threading.Thread(target=loop, daemon=True).start()
        self.join()
        threading.Thread(target=self.listen, daemon=True).start()
        while not self.leaving.is_set():
            self.look()
            self.changed.wait(SECONDS_PER_LOOK)
            self.changed.clear()
        time.sleep(SECONDS_TO_LEAVE)  # watch_lifeline() ends the process

    # --- the cluster

    def join(self) -> None:
        """Until it has been joined."""
        while self.ray is None and not self.leaving.is_set():
            silent = threading.Timer(SECONDS_TO_JOIN, self.say, [State(NO_RAY_THERE.format(self.settings.cluster))])
            silent.daemon = True
            silent.start()
            try:
                self.ray = join(self.settings.cluster)
            except CannotJoin as error:
                silent.cancel()
                self.say(State(str(error)))
                self.leaving.wait(SECONDS_BETWEEN_TRIES)
            silent.cancel()

    def look(self) -> None:
        """Start and give back places as the queue wants them, and say how it stands."""
        now = time.monotonic()
        if now - self._counted > SECONDS_BETWEEN_COUNTS:
            self._counted = now
            self._count()
        for slot in [slot for slot in self.slots if slot.over]:
            self.slots.remove(slot)
            if slot.lost:
                self._failed(slot)
            if slot.trouble:
                self._trouble, self._retry_at = slot.trouble, now + SECONDS_BETWEEN_TRIES
        with suppress(StoreError):
            self._fit(now)
        ready = [slot for slot in self.slots if slot.about is not None]
        if ready:
            self._trouble, self._failures = "", 0
        late = not ready and any(slot.waiting_since is not None and now - slot.waiting_since > SECONDS_TO_START
                                 for slot in self.slots)
        full = (f"The cluster at {self.settings.cluster} has no free machine with {self.cores} processor cores"
                f"{' and a GPU' if self.gpus else ''} for a run just now.")
        self.say(State(self._trouble or (full if late else ""), tuple(slot.about.pid for slot in ready if slot.about), True))

    def _failed(self, slot: Slot) -> None:
        """A place is gone, for a mistake of ours or as Ray can't be used any more: three in a row are no mistake of one run's."""
        self._failures += 1
        if self._failures >= MOST_FAILURES or not answers(self.settings.cluster):
            self.lose(f" ({slot.lost})")
        with suppress(StoreError):
            if slot.run_id:
                self.store.finish(slot.run_id, "failed", f"The run ended with {slot.lost}")

    def _fit(self, now: float) -> None:
        kinds = ("cuda", "cpu") if self.gpus else ("cpu",)
        takes = dict(zip(kinds, shares(kinds), strict=True))
        if now < self._retry_at:
            return
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
            self.slots.append(Slot(self.ray, self.name, self.store, self.settings, self.known, kind == "cuda", self.cores, takes,
                                   self.changed.set))

    def _count(self) -> None:
        """How many GPUs there are, and how many cores a run can have."""
        nodes = [node.get("Resources", {}) for node in self.ray.nodes() if node.get("Alive")]
        self.gpus = round(sum(node.get("GPU", 0) for node in nodes))
        self.cores = max(1, min(self.settings.cluster_cores, round(max((node.get("CPU", 1) for node in nodes), default=1))))

    def listen(self) -> None:
        """Where nobody has answered for long, the cluster is lost. In a thread of its own, as Ray answers nothing then."""
        heard = time.monotonic()
        while not self.leaving.wait(SECONDS_PER_PING):
            if answers(self.settings.cluster, SECONDS_PER_PING):
                heard = time.monotonic()
            elif time.monotonic() - heard > SECONDS_OF_SILENCE:
                self.lose()
                return

    def lose(self, why: str = "") -> None:
        """End: what has lost a cluster can't join one again. The server starts another process like this."""
        with suppress(StoreError):
            self.store.end_runs_of(self.name, "interrupted", LOST)
        self.say(State(f"The cluster at {self.settings.cluster} was lost{why}."))
        os._exit(LOST_CODE)

    # --- the server

    def say(self, state: State) -> None:
        if state != self._said:
            self._said = state
            self.output.write(json.dumps(asdict(state)) + "\n")
            self.output.flush()

    def watch_lifeline(self) -> None:
        for line in sys.stdin:
            command, _, run_id = line.strip().partition(" ")
            for slot in list(self.slots):
                if command == "end":
                    slot.end_run(run_id)
                slot.wake.set()
            self.changed.set()
        self.end_runs()
        self.leaving.set()
        if self.ray is not None:
            for slot in list(self.slots):
                slot.leave()
            with suppress(Exception):
                self.ray.shutdown()  # which ends the processes on the cluster that are this one's
        self.end_runs()  # one that was taken from the queue in between
        os._exit(0)

    def end_runs(self) -> None:
        with suppress(StoreError):  # then the next server finds them silent
            self.store.end_runs_of(self.name, "interrupted", INTERRUPTED)

    def look_back(self) -> None:
        """What training images look like to a network that somebody looks at is worked out here, as nobody would start a machine
        for a second or two. For other runs it is left until somebody does."""
        while not self.leaving.wait(SECONDS_BEFORE_LOOKING_BACK):
            if (run_id := take_wanted(self.store)) is not None:
                look_back_at(self.store, run_id, self.settings, is_wanted=True)

    def beat(self) -> None:
        while not self.leaving.wait(SECONDS_PER_HEARTBEAT):
            with suppress(StoreError):
                self.store.heartbeat(self.name)


def main() -> None:
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")  # lines of State alone: Ray prints, too
    os.dup2(2, 1)
    name, about = sys.argv[1:]
    values = json.loads(about)
    places = {key: Path(values.pop(key)) for key in ("data_dir", "runs_dir", "cache_dir")}
    dispatcher = Dispatcher(name, Settings(**places, **values), output)
    try:
        dispatcher.run()
    except Exception as error:
        dispatcher.say(State(f"The cluster can't be used: {reason(error)}"))
        raise


if __name__ == "__main__":
    main()
