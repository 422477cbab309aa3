"""Home's first ten seconds in a browser: python -m benchmarks.first_ten_seconds [--turns 10] [--busy K] [--visitors 10 50].

A visitor opens Home on a warm server, draws a three, presses "Train my own" and waits. Measured, by the browser's own clock
where the browser is the one who waits: from opening to a sheet that can be drawn on; from the pen's lifting to the bars of the
finished drawing; from the press to the first bar that has moved by what the new network says; from opening to a trained network
that answers the drawing, and from the press to it. Then as many visitors as --visitors says open Home at the same moment over
Streamlit's own websocket: until its script has ended. Trains on MNIST where it is below PLAYGROUND_DATA, else on scikit-learn's
digits. --busy and --busy-tab: beside so many busy processes, or a tab that keeps three quarters of a core busy. Needs the
development requirements and Debian's chromium, which shares the cores.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.conditions import add_busy, beside, conditions, keeping_busy, offered_in_the_app
from benchmarks.page_latency import app, rerun, session
from core.data import spec_of
from core.presets import PRESETS
from core.settings import Settings
from pages.parts.draft.draft import first_preset
from tests.browser import FLAGS, by_mouse, chromium
from tests.strokes import STROKES

DIGIT = 3
AIMS = {"opening to a usable sheet": 1.5, "pen up to bars": 0.15, "Train my own to the first moved bar": 0.8,
        "opening to a trained network that answers": 8.0, "Train my own to a trained network": 3.0}
WITHOUT_MNIST = "Train my own to a trained network"  # whose aim is one for digits-quick
PAINT_AIMS = {10: 0.5, 50: 1.5}
MOST_SECONDS = 120
# What stands in the bars, and when: components keep theirs behind a shadow root
WATCH = """
window.inside = (name) => { for (const host of document.querySelectorAll('*')) {
    const found = host.shadowRoot?.querySelector(name); if (found) return found; } return document.querySelector(name); };
window.seen = {sheet: 0, up: 0, bars: 0, pressed: 0, moved: 0, ended: 0};
window.barsNow = () => inside('.lines')?.textContent ?? '';
addEventListener('pointerup', () => { seen.up = performance.now(); seen.bars = 0; }, true);
addEventListener('click', (event) => { if (event.target.closest?.('button')?.innerText.includes('Train my own'))
    seen.pressed = performance.now(); }, true);
window.last = '';
const look = () => {
    const now = performance.now(), sheet = inside('canvas.upper-canvas'), bars = barsNow();
    if (!seen.sheet && sheet && sheet.getBoundingClientRect().height > 100) seen.sheet = now;
    if (bars !== last) { last = bars; if (seen.up && !seen.pressed) seen.bars = now; }
    const busy = inside('.head')?.getAttribute('aria-busy') === 'true';
    if (seen.pressed && !seen.moved && busy) { window.first ??= bars; if (bars !== first) seen.moved = now; }
    if (seen.pressed && !seen.ended && inside('.source')?.textContent.startsWith('This network')) seen.ended = now;
    requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


def draw(page: Page) -> None:
    """A three with the mouse."""
    for _, points in STROKES[DIGIT][0]:
        by_mouse(page, points)


def until(page: Page, name: str) -> float | None:
    """The moment of which `seen` tells, in milliseconds since the page was opened; None where it does not come."""
    for _ in range(MOST_SECONDS * 20):
        if value := page.evaluate(f"seen.{name}"):
            return value
        page.wait_for_timeout(50)
    return None


def visit(browser: Browser, address: str) -> dict[str, float]:
    """Seconds of one visitor's waits; those that did not end are left out."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.add_init_script(WATCH)
    page.goto(address)
    sheet = until(page, "sheet")
    page.wait_for_timeout(300)
    draw(page)
    page.wait_for_timeout(1500)  # the last bars are those of the whole drawing
    up, bars = page.evaluate("[seen.up, seen.bars]")
    page.get_by_role("button", name="Train my own").click()
    moved, pressed = until(page, "moved"), page.evaluate("seen.pressed")
    ended = until(page, "ended")
    page.close()
    pairs = {"opening to a usable sheet": (0, sheet), "pen up to bars": (up, bars),
             "Train my own to the first moved bar": (pressed, moved), "opening to a trained network that answers": (0, ended),
             "Train my own to a trained network": (pressed, ended)}
    return {what: (end - begin) / 1000 for what, (begin, end) in pairs.items() if end}


def open_at_once(port: int, visitors: int) -> list[float]:
    """Seconds until Home's script has ended, for each of several visitors who come at the same moment."""
    def one(_: int) -> float:
        with session(port) as connection:
            return rerun(connection, "", "") / 1000

    with ThreadPoolExecutor(visitors) as pool:
        return list(pool.map(one, range(visitors)))


def line(what: str, values: Sequence[float], aim: float | None) -> str:
    if not values:
        return f"{what}: not seen within {MOST_SECONDS} s"
    p95 = statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
    return (f"{what}{'' if aim is None else f' (aim ≤ {aim:g} s)'}: median {statistics.median(values):.2f} s, p95 {p95:.2f} s "
            f"(min {min(values):.2f}, max {max(values):.2f}, n={len(values)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--visitors", type=int, nargs="*", default=[10, 50], help="how many open Home at once, each in turn")
    add_busy(parser)
    args = parser.parse_args()
    print(conditions(offered_in_the_app(PRESETS[first_preset(Settings.from_environment())].config)))
    where = "MNIST" if spec_of("mnist").is_available(Settings.from_environment().data_dir) else "scikit-learn's digits"
    print(f"trains on {where}, {beside(args.busy, args.busy_tab)}")
    with (keeping_busy(args.busy, args.busy_tab), tempfile.TemporaryDirectory() as folder, app(Path(folder)) as port,
          sync_playwright() as play):
        address = f"http://127.0.0.1:{port}"
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        if args.turns:
            visit(browser, address)  # warms the server
        waits: dict[str, list[float]] = {what: [] for what in AIMS}
        for _ in range(args.turns):
            for what, seconds in visit(browser, address).items():
                waits[what].append(seconds)
            time.sleep(1)
        for what, aim in AIMS.items():
            if args.turns:
                known = None if what == WITHOUT_MNIST and where == "MNIST" else aim
                print(line(what, waits[what], known), flush=True)
        browser.close()
        for visitors in args.visitors:
            open_at_once(port, visitors)
            print(line(f"first paint of Home, {visitors} visitors at once", open_at_once(port, visitors),
                       PAINT_AIMS.get(visitors, 1.5)), flush=True)


if __name__ == "__main__":
    main()
