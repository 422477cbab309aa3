"""What the lab Tensors shows: every value comes from PyTorch, taken apart step by step."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.errors import reason
from core.labs.limits import MAX_RANK, allow_shape
from core.labs.messages import ExpressionError, explain

# What can be shown: name → title
CREATIONS = {"data": "from data", "numpy": "from a NumPy array", "like": "like another tensor",
             "random": "random", "constant": "constant"}
DTYPES = ("float32", "float64", "int64", "int32", "uint8", "bool")
JOINS = {"cat": "concatenate (torch.cat)", "stack": "stack (torch.stack)"}
PRODUCTS = {"matrix": "matrix product (a @ b)", "elementwise": "element-wise product (a * b)"}
REDUCTIONS = ("sum", "mean", "max", "min", "prod")
LINKS = {"from_numpy": "t = torch.from_numpy(n)", "numpy": "n = t.numpy()", "tensor": "t = torch.tensor(n)"}


@dataclass(frozen=True)
class Attributes:
    """What a tensor is, beside its values."""

    shape: tuple[int, ...]
    dtype: str  # without "torch."
    device: str
    strides: tuple[int, ...]  # elements to skip in memory for one step along each dimension
    elements: int
    element_bytes: int
    contiguous: bool  # whether walking along rows walks along memory
    memory: tuple[float, ...]  # the elements in the order they lie in memory


@dataclass(frozen=True)
class Cell:
    """One element of a product, and the sum it is."""

    row: int
    column: int
    terms: tuple[tuple[float, float], ...]  # what is multiplied and then added
    value: float

    @property
    def text(self) -> str:
        """1·7 + 2·9 = 25"""
        return " + ".join(f"{plain(a)}·{plain(b)}" for a, b in self.terms) + f" = {plain(self.value)}"


@dataclass(frozen=True)
class Alignment:
    """Two shapes on top of each other after one step of broadcasting, right-aligned; None where there is no size yet."""

    title: str
    text: str
    a: tuple[int | None, ...]
    b: tuple[int | None, ...]
    result: tuple[int | None, ...]
    changed: int | None = None  # the dimension this step looked at
    fails: bool = False


@dataclass(frozen=True)
class Sharing:
    """A tensor and an array before and after one of them was changed."""

    tensor_before: tuple[float, ...]
    array_before: tuple[float, ...]
    tensor_after: tuple[float, ...]
    array_after: tuple[float, ...]
    same_memory: bool


@dataclass(frozen=True)
class Outcome:
    """A result, or the one line that says why there is none."""

    value: Tensor | None = None
    error: str | None = None  # translated for a beginner
    raw: str = ""  # as PyTorch says it


def plain(value: float) -> str:
    """A number as short as it is read: 3, 0.25, -1.5, True."""
    return str(value) if isinstance(value, bool) else f"{value:.4g}"


def create(how: str, rows: int, columns: int, dtype: str = "float32", seed: int = 0) -> Tensor:
    """A (rows, columns) tensor made in one of the CREATIONS' ways."""
    kind = getattr(torch, dtype)
    counting = [[row * columns + column for column in range(columns)] for row in range(rows)]
    if how == "data":
        return torch.tensor(counting, dtype=kind)
    if how == "numpy":
        return torch.from_numpy(np.arange(rows * columns).reshape(rows, columns).astype(dtype))
    if how == "like":
        return torch.ones_like(torch.empty(rows, columns, device="meta"), dtype=kind, device="cpu")
    if how == "random":
        generator = torch.Generator().manual_seed(seed)
        if kind.is_floating_point:
            return torch.rand(rows, columns, dtype=kind, generator=generator)
        return torch.randint(0, 2 if dtype == "bool" else 10, (rows, columns), dtype=kind, generator=generator)
    return torch.full((rows, columns), 7, dtype=kind)


def attributes(tensor: Tensor) -> Attributes:
    """What PyTorch itself says about a tensor."""
    memory = torch.as_strided(tensor, (tensor.numel(),), (1,), tensor.storage_offset())
    return Attributes(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), str(tensor.device), tuple(tensor.stride()),
                      tensor.numel(), tensor.element_size(), tensor.is_contiguous(), tuple(memory.tolist()))


def join(how: str, tensors: Sequence[Tensor], dim: int) -> Outcome:
    """torch.cat or torch.stack, or why it does not work."""
    try:
        return Outcome((torch.cat if how == "cat" else torch.stack)(list(tensors), dim=dim))
    except (RuntimeError, IndexError) as error:
        return Outcome(error=explain(error), raw=reason(error))


