"""The page Draw a digit in a real browser: three digits by mouse at 400 and 1280 pixels, three by touch, the sheet's tools.

    pytest -m browser          # needs Debian's chromium, or PLAYGROUND_CHROMIUM
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page, expect

from benchmarks.page_latency import app
from core.presets import PRESETS
from core.runs import RunStore
from core.settings import Settings
from tests.browser import by_mouse, by_touch, spots
from tests.helpers import run_here
from tests.strokes import STROKES

pytestmark = pytest.mark.browser
DIGITS = (7, 4, 0)
ANSWER = re.compile(r"It says: \d|I don't know")


@pytest.fixture(scope="module")
def address(places: Path) -> Iterator[str]:
    """The app with one run of digits-quick, trained for 3 epochs, and no training processes."""
    settings = Settings(places / "data", places / "browser-draw", places / "cache")
    store = RunStore(settings.runs_dir)
    torch.set_num_threads(1)
    run = run_here(store, settings, PRESETS["digits-quick"].config.with_values({"training.epochs": 3, "training.device": "cpu"}))
    assert run.status == "finished", run.message
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLAYGROUND_WORKERS", "0")
        with app(settings.runs_dir) as port:
            yield f"http://127.0.0.1:{port}/draw_digit?run={run.id}"


def opened(page: Page, address: str) -> Page:
    page.goto(address)
    expect(page.get_by_text("Draw on the white square")).to_be_visible()  # the first page of a fresh server takes its time
    page.locator("canvas.upper-canvas").wait_for()
    page.wait_for_function("""() => {
        const choices = document.querySelector('[data-testid=stElementContainer]:has([data-testid=stButtonGroup])');
        return choices && getComputedStyle(choices).minHeight === '40px';
    }""")  # the page's own style comes last, and things move until then
    return page


def draw_and_read(page: Page, digit: int, stroke) -> None:
    """Draw a digit, read the answer, and clear the canvas."""
    for _, points in STROKES[digit][0]:
        stroke(page, points)
    expect(page.get_by_role("heading", name=f"It says: {digit}")).to_be_visible()
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.get_by_text("Draw on the white square")).to_be_visible()
    expect(page.get_by_role("heading", name=ANSWER)).to_have_count(0)


@pytest.mark.parametrize("width", [400, 1280])
def test_three_digits_by_mouse(address: str, tabs, width: int):
    page = opened(tabs(width), address)
    for digit in DIGITS:
        draw_and_read(page, digit, by_mouse)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= width  # nothing sticks out


def test_three_digits_by_touch(address: str, tabs):
    """A stroke is none of the browser's own gestures: it would take it for a swipe, which swallows the tap that follows."""
    page = opened(tabs(400, touch=True), address)
    page.evaluate("""() => { window.strokes = [];
        addEventListener('touchstart', (event) => strokes.push(event.defaultPrevented)); }""")
    for digit in DIGITS:
        draw_and_read(page, digit, by_touch)
    strokes = page.evaluate("strokes")
    assert len(strokes) >= len(DIGITS) and all(strokes)
    expect(page.get_by_test_id("stException")).to_have_count(0)


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "finger"])
def test_the_tools_of_the_sheet(address: str, tabs, touch: bool):
    """A line exactly along another erases it; clearing and erasing can be undone; nothing is lost by a reload."""
    page, stroke = opened(tabs(400 if touch else 1280, touch), address), by_touch if touch else by_mouse
    one, tool = page.get_by_role("heading", name="It says: 1"), page.get_by_role("button", name="Undo")
    expect(tool).to_be_disabled()
    stroke(page, [(0.5, 0.2), (0.5, 0.8)])
    expect(one).to_be_visible()
    page.get_by_role("radio", name="Eraser").click()
    stroke(page, [(0.5, 0.2), (0.5, 0.8)])
    nothing = page.get_by_text("Draw on the white square")
    expect(nothing).to_be_visible()
    tool.click()
    expect(one).to_be_visible()
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(nothing).to_be_visible()
    tool.click()
    expect(one).to_be_visible()
    page.reload()
    expect(one).to_be_visible()
    tool.click()
    expect(nothing).to_be_visible()
    page.get_by_role("button", name="Redo").click()
    expect(one).to_be_visible()
    page.get_by_role("button", name="Right, 1").click()  # which keeps it and puts it away
    expect(page.get_by_text("My digits: 1")).to_be_visible()
    expect(nothing).to_be_visible()
    expect(tool).to_be_disabled()
    page.get_by_role("button", name="Take it back").click()
    expect(page.get_by_text("My digits: 0")).to_be_visible()


