"""Files that visitors upload."""

import threading

import streamlit as st


@st.cache_resource(show_spinner=False)
def weights_turn() -> threading.Lock:
    """Taken while a file of weights is read: it is in memory more than once meanwhile, and a class uploads at the same time."""
    return threading.Lock()
