"""The wall of a lesson: what the store keeps for it, what is counted, and its two pictures."""

import sqlite3
import zipfile

import numpy as np
import pytest

from core.actors import LOCAL, Actor
from core.figures.wall import _path, best_of, curves, dots, result_of, shortened, spread_of
from core.lessons import LONGEST_NAME, Lesson, LessonError, delete_lesson, keep_lesson, told_apart, wall_name
from core.runs import LocalEngine, RunNotFound, RunStore
from core.runs.backup import back_up
from core.runs.records import Metric
from core.runs.wall import AT_ONCE, IN_ORDER, Doctor, counted, read_wall, settings_to_show
from core.settings import Settings
from core.training import Intervention, Started
from tests.helpers import tiny
from tests.hostile import HOSTILE

ANN, BEN, EVE, TEACHER = (*(Actor(letter * 32, "visitor") for letter in "abe"), Actor("c" * 32, "teacher"))
RATE = "training.optimizer.learning_rate"


@pytest.fixture
def code(store):
    return keep_lesson(Lesson(), store.path, TEACHER)


def pupil(store, actor, code):
    return store.as_actor(actor).in_lesson(code)


def trained(store, actor, code, accuracy, rate=0.01, status="finished", losses=(2.0, 1.0), seed=0):
    """The id of a run that has trained for two steps of an epoch each."""
    run_id = pupil(store, actor, code).create(
        tiny(training__optimizer__learning_rate=rate, training__epochs=2, training__seed=seed), actor.key)
    while store.claim("w").id != run_id:  # others wait before it
        pass
    store.begin(run_id, Started(1, 2, 1, "cpu", "float32"))
    metrics = [Metric(name, step, value) for step, loss in enumerate(losses, 1)
               for name, value in (("loss", loss), ("accuracy", accuracy * min(1, step / 2)), ("validation_accuracy", accuracy),
                                   ("validation_loss", loss))]
    store.record(run_id, metrics, step=2, epoch=2, validation_accuracy=accuracy)
    if status != "running":
        store.finish(run_id, status)
    return run_id


# --- which runs

def test_a_run_knows_the_lesson_it_was_started_in(store, code, tmp_path):
    ann = pupil(store, ANN, code.lower())
    ids = [ann.create(tiny(), ANN.key), *ann.create_group([(tiny(), "one"), (tiny(), "two")], ANN.key)]
    assert [store.get(run_id).lesson for run_id in ids] == [code] * 3
    assert [store.get(run_id).lesson for run_id in (
        store.create(tiny(), ANN.key), ann.create_running(tiny(), ANN.key, "w").id,
        store.in_lesson("'; DROP TABLE runs").create(tiny(), ANN.key), store.in_lesson("").create(tiny(), ANN.key))] == [""] * 4
    ann.create(tiny(), ANN.key, kind="range_test")
    assert [run.id for run in store.lesson_runs(code)] == ids[::-1]
    assert store.lesson_runs("") == store.lesson_runs("AAAAAA") == []
    settings = Settings(tmp_path / "data", store.path, tmp_path / "cache", workers=0)
    with LocalEngine(store, settings) as engine:
        made = engine.in_lesson(code).as_actor(BEN).submit(tiny(), BEN.key)
    assert store.get(made).lesson == code


def test_the_same_settings_are_another_run_in_a_lesson(store, code):
    ids = {view.create(tiny(), "ann", key="same") for view in (store, store.in_lesson(code), store, store.in_lesson(code))}
    assert sorted(store.get(run_id).lesson for run_id in ids) == ["", code]


