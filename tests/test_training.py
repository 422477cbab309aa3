"""fit() against a plain PyTorch loop, its events, and how it ends; objectives and inference by hand."""

import math
import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from core.data import Split, normalize
from core.data.batches import Batches
from core.devices import select_device
from core.evaluation import evaluate
from core.training import (
    OBJECTIVES,
    Checkpoint,
    Epoch,
    Finished,
    Gradients,
    SampleAnswers,
    Started,
    Step,
    Validation,
    build_for,
    fit,
    outputs_for,
)
from core.training.inference import evaluation_mode, infer
from tests.helpers import StopAfter, tiny

CPU = select_device("cpu")
STEPS = 20
# Deep enough that SGD with a learning rate of 100 overflows; with one hidden layer, all units die first and the loss stays finite
ASTRAY = {"model__hidden": [64, 64, 64], "training__optimizer__name": "sgd", "training__optimizer__learning_rate": 100.0}


def small(data, count):
    """The data with only the first `count` training images."""
    return replace(data, train=Split(data.train.images, data.train.labels, data.train.rows[:count]))


def train(config, data, control=None):
    """All events, and the model."""
    model = build_for(config, data)
    return list(fit(config, data, model, CPU, control)), model


def kinds(events, kind):
    return [event for event in events if isinstance(event, kind)]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# --- against a plain loop

def mlp(outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, outputs))


def cnn(outputs):
    # ReLU before pooling, as it is usually written
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(784, 8), nn.ReLU(),
                         nn.Linear(8, outputs))


NETWORKS = {"mlp": (mlp, {}),
            "cnn": (cnn, {"model__architecture": "cnn", "model__channels": [4], "model__fc_width": 8})}
PLAIN = {"foreach": False, "fused": False}
OPTIMIZERS = {
    "sgd": (lambda parameters: torch.optim.SGD(parameters, lr=0.1, **PLAIN),
            {"training__optimizer__name": "sgd", "training__optimizer__learning_rate": 0.1}),
    "momentum": (lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9, **PLAIN),
                 {"training__optimizer__name": "sgd", "training__optimizer__learning_rate": 0.05,
                  "training__optimizer__momentum": 0.9}),
    "adam": (lambda parameters: torch.optim.Adam(parameters, lr=0.002, **PLAIN), {"training__optimizer__learning_rate": 0.002}),
}


def one_answer(logits, labels):
    return nn.BCEWithLogitsLoss()(logits, labels.to(logits.dtype).reshape(-1, 1))


def ten_answers(logits, labels):
    return nn.BCEWithLogitsLoss()(logits, (labels[:, None] == torch.arange(10)).to(logits.dtype))


TASKS = {"cross_entropy": (nn.CrossEntropyLoss(), 10, {}),
         "is it an 8": (one_answer, 1, {"training__loss": "bce_with_logits", "data__task": "is_target"}),
         "ten yes-no answers": (ten_answers, 10, {"training__loss": "bce_with_logits"})}


