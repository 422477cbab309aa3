"""What each module's forward does, step by step, seen while the network runs once without computing anything.

torch.fx could tell it too, but while it traces it replaces nn.Module.__call__ for the whole process, and here other sessions
run networks at the same time. This watches one network's own hooks and one thread's torch functions.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from core.errors import reason
from core.hooks import hooked
from core.layers.trace import META_BATCH, Shape, tensors_of, trace


class ExportError(ValueError):
    """Something that can't be written as code; the message is one line."""


@dataclass(frozen=True)
class Value:
    """The result of step `step` of a forward; -1 is its input."""

    step: int


@dataclass
class ForwardStep:
    """One call inside a forward: of a module inside it, or of a torch function. Tensors among the arguments are Values."""

    target: nn.Module | Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Shape  # with the batch, which is META_BATCH


@dataclass
class Forward:
    """The steps of one module's forward, in order, and the one whose result it returns."""

    steps: list[ForwardStep] = field(default_factory=list)
    result: Value | None = None
    values: dict[int, Value] = field(default_factory=dict)  # by id of the tensor


def is_layer(module: nn.Module) -> bool:
    """Whether a module is one of torch.nn's own layers, with nothing to look into."""
    return getattr(nn, type(module).__name__, None) is type(module) and not next(module.children(), None)


def is_sequential(module: nn.Module) -> bool:
    """Whether a module calls its children one after the other and does nothing else."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def record(model: nn.Module, input_shape: Shape) -> dict[nn.Module, Forward]:
    """The forward of every module of `model` that is no layer. The model is left as it was.

    Raises:
        ExportError: forward fails on this input, or calls a module in two different ways.
    """
    recorder = _ForwardRecorder()
    with _watched(model, recorder), recorder:
        result = trace(model, input_shape)
    if result.failure is not None:
        raise ExportError(f"The network can't run on this input: {result.line or reason(result.failure)}")
    if result.batch != META_BATCH:
        raise ExportError("The network's forward depends on the numbers it gets, which can't be written as a fixed class.")
    return recorder.done


class _ForwardRecorder(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[Forward | None] = []  # None for a layer, whose inside is of no interest
        self.done: dict[nn.Module, Forward] = {}
        self.kept: list[Tensor] = []  # every tensor seen, so that no two have the same id

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        forward = None if is_layer(module) else Forward()
        if forward is not None:
            tensors = list(tensors_of((args, kwargs)))
            if len(tensors) != 1:
                raise ExportError(f"{type(module).__name__} takes {len(tensors)} inputs; only one can be written.")
            self.kept += tensors
            forward.values[id(tensors[0])] = Value(-1)
        self.open.append(forward)

    def leave(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        forward = self.open.pop()
        if forward is not None:
            made = next(iter(tensors_of(output)), None)
            forward.result = forward.values.get(id(made))
            self.done.setdefault(module, forward)
        if self.open and self.open[-1] is not None and type(module) is not nn.Identity:  # an Identity's result is its input
            self._add(self.open[-1], module, args, kwargs, output)

    def _add(self, forward: Forward, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        made = list(tensors_of(output))
        self.kept += made
        step = ForwardStep(target, _placed(args, forward.values), _placed(kwargs, forward.values),
                           tuple(made[0].shape) if made else ())
        forward.steps.append(step)
        for tensor in made[:1]:
            forward.values[id(tensor)] = Value(len(forward.steps) - 1)

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") == "dropout" and output is args[0]:
            output = output.view_as(output)  # in evaluation mode it is its own input; x + dropout(x) must still name both
        forward = self.open[-1] if self.open else None
        if forward is None or not any(id(tensor) in forward.values for tensor in tensors_of((args, kwargs or {}))):
            return output
        if isinstance(output, Tensor | tuple | list) and any(True for _ in tensors_of(output)):
            self._add(forward, func, args, kwargs or {}, output)
        return output


def _placed(value: Any, values: dict[int, Value]) -> Any:
    """Arguments with the forward's own tensors replaced by what made them."""
    if isinstance(value, Tensor):
        return values.get(id(value), value)
    if isinstance(value, tuple | list):
        return type(value)(_placed(item, values) for item in value) if type(value) in (tuple, list) else value
    if isinstance(value, dict):
        return {name: _placed(item, values) for name, item in value.items()}
    return value


@contextmanager
def _watched(model: nn.Module, recorder: _ForwardRecorder) -> Iterator[None]:
    try:
        with hooked(model.modules(), recorder.enter, recorder.leave, strict=True):
            yield
    except (RuntimeError, TypeError) as error:  # scripted modules refuse hooks
        raise ExportError(f"This network can't be watched: {reason(error)}") from None


__all__ = ["META_BATCH", "ExportError", "Forward", "ForwardStep", "Value", "is_layer", "is_sequential", "record"]
