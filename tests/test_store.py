"""RunStore: what it keeps, who gets it, and one line for everything that can go wrong."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from math import isnan, nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.runs import ACTIVE, Metric, RunNotFound, RunStore, Snapshot, StoreError
from core.runs.database import MIGRATIONS
from core.training import Started
from core.version import VERSION
from tests.helpers import tiny

ANY_ID = "0123456789abcdef" * 2
OLD_SCHEMAS = Path(__file__).parent / "old_schemas"


def one_line(error):
    text = str(error.value)
    assert text.strip() and len(text.splitlines()) == 1
    return text


def running(store, **changes):
    """A claimed run's id."""
    store.create(tiny(**changes), "ann")
    return store.claim("worker 1").id


# --- a run's life

def test_from_the_queue_to_the_end(store):
    config = tiny(training__seed=5)
    before = time.time()
    run_id = store.create(config, "ann", title="A run")
    run = store.get(run_id)
    assert (run.id, run.owner, run.title, run.config, run.status, run.message) == (run_id, "ann", "A run", config, "queued", "")
    assert before <= run.created <= time.time()
    assert (run.started, run.finished, run.worker, run.test_accuracy, run.step, run.progress) == (None, None, None, None, 0, 0.0)
    assert run.is_active and run.seconds_left(time.time()) is None

    claimed = store.claim("worker 1")
    assert (claimed.id, claimed.status, claimed.worker) == (run_id, "running", "worker 1")
    assert claimed.is_active and claimed.started >= run.created
    assert store.claim("worker 2") is None

    store.begin(run_id, Started(steps_per_epoch=10, steps=20, parameters=7, device="cpu", precision="float32"))
    assert store.record(run_id, [Metric("loss", 1, 2.5)], step=5, epoch=1, validation_accuracy=0.5)
    run = store.get(run_id)
    assert (run.steps_per_epoch, run.steps, run.parameters, run.device, run.precision) == (10, 20, 7, "cpu", "float32")
    assert (run.step, run.epoch, run.validation_accuracy, run.progress) == (5, 1, 0.5, 0.25)
    assert run.seconds_left(run.started + 10) == pytest.approx(30)  # 5 steps took 10 s, so 15 take 30 s

    store.finish(run_id, "finished", "", test_accuracy=0.75, test_loss=0.5, seconds=3.0)
    run = store.get(run_id)
    assert (run.status, run.test_accuracy, run.test_loss, run.seconds) == ("finished", 0.75, 0.5, 3.0)
    assert not run.is_active and run.finished >= run.started and run.seconds_left(time.time()) is None


def test_what_has_ended_stays_as_it_ended(store):
    run_id = running(store)
    store.finish(run_id, "failed", "No.")
    store.finish(run_id, "finished", "Yes.", test_accuracy=1.0)
    store.request_stop(run_id)
    assert not store.record(run_id, [Metric("loss", 1, 1.0)], step=9)
    assert store.end_runs_of("worker 1", "interrupted", "Gone.") == []
    run = store.get(run_id)
    assert (run.status, run.message, run.test_accuracy, run.step, run.stop_requested) == ("failed", "No.", None, 0, None)
    assert store.metrics(run_id).series == {}


def test_oldest_first_and_newest_listed_first(store):
    ids = [store.create(tiny(), "ann") for _ in range(3)]
    assert [run.id for run in store.runs()] == ids[::-1]
    assert [run.id for run in store.runs(limit=2)] == ids[:0:-1]
    assert [store.claim("w").id for _ in ids] == ids
    store.finish(ids[1], "stopped")
    assert [run.id for run in store.runs(statuses=["running"])] == [ids[2], ids[0]]
    assert [run.id for run in store.runs(statuses=["stopped", "failed"])] == [ids[1]]
    assert store.runs(statuses=[]) == []