def reference_losses(network, loss, optimizer, data, labels, config, dtype):
    """The first losses of a loop as a beginner writes it.

    The order of images is fit()'s rule: in epoch e, counted from 1, torch.randperm with a generator seeded with
    seed · 100,003 + e, over the training images in ascending order of their place in the file.
    """
    training = config.training
    torch.manual_seed(training.seed)
    model = network.to(dtype)  # made by the caller under the same seed, so that layers are drawn in the same order
    step = optimizer(model.parameters())
    images = (data.train.images[data.train.rows].double() / 255).to(dtype)
    losses, epoch = [], 0
    while len(losses) < STEPS:
        epoch += 1
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(training.seed * 100_003 + epoch))
        for start in range(0, len(order), training.batch_size):
            rows = order[start:start + training.batch_size]
            step.zero_grad()
            value = loss(model(images[rows]), labels[rows])
            value.backward()
            step.step()
            losses.append(value.item())
    return losses[:STEPS]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_first_losses_are_those_of_a_plain_loop(digits, network, optimizer, task, dtype):
    loss, outputs, task_changes = TASKS[task]
    make, network_changes = NETWORKS[network]
    make_optimizer, optimizer_changes = OPTIMIZERS[optimizer]
    # 300 images: 4 full batches and one of 44, so that 20 steps are 4 epochs
    config = tiny(**network_changes, **optimizer_changes, **task_changes, training__seed=3, training__epochs=4)
    data = small(digits, 300)
    labels = data.train.labels[data.train.rows]
    if outputs == 1:
        labels = (labels == 8).long()
        data = replace(data, classes=("not 8", "8"), train=replace(data.train, labels=(data.train.labels == 8).long()),
                       validation=replace(data.validation, labels=(data.validation.labels == 8).long()))
    events, _ = train(config, data)
    torch.manual_seed(config.training.seed)
    expected = reference_losses(make(outputs), loss, make_optimizer, data, labels, config, dtype)
    assert [event.loss for event in kinds(events, Step)] == pytest.approx(expected, abs=1e-5)
    assert expected[-1] < expected[0]  # it is learning that is compared


# --- events

def test_events_come_in_order(digits):
    config = tiny(training__epochs=3)
    data = small(digits, 300)
    events, model = train(config, data)
    epoch = [Step] * 5 + [Epoch, Checkpoint]
    by_the_clock = (Gradients, SampleAnswers, Validation)
    assert [type(event) for event in events if not isinstance(event, by_the_clock)] == [Started] + epoch * 3 + [Finished]
    assert events[0] == Started(steps_per_epoch=5, steps=15, parameters=784 * 8 + 8 + 8 * 10 + 10, device="cpu",
                                precision="float32")
    steps = kinds(events, Step)
    assert [(event.step, event.epoch) for event in steps] == [(n + 1, n // 5 + 1) for n in range(15)]
    assert [(event.epoch, event.step) for event in kinds(events, Epoch)] == [(1, 5), (2, 10), (3, 15)]
    assert [(event.epoch, event.step) for event in kinds(events, Checkpoint)] == [(1, 5), (2, 10), (3, 15)]
    end = events[-1]
    assert (end.reason, end.epochs, end.steps, end.message) == ("completed", 3, 15, "") and end.seconds > 0
    assert same(events[-2].weights, model.state_dict())


def test_an_epochs_means_are_over_examples(digits):
    """Bias 1 and weights 0 that do not move: a yes costs ln(1 + 1/e) and a no ln(1 + e). 3 yes and 4 no in batches of 4 and 3,
    so that no order of the images gives the same as a mean over batches."""
    rows = torch.cat([(digits.train.labels[digits.train.rows] == 8).nonzero()[:3, 0],
                      (digits.train.labels[digits.train.rows] != 8).nonzero()[:4, 0]])
    labels = (digits.train.labels == 8).long()
    split = Split(digits.train.images, labels, digits.train.rows[rows])
    data = replace(digits, classes=("not 8", "8"), train=split, validation=split)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 1))
    nn.init.zeros_(model[1].weight)
    nn.init.ones_(model[1].bias)
    config = tiny(training__loss="bce_with_logits", data__task="is_target", training__batch_size=4,
                  training__optimizer__name="sgd", training__optimizer__learning_rate=1e-30)
    events = list(fit(config, data, model, CPU))
    epoch = kinds(events, Epoch)[0]
    by_hand = (3 * math.log(1 + math.exp(-1)) + 4 * math.log(1 + math.e)) / 7
    assert epoch.train_loss == pytest.approx(by_hand, abs=1e-6)
    assert epoch.validation_loss == pytest.approx(by_hand, abs=1e-6)
    assert epoch.train_accuracy == epoch.validation_accuracy == 3 / 7
    first, last = kinds(events, Step)
    assert first.accuracy * 4 + last.accuracy * 3 == pytest.approx(3)
    assert (first.loss + last.loss) / 2 != pytest.approx(by_hand, abs=1e-3)


