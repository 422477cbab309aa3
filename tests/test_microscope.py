"""One frozen step: its arithmetic against torch.optim and by hand, its place in a run against fit(), and what it refuses."""

import ast
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from core.config import OPTIMIZERS, AdagradConfig, AdamConfig, AdamWConfig, RMSpropConfig, SGDConfig
from core.data import Split, load
from core.devices import select_device
from core.export.step_code import loss_code, step_code
from core.training import Checkpoint, Step, build_for, fit
from core.training.microscope import (
    MOST_PARAMETERS,
    Microscope,
    MicroscopeError,
    check_config,
    open_fresh,
    pulls,
    strongest,
    trace,
)
from core.training.objectives import objective_of
from core.training.optimizers import build_optimizer
from core.training.update_rules import precise, update
from tests.helpers import tiny

CPU = select_device("cpu")
NOWHERE = Path("nowhere")  # computed sets need no files
DECAY = {"weight_decay": 0.02}
RULES = {
    "sgd": SGDConfig(learning_rate=0.1), "sgd decay": SGDConfig(learning_rate=0.1, **DECAY),
    "momentum": SGDConfig(learning_rate=0.1, momentum=0.8), "momentum decay": SGDConfig(momentum=0.8, **DECAY),
    "nesterov": SGDConfig(learning_rate=0.1, momentum=0.8, nesterov=True, **DECAY),
    "adam": AdamConfig(beta1=0.8, beta2=0.99), "adam decay": AdamConfig(**DECAY),
    "adamw": AdamWConfig(beta1=0.8), "adamw without decay": AdamWConfig(weight_decay=0.0),
    "rmsprop": RMSpropConfig(alpha=0.9), "rmsprop momentum": RMSpropConfig(momentum=0.7, **DECAY),
    "adagrad": AdagradConfig(), "adagrad decay": AdagradConfig(**DECAY),
}
AS_CONFIG = {name: {f"training__optimizer__{field}": value for field, value in config.model_dump().items()}
             for name, config in RULES.items()}


def double(values):
    return torch.tensor(values, dtype=torch.float64)


# --- the formulas


@pytest.mark.parametrize("name", RULES)
def test_the_formulas_are_those_of_torch_optim(name):
    """Five steps in float64, with gradients of all sizes and a learning rate that changes, against PyTorch itself."""
    assert {config.name for config in RULES.values()} == set(OPTIMIZERS)
    random = torch.Generator().manual_seed(0)
    theirs = nn.Parameter(torch.randn(6, generator=random, dtype=torch.float64))
    optimizer = build_optimizer(RULES[name], [theirs])
    weight, state = theirs.detach().clone(), {}
    for step in range(5):
        theirs.grad = torch.randn(6, generator=random, dtype=torch.float64) * 10.0 ** (step - 3)
        theirs.grad[0] = 0.0
        rate = RULES[name].learning_rate * (1 + step)
        optimizer.param_groups[0]["lr"] = rate
        result = update(RULES[name], rate, weight, theirs.grad, state)
        optimizer.step()
        assert result.weight.tolist() == pytest.approx(theirs.tolist(), rel=1e-12, abs=1e-14)
        kept = {kind: value for kind, value in optimizer.state[theirs].items() if isinstance(value, torch.Tensor)}
        assert set(result.state) <= set(kept) and set(kept) - set(result.state) <= {"step"}
        for kind, value in result.state.items():
            assert value.tolist() == pytest.approx(kept[kind].tolist(), rel=1e-12, abs=1e-14), kind
        weight, state = result.weight, kept


