"""An ONNX file as a stack of layers, where each of its operators is one of ours. Nothing in it is run to find that out.

Format: https://onnx.ai/onnx/operators/. The package onnx is one of requirements-export.txt; where onnxruntime is there too, it is
asked whether the stack answers as the file does.
"""

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn

from core.models import ModelError, StackConfig, build
from core.models.base import Shape
from core.models.layers import FlattenConfig, LinearConfig, Residual, SoftmaxConfig
from core.models.stack import named
from core.weights.file import WeightsRefused, plain
from core.weights.onnx_file import graph_of
from core.weights.onnx_layers import Reading
from core.weights.onnx_walk import walk

TOLERANCE = 1e-3  # of answers, as a share of the largest


@dataclass(frozen=True, eq=False)
class Graph:
    """What a file is. weights: under the stack's names. mean, std: for each channel, where the file normalises; else empty."""

    config: StackConfig
    outputs: int
    weights: dict[str, Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    notes: tuple[str, ...]


def read_onnx(content: bytes, file: str, input_shape: Shape) -> Graph:
    """The stack for images of this shape that answers as the file does. Raises WeightsRefused with one line."""
    name = plain(file)
    if find_spec("onnx") is None:
        raise WeightsRefused(f"{name} is an ONNX file. Reading it needs the package onnx: pip install -r "
                             "requirements-export.txt.")
    graph = graph_of(content, name)
    reading = walk(graph, name, input_shape)
    config, weights, outputs = _stack(reading, name, input_shape)
    notes = [f"It is an ONNX file; its {len(graph.node)} operators are {len(config.layers)} layers of a composed network.",
             _compared(content, reading, config, weights, outputs, input_shape, name)]
    mean, std = (tuple(map(float, values)) if values is not None else () for values in (reading.mean, reading.std))
    if mean:
        notes.append("It normalises its input itself, and its numbers for that are taken.")
    return Graph(config, outputs, weights, mean, std, tuple(notes))


def _stack(reading: Reading, name: str, input_shape: Shape) -> tuple[StackConfig, dict[str, Tensor], int]:
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
            network = build(config, input_shape, outputs)
    except (ModelError, ValueError) as error:
        raise WeightsRefused(f"{name} can't be described as a stack of layers: {str(error).splitlines()[0][:200]}") from None
    around = [one.skip for one in network.children() if isinstance(one, Residual)]
    strides = [int(skip.stride[0]) for skip in around if isinstance(skip, nn.Conv2d)]
    if strides != reading.strides:  # the size alone does not say which pixels it takes
        raise WeightsRefused(f"{name}: a convolution around a block moves further than it must, which no block here does.")
    expected, weights = network.state_dict(), {}
    for layer, (_, tensors) in zip(named(config.layers), layers, strict=True):
        weights |= {f"{layer}.{leaf}": torch.from_numpy(np.ascontiguousarray(values)) for leaf, values in tensors.items()}
    for key, want in expected.items():
        if key.endswith("num_batches_tracked"):
            weights[key] = torch.zeros((), dtype=torch.int64)
        elif key not in weights or weights[key].shape != want.shape:
            raise WeightsRefused(f"{name}: {plain(key)} does not have the shape that its place needs.")
    return config, {key: weights[key] for key in expected}, outputs


def _compared(content: bytes, reading: Reading, config: StackConfig, weights: dict[str, Tensor], outputs: int,
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
