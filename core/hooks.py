"""Hooks that watch a network's calls, and the name of each call: the path by which its caller holds the module."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@contextmanager
def hooked(modules: Iterable[nn.Module], before: Callable[..., None] | None = None, after: Callable[..., None] | None = None,
           strict: bool = False) -> Iterator[None]:
    """The forward hooks of `modules`, for as long as the context lasts.

    before(module, args, kwargs), after(module, args, kwargs, output): they watch, and what they return is of no effect. strict:
    False leaves modules that refuse hooks unwatched, as some scripted ones do; True raises their RuntimeError or TypeError.
    """
    handles = []
    try:
        for module in modules:
            with suppress(*(() if strict else (RuntimeError, TypeError))):
                if before is not None:
                    handles.append(module.register_forward_pre_hook(_watching(before), with_kwargs=True))
                if after is not None:
                    handles.append(module.register_forward_hook(_watching(after), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _watching(hook: Callable[..., None]) -> Callable[..., None]:
    """PyTorch would take what a hook returns in place of the input or output."""
    def watch(*call: Any) -> None:
        hook(*call)

    return watch


@dataclass(eq=False)
class OpenCall:
    """A call that is going on.

    path: dotted, from the network to the module, as the callers name what they call; "" for the network itself. It is always
        one that model.get_submodule takes, and leads to this module. number: of the call, from 0 in order of beginning.
    """

    module: nn.Module
    path: str
    number: int
    parent: "OpenCall | None"
    asked_for: Counter[nn.Module] = field(default_factory=Counter)  # how often each module was called by one of its names here


class CallStack:
    """The calls of a network's modules that are going on, told by hooks on all of its modules.

    A module that is shared by several others has a name for each of them, and a call has the caller's: where `a` and `b` hold
    the same `lin` and forward is a(b(x)), "b.lin" is called first, then "a.lin".
    """

    def __init__(self) -> None:
        self.open: list[OpenCall] = []  # outermost first
        self.count = 0  # of calls so far
        self._names: dict[tuple[nn.Module, nn.Module], list[str]] = {}

    def enter(self, module: nn.Module) -> OpenCall:
        """A call begins."""
        parent = self.open[-1] if self.open else None
        self.open.append(OpenCall(module, self._path(module), self.count, parent))
        self.count += 1
        return self.open[-1]

    def leave(self, module: nn.Module) -> OpenCall | None:
        """The call that ends; those inside it that are still open raised, and were caught. None for one that was never seen."""
        while self.open:
            call = self.open.pop()
            if call.module is module:
                return call
        return None

    def _path(self, module: nn.Module) -> str:
        """From the innermost call whose module holds this one: a module that was handed in is held further out.

        Who holds it under several names is taken to use them in turn, as a Sequential does; hooks can't tell.
        """
        for call in reversed(self.open):
            if call.module is module:
                return call.path  # it calls itself
            key = (call.module, module)
            if key not in self._names:
                self._names[key] = names_in(*key)
            if names := self._names[key]:
                name = names[call.asked_for[module] % len(names)]
                call.asked_for[module] += 1
                return joined(call.path, name)
        return ""


@contextmanager
def watched(model: nn.Module, kind: type[nn.Module] | tuple[type[nn.Module], ...],
            after: Callable[[str, nn.Module, Any], None]) -> Iterator[None]:
    """after(path, module, output) for each call of a module of a kind, as it ends; path as CallStack gives it.

    Only for calls that the thread makes which enters the context: others may ask the same network meanwhile.
    """
    thread, stack = threading.get_ident(), CallStack()

    def begin(module: nn.Module, args: Any, kwargs: Any) -> None:
        if threading.get_ident() == thread:
            stack.enter(module)

    def end(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        call = stack.leave(module) if threading.get_ident() == thread else None
        if call is not None and isinstance(module, kind):
            after(call.path, module, output)

    with hooked(model.modules(), begin, end):
        yield


def names_in(holder: nn.Module, module: nn.Module) -> list[str]:
    """The dotted names under which `holder` holds `module`, in order of registration; only the nearest ones.

    What a ModuleList or ModuleDict holds is as near as an attribute: they are never called, so they are no callers themselves.
    """
    level, seen = [("", holder)], {holder}
    while level:
        held = [(joined(path, name), child) for path, parent in level for name, child in _attributes(parent)]
        if found := [name for name, child in held if child is module]:
            return found
        level = [(name, child) for name, child in held if child not in seen]
        seen.update(child for _, child in level)
    return []


def _attributes(holder: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """What a forward of `holder` may call by a name of its own."""
    for name, child in holder.named_modules(remove_duplicate=False):  # named_children() leaves out a second name of the same one
        if not name or "." in name:
            continue
        yield name, child
        if getattr(type(child), "forward", None) is nn.Module.forward:
            yield from ((joined(name, inner), module) for inner, module in _attributes(child))


def joined(path: str, name: str) -> str:
    """"layer1" and "conv" → "layer1.conv"; what is "" adds nothing."""
    return f"{path}.{name}" if path and name else path or name


__all__ = ["CallStack", "OpenCall", "hooked", "joined", "names_in", "watched"]
