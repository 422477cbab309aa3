"""What Compare runs lays side by side, as a visitor uses it."""

import json

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.evaluation import Predictions
from core.figures.side_by_side import looks, pixels_for
from core.runs.evaluations import predictions_path, save_predictions
from core.runs.outcomes import RESULTS, questions_differ
from pages.parts.compare import curves, which_change
from pages.parts.compare.curves import VIEWS
from tests.helpers import tiny
from tests.test_pages import assert_whole, click, runs, texts  # noqa: F401 (runs is a fixture)
from tests.test_side_by_side import made


def script(run_ids):
    import streamlit as st

    from pages.parts.compare.curves import side_by_side
    from pages.parts.shell import keys
    from pages.parts.shell.services import services

    st.session_state.setdefault(keys.OWNER, "ann")
    side_by_side(services().store, run_ids, {run_ids[0]: "#8e5bd0"})


def beside(*found) -> AppTest:
    at = AppTest.from_function(script, default_timeout=60, args=([run.id for run in found],)).run()
    assert_whole(at)
    return at


def figures(at):
    return {chart.proto.id.rpartition("-")[2]: json.loads(chart.proto.spec) for chart in at.get("plotly_chart")}


def chart(at, key):
    return next(figure for name, figure in figures(at).items() if name.endswith(key))


def saved_as(at):
    """What the camera of each chart saves."""
    return [json.loads(chart.proto.config)["toImageButtonOptions"] for chart in at.get("plotly_chart")]


def view(at, name):
    at.segmented_control(key="compare.view").set_value(name).run()
    assert_whole(at)
    return at


def legend(at):
    return "\n".join(block.proto.body for block in at.get("html"))


def test_a_run_alone_shows_its_curves(runs):  # noqa: F811
    at = beside(made(runs, tiny()))
    assert list(figures(at)) and not at.get("html") and not [one for one in at.segmented_control if one.key == "compare.view"]
    assert_whole(beside(runs.create_running(tiny(), "ann", "here")))


def test_charts_are_saved_as_png_or_svg(runs):  # noqa: F811
    at = beside(made(runs, tiny()), made(runs, tiny(training__batch_size=128)))
    named = ["validation-accuracy"]
    assert saved_as(at) == [{"scale": 2, "format": "png", "filename": name} for name in named]
    at.segmented_control(key="compare.camera").set_value("SVG").run()
    assert_whole(at)
    assert saved_as(at) == [{"scale": 2, "format": "svg", "filename": name} for name in named]
    assert [about["format"] for about in saved_as(view(at, "Cost"))] == ["svg"]


def test_curves_of_any_metric_any_axis_and_part(runs):  # noqa: F811
    first, second = made(runs, tiny()), made(runs, tiny(training__batch_size=128))
    at = beside(first, second)
    accuracy = chart(at, "validation_accuracy")
    assert [trace.get("name") for trace in accuracy["data"]] == ["batch size 64", "batch size 64, test", "batch size 128",
                                                                 "batch size 128, test"]
    assert accuracy["data"][0]["line"]["color"] == "#8e5bd0" and "batch size 128" in legend(at)
    at.multiselect(key="compare.metrics").set_value(["loss"]).run()
    at.segmented_control(key="compare.axis").set_value("step").run()
    at.toggle(key="compare.log").set_value(True).run()
    assert_whole(at)
    loss = chart(at, "loss")
    assert loss["layout"]["xaxis"]["title"]["text"] == "step" and loss["layout"]["yaxis"]["type"] == "log"
    assert len(decoded(loss["data"][0]["x"])) == 40
    at.slider(key="compare.window.step.40").set_value((10, 20)).run()
    assert decoded(chart(at, "loss")["data"][0]["x"]).tolist() == list(range(9, 22)), "and the neighbours"


def decoded(values):
    import base64
    return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])


