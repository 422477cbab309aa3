"""Explore data, Look and Batches: every view with every shape of data, and what each control does."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

from core.config import DataConfig
from core.data import DATASETS
from core.data.sources import Raw
from pages.parts.draft import draft  # noqa: F401  (before default_config is replaced)
from pages.parts.explore import (
    combine,  # noqa: F401  (before default_config is replaced)
    look,
    own,  # noqa: F401  (before default_config is replaced)
)
from tests.helpers import wait_until
from tests.sets import make_set

PAGE = Path(__file__).parents[1] / "pages" / "explore_data.py"
SHAPES = [pytest.param((1, 28, 28), (1800, 1), id="gray"), pytest.param((3, 32, 32), (40, 30, 30), id="colour"),
          pytest.param((3, 64, 64), (12, 12), id="large"), pytest.param((1, 8, 8), (48, 1, 1), id="tiny, classes nearly empty"),
          pytest.param((1, 2, 3), (2, 1), id="three images")]


@pytest.fixture
def use(monkeypatch, tmp_path, places) -> Callable[..., AppTest]:
    """Open the page with random images of these shapes and numbers in the digits' place."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")

    def open_page(shape: tuple[int, int, int], counts: tuple[int, ...], **state) -> AppTest:
        data = make_set(counts, shape, validation=1)
        raw = Raw(data.train.images, data.train.labels, data.test.images, data.test.labels)
        spec = replace(DATASETS["digits"], classes=data.classes, input_shape=shape, counts=(sum(counts), len(data.test)),
                       read=lambda root, cache: raw)
        monkeypatch.setitem(DATASETS, "digits", spec)
        # a few images allow few to be held back
        monkeypatch.setattr("core.data.default_config", lambda name: DataConfig(dataset=name, validation=1))
        at = AppTest.from_file(str(PAGE), default_timeout=60)
        for key, value in state.items():
            at.session_state[key.replace("__", ".")] = value
        return whole(at.run())

    st.cache_resource.clear()
    yield open_page
    st.cache_resource.clear()


def whole(at: AppTest) -> AppTest:
    assert [e.value for e in at.exception] == [] and not at.error
    return at


def words(at: AppTest) -> str:
    return "\n".join(str(e.value) for kind in (at.header, at.markdown, at.caption, at.info, at.success, at.metric, at.code)
                     for e in kind).replace("\\", "")  # class names are escaped


@pytest.mark.parametrize("view", look.VIEWS)
@pytest.mark.parametrize(("shape", "counts"), SHAPES)
def test_every_view_of_every_shape(use, view, shape, counts):
    at = use(shape, counts, explore__view=view)
    assert len(at.title) == 1 and "classes" in words(at)


@pytest.mark.parametrize("way", ["among", "far", "same"])
@pytest.mark.parametrize(("shape", "counts"), SHAPES[1:])
def test_every_way_of_being_odd(use, way, shape, counts):
    use(shape, counts, explore__view="Odd ones", explore__odd=way)


@pytest.mark.parametrize("order", ["shuffled", "as stored", "sorted by label"])
@pytest.mark.parametrize(("shape", "counts"), SHAPES[1:])
def test_batches_of_every_shape(use, order, shape, counts):
    at = use(shape, counts, explore__section="Batches", explore__batch__order=order)
    assert "Which labels come when" in words(at)


@pytest.mark.parametrize(("shape", "counts"), SHAPES)
def test_one_image_of_every_shape(use, shape, counts):
    at = use(shape, counts)
    whole(at.button(key="explore.open").click().run())
    assert f"{shape[1]}×{shape[2]} pixels" in words(at) and "Nearest training images" in words(at)
    assert "data.train.take(torch.tensor([0]))" in words(at)


def test_another_image_by_its_number(use):
    at = use((1, 6, 6), (30, 20))
    next(n for n in at.number_input if n.key.startswith("explore.number")).set_value(17).run()
    whole(at.button(key="explore.open").click().run())
    assert "Training image 17: class" in words(at) and "tensor([17])" in words(at)


def test_searching_classes(use):
    at = use((1, 6, 6), (9, 9, 9))
    at.text_input(key="explore.search").set_value(" CLASS 2 ").run()
    assert set(at.code[-1].value.split("  ")) == {"class 2"}
    at.text_input(key="explore.search").set_value("zebra").run()
    assert "No class has “zebra” in its name" in words(whole(at))
    at.text_input(key="explore.search").set_value("class").run()
    assert whole(at).selectbox(key="explore.class").options[0] == "All classes"


def test_the_seed_shuffles_and_0_is_the_order_of_the_file(use):
    at = use((1, 6, 6), (30, 30))
    stored = at.code[-1].value
    at.number_input(key="explore.seed").set_value(5).run()
    shuffled = whole(at).code[-1].value
    assert shuffled != stored and sorted(shuffled) == sorted(stored)
    assert at.number_input(key="explore.seed").set_value(0).run().code[-1].value == stored


def test_a_class_without_images_says_so(use):
    at = use((1, 6, 6), (30, 1))
    at.segmented_control(key="explore.split").set_value("validation").run()
    at.selectbox(key="explore.class").select("class 1").run()
    assert "no images of this class" in words(whole(at))


def test_the_card_says_what_there_is_to_know(use):
    at = use((3, 4, 4), (6, 5))
    text = words(at)
    assert "2 classes" in text and "red / green / blue" in text and "B in memory" in text and "licence" in text
    assert DATASETS["digits"].citation in text


def test_batches_count_as_the_plan_does(use):
    at = use((1, 6, 6), (30, 21), explore__section="Batches")
    size = next(n for n in at.number_input if n.key.startswith("explore.batch.size"))
    size.set_value(16).run()
    assert [m.value for m in whole(at).metric][-3:] == ["4", "2", "0"]  # 50 training images
    at.toggle(key="explore.batch.drop_last").set_value(True).run()
    assert [m.value for m in whole(at).metric][-3:] == ["3", "16", "2"]
    assert "batch_size=16, shuffle=True, drop_last=True" in words(at)
    table = at.dataframe[0].value
    assert len(table) == 16 and (table.drop(columns="label").sum(axis=1) == 1).all()
    assert [f"class {i}" for i in table.drop(columns="label").to_numpy().argmax(1)] == table["label"].tolist()


def test_no_batch_is_larger_than_the_training_split(use):
    at = use((1, 6, 6), (2, 2), explore__section="Batches", explore__batch__drop_last=True)
    size = next(n for n in at.number_input if n.key.startswith("explore.batch.size"))
    assert size.max == 3
    assert "Which labels come when" in words(at)


def test_tsne_is_asked_for_and_shown_when_it_is_made(use, places):
    at = use((1, 6, 6), (30, 30), explore__view="Map", explore__map__method="t-SNE")
    assert "in the background" in at.info[0].value
    at.button(key="explore.map.make").click().run()

    def made() -> bool:
        whole(at.run())
        return any("hover over a point" in caption.value for caption in at.caption)

    wait_until(made, lambda: words(at))


def test_torch_is_the_same_afterwards(use):
    state = torch.get_rng_state()
    use((1, 6, 6), (30, 30), explore__view="Map")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("shape", "numbers"), [
    ((1, 6, 6), "Normalize((0.449,), (0.226,))"), ((3, 6, 6), "Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))")])
def test_pixels_normalised_as_for_imagenet(use, shape, numbers):
    at = use(shape, (3, 3), explore__view="Pixels", explore__normalization="imagenet")
    assert numbers in words(at)