def without_seconds(events):
    """Events as plain values, but for what no two runs share."""
    plain = [{field: getattr(event, field) for field in event.__dataclass_fields__} for event in events
             if not isinstance(event, Gradients | SampleAnswers | Validation)]
    for values in plain:
        values.pop("seconds", None)
        values.pop("images_per_second", None)
        values["weights"] = {name: value.tolist() for name, value in values.get("weights", {}).items()}
        if state := values.pop("state", None):
            values["state"] = {name: value.tolist() for name, value in state.tensors.items()}
            values["position"] = (state.step, state.epoch, state.batch)
    return plain


@pytest.mark.parametrize("changes", [
    {"model__dropout": 0.5},
    NETWORKS["cnn"][1] | {"model__dropout": 0.5, "model__batch_norm": True},
], ids=["mlp", "cnn"])
def test_the_same_config_gives_the_same_events(digits, changes):
    config = tiny(**changes, training__epochs=2)
    data = small(digits, 200)
    once = without_seconds(train(config, data)[0])
    torch.rand(7)  # whatever else has drawn random numbers in between
    assert without_seconds(train(config, data)[0]) == once
    assert without_seconds(train(config.with_values({"training.seed": 1}), data)[0]) != once


def test_the_order_differs_from_epoch_to_epoch_and_from_seed_to_seed(digits):
    """With weights that do not move, a step's loss only says which images were in its batch."""
    still = tiny(training__optimizer__name="sgd", training__optimizer__learning_rate=1e-30, training__epochs=2)
    model = build_for(still, digits)
    losses = {seed: [event.loss for event in fit(still.with_values({"training.seed": seed}), small(digits, 128), model, CPU)
                     if isinstance(event, Step)] for seed in (0, 1)}
    first, second = losses[0][:2], losses[0][2:]
    assert first != pytest.approx(second, abs=1e-6) and first != pytest.approx(losses[1][:2], abs=1e-6)
    assert sum(first) == pytest.approx(sum(second), abs=1e-5)  # each image once, whatever the order


def test_validation_figures_are_those_of_the_epochs_weights(digits):
    config = tiny(training__epochs=2, model__dropout=0.3)
    events, model = train(config, digits)
    images = digits.validation.images[digits.validation.rows].float() / 255
    labels = digits.validation.labels[digits.validation.rows]
    for epoch, checkpoint in zip(kinds(events, Epoch), kinds(events, Checkpoint), strict=True):
        w = checkpoint.weights
        logits = torch.relu(images.flatten(1) @ w["fc1.weight"].T + w["fc1.bias"]) @ w["fc2.weight"].T + w["fc2.bias"]
        assert epoch.validation_accuracy == pytest.approx((logits.argmax(1) == labels).double().mean().item())
        assert epoch.validation_loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), abs=1e-5)


def test_weights_in_a_checkpoint_are_copies(digits):
    config = tiny(training__epochs=2)
    model = build_for(config, digits)
    seen = []
    for event in fit(config, digits, model, CPU):
        if isinstance(event, Checkpoint):
            seen.append((event.weights, {name: value.clone() for name, value in event.weights.items()}))
    with torch.no_grad():
        model.fc1.weight.fill_(7.0)
    assert all(same(kept, then) for kept, then in seen)
    assert not same(seen[0][0], seen[1][0])


def test_seconds_are_of_training_alone(digits):
    """What a reader of the events does in the meantime is not counted."""
    slept, began = 0.0, time.perf_counter()
    for event in fit(tiny(), digits, build_for(tiny(), digits), CPU):
        if isinstance(event, Step):
            time.sleep(0.05)
            slept += 0.05
        if isinstance(event, Epoch):
            assert 0 < event.seconds <= time.perf_counter() - began - slept
            assert event.images_per_second == pytest.approx(len(digits.train) / event.seconds)
    assert slept > 0.9


class Slow(nn.Module):
    """Takes 0.15 s for each batch."""

    def __init__(self):
        super().__init__()
        self.fc, self.batches = nn.Linear(784, 10), 0

    def forward(self, images):
        self.batches += 1
        time.sleep(0.15)
        return self.fc(images.flatten(1))


