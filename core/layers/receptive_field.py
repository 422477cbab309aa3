"""Which input pixels each position of a tensor depends on, followed operation by operation while a network runs.

For every spatial axis of the input (height, width) each position of a tensor carries the first and the last input pixel
that can change it. A convolution takes the union over its window, an addition the union of its two sides, so branches,
functional calls and padding come out exactly as they are executed. An operation without a rule ends the tracking: what
comes after it has no receptive field, rather than a wrong one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.torch_private import Signature, signature_of

NOWHERE = 1 << 62  # first pixel of a position that sees none, as deep inside padding


@dataclass(frozen=True)
class Axis:
    """One dimension of a tensor that runs along a spatial axis of the input."""

    index: int  # which axis of the input
    first: tuple[int, ...]  # for each position, the first input pixel it depends on
    last: tuple[int, ...]


# For each dimension of a tensor its Axis, or None for batch and channels. CONSTANT: does not depend on the input.
Field = tuple[Axis | None, ...]
CONSTANT: Field = ()


def input_field(shape: tuple[int, ...]) -> Field | None:
    """The field of the input itself. shape: with batch, (N, C, *spatial); None where there is no spatial axis."""
    if len(shape) < 3:
        return None
    axes = tuple(Axis(number, tuple(range(size)), tuple(range(size))) for number, size in enumerate(shape[2:]))
    return (None, None, *axes)


def size_of(field: Field | None) -> int | tuple[int, ...] | None:
    """The receptive field in pixels: an int where all axes agree, else one for each axis. None if undefined.

    It is what the position that sees most can see, so it is never larger than the picture.
    """
    if not field:
        return None
    axes = sorted((axis for axis in field if axis is not None), key=lambda axis: axis.index)
    sizes = tuple(max(max(0, last - first + 1) for first, last in zip(axis.first, axis.last, strict=True)) for axis in axes)
    if not sizes or 0 in sizes:
        return None
    return sizes[0] if len(set(sizes)) == 1 else sizes


class Tracker:
    """Notes which weights are used and, if `follow`, the field of every tensor. Within each_operation(tracker.carry_out).

    Args:
        weights: id of the tensor that stands in for a parameter or buffer → id of that parameter or buffer. The caller
            keeps the stand-ins alive.
        follow: keep fields. All tensors of the run stay referenced, so only for tensors without data (device meta).
    """

    def __init__(self, weights: dict[int, int], follow: bool) -> None:
        self.weights, self.follow = weights, follow
        self.used: set[int] = set()  # ids of parameters and buffers that took part in an operation
        self._fields: dict[int, Field | None] = {}
        self._sharing: dict[int, list[Tensor]] = {}  # storage → the tensors seen on it, which also keeps their ids unique

    def field(self, tensor: Tensor) -> Field | None:
        """None if unknown, and that is the answer for every tensor not seen before."""
        return CONSTANT if id(tensor) in self.weights else self._fields.get(id(tensor))

    def remember(self, tensor: Tensor, field: Field | None) -> None:
        storage = id(tensor.untyped_storage()) if tensor.layout is torch.strided else 0
        self._sharing.setdefault(storage, []).append(tensor)
        self._fields[id(tensor)] = field

    def carry_out(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The operation's result; what it means is noted."""
        inputs = list(tensors_in((args, kwargs)))
        self.used.update(self.weights[id(tensor)] for tensor in inputs if id(tensor) in self.weights)
        before = {id(tensor): self.field(tensor) for tensor in inputs}
        output = func(*args, **kwargs)
        if self.follow:
            self._note(func, args, kwargs, before, output)
        return output

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], before: dict[int, Field | None],
              output: Any) -> None:
        produced = list(tensors_in(output))
        if all(field == CONSTANT for field in before.values()):
            for tensor in produced:
                self.remember(tensor, CONSTANT)
            return
        signature = signature_of(func)
        if signature is None:  # nothing is known of it, nor what else it writes to
            self._fields.clear()
            return
        named = signature.defaults | dict(zip(signature.defaults, args, strict=False)) | kwargs
        field = None
        known = {name: one for name, one in before.items() if one is not None}
        if produced and len(known) == len(before):
            field = _apply(signature.name, torch.Tag.pointwise in func.tags, named, known, produced[0])
        # split returns equal pieces; what else comes second (indices of a pooling, saved statistics) is not followed
        several = signature.name in SPLITS
        for number, tensor in enumerate(produced):
            self.remember(tensor, field if number == 0 or several else None)
        if signature.mutable:
            self._forget_aliases(named, signature, produced, field)

    def _forget_aliases(self, named: dict[str, Any], signature: Signature, produced: list[Tensor], field: Field | None) -> None:
        """After writing in place: other tensors on the same memory are unknown, unless they say the same anyway."""
        written = [named[name] for name in signature.written]
        same = {id(tensor) for tensor in produced[:1]}
        for target in tensors_in(written):
            if target.layout is not torch.strided:
                continue
            for other in self._sharing.get(id(target.untyped_storage()), []):
                if id(other) not in same and self._fields.get(id(other)) != field:
                    self._fields[id(other)] = None