def test_sgd_by_hand():
    """w = 2, g = 0.5, rate 0.1: 2 − 0.05. Momentum 0.9, decay 0.1: g = 0.7; b = 0.9·1 + 0.7 = 1.6; Nesterov 0.7 + 1.44."""
    plain = update(SGDConfig(), 0.1, double(2.0), double(0.5), {})
    assert float(plain.weight) == pytest.approx(1.95) and [line.name for line in plain.lines] == ["w"]
    assert plain.lines[0].written() == "2 − 0.1 · 0.5"
    config = SGDConfig(momentum=0.9, weight_decay=0.1)
    heavy = update(config, 0.1, double(2.0), double(0.5), {"momentum_buffer": double(1.0)})
    assert [(line.name, float(line.value)) for line in heavy.lines] == [
        ("g", pytest.approx(0.7)), ("b", pytest.approx(1.6)), ("w", pytest.approx(1.84))]
    ahead = update(config.model_copy(update={"nesterov": True}), 0.1, double(2.0), double(0.5), {"momentum_buffer": double(1.0)})
    assert float(ahead.weight) == pytest.approx(2 - 0.1 * 2.14)
    first = update(SGDConfig(momentum=0.9), 0.1, double(2.0), double(0.5), {})
    assert float(first.state["momentum_buffer"]) == 0.5 and float(first.weight) == pytest.approx(1.95)


def test_adam_by_hand():
    """First step with g = 0.5: m = 0.05, v = 0.00025, m̂ = 0.5, v̂ = 0.25, so the step is the learning rate."""
    first = update(AdamConfig(), 0.001, double(1.0), double(0.5), {})
    values = {line.name: float(line.value) for line in first.lines}
    assert values == {"t": 1.0, "m": pytest.approx(0.05), "v": pytest.approx(0.00025), "m̂": pytest.approx(0.5),
                      "v̂": pytest.approx(0.25), "w": pytest.approx(1 - 0.001 * 0.5 / (0.5 + 1e-8), abs=1e-15)}
    second = update(AdamConfig(), 0.001, first.weight, double(-1.0), first.state)
    m, v = 0.9 * 0.05 - 0.1, 0.999 * 0.00025 + 0.001
    expected = float(first.weight) - 0.001 * (m / (1 - 0.81)) / (math.sqrt(v / (1 - 0.999 ** 2)) + 1e-8)
    assert float(second.weight) == pytest.approx(expected, abs=1e-15)
    mean = next(line for line in second.lines if line.name == "m")
    assert mean.written() == "0.9 · 0.05 + 0.1 · (−1)" and mean.formula == "β₁·m + (1 − β₁)·g"


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5"), (-3.0, "−3"), (1.234567e-7, "1.23457·10⁻⁷"), (-2e12, "−2·10¹²"),
                                             (float("nan"), "NaN"), (float("-inf"), "−∞"), (0.0, "0")])
def test_numbers_as_people_read_them(value, text):
    assert precise(value) == text


@pytest.mark.parametrize("name", RULES)
def test_numbers_put_in_give_the_value(name):
    """What stands on the page is arithmetic: a calculator gives the line's value from the numbers that are shown."""
    state = {}
    for gradient in (0.25, -0.5):
        result = update(RULES[name], 0.125, double(-1.5), double(gradient), state)
        for line in result.lines:
            assert calculated(line.written()) == pytest.approx(float(line.value), rel=2e-5), line.written()
        state = result.state


