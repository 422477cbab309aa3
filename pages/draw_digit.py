"""Draw a digit: does the network recognise my handwriting, and what does it see?"""

from core.process import configure

configure("server")

import io

import numpy as np
import streamlit as st
from PIL import Image

from core.data.drawing import Drawing, DrawingError, prepare
from core.data.drawing.sheet import marks_in
from core.runs import Run
from pages.parts.draw.answers import Answer, Asked, answer_of, ask, choose, show_answer, side_by_side, usable_runs
from pages.parts.draw.robustness import robustness_section
from pages.parts.draw.stages import stages
from pages.parts.draw.teach import keep_section, teach_section
from pages.parts.draw.upload import photographed, uploaded
from pages.parts.draw.weights import told_of_upload, upload_weights
from pages.parts.explain.section import why_section
from pages.parts.runs.panel import current_run
from pages.parts.shell import keys
from pages.parts.shell.frame import go_to, open_page
from pages.parts.shell.services import Services, services
from pages.parts.widgets.canvas import canvas
from pages.parts.widgets.markdown import as_text

WHY = "Why this answer"
SOURCES = {"Draw": (":material/draw:", canvas), "Upload": (":material/upload_file:", uploaded),
           "Camera": (":material/photo_camera:", photographed)}
TO_DO = {"Draw": "Draw on the white square with mouse, pen or finger.", "Upload": "Choose a picture of one digit.",
         "Camera": "Photograph one digit."}


def why(models: list[Asked], drawing: Drawing) -> None:
    """Which pixels speak for the first model's answer, and what would change it."""
    first = models[0]
    if first.model is not None and not first.problem:
        why_section(first.model, drawing.image, "draw.why", None, first.run.id)


SECTIONS = {"What the network sees": lambda models, drawing: stages(models[0], drawing),
            "Move, turn, stretch it": robustness_section, WHY: why}


def picture() -> np.ndarray | None:
    """What is to be recognised, (H, W, 4) uint8, from the canvas or a file; None while there is nothing."""
    source = st.segmented_control("Where from", list(SOURCES), default="Draw", required=True, key="draw.source",
                                  format_func=lambda name: f"{SOURCES[name][0]} {name}", persist_state="session",
                                  label_visibility="collapsed")
    return SOURCES[source][1]()


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


def several(drawing: Drawing, pixels: np.ndarray) -> None:
    """Leads a drawing of several digits to where they are read one by one."""
    if (count := marks_in(drawing)) < 2:
        return
    st.info(f"There are {count} marks in this picture, and here it is read as one digit.", icon=":material/document_scanner:")
    if st.button("Read them one by one", icon=":material/document_scanner:", key="draw.sheet"):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="PNG")
        st.session_state[keys.SHEET_BROUGHT] = "The picture from Draw a digit.", file.getvalue()
        go_to("pages/read_sheet.py")


def first_answer(first: Asked, said: Answer | None, drawing: Drawing | None) -> None:
    """What the first model says, or what to do."""
    if first.model is None:
        st.error(as_text(first.problem), icon=":material/broken_image:")
    elif first.problem:
        st.warning(as_text(first.problem), icon=":material/block:")
    elif drawing is None:
        st.info(f"{TO_DO[st.session_state['draw.source']]} This model answers with one of: "
                f"{as_text(', '.join(first.model.classes))}.",
                icon=":material/draw:")
    elif said is None:
        source = st.session_state["draw.source"]
        why = "all of it has the same colour" if source == "Draw" else "no ink stands out from the paper"
        st.info(f"Nothing to see yet: {why}. {TO_DO[source]}", icon=":material/draw:")
    else:
        show_answer(first, said)


@st.fragment
def studio(server: Services, runs: dict[str, Run], chosen: list[str]) -> None:
    """Canvas, answers and what is below: all that a stroke changes, and nothing else is run again then."""
    models = [ask(server, runs, run_id) for run_id in chosen]
    left, right = st.columns([1, 1.4], gap="medium")
    st.session_state[keys.DRAW_NOW] = None
    with left:
        pixels = picture()
        drawing = drawn(pixels)
    blank = drawing is None or drawing.empty
    said = [None if drawing is None or drawing.empty else answer_of(asked, drawing) for asked in models]
    with right:
        if drawing is not None and pixels is not None and not drawing.empty:
            several(drawing, pixels)
        first_answer(models[0], said[0], drawing)
        if models[0].model is not None and not models[0].problem:
            keep_section(models[0].model)
    if blank:
        return
    if len(models) > 1:
        st.subheader("All models side by side")
        side_by_side(models, said)
    section = st.segmented_control("Section", list(SECTIONS), default=next(iter(SECTIONS)), required=True, key="draw.section",
                                   bind="query-params", label_visibility="collapsed")
    if section != WHY:  # which has a heading of its own
        st.subheader(section)
    SECTIONS[section](models, drawing)


open_page("Draw a digit")
server = services()
st.title("Draw a digit")
current_run(server)  # an address of no run is said to be one
runs = usable_runs(server)
if not runs:
    st.info("There is no trained model yet. Train one first: it takes a few seconds, on Home.", icon=":material/model_training:")
    upload_weights(server)
    if st.button("To Home", icon=":material/home:", key="draw.home"):
        go_to("app.py")
    st.stop()
told_of_upload()
chosen = choose(runs)
studio(server, runs, chosen)
teach_section(server, runs[chosen[0]])
st.divider()
upload_weights(server)