def test_steps_of_a_slow_network_are_told_as_they_come(digits):
    """A chart that moves: the first loss is there long before the 20 batches of the epoch are through."""
    model = Slow()
    events = fit(tiny(), digits, model, CPU)
    assert next(event.step for event in events if isinstance(event, Step)) == 1 and model.batches <= 3
    events.close()


@pytest.mark.parametrize("clipping", [0.0, 0.01])
def test_gradient_norms_are_those_of_each_layers_weights(digits, clipping):
    """One batch of all images, and weights that stay where they are: the root of the sum of squares over weight and bias."""
    config = tiny(training__batch_size=200, training__gradient_clipping=clipping, training__optimizer__name="sgd",
                  training__optimizer__learning_rate=1e-30)
    data = small(digits, 200)
    events, model = train(config, data)
    images, labels = digits.train.take(torch.arange(200))
    model.zero_grad()
    nn.functional.cross_entropy(model(images.float() / 255), labels).backward()
    squares = {name: sum(float(weight.grad.double().square().sum()) for weight in getattr(model, name).parameters())
               for name in ("fc1", "fc2")}
    whole = math.sqrt(sum(squares.values()))
    share = min(1, clipping / whole) if clipping else 1
    assert kinds(events, Gradients)[-1].norms == pytest.approx(
        {name: share * math.sqrt(square) for name, square in squares.items()}, rel=1e-3)


class Forbidden:
    """A split that nobody may look at."""

    def __getattribute__(self, name):
        raise AssertionError(f"the test split was touched: {name}")

    def __len__(self):
        raise AssertionError("the test split was touched: len")


def test_training_never_looks_at_the_test_images(digits):
    data = replace(digits, test=Forbidden())
    events, model = train(tiny(training__epochs=2), data)
    assert events[-1].reason == "completed"
    with pytest.raises(AssertionError, match="test split was touched"):
        evaluate(model, data, tiny())


def test_fit_leaves_the_model_in_training_mode(digits):
    config = tiny(model__dropout=0.5, training__epochs=2)
    _, model = train(config, digits)
    assert all(module.training for module in model.modules())
    assert evaluate(model, digits, config) is not None
    assert all(module.training for module in model.modules())


def test_validation_between_epochs_leaves_dropout_on(digits):
    config = tiny(model__dropout=0.5, training__epochs=2)
    model = build_for(config, digits)
    modes = [model.dropout1.training for event in fit(config, digits, model, CPU) if isinstance(event, Step)]
    assert len(modes) == 2 * 20 and all(modes)


# --- how it ends early

def test_divergence_keeps_the_last_good_weights(digits):
    config = tiny(**ASTRAY, training__epochs=3)
    events, model = train(config, digits)
    end, checkpoint = events[-1], events[-2]
    assert (end.reason, end.epochs) == ("diverged", 0)
    assert f"step {end.steps} " in end.message and "learning rate" in end.message and "\n" not in end.message
    assert all(math.isfinite(event.loss) for event in kinds(events, Step))
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert same(checkpoint.weights, model.state_dict())


def test_divergence_in_a_later_epoch_keeps_what_was_learned(digits):
    """The weights turn NaN from outside in the second epoch: the kept ones are at least as good as the first epoch's."""
    config = tiny(training__epochs=3)
    model = build_for(config, digits)
    events = []
    for event in fit(config, digits, model, CPU):
        events.append(event)
        if isinstance(event, Checkpoint) and event.epoch == 1:
            with torch.no_grad():
                model.fc1.bias.fill_(math.nan)
    assert events[-1].reason == "diverged" and events[-1].epochs == 1 and "epoch 2" in events[-1].message
    assert same(events[-2].weights, kinds(events, Checkpoint)[0].weights)
    assert same(model.state_dict(), events[-2].weights)


