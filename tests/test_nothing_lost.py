"""What must not be lost: on a full disk, beside another writer, with damaged files, wrong clocks, and in a backup."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from core.__main__ import main
from core.actors import Actor
from core.data import DataMissing
from core.data.own.sets import read_set, save_set
from core.runs import (
    CheckpointError,
    LocalEngine,
    Metric,
    RunNotFound,
    RunStore,
    StoreBusy,
    StoreError,
    StoreFull,
    StoreReadOnly,
    has_checkpoint,
    load_model,
)
from core.runs import backup as backup_module
from core.runs.backup import BackupError, back_up
from core.runs.checkpoints import TRAINING
from core.runs.database import SPARE, Database
from core.runs.deleting import Deleted, delete_run, delete_runs
from core.runs.engine import Process
from core.runs.recorder import Recorder
from core.runs.since import Since
from core.training import Intervention, Paused, Step
from tests.helpers import run_here, tiny, wait_until


@contextmanager
def writing_elsewhere(store):
    """Another program that has begun to write and does not end."""
    other = sqlite3.connect(store.path / "runs.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


# --- another writer

def test_a_recorder_keeps_its_batch_while_another_writes(store, monkeypatch):
    monkeypatch.setattr("core.runs.recorder.PATIENCE", 0.0)
    run = store.create_running(tiny(), "ann", "here")
    recorder = Recorder(store, run.id)
    with writing_elsewhere(store):
        for step in (1, 2):
            recorder.take(Step(step, 1, 1.0 / step, 0.5))
            recorder.flush()
        assert recorder.is_ours and store.metrics(run.id).series == {} and not recorder.is_due()
    recorder.take(Step(3, 1, 0.25, 0.5))
    recorder.flush()
    assert store.metrics(run.id, names=("loss",)).series["loss"] == ([1, 2, 3], [1.0, 0.5, 0.25]) and store.get(run.id).step == 3


def test_what_comes_before_a_checkpoint_is_waited_for(settings):
    store = RunStore(settings.runs_dir, patience=0.0)
    recorder = Recorder(store, store.create_running(tiny(), "ann", "here").id)
    recorder.take(Step(1, 1, 1.0, 0.5))
    with writing_elsewhere(store), pytest.raises(StoreBusy, match="another program is writing"):
        recorder.flush(at_once=True)
    assert recorder.metrics, "it is kept all the same"


def test_what_is_changed_while_a_run_is_paused_waits_for_another_who_writes(store, monkeypatch):
    """Nothing would come that could bring it later: a weight that somebody has set would not be seen until the run goes on."""
    monkeypatch.setattr("core.runs.recorder.PATIENCE", 0.0)
    run = store.create_running(tiny(), "ann", "here")
    recorder = Recorder(store, run.id)
    recorder.take(Intervention(1, 4, "learning_rate", 0.1, 0.2))
    other = sqlite3.connect(store.path / "runs.sqlite3", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    recorder.flush()
    assert not store.interventions(run.id), "a step would not wait"
    later = threading.Timer(0.3, other.execute, ["ROLLBACK"])
    later.start()
    recorder.take(Paused(4))
    assert [change.after for change in store.interventions(run.id)] == [0.2]
    later.join()
    other.close()


def test_a_run_goes_on_while_another_writes(store, settings, monkeypatch):
    """As a database locked for ten seconds of a training: from its third step to its fifteenth."""
    monkeypatch.setattr("core.runs.recorder.PATIENCE", 0.0)
    monkeypatch.setattr("core.runs.recorder.SECONDS_PER_FLUSH", 0.0)
    other = sqlite3.connect(store.path / "runs.sqlite3", isolation_level=None)
    run = store.create_running(tiny(), "ann", "here")

    def lock(event):
        if isinstance(event, Step) and event.step in (3, 15):
            other.execute("BEGIN IMMEDIATE" if event.step == 3 else "ROLLBACK")

    from core.runs.execute import execute

    ended = execute(store, run, settings, report=lock)
    other.close()
    steps, _ = store.metrics(run.id, names=("loss",)).series["loss"]
    assert (ended.status, ended.message, steps) == ("finished", "", list(range(1, ended.steps + 1)))


# --- disks

@pytest.fixture
def small_disk(tmp_path):
    """A disk of 40 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "none", place], capture_output=True, check=False).returncode
    if not mounted:
        pytest.skip("this user may not mount a disk")
    yield place
    subprocess.run(["mount", "-o", "remount,rw", place], check=False)
    subprocess.run(["umount", "-l", place], check=True)


