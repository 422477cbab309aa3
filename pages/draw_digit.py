"""Draw a digit: does the network recognise my handwriting, and what does it see?"""

from core.process import configure

configure("server")

import io

import numpy as np
import streamlit as st
from PIL import Image
from torch import Tensor

from core.data import DataError
from core.data.drawing import Drawing, DrawingError, prepare
from core.data.drawing.as_kept import DRAWING_SHAPE
from core.data.drawing.sheet import marks_in
from core.runs import Run
from core.wording import drawn_thing, in_letters
from pages.parts.draw.answers import (
    Answer,
    Asked,
    answer_of,
    ask,
    choose,
    choose_others,
    explain_unlike,
    show_answer,
    side_by_side,
)
from pages.parts.draw.prepared import answer_to_prepared, brought, image_for, stages_of_prepared
from pages.parts.draw.robustness import robustness_section
from pages.parts.draw.shipped import shipped_studio
from pages.parts.draw.stages import stages
from pages.parts.draw.teach import keep_section, said_class, source_classes, teach_section, told_of_kept
from pages.parts.draw.upload import Given, photographed, uploaded
from pages.parts.draw.watch import watch_button
from pages.parts.draw.weights import told_of_upload, upload_weights
from pages.parts.explain.section import why_section
from pages.parts.runs.panel import current_run
from pages.parts.runs.usable import picture_runs
from pages.parts.shell import keys, lesson
from pages.parts.shell.frame import go_to, open_page
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset, services
from pages.parts.widgets.address import keep_choice, take_choice
from pages.parts.widgets.canvas import canvas

WHY = "Why this answer"
TEACH, WEIGHTS = "Teach it", "Bring weights"  # parts that a lesson may leave out
REST = 420, 586  # pixels of the screen's height for what is not the sheet, on a desktop and on a phone
# on a phone all that a drawing needs is one screen: the answer, the sheet and what it is kept as
STYLE = """@media (max-width: 640px) {
  .stMain h1 { font-size: 1.45rem; line-height: 1.4; padding: 0 0 0.6rem; }
  .stMain [data-testid="stVerticalBlock"], .stMain [data-testid="stHorizontalBlock"] { gap: 0.5rem; }
  .st-key-draw-keep [data-testid="stButtonGroup"] > * { gap: 0.2rem; flex-wrap: wrap; }
  .st-key-draw-keep [data-testid="stButtonGroup"] button { padding-inline: 0.7rem; }
}"""
SLOW = {"Move, turn, stretch it", WHY}  # sections that take longer than a stroke may wait: they follow when the pen is lifted
SOURCE = "draw.source"  # in the address
SOURCES = {"Draw": ":material/draw:", "Upload": ":material/upload_file:", "Camera": ":material/photo_camera:"}
TO_DO = {"Draw": "Draw on the white square with mouse, pen, finger or keys.", "Upload": "Choose a picture of one {}.",
         "Camera": "Photograph one {}."}  # {}: digit, letter or drawing, by what the model knows
TITLES = {"digit": "Draw a digit", "letter": "Draw a letter", "drawing": "Try it"}


def why(server: Services, models: list[Asked], image: Tensor) -> None:
    """Which pixels speak for the first model's answer, and what would change it."""
    first = models[0]
    if first.model is None or first.problem:
        return
    try:
        train = dataset(first.model.config.data, server.settings)
    except DataError:
        train = None  # the section says that they are not here
    why_section(first.model, image, "draw.why", train, first.run.id, opened=True)


SEES = "What the network sees"
SECTIONS = {SEES: lambda server, models, drawing: stages(models[0], drawing),
            "Move, turn, stretch it": lambda server, models, drawing: robustness_section(models, drawing),
            WHY: lambda server, models, drawing: why(server, models, drawing.image)}


def thing_of(first: Asked) -> str:
    """What is drawn for the first model: "digit", "letter" or "drawing"."""
    return drawn_thing(source_classes(first.model)) if first.model else "drawing"


def picture(source: str, first: Asked) -> Given | None:
    """What is to be recognised, from the canvas or a file; None while there is nothing."""
    if source == "Upload":
        return uploaded(thing_of(first), first.how)
    if source == "Camera":
        return photographed(thing_of(first), first.how)
    section = st.session_state.get("draw.section", st.query_params.get("draw.section"))
    pixels = canvas(live=section not in SLOW, rest=REST)
    return None if pixels is None else Given(b"", pixels)


def drawn(pixels: np.ndarray | None) -> Drawing | None:
    """The picture brought to MNIST's form; None where there is nothing on it."""
    if pixels is None:
        return None
    try:
        drawing = prepare(pixels)
    except DrawingError as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return None
    if not drawing.empty:
        st.session_state[keys.DRAWING] = st.session_state[keys.DRAW_NOW] = drawing.image
    return drawing


def several(drawing: Drawing, pixels: np.ndarray, thing: str) -> None:
    """Leads a drawing of several digits or letters to where they are read one by one. Other things may well be of many marks."""
    if thing == "drawing" or (count := marks_in(drawing)) < 2 or not lesson.shows("pages/read_sheet.py"):
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(f"There are {in_letters(count)} marks in this picture, and here it is read as one {thing}.",
                icon=":material/document_scanner:")
        if not st.button("Read them one by one", icon=":material/document_scanner:", key="draw.sheet"):
            return
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    st.session_state[keys.SHEET_BROUGHT] = "The picture from Draw a digit.", file.getvalue()
    go_to("pages/read_sheet.py")


