"""The page Class digits, and what other pages make of what a class has drawn: two pupils, their teacher, and a stranger."""

import base64
import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.actors import LOCAL, NOT_YOUR_CLASS, Actor
from core.config import read_config
from core.data.own.sets import read_set
from core.lessons import Lesson, Step, delete_lesson, keep_lesson, kept_lessons
from core.lessons.class_digits import ClassDigits
from core.lessons.class_lesson import CLASS_LESSON
from core.lessons.class_sets import FEWEST, set_of
from core.runs import LocalEngine, NotYours, RunStore
from core.settings import Settings
from core.visitors import cookie_name, cookie_of, signing_key
from pages.parts.collect.sheet import NOTHING, SHEET
from pages.parts.compare import words
from pages.parts.compare.controls import shown_as
from pages.parts.evaluate.whose import in_words
from pages.parts.explain.section import NEAREST
from pages.parts.shell import keys
from tests.helpers import run_here, tiny
from tests.opened_pages import menu, said, whole
from tests.strokes import draw
from tests.test_class_digits import fill, nothing_uses

ROOT = Path(__file__).parents[1]
CODE = "only the teacher knows"
ANN, BEN, TEACHER = Actor("a" * 32, "visitor"), Actor("b" * 32, "visitor"), Actor("c" * 32, "teacher")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The runs folder of a server that many use, without workers; what is drawn lies beside it."""
    for name, value in (("RUNS", tmp_path / "runs"), ("DATA", tmp_path / "data"), ("WORKERS", "0"), ("MODE", "hosted"),
                        ("TEACHER", CODE)):
        monkeypatch.setenv(f"PLAYGROUND_{name}", str(value))
    st.cache_resource.clear()
    store = RunStore(tmp_path / "runs")
    yield store
    store.close()
    st.cache_resource.clear()


@pytest.fixture
def code(store) -> str:
    return keep_lesson(CLASS_LESSON, store.path, TEACHER)


@pytest.fixture
def of(store, code, tmp_path):
    return lambda actor: ClassDigits(code, tmp_path / "data", store.path, actor)


@pytest.fixture
def opened(store, code, monkeypatch):
    """A page as somebody opens it, in the lesson or outside."""
    def open_page(actor: Actor, step: int = 1, inside: bool = True, **query: str) -> AppTest:
        cookie = cookie_of(signing_key(store.path), actor, CODE)
        monkeypatch.setattr(type(st.context), "cookies", property(lambda context: {cookie_name(signing_key(store.path)): cookie}))
        at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for name, value in (({"lesson": code, "step": str(step)} if inside else {}) | query).items():
            at.query_params[name] = value
        return whole(at.run())

    return open_page


def on_sheet(at: AppTest, digit: int, sheet: str = SHEET) -> None:
    """What the browser sends when a digit is drawn."""
    file = io.BytesIO()
    Image.fromarray(draw(digit, 0, 16)).save(file, format="PNG")
    name = f"{keys.CANVAS_VERSION}{sheet}"
    version = at.session_state[name] if name in at.session_state else 0  # noqa: SIM401 - no get
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    at.session_state[f"{keys.CANVAS}{sheet}.{version}"] = {"drawing": {"data": url, "number": 1}}


def keep(at: AppTest) -> AppTest:
    [button] = [one for one in at.button if (one.key or "").startswith("collect.keep.")]
    return whole(button.click().run())


def asked(at: AppTest) -> int:
    return int(at.title[0].value[-1])


def offered(at: AppTest) -> set[str]:
    return {one.key for one in at.button if one.key}


# --- drawing

def test_two_pupils_draw_what_is_asked_for_and_take_back_their_own(opened, of):
    ann = keep(opened(ANN))
    assert NOTHING in said(ann) and sum(of(ANN).counts().every) == 0
    digits = []
    for _ in range(3):
        digits.append(asked(ann))
        on_sheet(ann, digits[-1])
        ann = keep(ann)
        assert f"Your {digits[-1]} is kept." in said(ann)
    assert len(set(digits)) == 3 and of(ANN).mine().labels.tolist() == digits
    assert "3 drawings of the class; 3 of up to 100 are yours." in said(ann) and "Your drawings: 3" in [one.value for one in
                                                                                                        ann.header]
    ben = opened(BEN)
    assert asked(ben) not in digits, "what there are fewest of"
    assert "3 drawings of the class; 0 of up to 100 are yours." in said(ben) and not ben.header[0].value.startswith("Your")
    on_sheet(ben, asked(ben))
    ben = keep(ben)
    assert "collect.remove" not in offered(ben) and not ben.get("download_button")
    ben.button(key="collect.undo").click().run()
    assert "Taken back" in said(whole(ben)) and of(BEN).mine().labels.tolist() == [] and sum(of(ANN).counts().mine) == 3
    assert ANN.key not in said(ben) + said(ann)


def test_an_old_drawing_is_taken_back(opened, of):
    numbers = fill(of(ANN), 3)
    at = opened(ANN)
    at.session_state["collect.mine.chosen"] = numbers[0]
    at.run().button(key=f"collect.back.{numbers[0]}").click().run()
    assert of(ANN).mine().numbers.tolist() == numbers[1:] and "Taken back" in said(whole(at))


def test_a_digit_that_was_drawn_under_an_older_name_is_not_kept_as_another(opened, of):
    """A second tap, which the browser sends before it has drawn the answer to the first."""
    at = opened(ANN)
    on_sheet(at, asked(at))
    [button] = [one for one in at.button if (one.key or "").startswith("collect.keep.")]
    button.click().run()
    at = keep(at)
    assert sum(of(ANN).counts().mine) == 1 and NOTHING in said(at)


def test_what_can_t_be_kept_is_said(opened, of, monkeypatch):
    monkeypatch.setattr("core.lessons.class_digits.MOST_OF_ONE", 2)
    fill(of(ANN), 2)
    at = opened(ANN)
    on_sheet(at, asked(at))
    assert "You have drawn 2 digits" in said(keep(at)) and sum(of(ANN).counts().mine) == 2
    at.session_state[f"{keys.CANVAS}{SHEET}.0"] = {"drawing": {"data": "data:image/png;base64,AAAA", "number": 2}}
    assert "The canvas sent something that is no picture" in said(keep(at))


def test_a_lesson_that_is_deleted_meanwhile(opened, of, code, store):
    at = opened(ANN)
    on_sheet(at, asked(at))
    delete_lesson(code, store.path, TEACHER)
    at = keep(at)
    assert len(at.error) == 1 and at.error[0].value.startswith("There is no lesson with this code here")


# --- the teacher

def test_the_teacher_looks_through_all_and_removes_some(opened, of):
    numbers = fill(of(ANN), 30) + fill(of(BEN), 10)
    at = opened(TEACHER)
    assert "**40 drawings** by 2 pupils" in said(at) and "collect.zip" in {one.key for one in at.get("download_button")}
    assert at.selectbox(key="collect.pupil").options == ["everybody", "pupil 1 (30)", "pupil 2 (10)"]
    at.selectbox(key="collect.pupil").select_index(2)
    whole(at.run()).button(key="collect.choose").click().run()
    assert at.session_state[keys.CLASS_CHOSEN] == set(of(BEN).mine().numbers.tolist())
    at.button(key="collect.none").click().run()
    assert at.button(key="collect.remove").disabled
    at.selectbox(key="collect.pupil").select_index(0)
    for view in ("Map", "Odd ones", "Near copies"):
        at.segmented_control(key="collect.view").set_value(view)
        whole(at.run())
    assert not at.error
    at.session_state[keys.CLASS_CHOSEN] = {numbers[0], 99999}
    at.run().button(key="collect.remove").click().run()
    assert len(of(TEACHER).everything()) == 39 and numbers[0] not in of(TEACHER).everything().numbers.tolist()
    assert ANN.key not in said(whole(at)) and BEN.key not in said(at)


def test_of_near_copies_the_later_ones_are_offered(opened, of):
    fill(of(ANN), 4)
    first = of(ANN).mine()
    again = of(BEN).add(first.images[0].float() / 255, int(first.labels[0]))
    at = opened(TEACHER)
    at.segmented_control(key="collect.view").set_value("Near copies")
    whole(at.run()).button(key="collect.choose").click().run()
    assert at.session_state[keys.CLASS_CHOSEN] == {again}


def test_one_person_alone_may_do_everything(opened, of, monkeypatch):
    fill(of(ANN), 3)
    monkeypatch.setenv("PLAYGROUND_MODE", "local")
    at = opened(LOCAL)
    assert {"collect.remove"} <= offered(at) and "0 of up to 100 are yours" in said(at)
    on_sheet(at, asked(at))
    at = keep(at)
    assert "Your drawings: 1" in [one.value for one in at.header], "of this browser"


# --- training on it

def dataset_of(at: AppTest) -> str:
    return read_config(at.session_state[keys.DRAFT]).data.dataset


def test_the_lesson_trains_on_what_the_class_has_drawn_once_there_is_enough(opened, of, code, store, tmp_path):
    fill(of(ANN), FEWEST - 1)
    early = opened(BEN, step=3)
    assert dataset_of(early) == "digits" and f"fewer than {FEWEST} digits" in said(early)
    numbers = fill(of(ANN), 1)
    at = opened(BEN, step=3)
    first = dataset_of(at)
    assert read_set(tmp_path / "data", first).title == f"Class digits, {FEWEST} drawings" and "fewer than" not in said(at)
    assert read_config(at.session_state[keys.DRAFT]).data.variations == 4
    whole(at.button(key="train.start").click().run())
    assert [run.config.data.dataset for run in store.runs()] == [first]
    fill(of(BEN), 5)
    whole(at.run())
    assert dataset_of(at) == first, "nothing changes under anybody's hands"
    of(ANN).take_back(numbers[0])
    whole(at.switch_page("pages/explore_data.py").run())
    second = dataset_of(at)
    assert second != first == store.runs()[0].config.data.dataset
    assert f"{FEWEST + 4} digits that a class has drawn." in said(at) and at.selectbox(key=keys.EXPLORED).value == second
    early.switch_page("pages/train_model.py").run()
    early.switch_page("pages/explore_data.py").run()
    assert dataset_of(whole(early)) == second, "who came too early, too"


def test_with_another_set_as_well(opened, of, tmp_path):
    fill(of(ANN), FEWEST)
    at = opened(ANN)
    at.toggle(key="collect.join").set_value(True)
    whole(at.run()).button(key="collect.train").click().run()
    data = read_config(whole(at).session_state[keys.DRAFT]).data
    assert read_set(tmp_path / "data", data.dataset).counts == (16, 4) and data.join == ("digits",)
    assert [one.value for one in at.title] == ["Train model"]
    at.session_state["explore.section"] = "Combine"
    whole(at.switch_page("pages/explore_data.py").run())
    at.multiselect(key=f"explore.combine.{data.dataset}.join").set_value(["digits"])
    assert not whole(at.run()).warning
    whole(at.button(key="explore.combine.take").click().run())
    assert read_config(at.session_state[keys.DRAFT]).data.join == ("digits",) and dataset_of(at) == data.dataset


def test_in_a_lesson_with_settings_of_its_own_it_is_one_data_set_among_others(opened, of, code, store, tmp_path, monkeypatch):
    other = Lesson(title="Free", steps=(Step(page="collect_digits"), Step(page="explore_data"), Step(page="train_model")))
    free = keep_lesson(other, store.path, TEACHER)
    fill(ClassDigits(free, tmp_path / "data", store.path, ANN), FEWEST)
    at = opened(ANN, lesson=free, step="2")
    assert dataset_of(at) == "digits"
    assert len([one for one in at.selectbox(key=keys.EXPLORED).options if "Class digits" in one]) == 1
    at = opened(ANN, lesson=free, step="1")
    at.button(key="collect.look").click().run()
    assert f"{FEWEST} digits that a class has drawn." in said(whole(at))
    at.switch_page("pages/train_model.py").run()
    assert read_set(tmp_path / "data", dataset_of(whole(at))).counts == (16, 4)


def test_whoever_is_not_in_the_lesson_can_t_train_on_it(opened, of, code, store, tmp_path):
    fill(of(ANN), FEWEST)
    own = set_of(of(ANN), nothing_uses)
    config = tiny(data__dataset=own.name, data__validation=2)
    inside = Actor(BEN.key, "visitor", lesson=code)
    with LocalEngine(store, Settings.from_environment()) as engine:
        run = engine.as_actor(inside).submit(config, BEN.key, "Of the class")
        for actor in (BEN, Actor(BEN.key, "visitor", lesson="ABCDEF")):
            with pytest.raises(NotYours, match=NOT_YOUR_CLASS):
                engine.as_actor(actor).submit(config, BEN.key)
    at = opened(ANN, inside=False, run=run)
    for page in ("pages/train_model.py", "pages/explore_data.py", "pages/build_model.py"):
        whole(at.switch_page(page).run())
        assert dataset_of(at) == "digits" and "Class digits" not in repr([one.options for one in at.selectbox])
    at = opened(ANN, step=3, run=run)
    assert dataset_of(whole(at)) == own.name


# --- what it takes for what

def test_compare_runs_calls_a_class_s_data_by_their_title(of, tmp_path, monkeypatch):
    fill(of(ANN), FEWEST)
    own = set_of(of(ANN), nothing_uses)
    monkeypatch.setattr(words, "services", lambda: SimpleNamespace(settings=SimpleNamespace(data_dir=tmp_path / "data")))
    assert shown_as("data", own.name) == words.words("data.dataset", own.name) == own.title == "Class digits, 20 drawings"
    assert words.words("data.join", ["digits", own.name]) == "Digits (scikit-learn), Clas…"
    assert shown_as("data", "own:" + "0" * 12) == "own:" + "0" * 12, "it is gone"
    assert shown_as("data", "mnist") == "MNIST" and words.words("data.join", []) == "none"


@pytest.mark.parametrize(("count", "wrong", "line"), [
    (1, 0, "**1 of these images is yours**, and it is read rightly."),
    (1, 1, "**1 of these images is yours**, and it is read wrongly."),
    (3, 0, "**3 of these images are yours**, and all of them are read rightly."),
    (3, 1, "**3 of these images are yours**, and 1 of them is read wrongly."),
    (3, 2, "**3 of these images are yours**, and 2 of them are read wrongly."),
    (3, 3, "**3 of these images are yours**, and all of them are read wrongly."),
])
def test_how_many_are_ones_own_is_said_of_one_and_of_many(count, wrong, line):
    assert in_words(count, wrong) == line + " No other pupil is told which."


def test_whose_an_image_is_evaluate_tells_its_pupil_alone(opened, of, store, tmp_path, cache_dir):
    for place in range(50):
        fill(of((ANN, BEN)[place % 2]), 1)
    own = set_of(of(ANN), store.names)
    settings = Settings(tmp_path / "data", store.path, cache_dir)
    run = run_here(store, settings, tiny(data__dataset=own.name, data__validation=2))
    assert run.status == "finished", run.message
    mine = {}
    for actor in (ANN, BEN):
        text = said(opened(actor, step=4, run=run.id))
        [line] = [line for line in text.splitlines() if "of these images" in line]
        mine[actor.key] = int(line.split()[0].strip("*"))
        assert "No other pupil is told which." in line and not re.search(r"pupil \d", text)
    assert mine[ANN.key] + mine[BEN.key] == own.counts[1] == 10 and min(mine.values()) > 0
    cells = "".join(one.value for one in opened(ANN, step=4, run=run.id).markdown if " that it called " in one.value)
    assert cells.count("of these") <= 1
    teacher = said(opened(TEACHER, step=4, run=run.id))
    assert "Drawn by" in teacher and "yours" not in teacher.replace("are yours, and no", "")
    stranger = said(opened(Actor("d" * 32, "visitor"), inside=False, run=run.id).switch_page("pages/evaluate_model.py").run())
    assert "Test images" in stranger or "are right" in stranger
    assert "yours" not in stranger and "Drawn by" not in stranger
    for key in (ANN.key, BEN.key):
        assert key not in teacher + stranger
    at = opened(ANN, step=5, run=run.id)
    at.session_state["draw.section"], at.session_state["draw.why.view"] = "Why this answer", NEAREST
    on_sheet(at, 7, "")
    assert "nearest are labelled" in said(whole(at.run())), "what its training images look like is known"


# --- outside a lesson

def test_outside_a_lesson_it_says_how_to_begin(opened, store):
    at = opened(ANN, inside=False).switch_page("pages/collect_digits.py").run()
    assert [one.value for one in whole(at).title] == ["Class digits"] and "Class digits" in menu(at)["Torch Playground"]
    at.button(key="collect.begin").click().run()
    [mine] = [kept for kept in kept_lessons(store.path) if kept.owner == ANN.key]
    assert mine.lesson == CLASS_LESSON and at.title[0].value == "Lessons" and f"code is {mine.code}" in at.toast[0].value
    at.switch_page("pages/collect_digits.py").run().button(key="collect.change").click().run()
    assert at.title[0].value == "Lessons" and whole(at).session_state[keys.LESSON_MADE]["data"] == "class"


def test_a_lesson_is_deleted_with_what_its_class_has_drawn(opened, of, store):
    fill(of(ANN), 3)
    at = opened(TEACHER, inside=False).switch_page("pages/open_lesson.py").run()
    assert "What its class has drawn is deleted, too" in said(whole(at))
    at.button(key="lesson.delete_now").click().run()
    assert "is deleted" in whole(at).toast[0].value and not of(ANN).path.exists()
