"""One training step: the microscope, the range test and the measurement of layers do what fit() does, bit for bit, whatever the
options. The options are read from the schema, so that a new one is tried without anybody's thinking of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from math import isfinite
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from torch import Tensor, nn

from core.config import OPTIMIZERS, SCHEDULES, RunConfig, TrainingConfig
from core.data import Dataset, load
from core.data.batches import Batch
from core.fields import Config, ConfigError, bounds_of
from core.models import ARCHITECTURES
from core.runs.execute import execute
from core.runs.range_run import STEPS, range_curve
from core.runs.starting import starting_model
from core.training import Checkpoint, Command, Finished, Step, build_for, fit, measured
from core.training.loop import Loop
from core.training.microscope import Microscope, open_fresh
from core.training.range_test import HIGHEST, LOWEST, range_steps
from core.training.state import CURRENT, OPTIMIZER
from core.training.step import TrainingStep, batches_of_epoch, order_of_epoch, shuffling_seed
from core.training.trainable import train_mode
from core.transforms import TRANSFORMS
from tests.helpers import run_here, tiny

CPU = torch.device("cpu")
EXAMPLES = 100  # to learn from: with batches of 48 the third of an epoch has 4
DROPOUT = {"model__dropout": 0.3}
PLAIN: dict[str, Any] = {"training__batch_size": 48, "training__epochs": 3, "training__seed": 3}
SEED_3 = TrainingConfig(seed=3)
NEEDED = {"nesterov": {"momentum": 0.5}}  # what an option needs beside it
ELSEWHERE = {"optimizer", "schedule",  # their own fields are tried
             "trainable", "frozen_first",  # among OTHER_CASES, and see test_trainable
             "start_from", "device",  # below; and the microscope, which is compared, is always on the CPU
             "moment_epochs",  # copies of what steps have made; see test_moment_epochs
             "threads"}  # the number of a process, which a step does not change; see test_threads


# --- the options


def values_of(config: type[Config], name: str) -> list[Any]:
    """All choices of a field; of a number's range the lowest, if it is allowed, and one more."""
    info = config.model_fields[name]
    if get_origin(info.annotation) is Literal:
        return list(get_args(info.annotation))
    if info.annotation is bool:
        return [False, True]
    low, high = bounds_of(info)
    assert low is not None and high is not None, f"{config.__name__}.{name}: say here what to try of it"
    if info.annotation is int:
        return [int(low), int(low) + 2]
    lowest = [low] if any(getattr(rule, "ge", None) == low for rule in info.metadata) else []
    return [*lowest, low + 0.3 * min(1.0, high - low)]


