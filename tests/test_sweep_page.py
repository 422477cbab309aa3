"""The page Search settings: begins a search, shows one as it goes and has ended, and leads on."""

import json
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from core.figures.sweeps import Band, history_chart, luck_band, parallel_chart, slice_chart, value_range
from core.runs import RunStore
from core.sweeps import read_plan, read_result
from core.sweeps.luck import luck_found
from pages.parts.search.charts import brushed
from pages.parts.shell import keys
from tests.opened_pages import said, whole
from tests.sweeps import RATE, VARY, WITHOUT, PretendEngine, a_plan, begun, drive, driver_of
from tests.test_pages import ROOT

pytest.importorskip("optuna", reason=WITHOUT)
PAGE = "pages/search_settings.py"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A runs folder of the test's own, with no training process: the engine of tests says what runs come to."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    store = RunStore(tmp_path / "runs")
    yield store
    store.close()


def opened(view=""):
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.run()
    if view:
        at.query_params["search.view"] = view
    return whole(at.switch_page(PAGE).run())


def test_nothing_can_be_searched_without_a_training_process_and_the_page_says_so(folder):
    at = opened()
    assert "measures how much of a result is luck" in said(at)
    at = whole(at.button(key="search.start").click().run())
    assert "PLAYGROUND_WORKERS is 0" in said(at) and folder.sweeps() == []
    at.number_input(key=next(one.key for one in at.number_input if one.key.startswith("search.to."))).set_value(1e-9)
    at = whole(at.button(key="search.start").click().run())
    assert "the smaller end comes first" in said(at) and "Learning rate goes from" in said(at)


def test_a_search_as_it_goes_and_what_can_be_done(folder):
    engine, sweep_id = PretendEngine(folder), begun(folder, a_plan(trials=30), "")
    driver = driver_of(engine, sweep_id)  # so that the page's own server leaves it alone
    for _ in range(3):
        driver.look()
        engine.work()
    driver.look()
    at = opened()
    assert "searching" in said(at) and at.metric[0].label == "Best so far" and at.metric[0].value.endswith("%")
    whole(at.button(key="search.pause").click().run())
    assert folder.sweep(sweep_id).status == "paused"
    at = whole(at.button(key="search.resume").click().run())
    at = whole(at.button(key="search.add").click().run())
    assert read_plan(folder.sweep(sweep_id).plan).trials == 40
    at = whole(at.button(key="search.stop").click().run())
    assert folder.sweep(sweep_id).status == "stopped" and "Stopped" in said(at)
    driver.look()
    assert not [trial for trial in folder.trials(sweep_id) if trial.is_active]
    assert at.button(key="search.start")  # and the next one can begin


def test_a_search_that_came_to_nothing_says_why_once_and_draws_no_empty_chart(folder):
    sweep_id = begun(folder, a_plan(trials=30), "")
    drive(PretendEngine(folder, lambda config: None, "The loss is not a number."), sweep_id)
    at = opened()
    assert said(at).count("The loss is not a number.") == 1 and not at.get("echarts_chart")
    assert set(at.dataframe[0].value["State"]) <= {"failed", "stopped"} and not at.segmented_control


def test_a_range_is_narrowed_by_typing_its_ends(folder):
    engine, sweep_id = PretendEngine(folder), begun(folder, a_plan(trials=30), "")
    driver = driver_of(engine, sweep_id)
    driver.look()
    at = opened("One setting")
    assert not [one for one in at.number_input if one.key.startswith("search.from.")]
    at = whole(next(one for one in at.toggle if one.key.startswith("search.narrowing.")).set_value(True).run())
    low, high = (next(one for one in at.number_input if one.key.startswith(f"search.{word}.")) for word in ("from", "to"))
    assert (low.value, high.value) == (1e-4, 1.0) and not [one for one in at.button if one.key == "search.narrow"]
    at = whole(low.set_value(0.5).run())
    high = next(one for one in at.number_input if one.key.startswith("search.to."))
    at = whole(high.set_value(0.2).run())
    assert "The smaller end comes first" in said(at)
    low = next(one for one in at.number_input if one.key.startswith("search.from."))
    at = whole(low.set_value(0.01).run())
    at = whole(at.button(key="search.narrow").click().run())
    narrowed = read_plan(folder.sweep(sweep_id).plan).vary[0]
    assert (narrowed.low, narrowed.high) == (0.01, 0.2)
    assert not at.toggle[0].value, "and the chart goes on"