@pytest.mark.parametrize("in_turns", [False, True])
def test_a_worker_takes_runs_of_its_device_alone(tmp_path, in_turns):
    store = RunStore(tmp_path / "runs", in_turns=in_turns)
    asked = ("cpu", "auto", "cuda", "cpu", "mps")
    ids = [store.create(tiny(training__device=device), owner) for owner, device in zip("abcde", asked, strict=True)]
    gpu, processor = ("auto", "cuda", "mps"), ("cpu",)
    assert [store.claim("gpu", gpu).id for _ in range(2)] == ids[1:3]
    assert [store.claim("processor", processor).id for _ in range(2)] == [ids[0], ids[3]]
    assert store.claim("processor", processor) is None and store.get(ids[4]).status == "queued"
    store.move_to_front(ids[4])
    assert store.claim("gpu", gpu).id == ids[4] and store.claim("gpu", gpu) is None
    for text in ("{", '{"training": {"device": "abacus"}}'):  # somebody must say that it can't be read
        bad = store.create(tiny(), "f")
        with sqlite3.connect(tmp_path / "runs" / "runs.sqlite3") as db:
            db.execute("UPDATE runs SET config = ? WHERE id = ?", (text, bad))
        assert store.claim("processor", processor) is None
        assert store.claim("gpu", gpu) is None and store.going() and bad not in {run.id for run in store.going()}
    store.close()


def test_a_run_outside_the_queue(store):
    queued = store.create(tiny(), "ann")
    run = store.create_running(tiny(), "bob", "foreground", title="Here")
    assert (run.status, run.worker, run.owner, run.title) == ("running", "foreground", "bob", "Here")
    assert store.claim("w").id == queued and store.claim("w") is None


def test_position_in_the_queue(store):
    ids = [store.create(tiny(), "ann") for _ in range(3)]
    assert [store.queue_position(run_id) for run_id in ids] == [0, 1, 2]
    store.claim("w")
    assert store.queue_position(ids[2]) == 2  # the one that is running is still ahead
    store.finish(ids[0], "finished")
    assert [store.queue_position(run_id) for run_id in ids[1:]] == [0, 1]
    store.request_stop(ids[1])
    assert store.queue_position(ids[2]) == 0


def test_a_run_that_was_asked_to_stop_is_not_waited_for(store):
    store.create(tiny(), "ann")
    going, queued = store.claim("w").id, store.create(tiny(), "ann")
    assert store.queue_position(queued) == 1
    store.request_stop(going)
    assert store.get(going).status == "running" and store.queue_position(queued) == 0


# --- idempotency and claims

def test_the_same_key_is_the_same_run_while_it_is_active(store):
    first = store.create(tiny(), "ann", key="k")
    assert store.create(tiny(training__seed=9), "ann", key="k") == first
    assert store.claim("w").id == first
    assert store.create(tiny(), "ann", key="k") == first
    others = [store.create(tiny(), "bob", key="k"), store.create(tiny(), "ann", key="l"), store.create(tiny(), "ann"),
              store.create(tiny(), "ann")]
    assert len({first, *others}) == 5
    store.finish(first, "finished")
    again = store.create(tiny(), "ann", key="k")
    assert again not in (first, *others)
    store.request_stop(again)
    assert store.create(tiny(), "ann", key="k") not in (first, again)


def at_once(number, do):
    """What `do` gives to each of so many threads that start together."""
    barrier = threading.Barrier(number)

    def wait_and_do(index):
        barrier.wait()
        return do(index)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(wait_and_do, range(number)))


def test_the_same_key_from_many_threads_at_once(store):
    assert len(set(at_once(8, lambda _: store.create(tiny(), "ann", key="k")))) == 1
    assert len(store.runs()) == 1


def test_no_run_is_given_twice(store):
    ids = [store.create(tiny(), "ann") for _ in range(40)]

    def claim_all(index):
        own = RunStore(store.path)
        claimed = []
        while run := own.claim(f"worker {index}"):
            claimed.append(run.id)
        own.close()
        return claimed

    claimed = [run_id for each in at_once(4, claim_all) for run_id in each]
    assert sorted(claimed) == sorted(ids)
    assert all(store.get(run_id).status == "running" for run_id in ids)


