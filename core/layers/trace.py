"""Measure: run a network once without computing anything and note every call of every module.

The run happens on PyTorch's meta device, where tensors have shapes and no data, so a layer of 40 GB answers at once.
Networks that need numbers to decide what to do (`.item()`, `if x.sum() > 0`) are run on zeros instead.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from core.hooks import CallStack, hooked
from core.layers.misfits import misfit
from core.layers.receptive_field import Tracker, input_field, size_of
from core.torch_private import each_operation

Shape = tuple[int, ...]
# A prime that is nobody's layer width: the dimension with this size is the batch, wherever a module has moved it.
META_BATCH = 97
REAL_BATCH = 2  # batch norm needs two
REGISTERS = ("_parameters", "_buffers", "_modules")  # of nn.Module; what forward adds stays where they are called otherwise


@dataclass
class Call:
    """One call of one module, in the order in which the calls began."""

    module: nn.Module
    path: str  # as its callers name it, see CallStack; "" for the network itself
    parent: "Call | None"
    inputs: list[Shape]  # of all tensors that came in, with batch
    outputs: list[Shape] = field(default_factory=list)
    receptive_field: int | Shape | None = None
    finished: bool = False
    called_inside: bool = False  # other modules were called during this call
    used: set[int] = field(default_factory=set)  # ids of parameters and buffers in its own operations; calls inside have theirs


@dataclass
class Trace:
    """What one run of a network showed."""

    batch: int
    calls: list[Call] = field(default_factory=list)
    used: set[int] = field(default_factory=set)  # ids of parameters and buffers that took part in some operation
    failure: Exception | None = None
    failed: Call | None = None  # the innermost call that was running then
    line: str = ""  # what does not fit, where that is known


class Misfit(Exception):
    """The input of one call does not fit its module. The message is what follows the layer's name."""


class _WantsIntegers(Exception):
    """The first embedding received decimal numbers: the network's input is indices."""


def trace(model: nn.Module, input_shape: Shape) -> Trace:
    """Run `model` on a batch of examples of `input_shape` and note its calls.

    The model is as it was afterwards: modes, weights, buffers, gradients, plain attributes, hooks and random state.
    A failure of forward is noted in the result, not raised.
    """
    for path, module in model.named_modules():
        if any(map(is_lazy, module.parameters(recurse=False))):
            call = Call(module, path, None, [(META_BATCH, *input_shape)])
            line = "does not know its sizes yet; run one batch through the network first"
            return Trace(META_BATCH, [call], failure=Misfit(line), failed=call, line=line)
    with untouched(model):
        result = _run(model, input_shape, meta=True)
        on_meta = any(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])
        if result.failure is not None and not result.line and not on_meta:
            result = _run(model, input_shape, meta=False)
    return result


def _run(model: nn.Module, input_shape: Shape, meta: bool, integers: bool = False) -> Trace:
    result = Trace(META_BATCH if meta else REAL_BATCH)
    tensors = [*model.parameters(), *model.buffers()]
    device = torch.device("meta") if meta else tensors[0].device if tensors else torch.device("cpu")
    dtype = torch.int64 if integers else next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)
    originals = _slots(model)
    stand_ins = _stand_ins(originals, meta)
    tracker = Tracker({id(stand_ins[name]): id(tensor) for name, tensor in originals.items()}, follow=meta)
    example = torch.zeros(result.batch, *input_shape, dtype=dtype, device=device)
    if meta:
        tracker.remember(example, input_field(tuple(example.shape)))
    try:
        with (_hooks(model, result, tracker, integers), torch.no_grad(), torch.device("meta") if meta else nullcontext(),
              each_operation(tracker.carry_out)):
            if isinstance(model, torch.jit.ScriptModule):
                model(example)
            else:
                torch.func.functional_call(model, stand_ins, (example,), tie_weights=False)
    except _WantsIntegers:
        return _run(model, input_shape, meta, integers=True)
    except Misfit as error:
        result.failure, result.line = error, str(error)
    except Exception as error:  # forward is other people's code and may raise anything
        result.failure = error
    result.used = tracker.used.union(*(call.used for call in result.calls))
    return result


