"""What a person does to a run that is going: pause, single steps, stop and another learning rate, and how soon they act."""

import threading

import pytest
import torch

from core.runs import LocalEngine, RunNotFound, RunStore
from core.runs.execute import SECONDS_PER_LOOK, StoreControl, execute
from core.training import Checkpoint, Command, Gradients, Paused, SampleAnswers, Step, Validation, build_for, fit
from core.training.loop import SECONDS_PER_LOOK as LOOP_LOOK
from tests.helpers import tiny, wait_for

CPU = torch.device("cpu")
SOON = 0.5  # seconds after a step within which a command has to act


class Script:
    """A control that gives one command after another, the last one for ever, and counts how often it is asked."""

    def __init__(self, *commands: Command) -> None:
        self.commands, self.asked = list(commands), 0

    def command(self) -> Command:
        self.asked += 1
        return self.commands.pop(0) if len(self.commands) > 1 else self.commands[0]


def shape(events) -> list[type]:
    return [type(event) for event in events if not isinstance(event, Gradients | SampleAnswers | Validation)]


@pytest.fixture(autouse=True)
def no_sleep(monkeypatch):
    monkeypatch.setattr("core.training.loop.time.sleep", lambda seconds: None)


def test_single_steps_while_paused(digits):
    """Three are asked for, two of them at once; each is done and shown before the next, and the losses are those of a run
    that was left alone."""
    config = tiny()
    pause = Command(pause=True)
    control = Script(pause, pause, Command(pause=True, steps=1), Command(pause=True, steps=1), Command(pause=True, steps=3),
                     Command(pause=True, steps=3), Command(pause=True, steps=3), Command(pause=True, steps=3), Command(stop=True))
    events = list(fit(config, digits, build_for(config, digits), CPU, control))
    steps = [event for event in events if isinstance(event, Step)]
    assert [step.step for step in steps] == [1, 2, 3]
    assert [event.step for event in events if isinstance(event, Paused)] == [0, 1, 2, 3]
    alone = [event for event in fit(config, digits, build_for(config, digits), CPU) if isinstance(event, Step)][:3]
    assert [step.loss for step in steps] == [step.loss for step in alone]


def test_steps_asked_for_while_it_was_going_are_void(digits):
    config = tiny()
    control = Script(Command(steps=5), Command(pause=True, steps=5), Command(pause=True, steps=5), Command(stop=True, steps=5))
    events = list(fit(config, digits, build_for(config, digits), CPU, control))
    assert [event.step for event in events if isinstance(event, Step)] == [1]
    assert shape(events)[1:4] == [Step, Paused, Checkpoint]


def test_a_request_for_a_step_needs_a_pause(store: RunStore):
    run = store.create_running(tiny(), "ann", "here")
    store.request_step(run.id)
    assert store.command(run.id) == Command()
    store.set_pause(run.id, True)
    store.request_step(run.id)
    store.request_step(run.id)
    assert store.command(run.id) == Command(pause=True, steps=2)
    store.finish(run.id, "stopped")
    store.requeue(run.id, run.config)
    assert store.get(run.id).steps_requested == 0
    with pytest.raises(RunNotFound):
        store.request_step("0" * 32)


def test_the_time_left_does_not_count_pauses(store: RunStore, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("core.runs.store.time.time", lambda: now[0])
    run = store.create_running(tiny(), "ann", "here")
    store.set_pause(run.id, True)
    now[0] += 60
    store.set_pause(run.id, True)  # again: nothing
    now[0] += 40
    store.set_pause(run.id, False)
    assert store.get(run.id).started == 1100.0
    store.set_pause(run.id, False)
    assert store.get(run.id).started == 1100.0


@pytest.mark.parametrize("what", ["pause", "step", "learning_rate", "stop"])
def test_a_command_acts_within_half_a_second_of_a_step(store: RunStore, digits, monkeypatch, what):
    """By a clock of the test's own, on which each step takes 20 ms: no machine is too slow for it."""
    monkeypatch.setattr("core.training.loop.STEPS_PER_READ", 1)  # so that each step says what it did
    assert SECONDS_PER_LOOK + LOOP_LOOK < SOON
    now = [0.0]
    run = store.create_running(tiny(training__epochs=50), "ann", "here")
    if what == "step":
        store.set_pause(run.id, True)
    control = StoreControl(store, run.id, threading.Event(), clock=lambda: now[0])
    asked_at = 0.0
    for event in fit(run.config, digits, build_for(run.config, digits), CPU, Ticking(control, now)):
        if isinstance(event, Paused) and what == "step" and not asked_at:
            asked_at = now[0]
            store.request_step(run.id)
        elif isinstance(event, Gradients) and event.step > 40 and not asked_at:
            asked_at = now[0]
            {"pause": lambda: store.set_pause(run.id, True), "stop": lambda: store.request_stop(run.id),
             "learning_rate": lambda: store.set_learning_rate(run.id, 0.5)}[what]()
        elif asked_at and acted(event, what, asked_step=41):
            assert now[0] - asked_at < SOON, f"{what} took {now[0] - asked_at:.2f} s"
            return
        assert now[0] < 100, f"{what} never acted"
    raise AssertionError("the run ended without it")


class Ticking:
    """A control in front of another: every question takes 20 ms on the test's clock, as a step would."""

    def __init__(self, inner: StoreControl, now: list[float]) -> None:
        self.inner, self.now = inner, now

    def command(self) -> Command:
        self.now[0] += 0.02
        return self.inner.command()


def acted(event, what: str, asked_step: int) -> bool:
    return {"pause": isinstance(event, Paused), "step": isinstance(event, Step), "stop": isinstance(event, Checkpoint),
            "learning_rate": isinstance(event, Gradients) and event.learning_rate == 0.5}[what]


def test_a_run_started_paused_takes_single_steps_in_its_process(engine: LocalEngine):
    run_id = engine.submit(tiny(), "ann", paused=True)
    wait_for(engine.store, run_id, lambda run: run.status == "running" and run.steps > 0)
    for number in (1, 2):
        engine.step(run_id)
        run = wait_for(engine.store, run_id, lambda run, number=number: run.step >= number)
        assert run.step == number and run.status == "running"
    assert engine.store.metrics(run_id, names=("loss",)).series["loss"][0] == [1, 2]
    engine.pause(run_id, False)
    assert wait_for(engine.store, run_id).status == "finished"


def test_a_paused_run_shows_all_its_steps(store: RunStore, settings, monkeypatch):
    """What was waiting for the next flush is handed over when a pause begins."""
    monkeypatch.setattr("core.runs.recorder.SECONDS_PER_FLUSH", 1e9)
    run = store.create_running(tiny(), "ann", "here")
    seen = []

    class PauseAtSeven:
        def command(self) -> Command:
            step = self.done = getattr(self, "done", -1) + 1
            if step == 7:
                return Command(pause=True)
            if step == 8:
                seen.append(store.get(run.id).step)
                return Command(stop=True)
            return Command()

    execute(store, run, settings, PauseAtSeven())
    assert seen == [7]
