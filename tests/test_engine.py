"""Both engines, LocalEngine and RayEngine: runs in processes, and what becomes of them when one dies, hangs or can't be done.

The Ray side starts a cluster on this machine, where Ray is installed: pytest -n 0 -k "ray" tests/test_engine.py

Waits are generous and nothing is asserted about how long something took: machines differ.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from core.cluster.engine import RayEngine
from core.config import read_config
from core.runs import LocalEngine, RunNotFound, RunStore, has_checkpoint, load_model
from core.runs.engine import describe_exit
from core.runs.execute import execute
from core.runs.sweep_records import TrialOf
from core.training import Epoch, Step, build_for, fit
from tests.helpers import PATIENCE, is_alive, run_here, stop_process, tiny, wait_for, wait_until

LONG = {"training__epochs": 1000, "training__batch_size": 16}  # would go on for a minute or more


@pytest.fixture(params=["local", "ray"])
def kind(request):
    return request.param


@pytest.fixture
def either(kind, request):
    """The engine that the tests of a session share, of each kind."""
    return request.getfixturevalue("engine" if kind == "local" else "ray_engine")


@pytest.fixture
def lively(either):
    """The shared engine with nothing left over: every run of a test is ended after it."""
    yield either
    for run in either.store.runs(statuses=["queued", "running"]):
        either.cancel(run.id)
        wait_for(either.store, run.id)


@pytest.fixture
def made(kind, request):
    """What makes an engine of a test's own, of each kind: (store, settings) → engine."""
    if kind == "local":
        return LocalEngine
    address = request.getfixturevalue("cluster")
    return lambda store, settings: RayEngine(store, replace(settings, cluster=address, cluster_cores=1))


def has_steps(run):
    assert run.is_active, f"it should be running: {run}"
    return run.step > 0


def has_epochs(run):
    assert run.is_active, f"it should be running: {run}"
    return run.epoch > 1


def long_run(engine, until=has_steps):
    """The id of a run that is in the middle of it."""
    run_id = engine.submit(tiny(**LONG), "ann")
    wait_for(engine.store, run_id, until)
    return run_id


def test_a_run_from_submit_to_its_result(lively):
    config = tiny(training__epochs=3, training__seed=2, training__optimizer__learning_rate=0.01)
    run_id = lively.submit(config, "ann", title="A run")
    run = wait_for(lively.store, run_id)
    assert (run.status, run.message, run.owner, run.title) == ("finished", "", "ann", "A run")
    assert run.test_accuracy > 0.6 and 0 < run.test_loss < 2 and run.validation_accuracy > 0.6 and run.seconds > 0
    assert (run.steps_per_epoch, run.steps, run.step, run.epoch, run.progress) == (20, 60, 60, 3, 1.0)
    assert (run.device, run.precision, run.parameters) == ("cpu", "float32", 784 * 8 + 8 + 8 * 10 + 10)
    assert run.created <= run.started <= run.finished
    series = lively.store.metrics(run_id).series
    assert series["loss"][0] == series["accuracy"][0] == list(range(1, 61))
    for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds", "images_per_second"):
        assert series[name][0] == [20, 40, 60]
    assert series["validation_accuracy"][1][-1] == run.validation_accuracy
    assert series["train_loss"][1] == pytest.approx(sorted(series["train_loss"][1], reverse=True))
    trained = load_model(lively.store, run_id)
    assert trained.config == config and trained.epoch == 3
    assert read_config((lively.store.folder(run_id) / "config.json").read_text(encoding="utf-8")) == config
    assert lively.status(run_id) == run


def test_the_worker_computes_what_this_process_would(lively, digits):
    config = tiny(training__epochs=2)
    here = [event.loss for event in fit(config, digits, build_for(config, digits), torch.device("cpu"))
            if isinstance(event, Step)]
    run_id = lively.submit(config, "ann")
    wait_for(lively.store, run_id)
    assert lively.store.metrics(run_id).series["loss"][1] == pytest.approx(here, abs=1e-5)


