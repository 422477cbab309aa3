"""The wall on its page, the name in the lesson's bar, and predictions that labs count."""

import json
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.actors import LOCAL, Actor
from core.lessons import Lesson, Step, keep_lesson
from core.runs import RunStore
from core.runs.records import Metric
from core.training import Started
from pages.parts.learn.questions import TENSORS
from pages.parts.shell import keys
from tests.helpers import tiny
from tests.hostile import HOSTILE
from tests.opened_pages import said, whole
from tests.words_on_pages import markup

ROOT = Path(__file__).parents[1]
ANN, BEN, EVE = (Actor(letter * 32, "visitor") for letter in "abe")
RATE = "training.optimizer.learning_rate"


@pytest.fixture
def store(tmp_path, places, monkeypatch) -> RunStore:
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    st.cache_resource.clear()  # a doctor is kept by the lesson's code alone
    yield RunStore(tmp_path / "runs")
    st.cache_resource.clear()


@pytest.fixture
def code(store) -> str:
    return keep_lesson(Lesson(title="<b>7b</b>", steps=(Step(page="learn_tensors"),)), store.path, LOCAL)


def train(store, code, actor, accuracy, rate=0.01, status="finished"):
    run_id = store.as_actor(actor).in_lesson(code).create(tiny(training__optimizer__learning_rate=rate), actor.key)
    store.claim("w")
    store.begin(run_id, Started(10, 20, 1, "cpu", "float32"))
    store.record(run_id, [Metric("accuracy", step, 0.1 * step) for step in range(1, 11)]
                 + [Metric("validation_accuracy", 10, accuracy)], step=10, epoch=1)
    if status != "running":
        store.finish(run_id, status)
    return run_id


def opened(wall: str, actor: Actor | None = None) -> AppTest:
    at = AppTest.from_file(str(ROOT / "pages/lesson_wall.py"), default_timeout=60)
    at.query_params["wall"] = wall
    if actor is not None:
        at.session_state[keys.ACTOR] = actor
    return whole(at.run())


def screen(at: AppTest) -> dict:
    """What the wall's component is given."""
    shown = (json.loads(part.proto.json or "null") for part in at.main.get("bidi_component"))
    return next(one["content"][0] for one in shown if isinstance(one, dict) and "content" in one)


def names(at: AppTest) -> dict[str, list[str]]:
    return {group["title"]: group["names"] for group in screen(at)["groups"]}


def test_the_wall_shows_the_runs_of_its_lesson_alone(store, code):
    train(store, code, ANN, 0.5)
    train(store, code, BEN, 0.9, 0.1, status="running")
    train(store, "AAAAAA", ANN, 1.0)
    store.create(tiny(), "somebody")
    store.as_actor(BEN).keep_name(code, BEN.key, "Ben")
    for actor, choice in ((ANN, 0), (BEN, 1)):
        store.as_actor(actor).keep_prediction(code, actor.key, "tensors.ask_create", choice)
    at = opened(code)
    shown = screen(at)
    assert names(at) == {"Training": ["Ben"], "Waiting": [], "Done": ["visitor 1"]}
    assert shown["figures"] == [["2", "runs"], ["90.0 %", "best: Ben"]]
    assert shown["dots"]["title"] == "Best validation accuracy, by learning rate" and len(shown["dots"]["dots"]) == 2
    assert len(shown["curves"]["lines"]) == 2
    assert [count for _, count in shown["prediction"]["choices"]] == [1, 1, 0] and shown["prediction"]["title"] == "2 predictions"
    assert [option for option in at.selectbox(key="wall.setting").options] == ["learning rate", "order of their start"]
    assert ANN.key not in json.dumps(shown)
    at.toggle(key="wall.hidden").set_value(True).run()
    assert names(whole(at)) == {"Training": ["visitor 2"], "Waiting": [], "Done": ["visitor 1"]}
    assert "Ben" not in json.dumps(screen(at)) + said(at) + str([button.label for button in at.button])
    assert "1 name is hidden." in said(at)
    at.toggle(key="wall.hidden").set_value(False).run()
    at.button(key="wall.name.0").click().run()
    assert names(whole(at))["Training"] == ["visitor 2"] and not store.name_of(code, BEN.key).allowed
    at.button(key="wall.name.0").click().run()
    assert names(whole(at))["Training"] == ["Ben"]
    for run in store.lesson_runs(code):  # while it is shown
        store.request_stop(run.id)
        store.finish(run.id, "stopped")
        store.delete(run.id)
    assert "Point your camera" in said(whole(at.run()))


