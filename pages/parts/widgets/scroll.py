"""A place on a page that another page can open at. Addresses of pages have no anchors that a server could set."""

from pathlib import Path

import streamlit as st

_place = st.components.v2.component("scroll_place", html="<div></div>",  # pyright: ignore[reportAttributeAccessIssue]
                                    js=(Path(__file__).parent / "scroll.js").read_text(encoding="utf-8"))


def place_to_scroll_to(key: str, token: str) -> None:
    """Bring this place to the top of the window, once for each token; "" leaves the page where it is."""
    _place(key=key, data={"token": token}, height=1)