class Overflowing(nn.Linear):
    """A layer that counts beyond what float32 holds, as batch norm's running variance can, while its weights stay finite."""

    def __init__(self):
        super().__init__(784, 10)
        self.register_buffer("seen", torch.tensor(1.0))

    def forward(self, images):
        self.seen *= 1e10
        return super().forward(images)


def test_running_statistics_that_overflow_are_divergence(digits):
    model = nn.Sequential(nn.Flatten(), Overflowing())
    events = list(fit(tiny(), digits, model, CPU))
    assert events[-1].reason == "diverged"
    assert all(value.isfinite().all() for value in events[-2].weights.values())


def test_a_stop_ends_within_one_step(digits):
    events, model = train(tiny(training__epochs=5), digits, StopAfter(7))
    steps = kinds(events, Step)
    assert len(steps) == 7
    assert isinstance(events[-2], Checkpoint) and (events[-2].epoch, events[-2].step) == (1, 7)
    end = events[-1]
    assert isinstance(end, Finished) and (end.reason, end.epochs, end.steps) == ("stopped", 0, 7)
    assert same(events[-2].weights, model.state_dict())
    assert not same(events[-2].weights, build_for(tiny(), digits).state_dict())


def test_a_stop_before_the_first_step(digits):
    events, model = train(tiny(), digits, StopAfter(0))
    assert [type(event) for event in events] == [Started, Checkpoint, Finished]
    assert events[-1].reason == "stopped" and events[-1].steps == 0
    assert same(events[1].weights, build_for(tiny(), digits).state_dict())


def test_a_stop_after_divergence_does_not_keep_nan(digits):
    """Losses are read some steps late, so a stop can come when the weights are NaN already and nobody has noticed."""
    config = tiny(**ASTRAY)
    diverges_at = train(config, digits)[0][-1].steps
    assert diverges_at < 20
    events, _ = train(config, digits, StopAfter(diverges_at))
    assert events[-1].reason == "diverged"
    assert all(value.isfinite().all() for value in events[-2].weights.values())


def test_ceasing_to_iterate_is_enough_to_stop(digits):
    model = build_for(tiny(), digits)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    events = fit(tiny(), digits, model, CPU)
    assert isinstance(next(events), Started)
    events.close()
    assert same(before, model.state_dict())


def test_bfloat16_learns(digits):
    config = tiny(training__precision="bfloat16", training__epochs=2)
    events, model = train(config, digits)
    assert events[0].precision == "bfloat16"
    first, last = kinds(events, Epoch)
    assert last.train_loss < first.train_loss and last.validation_accuracy > 0.4
    assert all(value.dtype == torch.float32 for value in model.state_dict().values())
    exact = [event.loss for event in kinds(train(tiny(training__epochs=2), digits)[0], Step)]
    rounded = [event.loss for event in kinds(events, Step)]
    assert rounded != exact and rounded == pytest.approx(exact, abs=0.05)


# --- objectives

LN = math.log


@pytest.mark.parametrize(("name", "logits", "labels", "loss", "predicted", "probabilities"), [
    ("cross_entropy", [[0, LN(3)], [LN(7), 0]], [1, 1], (LN(4 / 3) + LN(8)) / 2, [1, 0], [[1 / 4, 3 / 4], [7 / 8, 1 / 8]]),
    # sigmoid(ln 3) = 3/4, sigmoid(−ln 7) = 1/8
    ("bce_with_logits", [[LN(3.0)], [-LN(7.0)]], [1, 1], (LN(4 / 3) + LN(8)) / 2, [1, 0], [[1 / 4, 3 / 4], [7 / 8, 1 / 8]]),
    ("bce_with_logits", [[0.0]], [0], LN(2), [0], [[1 / 2, 1 / 2]]),
    # three yes-no answers, 1/2, 3/4 and 1/4 sure; the right one is the second
    ("bce_with_logits", [[0.0, LN(3.0), -LN(3.0)]], [1], (LN(2) + LN(4 / 3) + LN(4 / 3)) / 3, [1], [[1 / 3, 1 / 2, 1 / 6]]),
])
def test_objectives_by_hand(name, logits, labels, loss, predicted, probabilities):
    objective = OBJECTIVES[name]
    logits, labels = torch.tensor(logits), torch.tensor(labels)
    assert objective.loss(logits, labels).item() == pytest.approx(loss, abs=1e-6)
    assert objective.predict(logits).tolist() == predicted
    assert torch.allclose(objective.probabilities(logits), torch.tensor(probabilities), atol=1e-6)


