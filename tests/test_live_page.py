"""The train page while a run goes: single steps, seeds, the learning-rate finder, what is shown of a run."""

import json

import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.config import read_config
from core.inspection.doctor import Case, examine
from core.presets import PRESETS
from core.runs import RunStore
from core.runs.execute import execute
from core.runs.recorder import FALLBACKS
from core.runs.records import Metric, Snapshot
from core.settings import Settings
from core.training import Started
from pages.parts.runs.charts import threads_line
from pages.parts.shell import keys
from tests.helpers import tiny
from tests.test_pages import alone, assert_whole, click, page, runs, texts  # noqa: F401 (runs is a fixture)

TRAIN = "pages/train_model.py"


@pytest.fixture
def going(runs: RunStore, monkeypatch) -> str:  # noqa: F811
    """The id of a run in the middle of its second epoch."""
    monkeypatch.setattr("core.runs.engine.SECONDS_OF_SILENCE", 1e9)  # nobody beats for it
    run = runs.create_running(tiny(training__epochs=3), "someone", "here", "A run that is going")
    runs.begin(run.id, Started(20, 60, 6370, "cpu", "float32"))
    steps = range(1, 31)
    runs.record(run.id, [Metric("loss", s, 2 / s) for s in steps] + [Metric("accuracy", s, s / 30) for s in steps] + [
        Metric("validation_loss", 20, 0.2), Metric("validation_accuracy", 20, 0.9), Metric("throughput", 30, 12_345.0),
        Metric("memory", 30, 321.0), Metric("learning_rate", 30, 0.001), Metric("gradient.fc1", 30, 1.0),
        Metric("dead.relu1", 20, 0.25)], [
        Snapshot("predictions", 30, {"epoch": 2, "positions": [0, 1, 2], "labels": [3, 4, 5], "answers": [3, 9, 5],
                                     "probabilities": [0.9, 0.4, None]}),
        Snapshot("confusion", 20, {"epoch": 1, "counts": [[20 if i == j else 0 for j in range(10)] for i in range(10)]}),
    ], step=30, epoch=1, validation_accuracy=0.9)
    return run.id


def charts(at: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in at.get("echarts_chart")]


def named(at: AppTest, title: str) -> dict:
    return next(chart for chart in charts(at) if chart.get("title", {}).get("text") == title)


def test_a_run_that_is_going_shows_itself(going):
    at = page(TRAIN, going)
    assert_whole(at)
    assert [m.value for m in at.metric] == ["90.00 %", "0.2000", "12,345"]
    assert "memory 321 MB" in texts(at) and "at step 30" in texts(at)
    labels = [point["label"]["formatter"] for chart in charts(at) for point in chart["series"][0]["data"]
              if isinstance(point, dict) and "symbol" in point]
    assert labels == ["✓ 3\n90 %", "✗ 9, not 4\n40 %", "✓ 5"]


def test_a_run_says_its_number_format_its_threads_and_what_failed(runs, going):  # noqa: F811
    """Whatever a device's error holds is shown as it is."""
    runs.begin(going, Started(20, 60, 6370, "cpu", "bfloat16", "bfloat16: 1.31 times as fast as float32 here"))
    runs.record(going, [Metric("threads", 0, 1), Metric("threads", 12, 2)], [
        Snapshot(FALLBACKS, 7, {"lines": [[7, "CUDA graphs failed here (*no* [graphs](x))."]]})])
    at = page(TRAIN, going)
    assert_whole(at)
    assert "321 MB · bfloat16" in texts(at)
    assert "After step 7: CUDA graphs failed here" in texts(at) and "*no* [graphs](x)" not in texts(at)
    at.pills(key="panel.details").set_value(["Speed and memory"])
    assert "Number format: bfloat16: 1.31 times as fast as float32 here." in texts(at.run())
    assert "Processor threads: 1, from step 13 on 2." in texts(at), "the thirteenth is the first one after twelve"


@pytest.mark.parametrize(("numbers", "says"), [
    ([], ""), ([2], "Processor threads: 2."),
    ([1, 2] * 4, "Processor threads: 1, … (1 more change) … from step 2,001 on 1, from step 3,001 on 2, from step 4,001 on 1, "
                 "from step 5,001 on 2, from step 6,001 on 1, from step 7,001 on 2.")])
