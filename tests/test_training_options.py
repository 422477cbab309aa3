"""Optimizers, losses, schedules and clipping against a plain float64 loop; going on later as if nothing had happened."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from core.config import SCHEDULES, PlateauConfig, RunConfig
from core.data import Dataset
from core.fields import ConfigError
from core.training import Checkpoint, Command, Epoch, Finished, Gradients, Step, build_for, fit
from core.training.schedules import Plateau, factor_at, preview
from tests.helpers import tiny

CPU = torch.device("cpu")


@pytest.fixture
def few(digits: Dataset) -> Dataset:
    """320 training images: five batches of 64 an epoch."""
    return replace(digits, train=replace(digits.train, rows=digits.train.rows[:320]),
                   validation=replace(digits.validation, rows=digits.validation.rows[:64]))


def config_of(**changes) -> RunConfig:
    return tiny(**{"training__epochs": 4, **changes})


def in_double(config: RunConfig, data: Dataset, make_optimizer, loss, scheduler=None, clip=0.0) -> list[float]:
    """A loop as one writes it by hand, in float64, from the same weights and in the same order of images."""
    model = build_for(config, data).double()
    optimizer = make_optimizer(model.parameters())
    schedule = scheduler(optimizer) if scheduler else None
    images, labels = data.train.take(torch.arange(len(data.train)))
    images, losses = images.double() / 255, []
    for epoch in range(1, config.training.epochs + 1):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(config.training.seed * 100_003 + epoch))
        for rows in order.split(config.training.batch_size):
            optimizer.zero_grad()
            value = loss(model(images[rows]), labels[rows])
            value.backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            losses.append(value.item())
            if schedule and schedule.__class__.__name__ != "StepLR":
                schedule.step()
        if schedule and schedule.__class__.__name__ == "StepLR":
            schedule.step()
    return losses


def losses_of(config: RunConfig, data: Dataset) -> list[float]:
    return [event.loss for event in fit(config, data, build_for(config, data), CPU) if isinstance(event, Step)]


OPTIMIZERS = {
    "sgd with Nesterov and decay": (
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
        {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam with decay": (lambda p: torch.optim.Adam(p, 0.002, (0.8, 0.99), weight_decay=0.01), {
        "name": "adam", "learning_rate": 0.002, "beta1": 0.8, "beta2": 0.99, "weight_decay": 0.01}),
    "adamw": (lambda p: torch.optim.AdamW(p, 0.002, weight_decay=0.1), {
        "name": "adamw", "learning_rate": 0.002, "weight_decay": 0.1}),
    "rmsprop": (lambda p: torch.optim.RMSprop(p, 0.001, 0.9, momentum=0.5), {
        "name": "rmsprop", "learning_rate": 0.001, "alpha": 0.9, "momentum": 0.5}),
    "adagrad": (lambda p: torch.optim.Adagrad(p, 0.02, weight_decay=0.001), {
        "name": "adagrad", "learning_rate": 0.02, "weight_decay": 0.001}),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_steps_as_pytorchs_own_in_float64(few, name):
    make, fields = OPTIMIZERS[name]
    config = config_of(**{f"training__optimizer__{field}": value for field, value in fields.items()})
    expected = in_double(config, few, make, nn.functional.cross_entropy)
    assert losses_of(config, few) == pytest.approx(expected, abs=2e-5)
    assert expected[-1] < expected[0]


LOSSES = {
    "nll": lambda z, y: nn.NLLLoss()(nn.LogSoftmax(1)(z), y),
    "bce": lambda z, y: nn.BCELoss()(torch.sigmoid(z), nn.functional.one_hot(y, 10).to(z.dtype)),
    "mse": lambda z, y: ((z.softmax(1) - nn.functional.one_hot(y, 10)) ** 2).mean(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_pytorchs_own_in_float64(few, name):
    config = config_of(training__loss=name)
    expected = in_double(config, few, lambda p: torch.optim.Adam(p, 0.001), LOSSES[name])
    assert losses_of(config, few) == pytest.approx(expected, abs=1e-5)


def test_label_smoothing_and_clipping_in_float64(few):
    config = config_of(training__label_smoothing=0.2, training__gradient_clipping=0.1,
                       training__optimizer={"name": "sgd", "learning_rate": 0.5})
    expected = in_double(config, few, lambda p: torch.optim.SGD(p, 0.5), nn.CrossEntropyLoss(label_smoothing=0.2), clip=0.1)
    assert losses_of(config, few) == pytest.approx(expected, abs=1e-5)
    without = in_double(config, few, lambda p: torch.optim.SGD(p, 0.5), nn.CrossEntropyLoss(label_smoothing=0.2))
    assert without != pytest.approx(expected, abs=1e-3), "clipping must matter here"


def test_l1_comes_before_clipping(few):
    """The penalty's gradient is part of what is clipped, as it would be with l1 · Σ|w| in the loss."""
    config = config_of(training__l1=0.05, training__gradient_clipping=0.1,
                       training__optimizer={"name": "sgd", "learning_rate": 0.5})
    model = build_for(config, few).double()
    images, labels = few.train.take(torch.arange(len(few.train)))
    images, expected = images.double() / 255, []
    for epoch in range(1, 5):
        order = torch.randperm(320, generator=torch.Generator().manual_seed(config.training.seed * 100_003 + epoch))
        for rows in order.split(config.training.batch_size):
            model.zero_grad()
            loss = nn.functional.cross_entropy(model(images[rows]), labels[rows])
            (loss + 0.05 * sum(weight.abs().sum() for weight in model.parameters())).backward()
            norm = torch.cat([weight.grad.flatten() for weight in model.parameters()]).norm()
            with torch.no_grad():
                for weight in model.parameters():
                    weight -= 0.5 * weight.grad * min(1.0, 0.1 / float(norm))
            expected.append(loss.item())  # the data's part alone
    assert losses_of(config, few) == pytest.approx(expected, abs=1e-5)
    without = losses_of(config.with_values({"training.gradient_clipping": 0.0}), few)
    assert without != pytest.approx(expected, abs=1e-3), "clipping must matter here"


