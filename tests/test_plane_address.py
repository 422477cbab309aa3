"""Every setting of the 2-D lab stands in its address, and an address that can't be gets one line."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.config import OPTIMIZERS, RunConfig, read_config
from core.fields import ConfigError
from core.presets import PRESETS
from core.runs import RunStore
from pages.parts.learn.decision_boundary import config as plane_config
from pages.parts.learn.decision_boundary.address import from_address, to_address
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text

LAB = str(Path(__file__).parents[1] / "pages/learn_decision_boundary.py")
FIRST = plane_config.FIRST


@pytest.fixture(autouse=True)
def runs(tmp_path, places, monkeypatch) -> RunStore:
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return RunStore(tmp_path / "runs")


def opened(asked: dict[str, str] | None = None) -> AppTest:
    at = AppTest.from_file(LAB, default_timeout=60)
    for name, value in (asked or {}).items():
        at.query_params[name] = value
    at.run()
    assert [e.value for e in at.exception] == []
    return at


def in_address(at: AppTest) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in at.query_params.items()}


def config(at: AppTest) -> RunConfig:
    return read_config(at.session_state[keys.PLANE])


def key(at: AppTest, name: str) -> str:
    return f"plane.{at.session_state[keys.PLANE_VERSION]}.{name}" if keys.PLANE_VERSION in at.session_state else f"plane.0.{name}"


def picture(at: AppTest) -> tuple[dict, bytes]:
    """What the browser is sent, but for when it was made."""
    sent = at.main.get("bidi_component")[0].proto.bytes
    end = 4 + int.from_bytes(sent[:4], "little")
    return {name: value for name, value in json.loads(sent[4:end]).items() if name != "made"}, sent[end:]


# --- names and values


@pytest.mark.parametrize("changes", [
    {}, {"data.noise": 0.35}, {"data.dataset": "hills", "training.loss": "mse"}, {"model.hidden": []},
    {"model.hidden": [8, 1, 4]}, {"data.features": ["sin_x2", "x1"]},
    {"data.added": [[1.5, -0.25, 1], [0, 0, 0]]}, {"training.shuffle": False},
    {"training.optimizer.name": "adam"}, {"training.optimizer.name": "adam", "training.optimizer.learning_rate": 0.1},
    {"training.optimizer.name": "sgd", "training.optimizer.momentum": 0.9, "training.optimizer.nesterov": True},
    {"training.schedule.name": "step", "training.schedule.every": 7}, {"training.seed": 2**31 - 1, "training.l1": 0.003},
    {"model.activation": "identity", "model.dropout": 0.3, "training.threads": 2}])
def test_an_address_brings_the_same_settings(changes):
    wanted = FIRST.with_values(changes)
    address = to_address(wanted)
    assert from_address(address) == wanted
    assert bool(address) == (wanted != FIRST)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_has_an_address(name):
    wanted = FIRST.with_values({"training.optimizer.name": name, "training.optimizer.learning_rate": 0.07})
    assert from_address(to_address(wanted)) == wanted
    assert set(to_address(wanted)) == {"training.optimizer.learning_rate", *(["training.optimizer.name"] * (name != "sgd"))}


@pytest.mark.parametrize("name", ["circle-2d", "circle-2d-closed", "linear-regression"])
def test_presets_have_addresses(name):
    assert from_address(to_address(PRESETS[name].config)) == PRESETS[name].config


WRONG = [
    ({"data.noise": "9"}, "data.noise is '9'; it must be from 0 to 1"), ({"data.noise": "much"}, "it must be a number"),
    ({"data.noise": "nan"}, "data.noise"), ({"data.nose": "1"}, "there is no such field"),
    ({"data.dataset": "mnist"}, "points in the plane"), ({"data.dataset": "nowhere"}, "points in the plane"),
    ({"data.dataset": "random_labels"}, "points in the plane"), ({"model.hidden": "9"}, "6 hidden layers of 8 units"),
    ({"model.hidden": ",".join(["2"] * 7)}, "6 hidden layers of 8 units"), ({"model.hidden": "4,x"}, "a whole number"),
    ({"model.hidden": "-1"}, "model.hidden"), ({"model.architecture": "cnn"}, "points in the plane"),
    ({"data.features": "x3"}, "data.features"), ({"data.features": "none"}, "data.features"),
    ({"data.added": "1,2"}, "data.added"), ({"data.added": "9,0,1"}, "from -6 to 6"),
    ({"data.added": ";".join(["0,0,1"] * 501)}, "500"),
    ({"training.optimizer.name": "magic"}, "magic"), ({"training.optimizer": "sgd"}, "training.optimizer"),
    ({"training.epochs": "10000"}, "from 1 to 1000"), ({"training.": "1"}, "there is no such field"),
    ({"data.noise.deep": "1"}, "there is no such field"), ({"data.dataset": "<b>x</b>*x*" * 200}, "data.dataset"),
    ({"training.loss": "cross_entropy\nand more"}, "training.loss")]


@pytest.mark.parametrize(("asked", "words"), WRONG, ids=[str(asked)[:40] for asked, _ in WRONG])
def test_what_cannot_be_is_said_in_one_line(asked, words):
    with pytest.raises(ConfigError) as caught:
        from_address(asked)
    assert words in str(caught.value) and "\n" not in str(caught.value)


# --- on the page


def test_every_control_is_followed_in_the_address_and_a_reload_shows_the_same():
    at = opened()
    assert in_address(at) == {}
    at.button(key="plane.set.moons").click().run()
    at.select_slider(key=key(at, "data.noise")).set_value(0.3)
    at.select_slider(key=key(at, "total")).set_value(500)
    at.select_slider(key=key(at, "training.batch_size")).set_value(30)
    at.select_slider(key=key(at, "training.epochs")).set_value(50)
    at.select_slider(key=key(at, "model.dropout")).set_value(0.2)
    at.selectbox(key=key(at, "model.activation")).select("relu")
    at.selectbox(key=key(at, "training.loss")).select("cross_entropy")
    at.selectbox(key=key(at, "training.optimizer.name")).select("adam").run()
    at.select_slider(key=key(at, "training.optimizer.learning_rate")).set_value(0.03)
    at.select_slider(key=key(at, "share")).set_value(80)
    at.button_group(key=key(at, "features")).set_value(["sin_x2", "x1"])
    at.button_group(key=key(at, "penalty")).set_value("L1")
    at.number_input(key=key(at, "layers")).set_value(2).run()
    at.number_input(key=key(at, "units.1")).set_value(7).run()
    at.button(key="plane.points").click().run()
    at.button(key="plane.weights").click().run()
    at.button(key="plane.add").click().run()
    assert not at.exception and not at.warning
    address = in_address(at)
    assert set(address) == {
        "data.dataset", "data.noise", "data.points", "data.features", "data.split_seed", "data.added", "model.hidden",
        "model.activation", "model.dropout", "training.batch_size", "training.epochs", "training.loss", "training.seed",
        "training.l1", "training.optimizer.name", "training.optimizer.learning_rate"}
    elsewhere = opened(address)
    assert config(elsewhere) == config(at) and in_address(elsewhere) == address
    assert picture(elsewhere) == picture(at)


def test_how_it_is_drawn_and_how_fast_stands_there_too():
    asked = {"plane.speed": "100", "plane.validation": "true", "plane.discrete": "true"}
    at = opened(asked)
    assert (at.select_slider(key="plane.speed").value, at.toggle(key="plane.discrete").value) == ("100", True)
    assert b'"discrete":true,"showValidation":true' in at.main.get("bidi_component")[0].proto.bytes and in_address(at) == asked
    at = opened({"plane.speed": "light", "plane.validation": "perhaps"})
    assert (at.select_slider(key="plane.speed").value, at.toggle(key="plane.validation").value) == ("20", False)


@pytest.mark.parametrize(("name", "text", "said"), [
    ("plane.speed", "warp", "Speed is 'warp'; choose from 1 epoch/s, 5, 20, 100, as fast as it goes"),
    ("plane.validation", "perhaps", "Show validation points is 'perhaps'; choose from true, false"),
    ("plane.discrete", "<b>", "Two colours only is '<b>'; choose from true, false")])
def test_how_it_can_not_be_drawn_gets_a_line_too(name, text, said):
    at = opened({name: text, "data.noise": "0.2"})
    (line,) = at.warning
    assert line.value == as_text(f"The address asks for what this lab can't show. {said}")
    assert config(at).data.noise == 0.2 and in_address(at) == {"data.noise": "0.2"}
    at.number_input(key=key(at, "layers")).set_value(2).run()
    assert not at.warning


@pytest.mark.parametrize(("asked", "said"), [
    ({"data.added": "1"}, "Added points: point 1 is '1'; it must be x₁, x₂ and its class, 0 or 1"),
    ({"data.added": "0,0,1;1,2"}, "Added points: point 2 is '1,2'; it must be x₁, x₂ and its class, 0 or 1"),
    ({"data.added": "0,0,1;0,9,1"}, "Added points, entry 2, value 2 is '9'; it must be from -6 to 6"),
    ({"data.noise": "9"}, "Noise is '9'; it must be from 0 to 1"), ({"model.hidden": "4,x"}, "Hidden layers, entry 2 is 'x'"),
    ({"training.optimizer.learning_rate": "no"}, "Learning rate is 'no'; it must be a number"),
    ({"data.nose": "1"}, "data.nose: there is no such field")])
def test_a_line_names_the_setting_as_the_page_does(asked, said):
    (line,) = opened(asked).warning
    assert line.value.startswith(as_text(f"The address asks for what this lab can't show. {said}"))


@pytest.mark.parametrize("asked", [asked for asked, _ in WRONG], ids=[str(asked)[:40] for asked, _ in WRONG])
def test_a_wrong_address_gets_one_line_and_the_usual_settings(asked):
    at = opened(asked | {"model.activation": "relu"})
    (line,) = at.warning
    assert line.value.startswith("The address asks for what this lab can't show.") and "\n" not in line.value
    assert "<b>" not in line.value.replace("\\<", "")
    assert config(at) == FIRST and in_address(at) == {} and at.main.get("bidi_component")
    at.number_input(key=key(at, "layers")).set_value(2).run()
    assert not at.warning and in_address(at) == {"model.hidden": "4,4"}


def test_an_address_that_is_changed_is_followed():
    at = opened({"data.noise": "0.2"})
    assert config(at).data.noise == 0.2
    del at.query_params["data.noise"]
    at.query_params["data.dataset"] = "xor"
    at.run()
    assert config(at) == FIRST.with_values({"data.dataset": "xor"})


def test_settings_beside_a_run_are_what_is_shown(runs):
    run = runs.create_running(FIRST.with_values({"data.dataset": "xor"}), "someone", "here")
    at = opened({"run": run.id})
    assert config(at) == run.config and in_address(at) == {"run": run.id, "data.dataset": "xor"}
    at.button(key="plane.set.circle").click().run()  # the usual settings, which are not the run's
    changed = config(at)
    assert in_address(at).keys() >= {"run", "data.dataset"}
    elsewhere = opened(in_address(at))
    assert config(elsewhere) == changed and in_address(elsewhere) == in_address(at)
    assert any("Not trained yet" in text.value for text in elsewhere.markdown)
