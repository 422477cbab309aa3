"""Moments of a training to go back to: the weights as they were, kept in a run's folder while it learns.

They are dense at first, when a network learns most; then they lie further and further apart, from the second epoch on at ends of
epochs alone. Ends of epochs that somebody has chosen are kept for certain. Weights are float16, which is a half of what they take
in training, and exact to one part in 2,048.
"""

import errno
import json
import os
import re
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from shutil import disk_usage

import numpy as np
import torch
from safetensors.numpy import save as save_arrays
from torch import Tensor, nn

from core.config import RunConfig
from core.data import Dataset
from core.errors import reason
from core.files import write_atomically
from core.runs.checkpoints import UNREADABLE, CheckpointError, read_tensors, rebuilt
from core.runs.moment_costs import bytes_about, cost_of, epochs_of, thinned
from core.runs.recorder import Recorder
from core.runs.store import RunStore
from core.trained_model import TrainedModel
from core.training import Event, Finished, Gradients, Look, Paused, Started
from core.version import VERSION

GROWTH = 8  # a moment is an eighth of its step after the one before, at least
SHARE_OF_TIME = 0.01  # of a run's, that keeping moments may take before its end …
AHEAD, MOST_AHEAD = 0.5, 2.0  # … and at first as much more as this share of its whole length, or so many seconds, allow
MOST_WAITING = 32 * 10**6  # bytes of moments that are not written yet
ROOM, TIMES = 4 * 10**6, 20  # bytes, and times the size of a moment, that stay free on the disk: for the weights, and curves
MOST_HEADER = 2**20  # bytes of a file's header
NAME = re.compile(r"moment-(\d{9})\.safetensors")


@dataclass(frozen=True)
class Moment:
    """A moment that is kept: after `step` steps, in the epoch-th epoch (from 1), after so many seconds of training.

    path, size, changed: its file, its bytes, and when it was written, in nanoseconds.
    """

    step: int
    epoch: int
    seconds: float
    path: Path
    size: int
    changed: int


@dataclass(frozen=True)
class Moments:
    """What a run has kept, in the order of its steps, and how many files were left out because they can't be read."""

    kept: tuple[Moment, ...]
    damaged: int


# --- keeping them

