"""What operations take: each check returns the argument as PyTorch wants it, or raises ExpressionError with one line."""

from typing import Any

import torch
from torch import Tensor

from core.labs.limits import MAX_LIST, sizes, whole
from core.labs.messages import ExpressionError


def tensor(value: Any, what: str = "This operation") -> Tensor:
    if not isinstance(value, Tensor):
        raise ExpressionError(f"{what} needs a tensor. Make one with torch.tensor(…).")
    return value


def operand(value: Any) -> Any:
    """A tensor or a number."""
    if not isinstance(value, Tensor | int | float):
        kind = {list: "A list", tuple: "A tuple", torch.dtype: "A dtype", type(None): "None", slice: "A slice",
                torch.device: "A device"}.get(type(value))
        raise ExpressionError(f"{kind or 'This'} can't be calculated with. Make a tensor of it first: torch.tensor([1, 2]) * 2.")
    return value


def number(value: Any) -> Any:
    if not isinstance(value, int | float):
        raise ExpressionError("A plain number is needed here.")
    return value


def as_dtype(value: Any) -> torch.dtype | None:
    if value is not None and not isinstance(value, torch.dtype):
        raise ExpressionError("dtype must be one like torch.float32 or torch.int64.")
    return value


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError("True or False is needed here.")
    return value


def as_dims(value: Any) -> Any:
    """None, a dimension, or a tuple of dimensions."""
    if value is None:
        return None
    return tuple(sizes([value], "dimension", -10)) if isinstance(value, list | tuple) else whole(value, "dimension", -10, 10)


def tensor_list(values: Any) -> list[Tensor]:
    if not isinstance(values, list | tuple) or not values:
        raise ExpressionError("A list of tensors is needed here, for example [x, x].")
    return [tensor(value, "Joining") for value in values]


def shape_of(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def write_out(result: Tensor, out: Any) -> Tensor:
    """`out`, now with the result's values: what torch does with out=, which also wants the shape to be right."""
    if tensor(out, "out=").shape != result.shape:
        raise ExpressionError(f"out= needs a tensor of the result's shape {tuple(result.shape)}, and this one is "
                              f"{tuple(out.shape)}.")
    if not torch.can_cast(result.dtype, out.dtype):
        kinds = [str(kind).removeprefix("torch.") for kind in (result.dtype, out.dtype)]
        raise ExpressionError(f"The result is {kinds[0]}, which a tensor of {kinds[1]} can't hold; see its dtype.")
    return out.copy_(result)


def list_and_count(a: Any, b: Any) -> tuple[Any, Any] | None:
    """The list, and what it is to be multiplied with, whichever comes first; None where it is no list times a number."""
    lists = [isinstance(value, list | tuple) for value in (a, b)]
    if sum(lists) != 1 or isinstance(a, Tensor) or isinstance(b, Tensor):
        return None
    return (a, b) if lists[0] else (b, a)


def repeated(values: Any, times: Any) -> Any:
    """[x] * 3: a list as often as wanted, as Python has it. Raises ExpressionError where it would get long."""
    count = max(0, whole(times, "number of repeats"))
    if count * _parts(values) > MAX_LIST:
        raise ExpressionError(f"A repeated list has at most {MAX_LIST:,} parts here.")
    return values * count


def _parts(values: Any) -> int:
    """Everything in a list, lists within it included."""
    return 1 + sum(map(_parts, values)) if isinstance(values, list | tuple) else 1