def join_operands(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """a (2, 3) holds 1 to 6; b (rows, columns) counts on from 10."""
    return torch.arange(1, 7).reshape(2, 3), torch.arange(10, 10 + rows * columns).reshape(rows, columns)


def product_operands(how: str) -> tuple[Tensor, Tensor]:
    """Two small matrices of whole numbers: (2, 3) and (3, 2), or for the element-wise product both (2, 3)."""
    a = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    return (a, torch.tensor([[7.0, 8], [9, 10], [11, 12]])) if how == "matrix" else (a, torch.tensor([[7.0, 8, 9], [10, 11, 12]]))


def product_cells(how: str, a: Tensor, b: Tensor) -> list[Cell]:
    """Every element of a @ b or a * b, row by row, with what it was made of. Values are PyTorch's."""
    result = a @ b if how == "matrix" else a * b
    cells = []
    for row in range(result.shape[0]):
        for column in range(result.shape[1]):
            pairs = zip(a[row].tolist(), b[:, column].tolist(), strict=True) if how == "matrix" else [
                (a[row, column].item(), b[row, column].item())]
            cells.append(Cell(row, column, tuple(pairs), result[row, column].item()))
    return cells


def read_shape(text: str) -> tuple[int, ...]:
    """"3, 1" or "(3, 1)" → (3, 1); "" is a single number's shape. Raises ExpressionError with one line."""
    inner = text.strip().removeprefix("(").removesuffix(")").strip().rstrip(",")
    parts = [part.strip() for part in inner.replace("×", ",").split(",")] if inner else []
    if not all(part.isascii() and part.isdecimal() and len(part) <= 6 for part in parts):
        raise ExpressionError("A shape is whole numbers with commas between them, for example 3, 1.")
    shape = tuple(map(int, parts))
    if len(shape) > MAX_RANK:
        raise ExpressionError(f"At most {MAX_RANK} dimensions here.")
    return allow_shape(shape)


def broadcast_steps(a: tuple[int, ...], b: tuple[int, ...]) -> list[Alignment]:
    """How two shapes become one: aligned at the right, then dimension by dimension from there, until it is done or fails.

    Source: https://docs.pytorch.org/docs/stable/notes/broadcasting.html
    """
    width = max(len(a), len(b))
    ours: list[int | None] = [None] * (width - len(a)) + list(a)
    theirs: list[int | None] = [None] * (width - len(b)) + list(b)
    result: list[int | None] = [None] * width
    steps = [Alignment("Align", "Write the shapes below each other, starting at the right.", tuple(ours), tuple(theirs),
                       tuple(result))]
    for dim in reversed(range(width)):
        mine, other = ours[dim], theirs[dim]
        have = [size for size in (mine, other) if size is not None]
        if len(have) == 2 and mine != other and 1 not in have:
            steps.append(Alignment("It fails", f"{mine} meets {other}: they differ, and neither is 1. Nothing can be stretched.",
                                   tuple(ours), tuple(theirs), tuple(result), dim, True))
            return steps
        size = have[0] if len(have) == 1 else other if mine == 1 else mine
        if len(have) == 1:
            name = "a" if mine is None else "b"
            text = f"{name} has no dimension here: it is given one of size 1" + (f", stretched to {size}." if size != 1 else ".")
        elif mine == other:
            text = f"{mine} meets {other}: equal, nothing to do."
        else:
            text = f"{mine} meets {other}: {'a' if mine == 1 else 'b'}'s 1 is stretched to {size}, by repeating its values."
        ours[dim] = theirs[dim] = result[dim] = size
        steps.append(Alignment("Compare", text, tuple(ours), tuple(theirs), tuple(result), dim))
    return steps


def add_shapes(a: tuple[int, ...], b: tuple[int, ...]) -> Outcome:
    """What PyTorch makes of counting tensors of these shapes, added; b counts in tens.

    Raises ExpressionError where the sum would be too large.
    """
    one, two = counting(a), counting(b) * 10
    with suppress(RuntimeError):  # the sum itself says it in the words that people meet
        allow_shape(torch.broadcast_shapes(a, b))
    try:
        return Outcome(one + two)
    except RuntimeError as error:
        return Outcome(error=explain(error), raw=reason(error))


def counting(shape: tuple[int, ...]) -> Tensor:
    """0, 1, 2, … in that shape, int64."""
    return torch.arange(int(np.prod(shape, dtype=np.int64))).reshape(shape)


def reduce(tensor: Tensor, how: str, dim: int | None, keepdim: bool) -> Tensor:
    """One of the REDUCTIONS over all elements (dim None) or along one dimension."""
    if dim is None:
        return getattr(tensor, how)()
    result = getattr(tensor, how)(dim=dim, keepdim=keepdim)
    return result if isinstance(result, Tensor) else result.values  # max and min also say where


def take_item(tensor: Tensor) -> Outcome:
    """tensor.item(), or the error that it raises."""
    try:
        return Outcome(torch.tensor(tensor.item()))
    except RuntimeError as error:
        return Outcome(error=explain(error), raw=reason(error))


def share(link: str, side: str, position: int, value: float) -> Sharing:
    """Connect a tensor and an array of five ones in one of the LINKS' ways, then set one element on one side.

    side: "tensor" or "array".
    """
    if link == "numpy":
        tensor = torch.ones(5)
        array = tensor.numpy()
    else:
        array = np.ones(5, dtype=np.float32)
        tensor = torch.from_numpy(array) if link == "from_numpy" else torch.tensor(array)
    before = (tuple(tensor.tolist()), tuple(array.tolist()))
    (tensor if side == "tensor" else array)[position] = value
    return Sharing(*before, tuple(tensor.tolist()), tuple(array.tolist()), tensor.data_ptr() == array.ctypes.data)