class MomentKeeper:
    """A watcher that keeps a run's moments: it copies weights between steps, and writes them when there is time.

    Nothing about the network is changed and no random numbers are drawn. Copying and writing together take SHARE_OF_TIME of the
    run's time by the clock, at first somewhat more of what has passed, but not of the whole: see AHEAD. The first moment and what
    is left to write at the end are beside that, and so are chosen epochs. Where the disk is full, or nearly so, a run goes on
    without.
    """

    def __init__(self, store: RunStore, run_id: str, config: RunConfig, data: Dataset, model: nn.Module, keep_all: bool = False,
                 clock: Callable[[], float] = time.perf_counter) -> None:
        """keep_all: none that was kept goes for others, as of a run that is starred; they are a few dozen more."""
        self.store, self.run_id, self.keep_all, self.clock = store, run_id, keep_all, clock
        self.about = {"version": VERSION, "config": config.model_dump(mode="json"), "classes": data.classes,
                      "input_shape": data.input_shape, "mean": data.mean, "std": data.std}
        # points in a plane have a history of pictures of their own, and steps so short that asking at each would show
        training = config.training
        cost = cost_of(model, training.moments if data.kind != "points" else 0, epochs_of(training),
                       bytes_about(model, config, data.classes))
        self.most, self.epochs, self.certain = cost.count, cost.certain, frozenset[int]()  # certain: steps, once they are known
        self.next, self.steps_per_epoch, self.before = 0, 1, 0.0
        self.first, self.last, self.step = 0, 0, 0  # steps: before this process, of the run in all, now
        self.steps: list[int] = []  # kept, written or not, ascending
        self.waiting: dict[int, bytes] = {}
        self.began, self.spent, self.copying, self.writing = clock(), 0.0, 0.0, 0.0  # seconds: since when, in all, the last ones
        self.flushed: float | None = None

    def go_on(self, step: int) -> None:
        """Begin with what a run had kept up to the checkpoint it goes on from, and forget what came after it; -1: all."""
        forget_after(self.store, self.run_id, step)
        kept = moments(self.store, self.run_id).kept
        self.steps = [moment.step for moment in kept]
        self.next, self.before = max(0, step), max((moment.seconds for moment in kept), default=0.0)

    # --- the watcher

    def due(self, step: int, seconds: float) -> bool:
        if not self.most:
            return False
        if step in self.certain:
            self.step = step
            return True
        if step < self.next:
            return False
        self.step = step
        in_first = step <= self.steps_per_epoch
        if not in_first and step % self.steps_per_epoch:
            return False
        return self._has_time(self.copying + self.writing * (len(self.waiting) + 1))  # with what is still to be written

    def look(self, model: nn.Module, step: int, epoch: int, seconds: float, loss: float) -> Look | None:
        """Copy the weights; what is seen of them is worked out by whoever goes back there."""
        if not self.most:
            return None
        began = self.clock()
        weights = half(model.state_dict())
        if weights is not None:
            about = self.about | {"step": step, "epoch": epoch, "seconds": round(self.before + seconds, 4)}
            self.waiting[step] = save_arrays(weights, metadata={"about": json.dumps(about)})
            self._thin(step)
        self.next = step + max(1, step // GROWTH)
        if len(self.steps) > 1:  # the first one is before the first step, and what is slow the first time is slow in it
            self.copying = self.clock() - began
            self.spent += self.copying
        if sum(map(len, self.waiting.values())) > MOST_WAITING:
            self.write(everything=True)
        return None

    def see(self, event: Event, recorder: Recorder) -> None:
        """To be called with each event, once the recorder has taken it. Something is written only just after the run was found to
        be still this worker's: one that was deleted must not come back as a folder."""
        if isinstance(event, Started):
            self.steps_per_epoch, self.last, self.first, self.began = event.steps_per_epoch, event.steps, self.next, self.clock()
            self.certain = frozenset(epoch * event.steps_per_epoch for epoch in self.epochs)
        elif isinstance(event, Paused | Finished):  # paused: somebody looks at the last step
            recorder.flush(at_once=True)
            if recorder.is_ours:
                self.write(everything=True)
        elif isinstance(event, Gradients) and recorder.flushed != self.flushed and recorder.is_ours:
            self.flushed = recorder.flushed
            self.write()

    def write(self, everything: bool = False) -> None:
        """Write what waits, as far as there is time for it."""
        for step in sorted(self.waiting):
            if not everything and not self._has_time(self.writing):
                return
            began, content = self.clock(), self.waiting.pop(step)
            try:
                if disk_usage(self.store.path).free < ROOM + TIMES * len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                write_atomically(moment_path(self.store, self.run_id, step), lambda file, content=content: file.write(content),
                                 durable=False)
            except OSError:  # a full disk: weights that are needed to go on are worth more than the way to them
                self.most, self.waiting = 0, {}
                return
            self.writing = self.clock() - began
            self.spent += self.writing

    def give_way(self) -> bool:
        """Delete all that this run has kept, for its weights to have room; False where there is nothing of it."""
        self.most, self.waiting, self.steps = 0, {}, []
        there = moment_files(self.store.folder(self.run_id))
        for path in there.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return bool(there)

    def _thin(self, step: int) -> None:
        steps = sorted({*self.steps, step})
        self.steps = thinned(steps, self.most, self.keep_all, self.certain)
        for dropped in set(steps) - set(self.steps):
            if self.waiting.pop(dropped, None) is None:
                with suppress(OSError):
                    moment_path(self.store, self.run_id, dropped).unlink(missing_ok=True)

    def _has_time(self, seconds: float) -> bool:
        passed = self.clock() - self.began
        length = passed * (self.last - self.first) / max(1, self.step - self.first)
        return self.spent + seconds <= SHARE_OF_TIME * (passed + min(MOST_AHEAD, AHEAD * length))


def half(weights: dict[str, Tensor]) -> dict[str, np.ndarray] | None:
    """A state_dict as copies, float16 where that holds their values; None where some are infinite or NaN.

    By NumPy, in one thread: on a busy machine PyTorch's threads would wait for each other longer than the copy takes.
    """
    found = {}
    for name, value in weights.items():
        value = value.detach().cpu()
        array = (value.float() if value.is_floating_point() else value).numpy()
        if value.is_floating_point() and array.size:
            largest = max(float(array.max()), -float(array.min()))
            if not largest < inf or not largest > -inf:  # NaN is neither
                return None
            array = array.astype(np.float16 if largest < float(np.finfo(np.float16).max) else np.float32, order="C")
        found[name] = np.array(array, order="C")
    return found


# --- finding them again

def moment_path(store: RunStore, run_id: str, step: int) -> Path:
    """Where a moment is, or would be. Raises RunNotFound for what is no id."""
    return store.folder(run_id) / f"moment-{step:09d}.safetensors"


def moment_files(folder: Path) -> dict[int, Path]:
    """A run's moments in its folder by their steps, ascending, whatever is in them."""
    with suppress(OSError):
        return {int(found[1]): path for path in sorted(folder.iterdir()) if (found := NAME.fullmatch(path.name))}
    return {}


def has_moments(store: RunStore, run_id: str) -> bool:
    """Whether a run has kept any. Raises RunNotFound for what is no id."""
    return bool(moment_files(store.folder(run_id)))


def moments(store: RunStore, run_id: str) -> Moments:
    """What a run has kept, also while it goes. A file that is cut off or is no moment's is left out and counted.

    Raises RunNotFound for what is no id.
    """
    kept, damaged = [], 0
    for step, path in moment_files(store.folder(run_id)).items():
        try:
            kept.append(_header(step, path))
        except FileNotFoundError:
            continue  # thinned just now
        except (OSError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError):
            damaged += 1
    return Moments(tuple(kept), damaged)


def read_moment(moment: Moment) -> TrainedModel:
    """The network as it was, on the CPU, in evaluation mode. Raises CheckpointError where its file is gone or damaged."""
    try:
        weights, about = read_tensors(moment.path)
        return rebuilt({name: value.float() if value.dtype == torch.float16 else value for name, value in weights.items()}, about)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"Step {moment.step:,} is no longer kept ({error.strerror or reason(error)}).") from None
    except UNREADABLE as error:
        raise CheckpointError(f"What was kept at step {moment.step:,} is damaged ({reason(error)}).") from None


