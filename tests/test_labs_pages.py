"""The labs' pages: every control, what a person can do wrong, and that the numbers on the page are core's."""

import io
import json
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.labs import dropout
from core.labs.activations import ACTIVATIONS, INITS, activation_at, through_layers
from core.labs.losses import LOSSES, loss_at
from core.labs.optimizer_race import RACERS, RaceConfig, race
from core.labs.saving import MISFITS, misfit, network, refused_pickle
from core.labs.surfaces import SURFACES
from pages.parts.shell import keys
from tests.opened_pages import skip_questions

ROOT = Path(__file__).parents[1]
BLOCKS, SAVING = "pages/learn_building_blocks.py", "pages/learn_saving.py"


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")


def opened(path: str, part: str | None = None) -> AppTest:
    at = skip_questions(AppTest.from_file(str(ROOT / path), default_timeout=60))
    if part:
        at.query_params["blocks.part"] = part
    at.run()
    whole(at)
    return at


def whole(at: AppTest) -> None:
    assert [e.value for e in at.exception] == []


def written(at: AppTest) -> str:
    return "\n".join(str(e.value) for kind in (at.markdown, at.caption, at.info, at.error) for e in kind)


def figures(at: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]


def test_a_question_is_answered_after_a_guess():
    at = opened(BLOCKS, "Activations")
    assert at.button(key="blocks.depth.reveal").disabled
    at.radio(key="blocks.depth.guess").set_value("About 1").run()
    at.button(key="blocks.depth.reveal").click().run()
    whole(at)
    assert "Not quite: Less than a millionth." in written(at)
    assert at.session_state[keys.LABS][BLOCKS] == "tried"


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_on_the_page_are_cores(name):
    at = opened(BLOCKS, "Activations")
    at.selectbox(key="blocks.activation").select(name).run()
    at.slider(key="blocks.x").set_value(-0.7).run()
    whole(at)
    here = activation_at(name, -0.7)
    assert f"f(x) = **{here.value[0]:.4f}**, slope **{here.slope[0]:.4f}**" in written(at)
    depth = through_layers(name, "default", 0)
    assert depth.forward in written(at) and depth.backward in written(at)
    assert ACTIVATIONS[name].code in at.code[0].value and "tensor(-0.7" in at.code[0].value


def test_dropout_on_the_page_is_cores():
    at = opened(BLOCKS, "Dropout")
    at.slider(key="blocks.dropout").set_value(0.8).run()
    at.number_input(key="blocks.dropout_seed").set_value(3).run()
    whole(at)
    kept = int(dropout.draw(0.8, 3).kept.sum())
    assert f"In training {kept} of 8 numbers stay, each times **1 / (1 − p) = 5**" in written(at)
    many = dropout.averages(0.8, 3)
    assert [metric.value for metric in at.metric] == [f"{mean:.3f}" for mean in (4.5, many.scaled, many.plain)]
    assert "nn.Dropout(0.8)" in at.code[0].value


def test_first_weights_and_seed_change_the_layers():
    at = opened(BLOCKS, "Activations")
    for init in INITS:
        at.selectbox(key="blocks.init").select(init).run()
        at.number_input(key="blocks.seed").set_value(4).run()
        whole(at)
        assert through_layers("relu", init, 4).backward in written(at)
    table = at.dataframe[0].value
    assert list(table["Layer"]) == list(range(1, 11))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_on_the_page_are_cores(name):
    at = opened(BLOCKS, "Losses")
    at.selectbox(key="blocks.loss").select(name).run()
    whole(at)
    prediction, label = at.slider(key=f"blocks.prediction.{name}").value, at.slider(key=f"blocks.label.{name}").value
    here = loss_at(name, prediction, label)
    assert f"Loss **{here.loss[0]:.4f}**, slope **{here.slope[0]:+.4f}**" in written(at)
    at.slider(key=f"blocks.label.{name}").set_value(LOSSES[name].y[1]).run()
    whole(at)


@pytest.mark.parametrize("label", [0, 1])
def test_overflow_on_the_page(label):
    at = opened(BLOCKS, "Losses")
    at.toggle(key="blocks.float32").set_value(True).run()
    at.segmented_control(key="blocks.logit_label").set_value(label).run()
    whole(at)
    table = at.dataframe[0].value.set_index("Logit")
    row = table.loc["-200" if label else "200"]
    assert list(row[["Log by hand", "BCE", "BCE with logits"]]) == ["inf", "100", "200"]
    assert row["… its gradient"] == "nan" and row["… gradient"] == "0" and row["… gradient "] == ("-1" if label else "1")


@pytest.mark.parametrize("name", SURFACES)
def test_races_on_the_page_are_cores(name):
    at = opened(BLOCKS, "Optimizers")
    at.selectbox(key="blocks.landscape").select(name).run()
    at.slider(key="blocks.noise").set_value(0.1).run()
    whole(at)
    surface = SURFACES[name]()
    config = RaceConfig(learning_rate=surface.rates[0], adaptive_rate=surface.rates[1], noise=0.1, x=surface.start[0],
                        y=surface.start[1])
    paths = race(surface, ("sgd", "momentum", "nesterov", "rmsprop", "adam"), config)
    table = at.dataframe[0].value
    assert list(table["Optimizer"]) == [RACERS[path.racer].title for path in paths]
    assert list(table["x"]) == [f"{path.points[-1, 0]:.4g}" for path in paths]
    for path in paths:
        assert f"**{RACERS[path.racer].title}.** {path.words}" in written(at)


