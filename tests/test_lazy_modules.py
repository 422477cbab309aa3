"""What is only named is executed when it is asked something, and is then what a plain import gives. In processes of their own."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from core.lean_torch import KNOWN, NAMED
from core.process import LEAN_IMPORT

ROOT = Path(__file__).parents[1]
known_torch = pytest.mark.skipif(not version("torch").startswith(KNOWN), reason=f"the lean import knows torch {KNOWN}x only")
OF_TORCH = [name for name in NAMED if not name.startswith("torchvision")]
OF_VISION = [name for name in NAMED if name not in OF_TORCH]
# Beside the names, where a module says that it comes from, and who has loaded it
ALL = f"""
import json, sys
from core.process import configure
configure("other")
import torch
lazy = [name for name in {OF_TORCH!r} if type(sys.modules[name]).__name__ == "LazyModule"]
for name in {OF_TORCH!r}:
    dir(sys.modules[name])
told = {{}}
for name, module in sys.modules.items():
    if name.split(".")[0] in ("torch", "torchgen") and type(module).__name__ == "module":
        spec = module.__spec__
        told[name] = [sorted(vars(module)), getattr(module, "__file__", None), [*getattr(module, "__path__", ())],
                      type(module.__loader__).__name__, spec and [type(spec.loader).__name__, spec.loader_state]]
print(json.dumps([lazy, told]))
"""


def ran(code: str, place: Path = ROOT, **environment: str) -> str:
    """What a process prints that runs `code`, with modules of `place` and ours."""
    process = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=place, capture_output=True, text=True,
                             env=os.environ | {"PYTHONPATH": str(ROOT)} | environment)
    assert not process.returncode, process.stderr
    return process.stdout.strip()


VISION = f"""
from core.torchvision_guard import torchvision
def lazy():
    return [name for name in {OF_VISION!r} if type(sys.modules[name]).__name__ == "LazyModule"]
assert lazy() == {OF_VISION!r}
assert torchvision.transforms.ToTensor and torchvision.transforms.InterpolationMode.BILINEAR and lazy() == {OF_VISION!r}
from torchvision.transforms.v2 import functional
from torchvision.transforms import v2
assert functional is v2.functional and v2.Resize(4)(torch.ones(1, 8, 8)).shape == (1, 4, 4)
from torchvision.models import vgg
assert vgg is torchvision.models.vgg and torchvision.models.get_model("squeezenet1_1", num_classes=3)
assert torchvision.datasets.MNIST.mirrors and torchvision.io.decode_image and torchvision.ops.nms
assert not lazy() and not any(type(sys.modules[name]).__name__ == "LazyModule" for name in list(sys.modules))
"""


@known_torch
def test_asked_for_everything_torch_is_as_after_a_plain_import():
    """All modules, all their names, where they come from: nothing is missing, and nothing is left of the detour. And torchvision
    gives what waits."""
    lazy, lean = json.loads(ran(ALL + VISION))
    none, plain = json.loads(ran(ALL, **{LEAN_IMPORT: "0"}))
    assert lazy == OF_TORCH and none == []
    assert set(lean) == set(plain) and len(plain) > 700
    assert {name for name in plain if lean[name] != plain[name]} == set()


# The mechanism, with a package of its own

PACKAGE = {
    "__init__.py": "print('package')\nfirst = 1\nfrom lazily import part\nlast = 2\n",
    "part.py": "print('part')\nvalue = 3\n",
    "other.py": "print('other')\nimport lazily\nvalue = lazily.last\n",
}
START = "import sys\nfrom core.lazy_modules import LazyFinder\nfinder = LazyFinder(['lazily'])\nsys.meta_path.insert(0, finder)\n"


@pytest.fixture
def lazily(tmp_path):
    """Runs code that can import the package `lazily`, which a finder gives lazily; what it prints, line by line."""
    (tmp_path / "lazily").mkdir()
    for name, text in PACKAGE.items():
        (tmp_path / "lazily" / name).write_text(text, encoding="utf-8")
    return lambda code: ran(START + code, tmp_path).splitlines()


def test_looking_around_executes_nothing(lazily):
    looking = """