def test_threads_in_words(numbers, says):
    assert threads_line([1000 * place for place in range(len(numbers))], numbers) == says


def test_a_format_that_was_asked_for_needs_no_reason(runs, going):  # noqa: F811
    at = page(TRAIN, going)
    at.pills(key="panel.details").set_value(["Speed and memory"])
    assert "Number format: float32, as the settings say." in texts(at.run())


def progress(at: AppTest) -> tuple[str, int]:
    """What stands over the bar, and its percents."""
    bar, = at.get("progress")
    return bar.proto.text, bar.proto.value


def test_nothing_is_lost_or_moved_when_a_run_ends(going, runs):  # noqa: F811
    """The bar, the doctor's line and the charts keep their places; the charts get tools."""
    going_on = page(TRAIN, going)
    assert progress(going_on)[0].startswith("Epoch 2 of 3 · step 30 of 60") and progress(going_on)[1] == 50
    assert "nothing wrong so far" in texts(going_on) and "toolbox" not in named(going_on, "Loss")
    runs.record(going, [], step=60, epoch=3)
    runs.finish(going, "finished", test_accuracy=0.9, test_loss=0.3, seconds=2.0)
    ended = page(TRAIN, going)
    assert_whole(ended)
    assert progress(ended) == ("Epoch 3 of 3 · step 60 of 60", 100)
    assert "found nothing wrong" in texts(ended) and "so far" not in texts(ended)
    assert set(named(ended, "Loss")["toolbox"]["feature"]) == {"dataZoom", "saveAsImage"}
    assert [line["data"] for line in named(ended, "Loss")["series"]] == [
        line["data"] for line in named(going_on, "Loss")["series"]]


@pytest.mark.parametrize(("step", "says"), [(0, "No step was taken."), (1, "Epoch 1 of 3 · step 1 of 60"),
                                            (20, "Epoch 1 of 3 · step 20 of 60"), (21, "Epoch 2 of 3 · step 21 of 60")])
def test_how_far_a_stopped_run_has_come(going, runs, step, says):  # noqa: F811
    runs.record(going, [], step=step)
    runs.set_pause(going, True)
    runs.finish(going, "stopped", "Stopped.")
    assert progress(page(TRAIN, going))[0] == says


def test_smoothing_and_log_scale_act_on_the_chart(going):
    at = page(TRAIN, going)
    before = named(at, "Loss")
    at.slider(key="panel.smoothing").set_value(0.5).run()
    smoother = named(at, "Loss")
    assert smoother["series"][0] == before["series"][0], "what each batch said stays"
    assert smoother["series"][1] != before["series"][1]
    at.toggle(key="panel.log").set_value(True).run()
    assert_whole(at)
    assert named(at, "Loss")["yAxis"]["type"] == "log" and named(at, "Accuracy")["yAxis"]["type"] == "value"


def test_closer_looks(going):
    at = page(TRAIN, going)
    at.pills(key="panel.details").set_value(["Learning rate and gradients", "Speed and memory", "Dead units",
                                             "Confusion matrix", "Curves as a table"]).run()
    assert_whole(at)
    assert list(at.dataframe[-1].value["epoch"])[:1] == [1] and "validation loss" in at.dataframe[-1].value
    titles = {chart.get("title", {}).get("text") for chart in charts(at)}
    assert {"Learning rate", "Gradient norm of each layer", "Training speed (images/s)", "Memory (MB)",
            "Dead units (share of each ReLU layer)"} <= titles
    assert any(chart["series"][0]["type"] == "heatmap" and len(chart["series"][0]["data"]) == 100 for chart in charts(at))


def test_one_step_at_a_time(going, runs):  # noqa: F811
    at = page(TRAIN, going)
    assert "run.step" not in {button.key for button in at.button}
    click(at, "run.pause")
    assert "paused" in texts(at)
    click(at, "run.step")
    assert_whole(at)
    assert runs.command(going).steps == 1 and runs.command(going).pause


def test_start_paused(runs):  # noqa: F811
    at = click(page(TRAIN), "train.start_paused")
    assert_whole(at)
    run, = runs.runs()
    assert run.pause_requested and at.query_params["run"] == run.id


