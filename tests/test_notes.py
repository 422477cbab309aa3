"""docs/notes.md: each row's link opens the app in the state that it names."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from streamlit.testing.v1 import AppTest

from core.presets import PRESETS
from pages.parts.shell.menu import LABS, MENU

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| (?P<what>.+?) \| \[(?P<label>[^]]+)\]\((?P<address>[^)]+)\) \| (?P<stands>.+) \|$")
# the sections whose pages need a run's id; they are there once a model is trained
AFTER_A_RUN = ("evaluate_model",)


def rows() -> Iterator[re.Match[str]]:
    for line in (ROOT / "docs/notes.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith(("| What", "| ---")):
            found = ROW.match(line)
            assert found, f"no row with a link: {line}"
            yield found


ADDRESSES = sorted({row["address"] for row in rows()})


def test_there_are_rows_enough_and_none_twice():
    found = [row["what"] for row in rows()]
    assert len(found) >= 60 and len(set(found)) == len(found)


def test_every_preset_of_the_notes_is_linked():
    linked = {dict(parse_qsl(urlsplit(address).query)).get("preset") for address in ADDRESSES}
    assert {name for name, preset in PRESETS.items() if preset.differs} - linked <= {"toy-2-2-1"}  # by its lab


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_link_opens_the_page_in_that_state(address: str, trained, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(trained[0].path))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    parts = urlsplit(address)
    page = parts.path.strip("/")
    path = f"pages/{page}.py" if page else "app.py"
    asked = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    at = AppTest.from_file(str(ROOT / path), default_timeout=120)
    for name, value in asked.items():
        at.query_params[name] = value
    if page in AFTER_A_RUN:
        at.query_params["run"] = trained[1].id
    at.run()
    assert (parts.netloc, path in MENU or path in LABS) == ("localhost:8501", True)
    assert [error.value for error in at.exception] == []
    if "tensors.expression" in asked:
        assert [refusal.value for refusal in at.warning] == [], "an expression that the lab refuses shows nothing"
    kept = {name: value[0] if isinstance(value, list) else value for name, value in at.query_params.items()}
    assert {name: kept.get(name) for name in asked} == asked, "what a page can't show is taken out of its address"
    used = [name for name in asked if name in at.session_state or name == "preset" or f"loading.{name}" in at.session_state]
    assert len(used) == len(asked) or page == "learn_data_loading"
