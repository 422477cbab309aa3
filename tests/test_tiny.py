"""Steps of tiny networks in NumPy: whole runs equal those of plain PyTorch, written out here."""

import copy
from dataclasses import replace
from itertools import islice
from typing import Any, get_args

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.config import RunConfig
from core.data import Dataset, load
from core.models import MLPConfig
from core.models.base import activation
from core.training import Checkpoint, Command, Epoch, Finished, Gradients, Look, Paused, Step, build_for, fit
from core.training.events import LateCheckpoint
from core.training.loop import Loop, Pending, copy_weights, gradient_norms
from core.training.state import CURRENT, OPTIMIZER
from core.training.step import order_of_epoch
from core.training.tiny import ACTIVATIONS, MOST_IN_BATCH, MOST_UNITS, TinyBatch
from tests.helpers import StopAfter, tiny

CPU = torch.device("cpu")
ROUNDING = 3e-7  # a few units in the last place of a float32 number near 1, as logits are: small losses are differences of those
LAB = {"data__dataset": "moons", "data__validation": 30, "model__hidden": [8], "model__activation": "tanh",
       "training__batch_size": 12, "training__epochs": 25, "training__loss": "bce_with_logits",
       "training__optimizer": {"name": "sgd", "learning_rate": 0.1}}


def lab(**changes: Any) -> RunConfig:
    """2-8-1 on points; dotted fields with __ for the dot."""
    return tiny(**LAB | changes)


@pytest.fixture(scope="module")
def data_of(tmp_path_factory):
    return lambda config: load(config.data, tmp_path_factory.getbasetemp() / "none")


