"""A visitor's session lives for hours: what it has looked at must not stay in memory because a widget was given it once."""

import gc
import weakref

import pytest
import streamlit as st

from core.runs import TrainedModel
from pages.parts.evaluate import subject
from pages.parts.explain.section import CHANGE, MAPS, NEAREST
from tests.test_evaluate_page import SECTIONS, models, open_at, store  # noqa: F401  the fixtures of trained models
from tests.test_pages import assert_whole


def test_runs_that_were_looked_at_are_forgotten(store, models, monkeypatch):  # noqa: F811
    seen: dict[str, list[weakref.ref]] = {}
    load, made = subject.load_predictions, TrainedModel.__init__

    def remember(store, run, split="test"):
        found = load(store, run, split)
        if found is not None:
            seen.setdefault(f"answers of {run}", []).append(weakref.ref(found))
        return found

    def note(self, *args, **kwargs):
        made(self, *args, **kwargs)
        seen.setdefault("networks", []).append(weakref.ref(self))

    st.cache_resource.clear()
    monkeypatch.setattr(subject, "load_predictions", remember)
    monkeypatch.setattr(TrainedModel, "__init__", note)
    at = open_at(models["is_3"])
    for run in ("first", "second"):  # and is_3 before and after
        at.query_params["run"] = models[run]
        for section in SECTIONS:
            at.session_state["evaluate.section"] = section
            at.run()
            assert_whole(at)
        at.session_state["evaluate.section"] = "Images"
        for view in (MAPS, NEAREST, CHANGE):
            at.session_state["evaluate.why.view"] = view
            at.run()
            assert_whole(at)
    at.session_state["evaluate.section"], at.session_state["evaluate.why.view"] = "Overview", None
    at.query_params["run"] = models["is_3"]
    at.run()
    first = f"answers of {models['first']}"
    assert seen[first] and len(seen["networks"]) >= 2
    st.cache_resource.clear()
    st.cache_data.clear()
    gc.collect()
    alive = {kind: sum(ref() is not None for ref in refs) for kind, refs in seen.items()}
    assert alive["networks"] == 0, "no network is on the page any more"
    assert alive[first] == 0, "two other runs have been looked at since"


@pytest.fixture(autouse=True)
def _fresh():
    yield
    st.cache_resource.clear()
