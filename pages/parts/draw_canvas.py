"""Draw a digit: the canvas with its pen, eraser and undo."""

import numpy as np
import streamlit as st
from streamlit_drawable_canvas import st_canvas

from core.data.canvas import read_canvas
from core.data.drawing import DrawingError
from pages.parts import keys

CANVAS_SIZE = 280  # pixels: ten for each of the network's, and it fits a phone
PAPER, INK = "#ffffff", "#1a1a1a"
TOOLS = {"Pen": ":material/edit:", "Eraser": ":material/ink_eraser:"}


def canvas() -> np.ndarray | None:
    """The canvas and its pixels, (H, W, 4) uint8; None while nothing was drawn."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        tool = st.segmented_control("Tool", list(TOOLS), default="Pen", required=True, key="draw.tool", persist_state="session",
                                    format_func=lambda name: f"{TOOLS[name]} {name}", label_visibility="collapsed")
        st.button("Clear", icon=":material/delete:", key="draw.clear", on_click=_clear)
    width = st.slider("Brush width (pixels)", 6, 40, 20, key="draw.width", persist_state="session")
    st.space("small")  # the canvas's own tools, undo among them, appear above it
    version = st.session_state.get(keys.CANVAS_VERSION, 0)
    result = st_canvas(stroke_width=width, stroke_color=INK if tool == "Pen" else PAPER, background_color=PAPER,
                       height=CANVAS_SIZE, width=CANVAS_SIZE, drawing_mode="freedraw", update_streamlit=True,
                       return_image_data=True, key=f"{keys.CANVAS}.{version}")
    st.caption(f"{CANVAS_SIZE}×{CANVAS_SIZE} pixels. The arrows above the canvas undo and redo a stroke.")
    url = result._image_data_url  # image_data would decode a picture of any size and format
    if url is None:
        return None
    try:
        return read_canvas(url)
    except DrawingError as error:
        st.error(str(error), icon=":material/broken_image:")
        return None


def _clear() -> None:
    """A canvas under another key is a new one."""
    st.session_state[keys.CANVAS_VERSION] = st.session_state.get(keys.CANVAS_VERSION, 0) + 1
