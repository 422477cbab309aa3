"""Whose is whose on a server that many use: every method of store and engine, called as somebody else."""

import inspect
import sqlite3

import numpy as np
import pytest

from core.actors import EVERYBODY, LOCAL, NOT_YOUR_DATA, NOT_YOURS, ONLY_THE_SERVER, ONLY_THE_TEACHER, Actor
from core.config import RunConfig
from core.data import available
from core.data.dataset import NotYourData
from core.data.own.sets import OwnSet, delete_set, own_sets, read_set, save_set
from core.data.sources.text_files import delete_own, import_csv, own_texts, texts_owner
from core.evaluation.other_data import others
from core.lessons import Lesson, LessonError, find_lesson, keep_lesson
from core.runs import LocalEngine, NotYours, RunNotFound, RunStore
from core.runs.annotations import Annotations, Change, Replaced
from core.runs.deleting import delete_run, remove_discarded
from core.runs.made_with import keep_made_with
from core.runs.moments import thin
from core.runs.records import Metric, Snapshot
from core.runs.space import space_of
from core.runs.store_queue import MADE_ROOM
from core.runs.sweep_records import TrialOf
from core.settings import Settings
from core.training import Intervention, Started, WeightEdit

ANN, BEN, TEACHER = Actor("a" * 32, "visitor"), Actor("b" * 32, "visitor"), Actor("c" * 32, "teacher")
CONFIG = RunConfig().with_values({"data.dataset": "circle", "data.validation": 10, "model": {"architecture": "mlp"}})
TEXTS = ("text,label\n" + "".join(f"text {n},{'positive' if n % 2 else 'negative'}\n" for n in range(40))).encode()
IMAGES = np.zeros((4, 1, 8, 8), np.uint8), np.array([0, 0, 1, 1]), np.array([False, False, False, True])

ANNS_SWEEP: dict[object, str] = {}  # the id of her search, by the store's folder

# What each method is, by its name: a new one has to be put into one of these, or the first test fails.
BY_ID = {  # reads one run that a link names, whoever's it is
    "RunStore": {"get", "these", "queue_position", "command", "interventions", "metrics", "metric_names", "points", "snapshots",
                 "looks", "look_times", "seconds_watched", "watched", "folder", "names", "others_wait", "is_held",
                 "seconds_to_wait", "read_only", "is_full", "as_actor", "whose", "in_lesson",
                 "sweep", "trials", "trial_of", "holds_test",  # of a search that a link names
                 "shared_run",  # the lesson's link leads to it
                 "note_test_look"},  # counts that somebody has looked: who looks needs no right to change
    "LocalEngine": {"status", "as_actor", "wake", "in_lesson", "shared_run", "capacity", "trouble", "is_resting"},
}
LISTS = {"RunStore": {"runs", "of_configs", "looks_at_test_images", "entries", "like", "group", "discarded", "sets_of_discarded",
                      "changed_by_hand", "sweeps"}, "LocalEngine": set[str]()}