@pytest.mark.parametrize("view", ["One setting", "All at once", "Table"])
def test_what_has_ended_is_shown_in_every_way(folder, view):
    sweep_id = begun(folder, a_plan([*VARY, "model.hidden=[8]|[16,8]"], trials=24), "")
    drive(PretendEngine(folder), sweep_id)
    at = opened(view)
    best = read_result(folder.sweep(sweep_id).result)
    assert f"Trial {best.chosen}: " in said(at) and "looked at once" in said(at)
    if view == "One setting":
        at = whole(at.button(key="search.use").click().run())
        taken = at.session_state[keys.DRAFT]["training"]["optimizer"]["learning_rate"]
        assert taken == folder.get(best.run_id).config.training.optimizer.learning_rate
    if view == "Table":
        at = whole(at.button(key="search.why").click().run())
        beside = at.session_state[keys.COMPARE_BESIDE]
        assert (beside.view, beside.second) == ("change", folder.get(best.run_id).number)
        assert beside.first in at.session_state[keys.COMPARE_VIEW].selected


def test_charts_say_what_the_store_knows(folder):
    sweep_id = begun(folder, plan := a_plan([*VARY, "model.hidden=[8]|[16,8]"], trials=12), "")
    drive(PretendEngine(folder), sweep_id)
    trials = folder.trials(sweep_id)
    firsts = [trial for trial in trials if not trial.repeat]
    history = {one["name"]: one for one in history_chart(plan, trials, luck_found(trials, plan.step))["series"]}
    low, high = value_range(plan, trials, luck_band(trials, luck_found(trials, plan.step)))
    assert [point["value"] for point in history["trials"]["data"]] == [
        [trial.trial, pytest.approx(100 * min(max(trial.value, low), high), rel=1e-4)] for trial in firsts]
    names = [point["name"] for point in history["trials"]["data"]]
    assert all(f"{100 * trial.value:.2f} %" in name for trial, name in zip(firsts, names, strict=True))
    best = [value for _, value in history["best so far"]["data"]]
    assert best == sorted(best) and best[-1] == pytest.approx(100 * max(trial.value for trial in firsts), rel=1e-4)
    band = luck_band(trials, luck_found(trials, plan.step))
    first = [trial.value for trial in trials if trial.trial == 0]
    assert band.low < sum(first) / len(first) < band.high and luck_band(trials[:1], None) is None
    sliced = slice_chart(plan, trials, plan.vary[0], "learning rate")
    assert {point["value"][0] for point in sliced["series"][1]["data"]} == {trial.params[RATE] for trial in firsts}
    assert sliced["xAxis"]["type"] == "log" and "brush" in sliced
    assert "brush" not in slice_chart(plan, trials, plan.vary[1], "hidden layers")
    lines = parallel_chart(plan, trials, {one.path: one.path for one in plan.vary})
    assert len(lines["series"][1]["data"]) == 12 and {row[1] for row in lines["series"][1]["data"]} <= {"8", "16-8"}
    json.dumps([sliced, lines])  # which a browser can be sent


def test_an_axis_shows_what_is_near_the_best(folder):
    plan = a_plan(["training.batch_size=1|2|3|4"], sampler="grid", trials=9)
    sweep_id = begun(folder, plan, "")
    drive(PretendEngine(folder, lambda config: [0.9, 0.95, 0.96, 0.1][config.training.batch_size - 1]), sweep_id)
    trials = folder.trials(sweep_id)
    firsts = [trial for trial in trials if not trial.repeat]
    # by hand: the best 0.96, the middle 0.925, four times their distance below the best 0.82; a twentieth more on either side
    assert value_range(plan, firsts) == pytest.approx((0.897, 0.963))
    assert value_range(plan, firsts, Band(0.8, 1.2)) == pytest.approx((0.79, 1.0))
    assert value_range(plan, []) is None


@pytest.mark.parametrize(("areas", "part"), [
    ([{"brush_type": "lineX", "coord_range": [0.05, 0.0123456]}], (0.01235, 0.05)),
    ([{"brush_type": "lineX", "coord_range": [-5, 900]}], (1e-4, 1.0)),
    ([{"brush_type": "lineX", "coord_range": [0.1, 0.1]}], None),
    ([{"brush_type": "rect", "coord_range": [[0, 1], [0, 1]]}], None),
    ([{"brush_type": "lineX"}], None), ([{"brush_type": "lineX", "coord_range": ["a", None]}], None), ([], None),
])
def test_what_is_brushed_is_a_part_of_the_range(areas, part):
    assert brushed(SimpleNamespace(selection=SimpleNamespace(areas=areas)), a_plan().vary[0]) == part
