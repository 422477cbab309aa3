"""What a lab has a training process work out: asked once, answered once, and never trusted blindly nor waited for in vain."""

import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from core.data import load
from core.labs.transfer import Count, TransferConfig, TransferQuestion, Way, compare, few_data, source_config, ways_from
from core.models import build
from core.runs import LocalEngine, RunStore, asked
from core.runs.asked import Asked, take
from core.runs.checkpoints import load_model
from core.runs.evaluations import weights_stamp
from core.runs.lab_answers import LABS, LabAnswers
from core.settings import Settings
from pages.parts.learn import asked as page
from tests.helpers import run_here, tiny, wait_for, wait_until
from tests.opened_pages import said, skip_questions, whole

CONFIG = TransferConfig(per_class=1, steps=1)
NAMES = ("From scratch", "Frozen features, new head", "Fine-tuned: all layers")
PAGE = str(Path(__file__).parents[1] / "pages/learn_transfer.py")


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def places_of(store, places, cache_dir):
    return Settings(places / "data", store.path, cache_dir)


@pytest.fixture
def process(store, places_of):
    """What a training process answers with; its network for 0 to 4 has learned nothing, which is quicker."""
    labs = LabAnswers(store, places_of)
    labs.taught = build(source_config().model, (1, 28, 28), 5, seed=0)
    return labs


def question(store: RunStore, config: TransferConfig = CONFIG, **more) -> Asked:
    return Asked(store, "transfer", TransferQuestion(data=few_data(), config=config, **more))


def files(store: RunStore) -> list[str]:
    return sorted(path.suffix for path in (store.path / "asked").iterdir())


def test_it_is_asked_once_and_answered_for_all(store, process, places_of):
    first, second = question(store), question(store)
    assert not process.give() and first.answer is None
    assert first.want() and not second.want() and not first.is_taken
    taken = take(store)
    assert take(store) is None and second.is_taken and second.is_in_line and not second.want()
    taken.keep(b"")
    assert second.answer == b"" and not first.is_taken
    second.forget()
    assert first.want() and process.give() and not process.give()
    found = ways_from(second.answer, CONFIG)
    assert files(store) == [".json"] and process.taken is None
    data = load(few_data(), places_of.data_dir, places_of.cache_dir)
    assert found == compare(process.taught, data, CONFIG, source_config().model)
    assert question(store, CONFIG.model_copy(update={"seed": 1})).answer is None


def test_a_run_s_own_weights_are_used_and_no_others(store, places_of, process):
    run = run_here(store, places_of, tiny())
    last = TransferConfig(head="last", per_class=1, steps=1)
    stamp = str(weights_stamp(store, run.id))
    for weights, head, can_be in (("old", last, False), (stamp, CONFIG, False), (stamp, last, True)):
        asks = question(store, head, run=run.id, weights=weights)
        assert asks.want() and process.give()
        assert (asks.answer != b"") is can_be  # an MLP has nothing before its linear layers
    trained = load_model(store, run.id)
    data = load(few_data(), places_of.data_dir, places_of.cache_dir)
    assert ways_from(asks.answer, last) == compare(trained.model, data, last, trained.config.model)


def test_who_has_died_and_who_has_left_is_waited_for_no_longer(store, process):
    asks = question(store)
    asks.want()
    [wanted] = (store.path / "asked").iterdir()
    os.utime(wanted, (0, 0))
    assert take(store) is None and files(store) == []  # nobody waits any more
    asks.want()
    process.taken = take(store)
    os.utime(process.taken.path, (0, 0))
    assert not asks.is_taken and not asks.is_in_line and asks.want()
    process.beat()
    assert asks.is_taken
    process.taken.keep(b"x")
    process.beat()
    assert files(store) == [".json", ".wanted"] and take(store) is None and files(store) == [".json"]  # it is answered already


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"lab": 1, "question": []}', b'{"lab": "transfer"}', "other",
                                     b" " * (asked.LARGEST + 1)])
def test_what_is_no_question_is_removed(store, process, content):
    asks = question(store)
    asks.want()
    [wanted] = (store.path / "asked").iterdir()
    other = json.dumps({"lab": "transfer", "question": "{}"}).encode()  # under the name of this one
    wanted.write_bytes(other if content == "other" else content)
    (store.path / "asked/notes.wanted").write_bytes(content if content != "other" else b"mine")
    assert not process.give() and not wanted.exists() and (store.path / "asked/notes.wanted").exists()


def test_a_question_that_no_lab_answers_is_answered_by_nothing(store, process, monkeypatch):
    unknown = Asked(store, "cooking", CONFIG)
    assert unknown.want() and process.give() and unknown.answer == b""
    monkeypatch.setitem(LABS, "odd", lambda labs, text: {}["x"])  # what nobody thought of must not end the process
    odd = Asked(store, "odd", CONFIG)
    assert odd.want() and process.give() and odd.answer == b"" and process.taken is None
    broken = Asked(store, "transfer", CONFIG)  # another lab's question
    assert broken.want() and process.give() and broken.answer == b""


