"""From a stroke to new bars: python -m benchmarks.drawing_speed [--strokes 60] [--epochs 1].

Trains three small models (mnist-mlp-50, a CNN like mnist-is-8-cnn with ten outputs, and digits-quick; on scikit-learn's digits
where MNIST is not below PLAYGROUND_DATA), starts the app, and draws in Chromium with all three asked at once. For each stroke:

    server    from the moment the browser sends the drawing to the last message of the script run it causes
    browser   from lifting the pen to the new answer on the page, with what the component waits before it sends

and, without any browser, what preparing the drawing and asking the three models takes by itself. Needs the development
requirements and Debian's chromium.
"""

import argparse
import base64
import io
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from benchmarks.conditions import conditions, spread
from benchmarks.page_latency import app
from core.config import RunConfig
from core.data import spec_of
from core.data.canvas import read_canvas
from core.data.drawing import prepare
from core.presets import PRESETS
from core.runs import RunStore, load_model
from core.runs.execute import execute
from core.runs.familiar import familiar_of
from core.settings import Settings
from tests.browser import FLAGS, chromium
from tests.strokes import STROKES, draw

TEN = {"data.task": "classes", "training.loss": "cross_entropy"}
# What the page's websocket sends and receives, and when the answer's line changes, all by the browser's own clock
WATCH = """
window.seen = {up: 0, sent: [], got: [], changed: []};
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
    if (!this.watched) { this.watched = true; this.addEventListener('message', () => seen.got.push(performance.now())); }
    seen.sent.push(performance.now());
    return send.call(this, data);
};
addEventListener('pointerup', () => { seen.up = performance.now(); }, true);
addEventListener('DOMContentLoaded', () => new MutationObserver(() => {
    const now = [...document.querySelectorAll('[data-testid=stMain] h2, [data-testid=stMain] [data-testid=stCaptionContainer]')]
        .map(e => e.innerText).join('|');
    if (now !== seen.text) { seen.text = now; seen.changed.push(performance.now()); }
}).observe(document.body, {subtree: true, childList: true, characterData: true}));
"""


def configs(settings: Settings, epochs: int) -> list[RunConfig]:
    """Three models that answer with ten digits."""
    found = [PRESETS["mnist-mlp-50"].config, PRESETS["mnist-is-8-cnn"].config.with_values(TEN), PRESETS["digits-quick"].config]
    if not spec_of("mnist").is_there(settings.data_dir):
        found = [config.with_values({"data.dataset": "digits", "data.validation": 200}) for config in found]
    return [config.with_values({"training.epochs": epochs}) for config in found]


def measure_work(store: RunStore, settings: Settings, ids: Sequence[str], repeats: int) -> None:
    """Milliseconds of decoding the canvas, preparing the drawing, and asking three models with their scores."""
    models = [load_model(store, run_id) for run_id in ids]
    known = [familiar_of(store, run_id, model, settings) for run_id, model in zip(ids, models, strict=True)]
    file = io.BytesIO()
    Image.fromarray(draw(7)).save(file, "PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        images = prepare(read_canvas(url)).image[None]
        for model, familiar in zip(models, known, strict=True):
            model.predict(images)
            if familiar is not None:
                familiar.scores(model.model, images, model.mean, model.std)
        times.append((time.perf_counter() - start) * 1000)
    print(f"  the work alone, {len(models)} models: {with_p95(times)}")


def stroke(page: Page, points: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Draw one line; (server, browser) milliseconds. None where the answer's text stayed as it was."""
    box = page.locator("canvas.upper-canvas").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.evaluate("Object.assign(seen, {sent: [], got: [], changed: []})")
    page.mouse.up()
    page.wait_for_timeout(1500)
    seen = page.evaluate("seen")
    sent = [at for at in seen["sent"] if at >= seen["up"]]
    got = [at for at in seen["got"] if sent and at >= sent[0]]
    changed = [at for at in seen["changed"] if at >= seen["up"]]
    return (got[-1] - sent[0], changed[0] - seen["up"]) if got and changed else None


def measure_browser(page: Page, address: str, others: Sequence[str], strokes: int) -> None:
    """Draw digits, stroke by stroke, with all models asked."""
    page.goto(address)
    page.get_by_text("Draw on the white square").wait_for(timeout=60_000)
    for title in others:
        page.get_by_role("combobox", name="Ask these too").click()
        page.get_by_role("option", name=title).first.click()
        page.keyboard.press("Escape")
        page.wait_for_timeout(3000)
    server, browser, missed = [], [], 0
    lines = [points for digit in STROKES for _, points in STROKES[digit][0]]
    for number in range(strokes + 3):
        if number % 3 == 0:
            page.get_by_role("button", name="Clear", exact=True).click()
            page.wait_for_timeout(1500)
        page.locator("canvas.upper-canvas").scroll_into_view_if_needed()
        took = stroke(page, lines[number % len(lines)])
        if number < 3:
            continue  # what is done once: models loaded, charts' code fetched
        if took is None:
            missed += 1
            continue
        server.append(took[0])
        browser.append(took[1])
    cards = page.get_by_text("All models side by side").count()
    print(f"  {'three models' if cards else 'one model'}, {missed} strokes without a new answer")
    print(f"  server, from the drawing sent to the last message (aim: p95 ≤ 100 ms): {with_p95(server)}")
    print(f"  browser, from pen up to the new answer (aim ≤ 400 ms): {with_p95(browser)}")


def with_p95(values: Sequence[float]) -> str:
    return f"{spread(values, 'ms', 1)}, p95 {statistics.quantiles(values, n=20)[-1]:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strokes", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()
    settings = Settings.from_environment()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or torch.get_num_threads()))
    print(conditions())
    with tempfile.TemporaryDirectory() as folder:
        own = Settings(settings.data_dir, Path(folder), settings.cache_dir)
        store = RunStore(own.runs_dir)
        runs = [execute(store, store.create_running(config, "benchmark", "here", f"Model {number}"), own)
                for number, config in enumerate(configs(own, args.epochs), start=1)]
        measure_work(store, own, [run.id for run in runs], 100)
        with app(own.runs_dir) as port, sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.add_init_script(WATCH)
            measure_browser(page, f"http://127.0.0.1:{port}/draw_digit?run={runs[0].id}", [run.title for run in runs[1:]],
                            args.strokes)
            browser.close()


if __name__ == "__main__":
    main()
