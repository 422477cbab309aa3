"""The section "Look inside": nothing until asked, then every stage and every view of the weights, for any network."""

import base64
import io
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.config import RunConfig
from core.data.drawing import prepare as prepare_drawing
from core.inspection import dead_units, parameter_table, walk
from core.inspection.activations.windows import number
from core.models import CNNConfig, MLPConfig
from core.runs import RunStore, load_model
from core.training import prepare
from pages.parts.build.subject import DRAWING, RANDOM
from pages.parts.build.walk import WALK, WEIGHTS
from pages.parts.build.weights import VIEWS
from pages.parts.shell import keys
from tests import strokes
from tests.helpers import tiny

ROOT = Path(__file__).parents[1]
SAMPLE = "build.look.sample.2.From the data"  # the choice of samples, where there is no drawing
CNN = tiny().model_copy(update={"model": CNNConfig(channels=(3, 4), batch_norm=True, dropout=0.2, fc_width=8)})


def script() -> None:
    """A page with this section alone."""
    import streamlit as st
    import torch

    from core.config import read_config
    from core.models import build
    from core.training import outputs_for
    from pages.parts.build.walk import walk_section
    from pages.parts.shell.frame import open_page
    from pages.parts.shell.services import services

    open_page("Test")
    config = read_config(st.session_state["test.config"])
    with torch.device("meta"):
        model = build(config.model, (1, 28, 28), outputs_for(config, 10))
    walk_section(services(), config, model if st.session_state["test.fits"] else None)


@pytest.fixture
def runs(tmp_path, places, monkeypatch) -> RunStore:
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return RunStore(tmp_path / "runs")


@pytest.fixture
def finished(trained, places, monkeypatch) -> str:
    monkeypatch.setenv("PLAYGROUND_RUNS", str(trained[0].path))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    return trained[1].id


def section(config: RunConfig, view: str | None = WALK, run: str | None = None, fits: bool = True, **session: object) -> AppTest:
    at = AppTest.from_function(script, default_timeout=60)
    at.session_state["test.config"] = config.model_dump(mode="json")
    at.session_state["test.fits"] = fits
    for name, value in session.items():
        at.session_state[name.replace("__", ".")] = value
    if run:
        at.query_params["run"] = run
    at.run()
    return choose(at, "build.look.view", view) if view else at


def choose(at: AppTest, key: str, value: object) -> AppTest:
    at.session_state[key] = value
    return whole(at.run())


def whole(at: AppTest) -> AppTest:
    assert [e.value for e in at.exception] == []
    return at


def widget(at: AppTest, kind: str, key: str):
    return next(w for w in getattr(at, kind) if w.key.startswith(key))


def go_to_stage(at: AppTest, name: str) -> AppTest:
    """By its name, such as "conv1"."""
    stages = widget(at, "selectbox", "build.look.stage")
    place = next(i for i, option in enumerate(stages.options) if option.split(" · ")[1] == name)
    return whole(stages.select_index(place).run())


def written(at: AppTest) -> str:
    return "\n".join(str(e.value) for kind in (at.markdown, at.caption, at.info, at.warning, at.error) for e in kind)


def images(at: AppTest) -> int:
    return sum(len(at.get(kind)) for kind in ("imgs", "image"))


# --- nothing until asked


def test_nothing_is_computed_until_a_view_is_chosen(runs):
    at = whole(section(CNN, view=None))
    assert [s.value for s in at.header] == ["Look inside"]
    assert not at.selectbox and not at.metric and not images(at)
    assert keys.WALK not in at.session_state


def test_the_build_page_has_the_section(runs):
    at = AppTest.from_file(str(ROOT / "pages/build_model.py"), default_timeout=60).run()
    choose(at, "build.look.view", WALK)
    assert widget(at, "selectbox", "build.look.stage").options[0].startswith("0 · image · Image · 1×1×28×28")


# --- the walk


def test_every_stage_of_an_untrained_network(runs):
    at = section(CNN)
    stages = widget(at, "selectbox", "build.look.stage").options
    assert [option.split(" · ")[1] for option in stages] == [
        "image", "conv1", "bn1", "pool1", "relu1", "conv2", "bn2", "pool2", "relu2", "flatten", "fc1", "relu3", "dropout", "fc2",
        "probabilities"]
    assert "still random" in written(at)
    for place in range(len(stages) - 1):
        assert images(at) >= 1, stages[place]
        assert [m.label for m in at.metric] == ["Shape", "Range", "Mean", "Zeros"]
        assert not at.button(key="build.look.next").disabled
        whole(at.button(key="build.look.next").click().run())
    assert at.button(key="build.look.next").disabled
    assert "Softmax" in written(at) and "It says **" in written(at)
    whole(at.button(key="build.look.back").click().run())
    assert at.metric[0].value == "1×10"


