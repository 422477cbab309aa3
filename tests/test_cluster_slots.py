"""Places on a cluster, with a stand-in for it: what becomes of runs whose processes die, hang or are of another kind."""

import platform
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
import torch

from core.cluster import slots
from core.cluster.bridge import cause_of, contents
from core.cluster.data_files import KnownFiles
from core.cluster.link import LOST, LinkLost
from core.cluster.messages import About, PlaceGone
from core.cluster.slots import MOST_DEATHS, Room, Slot, seconds_between
from core.cluster.training import Training
from core.cluster.wire import packed, unpacked
from core.runs import load_model
from core.runs.engine import DIED, SECONDS_TO_STOP
from tests.cluster import give_up
from tests.helpers import tiny, wait_for, wait_until


class StandIn:
    """A link to a cluster whose processes are in this one. lives: for each of them, how often it answers before it dies; forever
    after the last one. about: what they say of themselves. lost: whether the link is. full: whether no machine has room."""

    def __init__(self, lives=(), about=None):
        self.lives, self.places, self.asked, self.lost, self.full = list(lives), [], [], False, False
        self.says = about or About(1, "here", platform.python_version(), torch.__version__, "cpu")
        self.pool = ThreadPoolExecutor(16)

    def place(self, *asked):
        self.asked.append(asked)
        self.places.append(StandInPlace(self, self.lives.pop(0) if self.lives else None))
        return self.places[-1]


class StandInPlace:
    def __init__(self, link, answers):
        self.link, self.answers, self.dead, self.frozen = link, answers, threading.Event(), threading.Event()
        self.training = None
        if link.full:
            self.frozen.set()

    def call(self, method, *arguments, files=None):
        return self.link.pool.submit(self._call, method, *arguments, *([] if files is None else [contents(files)]))

    def kill(self):
        self.dead.set()

    def _call(self, method, *arguments):
        while self.frozen.is_set() and not self.dead.wait(0.01):
            pass
        if self.link.lost:
            raise LinkLost(LOST)
        if self.dead.is_set() or self.answers == 0:
            raise PlaceGone("The actor died unexpectedly")
        if method == "about":
            self.training = Training(False, 1, False)
            return self.link.says
        self.answers = None if self.answers is None else self.answers - 1
        if method == "exchange":
            return packed(self.training.exchange(*unpacked(*arguments)))
        if method == "start":
            what, files = arguments
            run, data, order = unpacked(what)
            return self.training.start(run, files, data, order)
        return getattr(self.training, method)(*arguments)


@pytest.fixture
def placed(store, settings):
    """What makes a place with a stand-in: (lives, about, gpu, room) → (link, slot). It is given back after the test."""
    made = []

    def make(lives=(), about=None, gpu=False, room=lambda: Room(1, 2)):
        link = StandIn(lives, about)
        slot = Slot(link, "the child", store, settings, KnownFiles(settings.data_dir), gpu, ("auto", "cpu"), room, lambda: 1,
                    lambda: None)
        made.append((link, slot))
        return link, slot

    yield make
    for link, slot in made:
        slot.leave()  # once its run has ended
        wait_until(partial(getattr, slot, "over"), lambda: "a place that does not end")
        for place in link.places:
            if place.training is not None:
                give_up(place.training)
        link.pool.shutdown()


def test_runs_are_done_one_after_another(placed, store):
    ids = [store.create(tiny(training__seed=seed), "ann") for seed in (0, 1)]
    link, slot = placed()
    assert [wait_for(store, run_id).status for run_id in ids] == ["finished", "finished"]
    assert [store.get(run_id).worker for run_id in ids] == ["the child", "the child"] and len(link.places) == 1
    assert link.asked == [(False, 2, False)] and slot.trouble == slot.lost == ""
    wait_until(lambda: slot.is_free, lambda: slot.run_id)


def test_a_run_outlives_its_processes(placed, store):
    run_id = store.create(tiny(training__epochs=1000, training__batch_size=16), "ann")
    link, _ = placed()
    for number in (1, 2):
        step = store.get(run_id).step
        wait_for(store, run_id, lambda run, step=step: run.epoch > 1 and run.step > step + 50)
        link.places[-1].dead.set()
        wait_until(lambda number=number: len(link.places) > number, lambda: store.get(run_id))
    step = store.get(run_id).step
    wait_for(store, run_id, lambda run: run.step > step)
    store.request_stop(run_id)
    run = wait_for(store, run_id)
    assert run.status == "stopped" and len(link.places) == 3
    assert store.metrics(run_id, names=("loss",)).series["loss"][0] == list(range(1, run.step + 1)), "none twice, none missing"


def test_a_run_that_kills_each_of_its_processes_has_failed(placed, store):
    run_id, after = store.create(tiny(), "ann"), store.create(tiny(), "ann")
    link, _ = placed(lives=[1] * MOST_DEATHS)
    run = wait_for(store, run_id)
    assert run.status == "failed" and run.message.startswith(f"{DIED} {MOST_DEATHS} times on the cluster")
    assert len(run.message.splitlines()) == 1
    assert wait_for(store, after).status == "finished" and len(link.places) == MOST_DEATHS + 1


