"""A network as the PyTorch class that a person would write: no project imports, the same names and so the same weights."""

import keyword
import re
from dataclasses import dataclass, field

import torch
from torch import nn

from core.config import ModelConfig
from core.export.forward import ExportError, Forward, is_layer, is_sequential, record
from core.export.forward_code import Body
from core.export.layer_code import MARK, arguments
from core.fields import Config
from core.models import ARCHITECTURES, build

Shape = tuple[int, ...]
LINE = 100  # columns of the code that is written
MOST_ARGUMENTS = 6
# Where a script's own text says one of these words, it needs that line
STANDARD = {
    "argparse.": "import argparse", "gzip.": "import gzip", "hashlib.": "import hashlib", "math.": "import math",
    "os.": "import os", "sys.": "import sys", "tarfile.": "import tarfile", "types.": "import types",
    "urllib.": "import urllib.request", "zipfile.": "import zipfile", "zlib.": "import zlib",
    "OrderedDict(": "from collections import OrderedDict", "@dataclass": "from dataclasses import dataclass",
    "HTTPException)": "from http.client import HTTPException", "Path(": "from pathlib import Path"}
INSTALLED = {
    "np.": "import numpy as np", "go.": "import plotly.graph_objects as go", "torch.": "import torch",
    "F.": "import torch.nn.functional as F", "Image.": "from PIL import Image", "ImageDraw.": "from PIL import ImageDraw",
    "load_digits()": "from sklearn.datasets import load_digits", "nn.": "from torch import nn"}
FROM_DATA = ("ConcatDataset", "DataLoader", "Dataset", "RandomSampler", "Subset", "TensorDataset")  # of torch.utils.data
VISION = "from torchvision.transforms import v2"
# core.torchvision_guard, for a script
GUARD = '''# torchvision's wheel is made for CUDA's torch: beside a CPU-only one this module of it, not needed here, stops it
if torch.version.cuda is None:
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))'''
PREFIXES = {"Conv": "conv", "Linear": "fc", "BatchNorm": "bn", "Dropout": "dropout", "MaxPool": "pool", "AvgPool": "pool"}


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


def layer_code(network: nn.Module, path: str, model: str = "model") -> str:
    """The expression for a layer in the class that model_class() writes, from its name in the network: "fc1" → model.fc1."""
    module, code = network, model
    for key in path.split("."):
        if module is not network and not _is_custom(module):  # a container, which keeps its layers' names
            code += f"[{key}]" if key.isdigit() else f".{key}"
        else:
            code += f".{_child_names(module)[key]}"
        module = module.get_submodule(key)
    return code


def imports_of(text: str) -> str:
    """The import lines that a text needs, as a linter sorts them; before torchvision's, what lets it pass beside a CPU-only
    torch."""
    vision = _says(text, "v2.")
    searched = f"{text}\n{GUARD}" if vision else text
    installed = [line for word, line in INSTALLED.items() if _says(searched, word)]
    if names := [name for name in FROM_DATA if re.search(rf"(?<![\w.\"]){name}[()]", text)]:
        installed.append(f"from torch.utils.data import {', '.join(names)}")
    groups = ["\n".join(line for word, line in STANDARD.items() if _says(searched, word)), "\n".join(installed)]
    return "\n\n".join(group for group in (*groups, *([GUARD, VISION] if vision else [])) if group)


def _says(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(word)}", text) is not None


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
            alike = {marks[0] for marks, other in zip(slots[0], columns, strict=True) if other == column}
            if len(varying) == 1 and {"in_channels", "out_channels"} <= alike:
                wanted = "channels"
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
        body = Body(module, forward, names)
        lines = body.forward_lines(self.input_shape if is_root else None)
        inits = [f"self.{names[key]} = {self.constructor(child)}" for key, child in module.named_children() if key in body.used]
        return "\n".join(["    def __init__(self):", "        super().__init__()",
                          *(f"        {line}" for init in inits for line in init.split("\n")), "",
                          *(f"    {line}" for line in lines), ""])

    def constructor(self, module: nn.Module) -> str:
        """The expression that makes a module anew, such as nn.Conv2d(1, 32, kernel_size=3, padding=1)."""
        if is_layer(module):
            return f"nn.{type(module).__name__}({', '.join(arguments(module))})"
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


__all__ = ["ExportError", "model_class"]
