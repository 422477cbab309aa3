"""Steps of convolutional networks in oneDNN's layout: gradients and whole runs equal autograd's.

Weights and pixels are small whole numbers, or eighths, so that convolutions are exact whatever the order of their sums, and the
largest of four numbers is the same one: by rounding alone another could be.
"""

import copy

import pytest
import torch
from torch import nn

from core.config import TrainingConfig
from core.data.batches import Batch
from core.models import CNNConfig
from core.training import Checkpoint, Finished, Shortcuts, Step, convolutional, fit, prepare
from core.training.convolutional import BLOCK, chain_of_convolutions, has_blocked_layout
from core.training.step import TrainingStep
from tests.helpers import StopAfter, tiny

CPU = torch.device("cpu")
NETWORK = CNNConfig(channels=(BLOCK, BLOCK), fc_width=8)
FORMATS = ["float32", "bfloat16"]
SGD = {"name": "sgd", "learning_rate": 0.01}  # Adam's first step is as long for a gradient of rounding's size as for any other


@pytest.fixture(autouse=True)
def taken_here(monkeypatch, request):
    """As on a processor where it pays."""
    monkeypatch.setattr(convolutional, "pays", lambda: True)
    dtype = torch.bfloat16 if "bfloat16" in request.node.name else torch.float32
    if not has_blocked_layout(dtype):
        pytest.skip("PyTorch has no such layout for this processor")


