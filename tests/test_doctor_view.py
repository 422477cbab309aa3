"""What the doctor says on the pages, the click that mends it, and the code to take away."""

import ast
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.config import RunConfig, read_config
from core.export import model_class, script
from core.presets import PRESETS
from pages.parts.shell import keys
from tests.helpers import run_here

ROOT = Path(__file__).parents[1]
QUICK = PRESETS["digits-quick"].config


@pytest.fixture(autouse=True)
def runs(tmp_path, places, monkeypatch):
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")


def page(path: str, config: RunConfig) -> AppTest:
    at = AppTest.from_file(str(ROOT / path), default_timeout=60)
    at.session_state[keys.DRAFT] = config.model_dump(mode="json")
    at.session_state[keys.DRAFT_VERSION] = 0
    at.run()
    assert [e.value for e in at.exception] == []
    return at


def labels(at: AppTest) -> list[str]:
    return [expander.label for expander in at.expander]


def draft(at: AppTest) -> RunConfig:
    return read_config(at.session_state[keys.DRAFT])


@pytest.mark.parametrize(("path", "key"), [("pages/build_model.py", "build"), ("pages/train_model.py", "train")])
def test_one_click_mends(path, key):
    at = page(path, QUICK.with_values({"training.optimizer.learning_rate": 2.0}))
    assert any("Doubtful" in label and "learning rate of 2 is too high" in label for label in labels(at))
    at.button(key=f"{key}.fix.learning_rate_too_high").click().run()
    assert [e.value for e in at.exception] == []
    assert draft(at) == QUICK.with_values({"training.optimizer.learning_rate": 0.001})
    assert not any("learning rate" in label for label in labels(at))


def test_a_close_look_reads_the_data_and_tries_learning_rates():
    at = page("pages/build_model.py", QUICK.with_values({"data.variations": 0, "data.validation": 1200}))
    assert not any("suits this network" in caption.value for caption in at.caption)
    at.button(key="build.close_look").click().run()
    assert [e.value for e in at.exception] == []
    said = next(caption.value for caption in at.caption if "suits this network" in caption.value)
    assert said.startswith("Looked at 237 training examples")
    counted = "” has 1"  # the rarest class by name, where the registry alone says “about 23 of each”
    assert any(counted in markdown.value for markdown in at.markdown)
    at.run()  # nothing changed: it is not done again, and still there
    assert any("suits this network" in caption.value for caption in at.caption)


def test_a_close_look_tries_the_weights_that_the_run_would_start_from():
    config = QUICK.with_values({"data.variations": 0, "data.validation": 1200, "training.start_from": "0" * 32})
    at = page("pages/build_model.py", config)
    at.button(key="build.close_look").click().run()
    assert [e.value for e in at.exception] == []
    assert any("can't start from the weights of run '00000000'" in warning.value for warning in at.warning)


def test_a_close_look_without_the_data_says_what_to_do():
    at = page("pages/build_model.py", QUICK.with_values({"data.dataset": "fashion_mnist", "data.variations": 0}))
    at.button(key="build.close_look").click().run()
    assert [e.value for e in at.exception] == []
    assert any("Download the data set on the page" in warning.value for warning in at.warning)


def test_measured_time_shows_in_totals_and_layers():
    at = page("pages/build_model.py", QUICK.with_values({"model.channels": [4], "training.batch_size": 16}))
    assert "One epoch" not in [metric.label for metric in at.metric]
    at.button(key="build.measure").click().run()
    assert [e.value for e in at.exception] == []
    assert "One epoch" in [metric.label for metric in at.metric]
    assert "Time" in at.dataframe[0].value.columns
    at.number_input(key=f"form.{at.session_state[keys.DRAFT_VERSION]}.model.dropout").set_value(0.5).run()
    assert "One epoch" not in [metric.label for metric in at.metric], "it was another network's"


def test_a_network_too_large_to_measure_says_so():
    at = page("pages/build_model.py", QUICK.with_values({"model.architecture": "mlp", "model.hidden": [16384] * 4}))
    at.button(key="build.measure").click().run()
    assert [e.value for e in at.exception] == [] and any("GB" in warning.value for warning in at.warning)