def test_a_process_that_hangs_is_ended_where_its_run_is_to_stop(placed, store):
    run_id = store.create(tiny(training__epochs=1000, training__batch_size=4), "ann")
    link, slot = placed()
    wait_for(store, run_id, lambda run: run.epoch > 1)
    link.places[0].frozen.set()
    slot.end_run("0" * 32)  # another place's
    store.request_stop(run_id)
    slot.end_run(run_id)
    run = wait_for(store, run_id)
    assert (run.status, run.message) == ("stopped", "Stopped.") and load_model(store, run_id).epoch >= 1
    assert wait_for(store, store.create(tiny(), "ann")).status == "finished" and len(link.places) == 2


def test_what_a_person_has_ended_and_put_in_the_queue_again_is_not_ended_twice(placed, store):
    run_id = store.create(tiny(training__epochs=1000, training__batch_size=4), "ann")
    link, _ = placed()
    wait_for(store, run_id, lambda run: run.epoch > 1)
    store.request_stop(run_id)
    stopped = wait_for(store, run_id)
    store.requeue(run_id, stopped.config)
    wait_for(store, run_id, lambda run: run.step > stopped.step)
    store.request_stop(run_id)
    assert wait_for(store, run_id).status == "stopped" and len(link.places) == 1


def test_a_cluster_with_another_pytorch_does_no_run(placed, store):
    about = replace(About(1, "there", platform.python_version(), torch.__version__, "cpu"), torch="2.1.0")
    run_id = store.create(tiny(), "ann")
    link, slot = placed(about=about, gpu=True)
    wait_until(lambda: slot.over, lambda: slot)
    assert slot.trouble.startswith("The cluster has PyTorch 2.1.0, and this server") and slot.lost == ""
    assert store.get(run_id).status == "queued" and link.places[0].dead.is_set() and link.asked == [(True, 2, False)]


def test_a_run_that_would_go_on_with_another_pytorch_is_ended(placed, store):
    """A cluster of machines that are not alike."""
    run_id = store.create(tiny(training__epochs=1000, training__batch_size=16), "ann")
    link, slot = placed()
    wait_for(store, run_id, lambda run: run.epoch > 1)
    link.says = replace(link.says, torch="2.1.0")
    link.places[0].dead.set()
    run = wait_for(store, run_id)
    assert run.status == "interrupted" and run.message.startswith("The cluster has PyTorch 2.1.0, and this server")
    wait_until(lambda: slot.over, lambda: slot)
    assert load_model(store, run_id).epoch >= 1 and len(run.message.splitlines()) == 1


def test_why_an_actor_died_in_one_line():
    """As Ray 2.60 says it."""
    assert cause_of(RuntimeError("The actor died because of an error raised in its creation task, \x1b[36mray::A.__init__()\n"
                                  "    import torch\nModuleNotFoundError: No module named 'torch'\n")) == \
        "ModuleNotFoundError: No module named 'torch'"
    assert cause_of(RuntimeError("The actor died unexpectedly before finishing this task.\n\tpid: 7\nThe actor is dead because "
                                  "its worker process has died.")) == "The actor died unexpectedly before finishing this task"


def test_where_the_link_is_lost_a_place_is_over_and_the_engine_ends_its_run(placed, store):
    run_id = store.create(tiny(training__epochs=1000, training__batch_size=4), "ann")
    link, slot = placed()
    wait_for(store, run_id, lambda run: run.epoch > 1)
    link.lost = True
    wait_until(lambda: slot.over, lambda: slot)
    assert slot.trouble == slot.lost == "" and len(link.places) == 1
    assert store.get(run_id).is_active, "it is the engine that ends the runs of a child that has ended"


def test_a_place_whose_gpu_went_with_its_machine_takes_what_there_is(placed, store):
    """The run that it was at goes on there."""
    has, left = [Room(2, 8)], Room(0, 4)
    run_id = store.create(tiny(training__epochs=1000, training__batch_size=16), "ann")
    link, slot = placed(gpu=True, room=lambda: has[0])
    wait_for(store, run_id, lambda run: run.epoch > 1)
    link.full = True
    link.places[0].dead.set()
    wait_until(lambda: len(link.places) == 2, lambda: link.asked)
    assert slot.gpu and slot.waiting_since is not None
    link.full, has[0] = False, left
    step = store.get(run_id).step
    wait_for(store, run_id, lambda run: run.step > step)
    assert link.asked == [(True, 8, False), (True, 8, False), (False, 4, False)] and not slot.gpu and slot.waiting_since is None
    store.request_stop(run_id)
    assert wait_for(store, run_id).status == "stopped"


def test_a_place_without_runs_is_given_back(placed, store, monkeypatch):
    monkeypatch.setattr(slots, "SECONDS_IDLE", 0.0)
    link, slot = placed()
    wait_until(lambda: slot.over, lambda: slot)
    assert link.places[0].dead.is_set() and slot.trouble == slot.lost == ""


def test_a_mistake_of_ours_is_told_from_a_death(placed, store, monkeypatch):
    monkeypatch.setattr(slots, "Delegate", None)
    store.create(tiny(), "ann")
    _, slot = placed()
    wait_until(lambda: slot.over, lambda: slot)
    assert "NoneType" in slot.lost and slot.trouble == ""


def test_many_runs_at_once_are_heard_less_often_but_in_time_to_stop():
    assert [round(seconds_between(runs), 2) for runs in (0, 1, 16, 17, 36, 256)] == [0, 0, 0, 0.02, 0.4, 0.8]
    assert seconds_between(256) + 0.5 < SECONDS_TO_STOP
