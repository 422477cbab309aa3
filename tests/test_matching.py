"""Which architecture weights are of: every architecture's own, the notes' networks, other names, and lines for what fits none."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from core.models import ARCHITECTURES, CNNConfig, MLPConfig, build
from core.presets import PRESETS
from core.training import outputs_for
from core.weights.file import WeightsRefused, load_weights
from core.weights.matching import Mismatch, match_weights

SHAPE, CASES = (1, 28, 28), Path(__file__).parent / "cases"
NAMED = sorted(name for name, entry in ARCHITECTURES.items()
               if "images" in entry.takes and name != "stack")  # a composition has no shape of its own


class Named(nn.Module):
    """Modules under the names that a script gives them, in its order."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)


def agree(module: nn.Module, forward, input_shape=SHAPE) -> None:
    """The matched network gives what the script's own forward gives."""
    module.eval()
    found = match_weights(module.state_dict(), input_shape)
    network = build(found.config, input_shape, found.outputs).eval()
    network.load_state_dict(found.weights)
    images = torch.randn(3, *input_shape)
    with torch.no_grad():
        torch.testing.assert_close(network(images), forward(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMED)
def test_every_architecture_knows_its_own(name):
    config = ARCHITECTURES[name].config()
    weights = build(config, SHAPE, 10, seed=0).state_dict()
    found = match_weights(weights)
    assert found.config == config and found.outputs == 10
    assert all(torch.equal(found.weights[key], value) for key, value in weights.items())


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.config.data.dataset == "mnist"
                                  and preset.config.model.architecture != "stack"])  # a stack's names say nothing of it
def test_presets_are_found_again_but_for_dropout(name):
    config = PRESETS[name].config
    found = match_weights(build(config.model, SHAPE, outputs_for(config, 10), seed=0).state_dict())
    assert found.config.model_copy(update={"dropout": config.model.dropout}) == config.model


def test_the_notes_cnn_with_its_own_forward():
    net = Named(conv1=nn.Conv2d(1, 32, 3, 1, 1), conv2=nn.Conv2d(32, 64, 3, 1, 1), fc1=nn.Linear(64 * 49, 128),
                fc2=nn.Linear(128, 1))

    def forward(x):
        x = nn.functional.max_pool2d(net.conv1(x).relu(), 2)
        x = nn.functional.max_pool2d(net.conv2(x).relu(), 2)
        return net.fc2(net.fc1(x.flatten(1)).relu())

    agree(net, forward)


def test_the_notes_improved_cnn_defines_batch_norm_last():
    net = Named(conv1=nn.Conv2d(1, 32, 3, 1, 1), conv2=nn.Conv2d(32, 64, 3, 1, 1), fc1=nn.Linear(64, 128), fc2=nn.Linear(128, 1),
                dropout=nn.Dropout(0.5), bn1=nn.BatchNorm2d(32), bn2=nn.BatchNorm2d(64))
    for norm in (net.bn1, net.bn2):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)

    def forward(x):
        x = nn.functional.max_pool2d(net.bn1(net.conv1(x)).relu(), 2)
        x = nn.functional.max_pool2d(net.bn2(net.conv2(x)).relu(), 2)
        return net.fc2(net.fc1(x.mean((2, 3))).relu())

    agree(net, forward)
    old = {name: value for name, value in net.state_dict().items() if "num_batches" not in name}  # files of PyTorch before 0.4.1
    assert int(match_weights(old).weights["bn1.num_batches_tracked"]) == 0


def test_the_notes_variant_has_batch_norm_after_the_first_convolution_only():
    net = Named(conv1=nn.Conv2d(1, 32, 3, 1, 1), conv2=nn.Conv2d(32, 64, 3, 1, 1), fc1=nn.Linear(64, 128), fc2=nn.Linear(128, 1),
                dropout=nn.Dropout(0.5), bn1=nn.BatchNorm2d(32))
    net.bn1.running_mean.normal_()
    net.bn1.running_var.uniform_(0.5, 2)

    def forward(x):
        x = nn.functional.max_pool2d(net.bn1(net.conv1(x)).relu(), 2)
        x = nn.functional.max_pool2d(net.conv2(x).relu(), 2)
        return net.fc2(net.fc1(x.mean((2, 3))).relu())

    agree(net, forward)


def test_other_names_and_wrappers():
    stack = nn.Sequential(nn.Flatten(), nn.Linear(784, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 10))
    agree(Named(linear_relu_stack=stack), stack)
    agree(nn.DataParallel(stack), stack)
    found = match_weights(stack.state_dict())
    assert found.config == MLPConfig(hidden=(30, 20)) and any("other names" in note for note in found.notes)


def test_pooling_once_as_in_pytorchs_own_example():
    net = Named(conv1=nn.Conv2d(1, 8, 3), conv2=nn.Conv2d(8, 16, 3), fc1=nn.Linear(16 * 144, 32), fc2=nn.Linear(32, 10))

    def forward(x):
        x = nn.functional.max_pool2d(net.conv2(net.conv1(x).relu()).relu(), 2)
        return net.fc2(net.fc1(x.flatten(1)).relu())

    agree(net, forward)


