"""What README, CONTRIBUTING and the others say is there, is there, and what they tell a reader to type works."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")
FOLDERS = ("core/", "pages/", "tests/", "benchmarks/", "assets/")


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def paths_in(text: str) -> set[str]:
    """Whatever reads as a path of ours: in backticks, as the target of a link, or first in a line of the tree of folders."""
    fenced = re.findall(r"```\n(.*?)```", text, re.S)
    plain = re.sub(r"```.*?```", "", text, flags=re.S)
    found = set(re.findall(r"`([\w./]+(?:/|\.\w+))`", plain)) | set(re.findall(r"\]\(([^):#]+)\)", plain))
    for line in "\n".join(fenced).splitlines():
        found |= set(re.findall(r"(?:^|: |, |; )((?:core|pages)/[\w/.]+)", line)[:1])
    return found


def is_available(path: str, document: str) -> bool:
    """Below the root, beside the document, or, where a table goes on from a room of pages/parts, there."""
    return any((place / path).exists() for place in (ROOT, (ROOT / document).parent, ROOT / "pages/parts"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_is_named_exists(document):
    named = {path for path in paths_in(text_of(document)) if path.startswith(FOLDERS) or path.endswith((".md", ".py", ".toml"))
             or re.fullmatch(r"[a-z]+/", path)}
    # places in a reader's data directory, and a path to be filled in
    named -= {"imported/", "train.py", "pages/verb_noun.py", "pages/parts/verb/", "core/x.py", "tests/test_x.py"}
    assert sorted(path for path in named if not is_available(path, document)) == []


def test_paths_are_found():
    assert paths_in("see `core/files.py`, `draw/` and [x](LICENSE)\n```\ncore/data/   sets\n```\n```sh\ncore/no\n```") == {
        "core/files.py", "draw/", "LICENSE", "core/data/"}


def test_every_name_that_is_to_be_added_to_is_in_its_file():
    """CONTRIBUTING's steps: "Name it in `RULES` in `core/…/__init__.py`"."""
    pairs = re.findall(r"`([A-Z_]{4,})`(?: and `\w+`)? in `((?:core|pages|tests)/[\w/.]+\.py)`", text_of("CONTRIBUTING.md"))
    assert {name for name, _ in pairs} >= {"LAYERS", "MIGRATIONS", "ARCHITECTURES", "RULES", "SHORT", "RESHAPE", "DATASETS",
                                           "MENU", "LABS"}
    assert [(name, path) for name, path in pairs
            if not re.search(rf"^{name}\b.*=", (ROOT / path).read_text(encoding="utf-8"), re.M)] == []


def test_the_two_commands():
    commands = re.findall(r"```sh\n(.*?)```", text_of("README.md"), re.S)
    assert commands[:2] == ["pip install -r requirements.txt && streamlit run app.py\n",
                            "pip install -r requirements-dev.txt && pytest\n"]


def test_every_benchmark_is_listed():
    listed = set(re.findall(r"-m benchmarks\.(\w+)", text_of("benchmarks/README.md")))
    run = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}
    assert listed == run


def test_what_a_server_costs_adds_up():
    """docs/scale.md: each row of the table by its own formula and the two prices above it."""
    text = text_of("docs/scale.md")
    text = text[text.index("## What it would cost"):]
    core_hour, gb_hour = (float(price) for price in re.findall(r"\$(0\.\d{5,6}) for", text))
    rows = re.findall(r"\| ([\d.,]+) \| ([\d.,]+) \| ([\d.,]+) \| ([\d.,]+) \| ([\d.,]+) \| \$([\d.]+) \|", text)
    assert len(rows) == 4
    for row in rows:
        cores, memory, hours, core_hours, gb_hours, cost = (float(cell.replace(",", "")) for cell in row)
        assert (core_hours, gb_hours) == (pytest.approx(cores * hours), pytest.approx(memory * hours))
        assert cost == round(core_hours * core_hour + gb_hours * gb_hour, 2)


def test_the_notebooks_code_runs(monkeypatch, tmp_path, capsys):
    """As it stands, but for two epochs."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", text_of("README.md"), re.S)
    blocks = [block for block in blocks if "core.sweeps" not in block]  # which needs Optuna: tests/test_sweeps.py
    assert len(blocks) == 2
    shorter = blocks[0].replace('"data.label_noise": 0.2}', '"data.label_noise": 0.2, "training.epochs": 2}')
    assert shorter != blocks[0]
    for block in (shorter, blocks[1]):
        exec(compile(block, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert re.search(r"^2 0\.\d+$", said, re.M) and "(fc1): Linear(in_features=1568, out_features=10" in said
