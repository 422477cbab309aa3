"""One run after another in a process of the cluster, by the same code as in a worker of this machine."""

import os
import shutil
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import torch

from core.cluster.afar import StoreFromAfar
from core.cluster.channel import Channel
from core.cluster.data_files import place_of
from core.cluster.messages import DATA, DataFiles, News, Order
from core.data import DataError
from core.devices import usable_cores
from core.errors import reason
from core.memory import trim_heap
from core.runs.database import StoreError
from core.runs.execute import execute
from core.runs.records import Run, RunNotFound
from core.runs.worker import warm_up
from core.settings import Settings, default_cache_dir
from core.training import Command

NO_GPU = ("The cluster gave this run a GPU, which PyTorch on that machine can't use, so it trained on the processor there. Look "
          "whether that machine has the GPU that it was started with, and a PyTorch for it.")


class ByChannel:
    """A control that says what the server said last, without asking."""

    def __init__(self, store: StoreFromAfar, run_id: str) -> None:
        self.store, self.run_id = store, run_id

    def command(self) -> Command:
        return self.store.command(self.run_id)


class Training:
    """A thread that trains, and a channel for the run that it is at."""

    def __init__(self, gpu: bool, cores: int, cuda_graphs: bool) -> None:
        has_gpu = gpu and torch.cuda.is_available()
        self.device = torch.device("cuda:0" if has_gpu else "cpu")  # Ray shows a process no other GPU than its own
        self._missing = NO_GPU if gpu and not has_gpu else ""
        nowhere = Path(tempfile.gettempdir())
        cache = Path(os.environ.get("PLAYGROUND_CACHE") or default_cache_dir())  # that machine's variable
        self._settings = Settings(nowhere, nowhere, cache, workers=max(1, usable_cores() // cores), cuda_graphs=cuda_graphs,
                                  disk_budget=0)
        self._failed: dict[str, str] = {}
        self._channel = Channel(Order(Command()))
        self._channel.end()  # of no run
        self._jobs: SimpleQueue[tuple[Run, Mapping[str, np.ndarray], DataFiles, Channel]] = SimpleQueue()
        ready = threading.Event()
        threading.Thread(target=self._work, args=(ready,), name="training", daemon=True).start()
        ready.wait()

    def start(self, run: Run, files: Mapping[str, np.ndarray], data: DataFiles, order: Order) -> None:
        self._channel = Channel(order)
        self._jobs.put((run, files, data, self._channel))

    def exchange(self, order: Order) -> News:
        return self._channel.exchange(order)

    def give(self, number: int, files: Mapping[str, np.ndarray]) -> None:
        self._channel.give(number, files)

    def _work(self, ready: threading.Event) -> None:
        torch.set_flush_denormal(True)  # a setting of each thread; those that PyTorch starts take it from this one
        with suppress(Exception):  # each run says what is wrong
            warm_up(self._settings, self.device)
        ready.set()
        while True:
            run, files, data, channel = self._jobs.get()
            error = ""
            try:
                self._do(run, files, data, channel)
            except BaseException as caught:  # the run is marked; this process goes on with others
                error = reason(caught)
            channel.end(error)
            del files  # mapped from Ray's memory
            trim_heap()

    def _do(self, run: Run, files: Mapping[str, np.ndarray], data: DataFiles, channel: Channel) -> None:
        folder = Path(tempfile.mkdtemp(prefix="torch-playground-"))
        store = StoreFromAfar(folder, run.id, files, channel)
        try:
            data_dir, cache = place_of(data, self._settings.cache_dir, lambda digest: channel.ask(DATA, digest))
            settings = replace(self._settings, data_dir=data_dir, runs_dir=folder, cache_dir=cache)
            with suppress(RunNotFound):  # deleted meanwhile
                execute(store, run, settings, ByChannel(store, run.id), failed=self._failed, given=self.device,
                        missing=self._missing)
            store.send_files()
        except (DataError, StoreError, OSError) as error:
            store.finish(run.id, "failed", reason(error))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