def with_fields(prefix: str, config: type[Config], skip: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in config.model_fields:
        if name not in skip:
            for value in values_of(config, name):
                yield f"{prefix}{name}={value}", {name: value, **(NEEDED.get(name, {}) if value else {})}


def all_cases() -> dict[str, dict[str, Any]]:
    """Changes to PLAIN by what they are called."""
    cases = {name: {f"training__{field}": value for field, value in fields.items()}
             for name, fields in with_fields("", TrainingConfig, ELSEWHERE)}
    for part, entries, rate in (("optimizer", OPTIMIZERS, 0.01), ("schedule", SCHEDULES, None)):
        for kind, config in entries.items():
            base = {"name": kind} | ({"learning_rate": rate} if rate else {})
            cases[kind] = {f"training__{part}": base}
            cases |= {name: {f"training__{part}": base | fields}
                      for name, fields in with_fields(f"{kind}.", config, {"name"})}
    cases |= {f"transform {kind}": {"data__transforms": [{"kind": kind}]} for kind in TRANSFORMS}
    cases |= {f"l1 and clipping, {name}": {"training__l1": 0.01, "training__gradient_clipping": 0.1,
                                           "training__optimizer__name": name} for name in OPTIMIZERS}
    for loss in get_args(TrainingConfig.model_fields["loss"].annotation):
        cases[f"an 8? {loss}"] = {"data__task": "is_target", "training__loss": loss}
    cases |= ARCHITECTURE_CASES | OTHER_CASES
    return {name: PLAIN | ({} if "model__architecture" in changes else DROPOUT) | changes
            for name, changes in cases.items()}


LARGE = {"resnet18", "vgg16", "mobilenet_v3_small"}  # seconds for each step; their steps are no others
TEXTS = {"data__dataset": "reviews", "data__validation": 100}
ARCHITECTURE_CASES: dict[str, dict[str, Any]] = {
    name: {"model__architecture": name} | (TEXTS if name == "text_embedding" else {}) | (
        {"model__channels": [4]} if "channels" in ARCHITECTURES[name].config.model_fields else {})
    for name in ARCHITECTURES if name not in LARGE}
NUMBER = {"data__dataset": "linear", "data__validation": 20, "training__loss": "mse", "model__dropout": 0.0}
OTHER_CASES: dict[str, dict[str, Any]] = {
    "batch norm and dropout": {"model__architecture": "cnn", "model__channels": [3], "model__fc_width": 8,
                               "model__batch_norm": True, "model__dropout": 0.3},
    "the same in bfloat16": {"model__architecture": "cnn", "model__channels": [3], "model__fc_width": 8,
                             "model__batch_norm": True, "model__dropout": 0.3, "training__precision": "bfloat16"},
    "a number": NUMBER, "a number, linear regression": NUMBER | {"model__hidden": []},
    "a number, l1 and clipping": NUMBER | {"training__l1": 0.01, "training__gradient_clipping": 0.5},
    "points": {"data__dataset": "moons", "data__validation": 20, "training__loss": "bce_with_logits"},
    "points, mse": {"data__dataset": "moons", "data__validation": 20, "training__loss": "mse"},
    "points, standard": {"data__dataset": "circle", "data__validation": 20, "data__normalization": "standard",
                         "data__features": ["x1", "x2", "x1_x2"]},
    "normalization half": {"data__normalization": "half"}, "normalization standard": {"data__normalization": "standard"},
    "two random transforms": {"data__transforms": [{"kind": "random_affine"}, {"kind": "resize", "size": 16},
                                                   {"kind": "gaussian_noise"}], "training__l1": 0.001},
    "the last layer alone": {"training__trainable": "last_layer", "training__l1": 0.01, "training__gradient_clipping": 0.1},
    "the first layer frozen": {"training__frozen_first": 1, "training__l1": 0.01, "training__gradient_clipping": 0.1},
    "linear layers alone, slower below": {
        "model__architecture": "cnn", "model__channels": [3], "model__fc_width": 8, "model__batch_norm": True,
        "model__dropout": 0.3, "training__trainable": "linear_layers", "training__rate_below_last": 0.2},
    "points, slower below": {"data__dataset": "moons", "data__validation": 20, "training__loss": "bce_with_logits",
                             "training__rate_below_last": 0.2},
    "the plateau falls": {"training__schedule": {"name": "plateau", "patience": 0, "factor": 0.5}, "training__epochs": 6,
                          "training__optimizer": {"name": "sgd", "learning_rate": 3.0}},
}
OTHER_CASES["the plateau falls, in bfloat16"] = OTHER_CASES["the plateau falls"] | {"training__precision": "bfloat16"}
CASES = all_cases()


def config_of(name: str, **changes: Any) -> RunConfig:
    return tiny(**CASES[name] | changes)


@pytest.fixture(scope="session")
def data_of(places, cache_dir):
    """Data for a config, cut to EXAMPLES."""
    def made(config: RunConfig) -> Dataset:
        data = load(config.data, places / "data", cache_dir)
        return replace(data, train=replace(data.train, rows=data.train.rows[:EXAMPLES]),
                       validation=replace(data.validation, rows=data.validation.rows[:60]))

    return made


def test_every_option_is_tried():
    fields = set(TrainingConfig.model_fields) - ELSEWHERE
    assert {name.partition("=")[0] for name in CASES} >= fields
    assert fields >= {"loss", "l1", "gradient_clipping", "label_smoothing", "batch_size", "initialization", "precision"}
    assert set(CASES) >= {*OPTIMIZERS, *SCHEDULES, "adam.beta1=0.3", "sgd.nesterov=True", "step.every=3", "batch_size=1"}
    assert all(f"transform {kind}" in CASES for kind in TRANSFORMS)


# --- what fit() does


@dataclass
class Fitted:
    """losses: of each step; weights, state: after the last one, before any others are put in their place."""

    losses: list[float]
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    reason: str


class Rates:
    """A learning rate for each step; stops when there are no more."""

    def __init__(self, rates: list[float]) -> None:
        self.rates = iter(rates)

    def command(self) -> Command:
        rate = next(self.rates, None)
        return Command(stop=rate is None, learning_rate=rate)


def fitted(config: RunConfig, data: Dataset, model: nn.Module | None = None, control: Rates | None = None) -> Fitted:
    losses, kept, reason = [], None, ""
    for event in fit(config, data, model or build_for(config, data), CPU, control):
        if isinstance(event, Step):
            losses.append(event.loss)
        elif isinstance(event, Checkpoint):
            kept = event
        elif isinstance(event, Finished):
            reason = event.reason
    return Fitted(losses, kept.state.under(CURRENT) or kept.weights, kept.state.under(OPTIMIZER), reason)


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor], rtol: float = 0.0) -> None:
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=rtol, atol=rtol, equal_nan=True, msg=name)