def test_cancel_a_running_run(lively, monkeypatch):
    monkeypatch.setattr("core.runs.engine.SECONDS_TO_STOP", PATIENCE)  # so that it stops because it was asked, or not at all
    run_id = long_run(lively, until=has_epochs)
    pids = lively.worker_pids
    lively.cancel(run_id)
    run = wait_for(lively.store, run_id)
    assert (run.status, run.message, run.test_accuracy) == ("stopped", "Stopped.", None)
    assert 0 < run.step < run.steps
    assert load_model(lively.store, run_id).epoch >= 1
    after = lively.submit(tiny(), "ann")
    assert wait_for(lively.store, after).status == "finished"
    assert lively.worker_pids == pids


def test_cancel_a_queued_run(lively):
    first = long_run(lively)
    queued = lively.submit(tiny(), "ann")
    lively.cancel(queued)
    run = lively.status(queued)
    assert (run.status, run.started, run.message) == ("stopped", None, "Stopped before it started.")
    assert lively.status(first).status == "running"
    lively.cancel(queued)  # again: nothing
    with pytest.raises(RunNotFound):
        lively.cancel("0" * 32)
    with pytest.raises(RunNotFound):
        lively.status("../x")


def test_two_at_once_run_one_after_another(lively):
    barrier = threading.Barrier(2)

    def submit(seed):
        barrier.wait()
        return lively.submit(tiny(training__seed=seed, training__epochs=40), "ann")

    with ThreadPoolExecutor(2) as pool:
        ids = list(pool.map(submit, (0, 1)))
    assert len(set(ids)) == 2
    together = []

    def all_over():
        runs = [run for run in lively.store.runs() if run.id in ids]  # in one look, or one may begin between two
        together.append(sum(run.status == "running" for run in runs))
        return all(not run.is_active for run in runs)

    wait_until(all_over, lambda: [lively.status(run_id) for run_id in ids])
    assert max(together) == 1
    first, second = sorted((lively.status(run_id) for run_id in ids), key=lambda run: run.number)
    assert first.status == second.status == "finished"
    assert first.finished <= second.started


def test_a_double_click_makes_one_run(lively):
    first = long_run(lively)
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(lambda _: lively.submit(tiny(), "ann", key="one click"), range(4)))
    assert len(ids) == 1
    lively.cancel(first)
    run = wait_for(lively.store, ids.pop())
    assert run.status == "finished"
    assert lively.submit(tiny(), "ann", key="one click") != run.id