def test_old_answers_go(store, process, monkeypatch):
    monkeypatch.setattr(asked, "MOST_KEPT", 2)
    asks = [question(store, CONFIG.model_copy(update={"seed": seed})) for seed in range(4)]
    for number, one in enumerate(asks):
        one.want()
        take(store).keep(b"answer")
        os.utime(store.path / f"asked/{one.name}.json", (number, number)) if number < 3 else None
    assert [one.answer for one in asks] == [None, None, b"answer", b"answer"]


def way(name: str) -> dict:
    return asdict(Way(name, Count(3, 0), (0, 1), (0.1, 0.5), (1.5,)))


def test_what_is_whole_is_read():
    ways = [Way(name, Count(3, 0), (0, 1), (0.1, 0.5), (1.5,)) for name in NAMES]
    assert ways_from(json.dumps([asdict(way) for way in ways]).encode(), CONFIG) == ways
    broken = ways_from(json.dumps([way(name) | {"losses": [float("nan")]} for name in NAMES]).encode(), CONFIG)
    assert broken[0].losses[0] != broken[0].losses[0]  # a learning rate that is too high


@pytest.mark.parametrize("other", [
    {"steps": [0]}, {"steps": [0, 2]}, {"steps": [1, 1]}, {"accuracies": [0.1]}, {"accuracies": [0.1, 2]}, {"losses": []},
    {"accuracies": [0.1, float("nan")]}, {"steps": [], "accuracies": []}, {"count": {"trainable": -1, "frozen": 0}}, {"count": 3},
    {"name": NAMES[0]}, {"steps": [0, 9, 1], "accuracies": [0, 0, 0]}])
def test_what_is_not_whole_is_refused(other):
    with pytest.raises(ValueError):
        ways_from(json.dumps([way(NAMES[0]), way(NAMES[1]) | other, way(NAMES[2])]).encode(), CONFIG)


VALUES = st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.floats(), max_size=3)


@given(st.integers(0, 2), st.sampled_from(["name", "count", "steps", "accuracies", "losses"]), VALUES)
@settings(max_examples=40)
def test_whatever_is_there_is_whole_or_refused(number, field, value):
    ways = [way(name) for name in NAMES]
    ways[number][field] = value
    with suppress(ValueError):
        found = ways_from(json.dumps(ways).encode(), CONFIG)
        assert [len(one.losses) for one in found] == [1, 1, 1] and all(one.steps == (0, 1) for one in found)
        assert all(0 <= share <= 1 for one in found for share in one.accuracies)


def test_a_worker_that_rests_answers(engine):
    run = wait_for(engine.store, engine.submit(tiny(), "somebody"))
    wait_until(lambda: engine.is_resting, lambda: "the engine thinks that it still trains")
    last = TransferConfig(head="last", per_class=1, steps=1)
    asks = question(engine.store, last, run=run.id, weights=str(weights_stamp(engine.store, run.id)))
    wait_until(lambda: asks.answer or asks.want() and engine.wake(), lambda: "nobody answered")
    assert len(ways_from(asks.answer, last)) == 3
    going = engine.submit(tiny(training__epochs=1000), "somebody")
    wait_until(lambda: not engine.is_resting, lambda: "the engine does not know that it trains")
    engine.cancel(going)


# --- the page


@pytest.fixture
def lab(store, places, process, monkeypatch):
    """Opens the page, beside a process that rests but for what `process` is asked to do."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(store.path))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    monkeypatch.setattr(LocalEngine, "is_resting", True)
    monkeypatch.setattr("pages.parts.learn.transfer.subject.taught", lambda settings: process.taught)

    def open_lab() -> AppTest:
        at = skip_questions(AppTest.from_file(PAGE, default_timeout=60))
        at.session_state["transfer.images"], at.session_state["transfer.steps"] = 1, 10
        return whole(at.run())

    return open_lab


def test_the_page_waits_and_shows_what_comes(lab, process, store, monkeypatch):
    at = lab()
    assert "take their steps" in said(at) and not at.metric and at.code
    again = lab()  # reloaded, or another visitor
    assert process.give() and not process.give()
    with monkeypatch.context() as patch:
        patch.setattr("pages.parts.learn.transfer.views.compare", lambda *_: pytest.fail("it is worked out here"))
        values = [[metric.value for metric in whole(one.run()).metric] for one in (at, again)]
    assert len(values[0]) == 3 and values[0] == values[1] and "take their steps" not in said(at)
    [answer] = (store.path / "asked").iterdir()
    answer.write_bytes(b"[1]")
    assert [metric.value for metric in whole(at.run()).metric] == values[0] and not answer.exists()


def test_the_page_does_it_itself_where_nobody_comes(lab, process, monkeypatch):
    at = lab()
    assert not at.metric
    monkeypatch.setattr(page, "SECONDS_OF_PATIENCE", 0.0)
    assert len(whole(at.run()).metric) == 3 and "take their steps" not in said(at)


def test_the_page_asks_nobody_where_nobody_rests(lab, store, monkeypatch):
    monkeypatch.setattr(LocalEngine, "is_resting", False)
    assert len(lab().metric) == 3 and not (store.path / "asked").exists()
