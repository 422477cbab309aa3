"""Lessons on pages: what is shown in one, and the form that makes one."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.actors import LOCAL, Actor
from core.config import read_config
from core.lessons import PAGES, PICKERS, SECTIONS, Lesson, Step, keep_lesson, kept_lessons
from core.runs import RunStore
from pages.parts.build.walk import WALK, WEIGHTS
from pages.parts.lessons.make import view_of
from pages.parts.shell import keys
from pages.parts.shell.lesson import page_of
from pages.parts.shell.menu import LABS, MENU
from tests.hostile import HOSTILE
from tests.opened_pages import menu, offers, said, whole
from tests.words_on_pages import markup

ROOT = Path(__file__).parents[1]
EPOCHS = "training.epochs"


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch) -> Path:
    """A runs folder of the test's own, without workers: what is started stays in the queue."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    RunStore(tmp_path / "runs").close()
    return tmp_path / "runs"


def in_lesson(runs: Path, lesson: Lesson, **more: str) -> AppTest:
    """The app as whoever has the lesson's link opens it."""
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.query_params["lesson"] = keep_lesson(lesson, runs, Actor("a teacher", "teacher"))
    for name, value in more.items():
        at.query_params[name] = value
    return whole(at.run())


def maker() -> AppTest:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    return whole(at.switch_page("pages/open_lesson.py").run())


def links(at: AppTest) -> dict[str, str]:
    """The bar's links, label → page?query."""
    shown = next(one for one in (json.loads(part.proto.json) for part in at.main.get("bidi_component"))
                 if one.get("label") == "Steps of the lesson")
    [group] = shown["groups"]
    return {label: f"{page}?{query}" for [page, label, _], query in zip(group["links"], shown["queries"], strict=True)}


def title(at: AppTest) -> str:
    return at.title[0].value


# --- in a lesson

def test_a_lesson_knows_every_page_but_that_of_lessons():
    assert set(PAGES) == {page_of(path) for path in (*MENU, *LABS)} - {"open_lesson"}


def test_a_link_opens_the_first_step_and_next_goes_on_through_all(runs):
    steps = Step(title="See", page="build_model", text="Look."), Step(page="learn_tensors")
    at = in_lesson(runs, Lesson(title="Two", steps=steps))
    code = at.query_params["lesson"]
    assert title(at) == "Build model" and at.query_params["step"] == "1"
    assert "step 1 of 2" in said(at) and "**See**" in said(at) and "Look." in said(at)
    assert menu(at) == {"Torch Playground": ["Build model"], "Learn": ["Tensors"]}
    assert links(at) == {"Next": f"learn_tensors?lesson={code}&step=2", "Leave the lesson": "open_lesson?"}
    second = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    second.query_params["lesson"], second.query_params["step"] = code, "2"
    assert title(whole(second.run())) == "Tensors"
    assert links(second) == {"Back": f"build_model?lesson={code}&step=1", "Finish the lesson": "open_lesson?"}


def test_the_lesson_stays_in_every_address_of_the_menu(runs):
    at = in_lesson(runs, Lesson(steps=(Step(page="learn_tensors"), Step(page="home")), also=("learn_saving",)), step="2")
    shown = json.loads(at.sidebar.get("bidi_component")[0].proto.json)
    code = at.query_params["lesson"]
    assert shown["queries"] == [f"lesson={code}&step=2"] * 3


def test_a_page_that_is_not_shown_leads_to_the_step(runs):
    at = in_lesson(runs, Lesson(steps=(Step(page="learn_tensors"),)))
    at.switch_page("pages/train_model.py")
    at.query_params["lesson"], at.query_params["step"] = keep_lesson(Lesson(steps=(Step(page="learn_saving"),)), runs, LOCAL), "1"
    assert title(whole(at.run())) == "Save and load"


@pytest.mark.parametrize("step", ["0", "9", "-1", "x", "１", "1" * 500])
def test_a_step_that_there_is_not_is_the_first(runs, step):
    at = in_lesson(runs, Lesson(steps=(Step(page="learn_tensors"), Step(page="learn_tensors"))), step=step)
    assert at.query_params["step"] == "1" and "step 1 of 2" in said(at)


