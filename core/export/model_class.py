"""A network as the PyTorch class that a person would write: no project imports, the same names and so the same weights."""

import inspect
import keyword
import re
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.config import ModelConfig
from core.export.forward import META_BATCH, ExportError, Forward, Step, Value, is_layer, is_sequential, record
from core.fields import Config
from core.models import ARCHITECTURES, build

Shape = tuple[int, ...]
LINE = 100  # columns of the code that is written
MARK = re.compile(r"⟦(\w+):(\d+)⟧")  # a number that may become an argument of the class
MOST_ARGUMENTS = 6
IMPORTS = (
    {"math.": "import math", "OrderedDict(": "from collections import OrderedDict",
     "@dataclass": "from dataclasses import dataclass"},
    {"np.": "import numpy as np", "torch.": "import torch", "F.": "import torch.nn.functional as F",
     "Image.": "from PIL import Image", "load_digits()": "from sklearn.datasets import load_digits",
     "nn.": "from torch import nn",
     "Subset(": "from torch.utils.data import DataLoader, Subset",
     "TensorDataset(": "from torch.utils.data import DataLoader, TensorDataset",
     "transforms.": "from torchvision import datasets, transforms"})
PREFIXES = {"Conv": "conv", "Linear": "fc", "BatchNorm": "bn", "Dropout": "dropout", "MaxPool": "pool", "AvgPool": "pool"}
OPERATORS = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "matmul": "@", "pow": "**", "radd": "+", "rmul": "*",
             "iadd": "+", "imul": "*"}
