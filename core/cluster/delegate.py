"""One run that the cluster does, on the server's side: what its worker says is written into the store here."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.cluster.data_files import KnownFiles
from core.cluster.messages import DATA, DROP, KEEP, WEIGHTS, Answer, Call, News, Order
from core.config import RunConfig
from core.errors import reason
from core.files import why_not_written, write_atomically
from core.runs.checkpoints import CONFIG, TRAINING, checkpoint_path
from core.runs.checkpoints import WEIGHTS as WEIGHTS_FILE
from core.runs.database import StoreError
from core.runs.outlet import Outlet
from core.runs.records import Run, RunNotFound
from core.runs.store import RunStore
from core.training import Command

# methods of RunStore that a worker may have called for its run, and those that it may ask of others
FOR_ITSELF = {"record", "begin", "forget_after", "finish", "note_test_look"}
READ = {"get", "snapshots", "interventions", "seconds_watched", "group", "holds_test"}
DURABLE = (CONFIG, TRAINING, WEIGHTS_FILE)  # what is worth waiting for the disk
Give = Callable[[int, Mapping[str, Path]], None]


class Delegate:
    """The worker's view of the store, and its orders. outlet: where metrics go as well.

    give: answers a call of that number with the content of files, as it is large. May raise OSError.
    """

    def __init__(self, store: RunStore, run: Run, known: KnownFiles, outlet: Outlet | None, give: Give) -> None:
        self.store, self.run, self.known, self.outlet, self.give = store, run, known, outlet, give
        self._answers: list[Answer] = []
        self._ours, self._trouble = True, ""
        self.finished = False  # whether the worker has said how the run ended
        # single steps that were asked for before the run goes on with another worker: void, as after a pause
        self._steps_before = run.steps_requested if run.step else 0

    @property
    def config(self) -> RunConfig:
        return self.run.config

    def files(self) -> dict[str, Path]:
        """What is in the run's folder, by name. Raises OSError."""
        folder = self.store.folder(self.run.id)
        if not folder.is_dir():
            return {}
        return {path.name: path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")}

    def order(self) -> Order:
        """What to tell the worker next."""
        answers, self._answers = tuple(self._answers), []
        return Order(self._command(), self._ours, self._trouble, answers)

    def _command(self) -> Command:
        try:
            command = self.store.command(self.run.id)
        except StoreError:  # asked again in a moment
            return self._last
        self._last = replace(command, steps=max(0, command.steps - self._steps_before))
        return self._last

    _last = Command()

    def take(self, news: News) -> None:
        """Do what the worker has said, in its order."""
        for call in news.calls:
            try:
                if (files := self._asked_for(call)) is not None:
                    self.give(call.number, files)
                    continue
                value = self._do(call)
            except (StoreError, RunNotFound, OSError) as error:
                if call.number:
                    self._answers.append(Answer(call.number, error=error))
                elif isinstance(error, StoreError):
                    self._trouble = self._trouble or reason(error)
                continue
            if call.number:
                self._answers.append(Answer(call.number, value))

    def _asked_for(self, call: Call) -> dict[str, Path] | None:
        """The files that a call asks for; None where it asks for something else, or there are none."""
        if call.name == DATA:
            return self.known.paths(self.config)
        if call.name == WEIGHTS and (path := checkpoint_path(self.store, call.arguments[0])).exists():
            return {WEIGHTS_FILE: path}
        return None

    def _do(self, call: Call) -> Any:
        arguments = call.arguments
        if call.name == "record":
            return self._record(*arguments, **call.named)
        self.finished |= call.name == "finish"
        if call.name in FOR_ITSELF and arguments[0] == self.run.id or call.name in READ:
            return getattr(self.store, call.name)(*arguments, **call.named)
        if call.name in (KEEP, DROP) and arguments[0] == self.run.id:
            return self._file(*arguments[1:])
        if call.name == WEIGHTS:
            return None  # there are none
        raise StoreError(f"The cluster has asked for {call.name!r}, which is not done for it.")

    def _record(self, run_id: str, metrics: list[Any], snapshots: tuple[Any, ...], *more: Any, **progress: Any) -> None:
        batch = self.outlet.batch(metrics) if self.outlet else None
        if self.outlet and batch and batch.rows:
            snapshots = (*snapshots, self.outlet.snapshot(batch))
        kept = self.store.record(self.run.id, metrics, snapshots, *more, **progress)
        self._ours = kept and self._ours
        if self.outlet and batch and kept:
            self.outlet.hand(batch)

    def _file(self, name: str, content: np.ndarray | None = None) -> None:
        if "/" in name or "\\" in name or name.startswith("."):
            raise StoreError(f"The cluster has sent a file called {name!r}.")
        path = self.store.folder(self.run.id) / name
        if content is None:
            path.unlink(missing_ok=True)
            return
        self.store.get(self.run.id)  # a deleted run must not come back as a folder
        try:
            write_atomically(path, lambda file: file.write(content.data), durable=name in DURABLE)
        except OSError as error:
            if name in DURABLE:
                raise StoreError(why_not_written(f"The runs folder {self.store.path}", error, "PLAYGROUND_RUNS")) from None


def is_ours(store: RunStore, run_id: str, worker: str) -> bool:
    """Whether a run is still going as this worker's: nobody has ended or deleted it, nor has it been put in the queue again."""
    try:
        run = store.get(run_id)
    except RunNotFound:
        return False
    return run.status == "running" and run.worker == worker