CALLS = {  # changes a run that has an owner: how it is called, for the run of somebody else
    "RunStore": {
        "create": lambda store, run: store.create(CONFIG, ANN.key),
        "create_group": lambda store, run: store.create_group([(CONFIG, "")], ANN.key),
        "create_running": lambda store, run: store.create_running(CONFIG, ANN.key, "worker"),
        "delete": lambda store, run: store.delete(run),
        "annotate": lambda store, run: store.annotate([run], Change(title="Mine", starred=True, archived=True)),
        "put_back": lambda store, run: store.put_back({run: Replaced(Annotations(), Annotations("Mine"))}),
        "discard": lambda store, run: store.discard([run]),
        "restore": lambda store, run: store.restore([run]),
        "begin": lambda store, run: store.begin(run, Started(1, 1, 1, "cpu", "float32")),
        "record": lambda store, run: store.record(run, [Metric("loss", 1, 9.0)], step=1),
        "finish": lambda store, run: store.finish(run, "failed", "Mine."),
        "request_stop": lambda store, run: store.request_stop(run),
        "set_pause": lambda store, run: store.set_pause(run, True),
        "request_step": lambda store, run: store.request_step(run),
        "set_learning_rate": lambda store, run: store.set_learning_rate(run, 0.5),
        "request_edit": lambda store, run: store.request_edit(run, WeightEdit(1, "fc1", 0, 0, 1.0)),
        "set_pace": lambda store, run: store.set_pace(run, 1.0),
        "requeue": lambda store, run: store.requeue(run, CONFIG),
        "check_change": lambda store, run: store.check_change(run),
        "create_trial": lambda store, run: store.create_trial(CONFIG, ANN.key, TrialOf(ANNS_SWEEP[store.path], 9, 0, {})),
        "create_sweep": lambda store, run: store.create_sweep("{}", ANN.key),
        "change_sweep": lambda store, run: store.change_sweep(ANNS_SWEEP[store.path], status="stopped"),
        "note_trial": lambda store, run: store.note_trial(run, "failed"),
        "note_retry": lambda store, run: store.note_retry(run, 9),
        "let_test": lambda store, run: store.let_test(run),
    },
    "LocalEngine": {
        "submit": lambda engine, run: engine.submit(CONFIG, ANN.key),
        "submit_seeds": lambda engine, run: engine.submit_seeds(CONFIG, ANN.key, 2),
        "submit_trial": lambda engine, run: engine.submit_trial(CONFIG, ANN.key, TrialOf(ANNS_SWEEP[engine.store.path], 9, 0,
                                                                                         {})),
        "find_rate": lambda engine, run: engine.find_rate(CONFIG, ANN.key),
        "resume": lambda engine, run: engine.resume(run, 1),
        "pause": lambda engine, run: engine.pause(run),
        "step": lambda engine, run: engine.step(run),
        "set_learning_rate": lambda engine, run: engine.set_learning_rate(run, 0.5),
        "set_weight": lambda engine, run: engine.set_weight(run, "fc1", 0, 0, 1.0),
        "set_pace": lambda engine, run: engine.set_pace(run, 1.0),
        "cancel": lambda engine, run: engine.cancel(run),
    },
}
TEACHER_S = {  # changes or reads what is of all
    "RunStore": {"move_to_front": lambda store, run, code: store.move_to_front(run),
                 "lesson_runs": lambda store, run, code: store.lesson_runs(code),
                 "wall_names": lambda store, run, code: store.wall_names(code),
                 "allow_name": lambda store, run, code: store.allow_name(code, ANN.key, False),
                 "predictions": lambda store, run, code: store.predictions(code),
                 "visitor_numbers": lambda store, run, code: store.visitor_numbers(code),
                 "sharers": lambda store, run, code: store.sharers(code)},
    "LocalEngine": {"move_to_front": lambda engine, run, code: engine.move_to_front(run)},
}
IN_LESSON = {  # keeps, reads, changes or deletes something of one's own in a lesson: how it is called for what is Ann's
    "RunStore": {"keep_name": lambda store, code: store.keep_name(code, ANN.key, "Ben"),
                 "name_of": lambda store, code: store.name_of(code, ANN.key),
                 "keep_prediction": lambda store, code: store.keep_prediction(code, ANN.key, "lab.ask", 0),
                 "share_run": lambda store, code: store.share_run("0" * 32, ANN.key),
                 "delete_lesson": lambda store, code: store.delete_lesson(code),
                 "change_lesson": lambda store, code: store.change_lesson(code, Lesson(title="Ben's"), Lesson())},
    "LocalEngine": {},
}
OWN_ALONE = {"RunStore": {"remove_discarded", "held_back"}, "LocalEngine": set[str]()}  # of all that is one's own
SERVER = {
    "RunStore": {
        "close": lambda store: store.close(), "keep_spare": lambda store: store.keep_spare(),
        "write_again": lambda store: store.write_again(),
        "connection": lambda store: store.connection().__enter__(), "claim": lambda store: store.claim("worker"),
        "count_waiting": lambda store: store.count_waiting(["cpu"]),
        "heartbeat": lambda store: store.heartbeat("worker"), "make_room": lambda store: store.make_room({}),
        "keep_snapshot": lambda store: store.keep_snapshot("0" * 32, Snapshot("sink", 0, {})),
        "forget_after": lambda store: store.forget_after("0" * 32, 0, 0),
        "end_runs_of": lambda store: store.end_runs_of("worker", "failed", ""), "going": lambda store: store.going(),
        "end_abandoned": lambda store: store.end_abandoned({}),
        "stop_over_limit": lambda store: store.stop_over_limit("0" * 32, ""),
        "take_sweep": lambda store: store.take_sweep(ANNS_SWEEP[store.path], "d", 0.0),
        "drive_sweep": lambda store: store.drive_sweep(ANNS_SWEEP[store.path], "", 1.0, "x"),
        "leave_sweep": lambda store: store.leave_sweep(ANNS_SWEEP[store.path], ""),
        "end_sweep": lambda store: store.end_sweep(ANNS_SWEEP[store.path], "failed", "x"),
    },
    "LocalEngine": {"close": lambda engine: engine.close(), "worker_pids": lambda engine: engine.worker_pids},
}