@pytest.mark.parametrize(("changes", "says"), [
    ({"data__dataset": "mnist"}, "MNIST"),
    ({"data__validation": 5000}, "data.validation is 5,000"),
    ({"model__architecture": "cnn", "model__channels": [4] * 8}, "use at most 4 channels"),
    ({"data__dataset": "of my own"}, "no data set 'of my own'"),
    ({"data__task": "is_target", "data__target": 10}, "data.target is 10"),
    pytest.param({"training__device": "cuda"}, "training.device is 'cuda'",
                 marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")),
    ({"model__hidden": [64, 64, 64], "training__optimizer__name": "sgd", "training__optimizer__learning_rate": 100.0},
     "became NaN or infinite at step"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_run_that_fails_says_why_and_the_worker_goes_on(lively, changes, says):
    pids = lively.worker_pids
    run_id, after = lively.submit(tiny(**changes), "ann"), lively.submit(tiny(), "ann")
    run = wait_for(lively.store, run_id)
    assert run.status == "failed" and says in run.message and len(run.message.splitlines()) == 1
    assert run.test_accuracy is None
    assert wait_for(lively.store, after).status == "finished"
    assert lively.worker_pids == pids


def test_a_killed_worker_is_replaced_and_its_run_fails_or_goes_on(lively, kind):
    run_id = long_run(lively, until=has_epochs)
    wait_until(lambda: has_checkpoint(lively.store, run_id), lambda: lively.status(run_id))
    after = lively.submit(tiny(), "ann")
    pid, = lively.worker_pids
    os.kill(pid, signal.SIGKILL)
    if kind == "local":
        run = wait_for(lively.store, run_id)
        assert run.status == "failed" and "memory ran out" in run.message and len(run.message.splitlines()) == 1
    else:  # another process goes on from the last checkpoint
        wait_until(lambda: lively.worker_pids not in ([], [pid]), lambda: lively.worker_pids)
        step = lively.status(run_id).step
        wait_for(lively.store, run_id, lambda run: run.step > step + 100)
        lively.cancel(run_id)
        wait_for(lively.store, run_id)
        steps = lively.store.metrics(run_id, names=("loss",)).series["loss"][0]
        assert steps == list(range(1, lively.status(run_id).step + 1)), "no step is there twice, and none is missing"
    assert load_model(lively.store, run_id).epoch >= 1
    assert wait_for(lively.store, after).status == "finished"
    assert lively.worker_pids != [pid] and not is_alive(pid)


def test_of_two_workers_the_second_one_is_replaced_too(store, settings):
    with LocalEngine(store, replace(settings, workers=2)) as engine:
        first, second = engine.worker_pids
        os.kill(second, signal.SIGKILL)
        wait_until(lambda: second not in engine.worker_pids, lambda: engine.worker_pids)
        assert engine.worker_pids[0] == first and len(engine.worker_pids) == 2 and is_alive(engine.worker_pids[1])


def test_each_worker_has_a_device_of_its_own_and_a_run_says_which(store, settings):
    """cpu:0 and cpu:1 stand for two GPUs: PyTorch takes either for the processor."""
    with LocalEngine(store, settings, devices=("cpu:0", "cpu:1")) as engine:
        ids = [long_run(engine) for _ in range(2)]  # the second does not wait for the first
        wait_until(lambda: all(store.get(run_id).step for run_id in ids), lambda: [store.get(run_id) for run_id in ids])
        assert {store.get(run_id).device for run_id in ids} == {"cpu:0", "cpu:1"}
        for run_id in ids:
            engine.cancel(run_id)
            wait_for(store, run_id)
        _, second = engine.worker_pids
        os.kill(second, signal.SIGKILL)
        wait_until(lambda: second not in engine.worker_pids, lambda: engine.worker_pids)
        assert [worker.device for worker in engine._workers] == ["cpu:0", "cpu:1"], "its place is its device's"


@pytest.mark.cuda
@pytest.mark.parametrize("gpus", [pytest.param(gpus, marks=pytest.mark.skipif(
    torch.cuda.device_count() < gpus, reason=f"CUDA GPUs here: fewer than {gpus}")) for gpus in (1, 2)])
def test_on_real_gpus_each_worker_trains_on_its_own(gpus, store, settings):
    """A run that asks for no device goes to a GPU and says to which; as many runs as there are GPUs have one each."""
    def is_on_it(run):
        assert run.is_active, f"it should be running: {run}"
        return store.metrics(run.id, names=("gpu_memory",)).series.get("gpu_memory")

    with LocalEngine(store, settings) as engine:
        assert [worker.device for worker in engine._workers] == [
            *(f"cuda:{number}" for number in range(torch.cuda.device_count())), "cpu"]
        ids = [engine.submit(tiny(**LONG, training__device="auto"), "ann") for _ in range(gpus)]
        runs = [wait_for(store, run_id, is_on_it) for run_id in ids]
        device_of = {worker.name: worker.device for worker in engine._workers}
        assert [run.device for run in runs] == [device_of[run.worker] for run in runs]
        assert len({run.device for run in runs}) == gpus and all(run.device.startswith("cuda:") for run in runs)
        for run in runs:
            assert min(is_on_it(run)[1]) > 0, "MB that its tensors take there"
            engine.cancel(run.id)
            assert wait_for(store, run.id).status == "stopped"


def freeze(store, pid):
    """Stop a process as it stands, but not while it writes: it would hold the store's lock, which no hanging step does."""
    def frozen():
        stop_process(pid)
        with sqlite3.connect(store.path / "runs.sqlite3", timeout=0.2, isolation_level=None) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
                return True
            except sqlite3.OperationalError:
                os.kill(pid, signal.SIGCONT)
                return False

    wait_until(frozen, lambda: f"{pid} is writing all the time")


def test_a_worker_that_hangs_is_ended_on_cancel(lively):
    run_id = long_run(lively)
    pid, = lively.worker_pids
    freeze(lively.store, pid)  # on the cluster it never writes: it is frozen at once
    lively.cancel(run_id)
    run = wait_for(lively.store, run_id)
    assert (run.status, run.message) == ("stopped", "Stopped.")
    wait_until(lambda: lively.worker_pids != [pid], lambda: lively.worker_pids)
    wait_until(lambda: not is_alive(pid), lambda: pid)
    assert wait_for(lively.store, lively.submit(tiny(), "ann")).status == "finished"


def test_a_worker_that_was_asleep_goes_on_with_its_run(lively, monkeypatch):
    """Silence of the engine's own worker is no death: a laptop was closed, or the machine swaps."""
    monkeypatch.setattr("core.runs.engine.SECONDS_OF_SILENCE", 0.5)
    run_id = long_run(lively)
    pid, = lively.worker_pids
    freeze(lively.store, pid)
    time.sleep(1.5)
    step = lively.status(run_id).step
    assert lively.status(run_id).status == "running"
    os.kill(pid, signal.SIGCONT)
    wait_for(lively.store, run_id, lambda run: run.step > step)
    assert lively.worker_pids == [pid]


def test_what_another_engines_worker_does_is_left_alone(lively, store):
    """A run of the command line beats; one that a dead server left behind does not."""
    run = lively.store.create_running(tiny(), "command line", "foreground")
    silent = lively.store.create_running(tiny(), "command line", "gone")
    try:
        def beat_and_look():
            lively.store.heartbeat("foreground")
            return not lively.status(silent.id).is_active

        wait_until(beat_and_look, lambda: lively.status(silent.id))
        assert lively.status(silent.id).status == "interrupted"
        assert lively.status(run.id).status == "running"
    finally:
        lively.store.finish(run.id, "finished")


# --- what can go wrong in the middle of a run

@pytest.mark.parametrize(("error", "says"), [
    (RuntimeError("no kernel for this\nand a long trace"), "PyTorch stopped the run: no kernel for this"),
    (RuntimeError(), "PyTorch stopped the run: RuntimeError"),
    (MemoryError(), "more memory than this machine has"),
    (OSError(28, "No space left on device", "/cache/x"), "A file can't be read or written: the disk is full."),
])
def test_errors_end_the_run_with_one_line(store, settings, monkeypatch, error, says):
    monkeypatch.setattr("core.runs.execute.predict", lambda *arguments: throw(error))
    run = run_here(store, settings, tiny())
    assert run.status == "failed" and says in run.message and len(run.message.splitlines()) == 1
    assert has_checkpoint(store, run.id)


def throw(error):
    raise error


def test_a_mistake_in_the_code_is_written_down_and_raised(store, settings, monkeypatch):
    monkeypatch.setattr("core.runs.execute.predict", lambda *arguments: throw(KeyError("gone")))
    with pytest.raises(KeyError):
        run_here(store, settings, tiny())
    run, = store.runs()
    assert (run.status, run.message) == ("failed", "The run ended with KeyError: 'gone'")


def test_a_run_that_was_deleted_meanwhile_writes_nothing_more(store, settings):
    """Taken for dead and deleted while its process slept: it must not come back as a folder without a row."""
    run = store.create_running(tiny(), "tester", "here")

    def delete(event):
        if isinstance(event, Epoch):  # the checkpoint comes next
            store.finish(run.id, "interrupted")
            store.delete(run.id)

    with pytest.raises(RunNotFound):
        execute(store, run, settings, report=delete)
    assert store.runs() == [] and not [path for path in store.path.iterdir() if path.is_dir()]


# --- starting and ending

SERVER = """
import sys, time
from core.cluster.engine import engine_for
from core.config import read_config
from core.runs import RunStore
from core.settings import Settings

settings = Settings.from_environment()
engine = engine_for(RunStore(settings.runs_dir), settings)
run_id = engine.submit(read_config(sys.argv[1]), "ann")
queued = engine.submit(read_config(sys.argv[1]), "ann")
print(run_id, queued, *(worker.popen.pid for worker in engine._workers), flush=True)
time.sleep(600)
"""


@pytest.fixture
def server(settings, kind, request):
    """A process with an engine of its own on the test's store, as (process, run id, queued run's id, its child's id)."""
    ray = {} if kind == "local" else {"PLAYGROUND_ENGINE": "ray", "RAY_ADDRESS": request.getfixturevalue("cluster"),
                                      "PLAYGROUND_RAY_CORES": "1"}
    environment = os.environ | {"PLAYGROUND_RUNS": str(settings.runs_dir)} | ray
    process = subprocess.Popen([sys.executable, "-c", SERVER, tiny(**LONG).model_dump_json()], stdout=subprocess.PIPE, text=True,
                               env=environment)
    run_id, queued, pid = process.stdout.readline().split()
    yield process, run_id, queued, int(pid)
    process.kill()
    process.wait()
    process.stdout.close()
    if is_alive(int(pid)):
        os.kill(int(pid), signal.SIGKILL)


def test_a_killed_server_takes_its_workers_with_it(server, store, settings):
    process, run_id, queued, pid = server
    wait_for(store, run_id, has_epochs)
    assert is_alive(pid)
    process.kill()
    process.wait()
    wait_until(lambda: not is_alive(pid), lambda: f"worker {pid} is still there; {store.get(run_id)}")
    run = store.get(run_id)
    assert run.status == "interrupted" and len(run.message.splitlines()) == 1
    assert load_model(store, run_id).epoch >= 1
    assert store.get(queued).status == "queued"  # nobody stopped it: it is the next server's


def test_the_next_server_marks_what_a_dead_one_left(server, made, store, settings):
    """Server and worker end together, as when the machine is switched off, so that nobody could write anything down."""
    process, run_id, queued, pid = server
    wait_for(store, run_id, has_steps)
    stop_process(pid)  # so that it does not see the server go
    process.kill()
    process.wait()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), lambda: pid)
    assert store.get(run_id).status == "running"
    with made(store, settings) as engine:
        run = wait_for(store, run_id)
        assert run.status == "interrupted" and "app ended" in run.message
        engine.cancel(wait_for(store, queued, has_steps).id)  # the new one has taken up the queue
        assert wait_for(store, queued).status == "stopped"


def test_close(made, store, settings):
    engine = made(store, settings)
    run_id = long_run(engine)
    queued = engine.submit(tiny(), "ann")
    pids = engine.worker_pids
    assert len(pids) == 1 and all(map(is_alive, pids))
    engine.close()
    wait_until(lambda: not any(map(is_alive, pids)), lambda: pids)
    assert store.get(run_id).status == "interrupted"
    engine.close()
    assert store.get(queued).status == "queued"
    late = engine.submit(tiny(), "ann")  # it waits for the next engine
    assert store.get(late).status == "queued"


def test_no_workers_no_training(made, store, settings):
    with made(store, replace(settings, workers=0)) as engine:
        assert engine.worker_pids == []
        run_id = engine.submit(tiny(), "ann")
        assert store.queue_position(run_id) == 0 and engine.status(run_id).status == "queued"
        engine.cancel(run_id)
        assert engine.status(run_id).status == "stopped"


def test_the_workers_look_into_the_store_they_are_for(tmp_path, places):
    """Not into the folder that PLAYGROUND_RUNS names."""
    store = RunStore(tmp_path / "elsewhere")
    with LocalEngine(store) as engine:
        assert engine.settings.runs_dir == tmp_path / "elsewhere" != places / "runs"
        assert wait_for(store, engine.submit(tiny(), "ann")).status == "finished"


def test_a_worker_finds_packages_where_this_process_does(store, settings, monkeypatch, tmp_path):
    """PYTHONPATH is handed on: some people's torch is found through it."""
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'was here')!r}, 'w').close()", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with LocalEngine(store, settings):
        assert wait_until((tmp_path / "was here").exists, lambda: "the worker has not looked into PYTHONPATH")


