"""The lines of a forward, from the steps that were seen."""

import inspect
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.export.forward import META_BATCH, ExportError, Forward, ForwardStep, Value
from core.export.layer_code import FUNCTIONS, function_arguments, literal, short
from core.layers.trace import Shape

OPERATORS = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "matmul": "@", "pow": "**", "radd": "+", "rmul": "*",
             "iadd": "+", "imul": "*"}


@dataclass
class Body:
    """Writes one forward: each layer's call on a line, with activations and poolings around it."""

    module: nn.Module
    forward: Forward
    names: dict[str, str]
    used: set[str] = field(default_factory=set)  # children that are attributes
    variables: dict[int, str] = field(default_factory=lambda: {-1: "x"})  # where a step's result is kept

    def forward_lines(self, input_shape: Shape | None) -> list[str]:
        """The method; with the network's input shape, the shape after each line too."""
        steps, result = self.forward.steps, self.forward.result
        assert result is not None
        self.paths = {child: path for path, child in self.module.named_modules() if path}
        self.readers = {number: [later for later, step in enumerate(steps) for value in _values(step) if value.step == number]
                        for number in range(-1, len(steps))}
        needed = self._needed(result.step)
        lines = []
        for number in sorted(needed - {result.step}):
            if not self._goes_into_next(number):
                text = self.expression(Value(number), number)
                self.variables[number] = self._free_name(number, result.step)
                lines.append((f"{self.variables[number]} = {text}", steps[number].output))
        lines.append((f"return {self.expression(result, result.step)}", steps[result.step].output if result.step >= 0 else ()))
        if input_shape is None:
            return ["def forward(self, x):", *(f"    {text}" for text, _ in lines)]
        width = min(72, max(len(text) for text, _ in lines))
        first = f"def forward(self, x):{'':{max(2, width - 15)}}# {_shape((META_BATCH, *input_shape))}"
        return [first, *(f"    {text:{width}}  # {_shape(shape)}".rstrip() for text, shape in lines)]

    def _needed(self, number: int) -> set[int]:
        """The steps that a result comes from."""
        found, left = set(), [number]
        while left:
            number = left.pop()
            if number >= 0 and number not in found:
                found.add(number)
                left += [value.step for value in _values(self.forward.steps[number])]
        return found

    def _goes_into_next(self, number: int) -> bool:
        """Whether a result is written inside the expression that uses it: an activation or pooling around a layer."""
        readers = self.readers[number]
        if len(readers) != 1 or not self._is_light(readers[0]) or self._is_flatten(readers[0]):
            return False
        # a sum such as body(x) + skip(x): nothing may be assigned between a term and the sum
        return len(_values(self.forward.steps[readers[0]])) == 1 or all(
            self.readers[between] == readers and self._goes_into_next(between) for between in range(number + 1, readers[0]))

    def _is_light(self, number: int) -> bool:
        target = self.forward.steps[number].target
        return not isinstance(target, nn.Module) or type(target) in FUNCTIONS

    def _is_flatten(self, number: int) -> bool:
        return isinstance(self.forward.steps[number].target, nn.Flatten)

    def _free_name(self, number: int, last: int) -> str:
        """x, unless what it holds is still to be used."""
        busy = {name for step, name in self.variables.items() if any(reader > number for reader in self.readers[step])}
        return next(name for name in ("x", "y", "z", *(f"x{n}" for n in range(1, 10_000))) if name not in busy)

    def expression(self, value: Value, begin: int) -> str:
        """A result as an expression; `begin` is the step that is being written, all before it may have variables."""
        number = value.step
        if number in self.variables and number != begin:
            return self.variables[number]
        step = self.forward.steps[number]
        if isinstance(step.target, nn.Module):
            return self._module_call(step.target, [self._written(item) for item in step.args])
        name = getattr(step.target, "__name__", "").strip("_")
        if name in ("view", "reshape") and META_BATCH in step.args:
            return self._view(step)
        if name == "getitem":
            return f"{_in_brackets(self._written(step.args[0]))}[{self._index(step.args[1])}]"
        return self._function_call(step, [self._written(item) for item in step.args])

    def _view(self, step: ForwardStep) -> str:
        """x.view(x.size(0), -1), in words that don't need the batch size."""
        sizes = [size for size in step.args[1:] if size != META_BATCH]
        first = self._written(step.args[0])
        return f"torch.flatten({first}, 1)" if len(sizes) == 1 else f"{first}.reshape(-1, {', '.join(map(literal, sizes))})"

    def _index(self, index: Any) -> str:
        """What stands in square brackets."""
        if isinstance(index, tuple):
            return ", ".join(map(self._index, index))
        if isinstance(index, slice):
            parts = ["" if part is None else self._written(part) for part in (index.start, index.stop)]
            return ":".join(parts) + (f":{self._written(index.step)}" if index.step is not None else "")
        return "..." if index is Ellipsis else self._written(index)

    def _written(self, item: Any) -> str:
        if isinstance(item, Value):
            return self.variables.get(item.step) or self.expression(item, item.step)
        if isinstance(item, tuple | list) and any(isinstance(part, Value) for part in item):
            return f"[{', '.join(map(self._written, item))}]"
        if isinstance(item, Tensor):
            raise ExportError(f"{type(self.module).__name__}.forward uses a tensor that it does not make; that can't be written.")
        if isinstance(item, int) and not isinstance(item, bool) and item == META_BATCH:
            raise ExportError(f"{type(self.module).__name__}.forward computes with the batch size; that can't be written.")
        return literal(item)

    def _module_call(self, module: nn.Module, args: list[str]) -> str:
        if type(module) in FUNCTIONS:
            function, taken = FUNCTIONS[type(module)]
            return f"{function}({', '.join([args[0], *function_arguments(module, function, taken)])})"
        first, *rest = self.paths[module].split(".")
        self.used.add(first)
        path = f"self.{self.names[first]}" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in rest)
        return f"{path}({', '.join(args)})"

    def _function_call(self, step: ForwardStep, args: list[str]) -> str:
        name = getattr(step.target, "__name__", "")
        plain = name.strip("_")
        if name.startswith("__") and plain in OPERATORS or plain in ("add", "mul", "sub") and len(args) == 2 and not step.kwargs:
            return f"{_in_brackets(args[0])} {OPERATORS[plain]} {_in_brackets(args[1])}"
        kwargs = self._keywords(step, plain)
        if getattr(F, plain, None) is not None and hasattr(F, plain) and not hasattr(torch, name):
            return f"F.{plain}({', '.join(args + kwargs)})"
        if callable(getattr(F, plain, None)) and (step.target is getattr(F, plain) or plain.endswith(("pool2d", "pool1d"))):
            return f"F.{plain}({', '.join(args + kwargs)})"
        if callable(getattr(torch, name, None)) and not name.startswith("_"):
            return f"torch.{name}({', '.join(args + kwargs)})"
        if callable(getattr(Tensor, name, None)) and not name.startswith("_"):
            return f"{args[0]}.{name}({', '.join(args[1:] + kwargs)})"
        raise ExportError(f"{type(self.module).__name__}.forward calls {name or step.target!r}, which can't be written.")

    def _keywords(self, step: ForwardStep, name: str) -> list[str]:
        function = getattr(F, name, None)
        try:
            defaults = {key: entry.default for key, entry in inspect.signature(function).parameters.items()} if function else {}
        except (TypeError, ValueError):  # built into PyTorch, without a signature
            defaults = {}
        written = []
        for key, value in step.kwargs.items():
            if key in {"inplace", "_stacklevel", "return_indices"}:
                continue
            if key == "training":
                written.append("training=self.training")
            elif value is not None and not (key in defaults and short(value) == short(defaults[key])):
                written.append(f"{key}={self._written(value)}")
        return written


def _values(step: ForwardStep) -> list[Value]:
    """All results of other steps among the arguments."""
    found, left = [], [*step.args, *step.kwargs.values()]
    while left:
        item = left.pop()
        if isinstance(item, Value):
            found.append(item)
        elif isinstance(item, tuple | list):
            left += item
    return found


def _in_brackets(text: str) -> str:
    return f"({text})" if " " in text and not text.endswith(")") else text


def _shape(shape: Shape) -> str:
    """(97, 32, 14, 14) → "(N, 32, 14, 14)"."""
    sizes = ["N" if place == 0 and size == META_BATCH else str(size) for place, size in enumerate(shape)]
    return f"({', '.join(sizes)})" if shape else ""
