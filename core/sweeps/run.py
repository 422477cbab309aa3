"""A search from its beginning to its end in one process, as notebooks and the command line do it."""

import time
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

from core.errors import os_reason
from core.runs.database import StoreError
from core.runs.requests import Engine
from core.runs.store import RunStore
from core.runs.sweep_records import Sweep, Trial
from core.sweeps.driver import SECONDS_OF_SILENCE, SECONDS_PER_LOOK, Driver
from core.sweeps.optional import load_optuna
from core.sweeps.plan import SweepError, SweepPlan


def take(store: RunStore, sweep_id: str, driver: str) -> bool:
    """Be the one who drives a search, at once where nobody does; else as soon as who does has been silent for a while. False
    where they are not silent."""
    seen = store.sweep(sweep_id).heartbeat
    if store.take_sweep(sweep_id, driver, -1.0):
        return True
    until = time.monotonic() + SECONDS_OF_SILENCE
    while time.monotonic() < until:
        time.sleep(SECONDS_PER_LOOK)
        if store.sweep(sweep_id).heartbeat != seen:
            return False
    return store.take_sweep(sweep_id, driver, seen)


def run_sweep(engine: Engine, store: RunStore, plan: SweepPlan | None, owner: str, title: str = "Search",
              report: Callable[[Sweep, list[Trial]], None] = lambda sweep, trials: None, sweep_id: str = "") -> Sweep:
    """Search to the end, in this process; the search as it ended. sweep_id: one to go on with, instead of a new one of a plan.

    Args:
        report: told after each look how the search and its trials are.

    Raises SweepError, StoreError and SweepNotFound. Whatever ends it early, as KeyboardInterrupt does, leaves a search that can
    go on.
    """
    load_optuna()
    if plan is not None and not sweep_id:
        sweep_id = store.create_sweep(plan.model_dump_json(), owner, title)
    name = uuid4().hex
    if not take(store, sweep_id, name):
        raise SweepError("Another process drives this search; it can be watched on the page Search settings.")
    try:
        store.change_sweep(sweep_id, ("paused",), status="running")
        driver = Driver(engine, store, store.sweep(sweep_id), name)
        report(driver.sweep, [])
        while driver.look():
            report(driver.sweep, store.trials(sweep_id))
            time.sleep(SECONDS_PER_LOOK)
    except OSError as error:
        raise SweepError(f"The search can't go on just now: {os_reason(error)}. What it has found stays.") from None
    finally:
        with suppress(StoreError):
            store.leave_sweep(sweep_id, name)
    ended = store.sweep(sweep_id)
    report(ended, store.trials(sweep_id))
    return ended
