"""Drives the searches of a server in a thread, and goes on after a restart with those that were going.

A thread, not a process of its own: a look takes milliseconds (the trials are done by the engine's processes), and what a search
has come to is in the store and its study, which a killed server leaves whole.
"""

import atexit
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

from core.actors import Actor
from core.errors import os_reason, reason
from core.runs.database import StoreError
from core.runs.requests import Engine
from core.runs.since import Since
from core.runs.store import RunStore
from core.runs.sweep_records import Sweep
from core.settings import Settings
from core.sweeps.driver import SECONDS_OF_SILENCE, SECONDS_PER_LOOK, Driver
from core.sweeps.optional import is_available, load_optuna
from core.sweeps.plan import Range, SweepError, SweepPlan, read_plan
from core.sweeps.ranges import changed, check_plan
from core.wording import rough_duration

SECONDS_BETWEEN_LOOKS = 1.0  # while no search is going
REST = 4  # times as long as a look kept the processor


class SweepService:
    """Drives every search of a store that is going and that nobody else drives. engine, store: of the server itself."""

    def __init__(self, engine: Engine, store: RunStore, settings: Settings) -> None:
        self.engine, self.store, self.settings = engine, store, settings
        self._drivers: dict[str, Driver] = {}
        self._silent = Since()
        self._closing, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeps", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def wake(self) -> None:
        """Look at once: a search has begun, or goes on."""
        self._wake.set()

    def close(self) -> None:
        """Leave the searches to whoever comes next. May be called twice."""
        atexit.unregister(self.close)
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        pause, looked = 0.0, -SECONDS_BETWEEN_LOOKS
        while not self._closing.is_set():
            self._wake.wait(pause)
            self._wake.clear()
            if self._closing.is_set():
                break
            began, used = time.monotonic(), time.thread_time()
            if began >= looked + SECONDS_BETWEEN_LOOKS or not self._drivers:
                looked = began
                with suppress(StoreError):  # what can't be read or written just now may be at the next look
                    self._look_for_more()
            for sweep_id, driver in list(self._drivers.items()):
                self._drive(sweep_id, driver)
            # a look at a thousand trials computes longer than one at ten, and pages come first; the disk keeps none waiting
            pause = max(SECONDS_PER_LOOK, REST * (time.thread_time() - used)) if self._drivers else SECONDS_BETWEEN_LOOKS
        for driver in self._drivers.values():
            self._leave(driver)

    def _look_for_more(self) -> None:
        for sweep in self.store.sweeps():
            if sweep.status == "running" and sweep.id not in self._drivers and self._is_left(sweep):
                if not is_available():
                    continue  # the page says what to install
                self._begin(sweep)

    def _is_left(self, sweep: Sweep) -> bool:
        """Whether nobody drives it; whoever did and was killed has been silent for a while."""
        return not sweep.driver or self._silent.seconds(sweep.id, sweep.heartbeat) >= SECONDS_OF_SILENCE

    def _begin(self, sweep: Sweep) -> None:
        name = uuid4().hex
        if not self.store.take_sweep(sweep.id, name, sweep.heartbeat):
            return  # another was faster
        try:
            self._drivers[sweep.id] = Driver(self._as_its_owner(sweep), self.store, sweep, name)
        except SweepError as error:
            self.store.end_sweep(sweep.id, "failed", str(error))
        except StoreError:
            raise  # as above
        except Exception as error:  # one search ends by it, and the others go on
            self._end(sweep.id, error)

    def _as_its_owner(self, sweep: Sweep) -> Engine:
        """The engine as whoever began the search may use it, with their limits."""
        actor: Actor = sweep.actor()
        if actor.is_local:
            return self.engine
        engine = self.engine.as_actor(replace(actor, limits=self.settings.limits) if actor.kind == "visitor" else actor)
        return engine.in_lesson(sweep.lesson) if sweep.lesson else engine

    def _drive(self, sweep_id: str, driver: Driver) -> None:
        try:
            if driver.look():
                return
        except StoreError:
            return  # as above
        except SweepError:
            pass  # another has taken it
        except Exception as error:  # a mistake in the code, or a study file that was changed under it: one search ends by it
            self._end(sweep_id, error)
        del self._drivers[sweep_id]
        self._leave(driver)

    def _end(self, sweep_id: str, error: Exception) -> None:
        traceback.print_exception(error)
        why = os_reason(error) if isinstance(error, OSError) else f"{type(error).__name__}: {reason(error)}"
        with suppress(StoreError):
            self.store.end_sweep(sweep_id, "failed", f"The search ended: {why}")

    def _leave(self, driver: Driver) -> None:
        with suppress(StoreError):
            self.store.leave_sweep(driver.sweep.id, driver.name)


