"""Points in the plane: inputs, added points, L1, a pace, weights to draw from while a run goes, and the maps of the 2-D lab."""

import base64
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core.config import DataConfig, RunConfig, read_config
from core.data import FEATURES, DataError, as_features, default_config, load, outline
from core.data.sources.generated import RULES
from core.fields import ConfigError
from core.figures.curves import Curves
from core.figures.plane import losses_chart, plane_scatter, points_as_bytes, thumbnail
from core.labs.decision_boundary import EXTENT, can_show, plane_points, untrained
from core.presets import PRESETS
from core.runs import RunNotFound, load_model
from core.runs import live_weights as live_module
from core.runs.execute import StoreControl, execute
from core.runs.live_weights import live_path, newest_model
from core.training import Checkpoint, Command, Epoch, Finished, Gradients, Step, fit, prepare
from core.training import loop as loop_module
from core.training.step import TrainingStep
from tests.helpers import tiny

NOWHERE = Path("no files needed")
CIRCLE = PRESETS["circle-2d"].config
ALL = list(FEATURES)


def circle(**changes) -> RunConfig:
    return CIRCLE.with_values({name.replace("__", "."): value for name, value in changes.items()})


def losses(config: RunConfig) -> list[float]:
    data, model = prepare(config, NOWHERE)
    return [event.loss for event in fit(config, data, model, torch.device("cpu")) if isinstance(event, Step)]


# --- inputs and added points


def test_inputs_by_hand():
    points = torch.tensor([[0.5, -2.0], [3.0, 1.0]])
    expected = [[0.5, -2.0, 0.25, 4.0, -1.0, np.sin(0.5), np.sin(-2.0)], [3.0, 1.0, 9.0, 1.0, 3.0, np.sin(3.0), np.sin(1.0)]]
    assert np.allclose(as_features(points, ALL).numpy(), expected, atol=1e-6)
    assert torch.equal(as_features(points, ["x2", "x1"]), points.flip(1))


@pytest.mark.parametrize("feature", ALL)
def test_the_code_of_an_input_is_the_input(feature):
    points = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(eval(FEATURES[feature].code, {"points": points}), FEATURES[feature].value(points))


def test_a_config_names_the_inputs_there_are():
    assert DataConfig(features=tuple(ALL)).features == tuple(ALL)
    for wrong in ([], ["x3"], ["x1"] * 8):
        with pytest.raises(ConfigError, match=r"data\.features"):
            read_config({"data": {"features": wrong}})


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.in_plane])
def test_a_data_set_has_the_inputs_it_was_asked_for(name):
    config = default_config(name).model_copy(update={"features": ("x1_x2", "sin_x2")})
    data = load(config, NOWHERE)
    points = RULES[name].generate(config)
    assert data.input_shape == outline(config).input_shape == (2,)
    assert torch.equal(data.train.images[:, 0], points.train[0].prod(1))
    assert torch.equal(data.test.images[:, 1], points.test[0][:, 1].sin())


def test_inputs_change_nothing_for_data_without_a_plane():
    config = default_config("random_labels").model_copy(update={"features": ("x1",)})
    assert load(config, NOWHERE).input_shape == outline(config).input_shape == (10,)


def test_added_points_are_learned_from_and_nothing_else_moves():
    plain, more = load(CIRCLE.data, NOWHERE), load(circle(data__added=[[1.5, -0.5, 1], [0, 0, 0]]).data, NOWHERE)
    assert torch.equal(more.train.images[:100], plain.train.images)
    assert torch.equal(more.validation.images, plain.validation.images)
    assert more.train.images[100:].tolist() == [[1.5, -0.5], [0, 0]] and more.train.labels[100:].tolist() == [1, 0]
    assert more.train.labels.dtype == torch.int64 and torch.equal(more.test.labels, plain.test.labels)