# --- metrics

def test_metrics_come_piece_by_piece_and_are_replaced(store):
    run_id, other = running(store), running(store)
    store.record(run_id, [Metric("loss", 1, 2.0), Metric("accuracy", 1, 0.25), Metric("loss", 2, 1.5)])
    store.record(other, [Metric("loss", 1, 9.0)])
    first = store.metrics(run_id)
    assert first.series == {"loss": ([1, 2], [2.0, 1.5]), "accuracy": ([1], [0.25])}
    nothing = store.metrics(run_id, after=first.seq)
    assert nothing.series == {} and nothing.seq == first.seq

    store.record(run_id, [Metric("loss", 3, 1.0), Metric("loss", 2, 1.25)])  # step 2 again, as a resumed run gives it
    more = store.metrics(run_id, after=first.seq)
    assert more.series == {"loss": ([2, 3], [1.25, 1.0])} and more.seq > first.seq
    steps, values = store.metrics(run_id).series["loss"]
    assert dict(zip(steps, values, strict=True)) == {1: 2.0, 2: 1.25, 3: 1.0} and len(steps) == 3
    assert store.metrics(other).series == {"loss": ([1], [9.0])}
    assert store.metrics(ANY_ID).series == {} and store.metrics(ANY_ID, after=7).seq == 7


def test_values_that_are_no_numbers(store):
    run_id = running(store)
    store.record(run_id, [Metric("loss", 1, nan), Metric("loss", 2, float("inf"))])
    first, second = store.metrics(run_id).series["loss"][1]
    assert isnan(first) and second == float("inf")


def test_another_store_on_the_same_path_sees_it_at_once(store):
    run_id = running(store)
    store.record(run_id, [Metric("loss", 1, 2.0)], step=1)
    other = RunStore(store.path)
    assert other.get(run_id) == store.get(run_id)
    assert other.metrics(run_id) == store.metrics(run_id)
    other.request_stop(run_id)
    assert store.command(run_id).stop
    other.close()


def test_another_process_finds_what_was_kept(store):
    run_id = running(store)
    store.record(run_id, [Metric("loss", 1, 2.0)], step=1)
    script = ("import sys; from pathlib import Path; from core.runs import RunStore\n"
              "store = RunStore(Path(sys.argv[1])); print(store.get(sys.argv[2]).step, store.metrics(sys.argv[2]).series)")
    said = subprocess.run([sys.executable, "-c", script, store.path, run_id], capture_output=True, text=True, check=True)
    assert said.stdout == "1 {'loss': ([1], [2.0])}\n"


# --- stopping, and finding what died

def test_stop(store):
    queued = store.create(tiny(), "ann")
    store.request_stop(queued)
    assert (store.get(queued).status, store.get(queued).message) == ("stopped", "Stopped before it started.")
    assert store.claim("w") is None
    run_id = running(store)
    assert not store.command(run_id).stop
    store.request_stop(run_id)
    asked = store.get(run_id).stop_requested
    assert store.command(run_id).stop and store.get(run_id).status == "running"
    store.request_stop(run_id)
    assert store.get(run_id).stop_requested == asked  # the first time counts
    assert store.command(ANY_ID).stop  # deleted: nothing to go on for


def test_runs_of_a_worker_that_is_gone(store):
    ids = [store.create(tiny(), "ann") for _ in range(4)]
    for worker in ("gone", "gone", "here"):
        store.claim(worker)
    store.request_stop(ids[1])
    assert sorted(store.end_runs_of("gone", "failed", "It died.")) == sorted(ids[:2])
    assert [(run.status, run.message) for run in map(store.get, ids)] == [
        ("failed", "It died."), ("stopped", "Stopped."), ("running", ""), ("queued", "")]


