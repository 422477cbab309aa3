"""A recorded training, to be played again: looks that a run took at its network while it learned, and the examples it saw."""

import json
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save as save_arrays

from core.data import Dataset
from core.importing.names import plain_name
from core.runs.checkpoints import UNREADABLE
from core.runs.records import Run
from core.runs.shipped import ShippedError, read_asset, unreadable
from core.runs.store import RunStore
from core.training.watchers import LARGEST_FILTER, MOST_FILTERS, WATCH

RECORDING = "first_training.safetensors"
MOST_BYTES = 300_000
MOST_FRAMES = 150  # ten seconds at 15 a second
MOST_EXAMPLES, MOST_CLASSES, MOST_SIDE = 16, 32, 64  # pixels a side
HALF = 2 ** -11  # by which share of itself a number of float16 may be off


@dataclass(frozen=True, eq=False)  # arrays have no single truth value, so == would raise
class Recording:
    """F frames of a training, which are looks that the run took, in their order: the first before its first step, the last of the
    weights it ended with.

    title: the data set's, plain text. classes: names of the K answers. seconds: of training in all. accuracy: share of the test
        images right at the end, 0 to 1.
    images: (E, H, W) uint8, the examples; labels: (E,) int64, what is right.
    steps: (F,) int64, ascending from 0. times: (F,) float32, seconds of training until each. losses: (F,) float32, the mean
        training loss of the steps since the frame before; of the first frame that of the first batch, which had changed nothing.
    answers: (F, E, K) float32, probabilities, kept as float16. filters: (F, U, h, w) uint8, see
        core.training.watchers.first_filters(); U is 0 where there are none.
    """

    title: str
    classes: tuple[str, ...]
    seconds: float
    accuracy: float
    images: np.ndarray
    labels: np.ndarray
    steps: np.ndarray
    times: np.ndarray
    losses: np.ndarray
    answers: np.ndarray
    filters: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)


def record(store: RunStore, run: Run, data: Dataset, most: int = MOST_FRAMES) -> Recording:
    """The recording of a run that has finished and was watched. Raises ShippedError where it kept nothing to play.

    data: what it learned from, gray images. most: frames; of more looks those are taken that are evenly far apart.
    """
    looks = store.looks(run.id, WATCH)
    counted, losses = store.metrics(run.id, names=("loss",)).series.get("loss", ([], []))
    whole = len(looks) > 1 and looks[0].step == 0 and counted == list(range(1, looks[-1].step + 1))
    if not whole or run.test_accuracy is None or run.seconds is None:
        raise ShippedError("The run has kept no looks from its beginning to its end, so there is nothing to play.")
    kept = [looks[index] for index in sorted({round(place) for place in np.linspace(0, len(looks) - 1, most)})]
    first, steps = kept[0].arrays, [look.step for look in kept]
    images, _ = data.validation.take(torch.from_numpy(first["positions"].astype(np.int64)))
    return Recording(
        title=data.title, classes=data.classes, seconds=run.seconds, accuracy=run.test_accuracy,
        images=images[:, 0].numpy(), labels=first["labels"].astype(np.int64),
        steps=np.array(steps), times=np.array([look.seconds for look in kept], np.float32),
        losses=np.array([losses[0], *(np.mean(losses[before:step]) for before, step in pairwise(steps))], np.float32),
        answers=np.stack([look.arrays["examples"] for look in kept]), filters=np.stack([look.arrays["filters"] for look in kept]))


def recording_bytes(recording: Recording) -> bytes:
    """What read_recording() reads: probabilities as float16, everything else as it is."""
    about = {"title": recording.title, "classes": recording.classes, "seconds": recording.seconds, "accuracy": recording.accuracy}
    arrays = {name: getattr(recording, name) for name in ("images", "labels", "steps", "times", "losses", "filters")}
    arrays["answers"] = recording.answers.astype(np.float16)
    return save_arrays({name: np.ascontiguousarray(array) for name, array in arrays.items()},
                       metadata={"about": json.dumps(about)})


def read_recording(folder: Path | None = None) -> Recording:
    """The recording that comes with the app; folder: shipped.assets() if not said. Raises ShippedError."""
    tensors, about = read_asset(RECORDING, MOST_BYTES, "recording", folder)
    try:
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        if arrays["answers"].dtype != np.float16:
            raise ValueError(f"answers is {arrays['answers'].dtype}")
        arrays["answers"] = arrays["answers"].astype(np.float32)
        found = Recording(
            title=plain_name(str(about["title"])), classes=tuple(plain_name(str(name)) for name in about["classes"]),
            seconds=float(about["seconds"]), accuracy=float(about["accuracy"]), **arrays)
        if wrong := _wrong(found):
            raise ValueError(wrong)
    except UNREADABLE as error:
        raise unreadable("recording") from error
    return found


def _wrong(found: Recording) -> str:
    """What is not as Recording says; "" where all is. Values that are no finite numbers have been refused before."""
    frames, examples, answers = len(found.steps), len(found.labels), len(found.classes)
    if not (1 < frames <= MOST_FRAMES and 0 < examples <= MOST_EXAMPLES and 1 < answers <= MOST_CLASSES):
        return f"{frames} frames of {examples} examples and {answers} classes"
    shapes = {"images": (np.uint8, (examples, *found.images.shape[1:])), "labels": (np.int64, (examples,)),
              "steps": (np.int64, (frames,)), "times": (np.float32, (frames,)), "losses": (np.float32, (frames,)),
              "answers": (np.float32, (frames, examples, answers)),
              "filters": (np.uint8, (frames, *found.filters.shape[1:]))}
    for name, (dtype, shape) in shapes.items():
        if (array := getattr(found, name)).dtype != dtype or array.shape != shape:
            return f"{name} is {array.dtype} {array.shape}"
    if found.images.ndim != 3 or not 0 < max(found.images.shape[1:]) <= MOST_SIDE:
        return f"images is {found.images.shape}"
    if found.filters.ndim != 4 or found.filters.shape[1] > MOST_FILTERS or max(found.filters.shape[2:]) > LARGEST_FILTER:
        return f"filters is {found.filters.shape}"
    if found.labels.min() < 0 or found.labels.max() >= answers:
        return "a label is no class"
    if found.steps[0] != 0 or (np.diff(found.steps) <= 0).any() or found.times[0] < 0 or (np.diff(found.times) < 0).any():
        return "its frames are not in order"
    if found.answers.min() < 0 or abs(found.answers.sum(2) - 1).max() > 2 * HALF or found.losses.min() < 0:
        return "its answers are no probabilities"
    if not (0 <= found.accuracy <= 1 and isfinite(found.seconds) and found.times[-1] <= found.seconds):
        return f"{found.accuracy} right after {found.seconds} s"
    return ""
