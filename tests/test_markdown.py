"""Words of people where Streamlit takes Markdown: seen as they were written."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from core.config import RunConfig
from core.data.own.sets import save_set
from core.data.sources.text_files import import_csv
from core.runs import RunStore
from core.runs.execute import execute
from core.settings import Settings
from core.training import Started
from pages.parts.shell.markdown import JOINER, as_text
from tests.helpers import tiny
from tests.hostile import HOSTILE
from tests.test_pages import PAGES, alone, assert_whole, page, runs, texts  # noqa: F401 (runs is a fixture)
from tests.words_on_pages import markup


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_is_added_but_backslashes_and_joiners(text):
    """Read back by the rule that Markdown has: a backslash before a sign stands for the sign."""
    shown = as_text(text).replace(JOINER, "")
    read, place = "", 0
    while place < len(shown):
        place += shown[place] == "\\"
        read += shown[place]
        place += 1
    assert read == text


@pytest.mark.parametrize(("text", "shown"), [
    ("_a_ __init__ a__b out_features 2_", r"\¯a\¯ \¯\¯init\¯\¯ a\¯\¯b out¯features 2\¯"),
    ("**a** [b](c) <d> $e$ :f: ![g](h)", r"\*\*a\*\* \[b\](c) \<d\> \$e\$ \:_f\: !\[g\](h)"),
    ("~ | # & { } ` \\", r"\~ \| \# \& \{ \} \` \\"),
    (":material/home:", r"\:_material/home\:"), (":red[x]", r"\:red\[x\]"), ("12:30 own:a Error: b", r"12\:30 own\:a Error\: b"),
    ("https://a.b www.a.b c@a.b", r"https\:_//a.b www_.a.b c@_a.b"), ("a -> b -- c", r"a -_\> b -_- c"), ("a->b -5", r"a-\>b -5"),
    ("1. a", "1_. a"), ("1.5", "1.5"), ("- a", "-_ a"), ("-5", "-5"), ("---", "-_--"), ("  two\n\n  lines ", "two lines"),
])
def test_what_has_a_meaning_is_taken_apart(text, shown):
    """_ stands for a joiner here, and ¯ for _."""
    assert as_text(text) == shown.replace("_", JOINER).replace("¯", "_")


TITLE, REASON = "**8** :material/home: [a](https://b.c) $x$", "Class <b>one_</b> is $5 [x](y)."


@pytest.mark.parametrize("path", ["app.py", "pages/train_model.py", "pages/compare_runs.py"])
def test_a_run_with_such_a_title_and_reason_is_shown_as_it_is(runs, path):  # noqa: F811
    run = runs.create_running(tiny(), "someone", "here", TITLE)
    runs.begin(run.id, Started(20, 60, 6370, "cpu", "float32"))
    runs.finish(run.id, "failed", REASON)
    at = page(path, run.id)
    assert_whole(at)
    shown = "\n".join([texts(at), *(button.label for button in at.button), *(line.value for line in at.error)])
    assert as_text(TITLE) in shown and as_text(REASON) in shown
    assert TITLE not in shown and REASON not in shown


# --- every page

LINK, TAG = "[zqx](https://zqx.example)", "<b>zqx</b>"
MARKS = LINK, "![zqx]", TAG, "**zqx**", ":red[zqx]", ":material/zqx:", "$zqx$"
EVERYTHING = f"{LINK} ![zqx](https://zqx.example/a.png) {TAG} **zqx** :red[zqx] :material/zqx: $zqx$"


@pytest.fixture(scope="module")
def hostile(places, tmp_path_factory):
    """A server whose runs, data sets, classes, texts and reasons are called everything that could be taken for markup: its
    settings, a run that has finished and one that has failed."""
    root = tmp_path_factory.mktemp("hostile")
    settings = Settings(root / "data", root / "runs", root / "cache", workers=0)
    images = np.zeros((40, 1, 28, 28), np.uint8)
    images[::2, :, 4:24, 10:18] = 255
    images[1::2, :, 10:18, 4:24] = 200
    images[:, 0, 0, 0] = np.arange(40)
    own = save_set(settings.data_dir, EVERYTHING, (EVERYTHING, f"2 {EVERYTHING}"), images, np.arange(40) % 2, np.arange(40) > 29,
                   source=EVERYTHING)
    rows = [f"a {word} film,{word}" for word in ("positive", "negative") for _ in range(12)]
    import_csv("\n".join(["text,label", *rows]).encode(), settings.data_dir)
    store = RunStore(settings.runs_dir)
    config = RunConfig.model_validate(tiny(data__dataset=own.name, data__validation=6, training__epochs=2).model_dump())
    finished = execute(store, store.create_running(config, "somebody", "here", EVERYTHING), settings)
    assert finished.status == "finished", finished.message
    failed = store.create_running(config, "somebody", "here", EVERYTHING)
    store.finish(failed.id, "failed", f"{EVERYTHING} in {settings.runs_dir}/{failed.id}")
    store.close()
    yield settings, finished.id, failed.id
    shutil.rmtree(root)


@pytest.fixture
def visited(hostile, monkeypatch):
    settings, finished, failed = hostile
    for name, value in (("DATA", settings.data_dir), ("RUNS", settings.runs_dir), ("CACHE", settings.cache_dir), ("WORKERS", 0)):
        monkeypatch.setenv(f"PLAYGROUND_{name}", str(value))
    return settings, finished, failed


def assert_harmless(at, settings):
    """Nothing of it is markup, and no place of the server is named."""
    assert_whole(at)
    for place, text in markup(at):
        if place.startswith(("plotly_chart", "echarts")):  # markup to them is HTML alone
            assert TAG not in text and json.dumps(TAG)[1:-1] not in text, place
        else:
            assert not [mark for mark in MARKS if mark in text], (place, text[:300])
        assert str(settings.runs_dir.parent) not in text, (place, text[:300])


# Elements that a script writes out in full, and bar_rows.js, whose callers do.
WRITTEN_OUT = re.compile(r"""innerHTML = '[^'$]*';|insertAdjacentHTML\("\w+", (?:"[^"]*"|html)\)""")


def test_no_component_of_ours_makes_markup_of_what_it_is_given():
    scripts = list((Path(__file__).parents[1] / "pages").rglob("*.js"))
    assert len(scripts) > 3
    for script in scripts:
        rest = WRITTEN_OUT.sub("", script.read_text(encoding="utf-8"))
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert word not in rest, (script.name, word)


@pytest.mark.parametrize("path", ["app.py", *PAGES])
def test_no_name_is_markup_on_any_page(visited, path):
    settings, finished, _ = visited
    at = alone(path, finished)
    assert_harmless(at, settings)
    if path in ("app.py", "pages/train_model.py", "pages/compare_runs.py", "pages/evaluate_model.py"):
        assert any("zqx" in text for _, text in markup(at)), "it shows runs"


@pytest.mark.parametrize("path", ["app.py", "pages/train_model.py", "pages/compare_runs.py"])
def test_no_reason_is_markup_or_names_a_place(visited, path):
    settings, _, failed = visited
    at = alone(path, failed)
    assert_harmless(at, settings)
    assert f"in runs folder/{failed}" in "\n".join(text for _, text in markup(at))
