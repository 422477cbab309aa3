"""What a process sets before it imports PyTorch, and that importing `core` sets nothing. In processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core import lean_torch
from core.process import LEAN_IMPORT, WAITING, configured

ROOT = Path(__file__).parents[1]
PROGRAMS = ["app.py", *sorted(f"pages/{path.name}" for path in (ROOT / "pages").glob("[!_]*.py"))]
LEAN = torch.__version__.startswith(lean_torch.KNOWN)
known_torch = pytest.mark.skipif(not LEAN, reason=f"the lean import knows torch {lean_torch.KNOWN}x only")
STATE = """
import gc, os, signal, sys, threading
def environment():
    return dict(os.environ)
def finders():
    return list(sys.meta_path)
def rest():
    tiny = torch.tensor([1e-40]) * 1  # 0 where denormals are flushed
    return {"threads": threading.active_count(),
            "frozen": gc.get_freeze_count(), "thresholds": gc.get_threshold(), "torch threads": torch.get_num_threads(),
            "between": torch.get_num_interop_threads(), "denormals": tiny.tolist(), "default": torch.get_default_dtype(),
            "gradients": torch.is_grad_enabled(), "signals": [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)],
            "random": torch.initial_seed()}
"""


def plain_environment(**more: str) -> dict[str, str]:
    """Without what this process has set for itself and its children."""
    return {name: value for name, value in os.environ.items() if name not in {*WAITING, LEAN_IMPORT}} | more


def run(code: str, **environment: str) -> str:
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True,
                         env=plain_environment(**environment))
    assert not ran.returncode, ran.stderr
    return ran.stdout.strip()


# A notebook

def test_importing_every_module_of_core_changes_nothing():
    code = STATE + """
import importlib, pkgutil
import torch, torch._inductor.config  # sets a variable of its own; torchvision imports it
before = environment(), finders(), rest()
import core
names = [module.name for module in pkgutil.walk_packages(core.__path__, "core.")]
for name in names:
    importlib.import_module(name)
now = environment(), finders(), rest()
for first, second in zip(before, now):
    assert first == second, (first, second)
print(len(names))
"""
    assert int(run(code)) > 100


def test_importing_core_before_torch_changes_nothing_either():
    code = STATE + "before = environment(), finders()\nimport core, core.process, core.lean_torch\n" \
        "assert 'torch' not in sys.modules\nassert before == (environment(), finders())\nimport core.training\n" \
        "assert before == (environment(), finders())\nprint('well')"
    assert run(code) == "well"


def test_a_notebook_has_all_of_pytorch():
    code = """
import core.training, torch, sympy
from torch.fx.experimental import symbolic_shapes
assert sympy.__file__ and symbolic_shapes.__file__ and torch._dynamo.__file__
compiled = torch.compile(lambda x: x.relu() * 2, backend="eager")
print(compiled(torch.tensor([-1.0, 1.0])).tolist())
"""
    assert run(code) == "[0.0, 2.0]"


# Configuring

def seen(role: str, **environment: str) -> str:
    """How threads wait, how many finders there are, whether torch is imported already, and whether denormals are flushed."""
    return run(STATE + f"""
from core.process import configure
configure({role!r})
loaded = "torch" in sys.modules
import torch
print([os.environ.get(name) for name in {list(WAITING)!r}],
      sum(type(finder).__name__ == "Finder" for finder in finders()), loaded, rest()["denormals"][0] == 0)
""", **environment)


@known_torch
@pytest.mark.parametrize(("role", "training"), [("server", False), ("other", False), ("training", True)])
def test_each_role_waits_quietly_and_imports_torch_lean(role, training):
    assert seen(role) == f"{list(WAITING.values())} 1 {training} {training}"


@known_torch
def test_what_the_environment_says_stays():
    assert seen("other", OMP_WAIT_POLICY="ACTIVE", GOMP_SPINCOUNT="7") == "['ACTIVE', '7'] 1 False False"


def test_a_variable_turns_the_lean_import_off():
    assert seen("other", **{LEAN_IMPORT: "0"}) == f"{list(WAITING.values())} 0 False False"


def test_the_command_line_looks_for_garbage_only_in_what_comes_after_its_imports():
    code = """
import gc, runpy, sys
sys.argv = ["core", "presets"]
try:
    runpy.run_module("core", run_name="__main__", alter_sys=True)
except SystemExit as end:
    print(end.code, gc.isenabled(), gc.get_freeze_count() > 100_000)
"""
    assert run(code).splitlines()[-1] == "0 True True"


def test_a_server_looks_for_no_garbage_until_its_first_page_is_imported():
    code = """
