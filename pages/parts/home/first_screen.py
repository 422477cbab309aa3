"""Home's first screen: a sheet to draw on, what a network says to the drawing, and a training that is played beside it."""

from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import streamlit as st
from torch import Tensor

from core.config import DataConfig, RunConfig
from core.data import DataError, spec_of
from core.data.drawing import Drawing, DrawingError, prepare
from core.data.sources import kind_of
from core.presets import PRESETS, title_of
from core.runs import Run, RunNotFound
from pages.parts.draft.draft import first_preset
from pages.parts.explain.section import why_section
from pages.parts.home.answering import Answering, answering, blank, said, thumbnail
from pages.parts.home.show import show
from pages.parts.home.watching import Watched, offered_image, played, recording, watched_of
from pages.parts.runs.control import stop, try_to
from pages.parts.runs.start import start
from pages.parts.runs.words import before_it
from pages.parts.shell import keys, lesson
from pages.parts.shell.frame import device, go_to
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset
from pages.parts.widgets.canvas import canvas, new_sheet

STYLE = (Path(__file__).parent / "home.css").read_text(encoding="utf-8")
REST = 430, 570  # pixels of the screen's height for what is not the sheet, on a desktop and on a phone
SECONDS_BETWEEN = 0.3  # between two looks at the store while it trains
ASKED, TESTED = "home.asked", "home.tested"  # the browser has no recording; how many test images were shown
BETTER = ("digits-quick", "mnist-mlp-50", "mnist-cnn-fast", "mnist-handwriting")  # one after the other, each reads more


def first_screen(server: Services, run: Run | None) -> bool:
    """The sheet, the answer and the picture, then the buttons. Returns whether the run is shown here."""
    watched = None if run is None else watched_of(server, run)
    shown = run if watched is not None else None
    moving = shown is not None and shown.is_active
    st.fragment(lambda: _panel(server, shown, watched), run_every=SECONDS_BETWEEN if moving else None)()
    _buttons(server, shown, watched)
    return shown is not None


def _panel(server: Services, run: Run | None, watched: Watched | None) -> None:
    """All that a stroke or a look changes; nothing else is run again then."""
    try:
        now = None if run is None else server.store.get(run.id)
    except RunNotFound:
        st.rerun()  # somebody has deleted it
    left, right = st.columns([1, 1.1], gap="medium")
    with left:
        drawing = _drawn()
    with right:
        show(_content(server, now, watched, drawing), "home.show")
    if run is not None and now is not None and (now.status, now.pause_requested) != (run.status, run.pause_requested):
        st.rerun()  # the buttons are others now


def _drawn() -> Drawing | None:
    """What is on the sheet, in MNIST's form; None where there is nothing."""
    pixels, drawing = canvas(live=True, rest=REST, plain=True), None
    st.session_state[keys.DRAW_NOW] = None
    try:
        drawing = None if pixels is None else prepare(pixels)
    except DrawingError as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
    if drawing is None or drawing.empty:
        return None
    st.session_state[keys.DRAWING] = st.session_state[keys.DRAW_NOW] = drawing.image
    st.session_state.pop(keys.HOME_IMAGE, None)
    return drawing


def _content(server: Services, run: Run | None, watched: Watched | None, drawing: Drawing | None) -> dict[str, Any]:
    """What the component is to show."""
    if run is not None and watched is not None and run.is_active:
        play = played(server, run, watched)
        bars = blank(watched.classes, *_waiting(server, run)) | {"played": play is not None}
        source = _stands_in(server, run, watched.test) if watched.test else _drawing_of(run)
        return {"classes": watched.classes, "bars": bars | thumbnail(watched.image, source), "source": source, "play": play,
                "waiting": True, "missing": ""}
    who = answering(server, run)
    bars, source = _answer(server, run, watched, drawing, who)
    play, missing = None if run is None or watched is None else played(server, run, watched), ""
    if play is None and (drawing is None or st.session_state.pop(ASKED, False)):
        found = recording()
        play, missing = (None, found) if isinstance(found, str) else (found, "")
    return {"classes": who.classes, "bars": bars | {"played": False}, "source": source, "play": play, "waiting": False,
            "missing": missing}


