"""The camera in the corner of Compare's charts, which saves what is shown as PNG or as SVG."""

import re
from typing import Any, Literal

import streamlit as st

Format = Literal["PNG", "SVG"]
FORMATS: tuple[Format, ...] = ("PNG", "SVG")
KEY = "compare.camera"


def chart(name: str) -> dict[str, Any]:
    """How Plotly shows a chart here. name: of the file that its camera saves."""
    saved = str(st.session_state.get(KEY) or FORMATS[0]).lower()
    file = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()
    return {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d"],
            "toImageButtonOptions": {"scale": 2, "format": saved, "filename": file}}


def camera() -> None:
    """Below the charts: as what they are saved."""
    st.segmented_control("The camera in a chart's corner saves it as", FORMATS, default=FORMATS[0], required=True, key=KEY,
                         persist_state="session", help="PNG is a picture of pixels, for slides and messages. SVG is made of "
                         "lines and letters: sharp at any size, for print and for drawing programs.")
