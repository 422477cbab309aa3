"""LocalEngine: training processes on this machine, kept warm, watched and replaced."""

import atexit
import contextlib
import copy
import hashlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO, Protocol, Self
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from core.actors import Actor
from core.config import RunConfig
from core.data import DataError, outline, spec_of
from core.devices import shares, training_devices
from core.errors import reason
from core.limits import NO_LIMITS
from core.models import ModelError, build
from core.models.pretrained import IMAGENET
from core.process import configured
from core.runs.checkpoints import CheckpointError, check_can_go_on
from core.runs.database import LITTLE, StoreBusy, StoreError
from core.runs.deleting import delete_run, remove_discarded
from core.runs.limits import check_size, minutes
from core.runs.looks import check_suits, watched_images
from core.runs.records import Going, Run, RunNotFound
from core.runs.rights import check_data, check_server
from core.runs.since import Since, Total
from core.runs.starting import GONE
from core.runs.store import RunStore
from core.runs.store_queue import INTERRUPTED
from core.runs.sweep_records import TrialOf
from core.settings import Settings
from core.subprocesses import end, start
from core.training import InterventionError, outputs_for
from core.training.by_hand import check_edit

SECONDS_PER_LOOK = 0.25
SECONDS_TO_STOP = 1.5  # a run that was asked to stop and hasn't by then is ended with its process
SECONDS_OF_SILENCE = 4.0  # of a worker that beats once a second and isn't ours to watch
SECONDS_BETWEEN_STARTS = 5.0  # of a worker that keeps dying
SECONDS_OF_PAUSE = 60.0  # while another run waits; with nobody waiting a pause has no end
DIED = "The training process died"  # how the message of a run begins whose worker did
SECONDS_BETWEEN_TRIES = 2.0  # to write where the store could only be read
SECONDS_KEPT = 86_400.0  # of a deleted run, which can be brought back until then
Images = Tensor | np.ndarray  # (N, C, H, W) float in [0, 1]


class Engine(Protocol):
    """What runs need from whoever does them: this machine, or later a cluster."""

    store: RunStore

    @property
    def capacity(self) -> int: ...
    def as_actor(self, actor: Actor) -> Self: ...
    def in_lesson(self, code: str) -> Self: ...
    def submit(self, config: RunConfig, owner: str, title: str = "", key: str | None = None, paused: bool = False,
               pace: float = 0.0, watch: Images | None = None) -> str: ...
    def submit_seeds(self, config: RunConfig, owner: str, count: int, title: str = "", key: str | None = None,
                     watch: Images | None = None) -> list[str]: ...
    def submit_trial(self, config: RunConfig, owner: str, trial: TrialOf, title: str = "") -> str: ...
    def find_rate(self, config: RunConfig, owner: str) -> str: ...
    def resume(self, run_id: str, more_epochs: int = 0) -> None: ...
    def pause(self, run_id: str, pause: bool = True) -> None: ...
    def step(self, run_id: str, count: int = 1) -> None: ...
    def set_learning_rate(self, run_id: str, learning_rate: float) -> None: ...
    def set_weight(self, run_id: str, layer: str, row: int, column: int | None, value: float) -> None: ...
    def set_pace(self, run_id: str, seconds_per_epoch: float) -> None: ...
    def cancel(self, run_id: str) -> None: ...
    def move_to_front(self, run_id: str) -> None: ...
    def status(self, run_id: str) -> Run: ...


