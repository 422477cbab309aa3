"""LocalEngine: training processes on this machine, kept warm, watched and replaced."""

import atexit
import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO, Self
from uuid import uuid4

from core.devices import shares, training_devices
from core.process import configured
from core.runs.database import LITTLE, StoreBusy, StoreError
from core.runs.deleting import remove_discarded
from core.runs.limits import minutes
from core.runs.records import Going, Status
from core.runs.requests import Requests
from core.runs.rights import check_server
from core.runs.since import Since, Total
from core.runs.store import RunStore
from core.runs.store_queue import INTERRUPTED
from core.settings import Settings
from core.subprocesses import end, start

SECONDS_PER_LOOK = 0.25
SECONDS_TO_STOP = 1.5  # a run that was asked to stop and hasn't by then is ended with its process
SECONDS_OF_SILENCE = 4.0  # of a worker that beats once a second and isn't ours to watch
SECONDS_BETWEEN_STARTS = 5.0  # of a worker that keeps dying
SECONDS_OF_PAUSE = 60.0  # while another run waits; with nobody waiting a pause has no end
DIED = "The training process died"  # how the message of a run begins whose worker did
SECONDS_BETWEEN_TRIES = 2.0  # to write where the store could only be read
SECONDS_KEPT = 86_400.0  # of a deleted run, which can be brought back until then


@dataclass
class Process:
    """One worker process."""

    name: str
    popen: subprocess.Popen[bytes]
    started: float
    device: str
    told: bool = False  # that it has ended is known, and its run is being ended
    busy: bool = False  # with a run, at the last look

    def tell(self, line: str) -> None:
        """Write a line to it; an empty one says that there is something in the queue."""
        with contextlib.suppress(OSError, ValueError):  # it has just died, or the engine was closed; the run waits in the queue
            assert self.popen.stdin is not None
            self.popen.stdin.write(line.encode() + b"\n")
            self.popen.stdin.flush()