def test_runs_that_nobody_was_heard_of_are_interrupted(store, monkeypatch):
    ids = [store.create(tiny(), "ann") for _ in range(4)]
    for worker in ("silent", "beating", "ended"):
        store.claim(worker)
    seen = {run.id: run.heartbeat for run in store.going()}
    assert sorted(seen) == sorted(ids[:3])
    monkeypatch.setattr("core.runs.store.time.time", lambda: 1.0)  # whatever that clock says, it is another word
    store.heartbeat("beating")
    store.finish(ids[2], "finished")
    assert store.end_abandoned(seen | {ids[3]: 0.0}) == [ids[0]] and store.end_abandoned({}) == []
    assert [run.status for run in map(store.get, ids)] == ["interrupted", "running", "finished", "queued"]
    one = store.get(ids[0])
    assert one.finished and one.message and "\n" not in one.message


# --- deleting

def test_delete_removes_rows_and_files(store):
    run_id, other = running(store), running(store)
    for each in (run_id, other):
        store.record(each, [Metric("loss", 1, 2.0)])
        store.folder(each).mkdir()
        (store.folder(each) / "checkpoint.safetensors").write_bytes(b"weights")
        (store.folder(each) / ".checkpoint.safetensors.abc.part").write_bytes(b"what a crash leaves")
    with pytest.raises(StoreError, match="still going"):
        store.delete(run_id)
    assert (store.folder(run_id) / "checkpoint.safetensors").exists()
    store.finish(run_id, "finished")
    store.delete(run_id)
    assert not store.folder(run_id).exists() and store.metrics(run_id).series == {}
    with pytest.raises(RunNotFound):
        store.get(run_id)
    with pytest.raises(RunNotFound):
        store.delete(run_id)
    assert store.metrics(other).series and len(list(store.folder(other).iterdir())) == 2
    with sqlite3.connect(store.path / "runs.sqlite3") as db:
        assert db.execute("SELECT count(*) FROM metrics").fetchone() == (1,)
    db.close()


def test_delete_says_what_it_could_not_remove(store):
    run_id = running(store)
    store.finish(run_id, "finished")
    (store.folder(run_id) / "a folder of someone's own").mkdir(parents=True)
    with pytest.raises(StoreError) as caught:
        store.delete(run_id)
    assert str(store.folder(run_id)) in one_line(caught)


def test_a_queued_run_is_not_deleted(store):
    run_id = store.create(tiny(), "ann")
    assert store.get(run_id).status in ACTIVE
    with pytest.raises(StoreError, match="stop it before"):
        store.delete(run_id)
    assert store.get(run_id).status == "queued"


# --- ids

@pytest.mark.parametrize("run_id", [ANY_ID, "../x", "", "x", "a" * 31, "a" * 33, "A" * 32, "../" * 10 + "ab", "line\nbreak",
                                    "'; DROP TABLE runs; --", "\udcff" * 32, "\0" * 32, "١" * 32],
                         ids=lambda run_id: ascii(run_id)[:16])
@pytest.mark.parametrize("method", ["get", "delete", "request_stop", "folder"])
def test_an_unknown_id_is_one_line(store, run_id, method):
    if method == "folder" and run_id == ANY_ID:
        assert store.folder(run_id) == store.path / run_id
        return
    with pytest.raises(RunNotFound) as caught:
        getattr(store, method)(run_id)
    assert "There is no run" in one_line(caught)


@hypothesis_settings(max_examples=300)  # the store is only asked for a path
@given(st.text() | st.text(alphabet="0123456789abcdefABCDEF/.\\\n", min_size=30, max_size=34) | st.from_regex(r"[0-9a-f]{32}"))
def test_only_ids_have_folders(store, text):
    is_id = len(text) == 32 and set(text) <= set("0123456789abcdef")
    if is_id:
        assert store.folder(text).parent == store.path
        return
    with pytest.raises(RunNotFound) as caught:
        store.folder(text)
    one_line(caught)


# --- a runs folder that can't be used