def test_a_lesson_that_shares_leads_equal_settings_to_one_run(store, tmp_path):
    sharing = keep_lesson(Lesson(seeds="shared"), store.path, TEACHER)
    config = tiny(training__optimizer__learning_rate=0.01, training__epochs=2)
    failed = trained(store, ANN, sharing, 0.2, status="failed")
    assert pupil(store, BEN, sharing).shared_run(config) is None, "a run that failed is no result"
    done = trained(store, ANN, sharing, 0.9)
    waiting = pupil(store, ANN, sharing).create(config, ANN.key)
    assert pupil(store, BEN, sharing).shared_run(config) == done != failed
    store.discard([done])
    assert pupil(store, BEN, sharing).shared_run(config) == waiting
    assert store.claim("w").id == waiting
    store.begin(waiting, Started(1, 2, 1, "cpu", "float32"))
    store.record(waiting, [], interventions=[Intervention(1, 1, "learning_rate", 0.01, 0.5)], step=1)
    assert pupil(store, BEN, sharing).shared_run(config) is None, "it has not trained with these settings alone"
    assert pupil(store, BEN, sharing).shared_run(tiny(training__epochs=3)) is None
    with LocalEngine(store, Settings(tmp_path / "data", store.path, tmp_path / "cache", workers=0)) as engine:
        theirs = trained(store, ANN, sharing, 0.8, 0.02)
        mine = engine.as_actor(BEN).in_lesson(sharing)
        assert mine.shared_run(tiny(training__optimizer__learning_rate=0.02, training__epochs=2)) == theirs


def test_the_wall_says_who_shares_a_run(store):
    sharing = keep_lesson(Lesson(seeds="shared"), store.path, TEACHER)
    own = trained(store, BEN, sharing, 0.5, 0.02)  # Ben comes first, and has a run of his own
    run_id, teacher, late = trained(store, ANN, sharing, 0.9), store.as_actor(TEACHER), Actor("f" * 32, "visitor")
    for actor in (EVE, BEN, EVE, ANN, late):
        pupil(store, actor, sharing).share_run(run_id, actor.key)
    for code, stranger in ((sharing, "9" * 32), ("", run_id), ("AAAAAA", run_id)):
        pupil(store, Actor("d" * 32, "visitor"), code).share_run(stranger, "d" * 32)
    store.as_actor(EVE).keep_name(sharing, EVE.key, "Eve")
    assert teacher.sharers(sharing) == {run_id: sorted([BEN.key, EVE.key, late.key])} and teacher.sharers("") == {}

    def shown(names=True):
        wall = read_wall(teacher, sharing, Doctor(), names)
        return [person.called for person in wall.of_state("done")], [wall.called(run) for run in wall.runs]

    assert shown() == (["visitor 1", "visitor 2", "Eve", "visitor 4"], ["visitor 1", "visitor 2 + 3"])
    assert shown(False)[0] == ["visitor 1", "visitor 2", "visitor 3", "visitor 4"]
    people = {person.called: person.shares_with for person in read_wall(teacher, sharing, Doctor()).people}
    assert people == {"visitor 1": "", "visitor 2": "", "Eve": ANN.key, "visitor 4": ANN.key}
    again = trained(store, BEN, sharing, 0.6, 0.03, status="running")
    assert read_wall(teacher, sharing, Doctor()).of_state("training")[0].called == "visitor 1"
    store.finish(again, "stopped")
    store.as_actor(ANN).discard([run_id])
    assert teacher.sharers(sharing) == {} and shown() == (["visitor 1"], ["visitor 1", "visitor 1"])
    store.as_actor(ANN).restore([run_id])
    teacher.delete_lesson(sharing)
    assert teacher.sharers(sharing) == {} and store.get(own).lesson == sharing


def test_other_lessons_share_nothing(store, code):
    trained(store, ANN, code, 0.9)
    config = tiny(training__optimizer__learning_rate=0.01, training__epochs=2)
    assert pupil(store, BEN, code).shared_run(config) is None and store.shared_run(config) is None
    assert store.in_lesson("ABCDEF").shared_run(config) is None, "there is no such lesson"


def test_a_run_that_goes_on_elsewhere_stays_in_its_lesson(store, code):
    run_id = trained(store, ANN, code, 0.5)
    store.requeue(run_id, tiny(training__epochs=4))
    assert store.get(run_id).lesson == code


# --- names