@pytest.mark.parametrize(("added", "words"), [
    ([[7, 0, 1]], "from -6 to 6"), ([[0, -6.5, 1]], "from -6 to 6"), ([[0, 0, 2]], "from 0 to 1"), ([[0, 0, -1]], "from 0 to 1"),
    ([[0, 0]], "data.added"), ([["a", 0, 1]], "data.added"), ([[float("nan"), 0, 1]], "data.added"),
    ([[0, 0, 1]] * 501, "at most 500"), ("no list", "data.added"),
])
def test_added_points_are_bounded(added, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read_config({"data": {"added": added}})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["linear", "random_labels"])
def test_not_every_set_takes_added_points(name):
    with pytest.raises(DataError, match=r"Set it to \[\]"):
        load(default_config(name).model_copy(update={"added": ((0.0, 0.0, 1),)}), NOWHERE)


def test_hills_by_hand():
    points, heights = RULES["hills"].draw(4000, 0.0, torch.Generator().manual_seed(0))
    for x, y, sign in ((-1.5, -1, 1), (0, -1, -1), (1.5, -1, 1), (-1.5, 1, -1), (0, 1, 1), (1.5, 1, -1)):
        distance = (points - torch.tensor([x, y])).norm(dim=1)
        near = distance < 0.7  # nearer to this top than to any other
        assert near.any() and torch.allclose(heights[near], sign * (1 - distance[near]), atol=1e-5)
    assert heights.abs().max() <= 1 and heights[(points[:, 1].abs() < 0.01) & (points[:, 0].abs() < 0.1)].abs().max() < 0.02


# --- L1


@pytest.mark.parametrize("clipping", [0.0, 0.05])
def test_l1_is_a_plain_loop_with_a_penalty(clipping):
    config = circle(training__l1=0.03, training__epochs=30, training__gradient_clipping=clipping)
    data, model = prepare(config, NOWHERE)
    plain = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid())
    plain.load_state_dict({f"{place}.{kind}": value for (place, kind), value in zip(
        [(0, "weight"), (0, "bias"), (2, "weight"), (2, "bias")], model.state_dict().values(), strict=True)})
    optimizer, criterion = torch.optim.SGD(plain.parameters(), lr=0.1), nn.BCELoss()
    expected = []
    for _ in range(30):
        loss = criterion(plain(data.train.images), data.train.labels.float().unsqueeze(1))
        expected.append(loss.item())
        optimizer.zero_grad()
        (loss + 0.03 * sum(weight.abs().sum() for weight in plain.parameters())).backward()
        if clipping:
            nn.utils.clip_grad_norm_(plain.parameters(), clipping)
        optimizer.step()
    assert [event.loss for event in fit(config, data, model, torch.device("cpu")) if isinstance(event, Step)] == \
        pytest.approx(expected, abs=1e-5)
    assert torch.allclose(model.fc1.weight, plain[0].weight, atol=1e-5)


def test_no_l1_is_no_change_and_adds_nothing(monkeypatch):
    monkeypatch.setattr(TrainingStep, "add_l1", lambda self: pytest.fail("called without l1"))
    assert len(losses(circle(training__epochs=2))) == 2
    with pytest.raises(ConfigError, match="training.l1"):
        circle(training__l1=-0.1)


# --- a pace


class Says:
    """A control with a command for each look; the last one from then on."""

    def __init__(self, *commands: Command) -> None:
        self.commands, self.looks = list(commands), 0

    def command(self) -> Command:
        self.looks += 1
        return self.commands[min(self.looks, len(self.commands)) - 1]


def events(config: RunConfig, control=None) -> list:
    data, model = prepare(config, NOWHERE)
    return list(fit(config, data, model, torch.device("cpu"), control))