def test_a_newer_schema_is_left_alone(store):
    run_id = store.create(tiny(), "ann")
    store.close()
    with sqlite3.connect(store.path / "runs.sqlite3") as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(StoreError, match="another version") as caught:
        RunStore(store.path)
    line = one_line(caught)
    assert f"(a newer one; this is {VERSION})" in line
    assert f"schema {len(MIGRATIONS) + 1} where this one knows {len(MIGRATIONS)}" in line
    with sqlite3.connect(store.path / "runs.sqlite3") as db:
        assert db.execute("SELECT id FROM runs").fetchall() == [(run_id,)]
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
    db.close()


def a_file(path):
    path.write_text("not a folder", encoding="utf-8")
    return path


def below_a_file(path):
    return a_file(path) / "runs"


def a_folder_in_the_way(path):
    (path / "runs.sqlite3").mkdir(parents=True)
    return path


def text_in_the_way(path):
    path.mkdir()
    (path / "runs.sqlite3").write_text("This is no database, though it is long enough to hold the header of one." * 100,
                                       encoding="utf-8")
    return path


def half_a_database(path):
    store = RunStore(path)
    store.create(tiny(), "ann")
    store.close()
    whole = (path / "runs.sqlite3").read_bytes()
    (path / "runs.sqlite3").write_bytes(whole[:len(whole) // 2])
    return path


def a_read_only_folder(path):
    path.mkdir(mode=0o500)
    if os.access(path, os.W_OK):
        pytest.skip("this user may write anywhere")
    return path


@pytest.mark.parametrize("spoil", [a_file, below_a_file, a_folder_in_the_way, text_in_the_way, half_a_database,
                                   a_read_only_folder])
def test_a_folder_that_cannot_be_used_is_one_line(tmp_path, spoil):
    path = spoil(tmp_path / "spoiled")
    with pytest.raises(StoreError) as caught:
        RunStore(path).runs()
    line = one_line(caught)
    assert str(path) in line and "PLAYGROUND_RUNS" in line


def test_a_full_disk_is_one_line_and_loses_nothing(store, monkeypatch):
    run_id = running(store)
    store.record(run_id, [Metric("loss", step, 1.0) for step in range(10)], step=10)
    before = store.metrics(run_id), store.get(run_id)
    connect = store._database._connect

    def full():
        connection = connect()
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(store._database, "_connect", full)
    store._database._close_idle()
    many = [Metric("loss", step, 2.0) for step in range(5, 5000)]
    with pytest.raises(StoreError, match="disk is full") as caught:
        store.record(run_id, many, step=5000)
    assert "Free some space" in one_line(caught)
    assert (store.metrics(run_id), store.get(run_id)) == before  # all of a batch, or nothing
    monkeypatch.undo()
    store._database._close_idle()
    assert store.record(run_id, many, step=5000)
    assert len(store.metrics(run_id).series["loss"][0]) == 5000 and store.get(run_id).step == 5000


def test_a_folder_that_is_removed_or_replaced_meanwhile(store, tmp_path):
    """What was opened before would go on reading and writing a file that is gone."""
    store.create(tiny(), "ann")
    moved = tmp_path / "moved"
    store.path.rename(moved)
    with pytest.raises(StoreError) as caught:
        store.create(tiny(), "ann")
    one_line(caught)
    RunStore(store.path).close()
    assert store.runs() == []
    run_id = store.create(tiny(), "bob")
    assert [run.id for run in RunStore(store.path).runs()] == [run_id]
    assert [run.owner for run in RunStore(moved).runs()] == ["ann"]


def test_connections_are_used_again_but_not_after_an_error(store):
    database = store._database
    with database.reading() as first:
        pass
    with database.reading() as again, database.reading() as other:
        assert again is first and other is not first, "one is in use"
    with pytest.raises(KeyError), database.writing() as broken:
        raise KeyError
    with database.reading() as after, database.reading() as more:
        assert broken is not after and broken is not more


def test_a_lock_that_is_not_released_is_one_line(store, monkeypatch):
    connect = store._database._connect

    def impatient():
        connection = connect()
        connection.execute("PRAGMA busy_timeout = 50")
        return connection

    monkeypatch.setattr(store._database, "_connect", impatient)
    store._database._close_idle()
    other = sqlite3.connect(store.path / "runs.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreError, match="locked") as caught:
            store.create(tiny(), "ann")
        one_line(caught)
        assert store.runs() == []  # reading goes on meanwhile
    finally:
        other.close()


# --- runs of another version

def spoil_config(store, run_id, text, wrote):
    with sqlite3.connect(store.path / "runs.sqlite3") as db:
        db.execute("UPDATE runs SET config = ?, version = ? WHERE id = ?", (text, wrote, run_id))
    db.close()


@pytest.mark.parametrize("text", ['{"model": {"architecture": "transformer"}}', "{", "", "[]"])
@pytest.mark.parametrize(("wrote", "said"), [
    ("9.1.2", f"was written by another version of Torch Playground (9.1.2; this is {VERSION}): "),
    ("", f"was written by another version of Torch Playground (one before 0.6.0; this is {VERSION}): "),
    (VERSION, "can't be read: ")])
def test_a_config_of_another_version(store, text, wrote, said):
    good = [store.create(tiny(), "ann")]
    bad = store.create(tiny(), "ann")
    good.append(store.create(tiny(), "ann"))
    spoil_config(store, bad, text, wrote)
    assert [run.id for run in store.runs()] == good[::-1]
    with pytest.raises(StoreError) as caught:
        store.get(bad)
    assert f"Run {bad} {said}" in one_line(caught)
    claimed = [store.claim("w"), store.claim("w"), store.claim("w")]
    assert [run and run.id for run in claimed] == [good[0], None, good[1]]  # the one nobody can read holds up nobody
    with sqlite3.connect(store.path / "runs.sqlite3") as db:
        status, message = db.execute("SELECT status, message FROM runs WHERE id = ?", (bad,)).fetchone()
    db.close()
    assert status == "failed" and f"Run {bad} {said}" in message


def test_a_newer_file_names_the_version_that_made_it(store, monkeypatch):
    """As the next version would leave it, with a schema of its own."""
    store.close()
    monkeypatch.setattr("core.runs.database.MIGRATIONS", [*MIGRATIONS, "ALTER TABLE runs ADD COLUMN later TEXT"])
    monkeypatch.setattr("core.runs.database.VERSION", "9.1.2")
    RunStore(store.path).close()
    monkeypatch.undo()
    with pytest.raises(StoreError) as caught:
        RunStore(store.path)
    assert f"another version of Torch Playground (9.1.2; this is {VERSION})" in one_line(caught)


def test_a_run_says_which_version_wrote_it(store, monkeypatch):
    made = [store.create(tiny(), "ann"), *store.create_group([(tiny(), "one"), (tiny(), "two")], "ann"),
            store.create_running(tiny(), "ann", "me").id]
    assert [store.get(run_id).version for run_id in made] == [VERSION] * 4
    store.finish(made[3], "finished")
    monkeypatch.setattr("core.runs.store_queue.VERSION", "9.1.2")
    store.requeue(made[3], tiny(training__epochs=2))  # the config is written anew
    assert [store.get(run_id).version for run_id in made] == [VERSION] * 3 + ["9.1.2"]


def shape_of(path):
    """Tables and indices of a file with their columns."""
    with sqlite3.connect(path) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()]
        found = {name: sorted(db.execute("SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info(?)", (name,)))
                 or db.execute("SELECT name FROM pragma_index_info(?)", (name,)).fetchall() for name in names}
    db.close()
    return found


@pytest.mark.parametrize("schema", range(1, len(MIGRATIONS)))
def test_a_file_of_every_earlier_schema_opens(tmp_path, schema):
    """Each as the last version with that schema has written it, with its own code: a finished run, whose losses came in two
    flushes, and one that waits. A migration that has shipped and is changed is found out here."""
    finished, queued = "a" * 32, "b" * 32
    with sqlite3.connect(tmp_path / "runs.sqlite3") as db:
        db.executescript((OLD_SCHEMAS / f"{schema:02d}.sql").read_text(encoding="utf-8"))
    db.close()
    store = RunStore(tmp_path)
    assert [run.id for run in store.runs()] == [queued, finished]
    old = store.get(finished)
    assert bool(old.version) == (schema >= 6) and old.version != VERSION
    training = old.config.training
    assert (training.seed, training.batch_size, training.epochs, old.config.model.hidden) == (7, 32, 5, (50,))
    assert (old.title, old.status, old.test_accuracy, old.test_loss, old.seconds) == ("old", "finished", 0.5, 0.25, 3.0)
    assert (old.kind, old.group_id, old.pace, old.steps_requested) == ("training", "", 0.0, 0)
    assert (old.note, old.tags, old.starred, old.archived) == ("", (), False, None) and store.discarded() == {}
    assert (old.best_accuracy, old.best_loss, old.validation_loss) == (0.75, 1.25, 1.75)
    assert store.get(queued).best_loss is None and store.interventions(finished) == []
    assert old.lesson == "" and store.lesson_runs("") == []
    assert store.metrics(finished).series == {"loss": ([1, 2, 3, 4], [2.0, 1.5, 1.0, 0.5]), "validation_loss": (
        [2, 4], [1.25, 1.75]), "validation_accuracy": ([2, 4], [0.75, 0.5])}
    assert set(store.snapshots(finished)) <= {"number_format"}
    assert store.claim("me").id == queued  # and it goes on from there
    assert store.record(queued, [Metric("loss", 1, 3.0)], [Snapshot("confusion", 1, {"rows": []})], step=1)
    assert store.metrics(queued).series == {"loss": ([1], [3.0])} and store.snapshots(queued)["confusion"].step == 1
    store.requeue(finished, old.config)
    assert store.get(finished).version == VERSION
    store.close()
    RunStore(tmp_path / "new").close()
    assert shape_of(tmp_path / "runs.sqlite3") == shape_of(tmp_path / "new" / "runs.sqlite3")
    with sqlite3.connect(tmp_path / "runs.sqlite3") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert (len(MIGRATIONS), VERSION) in db.execute("SELECT * FROM schemas").fetchall()
    db.close()


def pauses(store):
    return {run.id: run.paused for run in store.going() if run.paused is not None}


def test_a_long_pause_makes_room_only_while_another_run_waits(store, monkeypatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("core.runs.store.time.time", lambda: now[0])
    paused = store.create(tiny(), "me", paused=True)
    store.claim("worker")
    now[0] = 1100.0
    before = pauses(store)
    store.make_room(before)
    assert before == {paused: 1000.0} and store.get(paused).stop_requested is None  # nobody waits
    waiting = store.create(tiny(), "you")
    store.request_step(paused)
    store.make_room(before)
    assert store.get(paused).stop_requested is None  # it has taken a step since
    now[0] = 1161.0
    store.make_room(pauses(store))
    assert store.get(paused).stop_requested == 1161.0 and store.get(waiting).status == "queued"
    store.finish(paused, "stopped", "Stopped.")
    assert "another run was waiting" in store.get(paused).message


def test_a_run_that_trains_never_makes_room(store) -> None:
    going = store.create(tiny(), "me")
    store.claim("worker")
    store.create(tiny(), "you")
    assert pauses(store) == {}
    store.make_room({going: store.get(going).started})
    assert store.get(going).stop_requested is None


def test_a_run_that_goes_on_waits_for_a_younger_one_that_is_running(store):
    old = running(store)
    store.finish(old, "stopped", "Stopped.")
    running(store)
    store.requeue(old, store.get(old).config)
    assert store.queue_position(old) == 1
