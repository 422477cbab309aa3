"""A class on one server: python -m benchmarks.class_load [--pupils 30] [--seconds 120] [--once].

Starts the app as a class finds it (PLAYGROUND_MODE=hosted, one training process) and, in turn, as Streamlit would have it without
our .streamlit/config.toml's two lines (a file watcher, a garbage collection after each script run), which is the baseline; --once
leaves that out. A teacher opens Home first. Then each pupil, a session of its own on Streamlit's websocket, opens Home within the
first five seconds, presses "Train my own" within the next five, and looks around for --seconds: about every four seconds another
page, Train model three times as often as any other, or the same page again. What pages ask for by a timer is asked for as a
browser does. The small digits are trained unless PLAYGROUND_DATA names a folder with MNIST.

Prints milliseconds from a request to the end of its script run, seconds that runs waited and took, memory, and errors. What a
browser fetches by HTTP is not part of it, nor what it does to draw a page; the pupils' side runs on the same cores.
"""

import argparse
import asyncio
import os
import random
import sqlite3
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from unittest.mock import patch

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.conditions import conditions
from benchmarks.page_latency import app_process, children, memory, percentile

PAGES = ("train_model", "train_model", "train_model", "evaluate_model", "draw_digit", "compare_runs", "explore_data")
ARRIVE, THINK, PATIENCE = 5.0, 4.0, 90.0  # seconds: to arrive in, between two requests, until a pupil gives up
FINISHED = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)
AS_STREAMLIT = ("--server.fileWatcherType", "auto", "--runner.postScriptGC", "true")


class Seen:
    """What the class has seen. times: what was asked for → milliseconds. errors: what went wrong → how often."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)
        self.errors: Counter[str] = Counter()
        self.received = 0  # bytes
        self.server, self.workers = 0.0, 0.0  # the most MB


class Pupil:
    """A browser's tab: one session, one page at a time."""

    def __init__(self, seen: Seen, socket: ClientConnection) -> None:
        self.seen, self.socket = seen, socket
        self.page, self.query = "", ""
        self.shown = "", ""  # the page that is open, and its script's hash
        self.buttons: dict[str, str] = {}  # label → widget id
        self.timers: dict[str, asyncio.Task[None]] = {}  # of fragments that are run now and then
        self.asked: dict[str, float] = {}  # fragment → when, of those not answered
        self.run, self.answer = "", asyncio.Event()
        self.kept: dict[str, int] = {}  # hash of a message that is large → how many script runs ago it was last needed
        self.reader = asyncio.create_task(self._read())

    async def open(self, page: str, what: str, button: str = "") -> None:
        """Ask for a page, pressing a button on it, and wait until it has been drawn."""
        self._stop_timers(*self.timers)
        self.asked.clear()
        self.page, self.run = page, ""
        self.answer.clear()
        begun = time.perf_counter()
        try:
            await self._send(button=button)
            await asyncio.wait_for(self.answer.wait(), PATIENCE)
        except (TimeoutError, ConnectionClosed) as error:
            self.seen.errors[f"{page or 'home'}: {type(error).__name__}"] += 1
            return
        self.seen.times[what].append(1000 * (time.perf_counter() - begun))

    async def train(self) -> None:
        button = next((key for label, key in self.buttons.items() if label.startswith("Train")), "")
        await self.open("", "press Train", button)
        if "run=" not in self.query:
            self.seen.errors["no run after pressing Train" if button else "no button to train"] += 1

    async def look_around(self, until: float, dice: random.Random) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(THINK * dice.uniform(0.5, 1.5))
            if self.page and dice.random() < 0.5:
                await self.open(self.page, f"{self.page} again")
            else:
                page = dice.choice([one for one in PAGES if one != self.page])
                await self.open(page, f"{page} opened")

    async def leave(self) -> None:
        self._stop_timers(*self.timers)
        await self.socket.close()
        self.reader.cancel()

    async def _send(self, button: str = "", fragment: str = "") -> None:
        message = BackMsg()
        asked = message.rerun_script
        asked.page_name, asked.query_string = self.page, self.query
        asked.page_script_hash = self.shown[1] if self.shown[0] == self.page else ""
        asked.cached_message_hashes.extend(self.kept)
        asked.fragment_id, asked.is_auto_rerun = fragment, bool(fragment)
        if button:
            asked.widget_states.widgets.add(id=button, trigger_value=True)
        await self.socket.send(message.SerializeToString())

    async def _tick(self, fragment: str, seconds: float) -> None:
        with suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(seconds)
                if fragment not in self.asked:
                    self.asked[fragment] = time.perf_counter()
                    await self._send(fragment=fragment)

    def _stop_timers(self, *fragments: str) -> None:
        for fragment in fragments:
            if (timer := self.timers.pop(fragment, None)) is not None:
                timer.cancel()

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for data in self.socket:
                assert isinstance(data, bytes)
                self.seen.received += len(data)
                self._take(ForwardMsg.FromString(data))

    def _take(self, message: ForwardMsg) -> None:
        run = message.metadata.run
        if message.metadata.cacheable or message.WhichOneof("type") == "ref_hash":
            self.kept[message.ref_hash or message.hash] = 0
        match message.WhichOneof("type"):
            case "new_session" if not run.fragment_ids:
                self._stop_timers(*self.timers)
                self.buttons.clear()
                self.run = run.script_run_id
                self.shown = self.page, message.new_session.page_script_hash
            case "auto_rerun":
                self._stop_timers(fragment := message.auto_rerun.fragment_id)
                self.timers[fragment] = asyncio.create_task(self._tick(fragment, message.auto_rerun.interval))
            case "stop_auto_rerun":
                self._stop_timers(*message.stop_auto_rerun.fragment_ids)
            case "page_info_changed":
                self.query = message.page_info_changed.query_string
            case "delta":
                self._take_element(message.delta.new_element)
            case "script_finished" if message.script_finished in FINISHED:
                for fragment in set(run.fragment_ids or self.asked) & set(self.asked):  # a fragment may ask for the whole page
                    self.seen.times["live"].append(1000 * (time.perf_counter() - self.asked.pop(fragment)))
                self.kept = {one: ago + 1 for one, ago in self.kept.items() if ago < 2}  # as long as browsers keep it
                if not run.fragment_ids and run.script_run_id == self.run:
                    self.answer.set()

    def _take_element(self, element) -> None:
        kind = element.WhichOneof("type")
        if kind == "button":
            self.buttons[element.button.label] = element.button.id
        elif kind == "exception" or (kind == "alert" and element.alert.format == element.alert.ERROR):
            self.seen.errors[f"{self.page or 'home'}: {(element.exception.message or element.alert.body)[:100]}"] += 1


