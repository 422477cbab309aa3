"""What may import what, and what no module may do: read from the source."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "core").rglob("*.py"))
PAGES = sorted((ROOT / "pages").glob("[!_]*.py"))
PARTS = sorted((ROOT / "pages/parts").rglob("*.py"))
OURS = [ROOT / "app.py", *CORE, *PAGES, *PARTS]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def each(paths):
    """One test over all these files, which names those that fail: thousands of tests of a millisecond cost ten times as much in
    their handing out."""
    def of_all(check):
        def test():
            wrong = []
            for path in paths:
                try:
                    check(path)
                except AssertionError as error:
                    wrong.append(f"{name(path)}: {error}")
            assert paths and not wrong, "\n".join(wrong)

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return of_all


@cache
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


# Each line may import what stands above it, and nothing beside or below it; a name stands for all that is below that package.
LAYERS = [
    ("core.cgroups", "core.errors", "core.fields", "core.files", "core.hooks", "core.lazy_modules", "core.notes_differ",
     "core.pieces", "core.sign_in", "core.sinks", "core.subprocesses", "core.torch_private", "core.torchvision_guard",
     "core.version", "core.wording"),
    ("core.importing", "core.lean_torch", "core.limits"),
    ("core.actors", "core.devices", "core.importance_child", "core.memory", "core.metrics_child", "core.settings",
     "core.sink_child", "core.tsne_child"),
    ("core.process", "core.visitors"),
    ("core.models", "core.transforms"),
    ("core.config",),
    ("core.data",),
    ("core.presets", "core.layers"),
    ("core.config_text",),
    ("core.lessons", "core.training"),
    ("core.trained_model", "core.weights"),
    ("core.evaluation", "core.inspection"),
    ("core.labs",),
    ("core.runs",),
    ("core.sweeps", "core.cluster"),
    ("core.export", "core.figures"),
    ("core.takeaway",),
    ("core.__main__",),
    ("pages.parts.shell",),
    ("pages.parts.widgets",),
    ("pages.parts.draft",),
    ("pages.parts.doctors",),
    ("pages.parts.runs",),
    ("pages.parts.explain",),
    ("pages.parts.build", "pages.parts.train", "pages.parts.evaluate", "pages.parts.compare", "pages.parts.draw",
     "pages.parts.explore", "pages.parts.learn", "pages.parts.lessons", "pages.parts.moments", "pages.parts.search",
     "pages.parts.sheet"),
    ("pages.parts.collect", "pages.parts.home", "pages.parts.wall"),
    ("pages", "app"),
]
LAYER_OF = {package: number for number, packages in enumerate(LAYERS) for package in packages}


def package_of(module: str) -> str | None:
    """The entry of LAYERS that a module belongs to: the longest name it is or is below; None where there is none."""
    return max((package for package in LAYER_OF if below(module, package)), key=len, default=None)


def test_every_module_has_its_layer():
    roots = {ROOT / folder / "__init__.py" for folder in ("core", "pages", "pages/parts")}
    rooms = [path for path in OURS if path not in roots and path not in PAGES and path != ROOT / "app.py"]
    assert len(rooms) > 200
    assert [name(path) for path in rooms if package_of(module_of(path)) in (None, "pages")] == []


@each(OURS)
def test_arrows_point_one_way(path):
    own = package_of(module_of(path))
    wrong = []
    for imported in imports(path):
        other = package_of(imported)
        if own is not None and other is not None and other != own and LAYER_OF[other] >= LAYER_OF[own]:
            wrong.append(imported)
    assert wrong == []


LATER = {"parquet.py": {"pyarrow"}, "decode.py": {"pi_heif"}}  # imported as a file of that kind is read


def test_what_reads_files_of_unknown_origin_is_small():
    """core.importing runs in a process of its own with a limit on memory: no torch, and none of our modules that need it."""
    paths = [path for path in CORE if path.is_relative_to(ROOT / "core/importing")]
    assert len(paths) > 5
    for path in paths:
        tops = {imported.split(".")[0] for imported in imports(path)} - sys.stdlib_module_names
        assert tops <= {"numpy", "PIL", "core"} | LATER.get(path.name, set()), name(path)
        top = [ast.unparse(node) for node in tree(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not [line for line in top if any(one in line for one in LATER.get(path.name, set()))], "only where it is asked for"
        ours = [imported for imported in imports(path) if below(imported, "core")]
        assert all(below(imported, "core.importing") or below(imported, "core.wording") for imported in ours), name(path)


@each([path for path in CORE if path != ROOT / "core/__main__.py"])
def test_core_never_prints(path):
    assert not [call.lineno for call in calls(path) if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert not [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute) and node.attr == "stdout"
                and isinstance(node.value, ast.Name) and node.value.id == "sys"]


@each([ROOT / "app.py", *PAGES, *PARTS])
def test_no_page_imports_another_page(path):
    pages = [imported for imported in imports(path) if below(imported, "pages") or below(imported, "app")]
    assert all(below(imported, "pages.parts") for imported in pages), pages


USE_PANDAS = {"dataframe", "data_editor", "table", "line_chart", "bar_chart", "area_chart", "scatter_chart", "map"}


@each(OURS)
def test_the_server_has_no_pandas(path):
    """It is 45 MB. Streamlit asks it of most tables, of data for components and of times in words: see
    pages.parts.widgets.table and pages.parts.shell.sent."""
    top = [ast.unparse(node) for node in tree(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert not [line for line in top if "pandas" in line]
    assert path == ROOT / "core/labs/dataset_choices.py" or not [one for one in imports(path) if below(one, "pandas")]
    for call in calls(path):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "st":
            assert call.func.attr not in USE_PANDAS or path.name == "table.py", call.lineno
        assert not any(isinstance(node, ast.Constant) and isinstance(node.value, str)
                       for node in ast.walk(given.get("run_every", ast.Constant(0)))), call.lineno
        if below("pages", module_of(path).split(".")[0]) and isinstance(data := given.get("data"), ast.Dict):
            assert not [node for node in data.values if isinstance(node, ast.List | ast.ListComp | ast.Dict | ast.DictComp)], \
                call.lineno


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
    reads_plain_data_alone = path == ROOT / "core/cluster/wire.py"  # tests/test_cluster.py tries what it refuses
    assert reads_plain_data_alone or not {imported for imported in imports(path) if any(below(imported, package) for package in (
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


@each([*OURS, *sorted((ROOT / "benchmarks").glob("*.py"))])
def test_what_pyright_ignores_has_a_rule_and_a_reason(path):
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if re.search(r"#\s*(type|pyright):\s*\w", line)]
    assert all(re.search(r"# pyright: ignore\[\w+(, \w+)*\]  # \S", line) for line in lines), lines


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


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-export.txt", "requirements-sinks.txt",
                                  "requirements-sweep.txt", "requirements-heic.txt", "requirements-signin.txt",
                                  "requirements-dev.txt"])
def test_requirements_are_exact(file):
    found = requirements(file)
    assert found
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", line) for line in found), found
    names = [line.split("==")[0].lower() for line in found]
    assert len(names) == len(set(names))


def test_what_only_some_exports_need_is_imported_as_it_is_asked_for():
    """Importing core.takeaway must work, and stay quick, without these packages."""
    names = {line.split("==")[0].lower() for line in requirements("requirements-export.txt")}
    for path in CORE:
        top = [alias.name if isinstance(node, ast.Import) else node.module or "" for node in tree(path).body
               if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
        assert not {imported.split(".")[0] for imported in top} & names, name(path)


def test_the_pair_that_pip_can_install_without_cuda():
    assert {"torch==2.13.0", "torchvision==0.28.0"} <= set(requirements("requirements.txt"))


MODULES = {"PIL": "pillow", "sklearn": "scikit-learn",
           "streamlit_drawable_canvas": "streamlit-drawable-canvas"}
BROUGHT_ALONG = {"scipy": "scikit-learn", "pyarrow": "streamlit", "annotated_types": "pydantic",
                 "pydantic_core": "pydantic"}  # by what is required


def test_all_that_is_imported_is_required():
    always, taken_away = ({line.split("==")[0].lower() for line in requirements(file)}
                          for file in ("requirements.txt", "requirements-export.txt"))
    heic = {line.split("==")[0].lower().replace("-", "_") for line in requirements("requirements-heic.txt")}
    sign_in = {line.split("==")[0].lower() for line in requirements("requirements-signin.txt")}
    more = {ROOT / "core/weights/onnx_graph.py": taken_away, ROOT / "core/weights/onnx_file.py": taken_away,
            ROOT / "core/importing/decode.py": heic, ROOT / "core/sign_in.py": sign_in}  # where they are installed
    for path in OURS:
        required = always | taken_away if path.is_relative_to(ROOT / "core/takeaway") else always | more.get(path, set())
        for imported in imports(path):
            top = imported.split(".")[0]
            if top not in sys.stdlib_module_names | {"core", "pages"}:
                assert MODULES.get(top, BROUGHT_ALONG.get(top, top)).lower() in required, f"{name(path)} imports {imported}"


# Private parts of others: each in one place, with what is done where the next version has it no more

NOT_PRIVATE = {"os._exit", "_within", "_across", "_min", "_max"}  # documented; ends of names of our own
PRIVATE = {  # place → what of others is used there that they promise nothing about; each is in one place only
    "core/torch_private.py": {
        "torch._fused_adam_", "_is_amx_tile_supported", "_version", "_forward_hooks", "_forward_pre_hooks", "_schema",
        "_linear_pointwise", "torch.utils._python_dispatch"},
    "core/lean_torch.py": {"torch._dynamo", "torch._dynamo.utils"},  # installed for the one version that is known
    "core/torchvision_guard.py": {"torchvision._meta_registrations"},  # where there is none, an empty one is in nobody's way
    "core/layers/trace.py": {"_parameters", "_buffers", "_modules"},  # names to look for; none has to be there
    "core/weights/matching.py": {"_orig_mod."},  # in the names of a compiled network's weights
    "core/layers/mult_adds.py": {"_orig"},  # in the names of weights normalised by hooks
    "core/export/forward_code.py": {"_stacklevel"},  # arguments that are not written into code; none has to be there
    "core/export/layer_code.py": {"_weight", "_freeze"},
    "core/weights/pickle.py": {"torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"},  # in files
    "core/weights/file.py": {"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"},  # in files
    "core/cluster/wire.py": {"_reconstruct", "_frombuffer"},  # what arrays are made of; a NumPy with others would be refused
    "core/data/download/__init__.py": {"hashlib._Hash"},  # a type's name, for type checkers
    "pages/parts/shell/streamlit_private.py": {"streamlit.runtime", "uploaded_file_mgr", "_fragment_storage",
                                               "_get_script_run_ctx", "_query_params"},
    "pages/parts/doctors/config_doctor.py": {"streamlit.delta_generator"},  # a type, for type checkers
}
# what Streamlit documents, besides the package itself
STREAMLIT = {"streamlit.errors", "streamlit.components", "streamlit.testing"}
OPERATORS = ROOT / "core/layers/receptive_field.py"  # a table of operators by name; one that is called otherwise has no rule


def own_names() -> set[str]:
    """Every name that our source defines, sets or has as a keyword."""
    found = set()
    for path in [*OURS, *PARTS]:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.attr if isinstance(node, ast.Attribute) else node.id)
            elif isinstance(node, ast.Dict):
                found |= {key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return found


def is_private(dotted: str) -> bool:
    return any(re.match(r"_(?!_)[A-Za-z]", part) for part in dotted.split("."))


def private_parts(path: Path, own: set[str]) -> set[str]:
    """What a module uses of others by names that begin with an underscore, and Streamlit's modules that are not documented."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            module = isinstance(node.value, ast.Name) and node.value.id in sys.stdlib_module_names | {"torch", "st"}
            found.add(ast.unparse(node) if module else node.attr)
        elif isinstance(node, ast.Attribute) and node.attr == "uploaded_file_mgr":
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            brought = [alias.name for alias in node.names if isinstance(node, ast.ImportFrom)]
            if not below(names[0], "core") and not below(names[0], "pages"):
                found |= {f"{names[0]}.{name}" for name in brought if is_private(name)} | {
                    name for name in names if is_private(name)}
            found |= {".".join(name.split(".")[:2]) for name in names if below(name, "streamlit") and "." in name
                      and not any(below(name, documented) for documented in STREAMLIT)}
        elif (isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[A-Za-z0-9_.]+", node.value)
              and is_private(node.value) and node.value not in own and path != OPERATORS):
            found.add(node.value)
    return found - NOT_PRIVATE


