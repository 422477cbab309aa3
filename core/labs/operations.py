"""The tensor operations an expression may use. Each checks its arguments and the result's size before PyTorch sees them."""

from collections.abc import Callable, Mapping
from math import ceil, e, inf, isfinite, nan, pi, prod
from typing import Any

import torch
from torch import Tensor

from core.labs.arguments import as_dims, as_dtype, flag, number, operand, shape_of, tensor, tensor_list
from core.labs.limits import MAX_ELEMENTS, MAX_PIECES, allow, allow_shape, broadcast, matmul_shape, sizes, whole
from core.labs.messages import ExpressionError

Operation = Callable[..., Any]

DTYPES = {name: getattr(torch, name) for name in (
    "float16", "bfloat16", "float32", "float64", "half", "float", "double", "int8", "int16", "int32", "int64", "short", "int",
    "long", "uint8", "bool")}
CONSTANTS = {"pi": pi, "e": e, "inf": inf, "nan": nan, **DTYPES}


# Families

def _unary(function: Operation) -> Operation:
    def operation(x: Any) -> Any:
        return function(tensor(x))
    return operation


def _binary(function: Operation) -> Operation:
    def operation(x: Any, other: Any) -> Any:
        broadcast(tensor(x).shape, shape_of(operand(other)))
        return function(x, other)
    return operation


def _in_place(name: str) -> Operation:
    def operation(x: Any, other: Any) -> Any:
        shape = broadcast(tensor(x).shape, shape_of(operand(other)))
        if shape != x.shape:
            raise ExpressionError(f"In place the shape must stay {tuple(x.shape)}, and the result would have {shape}.")
        return getattr(x, name)(other)
    return operation