def calculated(text: str) -> float:
    """A line of ours, by Python; text that this test made itself."""
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    plain = re.sub(r"·10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda found: f"e{found[1].translate(digits)}", text)
    plain = plain.replace("−", "-").replace("·", "*").replace("²", "**2").replace("^", "**")
    plain = re.sub(r"√(\([^)]*\)|[0-9.e-]+)", r"((\1)**0.5)", plain)
    return eval(plain, {"__builtins__": {}})


# --- a step of a run


@pytest.mark.parametrize("changes", [
    {"training__schedule__name": "one_cycle", "model__dropout": 0.5, "training__gradient_clipping": 0.5},
    {"training__batch_size": 700, "training__schedule__name": "step"},
    {"training__seed": 3, "training__optimizer__name": "rmsprop"},
    {"data__transforms": [{"kind": "random_affine"}, {"kind": "gaussian_noise"}], "model__dropout": 0.5}],
    ids=["dropout, clipping, one cycle", "two epochs", "another seed", "random transforms"])
def test_the_steps_are_those_of_a_run(digits, changes):
    config = tiny(training__epochs=3, **changes)
    data = replace(digits, train=Split(digits.train.images, digits.train.labels, digits.train.rows[:1000]),
                   transforms=config.data.transforms, last_mean=digits.mean, last_std=digits.std)
    scope = open_fresh(config, data)
    frozen = [scope.take_step() for _ in range(4)]
    run = [event.loss for event in fit(config, data, build_for(config, data), CPU) if isinstance(event, Step)][:4]
    assert [step.loss for step in frozen] == pytest.approx(run, abs=1e-6)
    assert [step.number for step in frozen] == [1, 2, 3, 4]
    assert frozen[-1].epoch == (2 if config.training.batch_size == 700 else 1)


def test_it_goes_on_from_a_checkpoint_as_the_run_does(digits):
    config = tiny(training__epochs=2, model__dropout=0.2)
    model, losses, kept = build_for(config, digits), [], None
    for event in fit(config, digits, model, CPU):
        if isinstance(event, Checkpoint) and kept is None:
            kept = event
        elif isinstance(event, Step) and kept is not None:
            losses.append(event.loss)
    model.load_state_dict(kept.weights)
    scope = Microscope(config, digits, model, kept.state)
    frozen = [scope.take_step() for _ in range(3)]
    assert [step.loss for step in frozen] == pytest.approx(losses[:3], abs=1e-6)
    assert frozen[0].number == kept.step + 1 and frozen[0].old["fc1.weight"] is None
    assert float(frozen[0].state_before["fc1.weight"]["step"]) == kept.step


@pytest.mark.parametrize("name", RULES)
def test_every_weight_agrees_with_pytorch(digits, name):
    config = tiny(**AS_CONFIG[name])
    scope = open_fresh(config, digits)
    for _ in range(3):
        frozen = scope.take_step()
        for parameter, before in frozen.before.items():
            result = update(config.training.optimizer, frozen.learning_rate, before, frozen.gradients[parameter],
                            frozen.state_before[parameter])
            moved = (frozen.after[parameter] - before).abs()
            assert bool(((result.weight - frozen.after[parameter]).abs() <= 2.4e-7 * before.abs() + 1e-5 * moved + 1e-8).all())
            assert trace(config, frozen, parameter, strongest(frozen, parameter)).agrees


def test_what_each_stage_changes(digits):
    scope = open_fresh(tiny(), digits)
    first, second = scope.take_step(), scope.take_step()
    assert all(gradient is None for gradient in first.old.values()), "before the first step there is none"
    for name in first.before:
        assert torch.equal(second.old[name], first.gradients[name]), "the old gradient is the one of the step before"
        assert torch.equal(second.before[name], first.after[name])
    seen = trace(scope.config, second, "fc2.weight", (3, 2))
    assert seen.added_up == pytest.approx(seen.old + seen.gradient)
    assert seen.before != seen.after and seen.computed == pytest.approx(seen.after, abs=1e-7)


def test_a_loss_for_each_example_and_their_mean(digits):
    for loss in ("cross_entropy", "nll", "bce_with_logits", "bce", "mse"):
        frozen = open_fresh(tiny(training__loss=loss), digits).take_step()
        assert frozen.losses.shape == (64,) and float(frozen.losses.mean()) == pytest.approx(frozen.loss, rel=1e-5)
        assert frozen.probabilities.sum(1).tolist() == pytest.approx([1.0] * 64, abs=1e-5)
    right = open_fresh(tiny(), digits).take_step()
    chances = right.logits.softmax(1)[torch.arange(64), right.labels]
    assert right.losses.tolist() == pytest.approx((-chances.log()).tolist(), rel=1e-4)


def test_the_gradient_is_the_slope_of_the_loss(digits):
    """By finite differences in float64, without dropout."""
    config = tiny()
    model = build_for(config, digits)
    frozen = Microscope(config, digits, model).take_step()
    seen = trace(config, frozen, "fc2.weight", strongest(frozen, "fc2.weight"))
    model = model.double()
    images = frozen.images.double() / 255
    values = []
    for nudge in (1e-4, -1e-4):
        with torch.no_grad():
            model.get_parameter("fc2.weight")[seen.index] = seen.before + nudge
            values.append(float(objective_of(config.training).loss(model(images), frozen.labels)))
    assert seen.gradient == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-3)
    assert seen.per_thousandth == pytest.approx(seen.gradient * 0.001)


