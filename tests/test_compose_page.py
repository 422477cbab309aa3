"""Composing on the page Build model: rows to open, add, move, change and delete; undo; the fix of a wrong row; text."""

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.config import read_config
from core.models import StackConfig
from core.models.composer import to_json
from core.models.layers import BatchNorm2dConfig, FlattenConfig, LinearConfig, MaxPool2dConfig, ReLUConfig, ResidualConfig
from core.runs import RunStore
from pages.parts.shell import keys

ROOT = Path(__file__).parents[1]


@pytest.fixture
def runs(tmp_path, places, monkeypatch) -> RunStore:
    """A runs folder of the test's own, without workers: what is started stays in the queue."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return RunStore(tmp_path / "runs")


def compose(stack: StackConfig | None = None) -> AppTest:
    """The page with a composition; without one, the first preset's network taken apart."""
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run().switch_page("pages/build_model.py").run()
    if stack is None:
        at.button(key="build.compose").click().run()
    else:
        at.session_state[keys.DRAFT] = at.session_state[keys.DRAFT] | {"model": stack.model_dump(mode="json")}
        at.run()
    assert_whole(at)
    return at


def assert_whole(at: AppTest) -> None:
    assert [e.value for e in at.exception] == []


def stack_of(at: AppTest) -> StackConfig:
    return read_config(at.session_state[keys.DRAFT]).model


def kinds(at: AppTest) -> list[str]:
    return [layer.kind for layer in stack_of(at).layers]


def press(at: AppTest, *names: str) -> AppTest:
    for name in names:
        at.button(key=f"compose.{name}").click().run()
        assert_whole(at)
    return at


def key(at: AppTest, name: str) -> str:
    return f"compose.{at.session_state[keys.COMPOSE_VERSION]}.{name}"


def shown(at: AppTest) -> str:
    return "\n".join(element.value for kind in (at.markdown, at.caption, at.error) for element in kind)


MLP = StackConfig(layers=(FlattenConfig(), LinearConfig(out_features=20), ReLUConfig(), LinearConfig(out_features=0)))


def test_a_preset_is_taken_apart(runs):
    at = compose()
    assert kinds(at) == ["conv2d", "max_pool2d", "relu"] * 2 + ["flatten", "linear", "relu", "dropout", "linear"]
    assert list(at.dataframe[0].value["Layer"])[:3] == ["conv1", "pool1", "relu1"]
    assert not at.error and not at.button(key="build.train").disabled


def test_add_move_duplicate_and_delete(runs):
    at = compose(MLP)
    press(at, "row.2")
    at.selectbox(key="compose.kind").select("dropout").run()
    press(at, "add")
    assert kinds(at) == ["flatten", "linear", "dropout", "relu", "linear"]
    press(at, "down")
    assert kinds(at) == ["flatten", "linear", "relu", "dropout", "linear"]
    press(at, "up", "up")
    assert kinds(at) == ["flatten", "dropout", "linear", "relu", "linear"]
    press(at, "duplicate")
    assert kinds(at) == ["flatten", "dropout", "dropout", "linear", "relu", "linear"]
    press(at, "delete")
    assert kinds(at) == ["flatten", "dropout", "linear", "relu", "linear"]
    press(at, "add")  # no row is open: at the end
    assert kinds(at)[-1] == "dropout"
    assert list(at.dataframe[0].value["Kind"]) == ["Flatten", "Dropout", "Linear", "ReLU", "Linear", "Dropout"]


def test_undo_and_redo(runs):
    at = compose(MLP)
    assert at.button(key="compose.undo").disabled and at.button(key="compose.redo").disabled
    press(at, "row.3", "delete", "row.1", "delete")
    assert kinds(at) == ["linear", "linear"]
    press(at, "undo", "undo")
    assert stack_of(at) == MLP and at.button(key="compose.undo").disabled
    press(at, "redo")
    assert kinds(at) == ["flatten", "linear", "linear"]