def fill(place):
    """Until not one more byte goes in."""
    with (place / "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass
    assert shutil.disk_usage(place).free == 0


def test_a_full_disk_is_emptied_in_the_app(small_disk, settings):
    """Runs are stopped, ended and deleted on it; what starts is refused with the reason. Also after a new start."""
    path = small_disk / "runs"
    store = RunStore(path)
    settings = replace(settings, runs_dir=path)
    done = run_here(store, settings, tiny())
    running, queued = store.create_running(tiny(), "ann", "gone").id, store.create(tiny(), "ann")
    store.keep_spare()
    assert (path / SPARE).stat().st_size == 2_000_000
    fill(small_disk)
    with pytest.raises(StoreFull, match="the disk is full.*deleting runs"):
        for _ in range(1000):  # what the log has room for goes in
            store.create(tiny(), "ann")
    store.request_stop(queued)
    assert store.end_runs_of("gone", "failed", "Its process died.") == [running]
    assert not (path / SPARE).exists() and [store.get(one).status for one in (queued, running)] == ["stopped", "failed"]
    store.close()
    fill(small_disk)

    store = RunStore(path)  # with no spare file and not a byte of room
    assert "the disk is full" in store.read_only and store.get(done.id).test_accuracy == done.test_accuracy
    with pytest.raises(StoreReadOnly, match="the disk is full"):
        store.create(tiny(), "ann")
    with LocalEngine(store, settings) as engine:
        assert engine.worker_pids == []
    # the way of the button: its files make the room that its row needs
    assert delete_runs(store, [done.id], settings.data_dir, 60.0) == Deleted([done.id], for_good=True)
    assert not store.read_only and done.id not in [run.id for run in store.runs()] and not store.folder(done.id).exists()
    store.close()


def no_room(*arguments, **options):
    raise StoreFull("The runs folder can't be written to: the disk is full.")


@pytest.mark.parametrize("full", [("core.runs.database.LITTLE", 10**18), ("core.runs.database.SPARE_BYTES", 10**17),
                                  ("core.runs.store.RunStore.discard", no_room)], ids=["no room", "no spare", "refused"])
def test_deleting_on_a_full_disk_makes_room(store, settings, monkeypatch, full):
    done, going = store.create_running(tiny(), "ann", "here").id, store.create_running(tiny(), "ann", "there").id
    store.finish(done, "finished")
    store.folder(done).mkdir()
    (store.folder(done) / TRAINING).write_bytes(b"weights")
    monkeypatch.setattr(*full)
    assert delete_runs(store, [done, going, "0" * 32], settings.data_dir, 60.0) == Deleted([done], for_good=True)
    assert not store.folder(done).exists() and store.discarded() == {} and [run.id for run in store.runs()] == [going]


def test_while_there_is_room_a_deleted_run_can_be_brought_back(store, settings, monkeypatch):
    store.finish(done := store.create_running(tiny(), "ann", "here").id, "finished")
    (store.path / SPARE).write_bytes(b"room")
    monkeypatch.setattr("core.runs.database.SPARE_BYTES", 10**17)  # little is free, and the spare file is there
    assert delete_runs(store, [done], settings.data_dir, 60.0) == Deleted([done], for_good=False)
    assert store.restore([done]) == [done]


def test_workers_start_as_soon_as_runs_can_be_written(store, settings, monkeypatch):
    def spawn(engine, device):
        waits = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return Process("worker", waits, time.monotonic(), device)

    monkeypatch.setattr("core.runs.engine.SECONDS_BETWEEN_TRIES", 0.0)
    monkeypatch.setattr(LocalEngine, "_spawn", spawn)
    with monkeypatch.context() as full:
        full.setattr(Database, "_open", no_room)
        again = RunStore(store.path)
        with LocalEngine(again, settings, devices=("cpu",)) as engine:
            view = engine.as_actor(Actor("a" * 32, "visitor"))
            with pytest.raises(StoreReadOnly, match="the disk is full"):
                view.submit(tiny(), "a" * 32)
            assert view.capacity == 0 and engine.worker_pids == []
            full.undo()
            wait_until(lambda: engine.worker_pids, lambda: again.read_only)
            assert view.capacity == 1 and again.get(view.submit(tiny(), "a" * 32)).status == "queued"
    again.close()


def test_a_refused_start_leaves_no_files(store, monkeypatch):
    def full(path, write, durable):
        path.parent.mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.runs.store.write_atomically", full)
    for make in (lambda watch: store.create(tiny(), "ann", watch=watch),
                 lambda watch: store.create_running(tiny(), "ann", "here", watch=watch)):
        with pytest.raises(StoreError, match="can't be written to: the disk is full. Free some space"):
            make(np.zeros((1, 1, 28, 28), np.float32))
    assert store.runs() == [] and not [path for path in store.path.iterdir() if path.is_dir()]


def test_a_disk_that_can_only_be_read(small_disk, settings):
    path = small_disk / "runs"
    store = RunStore(path)
    done = run_here(store, replace(settings, runs_dir=path), tiny())
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)  # refused while anybody has a file open to write
    again = RunStore(path)
    assert "Make it writable" in again.read_only and [run.id for run in again.runs()] == [done.id]
    assert load_model(again, done.id).classes == load_model(again, done.id).classes
    for refused in (lambda: again.create(tiny(), "ann"), lambda: again.request_stop(done.id)):
        with pytest.raises(StoreReadOnly, match="Make it writable"):
            refused()
    again.close()