STEPS, PER_EPOCH = 20, 5
SCHEDULERS = {
    "step": ({"name": "step", "every": 2, "factor": 0.1}, lambda o: torch.optim.lr_scheduler.StepLR(o, 2, 0.1)),
    "cosine": ({"name": "cosine", "final": 0.1},
               lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.1 * 0.2)),
    "one_cycle": ({"name": "one_cycle", "rise": 0.3}, lambda o: torch.optim.lr_scheduler.OneCycleLR(
        o, 0.2, total_steps=STEPS, pct_start=0.3, cycle_momentum=False)),
    "warm_up": ({"name": "warm_up", "share": 0.5}, lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.1, 1.0, total_iters=9)),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_schedule_is_pytorchs_own(few, name):
    fields, scheduler = SCHEDULERS[name]
    config = config_of(training__schedule=fields, training__optimizer={"name": "sgd", "learning_rate": 0.2})
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.2)
    theirs, rates = scheduler(optimizer), []
    for step in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if name != "step" or step % PER_EPOCH == PER_EPOCH - 1:
            theirs.step()
    ours = [0.2 * factor_at(config.training.schedule, step, STEPS, PER_EPOCH) for step in range(STEPS)]
    assert ours == pytest.approx(rates, rel=1e-6)
    expected = in_double(config, few, lambda p: torch.optim.SGD(p, 0.2), nn.functional.cross_entropy, scheduler)
    assert losses_of(config, few) == pytest.approx(expected, abs=2e-5)


def test_a_plateau_lowers_the_rate_as_pytorchs_own_does(few):
    config = config_of(training__epochs=8, training__schedule={"name": "plateau", "patience": 1, "factor": 0.5},
                       training__optimizer={"name": "sgd", "learning_rate": 2.0})  # too large, so that the loss jumps about
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 2.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
    rates = []
    for event in fit(config, few, build_for(config, few), CPU):
        if isinstance(event, Gradients) and event.step % PER_EPOCH == 0:
            rates.append((event.learning_rate, optimizer.param_groups[0]["lr"]))
        if isinstance(event, Epoch):
            theirs.step(event.validation_loss)
    assert len(rates) == 8
    assert [ours for ours, _ in rates] == [expected for _, expected in rates]
    assert rates[-1][0] < 2.0, "the rate must have fallen"


