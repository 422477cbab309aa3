"""Steps of plain chains without autograd: gradients and whole runs equal autograd's."""

import copy
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.config import OPTIMIZERS, TrainingConfig
from core.data.batches import Batch
from core.devices import processor_clock
from core.models.base import ACTIVATIONS, activation
from core.torch_private import has_onednn_linear
from core.training import Step, fit, prepare, products
from core.training.dense import LAYERS, chain_of, loss_and_gradient
from core.training.objectives import OBJECTIVES, cross_entropy, log_probabilities
from core.training.step import TrainingStep
from tests.helpers import tiny

CPU = torch.device("cpu")
LOSSES = get_args(TrainingConfig.model_fields["loss"].annotation)
SMOOTHED, L1, CLIPPED = {"label_smoothing": 0.1}, {"l1": 0.01}, {"gradient_clipping": 0.05}
NESTEROV = {"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}


def network(kind: str = "relu", outputs: int = 3, dropout: float = 0.0, bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(12, 7, bias), activation(kind), *([nn.Dropout(dropout)] if dropout else []),
              nn.Linear(7, 5), activation(kind), nn.Linear(5, outputs, bias)]
    return nn.Sequential(*layers)


def both(model: nn.Module, training: TrainingConfig, target: str = "classes", steps: int = 1):
    """What some steps leave behind with the chain and with autograd: losses, logits, gradients, weights."""
    found = []
    for uses_chain in (True, False):
        step = TrainingStep(training, target, copy.deepcopy(model).train(), CPU)
        assert step.chain is not None
        if not uses_chain:
            step.chain = None
        torch.manual_seed(1)
        values = []
        for _ in range(steps):
            images = torch.randn(9, 3, 2, 2)
            outputs = model[-1].out_features
            labels = torch.randn(9) if target == "number" else torch.randint(0, max(2, outputs), (9,))
            loss, logits = step.take(Batch(images, labels), 0.01)
            assert not loss.requires_grad and not logits.requires_grad
            values += [loss, logits, *(weight.grad.clone() for weight in step.model.parameters())]
        found.append([*values, *(weight.detach() for weight in step.model.parameters())])
    return zip(*found, strict=True)


@pytest.fixture(params=["PyTorch's own", "oneDNN's"])
def product(request, monkeypatch):
    """Which product of matrices is taken, however small they are."""
    if request.param == "oneDNN's":
        if not has_onednn_linear():
            pytest.skip("PyTorch is built without oneDNN")
        monkeypatch.setattr(products, "LEAST", 0)
        monkeypatch.setattr(products, "onednn_is_faster", lambda: True)
    else:
        monkeypatch.setattr(products, "onednn_is_faster", lambda: False)
    return request.param


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("outputs", [1, 3])
def test_gradients_are_autograds(loss, kind, outputs):
    if outputs == 1 and loss in ("cross_entropy", "nll"):
        outputs = 2
    for ours, theirs in both(network(kind, outputs), TrainingConfig(loss=loss)):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("changes", [{}, L1, CLIPPED, L1 | CLIPPED, SMOOTHED], ids=str)
@pytest.mark.parametrize("optimizer", [*({"name": name} for name in OPTIMIZERS), NESTEROV], ids=str)
def test_one_step_is_autograds_to_a_millionth(optimizer, changes):
    """Of the largest gradient, and of the largest weight: steps are float32, where a number near 0 is what is left of larger
    ones, and has fewer digits that are right."""
    model = network()
    found = list(both(model, TrainingConfig.model_validate({"optimizer": optimizer} | changes)))
    count = len(list(model.parameters()))
    for part in (found[:1], found[1:2], found[2:-count], found[-count:]):  # loss, logits, gradients, weights
        ours, theirs = (torch.cat([tensor.flatten() for tensor in tensors]) for tensors in zip(*part, strict=True))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 * float(theirs.abs().max()))


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("changes", [
    SMOOTHED, L1, CLIPPED, L1 | CLIPPED, *({"optimizer": {"name": name}} for name in OPTIMIZERS), {"optimizer": NESTEROV}])
def test_steps_are_autograds(changes):
    for ours, theirs in both(network(), TrainingConfig.model_validate({"loss": "cross_entropy"} | changes), steps=20):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("product")
def test_a_number_and_layers_without_bias():
    for ours, theirs in both(network(outputs=1, bias=False), TrainingConfig(loss="mse"), "number"):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_dropout_draws_what_autograd_draws():
    for ours, theirs in both(network(dropout=0.4), TrainingConfig(), steps=5):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_dropout_in_evaluation_lets_all_through():
    model = network(dropout=0.5).eval()
    chain = chain_of(model)
    x = torch.randn(4, 3, 2, 2)
    assert torch.equal(chain.forward(x), model(x))


def test_a_large_logit_overflows_nothing():
    model = nn.Sequential(nn.Linear(12, 1))
    nn.init.constant_(model[0].weight, 500.0)
    for training in (TrainingConfig(loss="bce_with_logits"), TrainingConfig(loss="cross_entropy")):
        wide = model if training.loss == "bce_with_logits" else nn.Sequential(nn.Linear(12, 3))
        nn.init.constant_(wide[0].weight[:1].detach(), 500.0)
        flat = nn.Sequential(nn.Flatten(), *wide)
        for ours, theirs in both(flat, training):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def frozen() -> nn.Sequential:
    model = network()
    model[1].weight.requires_grad_(False)
    return model