def _answer(server: Services, run: Run | None, watched: Watched | None, drawing: Drawing | None,
            who: Answering) -> tuple[dict[str, Any], str]:
    """The bars and the line below them, where no training moves them."""
    if who.model is None:
        return blank(who.classes, "Draw a digit", "Train a network of your own, and it answers."), who.about
    if drawing is not None:
        return said(who, drawing.image, drawing), who.about
    chosen = st.session_state.get(keys.HOME_IMAGE)
    if chosen is not None:
        image, about = chosen
        return said(who, image) | thumbnail(image, about), f"{about} {who.about}"
    if run is not None and watched is not None and who.own and st.session_state.get(keys.HOME_AGAIN) != run.id:
        about = _stands_in(server, run, watched.test) if watched.test else f"{_whose(run)} drawing."
        return said(who, watched.image) | thumbnail(watched.image, about), who.about
    return blank(who.classes, "Draw a digit", "The answer comes with the first stroke."), who.about


def _stands_in(server: Services, run: Run, name: str) -> str:
    return f"Nothing was drawn, so a test image of {dataset(run.config.data, server.settings).title} takes its place: {name}."


def _drawing_of(run: Run) -> str:
    """What is said of the drawing that a run is watched with."""
    if run.status == "queued":
        return f"{_whose(run)} drawing; the training has not begun."
    return f"{_whose(run)} drawing, as it was when the training began. It does not learn from it."


def _whose(run: Run) -> str:
    return "Your" if run.owner == st.session_state[keys.OWNER] else "The"


def _waiting(server: Services, run: Run) -> tuple[str, str]:
    """What is said before the first look."""
    if run.status == "queued" and server.engine.trouble:
        return "In the queue", server.engine.trouble
    if run.status == "queued":
        before = server.store.queue_position(run.id)
        return ("In the queue", f"{before_it(server.store, run, before)}.") if before else ("Starting", "It begins in a moment.")
    return "Getting ready", "The data are read, and the network is made."


# --- buttons

def _buttons(server: Services, run: Run | None, watched: Watched | None) -> None:
    """What can be done now: always one row, and two on a phone."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="home.buttons"):
        if run is not None and run.is_active:
            _while_training(server, run)
        elif run is not None and watched is not None and answering(server, run).own:
            _afterwards(server, run, watched)
        else:
            _before(server, run)


def _before(server: Services, run: Run | None) -> None:
    """run: it has ended, and has no network that could answer."""
    config = begin_with(server)
    if st.button("Train my own", type="primary", icon=":material/play_arrow:", key="home.train"):
        _train(server, config)
    if run is not None:
        _again(server, run)
    _test_image_button(server, config.data)
    where = "the cluster" if server.settings.cluster else f"this machine's {device()}"
    st.caption(f"{as_text(title_of(config, server.settings.data_dir))}, on {where}.")


def begin_with(server: Services) -> RunConfig:
    """What a newcomer trains: in a lesson what that starts from, where it is of images."""
    now = lesson.taken()
    config = PRESETS[first_preset(server.settings)].config if now is None else lesson.start_of(now)
    return config if kind_of(config.data.dataset) == "images" else PRESETS[first_preset(server.settings)].config


def _while_training(server: Services, run: Run) -> None:
    # words first: no button where the pointer still is, which a second click would press
    whose = "" if server.may_change(run) else " It is somebody else's."
    st.caption(f"{as_text(run.title) or 'This network'} is learning.{whose}", width=210)
    mine = server.may_change(run)
    if mine and st.button("Stop", icon=":material/stop:", key="run.stop"):
        try_to(lambda: stop(server, run))
    if mine and run.pause_requested is not None and st.button("Go on", icon=":material/play_arrow:", key="home.go_on"):
        try_to(lambda: server.engine.pause(run.id, False))
    if lesson.shows("pages/train_model.py") and st.button(
            "All its curves", icon=":material/show_chart:", key="home.curves", type="tertiary"):
        go_to("pages/train_model.py")


def _afterwards(server: Services, run: Run, watched: Watched) -> None:
    image = _image_now(run, watched)
    if st.button("Draw another", icon=":material/draw:", type="primary", key="home.again"):
        _put_away(run)
        st.rerun()
    # never disabled: a stroke draws the sheet and its answer anew, and not these
    why = st.button("Why?", icon=":material/psychology_alt:", key="home.why")
    inside = lesson.shows("pages/build_model.py") and st.button(
        "Look inside", icon=":material/footprint:", key="home.inside",
        help="Opens Build model, where every layer's maps of this image are shown, one after the other.")
    if (why or inside) and image is None:
        st.toast("Draw a digit first.", icon=":material/draw:")
    elif why and image is not None:
        _why(server, run, image)
    elif inside:
        st.session_state[keys.BROUGHT], st.session_state[keys.LOOK] = image, keys.LOOK_WALK
        st.session_state[keys.SCROLL_TO_WALK] = uuid4().hex
        go_to("pages/build_model.py")
    if lesson.taken() is None:
        _better(server, run)
    else:
        _again(server, run)
    same = any(entry.config == run.config for entry in PRESETS.values())
    _test_image_button(server, run.config.data if same else begin_with(server).data)


def _better(server: Services, run: Run) -> None:
    """The next preset that is there, or the same one again and the way to the next one's data."""
    place = next((place for place, name in enumerate(BETTER) if PRESETS[name].config == run.config), -1)
    later = BETTER[place + 1:]
    here = [name for name in later if spec_of(PRESETS[name].config.data.dataset).is_available(server.settings.data_dir)]
    if not here or run.status == "stopped":
        _again(server, run)
    if here:
        if st.button("Train a better one", icon=":material/play_arrow:", key="home.better", help=PRESETS[here[0]].summary):
            _train(server, PRESETS[here[0]].config, run)
    elif later and st.button("Better with MNIST", icon=":material/cloud_download:", key="home.better_data",
                              help="Opens Explore data, where MNIST is downloaded: 60,000 images to learn from."):
        st.session_state[keys.EXPLORED] = PRESETS[later[0]].config.data.dataset
        go_to("pages/explore_data.py")


