"""Places on the cluster where runs are done, one after another: each is an actor of Ray's and a thread here that feeds it."""

import platform
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from core.cluster.data_files import KnownFiles
from core.cluster.delegate import Delegate, is_ours
from core.cluster.link import Link, LinkLost, Place
from core.cluster.messages import About, News, PlaceGone
from core.cluster.wire import packed, unpacked
from core.errors import reason
from core.runs.database import StoreError
from core.runs.engine import DIED
from core.runs.outlet import Outlet, outlet_of
from core.runs.records import Run
from core.runs.space import keep_within
from core.runs.store import RunStore
from core.settings import Settings

MOST_DEATHS = 3  # of a run's processes one after another without any step between
SECONDS_IDLE = 300.0  # then a place is given back to the cluster, which may switch the machine off
SECONDS_PER_LOOK = 0.25  # whether a run's process is to be ended
AS_IT_COMES = 16  # runs at once of which the server hears what they say as they say it: each costs it 0.6 % of a core
MOST_BETWEEN = 0.8  # seconds; a run has to hear that it should stop before the engine ends its process


@dataclass(frozen=True)
class Room:
    """What a cluster has: GPUs in all, and processor cores that a run can have."""

    gpus: int = 0
    cores: int = 1


def seconds_between(runs: int) -> float:
    """How long the server leaves a run alone between hearing what it has to say, where so many are done at once: pages that
    somebody waits for are drawn by the same process."""
    return min(MOST_BETWEEN, 0.02 * max(0, runs - AS_IT_COMES))


class OtherVersions(Exception):
    """The cluster's Python or PyTorch is another one than here; the message is one line."""


class Slot:
    """gpu: whether it has one, or asks for one. takes: the devices that its runs may ask for, see core.devices.shares().

    about: the process, once it is there. run_id: what it does now, "" while it waits. waiting_since: for the cluster to give it a
    place; None once it has one. trouble: why it is over, in one line; lost: the same, where the cluster may be gone altogether.
    """

    def __init__(self, link: Link, name: str, store: RunStore, settings: Settings, known: KnownFiles, gpu: bool,
                 takes: Sequence[str], room: Callable[[], Room], runs: Callable[[], int], changed: Callable[[], None]) -> None:
        """room: of the cluster, as it is just now. runs: how many are done at once. changed: called where about or over is
        another."""
        self.link, self.name, self.store, self.settings, self.known = link, name, store, settings, known
        self.gpu, self.takes, self.room, self.runs, self.changed = gpu, takes, room, runs, changed
        self.about: About | None = None
        self.run_id, self.trouble, self.lost = "", "", ""
        self.waiting_since: float | None = time.monotonic()
        self.idle_since = time.monotonic()
        self.over, self.leaving, self.wake = False, threading.Event(), threading.Event()
        self._place: Place | None = None
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

    def join(self, seconds: float) -> None:
        """Wait until it is over, for as long at most."""
        self._thread.join(seconds)

    # --- the thread

    def _run(self) -> None:
        try:
            while not self.leaving.is_set():
                self._ensure_place()
                self.wake.clear()
                run = self._next()
                if run is None:
                    if time.monotonic() - self.idle_since > SECONDS_IDLE:
                        break
                    self.wake.wait(1.0)
                    continue
                self._do(run)
                self.run_id, self._to_end, self.idle_since = "", "", time.monotonic()
        except (PlaceGone, OtherVersions) as error:
            self.trouble = reason(error)
        except LinkLost:
            pass  # the engine says so, and marks the run
        except Exception as error:  # a mistake of ours, or of the cluster, which is left then
            self.lost = reason(error)
            if not self.leaving.is_set():
                traceback.print_exc()
        finally:
            self._kill()
            self.over = True
            self.changed()

    def _ensure_place(self) -> Place:
        """Have the cluster start a process, where there is none: it may take as long as it takes to start a machine. Where what
        it waits for has gone with one, it asks for what there is. Raises PlaceGone, OtherVersions, LinkLost."""
        while self._place is None:
            self.waiting_since = self.waiting_since or time.monotonic()
            room = self.room()
            self.gpu = self.gpu and room.gpus > 0
            self._place = self.link.place(self.gpu, room.cores, self.settings.cuda_graphs)
            try:
                about: About | None = self._get(self._place.call("about"), lambda asked=room: self._is_gone(asked))
            except PlaceGone as gone:
                raise PlaceGone(f"A training process can't be started on the cluster: {gone}") from None
            if about is None:
                self._kill()
                continue
            check_versions(about)
            self.about, self.waiting_since = about, None
            self.changed()
        return self._place

    def _is_gone(self, asked: Room) -> bool:
        """Whether no machine has any more what was asked for when there was so much room."""
        room = self.room()
        return self.gpu and not room.gpus or room.cores < asked.cores

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
                    self._follow(run, outlet, self._ensure_place())
                    break
                except PlaceGone as gone:
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
                except OtherVersions as error:
                    self.store.finish(run.id, "interrupted", f"{error} “Continue” goes on from the run's last full epoch.")
                    raise
        with suppress(StoreError, OSError):
            keep_within(self.store, self.settings.disk_budget, self.settings.data_dir)

    def _follow(self, run: Run, outlet: Outlet | None, place: Place) -> None:
        """From the start of a run to its end. Raises PlaceGone, LinkLost."""
        delegate = Delegate(self.store, run, self.known, outlet,
                            lambda number, files: self._get(place.call("give", number, files=files)))
        try:
            data = self.known.of(run.config)
            self._get(place.call("start", packed(run, data, delegate.order()), files=delegate.files()))
        except OSError as error:
            self.store.finish(run.id, "failed", f"A file can't be read: {reason(error)}.")
            return
        while True:
            news: News
            [news] = unpacked(self._get(place.call("exchange", packed(delegate.order()))))
            delegate.take(news)
            if news.ended:
                break
            time.sleep(seconds_between(self.runs()))
        if not delegate.finished and is_ours(self.store, run.id, self.name):
            self.store.finish(run.id, "failed", f"The run ended with {news.error or 'no result'}")

    def _get(self, future: Future[Any], enough: Callable[[], bool] = lambda: False) -> Any:
        """What a call of the place came to; None once it is enough of waiting. Raises PlaceGone where that has died, or was ended
        because its run does not stop."""
        while True:
            try:
                return future.result(SECONDS_PER_LOOK)
            except TimeoutError:
                if enough():
                    return None
                if self._to_end and self._to_end == self.run_id:
                    self._kill()
                    raise PlaceGone("ended, as it did not stop") from None
            except PlaceGone:
                self._kill()
                raise

    def _kill(self) -> None:
        if self._place is not None:
            self._place.kill()
        self._place, self.about = None, None


def check_versions(about: About) -> None:
    """Raises OtherVersions where the cluster has another Python or PyTorch: a run would not be what it is here."""
    here = {"Python": platform.python_version_tuple()[:2], "PyTorch": torch.__version__.partition("+")[0]}
    there = {"Python": tuple(about.python.split(".")[:2]), "PyTorch": about.torch.partition("+")[0]}
    for name, own in here.items():
        if there[name] != own:
            theirs, ours = (version if isinstance(version, str) else ".".join(version) for version in (there[name], own))
            raise OtherVersions(f"The cluster has {name} {theirs}, and this server {ours}: install the same there, as "
                                "requirements.txt says.")
