"""What a figure was measured on; printed by every benchmark before its figures."""

import os
import platform
import statistics
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

import torch
from torch import nn

from core.config import RunConfig
from core.data import Dataset, outline
from core.devices import describe_device, is_convolutional, processor_name, select_device, threads_for, usable_cores
from core.process import WAITING
from core.torch_private import amx_tiles
from core.training import (
    Command,
    Epoch,
    Event,
    SampleAnswers,
    Step,
    ThreadChoice,
    Threads,
    Validation,
    candidates,
    choose,
    fresh_model,
)

Result = TypeVar("Result")
BUSY = "while True: pass"
BUSY_TAB = "setInterval(() => { const end = performance.now() + 75; while (performance.now() < end); }, 100);"  # 75 of 100 ms
PLAIN_SPINS = "300000"  # libgomp/env.c, for a wait policy that is not set


def conditions(threads: Sequence[int] = ()) -> str:
    """Processor, cores, load, threads and versions, in two lines. threads: see in_words(); without any, PyTorch's own number."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    waiting = ", ".join(f"{name}={os.environ.get(name, 'unset')}" for name in WAITING)
    amx = ", AMX" if amx_tiles() else ""
    taken = in_words(threads) if threads else f"{in_words((torch.get_num_threads(),))} where no line says otherwise"
    return (f"{processor_name()}, {usable_cores()} cores{amx}; device {describe_device().title}; load before {load:.1f}; "
            f"{taken}\nPython {platform.python_version()}, torch {torch.__version__}, {platform.system()}, {waiting}")


def in_words(threads: Sequence[int], steps: Mapping[int, int] | None = None) -> str:
    """The threads of a training: one number, or those on offer where it is chosen as the training goes, largest first.

    steps: how many were taken with each number that was chosen.
    """
    if len(threads) == 1:
        return f"{threads[0]} thread{'s' * (threads[0] != 1)}"
    offered = f"{' or '.join(map(str, threads))} threads, chosen as it goes"
    if not steps:
        return offered
    of_all = {number: 100 * steps[number] / sum(steps.values()) for number in threads if steps.get(number)}
    return f"{offered}: {', '.join(f'{number} for {share:.0f} % of the steps' for number, share in of_all.items())}"


def spread(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """Median with smallest, largest and count."""
    return (f"median {statistics.median(values):.{digits}f} {unit} "
            f"(min {min(values):.{digits}f}, max {max(values):.{digits}f}, n={len(values)})")


class After:
    """A control that stops a training after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def command(self) -> Command:
        self.left -= 1
        return Command(stop=self.left < 0)


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many other processes that compute without a pause, while the context lasts."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.callback(subprocess.Popen([sys.executable, "-c", BUSY]).kill)
        yield


def hold_busy_tab(connection: Connection) -> None:
    """A Chromium with a tab that keeps three quarters of a core busy, until the other end is closed; sends once when it does."""
    from playwright.sync_api import sync_playwright  # few benchmarks need a browser

    from tests.browser import FLAGS, chromium

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            browser.new_page().evaluate(BUSY_TAB)
            connection.send("busy")
            with suppress(EOFError):
                connection.recv()
        finally:
            browser.close()


@contextmanager
def busy_tab() -> Iterator[None]:
    """The same in a process of its own, while the context lasts: Playwright can be started only once in a process, and some
    benchmarks have a browser themselves."""
    spawn = get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=hold_busy_tab, args=(there,), daemon=True)
    process.start()
    there.close()
    try:
        here.recv()  # EOFError where it could not start
        yield
    finally:
        here.close()
        process.join()


@contextmanager
def keeping_busy(processes: int, tab: bool) -> Iterator[None]:
    """What add_busy()'s options ask to have beside a benchmark, while the context lasts: so many busy processes, and maybe a
    Chromium with a busy tab."""
    with busy_processes(processes), busy_tab() if tab else nullcontext():
        yield


def add_busy(parser: ArgumentParser) -> None:
    """The options --busy and --busy-tab, for keeping_busy() and beside()."""
    parser.add_argument("--busy", type=int, default=0, metavar="K", help="beside K processes that compute without a pause")
    parser.add_argument("--busy-tab", action="store_true", help="beside a browser's tab that keeps three quarters of a core busy")


def beside(processes: int, tab: bool) -> str:
    """What was asked for with them in words, for a benchmark's conditions."""
    return f"beside {processes} busy processes{' and a busy tab' if tab else ''}"


def as_in_the_app(config: RunConfig, data: Dataset, model: nn.Module, device: torch.device) -> RunConfig:
    """The config with the number format that a training process of the app would take here, measured now."""
    return choose(config, data, model, device).put_into(config)


def threads_in_the_app(model: nn.Module, device: torch.device, threads: int = 0) -> ThreadChoice:
    """What chooses the processor threads of a training on that device as a training process of the app does. threads: this number
    instead."""
    return ThreadChoice((threads,) if threads else _offered(model, device))


def offered_in_the_app(config: RunConfig, at_once: int = 1) -> tuple[int, ...]:
    """The numbers of threads that the app chooses among for such a run, the largest first, where so many train at once."""
    data = outline(config.data)
    with torch.device("meta"):
        model = fresh_model(config, data.input_shape, len(data.source_classes))
    return _offered(model, select_device(config.training.device), at_once)


def _offered(model: nn.Module, device: torch.device, at_once: int = 1) -> tuple[int, ...]:
    most = threads_for(sum(p.numel() for p in model.parameters()), is_convolutional(model), at_once)
    return candidates(most) if device.type == "cpu" else (most,)


def steps_with(changes: Sequence[tuple[int, int]], steps: int) -> Counter[int]:
    """Of so many steps, how many were taken with each number of threads. changes: each number with the step after which it was
    chosen, in order; none where nothing chooses."""
    counted: Counter[int] = Counter()
    for (begin, threads), (end, _) in pairwise([*changes, (steps, 0)]):
        counted[threads] += end - begin
    return counted


@dataclass
class Account:
    """What a training's events tell of its seconds and threads, as they pass.

    seconds: of the whole. validating: of them, those spent on the validation examples. Each of the three events that tell of
    them comes as soon as its look is done, and straight after another event.
    """

    seconds: float = 0.0
    validating: float = 0.0
    changes: list[tuple[int, int]] = field(default_factory=list)
    last: int = 0  # step

    def of(self, events: Iterable[Event]) -> Iterator[Event]:
        began = before = time.perf_counter()
        for event in events:
            if not isinstance(event, Step):  # there are thousands a second, and another comes before each look
                if isinstance(event, (Epoch, Validation, SampleAnswers)):
                    self.validating += time.perf_counter() - before
                    self.last = event.step
                elif isinstance(event, Threads):
                    self.changes.append((event.step, event.threads))
                yield event
                before = time.perf_counter()
            else:
                yield event
        self.seconds = time.perf_counter() - began

    @property
    def steps(self) -> Counter[int]:
        """Taken with each number of threads."""
        return steps_with(self.changes, self.last)


def in_own_process(work: Callable[..., Result], *given: object, plain: bool = False) -> Result:
    """What `work` returns, a module's function called in a fresh process: what one side of a comparison sets for its process,
    such as how memory is kept, does not reach the other. plain: threads wait as GNU's OpenMP has it where nobody says how."""
    before = os.environ["GOMP_SPINCOUNT"]
    os.environ["GOMP_SPINCOUNT"] = PLAIN_SPINS if plain else before
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(work, *given).result()
    finally:
        os.environ["GOMP_SPINCOUNT"] = before
