"""From a stroke to new bars: python -m benchmarks.drawing_speed [--strokes 60] [--epochs 1].

Trains three small models (mnist-mlp-50, a CNN like mnist-is-8-cnn with ten outputs, and digits-quick; on scikit-learn's digits
where MNIST is not below PLAYGROUND_DATA), starts the app, and draws with all three asked at once:

    work      decoding and preparing the drawing, asking the three models and scoring how unlike it is, in this process
    server    over Streamlit's own websocket, without a browser: from sending a drawing to the end of the script run it causes,
              with all answers, bars and pictures of the stages sent
    moving    in Chromium, one model asked: how many answers a second come while the pen moves for two seconds, and from lifting
              it until the bars are those of the finished stroke
    browser   in Chromium, all three asked, from lifting the pen: until the drawing has left, until the first bars are new, and
              until those of all models are

The load on the machine is printed with the figures. Needs the development requirements and Debian's chromium.
"""

import argparse
import base64
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection

from benchmarks.conditions import conditions, spread
from benchmarks.page_latency import app, session
from core.config import RunConfig
from core.data import spec_of
from core.data.drawing import prepare
from core.data.drawing.canvas import read_canvas
from core.presets import PRESETS
from core.runs import RunStore, load_model
from core.runs.execute import execute
from core.runs.ood_reference import reference_of
from core.settings import Settings
from tests.browser import FLAGS, by_mouse, chromium
from tests.strokes import STROKES, draw

TEN = {"data.task": "classes", "training.loss": "cross_entropy"}
# When the pen is lifted, when the drawing leaves, and in which frames any bar's text changes, by the browser's own clock
WATCH = """
window.seen = {up: 0, sent: 0, changed: []};
addEventListener('pointerup', () => { Object.assign(seen, {up: performance.now(), sent: 0, changed: []}); }, true);
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (what) { seen.sent = seen.sent || performance.now(); return send.call(this, what); };
const look = () => {
    const now = [...document.querySelectorAll('[data-testid=stBidiComponentRegular], [data-testid=stBidiComponentIsolated]')]
        .flatMap(e => [...(e.shadowRoot ?? e.querySelector('*')?.shadowRoot ?? e).querySelectorAll('.bars')])
        .map(e => e.textContent);
    seen.bars = now.length;
    if (now.join('|') !== seen.text) { seen.text = now.join('|'); seen.changed.push(performance.now()); }
    requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


def configs(settings: Settings, epochs: int) -> list[RunConfig]:
    """Three models that answer with ten digits."""
    found = [PRESETS["mnist-mlp-50"].config, PRESETS["mnist-is-8-cnn"].config.with_values(TEN), PRESETS["digits-quick"].config]
    if not spec_of("mnist").is_available(settings.data_dir):
        found = [config.with_values({"data.dataset": "digits", "data.validation": 200}) for config in found]
    return [config.with_values({"training.epochs": epochs}) for config in found]


def measure_work(store: RunStore, settings: Settings, ids: Sequence[str], repeats: int) -> None:
    """Milliseconds of decoding the canvas, preparing the drawing, and asking three models with their scores."""
    models = [load_model(store, run_id) for run_id in ids]
    known = [reference_of(store, run_id, model, settings) for run_id, model in zip(ids, models, strict=True)]
    url, times = canvas_url(7, 16), []
    for _ in range(repeats):
        start = time.perf_counter()
        images = prepare(read_canvas(url)).image[None]
        for model, familiar in zip(models, known, strict=True):
            model.predict(images)
            if familiar is not None:
                familiar.scores(model.model, images, model.mean, model.std)
        times.append((time.perf_counter() - start) * 1000)
    print(f"  the work alone, {len(models)} models: {with_p95(times)}")


def canvas_url(digit: int, brush: float) -> str:
    """A drawing as the canvas sends it."""
    file = io.BytesIO()
    Image.fromarray(draw(digit, 0, brush)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def messages(connection: ClientConnection, ask: BackMsg) -> list[ForwardMsg]:
    """What one script run sends, up to its end."""
    connection.send(ask.SerializeToString())
    found = []
    while not found or found[-1].WhichOneof("type") != "script_finished":
        reply = ForwardMsg()
        reply.ParseFromString(connection.recv(timeout=120))
        found.append(reply)
        if reply.WhichOneof("type") == "delta" and reply.delta.new_element.WhichOneof("type") == "exception":
            raise RuntimeError(reply.delta.new_element.exception.message)
    return found


def measure_server(port: int, run: str, titles: Sequence[str], strokes: int) -> None:
    """A drawing at a time, as the component's frontend would send it, with all models asked."""
    with session(port) as connection:
        ask = BackMsg()
        ask.rerun_script.page_name, ask.rerun_script.query_string = "draw_digit", f"run={run}"
        first = messages(connection, ask)
        elements = [m.delta.new_element for m in first if m.WhichOneof("type") == "delta"]
        choice = next(one.multiselect for one in elements if one.WhichOneof("type") == "multiselect")
        state = ask.rerun_script.widget_states.widgets.add(id=choice.id)
        state.string_array_value.data.extend(option for option in choice.options if option.startswith(tuple(titles)))
        second = messages(connection, ask)
        canvas = next(m.delta for m in second if m.delta.new_element.WhichOneof("type") == "bidi_component")
        ask.rerun_script.fragment_id = canvas.fragment_id
        sheet = ask.rerun_script.widget_states.widgets.add(id=canvas.new_element.bidi_component.id)
        times, bars = [], 0
        for number in range(strokes + 5):
            url = canvas_url(number % 10, 14 + number % 9)
            sheet.json_value = json.dumps({"drawing": {"raw": {"objects": [{}]}, "data": url}, "backgroundFit": None})
            start = time.perf_counter()
            found = messages(connection, ask)
            times.append((time.perf_counter() - start) * 1000)
            # the first model's bars once large and, beside others, once in its card
            bars = sum('"values"' in message.delta.new_element.bidi_component.json for message in found)
        print(f"  server, {bars} sets of bars sent, load {os.getloadavg()[0]:.1f} (aim: p95 ≤ 100 ms): {with_p95(times[5:])}")