@pytest.mark.parametrize(("typed", "name"), [
    ("Ann", "Ann"), ("  Ann \n the  2nd\r\n", "Ann the 2nd"), ("", ""), (" \n ", ""), ("\u202enna\x00", "nna"), ("\u200d", ""),
    ("Ann\u00a0Lee", "Ann Lee"), ("\u3164\u200d", ""), ("Youna", "Youna"), ("Teacher's pet", "Teacher's pet"),
    ("👩‍🔬🦊", "👩‍🔬🦊"), ("<script>", "<script>"), ("[x](http://a.example)"[:20], "[x](http://a.example"), ("x" * 20, "x" * 20)])
def test_a_name_is_one_short_line(typed, name):
    assert wall_name(typed) == name


@pytest.mark.parametrize("typed", ["x" * (LONGEST_NAME + 1), "x" * 10_000, "[x](http://a.example/b)"])
def test_a_name_that_is_too_long_is_refused(store, code, typed):
    with pytest.raises(LessonError, match="A name on the wall has 20 signs at most"):
        store.as_actor(ANN).keep_name(code, ANN.key, typed)
    assert store.wall_names(code) == {}


@pytest.mark.parametrize("typed", ["visitor 2", "VISITOR 12", "Visitor2", "visitor\u00a02", "vis\u200ditor 2", "ｖisitor ２",
                                   "pupil 3", "visitor", "you", " You ", "Teacher", "the teacher", "The server"])
def test_what_the_app_calls_people_is_nobody_s_name(store, code, typed):
    with pytest.raises(LessonError, match="The app itself calls people so"):
        store.as_actor(ANN).keep_name(code, ANN.key, typed)
    assert store.wall_names(code) == {}


def test_two_of_one_name_are_told_apart(store, code):
    for actor, name in ((ANN, "Ann"), (BEN, "ann"), (EVE, "Ann 2")):
        store.as_actor(actor).keep_name(code, actor.key, name)
    teacher = store.as_actor(TEACHER)
    assert [person.called for person in read_wall(teacher, code, Doctor()).people] == ["Ann", "ann 2", "Ann 2 2"]
    assert [person.called for person in read_wall(teacher, code, Doctor(), names=False).people] == [
        "visitor 1", "visitor 2", "visitor 3"]
    assert told_apart(["Ann", "Ann", "Ann", "visitor 2"], ["visitor 2"]) == ["Ann", "Ann 2", "Ann 3", "visitor 2 2"]


def test_a_name_is_changed_and_taken_back_by_its_owner(store, code):
    ann = store.as_actor(ANN)
    for typed, kept in (("Ann", "Ann"), ("Anna", "Anna"), ("", None), ("Ann", "Ann")):
        ann.keep_name(code, ANN.key, typed)
        found = ann.name_of(code, ANN.key)
        assert (found and found.name) == kept


def test_a_name_that_a_teacher_has_taken_away_stays_away_until_it_is_allowed_again(store, code):
    ann, teacher = store.as_actor(ANN), store.as_actor(TEACHER)
    ann.keep_name(code, ANN.key, "Rude")
    teacher.allow_name(code, ANN.key, False)
    for typed in ("Rude again", ""):
        with pytest.raises(LessonError, match="Your teacher has taken your name off the wall"):
            ann.keep_name(code, ANN.key, typed)
    assert not ann.name_of(code, ANN.key).allowed
    assert [person.called for person in read_wall(teacher, code, Doctor()).people] == ["visitor 1"]
    teacher.allow_name(code, ANN.key, True)
    ann.keep_name(code, ANN.key, "Ann")
    assert [person.called for person in read_wall(teacher, code, Doctor()).people] == ["Ann"]


@pytest.mark.parametrize("bad", ["", "AAAAAA", "train-it", "../../x", "'; --", "[x](http://a.example)", "K" * 5000, "abc"])
def test_nothing_is_kept_in_a_lesson_that_is_not_there(store, bad):
    for keep in (lambda: store.keep_name(bad, "ann", "Ann"), lambda: store.keep_prediction(bad, "ann", "lab.ask", 0)):
        with pytest.raises(LessonError, match="There is no lesson with this code here any more"):
            keep()
    assert store.wall_names(bad) == store.predictions(bad) == store.visitor_numbers(bad) == {}


# --- predictions

