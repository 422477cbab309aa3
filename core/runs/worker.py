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
import traceback
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from core.config import RunConfig
from core.data import Dataset, default_config
from core.errors import reason
from core.memory import trim_heap
from core.models import CNNConfig
from core.pieces import Pieces
from core.runs.checkpoints import CheckpointError, load_model
from core.runs.database import StoreError
from core.runs.execute import StoreControl, execute
from core.runs.lab_answers import LabAnswers
from core.runs.ood_reference import take_wanted, work_out
from core.runs.records import Run, RunNotFound
from core.runs.store import RunStore
from core.runs.store_queue import INTERRUPTED
from core.settings import Settings
from core.training import build_for, fit, prepare

SECONDS_PER_HEARTBEAT = 1.0
SECONDS_OF_PATIENCE = 60.0  # for others who are writing: a run that has trained for hours must not fail for that
SECONDS_BEFORE_LOOKING_BACK = 0.5
MOST_ENDED = 3  # runs that are looked back at once nothing trains; an earlier one of a search is when somebody looks at it
SECONDS_TO_LEAVE = 2.0  # after the server has gone


class Worker:
    """Takes runs from the queue, one at a time, until its lifeline ends."""

    def __init__(self, name: str, settings: Settings, device: torch.device, takes: Sequence[str]) -> None:
        self.name, self.settings, self.device, self.takes = name, settings, device, takes
        self.store = RunStore(settings.runs_dir, SECONDS_OF_PATIENCE, in_turns=settings.hosted)
        self.labs = LabAnswers(self.store, settings)
        self.leaving, self.wake, self.idle = threading.Event(), threading.Event(), threading.Event()
        self.ended: deque[str] = deque(maxlen=MOST_ENDED)
        self.failed: dict[str, str] = {}  # shortcuts of its device that no run needs to try again
        self.unsaid = ""  # how its last run ended, where that could not be written down yet

    def run(self) -> None:
        torch.get_num_threads()  # this thread's own from here on, whatever look_back() sets for its
        threading.Thread(target=self.watch_lifeline, daemon=True).start()
        threading.Thread(target=self.beat, daemon=True).start()
        threading.Thread(target=self.look_back, daemon=True).start()
        warm_up(self.settings, self.device)
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
            self.ended.append(run.id)

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
        then for the last that have ended, the newest first.

        With one thread, as long as the process lives: with more of them OpenMP would count more threads than there are cores, and
        no longer let those of a training wait awake for the next operation: its steps with two took twice as long from then on.
        """
        torch.get_num_threads()  # else this thread's first operation would set the number that a training has set last
        torch.set_num_threads(1)
        while not self.leaving.wait(SECONDS_BEFORE_LOOKING_BACK):
            if not self.idle.is_set():
                continue
            if wanted := take_wanted(self.store):
                self.looks_back_at(wanted, is_wanted=True)
            elif self.ended:
                run_id = self.ended.pop()
                if not self.looks_back_at(run_id, is_wanted=False):
                    self.ended.append(run_id)  # it comes after the run for which it was given up

    def looks_back_at(self, run_id: str, is_wanted: bool) -> bool:
        """Whether it got to the end. When a run begins, what nobody waits for is given up, all that it holds in memory with it,
        until nothing trains; what somebody waits for goes on, and rests after each piece for as long as that took."""
        pieces, given_up, began = look_back_at(self.store, run_id, self.settings, is_wanted), False, time.monotonic()
        try:
            for _ in pieces:
                if not self.idle.is_set():
                    if given_up := not is_wanted:
                        break
                    time.sleep(time.monotonic() - began)
                began = time.monotonic()
        except Exception:  # too little memory, say: later runs are to be looked back at all the same
            traceback.print_exc()
        pieces.close()
        trim_heap()
        return not given_up

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


def look_back_at(store: RunStore, run_id: str, settings: Settings, is_wanted: bool) -> Pieces[None]:
    """Work out what a run's training images look like to its network, where it has finished or somebody waits for it.

    Given up between two pieces it leaves nothing behind.
    """
    with suppress(StoreError, RunNotFound, CheckpointError):  # deleted, or it has kept no weights
        if is_wanted or store.get(run_id).status == "finished":
            yield from work_out(store, run_id, load_model(store, run_id), settings)


def warm_up(settings: Settings, device: torch.device) -> None:
    """Do everything once that is slow the first time: kernels are chosen, threads started, files mapped, and a GPU's libraries
    loaded. Where the device can't be used, the processor is warmed up, and each run says what is wrong."""
    config = RunConfig(data=default_config("digits"), model=CNNConfig(channels=(8,), fc_width=16))
    try:
        data, model = prepare(config, settings.data_dir, settings.cache_dir)
    except ValueError:
        return  # without data there is nothing to warm up on; runs will say what is missing
    try:
        _take_steps(config, data, model, device)
    except Exception:  # whatever a driver raises
        if device.type != "cpu":
            _take_steps(config, data, build_for(config, data), torch.device("cpu"))
    gc.collect()
    gc.freeze()  # what is imported by now stays; collecting it again and again took 100 ms each time
    trim_heap()  # with an empty cache the digits were prepared here


def _take_steps(config: RunConfig, data: Dataset, model: nn.Module, device: torch.device) -> None:
    for number, _ in enumerate(fit(config, data, model, device)):
        if number > 2:
            break


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