def _reduction(function: Operation, typed: bool = False) -> Operation:
    def operation(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        return function(tensor(x)) if dim is None else function(x, as_dims(dim), keepdim=flag(keepdim))

    def with_dtype(x: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
        return operation(tensor(x) if dtype is None else x.to(as_dtype(dtype)), dim, keepdim)
    return with_dtype if typed else operation


def _along(function: Operation) -> Operation:
    def operation(x: Any, dim: Any) -> Any:
        return function(tensor(x), whole(dim, "dimension", -10, 10))
    return operation


def _cast(dtype: torch.dtype) -> Operation:
    return lambda x: tensor(x).to(dtype)


# One by one

def _make(data: Any, dtype: Any = None) -> Tensor:
    """torch.tensor of a number or nested lists of numbers."""
    if isinstance(data, Tensor):
        raise ExpressionError("This is a tensor already. To copy it, use .clone().")
    if isinstance(data, list | tuple):
        _check_numbers(data)
    else:
        number(data)
    return torch.tensor(data, dtype=as_dtype(dtype))


def _check_numbers(data: Any) -> None:
    for value in data:
        if isinstance(value, list | tuple):
            _check_numbers(value)
        elif not isinstance(value, int | float):
            raise ExpressionError("torch.tensor takes numbers and lists of numbers. To put tensors together use torch.stack.")


def _filled(function: Operation) -> Operation:
    return lambda *size, dtype=None: function(allow_shape(sizes(size)), dtype=as_dtype(dtype))


def _full(size: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    return torch.full(allow_shape(sizes([size])), number(fill_value), dtype=as_dtype(dtype))


def _like(function: Operation) -> Operation:
    return lambda x, dtype=None: function(tensor(x), dtype=as_dtype(dtype))


def _full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    return torch.full_like(tensor(x), number(fill_value), dtype=as_dtype(dtype))


def _arange(start: Any, end: Any = None, step: Any = 1, dtype: Any = None) -> Tensor:
    start, end = (0, start) if end is None else (start, end)
    if not all(isfinite(number(value)) for value in (start, end, step)) or step == 0:
        raise ExpressionError("torch.arange needs finite numbers and a step that is not 0.")
    count = (end - start) / step
    allow(ceil(min(count, 10**15)))
    return torch.arange(start, end, step, dtype=as_dtype(dtype))


def _linspace(start: Any, end: Any, steps: Any, dtype: Any = None) -> Tensor:
    allow(whole(steps, "number of steps", 0))
    return torch.linspace(number(start), number(end), steps, dtype=as_dtype(dtype))


def _eye(n: Any, m: Any = None, dtype: Any = None) -> Tensor:
    rows, columns = sizes([(n, n if m is None else m)])
    allow_shape((rows, columns))
    return torch.eye(rows, columns, dtype=as_dtype(dtype))


def _diag(x: Any, diagonal: Any = 0) -> Tensor:
    offset = whole(diagonal, "diagonal", -1000, 1000)
    if tensor(x).dim() == 1:
        allow_shape((len(x) + abs(offset),) * 2)
    return torch.diag(x, offset)


def _triangle(function: Operation) -> Operation:
    return lambda x, diagonal=0: function(tensor(x), whole(diagonal, "diagonal", -1000, 1000))


def _where(condition: Any, x: Any, other: Any) -> Tensor:
    broadcast(tensor(condition).shape, shape_of(operand(x)), shape_of(operand(other)))
    return torch.where(condition, x, other)


def _clamp(x: Any, min: Any = None, max: Any = None) -> Tensor:
    low, high = (None if bound is None else number(bound) for bound in (min, max))
    return torch.clamp(tensor(x), low, high)


def _masked_fill(x: Any, mask: Any, value: Any) -> Tensor:
    broadcast(tensor(x).shape, tensor(mask).shape)
    return x.masked_fill(mask, number(value))


def _masked_select(x: Any, mask: Any) -> Tensor:
    broadcast(tensor(x).shape, tensor(mask).shape)
    return torch.masked_select(x, mask)


def _nonzero(x: Any) -> Tensor:
    allow(tensor(x).numel() * max(1, x.dim()))
    return torch.nonzero(x)


def _extreme(function: Operation, pairwise: Operation) -> Operation:
    def operation(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(dim, Tensor):
            return _binary(pairwise)(x, dim)
        return function(tensor(x)) if dim is None else function(x, whole(dim, "dimension", -10, 10), keepdim=flag(keepdim))
    return operation


def _sort(x: Any, dim: Any = -1, descending: bool = False) -> Any:
    return torch.sort(tensor(x), dim=whole(dim, "dimension", -10, 10), descending=flag(descending))


def _argsort(x: Any, dim: Any = -1, descending: bool = False) -> Any:
    return _sort(x, dim, descending).indices


def _topk(x: Any, k: Any, dim: Any = -1) -> Any:
    return torch.topk(tensor(x), whole(k, "k", 0, MAX_ELEMENTS), dim=whole(dim, "dimension", -10, 10))


def _round(x: Any, decimals: Any = 0) -> Tensor:
    return torch.round(tensor(x), decimals=whole(decimals, "number of decimals", -20, 20))


# Shapes

def _reshape(x: Any, *shape: Any) -> Tensor:
    wanted = sizes(shape, "size", -1)
    allow(0, len(wanted))
    return tensor(x).reshape(wanted)


def _view(x: Any, *shape: Any) -> Tensor:
    wanted = sizes(shape, "size", -1)
    allow(0, len(wanted))
    return tensor(x).view(wanted)


def _expand(x: Any, *size: Any) -> Tensor:
    wanted = sizes(size, "size", -1)
    have = [1] * (len(wanted) - tensor(x).dim()) + list(x.shape)
    allow_shape([there if new == -1 else new for new, there in zip(wanted, have, strict=False)])
    return x.expand(wanted)


def _repeat(x: Any, *repeats: Any) -> Tensor:
    times = sizes(repeats, "number of repeats")
    have = [1] * (len(times) - tensor(x).dim()) + list(x.shape)
    allow_shape([size * n for size, n in zip(have, times, strict=False)])
    allow_shape(times)
    return x.repeat(times)


def _tile(x: Any, *repeats: Any) -> Tensor:
    times = sizes(repeats, "number of repeats")
    return _repeat(x, [1] * (tensor(x).dim() - len(times)) + times)


def _repeat_interleave(x: Any, repeats: Any, dim: Any = None) -> Tensor:
    allow(tensor(x).numel() * whole(repeats, "number of repeats", 0))
    return torch.repeat_interleave(x, repeats, dim=None if dim is None else whole(dim, "dimension", -10, 10))


def _permute(x: Any, *dims: Any) -> Tensor:
    return tensor(x).permute(sizes(dims, "dimension", -10))


def _transpose(x: Any, dim0: Any, dim1: Any) -> Tensor:
    return tensor(x).transpose(whole(dim0, "dimension", -10, 10), whole(dim1, "dimension", -10, 10))


def _flatten(x: Any, start_dim: Any = 0, end_dim: Any = -1) -> Tensor:
    return torch.flatten(tensor(x), whole(start_dim, "dimension", -10, 10), whole(end_dim, "dimension", -10, 10))


def _squeeze(x: Any, dim: Any = None) -> Tensor:
    return tensor(x).squeeze() if dim is None else x.squeeze(as_dims(dim))


def _unsqueeze(x: Any, dim: Any) -> Tensor:
    return tensor(x).unsqueeze(whole(dim, "dimension", -10, 10))


def _flip(x: Any, *dims: Any) -> Tensor:
    return torch.flip(tensor(x), sizes(dims, "dimension", -10))


def _roll(x: Any, shifts: Any, dims: Any = None) -> Tensor:
    return torch.roll(tensor(x), whole(shifts, "shift", -MAX_ELEMENTS, MAX_ELEMENTS), dims=as_dims(dims))


def _join(function: Operation) -> Operation:
    def operation(tensors: Any, dim: Any = 0) -> Tensor:
        parts = tensor_list(tensors)
        allow(sum(part.numel() for part in parts))
        return function(parts, dim=whole(dim, "dimension", -10, 10))
    return operation


def _join_fixed(function: Operation) -> Operation:
    def operation(tensors: Any) -> Tensor:
        parts = tensor_list(tensors)
        allow(sum(part.numel() for part in parts))
        return function(parts)
    return operation


def _pieces(function: Operation, by_size: bool) -> Operation:
    def operation(x: Any, number: Any, dim: Any = 0) -> Any:
        n, along = whole(number, "number", 1), whole(dim, "dimension", -10, 10)
        count = ceil(max(shape_of(tensor(x)), default=1) / n) if by_size else n
        if count > MAX_PIECES:
            raise ExpressionError(f"At most {MAX_PIECES} pieces here.")
        return tuple(function(x, n, dim=along))
    return operation


def _index_select(x: Any, dim: Any, index: Any) -> Tensor:
    along = whole(dim, "dimension", -10, 10)
    if -tensor(x).dim() <= along < x.dim():
        allow(prod(size for d, size in enumerate(x.shape) if d != along % x.dim()) * tensor(index).numel())
    return torch.index_select(x, along, tensor(index))


# Products

def matmul(a: Any, b: Any) -> Tensor:
    matmul_shape(shape_of(tensor(a, "@")), shape_of(tensor(b, "@")))
    return torch.matmul(a, b)


def _product(function: Operation, ranks: tuple[int, int]) -> Operation:
    def operation(x: Any, other: Any) -> Tensor:
        if (tensor(x).dim(), tensor(other).dim()) != ranks:
            raise ExpressionError(f"This product takes tensors with {ranks[0]} and {ranks[1]} dimensions, and these have "
                                  f"{x.dim()} and {other.dim()}. matmul (@) takes all.")
        matmul_shape(shape_of(x), shape_of(other))
        return function(x, other)
    return operation


def _outer(x: Any, other: Any) -> Tensor:
    allow_shape((tensor(x).numel(), tensor(other).numel()))
    return torch.outer(x, other)


# Numbers and properties of a tensor

def _size(x: Any, dim: Any = None) -> Any:
    return tuple(x.shape) if dim is None else x.size(whole(dim, "dimension", -10, 10))


def _to(x: Any, *what: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """x.to(torch.float64), x.to('cpu'), x.to('cpu', torch.float64), x.to(another tensor)."""
    for value in what:
        if isinstance(value, Tensor | torch.device):
            device = value.device if isinstance(value, Tensor) else value
        if not isinstance(value, torch.device):
            dtype = value.dtype if isinstance(value, Tensor) else as_dtype(value)
    if device is not None and not isinstance(device, torch.device):
        raise ExpressionError("A device is written like 'cpu'.")
    if device is not None and device.type != "cpu":
        raise ExpressionError(f"This lab calculates on 'cpu' alone. In a script .to('{device}') works where torch finds such a "
                              "device, and stops with an error elsewhere.")
    return tensor(x).to(dtype=dtype)


def _type(x: Any, dtype: Any) -> Tensor:
    return tensor(x).to(as_dtype(dtype))


def _t_in_place(x: Any) -> Tensor:
    return tensor(x).t_()


def _transposed(x: Tensor) -> Tensor:
    if x.dim() > 2:
        raise ExpressionError(f".T is for matrices, and this tensor has {x.dim()} dimensions. Use .transpose(0, 1) or .mT.")
    return x.T if x.dim() == 2 else x


PROPERTIES: dict[str, Operation | None] = {
    "shape": lambda x: tuple(x.shape), "ndim": Tensor.dim, "dtype": lambda x: x.dtype, "device": lambda x: x.device,
    "T": _transposed,
    "mT": lambda x: x.mT, "values": None, "indices": None,  # the last two: of what sort, topk, max(dim) and min(dim) return
}

UNARY = (
    "abs", "neg", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "square", "sin", "cos", "tan",
    "asin", "acos", "atan", "sinh", "cosh", "tanh", "sigmoid", "relu", "floor", "ceil", "trunc", "frac", "sign",
    "reciprocal", "isnan", "isinf", "isfinite", "logical_not", "bitwise_not", "erf", "clone", "numel")
BINARY = (
    "add", "sub", "mul", "div", "true_divide", "floor_divide", "remainder", "fmod", "pow", "eq", "ne", "lt", "le", "gt",
    "ge", "maximum", "minimum", "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor",
    "atan2", "hypot")
REDUCTIONS = (
    "mean", "std", "var", "all", "any", "amax", "amin", "argmax", "argmin")
IN_PLACE = (
    "add_", "sub_", "mul_", "div_", "pow_", "fill_", "copy_")

BOTH: dict[str, Operation] = {  # as torch.name(x, …) and as x.name(…)
    **{name: _unary(getattr(torch, name)) for name in UNARY},
    **{name: _binary(getattr(torch, name)) for name in BINARY},
    **{name: _reduction(getattr(torch, name)) for name in REDUCTIONS},
    "sum": _reduction(torch.sum, typed=True), "prod": _reduction(torch.prod, typed=True),
    **{name: _along(getattr(torch, name)) for name in ("softmax", "log_softmax", "cumsum", "cumprod", "logsumexp")},
    "max": _extreme(torch.max, torch.maximum), "min": _extreme(torch.min, torch.minimum), "median": _unary(torch.median),
    "norm": _unary(torch.linalg.vector_norm), "trace": _unary(torch.trace), "unique": _unary(torch.unique),
    "equal": _binary(torch.equal), "allclose": _binary(torch.allclose), "sort": _sort, "argsort": _argsort, "topk": _topk,
    "round": _round, "clamp": _clamp, "clip": _clamp, "nonzero": _nonzero, "masked_fill": _masked_fill,
    "masked_select": _masked_select, "reshape": _reshape, "permute": _permute, "transpose": _transpose,
    "t": _unary(torch.t), "flatten": _flatten, "ravel": _unary(torch.ravel), "squeeze": _squeeze, "unsqueeze": _unsqueeze,
    "flip": _flip, "roll": _roll, "tile": _tile, "repeat_interleave": _repeat_interleave, "index_select": _index_select,
    "diag": _diag, "tril": _triangle(torch.tril), "triu": _triangle(torch.triu), "chunk": _pieces(torch.chunk, False),
    "split": _pieces(torch.split, True), "matmul": matmul, "mm": _product(torch.mm, (2, 2)), "mv": _product(torch.mv, (2, 1)),
    "dot": _product(torch.dot, (1, 1)), "bmm": _product(torch.bmm, (3, 3)), "outer": _outer,
}

FUNCTIONS: dict[str, Operation] = BOTH | {
    "tensor": _make, "as_tensor": _make, "zeros": _filled(torch.zeros), "ones": _filled(torch.ones), "full": _full,
    "arange": _arange, "linspace": _linspace, "eye": _eye, "zeros_like": _like(torch.zeros_like), "ones_like": _like(
        torch.ones_like), "full_like": _full_like, "cat": _join(torch.cat), "concat": _join(torch.cat),
    "concatenate": _join(torch.cat), "stack": _join(torch.stack), "hstack": _join_fixed(torch.hstack),
    "vstack": _join_fixed(torch.vstack), "where": _where, "broadcast_to": _expand,
}

# functions whose result torch writes into a tensor that is there, with out=
TAKES_OUT = frozenset({*UNARY, *BINARY, "matmul", "mm", "mv", "dot", "bmm", "outer", "cat", "concat", "concatenate", "stack",
                       "hstack", "vstack", "clamp", "round"} - {"clone", "numel", "isnan", "isinf", "isfinite", "relu"})

METHODS: dict[str, Operation] = BOTH | {name: _in_place(name) for name in IN_PLACE} | {
    "zero_": lambda x: x.zero_(), "view": _view, "repeat": _repeat, "expand": _expand, "contiguous": _unary(Tensor.contiguous),
    "expand_as": lambda x, other: _expand(x, shape_of(tensor(other))), "detach": _unary(Tensor.detach),
    "reshape_as": lambda x, other: _reshape(x, shape_of(tensor(other))),
    "view_as": lambda x, other: _view(x, shape_of(tensor(other))),
    "where": lambda x, condition, other: _where(condition, x, other),
    "size": _size, "dim": _unary(Tensor.dim), "item": _unary(Tensor.item),
    "stride": lambda x: tuple(x.stride()), "is_contiguous": lambda x: x.is_contiguous(), "to": _to, "type": _type,
    "t_": _t_in_place,
    **{name: _cast(dtype) for name, dtype in DTYPES.items() if name in {"float", "double", "half", "int", "long", "short", "bool",
                                                                       "bfloat16"}},
}


def random_functions(seed: int) -> Mapping[str, Operation]:
    """torch.rand and its relatives, drawing from one generator of their own that starts at `seed`."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(function: Operation) -> Operation:
        return lambda *size, dtype=None: function(allow_shape(sizes(size)), dtype=as_dtype(dtype), generator=generator)

    def drawn_like(function: Operation) -> Operation:
        return lambda x, dtype=None: function(tensor(x).shape, dtype=as_dtype(dtype) or x.dtype, generator=generator)

    def randint(low: Any, high: Any, size: Any = None, dtype: Any = None) -> Tensor:
        low, high, size = (0, low, high) if size is None else (low, high, size)
        return torch.randint(whole(low), whole(high), allow_shape(sizes([size])), dtype=as_dtype(dtype), generator=generator)

    def randperm(n: Any) -> Tensor:
        allow(whole(n, "size", 0))
        return torch.randperm(n, generator=generator)

    return {"rand": drawn(torch.rand), "randn": drawn(torch.randn), "rand_like": drawn_like(torch.rand),
            "randn_like": drawn_like(torch.randn), "randint": randint, "randperm": randperm}
