"""From a changed setting to the first point of the new curve, in a browser: python -m benchmarks.first_point [--changes 30].

"Retrain on change" is on and a run is going. The learning rate is changed with the keyboard; measured is the time from the key
press until the loss chart shows the new run: its id stands above the chart, and what is painted in the training colour is
something else than the old curve was, which is grey by then. The run that was going is stopped in that time, and the new one
queued, taken up by a training process, and trained for its first steps. Trains on MNIST where it is below PLAYGROUND_DATA, else
on scikit-learn's digits. Needs the development requirements and Debian's chromium.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.conditions import conditions, spread
from benchmarks.page_latency import app
from core.data import spec_of
from core.settings import Settings
from tests.browser import FLAGS, chromium

AIM = 1.0
SECONDS_BETWEEN = 3.0  # as somebody looks at a curve for a while
MOST_SECONDS = 15.0
EPOCHS = 500  # no run ends by itself
# The first moment, by the browser's clock, at which the panel shows another run and another coloured line
WATCH = """
window.line = () => {
    const canvas = document.querySelector('.stEChartsChart canvas');
    if (!canvas || !canvas.width) return 0;
    const top = Math.round(36 * canvas.height / canvas.getBoundingClientRect().height);
    const pixels = canvas.getContext('2d').getImageData(0, top, canvas.width, canvas.height - top).data;
    let count = 0;
    for (let i = 0; i < pixels.length; i += 4)
        if (pixels[i + 3] > 40 && pixels[i] - pixels[i + 2] > 60) count++;
    return count;
};
window.shown = () => (document.querySelector('[data-testid=stMain]')?.innerText.match(/run ([0-9a-f]{8})/) || ['', ''])[1];
window.seen = {pressed: 0, at: 0, run: '', line: 0};
addEventListener('keydown', event => {
    if (event.key === 'Enter') seen = {pressed: performance.now(), at: 0, run: shown(), line: line()};
}, true);
setInterval(() => {
    if (!seen.pressed || seen.at) return;
    const now = line();
    if (shown() === seen.run) seen.line = now;
    else if (now > 0 && now !== seen.line) seen.at = performance.now();
}, 20);
"""


def change(page: Page, value: float) -> float | None:
    """Seconds from the key press to the new curve; None where it was not seen."""
    field = page.get_by_role("spinbutton", name="Learning rate").first
    field.fill(f"{value:g}")
    field.press("Enter")
    for _ in range(int(MOST_SECONDS / 0.1)):
        page.wait_for_timeout(100)
        seen = page.evaluate("seen")
        if seen["at"]:
            return (seen["at"] - seen["pressed"]) / 1000
    return None


def measure(page: Page, address: str, dataset: str, changes: int) -> tuple[list[float], int]:
    """Seconds of each change, and how many were not seen."""
    page.goto(f"{address}/train_model")
    page.get_by_role("button", name="Start training").wait_for(timeout=60_000)
    if dataset == "digits":
        page.get_by_role("combobox", name="Start from").click()
        page.get_by_role("option", name="Digits in seconds").click()
        page.wait_for_timeout(2000)
    page.get_by_text("Retrain on change").click()
    epochs = page.get_by_role("spinbutton", name="Epochs").first
    epochs.fill(str(EPOCHS))
    epochs.press("Enter")
    page.wait_for_timeout(2000)
    page.get_by_role("button", name="Start training").click()
    page.wait_for_timeout(SECONDS_BETWEEN * 1000 + 2000)
    taken, missed = [], 0
    for number in range(changes + 2):
        seconds = change(page, (1 + number % 9) * 1e-4)
        page.wait_for_timeout(SECONDS_BETWEEN * 1000)
        if number >= 2:  # the first two load what is loaded once
            taken += [] if seconds is None else [seconds]
            missed += seconds is None
    page.get_by_role("button", name="Stop", exact=True).click()
    return taken, missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, default=30)
    args = parser.parse_args()
    print(conditions())
    dataset = "mnist" if spec_of("mnist").is_available(Settings.from_environment().data_dir) else "digits"
    with tempfile.TemporaryDirectory() as folder, app(Path(folder)) as port, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.add_init_script(WATCH)
        taken, missed = measure(page, f"http://127.0.0.1:{port}", dataset, args.changes)
        browser.close()
    p95 = f", p95 {statistics.quantiles(taken, n=20)[-1]:.2f} s" if len(taken) > 1 else ""
    print(f"from a changed setting to the new curve's first point, {dataset} (aim: p95 ≤ {AIM} s): {spread(taken, 's')}{p95}"
          + (f"; {missed} not seen within {MOST_SECONDS:g} s" if missed else ""))


if __name__ == "__main__":
    main()
