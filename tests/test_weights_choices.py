"""What a file of weights does not say: every network that fits, told apart by test images; and ONNX files as stacks."""

import importlib.util
import io

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from core.config import DataConfig
from core.data import load
from core.models import build
from core.runs import RunStore, load_model
from core.runs.uploaded import keep_read, read_upload
from core.settings import Settings
from core.weights import child
from core.weights.choices import choices_for
from core.weights.file import WeightsRefused
from core.weights.matching import match_weights, renamed_for
from core.weights.onnx_file import looks_like_onnx
from core.weights.onnx_graph import read_onnx
from tests.test_uploaded import pth, run_child

SHAPE = (1, 28, 28)
DIGITS = DataConfig(dataset="digits", validation=200)


def block(layer: nn.Module, activation: nn.Module, *more: nn.Module) -> list[nn.Module]:
    return [layer, activation, *more]


NETWORKS = {
    "Tanh": [nn.Flatten(), *block(nn.Linear(784, 20), nn.Tanh()), nn.Linear(20, 10)],
    "Sigmoid": [nn.Flatten(), *block(nn.Linear(784, 20), nn.Sigmoid()), *block(nn.Linear(20, 12), nn.Sigmoid()),
                nn.Linear(12, 10)],
    "2×2 mean pooling after convolution 1 and 2": [
        *block(nn.Conv2d(1, 4, 5), nn.Tanh(), nn.AvgPool2d(2)), *block(nn.Conv2d(4, 6, 5), nn.Tanh(), nn.AvgPool2d(2)),
        nn.Flatten(), nn.Linear(96, 10)],
    "batch norm after the activation": [
        nn.Flatten(), *block(nn.Linear(784, 16), nn.ReLU(), nn.BatchNorm1d(16)), nn.Linear(16, 10)],
    "padding": [*block(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
                *block(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)), nn.Flatten(), nn.Linear(196, 10)],
}


def made(name: str) -> nn.Sequential:
    """One of NETWORKS whose batch norms are not at their first values."""
    torch.manual_seed(0)
    network = nn.Sequential(*NETWORKS[name])
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.reset_parameters()
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_true_network_is_among_the_choices_and_no_two_are_the_same(name):
    network, images = made(name), torch.rand(6, *SHAPE)
    found = match_weights(network.state_dict(), SHAPE)
    choices = choices_for(found, SHAPE)
    assert choices[0].config == found.config and 1 < len(choices) <= 40
    answers = []
    for one in choices:
        other = build(one.config, SHAPE, found.outputs).eval()
        other.load_state_dict(renamed_for(one.config, SHAPE, found.outputs, found.weights))
        with torch.no_grad():
            answers.append(other(images))
    with torch.no_grad():
        [same] = [place for place, said in enumerate(answers) if torch.allclose(said, network(images), rtol=1e-3, atol=1e-5)]
    assert name in choices[same].title, [one.title for one in choices]
    assert len({one.title for one in choices}) == len(choices)


def test_nothing_is_asked_where_nothing_is_open():
    assert len(choices_for(match_weights(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).state_dict()), SHAPE)) == 1


