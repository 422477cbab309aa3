"""Home: the run whose watched image is shown there, and its looks as frames to play."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import streamlit as st
import torch
from torch import Tensor

from core.config import DataConfig
from core.data import DataError, Dataset
from core.figures.learning import frame, gray, recorded, thinned
from core.figures.pictures import to_bytes
from core.runs import Look, Run
from core.runs.recording import Recording, read_recording
from core.runs.shipped import ShippedError
from core.training.watchers import WATCH
from core.wording import duration
from pages.parts.runs.words import STATUS
from pages.parts.shell import keys
from pages.parts.shell.services import Services, dataset

MOST_CLASSES = 10  # bars that the first screen has room for
MOST_SENT, MOST_AT_END = 12, 3  # frames in one message: those of a second, when looks are densest
TEST_IMAGES = 10  # that take a drawing's place, one after the other
RECORDING = "recording"
ENDED_EARLY = "stopped", "failed", "interrupted"  # their time is the run's, as a look is not taken at the very end


@dataclass(frozen=True, eq=False)
class Watched:
    """What a run is watched with. image: (1, H, W) float32 in [0, 1]. test: which class it is, if it is one of the test images
    that Home offers; "" for a drawing."""

    image: Tensor
    classes: tuple[str, ...]
    test: str


@dataclass
class Seen:
    """What a session has read of a run's looks. after: the step of the last one; sent: frames of the last reading, which are sent
    once more, as a message can be overtaken by the next."""

    run_id: str
    after: int = -1
    ended: bool = False
    sent: list[dict[str, Any]] = field(default_factory=list)
    curve: list[tuple[float, float]] = field(default_factory=list)
    last: Look | None = None


def watched_of(server: Services, run: Run) -> Watched | None:
    """What the first screen shows of a run; None of one that it can't show."""
    if run.kind != "training":
        return None
    images = server.store.watched(run.id)
    if images is None or images.shape[1] != 1:
        return None
    try:
        classes = dataset(run.config.data, server.settings).classes
    except DataError:
        return None
    if not 2 <= len(classes) <= MOST_CLASSES:
        return None
    return Watched(images[0], classes, _which_offered(server, run.config.data, images[0]))


def offered_image(server: Services, data: DataConfig, place: int) -> tuple[Tensor, str]:
    """One of the first test images, (1, H, W) float32 in [0, 1], and which class it is. Raises DataError."""
    found = dataset(data, server.settings)
    images, labels = found.test.take(torch.tensor([place % min(TEST_IMAGES, len(found.test))]))
    return images[0].float() / 255, found.classes[int(labels[0])]


def _which_offered(server: Services, data: DataConfig, image: Tensor) -> str:
    found = dataset(data, server.settings)
    images, labels = found.test.take(torch.arange(min(TEST_IMAGES, len(found.test))))
    same = [label for one, label in zip(images, labels.tolist(), strict=True) if torch.equal(one, to_bytes(image))]
    return found.classes[same[0]] if same else ""


def played(server: Services, run: Run, watched: Watched) -> dict[str, Any] | None:
    """The run's looks since the last time, to be played; None before its first look."""
    seen = st.session_state.get(keys.HOME_LOOKS)
    if not isinstance(seen, Seen) or seen.run_id != run.id or (seen.ended and run.is_active):
        seen = Seen(run.id)
    if not run.is_active and not seen.ended:  # the last look may have replaced one at the same step
        seen = Seen(run.id, ended=True)
    st.session_state[keys.HOME_LOOKS] = seen
    known = dataset(run.config.data, server.settings)
    looks = [look for look in server.store.looks(run.id, WATCH, seen.after) if _is_whole(look, len(watched.classes), known)]
    most = MOST_SENT if run.is_active else MOST_AT_END
    if looks:
        new = [frame(look) for look in looks[-most:]]
        frames = [*seen.sent, *new][-most:]
        seen.sent, seen.after, seen.last = new, looks[-1].step, looks[-1]
        seen.curve += [(look.seconds, float(look.arrays["loss"][0])) for look in looks if np.isfinite(look.arrays["loss"][0])]
    else:
        frames = seen.sent
    if seen.last is None:
        return None
    positions, labels = seen.last.arrays["positions"], seen.last.arrays["labels"]
    return {"id": run.id, "label": _doing(server, run), "live": run.is_active, "frames": frames, "names": watched.classes,
            "timed": run.status not in ENDED_EARLY or run.seconds is None, "labels": labels.tolist(),
            "curve": [(round(s, 3), round(loss, 4)) for s, loss in thinned(seen.curve)],
            "examples": _examples(server, run.config.data, tuple(positions.tolist()))}


def _is_whole(look: Look, classes: int, data: Dataset) -> bool:
    """Whether a look has what is shown of it, of the classes and images that there are now."""
    answers, positions = look.arrays.get("watched"), look.arrays.get("positions")
    if answers is None or positions is None or not {"examples", "labels", "filters", "loss"} <= look.arrays.keys():
        return False
    return answers.shape[1:] == (classes,) and bool((positions < len(data.validation)).all())


def _doing(server: Services, run: Run) -> str:
    title = dataset(run.config.data, server.settings).title
    if run.status in ENDED_EARLY:
        after = "" if run.seconds is None else f" after {duration(run.seconds)}"
        return f"{STATUS[run.status][0]}{after} on {title}"
    if not run.is_active:
        return f"Trained on {title}"
    return f"{'Paused' if run.pause_requested is not None else 'Training'} on {title}"


def _examples(server: Services, data: DataConfig, positions: tuple[int, ...]) -> dict[str, Any]:
    images, _ = dataset(data, server.settings).validation.take(torch.tensor(positions, dtype=torch.int64))
    return gray(images[:, 0].numpy())


@st.cache_resource(show_spinner=False)
def recording() -> dict[str, Any] | str:
    """The training that comes with the app, to be played; a line where it can't be read."""
    try:
        return recording_message(read_recording())
    except ShippedError as error:
        return str(error)


def recording_message(found: Recording) -> dict[str, Any]:
    """A recording in the form in which the browser plays it."""
    return {"id": RECORDING, "label": f"Recording: {found.title}", "live": False,
            "timed": True, "frames": recorded(found), "names": found.classes, "labels": found.labels.tolist(),
            "curve": [(round(s, 3), round(loss, 4)) for s, loss in zip(found.times.tolist(), found.losses.tolist(), strict=True)],
            "examples": gray(found.images)}