# How a layer without weights is written where forward uses it: function, and the arguments taken from the layer
FUNCTIONS: dict[type[nn.Module], tuple[str, tuple[str, ...]]] = {
    nn.ReLU: ("F.relu", ()), nn.LeakyReLU: ("F.leaky_relu", ("negative_slope",)), nn.GELU: ("F.gelu", ("approximate",)),
    nn.Sigmoid: ("torch.sigmoid", ()), nn.Tanh: ("torch.tanh", ()), nn.Softmax: ("F.softmax", ("dim",)),
    nn.LogSoftmax: ("F.log_softmax", ("dim",)), nn.Hardswish: ("F.hardswish", ()), nn.Hardsigmoid: ("F.hardsigmoid", ()),
    nn.MaxPool2d: ("F.max_pool2d", ("kernel_size", "stride", "padding", "dilation", "ceil_mode")),
    nn.AvgPool2d: ("F.avg_pool2d", ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")),
    nn.AdaptiveAvgPool2d: ("F.adaptive_avg_pool2d", ("output_size",)), nn.Flatten: ("torch.flatten", ("start_dim", "end_dim")),
}


def model_class(network: ModelConfig | nn.Module, input_shape: Shape, outputs: int | None = None, *, name: str = "",
                imports: bool = True) -> str:
    """The class for exactly this network, as Python text; `Name()` makes it, and takes the network's own state_dict.

    Where an nn.Sequential's layers have numbers for names, they get names such as conv1 and fc1, in the same order.

    Args:
        network: a model config, or any network of torch.nn's layers: Sequentials, residual blocks, classes of one's own.
        input_shape: of one example, (C, H, W).
        outputs: width of the last layer; needed with a config.
        name: of the class; from the architecture or the network's own class if empty.
        imports: begin with the import lines.

    Raises:
        ExportError: a layer or a step of forward that can't be written; the line names it.
        ModelError: the config's network can't take this input.
    """
    if isinstance(network, Config):
        if outputs is None:
            raise ExportError("With a config, say how many outputs the network has.")
        name = name or "".join(part.capitalize() if part.islower() else part for part in _words(
            ARCHITECTURES[network.architecture].short_title))
        with torch.device("meta"):
            network = build(network, input_shape, outputs)
    if is_layer(network):
        network = nn.Sequential(network)
    name = name or ("Network" if is_sequential(network) else type(network).__name__)
    writer = _Writer(record(network, input_shape), input_shape)
    writer.write(network, name)
    text = "\n\n".join(writer.classes)
    return f"{imports_of(text)}\n\n\n{text}" if imports else text


def imports_of(text: str) -> str:
    """The import lines that a text needs, as a linter sorts them."""
    used = [[line for word, line in group.items() if re.search(rf"(?<![\w.]){re.escape(word)}", text)] for group in IMPORTS]
    return "\n\n".join("\n".join(lines) for lines in used if lines)


def _words(title: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in title).split()


@dataclass
class _Writer:
    """Writes classes for the modules that are neither layers nor plain Sequentials, the innermost first.

    Modules of one kind that differ in some numbers only, as the blocks of a residual network do, share a class with
    arguments. Until it is known which, such numbers stand in marks: ⟦out_channels:64⟧.
    """

    forwards: dict[nn.Module, Forward]
    input_shape: Shape
    classes: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)  # names of classes
    calls: dict[nn.Module, str] = field(default_factory=dict)  # what makes a module that has its class already

    def write(self, root: nn.Module, name: str) -> None:
        """Write the classes of all modules in `root`, and its own last."""
        heights = {module: _height(module) for module in root.modules() if _is_custom(module) or module is root}
        self.taken.add(_identifier(name))
        for height in range(heights[root] + 1):
            kinds: dict[tuple[str, str], dict[nn.Module, str]] = {}  # class and text without numbers → modules, with them
            for module in (module for module, own in heights.items() if own == height and module is not root):
                text = self.class_body(module, False)
                kinds.setdefault((type(module).__name__, MARK.sub(r"⟦\1⟧", text)), {})[module] = text
            for (kind, _), group in kinds.items():
                self._write_group(kind, group)
        self.classes.append(f"class {_identifier(name)}(nn.Module):\n{_plain(self.class_body(root, True))}")

    def _write_group(self, kind: str, group: dict[nn.Module, str]) -> None:
        """One class for modules that differ in numbers, or one for each where they differ in too many."""
        slots = [MARK.findall(text) for text in group.values()]  # for each module (name, value) of each mark
        columns = list(zip(*[[value for _, value in marks] for marks in slots], strict=True))
        varying = list(dict.fromkeys(column for column in columns if len(set(column)) > 1))
        if len(varying) > MOST_ARGUMENTS and len(group) > 1:
            for text in dict.fromkeys(group.values()):
                self._write_group(kind, {module: own for module, own in group.items() if own == text})
            return
        arguments: dict[tuple[str, ...], str] = {}
        for column in varying:  # numbers that are always equal are one argument
            wanted = slots[0][columns.index(column)][0]
            arguments[column] = _unused(wanted, set(arguments.values()))
        name = _unused(_identifier(kind), self.taken)
        self.taken.add(name)
        order = iter(columns)
        text = MARK.sub(lambda mark: arguments.get(next(order), mark[2]), next(iter(group.values())))
        heading = f"def __init__({', '.join(['self', *arguments.values()])}):"
        self.classes.append(f"class {name}(nn.Module):\n" + text.replace("def __init__(self):", heading, 1))
        for number, module in enumerate(group):
            given = ", ".join(f"⟦{argument}:{column[number]}⟧" for column, argument in arguments.items())
            self.calls[module] = f"{name}({given})"

    def class_body(self, module: nn.Module, is_root: bool) -> str:
        """All of a class but its first line."""
        forward, name = self.forwards.get(module), type(module).__name__
        if forward is None or forward.result is None:
            raise ExportError(f"{name}: forward does not return a tensor made from its input.")
        own = [name for name, _ in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))]
        if own:
            raise ExportError(f"{name} has weights of its own ({', '.join(own)}) beside its layers; that can't be written.")
        names = _child_names(module)
        body = _Body(self, module, forward, names)
        lines = body.forward_lines(is_root)
        inits = [f"self.{names[key]} = {self.constructor(child)}" for key, child in module.named_children() if key in body.used]
        return "\n".join(["    def __init__(self):", "        super().__init__()",
                          *(f"        {line}" for init in inits for line in init.split("\n")), "",
                          *(f"    {line}" for line in lines), ""])

    def constructor(self, module: nn.Module) -> str:
        """The expression that makes a module anew, such as nn.Conv2d(1, 32, kernel_size=3, padding=1)."""
        if is_layer(module):
            return f"nn.{type(module).__name__}({', '.join(_arguments(module))})"
        if is_sequential(module) or type(module) is nn.ModuleList:
            return self._container(module)
        return self.calls[module]

    def _container(self, module: nn.Module) -> str:
        kind = "Sequential" if is_sequential(module) else "ModuleList"
        children = dict(module.named_children())
        numbered = list(children) == [str(number) for number in range(len(children))]
        items = [self.constructor(child) if numbered else f'("{name}", {self.constructor(child)})'
                 for name, child in children.items()]
        left, right = ("([", "])") if kind == "ModuleList" else ("(", ")") if numbered else ("(OrderedDict([", "]))")
        one = f"nn.{kind}{left}{', '.join(items)}{right}"
        if len(_plain(one)) <= LINE - 24 and "\n" not in one:
            return one
        inner = "\n".join(f"    {line}" for item in items for line in (item + ",").split("\n"))
        return f"nn.{kind}{left}\n{inner}\n{right}"


def _is_custom(module: nn.Module) -> bool:
    """Whether a module needs a class of its own."""
    return not (is_layer(module) or is_sequential(module) or type(module) is nn.ModuleList)


def _height(module: nn.Module) -> int:
    """How many classes deep a module is: 0 where it holds layers alone."""
    inner = [_height(child) + _is_custom(child) for child in module.children()]
    return max(inner, default=0)


def _plain(text: str) -> str:
    """A text with its marks replaced by their numbers."""
    return MARK.sub(r"\2", text)


