"""core/lessons: what a lesson can be, what it makes of settings, and lessons that are kept."""

import json
import os
import string
import zipfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from core.actors import LOCAL, Actor
from core.config import RunConfig
from core.fields import ConfigError
from core.lessons import (
    PAGES,
    SECTIONS,
    Kept,
    Lesson,
    LessonError,
    Step,
    as_code,
    change_lesson,
    delete_lesson,
    find_lesson,
    keep_lesson,
    kept_lessons,
    may_change,
    read_kept,
    read_lesson,
    settings_of,
    shipped_lessons,
    value_of,
)
from core.lessons.class_lesson import CLASS_LESSON
from core.presets import PRESETS
from core.runs.backup import back_up
from tests.hostile import HOSTILE

MLP = "mnist-mlp-50"
RATE, EPOCHS = "training.optimizer.learning_rate", "training.epochs"
LIMITED = Lesson(title="Limited", preset=MLP, fixed={RATE: 0.01, "model.hidden": (8, 4)}, ranges={EPOCHS: (1, 5)})

words = some.text(max_size=60) | some.sampled_from(HOSTILE)
steps = some.builds(Step, title=words, page=some.sampled_from(PAGES), text=words, preset=some.sampled_from(["", *PRESETS]),
                    view=some.dictionaries(some.sampled_from(["explore.section", "plane.speed"]), words, max_size=2))
lessons = some.builds(
    Lesson, title=words.filter(lambda text: any(c in string.ascii_letters for c in text)), summary=words,
    steps=some.lists(steps, min_size=1, max_size=4), also=some.lists(some.sampled_from(PAGES), max_size=3),
    sections=some.dictionaries(some.just("train_model"), some.lists(some.sampled_from(SECTIONS["train_model"]), max_size=3)),
    preset=some.sampled_from(list(PRESETS)), fixed=some.dictionaries(some.just("training.seed"), some.integers(0, 9)),
    ranges=some.dictionaries(some.just(EPOCHS), some.tuples(some.integers(1, 500), some.integers(500, 1000))))


# --- what it can be

@given(lessons)
def test_a_lesson_is_the_same_after_it_was_written_and_read(lesson):
    assert read_lesson(lesson.model_dump_json()) == lesson


@given(some.text(max_size=300) | some.binary(max_size=300) | some.recursive(
    some.none() | some.booleans() | some.floats() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(
        some.sampled_from([*Lesson.model_fields, *Step.model_fields, RATE, "home"]), inner, max_size=4),
    max_leaves=12).map(json.dumps))
def test_anything_else_is_refused_in_one_line(text):
    try:
        read_lesson(text)
    except ConfigError as error:
        assert str(error).strip() and "\n" not in str(error) and len(str(error)) <= 500


@pytest.mark.parametrize(("text", "line"), [
    ('{"titel": "x"}', "titel: there is no such field"),
    ("[" * 100_000, "A lesson's file is at most 64 kB large"),
    ('{"steps": []}', "steps is []"),
    ('{"steps": [{"page": "passwords"}]}', "steps.0.page is 'passwords'"),
    ('{"title": "   "}', "title is '   '"),
    ('{"title": "\u200d \u200d"}', "nobody would see it"),
    ('{"fixed": {"training.batch_size": true}}', "training.batch_size is neither on nor off"),
    ('{"preset": "MLP", "fixed": {"model.hidden": [true, 20]}}'.replace("MLP", MLP), "model.hidden is neither on nor off"),
    ('{"steps": [{"view": {"run": "x"}}]}', "steps.0.view: run is the app's own"),
    ('{"preset": "none"}', "There is no preset 'none'"),
    ('{"data": "none"}', "There is no data set 'none'"),
    ('{"data": "class"}', "data: what the class draws is drawn on the page collect_digits, which this lesson does not show"),
    ('{"data": "class", "preset": "circle-2d", "also": ["collect_digits"]}', "is of another kind"),
    ('{"data": "circle"}', "Digits (scikit-learn), which a preset starts from, is of another kind"),
    ('{"fixed": {"training.epochs": 100000}}', "training.epochs is 100000; it must be from 1 to 1000 epochs"),
    ('{"fixed": {"training.speed": 1}}', "training.speed: none of its presets has such a setting"),
    ('{"fixed": {"__class__": 1}}', "fixed.__class__ is '__class__'"),
    ('{"fixed": {"data.dataset": "mnist"}}', "the data set of a lesson is its data"),
    ('{"ranges": {"training.epochs": [5, 1]}}', "the least value comes first"),
    ('{"ranges": {"training.epochs": [0, 5]}}', "training.epochs is 0; it must be from 1"),
    ('{"ranges": {"training.epochs": [1.5, 5]}}', "a whole number"),
    ('{"ranges": {"training.epochs": [1, Infinity]}}', "must be"),
    ('{"ranges": {"data.task": [1, 2]}}', "data.task is no number"),
    ('{"fixed": {"training.epochs": 2}, "ranges": {"training.epochs": [1, 2]}}', "training.epochs is fixed"),
    ('{"sections": {"home": ["x"]}}', "home is always shown whole"),
    ('{"sections": {"train_model": ["Passwords"]}}', "train_model has no part 'Passwords'; choose from Start from, Network"),
    ('{"sections": {"learn_tensors": []}}', "learn_tensors needs one part at least"),
])
def test_what_is_wrong_is_named(text, line):
    with pytest.raises(ConfigError) as error:
        read_lesson(text)
    assert line in str(error.value).replace("inf; input should be a finite number", "must be")


