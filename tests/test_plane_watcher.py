"""Pictures of the plane while a network on points learns: right on every point, at even steps, and of no influence."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from core.config import RunConfig
from core.data import FEATURES, load
from core.evaluation import evaluate
from core.figures.plane import message
from core.labs.decision_boundary import input_maps, picture_of, spread_over, untrained
from core.presets import PRESETS
from core.runs.execute import execute
from core.runs.recorder import SECONDS_PER_FLUSH, SECONDS_PER_PICTURES, Recorder
from core.training import Look, PlaneWatcher, Step, build_for, fit, prepare
from core.training.plane import EXTENT, FEWEST_A_SECOND, FREE, MOST_A_SECOND, PLANE, SHARE, SIDE, UNIT_SIDE, EvenPace, grid
from tests.helpers import StopAfter, tiny

NOWHERE, CPU = Path("no files needed"), torch.device("cpu")
CIRCLE = PRESETS["circle-2d"].config
ALL = list(FEATURES)


def circle(**changes) -> RunConfig:
    return CIRCLE.with_values({name.replace("__", "."): value for name, value in changes.items()})


def picture(config: RunConfig, model: nn.Module) -> dict[str, np.ndarray]:
    look = PlaneWatcher(config, load(config.data, NOWHERE), CPU).look(model, 7, 2, 0.5, 0.1)
    assert (look.kind, look.step, look.epoch, look.seconds) == (PLANE, 7, 2, 0.5)
    return look.arrays


def greys(values: torch.Tensor) -> np.ndarray:
    return np.rint((values.numpy().astype(np.float64).clip(-1, 1) + 1) * 127.5)


# --- what is in a picture


def test_the_grid_starts_at_the_top_left():
    points = grid()
    assert points.shape == (SIDE * SIDE, 2)
    assert points[0].tolist() == [-EXTENT, EXTENT] and points[SIDE - 1].tolist() == [EXTENT, EXTENT]
    assert points[-1].tolist() == [EXTENT, -EXTENT]


def test_a_network_made_by_hand():
    config = circle(model__hidden=[2])
    data, model = prepare(config, NOWHERE)
    with torch.no_grad():  # unit 0 is max(0, x1), unit 1 max(0, -2·x2 + 2); the logit is unit 0 − 1
        model.fc1.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -2.0]]))
        model.fc1.bias.copy_(torch.tensor([0.0, 2.0]))
        model.fc2.weight.copy_(torch.tensor([[1.0, 0.0]]))
        model.fc2.bias.copy_(torch.tensor([-1.0]))
    seen = picture(config, model)
    assert seen["units"].shape == (2, UNIT_SIDE, UNIT_SIDE) and seen["largest"].tolist() == [3, 8]
    for row in (0, 11, 24):  # max(0, x1) of 3: nothing on the left half, from left to right up to all
        assert seen["units"][0, row, [0, 12, 16, 20, 24]].tolist() == pytest.approx([128, 128, 170, 212, 255], abs=1)
    for column in (0, 11, 24):  # max(0, 2 − 2·x2) of 8: x2 is 3 at the top, 0 in the middle, −3 at the bottom
        assert seen["units"][1, [0, 8, 12, 24], column].tolist() == [128, 128, 159, 255]
    answer = [2 / (1 + np.exp(-(max(0, x) - 1))) - 1 for x in (-3, 0, 1, 3)]
    assert seen["answer"][30, [0, 24, 32, 48]].tolist() == [round((value + 1) * 127.5) for value in answer]
    assert seen["weights"].tolist() == [1, 0, 0, -2, 1, 0] and seen["biases"].tolist() == [0, 2, -1]


@pytest.mark.parametrize("changes", [
    {}, {"training__loss": "cross_entropy", "model__hidden": [5, 3]}, {"data__features": ALL, "data__normalization": "standard"},
    {"data__dataset": "hills", "training__loss": "mse"}, {"model__hidden": []}, {"training__loss": "nll", "model__hidden": []},
    {"model__hidden": [8] * 6, "model__dropout": 0.5, "model__activation": "tanh"}])
def test_a_picture_is_what_plain_pytorch_says(changes):
    config = circle(**changes)
    data, model = prepare(config, NOWHERE)
    seen = picture(config, model)
    assert model.training, "its mode is as it was"
    model.eval()
    x1 = torch.linspace(-3, 3, 49)
    points = torch.stack([torch.stack([x, y]) for y in x1.flip(0) for x in x1])
    inputs = torch.stack([FEATURES[name].value(points) for name in config.data.features], 1)
    values = (inputs - torch.tensor(data.mean)) / torch.tensor(data.std)
    hidden, linear = [], [module for module in model if isinstance(module, nn.Linear)]
    with torch.no_grad():
        for module in model:
            if isinstance(module, nn.Linear) and module is not linear[0]:
                hidden.append(values)
            values = module(values)
    if config.training.loss in ("cross_entropy", "nll"):
        answer = values.softmax(1)[:, 1] * 2 - 1
    elif data.classes:
        answer = torch.sigmoid(values[:, 0]) * 2 - 1
    else:
        answer = values[:, 0] / data.train.labels[data.train.rows].abs().max()
    assert seen["answer"].flatten() == pytest.approx(greys(answer), abs=1)
    found = np.split(seen["units"], np.cumsum(config.model.hidden)[:-1]) if hidden else []
    assert len(found) == len(config.model.hidden)
    for layer, maps in zip(hidden, found, strict=True):
        coarse = layer.T.reshape(-1, 49, 49)[:, ::2, ::2]
        assert maps == pytest.approx(greys(coarse / coarse.abs().amax((1, 2), keepdim=True).clamp(min=1e-9)), abs=1)
    weights = [layer.weight.detach() for layer in linear]
    if len(weights[-1]) == 2:
        weights[-1] = weights[-1][1:] - weights[-1][:1]
    assert seen["weights"] == pytest.approx(torch.cat([one.flatten() for one in weights]).numpy())
    assert len(seen["biases"]) == sum(config.model.hidden) + 1


@pytest.mark.parametrize("changes", [
    {}, {"data__dataset": "linear", "training__loss": "mse", "data__normalization": "standard"},
    {"data__added": [[1, 1, 0], [0.5, 0, 1]], "training__loss": "cross_entropy"}])
def test_its_losses_are_what_evaluate_measures(changes):
    config = circle(**changes)
    data, model = prepare(config, NOWHERE)
    learned, held_back, right = picture(config, model)["standing"].tolist()
    expected, validation = (evaluate(model, data, config, split) for split in (data.train, data.validation))
    assert (learned, held_back) == (pytest.approx(expected.loss, rel=1e-5), pytest.approx(validation.loss, rel=1e-5))
    assert np.isnan(right) if validation.accuracy is None else right == pytest.approx(validation.accuracy)


def test_lost_weights_have_no_picture():
    data, model = prepare(CIRCLE, NOWHERE)
    with torch.no_grad():
        model.fc1.bias[0] = torch.nan
    assert PlaneWatcher(CIRCLE, data, CPU).look(model, 1, 1, 0.0, 0.0) is None


def test_the_first_picture_is_of_the_weights_that_a_run_starts_from():
    config = circle(training__seed=3)
    data, model = prepare(config, NOWHERE)
    seen = picture_of(untrained(config, data), data)
    assert np.array_equal(seen.arrays["weights"][:8], model.fc1.weight.detach().flatten().numpy())
    assert (seen.step, seen.epoch) == (0, 0)


def test_inputs_as_maps():
    maps = input_maps(["x2", "x1_squared"])
    assert maps.shape == (2, UNIT_SIDE, UNIT_SIDE)
    assert maps[0, [0, 12, 24], 5].tolist() == [255, 128, 0] and maps[1, 3, [0, 12, 24]].tolist() == [255, 128, 255]


# --- when


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def watch(seconds: float, step_seconds, look_seconds: float = 0.0004) -> tuple[list[int], list[float], float]:
    """Steps that were looked at, when, and the time that looking took. step_seconds: of the step-th one, waiting included."""
    clock = Clock()
    pace, steps, times, spent, step = EvenPace(clock), [], [], 0.0, 0
    while clock.now < seconds:
        step, clock.now = step + 1, clock.now + step_seconds(step)
        if pace.due(step):
            steps.append(step)
            times.append(clock.now)
            began, clock.now = clock.now, clock.now + look_seconds
            pace.spent(began)
            spent += look_seconds
    return steps, times, spent


@pytest.mark.parametrize(("step_seconds", "least"), [
    (lambda step: 0.00005, FEWEST_A_SECOND), (lambda step: 0.001, FEWEST_A_SECOND),
    (lambda step: 0.00005 if step % 10 else 0.05, FEWEST_A_SECOND), (lambda step: 0.1, 10)],
    ids=["as fast as it goes", "slow steps", "20 epochs a second", "one step in 0.1 s"])
def test_pictures_come_at_even_steps_thirty_to_sixty_a_second(step_seconds, least):
    steps, times, spent = watch(10.0, step_seconds)
    later = [step for step, at in zip(steps, times, strict=True) if at > 1]
    assert 9 * 0.9 * least <= len(later) <= 9 * MOST_A_SECOND * 1.1
    assert len(set(np.diff(later))) == 1, "even"
    assert spent <= FREE + (SHARE + 0.005) * 10
    assert len([at for at in times if at <= 1]) >= 0.9 * least, "from the start on"


def test_looks_that_take_long_stay_a_small_share_of_the_time():
    steps, times, spent = watch(10.0, lambda step: 0.0001, look_seconds=0.02)
    assert len(steps) > 10 and spent <= 0.1 * 10


def test_a_pause_and_another_speed_are_caught_up_with():
    speeds = [0.00005] * 40_000 + [60.0] + [0.005] * 4000  # 2 s as fast as it goes, a pause, then 200 steps a second
    steps, times, _ = watch(80.0, lambda step: speeds[min(step - 1, len(speeds) - 1)])
    last = [at for at in times if at > 75]
    assert 5 * FEWEST_A_SECOND * 0.9 <= len(last) <= 5 * MOST_A_SECOND


# --- what it does to a run: nothing


@pytest.mark.parametrize("changes", [
    {}, {"model__hidden": [8, 4], "model__dropout": 0.4, "training__batch_size": 10},
    {"training__optimizer__name": "adam", "data__dataset": "spirals", "data__noise": 0.1, "training__l1": 0.001,
     "training__batch_size": 7}, {"data__dataset": "hills", "training__loss": "mse", "training__keep": "best"}])
def test_a_watched_run_trains_the_same_bit_for_bit(changes):
    config = circle(**{"training__epochs": 4} | changes)
    data = load(config.data, NOWHERE)
    bare, watched = build_for(config, data), build_for(config, data)
    watcher = PlaneWatcher(config, data, CPU)
    watcher.due = lambda step, seconds: True
    plain = [event for event in fit(config, data, bare, CPU) if isinstance(event, Step)]
    events = list(fit(config, data, watched, CPU, watchers=[watcher]))
    assert [event for event in events if isinstance(event, Step)] == plain
    assert [event.step for event in events if isinstance(event, Look)] == [*range(len(plain) + 1), len(plain)]
    for name, value in bare.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name]), name


@pytest.mark.parametrize("changes", [{}, {"model__hidden": [8, 4], "model__dropout": 0.4, "training__batch_size": 10}])
def test_a_picture_is_of_the_weights_after_its_step(changes):
    """Each beside a run of its own that is stopped at that step."""
    config = circle(**{"training__epochs": 20} | changes)
    data = load(config.data, NOWHERE)
    watcher, model = PlaneWatcher(config, data, CPU), build_for(config, data)
    watcher.due = lambda step, seconds: True
    looks = {event.step: event for event in fit(config, data, model, CPU, watchers=[watcher]) if isinstance(event, Look)}
    for step in (0, 1, 3, 16, 20):
        alone = build_for(config, data)
        list(fit(config, data, alone, CPU, StopAfter(step)))
        expected = watcher.look(alone, step, 1, 0.0, 0.0).arrays
        for name in set(expected) - {"made"}:
            assert np.array_equal(looks[step].arrays[name], expected[name]), (step, name)


def test_every_run_on_points_in_the_plane_keeps_its_pictures(store, settings):
    run = store.create_running(circle(training__epochs=30), "me", "here")
    assert execute(store, run, settings).status == "finished"
    looks = store.looks(run.id, PLANE)
    assert {0, 1, 30} <= {look.step for look in looks}, "by the clock there are more"
    assert looks[-1].arrays["standing"][0] < looks[0].arrays["standing"][0]
    for other in (tiny(), PRESETS["toy-sigmoid"].config, circle(model__hidden=[9], training__epochs=1)):
        run = store.create_running(other, "me", "here")
        assert execute(store, run, settings).status == "finished" and not store.look_times(run.id, PLANE)


def test_pictures_are_handed_on_sooner_than_curves(store):
    clock = Clock()
    recorder = Recorder(store, store.create_running(CIRCLE, "me", "here").id, clock)
    recorder.flush()
    clock.now = SECONDS_PER_PICTURES
    assert not recorder.is_due() and SECONDS_PER_PICTURES < SECONDS_PER_FLUSH
    recorder.look(Look(PLANE, 1, 1, 0.0, {}))
    assert recorder.is_due()


# --- what is sent


@pytest.mark.parametrize("changes", [{}, {"model__hidden": []}, {"model__hidden": [3, 2], "data__features": ALL}])
def test_a_message_holds_what_it_says(changes):
    """Read as the browser does it: the JSON's length, the JSON, and of each picture numbers and bytes."""
    config = circle(**changes)
    data, model = prepare(config, NOWHERE)
    watcher = PlaneWatcher(config, data, CPU)
    looks = [watcher.look(model, 0, 1, 0.0, 0.0)]
    with torch.no_grad():
        model[1].bias.add_(0.5)
    looks.append(watcher.look(model, 16_777_217, 3, 0.0, 0.0))
    sent = message({"name": "x₁ «»"}, looks)
    length = int.from_bytes(sent[:4], "little")
    about = json.loads(sent[4:4 + length])
    assert (about["name"], about["steps"], about["epochs"], length % 4) == ("x₁ «»", [0, 16_777_217], [1, 3], 0)
    assert about["made"] == [float(look.arrays["made"][0]) for look in looks]
    hidden, inputs = config.model.hidden, len(config.data.features)
    units, sizes = sum(hidden), [inputs, *hidden, 1]
    links = sum(a * b for a, b in zip(sizes, sizes[1:], strict=False))
    at = 4 + length
    for look in looks:
        numbers = np.frombuffer(sent, "<f4", 3 + units + links + units + 1, at)
        expected = [look.arrays[name] for name in ("standing", "largest", "weights", "biases")]
        assert np.array_equal(numbers, np.concatenate(expected))
        at += numbers.nbytes
        maps = np.frombuffer(sent, np.uint8, SIDE**2 + units * UNIT_SIDE**2, at)
        assert np.array_equal(maps, np.concatenate([look.arrays["answer"].ravel(), look.arrays["units"].ravel()]))
        at += -(-len(maps) // 4) * 4
    assert at == len(sent)


@pytest.mark.parametrize(("count", "most"), [(5, 10), (10, 10), (600, 200), (601, 7), (3, 2)])
def test_pictures_spread_over_a_run(count, most):
    kept = spread_over(range(count), most)
    assert (kept[0], kept[-1], len(kept)) == (0, count - 1, min(count, most)) and kept == sorted(set(kept))
    assert np.ptp(np.diff(kept)) <= 1
