"""Watched images: looks at them are dense at first and change nothing, whatever the network."""

import time

import numpy as np
import pytest
import torch
from torch import nn

from core.config import RunConfig
from core.data import load
from core.presets import PRESETS
from core.training import Checkpoint, Command, Epoch, Gradients, ImageWatcher, Look, Paused, Step, build_for, fit
from core.training.loop import Pending
from core.training.watchers import (
    GAP_AT_FIRST,
    GAP_LATER,
    SECONDS_AT_FIRST,
    SHARE_LATER,
    Pace,
    first_filters,
)
from tests.helpers import StopAfter, tiny

CPU = torch.device("cpu")


def drawing(count=1, channels=1, side=28, seed=0):
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def watched_fit(config, data, images, eager=False, **given):
    """Events and the network. eager: look after every step."""
    model = build_for(config, data)
    watchers = [] if images is None else [ImageWatcher(images, config.training, data, model, CPU)]
    for watcher in watchers if eager else []:
        watcher.due = lambda step, seconds: True
    return list(fit(config, data, model, CPU, watchers=watchers, **given)), model


def looks_of(events):
    return [event for event in events if isinstance(event, Look)]


NETWORKS = {
    "dense step": {},
    "dense step with dropout": {"model__dropout": 0.5},
    "convolutions, batch norm, dropout": {"model": {
        "architecture": "cnn", "channels": [4], "fc_width": 8, "batch_norm": True, "dropout": 0.5}},
    "bfloat16": {"model": {"architecture": "cnn", "channels": [4], "fc_width": 8, "dropout": 0.3},
                 "training__precision": "bfloat16"},
    "random transforms": {"data__transforms": [{"kind": "random_affine"}, {"kind": "to_tensor"}], "model__dropout": 0.2},
    "best weights": {"keep": "best"},
}


@pytest.mark.parametrize("changes", NETWORKS.values(), ids=NETWORKS)
def test_a_watched_run_ends_with_the_weights_of_one_that_is_not(changes, places, cache_dir):
    values = {"training__epochs": 2, "data__fraction": 0.5} | changes
    model, keep = values.pop("model", None), values.pop("keep", None)
    config = tiny(**values)
    if model:
        config = RunConfig.model_validate(config.model_dump() | {"model": model})
    if keep:
        config = config.with_values({"training.keep": keep})
    data = load(config.data, places / "data", cache_dir)
    plain, bare = watched_fit(config, data, None)
    events, network = watched_fit(config, data, drawing(3), eager=True)
    assert [event for event in events if isinstance(event, Step)] == [event for event in plain if isinstance(event, Step)]
    assert len(looks_of(events)) == 2 + len([event for event in plain if isinstance(event, Step)])  # one before, one in the end
    for name, value in bare.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name
    assert network.training and bare.training


def test_a_look_is_of_the_weights_after_its_step(digits):
    """Each is compared with a run of its own that ends at that step."""
    config = tiny(training__epochs=1)
    images = drawing(2)
    looks = {look.step: look for look in looks_of(watched_fit(config, digits, images, eager=True)[0])}
    assert list(looks) == list(range(21))
    ready = torch.cat([(images - digits.mean[0]) / digits.std[0], torch.stack([
        (digits.validation.take(torch.tensor([place]))[0][0].float() / 255 - digits.mean[0]) / digits.std[0]
        for place in looks[0].arrays["positions"].tolist()])])
    for step in (0, 1, 7, 20):
        model = build_for(config, digits)
        list(fit(config, digits, model, CPU, StopAfter(step)))
        with torch.no_grad():
            answers = model.eval()(ready).softmax(1).numpy()
        assert looks[step].arrays["watched"] == pytest.approx(answers[:2], abs=1e-5)
        assert looks[step].arrays["examples"] == pytest.approx(answers[2:], abs=1e-5)
        weights = model.fc1.weight.detach().view(-1, 28, 28).numpy()
        assert looks[step].arrays["filters"] == pytest.approx(np.round(128 + 127 * weights / np.abs(weights).max()), abs=1)
    assert looks[0].arrays["labels"].tolist() == list(range(10))
    assert np.isnan(looks[0].arrays["loss"]).all() and looks[20].arrays["loss"][0] < looks[1].arrays["loss"][0]
    assert {look.epoch for look in looks.values()} == {1} and looks[20].seconds > looks[1].seconds > 0


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("step_seconds", "look_seconds"), [(0.001, 0.0005), (0.01, 0.004), (0.05, 0.02)])
def test_looks_are_dense_at_first_and_then_take_a_bounded_share_of_the_time(step_seconds, look_seconds):
    clock, taken = Clock(), []
    pace, step = Pace(clock), 0
    while clock.now < 60:
        if pace.due(step, clock.now):
            began = clock.now
            clock.now += look_seconds
            pace.spent(began, began)
            taken.append(began)
        clock.now, step = clock.now + step_seconds, step + 1
    assert taken[0] == 0.0
    assert len([at for at in taken if at < SECONDS_AT_FIRST]) >= 10
    later = [at for at in taken if at >= SECONDS_AT_FIRST]
    assert look_seconds * len(later) <= SHARE_LATER * (60 - SECONDS_AT_FIRST) + look_seconds
    assert len(later) >= 20 and min(np.diff(later)) >= GAP_LATER > GAP_AT_FIRST


