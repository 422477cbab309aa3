"""What may import what, and what no module may do: read from the source."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "core").rglob("*.py"))
PAGES = sorted((ROOT / "pages").glob("[!_]*.py"))
PARTS = sorted((ROOT / "pages/parts").rglob("*.py"))
OURS = [ROOT / "app.py", *CORE, *PAGES, *PARTS]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=name)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), name(path))


def imports(path: Path) -> set[str]:
    """Full names of all that a module imports, wherever it does: "core.data.load" for `from core.data import load`."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-node.level]) if node.level else ""
            module = ".".join(part for part in (package, node.module) if part)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]


def below(imported: str, package: str) -> bool:
    return imported == package or imported.startswith(f"{package}.")


def test_the_source_is_found():
    assert len(CORE) > 40 and len(PAGES) >= 5 and len(PARTS) >= 5
    assert "core.data.DATASETS" in imports(ROOT / "pages/explore_data.py")
    assert "core.data.sources.digits.vary" in imports(ROOT / "core/data/variations.py")  # inside a function


@each(CORE)
def test_core_knows_no_pages_and_no_streamlit(path):
    assert not [imported for imported in imports(path) if any(
        below(imported, package) for package in ("streamlit", "pages", "app", "tests"))]


# transforms ← config ← data, models ← training ← runs; evaluation, inspection, export and figures read from the first three
ABOVE = {
    "core/transforms": ("config", "data", "models", "training", "runs", "evaluation", "inspection", "export", "figures",
                        "presets"),
    "core/data": ("training", "runs", "evaluation", "inspection", "export", "figures", "presets"),
    "core/models": ("data", "config", "training", "runs", "evaluation", "inspection", "export", "figures", "presets"),
    "core/training": ("runs", "export", "figures", "presets"),
    "core/inspection": ("runs", "export"),
    "core/evaluation": ("runs", "export"),
    "core/figures": ("runs", "export"),
}


def test_what_reads_files_of_unknown_origin_is_small():
    """core.importing runs in a process of its own with a limit on memory: no torch, and none of our modules that need it."""
    paths = [path for path in CORE if path.is_relative_to(ROOT / "core/importing")]
    assert len(paths) > 5
    for path in paths:
        tops = {imported.split(".")[0] for imported in imports(path)} - sys.stdlib_module_names
        assert tops <= {"numpy", "PIL", "core"}, name(path)
        assert all(below(imported, "core.importing") for imported in imports(path) if below(imported, "core")), name(path)


@pytest.mark.parametrize("package", ABOVE)
def test_arrows_point_one_way(package):
    paths = [path for path in CORE if path.is_relative_to(ROOT / package)]
    assert paths
    assert not [(name(path), imported) for path in paths for imported in imports(path)
                if any(below(imported, f"core.{other}") for other in ABOVE[package])]


@each([path for path in CORE if path != ROOT / "core/__main__.py"])
def test_core_never_prints(path):
    assert not [call.lineno for call in calls(path) if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert not [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute) and node.attr == "stdout"
                and isinstance(node.value, ast.Name) and node.value.id == "sys"]


@each([ROOT / "app.py", *PAGES, *PARTS])
def test_no_page_imports_another_page(path):
    pages = [imported for imported in imports(path) if below(imported, "pages") or below(imported, "app")]
    assert all(below(imported, "pages.parts") for imported in pages), pages


@each(OURS)
def test_nothing_runs_text_as_code(path):
    found = {call.func.id for call in calls(path) if isinstance(call.func, ast.Name)}
    assert not found & {"eval", "exec", "compile", "__import__"}
    assert not [call.lineno for call in calls(path) if ast.unparse(call.func) in {"os.system", "os.popen", "builtins.eval",
                                                                                 "builtins.exec"}]
    assert not [call.lineno for call in calls(path) for keyword in call.keywords
                if keyword.arg == "shell" and ast.unparse(keyword.value) != "False"]


@each(OURS)
def test_no_pickle_is_trusted(path):
    assert not {imported for imported in imports(path) if any(below(imported, package) for package in (
        "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"))}
    for call in calls(path):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given.get("weights_only", "True") == "True", call.lineno
        assert given.get("allow_pickle", "False") == "False", call.lineno
        if ast.unparse(call.func) == "torch.load":
            assert given.get("weights_only") == "True", call.lineno