def tensors_in(value: Any) -> Iterable[Tensor]:
    """The tensors in nested lists, tuples and dicts, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)


def _apply(name: str, pointwise: bool, named: dict[str, Any], before: dict[int, Field], output: Tensor) -> Field | None:
    """The field of an operation's first output, or None where there is no rule for it."""
    rule = RULES.get(name)
    if rule is not None:
        first = next(iter(tensors_in(named)))
        field = before[id(first)]
        others = [before[id(tensor)] for tensor in tensors_in(named) if tensor is not first]
        if any(other != CONSTANT for other in others) or not field:  # such as a convolution with computed weights
            return None
        return _checked(rule(field, named, tuple(output.shape)), field, tuple(output.shape))
    if pointwise or name in {"cat", "copy_", "clone", "_to_copy"}:
        inputs = [tensor for tensor in tensors_in(named) if before[id(tensor)] != CONSTANT]
        if name == "copy_":  # what was there before is gone
            inputs = [tensor for tensor in tensors_in(named["src"]) if before[id(tensor)] != CONSTANT]
        if not inputs:
            return None
        if name == "cat" and inputs[0].ndim == output.ndim and before[id(inputs[0])][named["dim"]] is not None:
            return None  # side by side in the picture
        return _union([before[id(tensor)] for tensor in inputs], tuple(output.shape))
    return None


def _checked(new: Field | None, old: Field, shape: tuple[int, ...]) -> Field | None:
    """None if a spatial axis got lost on the way, for such a tensor is no picture any more, or if sizes disagree."""
    if new is None or len(new) != len(shape) or {a.index for a in new if a} != {a.index for a in old if a}:
        return None
    fits = all(axis is None or len(axis.first) == size for axis, size in zip(new, shape, strict=True))
    return new if fits else None


def _union(fields: list[Field], shape: tuple[int, ...]) -> Field | None:
    """Element by element, with broadcasting: each position depends on what either side depends on."""
    result: list[Axis | None] = []
    padded = [(None,) * (len(shape) - len(field)) + field for field in fields]
    for dim, size in enumerate(shape):
        axes = [axis for field in padded if (axis := field[dim]) is not None]
        if not axes:
            result.append(None)
            continue
        if len(axes) < len(padded) or any(axis.index != axes[0].index for axis in axes):
            return None  # two different axes lie over each other
        spans = [(a.first * size if len(a.first) == 1 else a.first, a.last * size if len(a.last) == 1 else a.last)
                 for a in axes]
        if any(len(first) != size for first, _ in spans):
            return None
        result.append(Axis(axes[0].index, tuple(map(min, zip(*(first for first, _ in spans), strict=True))),
                           tuple(map(max, zip(*(last for _, last in spans), strict=True)))))
    return tuple(result)


def _gather(axis: Axis, size: int, taps: Callable[[int], Iterable[int]]) -> Axis:
    """An axis of `size` positions, where position i depends on the old positions taps(i); those outside are padding."""
    first, last = [], []
    for position in range(size):
        inside = [tap for tap in taps(position) if 0 <= tap < len(axis.first)]
        first.append(min((axis.first[tap] for tap in inside), default=NOWHERE))
        last.append(max((axis.last[tap] for tap in inside), default=-1))
    return Axis(axis.index, tuple(first), tuple(last))