async def play(port: int, pid: int, pupils: int, seconds: float, seen: Seen) -> None:
    """One lesson."""
    address, watching = f"ws://127.0.0.1:{port}/_stcore/stream", asyncio.create_task(watch(pid, seen))

    async def pupil(number: int) -> None:
        dice = random.Random(number)
        await asyncio.sleep(dice.uniform(0, ARRIVE))
        async with connect(address, subprotocols=["streamlit"], max_size=None, open_timeout=PATIENCE,
                           ping_interval=None) as socket:
            one = Pupil(seen, socket)
            await one.open("", "home opened")
            await asyncio.sleep(max(0.0, begun + ARRIVE - time.monotonic()) + dice.uniform(0, ARRIVE))
            await one.train()
            await one.look_around(begun + 2 * ARRIVE + seconds, dice)
            await one.leave()

    begun = time.monotonic()
    for failed in await asyncio.gather(*map(pupil, range(pupils)), return_exceptions=True):
        if failed is not None:
            seen.errors[f"left the lesson: {type(failed).__name__}"] += 1
    watching.cancel()


async def watch(pid: int, seen: Seen) -> None:
    """The memory of the server and of its training process, each second."""
    while True:
        await asyncio.sleep(1)
        with suppress(OSError):
            seen.server = max(seen.server, memory(pid))
            seen.workers = max(seen.workers, *map(memory, children(pid)), 0.0)


def runs_of(folder: Path) -> Iterator[tuple[str, float | None, float | None, float | None]]:
    """Status, and seconds from being asked for to the beginning and to the end, and trained; in the order of beginning."""
    with closing(sqlite3.connect(f"file:{folder / 'runs.sqlite3'}?mode=ro", uri=True)) as db:
        yield from db.execute("SELECT status, started - created, finished - created, finished - started FROM runs "
                              "WHERE kind = 'training' ORDER BY coalesce(started, 1e12)").fetchall()


def line(name: str, values: Sequence[float], aim: str = "", digits: int = 0) -> None:
    numbers = [percentile(values, share) for share in (50, 95, 100)] if values else []
    print(f"  {name:<28}{len(values):>6}{''.join(f'{number:9.{digits}f}' for number in numbers)}  {aim}")


def lesson(title: str, pupils: int, seconds: float, options: Sequence[str] = ()) -> None:
    """Play it on a fresh server, and print what it was like."""
    print(f"\n{title}")
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"PLAYGROUND_MODE": "hosted"}):
        runs, seen = Path(folder) / "runs", Seen()
        with app_process(runs, options=options) as (port, pid):
            first = Seen()
            asyncio.run(play_teacher(port, first))
            print(f"  the teacher, first of all: {first.times['home opened'][0]:.0f} ms")
            asyncio.run(play(port, pid, pupils, seconds, seen))
            rows = list(runs_of(runs))
        print(f"  {'milliseconds':<28}{'n':>6}{'p50':>9}{'p95':>9}{'max':>9}  aim, p95")
        aims = {"home opened": "500, fifty at once 1,500", "live": "300"}
        for what in sorted(seen.times):
            line(what, seen.times[what], aims.get(what, "400"))
        print("  seconds of runs")
        line("from asked to begun", [row[1] for row in rows if row[1] is not None], digits=1)
        line("from asked to ended", [row[2] for row in rows if row[2] is not None], "all within 90", digits=1)
        line("trained", [row[3] for row in rows if row[3] is not None], digits=1)
    print(f"  runs: {', '.join(f'{count} {status}' for status, count in Counter(row[0] for row in rows).items())}")
    print(f"  most memory: server {seen.server:.0f} MB (aim 500), training process {seen.workers:.0f} MB (aim 450); "
          f"{seen.received / 1e6:.0f} MB received")
    print(f"  errors: {dict(seen.errors) or 0}")


async def play_teacher(port: int, seen: Seen) -> None:
    """Somebody who opens Home before the class, as every server's first visitor pays for its imports."""
    async with connect(f"ws://127.0.0.1:{port}/_stcore/stream", subprotocols=["streamlit"], max_size=None) as socket:
        teacher = Pupil(seen, socket)
        await teacher.open("", "home opened")
        await teacher.leave()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pupils", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=120.0, help="of looking around, once all have pressed Train")
    parser.add_argument("--once", action="store_true", help="without the baseline")
    given = parser.parse_args()
    print(f"A class of {given.pupils} for {given.seconds:.0f} s\n{conditions()}")
    lesson("As the app is set", given.pupils, given.seconds)
    if not given.once:
        lesson("As Streamlit is set by itself", given.pupils, given.seconds, AS_STREAMLIT)


if __name__ == "__main__":
    main()
