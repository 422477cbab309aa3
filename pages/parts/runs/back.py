"""The way from a run to the moments of its training that it has kept."""

from contextlib import suppress

import streamlit as st

from core.runs import RunNotFound
from core.runs.moments import has_moments
from pages.parts.shell import lesson
from pages.parts.shell.frame import go_to, select_run
from pages.parts.shell.services import Services


def back_in_time(server: Services, run_id: str, key: str, tertiary: bool = False) -> None:
    """A button, where there is something to go back to."""
    with suppress(RunNotFound):
        if lesson.shows("pages/go_back.py") and has_moments(server.store, run_id) and st.button(
                "Go back in time", icon=":material/history:", key=key, type="tertiary" if tertiary else "secondary",
                help="What the network knew at each moment of its training."):
            select_run(run_id)
            go_to("pages/go_back.py")
