"""The layer table: for every layer of any network its shapes, parameters, cost and receptive field."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from core.errors import reason
from core.hooks import joined
from core.layers.formulas import arguments, parameter_formula, shape_formula
from core.layers.mult_adds import mult_adds
from core.layers.trace import Call, Shape, Trace, trace

FLOAT32_BYTES = 4
CONTAINERS = (nn.ParameterList, nn.ParameterDict, nn.ModuleList, nn.ModuleDict, nn.Sequential)


@dataclass(frozen=True)
class LayerRow:
    """One call of one layer, in order of execution. Shapes have no batch dimension; sizes are for one example.

    A layer that is used twice has two rows, the second with no parameters and the note "shared"; where several modules hold it,
    each row has the name by which its caller does. A parameter that a module
    with layers inside holds itself, such as a class token, is a row of kind "Parameter". A layer that was never called comes
    last. Over all rows, `parameters` adds up to what the network has.
    """

    name: str  # dotted path by which its caller holds it, "layer1.0.conv1"; the class name if the network is a single layer
    kind: str  # class name
    arguments: str  # "1→32, kernel 3×3, padding 1"
    input_shape: Shape  # of the first tensor it received; () if it was not called
    output_shape: Shape  # of the first tensor it returned, in a dict the first entry; `note` lists the others
    parameters: int  # counted in this row; weights that an earlier row counted are not counted again
    trainable: int  # of these, how many an optimizer may change
    formula: str  # "(3·3·1)·32 + 32 = 896"
    shape_formula: str  # "⌊(28 + 2·1 − 3)/1⌋ + 1 = 28"
    mult_adds: int  # multiplications with an addition, for one example; see core/layers/mult_adds.py
    activation_bytes: int  # everything it returned, as float32, for one example
    weight_bytes: int  # of the parameters counted here, in their own number format
    receptive_field: int | Shape | None  # pixels of the input; (height, width) where they differ; None where undefined
    note: str


@dataclass(frozen=True)
class Totals:
    """Sums over a layer table; sizes are for one example."""

    parameters: int
    trainable: int
    mult_adds: int
    weight_bytes: int
    activation_bytes: int

    def share(self, row: LayerRow, of: Literal["parameters", "trainable", "mult_adds", "weight_bytes",
                                              "activation_bytes"] = "parameters") -> float:
        """The row's part of the total, from 0 to 1; 0 where the total is 0."""
        total = getattr(self, of)
        return getattr(row, of) / total if total else 0.0


class InspectionError(ValueError):
    """The network can't run on this input. The message is one line; `rows` are the layers that did run."""

    def __init__(self, line: str, rows: list[LayerRow]) -> None:
        super().__init__(line)
        self.rows = rows


def describe_layers(model: nn.Module, input_shape: Shape) -> list[LayerRow]:
    """The layers of `model` in the order in which they run on one example.

    Nothing is computed and no memory is used, unless forward needs real numbers to decide what to do; then it runs once on
    a batch of two. The model is left as it was.

    Args:
        input_shape: of one example, without batch: (C, H, W), (features,), (sequence, features), or (sequence,) for indices.

    Raises:
        InspectionError: the input does not fit; the line names the layer, what it received and what it needs.
    """
    is_shape = isinstance(input_shape, list | tuple) and all(isinstance(size, int) and size > 0 for size in input_shape)
    if not is_shape or not input_shape:
        raise InspectionError(f"{input_shape} is no shape of an example: sizes are whole numbers from 1", [])
    result = trace(model, tuple(input_shape))
    table = _Table(model, result)
    rows = table.executed()
    if result.failure is not None:
        raise InspectionError(table.failure_line(), rows) from result.failure
    return rows + table.left_over()


def totals(rows: list[LayerRow]) -> Totals:
    """The sums over `rows`."""
    return Totals(*(sum(getattr(row, name) for row in rows)
                    for name in ("parameters", "trainable", "mult_adds", "weight_bytes", "activation_bytes")))