@pytest.mark.parametrize(("code", "says"), [(-9, "memory ran out"), (-11, "signal 11"), (1, "exit code 1")])
def test_how_a_process_ended_in_words(code, says):
    assert says in describe_exit(code)


def test_a_stopped_run_goes_on_as_if_it_had_never_stopped(either):
    """Through the store and the worker process: the same losses as a run that was left alone."""
    config = tiny(training__epochs=6, model__hidden=[64], model__dropout=0.2)
    store = either.store
    whole = wait_for(store, either.submit(config, "ann"))
    broken = either.submit(config.with_values({"training.epochs": 6}), "ben")
    wait_for(store, broken, lambda run: run.step > 20 or not run.is_active)
    either.cancel(broken)
    stopped = wait_for(store, broken)
    if stopped.status == "stopped":  # it may have been faster than the request
        either.resume(broken)
        assert wait_for(store, broken).status == "finished"
    ours, theirs = store.metrics(broken, names=("loss",)).series["loss"], store.metrics(whole.id, names=("loss",)).series["loss"]
    assert ours == theirs
    assert store.get(broken).test_accuracy == whole.test_accuracy


def test_a_finished_run_goes_on_for_more_epochs(either):
    run = wait_for(either.store, either.submit(tiny(), "ann"))
    either.resume(run.id, more_epochs=2)
    longer = wait_for(either.store, run.id)
    assert (longer.status, longer.epoch, longer.step) == ("finished", 3, 3 * run.step)
    straight = wait_for(either.store, either.submit(tiny(training__epochs=3), "ann"))
    assert either.store.metrics(run.id, names=("loss",)).series == either.store.metrics(straight.id, names=("loss",)).series