def test_signs_that_nobody_sees_are_left_out():
    lesson = Lesson(title="a\u202eb\x00 \n c\u00a0d", steps=(Step(text="one\r\ntwo\u200b\u3000three"),))
    assert lesson.title == "ab c d" and lesson.steps[0].text == "one\ntwo three"


# --- what it makes of settings

def test_settings_become_what_the_lesson_allows():
    config = LIMITED.start_at(1)
    assert (config.training.optimizer.learning_rate, config.model.hidden, config.training.epochs) == (0.01, (8, 4), 5)
    assert LIMITED.problem(config) == ""
    assert config.data == PRESETS[MLP].config.data


@pytest.mark.parametrize(("path", "value", "line"), [
    (RATE, 0.1, "Learning rate is 0.1; in this lesson it stays 0.01."),
    ("model.hidden", [8], "in this lesson it stays 8, 4."),
    (EPOCHS, 6, "Epochs is 6; in this lesson it can be from 1 to 5.")])
def test_settings_that_are_not_the_lessons_are_refused(path, value, line):
    with pytest.raises(ConfigError) as error:
        LIMITED.check(LIMITED.start_at(1).with_values({path: value}))
    assert line in str(error.value)
    LIMITED.check(LIMITED.applied(LIMITED.start_at(1).with_values({path: value})))


@given(some.integers(1, 1000), some.sampled_from(list(PRESETS)))
def test_whatever_is_brought_fits_afterwards(epochs, name):
    config = PRESETS[name].config.with_values({EPOCHS: epochs})
    assert LIMITED.problem(LIMITED.applied(config)) == ""
    assert LIMITED.applied(LIMITED.applied(config)) == LIMITED.applied(config)


def test_a_data_set_takes_the_place_of_the_presets():
    lesson = Lesson(preset=MLP, data="digits")
    assert lesson.start_at(1).data.dataset == "digits" and lesson.problem(PRESETS[MLP].config)


def test_what_the_class_draws_takes_the_place_of_the_presets_where_it_is_known():
    lesson = read_lesson('{"data": "class", "preset": "mnist-mlp-50", "also": ["collect_digits"]}')
    assert lesson.start_at(1) == PRESETS[MLP].config, "a page names the set, see pages.parts.shell.lesson"
    assert read_lesson(CLASS_LESSON.model_dump_json()) == CLASS_LESSON and CLASS_LESSON.steps[0].page == "collect_digits"


def test_a_step_may_bring_another_preset_which_holds_for_those_after_it():
    lesson = Lesson(preset=MLP, steps=(Step(), Step(preset="digits-quick"), Step()))
    assert [lesson.preset_at(number) for number in (1, 2, 3)] == [MLP, "digits-quick", "digits-quick"]


def test_each_pupil_has_a_seed_of_their_own_that_stays():
    pupils = [f"{number:032x}" for number in range(40)]
    seeds = [Lesson().start_at(1, pupil).training.seed for pupil in pupils]
    assert seeds == [Lesson().start_at(1, pupil).training.seed for pupil in pupils]
    assert len(set(seeds)) >= 38 and min(seeds) >= 1 and max(seeds) <= 9999
    chosen = RunConfig().with_values({"training.seed": 7})
    assert Lesson().applied(chosen, pupils[0]) == chosen, "a seed that somebody has chosen stays"
    assert Lesson(seeds="same").start_at(1, pupils[0]).training.seed == 0 == Lesson().start_at(1).training.seed
    assert Lesson(seeds="shared").start_at(1, pupils[0]).training.seed == 0
    assert Lesson(fixed={"training.seed": 3}).start_at(1, pupils[0]).training.seed == 3
    few = {Lesson(ranges={"training.seed": (5, 7)}).start_at(1, pupil).training.seed for pupil in pupils}
    assert few == {5, 6, 7}