def exact(model: nn.Module) -> nn.Module:
    """With weights of −1, 0 and 1 in convolutions, and eighths in linear layers."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            unit = 0.125 if isinstance(module, nn.Linear) else 1.0
            for weight in module.parameters(recurse=False):
                weight.copy_(torch.randint(-1, 2, weight.shape, generator=generator) * unit)
    return model


def network(*blocks: nn.Module, width: int, hidden: tuple[nn.Module, ...] = (nn.ReLU(),)) -> nn.Sequential:
    """Convolutional blocks, then two linear layers with `hidden` between; width: of what comes out of the blocks."""
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(width, 6), *hidden, nn.Linear(6, 3))


def both(model: nn.Module, training: TrainingConfig):
    """What a step leaves behind with the chain and with autograd: loss, logits, gradients, weights."""
    found = []
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(-1, 2, (9, 1, 8, 8), generator=generator).float()
    labels = torch.randint(0, 3, (9,), generator=generator)
    for uses_chain in (True, False):
        step = TrainingStep(training, "classes", copy.deepcopy(model).train(), CPU)
        assert step.chain is not None
        if not uses_chain:
            step.chain = None
        torch.manual_seed(1)
        loss, logits = step.take(Batch(images, labels), 0.01)
        assert not loss.requires_grad and not logits.requires_grad
        found.append([loss, logits, *(weight.grad for weight in step.model.parameters()),
                      *(weight.detach() for weight in step.model.parameters())])
        assert all(weight.grad.stride() == weight.stride() for weight in step.model.parameters()), "as Adam's kernel wants it"
    return zip(*found, strict=True)


def conv(channels: int, kernel: int = 3, **named) -> nn.Conv2d:
    return nn.Conv2d(channels, BLOCK, kernel, **named)


NETWORKS = {  # for images of 8×8
    "pooling before ReLU": lambda: network(conv(1, padding=1), nn.MaxPool2d(2), nn.ReLU(), conv(BLOCK, padding=1),
                                           nn.MaxPool2d(2), nn.ReLU(), width=4 * BLOCK),
    "ReLU before pooling": lambda: network(conv(1), nn.ReLU(), nn.MaxPool2d(2), width=9 * BLOCK),
    "no pooling": lambda: network(conv(1, 4, stride=2, padding=1), nn.ReLU(), conv(BLOCK), nn.ReLU(), width=4 * BLOCK),
    "no bias": lambda: network(conv(1, bias=False), nn.MaxPool2d(2), nn.ReLU(), conv(BLOCK, 1, bias=False), nn.ReLU(),
                               width=9 * BLOCK),
    "windows that overlap": lambda: network(conv(1), nn.MaxPool2d(3, 2, 1), nn.ReLU(), width=9 * BLOCK),
    "half windows at the edge": lambda: network(conv(1, 4), nn.MaxPool2d(2, ceil_mode=True), nn.ReLU(), width=9 * BLOCK),
    "windows with gaps": lambda: network(conv(1, dilation=2), nn.MaxPool2d((2, 1)), width=8 * BLOCK),
    "dropout": lambda: network(conv(1), nn.MaxPool2d(2), width=9 * BLOCK, hidden=(nn.LeakyReLU(0.25), nn.Dropout(0.5))),
}


@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_autograds(name, precision):
    rel = 1e-6 if precision == "float32" else 2 ** -6  # bfloat16 has eight bits, and the linear layers' sums are rounded to it
    training = TrainingConfig.model_validate({"precision": precision, "optimizer": SGD})
    for ours, theirs in both(exact(NETWORKS[name]()), training):
        torch.testing.assert_close(ours, theirs, rtol=rel, atol=rel * float(theirs.abs().max()))


@pytest.mark.parametrize("changes", [
    *({"loss": loss} for loss in ("nll", "bce_with_logits", "bce", "mse")), {"label_smoothing": 0.1},
    {"l1": 0.01}, {"gradient_clipping": 0.05}], ids=str)
def test_other_losses_and_penalties(changes):
    training = TrainingConfig.model_validate({"precision": "float32", "optimizer": SGD} | changes)
    for ours, theirs in both(exact(NETWORKS["pooling before ReLU"]()), training):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", [
    nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Linear(4, 2)), nn.Sequential(conv(1), nn.Flatten(2), nn.Linear(4, 2)),
    nn.Sequential(conv(1, padding="same"), nn.Flatten()), nn.Sequential(conv(1, padding=1, padding_mode="reflect"), nn.Flatten()),
    nn.Sequential(conv(BLOCK, groups=2), nn.Flatten()), nn.Sequential(conv(1), nn.BatchNorm2d(BLOCK), nn.Flatten()),
    nn.Sequential(conv(1), nn.AvgPool2d(2), nn.Flatten()), nn.Sequential(conv(1), nn.MaxPool2d(2, dilation=2), nn.Flatten()),
    nn.Sequential(conv(1), nn.ReLU(inplace=True), nn.Flatten()), nn.Sequential(conv(1), nn.Tanh(), nn.Flatten()),
    nn.Sequential(nn.MaxPool2d(2), conv(1), nn.Flatten()), nn.Sequential(conv(1), nn.ReLU()), nn.Sequential(nn.Flatten())],
    ids=str)
def test_other_networks_are_left_to_autograd(model):
    assert chain_of_convolutions(model, Shortcuts(CPU), None) is None


def test_what_autocast_would_bring_back_to_float32_is_left_to_it():
    model = network(conv(1), nn.MaxPool2d(2), width=9 * BLOCK, hidden=(nn.Softmax(dim=1),))
    assert chain_of_convolutions(model, Shortcuts(CPU), None) is not None
    assert chain_of_convolutions(model, Shortcuts(CPU), torch.bfloat16) is None


def test_not_where_it_does_not_pay(monkeypatch):
    monkeypatch.setattr(convolutional, "pays", lambda: False)
    assert chain_of_convolutions(NETWORKS["no bias"](), Shortcuts(CPU), None) is None


@pytest.mark.parametrize("broken", ["mkldnn_convolution", "mkldnn_max_pool2d", "mkldnn_max_pool2d_backward"])
@pytest.mark.parametrize("how", ["gone", "other numbers"])
def test_where_pytorch_has_it_no_more(broken, how, monkeypatch):
    """The operation is gone, or does something else."""
    class Other:
        def __getattr__(self, name):
            if name != broken:
                return getattr(torch.ops.aten, name)
            if how == "gone":
                raise AttributeError(name)
            real = getattr(torch.ops.aten, name)
            return lambda *given: (real(*given).to_dense() * 2).to_mkldnn()

    monkeypatch.setattr(convolutional, "aten", Other())
    assert not has_blocked_layout.__wrapped__(torch.float32)


def test_looking_for_it_draws_no_random_number():
    before = torch.get_rng_state()
    assert has_blocked_layout.__wrapped__(torch.float32)
    assert torch.equal(torch.get_rng_state(), before)


def test_somebodys_hooks_are_called():
    model, seen = NETWORKS["no pooling"](), []
    handle = model[1].register_forward_hook(lambda module, given, made: seen.append(made.shape))
    step = TrainingStep(TrainingConfig(precision="float32"), "classes", model.train(), CPU)
    batch = Batch(torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0]))
    step.take(batch, 0.01)
    assert seen == [(4, BLOCK, 4, 4)]
    handle.remove()
    step.take(batch, 0.01)
    assert len(seen) == 1


# --- whole runs

def config_of(**changes):
    return tiny(training__epochs=2, training__threads=1, data__validation=300, **changes).model_copy(update={"model": NETWORK})


def losses_of(settings, config, **named):
    data, model = prepare(config, settings.data_dir, settings.cache_dir)
    return [event.loss for event in fit(config, data, model, CPU, **named) if isinstance(event, Step)]


@pytest.mark.parametrize("precision", FORMATS)
def test_a_run_is_the_same_to_rounding(settings, monkeypatch, precision):
    """In float32 the first steps are alike to the fifth digit; later ones see what rounding has made of the weights before."""
    config = config_of(training__precision=precision)
    _, model = prepare(config, settings.data_dir, settings.cache_dir)
    assert TrainingStep(config.training, "classes", model, CPU).chain is not None
    ours = losses_of(settings, config)
    monkeypatch.setattr("core.training.step.chain_of_convolutions", lambda *given: None)
    theirs = losses_of(settings, config)
    few, alike, later = (5, 1e-5, 0.02) if precision == "float32" else (5, 0.01, 0.1)
    assert ours[:few] == pytest.approx(theirs[:few], rel=alike)
    assert ours == pytest.approx(theirs, rel=later, abs=later / 2)


@pytest.mark.parametrize("precision", FORMATS)
def test_a_run_that_goes_on_from_a_checkpoint_is_the_same_to_the_bit(settings, precision):
    config = config_of(training__precision=precision)
    whole = losses_of(settings, config)
    data, model = prepare(config, settings.data_dir, settings.cache_dir)
    events = list(fit(config, data, model, CPU, StopAfter(17)))
    checkpoint = [event for event in events if isinstance(event, Checkpoint)][-1]
    assert checkpoint.step == 17
    rest = [event.loss for event in fit(config, data, model, CPU, resume=checkpoint.state) if isinstance(event, Step)]
    assert [event.loss for event in events if isinstance(event, Step)] + rest == whole


@pytest.mark.parametrize("precision", FORMATS)
def test_what_is_not_finite_ends_the_run(settings, precision):
    """Though oneDNN's pooling may lose a NaN among numbers."""
    config = config_of(training__precision=precision)
    data, model = prepare(config, settings.data_dir, settings.cache_dir)
    with torch.no_grad():
        model[0].weight.mul_(1e38).mul_(1e3)
    done = list(fit(config, data, model, CPU))[-1]
    assert isinstance(done, Finished) and done.reason == "diverged"
