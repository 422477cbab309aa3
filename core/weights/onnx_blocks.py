"""Residual blocks of an ONNX graph: two ways from one place that an Add joins, one of them straight on or by one 1×1 layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.models.layers import (
    MOST_INSIDE,
    BatchNorm1dConfig,
    BatchNorm2dConfig,
    Conv2dConfig,
    LinearConfig,
    ResidualConfig,
)
from core.models.stack import named
from core.weights.file import WeightsRefused
from core.weights.onnx_layers import EPS, Pair, ReadBlock, unknown

NORMS = (BatchNorm1dConfig, BatchNorm2dConfig)


@dataclass(frozen=True, eq=False)
class Block:
    """join: the Add at its end. ways: for each of what it adds the operators on the way there, and what they end with."""

    join: Any
    ways: tuple[tuple[Sequence[Any], str], tuple[Sequence[Any], str]]

    def has(self, node: Any) -> bool:
        return node is self.join or any(node is one for nodes, _ in self.ways for one in nodes)


def find_block(nodes: Sequence[Any], start: str) -> Block | None:
    """The block that begins at `start`, which is what these operators begin with; None where nothing branches there, or the ways
    do not lie side by side."""
    if sum(start in node.input for node in nodes if node.op_type != "Shape") < 2:
        return None
    derived = {start}
    for place, node in enumerate(nodes):
        if node.op_type == "Add" and len(node.input) == 2 and all(one in derived for one in node.input):
            one, other = (_between(nodes[:place], start, end, derived) for end in node.input)
            apart = not any(a is b for a in one for b in other)
            return Block(node, ((one, node.input[0]), (other, node.input[1]))) if apart else None
        if any(one in derived for one in node.input):
            derived.update(node.output)
    return None


def _between(nodes: Sequence[Any], start: str, end: str, derived: set[str]) -> list[Any]:
    """The operators that lie on the way from `start` to `end`, in their order."""
    wanted, found = {end} - {start}, []
    for node in reversed(nodes):
        if wanted & set(node.output):
            found.append(node)
            wanted |= (set(node.input) & derived) - {start}
    return found[::-1]


def residual_of(one: list[Pair], other: list[Pair], name: str) -> ReadBlock:
    """Two ways as a block of ours. What the way around adds to each channel, its bias or its batch norm's, goes into the last
    layer of the block, which gives the same sums. Raises WeightsRefused where no block of ours is like that."""
    body, around = (one, other) if _is_skip(other) and (len(other) < len(one) or not _is_skip(one)) else (other, one)
    if not body or not _is_skip(around):
        raise unknown("Add", name)
    weight, bias = _folded(around) if around else (None, None)
    if bias is not None and bias.any():
        body = [*body[:-1], _with_bias(body[-1], bias, name)]
    inside = tuple(layer for layer, _ in body if not isinstance(layer, ResidualConfig))
    if len(inside) < len(body) or len(inside) > MOST_INSIDE:
        raise WeightsRefused(f"{name} has a block of more than {MOST_INSIDE} layers, or one with another one inside.")
    layer = ResidualConfig(layers=inside, skip="projection" if around else "identity")
    tensors = {f"body.{key}.{leaf}": values for key, (_, own) in zip(named(layer.layers), body, strict=True)
               for leaf, values in own.items()}
    first = around[0][0] if around else None
    return ReadBlock(layer, tensors | ({"skip.weight": weight} if weight is not None else {}),
                     first.stride if isinstance(first, Conv2dConfig) else 0)


def _is_skip(way: list[Pair]) -> bool:
    """Nothing, or one 1×1 convolution or linear layer, maybe with batch norm."""
    first = way[0][0] if way else None
    alone = isinstance(first, LinearConfig) or (isinstance(first, Conv2dConfig) and (first.kernel, first.padding) == (1, 0))
    return not way or (alone and (len(way) == 1 or (len(way) == 2 and isinstance(way[1][0], NORMS))))


def _folded(around: list[Pair]) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of a convolution or linear layer with what its batch norm does to each channel."""
    tensors = around[0][1]
    weight = tensors["weight"]
    bias = tensors.get("bias", np.zeros(len(weight), np.float32))
    if len(around) == 2:
        norm = around[1][1]
        scale = norm["weight"] / np.sqrt(norm["running_var"] + EPS)
        weight = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
        bias = norm["bias"] + scale * (bias - norm["running_mean"])
    return weight.astype(np.float32), bias.astype(np.float32)


def _with_bias(pair: Pair, bias: np.ndarray, name: str) -> Pair:
    """A layer that adds these numbers to what it gives. Raises WeightsRefused where it can't."""
    layer, tensors = pair
    if isinstance(layer, Conv2dConfig | LinearConfig):
        layer = layer.model_copy(update={"bias": True})
    elif not isinstance(layer, NORMS):
        raise unknown("Add", name)
    if len(tensors.get("bias", bias)) != len(bias):
        raise unknown("Add", name)
    return layer, tensors | {"bias": tensors.get("bias", np.zeros_like(bias)) + bias}
