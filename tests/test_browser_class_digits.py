"""A class that draws its own digits, in real browsers: two phones, the teacher, and a training on what was drawn.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from benchmarks.page_latency import app
from core.actors import LOCAL, Actor
from core.lessons import keep_lesson
from core.lessons.class_digits import ClassDigits
from core.lessons.class_lesson import CLASS_LESSON
from tests.browser import by_touch
from tests.helpers import wait_until
from tests.strokes import STROKES
from tests.test_class_digits import fill

pytestmark = pytest.mark.browser
CODE = "only the teacher knows"
KEEP = re.compile("^Keep this")


def asked(page: Page) -> int:
    found = re.search(r"Draw an? (\d)", page.locator("h1").inner_text())
    assert found
    return int(found[1])


def draw_and_keep(page: Page, count: int) -> int:
    """Draw what is asked for, keep it, and see that it counts."""
    digit = asked(page)
    for _, points in STROKES[digit][0]:
        by_touch(page, points)
    page.get_by_role("button", name=KEEP).click()
    expect(page.get_by_text(f"{count} of up to 100 are yours")).to_be_visible()
    return digit


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response
    assert found["passes"], "nothing was looked at"
    return [f"{entry['id']}: {entry['nodes'][0]['html'][:200]}" for entry in found["violations"]
            if entry["impact"] in {"serious", "critical"}]


def test_two_phones_draw_the_teacher_removes_and_the_class_trains(tabs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, data = tmp_path / "runs", tmp_path / "data"
    for name, value in (("MODE", "hosted"), ("TEACHER", CODE), ("DATA", str(data))):
        monkeypatch.setenv(f"PLAYGROUND_{name}", value)
    code = keep_lesson(CLASS_LESSON, runs, LOCAL)
    of = ClassDigits(code, data, runs, LOCAL)
    fill(ClassDigits(code, data, runs, Actor("d" * 32, "visitor")), 26)  # somebody has been here before
    with app(runs) as port:
        address = f"http://127.0.0.1:{port}/collect_digits?lesson={code}&step=1"
        phones = [tabs(390, touch=True), tabs(390, touch=True)]
        for phone in phones:
            phone.set_viewport_size({"width": 390, "height": 844})
            phone.goto(address)
            expect(phone.locator("h1")).to_have_text(re.compile("^Draw an? "))
            phone.locator("canvas.upper-canvas").wait_for()
            wait_until(lambda phone=phone: _ends(phone, KEEP) <= 844, lambda phone=phone: _ends(phone, KEEP))
            assert phone.evaluate("document.documentElement.scrollWidth") <= 390  # nothing sticks out
        one, other = phones
        drawn = [draw_and_keep(one, 1), draw_and_keep(other, 1), draw_and_keep(one, 2), draw_and_keep(other, 2)]
        assert of.everything().labels[26:].tolist() == drawn and of.counts().pupils == 3
        assert max(of.counts().every) - min(of.counts().every) <= 2  # as many as draw at the same time

        one.get_by_role("group", name="Your drawings").get_by_role("button").last.click()  # the first one that it drew
        one.get_by_role("button", name=f"Take back this {drawn[0]}").click()
        expect(one.get_by_text("1 of up to 100 are yours")).to_be_visible()
        assert of.everything().labels[26:].tolist() == drawn[1:]
        expect(other.get_by_role("heading", name="All drawings")).to_have_count(0)
        assert serious(one) == []

        seat = tabs(1280)
        seat.goto(address)
        seat.get_by_role("button", name="Teacher").click()
        seat.get_by_label("The teacher's code").fill(CODE)
        seat.get_by_role("button", name="Come in").click()
        expect(seat.get_by_role("heading", name="All drawings")).to_be_visible()
        expect(seat.get_by_text("29 drawings by 3 pupils")).to_be_visible()
        seat.get_by_role("group", name="Drawings of the class").get_by_role("button").first.click()  # the one that was drawn last
        expect(seat.get_by_role("button", name="Remove 1 drawing")).to_be_enabled()
        expect(seat.get_by_test_id("stToast")).to_have_count(0)  # Streamlit's own, whose label is not there
        assert serious(seat) == []
        seat.get_by_role("button", name="Remove 1 drawing").click()
        expect(seat.get_by_role("button", name="Remove", exact=True)).to_be_disabled()
        expect(seat.get_by_text("28 drawings by 3 pupils")).to_be_visible()
        wait_until(lambda: of.everything().labels[26:].tolist() == drawn[1:3], lambda: of.everything().labels)

        steps = one.get_by_role("navigation", name="Steps of the lesson")
        steps.get_by_role("link", name="Next").click()
        expect(one.get_by_text("28 digits that a class has drawn")).to_be_visible()
        steps.get_by_role("link", name="Next").click()
        expect(one.get_by_role("heading", name="Train model")).to_be_visible()
        one.get_by_role("button", name="Start training").click()
        expect(one.get_by_text("finished in")).to_be_visible(timeout=120_000)
        steps.get_by_role("link", name="Next").click()
        expect(one.get_by_role("heading", name="Evaluate")).to_be_visible()
        expect(one.get_by_role("combobox", name="Model")).to_have_value(re.compile("Class digits, 28 drawings"))
        expect(one.get_by_role("radio", name="Confusion")).to_be_checked()
        for page in (*phones, seat):
            expect(page.get_by_test_id("stException")).to_have_count(0)


def _ends(page: Page, button: re.Pattern[str]) -> float:
    """Where a button ends on the screen, in pixels from its top."""
    box = page.get_by_role("button", name=button).bounding_box()
    return box["y"] + box["height"] if box else float("inf")