class _Table:
    """Turns the calls of a trace into rows and gives each parameter to the first row that uses it."""

    def __init__(self, model: nn.Module, result: Trace) -> None:
        self.result = result
        self.paths: dict[nn.Module, list[str]] = {}
        for path, module in model.named_modules(remove_duplicate=False):
            self.paths.setdefault(module, []).append(path)
        self.owner: dict[int, str] = {}  # id of a parameter → the row that counts it
        self.times: dict[nn.Module, int] = {}  # rows so far
        self.called = {call.module for call in result.calls}
        self.called_paths = {call.path for call in result.calls}
        self.used = result.used
        self.covered: set[nn.Module] = set()  # modules inside a layer that is shown as one

    def executed(self) -> list[LayerRow]:
        rows: list[LayerRow] = []
        inside: set[int] = set()  # calls within a layer that is shown as one
        opened: set[nn.Module] = set()
        for call in self.result.calls:
            if call.parent is not None and (id(call.parent) in inside):
                inside.add(id(call))
                continue
            whole = is_leaf(call.module) or self._is_opaque(call)
            if whole:
                inside.add(id(call))
                self.covered.update(call.module.modules())
            if whole and call.finished:
                rows.append(self._row(call))
            elif not whole and call.module not in opened:
                opened.add(call.module)
                rows += self._loose(call)
        return rows

    def left_over(self) -> list[LayerRow]:
        """Layers that forward never called, and parameters of containers that are never called."""
        rows: list[LayerRow] = []
        for module in self.paths:
            if module in self.called or (module in self.covered and _inside_parametrized(self.paths[module])):
                continue
            name = self._uncalled_name(module)
            own = self._claim(module, name, dict(module.named_parameters(recurse=is_leaf(module))))
            used = any(id(parameter) in self.used for parameter in module.parameters(recurse=False))
            shown = is_leaf(module) and not (used and module in self.covered) and not isinstance(module, CONTAINERS)
            if own or shown:
                notes = ["used without being called" if used else "not used"]
                rows.append(_with_parameters(
                    own, name=name, kind=type(module).__name__, arguments=arguments(module), input_shape=(), output_shape=(),
                    formula=parameter_formula(module, _shapes(own)), shape_formula="", mult_adds=0,
                    activation_bytes=0, receptive_field=None, notes=notes))
                self.covered.update(module.modules() if is_parametrized(module) else ())
        return rows

    def failure_line(self) -> str:
        """"fc1 (Linear) received 1568 features and needs 3136"."""
        call, error = self.result.failed, self.result.failure
        why = "" if error is None else reason(error)
        if call is None:
            return f"The network can't run: {why}"
        kind = type(call.module).__name__
        where = f"{call.path} ({kind})" if call.path else kind
        if self.result.line:
            return f"{where} {self.result.line}"
        received = f"{self.result.batch} examples of shape {_without_batch(call.inputs[0], self.result.batch)}" \
            if call.inputs else "nothing"
        return f"{where} received {received} and can't use it: {why}"

    def _is_opaque(self, call: Call) -> bool:
        """Whether a module with modules inside used their weights without calling them, as MultiheadAttention does."""
        if call.called_inside:
            return False
        return any(id(parameter) in call.used for child in list(call.module.modules())[1:]
                   for parameter in child.parameters(recurse=False))

    def _row(self, call: Call) -> LayerRow:
        module = call.module
        name = call.path or type(module).__name__
        self.times[module] = self.times.get(module, 0) + 1
        repeated = self.times[module] > 1
        members = dict(module.named_parameters()) if not repeated else {}
        own = self._claim(module, name, members, call.used)
        received = _without_batch(call.inputs[0], self.result.batch) if call.inputs else ()
        outputs = [_without_batch(shape, self.result.batch) for shape in call.outputs]
        returned = outputs[0] if outputs else ()
        notes = ["shared"] if repeated and any(True for _ in module.parameters()) else ["used again"] if repeated else []
        notes += self._sharing(members, own)
        if len(outputs) > 1:
            notes.append(f"also returns {', '.join(map(str, outputs[1:]))}")
        if isinstance(module, nn.Linear) and prod(returned[:-1]) > 1:
            notes.append(f"mult-adds of one of {prod(returned[:-1])} positions")
        return _with_parameters(
            own, name=name, kind=type(module).__name__.removeprefix("Parametrized"), arguments=arguments(module),
            input_shape=received, output_shape=returned, formula=parameter_formula(module, _shapes(own)),
            shape_formula=shape_formula(module, received, returned), mult_adds=mult_adds(call, self.result.batch),
            activation_bytes=FLOAT32_BYTES * sum(map(prod, outputs)), receptive_field=call.receptive_field, notes=notes)

    def _loose(self, call: Call) -> list[LayerRow]:
        """A row for each parameter that a module with layers inside holds itself."""
        rows = []
        for name, parameter in call.module.named_parameters(recurse=False):
            full = joined(call.path, name)
            own = self._claim(call.module, full, {name: parameter})
            if own:
                unused = [] if id(parameter) in self.used else ["not used"]
                rows.append(_with_parameters(
                    own, name=full, kind="Parameter", arguments="", input_shape=(), output_shape=tuple(parameter.shape),
                    formula=parameter_formula(None, _shapes(own)), shape_formula="", mult_adds=0, activation_bytes=0,
                    receptive_field=None, notes=unused))
        return rows

    def _uncalled_name(self, module: nn.Module) -> str:
        """The path of a module that was never called; of several, the first of those nearest to a call."""
        def uncalled_parts(path: str) -> int:
            parts = path.split(".")
            return next((left for left in range(1, len(parts)) if ".".join(parts[:-left]) in self.called_paths), len(parts))

        return min(self.paths[module], key=uncalled_parts) or type(module).__name__

    def _claim(self, module: nn.Module, row: str, members: Mapping[str, nn.Parameter | None],
               used: Set[int] = frozenset()) -> dict[str, nn.Parameter]:
        """The parameters among `members` that no row has counted yet; from now on this row counts them.

        Of a layer shown as one, weights of modules inside that it has not `used` itself stay out: another row counts them, or
        they are listed as not used.
        """
        direct = {id(parameter) for parameter in module.parameters(recurse=False)} | (
            {id(parameter) for parameter in module.parameters()} if is_leaf(module) else set())
        own = {name: parameter for name, parameter in members.items() if parameter is not None
               and id(parameter) not in self.owner and (id(parameter) in direct or id(parameter) in used)}
        self.owner.update({id(parameter): row for parameter in own.values()})
        return own

    def _sharing(self, members: dict[str, nn.Parameter], own: dict[str, nn.Parameter]) -> list[str]:
        others = {self.owner[id(parameter)] for name, parameter in members.items()
                  if name not in own and id(parameter) in self.owner}
        return [f"shared with {other}" for other in sorted(others)]


