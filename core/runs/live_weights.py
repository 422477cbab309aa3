"""The weights of a small network while it learns, several times a second, for pages that draw what it has learned so far.

Beside the checkpoint, which is written for good: the newest weights replace each other in a file that is not waited for. Whoever
draws from them does so in a process of its own, so that drawing slows no training.
"""

import time
from contextlib import suppress
from pathlib import Path

from torch import nn

from core.config import RunConfig
from core.data import Dataset
from core.files import write_atomically
from core.runs.checkpoints import CheckpointError, checkpoint_bytes, checkpoint_path, read_checkpoint
from core.runs.store import RunStore
from core.trained_model import TrainedModel
from core.training import Checkpoint, Epoch, Event, Gradients, Intervention, Paused, Step
from core.training.loop import copy_weights

SECONDS_PER_LOOK = 0.1  # so that five pictures a second are never of the same weights
MOST_PARAMETERS = 20_000  # 80 kB, written in 0.3 ms
FILE = "live.safetensors"


class LiveWeights:
    """Writes a run's weights down while it goes, where they are few and the data are points that can be drawn."""

    def __init__(self, store: RunStore, run_id: str, config: RunConfig, data: Dataset, model: nn.Module) -> None:
        self.path, self.config, self.data, self.model = live_path(store, run_id), config, data, model
        self.wanted = data.kind == "points" and sum(p.numel() for p in model.parameters()) <= MOST_PARAMETERS
        self.step, self.epoch = 0, 0
        self.written_step, self.written = 0, 0.0
        self.edited = False  # whether weights were set by hand since they were written

    def see(self, event: Event) -> None:
        """To be called with each event, before the loop goes on."""
        if not self.wanted:
            return
        if isinstance(event, Intervention):
            self.edited = True
        elif isinstance(event, Step | Epoch):
            self.step, self.epoch = event.step, event.epoch
        elif isinstance(event, Paused) or isinstance(event, Gradients) and time.monotonic() - self.written >= SECONDS_PER_LOOK:
            self.write()  # paused: nothing else comes for a while, and somebody looks at the last step

    def write(self) -> None:
        """Write the weights as they are now, unless that was done since the last step or change by hand."""
        if self.step == self.written_step and not self.edited:
            return
        content = checkpoint_bytes(self.config, self.data, Checkpoint(self.epoch, self.step, copy_weights(self.model)))
        with suppress(OSError):  # a picture less; what must not be lost is the checkpoint
            write_atomically(self.path, lambda file: file.write(content), durable=False)
        self.written_step, self.written, self.edited = self.step, time.monotonic(), False

    def remove(self) -> None:
        """The run has ended, and its checkpoint has the weights."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def live_path(store: RunStore, run_id: str) -> Path:
    """Where a run's newest weights are while it goes. Raises RunNotFound for what is no id."""
    return store.folder(run_id) / FILE


def newest_model(store: RunStore, run_id: str) -> TrainedModel | None:
    """A run's network with the newest weights there are, of the checkpoint or live; None where there are none to be read."""
    paths = []
    for path in (checkpoint_path(store, run_id), live_path(store, run_id)):
        with suppress(OSError):
            paths.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(paths, reverse=True):
        with suppress(CheckpointError):  # just replaced or removed, or damaged: then the other one
            return read_checkpoint(path)
    return None
