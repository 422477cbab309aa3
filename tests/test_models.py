"""Every architecture builds and runs; counts by hand; names as in the notes; errors that say what to change."""

import itertools
import subprocess
import sys

import pytest
import torch
from torch import nn

from core.config import RunConfig
from core.fields import ConfigError
from core.models import (
    ACTIVATIONS,
    ARCHITECTURES,
    CNNConfig,
    LeNet5Config,
    MLPConfig,
    MobileNetV3SmallConfig,
    ModelError,
    ResNet18Config,
    SmallResNetConfig,
    SoftmaxRegressionConfig,
    VGG16Config,
    build,
)

READING = [key for key, spec in ARCHITECTURES.items() if "images" in spec.takes]
SHAPES = [(1, 28, 28), (3, 32, 32)]
PICTURES = ("cnn", "lenet5", "small_resnet", "vgg16", "resnet18", "mobilenet_v3_small")  # architectures that need pictures
SMALL = {"vgg16": VGG16Config(fc_width=64)}  # its own linear layers have 120 million weights


def parameters(layer: nn.Module) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


@pytest.mark.parametrize(("key", "shape", "outputs"), list(itertools.product(READING, SHAPES, (1, 10))))
def test_every_architecture_answers_with_finite_logits(key, shape, outputs):
    model = build(SMALL.get(key, ARCHITECTURES[key].config()), shape, outputs, seed=0)
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


@pytest.mark.parametrize("key", READING)
def test_a_seed_decides_the_weights_and_nothing_else(key):
    config = SMALL.get(key, ARCHITECTURES[key].config())
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
    first = build(CNNConfig(batch_norm=True, norm_blocks=1, head="global_average", dropout=0.5), (1, 28, 28), 1)
    assert [name for name, _ in first.named_children()] == [
        "conv1", "bn1", "pool1", "relu1", "conv2", "pool2", "relu2", "gap", "flatten", "fc1", "relu3", "dropout", "fc2"]
    assert sum(map(parameters, first.children())) == 320 + 2 * 32 + 18_496 + (64 * 128 + 128) + (128 + 1)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in build(CNNConfig(norm_blocks=1), (1, 28, 28), 1).modules())
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


@pytest.mark.parametrize("key", PICTURES)
def test_rows_of_numbers_are_no_pictures(key):
    with pytest.raises(ModelError, match=r"needs pictures \(channels, height, width\), not shape \(784,\); choose an MLP\.$"):
        build(ARCHITECTURES[key].config(), (784,), 10)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["half", "none"])