@pytest.mark.parametrize("code", ["ABCDEF", "", "../../x", "[a](https://a.example)", "K" * 5000])
def test_a_code_of_no_lesson_is_one_line_and_shows_the_whole_app(code):
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.query_params["lesson"] = code
    whole(at.run())
    [warning] = at.warning
    assert warning.value == "There is no lesson with this code here. Is it typed as it was given? It may have been deleted."
    assert len(menu(at)["Torch Playground"]) == len(MENU)


def test_what_a_teacher_types_is_shown_as_it_is(runs):
    step = Step(title="\n".join(HOSTILE)[:280], page="learn_tensors", text="\n\n".join(HOSTILE)[:1400])
    at = in_lesson(runs, Lesson(title="![x](https://a.example/x.png)", steps=(step,)))
    found = [text for _, text in markup(at)]
    assert any("x.png" in text for text in found)
    assert not any("![x](" in text or "[a link](" in text or "<b>tag" in text or ":red[" in text for text in found)


def test_settings_are_fixed_and_ranges_narrowed(runs):
    at = in_lesson(runs, Lesson(steps=(Step(page="train_model"),), fixed={"training.seed": 7}, ranges={EPOCHS: (1, 3)},
                                sections={"train_model": ()}))
    field = {number.label: number for number in at.number_input}
    assert (field["Seed"].value, field["Seed"].disabled) == (7, True)
    assert (field["Epochs (epochs)"] if "Epochs (epochs)" in field else field["Epochs"]).max == 3
    assert not at.selectbox or "Start from" not in {box.label for box in at.selectbox}
    assert not at.toggle or "Freeze a step" not in {one.label for one in at.toggle}
    at.button(key="train.start").click().run()
    assert not at.error
    with_seed = at.session_state[keys.DRAFT]
    assert with_seed["training"]["seed"] == 7 and with_seed["training"]["epochs"] == 3


def test_a_run_with_other_settings_does_not_start(runs):
    """However they came into the draft: what is fixed is looked at where a run starts."""
    at = in_lesson(runs, Lesson(steps=(Step(page="train_model"),), fixed={"training.seed": 7}))
    config = read_config(at.session_state[keys.DRAFT]).with_values({"training.seed": 8})
    at.session_state[keys.DRAFT] = config.model_dump(mode="json")
    at.button(key="train.start").click().run()
    assert [error.value for error in at.error] == ["Seed is 8; in this lesson it stays 7."]
    store = RunStore(runs)
    assert store.runs() == []
    store.close()


def test_what_a_lesson_moves_is_what_pages_choose_with():
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "pages").rglob("*.py"))
    assert [name for name in PICKERS if f'"{name}"' not in text] == []
    assert PICKERS["build.look.view"] == (WALK, WEIGHTS)


def test_seeds_that_a_lesson_fixes_are_not_gone_through(runs):
    at = in_lesson(runs, Lesson(steps=(Step(page="train_model"),), fixed={"training.seed": 7}))
    assert not [one for one in at.button if str(one.key).startswith("train.seeds")]
    at = in_lesson(runs, Lesson(steps=(Step(page="train_model"),), ranges={"training.seed": (0, 1)}))
    at.button(key="train.seeds.3").click().run()
    assert [error.value for error in at.error] == ["Seed is 2; in this lesson it can be from 0 to 1."]
    store = RunStore(runs)
    assert store.runs() == []
    store.close()


@pytest.mark.parametrize("page", [page for page in SECTIONS if page not in {"build_model", "train_model", "evaluate_model",
                                                                             "draw_digit", "learn_text", "learn_transfer"}])
