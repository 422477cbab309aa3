"""What was changed by hand, where people see it: Train model, Compare runs, and the 2-D lab, where a weight is set."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from core.data import load
from core.figures.by_hand import MOST_LINES, by_step, in_words, mark_changes
from core.figures.curves import Curves, curve_chart
from core.labs.decision_boundary import untrained
from core.runs import LocalEngine, Run, RunStore
from core.runs.records import Metric
from core.settings import Settings
from core.training import Intervention, Started
from pages.parts.learn.decision_boundary import config as plane_config
from pages.parts.learn.decision_boundary import weight
from pages.parts.learn.decision_boundary.weight import Place
from pages.parts.runs.by_hand import MOST_LISTED
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.widgets import plane
from tests.helpers import tiny
from tests.test_pages import alone, assert_whole, page, runs, texts  # noqa: F401 (runs is a fixture)
from tests.test_plane_page import LAB, ROOT, picture

RATE = Intervention(1, 10, "learning_rate", 0.001, 0.01)
WEIGHT = Intervention(2, 10, "weight", -1 / 3, 2.5, "fc1", 3, 17, 4)
BIAS = Intervention(3, 30, "weight", 0.0, -0.5, "fc2", 9, None, 5)
DONE = [RATE, WEIGHT, BIAS]


@pytest.fixture(autouse=True)
def nobody_beats(monkeypatch):
    monkeypatch.setattr("core.runs.engine.SECONDS_OF_SILENCE", 1e9)
    monkeypatch.setattr(weight, "SECONDS_TO_ACT", 0.0)  # no training process is there to do it


def going(store: RunStore, done=(), title="A run that is going", owner="someone", config=None) -> Run:
    """A run in the middle of its second epoch of 20 steps."""
    run = store.create_running(config or tiny(training__epochs=3), owner, "here", title)
    store.begin(run.id, Started(20, 60, 6370, "cpu", "float32"))
    store.record(run.id, [Metric("loss", step, 2 / step) for step in range(1, 31)], interventions=done, step=30, epoch=1)
    return store.get(run.id)


def chart(at: AppTest, title: str) -> dict:
    charts = [json.loads(one.proto.spec) for one in at.get("echarts_chart")]
    return next(one for one in charts if one.get("title", {}).get("text") == title)


# --- words and lines


def test_a_change_in_words():
    assert in_words(RATE) == "learning rate 0.001 → 0.01" and in_words(BIAS) == "fc2.bias[9] 0 → −0.5"
    assert by_step(DONE) == ["After step 10: learning rate 0.001 → 0.01, fc1.weight[3, 17] −0.3333 → 2.5",
                             "After step 30: fc2.bias[9] 0 → −0.5"]
    assert by_step([Intervention(1, 0, "learning_rate", 1e-5, 123456.0)]) == [
        "Before the first step: learning rate 1e−05 → 1.235e+05"]


def test_lines_stand_where_something_was_changed():
    curves = Curves(20, 3, {"loss": (list(range(1, 31)), [1.0] * 30)})
    plain = curve_chart(curves, "loss")
    marked = mark_changes(plain, DONE, curves)
    line = marked["series"][-1].pop("markLine")
    assert marked == plain, "nothing else is touched"
    assert [(one["xAxis"], one["label"]["formatter"], one["label"]["show"]) for one in line["data"]] == [
        (0.5, "1 by hand", True), (1.5, "2", True)]
    assert mark_changes(plain, [], curves) is plain
    many = [Intervention(n, n, "learning_rate", 1.0, 2.0) for n in range(1, 1001)]
    data = mark_changes(plain, many, curves)["series"][-1]["markLine"]["data"]
    assert MOST_LINES / 2 < len(data) <= MOST_LINES and not any(one["label"]["show"] for one in data)


# --- Train model and Compare runs


def test_train_lists_and_marks_what_was_changed(runs):  # noqa: F811
    run = going(runs, DONE)
    at = page("pages/train_model.py", run.id)
    assert_whole(at)
    listed = next(one for one in at.expander if one.label == "Changed by hand: 3 changes")
    assert listed.markdown[0].value.splitlines() == [
        f"{number}. {as_text(line)}" for number, line in enumerate(by_step(DONE), start=1)]
    for title in ("Loss", "Accuracy"):
        assert [one["xAxis"] for one in chart(at, title)["series"][-1]["markLine"]["data"]] == [0.5, 1.5]


def test_a_run_that_nobody_touched_has_no_list(runs):  # noqa: F811
    at = page("pages/train_model.py", going(runs).id)
    assert not [one for one in at.expander if "by hand" in one.label]
    assert "markLine" not in chart(at, "Loss")["series"][-1]


def test_a_long_list_is_cut(runs):  # noqa: F811
    at = page("pages/train_model.py", going(runs, [
        *[Intervention(n + 1, 1, "weight", 0.0, 1.0, "fc1", 0, n, n) for n in range(200)],
        *[Intervention(n, n, "learning_rate", 1.0, 2.0) for n in range(201, 251)]]).id)
    assert_whole(at)
    listed = next(one for one in at.expander if one.label == "Changed by hand: 250 changes")
    lines = listed.markdown[0].value.splitlines()
    assert len(lines) == MOST_LISTED and all(len(line) < 400 for line in lines) and lines[0].endswith(", …")
    assert listed.markdown[1].value.startswith("And after 31 other steps")


def test_compare_counts_and_lists_them(runs):  # noqa: F811
    going(runs, title="quiet")
    at = alone("pages/compare_runs.py")
    assert_whole(at)
    assert "by_hand" not in at.dataframe[0].value.columns
    changed = going(runs, DONE, title="*changed*")
    at = alone("pages/compare_runs.py", changed.id)
    assert_whole(at)
    shown = at.dataframe[0].value
    assert dict(zip(shown["name"], shown["by_hand"].fillna(0), strict=True)) == {"*changed*": 3, "quiet": 0}
    assert [one.label for one in at.expander if "by hand" in one.label] == [
        f"Changed by hand in {as_text(f'*changed* ({changed.id[:4]})')}: 3 changes"]


# --- the 2-D lab


def opened(run: Run, owner="ann") -> AppTest:
    at = AppTest.from_file(str(ROOT / LAB), default_timeout=60)
    at.session_state[keys.PLANE_VERSION] = 0
    at.session_state[keys.OWNER] = owner
    at.query_params["run"] = run.id
    at.run()
    assert_whole(at)
    return at


def choice(at: AppTest):
    return next(one for one in at.selectbox if one.label == "Set a weight by hand")


def test_a_weight_is_chosen_and_set(runs):  # noqa: F811
    """By keyboard: a list and a field. Without a training process the edit waits."""
    run = going(runs, owner="ann", config=plane_config.FIRST)
    at = opened(run)
    assert picture(at)["editing"] is True and not choice(at).disabled
    assert len(choice(at).options) == (2 + 1) * 4 + (4 + 1) * 1
    choice(at).select("x₂ → unit 3 of layer 1").run()
    assert_whole(at)
    field = next(one for one in at.number_input if one.label == "Its value")
    assert (field.min, field.max) == (-10_000, 10_000)
    field.set_value(2.5)
    at.button(key="plane.set_weight").click().run()
    assert_whole(at)
    waiting, = runs.command(run.id).edits
    assert (waiting.layer, waiting.row, waiting.column, waiting.value) == ("fc1", 2, 1, 2.5)
    choice(at).select("bias of the output").run()
    next(one for one in at.number_input if one.label == "Its value").set_value(-1.0)
    at.button(key="plane.set_weight").click().run()
    last = runs.command(run.id).edits[-1]
    assert (last.layer, last.row, last.column, last.value) == ("fc2", 0, None, -1.0)


@pytest.mark.parametrize("why", ["another's", "ended", "waiting"])
def test_whose_weights_can_not_be_set(runs, why):  # noqa: F811
    run = runs.get(runs.create(plane_config.FIRST, "ann")) if why == "waiting" else going(
        runs, owner="bob" if why == "another's" else "ann", config=plane_config.FIRST)
    if why == "ended":
        runs.finish(run.id, "stopped")
    at = opened(run)
    assert choice(at).disabled and picture(at)["editing"] is False
    assert choice(at).help.startswith({"another's": "This is not your run.", "ended": "This run has ended.",
                                       "waiting": "The run still waits."}[why])
    assert not [one for one in at.number_input if one.label == "Its value"]


def test_without_a_run_it_says_to_start_one(runs):  # noqa: F811
    at = AppTest.from_file(str(ROOT / LAB), default_timeout=60).run()
    assert choice(at).disabled and choice(at).help.startswith("Start a run first.")
    assert choice(at).placeholder == "Start a run first"


def test_the_lab_lists_weights_by_the_names_of_its_form(runs):  # noqa: F811
    done = [Intervention(1, 10, "weight", 0.25, 2.5, "fc1", 2, 1, 1), Intervention(2, 10, "weight", 0.0, -1.0, "fc2", 0, None, 2),
            Intervention(3, 30, "learning_rate", 0.1, 0.3)]
    run = going(runs, done, owner="ann", config=plane_config.FIRST)
    listed = next(one for one in opened(run).expander if one.label == "Changed by hand: 3 changes")
    assert listed.markdown[0].value.splitlines() == [f"{number}. {as_text(line)}" for number, line in enumerate([
        "After step 10: x₂ → unit 3 of layer 1: 0.25 → 2.5, bias of the output: 0 → −1",
        "After step 30: learning rate 0.1 → 0.3"], start=1)]


def test_a_refused_weight_is_said_below_the_form(runs, monkeypatch):  # noqa: F811
    run = going(runs, owner="ann", config=plane_config.FIRST)
    at = opened(run)
    at.session_state[keys.PLANE_REFUSED] = "A weight must be a *number*."
    at.run()
    assert_whole(at)
    assert not at.warning and not at.error
    assert any(one.value == f":material/error: {as_text('A weight must be a *number*.')}" for one in at.markdown)


def test_the_names_of_all_weights():
    known = weight.places(plane_config.FIRST.with_values({"model.hidden": [2], "training.loss": "cross_entropy"}), ("out", "in"))
    assert list(known.items()) == [
        (Place(0, 0, 0), "x₁ → unit 1 of layer 1"), (Place(0, 0, 1), "x₂ → unit 1 of layer 1"),
        (Place(0, 0, None), "bias of unit 1 of layer 1"), (Place(0, 1, 0), "x₁ → unit 2 of layer 1"),
        (Place(0, 1, 1), "x₂ → unit 2 of layer 1"), (Place(0, 1, None), "bias of unit 2 of layer 1"),
        (Place(1, 0, 0), "unit 1 of layer 1 → the output for out"), (Place(1, 0, 1), "unit 2 of layer 1 → the output for out"),
        (Place(1, 0, None), "bias of the output for out"), (Place(1, 1, 0), "unit 1 of layer 1 → the output for in"),
        (Place(1, 1, 1), "unit 2 of layer 1 → the output for in"), (Place(1, 1, None), "bias of the output for in")]
    assert list(weight.places(plane_config.FIRST.with_values({"model.hidden": []}), ("out", "in")).values()) == [
        "x₁ → the output", "x₂ → the output", "bias of the output"]


@pytest.mark.parametrize("sent", [
    None, [], [0, 0, 0], [0, 0, 0, "1"], [0, 0, 0, None], [0, 0, "0", 1.0], {"layer": 0}, [0.5, 0, 0, 1.0], [0, 0, 0, 1.0, 2],
    "0001"])
def test_a_message_made_by_hand_asks_for_nothing(monkeypatch, sent):
    class State:
        weight = sent

    monkeypatch.setattr(plane.st, "session_state", {"plane.map": State()})
    assert plane.wanted("plane.map") is None


@pytest.mark.parametrize(("sent", "asked", "said"), [
    ([0, 2, 1, 1.5], ("fc1", 2, 1, 1.5), ""), ([1, 0, 3, -2], ("fc2", 0, 3, -2.0), ""),
    ([0, 4, 0, 1.0], None, "none at [4, 0]"), ([0, -1, 0, 1.0], None, "none at [-1, 0]"),
    ([7, 0, 0, 1.0], None, "no layer 'fc8'"), ([-5, 0, 0, 1.0], None, "no layer 'fc-4'"),
    ([0, 0, 0, 1e300], None, "from −10,000 to 10,000"), ([0, 0, 0, float("nan")], None, "from −10,000 to 10,000"),
    ([0, 0, 0, 10**400], None, "from −10,000 to 10,000"),
])
def test_what_the_picture_asks_for(runs, monkeypatch, sent, asked, said):  # noqa: F811
    """As the browser, or somebody by hand, may send it: done, or refused with one line."""
    run = going(runs, owner="ann", config=plane_config.FIRST)
    monkeypatch.setattr(plane, "wanted", lambda key: plane.Link(*sent))
    monkeypatch.setattr(weight.st, "session_state", {})
    weight.take(Server(runs), run, run.config, data_of(run))
    waiting = [(one.layer, one.row, one.column, one.value) for one in runs.command(run.id).edits]
    assert waiting == ([asked] if asked else [])
    assert said in weight.st.session_state.get(keys.PLANE_REFUSED, "")
    assert bool(said) == (keys.PLANE_REFUSED in weight.st.session_state)
    assert keys.PLANE_PROBLEM not in weight.st.session_state, "it is said beside the form, so that the picture keeps its place"


def test_with_two_outputs_the_link_shows_what_was_asked_for(runs, monkeypatch):  # noqa: F811
    """The picture shows the second class's weight less the first one's."""
    config = plane_config.FIRST.with_values({"training.loss": "cross_entropy"})
    run = going(runs, owner="ann", config=config)
    data = data_of(run)
    monkeypatch.setattr(plane, "wanted", lambda key: plane.Link(1, 0, 2, 1.5))
    monkeypatch.setattr(weight.st, "session_state", {})
    weight.take(Server(runs), run, config, data)
    waiting, = runs.command(run.id).edits
    first = untrained(config, data).model.fc2.weight[0, 2].item()
    assert (waiting.layer, waiting.row, waiting.column) == ("fc2", 1, 2) and waiting.value - first == pytest.approx(1.5)


class Server:
    """As much of the services as it takes."""

    def __init__(self, store: RunStore) -> None:
        self.store, self.settings = store, Settings.from_environment()
        self.engine = LocalEngine.__new__(LocalEngine)  # without processes
        self.engine.store, self.engine.settings = store, self.settings


def data_of(run: Run):
    return load(run.config.data, ROOT)


def test_a_rate_changed_by_hand_is_the_labs_and_its_script_has_both(runs):  # noqa: F811
    """The lab opens on the rate that the run has now, asks for no other one, and the script begins with the first one."""
    run = going(runs, [Intervention(1, 10, "learning_rate", 0.1, 0.3)], owner="ann", config=plane_config.FIRST)
    runs.set_learning_rate(run.id, 0.3)
    at = opened(runs.get(run.id))
    assert runs.get(run.id).learning_rate == 0.3
    assert at.session_state[keys.PLANE]["training"]["optimizer"]["learning_rate"] == 0.3
    code = at.code[-1].value
    assert "LEARNING_RATE = 10, 300, 0.1" in code and "if step == 10:" in code and "learning rate 0.3, was 0.1" in code
    assert "Changed by hand: 1 change" in [one.label for one in at.expander]
