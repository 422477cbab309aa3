"""The browser's own heap beside a live chart: python -m benchmarks.browser_heap [--minutes 60] [--every 60] [--preset …].

Starts the app on a runs folder of its own, and a run that goes on for longer than it is looked at: as many epochs as there may
be, each of which takes some time at least, on one processor thread, so that the browser has another. Opens it on Train model in
Chromium, where the page looks at it once a second, and waits for the first line on the chart. Then, at each look, the tab
collects its garbage and says, by Chromium's debugging protocol, how much its JavaScript holds (MB, the heap that is used), and
how many DOM nodes and event listeners there are, those included that are no longer on the page but still held; and the system
says what the tab's process has resident, its pictures among it. The step is the one that the page shows: where it stands still,
the chart did too (looks have to be further apart than epochs).

At the end: the medians of the first and the last sixth of all looks, and by how much they differ. Aim: flat. The first minutes
are not: the browser compiles what runs often, which is most of what its snapshots have more of then. A run or a page
that has stopped in the meantime is no live chart, and is said to be none. mnist-is-8-cnn needs MNIST (PLAYGROUND_DATA),
digits-quick no download. Needs the development requirements and Debian's chromium.
"""

import argparse
import re
import tempfile
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, CDPSession, Page

from benchmarks.conditions import conditions
from benchmarks.page_latency import app, memory
from core.presets import PRESETS
from core.runs import RunStore
from tests.browser import launched, line_pixels, tabs_of

EPOCHS = 1000  # the most that a run may have
LONGER = 1.5  # times as long as it is looked at
PARTS = 6  # of all looks; the first and the last are compared
WIDTH = 1280  # pixels
MOST_SECONDS = 180  # until there is a line
PLACES = (1, 0, 0, 0)  # decimal places of a look's figures


@dataclass(frozen=True)
class Held:
    """What the tab holds after its garbage is collected: MB, nodes, listeners, and MB of its process."""

    heap: float
    nodes: float
    listeners: float
    process: float


def renderer(browser: Browser) -> int:
    """Process id of the browser's one tab: of those that draw pages the one that has worked most."""
    said = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    return int(max((one for one in said if one["type"] == "renderer"), key=lambda one: one["cpuTime"])["id"])


def held(tab: CDPSession, process: int) -> Held:
    tab.send("HeapProfiler.collectGarbage")
    said = {one["name"]: one["value"] for one in tab.send("Performance.getMetrics")["metrics"]}
    return Held(said["JSHeapUsedSize"] / 1e6, said["Nodes"], said["JSEventListeners"], memory(process))


def shown_step(page: Page) -> int:
    """The step that the page says the run is at; 0 where it says none."""
    found = re.search(r"step ([\d,]+) of", " ".join(page.get_by_test_id("stProgress").all_inner_texts()))
    return int(found.group(1).replace(",", "")) if found else 0


def long_run(store: RunStore, preset: str, seconds: float) -> str:
    """Put a run in the queue that goes on for longer than that; its id."""
    config = PRESETS[preset].config.with_values({"training.epochs": EPOCHS, "training.threads": 1})
    return store.create(config, "benchmark", "long run", pace=LONGER * seconds / EPOCHS)


def wait_for_line(page: Page) -> None:
    """Until the chart of the loss has a line. Raises RuntimeError where none comes."""
    begun = time.monotonic()
    while line_pixels(page, "loss") < 3:
        if time.monotonic() - begun > MOST_SECONDS:
            raise RuntimeError(f"no line on the chart after {MOST_SECONDS} s")
        page.wait_for_timeout(250)


def row(said: str, look: Held, about: str, sign: str = "") -> str:
    figures = "".join(f"{value:>{sign}{width},.{places}f}" for value, width, places in zip(
        astuple(look), (10, 10, 12, 14), PLACES, strict=True))
    return f"{said:>12}{figures}   {about}".rstrip()


def watch(page: Page, browser: Browser, store: RunStore, run_id: str, seconds: float, every: float) -> tuple[list[Held], int]:
    """A look each so many seconds, printed as it is taken; all of them, and at how many the chart was not live: the run had
    ended, or the page still showed the step of the look before."""
    tab, process, looks, before, dead = page.context.new_cdp_session(page), renderer(browser), [], 0, 0
    tab.send("Performance.enable")
    begun = time.monotonic()
    for number in range(int(seconds / every) + 1):
        page.wait_for_timeout(max(0.0, begun + number * every - time.monotonic()) * 1000)
        looks.append(held(tab, process))
        step, status = shown_step(page), store.get(run_id).status
        live = status == "running" and step > before
        dead, before = dead + (not live), step
        print(row(f"{(time.monotonic() - begun) / 60:.1f}", looks[-1], f"{status}, step {step:,}{'' if live else ': not live'}"),
              flush=True)
    return looks, dead


def compare(looks: list[Held]) -> None:
    """The first and the last of the parts, and their difference."""
    count = max(1, len(looks) // PARTS)
    first, last = (Held(*map(median, zip(*map(astuple, part), strict=True))) for part in (looks[:count], looks[-count:]))
    print(row("first sixth", first, f"median of {count}"))
    print(row("last sixth", last, f"median of {count}"))
    print(row("difference", Held(*(b - a for a, b in zip(astuple(first), astuple(last), strict=True))), "aim: flat", sign="+"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two looks")
    parser.add_argument("--preset", choices=list(PRESETS), default="mnist-is-8-cnn")
    args = parser.parse_args()
    print(conditions())
    seconds = 60 * args.minutes
    with tempfile.TemporaryDirectory() as folder, app(Path(folder)) as port, launched() as browser, tabs_of(browser) as tab:
        store = RunStore(Path(folder))
        run_id, page = long_run(store, args.preset, seconds), tab(WIDTH)
        page.goto(f"http://127.0.0.1:{port}/train_model?run={run_id}")
        wait_for_line(page)
        print(f"{args.preset}, {args.minutes:g} min, a look each {args.every:g} s, Chromium {browser.version}")
        print(f"{'minute':>12}{'heap MB':>10}{'nodes':>10}{'listeners':>12}{'process MB':>14}   run, as the page shows it")
        looks, dead = watch(page, browser, store, run_id, seconds, args.every)
        compare(looks)
        print("the chart was live at every look" if not dead else f"not a live chart at {dead} of {len(looks)} looks")
        store.request_stop(run_id)
        store.close()


if __name__ == "__main__":
    main()
