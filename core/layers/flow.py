"""The operations of any network in the order in which they run, and which one feeds which.

A network's modules don't tell this: the classic notes write `torch.relu(self.conv1(x))` and `return torch.sigmoid(x)`, which
no module knows of, and a module's place in `print(model)` need not be its place in forward. So every call of a torch function
is noted while the network runs once on PyTorch's meta device (see trace.py), which computes nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core.hooks import CallStack, hooked
from core.layers.trace import Shape, tensors_of, trace

INPUT = -1  # the number of the network's input, where operations are numbered from 0
MATRIX = {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
# Each output number is an input number or a copy of it
SHAPING = {"view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose", "contiguous", "clone", "to",
           "float", "type", "expand", "expand_as", "view_as", "reshape_as", "movedim", "t", "identity", "detach"}
DROPOUT = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout", "feature_dropout"}
# Sums of input numbers times constants, in evaluation mode: after these, linear layers are still linear layers
LINEAR = SHAPING | DROPOUT | {"batch_norm", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d",
                              "adaptive_avg_pool2d", "adaptive_avg_pool3d", "mean", "sum", "pad", "neg"}


@dataclass(frozen=True)
class Operation:
    """One call of a torch function on values that come from the network's input."""

    name: str  # "linear", "relu", "sigmoid", "view"; without the underscores of in-place and operator forms
    calls: tuple[int, ...]  # numbers of the calls of modules that were going on, the network's own first
    layer: str  # dotted path of the innermost of them, as its caller names it; "" in the network's own forward
    sources: tuple[int, ...]  # numbers of the operations whose results it took; INPUT for the network's input
    input: Shape  # of the first tensor, with the batch
    output: Shape
    weight: Shape  # of the weight of a linear layer, convolution or batch norm; () where there is none
    bias: bool
    settings: dict[str, Any] = field(default_factory=dict)  # plain values among the arguments, by name where they had one


@dataclass(frozen=True)
class Flow:
    """What one run of a network showed. `result` is the number of the operation that made what forward returned.

    calls: of modules, in order of beginning: the dotted path by which the caller holds the module, "" for the network itself.
    """

    operations: list[Operation]
    result: int | None
    calls: list[str] = field(default_factory=list)

    def back_from(self, number: int | None, through: set[str]) -> Iterator[Operation]:
        """Operations from `number` back towards the input: each of `through`, and the first that is none of these."""
        while number is not None and number != INPUT:
            operation = self.operations[number]
            yield operation
            if operation.name not in through or len(operation.sources) != 1:
                return
            number = operation.sources[0]

    def end_of(self, number: int | None, through: set[str]) -> Operation | None:
        """The last operation that back_from gives: the first that is none of `through`, or the one at the network's input."""
        found = list(self.back_from(number, through))
        return found[-1] if found else None

    def named(self, names: set[str]) -> list[Operation]:
        """All operations of these names, in order."""
        return [operation for operation in self.operations if operation.name in names]


def flow(model: nn.Module, input_shape: Shape) -> Flow:
    """The operations of `model` on an example of `input_shape`, (C, H, W) or any other shape without batch.

    The model is left as it was. Where forward fails, the operations before that, and no result.
    """
    recorder = _Recorder()
    with _named_calls(model, recorder), recorder:
        trace(model, input_shape)
    return Flow(recorder.operations, recorder.result, recorder.calls)


class _Recorder(TorchFunctionMode):
    """Notes calls of torch functions. Keeps every tensor it has seen, so that no two have the same id."""

    def __init__(self) -> None:
        super().__init__()
        self.restart(())

    def restart(self, inputs: Any) -> None:
        """The network is called: what came before was not part of it, or was an attempt that failed."""
        self.operations: list[Operation] = []
        self.result: int | None = None
        self.stack, self.calls = CallStack(), list[str]()
        self.kept: list[Tensor] = list(tensors_of(inputs))
        self.origin: dict[int, int] = {id(tensor): INPUT for tensor in self.kept}

    def knows(self, inputs: Any) -> bool:
        """Whether something among `inputs` comes from the network's input."""
        return any(id(tensor) in self.origin for tensor in tensors_of(inputs))

    def finish(self, output: Any) -> None:
        first = next(iter(tensors_of(output)), None)
        self.result = self.origin.get(id(first))

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        made = list(tensors_of(output)) if isinstance(output, Tensor | tuple | list) else []
        tensors = list(tensors_of((args, kwargs)))
        sources = tuple(dict.fromkeys(self.origin[id(tensor)] for tensor in tensors if id(tensor) in self.origin))
        if made and sources:
            self._note(func, tensors, sources, args, kwargs, made)
        return output

    def _note(self, func: Any, tensors: list[Tensor], sources: tuple[int, ...], args: tuple[Any, ...], kwargs: dict[str, Any],
              made: list[Tensor]) -> None:
        name = getattr(func, "__name__", "unknown").strip("_")
        name = {"dropout_": "dropout", "get": "property"}.get(name, name)
        weighted = name in MATRIX and len(tensors) > 1
        settings = {key: value for key, value in kwargs.items() if isinstance(value, int | float | str | bool | tuple)}
        settings |= {str(place): value for place, value in enumerate(args) if isinstance(value, int | float | bool)}
        calls = tuple(call.number for call in self.stack.open)
        self.operations.append(Operation(
            name, calls, self.calls[calls[-1]] if calls else "", sources, tuple(tensors[0].shape), tuple(made[0].shape),
            tuple(tensors[1].shape) if weighted else (), weighted and len(tensors) > 2, settings))
        for tensor in made:
            self.kept.append(tensor)
            self.origin[id(tensor)] = len(self.operations) - 1


@contextmanager
def _named_calls(model: nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Tell the recorder which module is running; the hooks are gone afterwards, whatever happens."""
    def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if module is model and not recorder.knows((args, kwargs)):  # else it calls itself
            recorder.restart((args, kwargs))
        recorder.calls.append(recorder.stack.enter(module).path)

    def leave(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        recorder.stack.leave(module)
        if module is model:
            recorder.finish(output)

    with hooked(model.modules(), enter, leave):
        yield


def shown(operation: Operation) -> str:
    """An operation for people: "fc2" for a layer of that name, "sigmoid() in forward" where forward calls a function."""
    return operation.layer or f"{operation.name}() in forward"


__all__ = ["DROPOUT", "INPUT", "LINEAR", "MATRIX", "SHAPING", "Flow", "Operation", "flow", "shown"]
