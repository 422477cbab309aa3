"""How large a tensor expression may get, and shapes worked out before anything is allocated."""

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from core.labs.messages import ExpressionError

MAX_ELEMENTS = 100_000  # of one tensor: 0.8 MB at 8 bytes each
MAX_TOTAL = 1_000_000  # of all tensors that one expression makes
MAX_RANK = 6  # dimensions
MAX_NUMBER = 2**63 - 1  # the largest int64
MAX_PIECES = 64  # of a split
MAX_LIST = 1000  # parts of a list that is repeated

Shape = tuple[int, ...]


def allow(elements: int, rank: int = 0) -> None:
    """Raise ExpressionError where a tensor of that size would be too large."""
    if rank > MAX_RANK:
        raise ExpressionError(f"At most {MAX_RANK} dimensions here, and this would have {rank}.")
    if elements > MAX_ELEMENTS:
        count = f"{elements:,}" if elements < 10**15 else "far too many"
        raise ExpressionError(f"At most {MAX_ELEMENTS:,} elements here, and this would have {count}.")


def allow_shape(shape: Sequence[int]) -> Shape:
    """The shape, where a tensor of it may be made."""
    if any(size > MAX_ELEMENTS for size in shape):  # also beside a 0, where the product would not show it
        allow(max(shape))
    allow(prod(shape), len(shape))
    return tuple(shape)


def sizes(values: Sequence[Any], what: str = "size", smallest: int = 0) -> list[int]:
    """(2, 3) and ((2, 3),) → [2, 3]. Raises ExpressionError for what is not a whole number of at least `smallest`."""
    if len(values) == 1 and isinstance(values[0], list | tuple):
        values = values[0]
    return [whole(value, what, smallest) for value in values]


def whole(value: Any, what: str = "number", smallest: int = -MAX_NUMBER - 1, largest: int = MAX_NUMBER) -> int:
    """An int, also from a tensor of one integer. Raises ExpressionError otherwise."""
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_floating_point() and value.dtype != torch.bool:
        value = int(value.item())
    if isinstance(value, bool) or not isinstance(value, int):
        raise ExpressionError(f"A {what} must be a whole number.")
    if not smallest <= value <= largest:
        raise ExpressionError(f"A {what} of {short(value)} does not work here: use {short(smallest)} to {short(largest)}."
                              if largest < MAX_NUMBER else f"A {what} of {short(value)} does not work here.")
    return value


def short(value: int) -> str:
    """A number for a message, however many digits it has."""
    return str(value) if abs(value) < 10**15 else "a huge number"


def broadcast(*shapes: Iterable[int]) -> Shape:
    """The common shape of several. Raises ExpressionError with the sizes that don't fit.

    Source: https://docs.pytorch.org/docs/stable/notes/broadcasting.html
    """
    result: list[int] = []
    for shape in map(list, shapes):
        before = tuple(result)
        width = max(len(result), len(shape))
        result = [1] * (width - len(result)) + result
        padded = [1] * (width - len(shape)) + shape
        for dim, (ours, theirs) in enumerate(zip(result, padded, strict=True)):
            if ours != theirs and 1 not in (ours, theirs):
                raise ExpressionError(f"Shapes {before} and {tuple(shape)} don't fit: counted from the right, sizes must be "
                                      f"equal or one of them 1, and here {ours} meets {theirs}.")
            result[dim] = theirs if ours == 1 else ours
    return allow_shape(result)


def matmul_shape(a: Shape, b: Shape) -> Shape:
    """Shape of a @ b, with the copies that batches need kept within the limits too. Raises ExpressionError."""
    if not a or not b:
        raise ExpressionError("@ needs tensors with at least one dimension. For a single number use *.")
    left, right = (1, *a) if len(a) == 1 else a, (*b, 1) if len(b) == 1 else b
    if left[-1] != right[-2]:
        raise ExpressionError(f"Shapes {a} and {b} don't fit for @: the first one's columns ({left[-1]}) must be as many as the "
                              f"second one's rows ({right[-2]}). For the element-wise product use *.")
    batch = broadcast(left[:-2], right[:-2])
    allow_shape((*batch, *left[-2:]))
    allow_shape((*batch, *right[-2:]))
    shape = allow_shape((*batch, left[-2], right[-1]))
    return tuple(size for size, drop in zip(shape, [False] * len(batch) + [len(a) == 1, len(b) == 1], strict=True) if not drop)


def check_index(shape: Shape, items: Sequence[Any]) -> None:
    """Raise where x[items] of an x of that shape has too many indices or would be too large.

    items: int, slice, None, ... or a tensor of integers or bools each. The elements that index tensors take together have the
    tensors' common shape; a mask of k dimensions stands for one index tensor, as long as it has True values, in k dimensions.
    """
    if sum(item is Ellipsis for item in items) > 1:
        raise ExpressionError("... may stand once in an index.")
    consumed = sum(_consumes(item) for item in items)
    if consumed > len(shape):
        raise IndexError(f"too many indices for tensor of dimension {len(shape)}" if shape else "invalid index of a 0-dim tensor")
    kept: list[int] = []
    chosen: list[Shape] = []
    dim = 0
    for item in [*items, *([] if any(item is Ellipsis for item in items) else [Ellipsis])]:
        if item is Ellipsis:
            kept += shape[dim:dim + len(shape) - consumed]
            dim += len(shape) - consumed
            continue
        if item is None:
            kept.append(1)
        elif isinstance(item, slice):
            kept.append(len(range(*item.indices(shape[dim]))))
        elif isinstance(item, Tensor):
            mask = item.dtype == torch.bool
            chosen.append((int(item.sum()),) if mask else tuple(item.shape))
        dim += _consumes(item)
    allow_shape((*broadcast(*chosen), *kept))


def _consumes(item: Any) -> int:
    """How many of the tensor's dimensions an index item stands for."""
    if isinstance(item, Tensor) and item.dtype == torch.bool:
        return item.dim()
    return 0 if item is None or item is Ellipsis else 1
