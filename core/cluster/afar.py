"""The server's store as a training on the cluster has it: files in a folder of its own, everything else by the channel."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from core.actors import LOCAL
from core.cluster.channel import Channel
from core.cluster.messages import DROP, KEEP, WEIGHTS
from core.files import write_atomically
from core.runs.checkpoints import WEIGHTS as WEIGHTS_FILE
from core.runs.database import StoreError
from core.runs.records import Metric, Run, Snapshot, Status
from core.runs.store import RunStore
from core.training import Command, Intervention, Look, Started

State = tuple[int, int, int]  # of a file: changed, size, inode


class StoreFromAfar(RunStore):
    """What core.runs.execute uses of a RunStore, for one run. Files that it writes are sent on with the next thing that is said,
    before it, so that the server has everything in the order in which a worker on its own machine would have written it.

    What is only told raises at the next record(): StoreError, where the server can't write any more.
    """

    def __init__(self, folder: Path, run_id: str, files: Mapping[str, np.ndarray], channel: Channel) -> None:
        """files: of the run's folder on the server, content by name."""
        self.path, self.actor, self.lesson = folder, LOCAL, ""
        self._run_id, self._channel = run_id, channel
        self._sending = threading.Lock()
        own = self.folder(run_id)
        own.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomically(own / name, lambda file, content=content: file.write(content.data), durable=False)
        self._sent = self._states()

    # --- files

    def folder(self, run_id: str) -> Path:
        """As RunStore.folder(); of another run with the weights that it has kept, which is all that a run takes from one."""
        place = super().folder(run_id)
        if run_id != self._run_id and not place.exists():
            content = self._channel.ask(WEIGHTS, run_id)
            place.mkdir(parents=True)
            if content is not None:
                write_atomically(place / WEIGHTS_FILE, lambda file: file.write(content[WEIGHTS_FILE].data), durable=False)
        return place

    def send_files(self) -> None:
        """Say which files of the run have changed since the last time."""
        with self._sending:
            now = self._states()
            for name in self._sent.keys() - now.keys():
                self._channel.tell(DROP, self._run_id, name)
            for name, state in now.items():
                if self._sent.get(name) != state:
                    with suppress(FileNotFoundError):  # replaced or removed since: the next time
                        content = np.fromfile(super().folder(self._run_id) / name, np.uint8)
                        self._channel.tell(KEEP, self._run_id, name, content)
            self._sent = now

    def _states(self) -> dict[str, State]:
        found = {}
        for path in super().folder(self._run_id).iterdir():
            with suppress(FileNotFoundError):
                if not path.name.startswith("."):  # not yet in its place
                    about = path.stat()
                    found[path.name] = about.st_mtime_ns, about.st_size, about.st_ino
        return found

    # --- what is told

    def record(self, run_id: str, metrics: Sequence[Metric], snapshots: Sequence[Snapshot] = (), looks: Sequence[Look] = (),
               interventions: Sequence[Intervention] = (), patience: float | None = None, **progress: Any) -> bool:
        """As RunStore.record(), but it waits for nobody: whether the run is still this worker's, as far as is known by now."""
        order = self._channel.order
        if order.trouble:
            raise StoreError(order.trouble)
        self.send_files()
        self._channel.tell("record", run_id, list(metrics), tuple(snapshots), list(looks), list(interventions), **progress)
        return order.ours

    def begin(self, run_id: str, event: Started) -> None:
        self._channel.tell("begin", run_id, event)

    def forget_after(self, run_id: str, step: int, interventions: int) -> None:
        self._channel.tell("forget_after", run_id, step, interventions)

    def command(self, run_id: str) -> Command:
        """What the server said last, without asking."""
        order = self._channel.order
        return order.command if order.ours and not order.trouble else Command(stop=True)

    # --- what is asked

    def finish(self, run_id: str, status: Status, message: str = "", test_accuracy: float | None = None,
               test_loss: float | None = None, seconds: float | None = None) -> None:
        self.send_files()
        self._channel.ask("finish", run_id, status, message, test_accuracy, test_loss, seconds)

    def get(self, run_id: str) -> Run:
        return self._channel.ask("get", run_id)

    def snapshots(self, run_id: str) -> dict[str, Snapshot]:
        return self._channel.ask("snapshots", run_id)

    def interventions(self, run_id: str) -> list[Intervention]:
        return self._channel.ask("interventions", run_id)

    def seconds_watched(self, run_id: str) -> float:
        return self._channel.ask("seconds_watched", run_id)

    def group(self, group_id: str) -> list[Run]:
        return self._channel.ask("group", group_id) if group_id else []

    def holds_test(self, run_id: str) -> bool:
        return self._channel.ask("holds_test", run_id)

    def note_test_look(self, run_id: str) -> None:
        self._channel.ask("note_test_look", run_id)

    def trial_of(self, run_id: str) -> None:
        """None: what is asked by it, room for other runs, the server makes itself."""
        return None

    def check_change(self, run_id: str) -> None:
        """Whose a run is was asked when it was queued."""


def digest_of(content: np.ndarray) -> str:
    """SHA-256 of a uint8 array, as hexadecimal digits."""
    return hashlib.sha256(content.data).hexdigest()
