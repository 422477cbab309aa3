"""When a training step is recorded and replayed, and that it changes nothing else. The recording itself needs a CUDA device; here
a stand-in takes its place on the CPU, and does to the network what PyTorch's does: three passes to warm up, another forward().
"""

import pytest
import torch
from torch import nn

from core.models import CNNConfig
from core.training import Epoch, Fallback, Finished, Shortcuts, Step, build_for, fit, graphs
from core.training.graphs import Forward, recorded
from tests.helpers import tiny

CPU = torch.device("cpu")
# no number of training digits is a multiple of 48, and the layers are those that a recording could disturb
ODD = tiny(training__epochs=6, training__batch_size=48).model_copy(
    update={"model": CNNConfig(channels=(4,), fc_width=8, batch_norm=True, dropout=0.2)})


class StandIn:
    """Instead of torch.cuda.make_graphed_callables. change: what the replay makes of the logits."""

    def __init__(self, change=lambda logits: logits):
        self.change, self.shapes, self.times = change, [], 0

    def __call__(self, module, sample, allow_unused_input):
        self.times += 1
        original = module.forward
        for _ in range(3):
            logits = original(*sample)
            torch.autograd.grad(logits, list(module.parameters()), torch.empty_like(logits), allow_unused=allow_unused_input)

        def replay(images):
            self.shapes.append(tuple(images.shape))
            return self.change(original(images))

        module.forward = replay


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(graphs, "WHERE", ("cpu",))
    monkeypatch.setattr(graphs, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(graphs, "GAIN", 1e9)  # however slow it is here
    stand_in = StandIn()
    monkeypatch.setattr(graphs, "record", stand_in)
    return stand_in


def asked_for():
    return Shortcuts(CPU, graphs=True)


def losses(config, data, shortcuts=None):
    events = list(fit(config, data, build_for(config, data), CPU, shortcuts=shortcuts or asked_for()))
    assert next(e for e in events if isinstance(e, Finished)).reason == "completed"
    assert not [e for e in events if isinstance(e, Fallback)] or shortcuts is not None
    return [e.loss for e in events if isinstance(e, Step)], [e.validation_loss for e in events if isinstance(e, Epoch)]


def test_a_replayed_training_is_the_same(digits, stand_in, monkeypatch):
    replayed = losses(ODD, digits)
    assert stand_in.times == 1 and len(stand_in.shapes) > 40
    assert set(stand_in.shapes) == {(48, 1, 28, 28)}, "the smaller batch at an epoch's end is not replayed"
    monkeypatch.undo()
    assert replayed == losses(ODD, digits)


def test_what_cannot_be_recorded_trains_as_before(digits, stand_in, monkeypatch):
    def fails(module, sample, allow_unused_input):
        StandIn()(module, sample, allow_unused_input)
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(graphs, "record", fails)
    shortcuts = asked_for()
    tried = losses(ODD, digits, shortcuts)
    assert list(shortcuts.failed.values()) == ["operation not permitted when stream is capturing"]
    monkeypatch.undo()
    assert tried == losses(ODD, digits)


def test_nothing_is_recorded_unless_somebody_asks(digits, stand_in):
    losses(ODD, digits, Shortcuts(CPU))
    assert stand_in.times == 0


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


@pytest.mark.parametrize(("change", "used"), [(lambda logits: logits, True), (lambda logits: logits * 1.05, False),
                                              (lambda logits: logits + logits.detach(), True),  # other logits, same gradients
                                              (lambda logits: logits.detach().requires_grad_(), False)])
def test_a_replay_with_other_gradients_is_not_used(stand_in, change, used):
    stand_in.change = change
    assert (recorded(network(), torch.randn(12, 1, 4, 4), CPU, None) is not None) == used


def test_recording_leaves_the_network_alone(stand_in):
    model, images = network(), torch.randn(12, 1, 4, 4)
    model[2].eval()  # frozen statistics in a network that trains
    model(images).sum().backward()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    gradients, modes = [p.grad.clone() for p in model.parameters()], [m.training for m in model.modules()]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert recorded(model, images, CPU, None) is not None
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(p.grad, kept) for p, kept in zip(model.parameters(), gradients, strict=True))
    assert [m.training for m in model.modules()] == modes and "forward" not in vars(model)


def measured(forward, seconds, left=10_000):
    for value in seconds:
        forward.measured(32, 32 * value, left)
    return forward


def test_when_it_is_recorded_and_given_up(monkeypatch):
    monkeypatch.setattr(graphs, "WHERE", ("cpu",))
    monkeypatch.setattr(graphs, "record", stand_in := StandIn())
    images = torch.randn(12, 1, 4, 4)

    def begun():
        forward = Forward(network(), CPU, None, asked_for())
        forward(images)
        return forward

    assert measured(begun(), [9.0, 1e-3]).replay is None, "two windows: the first has warming up in it"
    short = measured(begun(), [9.0, 1e-3, 1e-3], left=1000)
    assert short.decided and short.replay is None and stand_in.times == 0, "one second is left: recording costs a part of it"
    faster = measured(begun(), [9.0, 1e-3, 1e-3])
    assert faster.replay is not None and not faster.decided
    assert measured(faster, [9.0, 5e-4, 5e-4]).decided and faster.replay is not None
    slower = measured(measured(begun(), [9.0, 1e-3, 1e-3]), [1e-3, 1e-3, 1e-3])
    assert slower.decided and slower.replay is None
    slower(images)
    assert stand_in.times == 2


def test_on_the_cpu_nothing_is_tried(digits, monkeypatch):
    monkeypatch.setattr(graphs, "record", None)
    forward = Forward(network(), CPU, None, asked_for())
    assert measured(forward, [1.0] * 10).replay is None and forward.sample is None


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_a_real_recording_agrees(autocast):
    device = torch.device("cuda")
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(8 * 4, 3))
    assert recorded(model.to(device), torch.randn(12, 1, 4, 4, device=device), device, autocast) is not None