def test_a_plateau_counts_only_falls_by_more_than_a_ten_thousandth():
    """With patience 1, the rate falls at the second loss in a row that is not below 0.9999 of the best."""
    plateau = Plateau(PlateauConfig(patience=1, factor=0.5))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
    factors = []
    # 1 → 0.99995 is no fall, 0.99985 is one; below that, 0.9998 and 0.99976 are none (0.99985 · 0.9999 = 0.99975), 0.9997 is
    for loss in (1.0, 0.99995, 0.99985, 0.9998, 0.99976, 0.9997, 0.9997, 0.99965):
        plateau.look(loss)
        theirs.step(loss)
        factors.append(plateau.factor)
        assert plateau.factor == optimizer.param_groups[0]["lr"], loss
    assert factors == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_can_be_drawn_before_the_run(name):
    points = preview(SCHEDULES[name](), 0.1, epochs=3)
    assert points[0][0] == 0 and 2.9 < points[-1][0] < 3
    assert all(0 <= rate <= 0.1 + 1e-12 for _, rate in points) and max(rate for _, rate in points) == pytest.approx(0.1, rel=0.01)


def test_nesterov_without_momentum_is_one_line():
    with pytest.raises(ConfigError, match="nesterov needs momentum above 0") as caught:
        tiny(training__optimizer={"name": "sgd", "nesterov": True})
    assert "\n" not in str(caught.value)


def test_early_stopping_and_best_weights(few):
    """A learning rate that makes the loss jump: the run ends early, and what is kept is the best epoch's."""
    config = config_of(training__epochs=50, training__early_stopping=2, training__keep="best",
                       training__optimizer={"name": "sgd", "learning_rate": 2.0})
    model = build_for(config, few)
    events = list(fit(config, few, model, CPU))
    losses = [event.validation_loss for event in events if isinstance(event, Epoch)]
    assert len(losses) < 50 and losses[-2:] == [loss for loss in losses[-2:] if loss >= min(losses)]
    assert losses.index(min(losses)) == len(losses) - 3
    assert isinstance(events[-1], Finished) and "Stopped early" in events[-1].message
    images, labels = few.validation.take(torch.arange(len(few.validation)))
    with torch.no_grad():
        kept = nn.functional.cross_entropy(model.eval()(images.float() / 255), labels)
    assert float(kept) == pytest.approx(min(losses), rel=1e-5)


@pytest.mark.parametrize("how", ["xavier_uniform", "kaiming_normal", "normal", "zeros"])
def test_initialization(few, how):
    one, two = (build_for(config_of(training__initialization=how), few) for _ in range(2))
    weight = dict(one.named_parameters())["fc1.weight"]
    assert torch.equal(weight, dict(two.named_parameters())["fc1.weight"]), "the seed decides"
    spread = {"xavier_uniform": (2 / (784 + 8)) ** 0.5, "kaiming_normal": (2 / 784) ** 0.5, "normal": 0.01, "zeros": 0.0}[how]
    assert float(weight.detach().std()) == pytest.approx(spread, rel=0.1)
    assert not dict(one.named_parameters())["fc1.bias"].any()


# --- going on later


class Until:
    """Asks for a stop at the look with this number, counted from 0."""

    def __init__(self, look: int) -> None:
        self.look, self.looks = look, -1

    def command(self) -> Command:
        self.looks += 1
        return Command(stop=self.looks >= self.look)


GOING_ON = {
    "adam": {},
    "momentum and dropout": {"training__optimizer": {"name": "sgd", "momentum": 0.9}, "model__dropout": 0.5},
    "batch norm": {"model": {"architecture": "cnn", "channels": [4], "batch_norm": True, "fc_width": 8, "dropout": 0.3}},
    "convolutions": {"model": {"architecture": "cnn", "channels": [4, 6], "fc_width": 8}},
    "one cycle, adamw": {"training__schedule": {"name": "one_cycle"}, "training__optimizer": {"name": "adamw"}},
    "plateau, best": {"training__schedule": {"name": "plateau", "patience": 0}, "training__keep": "best",
                      "training__optimizer": {"name": "sgd", "learning_rate": 2.0}},
    "rmsprop": {"training__optimizer": {"name": "rmsprop", "momentum": 0.5}},
    "adagrad": {"training__optimizer": {"name": "adagrad"}},
    "random transforms": {"model__dropout": 0.5, "data__transforms": [
        {"kind": "random_affine"}, {"kind": "random_erasing"}, {"kind": "gaussian_noise"}]},
}


