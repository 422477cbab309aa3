"""Which architecture a state_dict is of, by the names and shapes of its tensors: a file of weights says nothing else."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

import torch
from torch import Tensor, nn

from core.models import ARCHITECTURES, CNNConfig, MLPConfig, ModelConfig, ModelError, SmallResNetConfig, StackConfig, build
from core.models.base import Shape
from core.models.layers import (
    BatchNorm1dConfig,
    BatchNorm2dConfig,
    Conv2dConfig,
    FlattenConfig,
    LayerConfig,
    LinearConfig,
    MaxPool2dConfig,
    ReLUConfig,
)
from core.models.softmax_regression import SoftmaxRegressionConfig

WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "network.")  # DataParallel's, torch.compile's, and usual attributes
COUNTER = "num_batches_tracked"  # batch norm's, which old files lack; it is of no use after training
MOST_STACKED = 8  # convolutions, and linear layers, of a stack
MOST_NAMED = 4  # tensors that an error line names


class Mismatch(ValueError):
    """Weights that no architecture here has; the message is one line that says which names or shapes don't fit."""


@dataclass(frozen=True, eq=False)
class Match:
    """A network that has these weights. weights: under the network's own names. notes: what could not be seen, a line each."""

    config: ModelConfig
    outputs: int
    weights: dict[str, Tensor]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Layer:
    """Tensors whose names begin alike. kind: "conv", "linear", "norm" or "" for none of them."""

    name: str
    kind: str
    tensors: dict[str, Tensor]

    @property
    def weight(self) -> Tensor:
        return self.tensors["weight"]


def match_weights(weights: Mapping[str, Tensor], input_shape: Shape = (1, 28, 28)) -> Match:
    """The network for this input whose weights these are. Raises Mismatch.

    Activations, pooling and dropout leave no trace in a file; the notes say what is taken for granted. Layers may have any
    names where their shapes, in order, are those of an MLP, a CNN or another architecture.
    """
    weights = _unwrapped(dict(weights))
    layers = list(_layers(weights))
    kinds = [layer.kind for layer in layers]
    outputs = _outputs(layers)
    tried = []
    for config in _candidates(layers, kinds, input_shape):
        try:
            expected = _shapes(config, input_shape, outputs)
        except ModelError:
            continue
        renamed = _renamed(expected, weights)
        if renamed is not None:
            notes = list(_notes(config, expected, weights))
            ways = {one.model_dump_json() for one in _stacks(layers, input_shape)} if isinstance(config, StackConfig) else set()
            if others := len(ways - {config.model_dump_json()}):
                notes.append(f"{others} other ways to place pooling and padding have the same shapes: see on test images whether "
                             "this is the right one.")
            return Match(config, outputs, renamed, tuple(notes))
        tried.append((config, expected))
    raise Mismatch(_why(tried, weights, layers, input_shape))


def fitting_stacks(weights: Mapping[str, Tensor], input_shape: Shape) -> list[StackConfig]:
    """Every stack of convolutions and linear layers that has these shapes, the likeliest first; none where there are others."""
    layers = list(_layers(dict(weights)))
    if not {layer.kind for layer in layers} <= {"conv", "linear", "norm"} or not any(layer.kind == "linear" for layer in layers):
        return []
    return list({config.model_dump_json(): config for config in _stacks(layers, input_shape)}.values())


