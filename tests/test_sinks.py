"""Metrics that go to a tracker beside the store: a stand-in of a module shaped like wandb, and Trackio itself where it is
installed (pip install -r requirements-sinks.txt)."""

import importlib.util
import json
import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.fields import ConfigError
from core.runs import LocalEngine
from core.runs.execute import execute
from core.runs.outlet import Outlet
from core.runs.recorder import Recorder
from core.runs.records import SINK, Metric
from core.settings import Settings
from core.sink_child import Report, make, serve
from core.sinks import PROJECT, SINKS, SinkRun, WandbShaped
from core.takeaway.record import lines_of, record_of
from core.training import Step
from tests.helpers import StopAfter, tiny, wait_for, wait_until

ROOT = Path(__file__).parents[1]
STAND_IN = '''
"""A module shaped like wandb, which writes down what it is told; how it misbehaves stands in a variable."""
import json, os, sys, time, warnings
how = os.environ.get("STAND_IN", "")
if how == "dies":
    os._exit(3)
def note(*what):
    with open(os.environ["STAND_IN_FILE"], "a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\\n")
def init(project, name=None, group=None, config=None, resume="never"):
    print("* a tracker that prints", flush=True)
    if how == "refuses":
        raise RuntimeError("no room\\nfor more")
    note("init", project, name, group, config, resume)
def log(metrics, step=None):
    if how == "hangs":
        time.sleep(3600)
    if how == "fails" and step == 2:
        raise OSError("lost")
    if how == "warns":
        warnings.warn("could not flush")
    note("log", step, metrics)
def finish():
    if how == "never ends":
        time.sleep(3600)
    note("finish")
'''


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """What the stand-in for Trackio was told, as a function; it is what a child process imports by that name."""
    (tmp_path / "stand_in").mkdir()
    (tmp_path / "stand_in/trackio.py").write_text(STAND_IN, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stand_in"))
    monkeypatch.setenv("STAND_IN_FILE", str(tmp_path / "told.jsonl"))

    def told():
        file = tmp_path / "told.jsonl"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []

    return told


def points(told, name="loss"):
    """(step, value) of one metric, in the order in which it was told."""
    return [(step, values[name]) for what, step, values in (row for row in told if row[0] == "log") if name in values]


def line_of(store, run_id):
    return store.snapshots(run_id)[SINK].value["line"]


def with_sink(settings):
    return Settings(settings.data_dir, settings.runs_dir, settings.cache_dir, sink="trackio")


def run_with_sink(store, settings, config, control=None):
    store.create(config, "me", title="A run")
    run = store.claim("here")
    return execute(store, run, with_sink(settings), control, wait_for_sink=True)


# --- a whole run

def test_a_run_tells_its_sink_all_that_the_store_has(store, settings, stand_in):
    run = run_with_sink(store, settings, tiny(training__epochs=2))
    first, *rows, last = stand_in()
    assert first[:4] == ["init", PROJECT, f"mlp-{run.id[:8]}", None] and first[5] == "allow"
    assert first[4] == {"run": run.id, "title": "A run", **run.config.model_dump(mode="json")}
    assert last == ["finish"]
    for name, (steps, values) in store.metrics(run.id).series.items():
        assert points(rows, name) == list(zip(steps, values, strict=True)), name
    steps = [row[1] for row in rows]
    assert steps == sorted(steps)
    assert points(rows, "test_accuracy") == [(run.step, run.test_accuracy)]
    assert line_of(store, run.id) == f"trackio: {len(rows) - 1:,} rows of metrics"
    said = {line.name: line.value for line in lines_of(record_of(store, run), run)}
    assert said["Metrics also went to"] == line_of(store, run.id)


def test_without_a_name_there_is_no_sink(store, settings, stand_in):
    store.create(tiny(), "me")
    run = execute(store, store.claim("here"), settings, wait_for_sink=True)
    assert run.status == "finished" and stand_in() == [] and SINK not in store.snapshots(run.id)
    assert "Metrics also went to" not in [line.name for line in lines_of(record_of(store, run), run)]


def test_a_run_that_goes_on_tells_no_point_twice(store, settings, stand_in):
    config = tiny(training__epochs=3)
    run = run_with_sink(store, settings, config, StopAfter(35))
    assert run.status == "stopped" and run.step > 0 and run.step % run.steps_per_epoch, "between two checkpoints"
    store.requeue(run.id, config)
    run = execute(store, store.claim("here"), with_sink(settings), wait_for_sink=True)
    assert run.status == "finished"
    told = stand_in()
    assert [row[2] for row in told if row[0] == "init"] == [f"mlp-{run.id[:8]}"] * 2
    for name in ("loss", "validation_loss"):
        steps, values = store.metrics(run.id, names=(name,)).series[name]
        assert points(told, name) == list(zip(steps, values, strict=True))


def test_the_command_line_tells_it_too(stand_in, tmp_path, places):
    arguments = ["digits-quick", "--json", "--set", "training.epochs=1", "--set", "data.fraction=0.1"]
    done = subprocess.run([sys.executable, "-m", "core", "train", *arguments], cwd=ROOT, capture_output=True, text=True,
                          encoding="utf-8", env={**os.environ, "PLAYGROUND_RUNS": str(tmp_path / "runs"),
                                                 "PLAYGROUND_SINK": "trackio"})
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]  # what the tracker prints is not among them
    assert [event["event"] for event in events] == ["epoch", "finished"]
    told = stand_in()
    assert told[-1] == ["finish"] and points(told)
    assert done.stderr.strip() == f"trackio: {len(told) - 3:,} rows of metrics"