@dataclass(frozen=True)
class Lifted:
    """Milliseconds from lifting the pen until the drawing had left, the first bars were new, and the last ones were."""

    sent: float
    first: float
    last: float


def stroke(page: Page, points: Sequence[tuple[float, float]]) -> Lifted | None:
    """Draw one line; None where no bar changed."""
    by_mouse(page, points)
    page.wait_for_timeout(1500)
    seen = page.evaluate("seen")
    if not seen["changed"]:
        return None
    return Lifted(*(at - seen["up"] for at in (seen["sent"], seen["changed"][0], seen["changed"][-1])))


def measure_moving(page: Page, address: str, strokes: int) -> None:
    """Slow strokes: bars that change while the pen is down, and how long the last ones take once it is up."""
    page.goto(address)
    page.get_by_text("Draw on the white square").wait_for(timeout=60_000)
    clear = page.get_by_role("button", name="Clear", exact=True)
    rates, lifted = [], []
    lines = [points for digit in STROKES for _, points in STROKES[digit][0]]
    for number in range(strokes + 3):
        if number % 3 == 0 and clear.is_enabled():
            clear.click()
            page.wait_for_timeout(600)
        box = page.locator("canvas.upper-canvas").bounding_box()
        assert box is not None
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in slowly(lines[number % len(lines)])]
        page.mouse.move(*places[0])
        page.evaluate("seen.changed = []")
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place)
            page.wait_for_timeout(2000 / len(places))
        rates.append(page.evaluate("[seen.changed.length, (performance.now() - seen.changed[0]) / 1000]"))
        page.mouse.up()
        page.wait_for_timeout(800)
        seen = page.evaluate("seen")
        if seen["changed"]:  # the glance before may have shown the finished stroke already
            lifted.append(seen["changed"][-1] - seen["up"])
    found = [count / seconds for count, seconds in rates[3:] if count]
    print(f"  Chromium, one model, load {os.getloadavg()[0]:.1f}")
    print(f"    new answers while the pen moves  {spread(found, '/s', 1)} (aim: ≥ 5)")
    print(f"    pen up until the last bars       {with_p95(lifted)} (aim: p95 ≤ 150 ms); {strokes + 3 - len(lifted)} strokes had "
          "been answered before")
    clear.click()  # the browser keeps a drawing for the next look at the page
    page.wait_for_timeout(600)


def slowly(points: Sequence[tuple[float, float]], count: int = 60) -> list[tuple[float, float]]:
    """So many places along a line, each as far from the one before."""
    ends = list(zip(points, points[1:], strict=False)) or [(points[0], points[0])]
    lengths = [((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5 for a, b in ends]
    found = []
    for number in range(count):
        along = sum(lengths) * number / (count - 1)
        for (a, b), length in zip(ends, lengths, strict=True):
            if along <= length or b == points[-1]:
                share = min(1.0, along / length) if length else 0.0
                found.append((a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share))
                break
            along -= length
    return found


def measure_browser(page: Page, address: str, others: Sequence[str], strokes: int) -> None:
    """Draw digits, stroke by stroke, with all models asked."""
    page.goto(address)
    page.get_by_text("Draw on the white square").wait_for(timeout=60_000)
    for title in others:
        if not page.get_by_role("combobox", name="Ask these too").is_visible():
            page.get_by_test_id("stPopover").first.get_by_role("button").click()
        page.get_by_role("combobox", name="Ask these too").click()
        page.get_by_role("option", name=title).first.click()
        page.keyboard.press("Escape")
        page.wait_for_timeout(3000)
    page.get_by_role("heading", name="Draw a digit").click()  # beside the popover, which closes it
    found: list[Lifted] = []
    missed, clear = 0, page.get_by_role("button", name="Clear", exact=True)
    lines = [points for digit in STROKES for _, points in STROKES[digit][0]]
    for number in range(strokes + 3):
        if number % 3 == 0 and clear.is_enabled():
            clear.click()
            page.wait_for_timeout(1500)
        page.locator("canvas.upper-canvas").scroll_into_view_if_needed()
        took = stroke(page, lines[number % len(lines)])
        if number < 3:
            continue  # what is done once: models loaded, the page's code fetched
        if took is None:
            missed += 1
        else:
            found.append(took)
    print(f"  Chromium, {page.evaluate('seen.bars')} sets of bars, {missed} strokes without a new answer, "
          f"load {os.getloadavg()[0]:.1f}; from pen up until")
    print(f"    the drawing has left   {with_p95([one.sent for one in found])}")
    print(f"    the first bars are new {with_p95([one.first for one in found])}")
    print(f"    all bars are new       {with_p95([one.last for one in found])} (aim: p95 ≤ 400 ms)")


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
            measure_server(port, runs[0].id, [run.title for run in runs[1:]], args.strokes)
            browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.add_init_script(WATCH)
            measure_moving(page, f"http://127.0.0.1:{port}/draw_digit?run={runs[0].id}", max(5, args.strokes // 3))
            measure_browser(page, f"http://127.0.0.1:{port}/draw_digit?run={runs[0].id}", [run.title for run in runs[1:]],
                            args.strokes)
            browser.close()


if __name__ == "__main__":
    main()