def test_only_the_parts_that_are_chosen_are_offered(runs, page):
    part = SECTIONS[page][-1]
    at = in_lesson(runs, Lesson(steps=(Step(page=page),), sections={page: (part,)}))
    groups = [group for group in at.main.get("button_group") if group.label in {"Topic", "Section", "Part"}]
    assert [[option.content.split(" ", 1)[-1] if ":material" in option.content else option.content
             for option in group.proto.options] for group in groups] == [[part]]


def test_another_page_of_the_lesson_leads_back_to_the_step(runs):
    about = Lesson(steps=(Step(page="learn_tensors"), Step(page="learn_tensors")), also=("learn_saving",))
    at = in_lesson(runs, about, step="2")
    code = at.query_params["lesson"]
    at.switch_page("pages/learn_saving.py")
    at.query_params["lesson"], at.query_params["step"] = code, "2"
    assert title(whole(at.run())) == "Save and load"
    assert list(links(at)) == ["To this step", "Back", "Finish the lesson"]


# --- making one

def test_the_lessons_that_ship_can_be_started():
    assert {name for name in offers(maker())} == {"look-at-data", "build-a-network", "train-it", "test-drawings", "bend-a-line",
                                                  "roll-downhill"}


def test_a_code_that_is_typed_opens_its_lesson(runs):
    code = keep_lesson(Lesson(steps=(Step(page="learn_tensors"),)), runs, LOCAL)
    at = maker()
    at.text_input(key="lesson.typed").set_value("no such")
    at.button[0].click().run()
    assert "There is no lesson with this code here" in at.warning[0].value
    at.text_input(key="lesson.typed").set_value(code.lower())
    whole(at.button[0].click().run())
    assert title(at) == "Tensors"


def field(at: AppTest, kind: str, name: str):
    return next(one for one in at.get(kind) if (one.key or "").startswith("lesson.form.") and one.key.split(".", 3)[3] == name)


def test_a_lesson_is_made_in_the_form(runs):
    at = maker()
    field(at, "text_input", "title").set_value("For *my* class").run()
    field(at, "text_area", "0.text").set_value("First this.").run()
    field(at, "selectbox", "0.page").select("learn_tensors").run()
    at.button(key="lesson.form.Add a step").click().run()
    field(at, "selectbox", "1.page").select("train_model").run()
    field(at, "text_input", "1.view").set_value("http://x.example/train_model?run=abc&train.view=All+settings").run()
    field(at, "multiselect", "also").select("home").run()
    field(at, "multiselect", "fixed").select("training.seed").run()
    field(at, "number_input", "fixed.training.seed").set_value(3).run()
    field(at, "multiselect", "ranges").select(EPOCHS).run()
    field(at, "number_input", "ranges.training.epochs.0").set_value(2).run()
    field(at, "selectbox", "data").select("digits").run()
    whole(at.button(key="lesson.keep").click().run())
    [kept] = kept_lessons(runs)
    assert kept.lesson == Lesson(
        title="For *my* class", data="digits", also=("home",), fixed={"training.seed": 3}, ranges={EPOCHS: (2, 6)},
        steps=(Step(title="Look at the data", page="learn_tensors", text="First this."),
               Step(page="train_model", view={"train.view": "All settings"}),
               Step(title="Train", page="train_model", text="Press “Start training”. How many are right?")))
    assert any(kept.code in code.value for code in at.code), "its code can be read"
    assert any(code.value.endswith(f"/learn_tensors?lesson={kept.code}&step=1") for code in at.code), "and its link"


def test_steps_are_moved_and_removed_and_one_stays():
    at = maker()
    at.button(key="lesson.form.Later").click().run()
    assert [step["title"] for step in at.session_state[keys.LESSON_MADE]["steps"]] == ["Train", "Look at the data"]
    whole(at.button(key="lesson.form.Remove").click().run())
    assert [step["title"] for step in at.session_state[keys.LESSON_MADE]["steps"]] == ["Train"]
    assert at.button(key="lesson.form.Remove").disabled


def test_what_is_no_lesson_yet_is_said_and_not_kept():
    at = maker()
    field(at, "text_input", "title").set_value(" ").run()
    assert "Not a lesson yet." in at.warning[0].value and at.button(key="lesson.keep").disabled