def test_the_app_tells_it_too(store, settings, stand_in):
    with LocalEngine(store, with_sink(settings)) as engine:
        run = wait_for(store, engine.submit(tiny(), "me"))
        wait_until(lambda: stand_in()[-1:] == [["finish"]], stand_in)
    assert run.status == "finished" and points(stand_in()) == list(zip(*store.metrics(run.id).series["loss"], strict=True))


# --- sinks that misbehave

@pytest.mark.parametrize(("how", "line"), [
    ("refuses", "trackio: 0 rows of metrics, {all} left out (RuntimeError: no room)"),
    ("dies", "trackio: 0 rows of metrics, {all} left out (its process died)"),
    ("fails", "trackio: {others} rows of metrics, 1 left out (OSError: lost)"),
    ("warns", "trackio: {all} rows of metrics (could not flush)")])
def test_a_sink_that_fails_costs_its_own_rows_alone(how, line, store, settings, stand_in, monkeypatch):
    monkeypatch.setenv("STAND_IN", how)
    monkeypatch.setattr("core.runs.recorder.SECONDS_PER_FLUSH", 1e9)  # then step 2 is in one row
    outlets = []
    monkeypatch.setattr("core.runs.outlet.Outlet", lambda *given: outlets.append(Outlet(*given)) or outlets[-1])
    run = run_with_sink(store, settings, tiny())
    assert run.status == "finished" and run.test_accuracy is not None
    metrics = store.metrics(run.id).series
    assert metrics["loss"][0] == list(range(1, run.step + 1))
    offered = outlets[0].offered
    assert offered >= run.step and line_of(store, run.id) == line.format(all=offered, others=offered - 1)


@pytest.mark.parametrize("how", ["hangs", "never ends"])
def test_a_sink_that_hangs_is_ended_and_holds_nobody_up(how, store, settings, stand_in, monkeypatch):
    """The run has its result while the sink hangs; the thread ends with the sink, which is ended after its time."""
    monkeypatch.setenv("STAND_IN", how)
    run = store.create_running(tiny(), "me", "here")
    outlet = Outlet(store, run, "trackio", seconds=0.5)
    recorder = Recorder(store, run.id, outlet=outlet)
    for step in range(1, 200):
        recorder.take(Step(step, 1, 1.0, 0.5))
        recorder.flush()
    store.finish(run.id, "finished", "", 0.5, 1.0, 1.0)
    assert store.metrics(run.id, names=("loss",)).series["loss"][0] == list(range(1, 200)) and outlet._thread.is_alive()
    outlet.close("finished", {})
    outlet.wait()
    assert line_of(store, run.id) == ("trackio: it did not end within 0.5 s of the run and was ended; what it has kept is not "
                                      "known")


def test_what_a_slow_sink_can_not_take_is_left_out_and_counted(store, settings, stand_in, monkeypatch):
    monkeypatch.setenv("STAND_IN", "hangs")
    run = store.create_running(tiny(), "me", "here")
    outlet = Outlet(store, run, "trackio", seconds=0.0, most=10)
    for step in range(1, 2001):
        outlet.hand(outlet.batch([Metric("loss" * 100, step, 1.0)]))
    assert outlet.offered == 2000 and outlet.waiting <= 10 and outlet._queue.qsize() <= 11
    outlet.close("finished", {})
    outlet.wait()


def test_what_is_not_installed_says_how_to_get_it(monkeypatch):
    report = Report()
    monkeypatch.setitem(SINKS, "no_such_tracker", "pip install it")
    serve([json.dumps({"start": {}})], lambda: make("no_such_tracker"), report)
    assert report == Report(0, "ModuleNotFoundError: no_such_tracker is not installed; pip install it")


# --- what is told, and how

