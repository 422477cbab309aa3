"""Addresses that open a page in a state: what is asked for is shown and stays there, and what can't be is taken out."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from streamlit.runtime.state.query_params import QueryParams
from streamlit.testing.v1 import AppTest

from core.config import read_config
from core.config_text import LONGEST, to_text
from core.presets import PRESETS
from pages.parts.shell import keys
from pages.parts.shell.menu import LABS, MENU

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def no_workers(tmp_path, places, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")


def opened(page: str, **asked: str) -> AppTest:
    at = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=60)
    for name, value in asked.items():
        at.query_params[name.replace("__", ".")] = value
    at.run()
    assert [e.value for e in at.exception] == []
    return at


def in_address(at: AppTest) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in at.query_params.items()}


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("page", ["train_model", "build_model"])
def test_a_preset_by_its_address(page: str, name: str):
    at = opened(page, preset=name)
    assert at.session_state[keys.DRAFT] == PRESETS[name].config.model_dump(mode="json")
    assert in_address(at) == {"preset": name}


def epochs(at: AppTest) -> int:
    (field,) = (field for field in at.number_input if field.label == "Epochs")
    assert field.value == at.session_state[keys.DRAFT]["training"]["epochs"]
    return field.value


def with_epochs(at: AppTest, number: int) -> AppTest:
    return next(field for field in at.number_input if field.label == "Epochs").set_value(number).run()


def test_a_changed_preset_is_followed_in_the_address_and_not_overwritten():
    at = with_epochs(opened("train_model", preset="circle-2d"), 7)
    seven = {"config": '{"from":"circle-2d","training.epochs":7}'}
    assert (epochs(at), in_address(at)) == (7, seven)
    assert (epochs(at.run()), in_address(at)) == (7, seven), "it is this session's own"
    at.query_params.clear()
    at.query_params["preset"] = "circle-2d"  # the same link again
    assert epochs(at.run()) == PRESETS["circle-2d"].config.training.epochs and in_address(at) == {"preset": "circle-2d"}


@pytest.fixture
def steps(monkeypatch) -> list[str]:
    """The addresses that the browser is told, each of which is a step of its way back."""
    told: list[str] = []
    send = QueryParams._send_query_param_msg

    def tell(parameters):
        told.append(str(parameters))
        send(parameters)

    monkeypatch.setattr(QueryParams, "_send_query_param_msg", tell)
    return told


def test_one_change_is_one_step_of_the_way_back(steps):
    at = opened("train_model", preset="circle-2d")
    assert steps == []
    with_epochs(at, 7)
    assert len(steps) == 1 and "preset" not in in_address(at), "a preset goes where settings come"
    at.button(key="train.start").click().run()
    assert len(steps) == 2 and list(in_address(at)) == ["run"], "the run says which settings these are"
    plane = opened("learn_decision_boundary", **{"data.dataset": "xor", "data.noise": "0.3"})
    told = len(steps)
    plane.button(key="plane.closed").click().run()
    assert len(steps) == told + 1 and "data.noise" not in in_address(plane) and len(in_address(plane)) > 1


def test_the_way_back_leads_to_before_a_run_was_started(monkeypatch):
    at = opened("train_model")
    at.button(key="train.start").click().run()
    run = at.session_state[keys.RUN]
    assert in_address(at) == {"run": run}
    at.query_params.clear()
    assert in_address(at.run()) == {"run": run}, "a link that leaves it out keeps it"
    at.query_params.clear()
    with monkeypatch.context() as patch:
        patch.setattr("pages.parts.shell.frame.came_by_history", lambda: True)
        at.run()
    assert at.session_state[keys.RUN] is None and in_address(at) == {}
    assert any("Press **Start training**" in one.value for one in at.info)


@pytest.mark.parametrize("page", ["train_model", "build_model", "explore_data"])
def test_a_draft_by_its_address(page):
    """For somebody else, and after a reload."""
    made = PRESETS["circle-2d"].config.with_values({"training.epochs": 7, "data.noise": 0.2})
    at = opened(page, config=to_text(made))
    assert read_config(at.session_state[keys.DRAFT]) == made and in_address(at) == {"config": to_text(made)}
    if page == "explore_data":
        assert at.selectbox(key="explore.dataset").value == "circle"


def test_a_draft_that_is_a_preset_is_named_and_the_usual_one_needs_no_name():
    at = opened("train_model", config='{"from":"toy-sigmoid"}')
    assert in_address(at) == {"preset": "toy-sigmoid"}
    assert in_address(opened("train_model", config='{"from":"digits-quick"}')) == {}


def test_presses_that_come_faster_than_the_address_lose_nothing():
    """The browser sends what it has: the address from before one or two changes."""
    at = with_epochs(opened("train_model"), 7)
    first = dict(in_address(at))
    for number, stale in ((8, {}), (9, first), (10, {}), (11, first)):
        at.query_params.clear()
        for name, value in stale.items():
            at.query_params[name] = value
        with_epochs(at, number)
        assert (epochs(at), in_address(at)["config"]) == (number, f'{{"from":"digits-quick","training.epochs":{number}}}')


def test_the_way_back_is_followed(monkeypatch):
    usual = PRESETS["digits-quick"].config.training.epochs
    at = with_epochs(with_epochs(opened("train_model"), 7), 8)
    with monkeypatch.context() as way_back:
        way_back.setattr("pages.parts.draft.address.came_by_history", lambda: True)
        at.query_params["config"] = '{"from":"digits-quick","training.epochs":7}'
        assert epochs(at.run()) == 7
        del at.query_params["config"]
        assert epochs(at.run()) == usual and in_address(at) == {}
    assert epochs(with_epochs(at, 9)) == 9


@pytest.mark.parametrize("text", ["**hostile** [a](b) <b>", "x" * 5000, '{"training.epochs":0}', '{"from":"**bold** <b>"}'])
@pytest.mark.parametrize("page", ["train_model", "build_model", "explore_data"])
def test_settings_that_cannot_be_read_get_one_line(page, text):
    at = opened(page, config=text)
    said = [line.value for line in (*at.error, *at.toast)]
    assert len(set(said)) == 1 and said[0].startswith("The settings in the address can't be read") and len(said[0]) < 600
    assert "**" not in said[0] and "<b>" not in said[0]
    assert in_address(at) == {} and read_config(at.session_state[keys.DRAFT]) == PRESETS["digits-quick"].config


def test_settings_for_data_that_are_not_here_get_others():
    at = opened("train_model", config='{"from":"digits-quick","data.dataset":"**no** such","training.epochs":7}')
    (said,) = at.toast
    assert said.value.startswith("The data set of these settings is not here")
    assert epochs(at) == 7 and read_config(at.session_state[keys.DRAFT]).data.dataset == "digits"


@pytest.mark.parametrize("values", [
    {"data.target": 999, "data.task": "is_target"}, {"data.only_classes": ["**no**", "such"]}, {"data.join": ["**no**"]},
    {"data.normalization": "channels", "data.channel_mean": [0.1, 0.2, 0.3]}, {"data.dataset": "reviews"},
    {"data.text_file": "<b>", "data.dataset": "reviews"}, {"model.architecture": "stack", "model.layers": []},
    {"training.start_from": "**no**"}, {"data.validation": 1_000_000}, {"training.optimizer.learning_rate": 100}])
@pytest.mark.parametrize("page", ["train_model", "build_model", "explore_data"])
def test_settings_that_suit_nothing_break_no_page(page, values):
    at = opened(page, config=to_text(PRESETS["digits-quick"].config.with_values(values)), train__view="All settings")
    assert not any("**no**" in text.value for text in (*at.markdown, *at.caption, *at.warning, *at.error, *at.toast))


def test_settings_too_long_for_an_address_are_kept_and_said_so():
    points = [[index / 100, -index / 77, index % 2] for index in range(400)]
    at = opened("train_model", preset="circle-2d")
    at.session_state[keys.DRAFT] = PRESETS["circle-2d"].config.with_values({"data.added": points}).model_dump(mode="json")
    at.run()
    assert in_address(at) == {} and any("too long for an address" in line.value for line in at.caption)
    assert epochs(with_epochs(at, 3)) == 3 and len(at.session_state[keys.DRAFT]["data"]["added"]) == 400


def test_a_runs_settings_are_in_the_form_and_a_draft_in_the_address_wins(trained, monkeypatch):
    store, run = trained
    monkeypatch.setenv("PLAYGROUND_RUNS", str(store.path))
    at = opened("train_model", run=run.id)
    assert read_config(at.session_state[keys.DRAFT]) == run.config and in_address(at) == {"run": run.id}
    assert epochs(with_epochs(at, 9)) == 9 and set(in_address(at)) == {"run", "config"}
    again = opened("train_model", **in_address(at))
    assert epochs(again) == 9 and in_address(again) == in_address(at)
    assert read_config(opened("build_model", run=run.id).session_state[keys.DRAFT]) == run.config


def carrying(at: AppTest) -> set[str]:
    """The pages whose links in the menu carry a draft with other epochs."""
    shown = json.loads(next(part.proto.json for part in at.get("bidi_component") if "frame.menu" in part.proto.id))
    pages = [page for group in shown["groups"] for page, _, _ in group["links"]]
    return {page for page, query in zip(pages, shown["queries"], strict=True) if "training.epochs" in unquote(query)}


def test_links_to_all_pages_carry_the_draft():
    every = {"" if page == "app.py" else Path(page).stem for page in (*MENU, *LABS)}
    assert carrying(with_epochs(opened("train_model"), 7)) == every


def test_a_draft_is_passed_on_by_a_page_that_does_not_show_it():
    """After a reload there, in a session that knows nothing else of it."""
    words = '{"from":"digits-quick","training.epochs":7}'
    at = opened("learn_saving", config=words)
    assert "train_model" in carrying(at) and in_address(at) == {"config": words} and keys.DRAFT not in at.session_state
    assert epochs(opened("train_model", **in_address(at))) == 7
    hostile = opened("learn_saving", config="<b>**x**</b>")
    assert not carrying(hostile) and not (hostile.error or hostile.warning), "it is refused where it would be read"
    assert not carrying(opened("learn_saving", config='{"training.epochs":7}' + " " * LONGEST))


def test_a_preset_that_is_not_there_is_said_in_one_line():
    at = opened("train_model", preset="**mnist**")
    (toast,) = at.toast
    assert "There is no preset '\\*\\*mnist\\*\\*'; choose from mnist-mlp-50" in toast.value == at.error[0].value
    assert in_address(at) == {}
    assert at.session_state[keys.DRAFT] == PRESETS["digits-quick"].config.model_dump(mode="json")


def test_a_data_set_and_a_section_by_their_names():
    at = opened("explore_data", explore__dataset="circle")
    assert at.selectbox(key="explore.dataset").value == "circle"
    at.selectbox(key="explore.dataset").set_value("digits").run()  # the draft's, so it needs no word in the address
    assert in_address(at) == {}
    at = opened("explore_data", explore__section="Batches")
    assert any("epoch" in text.value for text in at.caption) and in_address(at) == {"explore.section": "Batches"}


@pytest.mark.parametrize("asked", [
    {"explore__dataset": "nowhere"}, {"explore__section": "<b>x</b>"}, {"explore__view": "x" * 5000}])
def test_what_a_choice_cannot_be_changes_nothing(asked):
    at = opened("explore_data", **asked)
    assert at.selectbox(key="explore.dataset").value == "digits"
    assert in_address(at) == {}


def test_a_bound_choice_and_an_expression():
    at = opened("learn_tensors", tensors__topic="Your own expression", tensors__expression="x * 2")
    assert at.text_input(key="tensors.expression").value == "x * 2"
    at.button_group(key="tensors.expression_example").set_value("a @ b").run()
    assert at.text_input(key="tensors.expression").value == in_address(at)["tensors.expression"] == "a @ b"
    assert not at.warning


@pytest.mark.parametrize("text", ["__import__('os')", "x" * 10_000, "x.__class__", "[x] * 10**9", "\x00"])
def test_a_hostile_expression_in_the_address_gets_one_line(text: str):
    at = opened("learn_tensors", tensors__topic="Your own expression", tensors__expression=text)
    assert len(at.warning) == 1 and len(at.warning[0].value) < 400


def test_the_lab_on_data_loading_follows_in_its_address(monkeypatch):
    """Of what is chosen all is in the address that the lab does not begin with; what has no meaning is taken out."""
    at = opened("learn_data_loading", view="loader", batch_size="16", seed="nonsense", shuffle="false")
    assert in_address(at) == {"view": "loader", "batch_size": "16", "shuffle": "false"}
    assert (at.number_input(key="loading.batch_size").value, at.toggle(key="loading.shuffle").value) == (16, False)
    at.number_input(key="loading.batch_size").set_value(20).run()
    at.toggle(key="loading.drop_last").set_value(True).run()
    at.toggle(key="loading.shuffle").set_value(True).run()
    assert in_address(at) == {"view": "loader", "batch_size": "20", "drop_last": "1"}
    with monkeypatch.context() as way_back:
        way_back.setattr("pages.parts.learn.data_loading.shared.came_by_history", lambda: True)
        del at.query_params["batch_size"]
        at.run()
    assert at.number_input(key="loading.batch_size").value == 8 and in_address(at) == {"view": "loader", "drop_last": "1"}


def test_steps_of_a_transform_and_lines_of_a_dataset_stand_in_the_address():
    at = opened("learn_data_loading", view="transform", steps="to_tensor,made up")
    assert at.multiselect(key="loading.steps").value == ["to_tensor"] and in_address(at)["steps"] == "to_tensor"
    at.multiselect(key="loading.steps").set_value([]).run()
    assert in_address(at)["steps"] == "none" and opened("learn_data_loading", **in_address(at)).multiselect[0].value == []
    at = opened("learn_data_loading", view="dataset", read="made up", length="rows")
    assert in_address(at) == {"length": "rows"}


CONTROLS = {"slider", "select_slider", "selectbox", "radio", "toggle", "checkbox", "segmented_control", "pills", "number_input",
            "text_input", "text_area", "multiselect"}
# controls of labs that are in no address, and why
NOT_THERE = {
    "f'{question.key}.guess'": "a guess: whoever gets the link is asked, too",
    "'autograd.inputs'": "a table", "'autograd.outputs'": "a table", "key": "tables that are typed or pasted",
    "f'text.own.{key}'": "a text of somebody's own", "f'text.column.{place}.{upload.file_id}'": "of a file that is just brought",
    "'tensors.index_example'": "writes into the field below it", "'tensors.expression_example'": "writes into the field below it"}


def lab_controls() -> Iterator[tuple[str, str, bool]]:
    """File, key and whether it is in the address, of each control of the labs but the 2-D classifier, whose settings are in the
    address by the names of their fields: tests/test_plane_address.py."""
    for path in [*ROOT.glob("pages/learn_*.py"), *(ROOT / "pages/parts/learn").rglob("*.py")]:
        if "decision_boundary" in str(path):
            continue
        called = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        by_hand = {ast.unparse(call.args[0]) for call in called if ast.unparse(call.func) == "from_address"} | {"'loading.steps'"}
        for call in called:
            given = {part.arg: ast.unparse(part.value) for part in call.keywords}
            if isinstance(call.func, ast.Attribute) and call.func.attr in CONTROLS and "key" in given:
                yield path.name, given["key"], given.get("bind") == "'query-params'" or given["key"] in by_hand


def test_every_control_of_a_lab_stands_in_its_address():
    found = list(lab_controls())
    assert len(found) > 80
    assert {(name, key) for name, key, there in found if not there and key not in NOT_THERE} == set()
    assert {key for _, key, there in found if not there} == set(NOT_THERE), "and no exception is made for nothing"


@pytest.mark.parametrize(("page", "asked"), [
    ("learn_autograd", {"autograd.topic": "Switch it off", "autograd.no_grad": "true", "autograd.freeze_w": "true"}),
    ("learn_linear_regression", {"regression.rate": "0.3", "regression.steps": "200", "regression.noise": "0.25"}),
    ("learn_first_networks", {"first.hidden.toy-sigmoid": "3", "first.line": "`loss.backward()`"}),
    ("learn_metrics", {"metrics.named": "0, 1, 2", "metrics.positive": "0"}),
    ("learn_building_blocks", {"blocks.part": "Losses", "blocks.loss": "Huber", "blocks.delta": "2.5"}),
])
def test_a_lab_with_its_controls_as_the_address_says(page, asked):
    at = opened(page, **asked)
    assert in_address(at) == asked, "nothing was taken out as having no meaning"
    shown = {str(widget.key): widget for kind in (at.toggle, at.select_slider, at.slider, at.number_input, at.text_input)
             for widget in kind}
    for key, text in asked.items():
        if key in shown:
            assert str(shown[key].value).lower() == text


def test_an_address_from_when_the_lab_began_with_activations():
    at = opened("learn_building_blocks", blocks__activation="Tanh")
    assert at.selectbox(key="blocks.activation").value == "tanh" and in_address(at)["blocks.activation"] == "Tanh"


def test_where_an_address_has_no_words_the_way_back_finds_the_usual(monkeypatch):
    at = opened("explore_data", explore__section="Batches")
    with monkeypatch.context() as way_back:
        way_back.setattr("pages.parts.widgets.address.came_by_history", lambda: True)
        del at.query_params["explore.section"]
        at.run()
    assert at.session_state["explore.section"] == "Look" and in_address(at) == {}
