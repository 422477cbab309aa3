"""The page Read a sheet in a real browser: from the photograph to the kept set, on a desk and on a phone.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from benchmarks.page_latency import app
from core.data.own.sets import own_sets, read_arrays
from core.runs import RunStore
from core.settings import Settings
from tests.browser import done, tabs_of
from tests.helpers import run_here, tiny
from tests.made_sheets import Look, make_sheet, stroke_pens

pytestmark = pytest.mark.browser
PHONE = "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile Safari/537.36"


@pytest.fixture(scope="module")
def served(places: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The page's address with a small trained network, no training processes; and a data directory of its own."""
    settings = Settings(places / "data", places / "browser-sheet", places / "cache")
    store = RunStore(settings.runs_dir)
    torch.set_num_threads(1)
    run = run_here(store, settings, tiny(model__hidden=[64], training__epochs=12, training__optimizer__learning_rate=0.004))
    assert run.status == "finished", run.message
    data = tmp_path_factory.mktemp("sheet-data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_WORKERS", "0")
        patch.setenv("PLAYGROUND_DATA", str(data))
        with app(settings.runs_dir) as port:
            yield f"http://127.0.0.1:{port}/read_sheet?run={run.id}", data


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Callable[..., Page]]:
    with tabs_of(browser, PHONE) as tab:
        yield tab


def photograph() -> bytes:
    """Eight digits in two rows on squared paper, tilted and shadowed, as a JPEG file."""
    made = make_sheet(stroke_pens(2, 3), Look("squared", tilt=4, spacing=44, shadow=0.3), text=["4705", "3861"], seed=2,
                      cell=(110, 130), margin=90, height=70)
    file = io.BytesIO()
    Image.fromarray(made.rgba[..., :3]).save(file, "JPEG", quality=92)
    return file.getvalue()


def opened(page: Page, address: str) -> Locator:
    """Brings the photograph; the canvas with its boxes."""
    page.goto(address)
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
        {"name": "sheet.jpg", "mimeType": "image/jpeg", "buffer": photograph()})
    expect(page.get_by_text("8 marks on this sheet")).to_be_visible()
    canvas = page.locator("canvas.upper-canvas")
    canvas.wait_for()
    expect(lists(page)).to_have_count(8)
    return canvas


def lists(page: Page) -> Locator:
    return page.get_by_role("combobox", name=re.compile(r"^Mark \d+: "))


def drag(page: Page, canvas: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    """With the mouse, from and to fractions of the canvas."""
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=8)
    page.mouse.up()


def test_from_the_photograph_to_the_kept_set(served: tuple[str, Path], tabs):
    address, data = served
    page = tabs(1280)
    canvas = opened(page, address)
    for place, label in enumerate("47053861"):  # whatever it has read, by keyboard as by mouse
        lists(page).nth(place).select_option(label=label)
    expect(page.get_by_text("8 digits, 8 with a label of your own")).to_be_visible()
    drag(page, canvas, (0.45, 0.45), (0.55, 0.55))  # a box between the rows: where no ink is, no digit
    expect(page.get_by_text("9 marks on this sheet")).to_be_visible()
    expect(lists(page)).to_have_count(9)
    page.get_by_role("button", name="Edit", exact=True).click()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_role("button", name="Delete selected").click()
    expect(page.get_by_text("8 marks on this sheet")).to_be_visible()
    expect(page.get_by_text("8 digits, 8 with a label of your own")).to_be_visible()
    expect(lists(page)).to_have_count(8)  # a moment after the words
    lists(page).nth(7).select_option(label="no digit")
    expect(page.get_by_text("7 digits, 7 with a label of your own")).to_be_visible()
    page.get_by_role("button", name="Save as a data set").click()
    expect(done(page, "Kept as “Digits from a sheet”")).to_be_visible()
    (own,) = own_sets(data)
    assert sorted(read_arrays(data, own.name).labels.tolist()) == [0, 3, 4, 5, 6, 7, 8]  # some are for testing, and come last
    assert np.asarray(read_arrays(data, own.name).images).max(axis=(1, 2, 3)).tolist() == [255] * 7
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_a_box_is_added_moved_and_deleted_by_touch(served: tuple[str, Path], tabs):
    page = tabs(390, touch=True)
    canvas = opened(page, served[0])
    page.get_by_role("button", name="Add a box").tap()
    expect(page.get_by_text("9 marks on this sheet")).to_be_visible()
    expect(lists(page)).to_have_count(9)
    page.get_by_role("button", name="Edit", exact=True).tap()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_role("button", name="Delete selected").tap()
    expect(page.get_by_text("8 marks on this sheet")).to_be_visible()
    lists(page).first.select_option(label="no digit")
    expect(page.get_by_text("7 digits, 0 with a label of your own")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390  # nothing sticks out
    expect(page.get_by_test_id("stException")).to_have_count(0)
