"""Follow one batch through a network and keep what every layer makes of its first sample."""

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan, prod
from typing import Any

import torch
from torch import Tensor, nn

from core.data import normalize
from core.errors import reason
from core.hooks import CallStack, hooked
from core.layers.formulas import arguments
from core.layers.misfits import misfit
from core.layers.table import InspectionError, is_leaf
from core.layers.trace import Shape, tensors_of, untouched
from core.torch_private import contents_mark

VALUES_KEPT = 2**20  # of one stage: 4 MB, enough for 64 maps of 128×128
IMAGE, NORMALISED, BETWEEN = "Image", "Normalisation", "Between layers"  # kinds of stages that are no layer
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh,
               nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Softplus, nn.Softmax, nn.LogSoftmax, nn.LogSigmoid)


@dataclass(frozen=True)
class Stage:
    """The tensor after one call of one layer, in order of execution; before and after an activation are two stages.

    Between layers, forward may compute something itself, such as the addition of a shortcut or a flatten. Where a layer
    receives a tensor that no layer returned, that tensor is a stage of kind "Between layers".

    minimum, maximum, mean: over all samples, without what is infinite or NaN; NaN where nothing is left.
    values: float32 on the CPU, the first sample: (C, h, w) after a convolution, (features,) after a linear layer.
    """

    name: str  # dotted path by which its caller holds it, "layer1.0.conv1"; the class name if the network is a single layer
    kind: str  # class name, or IMAGE, NORMALISED, BETWEEN
    arguments: str  # "1→32, kernel 3×3, padding 1"
    path: str | None  # for model.get_submodule(); None for what is no layer
    source: int | None  # the stage whose tensor came in; None for the first
    shape: Shape  # with the batch: (N, C, h, w)
    minimum: float
    maximum: float
    mean: float
    zeros: float  # share of exact zeros, 0 to 1
    not_finite: int  # how many values are infinite or NaN
    values: Tensor
    complete: bool  # False where `values` holds only the first channels or features, to save memory
    is_activation: bool


def walk(model: nn.Module, images: Tensor, mean: tuple[float, ...] = (), std: tuple[float, ...] = (),
         limit: int = VALUES_KEPT) -> list[Stage]:
    """Every tensor on the way of `images` through `model`, in evaluation mode and without gradients.

    The model is as it was afterwards, also after an error: hooks, each module's mode, buffers, attributes, random state.
    Calls of the same model from other threads meanwhile are neither watched nor disturbed.

    Args:
        images: (N, C, H, W), uint8 or float in [0, 1]; any other shape of examples if the network takes it.
        mean, std: for each channel, as a TrainedModel has them; then normalising is a stage of its own. Nothing if empty.
        limit: how many values of a stage are kept.

    Raises:
        InspectionError: the network can't run on these images; the line names the layer, what it received and needs.
    """
    if images.dim() < 2 or not images.shape[0]:
        raise InspectionError(f"images have shape {tuple(images.shape)}; at least one image (N, C, H, W) is needed", [])
    recorder = _StageRecorder(images.shape[0], limit)
    with untouched(model), _buffers_kept(model), torch.no_grad():
        recorder.add("image", IMAGE, images)
        inputs = images
        if mean and (any(mean) or set(std) != {1.0}):
            inputs = normalize(images, mean, std)
            recorder.add("normalised", NORMALISED, inputs, source=0)
        elif images.dtype == torch.uint8:
            inputs = images.float() / 255
        like = next((t for t in model.parameters() if t.is_floating_point()), inputs)
        if inputs.is_floating_point():
            inputs = inputs.to(like.device, like.dtype, copy=inputs is images)  # a layer may change its input in place
        recorder.know(inputs, len(recorder.stages) - 1)
        try:
            with _hooks(model, recorder):
                output = model(inputs)
        except Exception as error:  # forward is other people's code and may raise anything
            raise InspectionError(recorder.failure_line(error), []) from error
        for tensor in list(tensors_of(output))[:1]:
            if recorder.origin(tensor) is None:
                recorder.add("output", BETWEEN, tensor, source=len(recorder.stages) - 1)
    return recorder.stages


def layer_of(model: nn.Module, stage: Stage) -> nn.Module | None:
    """The layer that made a stage; None for what is no layer."""
    return None if stage.path is None else model.get_submodule(stage.path)


def picture_before(stages: list[Stage], index: int) -> Shape | None:
    """(C, h, w) of what was flattened into the row of numbers at `stages[index]`; None where it was no picture."""
    features = stages[index].values.numel()
    place: int | None = index
    while place is not None and stages[place].values.numel() == features:
        if stages[place].values.dim() == 3:
            return tuple(stages[place].values.shape)
        place = stages[place].source
    return None


@dataclass
class _Call:
    """What is known of one call while it goes on."""

    leaf: bool  # shown as one layer, with whatever is inside
    inside: bool  # of such a layer
    called: bool = False  # modules inside
    source: int | None = None  # the stage of its input


class _InputMisfit(Exception):
    """What follows the layer's name where its input does not fit."""