def test_predictions_are_counted_one_for_each_person_and_the_first_one_stays(store, code):
    for actor, question, choice in ((ANN, "lab.one", 0), (BEN, "lab.one", 2), (EVE, "lab.one", 2), (ANN, "lab.two", 1),
                                    (ANN, "lab.one", 2), (BEN, "lab.one", 1)):
        store.as_actor(actor).keep_prediction(code, actor.key, question, choice)
    assert store.predictions(code) == {"lab.two": {1: 1}, "lab.one": {0: 1, 2: 2}}
    assert list(store.predictions(code)) == ["lab.two", "lab.one"], "the last one that was answered comes first"


@pytest.mark.parametrize(("question", "choice"), [("lab.ask", -1), ("lab.ask", 20), ("Lab", 0), ("", 0), ("x" * 100, 0),
                                                  ("<b>", 0), ("lab.ask\n", 0)])
def test_what_can_be_no_answer_is_refused(store, code, question, choice):
    with pytest.raises(ValueError, match="no answer"):
        store.keep_prediction(code, "ann", question, choice)
    assert store.predictions(code) == {}


# --- the end of a lesson

def test_a_deleted_lesson_takes_names_and_predictions_along_and_leaves_runs(store, code):
    other = keep_lesson(Lesson(), store.path, TEACHER)
    for one in (code, other):
        store.as_actor(ANN).keep_name(one, ANN.key, "Ann")
        store.as_actor(ANN).keep_prediction(one, ANN.key, "lab.ask", 0)
    run_id = trained(store, ANN, code, 0.5)
    store.as_actor(TEACHER).delete_lesson(code)
    assert store.wall_names(code) == store.predictions(code) == {}
    assert store.wall_names(other) and store.predictions(other)
    assert store.get(run_id).lesson == code and [run.id for run in store.lesson_runs(code)] == [run_id]
    with pytest.raises(LessonError):
        store.as_actor(ANN).keep_name(code, ANN.key, "Ann")


def test_a_lesson_that_can_not_be_deleted_keeps_all(store, code, monkeypatch):
    store.as_actor(ANN).keep_name(code, ANN.key, "Ann")

    def refused(*given):
        raise LessonError("The runs folder can't be written to.")

    monkeypatch.setattr("core.runs.store_lessons.delete_lesson", refused)
    with pytest.raises(LessonError):
        store.delete_lesson(code)
    assert store.wall_names(code)[ANN.key].name == "Ann"


def test_a_backup_has_names_and_predictions(store, code, tmp_path):
    store.as_actor(ANN).keep_name(code, ANN.key, "Ann")
    store.as_actor(BEN).keep_prediction(code, BEN.key, "lab.ask", 1)
    trained(store, ANN, code, 0.5)
    back_up(store.path, tmp_path / "backup.zip")
    with zipfile.ZipFile(tmp_path / "backup.zip") as archive:
        archive.extractall(tmp_path / "again")
    again = RunStore(tmp_path / "again")
    assert (again.wall_names(code), again.predictions(code)) == (store.wall_names(code), store.predictions(code))
    assert [run.lesson for run in again.lesson_runs(code)] == [code]
    again.close()


# --- what is on it

def test_everybody_has_a_name_or_a_number_and_a_state(store, code):
    trained(store, ANN, code, 0.5)
    trained(store, BEN, code, 0.75)
    trained(store, BEN, code, 0.25, status="running")
    waits = pupil(store, EVE, code).create(tiny(), EVE.key)
    pupil(store, ANN, "AAAAAA").create(tiny(), ANN.key)  # in another lesson
    late, own = Actor("f" * 32, "visitor"), pupil(store, TEACHER, code).create(tiny(), TEACHER.key)
    store.as_actor(BEN).keep_name(code, BEN.key, "Ben")
    store.as_actor(late).keep_name(code, late.key, "Late")
    teacher = store.as_actor(TEACHER)

    def shown(names=True):
        return [(person.called, person.state) for person in read_wall(teacher, code, Doctor(), names).people]

    assert shown() == [("visitor 1", "done"), ("Ben", "training"), ("visitor 3", "waiting"), ("you", "waiting"), ("Late", "here")]
    assert shown(False) == [("visitor 1", "done"), ("visitor 2", "training"), ("visitor 3", "waiting"), ("you", "waiting"),
                            ("visitor 5", "here")]
    store.request_stop(waits)
    store.delete(waits)
    assert ("visitor 3", "waiting") not in shown() and own in [run.id for run in read_wall(teacher, code, Doctor()).runs]
    assert ANN.key not in repr(read_wall(teacher, code, Doctor()).people)


