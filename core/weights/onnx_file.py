"""What an ONNX file says, within bounds: its graph, and its tensors as arrays. Nothing in it is run, no other file is read.

Format: https://onnx.ai/onnx/operators/. The package onnx is one of requirements-export.txt.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.weights.file import WeightsRefused, plain

MOST_NODES = 2000
MOST_NUMBERS = 20_000_000  # of all tensors together


def looks_like_onnx(content: bytes) -> bool:
    """Whether the first bytes are those of a ModelProto with a version, a maker and a graph."""
    return content[:1] == b"\x08" and b"\x12" in content[:4] and b"\x3a" in content[:200]


def graph_of(content: bytes, name: str) -> Any:
    """The graph of a file. Raises WeightsRefused."""
    import onnx

    try:
        model = onnx.load_from_string(content)
    except Exception:  # protobuf's own errors
        raise WeightsRefused(f"{name} is a damaged ONNX file. Save or download it again.") from None
    if len(model.graph.node) > MOST_NODES or model.functions:
        raise WeightsRefused(f"{name} has {len(model.graph.node):,} operators or functions of its own; a stack of layers has "
                             f"fewer than {MOST_NODES:,} and none.")
    return model.graph


def array_of(tensor: Any, name: str) -> np.ndarray:
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


def attributes_of(node: Any) -> dict[str, Any]:
    """An operator's settings by name."""
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def constant_of(about: Mapping[str, Any], name: str) -> np.ndarray:
    """The value of an operator Constant with these settings."""
    if "value" in about:
        return array_of(about["value"], name)
    kinds = ("value_float", "value_int", "value_floats", "value_ints")
    return np.asarray(next((about[kind] for kind in kinds if kind in about), 0))