def rounding(config: RunConfig, data: Dataset) -> float:
    """What two ways of the same steps may differ by: fit() takes those of tiny networks on points in NumPy, in another order."""
    return 0.0 if Loop(config, data, build_for(config, data), CPU).tiny is None else 1e-5


def state_of(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {f"{number}.{name}": value for number, values in optimizer.state_dict()["state"].items()
            for name, value in values.items() if isinstance(value, Tensor)}


# --- all of them


@pytest.mark.parametrize("name", CASES)
def test_the_microscope_steps_as_fit_does(name, data_of):
    config = config_of(name)
    data = data_of(config)
    expected = fitted(config, data)
    scope = open_fresh(config, data)
    frozen = [scope.take_step() for _ in expected.losses]
    rtol = rounding(config, data)
    assert [step.loss for step in frozen] == pytest.approx(expected.losses, rel=rtol, abs=0) and expected.reason == "completed"
    assert_same(scope.model.state_dict(), expected.weights, rtol)
    assert_same(state_of(scope.optimizer.optimizer), expected.optimizer, rtol)
    assert all(step.of == len(step.labels) for step in frozen), "nothing was cut, or it could not be compared"


@pytest.mark.parametrize("name", CASES)
def test_the_range_test_steps_as_fit_does_with_its_rates(name, data_of):
    config, steps = config_of(name), 20
    data = data_of(config)
    model = build_for(config, data).eval()  # as a page leaves it
    test = list(range_steps(config, data, model, CPU, steps))
    assert len(test) >= 5 and test[0].rate == LOWEST
    assert len(test) < steps or test[-1].rate == pytest.approx(HIGHEST)
    given = config_of(name, training__schedule={"name": "constant"}, training__epochs=20, training__keep="last",
                      training__early_stopping=0)
    expected = fitted(given, data, control=Rates([step.rate for step in test]))
    losses = [step.loss for step in test if isfinite(step.loss)]
    rtol = rounding(config, data)
    assert losses == pytest.approx(expected.losses[:len(losses)], rel=rtol, abs=0) and len(losses) >= len(test) - 1
    if expected.reason == "stopped":  # otherwise the last rates made numbers that are none, and fit() went back
        assert_same(model.state_dict(), expected.weights, rtol)


@pytest.mark.parametrize("name", [name for name in CASES if config_of(name).training.schedule.name != "plateau"])
def test_the_measurement_takes_the_steps_of_fit(name, data_of, monkeypatch):
    """A plateau's factor is that of a run's first epochs: the measurement has no validation examples to look at."""
    config = config_of(name, training__early_stopping=0, training__keep="last")
    monkeypatch.setattr(measured, "MOST_STEPS", config.training.epochs)
    monkeypatch.setattr(measured, "MOST_SECONDS", 1e9)
    data = data_of(config)
    loop = Loop(config, data, build_for(config, data), CPU)
    train_mode(loop.model)
    list(measured._timed_steps(loop, CPU))
    assert_same(loop.model.state_dict(), fitted(config, data).weights)


def test_a_plateau_falls_in_the_microscope_too(data_of):
    """What comes after an epoch depends on the validation loss; the steps themselves are compared above."""
    config = config_of("the plateau falls")
    data = data_of(config)
    scope = open_fresh(config, data)
    rates = [scope.take_step().learning_rate for _ in range(18)]
    assert rates[:3] == [3.0] * 3 and rates == sorted(rates, reverse=True) and rates[-1] < 3.0


def test_the_microscope_goes_on_from_a_plateau_that_has_waited(data_of):
    """From each epoch's checkpoint, what follows is what the run did: best loss, epochs waited and factor are all taken up."""
    config = config_of("the plateau falls", training__schedule={"name": "plateau", "patience": 1, "factor": 0.5})
    data = data_of(config)
    model, kept, losses = build_for(config, data), [], []
    for event in fit(config, data, model, CPU):
        if isinstance(event, Step):
            losses.append(event.loss)
        elif isinstance(event, Checkpoint):
            kept.append(event)
    for checkpoint in kept[:-1]:
        model.load_state_dict(checkpoint.weights)
        scope = Microscope(config, data, model, checkpoint.state)
        assert [scope.take_step().loss for _ in losses[checkpoint.step:]] == losses[checkpoint.step:]


def test_a_loss_that_does_not_suit_the_data_is_refused_by_all(data_of):
    config = config_of("a number", training__loss="cross_entropy")
    data = data_of(config)
    for begin in (lambda: next(fit(config, data, build_for(config, data), CPU)), lambda: open_fresh(config, data),
                  lambda: next(range_steps(config, data, build_for(config, data), CPU))):
        with pytest.raises(ConfigError, match="numbers are predicted with mse"):
            begin()


# --- from another run's weights


def test_all_start_from_the_weights_that_are_named(store, settings, digits):
    first = run_here(store, settings, tiny(training__seed=5))
    config = tiny(training__start_from=first.id, training__optimizer__name="sgd")
    fresh = fitted(config, digits)
    expected = fitted(config, digits, starting_model(store, config, digits, settings))
    assert expected.losses[0] < fresh.losses[0] - 0.1, "it makes a difference"

    scope = open_fresh(config, digits, lambda config, data: starting_model(store, config, data, settings))
    assert [scope.take_step().loss for _ in range(3)] == expected.losses[:3]

    run = run_here(store, settings, config)
    steps, losses = store.metrics(run.id).series["loss"]
    assert losses[0] == expected.losses[0] and steps[0] == 1

    store.create(config, "tester", kind="range_test")
    found = execute(store, store.claim("here"), settings)
    curve = range_curve(store.metrics(found.id))
    assert found.status == "finished" and curve[0].loss == expected.losses[0]
    model = starting_model(store, config, digits, settings)
    assert [step.loss for step in range_steps(config, digits, model, CPU, STEPS)][:3] == [step.loss for step in curve[:3]]


def test_a_range_test_from_weights_that_are_gone_says_so(store, settings):
    store.create(tiny(training__start_from="0" * 32), "tester", kind="range_test")
    ended = execute(store, store.claim("here"), settings)
    assert ended.status == "failed" and "can't start from the weights of run '00000000'" in ended.message


# --- the step itself


def test_the_seed_of_an_epochs_order():
    assert [shuffling_seed(0, 1), shuffling_seed(3, 2)] == [1, 300_011]
    assert sorted(order_of_epoch(SEED_3, 2, 50).tolist()) == list(range(50))
    assert order_of_epoch(TrainingConfig(seed=3, shuffle=False), 2, 50).tolist() == list(range(50))
    assert order_of_epoch(SEED_3, 2, 50).tolist() != order_of_epoch(SEED_3, 1, 50).tolist()
    assert torch.equal(order_of_epoch(SEED_3, 2, 50), torch.randperm(50, generator=torch.Generator().manual_seed(300_011)))


@pytest.mark.parametrize("skip", [0, 1, 2])
def test_what_is_skipped_changes_nothing_that_comes_after(skip, data_of):
    config = config_of("transform gaussian_noise")
    loop = Loop(config, data_of(config), build_for(config, data_of(config)), CPU)
    whole, rest = (list(batches_of_epoch(loop.train, config.training, 2, begin)) for begin in (0, skip))
    assert [len(batch.labels) for batch in whole] == [48, 48, 4]
    assert all(torch.equal(ours.images, theirs.images) for ours, theirs in zip(rest, whole[skip:], strict=True))
    by_rule = loop.train.iterate(48, order_of_epoch(SEED_3, 2, EXAMPLES), 0, (3, 2))  # the run's seed, and the epoch
    assert all(torch.equal(ours.images, theirs.images) for ours, theirs in zip(whole, by_rule, strict=True))


def three(l1: float = 0.0, clipping: float = 0.0) -> tuple[TrainingStep, Batch]:
    """Three weights, one of them 0; by hand: the loss is (2·w₀ − w₂ − 1)², so its gradient (4, 0, −2)·(2·w₀ − w₂ − 1)."""
    model = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[2.0, 0.0, -1.0]]))
    training = TrainingConfig.model_validate({"loss": "mse", "l1": l1, "gradient_clipping": clipping, "precision": "float32",
                                              "optimizer": {"name": "sgd", "learning_rate": 1.0}})
    return TrainingStep(training, "number", model, CPU), Batch(torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([1.0]))


