"""Draw a digit where nothing has been trained: the network that comes with the app answers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from core.data.drawing import prepare
from core.runs import shipped as files
from core.runs.shipped import first_model
from core.wording import surely_before
from pages.parts.draw.shipped import shipped
from pages.parts.shell import keys
from tests.opened_pages import bars
from tests.strokes import draw as strokes
from tests.test_draw_page import on_canvas
from tests.test_pages import assert_whole, texts

PAGE = str(Path(__file__).parents[1] / "pages/draw_digit.py")


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    """Opens the page on an empty runs folder; what the server has read of the shipped model is read again."""
    monkeypatch.setenv("PLAYGROUND_RUNS", str(tmp_path))
    monkeypatch.setenv("PLAYGROUND_WORKERS", "0")

    def opened() -> AppTest:
        shipped.clear()
        page = AppTest.from_file(PAGE, default_timeout=60).run()
        assert_whole(page)
        return page

    yield opened
    shipped.clear()


def test_the_shipped_network_answers_and_says_what_it_learned_from(untrained):
    page = untrained()
    assert bars(page)[0]["title"] == "Nothing drawn yet" and "draw.home" in {button.key for button in page.button}
    picture = strokes(7)
    page = on_canvas(page, picture)
    model, drawing = first_model(), prepare(picture)
    probabilities = model.predict(drawing.image[None])[0].tolist()
    best, second = sorted(range(10), key=lambda label: -probabilities[label])[:2]
    shown, = bars(page)
    assert best == 7 and shown["title"] == "It says: 7"
    assert shown["line"].lower() == f"{surely_before(probabilities[best], str(second), probabilities[second])}.".lower()
    assert f"trained on {model.images:,} digits" in texts(page)
    assert torch.equal(page.session_state[keys.DRAWING], drawing.image)  # so that a training can watch it


def test_an_empty_sheet_and_a_dot(untrained):
    page = on_canvas(untrained(), np.full((280, 280, 4), 255, np.uint8))
    assert bars(page)[0]["values"] == [None] * 10 and keys.DRAWING not in page.session_state
    rows, columns = np.ogrid[:280, :280]
    dot = np.full((280, 280, 4), 255, np.uint8)
    dot[(rows - 140) ** 2 + (columns - 140) ** 2 < 400, :3] = 0
    assert bars(on_canvas(untrained(), dot))[0]["title"] == "I don't know"


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_without_the_shipped_network_the_page_still_leads_on(untrained, tmp_path, monkeypatch, damage):
    folder = tmp_path / "assets"
    folder.mkdir()
    if damage == "damaged":
        (folder / files.MODEL).write_bytes(b"no weights")
    monkeypatch.setattr(files, "CHECKOUT", folder)
    page = untrained()
    assert "The shipped model can't be read" in page.warning[0].value and not bars(page)
    assert "draw.home" in {button.key for button in page.button}