def _slots(model: nn.Module) -> dict[str, Tensor]:
    """Every place of a module that holds a parameter or buffer, each place once, whatever tensors and modules are shared.

    `functional_call` puts the weights back place by place; a place named twice would be left with its stand-in.
    """
    return {f"{path}.{name}" if path else name: tensor for path, module in model.named_modules()
            for named in (module.named_parameters, module.named_buffers)
            for name, tensor in named(recurse=False, remove_duplicate=False)}


def _stand_ins(originals: dict[str, Tensor], meta: bool) -> dict[str, Tensor]:
    """What the run uses in place of the weights: empty shapes, or in a real run the weights and copies of the buffers."""
    made: dict[int, Tensor] = {}  # a shared weight has one stand-in
    for tensor in originals.values():
        if id(tensor) not in made:
            made[id(tensor)] = torch.empty_like(tensor, device="meta") if meta else \
                tensor if isinstance(tensor, nn.Parameter) else tensor.clone()
    return {name: made[id(tensor)] for name, tensor in originals.items()}


@contextmanager
def _hooks(model: nn.Module, result: Trace, tracker: Tracker, integers: bool) -> Iterator[None]:
    """Watch every module's calls; what can't take a hook is left unwatched."""
    stack, outside = CallStack(), tracker.used

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tensors = list(tensors_of((args, kwargs)))
        begun = stack.enter(module)
        parent = result.calls[begun.parent.number] if begun.parent else None
        call = Call(module, begun.path, parent, [tuple(tensor.shape) for tensor in tensors])
        if parent is not None:
            parent.called_inside = True
        result.calls.append(call)
        result.failed = call
        tracker.used = call.used
        indices = isinstance(module, nn.Embedding | nn.EmbeddingBag)
        if indices and not integers and tensors and tensors[0].is_floating_point():
            raise _WantsIntegers
        if call.inputs and (line := misfit(module, call.inputs[0])):
            raise Misfit(line)

    def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        ended = stack.leave(module)
        if ended is None:
            return
        call = result.calls[ended.number]
        tensors = list(tensors_of(output))
        call.outputs = [tuple(tensor.shape) for tensor in tensors]
        call.receptive_field = size_of(tracker.field(tensors[0])) if tensors else None
        call.finished = True
        result.failed = result.calls[ended.parent.number] if ended.parent else None
        tracker.used = outside if result.failed is None else result.failed.used

    with hooked(model.modules(), before, after):
        yield


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every module's mode and attributes and all random states are as before."""
    modules = list(model.modules())
    modes = [module.training for module in modules]
    attributes = [None if isinstance(module, torch.jit.ScriptModule) else _copied(vars(module)) for module in modules]
    python, numbers = random.getstate(), numpy.random.get_state()
    devices = {tensor.device for tensor in model.parameters() if tensor.is_cuda}
    try:
        for module in modules:
            module.training = False  # not eval(), which some networks override
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        random.setstate(python)
        numpy.random.set_state(numbers)
        for module, mode, before in zip(modules, modes, attributes, strict=True):
            if before is not None:
                _restore(module, before)
            module.training = mode


def _copied(attributes: dict[str, Any]) -> dict[str, Any]:
    """A module's attributes; the registers of its parts are copied too, because forward may add to them."""
    return {name: dict(value) if name in REGISTERS else value for name, value in attributes.items()}


def _restore(module: nn.Module, before: dict[str, Any]) -> None:
    """Put attributes back that forward has set, such as a kept activation, a counter or a new buffer."""
    now = vars(module)
    for name in [name for name in now if name not in before]:
        del now[name]
    for name, value in before.items():
        if name in REGISTERS:
            if list(map(id, now[name].values())) != list(map(id, value.values())) or list(now[name]) != list(value):
                now[name].clear()  # only where something changed: another session may be using the same network
                now[name].update(value)
        elif now.get(name) is not value:
            now[name] = value


def tensors_of(value: Any) -> Iterator[Tensor]:
    """The tensors in what a module takes or returns: nested tuples, lists, dicts, packed sequences, dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_of(item)
    elif isinstance(value, list | tuple | set):
        for item in value:
            yield from tensors_of(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for entry in fields(value):
            yield from tensors_of(getattr(value, entry.name))
