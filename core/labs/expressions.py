"""Tensor expressions that a person types, evaluated safely: parsed, checked against a list of what is allowed, never run as code.

Python's parser makes a tree of the text; this module walks it and knows what each kind of node means. What it does not know is
refused, so that an expression reaches numbers, lists, the lab's tensors and the operations of core.labs.operations, and nothing
else of Python. Sizes are worked out before anything is allocated.
"""

import ast
import difflib
import inspect
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.labs import operations
from core.labs.arguments import list_and_count, operand, repeated, shape_of, write_out
from core.labs.limits import MAX_NUMBER, MAX_TOTAL, allow, broadcast, check_index, short, whole
from core.labs.messages import ExpressionError, explain
from core.labs.operations import CONSTANTS, FUNCTIONS, METHODS, PROPERTIES, TAKES_OUT, random_functions

MAX_TEXT = 300  # characters
MAX_NODES = 250  # of the parsed tree
MAX_DEPTH = 30  # of the parsed tree

NO_TEXT = "Text does not work here, except for the name of a device as in x.to('cpu'). A dtype is written torch.float32."

# What PyTorch and Python raise for operations that don't work on these values
REFUSED = (RuntimeError, ValueError, TypeError, IndexError, ArithmeticError, MemoryError, NotImplementedError)

ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow, ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
COMPARISONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

# One line for the constructs that people try and that are not part of this
HINTS: dict[type, str] = {
    ast.BoolOp: "Use & and | with parentheses around each comparison, for example (x > 1) & (x < 5).",
    ast.IfExp: "if … else does not choose element by element. Use torch.where(condition, a, b).",
    ast.Lambda: "Functions can't be defined here, only used.",
    ast.ListComp: "Loops don't work here, and tensors don't need them: x * 2 doubles every element.",
    ast.GeneratorExp: "Loops don't work here, and tensors don't need them: x * 2 doubles every element.",
    ast.NamedExpr: "Names can't be given here. Type one expression.",
    ast.Dict: "Dictionaries don't work here. Use lists of numbers.",
    ast.Set: "Sets don't work here. Use lists of numbers.",
    ast.JoinedStr: NO_TEXT,
    ast.Starred: "The star before a list does not work here.",
}


@dataclass(frozen=True)
class Selection:
    """What an index takes from a tensor."""

    result: Tensor  # the elements
    taken: Tensor  # (tensor's shape) bool: which cells they come from


def lab_variables() -> dict[str, Tensor]:
    """The tensors that expressions may name: x (3, 4) integers 0 to 11, a (2, 3), b (3, 2) and v (3,) float32."""
    return {"x": torch.arange(12).reshape(3, 4), "a": torch.tensor([[1.0, 2, 3], [4, 5, 6]]),
            "b": torch.tensor([[1.0, 0], [0, 1], [2, -1]]), "v": torch.tensor([1.0, 10, 100])}


def evaluate_expression(text: str, variables: Mapping[str, Tensor] | None = None, seed: int = 0) -> Tensor:
    """The value of a tensor expression such as "x[:, 1:] * 2" or "torch.cat([x, x]).sum(dim=0)".

    variables: what may be named, lab_variables() by default; they are not changed. seed: of torch.rand and its relatives.
    A result that is a number, or numbers in a list, comes back as a tensor. Raises ExpressionError with one line.
    """
    value = evaluate(text, variables, seed)
    if not isinstance(value, Tensor):
        raise ExpressionError("The result is not a tensor. An expression ends in a tensor or a number.")
    return value


def evaluate(text: str, variables: Mapping[str, Tensor] | None = None, seed: int = 0) -> Tensor | torch.dtype | torch.device:
    """As evaluate_expression; an expression such as "x.dtype" or "x.device" gives what it says of a tensor."""
    value = _Walk(lab_variables() if variables is None else variables, seed).run(_parse(text))
    return value if isinstance(value, torch.dtype | torch.device) else _as_tensor(value)


