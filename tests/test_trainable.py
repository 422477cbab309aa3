"""Frozen layers stay bit for bit as they are, whatever trains the rest; those below the last one have a rate of their own."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torchinfo import summary

from core.config import OPTIMIZERS, SCHEDULES, RunConfig
from core.data import Dataset
from core.fields import ConfigError
from core.inspection import describe_layers, totals
from core.layers.memory import training_bytes
from core.models import ARCHITECTURES, build
from core.training import Checkpoint, Finished, Gradients, check, fit, fresh_model, prepare
from core.training.loop import Loop
from core.training.optimizers import build_optimizer
from core.training.range_test import range_test
from core.training.state import OPTIMIZER
from core.training.trainable import (
    freeze,
    frozen_layers,
    last_layer,
    layers_with_norms,
    layers_with_weights,
    train_mode,
    weights_to_train,
)
from tests.helpers import StopAfter, tiny

CPU = torch.device("cpu")
NORMED = {"model__architecture": "cnn", "model__channels": [4, 4], "model__fc_width": 8, "model__batch_norm": True,
          "model__dropout": 0.3}
BLOCKED = {"model__architecture": "cnn", "model__channels": [16, 16], "model__fc_width": 8}  # what convolutional.py would take
FEATURES = {"conv1", "bn1", "conv2", "bn2"}


@pytest.fixture(scope="module")
def few(digits: Dataset) -> Dataset:
    """100 images to learn from, 60 held back."""
    return replace(digits, train=replace(digits.train, rows=digits.train.rows[:100]),
                   validation=replace(digits.validation, rows=digits.validation.rows[:60]))


def made(config: RunConfig, data: Dataset) -> nn.Module:
    return fresh_model(config, data.input_shape, len(data.source_classes), data.kind)


def trained(config: RunConfig, data: Dataset, model: nn.Module) -> Checkpoint:
    return [event for event in fit(config, data, model, CPU) if isinstance(event, Checkpoint)][-1]


def layer_of(name: str) -> str:
    return name.rpartition(".")[0]


# --- which layers


def test_the_layers_of_a_network():
    with torch.device("meta"):
        model = build(tiny(**NORMED).model, (1, 28, 28), 10)
    assert layers_with_weights(model) == ["conv1", "bn1", "conv2", "bn2", "fc1", "fc2"] and last_layer(model) == ["fc2"]
    assert frozen_layers(model, "all") == []
    assert set(frozen_layers(model, "linear_layers")) == FEATURES
    assert set(frozen_layers(model, "last_layer")) == {*FEATURES, "fc1"}
    assert set(frozen_layers(model, "last_layer", ["conv1"])) == {*FEATURES, "fc1"} - {"conv1"}


def test_layers_are_counted_from_the_input_on_with_their_norms():
    with torch.device("meta"):
        model = build(tiny(**NORMED).model, (1, 28, 28), 10)
    assert layers_with_norms(model) == [["conv1", "bn1"], ["conv2", "bn2"], ["fc1"], ["fc2"]]
    assert frozen_layers(model, "all", first=1) == ["conv1", "bn1"] and frozen_layers(model, "all", first=3)[-1] == "fc1"
    assert set(frozen_layers(model, "linear_layers", first=1)) == FEATURES, "whatever either of the two freezes"
    assert frozen_layers(model, "all", ["conv1"], first=1) == ["bn1"], "what starts anew learns"
    before = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    assert layers_with_norms(before) == [["0", "1", "2"], ["4"]]
    assert layers_with_norms(nn.Sequential(nn.BatchNorm1d(4))) == [["0"]] and layers_with_norms(nn.Flatten()) == []


def test_blocks_are_counted_by_the_layers_in_them():
    with torch.device("meta"):
        model = build(ARCHITECTURES["resnet18"].config(), (3, 32, 32), 10)
    frozen = frozen_layers(model, "all", first=5)
    assert {name.partition(".")[0] for name in frozen} == {"conv1", "bn1", "layer1"} and len(frozen) == 10
    assert len(layers_with_norms(model)) == 21, "17 convolutions in a row, 3 around blocks, and the last layer"


def test_what_comes_after_the_last_table_belongs_to_it():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.BatchNorm1d(3))
    assert last_layer(model) == ["2", "3"] and frozen_layers(model, "last_layer") == ["0"]


STACK = {"model__architecture": "stack", "model__layers": [
    {"kind": "conv2d", "out_channels": 4}, {"kind": "adaptive_avg_pool2d"}, {"kind": "conv2d", "out_channels": 10, "kernel": 1,
                                                                             "padding": 0}, {"kind": "flatten"}]}


@pytest.mark.parametrize(("changes", "trainable", "says"), [
    (STACK, "linear_layers", "nothing would be left to learn"),  # all of it would be frozen, its last layer with new classes too
    ({}, "linear_layers", "comes before this network's first one"),
    ({"model__architecture": "softmax_regression"}, "last_layer", "comes before this network's last layer"),
    ({"training__start_from": "imagenet"}, "all", "has no weights that were learned there; these have: vgg16, resnet18")])
def test_what_can_not_be_frozen_is_one_line(changes, trainable, says, places):
    config = tiny(**changes, training__trainable=trainable)
    with pytest.raises(ConfigError, match=says) as caught:
        check(config, places / "data")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("changes", "first", "says"), [
    ({}, 2, "this network has 2 layers with weights: at most 1 can be frozen"), (NORMED, 4, "at most 3 can be frozen"),
    ({"model__architecture": "softmax_regression"}, 1, "has 1 layer with weights: none can be frozen")])
def test_too_many_frozen_layers_are_one_line(changes, first, says, places):
    with pytest.raises(ConfigError, match=f"training.frozen_first is {first}, and .*{says}") as caught:
        check(tiny(**changes, training__frozen_first=first), places / "data")
    assert "\n" not in str(caught.value)
    assert check(tiny(**changes, training__frozen_first=first - 1), places / "data")


@pytest.mark.parametrize(("changes", "says"), [
    ({"training.frozen_first": -1}, "training.frozen_first"), ({"training.frozen_first": 201}, "training.frozen_first"),
    ({"training.trainable": "none"}, "training.trainable is 'none'"), ({"training.rate_below_last": 0}, "above 0 up to 1"),
    ({"training.rate_below_last": 1.5}, "above 0 up to 1"), ({"training.start_from": "x" * 33}, "training.start_from")])
def test_bad_fields_are_one_line(changes, says):
    with pytest.raises(ConfigError, match=says):
        RunConfig().with_values(changes)


@pytest.mark.parametrize("trainable", ["all", "linear_layers", "last_layer"])
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES
                                  if name not in {"text_embedding", "softmax_regression", "vgg16"}])
def test_the_layer_table_counts_as_torchinfo_does(name, trainable):
    with torch.device("meta"):
        model = build(ARCHITECTURES[name].config(), (1, 28, 28), 10)
    try:
        freeze(model, frozen_layers(model, trainable))
    except ConfigError:
        assert name in {"mlp", "stack"} and trainable == "linear_layers"  # dense ones as they come
        return
    rows, theirs = describe_layers(model, (1, 28, 28)), summary(model, (1, 1, 28, 28), verbose=0, device="meta")
    total = totals(rows)
    assert (total.trainable, total.parameters) == (theirs.trainable_params, theirs.total_params)
    assert (total.trainable < total.parameters) == (trainable != "all")
    assert all("frozen" in row.note for row in rows if row.parameters and not row.trainable)
    kept = training_bytes(rows, OPTIMIZERS["adam"](), 1)
    assert kept == 4 * total.parameters + 12 * total.trainable + total.activation_bytes


# --- they stay


WAYS = {"linear_layers": ({"trainable": "linear_layers"}, FEATURES),
        "last_layer": ({"trainable": "last_layer"}, {*FEATURES, "fc1"}), "first": ({"frozen_first": 1}, {"conv1", "bn1"})}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_frozen_layers_stay_with_every_optimizer(name, way, few):
    """Weights, batch norm's mean and variance; no state in the optimizer, no weight decay, no L1."""
    changes, frozen = WAYS[way]
    config = tiny(**NORMED | {f"training__{field}": value for field, value in changes.items()}, training__batch_size=48,
                  training__rate_below_last=0.1,
                  training__optimizer={"name": name, "weight_decay": 0.1, "learning_rate": 0.01}, training__l1=0.01)
    model = made(config, few)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    last = trained(config, few, model)
    for key, value in last.weights.items():
        assert torch.equal(value, before[key]) == (layer_of(key) in frozen), key
    learned = [weight for key, weight in model.named_parameters() if layer_of(key) not in frozen]
    kept = last.state.under(OPTIMIZER)
    assert {int(key.partition(".")[0]) for key in kept} <= set(range(len(learned)))
    assert all(value.shape in (torch.Size(), learned[int(key.partition(".")[0])].shape) for key, value in kept.items())