def test_what_is_shown():
    lesson = Lesson(steps=(Step(page="train_model"),), also=("home",), sections={"train_model": ("Network",)})
    assert lesson.pages == ("home", "train_model")
    assert lesson.shown("train_model", ["Microscope", "Network"]) == ["Network"]
    assert lesson.shown("build_model", ["Code"]) == ["Code"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_setting_has_its_value_and_its_words(name):
    config: RunConfig = PRESETS[name].config
    for path, about in settings_of(config).items():
        assert value_of(config, path) is not None and about.label and about.help, path
    assert "training.epochs" in settings_of(config) and "data.dataset" not in settings_of(config)


# --- lessons that are there

def test_a_lesson_is_kept_and_found_by_its_code_however_it_is_typed(tmp_path):
    code = keep_lesson(LIMITED, tmp_path, Actor("somebody", "visitor"))
    assert find_lesson(f" {code[:3].lower()}-{code[3:]} ", tmp_path) == LIMITED
    [kept] = kept_lessons(tmp_path)
    assert (kept.code, kept.lesson, kept.owner) == (code, LIMITED, "somebody")
    assert not set(code) & set("01OIL")
    with pytest.raises(LessonError, match="made by somebody else"):
        delete_lesson(code, tmp_path, Actor("another", "visitor"))
    assert not may_change(kept, Actor("another", "visitor")) and may_change(kept, LOCAL)
    delete_lesson(code, tmp_path, Actor("somebody", "visitor"))
    assert kept_lessons(tmp_path) == []
    with pytest.raises(LessonError, match="There is no lesson with this code here"):
        find_lesson(code, tmp_path)


def test_a_lesson_is_corrected_under_its_code_by_its_maker_and_teachers(tmp_path):
    ann, teacher = Actor("ann", "visitor"), Actor("t", "teacher")
    code = keep_lesson(LIMITED, tmp_path, ann)
    better, best = (LIMITED.model_copy(update={"title": title}) for title in ("Better", "Best"))
    change_lesson(code, better, tmp_path, ann, LIMITED)
    change_lesson(code, best, tmp_path, teacher, better)
    [kept] = kept_lessons(tmp_path)
    assert (kept.code, kept.lesson, kept.owner) == (code, best, "ann"), "a teacher who corrects it does not take it"
    with pytest.raises(LessonError, match="made by somebody else, who alone can change it"):
        change_lesson(code, LIMITED, tmp_path, Actor("bob", "visitor"), best)
    with pytest.raises(LessonError, match="changed in another window"):
        change_lesson(code, LIMITED, tmp_path, ann, better)
    change_lesson(code, best, tmp_path, ann, better)  # the same was written there: nothing is lost
    long = LIMITED.model_copy(update={"steps": (Step(text="ü" * 1500),) * 20, "summary": "x" * 70_000})
    with pytest.raises(LessonError, match="too long"):
        change_lesson(code, long, tmp_path, ann, best)
    assert find_lesson(code, tmp_path) == best


@pytest.mark.parametrize(("code", "line"), [("../../x", "This is no code"), ("K7M2XQ", "has been deleted"),
                                           ("", "This is no code")])
def test_a_lesson_that_is_not_there_is_not_corrected(tmp_path, code, line):
    with pytest.raises(LessonError, match=line):
        change_lesson(code, LIMITED, tmp_path, LOCAL, LIMITED)
    assert kept_lessons(tmp_path) == [] == list(tmp_path.glob("lessons/*"))


def test_settings_follow_a_corrected_lesson():
    pupil = "a" * 32
    mine = Lesson().start_at(1, pupil)
    for seeds in ("same", "shared"):
        assert Lesson(seeds=seeds).applied_anew(mine, pupil).training.seed == 0, "one for all now"
    assert Lesson().applied_anew(mine, pupil) == mine
    chosen = mine.with_values({"training.seed": 3})
    assert Lesson(seeds="same", fixed={EPOCHS: 2}).applied_anew(chosen, pupil) == chosen.with_values({EPOCHS: 2})


def test_one_visitor_does_not_take_the_places_of_all(tmp_path, monkeypatch):
    monkeypatch.setattr("core.lessons.kept.MOST_OWN", 2)
    ann, bob = Actor("ann", "visitor"), Actor("bob", "visitor")
    for actor in (ann, ann, bob, LOCAL, LOCAL, LOCAL, Actor("t", "teacher"), Actor("t", "teacher"), Actor("t", "teacher")):
        keep_lesson(LIMITED, tmp_path, actor)
    with pytest.raises(LessonError, match="You have made 2 lessons"):
        keep_lesson(LIMITED, tmp_path, ann)
    keep_lesson(LIMITED, tmp_path, bob)


def test_a_list_of_lessons_reads_a_file_again_only_when_it_has_changed(tmp_path):
    code, read = keep_lesson(LIMITED, tmp_path, LOCAL), []

    @cache
    def remembering(path: Path, changed: int) -> Kept:
        read.append(path.stem)
        return read_kept(path, changed)

    assert kept_lessons(tmp_path, remembering) == kept_lessons(tmp_path, remembering) == kept_lessons(tmp_path)
    path = tmp_path / "lessons" / f"{code}.json"
    path.write_text(path.read_text(encoding="utf-8").replace(LIMITED.title, "Another"), encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert kept_lessons(tmp_path, remembering)[0].lesson.title == "Another" and read == [code, code]


@pytest.mark.parametrize("typed", ["", "../../etc/passwd", "K7M2X", "K7M2XQ7", "0OIL11", "..", "train-it.json", "/", "\x00",
                                   "Ü" * 6])
def test_what_is_no_code_finds_nothing(tmp_path, typed):
    assert "/" not in as_code(typed) and "." not in as_code(typed)
    with pytest.raises(LessonError, match="There is no lesson with this code here"):
        find_lesson(typed, tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"owner": 3, "lesson": {}}', "[" * 50_000, "{" * 1000])
def test_a_damaged_file_is_one_line_and_stands_in_nobodys_way(tmp_path, content):
    code = keep_lesson(LIMITED, tmp_path, LOCAL)
    (tmp_path / "lessons" / f"{code}.json").write_text(content, encoding="utf-8")
    other = keep_lesson(LIMITED, tmp_path, LOCAL)
    assert [kept.code for kept in kept_lessons(tmp_path)] == [other]
    with pytest.raises(LessonError, match=f"The lesson {code} can't be read") as error:
        find_lesson(code, tmp_path)
    assert "\n" not in str(error.value)
    with pytest.raises(LessonError, match=f"The lesson {code} can't be read. What is in the form can be kept as a new one."):
        change_lesson(code, LIMITED, tmp_path, LOCAL, LIMITED)
    delete_lesson(code, tmp_path, LOCAL)


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path):
    (tmp_path / "lessons").write_text("a file", encoding="utf-8")
    with pytest.raises(LessonError, match="can't be written to") as error:
        keep_lesson(LIMITED, tmp_path, LOCAL)
    assert "\n" not in str(error.value)


def test_a_backup_takes_them_along(tmp_path, store):
    code = keep_lesson(LIMITED, store.path, Actor("somebody", "visitor"))
    back_up(store.path, tmp_path / "runs.zip")
    with zipfile.ZipFile(tmp_path / "runs.zip") as archive:
        archive.extractall(tmp_path / "again")
    assert find_lesson(code, tmp_path / "again") == LIMITED


def test_the_six_that_ship_are_whole():
    shipped = shipped_lessons()
    assert len(shipped) == 6
    for name, lesson in shipped.items():
        assert as_code(name) == name
        assert lesson.summary and all(step.title and step.text for step in lesson.steps), name
        for number in range(1, len(lesson.steps) + 1):
            lesson.check(lesson.start_at(number))
            assert lesson.start_at(number).data.dataset in {"digits", "circle", "linear"}, "they need no download"


# --- what a lesson may move on a page

def test_an_address_moves_what_is_looked_at_and_nothing_else():
    hostile = {"session.owner": "Join", "session.actor": "x", "tensors.topic": "Join", "explore.section": "Join",
               "train.view": "Join"}
    about = Lesson(steps=(Step(page="learn_tensors", view=hostile), Step(page="learn_tensors", view={"tensors.topic": "NumPy"})),
                   sections={"learn_tensors": ("Join",)})
    assert about.picked_at(1) == {"tensors.topic": "Join"}
    assert about.picked_at(2) == {}, "a part that is hidden is not there to be chosen"


@pytest.mark.parametrize("fixed", [
    {"training.optimizer.learning_rate": 0.5, "training.optimizer.name": "sgd"},
    {"training.optimizer.name": "sgd", "training.optimizer.momentum": 0.5},
    {"training.optimizer.momentum": 0.5, "training.optimizer.nesterov": True, "training.optimizer.name": "sgd"}])
def test_kinds_are_fixed_before_what_is_theirs(fixed):
    about = Lesson(fixed=fixed)
    assert about.problem(about.start_at(1)) == ""
    assert {path: value_of(about.start_at(1), path) for path in fixed} == fixed