def running(at: AppTest) -> dict:
    """What the browser is sent of the race."""
    return json.loads(next(part.proto.json for part in at.get("bidi_component") if "blocks.race" in part.proto.id))["content"][0]


def test_the_lab_opens_with_the_race_and_its_question_below():
    at = opened(BLOCKS)
    sent = running(at)
    surface = SURFACES["bowl"]()
    paths = race(surface, ("sgd", "momentum", "nesterov", "rmsprop", "adam"), RaceConfig(
        learning_rate=surface.rates[0], adaptive_rate=surface.rates[1], x=surface.start[0], y=surface.start[1]))
    assert [one["title"] for one in sent["racers"]] == [RACERS[path.racer].title for path in paths]
    for one, path in zip(sent["racers"], paths, strict=True):
        for what, values in (("points", path.points.ravel()), ("losses", path.losses)):
            np.testing.assert_allclose(np.frombuffer(b64decode(one[what]), "<f4"), values, rtol=1e-6, atol=1e-30)
        assert path.words in sent["about"]
    at.selectbox(key="blocks.landscape").select("saddle").run()
    assert running(at)["id"] != sent["id"], "another race, which starts anew"
    at.segmented_control(key="blocks.view").set_value("Whole paths").run()
    whole(at)
    assert len(figures(at)) == 2


def test_step_by_step():
    at = opened(BLOCKS, "Optimizers")
    at.segmented_control(key="blocks.view").set_value("Step by step").run()
    at.slider(key="blocks.step.200").set_value(3).run()
    whole(at)
    assert set(at.dataframe[0].value["Step"]) == {3}


def test_without_racers_there_is_a_hint():
    at = opened(BLOCKS, "Optimizers")
    for name in ("sgd", "momentum", "nesterov", "rmsprop", "adam"):
        at.checkbox(key=f"blocks.racer.{name}").uncheck().run()
    whole(at)
    assert not at.get("plotly_chart") and "Choose at least one racer" in at.info[0].value


def test_a_diverging_race_is_reported_in_words():
    at = opened(BLOCKS, "Optimizers")
    at.select_slider(key="blocks.rate.bowl").set_value(5.0).run()
    whole(at)
    assert "Diverged: more than a million away" in written(at)


# --- saving


def test_the_state_dict_on_the_page():
    table = opened(SAVING).dataframe[0].value.set_index("Name")
    assert table.loc["0.weight", "Shape"] == "8×4" and table.loc["1.num_batches_tracked", "Shape"] == "one number"
    first = network().state_dict()["0.weight"].flatten()[:4].tolist()
    assert table.loc["0.weight", "First values"] == ", ".join(f"{value:.4g}" for value in first)
    assert table["Bytes"].sum() == 404


def test_three_files_and_what_is_inside():
    at = opened(SAVING)
    at.toggle(key="saving.three").set_value(True).run()
    whole(at)
    sizes = dict(zip(at.dataframe[1].value["Way"], at.dataframe[1].value["File (bytes)"], strict=True))
    assert max(sizes, key=sizes.get) == "The whole object"
    for name in ("object", "safetensors"):
        at.selectbox(key="saving.inside").select(name).run()
        whole(at)
    assert '"__metadata__"' in written(at) or any("dtype" in code.value for code in at.code)


def test_the_refused_file_is_shown_and_not_run(capfd):
    at = opened(SAVING)
    at.toggle(key="saving.hostile").set_value(True).run()
    whole(at)
    assert not at.error
    assert any(code.value == "builtins.print" for code in at.code)
    assert any(code.value == refused_pickle().message for code in at.code)
    assert "would have been printed" not in capfd.readouterr().out


@pytest.mark.parametrize("kind", MISFITS)
def test_misfits_on_the_page(kind):
    at = opened(SAVING)
    at.segmented_control(key="saving.misfit").set_value(kind).run()
    whole(at)
    assert any(code.value == misfit(kind) for code in at.code)


def test_forgotten_eval_on_the_page():
    at = opened(SAVING)
    assert "All five answers are the same." in written(at) and "again.eval()" in at.code[-1].value
    at.toggle(key="saving.evaluating").set_value(False).run()
    assert "differs by up to" in written(at) and "running mean has moved" in written(at) and "again.train()" in at.code[-1].value
    at.slider(key="saving.dropout").set_value(0.0).run()
    at.toggle(key="saving.norm").set_value(False).run()
    whole(at)
    assert "All five answers are the same." in written(at)


def upload(content: bytes, name: str) -> AppTest:
    at = opened(SAVING)
    at.file_uploader(key="saving.upload").set_value((name, content, "application/octet-stream")).run()
    whole(at)
    return at


def saved(what: object) -> bytes:
    file = io.BytesIO()
    torch.save(what, file)
    return file.getvalue()


def test_an_own_file_is_listed():
    at = upload(saved({"first.weight": torch.arange(6.0).reshape(2, 3)}), "mine.pth")
    assert not at.error and "1 tensor with 6 values" in written(at)
    table = at.dataframe[-1].value
    assert list(table.iloc[0]) == ["first.weight", "2×3", "float32", "0, 1, 2, 3", 24]


@pytest.mark.parametrize(("content", "word"), [
    (b"", "empty"), (b"hello", "neither"), (saved({"w": torch.tensor([np.nan])}), "NaN"),
    (saved({"w": torch.ones(2, dtype=torch.float64)}), "float64"), (saved(network()), "whole object"),
    (saved(network().state_dict())[:-100], "damaged")])
def test_a_bad_file_gets_one_line(content, word):
    at = upload(content, "bad <b>.pth")
    assert len(at.error) == 1 and word in at.error[0].value and "<b>" not in at.error[0].value