def test_the_form_shows_the_mended_value():
    at = page("pages/train_model.py", QUICK.with_values({"training.batch_size": 4096, "data.variations": 0}))
    at.button(key="train.fix.batch_larger_than_data").click().run()
    assert at.number_input(key=f"form.{at.session_state[keys.DRAFT_VERSION]}.training.batch_size").value == 64


def test_a_network_that_does_not_fit_is_mended_too():
    at = page("pages/build_model.py", QUICK.with_values({"model.channels": [8] * 5}))
    assert at.error and any("Can't work" in label for label in labels(at))
    assert "As code" not in [entry.value for entry in at.header]
    at.button(key="build.fix.does_not_fit").click().run()
    assert not at.error and draft(at).model.channels == (8, 8, 8, 8)


def test_notes_are_shown_where_there_is_room_and_nothing_else_is_said_of_a_sound_run():
    built = page("pages/build_model.py", QUICK)
    assert any("Nothing wrong was found" in text.value for text in built.markdown)
    assert any("Worth knowing" in label for label in labels(built))
    trained = page("pages/train_model.py", QUICK)
    assert not any(word in label for label in labels(trained) for word in ("Worth knowing", "Doubtful", "Can't work"))


def test_evidence_and_explanation_are_on_the_page_as_text():
    at = page("pages/build_model.py", QUICK.with_values({"training.loss": "bce_with_logits"}))
    written = "\n".join(text.value for text in at.markdown)
    assert "10 separate questions, of which 9" in written
    hostile = page("pages/build_model.py", RunConfig().with_values({"data.dataset": "digits"}))
    assert not any("<" in text.value for text in hostile.markdown)


def test_the_code_is_that_of_the_draft():
    at = page("pages/build_model.py", QUICK)
    assert not at.get("download_button"), "nothing is written before somebody opens it"
    for file in ("network.py", "train.py"):
        at.session_state[f"build.code.{file}"] = True
    at.run()
    texts = [block.value for block in at.code]
    assert model_class(QUICK.model, (1, 28, 28), 10).strip() in texts and script(QUICK).strip() in texts  # trimmed
    assert {button.proto.label for button in at.get("download_button")} == {"Download network.py", "Download train.py"}
    for text in (texts[-1], texts[-2]):
        ast.parse(text)


@pytest.mark.parametrize(("dataset", "planted", "rule"), [
    ("circle", {"model.hidden": []}, "network_too_small"), ("linear", {"training.loss": "cross_entropy"}, "loss_for_numbers"),
    ("moons", {"data.features": ["x1"]}, "answers_not_in_inputs"),
    ("digits", {"training.initialization": "zeros"}, "starts_at_nothing")])
def test_a_planted_mistake_is_mended_on_the_page_and_the_run_learns(dataset, planted, rule, store, settings):
    """From the page's button to a trained run, beside the same run without it."""
    sound = RunConfig().with_values({
        "data.dataset": dataset, "data.validation": 100, "data.points": 200, "model.hidden": [16], "training.epochs": 10,
        "training.loss": "mse" if dataset == "linear" else "cross_entropy", "training.batch_size": 10, "training.device": "cpu",
        "training.precision": "float32", "training.optimizer.learning_rate": 0.02 if dataset != "digits" else 0.001})
    wrong = sound.with_values(planted)
    at = page("pages/train_model.py", wrong)
    at.button(key=f"train.fix.{rule}").click().run()
    assert [e.value for e in at.exception] == []
    mended = draft(at)
    assert not [button for button in at.button if button.key == f"train.fix.{rule}"]
    before, after = run_here(store, settings, wrong), run_here(store, settings, mended)
    assert after.status == "finished"
    if dataset == "linear":
        assert before.status == "failed" and after.test_loss < 1.0  # of a variance of 13
    else:
        assert after.test_accuracy > 0.85 > before.test_accuracy


def test_the_fast_script_is_a_choice_beside_the_code():
    at = page("pages/build_model.py", QUICK)
    at.session_state["build.code.train.py"] = True
    at.run()
    way = next(one for one in at.button_group if one.key == "build.code.way")
    assert way.value == "Plain: a DataLoader"
    way.set_value("Fast: whole set in memory").run()
    assert script(QUICK, fast=True).strip() in [block.value for block in at.code] and not at.exception
