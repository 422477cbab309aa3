"""The 2-D lab as its readers use it, and points on every other page."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from core.config import read_config
from core.data import DATASETS, default_config
from core.data.sources.generated import RULES
from core.export.points_script import points_script
from core.labs.decision_boundary import MOST_BYTES, MOST_PICTURES
from core.presets import PRESETS
from core.runs import Look, RunStore
from core.settings import Settings
from core.training import PlaneWatcher, prepare
from pages.parts.learn.decision_boundary import config as plane_config
from pages.parts.learn.decision_boundary.controls import SETS
from pages.parts.shell import keys
from tests.helpers import run_here, tiny

ROOT = Path(__file__).parents[1]
LAB = "pages/learn_decision_boundary.py"
PAGES = sorted(f"pages/{path.name}" for path in (ROOT / "pages").glob("*.py") if path.name != "__init__.py")
SHORT = plane_config.FIRST.with_values({"training.epochs": 2, "data.features": ["x1", "x2", "x1_x2"], "model.hidden": [5, 3]})


@pytest.fixture
def runs(tmp_path, places, monkeypatch) -> RunStore:
    """A runs folder of the test's own, without workers: what is started stays in the queue."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return RunStore(tmp_path / "runs")


@pytest.fixture(scope="module")
def ended(places) -> dict[str, object]:
    """A store with a finished run of a classifier and one of a number; for reading only."""
    settings = Settings(places / "data", places / "plane-runs", places / "cache")
    store = RunStore(settings.runs_dir)
    configs = {"circle": SHORT, "linear": PRESETS["linear-regression"].config.with_values({"training.epochs": 3})}
    return {"store": store} | {name: run_here(store, settings, config) for name, config in configs.items()}