def test_a_run_of_a_few_steps_has_looks_too():
    clock = Clock()
    pace = Pace(clock)
    seen = []
    for step in range(1, 21):  # 20 steps of 1 ms, looks of 0.2 ms
        clock.now += 0.001
        if pace.due(step, clock.now):
            seen.append(step)
            began, clock.now = clock.now, clock.now + 0.0002
            pace.spent(began, began)
    assert seen == [1, 2, 4, 8, 16]


def test_filters_by_hand():
    convolution = nn.Conv2d(2, 1, (1, 3))
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([[[[0.0, 2.0, -4.0]], [[0.0, 2.0, 0.0]]]]))  # means 0, 2, -2
    assert first_filters(nn.Sequential(convolution, nn.Linear(3, 2)), (2, 4, 4)).tolist() == [[[128, 255, 1]]]
    linear = nn.Sequential(nn.Flatten(), nn.Linear(4, 20))
    assert first_filters(linear, (1, 2, 2)).shape == (16, 2, 2)
    assert first_filters(nn.Sequential(nn.Flatten(), nn.Linear(64 * 80, 2)), (1, 64, 80)).shape == (2, 32, 32)
    assert first_filters(nn.Sequential(nn.Linear(5, 2)), (1, 2, 2)).shape == (0, 0, 0)
    assert first_filters(nn.Sequential(nn.Flatten()), (1, 2, 2)).shape == (0, 0, 0)


def test_a_run_that_diverges_ends_with_what_its_kept_weights_say(digits):
    config = tiny(training__epochs=3)
    model = build_for(config, digits)
    watcher = ImageWatcher(drawing(), config.training, digits, model, CPU)
    watcher.due = lambda step, seconds: True
    events = []
    for event in fit(config, digits, model, CPU, watchers=[watcher]):
        events.append(event)
        if isinstance(event, Checkpoint) and event.epoch == 1:
            with torch.no_grad():
                model.fc1.bias.fill_(float("nan"))
    assert events[-1].reason == "diverged" and isinstance(events[-2], Look)
    looks = looks_of(events)
    assert [look.step for look in looks[:21]] == list(range(21)) and len(looks) == 22  # none of weights that are NaN
    assert all(np.isfinite(look.arrays["watched"]).all() for look in looks)
    assert looks[-1].arrays["watched"] == pytest.approx(looks[20].arrays["watched"], abs=1e-6)


def test_points_can_be_looked_at_too(cache_dir, places):
    """Any watcher's looks come, whatever the data; the network of the 2-D lab ends with the same weights."""
    config = PRESETS["circle-2d"].config.with_values({"training.epochs": 3})
    data = load(config.data, places / "data", cache_dir)

    class Plain:
        def due(self, step, seconds):
            return step % 2 == 0

        def look(self, model, step, epoch, seconds, loss):
            with torch.no_grad():
                return Look("plane", step, epoch, seconds, {"answers": model(torch.zeros(1, 2)).numpy()})

    watched, bare = build_for(config, data), build_for(config, data)
    events = list(fit(config, data, watched, CPU, watchers=[Plain()]))
    list(fit(config, data, bare, CPU))
    steps = events[0].steps
    assert [look.step for look in looks_of(events)] == [0, *range(2, steps + 1, 2), steps]
    assert all(torch.equal(value, bare.state_dict()[name]) for name, value in watched.state_dict().items())


def test_a_paused_run_shows_its_last_step_and_pauses_are_no_training(digits, monkeypatch):
    """Paused before step 4, asked for one step, then let go."""
    monkeypatch.setattr("core.training.loop.SECONDS_PER_LOOK", 0.0)

    class Pauses:
        asked = 0

        def command(self):
            self.asked += 1
            return Command(pause=4 <= self.asked < 12, steps=self.asked >= 8)

    config = tiny()
    model = build_for(config, digits)
    watcher = ImageWatcher(drawing(), config.training, digits, model, CPU)
    watcher.due = lambda step, seconds: False
    events = list(fit(config, digits, model, CPU, Pauses(), watchers=[watcher]))
    paused = [event.step for event in events if isinstance(event, Paused)]
    assert paused == [3, 4] and [look.step for look in looks_of(events)] == [0, *paused, 20]
    assert [type(event) for event, after in zip(events, events[1:], strict=False) if isinstance(after, Paused)] == [Look, Look]


def test_what_looking_takes_is_no_training(digits, monkeypatch):
    """Looks of 1,000 s each: neither an epoch's seconds nor its speed know of them, but the run's time does."""
    clock, real = Clock(), time.perf_counter
    monkeypatch.setattr("core.training.loop.time.perf_counter", lambda: clock.now + real())
    monkeypatch.setattr("core.training.loop.Pending", lambda: Pending(since=time.perf_counter()))
    config = tiny()
    model = build_for(config, digits)
    watcher = ImageWatcher(drawing(), config.training, digits, model, CPU)

    class Slow:
        def due(self, step, seconds):
            return step in {3, 4, 11}

        def look(self, *given):
            clock.now += 1000
            return watcher.look(*given)

    events = list(fit(config, digits, model, CPU, watchers=[Slow()]))
    epoch = next(event for event in events if isinstance(event, Epoch))
    assert epoch.seconds < 500 and sum(event.seconds for event in events if isinstance(event, Gradients)) < 500
    assert events[-1].seconds > 5000
    assert [round(look.seconds / 1000) for look in looks_of(events)] == [0, 1, 2, 3, 4]