@dataclass
class Process:
    """One worker process."""

    name: str
    popen: subprocess.Popen[bytes]
    started: float
    device: str
    told: bool = False  # that it has ended is known, and its run is being ended

    def wake(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has just died, or the engine was closed; the run waits in the queue
            assert self.popen.stdin is not None
            self.popen.stdin.write(b"\n")
            self.popen.stdin.flush()


class LocalEngine:
    """Runs in worker processes on this machine, with the store as their queue.

    Starts its workers at once, so that torch is imported before anybody presses a button. Close it, or use it as a context
    manager; workers also end by themselves when this process does, however it ends.

    Each has a device of its own: see core.devices.training_devices(). Which runs it takes is in core.devices.shares(). While the
    store can only be read there are none, as what can't be written down can't be trained; they start as soon as it can be.

    Who asks is its store's actor: see RunStore. Every method raises NotYours for what is somebody else's to do.
    """

    def __init__(self, store: RunStore, settings: Settings | None = None, devices: Sequence[str] | None = None) -> None:
        """devices: of its workers, such as ("cuda:0", "cpu"); if None, those of this machine."""
        self.store = store
        # the workers look into this store, whatever the environment says
        self.settings = replace(settings or Settings.from_environment(), runs_dir=store.path.absolute())
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._silent, self._paused, self._stopping = Since(), Since(), Since()
        self._trained, self._rested = Total(), Total()
        self._gone: list[tuple[str, str]] = []  # workers whose runs are still to be ended, and why
        self.store.keep_spare()
        with contextlib.suppress(StoreError):  # files that can't be removed stay
            remove_discarded(self.store, self.settings.data_dir, SECONDS_KEPT)
        self._devices = tuple(training_devices(self.settings.workers) if devices is None else devices)
        self._takes = dict(zip(self._devices, shares(self._devices), strict=True))
        self._workers: list[Process] = []  # one list for all views of this engine
        self._tried = -SECONDS_BETWEEN_TRIES
        self._start_workers()
        self._monitor = threading.Thread(target=self._watch, name="engine-monitor", daemon=True)
        self._monitor.start()
        atexit.register(self.close)

    def __enter__(self) -> "LocalEngine":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _check(self, config: RunConfig) -> None:
        """Raises NotYours for another's data, LimitReached for what is too large for one person on this server. What is wrong
        with the config itself, the run says."""
        actor = self.store.actor
        check_data(actor, config.data, self.settings.data_dir)
        if actor.limits != NO_LIMITS:
            with contextlib.suppress(DataError, ModelError):
                parameters = sum(p.numel() for p in self._shape_of(config).parameters())
                check_size(actor, config, self.settings.data_dir, parameters)

    def _check_new(self, config: RunConfig) -> None:
        """The same of a run that has not begun, and StoreError where the run whose weights it would start from is gone. That one
        may be anybody's: who has its address may open it."""
        self._check(config)
        start_from = config.training.start_from
        if start_from and start_from != IMAGENET:
            try:
                self.store.get(start_from)
            except RunNotFound:
                raise StoreError(GONE) from None

    def as_actor(self, actor: Actor) -> "LocalEngine":
        """The same engine as somebody may use it. Raises NotYours where it is already somebody's."""
        view = copy.copy(self)
        view.store = self.store.as_actor(actor)
        return view

    def in_lesson(self, code: str) -> "LocalEngine":
        """The same engine, which starts its runs in a lesson: see RunStore.in_lesson()."""
        view = copy.copy(self)
        view.store = self.store.in_lesson(code)
        return view

    def submit(self, config: RunConfig, owner: str, title: str = "", key: str | None = None, paused: bool = False,
               pace: float = 0.0, watch: Images | None = None) -> str:
        """Queue a run; its id. The same owner and key give the same run while it is active, so a double click makes one.

        paused: it waits before its first step. pace: seconds that an epoch should take at least, to watch a short training.
        watch: a few images that its network answers again and again while it learns, kept with the run and of no influence on
        its training; RunStore.looks(run_id, "watch") has the answers.

        Raises StoreError where the runs directory can't be written to, WatchError for images that the run can't watch.
        """
        self._check_new(config)
        watch = self._watchable(config, watch)
        run_id = self.store.create(config, owner, title, key, paused=paused, pace=pace, watch=watch)
        self.wake()
        return run_id

    def shared_run(self, config: RunConfig) -> str | None:
        """The id of a run in this engine's lesson that is what these settings would come to; None where they are to be trained:
        see RunStore.shared_run(). Raises NotYours for another's data, as submit()."""
        check_data(self.store.actor, config.data, self.settings.data_dir)
        return self.store.shared_run(config)

    def submit_seeds(self, config: RunConfig, owner: str, count: int, title: str = "", key: str | None = None,
                     watch: Images | None = None) -> list[str]:
        """Queue `count` runs that differ by their seed alone, from the config's seed on; their ids. watch: as in submit(), for
        each of them. Raises StoreError, WatchError, and ConfigError where a seed would be too large."""
        self._check_new(config)
        watch = self._watchable(config, watch)
        first = config.training.seed
        runs = [(config.with_values({"training.seed": seed}), f"{title} · seed {seed}") for seed in range(first, first + count)]
        ids = self.store.create_group(runs, owner, key, watch)
        self.wake()
        return ids

    def submit_trial(self, config: RunConfig, owner: str, trial: TrialOf, title: str = "") -> str:
        """Queue a trial of a search; its id. The run that is this trial already, where there is one. Raises StoreError."""
        self._check(config)
        run_id = self.store.create_trial(config, owner, trial, title)
        self.wake()
        return run_id

    @property
    def capacity(self) -> int:
        """How many runs are done at once."""
        return len(self._workers)

    def _watchable(self, config: RunConfig, images: Images | None) -> Tensor | None:
        """The images as they are kept, once it is known that a run of this config can watch them. Raises WatchError."""
        if images is None:
            return None
        checked = watched_images(images)
        check_suits(checked, config.data, self.settings.data_dir)
        return checked

    def find_rate(self, config: RunConfig, owner: str) -> str:
        """Queue a learning-rate range test; its id. It is no training: RunStore.runs() lists it only where asked to.

        What earlier tests of this owner found is forgotten. Raises StoreError.
        """
        self._check_new(config)
        for run in self.store.runs(kinds=["range_test"]):
            if run.owner == owner and not run.is_active:
                delete_run(self.store, run.id, self.settings.data_dir)
        key = hashlib.sha256(f"range test of {config.model_dump_json()}".encode()).hexdigest()
        run_id = self.store.create(config, owner, "Learning-rate finder", key, kind="range_test")
        self.wake()
        return run_id

    def wake(self) -> None:
        """Tell the workers that there is something in the queue."""
        with self._lock:
            for worker in self._workers:
                worker.wake()

    def resume(self, run_id: str, more_epochs: int = 0) -> None:
        """Go on with a run that has ended, from its last checkpoint, for more epochs if wanted.

        With the same number of epochs it continues as if it had never stopped. Raises RunNotFound, StoreError while it is
        active, ConfigError where there would be too many epochs, and CheckpointError where it can't go on: its result stays as it
        was then.
        """
        run = self.store.get(run_id)
        self.store.check_change(run_id)
        config = run.config.with_values({"training.epochs": run.config.training.epochs + more_epochs})
        self._check(config)
        if not run.is_active:
            try:
                if not spec_of(config.data.dataset, self.settings.data_dir).is_available(self.settings.data_dir):
                    raise DataError("its data set is not on this machine any more.")
                check_can_go_on(self.store, run_id, self._shape_of(run.config))
            except (CheckpointError, DataError, ModelError) as error:
                raise CheckpointError(f"This run can't go on, and stays as it is: {reason(error)}") from None
        self.store.requeue(run_id, config)
        self.wake()

    def pause(self, run_id: str, pause: bool = True) -> None:
        """Let a running run wait after its next step, or go on. Raises RunNotFound."""
        self.store.set_pause(run_id, pause)

    def step(self, run_id: str, count: int = 1) -> None:
        """Let a paused run take one step, or so many, and wait again. Raises RunNotFound."""
        self.store.request_step(run_id, count)

    def set_learning_rate(self, run_id: str, learning_rate: float) -> None:
        """Another learning rate from the run's next step on, which is part of the run as in set_weight(); a run that is resumed
        goes on with it. Raises RunNotFound and ConfigError."""
        self.store.set_learning_rate(run_id, learning_rate)

    def set_weight(self, run_id: str, layer: str, row: int, column: int | None, value: float) -> None:
        """Set one weight of a run that is going or paused, before its next step; at once while it is paused. It is part of the
        run from then on: RunStore.interventions() names it.

        layer: a module's name in the network. row, column: place in its weight, rows being outputs; without a column, in its
        bias. Several at once are done in their order. Raises RunNotFound, and InterventionError for a weight that the network
        does not have, a value that is not finite or too large, and a run that is not going.
        """
        run = self.store.get(run_id)
        self.store.check_change(run_id)
        try:
            model = self._shape_of(run.config)
        except (DataError, ModelError) as error:  # somebody has removed its data set meanwhile
            raise InterventionError(reason(error)) from None
        self.store.request_edit(run_id, check_edit(model, layer, row, column, value))

    def _shape_of(self, config: RunConfig) -> torch.nn.Module:
        """A run's network without numbers. Raises DataError, ModelError."""
        data = outline(config.data, self.settings.data_dir)
        with torch.device("meta"):
            return build(config.model, data.input_shape, outputs_for(config, len(data.source_classes)))

    def set_pace(self, run_id: str, seconds_per_epoch: float) -> None:
        """Let each epoch take so many seconds at least; 0 is as fast as it goes. Raises RunNotFound."""
        self.store.set_pace(run_id, seconds_per_epoch)

    def cancel(self, run_id: str) -> None:
        """Stop a run within two seconds; what it has learned so far is kept. Raises RunNotFound."""
        self.store.request_stop(run_id)

    def move_to_front(self, run_id: str) -> None:
        """Let a run that waits be the next one. Raises RunNotFound, and NotYours for anybody but a teacher and this machine."""
        self.store.move_to_front(run_id)

    def status(self, run_id: str) -> Run:
        """Raises RunNotFound."""
        return self.store.get(run_id)

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
        with self._lock:
            for worker in self._workers:
                end(worker.popen)  # first, so that it can't take another run after its own is marked
                with contextlib.suppress(StoreError):
                    self.store.end_runs_of(worker.name, "interrupted", INTERRUPTED)

    def _spawn(self, device: str) -> Process:
        """Start a worker. `multiprocessing` would run Streamlit's script again in the child, so it is a command."""
        name = f"{socket.gethostname()}:{uuid4().hex[:12]}"
        s = self.settings
        log: IO[bytes] | int
        try:
            log = (self.store.path / "worker.log").open("ab")
        except OSError:
            log = subprocess.DEVNULL
        popen = start(*configured("training", "core.runs.worker", name, str(s.runs_dir), str(s.data_dir), str(s.cache_dir),
                                  str(s.workers), str(int(s.cuda_graphs)), str(s.disk_budget), s.sink, str(int(s.hosted)), device,
                                  ",".join(self._takes[device])),
                      stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log,
                      own_group=True)  # Ctrl-C in the terminal is for the server; the lifeline ends the worker
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
                    self._gone.append((worker.name, f"{DIED} ({describe_exit(code)}){self._why()}. Weights of "
                                       "the last full epoch were kept, if any."))
                if time.monotonic() - worker.started >= SECONDS_BETWEEN_STARTS:
                    self._workers[index] = self._spawn(worker.device)

    def _why(self) -> str:
        """What else may have ended a process."""
        full = shutil.disk_usage(self.store.path).free < LITTLE
        return ", and the disk with the runs folder is full" if full else ""

    def _end_runs_of_dead(self) -> None:
        """Where that can't be written down, it is tried again at the next look."""
        while self._gone:
            self.store.end_runs_of(self._gone[0][0], "failed", self._gone[0][1])
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
        ours = {worker.name for worker in self._workers}
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


def describe_exit(code: int) -> str:
    """How a process ended, for people. Negative codes are signals: −9 is what the system sends when memory runs out."""
    if code == -9:
        return "ended by the system, most often because memory ran out"
    return f"signal {-code}" if code < 0 else f"exit code {code}"
