"""A training process, started and fed by LocalEngine.

It runs as `python -m core.process training core.runs.worker NAME RUNS DATA CACHE WORKERS CUDA_GRAPHS DISK_BUDGET SINK HOSTED
DEVICE TAKES`: configured before torch is imported. TAKES are the devices that its runs may ask for, with commas between.

Its standard input is the lifeline: each line says that something is in the queue, and its end says that the server is
gone. Then the run in progress is marked interrupted and the process ends.
"""

import gc
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import torch

from core.config import RunConfig
from core.data import default_config
from core.errors import reason
from core.memory import trim_heap
from core.models import CNNConfig
from core.runs.checkpoints import CheckpointError, load_model
from core.runs.database import StoreError
from core.runs.execute import StoreControl, execute
from core.runs.lab_answers import LabAnswers
from core.runs.ood_reference import take_wanted, work_out
from core.runs.records import Run, RunNotFound
from core.runs.store import RunStore
from core.runs.store_queue import INTERRUPTED
from core.settings import Settings
from core.training import fit, prepare

SECONDS_PER_HEARTBEAT = 1.0
SECONDS_OF_PATIENCE = 60.0  # for others who are writing: a run that has trained for hours must not fail for that
SECONDS_BEFORE_LOOKING_BACK = 0.5
SECONDS_TO_LEAVE = 2.0  # after the server has gone


class Worker:
    """Takes runs from the queue, one at a time, until its lifeline ends."""

    def __init__(self, name: str, settings: Settings, device: torch.device, takes: Sequence[str]) -> None:
        self.name, self.settings, self.device, self.takes = name, settings, device, takes
        self.store = RunStore(settings.runs_dir, SECONDS_OF_PATIENCE, in_turns=settings.hosted)
        self.labs = LabAnswers(self.store, settings)
        self.leaving, self.wake, self.idle = threading.Event(), threading.Event(), threading.Event()
        self.ended: SimpleQueue[str] = SimpleQueue()
        self.failed: dict[str, str] = {}  # shortcuts of its device that no run needs to try again
        self.unsaid = ""  # how its last run ended, where that could not be written down yet

    def run(self) -> None:
        threading.Thread(target=self.watch_lifeline, daemon=True).start()
        threading.Thread(target=self.beat, daemon=True).start()
        threading.Thread(target=self.look_back, daemon=True).start()
        warm_up(self.settings)
        while not self.leaving.is_set():
            self.wake.clear()
            run = self.next_run()
            if run is None:
                self.idle.set()
                if self.labs.give():
                    trim_heap()
                    continue
                self.wake.wait(1.0)  # a line on the lifeline ends the wait; the second covers another process's queue
                continue
            self.idle.clear()
            try:
                execute(self.store, run, self.settings, StoreControl(self.store, run.id, self.leaving), failed=self.failed,
                        given=self.device)
            except RunNotFound:
                pass  # deleted meanwhile
            except StoreError as error:
                self.unsaid = reason(error)
            trim_heap()
            self.ended.put(run.id)

    def next_run(self) -> Run | None:
        """The next run of the queue; None where there is none, or the store can't be used just now: it is asked again."""
        try:
            if self.unsaid:
                self.store.end_runs_of(self.name, "failed", self.unsaid)
                self.unsaid = ""
            return self.store.claim(self.name, self.takes)
        except StoreError:
            return None

    def look_back(self) -> None:
        """What a run's training images look like to its network, while nothing trains: for runs that somebody looks at first,
        then for those that have ended.

        A run that comes meanwhile is not kept waiting; it shares the cores for a second or two.
        """
        while not self.leaving.wait(SECONDS_BEFORE_LOOKING_BACK):
            if not self.idle.is_set():
                continue
            wanted = take_wanted(self.store)
            run_id = wanted or (None if self.ended.empty() else self.ended.get())
            if run_id is not None:
                look_back_at(self.store, run_id, self.settings, is_wanted=wanted is not None)

    def watch_lifeline(self) -> None:
        for _ in sys.stdin.buffer:
            self.wake.set()
        self.end_run()  # before anything stops, or it would read as if a person had stopped it
        self.leaving.set()
        self.wake.set()
        time.sleep(SECONDS_TO_LEAVE)
        self.end_run()  # one that was taken from the queue in between
        os._exit(0)  # a step may be longer than we can wait for

    def end_run(self) -> None:
        with suppress(StoreError):  # then the next server finds it silent
            self.store.end_runs_of(self.name, "interrupted", INTERRUPTED)

    def beat(self) -> None:
        while not self.leaving.wait(SECONDS_PER_HEARTBEAT):
            self.labs.beat()
            try:
                self.store.heartbeat(self.name)
            except StoreError:
                continue  # a full disk now may be free in a second; silence is what tells the engine


def look_back_at(store: RunStore, run_id: str, settings: Settings, is_wanted: bool) -> None:
    """Work out what a run's training images look like to its network, where it has finished or somebody waits for it."""
    with suppress(StoreError, RunNotFound, CheckpointError):  # deleted, or it has kept no weights
        if is_wanted or store.get(run_id).status == "finished":
            work_out(store, run_id, load_model(store, run_id), settings)
    trim_heap()


def warm_up(settings: Settings) -> None:
    """Do everything once that is slow the first time: kernels are chosen, threads started, files mapped."""
    config = RunConfig(data=default_config("digits"), model=CNNConfig(channels=(8,), fc_width=16))
    try:
        data, model = prepare(config, settings.data_dir, settings.cache_dir)
    except ValueError:
        return  # without data there is nothing to warm up on; runs will say what is missing
    for number, _ in enumerate(fit(config, data, model, torch.device("cpu"))):
        if number > 2:
            break
    gc.collect()
    gc.freeze()  # what is imported by now stays; collecting it again and again took 100 ms each time
    trim_heap()  # with an empty cache the digits were prepared here


def main() -> None:
    if hasattr(os, "nice"):
        os.nice(10)  # a page that somebody waits for goes first; where nobody does, training has all the cores
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="utf-8") as file:
        file.write("500")  # where memory runs out all the same, the system ends this process and not the server
    name, runs, data, cache, workers, graphs, budget, sink, hosted, device, takes = sys.argv[1:]
    settings = Settings(Path(data), Path(runs), Path(cache), int(workers), graphs == "1", int(budget), sink, hosted == "1")
    if torch.device(device).type == "cuda":
        with suppress(RuntimeError):  # each run says what is wrong with it
            torch.cuda.set_device(torch.device(device))  # what says no more than "cuda" means this one
    Worker(name, settings, torch.device(device), takes.split(",")).run()


if __name__ == "__main__":
    main()
