"""From the operators of an ONNX graph, in their order, to a list of layers with their tensors."""

from collections.abc import Sequence
from typing import Any

from core.models.base import Shape
from core.weights.file import WeightsRefused, plain
from core.weights.onnx_blocks import find_block, residual_of
from core.weights.onnx_file import MOST_NUMBERS, array_of, attributes_of, constant_of
from core.weights.onnx_layers import Reading, add_gelu, add_layer

ASIDE = {"Shape", "Gather", "Unsqueeze", "Concat", "Slice", "Cast", "Squeeze"}  # how exporters work out a new shape


def walk(graph: Any, name: str, input_shape: Shape) -> Reading:
    """All operators of a graph as layers. Raises WeightsRefused for the first that is none of ours."""
    constants = {tensor.name: array_of(tensor, name) for tensor in graph.initializer}
    if sum(values.size for values in constants.values()) > MOST_NUMBERS:
        raise WeightsRefused(f"{name} has more than {MOST_NUMBERS:,} numbers.")
    inputs = [one for one in graph.input if one.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise WeightsRefused(f"{name} takes {len(inputs)} inputs and gives {len(graph.output)} outputs; one of each is read.")
    takes = tuple(dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim)
    if len(takes) != 1 + len(input_shape) or any(its not in (0, our) for its, our in zip(takes[1:], input_shape, strict=True)):
        size, ours = ("×".join(map(str, shape)) for shape in (takes[1:], input_shape))
        raise WeightsRefused(f"{name} takes inputs of {size or 'another form'}; these data are {ours}.")
    reading, nodes = Reading(inputs[0].name, constants, len(input_shape) == 3), []
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = constant_of(attributes_of(node), name)
        else:
            nodes.append(node)
    _take_all(nodes, reading, name)
    if reading.now != graph.output[0].name:
        raise WeightsRefused(f"{name} does not answer with what its last layer gives: its branches are not read.")
    return reading


def _take_all(nodes: list[Any], reading: Reading, name: str) -> None:
    place = 0
    while place < len(nodes):
        place += _take(nodes, place, reading, name)


def _take(nodes: list[Any], place: int, reading: Reading, name: str) -> int:
    """Understand the operator at this place, and those that belong to it. How many they are; a block's are taken out of the list.
    Raises WeightsRefused."""
    node = nodes[place]
    kind, constants = node.op_type, reading.constants
    about = attributes_of(node)
    if kind == "Identity" and node.input[0] in constants:
        constants[node.output[0]] = constants[node.input[0]]
        return 1
    if kind in ASIDE and (node.input[0] in reading.aside or kind == "Shape" or all(
            one in reading.aside or one in constants for one in node.input)):
        reading.aside.add(node.output[0])
        return 1
    if (taken := add_gelu(nodes, place, reading) or _yes_or_no(nodes, place, reading)):
        return taken
    if (block := find_block(nodes[place:], reading.now)) is not None:
        ways = []
        for nodes_of_way, end in block.ways:
            inside = Reading(reading.now, constants, reading.pictures, inside=True, aside=reading.aside)
            _take_all(list(nodes_of_way), inside, name)
            if inside.now != end:
                raise _joins(kind, name)
            ways.append(inside.layers)
        reading.add_residual(residual_of(ways[0], ways[1], name))
        nodes[place:] = [node for node in nodes[place:] if not block.has(node)]
        reading.now = block.join.output[0]
        return 0
    others = [one for one in node.input if one and one != reading.now]
    if reading.now not in node.input or any(one not in constants and one not in reading.aside for one in others):
        raise _joins(kind, name)
    values = [constants.get(one) for one in node.input]
    add_layer(kind, about, values, reading, node, name)
    reading.now = node.output[0]
    return 1


def _yes_or_no(nodes: Sequence[Any], place: int, reading: Reading) -> int:
    """The last operators of our own files of a single answer: σ, 1 − σ, and both side by side; 0 where it is something else."""
    rest = nodes[place:]
    kinds = [node.op_type for node in rest]
    if nodes[place].op_type != "Sigmoid" or nodes[place].input[0] != reading.now or kinds not in (
            ["Sigmoid", "Sub", "Concat"], ["Sigmoid", "Neg", "Add", "Concat"]):
        return 0
    reading.yes_or_no = True
    reading.now = rest[-1].output[0]
    return len(rest)


def _joins(kind: str, name: str) -> WeightsRefused:
    return WeightsRefused(f"{name} is no plain stack of layers: its operator {plain(kind)} joins branches. Save the state_dict "
                          "of the network that it was made from.")