class _StageRecorder:
    """Collects the stages of one walk, and knows which stage a tensor comes from."""

    def __init__(self, batch: int, limit: int) -> None:
        self.batch, self.limit = batch, limit
        self.stages: list[Stage] = []
        self.failed: tuple[str, Shape] | None = None  # the layer at work, and what it received
        self._known: dict[int, tuple[weakref.ref[Tensor], int, int]] = {}  # id → the tensor, its mark, its stage

    def know(self, tensor: Tensor, stage: int) -> None:
        self._known[id(tensor)] = (weakref.ref(tensor), contents_mark(tensor), stage)

    def origin(self, tensor: Tensor) -> int | None:
        """The stage that `tensor` is from; None where it was computed, or changed in place, outside of any layer."""
        kept, mark, stage = self._known.get(id(tensor), (lambda: None, -1, -1))
        return stage if kept() is tensor and contents_mark(tensor) == mark else None

    def received(self, name: str, tensor: Tensor) -> int:
        """The stage of a layer's input; a new one where no layer made it."""
        known = self.origin(tensor)
        if known is None:
            self.add(f"before {name}", BETWEEN, tensor, source=len(self.stages) - 1)
            known = len(self.stages) - 1
            self.know(tensor, known)
        return known

    def returned(self, module: nn.Module, path: str, tensor: Tensor, source: int | None) -> None:
        self.add(path or type(module).__name__, type(module).__name__.removeprefix("Parametrized"), tensor, path=path,
                 arguments=arguments(module), source=source, is_activation=isinstance(module, ACTIVATIONS))
        self.know(tensor, len(self.stages) - 1)

    def add(self, name: str, kind: str, tensor: Tensor, path: str | None = None, arguments: str = "",
            source: int | None = None, is_activation: bool = False) -> None:
        numbers = tensor.detach().float() / 255 if tensor.dtype == torch.uint8 else tensor.detach().float()
        first = numbers[0] if numbers.dim() and numbers.shape[0] == self.batch else numbers
        kept = _shortened(first if first.dim() else first.reshape(1), self.limit)
        usable = numbers if bool(numbers.isfinite().all()) else numbers[numbers.isfinite()]
        low, high = map(float, usable.aminmax()) if usable.numel() else (nan, nan)
        self.stages.append(Stage(
            name, kind, arguments, path, source, tuple(tensor.shape), low, high,
            mean=float(usable.double().mean()) if usable.numel() else nan,
            zeros=float((numbers == 0).double().mean()) if numbers.numel() else 0.0,
            not_finite=numbers.numel() - usable.numel(),
            values=kept.to("cpu", copy=True).contiguous(),  # a copy: an activation may change its input in place
            complete=kept.numel() == first.numel(), is_activation=is_activation))

    def failure_line(self, error: Exception) -> str:
        why = reason(error)
        if self.failed is None:
            return f"The network can't run: {why}"
        name, shape = self.failed
        if isinstance(error, _InputMisfit):
            return f"{name} {why}"
        return f"{name} received shape {shape} and can't use it: {why}"


def _shortened(values: Tensor, limit: int) -> Tensor:
    """The first channels, or rows of the first channel, that are at most `limit` values."""
    for axis in range(values.dim()):
        if values.numel() <= limit:
            break
        values = values.narrow(axis, 0, max(1, limit // max(1, prod(values.shape[axis + 1:]))))
    return values


@contextmanager
def _hooks(model: nn.Module, recorder: _StageRecorder) -> Iterator[None]:
    """Report this thread's calls of layers to `recorder`; all hooks are gone afterwards."""
    thread, stack = threading.get_ident(), CallStack()
    calls: list[_Call] = []  # by number

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if threading.get_ident() != thread:
            return
        begun = stack.enter(module)
        parent = calls[begun.parent.number] if begun.parent else None
        call = _Call(is_leaf(module), inside=parent is not None and (parent.leaf or parent.inside))
        calls.append(call)
        if parent is not None:
            parent.called = True
        tensor = next(tensors_of((args, kwargs)), None)
        if tensor is None or call.inside:
            return
        kind = type(module).__name__
        recorder.failed = (f"{begun.path} ({kind})" if begun.path else kind, tuple(tensor.shape))
        if line := misfit(module, tuple(tensor.shape)):
            raise _InputMisfit(line)
        call.source = recorder.received(begun.path or kind, tensor) if call.leaf else recorder.origin(tensor)

    def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if threading.get_ident() != thread:
            return
        ended = stack.leave(module)
        tensor = next(tensors_of(output), None)
        if ended is None or tensor is None:
            return
        call = calls[ended.number]
        # a module with modules inside that computed something and called none of them is one layer, such as MultiheadAttention
        if not call.inside and (call.leaf or not call.called and recorder.origin(tensor) is None):
            recorder.returned(module, ended.path, tensor, call.source)

    with hooked(model.modules(), before, after):
        yield


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """Buffers that forward changes even in evaluation mode get their values back."""
    before = [(buffer, contents_mark(buffer), buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, mark, values in before:
                if contents_mark(buffer) != mark:
                    buffer.copy_(values)