def test_private_parts_of_others_are_each_in_one_place():
    own = own_names()
    found = {name(path): parts for path in OURS if (parts := private_parts(path, own))}
    assert found == PRIVATE
    everywhere = [part for parts in found.values() for part in parts]
    assert len(everywhere) == len(set(everywhere))


@pytest.mark.parametrize(("line", "part"), [
    ("torch._foreach_add_([], [])", "torch._foreach_add_"), ("tensor._cdata", "_cdata"),
    ("from torch.nn.modules.conv import _ConvNd", "torch.nn.modules.conv._ConvNd"), ("import torch._dynamo", "torch._dynamo"),
    ("from torch._inductor import config", "torch._inductor"), ("getattr(module, '_backward_hooks')", "_backward_hooks"),
    ("from streamlit.web.server import Server", "streamlit.web"), ("import streamlit.proto.x", "streamlit.proto"),
    ("context.uploaded_file_mgr", "uploaded_file_mgr"), ("sys._getframe()", "sys._getframe"),
])
def test_private_parts_are_found(line, part, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "module.py").write_text(line, encoding="utf-8")
    assert private_parts(tmp_path / "module.py", set()) == {part}


# Entry points

@each([ROOT / "app.py", *PAGES])
def test_a_page_configures_its_process_first(path):
    """tests/test_process.py runs them up to their first import of torch."""
    first = [ast.unparse(node) for node in tree(path).body[1:3]]
    assert first == ["from core.process import configure", "configure('server')"]