def test_a_field_is_changed_and_follows_undo(runs):
    at = press(compose(MLP), "row.2")
    at.number_input(key=key(at, "2.linear.out_features")).set_value(30).run()
    assert_whole(at)
    assert stack_of(at).layers[1].out_features == 30
    assert at.dataframe[0].value["Parameters"][1] == 784 * 30 + 30
    at.toggle(key=key(at, "2.linear.bias")).set_value(False).run()
    assert stack_of(at).layers[1] == LinearConfig(out_features=30, bias=False)
    press(at, "undo", "undo", "row.2")
    assert at.number_input(key=key(at, "2.linear.out_features")).value == 20
    at.selectbox(key=key(at, "kind.2")).select("tanh").run()
    assert_whole(at)
    assert kinds(at) == ["flatten", "tanh", "relu", "linear"]


def test_a_wrong_row_is_marked_and_fixed(runs):
    at = press(compose(MLP), "row.1", "delete")
    assert "fc1 received 1×28×28 and needs one row of numbers, as Flatten makes it." in shown(at)
    assert at.button(key="build.train").disabled
    assert "the network as it was when they last did" in shown(at)
    assert list(at.dataframe[0].value["Layer"]) == ["flatten", "fc1", "relu1", "fc2"], "its table stays meanwhile"
    assert at.button(key="compose.fix.1").label == "Fix: Put Flatten before it"
    press(at, "fix.1")
    assert stack_of(at) == MLP
    assert not at.button(key="build.train").disabled and at.dataframe


def test_several_wrong_rows_each_with_its_fix(runs):
    at = compose(StackConfig(layers=(FlattenConfig(), BatchNorm2dConfig(), MaxPool2dConfig(), LinearConfig(out_features=3))))
    assert "Rows 2, 3, 4 do not fit yet" in shown(at)
    press(at, "fix.2", "fix.4", "fix.3")
    assert kinds(at) == ["max_pool2d", "flatten", "batch_norm1d", "linear"]
    assert stack_of(at).layers[3].out_features == 10


def test_rows_inside_a_block(runs):
    at = compose(StackConfig(layers=(ResidualConfig(layers=(ReLUConfig(),)), FlattenConfig(), LinearConfig(out_features=0))))
    press(at, "row.1")
    at.selectbox(key="compose.kind").select("tanh").run()
    press(at, "add_inside", "up")
    assert [layer.kind for layer in stack_of(at).layers[0].layers] == ["tanh", "relu"]
    at.selectbox(key="compose.kind").select("residual").run()
    assert at.button(key="compose.add").disabled  # no block inside a block
    press(at, "delete", "row.1.1", "delete")
    assert stack_of(at).layers[0].layers == ()
    press(at, "row.1")
    at.selectbox(key=key(at, "1.residual.skip")).select("projection").run()
    assert_whole(at)
    assert stack_of(at).layers[0].skip == "projection"


def test_everything_deleted_offers_a_start(runs):
    at = press(compose(StackConfig(layers=(ReLUConfig(),))), "row.1", "delete")
    assert "There are no layers yet" in shown(at)
    press(at, "fix.1")
    assert kinds(at) == ["flatten", "linear"]
    assert at.dataframe[0].value["Parameters"].sum() == 7850


def test_start_from_a_preset_or_a_classic(runs):
    at = compose(MLP)
    at.selectbox(key=key(at, "start")).select("lenet5").run()
    assert_whole(at)
    assert at.metric[0].value == "61,706"
    at.selectbox(key=key(at, "start")).select("preset.mnist-mlp-50").run()
    assert at.metric[0].value == "39,760"
    press(at, "undo", "undo")
    assert stack_of(at) == MLP


def test_what_is_unfinished_is_no_error(runs):
    at = compose(MLP)
    at.selectbox(key=key(at, "start")).select("empty").run()
    assert_whole(at)
    assert kinds(at) == [] and "Unfinished" in shown(at) and ":red[" not in shown(at)
    at.selectbox(key="compose.kind").select("conv2d").run()
    press(at, "add")
    assert kinds(at) == ["conv2d"] and "Unfinished" in shown(at) and ":red[" not in shown(at)
    press(at, "fix.1")
    assert kinds(at) == ["conv2d", "flatten", "linear"] and "Unfinished" not in shown(at)


