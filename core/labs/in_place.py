"""In-place operations and what they do to gradients: each case is run for real, and its error is PyTorch's own."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from core.torch_private import in_place_changes


@dataclass(frozen=True)
class Case:
    """An in-place operation: its code, and what to make of it."""

    title: str
    lines: tuple[str, ...]  # what is done, as code; `w` and `y` exist afterwards
    why: str


@dataclass(frozen=True)
class InPlace:
    """What happened."""

    before: tuple[float, ...]  # the values of the tensor that is changed
    after: tuple[float, ...]
    same_memory: bool  # whether the changed tensor lies where it lay
    version: int | None  # how often the tensor has been changed in place, as autograd counts; None where that can't be known
    gradient: tuple[float, ...] | None
    error: str | None  # PyTorch's own words


def _backward(loss: Tensor, w: Tensor) -> tuple[tuple[float, ...] | None, str | None]:
    try:
        loss.backward()
    except RuntimeError as error:
        return None, str(error)
    return tuple(_gradient(w).tolist()), None


def _gradient(w: Tensor) -> Tensor:
    """Of a leaf that wants one, after backward()."""
    assert w.grad is not None
    return w.grad


def _leaf() -> Tensor:
    return torch.tensor([1.0, 2.0, 3.0], requires_grad=True)


def _needed() -> InPlace:
    w = _leaf()
    y = w.exp()
    before, place = tuple(y.tolist()), y.data_ptr()
    y.add_(1)
    return InPlace(before, tuple(y.tolist()), y.data_ptr() == place, in_place_changes(y), *_backward(y.sum(), w))


def _not_needed() -> InPlace:
    w = _leaf()
    y = w * 2
    before, place = tuple(y.tolist()), y.data_ptr()
    y.add_(1)
    return InPlace(before, tuple(y.tolist()), y.data_ptr() == place, in_place_changes(y), *_backward(y.sum(), w))


def _on_leaf() -> InPlace:
    w = _leaf()
    before, place = tuple(w.tolist()), w.data_ptr()
    try:
        w.add_(1)
    except RuntimeError as error:
        return InPlace(before, tuple(w.tolist()), w.data_ptr() == place, in_place_changes(w), None, str(error))
    raise AssertionError("PyTorch now allows in-place operations on leaves: this case has to be written anew")


def _update() -> InPlace:
    w = _leaf()
    (w ** 2).sum().backward()
    before, place, gradient = tuple(w.tolist()), w.data_ptr(), _gradient(w)
    with torch.no_grad():
        w.sub_(0.1 * gradient)
    return InPlace(before, tuple(w.tolist()), w.data_ptr() == place, in_place_changes(w), tuple(gradient.tolist()), None)


def _copy() -> InPlace:
    w = _leaf()
    y = w.exp()
    before, place = tuple(y.tolist()), y.data_ptr()
    y = y + 1
    return InPlace(before, tuple(y.tolist()), y.data_ptr() == place, in_place_changes(y), *_backward(y.sum(), w))


CASES: dict[str, Case] = {
    "needed": Case("`y = w.exp()`, then `y.add_(1)`", ("y = w.exp()", "y.add_(1)", "y.sum().backward()"),
                   "The derivative of exp(w) is exp(w) itself, so autograd kept y for the backward pass. add_ wrote over it, and "
                   "autograd notices: y's version is 1 where 0 was expected."),
    "copy": Case("`y = w.exp()`, then `y = y + 1`", ("y = w.exp()", "y = y + 1", "y.sum().backward()"),
                 "Without the underscore, the result is a new tensor in new memory. What autograd kept is untouched."),
    "not_needed": Case("`y = w * 2`, then `y.add_(1)`", ("y = w * 2", "y.add_(1)", "y.sum().backward()"),
                       "The derivative of w * 2 is 2, whatever y is. Nothing that autograd needs was written over, so it works. "
                       "One has to know the formula to know this, which is why in-place operations are discouraged."),
    "leaf": Case("`w.add_(1)` on a weight", ("w.add_(1)",),
                 "w is a leaf: a tensor whose gradient is wanted and that no operation made. A recorded change of it would "
                 "leave no place for that gradient."),
    "update": Case("`w.sub_(…)` inside `no_grad`",
                   ("(w ** 2).sum().backward()", "with torch.no_grad():", "    w.sub_(0.1 * w.grad)"),
                   "This is how an optimizer changes weights: in place, and outside of what autograd records."),
}

_RUN: dict[str, Callable[[], InPlace]] = {"needed": _needed, "copy": _copy, "not_needed": _not_needed, "leaf": _on_leaf,
                                          "update": _update}


def run_case(name: str) -> InPlace:
    """Do what CASES[name] says and report what happened."""
    return _RUN[name]()
