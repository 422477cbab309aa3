"""Places on the cluster where runs are done, one after another: each is an actor of Ray's and a thread here that feeds it."""

import platform
import re
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch

from core.cluster.data_files import KnownFiles
from core.cluster.delegate import Delegate, is_ours
from core.cluster.messages import About, News
from core.cluster.worker import actor_class
from core.errors import reason
from core.runs.database import StoreError
from core.runs.engine import DIED
from core.runs.outlet import outlet_of
from core.runs.records import Run
from core.runs.space import keep_within
from core.runs.store import RunStore
from core.settings import Settings

MOST_DEATHS = 3  # of a run's processes one after another without any step between
SECONDS_IDLE = 300.0  # then a place is given back to the cluster, which may switch the machine off
SECONDS_PER_LOOK = 0.25  # whether a run's process is to be ended


class WorkerGone(Exception):
    """The process on the cluster has died, or its machine has; the message is one line."""


class OtherVersions(Exception):
    """The cluster's Python or PyTorch is another one than here; the message is one line."""


class Slot:
    """gpu: whether it asks for one. takes: the devices that its runs may ask for, see core.devices.shares().

    about: the process, once it is there. run_id: what it does now, "" while it waits. waiting_since: for the cluster to give it a
    place; None once it has one. trouble: why it is over, in one line; lost: the same, where the cluster may be gone altogether.
    """

    def __init__(self, ray: Any, name: str, store: RunStore, settings: Settings, known: KnownFiles, gpu: bool, cores: int,
                 takes: Sequence[str], changed: Callable[[], None]) -> None:
        self.ray, self.name, self.store, self.settings, self.known = ray, name, store, settings, known
        self.gpu, self.cores, self.takes, self.changed = gpu, cores, takes, changed
        self.about: About | None = None
        self.run_id, self.trouble, self.lost = "", "", ""
        self.waiting_since: float | None = time.monotonic()
        self.idle_since = time.monotonic()
        self.over, self.leaving, self.wake = False, threading.Event(), threading.Event()
        self._actor: Any = None
        self._to_end = ""  # a run whose process is to be ended
        self._thread = threading.Thread(target=self._run, name="slot", daemon=True)
        self._thread.start()

    @property
    def is_free(self) -> bool:
        """Whether it will take the next run: it waits for one, or for its process."""
        return not self.run_id and not self.leaving.is_set() and not self.over

    def end_run(self, run_id: str) -> None:
        """End the process that does this run, if that is here: it does not stop by itself."""
        if self.run_id == run_id:
            self._to_end = run_id

    def leave(self) -> None:
        """Give the place back, once the run that is going has ended."""
        self.leaving.set()
        self.wake.set()

    # --- the thread

    def _run(self) -> None:
        try:
            while not self.leaving.is_set():
                self._ensure_actor()
                self.wake.clear()
                run = self._next()
                if run is None:
                    if time.monotonic() - self.idle_since > SECONDS_IDLE:
                        break
                    self.wake.wait(1.0)
                    continue
                self._do(run)
                self.run_id, self._to_end, self.idle_since = "", "", time.monotonic()
        except (WorkerGone, OtherVersions) as error:
            self.trouble = reason(error)
        except Exception as error:  # a mistake of ours, or of the cluster, which is left then
            self.lost = reason(error)
            if not self.leaving.is_set():
                traceback.print_exc()
        finally:
            self._kill()
            self.over = True
            self.changed()

    def _ensure_actor(self) -> None:
        """Have the cluster start a process, where there is none: it may take as long as it takes to start a machine. Raises
        WorkerGone, OtherVersions."""
        if self._actor is not None:
            return
        self.waiting_since = time.monotonic()
        options = {"num_cpus": self.cores, "num_gpus": 1 if self.gpu else 0}
        self._actor = actor_class(self.ray).options(**options).remote(self.gpu, self.cores, self.settings.cuda_graphs)
        try:
            about: About = self._get(self._actor.about.remote())
        except WorkerGone as gone:
            raise WorkerGone(f"A training process can't be started on the cluster: {gone}") from None
        check_versions(about)
        self.about, self.waiting_since = about, None
        self.changed()

    def _next(self) -> Run | None:
        with suppress(StoreError):
            run = self.store.claim(self.name, self.takes)
            self.run_id = run.id if run is not None else ""
            return run
        return None

    def _do(self, run: Run) -> None:
        """Have a run done; where its process dies, by another one from the run's last checkpoint on."""
        deaths, step = 0, run.step
        with outlet_of(self.store, run, self.settings) as outlet:
            while True:
                try:
                    self._ensure_actor()
                    self._follow(Delegate(self.store, run, self.known, outlet, self.ray.put))
                    break
                except WorkerGone as gone:
                    if not is_ours(self.store, run.id, self.name):
                        break
                    run = self.store.get(run.id)
                    deaths, step = (1, run.step) if run.step > step else (deaths + 1, step)
                    if run.stop_requested is not None:
                        self.store.finish(run.id, "stopped", "Stopped.")
                        break
                    if deaths >= MOST_DEATHS:
                        self.store.finish(run.id, "failed", f"{DIED} {deaths} times on the cluster ({gone}). Weights of the last "
                                          "full epoch were kept, if any.")
                        break
        with suppress(StoreError, OSError):
            keep_within(self.store, self.settings.disk_budget, self.settings.data_dir)

    def _follow(self, delegate: Delegate) -> None:
        """From the start of a run to its end. Raises WorkerGone."""
        run = delegate.run
        try:
            files, data = delegate.files(), self.known.of(run.config)
        except OSError as error:
            self.store.finish(run.id, "failed", f"A file can't be read: {reason(error)}.")
            return
        self._get(self._actor.start.remote(run, files, data, delegate.order()))
        while True:
            news: News = self._get(self._actor.exchange.remote(delegate.order()))
            delegate.take(news)
            if news.ended:
                break
        if not delegate.finished and is_ours(self.store, run.id, self.name):
            self.store.finish(run.id, "failed", f"The run ended with {news.error or 'no result'}")

    def _get(self, reference: Any) -> Any:
        """What a call of the actor came to. Raises WorkerGone where that has died, or was ended because its run does not stop."""
        try:
            while not self.ray.wait([reference], timeout=SECONDS_PER_LOOK)[0]:
                if self._to_end and self._to_end == self.run_id:
                    self._kill()
                    raise WorkerGone("ended, as it did not stop")
            return self.ray.get(reference)
        except self.ray.exceptions.RayActorError as error:
            self._kill()
            raise WorkerGone(cause_of(error)) from None

    def _kill(self) -> None:
        if self._actor is not None:
            with suppress(Exception):  # it has died already, or the cluster is gone
                self.ray.kill(self._actor)
        self._actor, self.about = None, None


def cause_of(error: Exception) -> str:
    """Why an actor has died, in one line: the error that ended it, which Ray puts last, or what Ray says first."""
    last = str(error).strip().rpartition("\n")[2].strip()
    return last if re.match(r"[A-Za-z_.]*(Error|Exception)\b", last) else reason(error).removesuffix(".")


def check_versions(about: About) -> None:
    """Raises OtherVersions where the cluster has another Python or PyTorch: a run would not be what it is here."""
    here = {"Python": platform.python_version_tuple()[:2], "PyTorch": torch.__version__.partition("+")[0]}
    there = {"Python": tuple(about.python.split(".")[:2]), "PyTorch": about.torch.partition("+")[0]}
    for name, own in here.items():
        if there[name] != own:
            theirs, ours = (version if isinstance(version, str) else ".".join(version) for version in (there[name], own))
            raise OtherVersions(f"The cluster has {name} {theirs}, and this server {ours}: install the same there, as "
                                "requirements.txt says.")