def test_what_each_phase_does_by_hand():
    """The residual is 4; the gradient (16, 0, −8); L1's part (3, 0, −3); the length of both √(19² + 11²), brought to half."""
    length = (19 ** 2 + 11 ** 2) ** 0.5
    step, batch = three(l1=3.0, clipping=length / 2)
    seen: dict[str, tuple[list[float] | None, list[float]]] = {}

    def look(phase: str) -> None:
        gradient = step.model.weight.grad
        seen[phase] = None if gradient is None else gradient[0].tolist(), step.model.weight[0].tolist()

    loss, logits = step.take(batch, 0.1, look)
    old = [2.0, 0.0, -1.0]
    assert (float(loss), logits.tolist()) == (16.0, [[5.0]]) and not loss.requires_grad and not logits.requires_grad
    assert list(seen) == ["forward", "backward", "l1", "clipping", "update"]
    assert seen["forward"] == (None, old) and seen["backward"] == ([16.0, 0.0, -8.0], old)
    assert seen["l1"] == ([19.0, 0.0, -11.0], old), "L1 pulls by its full amount, and not at all at 0"
    gradient, weights = seen["clipping"]
    assert gradient == pytest.approx([9.5, 0.0, -5.5], rel=1e-5) and weights == old
    assert seen["update"][1] == pytest.approx([2 - 0.95, 0.0, -1 + 0.55], rel=1e-5)
    step.take(batch, 0.1, look)
    assert seen["forward"][0] is None, "the gradients of the step before are gone"