@pytest.fixture
def engine(store, tmp_path):
    with LocalEngine(store, Settings(tmp_path / "data", store.path, tmp_path / "cache", workers=0)) as engine:
        yield engine


def everything(store):
    """All rows of all tables and all files but SQLite's own."""
    with sqlite3.connect(store.path / "runs.sqlite3") as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        rows = {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    files = {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file() and "sqlite3" not in path.name}
    return rows, files


def in_each_state(store):
    """Ann's runs, by what they are just now: one waits, one trains, one waits paused, one has ended, one is deleted."""
    made = {name: store.create(CONFIG, ANN.key, f"Ann's, {name}") for name in ("going", "ended", "deleted")}
    for name in made:
        assert store.claim(f"worker {name}").id == made[name]
        store.begin(made[name], Started(10, 10, 5, "cpu", "float32"))
        by_hand = [Intervention(1, 1, "learning_rate", 0.1, 0.2)]
        store.record(made[name], [Metric("loss", 1, 0.5)], interventions=by_hand if name == "going" else [], step=1)
        if name != "going":
            store.finish(made[name], "finished", test_accuracy=0.5, test_loss=1.0)
    store.request_edit(made["going"], WeightEdit(1, "fc1", 0, 0, 0.25))
    store.discard([made["deleted"]])
    made["waiting"], made["paused"] = store.create(CONFIG, ANN.key, "Ann's"), store.create(CONFIG, ANN.key, "Ann's", paused=True)
    store.create_group([(CONFIG, "Ann's one"), (CONFIG, "Ann's two")], ANN.key)
    ANNS_SWEEP[store.path] = store.as_actor(ANN).create_sweep("{}", ANN.key)
    made["trial"] = store.create_trial(CONFIG, ANN.key, TrialOf(ANNS_SWEEP[store.path], 0, 0, {"x": 1}))
    return made


@pytest.mark.parametrize("kind", [RunStore, LocalEngine])
def test_every_method_has_its_rule(kind):
    known = [set(group[kind.__name__]) for group in (BY_ID, LISTS, CALLS, OWN_ALONE, TEACHER_S, IN_LESSON, SERVER)]
    assert set().union(*known) == {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}
    assert sum(map(len, known)) == len(set().union(*known)), "one has two rules"


@pytest.mark.parametrize("kind", ["RunStore", "LocalEngine"])
def test_nobody_changes_what_is_another_s(store, engine, kind):
    made = in_each_state(store)
    ben = (store if kind == "RunStore" else engine).as_actor(BEN)
    before = everything(store)
    for name, call in CALLS[kind].items():
        for state, run_id in made.items():
            with pytest.raises(NotYours if state != "deleted" else (NotYours, RunNotFound)) as refused:
                call(ben, run_id)
            assert isinstance(refused.value, RunNotFound) or str(refused.value) == NOT_YOURS, (name, state)
            assert everything(store) == before, (name, state)


@pytest.mark.parametrize("actor", [BEN, TEACHER], ids=lambda actor: actor.kind)
@pytest.mark.parametrize("kind", ["RunStore", "LocalEngine"])
def test_what_only_the_server_does(store, engine, kind, actor):
    in_each_state(store)
    view = (store if kind == "RunStore" else engine).as_actor(actor)
    before = everything(store)
    for name, call in SERVER[kind].items():
        with pytest.raises(NotYours, match=ONLY_THE_SERVER):
            call(view)
        assert everything(store) == before, name
    with pytest.raises(NotYours):
        view.as_actor(LOCAL)


def test_no_list_shows_what_is_another_s(store):
    made, ben = in_each_state(store), store.as_actor(BEN)
    group_id = next(run.group_id for run in store.runs() if run.group_id)
    asked = {
        "runs": lambda view: view.runs(-1), "of_configs": lambda view: view.of_configs([CONFIG]),
        "looks_at_test_images": lambda view: view.looks_at_test_images(),
        "entries": lambda view: view.entries(BEN.key),
        "like": lambda view: view.like(made["going"]), "group": lambda view: view.group(group_id),
        "discarded": lambda view: view.discarded(), "sets_of_discarded": lambda view: view.sets_of_discarded(),
        "changed_by_hand": lambda view: view.changed_by_hand(), "sweeps": lambda view: view.sweeps()}
    assert set(asked) == LISTS["RunStore"]
    nothing = {name: ask(ben) for name, ask in asked.items()}
    assert all(found in ([], {}, set(), [[]]) for found in nothing.values()), nothing
    assert space_of(ben).runs == ()
    assert not [name for name, ask in asked.items() if ask(store) in ([], {}, set(), [[]])], "that would test nothing"
    for view in (store.as_actor(ANN), store.as_actor(TEACHER)):
        assert {name: ask(view) for name, ask in asked.items() if name != "entries"} == {
            name: ask(store) for name, ask in asked.items() if name != "entries"}
    mine = ben.create(CONFIG, BEN.key, "Ben's")
    assert [run.id for run in ben.runs()] == [mine] == [entry.id for entry in ben.entries(BEN.key)]
    assert {run.owner for run in store.as_actor(TEACHER).runs(-1)} == {ANN.key, BEN.key}


def test_a_link_opens_a_run_to_look_at(store):
    made, ben = in_each_state(store), store.as_actor(BEN)
    assert ben.get(made["going"]) == store.get(made["going"])
    assert ben.these([made["ended"]]) == store.these([made["ended"]])
    assert ben.metrics(made["ended"]).series == {"loss": ([1], [0.5])}
    with pytest.raises(RunNotFound):
        ben.get(made["deleted"])


def test_one_s_own_can_be_changed_and_a_teacher_changes_all(store, engine):
    made = in_each_state(store)
    for actor, title in ((ANN, "By Ann"), (TEACHER, "By the teacher")):
        view = store.as_actor(actor)
        view.annotate([made["ended"]], Change(title=title))
        assert store.get(made["ended"]).title == title
    engine.as_actor(TEACHER).set_pace(made["waiting"], 2.0)
    assert store.get(made["waiting"]).pace == 2.0
    with pytest.raises(NotYours):  # also a teacher's run is made in the teacher's name
        store.as_actor(TEACHER).create(CONFIG, ANN.key)


def anns_lesson(store):
    """One that Ann has made, in which she has a name and has predicted something."""
    code = keep_lesson(Lesson(), store.path, ANN)
    ann = store.as_actor(ANN)
    ann.keep_name(code, ANN.key, "Ann")
    ann.keep_prediction(code, ANN.key, "lab.ask", 1)
    return code


@pytest.mark.parametrize("kind", ["RunStore", "LocalEngine"])
def test_what_only_the_teacher_does(store, engine, kind):
    made, code = in_each_state(store), anns_lesson(store)
    before, view = everything(store), store if kind == "RunStore" else engine
    for actor in (ANN, BEN):
        for name, call in TEACHER_S[kind].items():
            with pytest.raises(NotYours, match=ONLY_THE_TEACHER):
                call(view.as_actor(actor), made["waiting"], code)
            assert everything(store) == before, name
    for call in TEACHER_S[kind].values():
        call(view.as_actor(TEACHER), made["waiting"], code)
        call(view, made["waiting"], code)
    assert everything(store) != before


def test_nobody_has_a_say_in_another_s_name_predictions_and_lesson(store):
    in_each_state(store)
    code = anns_lesson(store)
    before, ben = everything(store), store.as_actor(BEN)
    for name, call in IN_LESSON["RunStore"].items():
        with pytest.raises((NotYours, LessonError)) as refused:
            call(ben, code)
        assert str(refused.value) in (NOT_YOURS, *(f"This lesson was made by somebody else, who alone can {what} it."
                                                   for what in ("delete", "change"))), name
        assert everything(store) == before, name
    for call in list(IN_LESSON["RunStore"].values())[:3]:
        with pytest.raises(NotYours):  # not even a teacher: they take a name away
            call(store.as_actor(TEACHER), code)
    assert store.as_actor(ANN).name_of(code, ANN.key).name == "Ann"
    for actor, title in ((ANN, "Better"), (TEACHER, "Best")):
        store.as_actor(actor).change_lesson(code, Lesson(title=title), find_lesson(code, store.path))
        assert find_lesson(code, store.path).title == title and everything(store)[0] == before[0]
    store.as_actor(TEACHER).delete_lesson(code)
    rows, files = everything(store)
    assert rows["wall_names"] == rows["predictions"] == [] and not [path for path in files if path.parent.name == "lessons"]


def test_some_of_several_being_another_s_changes_none(store):
    made, ben = in_each_state(store), store.as_actor(BEN)
    mine = ben.create_running(CONFIG, BEN.key, "w").id
    ben.finish(mine, "finished")
    before = everything(store)
    for change in (lambda: ben.annotate([mine, made["ended"]], Change(starred=True)), lambda: ben.discard([mine, made["ended"]]),
                   lambda: ben.restore([mine, made["deleted"]])):
        with pytest.raises(NotYours):
            change()
    assert everything(store) == before


def test_emptying_the_bin_empties_one_s_own(store, tmp_path):
    made, ben = in_each_state(store), store.as_actor(BEN)
    assert remove_discarded(ben, tmp_path) == [] and list(store.discarded()) == [made["deleted"]]
    assert remove_discarded(store.as_actor(ANN), tmp_path) == [made["deleted"]] and not store.discarded()


def test_files_of_a_run_are_its_owner_s_to_change(store, tmp_path):
    made, ben = in_each_state(store), store.as_actor(BEN)
    before = everything(store)
    for change in (lambda: thin(ben, made["ended"], 2), lambda: keep_made_with(ben, made["ended"], {}),
                   lambda: delete_run(ben, made["ended"], tmp_path)):
        with pytest.raises(NotYours):
            change()
    assert everything(store) == before


@pytest.mark.parametrize(("state", "actor", "said"), [
    ("waiting", LOCAL, "Stopped before it started."), ("waiting", ANN, "Stopped before it started by its owner."),
    ("waiting", TEACHER, "Stopped before it started by the teacher."), ("going", LOCAL, "Stopped."),
    ("going", ANN, "Stopped by its owner."), ("going", TEACHER, "Stopped by the teacher.")])
def test_a_run_says_who_stopped_it(store, state, actor, said):
    run_id = in_each_state(store)[state]
    view = store if actor is LOCAL else store.as_actor(actor)
    view.request_stop(run_id)
    store.request_stop(run_id)  # whoever asks after that has not stopped it
    store.finish(run_id, "stopped", "Stopped.")
    run = store.get(run_id)
    assert (run.status, run.message) == ("stopped", said)
    assert not any(actor.key in run.message for actor in (ANN, BEN, TEACHER))


def test_a_run_that_ended_by_itself_was_stopped_by_nobody(store):
    run_id = in_each_state(store)["going"]
    store.as_actor(ANN).request_stop(run_id)
    store.finish(run_id, "finished", "")
    assert store.get(run_id).message == ""


def test_a_pause_that_made_room_says_so_where_its_owner_stops_it_too(store):
    run_id = in_each_state(store)["going"]
    store.set_pause(run_id, True)
    store.make_room({run.id: run.paused for run in store.going()})
    store.as_actor(ANN).request_stop(run_id)
    store.finish(run_id, "stopped", "Stopped.")
    assert store.get(run_id).message == MADE_ROOM


# --- data

def test_own_sets_are_their_owner_s(tmp_path):
    sets = {actor.kind + actor.key[:1]: save_set(tmp_path, "Cats", ["cat", "dog"], *IMAGES, actor=actor)
            for actor in (ANN, BEN, TEACHER)}
    ann, ben, teacher = sets.values()
    assert ann.owner == ANN.key and teacher.owner == EVERYBODY
    assert {own.title for own in (ann, ben)} == {"Cats"}, "a number would say that somebody else has one of that name"
    assert [own.name for own in own_sets(tmp_path, BEN)] == [teacher.name, ben.name]
    assert len(own_sets(tmp_path, TEACHER)) == len(own_sets(tmp_path)) == 3
    assert ann.name not in available(tmp_path, BEN) and ann.name in available(tmp_path, ANN)
    assert ann.name not in others(CONFIG.data, ("cat", "dog"), (1, 8, 8), tmp_path, BEN)
    for name in (ann.name, teacher.name):
        with pytest.raises(NotYourData, match=NOT_YOUR_DATA):
            delete_set(tmp_path, name, BEN)
    delete_set(tmp_path, ben.name, BEN)
    delete_set(tmp_path, ann.name, TEACHER)
    assert [own.name for own in own_sets(tmp_path)] == [teacher.name]


def test_nobody_trains_on_another_s_data(engine, store, tmp_path):
    root = tmp_path / "data"
    shown = save_set(root, "Cats", ["cat", "dog"], *IMAGES, actor=ANN)
    taught = save_set(root, "Taught", ["cat", "dog"], *IMAGES, hidden=True, actor=ANN)
    words = import_csv(TEXTS, root, ANN)
    base = {"model": {"architecture": "mlp"}}
    configs = [RunConfig().with_values({"data.dataset": shown.name, "data.validation": 1, **base}),
               RunConfig().with_values({"data.join": (taught.name,), **base}),
               RunConfig().with_values({"data.dataset": "own_texts", "data.text_file": words.name, "data.validation": 4})]
    for config in configs:
        before, ben = everything(store), engine.as_actor(BEN)
        for ask, more in ((ben.submit, ()), (ben.submit_seeds, (2,)), (ben.find_rate, ())):
            with pytest.raises(NotYours, match=NOT_YOUR_DATA):
                ask(config, BEN.key, *more)
        assert everything(store) == before
        assert store.get(engine.as_actor(ANN).submit(config, ANN.key)).owner == ANN.key
        assert store.get(engine.as_actor(TEACHER).submit(config, TEACHER.key)).owner == TEACHER.key


def test_one_s_run_on_another_s_data_can_not_go_on(engine, store, tmp_path):
    """A bundle that names it may have been brought here."""
    own = save_set(tmp_path / "data", "Cats", ["cat", "dog"], *IMAGES, actor=ANN)
    config = RunConfig().with_values({"data.dataset": own.name, "data.validation": 1, "model": {"architecture": "mlp"}})
    run = store.as_actor(BEN).create_running(config, BEN.key, "w")
    store.finish(run.id, "finished")
    with pytest.raises(NotYours, match=NOT_YOUR_DATA):
        engine.as_actor(BEN).resume(run.id)
    delete_run(store.as_actor(BEN), run.id, tmp_path / "data")
    assert read_set(tmp_path / "data", own.name)


def test_drawings_that_one_taught_do_not_go_with_another_s_run(engine, store, tmp_path):
    taught = save_set(tmp_path / "data", "Taught", ["cat", "dog"], *IMAGES, hidden=True, actor=ANN)
    config = RunConfig().with_values({"data.join": (taught.name,)})
    run = store.as_actor(BEN).create_running(config, BEN.key, "w")
    store.finish(run.id, "finished")
    delete_run(store.as_actor(BEN), run.id, tmp_path / "data")
    assert read_set(tmp_path / "data", taught.name).hidden


def test_texts_are_their_owner_s(tmp_path):
    ann, ben, all_of_us = (import_csv(TEXTS, tmp_path, actor).name for actor in (ANN, BEN, LOCAL))
    assert len({ann, ben, all_of_us}) == 3, "the same texts, and not to be guessed from them"
    assert set(own_texts(tmp_path, BEN)) == {ben, all_of_us} and set(own_texts(tmp_path)) == {ann, ben, all_of_us}
    for name in (ann, all_of_us):
        with pytest.raises(NotYourData):
            delete_own(tmp_path, name, BEN)
    delete_own(tmp_path, ben, BEN)
    delete_own(tmp_path, "0" * 16, BEN)  # there is none
    assert set(own_texts(tmp_path)) == {ann, all_of_us} and texts_owner(tmp_path, ben) == EVERYBODY
    assert texts_owner(tmp_path, "../../secret") == EVERYBODY


def test_whose_texts_are_that_can_not_be_read(tmp_path):
    name = import_csv(TEXTS, tmp_path, ANN).name
    (tmp_path / "texts" / f"{name}.owner").write_bytes(b"\xff\xfe")
    assert own_texts(tmp_path, BEN) == [] == own_texts(tmp_path, ANN)


def test_a_set_from_before_there_were_owners_is_everybody_s(tmp_path):
    own = save_set(tmp_path, "Cats", ["cat", "dog"], *IMAGES)
    meta = tmp_path / "imported" / own.id / "meta.json"
    meta.write_text(meta.read_text(encoding="utf-8").replace(',\n "owner": ""', ""), encoding="utf-8")
    assert "owner" not in meta.read_text(encoding="utf-8")
    assert [one.owner for one in own_sets(tmp_path, BEN)] == [EVERYBODY]


def test_no_key_is_shown():
    assert ANN.key not in repr(ANN)
    own = OwnSet("0" * 12, "Cats", ("cat",), (1, 8, 8), (1, 1), "", "", owner=ANN.key)
    assert ANN.key not in repr(own)


def test_a_teacher_is_told_whose_runs_are_and_nobody_else(store):
    made = {actor.key: store.as_actor(actor).create(CONFIG, actor.key) for actor in (BEN, ANN, TEACHER)}
    made[""] = store.create_running(CONFIG, "", "command line").id
    teacher, wanted = store.as_actor(TEACHER), {BEN.key: "visitor 1", ANN.key: "visitor 2", TEACHER.key: "you", "": "the server"}

    def told(view):
        names = {entry.id: entry.values["whose"] for entry in view.entries()}
        assert names == {run.id: view.whose(run) for run in view.runs()}
        return names

    assert told(teacher) == {made[key]: name for key, name in wanted.items()}
    teacher.request_stop(made[BEN.key])
    teacher.delete(made[BEN.key])
    again = store.as_actor(BEN).create(CONFIG, BEN.key)
    assert told(teacher) == {made[ANN.key]: "visitor 2", again: "visitor 1", made[TEACHER.key]: "you", made[""]: "the server"}
    for view in (store, store.as_actor(ANN)):
        assert set(told(view).values()) == {""} == {view.whose(store.get(made[TEACHER.key]))}


def test_what_a_teacher_has_deleted_only_a_teacher_brings_back(store):
    run_id, ann, teacher = in_each_state(store)["ended"], store.as_actor(ANN), store.as_actor(TEACHER)
    own = set(ann.discarded())
    teacher.discard([run_id])
    assert ann.held_back() == {run_id} and teacher.held_back() == set() == store.as_actor(BEN).held_back()
    with pytest.raises(NotYours, match="only a teacher can bring it back"):
        ann.restore([run_id, *own])
    assert set(ann.discarded()) == {run_id, *own}, "all of them or none"
    assert teacher.restore([run_id]) == [run_id] and ann.restore(own) == list(own)
    assert ann.discard([run_id]) == [run_id] and ann.held_back() == set() and ann.restore([run_id]) == [run_id]
