"""What the lab Autograd shows: one layer forward and backward, node by node, as PyTorch itself calculates it.

The network: u = x @ w, z = u + b, l = binary cross-entropy of sigmoid(z) against y for each output, loss = mean of l.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from core.errors import reason

INPUTS, OUTPUTS = 5, 3
LARGEST = 1000.0  # of any value that a person may set


class AutogradError(ValueError):
    """Values that the network can't be given; str() is one line that says what to do."""


@dataclass(frozen=True)
class Values:
    """The numbers that the network starts from."""

    x: tuple[float, ...]  # (5,) input
    w: tuple[tuple[float, ...], ...]  # (5, 3) weights
    b: tuple[float, ...]  # (3,) biases
    y: tuple[float, ...]  # (3,) targets, 0 to 1


@dataclass(frozen=True)
class Switches:
    """What is taken out of differentiation."""

    no_grad: bool = False  # the whole forward pass
    detach: str | None = None  # "u" or "z": cut behind this node
    frozen: frozenset[str] = frozenset()  # of "w", "b": requires_grad_(False)
    want_x: bool = False  # whether the input's gradient is wanted too


@dataclass(frozen=True)
class Node:
    """One tensor of the graph, as PyTorch describes it after the backward pass."""

    name: str
    value: Tensor
    gradient: Tensor | None  # of the loss with respect to it; None where none arrived
    requires_grad: bool
    is_leaf: bool
    made_by: str | None  # the name of grad_fn


@dataclass(frozen=True)
class AutogradStep:
    """One move through the graph: a value forward, or a gradient backward from `source` to `node`."""

    backward: bool
    source: str | None
    node: str
    title: str
    formula: str  # LaTeX
    numbers: tuple[str, ...]  # the formula with numbers put in, a line for each output


@dataclass(frozen=True)
class Pass:
    """A forward and a backward pass."""

    nodes: dict[str, Node]
    steps: tuple[AutogradStep, ...]
    error: str | None  # PyTorch's own words where backward() is refused


@dataclass(frozen=True)
class Check:
    """Gradients of all inputs in float64, by autograd and by finite differences."""

    autograd: dict[str, Tensor]
    differences: dict[str, Tensor]
    largest_gap: float  # absolute


def start_values(seed: int = 0) -> Values:
    """x ones, y zeros, w and b drawn from a normal distribution and rounded to two decimals."""
    drawn = torch.randn(INPUTS + 1, OUTPUTS, generator=torch.Generator().manual_seed(seed)).double().mul(100).round().div(100)
    return Values((1.0,) * INPUTS, tuple(map(tuple, drawn[:INPUTS].tolist())), tuple(drawn[INPUTS].tolist()), (0.0,) * OUTPUTS)


def as_typed(rows: Sequence[Sequence[float]]) -> str:
    """Numbers as read_typed() reads them: a line for each row."""
    return "\n".join(", ".join(f"{value:g}" for value in row) for row in rows)


def read_typed(inputs: str, outputs: str) -> Values:
    """What a person has typed: a line for each input, x and its weight to each output, and one for each output, b and y; commas,
    tabs or spaces between the numbers. Raises AutogradError with one line."""
    left = _typed("The inputs", inputs, INPUTS, 1 + OUTPUTS)
    right = _typed("The outputs", outputs, OUTPUTS, 2)
    return read_values([row[0] for row in left], [row[1:] for row in left], [row[0] for row in right], [row[1] for row in right])


def _typed(what: str, text: str, lines: int, width: int) -> list[list[float]]:
    rows = [line.replace(",", " ").replace(";", " ").replace("−", "-").split() for line in text.splitlines() if line.strip()]
    if len(rows) != lines:
        there = "1 is there" if len(rows) == 1 else f"{len(rows)} are there"
        raise AutogradError(f"{what} need {lines} lines of {width} numbers; {there}.")
    for place, row in enumerate(rows, 1):
        if len(row) != width:
            raise AutogradError(f"{what} need {width} numbers in each line; line {place} has {len(row)}.")
        for cell in row:
            try:
                float(cell)
            except ValueError:
                raise AutogradError(f"{what}, line {place}: “{cell[:20]}” is no number.") from None
    return [list(map(float, row)) for row in rows]


