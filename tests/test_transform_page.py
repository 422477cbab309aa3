"""Explore data, Transform: compose, look, heed advice, take into a run and as code."""


import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.config import read_config
from core.data import load as load_data
from core.fields import ConfigError, describe
from core.figures.stages import in_words, shown, strip
from core.inspection import advise_on_transforms
from core.runs import load_model
from core.transforms import (
    MOST_STEPS,
    TRANSFORMS,
    NormalizeConfig,
    RandomHorizontalFlipConfig,
    RandomRotationConfig,
    ToTensorConfig,
)
from core.transforms.pipelines import PIPELINES, added, moved, read_steps, removed, settings_of, with_field
from pages.parts.shell import keys
from tests.helpers import run_here, tiny
from tests.test_pages import alone, assert_whole, click, page, runs, texts  # noqa: F401
from tests.test_transforms import pictures

TO, NORM, TURN = ToTensorConfig(), NormalizeConfig(), RandomRotationConfig()


@pytest.fixture
def at(runs) -> AppTest:  # noqa: F811
    found = page("pages/explore_data.py")
    found.session_state["explore.section"] = "Transform"
    found.run()
    assert_whole(found)
    return found


def steps(at: AppTest):
    return read_steps(at.session_state[keys.PIPELINE])


def press(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click().run()
    assert_whole(at)
    return at


def widget(at: AppTest, name: str):
    return next(w for w in (*at.number_input, *at.toggle, *at.selectbox) if w.key.endswith(name))


def test_it_begins_with_a_pipeline_that_works_and_shows_every_step(at):
    assert steps(at) == PIPELINES["digits"].steps
    said = texts(at)
    assert "**As stored** · 1×28×28 · uint8 · 0 to 255" in said
    assert "**ToTensor** · 1×28×28 · float32 · 0 to " in said
    assert "Validation and test images go through ToTensor alone" in said
    assert "Nothing speaks against" in said


def test_composing_step_by_step(at):
    press(at, "explore.transform.row.0")
    widget(at, "degrees").set_value(30.0).run()
    assert steps(at)[0].degrees == 30.0
    press(at, "explore.transform.down")
    assert [step.kind for step in steps(at)] == ["to_tensor", "random_affine"]
    press(at, "explore.transform.up")
    at.selectbox(key="explore.transform.kind").select("gaussian_noise").run()
    press(at, "explore.transform.add")  # after the open step, and ToTensor comes before it when it is done
    assert [step.kind for step in steps(at)] == ["random_affine", "gaussian_noise", "to_tensor"]
    assert "comes before ToTensor" in "".join(e.label for e in at.expander)
    widget(at, "clip").set_value(False).run()
    assert not steps(at)[1].clip
    press(at, "explore.transform.remove")
    assert [step.kind for step in steps(at)] == ["random_affine", "to_tensor"]


def test_a_refused_value_is_one_line_and_changes_nothing(at):
    press(at, "explore.transform.row.0")
    widget(at, "scale_min").set_value(3.0).run()
    assert_whole(at)
    assert steps(at)[0].scale_min == 0.9
    assert "scale_min is 3, which is more than scale_max" in texts(at)


def test_draw_again_draws_other_numbers_and_the_same_seed_the_same(at):
    def drawn() -> str:
        return next(e.value for e in at.caption if e.value.startswith("the first: "))

    first = drawn()
    at.run()
    assert drawn() == first
    press(at, "explore.transform.again")
    assert drawn() != first


def test_advice_mends_the_pipeline_and_not_the_run(at):
    at.session_state[keys.PIPELINE] = [RandomHorizontalFlipConfig().model_dump(), TURN.model_dump()]
    at.run()
    assert "Mirrored digits" in "".join(e.label for e in at.expander)
    before = at.session_state[keys.DRAFT]
    press(at, "explore.transform.fix.flips_on_digits")
    assert steps(at) == (TURN,) and at.session_state[keys.DRAFT] == before


def test_a_pipeline_goes_into_the_run_and_out_of_it_again(at):
    press(at, "explore.transform.take")
    draft = read_config(at.session_state[keys.DRAFT])
    assert draft.data.transforms == PIPELINES["digits"].steps and draft.data.dataset == "digits"
    at.switch_page("pages/train_model.py").run()
    at.segmented_control(key="train.view").set_value("All settings").run()
    assert "RandomAffine → ToTensor" in texts(at)
    press(at, "train.transforms.remove")
    assert read_config(at.session_state[keys.DRAFT]).data.transforms == ()
    assert "RandomAffine" not in texts(at)


def test_the_runs_own_normalisation_is_shown_and_written(at):
    at.session_state[keys.DRAFT] = tiny(data__normalization="half").model_dump(mode="json")
    at.run()
    assert_whole(at)
    assert "**The run's own normalisation** · 1×28×28 · float32 · −1 to" in texts(at)
    assert any("v2.Normalize([0.5], [0.5])" in code.value for code in at.code)


def test_points_are_told_that_they_have_no_pixels(runs):  # noqa: F811
    def section() -> None:
        from core.data import default_config
        from pages.parts.explore import transform as explore_transform
        from pages.parts.shell.services import dataset, services

        server = services()
        explore_transform.section(server, dataset(default_config("circle"), server.settings))

    at = AppTest.from_function(section).run()
    assert_whole(at)
    assert "Transforms change pictures" in texts(at)


# --- what the page uses


def test_edits_by_hand():
    assert added((TO,), TURN, 0) == (TURN, TO) and added((TO,), TURN, 1) == (TO, TURN)
    assert removed((TO, TURN, NORM), 1) == (TO, NORM)
    assert moved((TO, TURN, NORM), 0, 2) == (TURN, NORM, TO) and moved((TO, TURN), 1, 0) == (TURN, TO)
    assert with_field(TURN, "degrees", 5) == RandomRotationConfig(degrees=5)
    assert settings_of(TURN) == "turn 10°" and settings_of(TO) == ""
    for wrong in (lambda: with_field(TURN, "degrees", 900), lambda: added((TO,) * MOST_STEPS, TO, 0),
                  lambda: read_steps([{"kind": "shake"}]), lambda: read_steps("no")):
        with pytest.raises(ConfigError) as caught:
            wrong()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_to_start_from_is_sound_where_it_says(name):
    dataset = "fashion_mnist" if name == "things" else "mnist"
    config = tiny(data__dataset=dataset, data__transforms=[s.model_dump() for s in PIPELINES[name].steps])
    assert advise_on_transforms(config) == []


def test_pictures_of_any_range():
    images = pictures((1, 28, 28), 5)
    assert (shown(images) == (images * 255).round()).all()
    stretched = shown(images * 4 - 2)
    assert stretched.min() == 0 and stretched.max() == 255
    assert strip(images, 5).shape == (28 * 3 + 8, 5 * (28 * 3 + 4) + 4)
    assert strip(pictures((2, 90, 90), 1), 1).ndim == 2, "other numbers of channels: the first"
    assert [in_words(value) for value in (-0.0001, 1, 0.2534, -1, 2.5)] == ["0", "1", "0.25", "−1", "2.5"]


def test_every_field_of_a_step_has_words_and_bounds():
    for spec in TRANSFORMS.values():
        for name in spec.config.model_fields:
            about = describe(spec.config, name)
            assert about.help.endswith(".")
            if name != "kind" and not isinstance(about.default, bool):
                assert about.minimum is not None and about.maximum is not None and about.step


def test_a_trained_model_takes_images_as_they_are_stored(runs, places, cache_dir, settings, store):  # noqa: F811
    """With Resize in its run; its answers are the evaluation's."""
    config = tiny(training__epochs=3, data__transforms=[{"kind": "resize", "size": 20}, {"kind": "normalize"}])
    run = run_here(store, settings, config)
    assert run.status == "finished"
    model = load_model(store, run.id)
    assert model.input_shape == (1, 20, 20) and model.takes((1, 28, 28)) and not model.takes((3, 28, 28))
    data = load_data(config.data, places / "data", cache_dir)
    images, labels = data.test.stored(torch.arange(len(data.test)))
    right = (model.predict(images.float() / 255).argmax(1) == labels).float().mean()
    assert float(right) == pytest.approx(run.test_accuracy, abs=0.006)  # two images at most differ by Resize's rounding