def test_a_running_run_is_paused_and_goes_on(either):
    run_id = long_run(either)
    either.pause(run_id)
    standing = wait_until(lambda: _stands_still(either.store, run_id), lambda: either.store.get(run_id))
    either.pause(run_id, False)
    wait_for(either.store, run_id, lambda run: run.step > standing or not run.is_active)
    either.cancel(run_id)
    assert wait_for(either.store, run_id).status == "stopped"


def _stands_still(store, run_id):
    """The step of a run that has not moved for half a second; 0 while it moves."""
    step = store.get(run_id).step
    time.sleep(0.5)
    return step if store.get(run_id).step == step else 0


def test_a_paused_run_makes_room_for_one_that_waits_and_can_go_on(lively, monkeypatch):
    monkeypatch.setattr("core.runs.engine.SECONDS_OF_PAUSE", 0.2)
    paused = long_run(lively)
    lively.pause(paused)
    second = lively.submit(tiny(training__epochs=1), "ben")
    assert wait_for(lively.store, second).status == "finished"
    stopped = wait_for(lively.store, paused)
    assert stopped.status == "stopped" and "another run was waiting" in stopped.message
    lively.resume(paused)
    assert wait_for(lively.store, paused, lambda run: run.step > stopped.step).message == ""


# --- what a run can be asked while it goes, and what else can be asked for