class Clock:
    """A clock that moves while somebody sleeps, and at no other time: then nothing depends on how fast the machine is."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def test_a_pace_takes_its_time_and_changes_nothing(monkeypatch):
    config = circle(training__epochs=4)
    monkeypatch.setattr(loop_module, "time", clock := Clock())
    slow = events(config, Says(Command(pace=0.12)))
    assert clock.now == pytest.approx(3 * 0.12), "three waits: none after the last epoch"
    assert [e.loss for e in slow if isinstance(e, Step)] == [e.loss for e in events(config) if isinstance(e, Step)]
    finished = next(e for e in slow if isinstance(e, Finished))
    assert finished.seconds == pytest.approx(0.0), "waiting is not training"


@pytest.mark.parametrize("end", [Command(stop=True), Command()])
def test_what_is_said_while_it_waits_is_heard(monkeypatch, end):
    monkeypatch.setattr(loop_module.time, "sleep", lambda seconds: None)
    seen = events(circle(training__epochs=3), Says(*[Command(pace=1000.0)] * 20, end))
    finished = next(e for e in seen if isinstance(e, Finished))
    assert (finished.reason, finished.epochs) == (("stopped", 1) if end.stop else ("completed", 3))


def test_a_paused_run_waits_where_pauses_do(monkeypatch):
    monkeypatch.setattr(loop_module.time, "sleep", lambda seconds: None)
    paused = Command(pause=True, pace=1000.0)
    seen = events(circle(training__epochs=2), Says(Command(pace=1000.0), paused, paused, paused, Command()))
    assert sum(isinstance(e, Epoch) for e in seen) == 2


def test_the_store_keeps_the_pace(store):
    run_id = store.create(CIRCLE, "me", pace=0.2)
    assert store.get(run_id).pace == 0.2
    store.set_pace(run_id, 0.5)
    assert store.claim("w").pace == store.command(run_id).pace == 0.5
    store.set_pace(run_id, 0.0)
    assert store.command(run_id).pace == 0.0
    store.finish(run_id, "finished")
    store.set_pace(run_id, 9.0)
    assert store.get(run_id).pace == 0.0, "it has ended"
    with pytest.raises(RunNotFound):
        store.set_pace("0" * 32, 1.0)
    assert store.get(store.create(CIRCLE, "me")).pace == 0.0


# --- weights while it goes


def test_live_weights_are_those_of_the_moment(store, settings, monkeypatch):
    monkeypatch.setattr(live_module, "SECONDS_PER_LOOK", 0.0)
    run = store.create_running(circle(training__epochs=5, data__features=ALL), "me", "w")
    seen = []

    def report(event) -> None:
        if isinstance(event, Gradients):
            seen.append(live_module.read_checkpoint(live_path(store, run.id)))
        elif isinstance(event, Checkpoint) and seen:
            for name, value in seen[-1].model.state_dict().items():
                assert torch.equal(value, event.weights[name]), name

    ended = execute(store, run, settings, StoreControl(store, run.id, threading.Event()), report)
    assert ended.status == "finished" and len(seen) == 5
    assert not live_path(store, run.id).exists(), "the checkpoint has them"
    last = newest_model(store, run.id)
    assert torch.equal(last.model.fc1.weight, load_model(store, run.id).model.fc1.weight)


def test_a_pause_shows_the_step_it_is_at(store, settings, monkeypatch):
    monkeypatch.setattr(live_module, "SECONDS_PER_LOOK", 1e9)  # by the clock alone there would be none after the first
    monkeypatch.setattr(loop_module.time, "sleep", lambda seconds: None)
    config = circle(training__epochs=9)
    run = store.create_running(config, "me", "w")
    data, model = prepare(config, NOWHERE)
    expected = [e.weights for e in fit(config, data, model, torch.device("cpu")) if isinstance(e, Checkpoint)][5]
    at_pause = []

    class Pausing(Says):
        def command(self) -> Command:
            if self.looks >= 7 and not at_pause:
                at_pause.append((newest_model(store, run.id), store.get(run.id).step))
            return super().command()

    execute(store, run, settings, Pausing(*[Command()] * 6, Command(pause=True), Command()))
    found, step = at_pause[0]
    assert step == 6, "losses are handed over too"
    assert torch.equal(found.model.fc1.weight, expected["fc1.weight"])


def test_images_have_no_live_weights(store, settings):
    run = store.create_running(tiny(), "me", "w")
    files = []
    execute(store, run, settings, report=lambda event: files.append(live_path(store, run.id).exists()))
    assert files and not any(files)


def test_no_weights_and_damaged_weights(store):
    run_id = store.create(CIRCLE, "me")
    assert newest_model(store, run_id) is None
    live_path(store, run_id).parent.mkdir(parents=True)
    live_path(store, run_id).write_bytes(b"half a file")
    assert newest_model(store, run_id) is None
    with pytest.raises(RunNotFound):
        newest_model(store, "../../etc")


# --- maps


def fresh(**changes):
    config = circle(**changes)
    data = load(config.data, NOWHERE)
    return untrained(config, data), data


def test_the_untrained_network_is_the_one_the_run_starts_from():
    trained, data = fresh(training__seed=3)
    _, model = prepare(trained.config, NOWHERE)
    assert torch.equal(trained.model.fc1.weight, model.fc1.weight)
    assert trained.epoch == 0 and not trained.model.training and data.classes == trained.classes


@pytest.mark.parametrize(("changes", "shown"), [
    ({}, True), ({"model__hidden": [8] * 6}, True), ({"model__hidden": [9]}, False), ({"model__hidden": [2] * 7}, False),
    ({"data__dataset": "random_labels"}, False), ({"model__architecture": "softmax_regression"}, False),
    ({"data__task": "is_target", "data__target": 1}, False), ({"data__dataset": "digits"}, False)])
def test_what_the_lab_can_show(changes, shown):
    assert can_show(circle(**changes)) is shown


# --- pictures


def unpacked(text: str) -> list[int]:
    return list(base64.b64decode(text))


def test_points_as_bytes():
    points, labels = torch.tensor([[-3.0, 3.0], [0.0, 0.0], [9.0, 0.0]]), torch.tensor([0, 1, 1])
    assert unpacked(points_as_bytes(points, labels, 3.0, 1.0, number=False)) == [0, 255, 0, 128, 128, 255]
    numbers = torch.tensor([-4.0, 2.0, 0.0])
    assert unpacked(points_as_bytes(points, numbers, 3.0, 4.0, number=True)) == [0, 255, 0, 128, 128, 191]
    many = torch.zeros(5000, 2), torch.zeros(5000)
    assert len(unpacked(points_as_bytes(*many, 3.0, 1.0, number=False))) == 1500


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.in_plane])
def test_thumbnails_have_both_colours_on_nothing(name):
    points, labels = plane_points(circle(data__dataset=name)).train
    picture = np.asarray(thumbnail(points, labels, EXTENT, not RULES[name].classes))
    assert picture.shape == (72, 72, 4) and (picture[..., 3] == 0).any()
    solid = picture[picture[..., 3] == 255].astype(int)
    assert (solid[:, 0] > solid[:, 2]).any() and (solid[:, 2] > solid[:, 0]).any()


def test_losses_are_drawn_by_epoch():
    curves = Curves(10, 30, {"train_loss": ([10, 20], [0.5, float("nan")]), "validation_loss": ([10], [0.625])})
    option = losses_chart(curves)
    assert [series["data"] for series in option["series"]] == [[[1, 0.5], [2, None]], [[1, 0.625]]]
    assert option["xAxis"]["max"] == 30
    assert losses_chart(replace(curves, series={}))["series"][0]["data"] == []


def test_scatter_has_a_trace_for_each_class_or_one_of_numbers():
    points = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    figure = plane_scatter(points, torch.tensor([0, 1, 1]), ("out", "in"), ("x1", "x2"))
    assert [(trace.name, list(trace.x)) for trace in figure.data] == [("out", [0.0]), ("in", [2.0, 4.0])]
    (trace,) = plane_scatter(points, torch.tensor([0.5, 1.0, -2.0]), (), ("x1", "x2")).data
    assert list(trace.marker.color) == [0.5, 1.0, -2.0]