def test_phases_that_a_step_does_not_have_are_not_told():
    for l1, clipping, between in ((0.0, 0.0, []), (0.1, 0.0, ["l1"]), (0.0, 1.0, ["clipping"])):
        step, batch = three(l1, clipping)
        phases: list[str] = []
        step.take(batch, 0.1, phases.append)
        assert phases == ["forward", "backward", *between, "update"]


class ByHand(TrainingStep):
    """Softmax regression with gradients that are written out instead of recorded."""

    def answer(self, batch: Batch) -> tuple[Tensor, Tensor]:
        layer = self.model.get_submodule("fc1")
        with torch.no_grad():
            inputs = batch.images.flatten(1)  # (n, 784)
            logits = inputs @ layer.weight.T + layer.bias
            loss = self.objective.loss(logits, batch.labels)
            wrong = (logits.softmax(1) - nn.functional.one_hot(batch.labels, logits.shape[1])) / len(logits)
            self.gradients = wrong.T @ inputs, wrong.sum(0)
        return logits, loss

    def backward(self, loss: Tensor) -> None:
        layer = self.model.get_submodule("fc1")
        layer.weight.grad, layer.bias.grad = self.gradients


def test_another_kind_of_step_stands_behind_the_same_call(digits):
    config = tiny(model__architecture="softmax_regression", training__l1=0.001, training__gradient_clipping=0.5)
    steps = [kind(config.training, digits.target, build_for(config, digits), CPU) for kind in (TrainingStep, ByHand)]
    loop = Loop(config, digits, build_for(config, digits), CPU)
    for batch in islice(batches_of_epoch(loop.train, config.training, 1), 10):
        ours, theirs = (float(step.take(batch, 0.01)[0]) for step in steps)
        assert ours == pytest.approx(theirs, rel=1e-5)
    for ours, theirs in zip(*(step.model.parameters() for step in steps), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_a_look_changes_nothing(data_of):
    config = config_of("l1 and clipping, adam")
    data = data_of(config)
    plain, watched = fitted(config, data), Microscope(config, data, build_for(config, data))
    assert [watched.take_step().loss for _ in plain.losses] == plain.losses
