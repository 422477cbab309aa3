"""The section Why: nothing before it is opened, every view for every kind of model, and a line where something can't be said."""

from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.config import RunConfig
from core.figures.attribution import difference_picture, overlay, plain_picture
from core.models import build
from core.runs import TrainedModel
from pages.parts.explain.section import CHANGE, MAPS, NEAREST
from pages.parts.shell import keys
from tests.test_evaluate_page import models, open_at, store  # noqa: F401  the fixtures of trained models
from tests.test_pages import assert_whole, texts

ROOT = Path(__file__).parents[1]
SHAPES = {"grey": (1, 28, 28), "colour": (3, 64, 64)}


def trained(architecture: str, shape: tuple[int, ...], outputs: int = 3, classes=("a", "b_*c*", "$d$"), loss="cross_entropy"):
    config = RunConfig().with_values({"model.architecture": architecture, "training.loss": loss})
    torch.manual_seed(0)
    model = build(config.model, shape, outputs, seed=1).eval()
    return TrainedModel(config, classes, model, shape, (0.5,) * shape[0], (0.5,) * shape[0], 1)


def page(image, view):
    import streamlit as st

    from pages.parts.explain.section import why_section

    why_section(st.session_state["model"], image, "t", st.session_state.get("data"))


def section(model: TrainedModel, view: str | None, image: torch.Tensor | None = None, **state) -> AppTest:
    picture = torch.rand(model.input_shape, generator=torch.Generator().manual_seed(2)) if image is None else image
    at = AppTest.from_function(page, default_timeout=60, kwargs={"image": picture, "view": view})
    at.session_state["model"] = model
    at.session_state["t.view"] = view
    for name, value in state.items():
        at.session_state[name] = value
    at.run()
    assert not at.exception
    return at


def test_nothing_is_computed_until_a_view_is_chosen(monkeypatch):
    def fails(*_):
        raise AssertionError("computed")

    monkeypatch.setattr(TrainedModel, "predict", fails)
    at = section(trained("mlp", (1, 28, 28)), None)
    assert not at.get("image") and keys.WHY not in at.session_state


@pytest.mark.parametrize(("architecture", "shape"), [("cnn", "grey"), ("mlp", "grey"), ("cnn", "colour")])
def test_the_methods_stand_side_by_side(architecture, shape):
    at = section(trained(architecture, SHAPES[shape]), MAPS)
    said = texts(at)
    assert all(name in said for name in ("Saliency", "Integrated gradients", "Grad-CAM", "Occlusion", "Can't tell"))
    assert len(at.get("image")) == (5 if architecture == "cnn" else 4)
    assert ("no convolution" in said) == (architecture == "mlp")


def test_another_class_and_other_settings_give_other_pictures():
    at = section(trained("cnn", (1, 28, 28)), MAPS)
    before = texts(at)
    label = next(box for box in at.selectbox if box.label == "Explain the score of")
    label.select(label.options and label.value ^ 1 if label.value < 2 else 0).run()
    assert not at.exception and texts(at) != before
    at.number_input(key="t.patch.28").set_value(1).run()  # the stride is held to the patch
    assert not at.exception and "Covers 1 × 1 pixels" in texts(at)


def test_a_yes_no_model_is_asked_about_both_classes():
    model = trained("cnn", (1, 28, 28), 1, ("not 8", "8"), "bce_with_logits")
    at = section(model, MAPS)
    assert len(at.get("image")) == 5 and not at.info
    at = section(model, CHANGE)
    assert "At 100 %" in texts(at) or at.warning


@pytest.mark.parametrize(("architecture", "shape"), [("mlp", "grey"), ("cnn", "colour")])
def test_the_smallest_change_is_drawn_and_flips_the_answer(architecture, shape):
    model = trained(architecture, SHAPES[shape])
    at = section(model, CHANGE)
    assert len(at.get("image")) == 4 and "At 100 %" in texts(at)
    stored = next(value for what, value in at.session_state[keys.WHY][2].items() if what[0] == "change")
    assert int(model.predict(stored.image[None])[0].argmax()) == stored.after != stored.before
    at.slider[0].set_value(0).run()
    assert not at.exception and "After" in texts(at)