def evaluate_index(text: str, tensor: Tensor) -> Selection:
    """What x[text] takes from x, where x is `tensor`: "0", "1:, ::2", "x > 3", "[0, 2]". "x[…]" whole is understood too.

    Raises ExpressionError with one line.
    """
    if not isinstance(text, str):
        raise ExpressionError("An index is written as text.")
    inner = text.strip()
    if not inner:
        raise ExpressionError("Type an index, for example 0 or 1:, ::2.")
    tree = _parse(inner if inner.startswith("x[") and inner.endswith("]") else f"x[{inner}]")
    if not (isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Name) and tree.value.id == "x"):
        raise ExpressionError("Type one index, as it stands between x[ and ].")
    result = _as_tensor(_Walk({"x": tensor}, 0).run(tree))
    places = torch.arange(tensor.numel()).reshape(tensor.shape)
    walk = _Walk({"x": tensor}, 0)
    where = walk.take(places, walk.visit(tree.slice))
    taken = torch.zeros(tensor.numel(), dtype=torch.bool)
    taken[where.reshape(-1)] = True
    return Selection(result, taken.reshape(tensor.shape))


def _parse(text: str) -> ast.expr:
    """The text's tree, no longer and no deeper than allowed. Raises ExpressionError."""
    if not isinstance(text, str):
        raise ExpressionError("An expression is written as text.")
    text = text.strip()
    if not text:
        raise ExpressionError("Type an expression, for example x + 1.")
    if len(text) > MAX_TEXT:
        raise ExpressionError(f"An expression has at most {MAX_TEXT} characters, and this one has {len(text)}.")
    if odd := next((char for char in text if not " " <= char <= "~" and char not in "\n\t"), None):
        shown = f" “{odd}”" if odd.isprintable() else ""
        raise ExpressionError(f"The character{shown} is not part of the language. Use plain letters, digits and signs.")
    if "\\" in text:
        raise ExpressionError(NO_TEXT)
    if re.search(r"\d(?:and|else|for|if|in|is|not|or)\b", text):  # Python's parser would warn on the server's console
        raise ExpressionError("Put a space between a number and a word.")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ExpressionError(_syntax(text, error)) from None
    level, nodes, depth = [tree], 0, 0
    while level:  # level by level, without recursion
        nodes, depth = nodes + len(level), depth + 1
        if nodes > MAX_NODES or depth > MAX_DEPTH:
            raise ExpressionError("This expression is too long or too deeply nested. Try it in smaller steps.")
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return tree


def _syntax(text: str, error: Exception) -> str:
    if not isinstance(error, SyntaxError) or "nested" in str(error.msg):
        return "This can't be read as an expression."
    pairs = [text.count(left) - text.count(right) for left, right in ("()", "[]")]
    if any(pairs):
        return "A bracket is missing: every ( needs its ), every [ its ]."
    if any(text.startswith(word) for word in ("import ", "from ", "def ", "class ", "for ", "while ", "with ", "del ", "print ")):
        return "Only one expression works here, for example x.sum(dim=0), and no statements."
    if "=" in text.replace("==", ""):
        return "This can't be read. Give no names with =; to compare, use ==."
    return f"This can't be read as an expression; look near position {error.offset or 1}."


def _as_tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, tuple) and any(isinstance(part, Tensor) for part in value):
        raise ExpressionError("This gives several tensors. Take one of them, with [0] or, where they have names, .values.")
    if isinstance(value, int | float | list | tuple):
        try:
            return FUNCTIONS["tensor"](value)
        except REFUSED as error:
            raise _one_line(error) from None
    raise ExpressionError("The result is not a tensor. An expression ends in a tensor or a number.")


def _one_line(error: Exception) -> ExpressionError:
    return error if isinstance(error, ExpressionError) else ExpressionError(explain(error))


def _close(name: str, names: Mapping[str, Any], before: str) -> str:
    near = difflib.get_close_matches(name, list(names), 1)
    return f" Did you mean {before}{near[0]}?" if near else ""


