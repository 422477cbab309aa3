"""The private parts of PyTorch that we use: all of them, each with what is done where a version of PyTorch has it no more.

PyTorch promises nothing about names that begin with an underscore. Here each costs speed, or a column of a table, when it goes,
and nothing else; tests/test_torch_private.py takes them away one by one. tests/test_boundaries.py keeps them in this module.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


def amx_tiles() -> bool:
    """Whether the processor has AMX tiles; False where PyTorch does not say."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


def forward_hooks(module: nn.Module) -> list[dict[int, Callable[..., Any]]]:
    """Where a module keeps its hooks on forward; empty where PyTorch keeps them otherwise."""
    return [vars(module)[name] for name in ("_forward_hooks", "_forward_pre_hooks") if name in vars(module)]


# Adam's kernel

def adam_step(weights: list[Tensor], gradients: list[Tensor], state: dict[str, list[Tensor]], group: dict[str, Any]) -> None:
    """One step of Adam on all weights, their counts included; only where has_adam_step().

    Args:
        state: "step" (one tensor, the same in every place), "exp_avg" and "exp_avg_sq", each a list in the order of `weights`.
        group: lr, betas, weight_decay and eps, as in a group of torch.optim.Adam.
    """
    state["step"][0].add_(1.0)
    # what torch.optim.adam._fused_adam calls in the end
    torch._fused_adam_(  # pyright: ignore[reportPrivateImportUsage]  # private, which is why it stands here
        weights, gradients, state["exp_avg"], state["exp_avg_sq"], [], state["step"], lr=group["lr"], beta1=group["betas"][0],
        beta2=group["betas"][1], weight_decay=group["weight_decay"], eps=group["eps"], amsgrad=False, maximize=False,
        grad_scale=None, found_inf=None)


@cache
def has_adam_step() -> bool:
    """Whether adam_step() does exactly what a step of torch.optim.Adam does: tried once, on three numbers."""
    weights = [torch.tensor([1.0, -2.0, 3.0], requires_grad=True) for _ in range(2)]
    theirs, ours = (torch.optim.Adam([weight], 0.1, weight_decay=0.01, fused=True) for weight in weights)
    gradient = torch.tensor([0.1, 0.2, -0.3])
    for weight in weights:
        weight.grad = gradient
    for optimizer in (theirs, ours, theirs):
        optimizer.step()
    try:
        with torch.no_grad():
            adam_step(weights[1:], [gradient], {name: [value] for name, value in ours.state[weights[1]].items()},
                      ours.param_groups[0])
    except Exception:  # gone, or called in another way
        return False
    pairs = [(weights[0], weights[1]), *((theirs.state[weights[0]][name], ours.state[weights[1]][name])
                                         for name in ("step", "exp_avg", "exp_avg_sq"))]
    return all(torch.equal(first, second) for first, second in pairs)


# oneDNN's product of matrices

def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """F.linear() by oneDNN where PyTorch would take another library: x (n, inputs) and weight (outputs, inputs), float32 on the
    CPU, in any strides; (n, outputs). Only where has_onednn_linear()."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


@cache
def has_onednn_linear() -> bool:
    """Whether onednn_linear() does what F.linear() does: tried once, on a few small whole numbers, whose sums are exact."""
    x, weight, bias = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(3, 4).t(), torch.arange(4.0)
    try:
        with torch.no_grad():
            return torch.equal(onednn_linear(x, weight, bias), nn.functional.linear(x, weight, bias))
    except Exception:  # gone, called in another way, or not built in, as on some ARM processors
        return False


# Changes in place

def in_place_changes(tensor: Tensor) -> int | None:
    """How often autograd has counted a change of this tensor in place; None where PyTorch does not say."""
    return getattr(tensor, "_version", None)


def contents_mark(tensor: Tensor) -> int:
    """A number that is another one after a change of the tensor in place. From its values, where changes are not counted."""
    if (changes := in_place_changes(tensor)) is not None:
        return changes
    return hash(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())


# Single operations

@dataclass(frozen=True)
class Signature:
    """An operation's name, such as "convolution", and its arguments."""

    name: str
    defaults: dict[str, Any]  # of all arguments, in order
    written: tuple[str, ...]  # those that the operation writes to
    mutable: bool  # writes to any


def signature_of(operation: Any) -> Signature | None:
    """None where PyTorch does not say."""
    try:
        schema = operation._schema
        return Signature(schema.name.removeprefix("aten::"), {entry.name: entry.default_value for entry in schema.arguments},
                         tuple(entry.name for entry in schema.arguments if entry.alias_info and entry.alias_info.is_write),
                         schema.is_mutable)
    except AttributeError:
        return None


Handler = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]  # an operation and its arguments → its result


def each_operation(handler: Handler) -> AbstractContextManager[Any]:
    """While active, every operation on tensors is handed to `handler`, which carries it out and returns its result.

    They are PyTorch's innermost operations, such as aten.convolution, each with a signature_of(). Where those can't be watched,
    they are the functions that are called, such as torch.nn.functional.conv2d, which have none.
    """
    try:
        from torch.utils._python_dispatch import TorchDispatchMode
    except ImportError:
        return _functions(handler)

    class Operations(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (),
                               kwargs: dict[str, Any] | None = None) -> Any:
            return handler(func, args, kwargs or {})

    return Operations()


def _functions(handler: Handler) -> AbstractContextManager[Any]:
    class Functions(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (),
                               kwargs: dict[str, Any] | None = None) -> Any:
            if getattr(func, "__name__", "") == "__get__":  # an attribute such as shape is asked for; nothing is computed
                return func(*args, **(kwargs or {}))
            return handler(func, args, kwargs or {})

    return Functions()
