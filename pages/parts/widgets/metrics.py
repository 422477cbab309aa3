"""Numbers in a row."""

from collections.abc import Mapping

import streamlit as st


def metrics_row(named: Mapping[str, tuple[str, str | None]]) -> None:
    """Numbers in a row that wraps on a phone: label → (value, help)."""
    with st.container(horizontal=True, gap="medium"):
        for label, (value, about) in named.items():
            st.metric(label, value, help=about, width="content")