def test_the_brush_is_as_wide_as_the_slider_says(address: str, tabs):
    page = opened(tabs(1280), address)
    slider = page.get_by_role("slider", name="Brush width (pixels)")
    for key, width in (("End", 40), ("Home", 6)):
        slider.press(key)
        expect(page.get_by_text(f"{width} px")).to_be_visible()
        by_mouse(page, [(0.2, 0.5), (0.8, 0.5)])
        scale, column = page.locator("canvas.upper-canvas").evaluate(
            "sheet => [sheet.width / 280, [...sheet.getContext('2d').getImageData(sheet.width / 2, 0, 1, sheet.height).data]]")
        inked = sum(red < 128 for red in column[::4]) / scale
        assert abs(inked - width) <= 1
        page.get_by_role("button", name="Clear", exact=True).click()


BARS = """() => {
    const all = [...document.querySelectorAll('*')].flatMap(e => e.shadowRoot ? [...e.shadowRoot.querySelectorAll('.bars')] : []);
    return all.map(e => e.textContent)[0];
}"""


def test_answers_come_while_the_pen_moves_and_the_last_one_is_of_the_whole_stroke(address: str, tabs):
    """A seven slowly: its bars have changed often before the pen is up, and what stands then is what a reload says of it."""
    page = opened(tabs(1280), address)
    places = spots(page, STROKES[7][0][0][1])
    seen: set[str] = set()
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        for x, y in ((place[0], place[1] - 30), place):
            page.mouse.move(x, y, steps=5)
            page.wait_for_timeout(250)
            seen.add(page.evaluate(BARS))
    assert len(seen) > 1  # nobody has lifted the pen yet
    page.mouse.move(places[-1][0] - 40, places[-1][1], steps=2)  # and at once up: the last glance knew nothing of this
    page.mouse.up()
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    page.wait_for_timeout(1500)
    last = page.evaluate(BARS)
    page.reload()
    expect(page.get_by_role("heading", name=ANSWER)).to_be_visible()
    assert page.evaluate(BARS) == last


@pytest.mark.parametrize(("width", "height", "least"), [(1280, 900, 400), (1920, 1080, 600), (390, 844, 240)])
def test_the_sheet_is_as_large_as_the_screen_allows_beside_its_answer(address: str, tabs, width: int, height: int, least: int):
    page = tabs(width, width < 500)
    page.set_viewport_size({"width": width, "height": height})
    opened(page, address)
    by = by_touch if width < 500 else by_mouse
    by(page, [(0.4, 0.2), (0.5, 0.2)])  # brings the sheet into view, if it is not
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.get_by_text("Draw on the white square")).to_be_visible()
    before = page.locator("canvas.upper-canvas").bounding_box()
    by(page, [(0.5, 0.2), (0.5, 0.8)])
    answer = page.get_by_role("heading", name=ANSWER)
    expect(answer).to_be_visible()
    sheet, said = page.locator("canvas.upper-canvas").bounding_box(), answer.bounding_box()
    assert sheet is not None and said is not None and before is not None
    assert sheet["width"] >= least and sheet == before  # the answer's coming moves nothing
    assert sheet["y"] + sheet["height"] <= height + 40
    assert said["y"] < sheet["y"] + 40 if width > 500 else said["y"] + said["height"] < sheet["y"]


def test_a_sheet_without_a_pen_is_used_by_keyboard(address: str, tabs):
    """A line, undo and redo from the sheet, the brush and the eraser, a label: all reached by keys."""
    page = opened(tabs(1280), address)
    sheet, help = page.locator("canvas.upper-canvas"), page.get_by_text("Arrows move the pen, space puts it down")
    page.get_by_role("slider", name="Brush width").focus()
    page.keyboard.press("Tab")
    expect(sheet).to_be_focused()
    expect(help).to_be_visible()
    for key in [*["ArrowUp"] * 6, "Space", *["ArrowDown"] * 12]:
        page.keyboard.press(key)
    expect(page.get_by_role("status").filter(has_text="Pen down")).to_be_attached()
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Space")
    expect(page.get_by_role("heading", name="It says: 1")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Pen lifted")).to_be_attached()
    page.keyboard.press("ArrowLeft")  # which draws nothing now
    page.keyboard.press("Shift+Tab")
    expect(help).to_be_hidden()
    expect(page.get_by_role("heading", name="It says: 1")).to_be_visible()
    sheet.press("Control+z")
    expect(page.get_by_text("Draw on the white square")).to_be_visible()
    sheet.press("Control+Shift+z")
    expect(page.get_by_role("heading", name="It says: 1")).to_be_visible()
    page.get_by_role("button", name="Right, 1").press("Enter")
    expect(page.get_by_text("My digits: 1")).to_be_visible()