def test_clipping_is_seen(digits):
    config = tiny(training__gradient_clipping=0.01)
    frozen = open_fresh(config, digits).take_step()
    assert frozen.norm > 0.01 and frozen.clipped == pytest.approx(0.01 / frozen.norm, rel=1e-3)
    seen = trace(config, frozen, "fc2.bias", strongest(frozen, "fc2.bias"))
    plain = open_fresh(tiny(), digits).take_step().gradients["fc2.bias"]
    assert seen.gradient == pytest.approx(float(plain[seen.index]), rel=1e-4), "what backward left, before clipping"
    assert seen.agrees


def gradients_with_penalty(config, data, frozen):
    """Of loss + l1 · Σ|w|, by autograd, as one writes it in a loop of one's own."""
    model = build_for(config, data)
    loss = objective_of(config.training, data.target).loss(model(frozen.images.float() / 255), frozen.labels)
    (loss + config.training.l1 * sum(weight.abs().sum() for weight in model.parameters())).backward()
    return {name: weight.grad for name, weight in model.named_parameters()}, float(loss.detach())


@pytest.mark.parametrize("clipping", [0.0, 0.05])
def test_l1_is_part_of_the_gradient(digits, clipping):
    config = tiny(training__l1=0.01, training__gradient_clipping=clipping)
    frozen = open_fresh(config, digits).take_step()
    whole, loss = gradients_with_penalty(config, digits, frozen)
    assert frozen.loss == pytest.approx(loss, rel=1e-6), "the loss that is shown is without the penalty"
    length = float(torch.cat([gradient.flatten() for gradient in whole.values()]).norm())
    assert frozen.norm == pytest.approx(length, rel=1e-5)
    assert frozen.clipped == (pytest.approx(clipping / length, rel=1e-3) if clipping else 1.0) and length > 0.05
    for name, gradient in whole.items():
        assert torch.allclose(frozen.gradients[name], gradient * frozen.clipped, rtol=1e-4, atol=1e-7), name
        assert torch.allclose(frozen.of_loss[name], gradient - 0.01 * frozen.before[name].sign(), atol=1e-6), name
    seen = trace(config, frozen, "fc2.weight", (3, 2))
    assert seen.penalty == 0.01 * (1 if seen.before > 0 else -1) and seen.gradient == seen.of_loss + seen.penalty
    assert seen.gradient == pytest.approx(float(whole["fc2.weight"][3, 2]), rel=1e-4)
    assert seen.used == float(frozen.gradients["fc2.weight"][3, 2]) == pytest.approx(seen.gradient * seen.clipped, rel=1e-4)
    assert seen.agrees and seen.lines[1].uses["g"] == seen.used


def test_l1_does_not_pull_at_a_weight_that_is_zero_or_has_no_gradient(digits):
    config = tiny(training__l1=0.01, training__initialization="zeros")
    model = build_for(config, digits)
    model.fc1.bias.requires_grad_(False)
    frozen = Microscope(config, digits, model).take_step()
    seen = trace(config, frozen, "fc2.weight", (3, 2))
    assert (seen.before, seen.penalty, seen.gradient) == (0.0, 0.0, seen.of_loss)
    still = trace(config, frozen, "fc1.bias", (2,))
    assert (still.gradient, still.of_loss, still.penalty, still.used) == (None, None, 0.0, None)


def test_gradients_of_infinite_length_are_not_made_nan_by_looking(digits):
    """Their squares are too large for float32; fit() without clipping leaves them as they are."""
    config = tiny(training__optimizer__name="sgd")
    model = build_for(config, digits)
    with torch.no_grad():
        model.fc2.weight.mul_(1e30)
    frozen = Microscope(config, digits, model).take_step()
    assert math.isinf(frozen.norm) and frozen.clipped == 1
    assert all(bool(gradient.isfinite().all()) for gradient in frozen.gradients.values())