def test_the_written_sum_is_the_pixel_on_the_map(runs):
    at = go_to_stage(section(CNN), "conv2")
    widget(at, "number_input", "build.look.conv2").set_value(2).run()
    whole(at)
    where = {kind: int(next(n.value for n in at.number_input if f".{kind}" in n.key)) for kind in ("row", "column")}
    data, model = prepare(CNN, None)
    pictures, _ = data.validation.take(torch.tensor([0]))
    stage = next(stage for stage in walk(model, pictures, data.mean, data.std) if stage.name == "conv2")
    values = stage.values[2]
    assert divmod(int(values.argmax()), 14) == (where["row"], where["column"]), "it starts at the largest number"
    assert f"= **{number(float(values.max()))}**, the output pixel" in written(at)
    assert len(at.get("plotly_chart")) == 4


def test_a_pooling_and_a_linear_layer_are_written_out(runs):
    at = section(CNN)
    assert "The largest number wins" in written(go_to_stage(at, "pool1"))
    at = go_to_stage(at, "fc1")
    assert "196 products add up to" in written(at)
    table = at.dataframe[0].value
    assert list(table.columns) == ["Input", "Map", "Row", "Column", "Value", "Weight", "Product"] and len(table) == 10


def test_a_run_says_what_it_predicts(finished, trained):
    at = go_to_stage(section(CNN, run=finished), "probabilities")
    found = load_model(trained[0], finished)
    data, _ = prepare(found.config, None)
    pictures, labels = data.validation.take(torch.tensor([0]))
    best = found.classes[int(found.predict(pictures.float() / 255)[0].argmax())]
    assert f"It says **{best}**. It is labelled {data.classes[int(labels[0])]}." in written(at)
    assert "still random" not in written(at)


def test_a_run_can_be_looked_into_where_the_form_has_no_network(finished):
    at = section(CNN, run=finished, fits=False)
    assert len(widget(at, "selectbox", "build.look.network").options) == 1
    assert at.metric[0].value == "1×1×28×28"


def test_the_form_wins_where_it_is_chosen(finished):
    at = section(CNN, run=finished)
    whole(widget(at, "selectbox", "build.look.network").select_index(0).run())
    assert "conv1" in "".join(widget(at, "selectbox", "build.look.stage").options)


def test_three_random_images(runs):
    at = section(CNN)
    choose(at, SAMPLE, RANDOM)
    assert at.metric[0].value == "3×1×28×28"
    first = at.metric[2].value, at.metric[1].value
    whole(at.button(key="build.look.reseed").click().run())
    assert (at.metric[2].value, at.metric[1].value) != first
    go_to_stage(at, "flatten")
    assert at.metric[0].value == "3×196"


def test_random_images_are_not_drawn_like_the_weights(runs):
    """From one seed, both were the same numbers and the first unit's sum stood out 14 deviations."""
    at = section(tiny(model__hidden=[50]))
    choose(at, SAMPLE, RANDOM)
    sums = next(stage for stage in at.session_state[keys.WALK][1] if stage.name == "fc1").values
    assert float((sums - sums.mean()).abs().max()) < 5 * float(sums.std())


def test_the_stage_stays_while_samples_change(runs):
    at = go_to_stage(section(CNN), "relu2")
    choose(at, SAMPLE, RANDOM)
    assert at.metric[0].value == "3×4×7×7"
    whole(at.button(key="build.look.next").click().run())
    assert at.metric[0].value == "3×196"


def test_another_validation_image(runs):
    at = section(CNN)
    index = widget(at, "number_input", "build.look.index")
    assert (index.min, index.max) == (0, 199)
    before = at.session_state[keys.WALK]
    whole(index.set_value(3).run())
    assert at.session_state[keys.WALK][0] != before[0]
    kept = at.session_state[keys.WALK]
    whole(at.button(key="build.look.next").click().run())
    assert at.session_state[keys.WALK] is kept, "a step to another stage does not walk again"


def test_the_last_drawing_goes_through(runs):
    picture = torch.zeros(1, 28, 28)
    picture[0, 5:20, 14] = 1
    at = section(CNN, **{keys.DRAWING: picture})
    choose(at, "build.look.sample.3.From the data", DRAWING)
    assert at.metric[2].value == number(15 / 784)
    assert torch.equal(at.session_state[keys.WALK][1][0].values, picture)


def test_the_draw_page_keeps_its_last_drawing(finished):
    rgba = strokes.draw(7, 0, 20, 280)
    at = AppTest.from_file(str(ROOT / "pages/draw_digit.py"), default_timeout=60)
    at.query_params["run"] = finished
    at.run()
    file = io.BytesIO()
    Image.fromarray(rgba).save(file, format="PNG")
    data = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    choose(at, f"{keys.CANVAS}.0", {"drawing": {"raw": {"objects": [{}]}, "data": data}, "backgroundFit": None})
    assert torch.equal(at.session_state[keys.DRAWING], prepare_drawing(rgba).image)