def test_the_right_choice_is_the_one_with_most_right_answers(places, tmp_path, monkeypatch):
    """A network with Tanh, trained for a moment: ReLU in its place gets clearly fewer right."""
    monkeypatch.setattr("core.runs.uploaded._read", child.read)  # in this process: starting another takes seconds
    settings, store = Settings(places / "data", tmp_path, places / "cache", workers=0), RunStore(tmp_path)
    data = load(DIGITS, settings.data_dir, settings.cache_dir)
    images, labels = data.train.take(torch.arange(600))
    network = made("Tanh").train()
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(60):
        loss = nn.functional.cross_entropy(network(images.float() / 255), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= 3  # where Tanh bends more
    network.eval()
    read = read_upload(settings, pth(network.state_dict()), "net.pth", DIGITS)
    assert read.tried == min(500, len(data.test)) and all(one.accuracy is not None for one in read.candidates)
    assert read.candidates[0].title == "ReLU" and read.candidates[read.best].title == "Tanh"
    kept = keep_read(store, read, read.best, "me")
    assert any(note.startswith("Taken for: Tanh") for note in kept.notes) and not any("ReLU" in note for note in kept.notes)
    with torch.no_grad():
        seen = data.test.take(torch.arange(9))[0].float() / 255
        torch.testing.assert_close(load_model(store, kept.run.id).predict(seen), network(seen).softmax(1))
    store.close()


# --- ONNX

def exported(network: nn.Module, shape: tuple[int, ...] = SHAPE, **options) -> bytes:
    file = io.BytesIO()
    torch.onnx.export(network.eval(), (torch.rand(2, *shape),), file, input_names=["x"], output_names=["y"], opset_version=18,
                      dynamic_axes={"x": {0: "n"}, "y": {0: "n"}}, dynamo=False, **options)
    return file.getvalue()


ONNX = {**NETWORKS,
        "GELU and global pooling": [nn.Conv2d(1, 5, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(5, eps=1e-3), nn.GELU(),
                                    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(5, 10), nn.Softmax(1)],
        "leaky": [nn.Flatten(), nn.Linear(784, 9, bias=False), nn.LeakyReLU(0.2), nn.Linear(9, 4)]}


class Block(nn.Module):
    """As ResNets have it: body and way around added, and a ReLU."""

    def __init__(self, inside: int, out: int, stride: int, around: list[nn.Module]) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(inside, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
                                  nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out))
        self.around = nn.Sequential(*around)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.around(x))


def blocks() -> nn.Module:
    """A small ResNet with every kind of way around, its batch norm having seen something."""
    network = nn.Sequential(
        nn.Conv2d(1, 4, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), Block(4, 4, 1, []),
        Block(4, 6, 2, [nn.Conv2d(4, 6, 1, 2, bias=False), nn.BatchNorm2d(6)]), Block(6, 5, 1, [nn.Conv2d(6, 5, 1)]),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 10))
    for _ in range(3):
        network(torch.randn(8, *SHAPE) * 2 + 1)
    return network.eval()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("folds", [True, False])
def test_residual_blocks_of_an_onnx_file_are_ours(folds):
    """Exporters put batch norm into the convolution before it, or leave it: both give the same sums."""
    torch.manual_seed(1)
    network = blocks()
    options = {} if folds else {"training": torch.onnx.TrainingMode.PRESERVE}
    found = read_onnx(exported(network, **options), "net.onnx", SHAPE)
    assert [layer.skip for layer in found.config.layers if layer.kind == "residual"] == ["identity", "projection", "projection"]
    assert any("batch_norm" in layer.kind for layer in found.config.layers[3].layers) is not folds
    stack = build(found.config, SHAPE, found.outputs).eval()
    stack.load_state_dict(found.weights)
    images = torch.rand(5, *SHAPE)
    with torch.no_grad():
        torch.testing.assert_close(stack(images), network(images), rtol=1e-4, atol=1e-5)
    assert any("onnxruntime" in note for note in found.notes)


@pytest.mark.filterwarnings("ignore")
def test_a_way_around_that_skips_more_pixels_than_it_must_is_one_line():
    """28 pixels become 2 by a stride of 14 as well as of 15, which takes other ones."""
    network = nn.Sequential(Block(1, 3, 15, [nn.Conv2d(1, 3, 1, 15)]), nn.Flatten(), nn.Linear(12, 4))
    with pytest.raises(WeightsRefused, match="moves further than it must"):
        read_onnx(exported(network), "net.onnx", SHAPE)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ONNX)
def test_an_onnx_file_is_read_as_the_stack_that_it_is(name):
    torch.manual_seed(1)
    network = nn.Sequential(*ONNX[name]).eval()
    found = read_onnx(exported(network), "net.onnx", SHAPE)
    stack = build(found.config, SHAPE, found.outputs).eval()
    stack.load_state_dict(found.weights)
    images = torch.rand(5, *SHAPE)
    with torch.no_grad():
        said = stack(images)
        torch.testing.assert_close(said.softmax(1) if isinstance(network[-1], nn.Softmax) else said, network(images),
                                   rtol=1e-4, atol=1e-5)
    assert any("onnxruntime" in note for note in found.notes) and found.mean == ()


