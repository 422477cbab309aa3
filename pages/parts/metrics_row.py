"""Numbers in a row, as several pages show them."""

import streamlit as st


def figures(named: dict[str, tuple[str, str | None]]) -> None:
    """Numbers in a row that wraps on a phone: label → (value, help)."""
    with st.container(horizontal=True, gap="medium"):
        for label, (value, about) in named.items():
            st.metric(label, value, help=about, width="content")
