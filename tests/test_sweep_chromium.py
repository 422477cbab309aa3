"""A search in a real browser: it is begun, seen to its end while real training processes work, and its best settings are used."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from benchmarks.page_latency import app
from tests.sweeps import WITHOUT

pytest.importorskip("optuna", reason=WITHOUT)
pytestmark = pytest.mark.browser


def test_from_the_start_to_the_best_settings(page: Page, places: Path, tmp_path: Path):
    with app(tmp_path / "runs") as port:
        page.goto(f"http://127.0.0.1:{port}/search_settings?preset=digits-quick")
        trials = page.get_by_role("spinbutton", name="Trials").first
        trials.fill("3")
        trials.press("Enter")
        expect(page.get_by_text("3 trials, and 3 fresh seeds")).to_be_visible()
        page.get_by_role("button", name="Start the search").click()
        expect(page.get_by_text("looked at once")).to_be_visible(timeout=180_000)  # the test images, and so the search has ended
        page.get_by_text("One setting", exact=True).click()
        expect(page.locator("[class*='st-key-search-slice'] canvas").first).to_be_visible()
        page.get_by_role("button", name="Use the best settings").click()
        expect(page.get_by_role("heading", level=1, name="Train model")).to_be_visible()
        expect(page).to_have_url(re.compile(r"[?&]config="))
        expect(page.get_by_test_id("stException")).to_have_count(0)
