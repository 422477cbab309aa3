"""A real browser for tests and benchmarks: Debian's chromium, or the one PLAYGROUND_CHROMIUM names."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.strokes import Point

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]

expect.set_options(timeout=60_000)  # of all browser tests, in any order: a busy machine is no failure


def chromium() -> str | None:
    """Where the browser is; None where there is none."""
    return os.environ.get("PLAYGROUND_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def line_pixels(page: Page, quantity: str) -> int:
    """How many pixels of the training colour the plotting area of a run's chart of a quantity ("loss") shows; 0 where there is no
    such chart."""
    return page.evaluate(
        """quantity => {
            const canvas = document.querySelector(`.st-key-live-${quantity} canvas`);
            if (!canvas || !canvas.width) return 0;
            const ratio = canvas.height / canvas.getBoundingClientRect().height, top = Math.round(36 * ratio);
            const pixels = canvas.getContext('2d').getImageData(0, top, canvas.width, canvas.height - top).data;
            let count = 0;  // anything clearly more red than blue: the line, also where it is faint
            for (let i = 0; i < pixels.length; i += 4)
                if (pixels[i + 3] > 40 && pixels[i] - pixels[i + 2] > 60) count++;
            return count;
        }""", quantity)


def in_menu(page: Page, name: str) -> Locator:
    """A page's link in the menu: a heading has a link of its name, too."""
    return page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True)


def done(page: Page, words: str) -> Locator:
    """A green line with these words: not where they are read out from as well (pages/parts/shell/reachable.js)."""
    return page.get_by_test_id("stAlertContentSuccess").get_by_text(words)


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser. Skips the test where there is no Chromium; .ci/run checks that this did not happen there."""
    if chromium() is None:
        pytest.skip("no Chromium: install Debian's package chromium, or set PLAYGROUND_CHROMIUM")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def tabs_of(browser: Browser, phone_agent: str | None = None) -> Iterator[Callable[..., Page]]:
    """What makes tabs, each a visitor of its own: (width, touch=False, alone=False) → Page. They are closed at the end.

    A visitor who has gone is forgotten, but for what the browser has compiled of Streamlit's scripts: that is for the next one,
    whose first page is there in three quarters of the work. alone: with nothing of others', for a test that changes what all
    tabs of a visitor share, such as the clock.

    phone_agent: what a tab with touch calls itself; the browser's own name where it is None.
    """
    used: list[tuple[list[BrowserContext] | None, BrowserContext]] = []  # where it is kept, None where it is not

    def tab(width: int, touch: bool = False, alone: bool = False) -> Page:
        agent = phone_agent if touch else None
        kept = None if alone else _idle(browser, (touch, agent))
        context = kept.pop() if kept else browser.new_context(has_touch=touch, is_mobile=touch, user_agent=agent)
        used.append((kept, context))
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 1000})
        page.set_default_timeout(60_000)
        return page

    yield tab
    for kept, context in used:
        if kept is None:
            context.close()
        else:
            _forget(context)
            kept.append(context)


def _idle(browser: Browser, kind: tuple[bool, str | None]) -> list[BrowserContext]:
    """Contexts of a browser in which there is no tab; they end with it."""
    kept = browser.__dict__.setdefault("idle contexts", {})
    return kept.setdefault(kind, [])


def _forget(context: BrowserContext) -> None:
    """Close its tabs, and leave nothing of what the app's pages keep in a browser."""
    last = context.new_page()
    for page in context.pages:
        if page is not last:
            page.close()
    context.new_cdp_session(last).send("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "cookies,local_storage"})
    last.close()


def spots(page: Page, points: Sequence[Point]) -> list[Point]:
    """Where on the screen points of the sheet are, which are given as shares of its sides."""
    sheet = page.locator("canvas.upper-canvas")
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    assert box is not None and box["width"] == pytest.approx(box["height"], abs=1) and box["width"] >= 240
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]


def by_mouse(page: Page, points: Sequence[Point]) -> None:
    """One line on the sheet."""
    places = spots(page, points)
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def by_touch(page: Page, points: Sequence[Point]) -> None:
    """A finger, as the browser's own debugging protocol sends it."""
    places = spots(page, points)
    client = page.context.new_cdp_session(page)

    def send(kind: str, *fingers: Point) -> None:
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in fingers]})

    send("touchStart", places[0])
    for (x1, y1), (x2, y2) in zip(places, places[1:], strict=False):
        for step in range(1, 6):
            send("touchMove", (x1 + (x2 - x1) * step / 5, y1 + (y2 - y1) * step / 5))
        page.evaluate("() => new Promise(requestAnimationFrame)")  # what moves within a frame a busy browser makes one move of
    send("touchEnd")