def block(*layers: nn.Module, norm: type[nn.Module] | None = None, pool: bool = False) -> list[nn.Module]:
    """Layers with ReLU and maybe batch norm after each, and maybe pooling at the end."""
    found = []
    for layer in layers:
        width = layer.out_channels if isinstance(layer, nn.Conv2d) else layer.out_features
        found += [layer, *([norm(width)] if norm else []), nn.ReLU()]
    return [*found, *([nn.MaxPool2d(2)] if pool else [])]


@pytest.mark.parametrize(("name", "layers", "note"), [
    ("the tutorials' LeNet", [*block(nn.Conv2d(1, 6, 5), pool=True), *block(nn.Conv2d(6, 16, 5), pool=True), nn.Flatten(),
                              *block(nn.Linear(256, 120), nn.Linear(120, 84)), nn.Linear(84, 10)], "after convolution 1 and 2"),
    ("TinyVGG", [*block(nn.Conv2d(1, 10, 3, padding=1), nn.Conv2d(10, 10, 3, padding=1), pool=True),
                 *block(nn.Conv2d(10, 10, 3, padding=1), nn.Conv2d(10, 10, 3, padding=1), pool=True), nn.Flatten(),
                 nn.Linear(490, 10)], "have the same shapes"),
    ("an MLP with batch norm", [nn.Flatten(), *block(nn.Linear(784, 32), nn.Linear(32, 16), norm=nn.BatchNorm1d),
                                nn.Linear(16, 10)], "ReLU is taken"),
    ("convolutions without bias", [
        *block(nn.Conv2d(1, 4, 3, bias=False), nn.Conv2d(4, 8, 3, bias=False), norm=nn.BatchNorm2d, pool=True), nn.Flatten(),
        *block(nn.Linear(1152, 20, bias=False), norm=nn.BatchNorm1d), nn.Linear(20, 10)], "after convolution 2"),
    ("no pooling", [*block(nn.Conv2d(1, 3, 7), nn.Conv2d(3, 5, 5)), nn.Flatten(), nn.Linear(5 * 18 * 18, 10)], "without pooling"),
    ("no bias", [nn.Flatten(), nn.Linear(784, 10, bias=False)], "ReLU is taken"),
])
def test_networks_as_others_write_them(name, layers, note):
    network = nn.Sequential(*layers)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    agree(network, network)
    assert note in " ".join(match_weights(network.state_dict()).notes)


@pytest.mark.parametrize(("module", "words"), [
    (nn.Sequential(nn.Conv2d(3, 6, 5), nn.Linear(400, 10)), "3 channels"),
    (nn.Linear(2, 1), "takes 2 numbers; an image of 1×28×28 has 784"),
    (nn.LSTM(28, 8), "no linear layer"), (nn.Conv2d(1, 3, 3), "no linear layer"),
    (nn.Sequential(nn.Conv2d(1, 8, 3), nn.Linear(77, 10)), "Closest is"),
    (nn.Sequential(nn.Linear(784, 10), nn.LayerNorm(10)), "no architecture|No architecture"),
    (nn.Sequential(nn.Conv2d(1, 8, (3, 5)), nn.Linear(77, 10)), "Closest is"),
    (nn.Sequential(nn.Linear(784, 50), nn.Linear(40, 10)), "is .*would have to be|Closest"),
    (nn.Sequential(nn.Linear(784, 10), nn.BatchNorm1d(7)), "Closest is|No architecture"),
])
def test_what_fits_nothing_gets_one_line(module, words):
    with pytest.raises(Mismatch, match=words) as refused:
        match_weights(module.state_dict())
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


def test_names_of_unknown_origin_are_made_plain():
    with pytest.raises(Mismatch) as refused:
        match_weights({"<b>[x](y)\n`.weight": torch.zeros(2, 3)})
    assert not set("<>[]()`\n") & set(str(refused.value).split(" takes")[0])


@given(st.dictionaries(st.text(max_size=12), st.lists(st.integers(0, 5), max_size=5), max_size=6))
@settings(max_examples=60)
def test_anything_is_matched_or_refused(shapes):
    with pytest.raises(Mismatch):
        match_weights({name: torch.zeros(shape) for name, shape in shapes.items()})


def test_colour_pictures_are_matched_too():
    weights = build(CNNConfig(channels=(4,)), (3, 32, 32), 5, seed=0).state_dict()
    assert match_weights(weights, (3, 32, 32)).config == CNNConfig(channels=(4,))


@pytest.mark.parametrize(("file", "architecture"), [("lightning.ckpt", "mlp"), ("mlp_bn.pth", "stack")])
def test_files_as_training_scripts_leave_them(file, architecture):
    found = load_weights((CASES / file).read_bytes(), file)
    assert match_weights(found.tensors).config.architecture == architecture


def test_what_is_no_file_of_weights_is_named(tmp_path):
    with pytest.raises(WeightsRefused, match="is a TorchScript program"):
        load_weights((CASES / "traced.pt").read_bytes(), "traced.pt")
    graph = b"\x08\x09\x12\x07pytorch\x1a\x05" + b"2.13.\x3a\x10" + b"x" * 300
    with pytest.raises(WeightsRefused, match="looks like an ONNX file"):
        load_weights(graph, "net.onnx")
