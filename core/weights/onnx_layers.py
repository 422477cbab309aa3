"""ONNX's operators as our layers, one after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose, sqrt
from typing import Any

import numpy as np

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
    ResidualConfig,
    SigmoidConfig,
    SoftmaxConfig,
    TanhConfig,
)
from core.weights.file import WeightsRefused, plain

EPS = 1e-5  # that our batch norm adds to the variance
SIMPLE: dict[str, Callable[[], LayerConfig]] = {"Relu": ReLUConfig, "Sigmoid": SigmoidConfig, "Tanh": TanhConfig}


Pair = tuple[LayerConfig, dict[str, np.ndarray]]  # a layer, its tensors


@dataclass(frozen=True, eq=False)
class ReadBlock:
    """A residual block. tensors: under the names that it gives them. stride: of the convolution around it; 0 where there is
    none."""

    layer: ResidualConfig
    tensors: dict[str, np.ndarray]
    stride: int


@dataclass
class Reading:
    """What has been understood so far. now: the name of what the layers give. pictures: whether that is one. inside: of a block.
    strides: of the convolutions around blocks."""

    now: str
    constants: dict[str, np.ndarray]
    pictures: bool
    inside: bool = False
    strides: list[int] = field(default_factory=list)
    layers: list[Pair] = field(default_factory=list)
    aside: set[str] = field(default_factory=set)
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    yes_or_no: bool = False

    def add(self, layer: LayerConfig, **tensors: np.ndarray | None) -> None:
        self.layers.append((layer, {name: value for name, value in tensors.items() if value is not None}))
        self.pictures &= not isinstance(layer, FlattenConfig)

    def add_residual(self, block: "ReadBlock") -> None:
        self.layers.append((block.layer, block.tensors))
        self.strides += [block.stride] if block.stride else []


def add_layer(kind: str, about: Mapping[str, Any], values: list[np.ndarray | None], reading: Reading, node: Any,
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
                raise unknown(kind, name)
            pool = MaxPool2dConfig if kind == "MaxPool" else AvgPool2dConfig
            reading.add(pool(kernel=kernel, stride=stride, padding=padding))
        case "BatchNormalization" if all(value is not None for value in values[1:5]):
            scale, bias, mean, var = values[1:5]
            assert var is not None
            norm = BatchNorm2dConfig() if reading.pictures else BatchNorm1dConfig()
            reading.add(norm, weight=scale, bias=bias, running_mean=mean,
                        running_var=var + float(about.get("epsilon", EPS)) - EPS)
        case "Gemm" if values[1] is not None and values[1].ndim == 2 and not about.get("transA", 0) and (
                about.get("alpha", 1.0), about.get("beta", 1.0)) == (1.0, 1.0):
            weight = values[1] if about.get("transB", 0) else values[1].T
            bias = values[2].reshape(-1) if len(values) > 2 and values[2] is not None else None
            reading.add(LinearConfig(out_features=weight.shape[0], bias=bias is not None), weight=weight, bias=bias)
        case "MatMul" if len(values) == 2 and values[1] is not None and values[1].ndim == 2:
            reading.add(LinearConfig(out_features=values[1].shape[1], bias=False), weight=values[1].T)
        case _:
            raise unknown(kind, name)


def unknown(kind: str, name: str) -> WeightsRefused:
    """The line for an operator that is none of ours."""
    return WeightsRefused(f"{name} has the operator {plain(kind)} in a form that no layer here has. Save the state_dict of the "
                          "network that it was made from.")


def _arithmetic(kind: str, values: list[np.ndarray | None], reading: Reading, node: Any) -> bool:
    """A number for each channel before the first layer, which normalises, or a bias after a product; False for anything else.
    """
    number = next((value for value in values if value is not None), None)
    if number is None or (kind in ("Sub", "Div") and node.input[0] != reading.now):
        return False
    flat = number.reshape(-1).astype(np.float64)
    if not reading.layers:
        if reading.inside:
            return False
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


def add_gelu(nodes: Sequence[Any], place: int, reading: Reading) -> int:
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
        raise unknown(kind, name)
    return int(sides[0]), int(strides[0]), int(pads[0])