def first_answer(first: Asked, said: Answer | None, drawing: Drawing | None, source: str) -> None:
    """What the first model says, or what to do."""
    to_do = TO_DO[source].format(thing_of(first))
    if first.model is None:
        st.error(as_text(first.problem), icon=":material/broken_image:")
    elif first.problem:
        st.warning(as_text(first.problem), icon=":material/block:")
    elif drawing is None:
        show_answer(first.model.classes, None, to_do)
    else:
        why = "all of it has the same colour" if source == "Draw" else "no ink stands out from the paper"
        show_answer(first.model.classes, said, f"Nothing to see yet: {why}. {to_do}")


def below(first: Asked, said: Answer | None, drawing: Drawing | None, given: Given | None) -> None:
    """Under the sheet: what it was kept as, whether it is right, how familiar it is."""
    if first.model is None or first.problem:
        return
    if said is not None and given is not None:
        if drawing is not None:
            several(drawing, given.pixels, thing_of(first))
        if first.shape == DRAWING_SHAPE and lesson.parts("draw_digit", [TEACH]):
            keep_section(first.model, said_class(first.model, said.order[0]) if said.knows else None)
    told_of_kept()
    if said is not None:
        explain_unlike(first, said)


def studio(server: Services, runs: dict[str, Run], chosen: list[str], source: str) -> None:
    """Canvas, answers and what is below: all that a stroke changes, and nothing else is run again then."""
    if st.session_state.pop(keys.KEPT_CHANGED, False):
        st.rerun()  # what is taught below has changed too
    models = [ask(server, runs, run_id) for run_id in chosen]
    left, right = st.columns([1, 1.3], gap="medium")  # the answer first: on a phone it stands above the sheet
    st.session_state[keys.DRAW_NOW] = None
    as_kept = models[0].how is not None
    with right:
        given = picture(source, models[0])
        prepared = None if models[0].how is None else brought(given, models[0].how)
        drawing = drawn(None if given is None else given.pixels) if any(asked.how is None for asked in models) else None
    images = [image_for(asked, models[0], given, drawing, prepared) for asked in models]
    said = [answer_of(asked, image, drawing is not None and asked.how is None and drawing.solid)
            for asked, image in zip(models, images, strict=True)]
    with left:
        if as_kept and not models[0].problem:
            answer_to_prepared(models[0], said[0], prepared, source)
        else:
            first_answer(models[0], said[0], drawing, source)
    if as_kept and images[0] is not None and models[0].shape == DRAWING_SHAPE:
        st.session_state[keys.DRAWING] = st.session_state[keys.DRAW_NOW] = images[0]
    below(models[0], said[0], None if as_kept else drawing, given)
    if images[0] is None:
        return
    if len(models) > 1:
        st.header("All models side by side")
        side_by_side(models, said)
    if models[0].shape == DRAWING_SHAPE:
        watch_button(server, runs[chosen[0]])
    known = [SEES, WHY] if as_kept else list(SECTIONS)
    if not (offered := lesson.parts("draw_digit", known)):
        return
    if st.session_state.get("draw.section") not in offered:  # of another model, which has more of them
        st.session_state.pop("draw.section", None)
    section = st.segmented_control("Section", offered, default=offered[0], required=True, key="draw.section",
                                   bind="query-params", label_visibility="collapsed")
    if section != WHY:  # which has a heading of its own
        st.header(section)
    if prepared is None:
        SECTIONS[section](server, models, drawing)
    elif section == WHY:
        why(server, models, prepared.image)
    else:
        stages_of_prepared(models[0], prepared)


def watched(server: Services, runs: dict[str, Run], chosen: list[str], source: str) -> None:
    """The studio, drawn anew each two seconds while a training process looks at what a model learned from."""
    def panel() -> None:
        studio(server, runs, chosen, source)
        if waiting and not waits(server, runs, chosen):
            st.rerun()

    waiting = waits(server, runs, chosen)
    st.fragment(panel, run_every=2.0 if waiting else None)()


def waits(server: Services, runs: dict[str, Run], chosen: list[str]) -> bool:
    return any(ask(server, runs, run_id).waiting for run_id in chosen)


open_page("Draw a digit", STYLE)  # the page's name whatever a model knows: menu, addresses and notes call it so
server = services()
heading = st.container()
current_run(server)  # an address of no run is said to be one
runs = picture_runs(server)
if not runs:
    heading.title(TITLES["digit"])
    shipped_studio(REST)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("No network has been trained on pictures here yet. It takes a few seconds, and your drawing is watched while "
                    "it learns.")
        if lesson.shows("app.py") and st.button("Train my own on Home", icon=":material/home:", key="draw.home"):
            go_to("app.py")
    if lesson.parts("draw_digit", [WEIGHTS]):
        upload_weights(server)
    st.stop()
told_of_upload()
with st.container(horizontal=True, width=720):
    chosen = choose(runs)
    others = choose_others(runs, chosen)
heading.title(TITLES[thing_of(ask(server, runs, chosen))])
take_choice(SOURCE, SOURCES, "Draw")
source = st.segmented_control("Where from", list(SOURCES), default="Draw", required=True, key=SOURCE,
                              format_func=lambda name: f"{SOURCES[name]} {name}", persist_state="session",
                              label_visibility="collapsed")
keep_choice(SOURCE, source, "Draw")
watched(server, runs, [chosen, *others], source)
if lesson.parts("draw_digit", [TEACH]):
    teach_section(server, runs[chosen])
if lesson.parts("draw_digit", [WEIGHTS]):
    st.divider()
    upload_weights(server)