def test_a_drawing_of_another_shape_is_not_offered(runs):
    at = choose(section(CNN, **{keys.DRAWING: torch.zeros(1, 8, 8)}), SAMPLE, RANDOM)
    assert at.metric[0].value == "3×1×28×28", "there are still two choices"


def test_a_yes_no_question_is_answered_by_a_sigmoid(runs):
    config = CNN.with_values({"data.task": "is_target", "data.target": 3, "data.normalization": "half",
                              "training.loss": "bce_with_logits"})
    at = section(config)
    assert [o.split(" · ")[1] for o in widget(at, "selectbox", "build.look.stage").options][:2] == ["image", "normalised"]
    go_to_stage(at, "probabilities")
    assert "Sigmoid" in written(at) and "probability of “not 3”" in written(at)


@pytest.mark.parametrize(("logit", "rest"), [(-40.0, "> 99.9 %"), (0.0, "50.0 %"), (40.0, "< 0.1 %")])
def test_the_rest_is_never_all_or_nothing(logit, rest):
    def page(logit: float) -> None:
        import torch

        from core.inspection.activations.last_steps import sigmoid_steps
        from pages.parts.build.walk import _sigmoid

        _sigmoid(sigmoid_steps(torch.tensor([logit])), ("no", "yes"))

    at = AppTest.from_function(page, args=(logit,)).run()
    assert not at.exception and at.caption[0].value == f"The rest, {rest}, is the probability of “no”."


# --- what can go wrong


def test_without_the_data_random_images_remain(runs):
    at = section(CNN.with_values({"data.dataset": "mnist", "data.validation": 5000}))
    assert "MNIST is not on this machine" in written(at)
    assert at.metric[0].value == "3×1×28×28"


def test_a_network_that_cannot_be_built_gets_one_line(runs):
    at = section(CNN, fits=False)
    assert [i.value for i in at.info] == ["This network can't be built, so nothing can go through it."]


def test_a_network_too_large_to_fill_gets_one_line_and_no_memory(runs):
    at = section(tiny().model_copy(update={"model": MLPConfig(hidden=(16384,) * 8)}))
    assert len(at.info) == 1 and "too many to fill with numbers" in at.info[0].value
    assert not at.metric


def test_damaged_weights_get_one_line(tmp_path, trained, monkeypatch):
    shutil.copytree(trained[0].path, tmp_path / "copy")
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "copy"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")
    (tmp_path / "copy" / trained[1].id / "checkpoint.safetensors").write_bytes(b"no weights")
    at = section(CNN, run=trained[1].id)
    assert len(at.error) == 1 and "damaged" in at.error[0].value


# --- weights


def weights(at: AppTest, view: str) -> AppTest:
    return choose(at, "build.look.weights", view)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_the_weights(runs, view):
    at = weights(section(CNN, WEIGHTS), view)
    assert images(at) or at.dataframe or at.get("plotly_chart")
    assert not at.error and not at.warning


def test_the_parameter_table_is_the_networks(runs):
    at = weights(section(CNN, WEIGHTS), "Parameters")
    _, model = prepare(CNN, None)
    rows = parameter_table(model)
    table = at.dataframe[0].value
    assert list(table["Name"]) == [row.name for row in rows] and list(table["Count"]) == [row.count for row in rows]
    assert table["First values"][0].startswith(number(rows[0].first_values[0]))


def test_dead_units_are_counted_on_validation_images(finished, trained):
    at = weights(section(CNN, WEIGHTS, run=finished), "Dead units")
    found = load_model(trained[0], finished)
    data, _ = prepare(found.config, None)
    expected = dead_units(found.model, data.validation.take(torch.arange(200))[0], found.mean, found.std)
    assert list(at.dataframe[0].value["Dead"]) == [len(layer.dead) for layer in expected]
    assert "all of 200 validation images" in written(at)


def test_weights_change_with_the_network(runs):
    at = weights(section(CNN, WEIGHTS), "Spectral norms")
    before = list(at.dataframe[0].value["Spectral norm"])
    at.session_state["test.config"] = CNN.with_values({"training.seed": 5}).model_dump(mode="json")
    whole(at.run())
    assert list(at.dataframe[0].value["Spectral norm"]) != before


def test_filters_of_each_layer(runs):
    at = section(CNN, WEIGHTS)
    layers = widget(at, "selectbox", "build.look.filters")
    assert layers.options == ["conv1", "conv2"]
    whole(layers.select("conv2").run())
    assert widget(at, "number_input", "build.look.filters.channel.conv2").max == 2
    mlp = section(tiny(), WEIGHTS)
    assert widget(mlp, "selectbox", "build.look.filters").options == ["fc1"], "weights on pixels are a picture too"