@pytest.mark.parametrize(("name", "outputs"), sorted({(name, objective.outputs(classes)) for name, objective in OBJECTIVES.items()
                                                      for classes in (2, 3, 10)}))
def test_probabilities_are_probabilities_however_large_the_logits(name, outputs):
    objective = OBJECTIVES[name]
    ordinary = torch.randn(50, outputs, generator=torch.Generator().manual_seed(0))
    for logits in (ordinary, ordinary * 1000, torch.full((1, outputs), 1000.0), torch.full((1, outputs), -1000.0),
                   torch.eye(outputs) * 2000 - 1000):
        probabilities = objective.probabilities(logits)
        assert probabilities.shape == (len(logits), max(2, outputs))
        assert (probabilities >= 0).all() and probabilities.isfinite().all()
        assert torch.allclose(probabilities.sum(1), torch.ones(len(logits)), atol=1e-5)
        said = objective.predict(logits)
        assert torch.equal(probabilities.gather(1, said[:, None])[:, 0], probabilities.amax(1))
        loss = objective.loss(logits, torch.zeros(len(logits), dtype=torch.long))
        assert loss.isfinite() and loss >= 0


def test_the_last_layer_is_as_wide_as_the_loss_needs():
    widths = {(task, loss): outputs_for(tiny(data__task=task, training__loss=loss), 10)
              for task in ("classes", "is_target") for loss in OBJECTIVES}
    assert widths == {("classes", loss): 10 for loss in OBJECTIVES} | {
        ("is_target", "cross_entropy"): 2, ("is_target", "nll"): 2, ("is_target", "bce_with_logits"): 1, ("is_target", "bce"): 1,
        ("is_target", "mse"): 1}


# --- inference

class Picky(nn.Module):
    """Batch norm that was frozen by hand beside dropout that was not, and a block that is asleep as a whole."""

    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.norm = nn.BatchNorm1d(784)
        self.drop = nn.Dropout(0.5)
        self.asleep = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(784))
        self.out = nn.Linear(784, 10)
        self.train()
        self.norm.eval()
        self.asleep.eval()
        self.asleep[0].train()

    def forward(self, images):
        return self.out(self.asleep(self.drop(self.norm(self.flatten(images)))))


def modes(model):
    return {name: module.training for name, module in model.named_modules()}


def test_evaluation_mode_restores_each_modules_mode():
    model = Picky()
    before = modes(model)
    assert before == {"": True, "flatten": True, "norm": False, "drop": True, "asleep": False, "asleep.0": True,
                      "asleep.1": False, "out": True}
    with evaluation_mode(model):
        assert not any(modes(model).values())
    assert modes(model) == before
    with pytest.raises(ZeroDivisionError), evaluation_mode(model):
        raise ZeroDivisionError
    assert modes(model) == before


def test_inference_is_in_order_in_evaluation_mode_and_changes_nothing(digits):
    model = Picky()
    before, weights = modes(model), {name: value.clone() for name, value in model.state_dict().items()}
    answers = infer(model, Batches(digits, digits.train, CPU))  # 1,237 images: more than one batch
    assert modes(model) == before and same(weights, model.state_dict())
    images = normalize(digits.train.images[digits.train.rows], digits.mean, digits.std)
    model.eval()
    with torch.no_grad():
        expected = model(images)
    assert answers.logits.shape == (1237, 10) and torch.allclose(answers.logits, expected, atol=1e-5)
    assert torch.equal(answers.labels, digits.train.labels[digits.train.rows])