def mean_loss(config: RunConfig, number: bool, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """What each loss is, in PyTorch's words."""
    one, classes = logits.shape[1] == 1, logits.shape[1]
    if number:
        return nn.MSELoss()(logits[:, 0], labels)
    targets = labels[:, None].float() if one else F.one_hot(labels, classes).float()
    match config.training.loss:
        case "cross_entropy":
            return nn.CrossEntropyLoss(label_smoothing=config.training.label_smoothing)(logits, labels)
        case "nll":
            return nn.NLLLoss()(nn.LogSoftmax(1)(logits), labels)
        case "bce_with_logits":
            return nn.BCEWithLogitsLoss()(logits, targets)
        case "bce":
            return nn.BCELoss()(torch.sigmoid(logits), targets)
    return nn.MSELoss()(torch.sigmoid(logits) if one else torch.softmax(logits, 1), targets)


OPTIMIZERS = {
    "sgd": lambda weights, o: torch.optim.SGD(weights, o.learning_rate, o.momentum, weight_decay=o.weight_decay,
                                              nesterov=o.nesterov),
    "adam": lambda weights, o: torch.optim.Adam(weights, o.learning_rate, (o.beta1, o.beta2), weight_decay=o.weight_decay),
    "adamw": lambda weights, o: torch.optim.AdamW(weights, o.learning_rate, (o.beta1, o.beta2), weight_decay=o.weight_decay),
    "rmsprop": lambda weights, o: torch.optim.RMSprop(weights, o.learning_rate, o.alpha, momentum=o.momentum,
                                                      weight_decay=o.weight_decay),
    "adagrad": lambda weights, o: torch.optim.Adagrad(weights, o.learning_rate, weight_decay=o.weight_decay)}


def by_pytorch(config: RunConfig, data: Dataset, model: nn.Module) -> tuple[list[float], list[float]]:
    """Each step's loss and each epoch's validation loss, of a training loop as one writes it."""
    training, number = config.training, data.target == "number"
    optimizer = OPTIMIZERS[training.optimizer.name](model.parameters(), training.optimizer)
    mean, std = torch.tensor(data.mean), torch.tensor(data.std)
    (points, labels), (held_out, answers) = (split.take(torch.arange(len(split))) for split in (data.train, data.validation))
    points, held_out = (points - mean) / std, (held_out - mean) / std
    losses, validation, steps = [], [], -(-len(points) // training.batch_size) * training.epochs
    for epoch in range(1, training.epochs + 1):
        for rows in order_of_epoch(training, epoch, len(points)).split(training.batch_size):
            loss = mean_loss(config, number, model(points[rows]), labels[rows])
            penalty = training.l1 * sum(weight.abs().sum() for weight in model.parameters())
            optimizer.zero_grad()
            (loss + penalty).backward()
            if training.gradient_clipping:
                nn.utils.clip_grad_norm_(model.parameters(), training.gradient_clipping)
            if training.schedule.name == "cosine":  # as CosineAnnealingLR has it
                share = (1 + torch.cos(torch.tensor(torch.pi * len(losses) / steps, dtype=torch.float64))) / 2
                optimizer.param_groups[0]["lr"] = training.optimizer.learning_rate * float(share)
            optimizer.step()
            losses.append(float(loss.detach()))
        with torch.no_grad():
            validation.append(float(mean_loss(config, number, model(held_out), answers)))
    return losses, validation


def assert_equal_to_pytorch(config: RunConfig, data: Dataset, rel: float) -> None:
    model = build_for(config, data)
    expected, validated = by_pytorch(config, data, copy.deepcopy(model))
    assert Loop(config, data, copy.deepcopy(model), CPU).tiny is not None and len(expected) >= 200
    least = ROUNDING * max(1.0, expected[0])
    events = list(fit(config, data, model, CPU))
    assert [e.loss for e in events if isinstance(e, Step)] == pytest.approx(expected, rel=rel, abs=least)
    assert [e.validation_loss for e in events if isinstance(e, Epoch)] == pytest.approx(validated, rel=rel, abs=least)


@pytest.mark.parametrize("changes", [
    *({"training__loss": loss} for loss in ("cross_entropy", "nll", "bce_with_logits", "bce", "mse")),
    {"training__loss": "cross_entropy", "training__label_smoothing": 0.1},
    *({"model__activation": kind} for kind in ("relu", "leaky_relu", "gelu", "sigmoid", "softmax", "identity")),
    {"model__hidden": []}, {"model__hidden": [8, 5, 3]}, {"training__batch_size": 1, "training__epochs": 3},
    {"training__shuffle": False}, {"data__features": ["x1", "x2", "sin_x1"], "data__normalization": "standard"},
    {"training__l1": 0.001}, {"training__gradient_clipping": 0.05}, {"training__l1": 0.001, "training__gradient_clipping": 0.05},
    {"training__schedule": {"name": "cosine"}},
    {"training__optimizer": {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.01}},
    {"training__optimizer": {"name": "sgd", "learning_rate": 0.02, "momentum": 0.8}},
    {"training__optimizer": {"name": "sgd", "learning_rate": 0.02, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01}},
    {"training__optimizer": {"name": "adagrad", "learning_rate": 0.05}},
    {"training__optimizer": {"name": "adagrad", "learning_rate": 0.05, "weight_decay": 0.01}},
    {"data__dataset": "linear", "training__loss": "mse", "training__optimizer__learning_rate": 0.01}], ids=str)
def test_losses_are_pytorchs_to_a_millionth(changes, data_of):
    config = lab(**changes)
    assert_equal_to_pytorch(config, data_of(config), 1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits", "bce", "mse"])
def test_losses_of_three_classes(loss, data_of):
    """No set in the plane has more than two."""
    config = lab(training__loss=loss)
    data = data_of(config)
    names = ("a", "b", "c")
    splits = {name: replace(split, labels=torch.arange(len(split.labels)) % 3) for name, split in (
        ("train", data.train), ("validation", data.validation))}
    assert_equal_to_pytorch(config, replace(data, classes=names, source_classes=names, **splits), 1e-6)


@pytest.mark.parametrize("optimizer", [
    {"name": "adam"}, {"name": "adam", "weight_decay": 0.01, "beta1": 0.8}, {"name": "adamw"},
    {"name": "rmsprop", "learning_rate": 0.001},
    {"name": "rmsprop", "learning_rate": 0.001, "momentum": 0.5, "weight_decay": 0.01}], ids=str)
def test_optimizers_that_divide_by_the_gradients_size_multiply_its_rounding(optimizer, data_of):
    """Where a gradient is next to nothing, its last digits decide the step's direction; PyTorch's own kernels differ as much."""
    config = lab(training__optimizer=optimizer)
    assert_equal_to_pytorch(config, data_of(config), 1e-5)


def test_every_activation_of_the_models_has_its_operations():
    kinds = get_args(MLPConfig.model_fields["activation"].annotation)
    assert {type(activation(kind)) for kind in kinds} - {nn.Identity} == set(ACTIVATIONS)


@pytest.mark.parametrize("changes", [
    {"model__hidden": [MOST_UNITS + 1]}, {"model__dropout": 0.1}, {"training__batch_size": MOST_IN_BATCH + 1},
    {"training__precision": "bfloat16"}], ids=str)
def test_others_take_the_usual_steps(changes, data_of):
    config = lab(**changes)
    data = data_of(config)
    assert Loop(config, data, build_for(config, data), CPU).tiny is None


def test_images_take_the_usual_steps(digits):
    assert Loop(tiny(), digits, build_for(tiny(), digits), CPU).tiny is None


# --- what stands around a step


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "adagrad"])
def test_a_run_that_goes_on_from_any_checkpoint_is_the_same_to_the_bit(name, data_of):
    config = lab(training__optimizer={"name": name} | ({"momentum": 0.9} if name in ("sgd", "rmsprop") else {}),
                 training__epochs=4, training__keep="best")
    data = data_of(config)
    whole = list(fit(config, data, build_for(config, data), CPU))
    losses = [event.loss for event in whole if isinstance(event, Step)]
    kept = [event for event in whole if isinstance(event, Checkpoint)]
    assert len(kept) == 4 and all(isinstance(checkpoint, LateCheckpoint) for checkpoint in kept[:-1])
    for checkpoint in kept[:-1]:
        model = build_for(config, data)
        model.load_state_dict(checkpoint.weights)
        rest = list(fit(config, data, model, CPU, resume=checkpoint.state))
        assert [event.loss for event in rest if isinstance(event, Step)] == losses[checkpoint.step:]
        last = [event for event in rest if isinstance(event, Checkpoint)][-1]
        for ours, theirs in ((last.weights, kept[-1].weights),
                             *((last.state.under(part), kept[-1].state.under(part)) for part in (OPTIMIZER, CURRENT))):
            assert set(ours) == set(theirs) and all(torch.equal(value, theirs[key]) for key, value in ours.items())


def test_a_checkpoint_is_of_its_epoch_however_late_it_is_asked(data_of):
    config = lab(training__epochs=3)
    data = data_of(config)
    model, seen, kept = build_for(config, data), [], []
    for event in fit(config, data, model, CPU):
        if isinstance(event, Checkpoint):
            kept.append(event)
            seen.append(copy_weights(model))
    for checkpoint, weights in zip(kept, seen, strict=True):
        assert all(torch.equal(value, weights[name]) for name, value in checkpoint.weights.items())
    assert not torch.equal(*(checkpoint.weights["fc1.weight"] for checkpoint in kept[:2]))


def test_gradients_can_be_read_where_pytorch_has_them(data_of):
    config = lab(training__epochs=1)
    data = data_of(config)
    model, found = build_for(config, data), []
    for event in fit(config, data, model, CPU):
        if isinstance(event, Gradients):
            found.append((event.norms, gradient_norms(model)))
    assert found and set(found[0][0]) == {"fc1", "fc2"}
    for ours, theirs in found:
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_somebodys_hooks_are_called_and_change_nothing(data_of):
    """From the 3rd step to the 9th, in the middle of an epoch."""
    config = lab(training__epochs=3, training__optimizer={"name": "adam"})
    data = data_of(config)
    plain = [event.loss for event in fit(config, data, build_for(config, data), CPU) if isinstance(event, Step)]
    model, seen, handles = build_for(config, data), [], []

    class Watching:
        asked = 0

        def command(self):
            self.asked += 1
            if self.asked == 3:
                handles.append(model[1].register_forward_hook(lambda *given: seen.append(given)))
            elif self.asked == 10:
                handles.pop().remove()
            return Command()

    watched = [event.loss for event in fit(config, data, model, CPU, Watching()) if isinstance(event, Step)]
    assert len(seen) == 7 and watched == pytest.approx(plain, rel=1e-5)
    assert copy_weights(model).keys() == model.state_dict().keys()


def test_weights_that_somebody_replaces_are_taken_up(data_of):
    """As a hand does that changes a weight between steps, or gives the network another tensor between epochs."""
    config = lab(training__epochs=3, training__optimizer={"name": "sgd", "learning_rate": 1e-12})
    data = data_of(config)
    model = build_for(config, data)
    for event in fit(config, data, model, CPU):
        if isinstance(event, Epoch) and event.epoch == 1:
            model[1].weight.data = torch.full_like(model[1].weight.data, 0.25)
        elif isinstance(event, Epoch) and event.epoch == 2:
            assert model[1].weight.detach().mean() == pytest.approx(0.25)
            with torch.no_grad():
                model[1].weight.fill_(0.5)
            loss = event.validation_loss
    assert model[1].weight.detach().mean() == pytest.approx(0.5) and event is not None
    assert next(fit(config, data, model, CPU)) and loss > 0


def test_a_pending_step_can_be_read_before_the_others(data_of):
    config = lab(training__optimizer={"name": "sgd", "learning_rate": 1e-12})
    data = data_of(config)
    loop = Loop(config, data, build_for(config, data), CPU)
    pending = Pending()
    for batch in islice(loop.batches(), 3):
        assert isinstance(batch, TinyBatch)
        pending.steps.append(loop.train_step(batch))
    losses, right, sizes = loop.results(pending)
    for batch, loss, count in zip(pending.steps, losses, right, strict=True):
        logits = loop.model(batch.images)
        assert loss == pytest.approx(F.binary_cross_entropy_with_logits(logits[:, 0], batch.labels.float()).item(), rel=1e-5)
        assert count == int(((logits[:, 0] > 0) == batch.labels.bool()).sum())
    assert sizes == [12] * 3


@pytest.mark.filterwarnings("error")
def test_a_run_that_diverges_ends_with_its_last_good_weights(data_of):
    config = lab(data__dataset="linear", training__loss="mse", model__activation="identity",
                 training__optimizer__learning_rate=50.0)
    data = data_of(config)
    model = build_for(config, data)
    events = list(fit(config, data, model, CPU))
    assert isinstance(events[-1], Finished) and events[-1].reason == "diverged"
    assert all(torch.isfinite(weight).all() for weight in model.parameters())


def test_pauses_single_steps_and_watchers(data_of, monkeypatch):
    """Paused before step 4 and asked for one step, then let go; and a watcher that looks after steps 2, 4 and 31."""
    monkeypatch.setattr("core.training.loop.SECONDS_PER_LOOK", 0.0)
    config = lab(training__epochs=5)
    data = data_of(config)
    plain = [event.loss for event in fit(config, data, build_for(config, data), CPU) if isinstance(event, Step)]
    model, seen = build_for(config, data), []

    class Pauses:
        asked = 0

        def command(self):
            self.asked += 1
            return Command(pause=4 <= self.asked < 12, steps=self.asked >= 8)

    class Watcher:
        def due(self, step, seconds):
            return step in {2, 4, 31}

        def look(self, model, step, epoch, seconds, loss):
            seen.append((step, epoch, loss, float(model[1].weight.detach().sum())))
            return Look("mine", step, epoch, seconds, {})

    events = list(fit(config, data, model, CPU, Pauses(), watchers=[Watcher()]))
    assert [event.loss for event in events if isinstance(event, Step)] == plain, "nothing of it changes the run"
    assert [event.step for event in events if isinstance(event, Paused)] == [3, 4]
    per_epoch = len(plain) // 5
    assert [step for step, *_ in seen] == [0, 2, 3, 4, 4, 31, len(plain)]
    assert [epoch for _, epoch, *_ in seen[1:]] == [(step - 1) // per_epoch + 1 for step, *_ in seen[1:]]
    assert seen[1][2] == pytest.approx(sum(plain[:2]) / 2) and len({weights for *_, weights in seen}) == 6


def test_a_stopped_run_goes_on_in_the_middle_of_an_epoch(data_of):
    config = lab(training__epochs=4, training__optimizer={"name": "adam"})
    data = data_of(config)
    whole = [event.loss for event in fit(config, data, build_for(config, data), CPU) if isinstance(event, Step)]

    model = build_for(config, data)
    events = list(fit(config, data, model, CPU, StopAfter(14)))
    (checkpoint,) = [event for event in events if isinstance(event, Checkpoint) and event.step == 14]
    assert checkpoint.state.batch and events[-1].reason == "stopped"
    model = build_for(config, data)
    model.load_state_dict(checkpoint.weights)
    rest = [event.loss for event in fit(config, data, model, CPU, resume=checkpoint.state) if isinstance(event, Step)]
    assert rest == whole[14:]