def test_where_one_person_uses_the_server_browsers_are_counted(store, code):
    for owner in ("x", "y", "x"):
        store.in_lesson(code).create(tiny(), owner)
    assert [person.called for person in read_wall(store, code, Doctor()).people] == ["visitor 1", "visitor 2"]


def test_findings_are_counted_by_run_and_what_is_called_the_same_counts_once():
    found = {"a": ("overfitting",), "b": ("few_steps", "stopped_too_soon"), "c": (), "d": ("overfitting", "odd")}
    words = {"overfitting": "overfitting", "few_steps": "cut off", "stopped_too_soon": "cut off"}
    assert counted(found, words, "learns little") == [("overfitting", 2), ("cut off", 1), ("learns little", 1)]


def test_the_doctor_looks_at_a_few_runs_each_time_and_again_as_they_go_on(store, code, monkeypatch):
    looked = []
    monkeypatch.setattr("core.runs.wall.examine", lambda config, series, steps, over: looked.append(series["loss"][0][-1]) or [])
    ids = [trained(store, ANN, code, 0.5, status="running") for _ in range(AT_ONCE + 2)]
    doctor, runs = Doctor(), store.lesson_runs(code)
    assert len(doctor.look(store, runs)) == AT_ONCE and len(doctor.look(store, runs)) == len(ids)
    assert len(looked) == len(ids)
    doctor.look(store, runs)
    assert len(looked) == len(ids), "none has gone on"
    store.record(ids[0], [Metric("loss", 7, 1.0)], step=7)
    doctor.look(store, store.lesson_runs(code))
    assert looked[len(ids):] == [7]
    assert doctor.look(store, []) == {}


def test_the_doctor_finds_what_is_wrong_in_the_runs_of_a_class(store, code):
    blown = trained(store, ANN, code, 0.1, losses=[2.3] * 30 + [50.0] * 120)
    fine = trained(store, BEN, code, 0.9, losses=[2.3 * 0.95 ** step for step in range(100)])
    found = read_wall(store, code, Doctor()).found
    assert "diverged" in found[blown] and "diverged" not in found[fine]


def test_a_run_whose_data_set_is_gone_is_looked_at(store, code):
    run_id = pupil(store, ANN, code).create(tiny(data__dataset="own:0123456789ab", data__validation=1), ANN.key)
    store.claim("w")
    store.record(run_id, [Metric("loss", step, 2.0) for step in range(1, 400)], step=399)
    assert run_id in read_wall(store, code, Doctor()).found


def test_a_run_that_goes_while_the_wall_is_read_is_left_out(store, code):
    ids = [trained(store, actor, code, 0.5) for actor in (ANN, BEN)]
    wall = read_wall(store, code, Doctor())
    store.delete(ids[0])
    assert [line["run"] for line in curves(store, wall)["lines"]] == [store.get(ids[1]).number]
    with pytest.raises(RunNotFound):
        store.get(ids[0])
    assert len(dots(wall, IN_ORDER)["dots"]) == 2 and len(read_wall(store, code, Doctor()).runs) == 1


# --- pictures

def test_settings_that_differ_can_be_shown_and_those_that_the_lesson_leaves_free_come_first(store, code):
    for number, rate in enumerate((0.1, 0.01, 0.001)):
        config = tiny(training__optimizer__learning_rate=rate, training__seed=number, training__batch_size=16 * (1 + number))
        pupil(store, ANN, code).create(config, ANN.key)
    runs = store.lesson_runs(code)
    assert list(settings_to_show(runs, Lesson())) == [RATE, "training.batch_size", IN_ORDER, "training.seed"]
    assert list(settings_to_show(runs, Lesson(ranges={"training.batch_size": (16, 64)})))[0] == "training.batch_size"
    assert settings_to_show(runs, Lesson())[RATE] == "learning rate"
    assert list(settings_to_show(runs[:1], Lesson())) == [IN_ORDER]