def shared() -> nn.Sequential:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.ReLU(), layer)


class Own(nn.Sequential):
    """A subclass may have a forward() of its own."""


@pytest.mark.parametrize("model", [
    nn.Linear(2, 2), nn.Sequential(), nn.Sequential(nn.ReLU()), Own(nn.Linear(2, 2)), frozen(), shared(),
    nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True)), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)),
    nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(4, 2)), nn.Sequential(nn.Sequential(nn.Linear(2, 2)))],
    ids=lambda model: type(model).__name__)
def test_other_networks_are_left_to_autograd(model):
    assert chain_of(model) is None


def test_somebodys_hooks_are_called():
    model, seen = network(), []
    handle = model[2].register_forward_hook(lambda module, given, made: seen.append(made.shape))
    step = TrainingStep(TrainingConfig(), "classes", model.train(), CPU)
    batch = Batch(torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 2, 0]))
    step.take(batch, 0.01)
    assert seen == [(4, 7)]
    handle.remove()
    step.take(batch, 0.01)
    assert seen == [(4, 7)]


@pytest.mark.parametrize(("usual", "other", "ratio"), [(0.5, 0.25, 2.0), (0.25, 0.5, 0.5), (0.25, 0.25, 1.0)])
def test_two_products_are_timed_by_their_fastest_calls(usual, other, ratio):
    """Seconds of each call by a clock that nothing but they move; calls that something else disturbs don't count."""
    now, calls = [0.0], [0]

    def taking(seconds):
        def call():
            calls[0] += 1
            now[0] += seconds * (50 if calls[0] <= 2 or calls[0] % 3 == 0 else 1)
        return call

    assert products.times_as_fast(taking(usual), taking(other), lambda: now[0]) == ratio
    assert calls[0] == 2 * (products.TRIALS + 1)


def test_the_library_is_chosen_on_one_thread_by_the_processors_time(monkeypatch):
    """So that it is the same one in each process of a machine, whatever else is busy there."""
    seen = []

    def timed(usual, other, clock):
        usual(), other()
        seen.append((torch.get_num_threads(), clock))
        return 2.0

    monkeypatch.setattr(products, "times_as_fast", timed)
    monkeypatch.setattr(products, "has_onednn_linear", lambda: True)
    monkeypatch.setattr(products, "onednn_linear", nn.functional.linear)
    torch.set_num_threads(2)
    assert products.onednn_is_faster.__wrapped__() and torch.get_num_threads() == 2
    assert seen == [(1, processor_clock("thread"))]


@pytest.mark.parametrize(("rows", "taken"), [(4, False), (5, True)])
def test_onednn_is_asked_for_large_products_alone(rows, taken, monkeypatch):
    asked = []
    monkeypatch.setattr(products, "LEAST", 5 * 12 * 7)
    monkeypatch.setattr(products, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(products, "onednn_linear", lambda *given: asked.append(given) or nn.functional.linear(*given))
    step = TrainingStep(TrainingConfig(), "classes", network().train(), CPU)
    step.take(Batch(torch.randn(rows, 3, 2, 2), torch.zeros(rows, dtype=torch.int64)), 0.01)
    assert len(asked) == 2 * taken, "forward and for the weight's gradient, of the first layer alone"


def test_every_activation_of_the_models_is_in_the_table():
    assert {type(activation(kind)) for kind in ACTIVATIONS} <= set(LAYERS)


@pytest.mark.parametrize("changes", [
    {}, {"model__dropout": 0.3}, {"model__activation": "tanh", "training__loss": "bce_with_logits"}])
def test_a_run_is_the_same_to_rounding(settings, monkeypatch, changes):
    config = tiny(training__epochs=2, **changes)
    losses = []
    for uses_chain in (True, False):
        if not uses_chain:
            monkeypatch.setattr("core.training.step.chain_of", lambda *given: None)
        data, model = prepare(config, settings.data_dir, settings.cache_dir)
        losses.append([event.loss for event in fit(config, data, model, CPU) if isinstance(event, Step)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("examples", [1, 63, 64, 1000])
def test_cross_entropy_beside_pytorchs(examples):
    """Rows one after the other and beside each other; with sure answers, right and wrong, among them."""
    logits = torch.randn(examples, 10, generator=torch.Generator().manual_seed(1)) * 3
    logits[0, 2] = 200.0
    labels = torch.arange(examples) % 10
    assert log_probabilities(logits).sub(logits.double().log_softmax(1)).abs().max() < 1e-4
    assert float(cross_entropy(logits, labels)) == pytest.approx(float(F.cross_entropy(logits.double(), labels)), rel=1e-6)
    leaf = logits.clone().requires_grad_()
    cross_entropy(leaf, labels).backward()
    _, gradient = loss_and_gradient(OBJECTIVES["cross_entropy"], logits, labels)
    assert torch.allclose(gradient, leaf.grad, atol=1e-7)
