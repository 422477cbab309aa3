"""The number of threads that a training chooses: made-up machines whose steps take a computed time, and real runs."""

from collections.abc import Callable
from random import Random

import pytest
import torch

from core.config import read_config
from core.fields import ConfigError
from core.runs import RunStore
from core.runs.execute import execute
from core.training import Finished, Step, ThreadChoice, Threads, candidates, fit, prepare
from core.training.threads import AT_ONCE, SHARE
from tests.helpers import run_here, tiny

Machine = Callable[[float, int], float]  # (seconds of training so far, threads) → seconds of the next step


def train(machine: Machine, seconds: float, most: int = 2) -> tuple[ThreadChoice, list[tuple[float, int]], int]:
    """Steps for so many seconds. Returns the choice, the numbers that were chosen with when, and how many steps were done."""
    choice, now, steps, chosen = ThreadChoice(candidates(most), lambda threads: None), 0.0, 0, []
    while now < seconds:
        took = machine(now, choice.threads)
        now, steps = now + took, steps + 1
        if choice.step(took):
            chosen.append((now, choice.threads))
    return choice, chosen, steps


def steps_with(machine: Machine, seconds: float, threads: int) -> int:
    now, steps = 0.0, 0
    while now < seconds:
        now, steps = now + machine(now, threads), steps + 1
    return steps


def quiet(now: float, threads: int) -> float:
    return 0.012 if threads == 1 else 0.007


def busy(now: float, threads: int) -> float:
    return 0.012 if threads == 1 else 0.08


def test_candidates():
    assert [candidates(most) for most in (1, 2, 6, 16, 0)] == [(1,), (2, 1), (6, 3, 1), (16, 8, 4, 2, 1), (1,)]


def test_on_a_quiet_machine_all_cores_are_taken_at_once():
    choice, chosen, steps = train(quiet, 10)
    assert choice.threads == 2 and len(chosen) == 1 and chosen[0][0] < 0.2
    assert steps >= steps_with(quiet, 10, 2) / 1.05


@pytest.mark.parametrize("seconds", [1, 10])
def test_beside_others_it_stays_with_one(seconds):
    choice, chosen, steps = train(busy, seconds)
    assert (choice.threads, chosen) == (1, [])
    assert steps >= steps_with(busy, seconds, 1) / (1.15 if seconds == 1 else 1.05)


def test_what_trials_lose_is_bounded():
    choice, _, steps = train(busy, 60)
    assert choice.lost <= AT_ONCE + (SHARE + 0.01) * 60
    assert steps >= steps_with(busy, 60, 1) / 1.06


def test_a_load_that_comes_and_goes_is_followed():
    def machine(now: float, threads: int) -> float:
        return (busy if 5 <= now < 10 else quiet)(now, threads)

    _, chosen, _ = train(machine, 20)
    assert [threads for _, threads in chosen] == [2, 1, 2]
    assert 5 < chosen[1][0] < 6.5 and 10 < chosen[2][0] < 13


def disturbed(seed: int, rates: dict[int, float]) -> Machine:
    """A machine where others take a core now and then, for 4 to 60 ms: so often in a second with one thread, and with two, of
    which one then waits for the other."""
    chance = Random(seed)

    def machine(now: float, threads: int) -> float:
        took = left = quiet(now, threads)
        while (left := left - chance.expovariate(rates[threads])) > 0:
            took += chance.uniform(0.004, 0.06)
        return took

    return machine


@pytest.mark.parametrize(("rates", "best"), [
    ({1: 0.2, 2: 2}, 2), ({1: 1, 2: 5}, 2), ({1: 2, 2: 10}, 2), ({1: 2, 2: 20}, 2), ({1: 2, 2: 40}, 1), ({1: 5, 2: 100}, 1)],
    ids=str)
def test_steps_that_are_now_and_then_many_times_as_long_mislead_it_little(rates, best):
    """Steps of 7 ms take up to 60 more. What single trainings lose is a matter of luck, so twelve are added up."""
    done = {threads: sum(steps_with(disturbed(seed, rates), 15, threads) for seed in range(12)) for threads in (1, 2)}
    chosen = sum(train(disturbed(seed, rates), 15)[2] for seed in range(12))
    assert max(done, key=lambda threads: done[threads]) == best
    assert chosen >= done[best] / 1.1


