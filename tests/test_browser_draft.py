"""A draft in the address, in a real browser: the way back, a reload, somebody else's browser.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from benchmarks.page_latency import app
from tests.browser import in_menu

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(places: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_WORKERS", "0")
        patch.setenv("PLAYGROUND_DATA", str(places / "data"))
        with app(places / "browser-draft") as port:
            yield f"http://127.0.0.1:{port}/train_model"


def epochs(page: Page):
    """The field; the first, as one of before is still there while a page is drawn anew."""
    return page.get_by_role("spinbutton", name="Epochs").first


def set_epochs(page: Page, number: int) -> None:
    epochs(page).fill(str(number))
    epochs(page).press("Enter")
    expect(page).to_have_url(re.compile(f"epochs%22%3A{number}"))


def test_a_draft_survives_the_way_back_a_reload_and_another_browser(address, tabs):
    page = tabs(1280)
    page.goto(address)
    expect(epochs(page)).to_be_visible()
    usual = epochs(page).input_value()
    set_epochs(page, 7)
    set_epochs(page, 8)
    page.go_back()
    expect(epochs(page)).to_have_value("7")
    page.go_back()
    expect(epochs(page)).to_have_value(usual)
    expect(page).to_have_url(address)
    page.go_forward()
    expect(epochs(page)).to_have_value("7")
    in_menu(page, "Build model").click()
    expect(page).to_have_url(re.compile("build_model.*epochs%22%3A7"))
    in_menu(page, "Train model").click()
    expect(epochs(page)).to_have_value("7")
    page.reload()
    expect(epochs(page)).to_have_value("7")
    other = tabs(1280)
    other.goto(page.url)
    expect(epochs(other)).to_have_value("7")


def test_no_press_of_the_way_back_is_without_effect(address, tabs):
    """From a preset to settings of one's own, to a run of these, and back again: each press changes the page."""
    page = tabs(1280)
    page.goto(f"{address}?preset=digits-quick")
    expect(epochs(page)).to_be_visible()
    before, usual = page.url, epochs(page).input_value()
    set_epochs(page, 7)
    changed = page.url
    page.get_by_role("button", name="Start training").click()
    expect(page).to_have_url(re.compile(r"\?run=[0-9a-f]{32}$"))
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("Press Start training")).to_be_visible()
    expect(epochs(page)).to_have_value("7")
    assert page.url == changed
    page.go_back()
    expect(epochs(page)).to_have_value(usual)
    assert page.url == before
    page.go_forward()
    expect(epochs(page)).to_have_value("7")
    page.go_forward()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