import inspect, lazily, pkgutil, types
assert isinstance(lazily, types.ModuleType) and inspect.ismodule(lazily)
assert not hasattr(lazily, "__warningregistry__") and not hasattr(lazily, "__wrapped__")
assert lazily.__file__.endswith("__init__.py") and lazily.__name__ == lazily.__package__ == "lazily"
assert [found.name for found in pkgutil.iter_modules(lazily.__path__)] == ["other", "part"]
print("asked")
"""
    assert lazily(looking) == ["asked"]
    assert lazily(looking + "print(lazily.last)") == ["asked", "package", "part", "2"]


@pytest.mark.parametrize("question", ["lazily.first", "dir(lazily)", "from lazily import first", "from lazily import *",
                                      "import lazily.part\nlazily.part.value", "from lazily.part import value",
                                      "import lazily.other\nlazily.other.value", "from lazily import other",
                                      "lazily.more = 1", "inspect.getsource(lazily)\nlazily.first"])
def test_each_kind_of_question_executes_it_once_and_its_parts(lazily, question):
    said = lazily(f"import inspect, lazily\nprint('asked')\n{question}\n" + """
assert type(lazily) is type(sys) and sys.modules["lazily"] is lazily and not finder.waiting
assert lazily.part is sys.modules["lazily.part"] and lazily.part.value == 3
assert type(lazily.__spec__.loader) is type(lazily.part.__spec__.loader) is type(lazily.__loader__) is type(inspect.__loader__)
import gc
for name in ("lazily", "lazily.part"):
    assert sum(isinstance(found, type(sys)) and found.__name__ == name for found in gc.get_objects()) == 1
assert not [name for name in vars(lazily) if "finder" in name] and not hasattr(lazily, "missing")
""")
    assert said == ["asked", "package", "part", *["other"] * ("other" in question)]


def test_what_is_set_before_stays(lazily):
    assert lazily("import lazily\nlazily.last = 5\nprint(lazily.last, lazily.first)") == ["package", "part", "5 1"]


def test_threads_that_ask_at_once_wait_until_it_is_whole(lazily, tmp_path):
    """Some for its last name, some for a part that imports it, as two pages of a server do."""
    slow = PACKAGE["__init__.py"].replace("from", "import time\ntime.sleep(0.1)\nfrom")
    (tmp_path / "lazily" / "__init__.py").write_text(slow, encoding="utf-8")
    assert lazily("""
import threading, lazily
found = []
def ask(number):
    start.wait()
    if number % 2:
        found.append(lazily.last)
    else:
        from lazily.other import value
        found.append(value)
start = threading.Barrier(8)
threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
print(found)
""") == ["package", "part", "other", str([2] * 8)]


def test_one_that_fails_can_be_asked_again(lazily, tmp_path):
    text = "import os\nif not os.path.exists('mended'):\n    raise OSError('no disk')\nvalue = 4\n"
    (tmp_path / "lazily" / "__init__.py").write_text(text, encoding="utf-8")
    assert lazily("""
import lazily
for _ in range(2):
    try:
        lazily.value
    except OSError as error:
        print(error)
open("mended", "w").close()
print(lazily.value, type(lazily).__name__, sys.modules["lazily"] is lazily)
""") == ["no disk", "no disk", "4 module True"]


def test_a_name_that_does_not_exist_is_refused_as_ever(lazily):
    assert lazily("""
finder.waiting["nowhere"] = None
try:
    import nowhere
except ModuleNotFoundError as error:
    print(error)
import lazily
try:
    lazily.missing
except AttributeError as error:
    print(error)
""") == ["No module named 'nowhere'", "package", "part", "module 'lazily' has no attribute 'missing'"]