def forget_after(store: RunStore, run_id: str, step: int) -> None:
    """Delete moments beyond a step, as of a run that goes on from a checkpoint before them. Raises RunNotFound for no id."""
    for later, path in moment_files(store.folder(run_id)).items():
        if later > step:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def thin(store: RunStore, run_id: str, most: int, keep_all: bool = False, certain: Collection[int] = ()) -> int:
    """Delete moments until `most` are left, as thinned() chooses; the bytes that are free now. Raises RunNotFound for no id, and
    NotYours."""
    store.check_change(run_id)
    files, freed = moment_files(store.folder(run_id)), 0
    for step in set(files) - set(thinned(list(files), most, keep_all, certain)):
        with suppress(OSError):
            size = files[step].stat().st_size
            files[step].unlink()
            freed += size
    return freed


def _header(step: int, path: Path) -> Moment:
    """What a file says about itself, and whether it is whole; its weights are checked when they are read."""
    state = path.stat()
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= MOST_HEADER:
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(file.read(length))
    about = json.loads(header["__metadata__"]["about"])
    end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    if state.st_size != 8 + length + end or about["step"] != step:
        raise ValueError("it is not whole")
    return Moment(step, int(about["epoch"]), float(about["seconds"]), path, state.st_size, state.st_mtime_ns)
