"""Addresses that open a page in a state: what is asked for is shown and stays there, and what can't be is taken out."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.presets import PRESETS
from pages.parts.shell import keys

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


def test_a_changed_preset_leaves_the_address_and_is_not_overwritten():
    at = opened("train_model", preset="circle-2d")
    epochs = next(field for field in at.number_input if field.label == "Epochs")
    epochs.set_value(7).run()
    assert at.session_state[keys.DRAFT]["training"]["epochs"] == 7
    at.run()
    assert (at.session_state[keys.DRAFT]["training"]["epochs"], in_address(at)) == (7, {})
    at.query_params["preset"] = "circle-2d"  # the same link again
    at.run()
    assert at.session_state[keys.DRAFT]["training"]["epochs"] == PRESETS["circle-2d"].config.training.epochs


def test_a_preset_that_is_not_there_is_said_in_one_line():
    at = opened("train_model", preset="**mnist**")
    (toast,) = at.toast
    assert toast.value.startswith("There is no preset '\\*\\*mnist\\*\\*'; choose from mnist-mlp-50")
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


def test_the_lab_on_data_loading_follows_in_its_address():
    """What the address names is followed as it is changed, and what has no meaning is taken out."""
    at = opened("learn_data_loading", view="loader", batch_size="16", seed="nonsense", shuffle="false")
    assert in_address(at) == {"view": "loader", "batch_size": "16", "shuffle": "false"}
    assert (at.number_input(key="loading.batch_size").value, at.toggle(key="loading.shuffle").value) == (16, False)
    at.number_input(key="loading.batch_size").set_value(20).run()
    assert in_address(at) == {"view": "loader", "batch_size": "20", "shuffle": "false"}
    at.toggle(key="loading.shuffle").set_value(True).run()
    assert in_address(at) == {"view": "loader", "batch_size": "20", "shuffle": "1"}


def test_an_address_with_lines_of_no_dataset_loses_them():
    at = opened("learn_data_loading", view="dataset", read="made up", length="rows")
    assert in_address(at) == {"view": "dataset", "length": "rows"}