def test_three_seeds_with_one_click(runs):  # noqa: F811
    at = click(page(TRAIN), "train.seeds.3")
    assert_whole(at)
    started = runs.runs()[::-1]
    assert [run.config.training.seed for run in started] == [0, 1, 2] and len({run.group_id for run in started}) == 1
    assert at.query_params["run"] == started[0].id
    assert list(at.dataframe[0].value["Status"]) == ["Waiting, 0 before it", "Waiting, 1 before it", "Waiting, 2 before it"]
    for number, run in enumerate(started):
        taken = runs.claim("here")
        assert taken.id == run.id
        runs.finish(run.id, "finished", test_accuracy=0.9 + number / 100, seconds=1.0)
    at = page(TRAIN, started[0].id)
    assert_whole(at)
    assert at.metric[0].value == "91.00 ± 1.00 %"
    at.segmented_control(key=f"panel.seed.{started[0].group_id}").set_value(started[2].id).run()
    assert_whole(at)
    assert at.query_params["run"] == started[2].id and at.metric[0].value == "92.00 %"


def test_all_seeds_are_stopped_at_once(runs):  # noqa: F811
    at = click(page(TRAIN), "train.seeds.5")
    click(at, "run.stop_all")
    assert_whole(at)
    assert [run.status for run in runs.runs()] == ["stopped"] * 5


def test_the_finder_takes_its_rate_into_the_draft(runs, places):  # noqa: F811
    at = click(page(TRAIN), "train.find_rate")
    assert_whole(at)
    assert runs.runs() == [] and "Learning-rate finder" in texts(at)
    torch.set_num_threads(1)
    run = execute(runs, runs.claim("here"), Settings(places / "data", runs.path, places / "cache"))
    at.run()
    assert_whole(at)
    rate = runs.snapshots(run.id)["suggestion"].value["rate"]
    chart = next(chart for chart in charts(at) if chart["xAxis"].get("name") == "learning rate")
    assert chart["series"][2]["data"][0][0] == pytest.approx(rate)
    folded = [one.label for one in at.expander]
    click(at, "finder.use")
    taken = read_config(at.session_state[keys.DRAFT]).training.optimizer.learning_rate
    assert taken == pytest.approx(rate, rel=0.1)
    line = next(one for one in at.expander if one.label not in folded)
    assert line.label == f"Learning-rate finder: {taken:g} is used" and not line.proto.expanded, "it is folded to a line"
    click(at, "finder.close")
    assert_whole(at)
    assert "Learning-rate finder" not in texts(at)
    compare = page("pages/compare_runs.py")
    assert "There are no runs yet" in texts(compare)
    assert "There is no run" in alone(TRAIN, run.id).warning[0].value  # by its address either


def test_a_finder_that_fails_says_why(runs):  # noqa: F811
    at = click(page(TRAIN), "train.find_rate")
    runs.finish(runs.claim("here").id, "failed", "The disk is full.")
    at.run()
    assert_whole(at)
    assert at.error[0].value == "The disk is full."


def test_seeds_of_a_regression_have_no_accuracy(runs):  # noqa: F811
    config = PRESETS["linear-regression"].config
    ids = runs.create_group([(config.with_values({"training.seed": seed}), f"Seed {seed}") for seed in range(2)], "someone")
    at = page(TRAIN, ids[0])
    assert_whole(at)
    assert [chart["title"]["text"] for chart in charts(at) if "title" in chart] == ["Loss"]
    assert "Test loss" in at.dataframe[0].value and "Test accuracy" not in at.dataframe[0].value


def test_a_run_of_points_speaks_of_points_and_leads_to_the_plane(runs, places):  # noqa: F811
    torch.set_num_threads(1)
    runs.create(PRESETS["circle-2d"].config.with_values({"training.epochs": 2}), "someone")
    run = execute(runs, runs.claim("here"), Settings(places / "data", runs.path, places / "cache"))
    at = page(TRAIN, run.id)
    assert_whole(at)
    labels = [metric.label for metric in at.metric]
    assert "Speed (points/s)" in labels and not any("image" in f"{m.label} {m.help}" for m in at.metric)
    shown = {button.key for button in at.button}
    assert "panel.plane" in shown and "panel.draw" not in shown


