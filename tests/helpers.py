"""What several test modules need: tiny configs, runs done here and now, and waiting for what another process does."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from core import subprocesses
from core.config import RunConfig
from core.runs import Run, RunStore
from core.runs.execute import execute
from core.settings import Settings
from core.training import Command, Control

PATIENCE = 180.0  # seconds: on a machine that is busy with other tests a run waits behind others, and each takes a minute


def tiny(**changes: Any) -> RunConfig:
    """A run of a second or less on scikit-learn's digits: 784-8-10 for 1 epoch. Dotted fields with __ for the dot."""
    config = RunConfig.model_validate({"data": {"dataset": "digits", "validation": 200}, "model": {
        "architecture": "mlp", "hidden": [8]}, "training": {"epochs": 1, "device": "cpu", "precision": "float32"}})
    return config.with_values({name.replace("__", "."): value for name, value in changes.items()})


class StopAfter:
    """A control that asks for a stop once it has been looked at so many times: after so many steps."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def command(self) -> Command:
        self.looks -= 1
        return Command(stop=self.looks < 0)


def run_here(store: RunStore, settings: Settings, config: RunConfig, control: Control | None = None) -> Run:
    """Train in this process, as the command line does."""
    return execute(store, store.create_running(config, "tester", "here", title="a test's run"), settings, control)


def wait_until(happened: Callable[[], Any], what: Callable[[], object]) -> Any:
    """The first true value of `happened`; fails with what `what` says then, where it takes longer than PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := happened():
            return value
        time.sleep(0.02)
    raise AssertionError(f"it has not happened within {PATIENCE:.0f} s: {what()}")


def wait_for(store: RunStore, run_id: str, until: Callable[[Run], bool] = lambda run: not run.is_active) -> Run:
    """The run as soon as it is as `until` wants it: by default, ended."""
    return wait_until(lambda: next(filter(until, [store.get(run_id)]), None), lambda: store.get(run_id))


def is_alive(pid: int) -> bool:
    """Whether a process is there and has not just ended (a zombie waits for its parent to look). Zombies are told on Linux."""
    if not subprocesses.is_alive(pid) or not os.path.isdir("/proc/self"):
        return subprocesses.is_alive(pid)
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def stop_process(pid: int) -> None:
    """Stop a process as it stands, every thread of it.

    The signal reaches one thread, and the others run on until that one has been given a processor: on a busy machine long
    enough to see that the server is gone, and to write it down.
    """
    def stopped() -> bool:
        states = []
        for thread in os.listdir(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{thread}/stat", encoding="utf-8") as file:
                    states.append(file.read().rpartition(")")[2].split()[0])
            except (FileNotFoundError, ProcessLookupError):  # that thread has ended since it was listed
                continue
        return set(states) <= {"T", "Z"}

    os.kill(pid, signal.SIGSTOP)
    wait_until(stopped, lambda: f"{pid} has not stopped")
