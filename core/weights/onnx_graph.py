"""An ONNX file as a stack of layers, where each of its operators is one of ours. Nothing in it is run to find that out.

Format: https://onnx.ai/onnx/operators/. The package onnx is one of requirements-export.txt; where onnxruntime is there too, it is
asked whether the stack answers as the file does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from math import isclose, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.models import ModelError, StackConfig, build
from core.models.base import Shape
from core.models.layers import (
    AdaptiveAvgPool2dConfig,
    AvgPool2dConfig,
    BatchNorm1dConfig,
    BatchNorm2dConfig,
    Conv2dConfig,
    FlattenConfig,
    GELUConfig,
    LayerConfig,
    LeakyReLUConfig,
    LinearConfig,
    MaxPool2dConfig,
    ReLUConfig,
    SigmoidConfig,
    SoftmaxConfig,
    TanhConfig,
)
from core.models.stack import named
from core.weights.file import WeightsRefused, plain

MOST_NODES = 2000
MOST_NUMBERS = 20_000_000  # of all tensors together
TOLERANCE = 1e-3  # of answers, as a share of the largest
EPS = 1e-5  # that our batch norm adds to the variance
ASIDE = {"Shape", "Gather", "Unsqueeze", "Concat", "Slice", "Cast", "Squeeze"}  # how exporters work out a new shape
SIMPLE: dict[str, Callable[[], LayerConfig]] = {"Relu": ReLUConfig, "Sigmoid": SigmoidConfig, "Tanh": TanhConfig}


@dataclass(frozen=True, eq=False)
class Graph:
    """What a file is. weights: under the stack's names. mean, std: for each channel, where the file normalises; else empty."""

    config: StackConfig
    outputs: int
    weights: dict[str, Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notes: tuple[str, ...]


@dataclass
class _Reading:
    """What has been understood so far. now: the name of what the layers give."""

    now: str
    constants: dict[str, np.ndarray]
    layers: list[tuple[LayerConfig, dict[str, np.ndarray]]] = field(default_factory=list)
    aside: set[str] = field(default_factory=set)
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    yes_or_no: bool = False

    def add(self, layer: LayerConfig, **tensors: np.ndarray | None) -> None:
        self.layers.append((layer, {name: value for name, value in tensors.items() if value is not None}))


def looks_like_onnx(content: bytes) -> bool:
    """Whether the first bytes are those of a ModelProto with a version, a maker and a graph."""
    return content[:1] == b"\x08" and b"\x12" in content[:4] and b"\x3a" in content[:200]


def read_onnx(content: bytes, file: str, input_shape: Shape) -> Graph:
    """The stack for images of this shape that answers as the file does. Raises WeightsRefused with one line."""
    name = plain(file)
    if find_spec("onnx") is None:
        raise WeightsRefused(f"{name} is an ONNX file. Reading it needs the package onnx: pip install -r "
                             "requirements-export.txt.")
    graph = _graph(content, name)
    reading = _walk(graph, name, input_shape)
    config, weights, outputs = _stack(reading, name, input_shape)
    notes = [f"It is an ONNX file; its {len(graph.node)} operators are {len(config.layers)} layers of a composed network.",
             _compared(content, reading, config, weights, outputs, input_shape, name)]
    mean, std = (tuple(map(float, values)) if values is not None else () for values in (reading.mean, reading.std))
    if mean:
        notes.append("It normalises its input itself, and its numbers for that are taken.")
    return Graph(config, outputs, weights, mean, std, tuple(notes))


def _graph(content: bytes, name: str) -> Any:
    import onnx

    try:
        model = onnx.load_from_string(content)
    except Exception:  # protobuf's own errors
        raise WeightsRefused(f"{name} is a damaged ONNX file. Save or download it again.") from None
    if len(model.graph.node) > MOST_NODES or model.functions:
        raise WeightsRefused(f"{name} has {len(model.graph.node):,} operators or functions of its own; a stack of layers has "
                             f"fewer than {MOST_NODES:,} and none.")
    return model.graph


def _array(tensor: Any, name: str) -> np.ndarray:
    """A tensor of the file as float32 or int64. Raises WeightsRefused; no other file is ever read."""
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise WeightsRefused(f"{name} keeps its numbers in another file. Save it with all of them inside.")
    if any(length < 0 or length > MOST_NUMBERS for length in tensor.dims) or float(
            np.prod(np.array(tensor.dims, np.float64))) > MOST_NUMBERS:
        raise WeightsRefused(f"{name}: {plain(tensor.name)} says that it has more than {MOST_NUMBERS:,} numbers.")
    try:
        values = numpy_helper.to_array(tensor)
    except Exception:  # lengths that don't fit, kinds that there are not
        raise WeightsRefused(f"{name}: the numbers of {plain(tensor.name)} can't be read. Save or download it again.") from None
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise WeightsRefused(f"{name}: {plain(tensor.name)} holds values that are NaN or infinite. Take an earlier "
                                 "checkpoint.")
        return values.astype(np.float32)
    if values.dtype.kind in "iub":
        return values.astype(np.int64)
    raise WeightsRefused(f"{name}: {plain(tensor.name)} holds no plain numbers.")


# --- from operators to layers

def _walk(graph: Any, name: str, input_shape: Shape) -> _Reading:
    constants = {tensor.name: _array(tensor, name) for tensor in graph.initializer}
    if sum(values.size for values in constants.values()) > MOST_NUMBERS:
        raise WeightsRefused(f"{name} has more than {MOST_NUMBERS:,} numbers.")
    inputs = [one for one in graph.input if one.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise WeightsRefused(f"{name} takes {len(inputs)} inputs and gives {len(graph.output)} outputs; one of each is read.")
    takes = tuple(dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim)
    if len(takes) != 1 + len(input_shape) or any(its not in (0, our) for its, our in zip(takes[1:], input_shape, strict=True)):
        size, ours = ("×".join(map(str, shape)) for shape in (takes[1:], input_shape))
        raise WeightsRefused(f"{name} takes inputs of {size or 'another form'}; these data are {ours}.")
    reading, nodes, place = _Reading(inputs[0].name, constants), [], 0
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = _constant(_attributes(node), name)
        else:
            nodes.append(node)
    while place < len(nodes):
        place += _take(nodes, place, reading, name)
    if reading.now != graph.output[0].name:
        raise WeightsRefused(f"{name} does not answer with what its last layer gives: its branches are not read.")
    return reading


def _take(nodes: Sequence[Any], place: int, reading: _Reading, name: str) -> int:
    """Understand the operator at this place, and those that belong to it. How many they are. Raises WeightsRefused."""
    node = nodes[place]
    kind, constants = node.op_type, reading.constants
    about = _attributes(node)
    if kind == "Identity" and node.input[0] in constants:
        constants[node.output[0]] = constants[node.input[0]]
        return 1
    if kind in ASIDE and (node.input[0] in reading.aside or kind == "Shape" or all(
            one in reading.aside or one in constants for one in node.input)):
        reading.aside.add(node.output[0])
        return 1
    if (taken := _gelu(nodes, place, reading) or _yes_or_no(nodes, place, reading)):
        return taken
    others = [one for one in node.input if one and one != reading.now]
    if reading.now not in node.input or any(one not in constants and one not in reading.aside for one in others):
        raise WeightsRefused(f"{name} is no plain stack of layers: its operator {plain(kind)} joins branches. Save the "
                             "state_dict of the network that it was made from.")
    values = [constants.get(one) for one in node.input]
    _layer(kind, about, values, reading, node, name)
    reading.now = node.output[0]
    return 1


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def _constant(about: Mapping[str, Any], name: str) -> np.ndarray:
    if "value" in about:
        return _array(about["value"], name)
    kinds = ("value_float", "value_int", "value_floats", "value_ints")
    return np.asarray(next((about[kind] for kind in kinds if kind in about), 0))


def _gelu(nodes: Sequence[Any], place: int, reading: _Reading) -> int:
    """x·(1 + erf(x / √2)) / 2, written out as exporters do; 0 where it is something else."""
    kinds = [node.op_type for node in nodes[place:place + 5]]
    first = nodes[place]
    if kinds[:2] != ["Div", "Erf"] or first.input[0] != reading.now or sorted(kinds[2:]) != ["Add", "Mul", "Mul"]:
        return 0
    divided = reading.constants.get(first.input[1])
    if divided is None or divided.size != 1 or not isclose(float(divided.reshape(-1)[0]), sqrt(2), rel_tol=1e-4):
        return 0
    reading.add(GELUConfig())
    reading.now = nodes[place + 4].output[0]
    return 5


def _yes_or_no(nodes: Sequence[Any], place: int, reading: _Reading) -> int:
    """The last operators of our own files of a single answer: σ, 1 − σ, and both side by side; 0 where it is something else."""
    rest = nodes[place:]
    kinds = [node.op_type for node in rest]
    if nodes[place].op_type != "Sigmoid" or nodes[place].input[0] != reading.now or kinds not in (
            ["Sigmoid", "Sub", "Concat"], ["Sigmoid", "Neg", "Add", "Concat"]):
        return 0
    reading.yes_or_no = True
    reading.now = rest[-1].output[0]
    return len(rest)


def _layer(kind: str, about: Mapping[str, Any], values: list[np.ndarray | None], reading: _Reading, node: Any,
           name: str) -> None:
    """Add what an operator is to what has been understood. Raises WeightsRefused where it is none of ours."""
    if kind in ("Identity", "Dropout", "Cast"):
        return
    if kind in SIMPLE:
        return reading.add(SIMPLE[kind]())
    if kind in ("Sub", "Div", "Mul", "Add") and _arithmetic(kind, values, reading, node):
        return
    match kind:
        case "LeakyRelu":
            reading.add(LeakyReLUConfig(slope=float(about.get("alpha", 0.01))))
        case "Gelu" if about.get("approximate", b"none") == b"none":
            reading.add(GELUConfig())
        case "Softmax" | "LogSoftmax":
            reading.add(SoftmaxConfig())
        case "Flatten" if about.get("axis", 1) == 1:
            reading.add(FlattenConfig())
        case "Reshape" | "Squeeze":
            reading.add(FlattenConfig())
        case "GlobalAveragePool":
            reading.add(AdaptiveAvgPool2dConfig(size=1))
        case "ReduceMean" if _axes(about, values) in ((2, 3), (-2, -1)):
            reading.add(AdaptiveAvgPool2dConfig(size=1))
            if not about.get("keepdims", 1):
                reading.add(FlattenConfig())
        case "Conv" if values[1] is not None and values[1].ndim == 4 and about.get("group", 1) == 1:
            kernel, stride, padding = _window(about, values[1].shape[2:], kind, name)
            reading.add(Conv2dConfig(out_channels=values[1].shape[0], kernel=kernel, stride=stride, padding=padding,
                                     bias=len(values) > 2), weight=values[1], bias=values[2] if len(values) > 2 else None)
        case "MaxPool" | "AveragePool" if not about.get("ceil_mode", 0):
            kernel, stride, padding = _window(about, about.get("kernel_shape", (0,)), kind, name)
            if kind == "AveragePool" and padding and not about.get("count_include_pad", 0):
                raise _unknown(kind, name)
            pool = MaxPool2dConfig if kind == "MaxPool" else AvgPool2dConfig
            reading.add(pool(kernel=kernel, stride=stride, padding=padding))
        case "BatchNormalization" if all(value is not None for value in values[1:5]):
            scale, bias, mean, var = values[1:5]
            assert var is not None
            pictures = any(isinstance(layer, Conv2dConfig) for layer, _ in reading.layers) and not any(
                isinstance(layer, FlattenConfig) for layer, _ in reading.layers)
            reading.add(BatchNorm2dConfig() if pictures else BatchNorm1dConfig(), weight=scale, bias=bias, running_mean=mean,
                        running_var=var + float(about.get("epsilon", EPS)) - EPS)
        case "Gemm" if values[1] is not None and values[1].ndim == 2 and not about.get("transA", 0) and (
                about.get("alpha", 1.0), about.get("beta", 1.0)) == (1.0, 1.0):
            weight = values[1] if about.get("transB", 0) else values[1].T
            bias = values[2].reshape(-1) if len(values) > 2 and values[2] is not None else None
            reading.add(LinearConfig(out_features=weight.shape[0], bias=bias is not None), weight=weight, bias=bias)
        case "MatMul" if len(values) == 2 and values[1] is not None and values[1].ndim == 2:
            reading.add(LinearConfig(out_features=values[1].shape[1], bias=False), weight=values[1].T)
        case _:
            raise _unknown(kind, name)


def _unknown(kind: str, name: str) -> WeightsRefused:
    return WeightsRefused(f"{name} has the operator {plain(kind)} in a form that no layer here has. Save the state_dict of the "
                          "network that it was made from.")


def _arithmetic(kind: str, values: list[np.ndarray | None], reading: _Reading, node: Any) -> bool:
    """A number for each channel before the first layer, which normalises, or a bias after a product; False for anything else.
    """
    number = next((value for value in values if value is not None), None)
    if number is None or (kind in ("Sub", "Div") and node.input[0] != reading.now):
        return False
    flat = number.reshape(-1).astype(np.float64)
    if not reading.layers:
        if kind in ("Sub", "Add") and reading.mean is None and reading.std is None:
            reading.mean, reading.std = (flat if kind == "Sub" else -flat), np.ones_like(flat)
            return True
        if kind in ("Div", "Mul"):
            times = flat if kind == "Div" else 1 / np.where(flat == 0, np.nan, flat)
            if not np.isfinite(times).all() or (times <= 0).any():
                return False
            reading.mean = np.zeros_like(times) if reading.mean is None else reading.mean
            reading.std = times * (1.0 if reading.std is None else reading.std)
            return True
        return False
    layer, tensors = reading.layers[-1]
    if kind == "Add" and isinstance(layer, LinearConfig) and "bias" not in tensors and flat.size == tensors["weight"].shape[0]:
        reading.layers[-1] = layer.model_copy(update={"bias": True}), tensors | {"bias": number.reshape(-1)}
        return True
    return False


def _axes(about: Mapping[str, Any], values: list[np.ndarray | None]) -> tuple[int, ...]:
    if "axes" in about:
        return tuple(about["axes"])
    return tuple(values[1].reshape(-1).tolist()) if len(values) > 1 and values[1] is not None else ()


def _window(about: Mapping[str, Any], sides: Sequence[int], kind: str, name: str) -> tuple[int, int, int]:
    """Kernel, stride and padding, where they are the same in every direction. Raises WeightsRefused."""
    sides = tuple(sides)
    strides, pads = tuple(about.get("strides", (1,))), tuple(about.get("pads", (0,)))
    plain_way = about.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID") and set(about.get("dilations", (1,))) == {1}
    if not plain_way or any(len({*one}) != 1 for one in (sides, strides, pads)):
        raise _unknown(kind, name)
    return int(sides[0]), int(strides[0]), int(pads[0])


# --- from layers to a network

def _stack(reading: _Reading, name: str, input_shape: Shape) -> tuple[StackConfig, dict[str, Tensor], int]:
    layers = list(reading.layers)
    while layers and isinstance(layers[-1][0], SoftmaxConfig):  # the loss has it
        layers.pop()
    layers = [pair for place, pair in enumerate(layers) if not (
        isinstance(pair[0], FlattenConfig) and place and isinstance(layers[place - 1][0], FlattenConfig))]
    if not layers or not isinstance(layers[-1][0], LinearConfig):
        raise WeightsRefused(f"{name} does not end with a linear layer, so there are no classes to answer with.")
    outputs = layers[-1][0].out_features
    layers[-1] = layers[-1][0].model_copy(update={"out_features": 0}), layers[-1][1]
    try:
        config = StackConfig(layers=tuple(layer for layer, _ in layers))
        with torch.device("meta"):
            expected = build(config, input_shape, outputs).state_dict()
    except (ModelError, ValueError) as error:
        raise WeightsRefused(f"{name} can't be described as a stack of layers: {str(error).splitlines()[0][:200]}") from None
    weights = {}
    for layer, (_, tensors) in zip(named(config.layers), layers, strict=True):
        weights |= {f"{layer}.{leaf}": torch.from_numpy(np.ascontiguousarray(values)) for leaf, values in tensors.items()}
    for key, want in expected.items():
        if key.endswith("num_batches_tracked"):
            weights[key] = torch.zeros((), dtype=torch.int64)
        elif key not in weights or weights[key].shape != want.shape:
            raise WeightsRefused(f"{name}: {plain(key)} does not have the shape that its place needs.")
    return config, {key: weights[key] for key in expected}, outputs


def _compared(content: bytes, reading: _Reading, config: StackConfig, weights: dict[str, Tensor], outputs: int,
              input_shape: Shape, name: str) -> str:
    """Whether the stack answers as onnxruntime does with the file, as a line. Raises WeightsRefused where it does not."""
    if find_spec("onnxruntime") is None:
        return "onnxruntime is not installed, so its answers have not been compared with the file's."
    import onnxruntime

    network = build(config, input_shape, outputs).eval()
    network.load_state_dict(weights)
    images = torch.rand(4, *input_shape, generator=torch.Generator().manual_seed(0))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena, options.log_severity_level = False, 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        one = session.get_inputs()[0]
        batch = images if not isinstance(one.shape[0], int) else images[:one.shape[0]]
        its = torch.from_numpy(session.run(None, {one.name: batch.numpy()})[0])
    except MemoryError:
        raise
    except Exception as error:  # onnxruntime's errors have no base of their own
        raise WeightsRefused(f"{name} can't be run by onnxruntime: {plain(str(error), 120).strip('`')}.") from None
    with torch.inference_mode():
        ours = network((batch - _row(reading.mean, 0.0)) / _row(reading.std, 1.0))
    ours = torch.cat([1 - ours.sigmoid(), ours.sigmoid()], 1) if reading.yes_or_no else ours
    if reading.layers and isinstance(reading.layers[-1][0], SoftmaxConfig):
        ours, its = ours.softmax(1), its if float(its.min()) >= 0 else its.exp()
    apart = float((ours - its).abs().max()) if ours.shape == its.shape else float("inf")
    if not apart <= TOLERANCE * max(1.0, float(its.abs().max())):  # NaN is not
        raise WeightsRefused(f"{name} can't be read as a stack of layers: its answers differ from that stack's by up to "
                             f"{apart:.2g}.")
    return f"Its answers are onnxruntime's, to {max(apart, 1e-9):.1g}."


def _row(values: np.ndarray | None, otherwise: float) -> Tensor:
    return torch.full((1, 1, 1), otherwise) if values is None else torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1)