def _with_parameters(own: dict[str, nn.Parameter], *, notes: list[str], **values: Any) -> LayerRow:
    """A row with the numbers of the parameters `own`, and a note if they are frozen."""
    count = sum(parameter.numel() for parameter in own.values())
    trainable = sum(parameter.numel() for parameter in own.values() if parameter.requires_grad)
    if trainable < count:
        notes = [*notes, "partly frozen" if trainable else "frozen"]
    return LayerRow(parameters=count, trainable=trainable, note="; ".join(notes),
                    weight_bytes=sum(parameter.numel() * parameter.element_size() for parameter in own.values()),
                    **values)


def is_leaf(module: nn.Module) -> bool:
    """Shown as one row: nothing inside, or only the machinery that computes its own weights."""
    return is_parametrized(module) or not any(True for _ in module.children())


def _inside_parametrized(paths: list[str]) -> bool:
    return any("parametrizations" in path.split(".") for path in paths)


def _shapes(own: dict[str, nn.Parameter]) -> dict[str, Shape]:
    return {name: tuple(parameter.shape) for name, parameter in own.items()}


def _without_batch(shape: Shape, batch: int) -> Shape:
    """The shape for one example: without the dimension that is the batch, or with the batch divided out of it."""
    if batch in shape:
        place = shape.index(batch)
        return shape[:place] + shape[place + 1:]
    place = next((place for place, size in enumerate(shape) if size and size % batch == 0), None)
    # windows of a picture, put side by side in the batch: so many for one example
    return shape if place is None else shape[:place] + (shape[place] // batch,) + shape[place + 1:]
