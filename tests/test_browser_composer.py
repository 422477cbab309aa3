"""The composer in a real browser as wide as a phone: a row deleted, its mistake read, fixed with one click, undone, kept.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import pytest
from playwright.sync_api import Page, expect

from tests.test_browser import address  # noqa: F401 - a fixture: the app on a free port

pytestmark = pytest.mark.browser
WIDTH = 400


def press(page: Page, name: str) -> None:
    """Click a button once the page is drawn: what is clicked while it is being drawn for the first time can get lost."""
    expect(page.locator(".stApp[data-test-script-state='notRunning']")).to_be_visible()
    page.get_by_role("button", name=name).click()


def test_a_network_is_composed_on_a_phone(address: str, page: Page):  # noqa: F811
    page.set_viewport_size({"width": WIDTH, "height": 900})
    page.goto(f"{address}/build_model")
    press(page, "Compose layers")
    expect(page.get_by_text("rows fit. Press a row to change it.")).to_be_visible()
    train, flatten = page.get_by_role("button", name="Train this network"), page.get_by_role("button", name="· flatten ·")

    press(page, "· flatten ·")
    press(page, "Delete")
    expect(page.get_by_text("needs one row of numbers, as Flatten makes it.")).to_be_visible()
    expect(train).to_be_disabled()
    press(page, "Fix: Put Flatten before it")
    expect(flatten).to_be_visible()
    expect(train).to_be_enabled()

    press(page, "· fc1 ·")
    units = page.get_by_role("spinbutton", name="Units")
    units.fill("77")
    units.press("Enter")
    expect(page.get_by_text("77 units")).to_be_visible()
    press(page, "Undo")
    expect(page.get_by_text("77 units")).to_have_count(0)
    press(page, "Redo")
    expect(page.get_by_text("77 units")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH, "nothing is wider than the phone"

    press(page, "Train this network")
    expect(page.get_by_role("heading", name="Train model")).to_be_visible()
    page.get_by_text("Network", exact=True).click()
    expect(page.get_by_text("layers of your own")).to_be_visible()
    expect(page.get_by_test_id("stException")).to_have_count(0)