def test_what_takes_long_waits_for_a_click(monkeypatch):
    monkeypatch.setattr("pages.parts.explain.asked.HEAVY", 1)
    at = section(trained("mlp", (1, 28, 28)), CHANGE)
    assert len(at.get("image")) == 1 and "this can take a minute" in texts(at)
    at.button(key="t.look").click().run()
    assert not at.exception and len(at.get("image")) == 4
    at.slider[0].set_value(50).run()
    assert len(at.get("image")) == 4, "what was found is kept"


@pytest.mark.parametrize(("model", "image", "line"), [
    (trained("mlp", (1, 28, 28)), torch.rand(3, 64, 64), "images of 1×28×28, and this one is 3×64×64"),
    (trained("mlp", (1, 28, 28), 1, (), "mse"), None, "predicts a number")])
def test_what_does_not_fit_gets_one_line(model, image, line):
    at = section(model, MAPS, image)
    assert len(at.info) == 1 and line in at.info[0].value and not at.get("image")


def test_points_have_no_pixels():
    model = TrainedModel(RunConfig(), ("a", "b"), torch.nn.Linear(2, 2), (2,), (0.0,) * 2, (1.0,) * 2, 1)
    assert "does not look at images" in section(model, MAPS, torch.zeros(2)).info[0].value


def test_the_nearest_need_the_training_images(digits):
    model = trained("mlp", digits.input_shape, 10, digits.classes)
    assert "not on this machine" in section(model, NEAREST).info[0].value
    image = digits.train.take(torch.tensor([7]))[0][0].float() / 255
    at = section(model, NEAREST, image, data=digits)
    pictures = at.get("image")
    label = digits.classes[int(digits.train.take(torch.tensor([7]))[1])]
    assert len(pictures) == 13 and pictures[1].proto.imgs[0].caption == f"{label} · 1.000", "it is one of them"


def test_evaluate_asks_about_any_image(store, models):  # noqa: F811
    at = open_at(models["first"], "Images")
    box = next(box for box in at.selectbox if (box.key or "").startswith("evaluate.why.image"))
    assert ", said " in box.options[0]
    box.select(-1).run()
    number = next(box for box in at.number_input if (box.key or "").startswith("evaluate.why.number"))
    assert (number.min, number.max) == (0, 359)
    at.session_state["evaluate.why.view"] = NEAREST
    number.set_value(359).run()
    assert_whole(at)
    assert "of the 12 nearest are labelled" in texts(at)


def test_the_walk_opens_with_this_image():
    at = section(trained("mlp", (1, 28, 28)), MAPS)
    at.button(key="t.walk").click().run()
    assert at.session_state[keys.BROUGHT].shape == (1, 28, 28)


# --- figures


def test_colours_say_for_and_against():
    image, values = torch.zeros(1, 2, 2), torch.tensor([[1.0, -1.0], [0.0, float("nan")]])
    picture = overlay(image, values, side=2)
    assert picture.shape == (2, 2, 3) and picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [178, 24, 43] and picture[0, 1].tolist() == [33, 102, 172]
    assert picture[1, 0].tolist() == picture[1, 1].tolist() == [250] * 3
    assert overlay(image, torch.zeros(2, 2), side=2).tolist() == [[[250] * 3] * 2] * 2
    assert overlay(torch.rand(3, 64, 64), torch.rand(64, 64), strength=True).shape == (192, 192, 3)


def test_ink_is_dark_on_paper_and_photographs_are_not_inverted():
    digit = torch.zeros(1, 3, 3)
    digit[0, 1, 1] = 1
    pale = overlay(digit, torch.zeros(3, 3), side=3)
    assert pale[1, 1, 0] < pale[0, 0, 0]
    assert overlay(digit.repeat(3, 1, 1), torch.zeros(3, 3), side=3)[1, 1, 0] > pale[1, 1, 0]
    assert plain_picture(digit, 3)[1, 1].tolist() == [255] * 3
    changed = difference_picture(torch.tensor([[[0.5, -0.25]]]), side=2)
    assert changed[0, 0].tolist() == [178, 24, 43] and changed[0, 1, 2] > changed[0, 1, 0]