def test_who_waits_for_a_paused_run_is_told_so(runs):  # noqa: F811
    first = runs.create(tiny(), "someone", paused=True)
    runs.claim("here")
    waiting = runs.create(tiny(), "someone else")
    at = page(TRAIN, waiting)
    assert_whole(at)
    assert runs.get(first).pause_requested and "paused" in at.get("progress")[0].proto.text


def test_another_learning_rate_is_confirmed_and_its_popover_closes(going, runs):  # noqa: F811
    at = page(TRAIN, going)
    at.session_state["run.rate_open"] = True
    at.run()
    at.number_input(key=f"run.rate.{going}").set_value(0.5).run()
    click(at, "run.use_rate")
    assert_whole(at)
    assert runs.get(going).learning_rate == 0.5 and not at.session_state["run.rate_open"]
    assert "0.5 from the next step" in at.toast[0].value


def test_a_run_stopped_in_its_first_epoch_shows_where_its_curves_end(runs, monkeypatch):  # noqa: F811
    monkeypatch.setattr("core.runs.engine.SECONDS_OF_SILENCE", 1e9)  # nobody beats for it
    run = runs.create_running(tiny(training__epochs=3), "someone", "here", "A run that was stopped")
    runs.begin(run.id, Started(20, 60, 6370, "cpu", "float32"))
    runs.record(run.id, [Metric("loss", s, 0.5) for s in range(1, 6)] + [Metric("accuracy", s, 0.75) for s in range(1, 6)] + [
        Metric("throughput", 5, 4321.0)], step=5)
    assert [m.value for m in page(TRAIN, run.id).metric][:2] == ["–", "–"], "while it goes the places are kept"
    runs.finish(run.id, "stopped", "Stopped.")
    at = page(TRAIN, run.id)
    assert_whole(at)
    assert {m.label: m.value for m in at.metric} == {
        "Training loss": "0.5000", "Training accuracy": "75.00 %", "Speed (images/s)": "4,321"}


@pytest.mark.parametrize("ends", [False, True])
def test_the_two_doctors_say_one_thing(runs, monkeypatch, ends):  # noqa: F811
    """48 steps of sound curves: the settings are doubtful, and no line beside it calls the run sound."""
    monkeypatch.setattr("core.runs.engine.SECONDS_OF_SILENCE", 1e9)
    config = tiny(training__batch_size=1000, training__epochs=12)
    run = runs.create_running(config, "someone", "here", "A short run")
    runs.begin(run.id, Started(2, 24, 6370, "cpu", "float32"))
    runs.record(run.id, [Metric("loss", s, 2.3 - 0.05 * s) for s in range(1, 3)], step=2)
    if ends:
        runs.finish(run.id, "finished", test_accuracy=0.5, test_loss=1.0, seconds=1.0)
    doubts = [finding.title for finding in examine(Case(config)) if finding.severity != "note"]
    said = texts(page(TRAIN, run.id))
    assert doubts and all(title in said for title in doubts)
    assert "nothing wrong" not in said and "Nothing else stands out in its curves" in said


def test_who_waits_sees_what_trains_and_can_stop_it_where_it_is_their_own(going, runs):  # noqa: F811
    runs.create(tiny(), "someone")
    at = page(TRAIN, runs.create(tiny(), "someone else"))
    assert_whole(at)
    said = at.get("progress")[0].proto.text
    assert said.startswith("In the queue: 2 runs before this one. Training now: “A run that is going”, about ")
    assert said.endswith(" left.") and not [button for button in at.button if "make_room" in (button.key or "")]
    at.session_state[keys.OWNER] = "someone"
    click(at.run(), f"panel.make_room.{going}")
    assert_whole(at)
    assert runs.get(going).status == "stopped" or runs.get(going).stop_requested


def test_words_of_people_in_the_queue_are_no_markdown(runs, monkeypatch):  # noqa: F811
    monkeypatch.setattr("core.runs.engine.SECONDS_OF_SILENCE", 1e9)
    runs.create_running(tiny(), "someone", "here", "**bold** [x](y)")
    at = page(TRAIN, runs.create(tiny(), "someone else"))
    assert r"“\*\*bold\*\* \[x\](y)”" in at.get("progress")[0].proto.text