def test_a_number_is_predicted_with_its_own_loss():
    """Not by way of the sigmoid that a yes-no answer with the same loss has."""
    config = tiny(data__dataset="linear", data__validation=20, training__loss="mse", model__hidden=[])
    data = load(config.data, NOWHERE)
    frozen = open_fresh(config, data).take_step()
    differences = frozen.logits[:, 0] - frozen.labels
    assert frozen.losses.tolist() == pytest.approx((differences ** 2).tolist(), rel=1e-5)
    assert frozen.loss == pytest.approx(float((differences ** 2).mean()), rel=1e-5) and frozen.images.shape == (64, 2)
    assert frozen.gradients["fc1.bias"].tolist() == pytest.approx([float(2 * differences.mean())], rel=1e-5)


def test_nothing_outside_changes(digits):
    config = tiny(model__architecture="small_resnet", training__batch_size=16)
    model = build_for(config, digits).eval()
    weights, random = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    scope = Microscope(config, digits, model)
    frozen = scope.take_step()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in weights.items()) and not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(random, torch.get_rng_state())
    counts = [value for name, value in scope.model.named_buffers() if name.endswith("num_batches_tracked")]
    assert counts and all(int(value) == 1 for value in counts), "the look at the loss afterwards leaves batch norm alone"
    assert {pull.name for pull in pulls(frozen)} == set(dict(model.named_parameters()))
    assert all(pull.gradient > 0 and (pull.change > 0) == (pull.weight > 0) for pull in pulls(frozen))


# --- what can't be looked at


def test_a_place_that_is_not_there(digits):
    config = tiny()
    frozen = open_fresh(config, digits).take_step()
    for index in ((10, 0), (0, 8), (-1, 0), (0,), (0, 0, 0), ()):
        with pytest.raises(MicroscopeError, match=r"fc2\.weight has shape 10×8; .* Places go from 0 to 9, 7\."):
            trace(config, frozen, "fc2.weight", index)
    with pytest.raises(MicroscopeError, match="no parameter 'fc9.weight'"):
        trace(config, frozen, "fc9.weight", (0, 0))
    with pytest.raises(MicroscopeError, match="no parameter"):
        strongest(frozen, "nonsense")


def test_frozen_weights_stay(digits):
    config = tiny()
    model = build_for(config, digits)
    model.fc1.weight.requires_grad_(False)
    frozen = Microscope(config, digits, model).take_step()
    seen = trace(config, frozen, "fc1.weight", (0, 300))
    assert seen.gradient is None and seen.lines == () and seen.agrees and seen.before == seen.after
    assert strongest(frozen, "fc1.weight") == (0, 0)
    assert next(pull for pull in pulls(frozen) if pull.name == "fc1.weight").gradient is None


def test_networks_that_are_too_large_or_have_nothing_to_train(digits):
    with pytest.raises(MicroscopeError, match=rf"13\d,\d+,\d+ parameters.*up to {MOST_PARAMETERS:,}"):
        check_config(tiny(model__architecture="vgg16"), digits)
    with pytest.raises(MicroscopeError, match="parameters"):
        open_fresh(tiny(model__architecture="resnet18"), digits)
    for model in (nn.Flatten(), nn.Linear(784, 10).requires_grad_(False)):
        with pytest.raises(MicroscopeError, match="no weights to train"):
            Microscope(tiny(), digits, model)
    empty = replace(digits, train=Split(digits.train.images, digits.train.labels, digits.train.rows[:0]))
    with pytest.raises(MicroscopeError, match="no training images"):
        open_fresh(tiny(), empty)


def test_a_batch_that_does_not_fit_is_cut(digits):
    """64 channels on 28×28 pixels take 0.6 MB an image with the layers after; 4,096 of them would take gigabytes."""
    config = tiny(model__architecture="cnn", model__channels=[64], model__fc_width=0, training__batch_size=1000)
    frozen = open_fresh(config, digits).take_step()
    assert frozen.of == 1000 and 2 <= len(frozen.labels) < 500 and len(frozen.images) == len(frozen.labels) == len(frozen.losses)