def test_a_kept_lesson_is_copied_and_deleted(runs):
    keep_lesson(Lesson(title="<b>Mine</b>"), runs, LOCAL)
    at = maker()
    at.button(key="lesson.copy").click().run()
    assert field(at, "text_input", "title").value == "<b>Mine</b>"
    whole(at.button(key="lesson.delete_now").click().run())
    assert kept_lessons(runs) == []
    assert "lesson.start" not in {button.key for button in at.button}


def test_a_kept_lesson_is_corrected_and_who_is_in_it_follows(runs):
    code = keep_lesson(Lesson(title="7b", steps=(Step(page="train_model"),), fixed={"training.seed": 7}), runs, LOCAL)
    pupil = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    pupil.query_params["lesson"] = code
    whole(pupil.run())
    at = maker()
    at.button(key="lesson.change").click().run()
    assert f"Change the lesson {code}" in [one.value for one in at.header] and at.button(key="lesson.keep_change").disabled
    field(at, "text_area", "0.text").set_value("Look **here**.").run()
    field(at, "number_input", "fixed.training.seed").set_value(8).run()
    whole(at.button(key="lesson.keep_change").click().run())
    [kept] = kept_lessons(runs)
    assert (kept.code, kept.lesson.title, kept.lesson.fixed) == (code, "7b", {"training.seed": 8})
    whole(pupil.run())
    assert [one.value for one in pupil.toast] == ["This lesson has been changed: this is how it is now."]
    assert r"Look \*\*here\*\*." in said(pupil) and pupil.session_state[keys.DRAFT]["training"]["seed"] == 8
    pupil.button(key="train.start").click().run()
    store = RunStore(runs)
    assert not pupil.error and not pupil.toast and [run.lesson for run in store.lesson_runs(code)] == [code]
    store.change_lesson(code, Lesson(), kept.lesson)  # in another window
    store.close()
    field(at, "text_input", "title").set_value("8b").run()
    at.button(key="lesson.keep_change").click().run()
    assert "was changed in another window" in at.error[0].value
    whole(at.button(key="lesson.keep").click().run())
    assert {kept.lesson.title for kept in kept_lessons(runs)} == {Lesson().title, "8b"}
    at.button(key="lesson.another").click().run()
    assert at.session_state[keys.LESSON_MADE]["title"] == "My lesson"
    assert "lesson.keep_change" not in {one.key for one in at.button}


@pytest.mark.parametrize(("content", "line"), [
    (b"\xff\xfe", "This file is no lesson: this is not valid JSON"), (b"{}" + b" " * 70_000, "at most 64 kB"),
    (b'{"title": "[x](https://a.example)", "fixed": {"os.system": 1}}', "This file is no lesson: fixed")])
def test_a_file_that_is_no_lesson_is_one_line(content, line):
    at = maker()
    field(at, "file_uploader", "file").set_value(("lesson.json", content, "application/json")).run()
    whole(at)
    assert line in at.error[0].value.replace("\\", "")
    assert at.session_state[keys.LESSON_MADE]["title"] == "My lesson"


def test_a_lessons_file_is_brought_back():
    at = maker()
    about = Lesson(title="From elsewhere", steps=(Step(page="home", text="Draw."),))
    field(at, "file_uploader", "file").set_value(("lesson.json", about.model_dump_json().encode(), "application/json")).run()
    assert field(whole(at), "text_input", "title").value == "From elsewhere"


@pytest.mark.parametrize(("address", "view"), [
    ("", {}), ("http://a.example/explore_data", {}), ("explore.section=Batches", {"explore.section": "Batches"}),
    ("https://a.example/x?lesson=A&step=2&run=3&explore.section=Look+at", {"explore.section": "Look at"}),
    ("?a=1&&b", {"a": "1"}), ("http://[", {}), ("&".join(f"a{n}=1" for n in range(60)), {})])
def test_an_address_is_taken_without_its_run(address, view):
    assert view_of(address) == view
