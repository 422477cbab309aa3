"""Layers of torch.nn as code: what makes one, and the function that forward can call in its place."""

import inspect
import re
from typing import Any

import torch
from torch import Tensor, nn

from core.export.forward import ExportError

MARK = re.compile(r"⟦(\w+):(\d+)⟧")  # a number that may become an argument of the class
# How a layer without weights is written where forward uses it: function, and the arguments taken from the layer
FUNCTIONS: dict[type[nn.Module], tuple[str, tuple[str, ...]]] = {
    nn.ReLU: ("F.relu", ()), nn.LeakyReLU: ("F.leaky_relu", ("negative_slope",)), nn.GELU: ("F.gelu", ("approximate",)),
    nn.Sigmoid: ("torch.sigmoid", ()), nn.Tanh: ("torch.tanh", ()), nn.Softmax: ("F.softmax", ("dim",)),
    nn.LogSoftmax: ("F.log_softmax", ("dim",)), nn.Hardswish: ("F.hardswish", ()), nn.Hardsigmoid: ("F.hardsigmoid", ()),
    nn.MaxPool2d: ("F.max_pool2d", ("kernel_size", "stride", "padding", "dilation", "ceil_mode")),
    nn.AvgPool2d: ("F.avg_pool2d", ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")),
    nn.AdaptiveAvgPool2d: ("F.adaptive_avg_pool2d", ("output_size",)), nn.Flatten: ("torch.flatten", ("start_dim", "end_dim")),
}


def arguments(layer: nn.Module) -> list[str]:
    """The constructor's arguments that are not at their defaults, read from the layer's attributes of the same names."""
    written = []
    for parameter in list(inspect.signature(type(layer).__init__).parameters.values())[1:]:
        name = parameter.name
        if name in {"device", "dtype", "inplace", "args", "kwargs", "_weight", "_freeze"}:
            continue
        if not hasattr(layer, name):
            raise ExportError(f"nn.{type(layer).__name__} can't be written: its argument {name} is not kept.")
        value = getattr(layer, name)
        value = value is not None if isinstance(value, Tensor) or (name == "bias" and value is None) else short(value)
        if name == "stride" and parameter.default is None and value == short(layer.kernel_size):
            continue  # a pooling window moves by its own size
        required = parameter.default is inspect.Parameter.empty
        if required or value != short(parameter.default) or name == "p":
            first = required and name != "kernel_size" or name in {"p", "kernel_size"} and not written
            text = f"⟦{name}:{value}⟧" if type(value) is int else literal(value)
            written.append(text if first else f"{name}={text}")
    return written


def short(value: Any) -> Any:
    """(3, 3) → 3."""
    return value[0] if isinstance(value, tuple) and value and len(set(value)) == 1 else value


def literal(value: Any) -> str:
    if value is None or isinstance(value, bool | int | float | str | torch.dtype):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
    raise ExportError(f"An argument of kind {type(value).__name__} can't be written.")


def function_arguments(module: nn.Module, function: str, taken: tuple[str, ...]) -> list[str]:
    """The arguments of a layer's function that are not at the layer's own defaults, or that the function can't do without."""
    defaults = {key: entry.default for key, entry in inspect.signature(type(module).__init__).parameters.items()}
    written = []
    for name in taken:
        value = short(getattr(module, name))
        if name == "dim" and value is None:
            raise ExportError(f"nn.{type(module).__name__} has no dim; give it dim=1.")
        if name == "stride" and value == short(module.kernel_size):
            continue
        usual = name in defaults and value == short(defaults[name])
        if name in {"kernel_size", "output_size", "start_dim"}:
            written.append(literal(value))
        elif not usual or name == "dim":
            written.append(f"{name}={literal(value)}")
    return written
