"""How the 2-D lab's pictures move, and what they cost: `python -m benchmarks.plane_speed [--seconds 8]`.

First the training alone, with and without somebody who looks at the plane: seconds of both, the share that looks took, and how
large one is. Then the lab in Chromium on the same machine: a run is started at each speed, and the component itself says how many
different pictures of the run it has drawn, how evenly, how late after they were made, and how many came denser than the screen
shows them. The aim: 30 a second, at most 0.5 s late, 10 % of the training. Needs the development requirements and Debian's
chromium.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

import torch
from playwright.sync_api import Page, sync_playwright

from benchmarks.conditions import conditions, spread
from benchmarks.page_latency import app
from core.config import RunConfig
from core.training import Look, PlaneWatcher, fit, prepare
from pages.parts.learn.decision_boundary.address import to_address
from pages.parts.learn.decision_boundary.config import FIRST
from tests.browser import FLAGS, chromium

NETWORKS = {
    "2-4-1": FIRST.with_values({"training.epochs": 1000}),
    "2-8-1": FIRST.with_values({"training.epochs": 1000, "model.hidden": [8]}),
    "7-8-8-8-8-8-8-1": FIRST.with_values({
        "training.epochs": 1000, "model.hidden": [8] * 6,
        "data.features": ["x1", "x2", "x1_squared", "x2_squared", "x1_x2", "sin_x1", "sin_x2"]}),
}
VIEW = "root => ({drawn: root.view.drawn, at: root.view.drawnAt, late: root.view.late, passed: root.view.passed})"


def train(config: RunConfig, watched: bool) -> tuple[float, list[Look], float]:
    """Seconds of this process, pictures, and the seconds that making them took."""
    data, model = prepare(config, Path("none"))
    watcher = PlaneWatcher(config, data, torch.device("cpu"), time.process_time)
    began = time.process_time()
    looks = [event for event in fit(config, data, model, torch.device("cpu"), watchers=[watcher] if watched else [])
             if isinstance(event, Look)]
    return time.process_time() - began, looks, watcher.pace.cost


def cost(name: str, config: RunConfig, rounds: int) -> None:
    """Print what looking takes of a training as fast as it goes. Processor time: other processes take none of it."""
    short = config.with_values({"training.epochs": 300})
    pairs = [(train(short, False), train(short, True)) for _ in range(rounds)]
    plain, watched = ([pair[kind][0] for pair in pairs] for kind in (0, 1))
    looks, spent = pairs[-1][1][1], [pair[1][2] for pair in pairs]
    each = [1e6 * pair[1][2] / len(pair[1][1]) for pair in pairs]
    size = sum(array.nbytes for array in looks[-1].arrays.values())
    share = statistics.median(took / whole for took, whole in zip(spent, watched, strict=True))
    print(f"{name}, 300 epochs: {spread(plain, 's', 2)} alone, {spread(watched, 's', 2)} watched; "
          f"looks {100 * share:.1f} % of it (aim 10), {len(looks)} of them, each {spread(each, 'µs', 0)}, {size / 1000:.1f} kB")


def play(page: Page, address: str, name: str, config: RunConfig, speed: str, seconds: float) -> None:
    """Start a run in the lab and print what the browser has drawn of it."""
    page.goto(f"{address}?{urlencode(to_address(config) | {'plane.speed': speed})}")
    page.get_by_role("button", name="What to try next").wait_for()
    page.locator(".plane .now").get_by_text("Epoch 0").wait_for()
    page.get_by_role("button", name="Start", exact=True).click()
    plane = page.locator(".plane")
    while len(plane.evaluate(VIEW)["drawn"]) < 10:
        page.wait_for_timeout(100)
    before = plane.evaluate(VIEW)
    page.wait_for_timeout(1000 * seconds)
    after = plane.evaluate(VIEW)
    if page.get_by_role("button", name="Stop", exact=True).count():
        page.get_by_role("button", name="Stop", exact=True).click()
    start = len(before["drawn"])
    steps, at, late = (after[kind][start:] for kind in ("drawn", "at", "late"))
    if len(steps) < 2:
        print(f"{name}, speed “{speed}”: {len(steps)} pictures")
        return
    span = (at[-1] - at[0]) / 1000
    gaps = [later - earlier for earlier, later in zip(at, at[1:], strict=False)]
    late_95 = sorted(late)[int(0.95 * (len(late) - 1))]
    print(f"{name}, speed “{speed}”: {len(set(steps)) / span:.1f} new pictures/s (aim 30) over {span:.1f} s, "
          f"{spread(gaps, 'ms', 0)} between two; late {spread(late, 'ms', 0)}, p95 {late_95:.0f} ms (aim 500); "
          f"{after['passed'] - before['passed']} passed over; in order: {steps == sorted(set(steps))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="that each run is watched in the browser")
    parser.add_argument("--rounds", type=int, default=3, help="trainings with and without looks")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(conditions())
    for name, config in NETWORKS.items():
        cost(name, config, asked.rounds)
    with tempfile.TemporaryDirectory() as folder, app(Path(folder) / "runs") as port, sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        for name, speed in (("2-4-1", "20"), ("2-8-1", "20"), ("2-8-1", "100"), ("7-8-8-8-8-8-8-1", "20")):
            play(page, f"http://127.0.0.1:{port}/learn_decision_boundary", name, NETWORKS[name], speed, asked.seconds)
        browser.close()


if __name__ == "__main__":
    main()