@pytest.mark.parametrize("pooling", ["max", "average", "none"])
def test_every_option_of_the_cnn_fits_the_linear_layer(stride, padding, pooling):
    for kernel in (2, 5):
        config = CNNConfig(channels=(2, 3), kernel=kernel, stride=stride, padding=padding, pooling=pooling)
        model = build(config, (1, 50, 61), 3)
        assert model(torch.rand(1, 1, 50, 61)).shape == (1, 3)
        assert {type(layer) for name, layer in model.named_children() if name.startswith("pool")} == {
            "max": {nn.MaxPool2d}, "average": {nn.AvgPool2d}, "none": set()}[pooling]
        assert (model.conv2.stride, model.conv2.padding) == ((stride,) * 2, (kernel // 2 if padding == "half" else 0,) * 2)


@pytest.mark.parametrize(("config", "side", "line"), [
    (CNNConfig(padding="none", pooling="none", channels=(2,) * 8, kernel=5), 28,
     "8 blocks shrink a 28×28 picture to nothing; use at most 6 channels."),
    (CNNConfig(padding="none", kernel=11), 8,
     "8×8 pixels are too few for one block with these settings; choose a smaller kernel or stride, or padding."),
    (LeNet5Config(), 11, "LeNet-5 shrinks a 11×11 picture to nothing; it needs at least 12×12 pixels."),
])
def test_pictures_that_are_too_small(config, side, line):
    with pytest.raises(ModelError) as caught:
        build(config, (1, side, side), 10)
    assert str(caught.value) == line


def test_lenet_as_published():
    """61,706 parameters, the count usually given for ten classes; LeCun et al. (1998) have 120 and 84 units."""
    for shape in ((1, 28, 28), (1, 32, 32)):
        model = build(LeNet5Config(), shape, 10)
        assert [parameters(layer) for layer in (model.conv1, model.conv2, model.fc1, model.fc2, model.fc3)] == [
            156, 2_416, 48_120, 10_164, 850]
        assert parameters(model) == 61_706
    assert build(LeNet5Config(), (1, 12, 12), 10)(torch.rand(1, 1, 12, 12)).shape == (1, 10)


def test_small_resnet_by_hand():
    model = build(SmallResNetConfig(channels=(4, 8)), (1, 28, 28), 10)
    first, second = model.residual1, model.residual2
    assert isinstance(first.skip, nn.Identity) and (second.skip.kernel_size, second.skip.stride) == ((1, 1), (2, 2))
    assert parameters(first) == 2 * (4 * 4 * 9 + 2 * 4)
    assert parameters(second) == 4 * 8 * 9 + 8 * 8 * 9 + 2 * 2 * 8 + 4 * 8
    assert parameters(model) == 36 + 8 + parameters(first) + parameters(second) + 8 * 10 + 10
    deep = build(SmallResNetConfig(channels=(4, 8, 8), blocks=3), (3, 32, 32), 10)
    assert sum(name.startswith("residual") for name, _ in deep.named_children()) == 9
    assert build(SmallResNetConfig(), (1, 1, 1), 2).eval()(torch.rand(1, 1, 1, 1)).shape == (1, 2)


@pytest.mark.parametrize(("config", "name"), [
    (VGG16Config(), "vgg16"), (VGG16Config(batch_norm=True), "vgg16_bn"), (ResNet18Config(stem="imagenet"), "resnet18"),
    (MobileNetV3SmallConfig(stem="imagenet"), "mobilenet_v3_small")])
def test_torchvision_networks_are_torchvisions(config, name):
    """Without adaptation to small pictures they are torchvision's own: the same weights, the same outputs."""
    from core.torchvision_guard import torchvision

    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)(weights=None)
        ours = build(config, (3, 64, 64), 1000)
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: value.shape for key, value in theirs.state_dict().items()}
    if name.startswith("vgg"):  # without their linear layers, which take half a gigabyte
        ours, theirs = ours.features, theirs.features
    ours, theirs = ours.to_empty(device="cpu"), theirs.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    weights = {key: torch.rand(value.shape, generator=generator) * 0.1 if value.is_floating_point() else torch.zeros_like(value)
               for key, value in theirs.state_dict().items()}
    ours.load_state_dict(weights)
    theirs.load_state_dict(weights)
    images = torch.rand(1, 3, 64, 64, generator=generator)
    with torch.inference_mode():
        assert torch.equal(ours.eval()(images), theirs.eval()(images))


@pytest.mark.parametrize("config", [VGG16Config(fc_width=8), ResNet18Config(), MobileNetV3SmallConfig()])
def test_torchvision_networks_are_drawn_like_torchvisions(config):
    """Weights have torchvision's spread, also in what is replaced."""
    from core.torchvision_guard import torchvision

    model = build(config, (1, 32, 32), 10, seed=0)
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    fan_out = first.out_channels * first.kernel_size[0] * first.kernel_size[1]
    assert first.in_channels == 1
    assert first.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.25)
    assert type(model).__module__.startswith(torchvision.__name__)
    if not isinstance(config, ResNet18Config):
        assert model.classifier[0].weight.std().item() == pytest.approx(0.01, rel=0.1)
        assert not model.classifier[0].bias.any()


@pytest.mark.parametrize("side", [1, 5, 28, 33])
@pytest.mark.parametrize("key", ["vgg16", "resnet18", "mobilenet_v3_small"])
def test_torchvision_networks_take_any_size(key, side):
    model = build(SMALL.get(key, ARCHITECTURES[key].config()), (2, side, side), 3, seed=0).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 2, side, side)).isfinite().all()


def test_torchvision_is_imported_by_those_who_want_it():
    """It takes half a second and memory: neither pages nor workers import it for other networks."""
    code = ("import sys, core.models, core.presets, core.runs.worker, core.models.stack_check; "
            "core.models.build(core.models.LeNet5Config(), (1, 28, 28), 10); assert 'torchvision' not in sys.modules; "
            "core.models.build(core.models.ResNet18Config(), (1, 28, 28), 10); assert 'torchvision' in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


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
