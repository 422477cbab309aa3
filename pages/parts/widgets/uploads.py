"""Files that visitors have uploaded."""

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.shell.streamlit_private import script_context

if TYPE_CHECKING:
    from pages.parts.shell.streamlit_private import UploadedFile


def free(file: "UploadedFile") -> None:
    """Give up Streamlit's hold of an upload, so that its memory is free as soon as ours is gone. Streamlit keeps it until the
    session is over, also when its widget is gone: three archives of 97 MB took 290 MB. It has no public way to that, so where a
    version of Streamlit has not this one, the memory stays."""
    with suppress(AttributeError, TypeError):
        if (context := script_context()) is not None:
            context.uploaded_file_mgr.remove_file(context.session_id, file.file_id)


@st.cache_resource(show_spinner=False)
def weights_turn() -> threading.Lock:
    """Taken while a file of weights is read: it is in memory more than once meanwhile, and a class uploads at the same time."""
    return threading.Lock()
