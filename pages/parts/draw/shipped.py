"""The trained network that comes with the app: who answers a drawing before anybody has trained."""

import streamlit as st

from core.data.drawing import Drawing, DrawingError, prepare
from core.evaluation.ood.score import OODReference
from core.runs.shipped import ShippedError, ShippedModel, first_judge, first_model
from core.wording import plural
from pages.parts.draw.answers import said_by, show_answer
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.widgets.canvas import canvas

TO_DO = "Draw a digit on the white square with mouse, pen, finger or keys."


@st.cache_resource(show_spinner=False)
def shipped() -> ShippedModel | str:
    """The network, or one line that says why it can't be had."""
    try:
        return first_model()
    except ShippedError as error:
        return str(error)


@st.cache_resource(show_spinner=False)
def shipped_judge() -> OODReference | None:
    """What tells digits from other marks beside it; None where that can't be had: then every drawing is answered."""
    model = shipped()
    try:
        return None if isinstance(model, str) else first_judge(model)
    except ShippedError:
        return None


def about_shipped(model: ShippedModel) -> str:
    """What it learned from, as a sentence."""
    copies = model.config.data.variations
    varied = f" and {plural(copies, 'varied copy', 'varied copies')} of each" if copies else ""
    return f"The network that answers was trained on {plural(model.images, 'digit')}{varied}; it may be wrong."


@st.fragment
def shipped_studio(rest: tuple[int, int]) -> None:
    """A sheet to draw on and what the shipped network says. rest: see canvas()."""
    model = shipped()
    if isinstance(model, str):
        st.warning(as_text(model), icon=":material/broken_image:")
        return
    left, right = st.columns([1, 1.3], gap="medium")  # the answer first: on a phone it stands above the sheet
    with right:
        drawing = _drawn(rest)
    said = None if drawing is None or drawing.empty else said_by(model, shipped_judge(), drawing.image, drawing.solid)
    with left:
        show_answer(model.classes, said, TO_DO)
        st.caption(about_shipped(model))


def _drawn(rest: tuple[int, int]) -> Drawing | None:
    pixels = canvas(live=True, rest=rest)
    try:
        drawing = None if pixels is None else prepare(pixels)
    except DrawingError as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return None
    if drawing is not None and not drawing.empty:
        st.session_state[keys.DRAWING] = drawing.image
    return drawing
