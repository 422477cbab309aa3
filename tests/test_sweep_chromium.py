"""A search in a real browser: it is begun, seen to its end while real training processes work, and its best settings are used."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from benchmarks.page_latency import app
from tests.sweeps import WITHOUT

pytest.importorskip("optuna", reason=WITHOUT)
pytestmark = pytest.mark.browser


def begin(page: Page, count: int) -> None:
    trials = page.get_by_role("spinbutton", name="Trials").first
    trials.fill(str(count))
    trials.press("Enter")
    expect(page.get_by_text(f"{count} trials, and 3 fresh seeds")).to_be_visible()
    page.get_by_role("button", name="Start the search").click()


def narrow_and_stop(page: Page) -> None:
    """A part of a chart that is brushed becomes the range, although trials end between the press of the button and the drag, each
    of which would draw the chart anew."""
    page.get_by_text("One setting", exact=True).click()
    page.get_by_text("Narrow its range").click()
    chart = page.locator("[class*='st-key-search-brush'] canvas").first
    expect(chart).to_be_visible()
    box, done = chart.bounding_box(), page.get_by_test_id("stMetric").filter(has_text="Trials")
    assert box is not None
    page.mouse.click(box["x"] + box["width"] - 55, box["y"] + 23)  # the first of the chart's two buttons
    for _ in range(2):  # with the second one whatever the first one changes has been drawn
        expect(done).not_to_have_text(done.text_content() or "", timeout=60_000)
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 160)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 160, steps=8)
    page.mouse.up()
    page.get_by_role("button", name="Search only from").click()
    expect(page.get_by_text("from the next trial on")).to_be_visible()
    expect(page.get_by_text("Learning rate: 0.0002 to 0.02")).to_have_count(0)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped. What was found until then stays.")).to_be_visible()
    page.get_by_text("History", exact=True).click()


def test_from_the_start_to_the_best_settings(page: Page, places: Path, tmp_path: Path):
    with app(tmp_path / "runs") as port:
        page.goto(f"http://127.0.0.1:{port}/search_settings?preset=digits-quick")
        begin(page, 60)
        narrow_and_stop(page)
        begin(page, 3)
        expect(page.get_by_text("looked at once")).to_be_visible(timeout=180_000)  # the test images, and so the search has ended
        page.get_by_text("One setting", exact=True).click()
        expect(page.locator("[class*='st-key-search-slice'] canvas").first).to_be_visible()
        page.get_by_role("button", name="Use the best settings").click()
        expect(page.get_by_role("heading", level=1, name="Train model")).to_be_visible()
        expect(page).to_have_url(re.compile(r"[?&](config|preset)="))  # a preset where its own settings are the best
        expect(page.get_by_test_id("stException")).to_have_count(0)