def test_who_shares_a_run_stands_beside_whoever_has_started_it(store):
    sharing = keep_lesson(Lesson(steps=(Step(page="train_model"),), seeds="shared"), store.path, LOCAL)
    train(store, sharing, BEN, 0.5, 0.1)
    train(store, sharing, ANN, 0.9)
    store.as_actor(EVE).keep_name(sharing, EVE.key, "Eve")
    store.as_actor(EVE).in_lesson(sharing).share_run(store.lesson_runs(sharing)[0].id, EVE.key)
    at = opened(sharing)
    assert names(at)["Done"] == ["visitor 1", "visitor 2", "+ Eve"] and screen(at)["groups"][2]["count"] == 3
    assert screen(at)["figures"] == [["2", "runs"], ["90.0 %", "best: visitor 2 + 1"]]
    assert [dot["name"] for dot in screen(at)["dots"]["dots"]] == ["visitor 1", "visitor 2 + 1"]
    at.toggle(key="wall.hidden").set_value(True).run()
    assert names(at)["Done"] == ["visitor 1", "visitor 2", "+ visitor 3"]


def test_a_wall_of_nobody_says_how_to_come_in(store, code):
    store.as_actor(ANN).keep_name(code, ANN.key, "[x](//a.example)")
    at = opened(code)
    assert f"**{code}**" in said(at) and "Point your camera" in said(at)
    assert at.title[0].value == r"\<b\>7b\</b\>"
    assert not [text for _, text in markup(at) if "[x](" in text or "<b>" in text]


def test_words_of_pupils_are_no_markup(store, code):
    for number, name in enumerate(HOSTILE):
        pupil = Actor(f"{number:032x}", "visitor")
        store.as_actor(pupil).keep_name(code, pupil.key, name[:20])
        train(store, code, pupil, 0.5)
    at = opened(code)
    assert screen(at)["groups"][2]["names"][0] == HOSTILE[0][:20].strip()
    assert not [text for place, text in markup(at) if "[a link](" in text or "<b>tag" in text or "**bold**" in text]


@pytest.mark.parametrize("wall", ["", "AAAAAA", "train-it", "../../x", "[x](https://a.example)", "<script>", "K" * 5000, "猫"])
def test_a_wall_of_no_lesson_is_one_line(store, wall):
    at = opened(wall)
    assert len(at.info) == 1 and not at.error and at.title[0].value == "Wall"
    assert ("There is no lesson with this code here" if wall == "AAAAAA" else "A lesson that was made here has a wall") in (
        at.info[0].value)


def panel_of_a_lesson(code):
    """What the open page draws every two seconds."""
    from core.lessons import Lesson
    from pages.parts.shell.services import services
    from pages.parts.wall.panel import wall_panel

    wall_panel(services(), code, Lesson())


def test_a_deleted_lesson_has_no_wall_though_its_runs_remain(store, code):
    run_id = train(store, code, ANN, 0.5)
    assert len(screen(opened(code))["dots"]["dots"]) == 1
    store.delete_lesson(code)
    drawn = whole(AppTest.from_function(panel_of_a_lesson, args=(code,), default_timeout=60).run())
    assert "This lesson has been deleted" in drawn.info[0].value, "while its wall is open"
    assert code not in said(drawn) and not drawn.main.get("bidi_component")
    st.cache_resource.clear()
    assert "There is no lesson with this code here" in opened(code).info[0].value
    assert store.get(run_id).lesson == code