def test_a_run_s_files_go_before_its_row(store, settings, monkeypatch):
    """What dies between the two leaves a run without weights, and never weights that belong to nobody."""
    run = run_here(store, settings, tiny())
    monkeypatch.setattr(store, "_surely", lambda write: (_ for _ in ()).throw(StoreError("died")))
    with pytest.raises(StoreError, match="died"):
        store.delete(run.id)
    assert store.get(run.id).status == "finished" and not store.folder(run.id).exists()
    monkeypatch.undo()
    store.delete(run.id)
    with pytest.raises(RunNotFound):
        store.get(run.id)


def test_a_run_that_can_not_be_read_can_be_deleted(store):
    run_id = store.create(tiny(), "ann")
    store.request_stop(run_id)
    with sqlite3.connect(store.path / "runs.sqlite3") as db:
        db.execute("UPDATE runs SET config = '{}x' WHERE id = ?", (run_id,))
    db.close()
    store.delete(run_id)
    with pytest.raises(RunNotFound):
        store.get(run_id)


# --- damage

def test_damage_is_no_full_disk(store):
    for _ in range(200):
        store.create(tiny(), "ann")
    store.close()
    path = store.path / "runs.sqlite3"
    content = bytearray(path.read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is damaged") as caught:
        RunStore(store.path).runs()
    assert "Free some space" not in str(caught.value) and "backup" in str(caught.value)


@pytest.mark.parametrize("spoil", [lambda content: content[:len(content) // 2], lambda content: b"", lambda content: b"x" * 1000])
def test_a_finished_run_whose_state_is_damaged_keeps_its_result(store, settings, spoil):
    run = run_here(store, settings, tiny())
    path = store.folder(run.id) / TRAINING
    path.write_bytes(spoil(path.read_bytes()))
    with LocalEngine(store, replace(settings, workers=0)) as engine:
        with pytest.raises(CheckpointError, match="stays as it is.*is damaged"):
            engine.resume(run.id, more_epochs=1)
        assert store.get(run.id) == run
        path.unlink()
        engine.resume(run.id, more_epochs=1)  # it begins anew, as ever
        assert store.get(run.id).status == "queued"


def test_a_finished_run_whose_data_is_gone_keeps_its_result(store, settings, tmp_path):
    settings = replace(settings, data_dir=tmp_path / "data")
    own = save_set(settings.data_dir, "Own", ("a", "b"), np.zeros((8, 1, 28, 28), np.uint8), np.arange(8) % 2, np.arange(8) > 5)
    run = store.create_running(tiny(data__dataset=own.name, data__validation=1), "ann", "here")
    store.finish(run.id, "finished", test_accuracy=0.75)
    shutil.rmtree(settings.data_dir)
    with LocalEngine(store, replace(settings, workers=0)) as engine, pytest.raises(CheckpointError, match="stays as it is"):
        engine.resume(run.id, more_epochs=1)
    assert (store.get(run.id).status, store.get(run.id).test_accuracy) == ("finished", 0.75)


# --- clocks

@pytest.fixture
def watching(store, settings):
    """An engine whose looks are taken by hand, with the seconds of its own clock."""
    engine, now = LocalEngine(store, replace(settings, workers=0)), [0.0]
    engine.close()
    for name in ("_silent", "_paused", "_stopping"):
        setattr(engine, name, Since(lambda: now[0]))

    def look(at):
        now[0] = at
        engine._look_after_runs()

    return look


@pytest.mark.parametrize("off", [-3600.0, -30.0, 30.0, 3600.0])
def test_servers_whose_clocks_differ_leave_each_other_s_runs_alone(store, watching, monkeypatch, off):
    run_id = store.create_running(tiny(), "ann", "elsewhere").id
    for second in range(20):
        with monkeypatch.context() as there:
            there.setattr("core.runs.store.time.time", lambda second=second: 1.8e9 + off + second)
            store.heartbeat("elsewhere")
        watching(second)
    assert store.get(run_id).status == "running"
    for second in range(20, 24):  # now it is silent
        watching(second)
    assert store.get(run_id).status == "interrupted"


def test_nobody_is_taken_for_dead_who_could_not_speak(store, watching):
    run_id = store.create_running(tiny(), "ann", "elsewhere").id
    watching(0)
    with writing_elsewhere(store):
        watching(10)
    watching(10.25)
    assert store.get(run_id).status == "running"
    store.heartbeat("elsewhere")
    watching(14)
    assert store.get(run_id).status == "running"


def test_a_pause_is_timed_by_the_server_s_own_clock(store, watching, monkeypatch):
    paused = store.create_running(tiny(), "ann", "elsewhere").id
    with monkeypatch.context() as ahead:
        ahead.setattr("core.runs.store.time.time", lambda: 1.0)  # of a machine whose clock was never set
        store.set_pause(paused, True)
    store.create(tiny(), "ben")
    watching(0)
    store.heartbeat("elsewhere")  # or it would be taken for dead
    watching(59)
    assert store.get(paused).stop_requested is None
    watching(60)
    assert store.get(paused).stop_requested


def test_since():
    now = [0.0]
    since = Since(lambda: now[0])
    assert since.seconds("a", 1) == 0
    now[0] = 5.0
    assert (since.seconds("a", 1), since.seconds("b", 1), since.seconds("a", 2)) == (5, 0, 0)
    now[0] = 6.0
    since.keep({"a"})
    assert (since.seconds("a", 2), since.seconds("b", 1)) == (1, 0)
    since.clear()
    assert since.seconds("a", 2) == 0


# --- what belongs to a run alone

def test_taught_drawings_go_with_their_last_run(store, tmp_path):
    def drawings(hidden):
        return save_set(tmp_path, "Drawings", ("a", "b"), np.zeros((4, 1, 28, 28), np.uint8), np.arange(4) % 2, np.arange(4) > 2,
                        hidden=hidden).name

    taught, shown = drawings(True), drawings(False)
    first, second = ids = [store.create(tiny(data__join=[taught, shown]), "ann") for _ in range(2)]
    for run_id in ids:
        store.request_stop(run_id)
    delete_run(store, first, tmp_path)
    assert read_set(tmp_path, taught).hidden, "another run has learned from them"
    delete_run(store, second, tmp_path)
    with pytest.raises(DataMissing):
        read_set(tmp_path, taught)
    assert read_set(tmp_path, shown), "it is in a list, where it can be deleted"


# --- backups

def unpacked(path, into):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(into)
    return RunStore(into)


def test_a_backup_is_a_runs_folder_with_all_that_was_there(store, settings, tmp_path, capsys):
    run, waiting = run_here(store, settings, tiny()), store.create(tiny(), "ann", "waits")
    assert main(["backup", "--out", str(tmp_path / "b.zip"), "--runs", str(store.path)]) == 0
    assert "2 runs" in capsys.readouterr().out
    copy = unpacked(tmp_path / "b.zip", tmp_path / "again")
    assert [one.id for one in copy.runs()] == [waiting, run.id] and copy.get(run.id) == run
    assert copy.metrics(run.id).series == store.metrics(run.id).series
    names = sorted(path.name for path in store.folder(run.id).iterdir())
    assert names == sorted(path.name for path in copy.folder(run.id).iterdir())
    assert all((copy.folder(run.id) / name).read_bytes() == (store.folder(run.id) / name).read_bytes() for name in names)
    assert sorted(os.listdir(tmp_path)) == ["again", "b.zip", "runs"], "nothing else is left behind"


def test_no_row_of_a_backup_lacks_its_file(store, settings, tmp_path, monkeypatch):
    """What happens between the copy of the table and that of the files."""
    kept, deleted = run_here(store, settings, tiny()), run_here(store, settings, tiny(training__seed=1))
    copy_table = backup_module._copy_table

    def busy(*arguments):
        copy_table(*arguments)
        store.delete(deleted.id)
        run_here(store, settings, tiny(training__seed=2))

    monkeypatch.setattr(backup_module, "_copy_table", busy)
    back_up(store.path, tmp_path / "b.zip")
    copy = unpacked(tmp_path / "b.zip", tmp_path / "again")
    assert [run.id for run in copy.runs()] == [kept.id] and load_model(copy, kept.id).classes


def test_a_backup_beside_a_writer_is_whole(store, settings, tmp_path):
    """Runs come and go, and steps are recorded, all the while."""
    model, ended = run_here(store, settings, tiny()), threading.Event()

    def write():
        place = 0
        while not ended.is_set():
            run = store.create_running(tiny(), "ann", "here")
            shutil.copytree(store.folder(model.id), store.folder(run.id))
            for first in range(1, 60, 3):
                store.record(run.id, [Metric("loss", step, 1.0) for step in range(first, first + 3)], step=first + 2, epoch=1)
            store.finish(run.id, "finished")
            place += 1
            if place % 3 == 0:
                store.delete(run.id)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            back_up(store.path, tmp_path / f"{number}.zip")
    finally:
        ended.set()
        writer.join()
    for number in range(3):
        copy = unpacked(tmp_path / f"{number}.zip", tmp_path / str(number))
        for run in copy.runs():
            steps = copy.metrics(run.id, names=("loss",)).series.get("loss", ([], []))[0]
            assert steps == list(range(1, run.step + 1))
            assert has_checkpoint(copy, run.id) or not run.epoch
        assert load_model(copy, model.id).classes
        copy.close()


def test_a_backup_of_nothing_and_to_nowhere_are_one_line(store, tmp_path, capsys):
    with pytest.raises(BackupError, match="no runs"):
        back_up(tmp_path / "nowhere", tmp_path / "b.zip")
    store.create(tiny(), "ann")
    made = tmp_path / "made" / "now" / "b.zip"
    assert main(["backup", "--out", str(made), "--runs", str(store.path)]) == 0 and made.is_file()
    capsys.readouterr()
    (tmp_path / "no").write_text("a file", encoding="utf-8")
    assert main(["backup", "--out", str(tmp_path / "no" / "b.zip"), "--runs", str(store.path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