def test_steps_never_descend_and_nothing_comes_twice(store, stand_in):
    outlet = Outlet(store, store.create_running(tiny(), "me", "here"), "trackio")
    first = outlet.batch([Metric("loss", 2, 0.5), Metric("loss", 1, 1.0), Metric("memory", 2, 9.0)])
    assert first.rows == ((1, {"loss": 1.0}), (2, {"loss": 0.5, "memory": 9.0}))
    assert outlet.batch([Metric("loss", 1, 1.0)]).rows == ((1, {"loss": 1.0}),), "not handed over yet"
    outlet.hand(first)
    again = outlet.batch([Metric("loss", 1, 7.0), Metric("loss", 2, 7.0), Metric("validation_loss", 2, 0.4),
                          Metric("loss", 3, 0.3)])
    assert again.rows == ((2, {"validation_loss": 0.4}), (3, {"loss": 0.3}))
    outlet.hand(again)
    assert outlet.batch([Metric("validation_loss", 2, 0.4)]).rows == ()
    outlet.close("stopped", {})
    outlet.wait()


def test_not_a_number_arrives_as_it_is(store, stand_in):
    run = store.create_running(tiny(), "me", "here")
    outlet = Outlet(store, run, "trackio")
    outlet.hand(outlet.batch([Metric("loss", 1, math.nan), Metric("loss", 2, math.inf)]))
    outlet.close("failed", {"test_loss": 1.5})
    outlet.wait()
    values = points(stand_in())
    assert math.isnan(values[0][1]) and values[1] == (2, math.inf) and points(stand_in(), "test_loss") == [(2, 1.5)]


def test_a_process_that_dies_leaves_an_interrupted_run():
    told = []
    sink = SimpleNamespace(start=told.append, metrics=lambda *row: told.append(row), finish=lambda *end: told.append(end))
    report = Report()
    about = {"id": "1", "name": "mlp-1", "title": "", "group": "", "tags": ["a"], "config": {}}
    serve([json.dumps({"start": about}), json.dumps({"rows": [[1, {"loss": 0.5}]]})], lambda: sink, report)
    assert told == [SinkRun("1", "mlp-1", "", "", ("a",), {}), (1, {"loss": 0.5}), ("interrupted", {})]
    assert report == Report(1)


def test_a_module_gets_what_its_functions_name():
    calls = []

    def init(project, name, config, id=None, tags=None, resume=None):
        calls.append((project, name, config, id, tags, resume))

    module = SimpleNamespace(init=init, log=lambda values, step: calls.append((values, step)),
                             finish=lambda exit_code=0: calls.append(exit_code))
    sink = WandbShaped(module)
    sink.start(SinkRun("1", "mlp-1", "Mine", "seeds", ("good",), {"training": {"seed": 1}}))
    sink.metrics(4, {"loss": 0.5})
    sink.finish("failed", {})
    assert calls == [(PROJECT, "mlp-1", {"run": "1", "title": "Mine", "training": {"seed": 1}}, "1", ["good"], "allow"),
                     ({"loss": 0.5}, 4), 1]


@pytest.mark.parametrize("name", ["tensorboard", "os", "trackio ", "../x", "TRACKIO", "trackio,wandb"])
def test_only_names_of_the_list_are_taken(name, tmp_path):
    with pytest.raises(ConfigError, match=r"^PLAYGROUND_SINK is .*; it must be trackio or wandb, or empty for none$"):
        Settings.from_environment({"PLAYGROUND_SINK": name}, tmp_path)


def test_the_name_is_read_from_the_environment(tmp_path):
    assert Settings.from_environment({}, tmp_path).sink == Settings.from_environment({"PLAYGROUND_SINK": ""}, tmp_path).sink == ""
    assert Settings.from_environment({"PLAYGROUND_SINK": "wandb"}, tmp_path).sink == "wandb"


# --- Trackio itself

@pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="Trackio is not installed: requirements-sinks.txt")
def test_trackio_has_what_the_store_has(store, settings, tmp_path, monkeypatch):
    """Read back from its own database; it may reach nothing outside this machine."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):  # whoever asks a server runs into these
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    run = run_with_sink(store, settings, tiny(training__epochs=2), StopAfter(35))
    store.requeue(run.id, run.config)
    run = execute(store, store.claim("here"), with_sink(settings), wait_for_sink=True)
    with sqlite3.connect(tmp_path / f"trackio/{PROJECT}.db") as db:
        rows = db.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id").fetchall()
        (config,), = db.execute("SELECT config FROM configs").fetchall()
    assert {name for name, _, _ in rows} == {f"mlp-{run.id[:8]}"}
    told = [("log", step, json.loads(metrics)) for _, step, metrics in rows]
    for name, (steps, values) in store.metrics(run.id).series.items():
        assert points(told, name) == list(zip(steps, values, strict=True)), name
    assert points(told, "test_accuracy") == [(run.step, run.test_accuracy)]
    assert json.loads(config)["training"] == run.config.model_dump(mode="json")["training"]
    assert line_of(store, run.id).endswith("rows of metrics")