def test_seeds_are_one_line_with_a_band_and_many_runs_are_pale(runs):  # noqa: F811
    several = [made(runs, tiny(training__seed=seed)) for seed in range(3)] + [made(runs, tiny(training__epochs=2))]
    at = beside(*several)
    assert "3 seeds" in legend(at) and "epochs 1" in legend(at)
    accuracy = chart(at, "validation_accuracy")
    assert [trace.get("fill") for trace in accuracy["data"]].count("toself") == 1
    at.toggle(key="compare.together").set_value(False).run()
    assert "3 seeds" not in legend(at) and not any(trace.get("fill") for trace in chart(at, "validation_accuracy")["data"])
    at.selectbox(key="compare.highlight").set_value(several[3].number).run()
    assert_whole(at)
    assert chart(at, "validation_accuracy")["data"][-2]["line"]["width"] == 3.5

    many = [made(runs, tiny(training__batch_size=16 * number), steps=10) for number in range(1, 23)]
    at = beside(*many)
    pale, *named = chart(at, "validation_accuracy")["data"]
    assert pale["hoverinfo"] == "skip" and len([trace for trace in named if trace["mode"] != "markers"]) == 5
    assert "17 runs are drawn pale" in texts(at)


def test_what_is_sent_stays_small_where_seeds_without_a_name_are_lines(runs):  # noqa: F811
    run = made(runs, tiny())
    members = {str(group): [run] * 50 for group in range(20)}
    named = looks({"0": "one", "1": "two"}, {})
    assert curves._pixels(members, named, 2) == pixels_for(2 + 18 * 50, 2) < pixels_for(len(members), 2)


def test_settings_costs_and_effects(runs):  # noqa: F811
    found = [made(runs, tiny(training__batch_size=size, training__seed=seed), seconds=size / 10)
             for size in (32, 64) for seed in (0, 1)]
    at = view(beside(*found), "settings")
    assert sorted(at.dataframe[0].value.index) == ["Batch size", "Seed"] and len(at.dataframe[0].value.columns) == 4
    at = view(at, "cost")
    front = chart(at, "front")["data"][1]
    assert list(front["y"]) == [0.54] * 4 and "on the front" in texts(at)
    at.selectbox(key="compare.cost").set_value("mult_adds").run()
    assert list(chart(at, "front")["data"][1]["x"]) == [785 * 8 + 90] * 4
    at = view(at, "effect")
    assert list(chart(at, "scatter")["data"][0]["x"]) == [32, 32, 64, 64]
    for name, values, label in (("seconds", [12.8, 12.8, 25.6, 25.6], "training time (s)"), ("last.loss", [1 / 40] * 4, None),
                                ("last.seconds", [3.2, 3.2, 6.4, 6.4], "training time of each epoch (s), last value")):
        at.selectbox(key="compare.result").set_value(name).run()
        assert_whole(at)
        scatter = chart(at, "scatter")
        assert list(scatter["data"][0]["y"]) == pytest.approx(values)
        assert label in (None, scatter["layout"]["yaxis"]["title"]["text"])
    at.selectbox(key="compare.result").set_value("validation_accuracy").run()
    at.segmented_control(key="compare.effect").set_value("all").run()
    axes = chart(at, "parallel")["data"][0]["dimensions"]
    assert [axis["label"] for axis in axes] == ["batch size", "seed", "validation accuracy"]
    at.segmented_control(key="compare.effect").set_value("which").run()
    assert_whole(at)
    assert "these are 4" in texts(at) and "different questions" not in texts(at)


def test_runs_that_another_tab_deletes_are_said_to_be_gone(runs):  # noqa: F811
    found = [made(runs, tiny(training__batch_size=size)) for size in (32, 64, 128)]
    at = beside(*found)
    runs.discard([found[0].id])
    for kind in VIEWS:
        at = view(at, kind)
        assert "1 run of these is gone, or can't be read." in texts(at), kind
    runs.discard([run.id for run in found])
    for kind in VIEWS:
        at = view(at, kind)
        assert "3 runs of these are gone, or can't be read." in texts(at) and len(at.info) == 1, kind