def test_processes_are_started_and_ended_in_one_place():
    """core.subprocesses knows what each system is asked: on Windows os.kill(pid, 0), a probe elsewhere, ends the process."""
    elsewhere = {"os.kill", "os.killpg", "os.fork", "os.setsid", "subprocess.Popen", "subprocess.run", "subprocess.call",
                 "subprocess.check_call", "subprocess.check_output"}
    for path in set(OURS) - {ROOT / "core/subprocesses.py"}:
        assert not [call.lineno for call in calls(path) if ast.unparse(call.func) in elsewhere], name(path)
        found = {imported for imported in imports(path) if imported in elsewhere or below(imported, "multiprocessing")}
        assert not found, name(path)


TEXT_FILES = {"read_text": 0, "write_text": 1}  # how many arguments come before the encoding
SAYS_MODE_SECOND = {"open", "os.fdopen", "io.open", "gzip.open", "bz2.open", "lzma.open"}


def without_encoding(call: ast.Call) -> bool:
    """Whether it reads or writes text in whatever encoding the system takes for the usual one; on Windows not UTF-8."""
    function = ast.unparse(call.func)
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    if method in TEXT_FILES:
        return len(call.args) <= TEXT_FILES[method]
    if function not in SAYS_MODE_SECOND and method != "open":
        return False
    place = 1 if function in SAYS_MODE_SECOND else 0
    given = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] + call.args[place:place + 1]
    if not given:  # of archives and images, whose open() takes a name first, the mode is no text
        return not function.startswith(("gzip", "bz2", "lzma")) and (place == 1 or not call.args)
    mode = given[0].value if isinstance(given[0], ast.Constant) else None
    return isinstance(mode, str) and re.fullmatch(r"[rwxat+]+", mode) is not None


@pytest.mark.parametrize(("code", "wrong"), [
    ("path.read_text()", True), ("path.read_text('utf-8')", False), ("path.read_text(encoding='utf-8')", False),
    ("path.write_text(text)", True), ("path.write_text(text, 'utf-8')", False), ("path.open()", True), ("path.open('w')", True),
    ("path.open('rb')", False), ("open(path)", True), ("open(path, 'rb')", False), ("open(path, mode='r')", True),
    ("open(path, 'w', encoding='ascii')", False), ("gzip.open(path)", False), ("gzip.open(path, 'rt')", True),
    ("Image.open(file)", False), ("archive.open(entry.info)", False)])
def test_what_reads_text_without_its_encoding_is_told(code, wrong):
    assert without_encoding(ast.parse(code).body[0].value) is wrong


def test_text_is_read_and_written_with_its_encoding():
    for path in [*OURS, *(ROOT / "tests").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]:
        assert not [call.lineno for call in calls(path) if without_encoding(call)], name(path)


@each(OURS)
def test_no_html_of_unknown_origin(path):
    assert "unsafe_allow_html" not in path.read_text(encoding="utf-8")


@each([path for path in OURS if path.stat().st_size])
def test_every_module_says_what_it_is_for(path):
    text = ast.get_docstring(tree(path))
    assert text and text.splitlines()[0].endswith((".", "?", ":")), text


@each(OURS)
def test_torchvision_is_imported_after_its_guard(path):
    if path == ROOT / "core/torchvision_guard.py" or not any(below(imported, "torchvision") for imported in imports(path)):
        return
    # at the top of the module: inside a function, sorting puts the guard second
    top = [alias.name for node in tree(path).body if isinstance(node, ast.Import) for alias in node.names]
    assert "core.torchvision_guard" in top
    inside = [node for node in tree(path).body if isinstance(node, ast.Import | ast.ImportFrom)
              and "torchvision" in ast.unparse(node).split()[1].split(".")]
    assert not inside, "import torchvision where it is needed: it takes half a second, and sorting would put it first"


# Dependencies

def requirements(file: str) -> list[str]:
    lines = [line.split("#")[0].strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("-")]


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_exact(file):
    found = requirements(file)
    assert found
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", line) for line in found), found
    names = [line.split("==")[0].lower() for line in found]
    assert len(names) == len(set(names))


def test_the_pair_that_pip_can_install_without_cuda():
    assert {"torch==2.13.0", "torchvision==0.28.0"} <= set(requirements("requirements.txt"))


MODULES = {"PIL": "pillow", "sklearn": "scikit-learn"}
BROUGHT_ALONG = {"scipy": "scikit-learn", "annotated_types": "pydantic", "pydantic_core": "pydantic"}  # by what is required


def test_all_that_is_imported_is_required():
    required = {line.split("==")[0].lower() for line in requirements("requirements.txt")}
    for path in OURS:
        for imported in imports(path):
            top = imported.split(".")[0]
            if top not in sys.stdlib_module_names | {"core", "pages"}:
                assert MODULES.get(top, BROUGHT_ALONG.get(top, top)).lower() in required, f"{name(path)} imports {imported}"
