"""How pages look in a real browser: contrast as axe-core computes it, the font of the headings, the room above the title.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from benchmarks.page_latency import app
from tests.browser import browser_tabs

pytestmark = pytest.mark.browser
PAGES = ("", "train_model", "explore_data", "learn_tensors", "learn_decision_boundary")
ONLY_CONTRAST = {"runOnly": ["color-contrast"]}


@pytest.fixture(scope="module")
def address(places: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_WORKERS", "0")
        patch.setenv("PLAYGROUND_DATA", str(places / "data"))
        with app(places / "browser-look") as port:
            yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def tabs() -> Iterator[Callable[..., Page]]:
    with browser_tabs() as tab:
        yield tab


def opened(page: Page, address: str) -> Page:
    page.goto(address)
    expect(page.locator("h1")).to_be_visible()
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)  # the page is whole
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(address, tabs, scheme):
    page = tabs(1280)
    page.emulate_media(color_scheme=scheme)
    for name in PAGES:
        found = Axe().run(opened(page, address + name), options=ONLY_CONTRAST).response
        assert found["passes"], f"{name}: nothing was looked at"
        nodes = [node for entry in found["violations"] for node in entry["nodes"]]
        assert not [(node["html"][:100], node["any"][0]["message"]) for node in nodes], name


def test_headings_have_their_font_and_the_title_is_near_the_top(address, tabs):
    page = opened(tabs(1280), address)
    page.evaluate("document.fonts.ready")
    assert page.evaluate("[...document.fonts].some(font => font.family.includes('Space Grotesk') && font.status === 'loaded')")
    assert "Space Grotesk" in page.locator("h1").evaluate("title => getComputedStyle(title).fontFamily")
    above = page.get_by_test_id("stMainBlockContainer").evaluate("block => parseFloat(getComputedStyle(block).paddingTop)")
    assert 24 <= above <= 32
    assert page.locator("h1").bounding_box()["y"] < 60