class ProcessEngine(Requests):
    """Runs by way of child processes, with the store as their queue: started, watched and replaced here.

    They end by themselves when this process does, however it ends. While the store can only be read there are none, as what can't
    be written down can't be trained; they start as soon as it can be.
    """

    _died = DIED  # how the message of a run begins whose child process did …
    _ended_as: Status = "failed"  # … and how it ends

    @property
    def trouble(self) -> str:
        """Why the queue waits though nothing is going, in one line; "" where it does not."""
        return ""

    def __init__(self, store: RunStore, settings: Settings, devices: Sequence[str]) -> None:
        """devices: a child process for each."""
        self.store = store
        # the children look into this store, whatever the environment says
        self.settings = replace(settings, runs_dir=store.path.absolute())
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._silent, self._paused, self._stopping = Since(), Since(), Since()
        self._trained, self._rested = Total(), Total()
        self._gone: list[tuple[str, str]] = []  # children whose runs are still to be ended, and why
        self.store.keep_spare()
        with contextlib.suppress(StoreError):  # files that can't be removed stay
            remove_discarded(self.store, self.settings.data_dir, SECONDS_KEPT)
        self._devices = tuple(devices)
        self._workers: list[Process] = []  # one list for all views of this engine
        self._tried = -SECONDS_BETWEEN_TRIES
        self._start_workers()
        self._monitor = threading.Thread(target=self._watch, name="engine-monitor", daemon=True)
        self._monitor.start()
        atexit.register(self.close)

    def _start(self, name: str, device: str, log: IO[bytes] | int) -> subprocess.Popen[bytes]:
        """Start the child process of that name for a device."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def capacity(self) -> int:
        """How many runs are done at once."""
        return len(self._workers)

    @property
    def is_resting(self) -> bool:
        """Whether there is a process on this machine that trains nothing just now, and so may answer a lab."""
        return False

    def wake(self) -> None:
        """Tell the workers that there is something in the queue."""
        with self._lock:
            for worker in self._workers:
                worker.tell("")

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers, for people who want to look at them."""
        check_server(self.store.actor)
        with self._lock:
            return [worker.popen.pid for worker in self._workers]

    def close(self) -> None:
        """End the workers and mark what they were doing as interrupted. May be called twice."""
        check_server(self.store.actor)
        if self._closing.is_set():
            return
        self._closing.set()
        atexit.unregister(self.close)
        self._monitor.join(timeout=5)
        self._let_go()
        with self._lock:
            for worker in self._workers:
                end(worker.popen)  # first, so that it can't take another run after its own is marked
                with contextlib.suppress(StoreError):
                    self.store.end_runs_of(worker.name, "interrupted", INTERRUPTED)

    def _let_go(self) -> None:
        """What is to be done before the children are ended."""

    def _spawn(self, device: str) -> Process:
        """Start a worker. `multiprocessing` would run Streamlit's script again in the child, so it is a command."""
        name = f"{socket.gethostname()}:{uuid4().hex[:12]}"
        log: IO[bytes] | int
        try:
            log = (self.store.path / "worker.log").open("ab")
        except OSError:
            log = subprocess.DEVNULL
        popen = self._start(name, device, log)
        if not isinstance(log, int):
            log.close()
        return Process(name, popen, time.monotonic(), device)

    def _watch(self) -> None:
        """Look after the workers until the engine closes."""
        while not self._closing.wait(SECONDS_PER_LOOK):
            for look in (self._start_workers, self._replace_dead, self._end_runs_of_dead, self._look_after_runs,
                         self.store.keep_spare):
                with contextlib.suppress(StoreError, OSError):  # a full disk or memory may be free at the next look
                    look()

    def _start_workers(self) -> None:
        """Once, as soon as the store can be written to."""
        if self._workers or time.monotonic() - self._tried < SECONDS_BETWEEN_TRIES:
            return
        self._tried = time.monotonic()
        if self.store.write_again():
            with self._lock:
                self._workers.extend(self._spawn(device) for device in self._devices)

    def _replace_dead(self) -> None:
        with self._lock:
            for index, worker in enumerate(self._workers):
                code = worker.popen.poll()
                if code is None:
                    continue
                if not worker.told:
                    worker.told = True
                    self._gone.append((worker.name, self._how_it_died(code)))
                if time.monotonic() - worker.started >= SECONDS_BETWEEN_STARTS:
                    self._workers[index] = self._spawn(worker.device)

    def _how_it_died(self, code: int) -> str:
        """What is said of the run of a child process that has ended with this exit code."""
        full = shutil.disk_usage(self.store.path).free < LITTLE
        also = ", and the disk with the runs folder is full" if full else ""
        return f"{self._died} ({describe_exit(code)}){also}. Weights of the last full epoch were kept, if any."

    def _end_runs_of_dead(self) -> None:
        """Where that can't be written down, it is tried again at the next look."""
        while self._gone:
            self.store.end_runs_of(self._gone[0][0], self._ended_as, self._gone[0][1])
            self._gone.pop(0)

    def _look_after_runs(self) -> None:
        """End what does not stop, what nobody does any more, and pauses that keep others waiting.

        How long that has been so is measured here, by this process's own clock: times in the store are other machines' too.
        """
        going = self.store.going()
        self._end_unwilling([run for run in going if run.stop_requested is not None
                             and self._stopping.seconds(run.id, run.stop_requested) >= SECONDS_TO_STOP])
        self.store.make_room({run.id: run.paused for run in going if run.paused is not None and run.stop_requested is None
                              and self._paused.seconds(run.id, run.paused) >= SECONDS_OF_PAUSE})
        self._end_over_limits(going)
        ours, doing = {worker.name for worker in self._workers}, {run.worker for run in going}
        for worker in list(self._workers):
            worker.busy = worker.name in doing
        try:
            self.store.end_abandoned({run.id: run.heartbeat for run in going if run.worker not in ours
                                      and self._silent.seconds(run.id, run.heartbeat) >= SECONDS_OF_SILENCE})
        except StoreBusy:  # nobody could have said anything
            self._silent.clear()
        for since in (self._stopping, self._paused, self._silent, self._trained, self._rested):
            since.keep({run.id for run in going})

    def _end_over_limits(self, going: list[Going]) -> None:
        """Stop runs that have trained for as long as they may, or have kept others waiting by their pauses for long: in all, as a
        single step now and then would begin any one pause anew."""
        others_wait = any(run.most_pause for run in going) and self.store.others_wait()
        for run in going:
            trained = run.seconds + self._trained.seconds(run.id, run.paused is None)
            rested = self._rested.seconds(run.id, run.paused is not None and others_wait)
            if run.stop_requested is not None:
                continue
            if run.most_seconds and trained >= run.most_seconds:
                self.store.stop_over_limit(run.id, f"Stopped after {minutes(run.most_seconds)} of training, the limit for one "
                                           "run on this server. What it has learned is kept.")
            elif run.most_pause and rested >= run.most_pause:
                self.store.stop_over_limit(run.id, f"Stopped after {minutes(run.most_pause)} of pause in all while others were "
                                           "waiting, the limit on this server. “Continue” goes on from where it was.")

    def _end_unwilling(self, late: list[Going]) -> None:
        """End the process of a run that does not stop: it may be in a very long step, or in a library that hangs."""
        for run in late:
            with self._lock:
                for index, worker in enumerate(self._workers):
                    if worker.name == run.worker:
                        end(worker.popen)
                        # "Stopped." where that was asked for; it may have ended that run just now and begun another
                        self.store.end_runs_of(worker.name, "interrupted", "Its process was ended with another run.")
                        self._workers[index] = self._spawn(worker.device)


class LocalEngine(ProcessEngine):
    """Runs in worker processes on this machine, with the store as their queue.

    Starts its workers at once, so that torch is imported before anybody presses a button. Close it, or use it as a context
    manager.

    Each has a device of its own: see core.devices.training_devices(). Which runs it takes is in core.devices.shares().
    """

    def __init__(self, store: RunStore, settings: Settings | None = None, devices: Sequence[str] | None = None) -> None:
        """devices: of its workers, such as ("cuda:0", "cpu"); if None, those of this machine."""
        settings = settings or Settings.from_environment()
        devices = tuple(training_devices(settings.workers) if devices is None else devices)
        self._takes = dict(zip(devices, shares(devices), strict=True))
        super().__init__(store, settings, devices)

    @property
    def is_resting(self) -> bool:
        return any(not worker.busy and worker.popen.poll() is None for worker in list(self._workers))

    def _start(self, name: str, device: str, log: IO[bytes] | int) -> subprocess.Popen[bytes]:
        s = self.settings
        return start(*configured("training", "core.runs.worker", name, str(s.runs_dir), str(s.data_dir), str(s.cache_dir),
                                 str(s.workers), str(int(s.cuda_graphs)), str(s.disk_budget), s.sink, str(int(s.hosted)), device,
                                 ",".join(self._takes[device])),
                     stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log,
                     own_group=True)  # Ctrl-C in the terminal is for the server; the lifeline ends the worker


def describe_exit(code: int) -> str:
    """How a process ended, for people. Negative codes are signals: −9 is what the system sends when memory runs out."""
    if code == -9:
        return "ended by the system, most often because memory ran out"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
