"""The README's picture and animation, from the real app: python -m benchmarks.readme_pictures [--scheme light].

Starts the app on a runs directory of its own, opens Home in Chromium, draws a three, presses "Train my own", and photographs the
page until the network has been trained. Writes assets/screenshot.png, a moment in the middle, and
assets/first_ten_seconds.webp, all of it at the speed at which it happened, at most 2 MB. Trains on MNIST where it is below
PLAYGROUND_DATA. Needs the development requirements and Debian's chromium.
"""

import argparse
import io
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from benchmarks.page_latency import app
from tests.browser import FLAGS, chromium
from tests.strokes import STROKES, rounded

ASSETS = Path(__file__).parents[1] / "assets"
WIDTH, HEIGHT = 1280, 900
SHOWN = 880  # pixels of the animation's width
MOST_BYTES = 2_000_000
DIGIT = 3
SECONDS_AT_END, LONGEST = 2.0, 2.0  # how long the last picture stands; any other at most, where the camera is slow
Shot = tuple[float, Image.Image]  # when, and what was seen


def photograph(page: Page, shots: list[Shot]) -> None:
    shots.append((time.monotonic(), Image.open(io.BytesIO(page.screenshot(type="png"))).convert("RGB")))


def story(page: Page, address: str) -> tuple[list[Shot], Image.Image]:
    """What is seen from the first stroke to the trained network, and one picture of the middle of the training."""
    page.goto(address)
    page.get_by_role("button", name="Play again").wait_for(timeout=120_000)
    shots: list[Shot] = []
    photograph(page, shots)
    box = page.locator("canvas.upper-canvas").bounding_box()
    assert box is not None
    for kind, points in STROKES[DIGIT][0]:
        path = rounded(points) if kind == "arc" else list(points)
        spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in path]
        page.mouse.move(*spots[0])
        page.mouse.down()
        for place, spot in enumerate(spots[1:]):
            page.mouse.move(*spot)
            if place % 6 == 0:
                photograph(page, shots)
        page.mouse.up()
    page.wait_for_timeout(500)
    photograph(page, shots)
    page.get_by_role("button", name="Train my own").click()
    page.mouse.move(5, 5)  # no button's help in the picture
    began = len(shots)
    end = page.get_by_role("button", name="Draw another")
    while not end.is_visible():
        photograph(page, shots)
    page.wait_for_timeout(800)
    page.mouse.move(5, 5)
    photograph(page, shots)
    training = shots[began:]
    return shots, training[len(training) * 2 // 5][1]


def animation(shots: list[Shot]) -> bytes:
    """A WebP that plays them as they happened, as good as it may be in MOST_BYTES."""
    size = (SHOWN, round(SHOWN * HEIGHT / WIDTH))
    frames = [image.resize(size, Image.Resampling.LANCZOS) for _, image in shots]
    times = [moment for moment, _ in shots]
    waits = [round(1000 * min(LONGEST, after - before)) for before, after in zip(times, times[1:], strict=False)]
    for quality in (80, 65, 50, 35, 20):
        file = io.BytesIO()
        frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], duration=[*waits, round(1000 * SECONDS_AT_END)],
                       loop=0, quality=quality, method=4, minimize_size=True)
        if file.tell() <= MOST_BYTES:
            return file.getvalue()
    raise SystemExit(f"{len(frames)} pictures do not fit into {MOST_BYTES:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheme", choices=["light", "dark"], default="light")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, app(Path(folder)) as port, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=args.scheme)
        page.set_default_timeout(120_000)
        shots, middle = story(page, f"http://127.0.0.1:{port}")
        browser.close()
    middle.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(ASSETS / "screenshot.png", optimize=True)
    (ASSETS / "first_ten_seconds.webp").write_bytes(animation(shots))
    for name in ("screenshot.png", "first_ten_seconds.webp"):
        print(f"{name}: {(ASSETS / name).stat().st_size:,} bytes")
    print(f"{len(shots)} pictures in {shots[-1][0] - shots[0][0]:.1f} s")


if __name__ == "__main__":
    main()