def test_a_state_of_another_network_is_refused(digits):
    config = tiny()
    kept = next(event for event in fit(config, digits, build_for(config, digits), CPU) if isinstance(event, Checkpoint))
    for wrong in ({"optimizer.99.exp_avg": torch.zeros(1)}, {"optimizer.0.exp_avg": torch.zeros(3, 3)},
                  {"optimizer.x.exp_avg": torch.zeros(1)}):
        with pytest.raises(MicroscopeError, match="does not fit this network"):
            Microscope(config, digits, build_for(config, digits), replace(kept.state, tensors=kept.state.tensors | wrong))


def test_not_a_number_is_shown_and_not_hidden(digits):
    config = tiny(training__optimizer__name="sgd")
    model = build_for(config, digits)
    with torch.no_grad():
        model.fc1.weight[0, 0] = float("inf")
        model.fc2.bias[1] = float("nan")
    frozen = Microscope(config, digits, model).take_step()
    assert math.isnan(frozen.loss) and math.isnan(frozen.loss_after)
    assert not trace(config, frozen, "fc2.bias", (1,)).agrees


# --- the code


CASES = {**{name: AS_CONFIG[name] for name in RULES}, "clipping": {"training__gradient_clipping": 0.05},
         "smoothing": {"training__label_smoothing": 0.1}, "l1": {"training__l1": 0.01},
         "l1 and clipping": {"training__l1": 0.01, "training__gradient_clipping": 0.05}}


@pytest.mark.parametrize("name", CASES)
def test_the_code_does_the_same(digits, name, capsys):
    config = tiny(**CASES[name])
    model = build_for(config, digits)
    frozen = Microscope(config, digits, model).take_step()
    index = strongest(frozen, "fc2.weight")
    text = step_code(config, "fc2.weight", index, frozen.learning_rate, 10)
    exec(text, {"model": model, "images": frozen.images / 255, "labels": frozen.labels})  # a text that we wrote ourselves
    seen, printed = trace(config, frozen, "fc2.weight", index), [line.split(": ")[1] for line in
                                                                 capsys.readouterr().out.splitlines()]
    assert printed[0].split() == [str(seen.before), "None"]
    assert [float(part) for part in printed[1].split()] == [seen.before, pytest.approx(seen.gradient, rel=1e-4)]
    assert float(printed[2]) == pytest.approx(seen.after, abs=1e-7)


@pytest.mark.parametrize("loss", ["cross_entropy", "nll", "bce_with_logits", "bce", "mse"])
@pytest.mark.parametrize("outputs", [1, 4])
def test_the_loss_in_code_is_ours(loss, outputs):
    if outputs == 1 and loss in {"cross_entropy", "nll"}:
        return  # these have an output for each class
    config = tiny(training__loss=loss)
    logits, labels = torch.randn(6, outputs, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0, 1, 0])
    value = eval(loss_code(config, outputs), {"F": nn.functional, "torch": torch, "logits": logits, "labels": labels})
    assert float(value) == pytest.approx(float(objective_of(config.training).loss(logits, labels)), rel=1e-6)


def test_the_code_of_a_number_to_predict_does_the_same(capsys):
    config = tiny(data__dataset="linear", data__validation=20, training__loss="mse")
    data = load(config.data, NOWHERE)
    model = build_for(config, data)
    frozen = Microscope(config, data, model).take_step()
    text = step_code(config, "fc2.bias", (0,), frozen.learning_rate, 1, data.target)
    exec(text, {"model": model, "images": frozen.images, "labels": frozen.labels})  # a text that we wrote ourselves
    printed = capsys.readouterr().out.splitlines()
    assert float(printed[1].split()[-1]) == pytest.approx(float(frozen.gradients["fc2.bias"]), rel=1e-4)
    assert float(printed[2].split()[-1]) == pytest.approx(float(frozen.after["fc2.bias"]), abs=1e-7)


def test_the_code_needs_nothing_of_ours():
    tree = ast.parse(step_code(tiny(training__gradient_clipping=1.0), "1.weight", (0, 5), 0.01, 10))
    imported = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imported == ["import torch", "from torch import nn", "from torch.nn import functional as F"]