def _child_names(module: nn.Module) -> dict[str, str]:
    """The attribute for each child: its own name where it is one, else one by its kind: conv1, bn1, fc1."""
    keys = [key for key, _ in module.named_children()]
    if all(key.isidentifier() and not keyword.iskeyword(key) for key in keys):
        return {key: key for key in keys}
    counts: dict[str, int] = {}
    names = {}
    for key, child in module.named_children():
        kind = type(child).__name__
        prefix = next((short for start, short in PREFIXES.items() if kind.startswith(start)), _identifier(kind).lower())
        counts[prefix] = counts.get(prefix, 0) + 1
        names[key] = f"{prefix}{counts[prefix]}"
    return names


def _identifier(text: str) -> str:
    clean = "".join(c for c in text if c.isalnum() or c == "_")
    return clean if clean.isidentifier() and not keyword.iskeyword(clean) else f"Net{clean}"


def _unused(name: str, taken: set[str]) -> str:
    return next(f"{name}{number or ''}" for number in (0, *range(2, 10_000)) if f"{name}{number or ''}" not in taken)


def _arguments(layer: nn.Module) -> list[str]:
    """The constructor's arguments that are not at their defaults, read from the layer's attributes of the same names."""
    written = []
    for parameter in list(inspect.signature(type(layer).__init__).parameters.values())[1:]:
        name = parameter.name
        if name in {"device", "dtype", "inplace", "args", "kwargs"}:
            continue
        if not hasattr(layer, name):
            raise ExportError(f"nn.{type(layer).__name__} can't be written: its argument {name} is not kept.")
        value = getattr(layer, name)
        value = value is not None if isinstance(value, Tensor) or (name == "bias" and value is None) else _short(value)
        if name == "stride" and parameter.default is None and value == _short(layer.kernel_size):
            continue  # a pooling window moves by its own size
        required = parameter.default is inspect.Parameter.empty
        if required or value != _short(parameter.default) or name == "p":
            first = required and name != "kernel_size" or name in {"p", "kernel_size"} and not written
            text = f"⟦{name}:{value}⟧" if type(value) is int else _literal(value)
            written.append(text if first else f"{name}={text}")
    return written


def _short(value: Any) -> Any:
    """(3, 3) → 3."""
    return value[0] if isinstance(value, tuple) and value and len(set(value)) == 1 else value


def _literal(value: Any) -> str:
    if value is None or isinstance(value, bool | int | float | str | torch.dtype):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_literal, value))}{',' * (len(value) == 1)})"
    raise ExportError(f"An argument of kind {type(value).__name__} can't be written.")


@dataclass
class _Body:
    """The lines of one forward."""

    writer: _Writer
    module: nn.Module
    forward: Forward
    names: dict[str, str]
    used: set[str] = field(default_factory=set)  # children that are attributes
    variables: dict[int, str] = field(default_factory=lambda: {-1: "x"})  # where a step's result is kept

    def forward_lines(self, with_shapes: bool) -> list[str]:
        """The method, with the shape after each line or without."""
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
        if not with_shapes:
            return ["def forward(self, x):", *(f"    {text}" for text, _ in lines)]
        width = min(72, max(len(text) for text, _ in lines))
        first = f"def forward(self, x):{'':{max(2, width - 15)}}# {_shape((META_BATCH, *self.writer.input_shape))}"
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

    def _view(self, step: Step) -> str:
        """x.view(x.size(0), -1), in words that don't need the batch size."""
        sizes = [size for size in step.args[1:] if size != META_BATCH]
        first = self._written(step.args[0])
        return f"torch.flatten({first}, 1)" if len(sizes) == 1 else f"{first}.reshape(-1, {', '.join(map(_literal, sizes))})"

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
        return _literal(item)

    def _module_call(self, module: nn.Module, args: list[str]) -> str:
        if type(module) in FUNCTIONS:
            function, taken = FUNCTIONS[type(module)]
            return f"{function}({', '.join([args[0], *_function_arguments(module, function, taken)])})"
        first, *rest = self.paths[module].split(".")
        self.used.add(first)
        path = f"self.{self.names[first]}" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in rest)
        return f"{path}({', '.join(args)})"

    def _function_call(self, step: Step, args: list[str]) -> str:
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

    def _keywords(self, step: Step, name: str) -> list[str]:
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
            elif value is not None and not (key in defaults and _short(value) == _short(defaults[key])):
                written.append(f"{key}={self._written(value)}")
        return written


def _function_arguments(module: nn.Module, function: str, taken: tuple[str, ...]) -> list[str]:
    """The arguments of a layer's function that are not at the layer's own defaults, or that the function can't do without."""
    defaults = {key: entry.default for key, entry in inspect.signature(type(module).__init__).parameters.items()}
    written = []
    for name in taken:
        value = _short(getattr(module, name))
        if name == "dim" and value is None:
            raise ExportError(f"nn.{type(module).__name__} has no dim; give it dim=1.")
        if name == "stride" and value == _short(module.kernel_size):
            continue
        usual = name in defaults and value == _short(defaults[name])
        if name in {"kernel_size", "output_size", "start_dim"}:
            written.append(_literal(value))
        elif not usual or name == "dim":
            written.append(f"{name}={_literal(value)}")
    return written


def _values(step: Step) -> list[Value]:
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


__all__ = ["ExportError", "model_class"]
