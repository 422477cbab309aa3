"""Epochs that are chosen to be kept: they are, whatever else goes, and they cost what was said before."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import nn

from core.config import MOST_MOMENT_EPOCHS, RunConfig, read_config
from core.fields import ConfigError
from core.runs.execute import execute
from core.runs.moment_costs import FEWEST, RUN_BYTES, bytes_about, chosen_steps, cost_of, epochs_of, thinned
from core.runs.moments import MomentKeeper, moments
from core.runs.recorder import Recorder
from core.runs.space import keep_within
from core.training import Started, build_for
from pages.parts.runs.space import moments_cost
from tests.helpers import StopAfter, run_here, tiny


def steps_of(store, run):
    return [moment.step for moment in moments(store, run.id).kept]


# --- which of them stay

@given(some.lists(some.integers(0, 10**6), min_size=1, max_size=60, unique=True).map(sorted), some.integers(0, 40), some.data())
def test_chosen_steps_always_stay(steps, most, data):
    certain = set(data.draw(some.lists(some.sampled_from(steps), max_size=8)))
    left = thinned(steps, most, certain=certain)
    assert left == sorted(set(left)) and certain <= set(left) <= set(steps)
    assert (left[0], left[-1]) == (steps[0], steps[-1])
    assert len(left) <= max(most, 2, len(certain | {steps[0], steps[-1]}))
    assert thinned(steps, most, certain=()) == thinned(steps, most)


def test_a_chosen_epoch_is_kept_though_no_time_is_left_and_others_come_after(store, digits):
    """The clock says that keeping takes all of the time: then nothing but the first, the chosen ones and the last is kept."""

    class Slow:
        now = 0.0

        def __call__(self):
            Slow.now += 1.0
            return Slow.now

    config = tiny(training__moments=3, training__epochs=60, training__moment_epochs=[7, 20, 33, 99])
    keeper = MomentKeeper(store, "a" * 32, config, digits, build_for(config, digits), clock=Slow())
    assert keeper.most == 6
    keeper.see(Started(10, 600, 1, "cpu", "float32"), Recorder(store, "a" * 32))
    model = build_for(config, digits)
    keeper.look(model, 0, 1, 0.0, 0.0)
    for step in range(1, 601):
        if keeper.due(step, 0.0):
            keeper.look(model, step, 1 + step // 10, 0.0, 0.0)
    keeper.write(everything=True)
    kept = [moment.step for moment in moments(store, "a" * 32).kept]
    assert {0, 70, 200, 330} <= set(kept) and len(kept) <= 6


# --- a run

def test_a_run_keeps_them_and_its_moments_take_what_was_said(store, settings, digits):
    config = tiny(training__epochs=6, training__moments=4, training__moment_epochs=[4, 2, 2, 50])
    run = run_here(store, settings, config)
    assert {40, 80} <= set(steps_of(store, run)) and steps_of(store, run)[0] == 0 and steps_of(store, run)[-1] == run.step
    assert chosen_steps(run) == {40, 80, 1000}
    model = build_for(config, digits)
    cost = cost_of(model, 4, epochs_of(config.training), bytes_about(model, config, digits.classes))
    assert (cost.count, cost.certain) == (6, (2, 4))
    sizes = [moment.size for moment in moments(store, run.id).kept]
    assert len(sizes) <= cost.count and sum(sizes) <= cost.total
    assert all(cost.bytes_each * 0.9 < size <= cost.bytes_each for size in sizes), "weights are most of it, and the rest is known"


def test_a_run_that_goes_on_keeps_those_it_had_and_those_to_come(store, settings):
    config = tiny(training__epochs=4, training__moments=3, training__moment_epochs=[1, 3])
    run = run_here(store, settings, config, StopAfter(50))
    assert run.status == "stopped" and 20 in steps_of(store, run) and 60 not in steps_of(store, run)
    store.requeue(run.id, config)
    again = execute(store, store.claim("here"), settings)
    assert again.status == "finished" and {20, 60} <= set(steps_of(store, again))


def test_they_change_nothing_that_is_learned(store, settings):
    runs = [run_here(store, settings, tiny(training__epochs=2, training__moment_epochs=epochs)) for epochs in ([], [1])]
    losses = [store.metrics(run.id, names=["loss"]).series["loss"] for run in runs]
    assert losses[0] == losses[1] and runs[0].test_accuracy == runs[1].test_accuracy


def test_the_budget_leaves_them(store, settings):
    config = tiny(training__epochs=5, training__moments=20, training__moment_epochs=[2, 3])
    run = run_here(store, settings, config)
    before = steps_of(store, run)
    keep_within(store, 1, settings.data_dir)  # more than can be freed
    assert steps_of(store, run) == sorted({0, 40, 60, run.step}) != before


# --- what they cost before

def test_the_cost_by_hand():
    network = nn.Linear(100, 1, bias=False)  # 200 bytes
    assert cost_of(network, 40, [5, 1, 5]).count == 42 and cost_of(network, 40, [5, 1, 5]).certain == (1, 5)
    assert cost_of(network, 40, about=50).total == 40 * 250
    assert cost_of(network, 0, [1, 2, 3, 4]).count == cost_of(network, FEWEST - 1, [1, 2, 3, 4]).count == 0
    with torch.device("meta"):
        large = nn.Linear(RUN_BYTES // 2 // 5, 1, bias=False)  # five of them have room
    assert (cost_of(large, 40, [9, 8, 7, 6]).count, cost_of(large, 40, [9, 8, 7, 6]).certain) == (5, (6, 7, 8))


@pytest.mark.parametrize(("changes", "line"), [
    ({}, ": 40 moments of"), ({"training.moment_epochs": [1, 5]}, "42 moments of"),
    ({"training.moment_epochs": [1, 6, 9]}, "The run ends before epochs 6 and 9."),
    ({"training.moment_epochs": [7]}, "The run ends before epoch 7."),
    ({"training.moments": 0, "training.moment_epochs": [1]}, "None will be kept."),
    ({"model.hidden": [12_000], "training.moments": 3, "training.moment_epochs": [1, 2, 3, 4]},
     "5 moments of 19.1 MB each. There is no room for epoch 4: a run has 100 MB.")])
def test_the_cost_is_said_before_the_run(changes, line, places):
    said = moments_cost(tiny(training__epochs=5).with_values(changes))
    assert line in said, said


# --- bad input, and earlier configs

@pytest.mark.parametrize(("value", "line"), [
    ([0], "training.moment_epochs.0 is 0"), ([1, 1001], "training.moment_epochs.1 is 1001"), ([1.5], "training.moment_epochs.0"),
    (["x"], "training.moment_epochs.0"), ("5", "training.moment_epochs"), (None, "training.moment_epochs"),
    (list(range(1, MOST_MOMENT_EPOCHS + 2)), "it can have at most 32")])
def test_what_is_no_list_of_epochs_is_refused_in_one_line(value, line):
    with pytest.raises(ConfigError) as refused:
        tiny().with_values({"training.moment_epochs": value})
    assert line in str(refused.value) and "\n" not in str(refused.value)


def test_a_config_of_an_earlier_version_chose_none():
    values = tiny().model_dump(mode="json")
    del values["training"]["moment_epochs"]
    assert read_config(json.dumps(values)) == tiny() and RunConfig().training.moment_epochs == ()
