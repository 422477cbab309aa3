"""How many small faults the tests find: python -m benchmarks.mutation core/training --tests tests/test_training*.py --count 40

A random sample of places in the given modules, at least one in each; at each place one fault: cosmic-ray's operators (another
comparison, a number one larger, no iteration, …; pip install cosmic-ray), a decimal half as large again, or a statement left out.
Types, messages, and guards that only programming errors meet are left as they are. The tests run on a copy of the checkout with
that one fault, in a process forked from one that has the libraries already, and stop at the first that fails. What was not found
is to be read: some of it changes no behaviour. A line of JSON for each fault goes to --out.
"""

import argparse
import ast
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import core.training  # noqa: F401 - with torch, for all that is forked

ROOT = Path(__file__).parents[1]
GUARDS = {"frozen", "strict", "eq", "slots", "kw_only", "check", "ignore_errors"}
LONGEST = 300.0  # seconds for a fault's tests; what takes longer, such as a loop without an end, is found
# (line, column) → [(kind, what gives the changed text)]
Places = dict[tuple[int, int], list[tuple[str, Callable[[], str | None]]]]


def places(source: str) -> Places:
    """Where a fault can be, and which faults."""
    import parso
    from cosmic_ray.ast import ast_nodes
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.operators.provider import OperatorProvider

    found: Places = {}
    nodes, provider = list(ast_nodes(parso.parse(source))), OperatorProvider()
    for name in provider:
        if name.startswith("Variable"):
            continue  # these put random numbers in a variable's place: anything fails
        operator, occurrence = provider[name](), 0
        for node in nodes:
            for start, _ in operator.mutation_positions(node):
                found.setdefault(start, []).append((name, partial(mutate_code, source, operator, occurrence)))
                occurrence += 1
    skipped = []
    for node in ast.walk(ast.parse(source)):
        own_faults(node, source, found)
        skipped += [part for name in ("annotation", "returns") if (part := getattr(node, name, None)) is not None]
        skipped += [node] if isinstance(node, ast.JoinedStr) else []
        skipped += [node.value] if isinstance(node, ast.keyword) and node.arg in GUARDS else []
    left = [((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)) for node in skipped]
    return {start: faults for start, faults in found.items() if not any(low <= start < high for low, high in left)}


def own_faults(node: ast.AST, source: str, found: Places) -> None:
    """Decimals half as large again; calls, raises and changes of an attribute, an element or a sum left out."""
    is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    sets = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute | ast.Subscript)
    if isinstance(node, ast.Constant) and isinstance(node.value, float):
        new, kind = f"{node.value * 1.5}", "ScaleNumber"
    elif is_call or sets or isinstance(node, ast.AugAssign | ast.Raise):
        new, kind = "pass", "LeaveOutStatement"
    else:
        return
    lines, first, last = source.splitlines(keepends=True), node.lineno - 1, node.end_lineno - 1
    head, tail = lines[first].encode()[:node.col_offset].decode(), lines[last].encode()[node.end_col_offset:].decode()
    code = "".join([*lines[:first], head + new + tail, *lines[last + 1:]])
    found.setdefault((node.lineno, len(head)), []).append((kind, partial(str, code)))


def sample(modules: list[Path], count: int, seed: int) -> list[tuple[dict, str]]:
    """`count` faults at different places: what each is, and the module's text with it."""
    chance = random.Random(seed)
    texts = {module: (ROOT / module).read_text(encoding="utf-8") for module in modules}
    found = {module: places(text) for module, text in texts.items()}
    pool = [(module, place) for module in modules for place in sorted(found[module])]
    chance.shuffle(pool)
    seen: set[Path] = set()
    pool.sort(key=lambda spot: spot[0] in seen or seen.add(spot[0]) is not None)  # the first of each module before the others
    faults: list[tuple[dict, str]] = []
    for module, place in pool[:2 * count]:
        kind, change = chance.choice(found[module][place])
        with suppress(SyntaxError, AttributeError, TypeError):  # where cosmic-ray's is no Python, or fails itself
            compile(code := change() or "", "<fault>", "exec", dont_inherit=True)
            old, new = texts[module].splitlines(), code.splitlines()
            line = next((line for line, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
            if line is not None and len(faults) < count:
                faults.append(({"module": str(module), "line": line + 1, "kind": kind, "before": old[line].strip(),
                                "after": new[line].strip()}, code))
    return sorted(faults, key=lambda fault: (fault[0]["module"], fault[0]["line"]))


def outcome_of(place: Path, tests: list[str], keep_bytecode: bool = False) -> str:
    """"not found", or "found" and by what. keep_bytecode: so that later processes need not compile what has no fault."""
    log = place / "log"
    if (pid := os.fork()) == 0:
        run_tests(place, tests, log, keep_bytecode)
    until = time.monotonic() + LONGEST
    while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0 and time.monotonic() < until:
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # it and what it has left behind
    if ended[0] == 0:
        os.waitpid(pid, 0)
        return "found: too long"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return "not found" if ended[1] == 0 else f"found: {failed[0][:160] if failed else ended[1]}"


def run_tests(place: Path, tests: list[str], log: Path, keep_bytecode: bool) -> None:
    """In the forked process: pytest on the copy, with our modules imported anew. Does not return."""
    os.setpgid(0, 0)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1), os.dup2(out, 2)
    os.chdir(place)
    sys.path[:] = [str(place), *(entry for entry in sys.path if entry not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("core", "pages", "tests")]:
        del sys.modules[name]
    if not keep_bytecode:  # a fault's file may have the size and the second of the one before
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    import pytest

    code = 3
    try:
        code = int(pytest.main(["-n", "0", "-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", "-rfE", "-m",
                                "not browser and not mnist", f"--basetemp={place}/tmp", *tests]))
    finally:
        os._exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", type=Path, help="files or folders, from the checkout's root")
    parser.add_argument("--tests", nargs="+", required=True, help="the nearest first; pytest's other options too")
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    modules = [file.relative_to(ROOT) for given in asked.modules
               for file in (sorted((ROOT / given).rglob("*.py")) if (ROOT / given).is_dir() else [ROOT / given])]
    warnings.simplefilter("ignore", SyntaxWarning)  # of faults such as `x is 1`
    faults, found = sample(modules, asked.count, asked.seed), 0
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        copy = Path(name, "copy")
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "__pycache__", ".pytest_cache"))
        if (sound := outcome_of(copy, asked.tests, keep_bytecode=True)) != "not found":
            raise SystemExit(f"The tests fail without any fault: {sound}")
        for fault, code in faults:
            file, began = copy / fault["module"], time.monotonic()
            original = file.read_bytes()
            for stale in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
                stale.unlink()
            file.write_text(code, encoding="utf-8")
            outcome = outcome_of(copy, sorted(asked.tests, key=lambda test: f"test_{file.stem}." not in test))
            file.write_bytes(original)
            found += outcome != "not found"
            print(f"{outcome[:60]:60} {time.monotonic() - began:4.0f} s  {fault['module']}:{fault['line']} {fault['kind']}\n"
                  f"    - {fault['before']}\n    + {fault['after']}", flush=True)
            if asked.out:
                with asked.out.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(fault | {"outcome": outcome, "seed": asked.seed}) + "\n")
    print(f"found {found} of {len(faults)}, {found / max(1, len(faults)):.0%}; seed {asked.seed}")


if __name__ == "__main__":
    main()