@pytest.mark.parametrize("changes", [NORMED, BLOCKED, {"model__hidden": [8, 8]}], ids=["norms", "blocks", "dense"])
def test_steps_are_those_of_plain_pytorch(changes, few):
    """The loss of each epoch and the last weights, beside a loop as one writes it by hand: groups, eval() for what is frozen."""
    trainable = "last_layer" if "model__hidden" in changes else "linear_layers"
    config = tiny(**changes | ({"model__dropout": 0.0} if changes is NORMED else {}), training__epochs=3,
                  training__batch_size=100, training__trainable=trainable, training__rate_below_last=0.25,
                  training__optimizer={"name": "adamw", "weight_decay": 0.1, "learning_rate": 0.01})
    model = made(config, few)
    theirs = copy.deepcopy(model)
    head = last_layer(theirs)[0]
    below = [weight for key, weight in theirs.named_parameters() if weight.requires_grad and layer_of(key) != head]
    last = list(theirs.get_submodule(head).parameters())
    groups = [{"params": below, "lr": 0.0025}] if below else []
    optimizer = torch.optim.AdamW([*groups, {"params": last}], lr=0.01, weight_decay=0.1)
    pixels, labels = few.train.take(torch.arange(100))
    images = (pixels.float() / 255 - few.mean[0]) / few.std[0]
    losses = []
    for epoch in range(3):
        theirs.train()
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        order = torch.randperm(100, generator=torch.Generator().manual_seed(epoch + 1))
        loss = nn.functional.cross_entropy(theirs(images[order]), labels[order])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    events = list(fit(config, few, model, CPU))
    assert [event.loss for event in events if type(event).__name__ == "Step"] == pytest.approx(losses, rel=1e-5)
    for (key, ours), expected in zip(model.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6, msg=key)


