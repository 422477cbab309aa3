"""Every architecture builds and runs; counts by hand; names as in the notes; errors that say what to change."""

import itertools

import pytest
import torch
from torch import nn

from core.config import RunConfig
from core.fields import ConfigError
from core.models import ACTIVATIONS, ARCHITECTURES, CNNConfig, MLPConfig, ModelError, SoftmaxRegressionConfig, build

SHAPES = [(1, 28, 28), (3, 32, 32)]


def parameters(layer: nn.Module) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


@pytest.mark.parametrize(("key", "shape", "outputs"), list(itertools.product(ARCHITECTURES, SHAPES, (1, 10))))
def test_every_architecture_answers_with_finite_logits(key, shape, outputs):
    spec = ARCHITECTURES[key]
    model = build(spec.config(), shape, outputs, seed=0)
    logits = model(torch.rand(3, *shape))
    assert logits.shape == (3, outputs)
    assert logits.isfinite().all()
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("key", ARCHITECTURES)
def test_every_architecture_is_fully_described(key):
    spec = ARCHITECTURES[key]
    assert spec.title and spec.summary.endswith(".")
    assert spec.config().architecture == key
    assert RunConfig().with_values({"model.architecture": key}).model == spec.config()


def test_softmax_regression_by_hand():
    assert parameters(build(SoftmaxRegressionConfig(), (1, 28, 28), 10)) == 7_850


def test_mlp_by_hand():
    model = build(MLPConfig(hidden=(50,)), (1, 28, 28), 10)
    assert (parameters(model.fc1), parameters(model.fc2), parameters(model)) == (39_250, 510, 39_760)
    wide = build(MLPConfig(hidden=(512, 512)), (1, 28, 28), 10)
    assert parameters(wide) == 784 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10


def test_cnn_by_hand():
    grey = build(CNNConfig(), (1, 28, 28), 10)
    assert [parameters(layer) for layer in (grey.conv1, grey.conv2, grey.fc1, grey.fc2)] == [320, 18_496, 401_536, 1_290]
    colour = build(CNNConfig(), (3, 32, 32), 10)
    assert parameters(colour.conv1) == 896
    assert parameters(colour.fc1) == 64 * 8 * 8 * 128 + 128


def test_names_are_those_of_the_notes():
    keys = list(build(CNNConfig(), (1, 28, 28), 1).state_dict())
    assert keys == [f"{layer}.{kind}" for layer in ("conv1", "conv2", "fc1", "fc2") for kind in ("weight", "bias")]
    assert list(build(MLPConfig(), (1, 28, 28), 10).state_dict()) == ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]


def test_pooling_before_relu_changes_no_bit():
    model = build(CNNConfig(batch_norm=True), (1, 28, 28), 10, seed=0).eval()
    names = [name for name, _ in model.named_children()]
    for block in ("1", "2"):
        pool, relu = names.index(f"pool{block}"), names.index(f"relu{block}")
        assert relu == pool + 1
        names[pool], names[relu] = names[relu], names[pool]
    images = torch.randn(16, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    other = images
    for name in names:
        other = getattr(model, name)(other)
    assert torch.equal(model(images), other)


@pytest.mark.parametrize("key", ARCHITECTURES)
def test_a_seed_decides_the_weights_and_nothing_else(key):
    config = ARCHITECTURES[key].config()
    torch.manual_seed(123)
    state = torch.get_rng_state()
    one, two, other = (build(config, (1, 28, 28), 10, seed=seed).state_dict() for seed in (7, 7, 8))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    build(config, (1, 28, 28), 10)  # without a seed it does use PyTorch's own state
    assert not torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_offered_and_used(activation):
    model = build(MLPConfig(hidden=(5, 4), activation=activation), (1, 4, 4), 2)
    assert [type(layer) for layer in model if isinstance(layer, ACTIVATIONS[activation])] == [ACTIVATIONS[activation]] * 2


def test_options_of_the_cnn():
    model = build(CNNConfig(channels=(4, 8, 16), batch_norm=True, head="global_average", dropout=0.5), (1, 28, 28), 10)
    assert [name for name, _ in model.named_children()] == [
        "conv1", "bn1", "pool1", "relu1", "conv2", "bn2", "pool2", "relu2", "conv3", "bn3", "pool3", "relu3",
        "gap", "flatten", "fc1", "relu4", "dropout", "fc2"]
    assert model.fc1.in_features == 16
    small = build(CNNConfig(fc_width=0), (1, 28, 28), 10)
    assert (small.fc1.in_features, small.fc1.out_features) == (3136, 10)


@pytest.mark.parametrize("kernel", range(1, 12))
@pytest.mark.parametrize("shape", [(1, 28, 28), (2, 9, 13)])
def test_every_kernel_fits_the_linear_layer(kernel, shape):
    model = build(CNNConfig(channels=(2, 2), kernel=kernel), shape, 3)
    assert model(torch.rand(1, *shape)).shape == (1, 3)


def test_too_many_blocks():
    with pytest.raises(ModelError) as caught:
        build(CNNConfig(channels=(4,) * 5), (1, 28, 28), 10)
    assert str(caught.value) == "5 blocks halve a 28×28 picture to nothing; use at most 4 channels."
    assert build(CNNConfig(channels=(4,) * 4), (1, 28, 28), 10)(torch.rand(1, 1, 28, 28)).shape == (1, 10)


def test_a_cnn_needs_pictures():
    with pytest.raises(ModelError, match=r"needs pictures .*not shape \(784,\); choose an MLP"):
        build(CNNConfig(), (784,), 10)


@pytest.mark.parametrize(("changes", "line"), [
    ({"model.hidden": [0]}, "model.hidden.0 is 0; it must be from 1 to 16384 units"),
    ({"model.hidden": [50, 16385]}, "model.hidden.1 is 16385; it must be from 1 to 16384 units"),
    ({"model.dropout": 1}, "model.dropout is 1; it must be from 0 to 0.95"),
    ({"model.architecture": "cnn", "model.kernel": 12}, "model.kernel is 12; it must be from 1 to 11 pixels"),
    ({"model.architecture": "cnn", "model.dropout": 1.0}, "model.dropout is 1.0; it must be from 0 to 0.95"),
    ({"model.architecture": "cnn", "model.channels": [32, 0]}, "model.channels.1 is 0; it must be from 1 to 2048 filters"),
    ({"model.architecture": "cnn", "model.channels": []}, "model.channels"),
])
def test_values_out_of_bounds(changes, line):
    with pytest.raises(ConfigError) as caught:
        RunConfig().with_values(changes)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