@pytest.mark.parametrize("path", [IN_ORDER, "training.seed"])
def test_what_only_counts_stands_at_even_distances(store, code, path):
    for seed in range(1, 31):  # of a rate, 30 times as large would be a logarithmic axis
        trained(store, ANN, code, 0.9, seed=seed)
    across = sorted(dot["x"] for dot in dots(read_wall(store, code, Doctor()), path)["dots"])
    assert np.allclose(np.diff(across), (across[-1] - across[0]) / 29, atol=1e-3)


def test_a_dot_for_each_run_at_its_setting_and_best_accuracy(store, code):
    """0.001 to 0.1 is logarithmic: 0.01 in the middle. From 40 % to 100 %: 70 % is halfway up."""
    for actor, rate, accuracy in ((ANN, 0.001, 0.52), (BEN, 0.01, 0.7), (EVE, 0.1, 1.0)):
        trained(store, actor, code, accuracy, rate)
    pupil(store, ANN, code).create(tiny(), ANN.key)  # has no result yet
    wall = read_wall(store, code, Doctor())
    picture = dots(wall, RATE)
    assert [(dot["run"], dot["x"], dot["y"], dot["best"]) for dot in picture["dots"]] == [
        (1, 0.05, 0.2, False), (2, 0.5, 0.5, False), (3, 0.95, 1.0, True)]
    assert picture["x"] == [(0.05, "0.001"), (0.5, "0.01"), (0.95, "0.1")]
    assert [(round(place, 3), text) for place, text in picture["y"]] == [
        (0.0, "40 %"), (0.333, "60 %"), (0.667, "80 %"), (1.0, "100 %")]
    assert result_of(best_of(wall.runs)) == "100.0 %" and result_of(best_of(wall.runs[:1])) == "52.0 %"


def test_dots_of_equal_settings_stand_beside_each_other_and_names_do_not_overlap(store, code):
    for actor in (ANN, BEN, EVE):
        store.as_actor(actor).keep_name(code, actor.key, actor.key[0])
        trained(store, actor, code, 0.5)
    picture = dots(read_wall(store, code, Doctor()), RATE)["dots"]
    assert [dot["x"] for dot in picture] == [0.5, 0.492, 0.508]
    assert [(dot["name"], dot.get("side")) for dot in picture] == [("", None), ("b", "left"), ("e", "right")]


@pytest.mark.parametrize(("name", "most", "shown"), [
    ("Maximilian", 10, "Maximilian"), ("Maximilian S.", 9, "Maximi…S."), ("Maria von Eck", 9, "Maria…ck"), ("", 9, ""),
    ("👩👩👩👩👩👩👩👩👩👩", 9, "👩👩👩👩👩👩…👩👩")])
def test_a_name_is_shortened_in_its_middle(name, most, shown):
    assert shortened(name, most) == shown


def test_a_name_is_whole_where_there_is_room(store, code):
    rates = (0.1, 0.001, 0.002, 0.003, 0.004, 0.006)  # alone at the right end, and close to each other
    for number, rate in enumerate(rates):
        actor = Actor(f"{number:032x}", "visitor")
        store.as_actor(actor).keep_name(code, actor.key, f"A name of letters {number}")
        trained(store, actor, code, 0.5, rate)
    shown = [dot["name"] for dot in dots(read_wall(store, code, Doctor()), RATE)["dots"]]
    assert shown == ["A name of letters 0", "", "", "", "", "A name o…rs 5"]


