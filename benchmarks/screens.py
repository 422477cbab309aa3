"""How much of each page is on its first screen: `python -m benchmarks.screens [--sizes 1280x900 390x844 1920x1080]`.

For each page at each size, from the real app in Chromium, as a table in Markdown: how far below the page's top its first result
begins (the first chart, picture, table or figure), how far its main button does, and how many screens high it is, in pixels and
screens. Labs are measured with their questions skipped. Then how much moves while a run trains on Train model: the sum of the
browser's layout shifts over ten seconds after the first point, of which 0.1 is called good and the aim is 0.01. To see what a
change did, run it before and after.
"""

import argparse
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import TimeoutError as Late

from benchmarks.conditions import conditions
from benchmarks.page_latency import app_process
from core.presets import PRESETS
from core.runs import RunStore
from core.runs.execute import execute
from core.settings import Settings
from pages.parts.shell.menu import LABS
from tests.browser import FLAGS, chromium, line_pixels

RESULTS = ", ".join(f'[data-testid="{kind}"]' for kind in (
    "stPlotlyChart", "stEChartsChart", "stGraphVizChart", "stImage", "stMetric", "stDataFrame", "stTable", "stVegaLiteChart",
)) + ", canvas, table, .tile, figure"
SMALLEST = 60, 24  # pixels, wide and high: what is smaller is an icon or a thumbnail on a button
QUIET = 1.5  # seconds in which a page must not change any more before it is measured
WATCHED = 10  # seconds of training


@dataclass(frozen=True)
class Place:
    """One page. main: the name of its main button, in the role of a button; "" where it has none."""

    name: str
    address: str
    main: str = ""


PLACES = [
    Place("Home", "", "Train my own"),
    Place("Explore data", "explore_data", "Train on these images"),
    Place("Build model", "build_model", "Train this network"),
    Place("Train model, no run", "train_model", "Start training"),
    Place("Train model, a run", "train_model?run=RUN", "Start training"),
    Place("Evaluate", "evaluate_model?run=RUN"),
    Place("Go back in time", "go_back?run=RUN", "Play"),
    Place("Draw a digit", "draw_digit?run=RUN", "Clear"),
    Place("Read a sheet", "read_sheet?run=RUN", "Try an example"),
    Place("Compare runs, one run", "compare_runs?run=RUN", "Open"),
    Place("Lessons", "open_lesson", "Open"),
    *(Place(f"Lab: {title}", Path(path).stem, "Start" if "boundary" in path else "Reveal")
      for path, (title, _, _) in LABS.items()),
]


def measured(page: Page, place: Place) -> tuple[int | None, int | None, float]:
    """Pixels from the top to the first result and to the main button, None where there is none, and the page's screens."""
    while (skip := page.get_by_role("button", name="Skip", exact=True)).count():
        skip.first.click()
        settle(page)  # the next question may come in its place
    settle(page)
    main = page.get_by_test_id("stMain")
    tops = main.locator(RESULTS).evaluate_all("""(all, [width, height]) => all.map(one => one.getBoundingClientRect())
        .filter(box => box.width >= width && box.height >= height).map(box => box.top)""", list(SMALLEST))  # a locator sees into
    button = main.get_by_role("button", name=place.main).filter(visible=True)  # shadow roots, as querySelectorAll does not
    box = button.first.bounding_box() if place.main and button.count() else None
    scrolled, screens = main.evaluate("main => [main.scrollTop, main.scrollHeight / window.innerHeight]")
    return round(min(tops) + scrolled) if tops else None, round(box["y"] + scrolled) if box else None, screens


def settle(page: Page) -> None:
    """Wait until nothing comes any more, or nothing but what moves by itself."""
    with suppress(Late):
        page.wait_for_function("""seconds => {
            const main = document.querySelector('[data-testid=stMain]'), now = performance.now();
            const state = `${main?.scrollHeight} ${main?.querySelectorAll('*').length}`;
            if (state !== window.stateBefore) { window.stateBefore = state; window.since = now; }
            const coming = document.querySelector('[data-testid=stStatusWidget], [data-testid=stSkeleton]');
            return !coming && now - window.since > 1000 * seconds;
        }""", arg=QUIET, polling=100, timeout=30_000)


def shift_while_training(browser: Browser, address: str, size: tuple[int, int]) -> float:
    """The sum of layout shifts while a run trains, from its first point on."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.set_default_timeout(60_000)
    page.goto(address + 'train_model?config={"from":"digits-quick","training.epochs":1000}')
    page.get_by_role("button", name="Start training").click()
    while line_pixels(page, "loss") < 3:
        page.wait_for_timeout(100)
    page.evaluate("""() => { window.shifted = 0; new PerformanceObserver(list => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
    }).observe({type: 'layout-shift', buffered: false}); }""")
    page.wait_for_timeout(1000 * WATCHED)
    shifted = page.evaluate("window.shifted")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("· stopped").wait_for()
    page.close()
    return shifted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["1280x900", "390x844", "1920x1080"])
    parser.add_argument("--pages", default="", help="only pages whose names contain this")
    parser.add_argument("--shifts", action=argparse.BooleanOptionalAction, default=True, help="layout shift while training")
    asked = parser.parse_args()
    sizes = [(int(wide), int(high)) for wide, high in (size.split("x") for size in asked.sizes)]
    print(conditions())
    environment = Settings.from_environment()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(environment.data_dir, Path(folder), environment.cache_dir, 1)
        store = RunStore(settings.runs_dir)
        quick = PRESETS["digits-quick"]
        run = execute(store, store.create_running(quick.config, "benchmark", "here", quick.title), settings)
        store.close()
        with app_process(Path(folder)) as (port, _), sync_playwright() as play:
            browser, address = play.chromium.launch(executable_path=chromium(), args=FLAGS), f"http://127.0.0.1:{port}/"
            print("| page | " + " | ".join(f"{wide}×{high}: result, button, screens" for wide, high in sizes) + " |")
            print("| --- |" + " --- |" * len(sizes))
            for place in [place for place in PLACES if asked.pages.lower() in place.name.lower()]:
                cells = []
                for wide, high in sizes:
                    page = browser.new_page(viewport={"width": wide, "height": high})
                    page.set_default_timeout(60_000)
                    page.goto(address + place.address.replace("RUN", run.id))
                    page.locator("h1").wait_for()
                    settle(page)
                    first, button, screens = measured(page, place)
                    cells.append(f"{'–' if first is None else first}, {'–' if button is None else button}, {screens:.1f}")
                    page.close()
                print(f"| {place.name} | " + " | ".join(cells) + " |", flush=True)
            if asked.shifts:
                moved = [f"{wide}×{high}: {shift_while_training(browser, address, (wide, high)):.4f}" for wide, high in sizes]
                print(f"layout shift in {WATCHED} s of training (aim ≤ 0.01): {', '.join(moved)}")
            browser.close()


if __name__ == "__main__":
    main()