Rule = Callable[[Field, dict[str, Any], tuple[int, ...]], Field | None]


def _keep(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    return field


def _per_axis(field: Field, shape: tuple[int, ...], spatial: int,
              taps: Callable[[int, int, int, int], Iterable[int]]) -> Field | None:
    """Map the last `spatial` dimensions by taps(number of the axis, position, size before, size after)."""
    if len(field) != len(shape) or any(field[:-spatial]):
        return None
    mapped: list[Axis | None] = []
    for number, axis in enumerate(field[-spatial:]):
        after = shape[len(shape) - spatial + number]
        if axis is None and after == 1:  # the height of 1 with which 1-D pooling calls the 2-D one; _checked finds lost axes
            mapped.append(None)
        elif axis is None:
            return None
        else:
            before = len(axis.first)
            mapped.append(_gather(axis, after, lambda i, n=number, b=before, a=after: taps(n, i, b, a)))
    return (*field[:-spatial], *mapped)


def _pick(values: Any, number: int, default: int) -> int:
    """An entry of an argument that may be one number for all axes, or empty for the default."""
    if isinstance(values, int):
        return values
    return default if not values else values[number] if len(values) > 1 else values[0]


def _window(named: dict[str, Any], number: int, position: int, kernel: int, default_stride: int) -> Iterable[int]:
    stride = _pick(named.get("stride"), number, default_stride)
    dilation = _pick(named.get("dilation"), number, 1)
    start = position * stride - _pick(named.get("padding"), number, 0)
    return range(start, start + dilation * (kernel - 1) + 1, dilation)


def _convolution(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    kernel = named["weight"].shape[2:]

    def forwards(number: int, position: int, before: int, after: int) -> Iterable[int]:
        return _window(named, number, position, kernel[number], 1)

    def transposed(number: int, position: int, before: int, after: int) -> Iterable[int]:
        stride, dilation = _pick(named["stride"], number, 1), _pick(named["dilation"], number, 1)
        start = position + _pick(named["padding"], number, 0)
        reached = (start - dilation * tap for tap in range(kernel[number]))
        return [place // stride for place in reached if place % stride == 0]

    return _per_axis(field, shape, len(kernel), transposed if named["transposed"] else forwards)


def _pool(spatial: int) -> Rule:
    def rule(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
        def taps(number: int, position: int, before: int, after: int) -> Iterable[int]:
            kernel = _pick(named["kernel_size"], number, 1)
            return _window(named, number, position, kernel, kernel)

        return _per_axis(field, shape, spatial, taps)

    return rule


def _adaptive(spatial: int) -> Rule:
    return lambda field, named, shape: _per_axis(
        field, shape, spatial, lambda n, i, before, after: range(i * before // after, -(-(i + 1) * before // after)))


def _nearest(spatial: int) -> Rule:
    def rule(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
        if any(axis is None or size % len(axis.first)
               for axis, size in zip(field[-spatial:], shape[-spatial:], strict=True)):
            return None  # the scale that was asked for is not the ratio of the sizes
        return _per_axis(field, shape, spatial, lambda n, i, before, after: [i * before // after])

    return rule


def _pad(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    """Zeros around: pad is (last axis before, after, last but one before, …)."""
    before = {len(shape) - 1 - pair: named["pad"][2 * pair] for pair in range(len(named["pad"]) // 2)}

    def shifted(axis: Axis, size: int, by: int) -> Axis:
        return _gather(axis, size, lambda i: [i - by])

    return tuple(axis and shifted(axis, shape[dim], before.get(dim, 0)) for dim, axis in enumerate(field))


def _mirror(spatial: int, reflect: bool) -> Rule:
    def rule(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
        def taps(number: int, position: int, before: int, after: int) -> Iterable[int]:
            place = position - named["padding"][2 * (spatial - 1 - number)]
            if reflect:
                return [-place if place < 0 else 2 * (before - 1) - place if place >= before else place]
            return [min(max(place, 0), before - 1)]

        return _per_axis(field, shape, spatial, taps)

    return rule


def _spread(field: Field, dims: Iterable[int], keep: bool) -> Field:
    """Along `dims` every position depends on all of them; with keep=False only one position is left."""
    result = list(field)
    for dim in dims:
        axis = field[dim]
        if axis is not None:
            size = len(axis.first) if keep else 1
            result[dim] = Axis(axis.index, (min(axis.first),) * size, (max(axis.last),) * size)
    return tuple(result)


def _mean(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    dims = named.get("dim")
    if dims is None or not named.get("keepdim"):
        return None
    return _spread(field, [dims] if isinstance(dims, int) else dims, keep=False)


def _batch_norm(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    return None if named.get("training") else field  # in training each pixel depends on the whole batch


def _view(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    """Dimensions that stay at the front or at the back keep their positions; a spatial axis in between is lost."""
    old = tuple(len(axis.first) if axis else size for axis, size in zip(field, named["self"].shape, strict=True))
    front = back = 0
    while front < min(len(old), len(shape)) and old[front] == shape[front]:
        front += 1
    while back < min(len(old), len(shape)) - front and old[-1 - back] == shape[-1 - back]:
        back += 1
    middle = (None,) * (len(shape) - front - back)
    return (*field[:front], *middle, *field[len(field) - back:])


def _permute(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    return tuple(field[dim] for dim in named["dims"])


def _transpose(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    result = list(field)
    one, other = named["dim0"], named["dim1"]
    result[one], result[other] = field[other], field[one]
    return tuple(result)


def _unsqueeze(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    dim = named["dim"] % len(shape)
    return (*field[:dim], None, *field[dim:])


def _squeeze(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    size = named["self"].shape
    dims = named.get("dim", range(len(field)))
    gone = {dim % len(field) for dim in ([dims] if isinstance(dims, int) else dims) if size[dim] == 1}
    return tuple(axis for dim, axis in enumerate(field) if dim not in gone)


def _slice(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    dim = named["dim"] % len(field)
    axis = field[dim]
    if axis is None:
        return field
    places = range(len(axis.first))[slice(named["start"], named["end"], named["step"])]
    return (*field[:dim], _gather(axis, shape[dim], lambda i: [places[i]]), *field[dim + 1:])


def _select(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    dim = named["dim"] % len(field)
    return (*field[:dim], *field[dim + 1:])


def _split(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    return field if field[named["dim"]] is None else None


def _expand(field: Field, named: dict[str, Any], shape: tuple[int, ...]) -> Field | None:
    return _union([field], shape)


SPLITS = {"split", "split_with_sizes", "chunk"}
RULES: dict[str, Rule] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": _pool(2), "max_pool3d_with_indices": _pool(3), "avg_pool2d": _pool(2), "avg_pool3d": _pool(3),
    "_adaptive_avg_pool2d": _adaptive(2), "_adaptive_avg_pool3d": _adaptive(3), "adaptive_max_pool2d": _adaptive(2),
    "adaptive_max_pool3d": _adaptive(3), "upsample_nearest1d": _nearest(1), "upsample_nearest2d": _nearest(2),
    "constant_pad_nd": _pad, "reflection_pad1d": _mirror(1, True), "reflection_pad2d": _mirror(2, True),
    "replication_pad1d": _mirror(1, False), "replication_pad2d": _mirror(2, False),
    "mean": _mean, "sum": _mean, "amax": _mean,
    "native_batch_norm": _batch_norm, "_native_batch_norm_legit_no_training": _keep, "cudnn_batch_norm": _batch_norm,
    "native_group_norm": lambda field, named, shape: _spread(field, range(len(field)), keep=True),
    "native_layer_norm": lambda field, named, shape: _spread(field, range(-len(named["normalized_shape"]), 0), keep=True),
    "_softmax": lambda field, named, shape: _spread(field, [named["dim"]], keep=True),
    "_log_softmax": lambda field, named, shape: _spread(field, [named["dim"]], keep=True),
    "view": _view, "_unsafe_view": _view, "permute": _permute, "transpose": _transpose, "unsqueeze": _unsqueeze,
    "squeeze": _squeeze, "slice": _slice, "select": _select, "split": _split, "split_with_sizes": _split, "chunk": _split,
    "expand": _expand, "detach": _keep, "alias": _keep,
}
