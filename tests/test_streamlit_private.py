"""Runs of fragments whose page was left; that a browser shows the next page then is in tests/test_browser_home.py."""

from types import SimpleNamespace

import pytest
from streamlit.runtime.scriptrunner import script_runner

from pages.parts.shell.streamlit_private import ignore_fragments_of_left_pages


class Storage:
    """Of a session's fragments."""


class Runner:
    """As Streamlit's, as far as it is used; `ran` is what its script ran for."""

    def __init__(self, storage: object):
        self._fragment_storage, self.ran, self.page = storage, [], ""

    def _run_script(self, asked: SimpleNamespace) -> None:
        self.ran.append((asked.page_script_hash, *asked.fragment_id_queue))
        self.page = getattr(asked, "switches_to", asked.page_script_hash)

    def _get_script_run_ctx(self) -> SimpleNamespace:
        return SimpleNamespace(page_script_hash=self.page)


class Bare:
    """One of a version that keeps its fragments and its page elsewhere."""

    def __init__(self):
        self.ran = []

    _run_script = Runner._run_script


@pytest.fixture(params=[Runner, Bare])
def kind(request, monkeypatch):
    own = type("Own", (request.param,), {"_run_script": request.param._run_script})
    monkeypatch.setattr(script_runner, "ScriptRunner", own)
    for _ in range(2):  # one for each page of a server
        ignore_fragments_of_left_pages()
    return own


def asked(page: str, *fragments: str, **more: str) -> SimpleNamespace:
    return SimpleNamespace(page_script_hash=page, fragment_id_queue=list(fragments), **more)


@pytest.mark.parametrize("kind", [Runner], indirect=True)
def test_a_fragment_runs_on_its_page_and_not_after_it(kind):
    storage = Storage()
    runner = kind(storage)
    for request in (asked("home", "live"), asked("home"), asked("home", "live"), asked("home", switches_to="explore"),
                    asked("home", "live"), asked("explore", "map")):
        runner._run_script(request)
    assert runner.ran == [("home", "live"), ("home",), ("home", "live"), ("home",), ("explore", "map")]
    later = kind(storage)  # Streamlit makes a new one for the same session
    later._run_script(asked("home", "live"))
    other = kind(Storage())  # of somebody else
    other._run_script(asked("home", "live"))
    assert (later.ran, other.ran) == ([], [("home", "live")])


@pytest.mark.parametrize("kind", [Bare], indirect=True)
def test_where_streamlit_keeps_them_elsewhere_everything_runs(kind):
    runner = kind()
    for request in (asked("home"), asked("explore"), asked("home", "live")):
        runner._run_script(request)
    assert runner.ran == [("home",), ("explore",), ("home", "live")]


def test_where_streamlit_has_no_such_runner_nothing_happens(monkeypatch):
    monkeypatch.delattr(script_runner, "ScriptRunner")
    ignore_fragments_of_left_pages()
    assert not hasattr(script_runner, "ScriptRunner")
