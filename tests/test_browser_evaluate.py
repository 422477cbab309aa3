"""The page Evaluate in a real browser: a click on a cell of the confusion matrix shows that cell's images.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from benchmarks.page_latency import app
from core.runs.evaluations import load_predictions
from tests.test_browser import page  # noqa: F401 - a browser tab

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(trained) -> Iterator[str]:
    """The app on the runs folder of a finished run, without training processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_WORKERS", "0")
        with app(trained[0].path) as port:
            yield f"http://127.0.0.1:{port}"


def test_a_click_on_a_cell_shows_its_images(address: str, page: Page, trained):  # noqa: F811
    store, run = trained
    kept = load_predictions(store, run.id)
    page.goto(f"{address}/evaluate_model?run={run.id}")
    page.get_by_role("radio", name="Confusion").or_(page.get_by_role("button", name="Confusion")).first.click()
    cells = page.locator(".js-plotly-plot .nsewdrag").first
    expect(cells).to_be_visible(timeout=60_000)
    expect(page.locator(".stApp[data-test-script-state='notRunning']")).to_be_visible(timeout=60_000)
    expect(page.locator("[data-title='Download plot as a PNG']").first).to_be_visible(timeout=30_000)
    truth = said = 7
    box = cells.bounding_box()
    page.mouse.click(box["x"] + box["width"] * (said + 0.5) / 10, box["y"] + box["height"] * (truth + 0.5) / 10)
    count = int(((kept.truth == truth) & (kept.said == said)).sum())
    assert count, "the run is trained well enough for that"
    wanted = re.compile(f"^{count} images? of {truth} that it called {said}")
    expect(page.get_by_text(wanted)).to_be_visible(timeout=30_000)
    expect(page.get_by_test_id("stException")).to_have_count(0)
