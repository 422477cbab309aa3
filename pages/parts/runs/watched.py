"""A drawing that a run is watched with: the choice before it, and how its answer forms while the network learns."""

import streamlit as st
from torch import Tensor

from core.config import RunConfig
from core.data import DataError
from core.figures.pictures import data_uri
from core.runs import Look, Run, WatchError
from core.runs.looks import check_suits
from core.wording import duration, surely_before
from pages.parts.shell import keys
from pages.parts.shell.services import Services, dataset
from pages.parts.widgets.quick_bars import bars

WATCH = "watch"  # the kind of looks
THUMBNAIL = 28  # pixels of an image's side on the page, doubled


def watch_choice(server: Services, config: RunConfig) -> Tensor | None:
    """Whether to watch this session's last drawing while the run learns: (1, C, H, W), or None. Nothing is shown where there
    is no drawing, or one that such a run can't look at."""
    if (images := watchable(server, config)) is None:
        return None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.image(data_uri((images[0] * 255).byte()), width=2 * THUMBNAIL, alt="Your last drawing")
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


def watched_section(server: Services, run: Run) -> None:
    """The watched drawing and what the network says to it: as it is while the run goes, and at any look afterwards."""
    if not (looks := _looks(server, run)) or (images := server.store.watched(run.id)) is None:
        return
    try:
        classes = dataset(run.config.data, server.settings).classes
    except DataError:
        return  # the data are no longer here
    if len(classes) != looks[-1].arrays["watched"].shape[1]:
        return  # or no longer what they were
    look = looks[-1]
    if not run.is_active and len(looks) > 1:
        place = st.select_slider("How the answer to the drawing formed", range(len(looks)), len(looks) - 1,
                                 format_func=lambda index: _when(looks[index]), key=f"panel.look.{run.id}")
        look = looks[place]
    for index, image in enumerate(images):
        probabilities = look.arrays["watched"][index].tolist()
        best, second = sorted(range(len(classes)), key=lambda label: -probabilities[label])[:2]
        sure = surely_before(probabilities[best], classes[second], probabilities[second])
        picture, answer = st.columns([1, 3])
        picture.image(data_uri((image * 255).byte()), width=5 * THUMBNAIL, alt="The watched drawing")
        picture.caption(_when(look))
        with answer:
            bars(classes, probabilities, f"panel.watched.{index}", title=f"It says: {classes[best]}",
                 line=f"{sure[0].upper()}{sure[1:]}.")


def _looks(server: Services, run: Run) -> list[Look]:
    """All looks of the run so far. A page that draws itself anew each second reads only what has come since."""
    known_id, known = st.session_state.get(keys.LOOKS) or ("", [])
    if known_id != run.id or (known and known[-1].step > run.step):  # another run, or one that went on from an earlier step
        known = []
    known = known + server.store.looks(run.id, WATCH, known[-1].step if known else -1)
    st.session_state[keys.LOOKS] = run.id, known
    return known


def _when(look: Look) -> str:
    return f"step {look.step:,} · {duration(look.seconds)}"