def test_the_middle_one_of_several():
    def machine(now: float, threads: int) -> float:
        return {8: 0.02, 4: 0.006, 2: 0.009, 1: 0.016}[threads]

    choice, chosen, _ = train(machine, 5, most=8)
    assert choice.threads == 4 and [threads for _, threads in chosen] == [4]


def test_a_gain_of_less_than_a_twentieth_changes_nothing():
    choice, chosen, _ = train(lambda now, threads: 0.01 if threads == 1 else 0.0097, 5)
    assert (choice.threads, chosen) == (1, [])


def test_very_short_and_very_long_steps():
    choice, _, _ = train(lambda now, threads: 2e-5 if threads == 1 else 1e-4, 2)
    assert choice.threads == 1
    choice, _, steps = train(lambda now, threads: 3.0 if threads == 1 else 1.8, 60)
    assert choice.threads == 2 and steps >= 30


def test_with_one_number_nothing_is_timed():
    set_to: list[int] = []
    choice = ThreadChoice((3,), set_to.append)
    assert not choice.is_open and not choice.is_trying and set_to == [3]


@pytest.mark.parametrize("value", ["auto", 1, 64, "4"])
def test_what_the_setting_takes(value):
    config = read_config({"training": {"threads": value}})
    assert config.training.threads == ("auto" if value == "auto" else int(value))
    assert read_config(config.model_dump_json()) == config


@pytest.mark.parametrize("value", [0, 65, -1, 1.5, "two", "", None, True, "9" * 5000, [1], "٣"])
def test_what_it_does_not(value):
    with pytest.raises(ConfigError) as refused:
        read_config({"training": {"threads": value}})
    assert str(refused.value) == "training.threads: it must be auto, or a whole number from 1 to 64"


def test_a_run_says_its_threads_and_keeps_to_a_number(settings, store: RunStore):
    for wanted, expected in ((1, 1.0), (2, 2.0)):
        run = run_here(store, settings, tiny(training__threads=wanted))
        assert run.status == "finished", run.message
        steps, values = store.metrics(run.id).series["threads"]
        assert (list(steps), list(values)) == ([0], [expected])
        assert torch.get_num_threads() == wanted


def test_the_events_name_each_change_with_its_step(settings):
    """A choice that is told of steps by the loop itself, on a machine where two threads are always faster."""
    config = tiny(training__epochs=4, training__threads="auto")
    data, model = prepare(config, settings.data_dir, settings.cache_dir)

    class Pretending(ThreadChoice):
        def step(self, seconds: float) -> bool:
            return super().step(0.02 if self.threads == 2 else 0.05)

    choice = Pretending((2, 1), lambda threads: None)
    events = list(fit(config, data, model, torch.device("cpu"), threads=choice))
    changes = [event for event in events if isinstance(event, Threads)]
    assert [event.threads for event in changes] == [1, 2] and changes[0].step == 0
    assert 0 < changes[1].step <= 8
    assert isinstance(events[-1], Finished) and events[-1].steps == sum(isinstance(event, Step) for event in events)


def test_other_numbers_of_threads_differ_by_rounding_alone(settings):
    """What is promised of repeating a run: the same bits at the same number of threads, else the same but for rounding. The
    README names these figures."""
    config = tiny(model__architecture="cnn", model__channels=[4, 8], training__epochs=2)
    losses = []
    for threads in (1, 2, 1, 2):
        data, model = prepare(config, settings.data_dir, settings.cache_dir)
        events = fit(config, data, model, torch.device("cpu"), threads=ThreadChoice((threads,)))
        losses.append([event.loss for event in events if isinstance(event, Step)])
        assert len(losses[-1]) == 40
    torch.set_num_threads(1)
    assert losses[0] == losses[2] and losses[1] == losses[3]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(("kind", "first"), [("train", 1), ("range_test", 4)])
def test_a_range_test_takes_all_cores_from_its_first_step_on(kind, first, settings, store: RunStore, monkeypatch):
    """A run begins with one thread and tries more; a range test has no time for that."""
    monkeypatch.setattr("core.devices.usable_cores", lambda: 4)
    config = tiny(model__architecture="cnn", model__channels=[2, 4], training__threads="auto", training__device="cpu")
    set_to: list[int] = []
    monkeypatch.setattr(ThreadChoice.__init__, "__defaults__", (set_to.append,))  # in place of torch.set_num_threads
    store.create(config, "ann", kind=kind)
    claimed = store.claim("here")
    assert claimed is not None
    assert execute(store, claimed, settings).status == "finished"
    assert set_to[0] == first