def test_a_run_takes_single_steps_another_learning_rate_and_a_weight_by_hand(lively):
    run_id = lively.submit(tiny(**LONG), "ann", paused=True)
    wait_for(lively.store, run_id, lambda run: run.steps > 0)
    lively.step(run_id)
    wait_for(lively.store, run_id, lambda run: run.step == 1)
    lively.set_weight(run_id, "fc1", 0, 1, 0.25)
    wait_until(lambda: lively.store.interventions(run_id), lambda: lively.status(run_id))
    lively.set_learning_rate(run_id, 0.5)
    lively.step(run_id, 2)
    wait_for(lively.store, run_id, lambda run: run.step == 3)
    assert lively.status(run_id).status == "running"
    lively.cancel(run_id)
    assert wait_for(lively.store, run_id).step == 3
    weight, rate = lively.store.interventions(run_id)
    assert (weight.what, weight.step, weight.layer, weight.after) == ("weight", 1, "fc1", 0.25)
    assert (rate.what, rate.step, rate.after) == ("learning_rate", 1, 0.5)


def test_a_run_is_watched(lively):
    run_id = lively.submit(tiny(training__epochs=3), "ann", watch=torch.zeros(2, 1, 28, 28))
    assert wait_for(lively.store, run_id).status == "finished"
    looks = lively.store.looks(run_id, "watch")
    assert looks[0].step == 0 and looks[-1].step == 60 and looks[-1].arrays["watched"].shape == (2, 10)


def test_a_range_test(lively):
    run_id = lively.find_rate(tiny(), "ann")
    assert wait_for(lively.store, run_id).status == "finished"
    assert lively.store.snapshots(run_id)["suggestion"].value["rate"] > 0
    assert len(lively.store.metrics(run_id, names=("rate",)).series["rate"][0]) > 20


def test_runs_of_several_seeds_and_a_trial(lively):
    ids = lively.submit_seeds(tiny(), "ann", 2, title="Seeds")
    assert [wait_for(lively.store, run_id).status for run_id in ids] == ["finished", "finished"]
    assert len({lively.status(run_id).test_accuracy for run_id in ids} | {None}) > 1
    sweep = lively.store.create_sweep("{}", "ann")
    trial = lively.submit_trial(tiny(), "ann", TrialOf(sweep, 0, 0, {"x": 1}))
    run = wait_for(lively.store, trial)
    assert (run.status, run.test_accuracy) == ("finished", None), "its test images are left alone"
