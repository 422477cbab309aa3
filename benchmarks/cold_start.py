"""Cold start: python -m benchmarks.cold_start [--turns 5].

From `streamlit run app.py` to a sheet on Home that can be drawn on, in a Chromium that is open already and asks for it until
there is one, as a person does who has just started the app. In turn, the same of a page of Streamlit's with nothing but a title,
which is what no app can be faster than. Files have been read before (the first turn of each, which is left out, sees to that).
Needs the development requirements and Debian's chromium, which shares the cores.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Error, sync_playwright

from benchmarks.conditions import add_busy, beside, conditions, keeping_busy, spread
from benchmarks.page_latency import ROOT, free_port
from tests.browser import FLAGS, chromium

AIM = 3.0  # seconds to Home
TITLE_ALONE = 'import streamlit as st\nst.title("A title alone")\n'
# a component's sheet stands behind a shadow root
SHEET = """() => [...document.querySelectorAll('*')].some(host =>
    (host.shadowRoot?.querySelector('canvas.upper-canvas')?.getBoundingClientRect().height ?? 0) > 100)"""


def started(browser: Browser, script: Path, runs: Path, wanted: str) -> tuple[float, float]:
    """Seconds from the command until the server answers, and until what is wanted is on the screen."""
    port = free_port()
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    began = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port), "--server.headless", "true",
         "--server.address", "127.0.0.1"], cwd=ROOT, env={**os.environ, "PLAYGROUND_RUNS": str(runs)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(Error):
                page.goto(f"http://127.0.0.1:{port}/", wait_until="commit")
                break
            page.wait_for_timeout(20)
        answers = time.perf_counter() - began
        page.wait_for_function(wanted, polling=20, timeout=120_000)
        return answers, time.perf_counter() - began
    finally:
        page.close()
        server.terminate()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    add_busy(parser)
    asked = parser.parse_args()
    print(conditions())
    print(beside(asked.busy, asked.busy_tab))
    with (keeping_busy(asked.busy, asked.busy_tab), sync_playwright() as play, tempfile.TemporaryDirectory() as folder):
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        plain = Path(folder, "title_alone.py")
        plain.write_text(TITLE_ALONE, encoding="utf-8")
        kinds = {"a title alone": (plain, "() => !!document.querySelector('h1')"), "Home": (ROOT / "app.py", SHEET)}
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
        for turn in range(asked.turns + 1):
            for name, (script, wanted) in kinds.items():
                took = started(browser, script, Path(folder, f"runs-{turn}"), wanted)
                if turn:
                    found[name].append(took)
        browser.close()
    for name, took in found.items():
        answers, shown = zip(*took, strict=True)
        print(f"{name}: the server answers after {spread(answers, 's', 2)}\n  it is on the screen after {spread(shown, 's', 2)}"
              + (f" (aim {AIM:g} s)" if name == "Home" else ""))


if __name__ == "__main__":
    main()
