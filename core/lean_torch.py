"""PyTorch without what is only named: 90 MB and a second less in every process that trains or shows a network.

In PyTorch 2.13 the first optimizer imports torch._dynamo, only to be told that the compiler should leave four of its methods
alone, and with it torch._inductor and half of torch.distributed. Shapes on the meta device import sympy and
torch.fx.experimental.symbolic_shapes, only to be told that no number is a symbol and that True is true. Nothing here is
compiled, so these are stood in for by modules that answer just that. Whoever asks them for anything else, as torch.compile
does, gets the real module, and from then on nothing differs from a plain import. What `import torch` and `import torchvision`
name and ask nothing waits for the first question (see core.lazy_modules).

Installed by core.process.configure() before torch is imported; imports nothing of torch itself.
"""

import functools
import importlib
import importlib.machinery
import operator
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

from core.lazy_modules import LazyFinder

SYMPY, SHAPES, DYNAMO, UTILS = "sympy", "torch.fx.experimental.symbolic_shapes", "torch._dynamo", "torch._dynamo.utils"
PACKAGES = (SYMPY, DYNAMO)
KNOWN = "2.13."  # the stand-ins answer what this version asks
MARK = "__dynamo_disable"  # where torch._compile keeps what torch._dynamo.disable returned


class StandIn(ModuleType):
    """A module with the few answers that are enough as long as nothing is compiled; the real one for all other names."""

    def __init__(self, name: str, finder: "Finder") -> None:
        super().__init__(name)
        for answer, value in ANSWERS[name](finder).items():
            setattr(self, answer, value)
        self._finder = finder

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # somebody looks at all modules; imports nothing
            raise AttributeError(name)
        return getattr(self._finder.real(self.__name__), name)


class Finder(MetaPathFinder, Loader):
    """Gives stand-ins to whoever imports what is in ANSWERS, until the real ones are wanted."""

    def __init__(self) -> None:
        self.waiting = list(ANSWERS)
        self.marked: list[Callable[..., Any]] = []  # functions that a stand-in has let through
        self.lock = threading.Lock()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name in self.waiting:
            return ModuleSpec(name, self, is_package=name in PACKAGES)
        if (package := name.rpartition(".")[0]) in PACKAGES and package in self.waiting:
            return ModuleSpec(name, Part(self, package))
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return StandIn(spec.name, self)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is left to do."""

    def real(self, name: str) -> ModuleType:
        """The real module, imported now if it has not been, after those that it needs."""
        while True:
            with self.lock:  # nothing is imported within: two threads would wait for each other
                if name not in self.waiting:
                    break
                first = self.waiting.pop(0)
                if isinstance(sys.modules.get(first), StandIn):
                    del sys.modules[first]
            importlib.import_module(first)
        module = importlib.import_module(name)  # another thread may be at it
        with self.lock:
            for function in self.marked:
                vars(function).pop(MARK, None)  # asked again at its next call
            self.marked.clear()
        return module


class Part(Loader):
    """Of a part of a package that is stood in for: the real package comes first, and may bring that part along."""

    def __init__(self, finder: Finder, package: str) -> None:
        self.finder = finder
        self.package = package

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        self.finder.real(self.package)  # not in find_spec(), which holds the lock of all imports
        module = importlib.import_module(spec.name)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has been executed; what import has noted in it as if it had not is put back."""
        vars(module)["__spec__"] = self.spec  # a module of settings lets no attribute be set


def compiler_answers(finder: Finder) -> dict[str, Callable[..., Any]]:
    """Of torch._dynamo: what it does where nothing is compiled, which is nothing."""

    def disable(fn: Callable[..., Any] | None = None, *arguments: Any, **named: Any) -> Any:
        if fn is None or DYNAMO not in finder.waiting:
            return finder.real(DYNAMO).disable(fn, *arguments, **named)
        finder.marked.append(fn)
        return fn

    def graph_break(msg: str = "") -> None:
        if DYNAMO not in finder.waiting:
            finder.real(DYNAMO).graph_break(msg)

    return {"disable": disable, "graph_break": graph_break}


def shape_answers(finder: Finder) -> dict[str, Callable[..., Any]]:
    """Of torch.fx.experimental.symbolic_shapes: what it says to sizes that are plain numbers, and the real answer to others."""

    def plain(name: str, kind: type) -> Callable[..., Any]:
        def answer(value: Any, *arguments: Any) -> Any:
            return value if type(value) is kind else getattr(finder.real(SHAPES), name)(value, *arguments)
        return answer

    def sym_eq(x: Any, y: Any) -> Any:
        if type(x) is int and type(y) is int:
            return x == y
        if isinstance(x, tuple | list) and isinstance(y, tuple | list) and all(type(v) is int for v in (*x, *y)):
            return tuple(x) == tuple(y)
        return finder.real(SHAPES).sym_eq(x, y)

    def joined(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
        return lambda x, *others: functools.reduce(operation, others, x)  # symbols overload & and |

    def is_nested_int(value: Any) -> bool:
        return type(value) is not int and finder.real(SHAPES).is_nested_int(value)

    def has_guarding_hint(value: Any) -> bool:
        return type(value) in (bool, int, float) or finder.real(SHAPES).has_guarding_hint(value)

    truths = ("expect_true", "guard_bool", "guard_or_false", "guard_or_true", "guard_size_oblivious", "statically_known_true")
    numbers = ("guard_int", "guarding_hint_or_throw")
    return {name: plain(name, bool) for name in truths} | {name: plain(name, int) for name in numbers} | {
        "sym_and": joined(operator.and_), "sym_or": joined(operator.or_), "sym_eq": sym_eq, "is_nested_int": is_nested_int,
        "has_guarding_hint": has_guarding_hint}


def no_symbols(finder: Finder) -> dict[str, type]:
    """Of sympy: the class of all symbolic expressions, of which there are none."""
    return {"Basic": type("Basic", (), {"__module__": SYMPY})}


def utilities(finder: Finder) -> dict[str, Callable[..., Any]]:
    """Of torch._dynamo.utils: what torchvision takes from it as it is imported."""
    return {"is_compile_supported": lambda device: finder.real(UTILS).is_compile_supported(device)}


# in the order in which the real ones are imported: each needs those before it
ANSWERS: dict[str, Callable[[Finder], dict[str, Any]]] = {
    SYMPY: no_symbols, SHAPES: shape_answers, DYNAMO: compiler_answers, UTILS: utilities}

# Named and not asked. None of them registers an operator or a kernel that is called by anyone but those who ask for it
NAMED = (
    "torch.ao", "torch.quantization", "torch.nn.intrinsic", "torch.nn.qat", "torch.nn.quantizable", "torch.nn.quantized",
    "torch.distributions", "torch.export", "torch.masked", "torch.profiler", "torch.utils.data",
    "torchgen.model",  # for torch.utils._python_dispatch
    "torchvision.datasets", "torchvision.io", "torchvision.models", "torchvision.ops", "torchvision.transforms.v2")


def install() -> None:
    """Stand in for these from now on, unless they are there already, or PyTorch is another version than the one that is known.
    To be called before torch is imported."""
    try:
        known = version("torch").startswith(KNOWN)
    except PackageNotFoundError:  # built or put there by hand
        return
    if known and not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path[:0] = [Finder(), LazyFinder(NAMED)]
