"""Range tests and groups of seeds as runs, and what the recorder writes down."""

import math

import pytest

from core.runs import RunStore, StoreError
from core.runs.execute import execute
from core.runs.groups import summarize
from core.runs.range_run import STEPS, SUGGESTION, range_curve
from core.runs.recorder import CONFUSION, PREDICTIONS, Recorder
from core.runs.records import NUMBER_FORMAT, Metric, Snapshot
from core.training import Gradients, Step, build_for
from core.training.range_test import LOWEST, conclude, range_test
from tests.helpers import StopAfter, run_here, tiny, wait_for

SGD = {"training__optimizer__name": "sgd", "model__hidden": [32]}


def test_a_range_test_is_a_run_and_no_result(engine, digits):
    config = tiny(**SGD)
    run_id = engine.find_rate(config, "finder")
    run = wait_for(engine.store, run_id)
    assert (run.status, run.kind, run.test_accuracy, run.steps) == ("finished", "range_test", None, STEPS)
    assert run_id not in {one.id for one in engine.store.runs()}
    steps = range_curve(engine.store.metrics(run_id))
    rates = [step.rate for step in steps]
    assert rates[0] == LOWEST and rates == sorted(rates) and run.step == len(steps)
    assert all(later / earlier == pytest.approx(rates[1] / rates[0]) for earlier, later in zip(rates, rates[1:], strict=False))
    found = engine.store.snapshots(run_id)[SUGGESTION].value
    here = range_test(config, digits, build_for(config, digits), steps=STEPS)
    assert found["rate"] == pytest.approx(here.suggested, rel=0.5)  # a step or two apart, where threads sum in another order
    assert conclude(steps).suggested == pytest.approx(found["rate"])
    assert not (engine.store.folder(run_id)).exists(), "it keeps no weights"
    again = engine.find_rate(config, "finder")
    assert again != run_id and run_id not in {one.id for one in engine.store.runs(kinds=["range_test"])}
    wait_for(engine.store, again)


def test_a_range_test_is_stopped(store: RunStore, settings):
    store.create(tiny(), "ann", kind="range_test")
    ended = execute(store, store.claim("here"), settings, StopAfter(4))
    assert ended.status == "stopped" and SUGGESTION not in store.snapshots(ended.id)


@pytest.mark.parametrize("seconds", [0.0, 0.05, 1e9])
def test_a_range_test_writes_down_every_step_however_often_it_writes(store: RunStore, settings, monkeypatch, seconds):
    monkeypatch.setattr("core.runs.range_run.SECONDS_PER_FLUSH", seconds)
    store.create(tiny(**SGD), "ann", kind="range_test")
    run = execute(store, store.claim("here"), settings)
    steps = range_curve(store.metrics(run.id))
    assert [step.step for step in steps] == list(range(1, run.step + 1)) and run.step > 50


def test_a_range_test_that_blows_up_at_once_suggests_the_lowest():
    assert conclude([]).suggested == LOWEST and conclude([]).too_high is None


def test_seeds_are_queued_together_and_counted_right(store: RunStore):
    first = store.create(tiny(), "ben")
    ids = store.create_group([(tiny(training__seed=seed), f"seed {seed}") for seed in (4, 5, 6)], "ann", "key")
    assert [run.id for run in store.group(store.get(ids[0]).group_id)] == ids
    assert [store.get(run_id).config.training.seed for run_id in ids] == [4, 5, 6]
    assert [store.queue_position(run_id) for run_id in (first, *ids)] == [0, 1, 2, 3]
    assert store.create_group([(tiny(), "again")], "ann", "key") == ids, "a double click"
    store.request_stop(first)
    assert [store.queue_position(run_id) for run_id in ids] == [0, 1, 2]
    assert store.group("") == [] and store.get(first).group_id == ""