def read_values(x: Sequence[object], w: Sequence[Sequence[object]], b: Sequence[object], y: Sequence[object]) -> Values:
    """What a person has put in. Raises AutogradError with one line."""
    if len(x) != INPUTS or [len(row) for row in w] != [OUTPUTS] * INPUTS or (len(b), len(y)) != (OUTPUTS, OUTPUTS):
        raise AutogradError(f"The network needs {INPUTS} inputs and {OUTPUTS} outputs: leave no row out and add none.")
    values = Values(_numbers("x", x), tuple(_numbers("w", row) for row in w), _numbers("b", b), _numbers("y", y))
    if any(not 0 <= value <= 1 for value in values.y):
        raise AutogradError("A target y is a probability: from 0 to 1.")
    return values


def _numbers(name: str, cells: Sequence[object]) -> tuple[float, ...]:
    """The values of one name. Raises AutogradError."""
    found = []
    for value in cells:
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise AutogradError(f"Every {name} needs a number.")
        if abs(value) > LARGEST:
            raise AutogradError(f"{name} has a value of {value:g}: stay between -{LARGEST:g} and {LARGEST:g}.")
        found.append(float(value))
    return tuple(found)


def _leaves(values: Values, switches: Switches, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    wanted = {"w": "w" not in switches.frozen, "b": "b" not in switches.frozen, "x": switches.want_x, "y": False}
    return {name: torch.tensor(getattr(values, name), dtype=dtype, requires_grad=wanted[name]) for name in ("x", "w", "b", "y")}


def _forward(leaves: Mapping[str, Tensor], switches: Switches) -> dict[str, Tensor]:
    """All tensors of the graph by name, in the order they are made."""
    with torch.set_grad_enabled(not switches.no_grad):
        u = leaves["x"] @ leaves["w"]
        z = (u.detach() if switches.detach == "u" else u) + leaves["b"]
        seen = z.detach() if switches.detach == "z" else z
        losses = binary_cross_entropy_with_logits(seen, leaves["y"], reduction="none")
        return {**leaves, "u": u, "z": z, "l": losses, "loss": losses.mean()}


def run(values: Values, switches: Switches = Switches()) -> Pass:
    """Forward, backward, and every step with its formula and numbers. float32, as in a real network."""
    tensors = _forward(_leaves(values, switches), switches)
    for tensor in tensors.values():
        if tensor.requires_grad:
            tensor.retain_grad()
    error = None
    try:
        tensors["loss"].backward()
    except RuntimeError as refused:
        error = reason(refused)
    nodes = {name: Node(name, tensor.detach().clone(), None if tensor.grad is None else tensor.grad.clone(), tensor.requires_grad,
                        tensor.is_leaf, type(tensor.grad_fn).__name__ if tensor.grad_fn else None)
             for name, tensor in tensors.items()}
    return Pass(nodes, (*_forward_steps(nodes), *_backward_steps(nodes)), error)


def short(value: float) -> str:
    """A number in a formula: four digits, negative ones in brackets."""
    text = f"{value:.4g}"
    return f"({text})" if text.startswith("-") else text


def _forward_steps(nodes: Mapping[str, Node]) -> list[AutogradStep]:
    x, w, b, y, u, z, each = (nodes[name].value.tolist() for name in ("x", "w", "b", "y", "u", "z", "l"))
    outputs = range(OUTPUTS)
    sums = [" + ".join(f"{short(x[i])}·{short(w[i][j])}" for i in range(INPUTS)) for j in outputs]
    total = " + ".join(short(value) for value in each)
    return [
        AutogradStep(False, None, "u", "Multiply: u = x @ w", r"u_j = \sum_i x_i \, w_{ij}",
             tuple(f"u{j + 1} = {sums[j]} = {short(u[j])}" for j in outputs)),
        AutogradStep(False, "u", "z", "Add the bias: z = u + b", r"z_j = u_j + b_j",
             tuple(f"z{j + 1} = {short(u[j])} + {short(b[j])} = {short(z[j])}" for j in outputs)),
        AutogradStep(False, "z", "l", "Loss of each output: binary cross-entropy with logits",
             r"l_j = \max(z_j, 0) - z_j \, y_j + \log(1 + e^{-|z_j|})",
             tuple(f"l{j + 1} = max({short(z[j])}, 0) - {short(z[j])}·{short(y[j])} + log(1 + e^-{short(abs(z[j]))}) = "
                   f"{short(each[j])}"
                   for j in outputs)),
        AutogradStep(False, "l", "loss", "Mean over the outputs", r"\mathrm{loss} = \tfrac13 \, (l_1 + l_2 + l_3)",
             (f"loss = ({total}) / 3 = {short(nodes['loss'].value.item())}",)),
    ]


def _backward_steps(nodes: Mapping[str, Node]) -> list[AutogradStep]:
    """The steps whose gradient arrived."""
    grads = {name: node.gradient.tolist() for name, node in nodes.items() if node.gradient is not None}
    if "loss" not in grads:
        return []
    x, w, y, z = (nodes[name].value.tolist() for name in ("x", "w", "y", "z"))
    outputs, sigmoid = range(OUTPUTS), torch.sigmoid(nodes["z"].value).tolist()
    lines = {
        "loss": lambda: ("∂loss/∂loss = 1",),
        "l": lambda: tuple(f"∂loss/∂l{j + 1} = 1/3 · 1 = {short(grads['l'][j])}" for j in outputs),
        "z": lambda: tuple(f"∂loss/∂z{j + 1} = (sigmoid({short(z[j])}) - {short(y[j])}) · {short(grads['l'][j])} = "
                           f"({short(sigmoid[j])} - {short(y[j])}) · {short(grads['l'][j])} = {short(grads['z'][j])}"
                           for j in outputs),
        "b": lambda: tuple(f"∂loss/∂b{j + 1} = 1 · {short(grads['z'][j])} = {short(grads['b'][j])}" for j in outputs),
        "u": lambda: tuple(f"∂loss/∂u{j + 1} = 1 · {short(grads['z'][j])} = {short(grads['u'][j])}" for j in outputs),
        "w": lambda: tuple(f"∂loss/∂w{i + 1}{j + 1} = x{i + 1} · ∂loss/∂u{j + 1} = {short(x[i])} · {short(grads['u'][j])} = "
                           f"{short(grads['w'][i][j])}" for i in range(INPUTS) for j in outputs),
        "x": lambda: tuple(f"∂loss/∂x{i + 1} = " + " + ".join(f"{short(w[i][j])}·{short(grads['u'][j])}" for j in outputs)
                           + f" = {short(grads['x'][i])}" for i in range(INPUTS)),
    }
    return [AutogradStep(True, source, node, title, formula, lines[node]())
            for source, node, title, formula in BACKWARD if node in grads]


BACKWARD: tuple[tuple[str | None, str, str, str], ...] = (
    (None, "loss", "Start at the loss", r"\frac{\partial\,\mathrm{loss}}{\partial\,\mathrm{loss}} = 1"),
    ("loss", "l", "Back through the mean", r"\frac{\partial\,\mathrm{loss}}{\partial l_j} = \tfrac13"),
    ("l", "z", "Back through the loss of each output",
     r"\frac{\partial\,\mathrm{loss}}{\partial z_j} = (\sigma(z_j) - y_j) \, \frac{\partial\,\mathrm{loss}}{\partial l_j}"),
    ("z", "b", "To the bias", r"\frac{\partial\,\mathrm{loss}}{\partial b_j} = \frac{\partial\,\mathrm{loss}}{\partial z_j}"),
    ("z", "u", "Back through the addition",
     r"\frac{\partial\,\mathrm{loss}}{\partial u_j} = \frac{\partial\,\mathrm{loss}}{\partial z_j}"),
    ("u", "w", "To the weights",
     r"\frac{\partial\,\mathrm{loss}}{\partial w_{ij}} = x_i \, \frac{\partial\,\mathrm{loss}}{\partial u_j}"),
    ("u", "x", "To the input",
     r"\frac{\partial\,\mathrm{loss}}{\partial x_i} = \sum_j w_{ij} \, \frac{\partial\,\mathrm{loss}}{\partial u_j}"),
)


def accumulate(values: Values, presses: int, zero_grad: bool) -> list[Tensor]:
    """b's gradient after each of `presses` times forward and backward, with or without clearing it before each."""
    leaves = _leaves(values, Switches())
    seen = []
    for _ in range(presses):
        if zero_grad:
            leaves["w"].grad = leaves["b"].grad = None  # what optimizer.zero_grad() does
        _forward(leaves, Switches())["loss"].backward()
        seen.append(_gradient(leaves["b"]).clone())
    return seen


def _gradient(leaf: Tensor) -> Tensor:
    """Of a leaf that wants one, after backward()."""
    assert leaf.grad is not None
    return leaf.grad


def backward_twice(values: Values) -> str:
    """PyTorch's words when backward() is called a second time on one forward pass."""
    loss = _forward(_leaves(values, Switches()), Switches())["loss"]
    loss.backward()
    try:
        loss.backward()
    except RuntimeError as error:
        return str(error)
    raise AssertionError("PyTorch now keeps the graph: this has to be told anew")


def check(values: Values, h: float = 1e-5) -> Check:
    """Central differences in float64: (loss(v + h) − loss(v − h)) / 2h for every single value v of x, w and b."""
    wanted = Switches(want_x=True)
    leaves = _leaves(values, wanted, torch.float64)
    _forward(leaves, wanted)["loss"].backward()
    names = ("w", "b", "x")
    found = {}
    with torch.no_grad():
        for name in names:
            flat = leaves[name].view(-1)
            slopes = torch.empty_like(flat)
            for index in range(flat.numel()):
                kept = flat[index].item()
                ends = []
                for shifted in (kept + h, kept - h):
                    flat[index] = shifted
                    ends.append(_forward(leaves, wanted)["loss"].item())
                flat[index] = kept
                slopes[index] = (ends[0] - ends[1]) / (2 * h)
            found[name] = slopes.view_as(leaves[name])
    exact = {name: _gradient(leaves[name]).clone() for name in names}
    return Check(exact, found, max(float((exact[name] - found[name]).abs().max()) for name in names))


def step_code(values: Values, switches: Switches = Switches()) -> str:
    """Code that does what run() does and runs alone; `w`, `b`, `x` and `loss` are as in the picture."""
    def wants(name: str) -> str:
        on = name == "x" if switches.want_x and name == "x" else name in {"w", "b"} and name not in switches.frozen
        return ", requires_grad=True" if on else ""

    rows = ",\n                  ".join(str(list(row)) for row in values.w)
    lines = [
        f"x = torch.tensor({list(values.x)}{wants('x')})", f"y = torch.tensor({list(values.y)})",
        f"w = torch.tensor([{rows}]{wants('w')})", f"b = torch.tensor({list(values.b)}{wants('b')})", "",
    ]
    indent = "    " if switches.no_grad else ""
    lines += ["with torch.no_grad():"] if switches.no_grad else []
    detached = switches.detach
    lines += [f"{indent}u = x @ w", f"{indent}z = {'u.detach()' if detached == 'u' else 'u'} + b",
              f"{indent}loss = F.binary_cross_entropy_with_logits({'z.detach()' if detached == 'z' else 'z'}, y)", "",
              "try:", "    loss.backward()", "except RuntimeError as error:", "    print(error)", "", "print(loss)",
              "print(w.grad)",
              "print(b.grad)"]
    return "import torch\nimport torch.nn.functional as F\n\n" + "\n".join(lines)


def accumulate_code(values: Values, presses: int, zero_grad: bool) -> str:
    """Code of accumulate(); `result` is b.grad at the end."""
    clear = "    w.grad = b.grad = None  # what optimizer.zero_grad() does\n" if zero_grad else ""
    head = step_code(values).split("u = x @ w")[0]
    return (f"{head}for _ in range({presses}):\n{clear}    loss = F.binary_cross_entropy_with_logits(x @ w + b, y)\n"
            "    loss.backward()\n    print(b.grad)\nresult = b.grad")


def check_code(values: Values) -> str:
    """Finite differences for the first weight; `result` is the difference quotient."""
    head = step_code(values).split("u = x @ w")[0].replace("])", "], dtype=torch.float64)").replace(
        "], requires_grad", "], dtype=torch.float64, requires_grad")
    return (f"{head}def loss_of(w):\n    return F.binary_cross_entropy_with_logits(x @ w + b, y)\n\nloss_of(w).backward()\n"
            "h = 1e-5\nstep = torch.zeros_like(w)\nstep[0, 0] = h\nwith torch.no_grad():\n"
            "    result = (loss_of(w + step) - loss_of(w - step)) / (2 * h)\n\nprint(w.grad[0, 0].item(), result.item())")