def graph(nodes: list, tensors: dict[str, np.ndarray], takes: list = (None, 1, 28, 28), outputs: int = 1) -> bytes:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(takes))]
    gives = [helper.make_tensor_value_info(f"y{n or ''}", TensorProto.FLOAT, None) for n in range(outputs)]
    made = helper.make_graph(nodes, "g", inputs, gives, [numpy_helper.from_array(value, name) for name, value in tensors.items()])
    return helper.make_model(made, producer_name="pytorch", opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()


W = np.zeros((10, 784), np.float32)
FLAT, GEMM = helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"], transB=1)
RELU = helper.make_node("Relu", ["f"], ["r"])


def outside() -> bytes:
    model = onnx.load_from_string(graph([FLAT, GEMM], {"w": W}))
    model.graph.initializer[0].ClearField("raw_data")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    entry = model.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    return model.SerializeToString()


def claims(dims: list[int]) -> bytes:
    model = onnx.load_from_string(graph([FLAT, GEMM], {"w": W}))
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    return model.SerializeToString()


@pytest.mark.parametrize(("content", "line"), [
    (graph([FLAT, GEMM], {"w": W})[:-200], "damaged"), (graph([FLAT, GEMM], {"w": W * np.nan}), "NaN or infinite"),
    (graph([FLAT, GEMM], {"w": W}, [None, 3, 32, 32]), "takes inputs of 3×32×32; these data are 1×28×28"),
    (graph([FLAT, GEMM], {"w": W}, [None, 784]), "takes inputs of 784"), (outside(), "in another file"),
    (claims([2**40, 2**20]), "more than 20,000,000 numbers"), (claims([10, 999]), "can't be read"),
    (graph([FLAT, helper.make_node("Sin", ["f"], ["y"])], {}), "operator `Sin`"),
    (graph([FLAT, GEMM, helper.make_node("Add", ["y", "f"], ["z"])], {"w": W}), "its branches are not read"),
    (graph([FLAT, RELU, helper.make_node("Mul", ["r", "f"], ["m"])], {}), "`Mul` joins branches"),
    (graph([FLAT, RELU, helper.make_node("Tanh", ["f"], ["t"]),
            helper.make_node("Add", ["r", "t"], ["a"])], {}), "operator `Add`"),
    (graph([FLAT, helper.make_node("Add", ["f", "f"], ["a"])], {}), "operator `Add`"),
    (graph([FLAT, helper.make_node("Gemm", ["f", "w"], ["g"], transB=1), helper.make_node("Add", ["g", "f"], ["z"]),
            helper.make_node("Gemm", ["z", "w"], ["y"], transB=1)], {"w": W}), "can't be described as a stack .*only be added"),
    (graph([FLAT, helper.make_node("Relu", ["f"], ["y"])], {}), "does not end with a linear layer"),
    (graph([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], {"w": W}), "stack of layers"),
    (graph([FLAT, helper.make_node("Gemm", ["f", "w"], ["y"], transB=1)], {"w": W[:, :9]}), "shape that its place needs"),
    (graph([helper.make_node("Reshape", ["x", "s"], ["f"]), GEMM], {"w": W, "s": np.array([-1, 392], np.int64)}),
     "onnxruntime|differ"),
    (graph([FLAT, GEMM], {"w": W}, outputs=2), "gives 2 outputs"),
    (graph([helper.make_node("Identity", ["x"], ["x1"])] * 3000, {}), "3,000 operators"),
    (graph([helper.make_node("If", ["x"], ["y"], then_branch=helper.make_graph([], "t", [], []),
                             else_branch=helper.make_graph([], "e", [], []))], {}), "operator `If`"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_onnx_that_is_no_stack_gets_one_line(content, line):
    with pytest.raises(WeightsRefused, match=line) as refused:
        read_onnx(content, "net.onnx", SHAPE)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


def test_without_the_package_a_line_says_how_to_get_it(tmp_path, monkeypatch):
    whole = importlib.util.find_spec
    monkeypatch.setattr("core.weights.onnx_graph.find_spec", lambda name: None if name.startswith("onnx") else whole(name))
    content = graph([FLAT, GEMM], {"w": W})
    assert looks_like_onnx(content)
    assert "pip install -r requirements-export.txt" in run_child(content, tmp_path, "net.onnx")["refused"]
    monkeypatch.setattr("core.weights.onnx_graph.find_spec", lambda name: None if name == "onnxruntime" else whole(name))
    found = run_child(content, tmp_path, "net.onnx")
    assert any("have not been compared" in note for note in found["notes"]) and found["outputs"] == 10
