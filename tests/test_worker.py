"""What a training process does beside its runs, by stand-ins and without a process: looking back at them, and warming up."""

import shutil
import threading
import weakref
from types import SimpleNamespace

import pytest
import torch

from core.config import DataConfig
from core.evaluation.ood import score
from core.runs import RunStore, load_model, worker
from core.runs.ood_reference import FILE, load_reference, want_reference, work_out
from core.runs.worker import MOST_ENDED, Worker, warm_up
from core.settings import Settings
from tests.helpers import run_here, tiny

CPU = torch.device("cpu")


@pytest.fixture
def idle(settings):
    """A worker with nothing to train, whose loops are called by the tests themselves."""
    found = Worker("me", settings, CPU, ("auto",))
    found.idle.set()
    yield found
    found.store.close()


def looks(idle, times):
    """So many rounds of look_back()."""
    rounds = iter([False] * times + [True])
    idle.leaving = SimpleNamespace(wait=lambda seconds: next(rounds))
    idle.look_back()


class Work:
    """Instead of look_back_at(): four pieces. begins: the piece in which a run begins."""

    def __init__(self, idle, begins=None):
        self.idle, self.begins = idle, begins
        self.begun, self.done, self.held = [], [], []

    def __call__(self, store, run_id, settings, is_wanted):
        self.begun.append(run_id)
        pictures = torch.zeros(9)
        self.held.append(weakref.ref(pictures))
        for piece in range(4):
            if piece == self.begins:
                self.idle.idle.clear()
            yield
        self.done.append((run_id, is_wanted))


def test_a_run_that_begins_has_the_memory_and_the_cores_and_it_begins_again_later(idle, monkeypatch):
    work = Work(idle, begins=1)
    monkeypatch.setattr(worker, "look_back_at", work)
    idle.ended.append("first")
    looks(idle, 3)  # in the second and third something trains
    assert work.begun == ["first"] and work.done == [] and work.held[0]() is None
    idle.ended.append("second")  # the one that had begun
    work.begins = None
    idle.idle.set()
    looks(idle, 3)
    assert work.begun == ["first", "second", "first"] and work.done == [("second", False), ("first", False)]
    assert not idle.ended


def test_it_computes_with_one_thread_whatever_number_a_training_has_set_since(idle, monkeypatch):
    """With more it has threads of its own, and those of a training are never again waiting awake for their next operation."""
    numbers, started, goes_on = [], threading.Event(), threading.Event()
    rounds = iter([False, True])

    def wait(seconds):
        started.set()
        goes_on.wait()
        return next(rounds)

    def work(store, run_id, settings, is_wanted):
        torch.zeros(9).exp()
        numbers.append(torch.get_num_threads())
        yield

    monkeypatch.setattr(worker, "look_back_at", work)
    idle.leaving, before = SimpleNamespace(wait=wait), torch.get_num_threads()
    idle.ended.append("a run")
    looking = threading.Thread(target=idle.look_back)
    looking.start()
    started.wait()
    try:
        torch.set_num_threads(2)
        goes_on.set()
        looking.join()
        assert numbers == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_one_that_fails_keeps_no_other_from_its_turn(idle, monkeypatch, capsys):
    def fails_once(store, run_id, settings, is_wanted):
        yield
        if run_id == "too large":
            raise MemoryError
        done.append(run_id)

    done = []
    monkeypatch.setattr(worker, "look_back_at", fails_once)
    idle.ended.extend(["small", "too large"])
    looks(idle, 3)
    assert done == ["small"] and not idle.ended and "MemoryError" in capsys.readouterr().err


def test_what_somebody_waits_for_goes_on_beside_a_run_and_rests_as_long_as_it_works(idle, monkeypatch):
    """By a clock on which each piece takes 2 s; the run begins in the second."""
    run = run_here(idle.store, idle.settings, tiny())
    now, rests = [0.0], []
    work = Work(idle, begins=1)

    def slow(*given):
        for piece in work(*given):
            now[0] += 2
            yield piece

    def sleep(seconds):
        now[0] += seconds
        rests.append(seconds)

    monkeypatch.setattr(worker, "look_back_at", slow)
    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    assert want_reference(idle.store, run.id)
    idle.ended.append("another")
    looks(idle, 1)
    assert work.done == [(run.id, True)] and rests == [2, 2, 2] and list(idle.ended) == ["another"]


def test_of_a_long_search_the_last_runs_are_looked_back_at_and_only_in_the_end(idle, monkeypatch):
    work = Work(idle)
    monkeypatch.setattr(worker, "look_back_at", work)
    idle.idle.clear()
    for number in range(50):
        idle.ended.append(str(number))
        looks(idle, 1)
    assert work.begun == []
    idle.idle.set()
    looks(idle, 50)
    assert work.done == [("49", False), ("48", False), ("47", False)] and MOST_ENDED == 3


def test_what_is_given_up_after_any_piece_leaves_no_file(trained, tmp_path, places, cache_dir, monkeypatch):
    monkeypatch.setattr(score, "ODD", {kind: count // 20 for kind, count in score.ODD.items()})
    store = RunStore(shutil.copytree(trained[0].path, tmp_path / "runs"))
    settings, run_id = Settings(places / "data", store.path, cache_dir), trained[1].id
    (store.folder(run_id) / FILE).unlink(missing_ok=True)
    model, before = load_model(store, run_id), sorted(store.path.rglob("*"))
    pieces = 0
    with torch.no_grad():
        for _ in work_out(store, run_id, model, settings):
            assert not torch.is_grad_enabled() and sorted(store.path.rglob("*")) == before
            pieces += 1
    assert pieces > 20 and load_reference(store, run_id) is not None
    (store.folder(run_id) / FILE).unlink()
    for after in (pieces // 2, pieces):
        work = work_out(store, run_id, model, settings)
        for _ in range(after):
            next(work)
        work.close()
        assert sorted(store.path.rglob("*")) == before, after


@pytest.mark.parametrize(("given", "works", "tried"), [
    (CPU, True, ["cpu"]), (torch.device("cuda:1"), True, ["cuda:1"]), (torch.device("cuda:1"), False, ["cuda:1", "cpu"])])
def test_a_training_process_is_warmed_up_on_its_own_device(given, works, tried, settings, monkeypatch):
    """The processor stands for a GPU that works. One that does not fails after the network has been moved there."""
    fit, asked, steps = worker.fit, [], []

    def stand_in(config, data, model, on):
        asked.append(str(on))
        if on.type == "cuda" and not works:
            model.to("meta")
            raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable")
        for event in fit(config, data, model, CPU):
            steps.append(event)
            yield event

    monkeypatch.setattr(worker, "fit", stand_in)
    monkeypatch.setattr(worker, "default_config", lambda name: DataConfig(dataset=name, validation=200))
    monkeypatch.setattr(worker.gc, "freeze", lambda: None)  # of this process, which ends some day
    warm_up(settings, given)
    assert asked == tried and len(steps) > 2