# --- what people do with searches; the store says whether they may

def start(store: RunStore, engine: Engine, plan: SweepPlan, owner: str, title: str = "Search") -> str:
    """Begin a search that the server's SweepService drives; its id. store: as whoever begins it may use it.

    Raises SweepError where it can't be, StoreError where another is going.
    """
    load_optuna()
    check_plan(plan)
    if not engine.capacity and not store.read_only:  # which says itself what is wrong
        raise SweepError("There is no training process on this server (PLAYGROUND_WORKERS is 0), so nothing can be searched.")
    kept = store.actor.limits.runs
    if kept and plan.trials > kept:
        raise SweepError(f"{plan.trials} trials; one person may keep {kept} runs on this server. Take fewer.")
    return store.create_sweep(plan.model_dump_json(), owner, title)


def pause(store: RunStore, sweep_id: str) -> None:
    """Let no further trial start; those that train go to their end."""
    store.change_sweep(sweep_id, ("running",), status="paused")


def resume(store: RunStore, sweep_id: str) -> None:
    """Let a paused search go on."""
    store.change_sweep(sweep_id, ("paused",), status="running")


def stop(store: RunStore, engine: Engine, sweep_id: str) -> None:
    """End a search for good; what it has found stays."""
    store.change_sweep(sweep_id, status="stopped", message="Stopped. What was found until then stays.")
    for trial in reversed(store.trials(sweep_id)):  # the last one first, so that none starts meanwhile
        if trial.is_active:
            with suppress(KeyError):  # deleted just now
                engine.cancel(trial.run_id)


def add_trials(store: RunStore, sweep_id: str, count: int, minutes: float = 0.0) -> None:
    """Let a search that is going try more settings, and take longer for it; it has not stalled before it has tried some of them.
    Raises SweepError for too many, and where none of them would be tried."""
    sweep = store.sweep(sweep_id)
    plan = read_plan(sweep.plan)
    if plan.trials >= plan.combinations:
        raise SweepError(f"There are {int(plan.combinations)} combinations of these settings, and all of them are tried anyway.")
    after = changed(plan, trials=plan.trials + count, minutes=plan.minutes + minutes if plan.minutes else 0.0)
    if sweep.seconds >= after.seconds:
        raise SweepError(f"The time of {rough_duration(plan.seconds)} is over, so no more would be tried: add minutes as well.")
    tried = max((trial.trial for trial in store.trials(sweep_id)), default=-1)
    _change_plan(store, sweep_id, after, since=tried + 1)


def narrow(store: RunStore, sweep_id: str, path: str, low: float, high: float) -> Range:
    """Let a search that is going look at a part of a range from now on; the range as it is then. Raises SweepError."""
    plan = read_plan(store.sweep(sweep_id).plan)
    before = next((one for one in plan.vary if one.path == path and one.is_number), None)
    if before is None or before.low is None or before.high is None:
        raise SweepError(f"{path} has no range that could be narrowed.")
    if plan.sampler == "grid":
        raise SweepError("A grid can't be narrowed while it is searched: stop it, and start another.")
    ends = [before.rounded(min(max(end, before.low), before.high)) for end in (low, high)]
    after = before.model_copy(update={"low": ends[0], "high": ends[1]})
    _change_plan(store, sweep_id, plan, vary=tuple(after if one is before else one for one in plan.vary))
    return after


def _change_plan(store: RunStore, sweep_id: str, plan: SweepPlan, **changes: object) -> None:
    store.change_sweep(sweep_id, plan=changed(plan, **changes).model_dump_json())
