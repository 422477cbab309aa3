"""Time and memory of a network: measured by the real loop, and worked out by hand."""

import pytest
import torch
from torch import nn

from core.config import AdagradConfig, AdamConfig, AdamWConfig, RMSpropConfig, RunConfig, SGDConfig
from core.inspection import describe_layers
from core.layers.memory import forward_bytes, training_bytes, values_kept
from core.models import ModelError
from core.training import fresh_model
from core.training import measured as module
from core.training.measured import LayerTime, MeasureError, measure
from core.training.optimizers import build_optimizer


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(module, "MOST_STEPS", 4)
    monkeypatch.setattr(module, "MOST_SECONDS", 1e9)


class Clock:
    """Time that passes only where a layer says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


clock = Clock()


class Sleepy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, forward, backward):
        clock.sleep(forward)
        ctx.seconds = backward
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        clock.sleep(ctx.seconds)
        return gradient, None, None


class Sleeper(nn.Module):
    def __init__(self, forward: float, backward: float) -> None:
        super().__init__()
        self.seconds = forward, backward

    def forward(self, x):
        return x.clone() if x.is_meta else Sleepy.apply(x, *self.seconds)


@pytest.mark.parametrize(("forward", "backward"), [(0.5, 0.0), (0.0, 0.5), (0.5, 1.0)])
def test_the_time_is_found_where_it_is_spent(monkeypatch, forward, backward):
    def build(config, shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 20), Sleeper(forward, backward), nn.Linear(20, 10),
                             Sleeper(0.25, 0.125))

    monkeypatch.setattr(module, "fresh_model", build)
    monkeypatch.setattr(module, "time", clock)
    found = measure(RunConfig(), (1, 28, 28), 10, 1000)
    whole = forward + backward + 0.375
    assert found.step == pytest.approx(whole) and found.per_epoch == pytest.approx(16 * whole)
    assert found.layers["2"] == LayerTime(forward, backward, pytest.approx((forward + backward) / whole))
    assert found.layers["4"] == LayerTime(0.25, 0.125, pytest.approx(0.375 / whole))
    assert all(found.layers[name].share == 0 for name in "013")


@pytest.mark.parametrize("changes", [
    {}, {"model.architecture": "cnn", "model.channels": [4], "model.batch_norm": True}, {"model.architecture": "small_resnet"},
    {"data.task": "is_target", "training.loss": "bce_with_logits"}, {"training.batch_size": 1}], ids=str)
def test_every_layer_has_its_time(changes):
    config = RunConfig().with_values(changes)
    found = measure(config, (1, 28, 28), 10, 1000)
    rows = describe_layers(fresh_model(config, (1, 28, 28), 10), (1, 28, 28))
    assert set(found.layers) == {row.name for row in rows}
    assert all(layer.forward >= 0 and layer.backward >= 0 and 0 <= layer.share <= 1 for layer in found.layers.values())
    assert sum(layer.share for layer in found.layers.values()) <= 1
    assert found.steps == 3 and found.batch_size == config.training.batch_size
    assert found.steps_per_epoch == -(-1000 // config.training.batch_size)
    assert found.per_epoch == pytest.approx(found.step * found.steps_per_epoch)
    assert found.images_per_second == pytest.approx(found.batch_size / found.step)


def test_a_shared_layers_time_is_told_apart_by_caller(monkeypatch):
    def build(config, shape, classes):
        shared = Sleeper(0.5, 0.25)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Sequential(shared), nn.Sequential(shared, nn.ReLU()))

    monkeypatch.setattr(module, "fresh_model", build)
    monkeypatch.setattr(module, "time", clock)
    found = measure(RunConfig(), (1, 28, 28), 10, 1000)
    assert list(found.layers) == ["0", "1", "2.0", "3.0", "3.1"]
    assert found.layers["2.0"] == found.layers["3.0"] == LayerTime(0.5, 0.25, pytest.approx(0.5))


def test_points_and_numbers_are_measured_too():
    config = RunConfig().with_values({"data.dataset": "linear", "training.loss": "mse", "model.hidden": []})
    assert set(measure(config, (2,), 0, 100).layers) == {"flatten", "fc1"}


def test_nothing_is_left_changed():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    measure(RunConfig(), (1, 28, 28), 10, 100)
    assert torch.equal(torch.rand(1), expected) and torch.get_num_threads() == threads


def test_what_is_too_large_is_refused_before_it_takes_memory():
    config = RunConfig().with_values({"model.hidden": [16384] * 8})
    with pytest.raises(MeasureError, match="GB") as caught:
        measure(config, (1, 28, 28), 10, 100)
    assert "\n" not in str(caught.value)


def test_a_network_that_cannot_be_says_so():
    with pytest.raises(ModelError):
        measure(RunConfig().with_values({"model.architecture": "cnn", "model.channels": [8] * 5}), (1, 28, 28), 10, 100)


def test_memory_by_hand():
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, 10))
    rows = describe_layers(model, (1, 8, 8))
    weights = 4 * ((9 * 4 + 4) + (256 * 10 + 10))
    activations = 4 * (256 + 256 + 256 + 10)
    assert training_bytes(rows, SGDConfig(), 16) == 2 * weights + 16 * activations
    assert training_bytes(rows, AdamConfig(), 16) == 4 * weights + 16 * activations
    assert forward_bytes(rows, 16) == weights + 16 * 4 * (256 + 256)


@pytest.mark.parametrize("config", [SGDConfig(), SGDConfig(momentum=0.9), AdamConfig(), AdamWConfig(), AdagradConfig(),
                                    RMSpropConfig(), RMSpropConfig(momentum=0.5)], ids=str)
def test_values_kept_are_pytorchs(config):
    weight = nn.Parameter(torch.ones(1000))
    optimizer = build_optimizer(config, [weight])
    weight.grad = torch.ones(1000)
    optimizer.step()
    values = [value for value in optimizer.state[weight].values() if isinstance(value, torch.Tensor)]
    kept = sum(value.numel() for value in values if value.numel() > 1)
    assert kept == 1000 * values_kept(config)