class _Walk:
    """One evaluation: its variables, its random numbers, and how many elements it has made so far."""

    def __init__(self, variables: Mapping[str, Tensor], seed: int) -> None:
        self.variables = {name: value.detach().clone() for name, value in variables.items()}
        self.functions = {**FUNCTIONS, **random_functions(seed)}
        self.made = 0

    def run(self, tree: ast.expr) -> Any:
        try:
            return self.visit(tree)
        except REFUSED as error:
            raise _one_line(error) from None

    def visit(self, node: ast.expr) -> Any:
        """The value of a node: a tensor, a number, None, a slice, a dtype, or a list or tuple of these."""
        visitor = self.VISITORS.get(type(node))
        if visitor is None:
            raise ExpressionError(HINTS.get(type(node), "This part of Python does not work here: use numbers and tensors."))
        value = visitor(self, node)
        if isinstance(value, Tensor):
            allow(value.numel(), value.dim())
            self.made += value.numel()
            if self.made > MAX_TOTAL:
                raise ExpressionError(f"Together at most {MAX_TOTAL:,} elements here. Try smaller tensors.")
        elif isinstance(value, complex):
            raise ExpressionError("Complex numbers don't work here.")
        elif isinstance(value, int) and abs(value) > MAX_NUMBER:
            raise ExpressionError("This number is too large: integers go up to 2**63 - 1.")
        return value

    def constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, str) and re.fullmatch(r"(cpu|cuda|mps|xpu)(:\d)?", node.value):
            return torch.device(node.value)
        if isinstance(node.value, str | bytes):
            raise ExpressionError(NO_TEXT)
        return node.value

    def name(self, node: ast.Name) -> Any:
        if node.id in self.variables:
            return self.variables[node.id]
        if node.id == "torch":
            raise ExpressionError("torch alone is no value. Use something of it, for example torch.ones(2, 3).")
        if node.id in {"np", "numpy"}:
            raise ExpressionError("NumPy is not here, only PyTorch: torch.ones(2, 3), torch.tensor([1, 2]).")
        known = ", ".join(self.variables)
        hint = f" Did you mean torch.{node.id}?" if node.id in self.functions else f" There are {known} and torch."
        raise ExpressionError(f"There is no “{node.id[:30]}” here.{hint}")

    def sequence(self, node: ast.List | ast.Tuple) -> Any:
        values = [self.visit(child) for child in node.elts]
        return values if isinstance(node, ast.List) else tuple(values)

    def attribute(self, node: ast.Attribute) -> Any:
        name = node.attr
        if isinstance(node.value, ast.Name) and node.value.id == "torch" and "torch" not in self.variables:
            if name in CONSTANTS:
                return CONSTANTS[name]
            if name in self.functions:
                raise ExpressionError(f"torch.{name} is a function: put its arguments in brackets behind it.")
            raise ExpressionError(f"torch.{name[:30]} does not work here.{_close(name, self.functions, 'torch.')}")
        value = self.visit(node.value)
        if isinstance(value, tuple) and name in {"values", "indices"} and len(value) == 2 and hasattr(value, "values"):
            return value[("values", "indices").index(name)]
        if isinstance(value, Tensor) and (read := PROPERTIES.get(name)):
            return read(value)
        if isinstance(value, Tensor) and name in METHODS:
            raise ExpressionError(f".{name} is a method: put brackets behind it, .{name}().")
        raise self.unknown(value, name)

    def unknown(self, value: Any, name: str) -> ExpressionError:
        if not isinstance(value, Tensor):
            return ExpressionError(f"Only tensors have something like .{name[:30]}, and this is none.")
        return ExpressionError(f".{name[:30]} does not work here.{_close(name, METHODS, '.')}")

    def call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Attribute):
            raise ExpressionError("Call functions of torch and methods of tensors, for example torch.ones(2, 3) or x.sum().")
        name, first = node.func.attr, []
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "torch" and "torch" not in self.variables:
            known, before = self.functions, "torch."
            if name not in known:
                raise ExpressionError(f"torch.{name[:30]} does not work here.{_close(name, known, before)}")
        else:
            known, before = METHODS, "."
            value = self.visit(node.func.value)
            if not isinstance(value, Tensor) or name not in known:
                raise self.unknown(value, name)
            first = [value]
        if any(keyword.arg is None for keyword in node.keywords):
            raise ExpressionError("Stars before arguments don't work here.")
        arguments = first + [self.visit(child) for child in node.args]
        named = {str(keyword.arg): self.visit(keyword.value) for keyword in node.keywords}
        into = named.pop("out") if before == "torch." and name in TAKES_OUT and "out" in named else None
        try:
            inspect.signature(known[name]).bind(*arguments, **named)
        except TypeError as error:
            raise ExpressionError(f"{before}{name} can't be called like this here: {error}.") from None
        result = known[name](*arguments, **named)
        return result if into is None else write_out(result, into)

    def binary(self, node: ast.BinOp) -> Any:
        if isinstance(node.op, ast.BitXor):
            raise ExpressionError("^ is not “to the power of” in Python. Use **.")
        if not isinstance(node.op, (ast.MatMult, *ARITHMETIC)):
            raise ExpressionError("This operator does not work here: use + - * / // % ** @ & |.")
        a, b = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.MatMult):
            return operations.matmul(a, b)
        if isinstance(node.op, ast.Mult) and (pair := list_and_count(a, b)):
            return repeated(*pair)
        broadcast(shape_of(operand(a)), shape_of(operand(b)))
        integers = isinstance(node.op, ast.Pow) and isinstance(a, int) and isinstance(b, int)
        if integers and a not in (-1, 0, 1) and abs(a).bit_length() * b > 127:  # known before it is calculated
            raise ExpressionError(f"{short(a)} to the power of {short(b)} is too large.")
        return ARITHMETIC[type(node.op)](a, b)

    def unary(self, node: ast.UnaryOp) -> Any:
        value = self.visit(node.operand)
        if isinstance(node.op, ast.Not):
            raise ExpressionError("Use ~ for “not”, for example ~(x > 3).")
        operand(value)
        if isinstance(node.op, ast.Invert):
            return ~value if isinstance(value, Tensor) else ~int(value)
        return -value if isinstance(node.op, ast.USub) else +value

    def comparison(self, node: ast.Compare) -> Any:
        if len(node.ops) > 1:
            raise ExpressionError("Compare in two steps: (1 < x) & (x < 5).")
        if type(node.ops[0]) not in COMPARISONS:
            raise ExpressionError("Compare with ==, !=, <, <=, > or >=.")
        a, b = operand(self.visit(node.left)), operand(self.visit(node.comparators[0]))
        broadcast(shape_of(a), shape_of(b))
        return COMPARISONS[type(node.ops[0])](a, b)

    def slice(self, node: ast.Slice) -> slice:
        parts = [None if part is None else self.visit(part) for part in (node.lower, node.upper, node.step)]
        start, stop, step = [None if part is None else whole(part, "slice bound") for part in parts]
        if step is not None and step < 1:
            raise ExpressionError("A slice's step must be 1 or more in PyTorch. To reverse, use x.flip(0).")
        return slice(start, stop, step)

    def subscript(self, node: ast.Subscript) -> Any:
        value, index = self.visit(node.value), self.visit(node.slice)
        if isinstance(value, Tensor):
            return self.take(value, index)
        if isinstance(value, list | tuple):
            return value[index if isinstance(index, slice) else whole(index, "position")]
        raise ExpressionError("Only tensors and lists can be indexed.")

    def take(self, value: Tensor, index: Any) -> Tensor:
        """value[index], the result's size worked out before."""
        items = [self.index_item(item) for item in (index if isinstance(index, tuple) else (index,))]
        check_index(tuple(value.shape), items)
        return value[tuple(items)]

    def index_item(self, item: Any) -> Any:
        """An int, slice, None, … or tensor; lists become tensors."""
        if isinstance(item, list):
            if not all(isinstance(part, int) for part in item):
                raise ExpressionError("A list in an index holds whole numbers or True and False.")
            item = torch.tensor(item) if item else torch.tensor([], dtype=torch.int64)
        if isinstance(item, Tensor):
            if item.is_floating_point():
                raise ExpressionError("An index must be whole numbers or True and False, and this tensor holds "
                                      f"{str(item.dtype).removeprefix('torch.')}. Convert it first: .long().")
            return item
        if item is None or item is Ellipsis or isinstance(item, slice):
            return item
        return whole(item, "position")

    VISITORS: dict[type, Callable[..., Any]] = {
        ast.Constant: constant, ast.Name: name, ast.List: sequence, ast.Tuple: sequence, ast.Attribute: attribute,
        ast.Call: call, ast.BinOp: binary, ast.UnaryOp: unary, ast.Compare: comparison, ast.Slice: slice,
        ast.Subscript: subscript,
    }
