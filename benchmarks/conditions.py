"""What a figure was measured on; printed by every benchmark before its figures."""

import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from typing import TypeVar

import torch
from torch import nn

from core.config import RunConfig
from core.data import Dataset
from core.devices import describe_device, is_convolutional, processor_name, threads_for, usable_cores
from core.process import WAITING
from core.torch_private import amx_tiles
from core.training import Command, ThreadChoice, candidates, choose

Result = TypeVar("Result")
BUSY = "while True: pass"
BUSY_TAB = "setInterval(() => { const end = performance.now() + 75; while (performance.now() < end); }, 100);"  # 75 of 100 ms
PLAIN_SPINS = "300000"  # libgomp/env.c, for a wait policy that is not set


def conditions() -> str:
    """Processor, cores, load and versions, in two lines."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    waiting = ", ".join(f"{name}={os.environ.get(name, 'unset')}" for name in WAITING)
    amx = ", AMX" if amx_tiles() else ""
    return (f"{processor_name()}, {usable_cores()} cores{amx}; device {describe_device().title}; load before {load:.1f}\n"
            f"Python {platform.python_version()}, torch {torch.__version__}, {platform.system()}, {waiting}")


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


@contextmanager
def keeping_busy(processes: int, tab: bool) -> Iterator[None]:
    """What a benchmark is told to have beside it, while the context lasts: so many busy processes, and maybe a Chromium
    with a tab that keeps three quarters of a core busy."""
    with busy_processes(processes):
        if not tab:
            yield
            return
        from playwright.sync_api import sync_playwright  # few benchmarks need a browser

        from tests.browser import FLAGS, chromium

        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
            try:
                browser.new_page().evaluate(BUSY_TAB)
                yield
            finally:
                browser.close()


def beside(processes: int, tab: bool) -> str:
    """The same in words, for a benchmark's conditions."""
    return f"beside {processes} busy processes{' and a busy tab' if tab else ''}"


def as_in_the_app(config: RunConfig, data: Dataset, model: nn.Module, device: torch.device) -> RunConfig:
    """The config with the number format that a training process of the app would take here, measured now."""
    return choose(config, data, model, device).put_into(config)


def threads_in_the_app(model: nn.Module, device: torch.device, threads: int = 0) -> ThreadChoice:
    """What chooses the processor threads of a training on that device as a training process of the app does. threads: this number
    instead."""
    most = threads_for(sum(p.numel() for p in model.parameters()), is_convolutional(model))
    if threads:
        return ThreadChoice((threads,))
    return ThreadChoice(candidates(most) if device.type == "cpu" else (most,))


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
