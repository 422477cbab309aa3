"""Searches whose trials nobody trains: an engine that says at once what each came to."""

import copy
import math
import random
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from core.config import RunConfig
from core.runs import Run, RunStore
from core.runs.records import Metric
from core.runs.sweep_records import TrialOf
from core.sweeps import SweepPlan, plan_of
from core.sweeps.driver import Driver
from core.sweeps.run import take
from core.training import Started
from tests.helpers import tiny

WITHOUT = "needs Optuna: pip install -r requirements-sweep.txt"
RATE = "training.optimizer.learning_rate"
VARY = (f"{RATE}=1e-4..1:log",)
TESTED = 0.875


def a_plan(vary=VARY, **values: Any) -> SweepPlan:
    usual = {"trials": 8, "minutes": 0, "pruner": "none", "seeds": 2, "patience": 0}
    return plan_of(tiny(training__epochs=values.pop("epochs", 1)), vary, **usual | values)


def hill(config: RunConfig) -> float:
    """Best at a learning rate of 0.01; luck of the seed has a standard deviation of 0.002."""
    rate = config.training.optimizer.learning_rate
    luck = random.Random(f"{rate} {config.training.seed}").gauss(0, 0.002)
    return 0.95 - 0.05 * abs(math.log10(rate) + 2) + luck


class PretendEngine:
    """What a search needs of an engine. value_of: what a run comes to, or one value for each epoch; None where it fails, with
    `why`."""

    def __init__(self, store: RunStore, value_of: Callable[[RunConfig], Any] = hill, why: str = "No such luck.") -> None:
        self.store, self.server, self.value_of, self.why, self.capacity = store, store, value_of, why, 2
        self.submitted: list[tuple[int, int]] = []

    def as_actor(self, actor):
        view = copy.copy(self)
        view.store = self.store.as_actor(actor)
        return view

    def in_lesson(self, code):
        return self

    def submit_trial(self, config: RunConfig, owner: str, trial: TrialOf, title: str = "") -> str:
        self.submitted.append((trial.trial, trial.repeat))
        return self.store.create_trial(config, owner, trial, title)

    def resume(self, run_id: str, more_epochs: int = 0) -> None:
        self.store.requeue(run_id, self.store.get(run_id).config)

    def cancel(self, run_id: str) -> None:
        self.store.request_stop(run_id)
        if self.store.get(run_id).stop_requested:
            self.server.finish(run_id, "stopped", "Stopped.")

    def work(self, most: int = 99) -> None:
        """Do what waits."""
        for _ in range(most):
            if (run := self.server.claim("worker")) is None:
                return
            self.begin(run)
            values = self.value_of(run.config)
            if values is None:
                self.server.finish(run.id, "failed", self.why)
                continue
            self.epochs(run, values if isinstance(values, list) else [values])
            tested = None if self.server.holds_test(run.id) else TESTED
            self.server.finish(run.id, "finished", test_accuracy=tested, seconds=0.5)

    def begin(self, run: Run) -> None:
        self.server.begin(run.id, Started(10, 10 * run.config.training.epochs, 100, "cpu", "float32"))

    def epochs(self, run: Run, values: list[float], first: int = 1) -> None:
        for epoch, value in enumerate(values, start=first):
            self.server.record(run.id, [Metric("validation_accuracy", 10 * epoch, value),
                                        Metric("validation_loss", 10 * epoch, 1 - value)],
                               step=10 * epoch, epoch=epoch, validation_accuracy=value)


def begun(store: RunStore, plan: SweepPlan, owner: str = "ann") -> str:
    return store.create_sweep(plan.model_dump_json(), owner, "Search")


def driver_of(engine: PretendEngine, sweep_id: str) -> Driver:
    assert take(engine.server, sweep_id, name := uuid4().hex)
    return Driver(engine, engine.server, engine.server.sweep(sweep_id), name)


def drive(engine: PretendEngine, sweep_id: str, looks: int = 1000) -> None:
    """Until the search has ended, or so many looks."""
    driver = driver_of(engine, sweep_id)
    for _ in range(looks):
        if not driver.look():
            break
        engine.work()
    engine.server.leave_sweep(sweep_id, driver.name)
