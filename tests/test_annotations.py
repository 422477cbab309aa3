"""What people say of runs in the store, deleting with undo, and the results that the table reads."""

from math import nan

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.runs import LocalEngine, Metric, RunNotFound, RunStore, StoreError
from core.runs.annotations import MOST_NOTE, MOST_TAG, MOST_TAGS, MOST_TITLE, AnnotationError, Change
from core.training import Intervention, Look
from tests.helpers import tiny


def ended(store, title="", **changes):
    """The id of a run with something of all that is kept of one."""
    run = store.create_running(tiny(**changes), "ann", "here", title)
    store.record(run.id, [Metric("loss", 1, 2.0), Metric("validation_loss", 1, 1.5), Metric("validation_accuracy", 1, 0.5)],
                 looks=[Look("watch", 1, 0, 0.1, {})], interventions=[Intervention(1, 1, "learning_rate", 0.1, 0.2)], step=1)
    store.finish(run.id, "finished", test_accuracy=0.75, test_loss=0.5, seconds=3.0)
    store.folder(run.id).mkdir()
    (store.folder(run.id) / "checkpoint.safetensors").write_bytes(b"weights")
    return run.id


def kept(store):
    """All rows of all tables, and all files of runs."""
    with store._database.reading() as db:
        names = [row["name"] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
        rows = {name: sorted(map(repr, map(tuple, db.execute(f"SELECT * FROM {name}").fetchall()))) for name in names}
    return rows, {str(path): path.read_bytes() for path in store.path.glob("*/*")}


def said(store, run_id):
    run = store.get(run_id)
    return run.title, run.note, run.tags, run.starred, run.archived is not None


# --- names, notes, tags, stars, archive

def test_several_runs_are_annotated_at_once(store):
    first, second, other = (ended(store, title) for title in ("one", "two", "three"))
    before = store.annotate([first, second], Change(starred=True, archived=True, add_tags=("good", " good ", "my  tag", "")))
    assert before.keys() == {first, second}
    assert said(store, first) == ("one", "", ("good", "my tag"), True, True)
    assert said(store, other) == ("three", "", (), False, False)
    store.annotate([first], Change(title=" New\tname ", note="two\nlines ", remove_tags=("good", "none")))
    assert said(store, first) == ("New name", "two\nlines", ("my tag",), True, True)
    assert store.annotate([first, "0" * 32], Change(starred=True)) == {}, "nothing has changed"
    store.put_back(before)
    assert said(store, second) == ("two", "", (), False, False)
    assert said(store, first) == ("New name", "two\nlines", (), False, False), "what was said since stays"
    assert [run.id for run in store.runs()] == [other, second, first]
    store.annotate([second], Change(archived=True))
    assert [run.id for run in store.runs(archived=False)] == [other, first] and len(store.runs()) == 3


def test_one_change_is_taken_back_and_what_another_tab_has_said_since_stays(store):
    run_id = ended(store, "one")
    store.annotate([run_id], Change(note="mine", add_tags=("a", "b")))
    mine = store.annotate([run_id], Change(title="two", note="yours", starred=True, add_tags=("c", "d"), remove_tags=("a",)))
    store.annotate([run_id], Change(title="three", archived=True, add_tags=("e",), remove_tags=("d",)))
    store.put_back(mine)
    assert said(store, run_id) == ("three", "mine", ("b", "e", "a"), False, True)
    store.discard([run_id])
    store.put_back(mine)  # gone meanwhile
    store.restore([run_id])
    assert said(store, run_id) == ("three", "mine", ("b", "e", "a"), False, True)


@pytest.mark.parametrize(("change", "line"), [
    (Change(title="x" * (MOST_TITLE + 1)), "A name can have 200 signs; this one has 201."),
    (Change(note="x" * (MOST_NOTE + 1)), "A note can have 2,000 signs; this one has 2,001."),
    (Change(add_tags=("x" * (MOST_TAG + 1),)), "A tag can have 40 signs; this one has 41."),
    (Change(add_tags=tuple(map(str, range(MOST_TAGS + 1)))), "A run can have 20 tags; “one” would have 21.")], ids=str)
def test_what_is_too_long_changes_nothing(store, change, line):
    ids = [ended(store, "one"), ended(store, "two")]
    before = kept(store)
    with pytest.raises(AnnotationError) as caught:
        store.annotate(ids, change)
    assert str(caught.value) == line and kept(store) == before


@pytest.mark.parametrize(("text", "plain"), [
    ("a\r\nb\x00c", "a b c"), ("abc\u202etxt", "abc txt"), ("\ud800x", "x"), ("=1+1 <b>*x*</b>", "=1+1 <b>*x*</b>"),
    ("'; DROP TABLE runs; --", "'; DROP TABLE runs; --"), ("", "")])
def test_any_text_is_kept_as_plain_signs(store, text, plain):
    run_id = ended(store)
    store.annotate([run_id], Change(title=text, note=text, add_tags=(text,)))
    run = store.get(run_id)
    assert run.title == plain and run.tags == ((plain,) if plain else ()) and " ".join(run.note.split()) == plain


# --- deleting and bringing back

def test_a_deleted_run_comes_back_whole(store):
    one, other = ended(store, "one"), ended(store, "other", training__seed=9)
    before, listed = kept(store), store.entries()
    assert store.discard([one, one, "0" * 32]) == [one]
    with pytest.raises(RunNotFound):
        store.get(one)
    with pytest.raises(RunNotFound):
        store.requeue(one, tiny())
    assert [run.id for run in store.runs()] == [entry.id for entry in store.entries()] == [other]
    assert store.discarded() == {one: "one"} and store.discard([one]) == [] and store.annotate([one], Change(title="x")) == {}
    assert store.restore([one, other]) == [one]
    assert kept(store) == before and store.entries() == listed and store.discarded() == {} and store.restore([one]) == []


def test_a_run_that_goes_is_not_deleted(store):
    queued, going, done = store.create(tiny(), "ann"), store.create_running(tiny(), "ann", "here").id, ended(store)
    assert store.discard([queued, going, done]) == [done]
    assert {run.id for run in store.runs()} == {queued, going}


def test_deleted_runs_are_removed_for_good_when_their_time_has_come(store, settings, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("core.runs.store.time.time", lambda: now[0])
    first, second, stays = ended(store), ended(store), ended(store)
    store.discard([first])
    now[0] = 1060.0
    store.discard([second])
    assert list(store.discarded()) == [second, first]
    assert store.remove_discarded(older_than=60.0) == [first]
    assert list(store.discarded()) == [second] and store.restore([first]) == [] and not store.folder(first).exists()
    assert store.remove_discarded() == [second] and not store.folder(second).exists() and store.discarded() == {}
    with store._database.reading() as db:
        assert [tuple(row) for row in db.execute("SELECT DISTINCT run FROM metrics")] == [(store.get(stays).number,)]
    assert store.folder(stays).exists()
    monkeypatch.setattr("core.runs.engine.SECONDS_KEPT", 10.0)
    store.discard([stays])
    now[0] += 11.0
    with LocalEngine(store, settings.__class__(settings.data_dir, settings.runs_dir, settings.cache_dir, workers=0)):
        assert store.discarded() == {}, "at the app's start"


operations = st.lists(st.tuples(
    st.sampled_from(["discard", "say", "archive"]), st.sets(st.integers(0, 3), min_size=1),
    st.builds(Change, title=st.none() | st.text(max_size=5), note=st.none() | st.text(max_size=5),
              starred=st.none() | st.booleans(), add_tags=st.lists(st.sampled_from(["a", "b", "c"]), max_size=2).map(tuple),
              remove_tags=st.lists(st.sampled_from(["a", "b", "c"]), max_size=1).map(tuple))), max_size=6)


@hypothesis_settings(max_examples=25)  # all in one store, which is left as it was
@given(operations)
def test_everything_is_undone(store, things):
    """Whatever is done one after another: undone from the last to the first, the store is as it was after each."""
    ids = [run.id for run in store.runs()] or [ended(store, f"run {number}", training__seed=number) for number in range(4)]
    ids.sort()
    states, undo = [], []
    for what, which, change in things:
        states.append(kept(store))
        chosen = [ids[place] for place in which]
        if what == "discard":
            deleted = store.discard(chosen)
            undo.append(lambda deleted=deleted: store.restore(deleted))
        else:
            before = store.annotate(chosen, Change(archived=True) if what == "archive" else change)
            undo.append(lambda before=before: store.put_back(before))
    while undo:
        undo.pop()()
        assert kept(store) == states.pop()


# --- results of epochs

def results(store, run_id):
    run = store.get(run_id)
    return run.best_accuracy, run.best_loss, run.validation_loss


def epoch(store, run_id, step, accuracy, loss):
    store.record(run_id, [Metric("validation_accuracy", step, accuracy), Metric("validation_loss", step, loss)], step=step,
                 validation_accuracy=accuracy)


def test_the_best_and_the_last_epoch(store):
    run_id = store.create_running(tiny(), "ann", "here").id
    assert results(store, run_id) == (None, None, None)
    store.record(run_id, [Metric("loss", 1, 0.1)], step=1)
    assert results(store, run_id) == (None, None, None)
    epoch(store, run_id, 10, 0.5, 2.0)
    epoch(store, run_id, 20, 0.7, 1.0)
    assert results(store, run_id) == (0.7, 1.0, 1.0)
    # two epochs of one flush, the better one first, and one whose loss is no number
    store.record(run_id, [Metric("validation_accuracy", step, value) for step, value in ((30, 0.9), (40, 0.6))]
                 + [Metric("validation_loss", 30, 0.5), Metric("validation_loss", 40, nan)], validation_accuracy=0.6)
    assert results(store, run_id) == (0.9, 0.5, None)
    [found] = store.entries()
    assert [found.values[key] for key in ("best_accuracy", "accuracy", "best_loss", "loss")] == [0.9, 0.6, 0.5, None]
    store.forget_after(run_id, 20, 0)  # it goes on from there
    assert results(store, run_id) == (0.7, 1.0, 1.0)
    store.forget_after(run_id, 5, 0)
    assert results(store, run_id) == (None, None, None)


def test_a_run_that_predicts_a_number_has_losses_alone(store):
    run_id = store.create_running(tiny(), "ann", "here").id
    store.record(run_id, [Metric("validation_loss", 1, nan)], step=1)
    assert results(store, run_id) == (None, None, None)
    store.record(run_id, [Metric("validation_loss", 2, 4.0)], step=2)
    assert results(store, run_id) == (None, 4.0, 4.0)


# --- rows

def test_a_row_says_what_the_run_says(store):
    run_id = ended(store, "one", training__seed=5)
    store.annotate([run_id], Change(note="n", add_tags=("t",), starred=True, archived=True))
    [found], run = store.entries("ann"), store.get(run_id)
    assert (found.number, found.id, found.title, found.name) == (run.number, run_id, "one", "one")
    wanted = {"name": "one", "starred": True, "status": "finished", "network": "mlp", "data": "digits", "task": "classes",
              "test_accuracy": 0.75, "test_loss": 0.5, "seconds": 3.0, "note": "n", "tags": ("t",), "archived": True,
              "by_hand": 1, "mine": True, "date": run.created, "training.seed": 5, "training.optimizer.name": "adam",
              "model.hidden": "8"}
    assert {key: found.values[key] for key in wanted} == wanted
    assert not store.entries("bob")[0].values["mine"]
    store.requeue(run_id, tiny(training__epochs=7))  # it goes on for longer
    assert store.entries()[0].values["training.epochs"] == 7
    store.request_stop(run_id)
    store.create(tiny(), "ann", kind="range_test")
    assert len(store.entries()) == 1, "a range test is no result"


def test_a_run_of_another_version_is_listed_and_can_be_deleted(store):
    run_id = ended(store, "from elsewhere")
    with store._database.writing() as db:
        db.execute("""UPDATE runs SET version = '9.1.2', tags = 'no list', config = '{"model": {"architecture": "new"}}'""")
    with pytest.raises(StoreError):
        store.get(run_id)
    [found] = store.entries()
    assert (found.title, found.values["network"], found.values["tags"]) == ("from elsewhere", "new", ())
    assert store.discard([run_id]) == [run_id] and isinstance(store, RunStore)
    assert len(store.remove_discarded()) == 1 and store.entries() == []