def _again(server: Services, run: Run) -> None:
    """The same once more: with what is drawn now, or with the image that it was watched with."""
    if st.button("Train again", icon=":material/replay:", key="home.train_again",
                 help="The same settings from the same first weights, watched with what is on the sheet now."):
        _train(server, run.config, run)


def _train(server: Services, config: RunConfig, before: Run | None = None) -> None:
    """Start a run, watched with what is on the sheet, or what stands there in its place."""
    image = st.session_state.get(keys.DRAW_NOW)
    chosen = st.session_state.get(keys.HOME_IMAGE)
    if image is None and chosen is not None:
        image = chosen[0]
    if image is None and before is not None and (again := watched_of(server, before)) is not None \
            and st.session_state.get(keys.HOME_AGAIN) != before.id:
        image = again.image
    if image is None:
        with suppress(DataError):  # the run says what is wrong with the data
            image, _ = offered_image(server, config.data, st.session_state.get(TESTED, 0))
    start(server, config, watch=None if image is None else image[None])
    st.rerun()


def _test_image_button(server: Services, data: DataConfig) -> None:
    """The way on for who can't draw, and to see what it says to a digit that somebody else has written."""
    if not st.button("Try a test image", icon=":material/image_search:", key="home.test_image", type="tertiary"):
        return
    place = st.session_state.get(TESTED, 0)
    try:
        image, digit = offered_image(server, data, place)
    except DataError as error:
        st.warning(as_text(str(error)), icon=":material/broken_image:")
        return
    st.session_state[TESTED] = place + 1
    st.session_state[keys.HOME_IMAGE] = image, f"A test image of {spec_of(data.dataset).title}: {digit}."
    new_sheet()
    st.rerun()


def _image_now(run: Run, watched: Watched) -> Tensor | None:
    """What the answer on the screen is about."""
    if (drawn := st.session_state.get(keys.DRAW_NOW)) is not None:
        return drawn
    if (chosen := st.session_state.get(keys.HOME_IMAGE)) is not None:
        return chosen[0]
    return None if st.session_state.get(keys.HOME_AGAIN) == run.id else watched.image


def _put_away(run: Run) -> None:
    st.session_state[keys.HOME_AGAIN] = run.id
    st.session_state.pop(keys.HOME_IMAGE, None)
    new_sheet()


@st.dialog("Why?", width="large")
def _why(server: Services, run: Run, image: Tensor) -> None:
    who = answering(server, run)
    if who.model is None:
        return
    try:
        train = dataset(who.model.config.data, server.settings)
    except DataError:
        train = None  # the section says that they are not here
    why_section(who.model, image, "home.why", train, run.id, opened=True)