def test_how_far_runs_of_other_seeds_lie_apart(store, code):
    assert spread_of([]) is None

    def made(seed, accuracy, rate=0.01, status="finished"):
        config = tiny(training__optimizer__learning_rate=rate, training__seed=seed)
        run_id = pupil(store, ANN, code).create(config, ANN.key)
        store.claim("w")
        store.begin(run_id, Started(1, 1, 1, "cpu", "float32"))
        store.record(run_id, [Metric("validation_accuracy", 1, accuracy)], step=1, epoch=1, validation_accuracy=accuracy)
        if status != "running":
            store.finish(run_id, status)

    made(0, 0.5)
    made(0, 0.5)  # the same again: chance has no part in it
    assert spread_of(store.lesson_runs(code)) is None
    for seed, accuracy in ((1, 0.90125), (2, 0.875), (3, 0.95)):
        made(seed, accuracy, 0.1)
    made(4, 0.1, 0.1, "running")
    made(5, 0.2, 0.1, "failed")
    assert spread_of(store.lesson_runs(code)) == (3, "87.5–95.0 %")


def test_settings_that_are_words_have_a_place_each(store, code):
    for name, actor in (("sgd", ANN), ("adam", BEN)):
        run_id = pupil(store, actor, code).create(tiny(training__optimizer__name=name), actor.key)
        store.claim("w")
        store.record(run_id, [Metric("validation_accuracy", 1, 0.5)], step=1, epoch=1)
    wall = read_wall(store, code, Doctor())
    picture = dots(wall, "training.optimizer.name")
    assert picture["x"] == [(0.25, "adam"), (0.75, "sgd")] and [dot["x"] for dot in picture["dots"]] == [0.75, 0.25]
    assert len(dots(wall, "training.optimizer.momentum")["dots"]) == 2  # which only one of them has
    assert len(dots(wall, "no.such.setting")["dots"]) == 2


def test_runs_that_predict_numbers_are_shown_by_their_losses(store, code):
    run_id = pupil(store, ANN, code).create(tiny(), ANN.key)
    store.claim("w")
    store.begin(run_id, Started(1, 2, 1, "cpu", "float32"))
    store.record(run_id, [Metric("loss", 1, 4.0), Metric("loss", 2, 1.0), Metric("validation_loss", 2, 1.5)], step=2, epoch=2)
    wall = read_wall(store, code, Doctor())
    picture = dots(wall, IN_ORDER)
    assert [(dot["x"], dot["y"]) for dot in picture["dots"]] == [(0.5, 0.75)]
    assert picture["y"] == [(0.0, "0"), (0.25, "0.5"), (0.5, "1"), (0.75, "1.5"), (1.0, "2")]
    assert result_of(best_of(wall.runs)) == "1.5"
    [line] = curves(store, wall)["lines"]
    assert line["path"] == "M500 200L1000 800", "of 5, the next round number above 4, it goes from 4 to 1"


def test_a_curve_is_a_path_with_gaps():
    x, y = np.array([0.0, 0.25, 0.5, 0.75, 1.0]), np.array([0.0, 1.0, np.nan, 0.5, 2.0])
    assert _path(x, y) == "M0 1000L250 0M750 500L1000 0"
    assert _path(np.empty(0), np.empty(0)) == ""
    assert _path(x[:2], np.array([np.nan, 0.5])) == "M250 500"


def test_a_wall_of_nothing(store, code):
    wall = read_wall(store, code, Doctor())
    assert (wall.runs, wall.people, wall.found, wall.predictions) == ((), (), {}, {})
    assert dots(wall, IN_ORDER)["dots"] == [] == curves(store, wall)["lines"] and best_of(wall.runs) is None


@pytest.mark.parametrize("path", HOSTILE)
def test_a_setting_that_there_is_not_is_no_trouble(store, code, path):
    trained(store, ANN, code, 0.5)
    assert len(dots(read_wall(store, code, Doctor()), path)["dots"]) == 1


def test_a_deleted_lesson_by_hand_leaves_what_was_kept(store, code):
    """Its file is gone: whoever deletes it then deletes the rest."""
    store.as_actor(ANN).keep_name(code, ANN.key, "Ann")
    delete_lesson(code, store.path, LOCAL)
    store.as_actor(BEN).delete_lesson(code)
    with sqlite3.connect(store.path / "runs.sqlite3") as db:
        assert db.execute("SELECT count(*) FROM wall_names").fetchone() == (0,)
    db.close()