import gc
from core.process import configure
configure("server")
print(gc.isenabled())
from pages.parts.shell.frame import freeze_imports
freeze_imports("Home")
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
configure("server")
print(gc.isenabled())
"""
    assert run(code).split() == ["False", "True", "True", "True"]


UNTOUCHED = """
before = list(sys.meta_path)
from core.process import configure
configure("other")
assert sys.meta_path == before
print("well")
"""


@pytest.mark.parametrize("version", ["2.12.1", "2.14.0", "3.0"])
def test_another_torch_than_the_one_that_is_known_is_imported_as_it_is(version, tmp_path):
    """As far as the lean import can tell, this torch is another one."""
    info = tmp_path / f"torch-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n", encoding="utf-8")
    code = f"import sys\nfrom importlib.metadata import version\nassert version('torch') == {version!r}" + UNTOUCHED
    assert run(code, PYTHONPATH=str(tmp_path)) == "well"


def test_a_torch_that_does_not_say_its_version_is_imported_as_it_is():
    """As one that was built and put there by hand: here, none is installed at all."""
    assert run("import sys\nsys.path[:] = [place for place in sys.path if '-packages' not in place]" + UNTOUCHED) == "well"


@known_torch
def test_configuring_again_or_late_changes_nothing_of_that():
    code = STATE + """
from core.process import configure
configure("server")
configure("other")
assert sum(type(finder).__name__ == "Finder" for finder in finders()) == 1
print("well")
"""
    assert run(code) == "well"
    late = STATE + """
import torch
from core.process import configure
before = environment(), finders(), rest()
configure("server")
assert before == (environment(), finders(), rest())
configure("training")
assert rest()["denormals"] == [0] and before[:2] == (environment(), finders())
print("well")
"""
    assert run(late) == "well"


@pytest.mark.skipif(not sys.platform.startswith("linux") or "glibc" not in os.confstr("CS_GNU_LIBC_VERSION"),
                    reason="other C libraries keep memory in their own way")
def test_a_server_returns_large_blocks_and_a_training_process_keeps_them():
    """Page faults for each time that the same 8 MB are taken again."""
    code = """
import resource
from core.process import configure
configure({role!r})
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        b"x" * (8 << 20)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 50
faults()
print(faults())
"""
    assert float(run(code.format(role="server"))) > 1000
    assert float(run(code.format(role="training"))) < 100


# Programs

def test_a_child_process_is_configured_before_its_module_is_imported(tmp_path):
    (tmp_path / "probe.py").write_text("import os, sys\nassert __name__ == '__main__'\n"
                                       "print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'], sys.argv[1:])\n",
                                       encoding="utf-8")
    ran = subprocess.run([sys.executable, "-m", *configured("other", "probe", "one", "two words")], cwd=ROOT,
                         capture_output=True, text=True, env=plain_environment(PYTHONPATH=str(tmp_path)))
    assert ran.stdout.strip() == "False PASSIVE ['one', 'two words']", ran.stderr


def imported(*arguments: str, **environment: str) -> str:
    """What a program imports, a line for each module, in the order in which they are done."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True,
                          env=plain_environment(PYTHONPROFILEIMPORTTIME="1", **environment)).stderr


@pytest.mark.parametrize("program", ["core", "benchmarks.optimizer_race"])
def test_programs_are_configured_before_they_import_torch(program):
    modules = imported("-m", program, "--help")
    assert "core.lean_torch" in modules and modules.index("core.lean_torch") < modules.index("torch._C")


@known_torch
def test_the_command_line_does_without_what_only_the_compiler_needs():
    """Shapes without data ask for sympy; real imports of it have parts."""
    summary = ("-m", "core", "summary", "digits-quick")
    assert "sympy.core" not in imported(*summary) and "sympy.core" in imported(*summary, **{LEAN_IMPORT: "0"})


def test_a_worker_is_started_as_one(engine):
    processes = [process.popen.args for process in engine._workers]
    assert processes and all(args[1:5] == ["-m", "core.process", "training", "core.runs.worker"] for args in processes)


def test_every_page_is_configured_before_it_imports_torch():
    """Each is run as Streamlit runs it, up to its first import of torch."""
    code = STATE + f"""
import runpy
from core.process import WAITING
class Reached(Exception): pass
class Watch:
    def find_spec(self, name, path, target=None):
        if name == "torch":
            raise Reached
for page in {PROGRAMS!r}:
    for name in WAITING:
        os.environ.pop(name, None)
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ not in ("Finder", "Watch")]
    sys.meta_path.insert(0, Watch())
    try:
        runpy.run_path(page, run_name="__main__")
    except Reached:
        assert all(os.environ.get(name) == value for name, value in WAITING.items()), page
        assert {LEAN!r} == any(type(finder).__name__ == "Finder" for finder in finders()), page
    else:
        raise AssertionError(page)
print("well")
"""
    assert run(code) == "well"