@pytest.fixture
def shown(ended, monkeypatch) -> dict[str, object]:
    """The same, where the pages look for it."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(ended["store"].path))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return ended


def opened(path: str = LAB, run: str | None = None, draft=None) -> AppTest:
    at = AppTest.from_file(str(ROOT / path), default_timeout=60)
    at.session_state[keys.PLANE_VERSION] = 0
    if run:
        at.query_params["run"] = run
    if draft is not None:
        at.session_state[keys.DRAFT] = draft.model_dump(mode="json")
        at.session_state[keys.DRAFT_VERSION] = 1
    return whole(at.run())


def whole(at: AppTest) -> AppTest:
    assert [e.value for e in at.exception] == []
    return at


def written(at: AppTest) -> str:
    return "\n".join(str(e.value) for kind in (at.markdown, at.caption, at.info, at.warning, at.error) for e in kind)


def key(at: AppTest, name: str) -> str:
    return f"plane.{at.session_state[keys.PLANE_VERSION]}.{name}"


def config(at: AppTest):
    return read_config(at.session_state[keys.PLANE])


def picture(at: AppTest) -> dict:
    """What the browser is sent for the map, but for the pictures themselves."""
    (component,) = at.main.get("bidi_component")
    sent = component.proto.bytes
    return json.loads(sent[4:4 + int.from_bytes(sent[:4], "little")])


# --- what it shows


def test_before_any_training_the_first_weights_are_shown(runs):
    at = opened()
    assert "Not trained yet" in written(at) and config(at) == plane_config.FIRST
    sent = picture(at)
    assert sent["sizes"] == [2, 4, 1] and sent["names"] == ["x₁", "x₂"]
    assert (sent["low"], sent["high"]) == ("outside", "inside")
    assert at.code[-1].value.strip() == points_script(plane_config.FIRST).strip()


def test_a_run_in_the_address_brings_its_settings(shown):
    run = shown["circle"]
    at = opened(run=run.id)
    assert config(at) == run.config and "Finished" in written(at) and "test accuracy" in written(at)
    assert picture(at)["sizes"] == [3, 5, 3, 1]
    chart = json.loads(at.get("echarts_chart")[0].proto.spec)
    assert [len(series["data"]) for series in chart["series"]] == [2, 2], "two epochs"
    assert at.session_state[keys.LABS][LAB] == "tried"


def test_a_number_to_predict_has_no_accuracy(shown):
    at = opened(run=shown["linear"].id)
    assert "test loss" in written(at) and "ccuracy" not in "".join(m.label for m in at.metric)
    sent = picture(at)
    assert float(sent["high"]) == -float(sent["low"]) > 4
    assert not [c for c in at.button_group if c.key == "plane.click"], "there are no classes to add"


def test_a_run_of_something_else_is_left_alone(runs):
    run = runs.create_running(tiny(), "me", "here")
    at = opened(run=run.id)
    assert config(at) == plane_config.FIRST and not at.error and not at.warning
    at.number_input(key=key(at, "layers")).set_value(2).run()
    assert runs.get(run.id).stop_requested is None


def test_the_largest_network_fits_into_a_message(runs):
    at = opened()
    at.session_state[keys.PLANE] = plane_config.FIRST.with_values({
        "model.hidden": [8] * 6, "data.features": list(at.session_state[keys.PLANE]["data"]["features"]) + [
            "x1_squared", "x2_squared", "x1_x2", "sin_x1", "sin_x2"], "data.points": 2000, "data.validation": 2000}).model_dump()
    at.run()
    whole(at)
    assert picture(at)["sizes"] == [7] + [8] * 6 + [1]
    assert len(at.main.get("bidi_component")[0].proto.bytes) < 100_000


# --- the pictures of a run


def pictures(count: int, first: int = 0) -> list[Look]:
    """Of the first weights, at so many steps from `first` on."""
    data, model = prepare(plane_config.FIRST, ROOT)
    seen = PlaneWatcher(plane_config.FIRST, data, torch.device("cpu")).look(model, 0, 1, 0.0, 0.0)
    return [replace(seen, step=step) for step in range(first, first + count)]


def test_the_browser_is_sent_what_it_does_not_have(runs):
    run = runs.create_running(plane_config.FIRST, "someone", "here")
    at = opened(run=run.id)
    sent = picture(at)
    assert (sent["steps"], sent["going"], sent["whole"], sent["run"].split(".")[0]) == ([0], True, False, run.id)
    runs.record(run.id, [], looks=pictures(6))
    assert picture(at.run())["steps"] == [0, 1, 2, 3, 4, 5]
    assert picture(at.run())["steps"] == [5], "the newest once more, for a page that has just been drawn anew"
    runs.record(run.id, [], looks=pictures(2, 6))
    assert picture(at.run())["steps"] == [6, 7]
    runs.record(run.id, [], looks=pictures(100, 8))
    assert picture(whole(at.run()))["steps"] == list(range(48, 108)), "nobody plays what is long over"


def test_a_run_that_has_ended_can_be_gone_over(runs):
    run = runs.create_running(plane_config.FIRST, "someone", "here")
    runs.record(run.id, [], looks=pictures(600), step=599)
    runs.finish(run.id, "stopped")
    at = opened(run=run.id)
    sent = picture(at)
    assert (sent["going"], sent["whole"], len(sent["steps"])) == (False, True, MOST_PICTURES)
    assert (sent["steps"][0], sent["steps"][-1]) == (0, 599) and sent["steps"] == sorted(set(sent["steps"]))
    assert len(at.main.get("bidi_component")[0].proto.bytes) < 1.2 * MOST_BYTES


def test_a_run_from_before_there_were_pictures_shows_its_weights(runs, places):
    settings = Settings(places / "data", runs.path, places / "cache")
    run = run_here(runs, settings, SHORT)
    assert len(picture(opened(run=run.id))["steps"]) > 1
    with runs._database.writing() as db:
        db.execute("DELETE FROM looks")
    st.cache_resource.clear()
    assert picture(opened(run=run.id))["steps"] == [run.step]


def test_reset_goes_back_to_the_first_weights_and_keeps_the_run(runs):
    at = opened()
    run = going(at, runs)
    at.button(key="plane.reset").click().run()
    whole(at)
    assert "Not trained yet" in written(at) and "run" not in at.query_params
    assert not [button for button in at.button if button.key == "plane.reset"]
    assert runs.command(run.id).stop and runs.get(run.id)


def test_the_picture_comes_before_what_is_changed_less_often(runs):
    at = opened()
    order = [getattr(element, "key", None) or element.type for element in at.main]
    places = [next(i for i, name in enumerate(order) if str(name).endswith(wanted)) for wanted in (
        "plane.start", "plane.set.circle", "plane.speed", "features", "learning_rate", "data.noise", "model.activation", "layers",
        "plane.map", "plane.validation", "plane.losses", "plane.ask_line.guess", "batch_size", "total")]
    assert places == sorted(places)


# --- controls


@pytest.mark.parametrize("name", SETS)
def test_every_set_has_its_thumbnail(runs, name):
    at = opened()
    at.button(key=f"plane.set.{name}").click().run()
    whole(at)
    now = config(at)
    assert (now.data.dataset, now.data.noise) == (name, default_config(name).noise)
    assert now.training.loss == ("bce_with_logits" if RULES[name].classes else "mse")
    assert f"def {RULES[name].draw.__name__}(" in at.code[-1].value
    at.button(key="plane.set.circle").click().run()
    assert config(whole(at)) == plane_config.FIRST


def test_every_control_writes_its_setting(runs):
    at = opened()
    at.select_slider(key=key(at, "data.noise")).set_value(0.3)
    at.select_slider(key=key(at, "total")).set_value(500)
    at.select_slider(key=key(at, "training.batch_size")).set_value(30)
    at.select_slider(key=key(at, "training.epochs")).set_value(50)
    at.select_slider(key=key(at, "model.dropout")).set_value(0.2)
    at.selectbox(key=key(at, "model.activation")).select("identity")
    at.selectbox(key=key(at, "training.loss")).select("cross_entropy")
    at.selectbox(key=key(at, "training.optimizer.name")).select("adam").run()
    at.select_slider(key=key(at, "share")).set_value(80)
    at.button_group(key=key(at, "features")).set_value(["sin_x2", "x1"])
    at.number_input(key=key(at, "layers")).set_value(3).run()
    at.number_input(key=key(at, "units.1")).set_value(7).run()
    whole(at)
    now = config(at)
    assert (now.data.noise, now.data.points, now.data.validation, now.data.features) == (0.3, 400, 100, ("x1", "sin_x2"))
    assert (now.model.hidden, now.model.activation, now.model.dropout) == ((4, 7, 4), "identity", 0.2)
    training = now.training
    assert (training.batch_size, training.epochs, training.loss, training.optimizer.name) == (30, 50, "cross_entropy", "adam")
    at.button(key="plane.points").click().run()
    at.button(key="plane.weights").click().run()
    assert (config(at).data.split_seed, config(at).training.seed) == (1, 1)
    at.button(key="plane.notes").click().run()
    assert config(whole(at)) == PRESETS["circle-2d"].config
    at.button(key="plane.closed").click().run()
    assert config(whole(at)) == PRESETS["circle-2d-closed"].config


def test_regularisation(runs):
    at = opened()
    for kind, l1, l2 in (("L1", 0.003, 0.0), ("L2", 0.0, 0.003), ("None", 0.0, 0.0)):
        at.button_group(key=key(at, "penalty")).set_value(kind).run()
        now = config(whole(at)).training
        assert (now.l1, now.optimizer.weight_decay) == (l1, l2)
    at.button_group(key=key(at, "penalty")).set_value("L1").run()
    at.select_slider(key=key(at, "penalty_rate.L1")).set_value(0.1).run()
    assert config(whole(at)).training.l1 == 0.1


def test_no_input_at_all_is_not_taken(runs):
    at = opened()
    at.button_group(key=key(at, "features")).set_value([]).run()
    assert config(whole(at)).data.features == ("x1", "x2")
    assert at.button_group(key=key(at, "features")).value == ["x1", "x2"]


def test_points_are_added_and_taken_back(runs):
    at = opened()
    at.number_input(key="plane.add_x1").set_value(1.5)
    at.button_group(key="plane.add_class").set_value("Blue").run()
    for _ in range(2):
        at.button(key="plane.add").click().run()
    assert config(whole(at)).data.added == ((1.5, 0.0, 1),) * 2
    at.button(key="plane.unadd").click().run()
    assert config(at).data.added == ((1.5, 0.0, 1),)
    assert "(1.5, 0.0, 1)" in at.code[-1].value
    at.button(key="plane.clear").click().run()
    assert config(at).data.added == ()


def test_too_many_points_get_one_line(runs):
    at = opened()
    at.session_state[keys.PLANE] = plane_config.FIRST.with_values({"data.added": [(0, 0, 0)] * 500}).model_dump(mode="json")
    at.run()
    at.button(key="plane.add").click().run()
    assert len(config(whole(at)).data.added) == 500 and "500 points" in at.warning[0].value


def test_a_click_means_what_the_switch_says(runs):
    at = opened()
    assert picture(at)["adding"] is False
    at.button_group(key="plane.click").set_value("Orange").run()
    assert picture(whole(at))["adding"] is True
    at.toggle(key="plane.validation").set_value(True)
    at.toggle(key="plane.discrete").set_value(True).run()
    assert picture(whole(at))["showValidation"] is picture(at)["discrete"] is True


# --- runs


def test_start_queues_a_run_like_any_other(runs):
    at = opened()
    at.select_slider(key="plane.speed").set_value("5")
    at.button(key="plane.start").click().run()
    whole(at)
    (run,) = runs.runs()
    assert (run.config, run.pace, run.status) == (plane_config.FIRST, 0.2, "queued")
    assert at.query_params["run"] == run.id and run.owner == at.session_state[keys.OWNER]
    assert "Waiting" in written(at)
    at.button(key="plane.stop").click().run()
    assert runs.get(run.id).status == "stopped"


def test_a_waiting_run_says_what_it_waits_for_and_offers_what_can_be_done(runs):
    before = runs.create_running(tiny(), "someone", "here")
    runs.create(tiny(), "someone")
    at = opened()
    at.button(key="plane.start").click().run()
    assert "In the queue: 2 runs before this one." in written(whole(at)) and "paused" not in written(at)
    names = {button.key for button in at.button}
    assert names >= {"plane.stop", "plane.reset"} and not names & {"plane.pause", "plane.One step", "plane.One epoch"}
    runs.set_pause(before.id, True)
    assert "after a minute of that it stops, to make room" in written(whole(at.run()))


def test_step_by_step_in_the_queue_offers_no_steps(runs):
    at = opened()
    at.button(key="plane.start_paused").click().run()
    assert "Starts in a moment" in written(whole(at))
    names = {button.key for button in at.button}
    assert "plane.stop" in names and not names & {"plane.pause", "plane.One step", "plane.One epoch"}


def going(at: AppTest, runs: RunStore):
    """A run of the lab that a worker has taken."""
    at.button(key="plane.start").click().run()
    run = runs.claim("here")
    whole(at.run())
    return run


def test_a_running_run_is_paused_and_given_another_speed_and_rate(runs):
    at = opened()
    run = going(at, runs)
    at.button(key="plane.pause").click().run()
    assert runs.command(run.id).pause and "Paused" in written(whole(at))
    at.button(key="plane.pause").click().run()
    assert not runs.command(run.id).pause
    at.select_slider(key="plane.speed").set_value("as fast as it goes").run()
    assert runs.command(run.id).pace == 0.0
    at.select_slider(key=key(at, "training.optimizer.learning_rate")).set_value(0.3).run()
    whole(at)
    assert runs.command(run.id).learning_rate == 0.3 and not runs.command(run.id).stop
    assert at.button(key="plane.pause"), "it is still this run"


def test_a_run_is_gone_through_step_by_step(runs):
    at = opened()
    at.button(key="plane.start_paused").click().run()
    run = runs.claim("here")
    whole(at.run())
    assert runs.command(run.id).pause and "Paused" in written(at)
    at.button(key="plane.One step").click().run()
    assert runs.command(run.id).steps == 1
    with runs._database.writing() as db:
        db.execute("UPDATE runs SET steps_per_epoch = 10")
    at.run()
    at.button(key="plane.One epoch").click().run()
    whole(at)
    assert runs.command(run.id).steps == 11


def test_another_network_ends_the_run_that_is_going(runs):
    at = opened()
    run = going(at, runs)
    at.number_input(key=key(at, "units.0")).set_value(6).run()
    whole(at)
    assert runs.command(run.id).stop and "Not trained yet" in written(at)
    assert at.button(key="plane.start").label == "Start"


def test_somebody_elses_run_goes_on(runs):
    run = runs.create_running(plane_config.FIRST, "someone else", "there")
    at = opened(run=run.id)
    at.number_input(key=key(at, "units.0")).set_value(6).run()
    whole(at)
    assert not runs.command(run.id).stop and "Not trained yet" in written(at)


def test_a_failed_run_says_why(runs):
    run = runs.create_running(plane_config.FIRST, "me", "here")
    runs.finish(run.id, "failed", "The loss became NaN at step 3.")
    at = opened(run=run.id)
    assert "The loss became NaN at step 3." in written(at)
    assert at.button(key="plane.start").label == "Start again"


def test_settings_go_to_the_train_page(runs):
    at = opened()
    at.button(key="plane.draft").click().run()
    assert read_config(at.session_state[keys.DRAFT]) == plane_config.FIRST


# --- points on the other pages


@pytest.mark.parametrize("name", ["circle", "linear"])
@pytest.mark.parametrize("path", ["app.py", *PAGES])
def test_every_page_can_live_with_points(shown, path, name):
    run = shown[name]
    at = opened(path, run.id, run.config)
    assert not at.error
    if path in ("pages/draw_digit.py", "pages/read_sheet.py"):
        assert "the place of a point" in at.warning[0].value
    else:
        assert not at.warning
    if path == "pages/train_model.py":
        labels = [m.label for m in at.metric]
        assert ("Test accuracy" in labels) == (name == "circle") and ("Test loss" in labels) == (name == "linear")


@pytest.mark.parametrize("name", RULES)
def test_explore_shows_points(runs, name):
    draft = PRESETS["circle-2d"].config.with_values({"data.dataset": name, "training.loss": "mse"})
    at = opened("pages/explore_data.py", draft=draft)
    spec = DATASETS[name]
    assert [m.value for m in at.metric][:3] == [f"{spec.counts[0]:,}", f"{spec.counts[0]:,}", "500"]
    traces = json.loads(at.get("plotly_chart")[0].proto.spec)["data"]
    assert len(traces) == max(1, len(spec.classes))
    at.select_slider(key=f"explore.count.{name}").set_value(50)
    at.button_group(key="explore.points_split").set_value("test").run()
    whole(at)
    at.button(key="explore.train").click().run()
    data = read_config(at.session_state[keys.DRAFT]).data
    assert (data.dataset, data.points) == (name, 50)


def test_another_kind_of_data_brings_what_it_needs(runs):
    at = opened("pages/build_model.py", draft=tiny(data__variations=2, data__task="is_target", model__architecture="cnn"))
    at.selectbox(key="form.1.data.dataset").select("linear").run()
    whole(at)
    now = read_config(at.session_state[keys.DRAFT])
    assert (now.data, now.training.loss, now.model.architecture) == (default_config("linear"), "mse", "mlp")
    version = at.session_state[keys.DRAFT_VERSION]
    at.selectbox(key=f"form.{version}.data.dataset").select("digits").run()
    now = read_config(whole(at).session_state[keys.DRAFT])
    assert (now.data, now.training.loss) == (default_config("digits"), "cross_entropy")
