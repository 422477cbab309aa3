"""Modules that are named by an import and executed when somebody first asks them something; from then on they are ordinary ones.

importlib.util.LazyLoader does that too, but in Python 3.11 a second thread that asks while the first executes finds an
empty module (github.com/python/cpython/issues/114763), and a part of a package is executed before the package. Here a question
is answered by importing the module once more, which gives the same object and has import's own locks: those know when two
threads wait for each other. Nothing is executed while a finder is asked, as that holds the lock of all imports.
"""

import importlib
import sys
import threading
from collections.abc import Iterable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

FINDER = "__lazy_finder__"  # of a module that is not executed yet: who executes it


class LazyModule(ModuleType):
    """Knows its name and its place, and becomes an ordinary module when it is asked for anything else."""

    def __getattr__(self, name: str) -> Any:
        if name != "__all__" and name.startswith("__"):  # somebody looks at all modules; executes nothing
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        execute(self)
        return ModuleType.__getattribute__(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("__") and not isinstance(value, LazyModule):  # else executing it would put back what is set
            execute(self)
        ModuleType.__setattr__(self, name, value)  # not super(): its class may be another now

    def __dir__(self) -> Iterable[str]:
        execute(self)
        return ModuleType.__dir__(self)


class LazyFinder(MetaPathFinder, Loader):
    """Gives lazy modules to whoever imports those names, or parts of them before they are executed."""

    def __init__(self, names: Iterable[str]) -> None:
        self.waiting: dict[str, LazyModule | None] = dict.fromkeys(names)  # not executed; the module where it has been named
        self.wanted: dict[str, int] = {}  # name → the thread that began to execute it
        self.lock = threading.Lock()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        package = sys.modules.get(name.rpartition(".")[0])
        if isinstance(package, LazyModule) and self.wanted.get(package.__name__) != threading.get_ident():
            self.waiting.setdefault(name)  # its package comes first, but not here
        spec = PathFinder.find_spec(name, path, target) if name in self.waiting else None
        if spec is not None:
            spec.loader, spec.loader_state = self, spec.loader
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = self.waiting[spec.name] or LazyModule(spec.name)
        self.waiting[spec.name] = module
        vars(module)[FINDER] = self
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ not in self.wanted:
            return
        spec = module.__spec__
        assert spec is not None and isinstance(spec.loader_state, Loader)
        module.__loader__ = spec.loader = loader = spec.loader_state
        spec.loader_state = None
        loader.exec_module(module)
        if type(module) is LazyModule:  # it may have chosen a class of its own
            module.__class__ = ModuleType  # pyright: ignore[reportAttributeAccessIssue]  # how an object becomes another's
        del vars(module)[FINDER], self.waiting[module.__name__]


def execute(module: LazyModule) -> None:
    """Execute it now, after its package, unless it has been; where another thread is at it, wait for that. Raises what its
    import raises."""
    name, finder = module.__name__, vars(module).get(FINDER)
    if finder is None:
        return
    package = sys.modules.get(name.rpartition(".")[0])
    if isinstance(package, LazyModule):
        execute(package)
    with finder.lock:  # nothing is imported within
        if name not in finder.wanted:
            finder.wanted[name] = threading.get_ident()
            sys.modules.pop(name, None)
    try:
        importlib.import_module(name)
    except RuntimeError:
        if sys.modules.get(name) is not module:
            raise
        # two threads wait for each other: as where modules import each other, one goes on with what there is
