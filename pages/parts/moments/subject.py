"""Go back in time: which run, on which examples, and the pictures of its moments, worked out once for all visitors."""

import time
from contextlib import suppress
from dataclasses import asdict, dataclass

import streamlit as st
from torch import Tensor

from core.data import DataError, Dataset
from core.errors import reason
from core.figures.moments import DARK, LIGHT, Shot, animation, panels
from core.inspection import InspectionError
from core.inspection.activations.walk import Stage
from core.inspection.moment import HISTOGRAMS, Axes, Examples, axes_of, examples_of, layers_of, look_at
from core.runs import CheckpointError, Run
from core.runs.looks import can_watch
from core.runs.moments import Moment, Moments, has_moments, read_moment
from core.wording import duration, number, percent
from pages.parts.runs.usable import offered_runs
from pages.parts.shell.services import Services, dataset

UNSHOWN = (CheckpointError, InspectionError, RuntimeError, ValueError)  # then a moment is not shown
SECONDS_PER_ANSWER = 0.3  # after which the rest of a question is left to the next one


@dataclass(frozen=True)
class Shown:
    """What a visitor wants to see. parts: of PARTS; image, layer: whose maps; dark: in which colours."""

    parts: tuple[str, ...]
    image: int = 0
    layer: int = 0
    dark: bool = False


def runs_with_moments(server: Services) -> dict[str, Run]:
    """Runs by id that have kept moments, newest first; those that are going too. See offered_runs()."""
    return offered_runs(server, lambda run: has_moments(server.store, run.id))


def split_of(run: Run) -> str:
    """Test images have had their one look when a run has finished; before that and without it, those that were held back."""
    return "test" if run.status == "finished" else "validation"


def label(moment: Moment) -> str:
    """"step 40 · epoch 1 · 0.2 s"."""
    if not moment.step:
        return "before the first step"
    return f"step {moment.step:,} · epoch {moment.epoch:,} · {duration(moment.seconds)}"


def examples(server: Services, run: Run, last: Moment) -> tuple[Dataset, Examples]:
    """The data and what the network is asked about. Raises DataError, CheckpointError and ValueError with one line."""
    return _examples(server, run, run.id, split_of(run), last)


@st.cache_resource(max_entries=2, show_spinner=False)
def _examples(_server: Services, _run: Run, run_id: str, split: str, _last: Moment) -> tuple[Dataset, Examples]:
    data = dataset(_run.config.data, _server.settings)
    watched: Tensor | None = _server.store.watched(run_id)
    if watched is not None and not can_watch(watched, data):
        watched = None
    trained = read_moment(_last)
    if trained.classes != data.classes or trained.input_shape != data.input_shape:
        raise DataError(f"{data.title} has changed since this run: its classes or its images are others by now.")
    return data, examples_of(data, split, trained, watched)


def layers(server: Services, run: Run, last: Moment, image: int) -> list[Stage]:
    """What each layer makes of an image at the last moment, to choose one. Raises as examples(), and InspectionError."""
    return layers_of(read_moment(last), examples(server, run, last)[1], image)


def axes(server: Services, run: Run, kept: Moments, last: Moment, parts: tuple[str, ...]) -> Axes:
    """Of the first moment and `last`, the one that all others are drawn like. Raises as examples()."""
    first = kept.kept[0]
    return _axes(server, run, run.id, split_of(run), _name(first), _name(last), first, last,
                 tuple(kind for kind in HISTOGRAMS if kind in parts))


@st.cache_resource(max_entries=8, show_spinner=False)
def _axes(_server: Services, _run: Run, run_id: str, split: str, first_name: str, last_name: str, _first: Moment, _last: Moment,
          kinds: tuple[str, ...]) -> Axes:
    return axes_of(read_moment(_last), read_moment(_first), examples(_server, _run, _last)[1], kinds)


def _name(moment: Moment) -> str:
    """What a moment is kept under in caches: another one has taken its place where its file was written again."""
    return f"{moment.step}.{moment.changed}.{moment.size}"


# --- frames

def shot(server: Services, run: Run, kept: Moments, last: Moment, moment: Moment, shown: Shown) -> Shot:
    """One moment's pictures, on the axes of `last`. Raises DataError, CheckpointError, InspectionError and ValueError with one
    line."""
    ends = f"{_name(kept.kept[0])} {_name(last)}"
    return _shot(server, run, run.id, split_of(run), _name(moment), ends, shown, kept, last, moment)


@st.cache_resource(max_entries=160, show_spinner=False, hash_funcs={Shown: lambda shown: repr(shown)})
def _shot(_server: Services, _run: Run, run_id: str, split: str, name: str, ends: str, shown: Shown, _kept: Moments,
          _last: Moment, _moment: Moment) -> Shot:
    data, asked = examples(_server, _run, _last)
    same = axes(_server, _run, _kept, _last, shown.parts)
    view = look_at(read_moment(_moment), asked, same, shown.parts, shown.image, shown.layer)
    found = panels(view, asked, same, data.classes, DARK if shown.dark else LIGHT)
    line = ""
    if view.right is not None and view.loss is not None:
        line = f"{percent(view.right)} of {len(asked.labels):,} {split} examples right · loss {number(view.loss)}"
    return Shot(line, found)


def frames(server: Services, run: Run, kept: Moments, last: Moment, steps: tuple[int, ...],
           shown: Shown) -> list[dict[str, object]]:
    """Messages for the moments of these steps, at least one and as many as there is time for. One that can't be shown says in a
    line why not. Raises DataError."""
    began, found = time.monotonic(), []
    by_step = {moment.step: moment for moment in kept.kept}
    for step in steps:
        if step not in by_step or found and time.monotonic() - began > SECONDS_PER_ANSWER:
            continue
        try:
            one = shot(server, run, kept, last, by_step[step], shown)
        except DataError:
            raise
        except UNSHOWN as error:
            one = Shot(reason(error), [])
        found.append({"step": step, "line": one.line, "panels": [asdict(panel) for panel in one.panels]})
    return found


def as_animation(server: Services, run: Run, kept: Moments, shown: Shown, kind: str) -> bytes:
    """All moments as a "gif" or "webp", but for those that can't be shown. Raises ValueError where that is none of them."""
    shots = []
    for moment in kept.kept:
        with suppress(*UNSHOWN):  # thinned meanwhile, or damaged
            one = shot(server, run, kept, kept.kept[-1], moment, shown)
            shots.append(Shot(" · ".join(part for part in (label(moment), one.line) if part), one.panels))
    return animation(shots, run.title or f"Run {run.id[:8]}", kind, DARK if shown.dark else LIGHT)