def test_three_seeds_from_one_click(engine):
    config = tiny(training__seed=7)
    ids = engine.submit_seeds(config, "ann", 3, "A run")
    runs = [wait_for(engine.store, run_id) for run_id in ids]
    assert [run.title for run in runs] == ["A run · seed 7", "A run · seed 8", "A run · seed 9"]
    assert len({run.test_accuracy for run in runs}) > 1
    assert {run.config.with_values({"training.seed": 0}) for run in runs} == {config.with_values({"training.seed": 0})}
    whole, accuracies = summarize(runs), [run.test_accuracy for run in runs]
    assert (whole.runs, whole.mean, whole.deviation) == (3, pytest.approx(sum(accuracies) / 3), pytest.approx(
        math.sqrt(sum((a - sum(accuracies) / 3) ** 2 for a in accuracies) / 2)))


def test_a_summary_of_few(store: RunStore):
    run = store.create_running(tiny(), "ann", "here")
    assert summarize([run]).mean is None and summarize([]).runs == 0
    store.finish(run.id, "finished", test_accuracy=0.5)
    assert (summarize([store.get(run.id)]).mean, summarize([store.get(run.id)]).deviation) == (0.5, None)
    other = store.create_running(tiny(), "ann", "here")
    store.finish(other.id, "finished", test_accuracy=0.7)
    both = summarize([store.get(run.id), store.get(other.id)])  # 0.1 below and above their mean, over n − 1 = 1
    assert (both.mean, both.deviation) == (pytest.approx(0.6), pytest.approx(math.sqrt(0.1**2 + 0.1**2)))


# --- the recorder and snapshots


def test_a_run_writes_down_what_a_page_shows(store: RunStore, settings):
    run = run_here(store, settings, tiny(training__epochs=2))
    series, snapshots = store.metrics(run.id).series, store.snapshots(run.id)
    assert series["dead.relu1"][0] == [20, 40] and all(0 <= share <= 1 for share in series["dead.relu1"][1])
    assert min(series["throughput"][1]) > 0 and min(series["memory"][1]) > 10 and "gpu_memory" not in series
    assert sum(map(sum, snapshots[CONFUSION].value["counts"])) == 200 and snapshots[CONFUSION].value["epoch"] == 2
    strip = snapshots[PREDICTIONS].value
    assert len(strip["positions"]) == len(strip["labels"]) == len(strip["answers"]) == len(strip["probabilities"]) == 10
    store.forget_after(run.id, 20, 0)
    assert store.snapshots(run.id).keys() == {NUMBER_FORMAT} and store.metrics(run.id).series["dead.relu1"][0] == [20]


def test_throughput_is_of_all_steps_since_the_last_flush(store: RunStore):
    now = [0.0]
    run = store.create_running(tiny(), "ann", "here")
    recorder = Recorder(store, run.id, clock=lambda: now[0])
    for step, seconds in enumerate((0.5, 0.1, 0.3), start=1):
        recorder.step(Step(step, 1, 1.0, 0.5))
        recorder.gradients(Gradients(step, 0.1, {"fc1": math.nan, "fc2": 2.0}, 64, seconds))
        now[0] += 0.2  # the second one comes too soon for a flush
    series = store.metrics(run.id).series
    assert series["throughput"] == ([1, 3], [128.0, pytest.approx(128 / 0.4)])
    assert series["loss"][0] == [1, 2, 3] and series["gradient.fc2"][0] == [1, 3] and "gradient.fc1" not in series


def test_a_snapshot_is_replaced_and_goes_with_its_run(store: RunStore):
    run = store.create_running(tiny(), "ann", "here")
    assert store.record(run.id, [Metric("loss", 1, 1.0)], [Snapshot("confusion", 1, {"counts": [[1]]})])
    assert store.record(run.id, [], [Snapshot("confusion", 2, {"counts": [[2]]})])
    assert store.snapshots(run.id) == {"confusion": Snapshot("confusion", 2, {"counts": [[2]]})}
    store.finish(run.id, "stopped")
    assert not store.record(run.id, [], [Snapshot("confusion", 3, {})]) and store.snapshots(run.id)["confusion"].step == 2
    store.delete(run.id)
    assert store.snapshots(run.id) == {}


def test_an_active_run_is_not_deleted(store: RunStore):
    run_id = store.create(tiny(), "ann", kind="range_test")
    with pytest.raises(StoreError):
        store.delete(run_id)
