"""A drawing that a run is watched with: the choice before it, and how its answer forms while the network learns."""

from collections.abc import Sequence

import streamlit as st
import torch
from torch import Tensor

from core.config import RunConfig
from core.data import DataError
from core.figures.learning import tinted
from core.figures.pictures import data_uri, to_bytes
from core.runs import Look, Run, Snapshot, WatchError
from core.runs.looks import check_suits
from core.runs.recorder import PREDICTIONS
from core.training.watchers import WATCH
from core.wording import duration, surely_before
from pages.parts.runs.charts import example_answers
from pages.parts.shell import keys
from pages.parts.shell.frame import is_dark
from pages.parts.shell.services import Services, dataset
from pages.parts.widgets.pictures import picture_grid
from pages.parts.widgets.quick_bars import bars

THUMBNAIL = 28  # pixels of an image's side on the page, doubled


def watch_choice(server: Services, config: RunConfig) -> Tensor | None:
    """Whether to watch this session's last drawing while the run learns: (1, C, H, W), or None. Nothing is shown where there
    is no drawing, or one that such a run can't look at."""
    if (images := watchable(server, config)) is None:
        return None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.image(data_uri(to_bytes(images[0])), width=2 * THUMBNAIL, alt="Your last drawing")
        wanted = st.checkbox("Watch this drawing", value=True, key="train.watch",
                             help="The network is asked about it again and again while it learns. That changes nothing in its "
                             "training.")
    return images if wanted else None


def watchable(server: Services, config: RunConfig) -> Tensor | None:
    """This session's last drawing as (1, C, H, W), where there is one and such a run can look at it."""
    drawing = st.session_state.get(keys.DRAWING)
    try:
        if drawing is not None:
            check_suits(drawing[None], config.data, server.settings.data_dir)
    except WatchError:
        return None
    return None if drawing is None else drawing[None]


def watched_section(server: Services, run: Run) -> bool:
    """The watched drawing and what the network says to it, the ten examples and the first filters: as they are while the run
    goes, and at any look while it is paused and afterwards. Returns whether there is anything of that to see."""
    times = server.store.look_times(run.id, WATCH)
    if not times or (images := server.store.watched(run.id)) is None:
        return False
    try:
        classes = dataset(run.config.data, server.settings).classes
    except DataError:
        return False  # the data are no longer here
    step = _chosen(run, times)
    look = next(iter(server.store.looks(run.id, WATCH, step - 1, 1)), None)
    if look is None or len(classes) != look.arrays["watched"].shape[1]:
        return False  # damaged, or the classes are no longer what they were
    for index, image in enumerate(to_bytes(images)):
        picture, answer = st.columns([1, 3])
        picture.image(data_uri(image), width=5 * THUMBNAIL, alt="The watched drawing")
        picture.caption(_when(step, times))
        with answer:
            _answer(classes, look.arrays["watched"][index].tolist(), f"panel.watched.{index}")
    _filters(look)
    example_answers(server, run, {PREDICTIONS: _as_snapshot(look)})
    return True


def _chosen(run: Run, times: dict[int, float]) -> int:
    """The step of the look to show. While the run goes the newest: a slider that grows each second can't be held."""
    steps = list(times)
    going = run.is_active and not (run.status == "running" and run.pause_requested is not None)
    if going or len(steps) < 2:
        return steps[-1]
    return st.select_slider("How the answers formed", steps, steps[-1], format_func=lambda step: _when(step, times),
                            key=f"panel.look.{run.id}.{len(steps)}.{steps[-1]}",
                            help="Each place is a look at the network while it learned, from before its first step on.")


def _answer(classes: Sequence[str], probabilities: list[float], key: str) -> None:
    best, second = sorted(range(len(classes)), key=lambda label: -probabilities[label])[:2]
    sure = surely_before(probabilities[best], classes[second], probabilities[second])
    bars(classes, probabilities, key, title=f"It says: {classes[best]}", line=f"{sure[0].upper()}{sure[1:]}.")


def _filters(look: Look) -> None:
    filters = look.arrays["filters"]
    if filters.size:
        st.caption("What its first layer looks for: blue where a weight is positive, orange where it is negative.")
        colours = torch.from_numpy(tinted(filters, dark=is_dark()))
        picture_grid(colours, "panel.filters", "Weights of the first layer's first units", smallest=40, pick=False)


def _as_snapshot(look: Look) -> Snapshot:
    """The answers to the examples in the form in which a run keeps its newest ones."""
    answers = look.arrays["examples"]
    return Snapshot(PREDICTIONS, look.step, {
        "epoch": look.epoch, "positions": look.arrays["positions"].tolist(), "labels": look.arrays["labels"].tolist(),
        "answers": answers.argmax(1).tolist(), "probabilities": answers.max(1).tolist()})


def _when(step: int, times: dict[int, float]) -> str:
    return f"step {step:,} · {duration(times[step])}"