def renamed_for(config: ModelConfig, input_shape: Shape, outputs: int, weights: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The weights under the names of another network; None where they don't fit it. Raises ModelError for one that can't be."""
    return _renamed(_shapes(config, input_shape, outputs), weights)


def _unwrapped(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without a beginning that all names share."""
    for prefix in WRAPPERS:
        if weights and all(name.startswith(prefix) for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def _layers(weights: dict[str, Tensor]) -> Iterator[Layer]:
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in weights.items():
        owner, _, leaf = name.rpartition(".")
        groups.setdefault(owner, {})[leaf] = value
    for owner, tensors in groups.items():
        dimensions = tensors["weight"].dim() if "weight" in tensors else 0
        kind = {4: "conv", 2: "linear", 1: "norm" if "running_mean" in tensors else ""}.get(dimensions, "")
        yield Layer(owner, kind, tensors)


def _outputs(layers: list[Layer]) -> int:
    """Rows of the last linear layer."""
    for layer in reversed(layers):
        if layer.kind == "linear":
            return layer.weight.shape[0]
    raise Mismatch("These weights have no linear layer (a weight of two dimensions), so there are no classes to answer with. "
                   "Save the state_dict of a whole classifier.")


def _candidates(layers: list[Layer], kinds: list[str], input_shape: Shape) -> Iterator[ModelConfig]:
    """Configs that might fit: those that the layers suggest, then every architecture as it comes."""
    linear = [layer for layer in layers if layer.kind == "linear"]
    convolutions = [layer for layer in layers if layer.kind == "conv"]
    if set(kinds) == {"linear"}:
        hidden = tuple(layer.weight.shape[0] for layer in linear[:-1])
        if not hidden:
            yield SoftmaxRegressionConfig()
        elif len(hidden) <= 16 and max(hidden) <= 16384:
            yield MLPConfig(hidden=hidden)
    if convolutions and len(linear) <= 2 and len(convolutions) <= 8 and len(input_shape) == 3:
        yield from _cnns(convolutions, linear, kinds.count("norm"))
    if linear and set(kinds) <= {"conv", "linear", "norm"}:
        yield from _stacks(layers, input_shape)
    if "norm" in kinds and len(convolutions) > 2 and max(layer.weight.shape[0] for layer in convolutions) <= 1024:
        yield from _residual(convolutions)
    for spec in ARCHITECTURES.values():
        if spec.config not in (MLPConfig, CNNConfig, SoftmaxRegressionConfig, StackConfig):
            yield spec.config()


def _cnns(convolutions: list[Layer], linear: list[Layer], norms: int) -> Iterator[CNNConfig]:
    kernels = {tuple(layer.weight.shape[2:]) for layer in convolutions}
    kernel = next(iter(kernels))
    channels = tuple(layer.weight.shape[0] for layer in convolutions)
    width = linear[0].weight.shape[0] if len(linear) == 2 else 0
    if len(kernels) > 1 or kernel[0] != kernel[1] or not 1 <= kernel[0] <= 11 or max(channels) > 2048 or width > 16384:
        return
    for stride, head, pooling, padding in product((1, 2), ("flatten", "global_average"), ("max", "none"), ("half", "none")):
        yield CNNConfig(channels=channels, kernel=kernel[0], fc_width=width, batch_norm=norms > 0, head=head, pooling=pooling,
                        norm_blocks=norms if norms < len(channels) else 0, padding=padding, stride=stride)


def _stacks(layers: list[Layer], input_shape: Shape) -> Iterator[StackConfig]:
    """Convolutions and linear layers one after the other, each with batch norm where the file has one of its width, with 2×2
    pooling wherever the sizes come out: the tutorials' LeNet, TinyVGG, PyTorch's own MNIST example, MLPs with batch norm."""
    convolutions = [layer for layer in layers if layer.kind == "conv"]
    linear = [layer for layer in layers if layer.kind == "linear"]
    normed = _normed(layers)
    if normed is None or len(convolutions) > MOST_STACKED or len(linear) > MOST_STACKED or len(input_shape) != 3 or max(
            layer.weight.shape[0] for layer in (*convolutions, *linear)) > 16384:
        return
    if any(layer.weight.shape[2] != layer.weight.shape[3] or layer.weight.shape[2] > 11 for layer in convolutions):
        return
    for pooled, padded in product(_poolings(len(convolutions)), (False, True)):
        shape, stack = input_shape, []
        for layer, pool in zip(convolutions, pooled, strict=True):
            filters, kernel = layer.weight.shape[0], layer.weight.shape[2]
            padding = kernel // 2 if padded else 0
            stack += [Conv2dConfig(out_channels=filters, kernel=kernel, padding=padding, bias="bias" in layer.tensors)]
            stack += [BatchNorm2dConfig()] if layer.name in normed else []
            stack += [ReLUConfig(), *([MaxPool2dConfig()] if pool else [])]
            sides = [(side + 2 * padding - kernel + 1) // (2 if pool else 1) for side in shape[1:]]
            if min(sides) < 1:
                break
            shape = (filters, *sides)
        else:
            if prod(shape) == linear[0].weight.shape[1]:
                yield StackConfig(layers=(*stack, FlattenConfig(), *_dense(linear, normed)))


def _dense(linear: list[Layer], normed: set[str]) -> Iterator[LayerConfig]:
    for layer in linear[:-1]:
        yield LinearConfig(out_features=layer.weight.shape[0], bias="bias" in layer.tensors)
        if layer.name in normed:
            yield BatchNorm1dConfig()
        yield ReLUConfig()
    yield LinearConfig(out_features=0, bias="bias" in linear[-1].tensors)


def _poolings(count: int) -> list[tuple[bool, ...]]:
    """After which of so many convolutions there may be one, the usual ways first: after each, after the last alone, after every
    second one, then all others."""
    usual = [(True,) * count, (*(False,) * (count - 1), True), tuple(place % 2 == 1 for place in range(count))] if count else []
    return list(dict.fromkeys([*usual, *product((False, True), repeat=count)]))


def _normed(layers: list[Layer]) -> set[str] | None:
    """Names of the layers that a batch norm comes after: the last one before it that has as many outputs, or, where a script
    defines them all at the end, one after the other. None where one fits nowhere."""
    found: set[str] = set()
    whole = [layer for layer in layers if layer.kind in ("conv", "linear")]
    for place, layer in enumerate(layers):
        if layer.kind != "norm":
            continue
        width = layer.weight.shape[0]
        free = [one for one in (*layers[max(0, place - 1):place], *whole) if one.kind in ("conv", "linear") and
                one.weight.shape[0] == width and one.name not in found]
        if not free:
            return None
        found.add(free[0].name)
    return found


def _residual(convolutions: list[Layer]) -> Iterator[SmallResNetConfig]:
    channels = tuple(dict.fromkeys(layer.weight.shape[0] for layer in convolutions))
    if len(channels) <= 6:
        yield from (SmallResNetConfig(channels=channels, blocks=blocks) for blocks in (1, 2, 3, 4))


def _shapes(config: ModelConfig, input_shape: Shape, outputs: int) -> dict[str, Tensor]:
    """A network's state_dict on the meta device: names, shapes and number formats without numbers."""
    with torch.device("meta"):
        network: nn.Module = build(config, input_shape, outputs)
    return network.state_dict()


def _renamed(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The weights under the network's names; None where they don't fit it."""
    if _same(expected, weights):
        return _with_counters(expected, {name: weights[name] for name in expected if name in weights})
    found: dict[str, Tensor] = {}
    # by kind, each in its order: scripts often define batch norm after everything else
    for kind in ("conv", "linear", "norm", ""):
        ours = [layer for layer in _layers(dict(expected)) if layer.kind == kind]
        theirs = [layer for layer in _layers(dict(weights)) if layer.kind == kind]
        if len(ours) != len(theirs):
            return None
        for one, other in zip(ours, theirs, strict=True):
            if not _same(one.tensors, other.tensors):
                return None
            found |= {f"{one.name}.{leaf}": other.tensors[leaf] for leaf in one.tensors if leaf in other.tensors}
    return _with_counters(expected, found)


def _same(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> bool:
    """Whether names and shapes are alike; a counter of batches may be missing."""
    wanted = {name for name in expected if name.rpartition(".")[2] != COUNTER}
    return wanted <= weights.keys() <= expected.keys() and all(weights[name].shape == expected[name].shape for name in weights)


def _with_counters(expected: Mapping[str, Tensor], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """In the network's order and number formats, counters that are missing at 0."""
    return {name: weights[name].to(want.dtype) if name in weights else torch.zeros(want.shape, dtype=want.dtype)
            for name, want in expected.items()}


def _notes(config: ModelConfig, expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> Iterator[str]:
    if isinstance(config, MLPConfig):
        yield "ReLU is taken for the activation between its layers: a file of weights does not say which it was."
    if isinstance(config, CNNConfig):
        pooled = "with 2×2 max pooling" if config.pooling == "max" else "without pooling"
        yield (f"Its shapes fit {pooled}, {'padding' if config.padding == 'half' else 'no padding'} and stride {config.stride}; "
               "ReLU and the order of the layers are taken for granted.")
    if isinstance(config, StackConfig):
        pooled = [str(place) for place, layer in enumerate(_convolved(config), start=1) if layer]
        where = f"with 2×2 max pooling after convolution {' and '.join(pooled)}" if pooled else "without pooling"
        yield f"Its shapes fit {where}; ReLU is taken for the activation." if _convolved(config) else \
            "ReLU is taken for the activation between its layers: a file of weights does not say which it was."
    if not _same(expected, weights):
        yield "Its layers have other names here; they were matched by their shapes, in order."


def _convolved(config: StackConfig) -> list[bool]:
    """For each convolution, whether pooling comes before the next one."""
    found: list[bool] = []
    for layer in config.layers:
        if isinstance(layer, Conv2dConfig):
            found.append(False)
        elif isinstance(layer, MaxPool2dConfig) and found:
            found[-1] = True
    return found


def _why(tried: list[tuple[ModelConfig, dict[str, Tensor]]], weights: Mapping[str, Tensor], layers: list[Layer],
         input_shape: Shape) -> str:
    """The first thing that does not fit, as helpful as can be."""
    size = "×".join(map(str, input_shape))
    first = next((layer for layer in layers if layer.kind in {"conv", "linear"}), None)
    assert first is not None  # there is a last linear layer
    if first.kind == "conv" and first.weight.shape[1] != input_shape[0]:
        return (f"{_plain(first.name)}.weight is for images of {first.weight.shape[1]} channels; these data are {size}, with "
                f"{input_shape[0]}.")
    numbers = 1
    for length in input_shape:
        numbers *= length
    if first.kind == "linear" and first.weight.shape[1] != numbers:
        return f"{_plain(first.name)}.weight takes {first.weight.shape[1]:,} numbers; an image of {size} has {numbers:,}."
    if unknown := [layer.name for layer in layers if not layer.kind]:
        return f"No architecture here has such layers: {_list(unknown)}. Known are convolution, linear and batch norm."
    if not tried:
        return "No architecture here has these shapes: windows of one size, up to 8 convolutions and 2 linear layers after them."
    config, expected = min(tried, key=lambda one: _distance(one[1], weights))
    title = ARCHITECTURES[config.architecture].title
    for name, want in expected.items():
        if name in weights and weights[name].shape != want.shape:
            return (f"Closest is the {title}, but {_plain(name)} is {tuple(weights[name].shape)} and would have to be "
                    f"{tuple(want.shape)}: check the size of the images, padding and pooling.")
    missing, extra = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    return (f"Closest is the {title}; it needs {_list(missing) or 'nothing else'}, and "
            f"the file has {_list(extra) or 'nothing else'}.")


def _distance(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> int:
    """How many tensors differ in name or shape."""
    same = sum(name in weights and weights[name].shape == want.shape for name, want in expected.items())
    return len(expected) + len(weights) - 2 * same


def _list(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(_plain, names[:MOST_NAMED])) + more


def _plain(name: str) -> str:
    """A name from a file, short and without Markdown's signs."""
    return "".join(c if c.isalnum() or c in "._-" else "?" for c in name[:60]) or "?"