def test_results_of_different_questions_are_not_laid_beside_each_other_in_silence(runs):  # noqa: F811
    one = tiny()
    other = tiny(data__task="is_target", data__target=3, training__loss="bce_with_logits")
    found = [made(runs, config, seconds=1.0) for config in (one, other)]
    for kind in ("cost", "effect"):
        at = view(beside(*found), kind)
        assert "different questions: they differ in task, target. What looks better" in texts(at)
        at.selectbox(key="compare.result").set_value("test_loss").run()
        assert "they differ in task, target, loss." in texts(at)
    apart = [made(runs, tiny(training__loss=loss, data__target=target)) for loss, target in (("cross_entropy", 3), ("mse", 8))]
    assert questions_differ(apart, RESULTS["validation_accuracy"]) == []
    assert questions_differ(apart, RESULTS["test_loss"]) == ["loss"]


def answers(store, run, wrong):
    """Keep answers of a run that has no weights, for two classes."""
    (store.folder(run.id) / "x").parent.mkdir(exist_ok=True)
    logits = torch.zeros(200, 2)
    logits[:, 0] = 1.0
    logits[:wrong] = torch.tensor([0.0, 1.0])
    return Predictions(logits, torch.zeros(200, dtype=torch.long), ("a", "b"), "cross_entropy", "test", "images")


def test_a_board_shares_ranks_and_counts_looks(runs, monkeypatch):  # noqa: F811
    monkeypatch.setattr("core.runs.evaluations.weights_stamp", lambda store, run_id: [1, 1])
    monkeypatch.setattr("pages.parts.compare.board.weights_stamp", lambda store, run_id: [1, 1])
    found = [made(runs, tiny(training__batch_size=32 * (number + 1)), title=f"Run {number}") for number in range(3)]
    for run, wrong in zip(found, (2, 3, 40), strict=True):
        save_predictions(runs, run.id, answers(runs, run, wrong))
        assert predictions_path(runs, run.id, "test").exists()
    at = view(beside(*found), "board")
    board = at.dataframe[0].value
    assert board["Rank"].tolist() == [1, 1, 3] and board["Wrong"].tolist() == [2, 3, 40]
    assert "looked at **3 times at least**: by 3 runs of this store as they ended, and 0 times later" in texts(at)
    with monkeypatch.context() as patch:  # a visitor's are their own
        patch.setattr("pages.parts.shell.services.Services.private", True)
        assert "by 3 runs of yours as they ended, and 0 times later" in texts(at.run())
    at.selectbox(key="compare.budget").set_value("seconds").run()
    assert_whole(at)
    at.selectbox(key="compare.board_split").set_value("validation").run()
    assert_whole(at)
    assert "No two of these runs" in texts(at)


def test_which_change_is_walked_left_and_come_back_to(runs, monkeypatch):  # noqa: F811
    first, second = made(runs, tiny()), made(runs, tiny(training__batch_size=128, training__epochs=2))
    at = view(beside(first, second), "change")
    assert "7 runs to train" in texts(at) and "2 are there already, or on the way" in texts(at)
    click(at, "compare.walk_start")
    assert_whole(at)
    waiting = runs.runs(statuses=["queued"])
    assert len(waiting) == 7 and {run.owner for run in waiting} == {"ann"}
    assert all(run.title.startswith("Which change?") for run in waiting)
    for _ in waiting:
        runs.claim("here")
    for number, run in enumerate(waiting):
        runs.record(run.id, [], validation_accuracy=0.5 + number / 100)
        runs.finish(run.id, "finished", test_accuracy=0.5, test_loss=1.0, seconds=1.0)
    again = view(beside(first, second), "change")  # another visit: found by its settings
    table = again.dataframe[0].value
    assert table["Change"].tolist() == ["batch size 64 → 128", "epochs 1 → 2", "all together"]
    assert table["Seeds"].tolist() == [3] * 3
    assert not [button for button in again.button if button.key == "compare.walk_start"]
    assert chart(again, "walk_chart")["data"][0]["y"] == [0, 1, 2]
    again.segmented_control(key="compare.walk_by").set_value("test_loss").run()
    assert_whole(again)
    assert which_change.MOST_RUNS == 60


@pytest.mark.parametrize("title", ["<b>*x*</b> [y](z)", "$a$ `b` :smile:"])
def test_words_of_people_are_shown_as_they_are(runs, title):  # noqa: F811
    found = [made(runs, tiny(), title=title), made(runs, tiny(), title=title)]
    at = view(beside(*found), "cost")
    assert title not in texts(at)