def test_shortcuts_that_can_not_freeze_stand_aside(few):
    config = tiny(**BLOCKED)
    for changes, aside in (({}, False), ({"training.trainable": "last_layer"}, True), ({"training.frozen_first": 1}, True)):
        asked = config.with_values(changes)
        chain = Loop(asked, few, made(asked, few), CPU).training_step.chain
        assert chain is None if aside else chain is None or chain.shortcut == "blocked_layout"


def test_tiny_steps_stand_aside_for_two_rates(places):
    config = tiny(data__dataset="moons", data__validation=20, training__loss="bce_with_logits")
    for rate, tiny_ones in ((1.0, True), (0.5, False)):
        data, model = prepare(config.with_values({"training.rate_below_last": rate}), places / "data")
        loop = Loop(config.with_values({"training.rate_below_last": rate}), data, model, CPU)
        assert (loop.tiny is not None) is tiny_ones


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_act_on_both_rates(name, few):
    config = tiny(**NORMED, training__epochs=2, training__batch_size=20, training__rate_below_last=0.1,
                  training__schedule={"name": name} | {"plateau": {"patience": 0}, "warm_up": {"share": 0.5}}.get(name, {}))
    loop = Loop(config, few, made(config, few), CPU)
    below, last = loop.optimizer.optimizer.param_groups
    assert len(last["params"]) == 2 and len(below["params"]) == 10
    seen = []
    for _ in range(2):
        for batch in loop.batches():
            loop.train_step(batch)
            seen.append(last["lr"])
            assert below["lr"] == pytest.approx(0.1 * last["lr"], rel=1e-12) and loop.optimizer.learning_rate == last["lr"]
        loop.epoch, loop.batch = loop.epoch + 1, 0
        if loop.plateau:
            loop.plateau.look(1.0)
            loop.plateau.look(1.0)
    assert (len(set(seen)) > 1) == (name not in {"constant", "step"})


def test_a_training_goes_on_as_if_it_had_never_stopped(few):
    config = tiny(**NORMED, training__epochs=4, training__trainable="linear_layers", training__rate_below_last=0.2,
                  training__batch_size=50, training__schedule={"name": "cosine"})
    whole = made(config, few)
    list(fit(config, few, whole, CPU))
    first = made(config, few)
    begun = [event for event in fit(config, few, first, CPU, StopAfter(3)) if isinstance(event, Checkpoint)][-1]
    second = made(config, few)
    second.load_state_dict(begun.weights)
    end = [event for event in fit(config, few, second, CPU, resume=begun.state)][-1]
    assert isinstance(end, Finished) and end.reason == "completed"
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(second.state_dict().values(), whole.state_dict().values(),
                                                                 strict=True))


def test_gradients_are_reported_of_what_learns_alone(few):
    config = tiny(**NORMED, training__trainable="last_layer")
    events = list(fit(config, few, made(config, few), CPU))
    assert {name for event in events if isinstance(event, Gradients) for name in event.norms} == {"fc2"}


def test_a_range_test_leaves_frozen_layers_alone(few):
    config = tiny(**NORMED, training__trainable="last_layer", training__rate_below_last=0.5)
    model = made(config, few)
    before = copy.deepcopy(model.state_dict())
    found = range_test(config, few, model, 20)
    assert len(found.rates) > 5 and all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_training_mode_of_a_network_that_is_partly_frozen():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8, 2))
    freeze(model, ["0", "1"])
    train_mode(model)
    assert [module.training for module in model] == [False, False, True, True, True] and model.training


def test_one_group_where_all_learn_alike():
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))
    config = tiny().training
    assert [group["factor"] for group in weights_to_train(model, config)] == [1.0]
    slower = config.model_copy(update={"rate_below_last": 0.5})
    assert [(group["factor"], len(group["params"])) for group in weights_to_train(model, slower)] == [(0.5, 2), (1.0, 2)]
    freeze(model, ["0"])
    assert [(group["factor"], len(group["params"])) for group in weights_to_train(model, slower)] == [(1.0, 2)]
    assert len(build_optimizer(config.optimizer, weights_to_train(model, slower)).param_groups) == 1