def test_text_is_loaded_or_refused(runs):
    at = compose(MLP)
    text = next(area for area in at.text_area if area.label.startswith("Or copy"))
    assert text.value == to_json(MLP)
    wanted = {"layers": [{"kind": "flatten"}, {"kind": "linear", "out_features": 0}]}
    text.set_value(json.dumps(wanted)).run()
    press(at, "load")
    assert kinds(at) == ["flatten", "linear"]
    for wrong, line in (("{", "not valid JSON"), ("<script>alert(1)</script>", "not valid JSON"),
                        ('{"layers": [{"kind": "linear", "out_features": -1}]}', "layers.0.out_features is -1")):
        next(area for area in at.text_area if area.label.startswith("Or copy")).set_value(wrong).run()
        press(at, "load")
        assert len(at.error) == 1 and line in at.error[0].value and "\n" not in at.error[0].value
        assert kinds(at) == ["flatten", "linear"]
    press(at, "undo")
    assert stack_of(at) == MLP and not at.error


@pytest.mark.parametrize(("content", "line"), [
    (to_json(MLP).encode(), None), (b"\x00\xff", "not valid JSON"), (b"", "not valid JSON"), (b"[" * 300_000, "characters")])
def test_a_file_is_loaded_or_refused(runs, content, line):
    at = compose(StackConfig())
    at.file_uploader(key=key(at, "file")).set_value(("network.json", content, "application/json")).run()
    assert_whole(at)
    if line is None:
        assert stack_of(at) == MLP and not at.error
    else:
        assert stack_of(at) == StackConfig() and line in at.error[0].value


def test_a_billion_parameters_are_warned_of(runs):
    at = compose(StackConfig(layers=(FlattenConfig(), LinearConfig(out_features=1_300_000), LinearConfig(out_features=0))))
    assert "1,020,500,000 parameters: 4.1 GB of weights" in shown(at)
    assert at.metric[0].value == "1,033,500,010"


def test_large_layers_of_other_networks_are_warned_of_too(runs):
    at = AppTest.from_file(str(ROOT / "pages/build_model.py"), default_timeout=60).run()
    at.selectbox(key=f"form.{at.session_state[keys.DRAFT_VERSION]}.model.architecture").select("vgg16").run()
    assert_whole(at)
    assert [warning.value for warning in at.warning] == [
        "classifier.0: 102,764,544 parameters: 411.1 MB of weights, and training with Adam needs four times as much."]


def test_what_was_composed_is_trained(runs):
    at = press(compose(MLP), "row.2")
    at.number_input(key=key(at, "2.linear.out_features")).set_value(6).run()
    at.switch_page("pages/train_model.py").run()
    assert_whole(at)
    assert "4 layers of your own" in shown(at)
    at.button(key="train.start").click().run()
    assert_whole(at)
    (run,) = runs.runs()
    assert run.config.model == StackConfig(layers=(FlattenConfig(), LinearConfig(out_features=6), ReLUConfig(), LinearConfig(
        out_features=0)))


def test_choosing_the_composed_network_keeps_the_layers(runs):
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run().switch_page("pages/build_model.py").run()
    for architecture, first in (("mlp", "flatten"), ("small_resnet", "conv2d"), ("vgg16", "flatten")):
        for choice in (architecture, "stack"):
            version = at.session_state[keys.DRAFT_VERSION]
            at.selectbox(key=f"form.{version}.model.architecture").select(choice).run()
            assert_whole(at)
        assert kinds(at)[0] == first
        assert at.dataframe


def test_train_this_network_starts_it_though_an_older_run_is_looked_at(runs):
    at = compose(MLP)
    config = read_config(at.session_state[keys.DRAFT])
    older = runs.create_running(config.with_values({"training.seed": 5}), "somebody", "here", title="an older run")
    at.query_params["run"] = older.id
    at.run()
    at.button(key="build.train").click().run()
    assert_whole(at)
    (started,) = [run for run in runs.runs() if run.id != older.id]
    assert at.title[0].value == "Train model" and at.query_params["run"] == started.id
    assert started.config == config and started.status == "queued"


def test_without_its_data_a_network_lands_on_no_older_run(runs):
    at = compose()
    config = at.session_state[keys.DRAFT]
    older = runs.create_running(read_config(config), "somebody", "here", title="an older run")
    at.session_state[keys.DRAFT] = config | {"data": config["data"] | {"dataset": "fashion_mnist"}}
    at.query_params["run"] = older.id
    at.run()
    at.button(key="build.train").click().run()
    assert_whole(at)
    assert at.title[0].value == "Train model" and "run" not in at.query_params and len(runs.runs()) == 1
    assert any("is not on this machine yet" in warning.value for warning in at.warning)