def test_only_a_teacher_opens_a_wall(store, code, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_MODE", "hosted")
    monkeypatch.setenv("PLAYGROUND_TEACHER", "only the teacher knows")
    run_id = train(store, code, ANN, 0.5)
    at = opened(code, ANN)
    assert [info.value for info in at.info] == ["Only the teacher can open the wall of a lesson."]
    assert not at.main.get("bidi_component") and run_id not in said(at)
    assert len(screen(opened(code, Actor("c" * 32, "teacher")))["dots"]["dots"]) == 1


# --- in the lesson

def in_lesson(code: str, path: str = "app.py") -> AppTest:
    at = AppTest.from_file(str(ROOT / path), default_timeout=60)
    at.query_params["lesson"], at.query_params["step"] = code, "1"
    return whole(at.run())


def test_a_pupil_gives_a_name_and_their_prediction_is_counted_once(store, code):
    at = in_lesson(code)
    assert not [field for field in at.text_input if field.key == "lesson.name_typed"], "it is read when it is opened"
    at.session_state["lesson.name"] = True
    at.run()
    for typed, said_of_it in (("\u200b", "You have no name on the wall."), ("Ann", "This is your name on the wall.")):
        at.text_input(key="lesson.name_typed").set_value(typed)
        at.button(key="lesson.name_use").click().run()
        assert [toast.value for toast in at.toast] == [said_of_it]
        at.session_state["lesson.name"] = True
        at.run()
    owner = at.session_state[keys.OWNER]
    assert store.wall_names(code)[owner].name == "Ann" and not whole(at).error
    question = TENSORS["create"]
    for choice in (2, 1):
        at.radio(key=f"{question.key}.guess").set_value(question.choices[choice]).run()
        at.button(key=f"{question.key}.reveal").click().run()
    assert store.predictions(code) == {question.key: {2: 1}}
    store.delete_lesson(code)
    at.session_state["lesson.name"] = True
    at.run()
    if [field for field in at.text_input if field.key == "lesson.name_typed"]:  # the lesson is remembered for ten seconds
        at.text_input(key="lesson.name_typed").set_value("Anna")
        at.button(key="lesson.name_use").click().run()
        assert at.error[0].value == "There is no lesson with this code here any more."
    whole(at)


def test_lessons_that_come_with_the_app_count_nothing(store):
    at = in_lesson("roll-downhill")
    assert "Name on the wall" not in "".join(str(one) for one in at.main.get("popover"))
    key = "regression.ask_slowest"
    at.radio(key=f"{key}.guess").set_value("about 20").run()
    whole(at.button(key=f"{key}.reveal").click().run())
    assert store.predictions("roll-downhill") == {}


@pytest.mark.parametrize(("page", "key"), [("train_model", "train.start"), ("train_model", "train.find_rate"),
                                           ("learn_decision_boundary", "plane.start"), ("home", "home.train")])
def test_what_is_started_in_a_lesson_is_of_it(store, page, key):
    code = keep_lesson(Lesson(steps=(Step(page=page),), preset="circle-2d" if "plane" in key else "digits-quick"), store.path,
                       LOCAL)
    at = in_lesson(code)
    if key == "train.find_rate":
        at.session_state["train.more"] = True
        at.run()
    whole(at.button(key=key).click().run())
    [run] = store.runs(kinds=("training", "range_test"))
    assert run.lesson == code


def test_the_page_lessons_leads_to_the_wall_and_deletes_all(store, code):
    store.as_actor(ANN).keep_name(code, ANN.key, "Ann")
    at = whole(AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run())
    at = whole(at.switch_page("pages/open_lesson.py").run())
    at.button(key="lesson.wall").click().run()
    assert "Point your camera" in said(whole(at)) and at.query_params["wall"] == code
    at = whole(at.switch_page("pages/open_lesson.py").run())
    whole(at.button(key="lesson.delete_now").click().run())
    assert store.wall_names(code) == {}
