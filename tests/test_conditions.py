"""What benchmarks print of a training beside its figures."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from benchmarks import conditions
from benchmarks.conditions import Account, in_words, offered_in_the_app, steps_with
from core.presets import preset
from core.training import Epoch, Event, Finished, SampleAnswers, Started, Step, Threads, Validation


def test_steps_with_each_number_of_threads():
    assert steps_with([(0, 1), (10, 2), (40, 1)], 100) == {1: 70, 2: 30}
    assert steps_with([], 100) == {}


def test_threads_in_words():
    assert in_words((1,)) == "1 thread"
    assert in_words((4,)) == "4 threads"
    assert in_words((4, 2, 1)) == "4 or 2 or 1 threads, chosen as it goes"
    assert in_words((2, 1), {1: 70, 2: 30}) == ("2 or 1 threads, chosen as it goes: 2 for 30 % of the steps, "
                                                "1 for 70 % of the steps")


def test_threads_offered_are_those_of_the_network(monkeypatch):
    monkeypatch.setattr("core.devices.usable_cores", lambda: 8)
    cnn, mlp = (preset(name).config.with_values({"training.device": "cpu"}) for name in ("mnist-cnn-fast", "mnist-mlp-50"))
    assert offered_in_the_app(cnn) == (8, 4, 2, 1)
    assert offered_in_the_app(cnn, at_once=4) == (2, 1)
    assert offered_in_the_app(mlp) == (2, 1)


def test_account_of_a_training(monkeypatch):
    """By a clock that the events themselves move: 8 of 20 seconds are looks at validation examples, and what is done with an
    event is not counted as one."""
    now = 100.0
    monkeypatch.setattr(conditions, "time", SimpleNamespace(perf_counter=lambda: now))

    def events() -> Iterator[Event]:
        nonlocal now
        for seconds, event in ((1, Started(2, 2, 10, "cpu", "float32")), (0, Threads(0, 1)), (5, Step(1, 1, 0.5, 0.5)),
                               (1, Step(2, 1, 0.5, 0.5)), (0, Threads(1, 2)), (1, SampleAnswers(2, 1, (), (), (), ())),
                               (4, Epoch(1, 2, 0.5, 0.5, 0.5, 0.5, 6.0, 1.0)), (3, Validation(1, 2, (), {}, 0)),
                               (1, Finished("completed", 1, 2, 15.0))):
            now += seconds
            yield event

    account = Account()
    for event in account.of(events()):
        now += 4 * isinstance(event, Epoch)
    assert (account.seconds, account.validating) == (pytest.approx(20), pytest.approx(8))
    assert account.steps == {1: 1, 2: 1}
