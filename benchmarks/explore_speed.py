"""How long Explore data takes on MNIST, on the server: `PLAYGROUND_DATA=… python -m benchmarks.explore_speed`.

The page's script is run through Streamlit's AppTest, as the server runs it. "Warm" is with the data read once, as for every
visitor after the first. For maps and odd ones, what is kept is thrown away before each time. Sending pictures to the browser is
not measured. Aims: opening ≤ 400 ms, a page of the grid ≤ 150 ms, a PCA map of 5,000 images with its figure ≤ 2 s.
"""

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from streamlit.testing.v1 import AppTest

from benchmarks.conditions import conditions, spread
from pages.parts.explore import cache

PAGE = Path(__file__).parents[1] / "pages" / "explore_data.py"


def memory() -> float:
    """Resident memory in MB; what is mapped from files counts once it has been read."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1000


def visit(**state: object) -> AppTest:
    """A new visitor, who has chosen MNIST and what `state` says."""
    at = AppTest.from_file(str(PAGE), default_timeout=120)
    for key, value in {"explore__dataset": "mnist", **state}.items():
        at.session_state[key.replace("__", ".")] = value
    return run(at)


def run(at: AppTest) -> AppTest:
    at.run()
    if at.exception or at.error:
        raise RuntimeError((at.exception or at.error)[0].value)
    return at


def measure(what: str, work: Callable[[int], object], times: int, aim: float | None = None) -> None:
    took = []
    for i in range(times):
        start = time.perf_counter()
        work(i)
        took.append((time.perf_counter() - start) * 1000)
    print(f"{what}: {spread(took, 'ms', 0)}{f', aim {aim:.0f}' if aim else ''}; memory {memory():.0f} MB", flush=True)


def turn(at: AppTest, i: int) -> AppTest:
    next(n for n in at.number_input if n.key.startswith("explore.page")).set_value(2 + i)
    return run(at)


def afresh(cached, **state: object) -> AppTest:
    """A visit for which `cached` has to be calculated anew."""
    cached.clear()
    return visit(**state)


def opened() -> AppTest:
    """A visit that opens the large view of an image, whose neighbours have to be found."""
    cache.neighbours_of.clear()
    at = visit()
    at.button(key="explore.open").click()
    return run(at)


def tsne() -> float:
    """Seconds for a t-SNE map of 5,000 images, which is made in a process of its own."""
    at = visit(explore__view="Map", explore__map__method="t-SNE")
    start = time.perf_counter()
    at.button(key="explore.map.make").click()
    run(at)
    while not any("hover over a point" in caption.value for caption in at.caption):
        time.sleep(0.5)
        run(at)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--tsne", action="store_true", help="also make a t-SNE map of 5,000 images (half a minute)")
    args = parser.parse_args()
    logging.disable(logging.WARNING)  # AppTest runs without a browser, and Streamlit says so each time
    torch.set_num_threads(1)
    print(conditions())
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(PLAYGROUND_RUNS=f"{folder}/runs", PLAYGROUND_CACHE=f"{folder}/cache", PLAYGROUND_WORKERS="0")
        measure("first visitor, unpacking and reading MNIST", lambda i: visit(), 1)
        measure("opening the page, warm", lambda i: visit(), args.times, 400)
        at = visit()
        measure("a page of the grid", lambda i: turn(at, i), args.times, 150)
        measure("PCA map of 5,000 images", lambda i: afresh(cache.map_of, explore__view="Map"), args.times, 2000)
        measure("the same, kept", lambda i: visit(explore__view="Map"), args.times)
        measure("mean and variance images", lambda i: afresh(cache.moments_of, explore__view="Classes"), args.times)
        measure("pixel histograms", lambda i: afresh(cache.counts_of, explore__view="Pixels"), args.times)
        for way, cached in (("among", cache.odd_ones_of), ("far", cache.odd_ones_of),
                            ("same", cache.duplicates_of)):
            measure(f"odd ones, {way}", lambda i, way=way, cached=cached: afresh(
                cached, explore__view="Odd ones", explore__odd=way), args.times)
        measure("one image with its neighbours", lambda i: opened(), args.times)
        measure("batches", lambda i: visit(explore__section="Batches"), args.times)
        if args.tsne:
            print(f"t-SNE map of 5,000 images: {tsne():.0f} s; memory {memory():.0f} MB")


if __name__ == "__main__":
    main()