@pytest.mark.parametrize("look", [0, 3, 5, 12, 19])
@pytest.mark.parametrize("name", GOING_ON)
def test_going_on_gives_the_curve_of_an_unbroken_run(few, name, look):
    """Bit for bit on the CPU, wherever it was stopped: before the first step, in an epoch, between two."""
    config = config_of(**GOING_ON[name])
    few = replace(few, transforms=config.data.transforms, last_mean=few.mean, last_std=few.std)
    whole_model = build_for(config, few)
    whole = list(fit(config, few, whole_model, CPU))

    broken = list(fit(config, few, build_for(config, few), CPU, Until(look)))
    assert isinstance(broken[-1], Finished) and broken[-1].reason == "stopped"
    checkpoint = broken[-2]
    assert isinstance(checkpoint, Checkpoint) and checkpoint.step == look
    model = build_for(config.with_values({"training.seed": 9}), few)  # other weights, to be replaced
    model.load_state_dict(checkpoint.weights)
    torch.rand(5)  # whatever else has drawn random numbers since
    rest = list(fit(config, few, model, CPU, resume=checkpoint.state))

    def steps(events):
        return [(e.step, e.epoch, e.loss, e.accuracy) for e in events if isinstance(e, Step)]

    def epochs(events):
        return [(e.epoch, e.step, e.train_loss, e.train_accuracy, e.validation_loss) for e in events if isinstance(e, Epoch)]

    assert steps(broken) + steps(rest) == steps(whole)
    assert epochs(broken) + epochs(rest) == epochs(whole)
    for key, value in whole_model.state_dict().items():
        assert torch.equal(value, model.state_dict()[key])


def rates_by_epoch(events) -> dict[int, float]:
    return {-(-event.step // PER_EPOCH): event.learning_rate for event in events if isinstance(event, Gradients)}


@pytest.mark.parametrize("stop", [5, 7, 10, 13, 15, 21, 25, 33])
def test_a_plateau_goes_on_waiting_after_a_break(few, stop):
    """Weights that do not move: the loss never falls, so with patience 1 the rate halves after epochs 3, 5 and 7, not later."""
    rate = 1e-30
    config = config_of(training__epochs=8, training__schedule={"name": "plateau", "patience": 1, "factor": 0.5},
                       training__optimizer={"name": "sgd", "learning_rate": rate})
    model = build_for(config, few)
    first = list(fit(config, few, model, CPU, Until(stop)))
    model.load_state_dict(first[-2].weights)
    rest = list(fit(config, few, model, CPU, resume=first[-2].state))
    rates = rates_by_epoch(first) | rates_by_epoch(rest)
    assert {epoch: value / rate for epoch, value in rates.items()} == pytest.approx(
        {1: 1, 2: 1, 3: 1, 4: 0.5, 5: 0.5, 6: 0.25, 7: 0.25, 8: 0.125})


def test_a_pause_waits_and_another_learning_rate_acts_at_once(few):
    class Script:
        """Step 3 is waited for over five looks; from step 6 on the learning rate is 0."""

        def __init__(self) -> None:
            self.looks = 0

        def command(self) -> Command:
            self.looks += 1
            return Command(pause=3 <= self.looks < 8, learning_rate=0.0 if self.looks >= 11 else None)

    config = config_of(training__epochs=2, training__optimizer={"name": "sgd", "learning_rate": 0.1})
    script = Script()
    model = build_for(config, few)
    plain = losses_of(config, few)
    paused = [event.loss for event in fit(config, few, model, CPU, script) if isinstance(event, Step)]
    assert len(paused) == len(plain) == 10
    assert script.looks == 15, "five looks more than steps"
    assert paused[:5] == plain[:5], "a pause changes nothing"
    assert paused[6:] != plain[6:], "the weights stand still from the sixth step on"
