"""What the pages cost: python -m benchmarks.page_latency [--reruns 40] [--starts 5] [--going 2].

Starts the app on a runs directory of its own, starts as many long runs as are asked for, each in a worker of its own, and while
they train asks for each page again and again over Streamlit's own websocket: milliseconds from the request to the end of the
script; and says what memory server and workers hold. Then, in Chromium, presses "Start training" on the train page and waits
until the loss chart has a line on it: seconds from the press to the first point. Needs the development requirements and Debian's
chromium.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from benchmarks.conditions import add_busy, beside, conditions, keeping_busy, offered_in_the_app, spread
from core.presets import PRESETS
from core.runs import RunStore
from core.settings import Settings
from pages.parts.draft.draft import first_preset
from tests.browser import FLAGS, chromium, line_pixels

FAILED = "Uncaught app execution"  # what Streamlit writes to its log
ROOT = Path(__file__).parents[1]
PAGES = ["", "explore_data", "build_model", "train_model", "evaluate_model", "draw_digit", "compare_runs"]


@contextmanager
def app(runs: Path) -> Iterator[int]:
    """The app on a free port of this machine, ended with the context."""
    with app_process(runs) as (port, _):
        yield port


def free_port() -> int:
    """A port of this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def app_process(runs: Path, workers: int = 1, options: Sequence[str] = (), port: int = 0) -> Iterator[tuple[int, int]]:
    """The app on a port of this machine (0: a free one), ended with the context: port and process id. options: for Streamlit.
    Raises RuntimeError at the end where one of its pages failed, with what the server's log says of it."""
    port = port or free_port()
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", str(port), "--server.headless",
             "true", "--server.address", "127.0.0.1", "--server.fileWatcherType", "none", *options],
            cwd=ROOT, env={**os.environ, "PLAYGROUND_RUNS": str(runs), "PLAYGROUND_WORKERS": str(workers)},
            stdout=subprocess.DEVNULL, stderr=log)
        try:
            for _ in range(1200):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).close()
                    break
                except (urllib.error.URLError, ConnectionError, TimeoutError):
                    time.sleep(0.1)
            yield port, server.pid
        finally:
            server.terminate()
            server.wait()
        log.seek(0)
        said = log.read().decode(errors="replace")
    if FAILED in said:
        raise RuntimeError(f"a page failed: {said[said.index(FAILED):][:10_000]}")


def rerun(connection: ClientConnection, page: str, query: str) -> float:
    """One script run; milliseconds until it has finished."""
    return answered(connection, page, query)[0]


def answered(connection: ClientConnection, page: str, query: str) -> tuple[float, int]:
    """One script run; milliseconds until it has finished, and bytes that came."""
    ask = BackMsg()
    ask.rerun_script.page_name = page
    ask.rerun_script.query_string = query
    start, received = time.perf_counter(), 0
    connection.send(ask.SerializeToString())
    while True:
        reply, message = ForwardMsg(), connection.recv(timeout=120)
        reply.ParseFromString(message)
        received += len(message)
        if reply.WhichOneof("type") == "delta" and reply.delta.new_element.WhichOneof("type") == "exception":
            raise RuntimeError(reply.delta.new_element.exception.message)
        if reply.WhichOneof("type") == "script_finished":
            return (time.perf_counter() - start) * 1000, received


def session(port: int) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}/_stcore/stream", subprotocols=["streamlit"], max_size=None, open_timeout=60)


def first_point(page: Page, port: int) -> float:
    """Seconds from pressing "Start training" to a line on the loss chart."""
    page.goto(f"http://127.0.0.1:{port}/train_model")
    page.get_by_role("button", name="Start training").wait_for(timeout=60_000)
    page.wait_for_timeout(1500)
    start = time.perf_counter()
    page.get_by_role("button", name="Start training").click()
    while line_pixels(page, "loss") < 3:
        if time.perf_counter() - start > 60:
            raise RuntimeError("no line on the chart after 60 s")
    took = time.perf_counter() - start
    page.get_by_role("button", name="Stop").click()
    page.wait_for_timeout(2500)
    return took


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share / 100))]


def memory(pid: int) -> float:
    """Resident memory in MB."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1000


def computed(pid: int) -> float:
    """Milliseconds of the processor that a process has taken so far, to 10 ms; what a busy machine does not lengthen."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Process ids of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


def measure_memory(pid: int) -> None:
    """What server and workers hold now."""
    workers = [memory(child) for child in children(pid)]
    print(f"resident memory (aim ≤ 450 MB each): server {memory(pid):.0f} MB, workers "
          f"{', '.join(f'{held:.0f} MB' for held in workers)}")


def measure_reruns(port: int, pid: int, store: RunStore, reruns: int, going: int) -> None:
    """Reruns of each page while long runs train."""
    name = first_preset(Settings.from_environment())
    with session(port) as connection:
        first = rerun(connection, "", "")
        print(f"first page of a fresh server: {first / 1000:.1f} s")
        time.sleep(6)  # the worker warms up
        started = [store.create(PRESETS[name].config.with_values({"training.epochs": 1000, "training.seed": number}),
                                "benchmark", "long run") for number in range(going)]
        run = started[0]
        while any(store.get(one).step < 100 for one in started):
            time.sleep(0.1)
        print(f"reruns while {PRESETS[name].title!r} trains {going} times at once (aim: median ≤ 60 ms, p95 ≤ 150 ms):")
        every = []
        for page in PAGES:
            rerun(connection, page, f"run={run}")
            rerun(connection, page, f"run={run}")
            times = [rerun(connection, page, f"run={run}") for _ in range(reruns)]
            every += times
            print(f"  {page or 'home':<14} {spread(times, 'ms', 0)}, p95 {percentile(times, 95):.0f} ms")
        print(f"  {'all':<14} {spread(every, 'ms', 0)}, p95 {percentile(every, 95):.0f} ms")
        measure_memory(pid)
        for one in started:
            store.request_stop(one)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reruns", type=int, default=40)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--going", type=int, default=2, help="runs that train meanwhile")
    add_busy(parser)
    args = parser.parse_args()
    print(conditions(offered_in_the_app(PRESETS[first_preset(Settings.from_environment())].config, args.going)))
    print(beside(args.busy, args.busy_tab))
    with (keeping_busy(args.busy, args.busy_tab), tempfile.TemporaryDirectory() as folder,
          app_process(Path(folder), args.going) as (port, pid)):
        store = RunStore(Path(folder))
        measure_reruns(port, pid, store, args.reruns, args.going)
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            starts = [first_point(page, port) for _ in range(args.starts)]
            browser.close()
        if starts:
            print(f"from pressing start to the first point on the chart (aim ≤ 1.5 s): {spread(starts, 's')}")
        measure_memory(pid)


if __name__ == "__main__":
    main()
