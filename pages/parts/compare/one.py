"""What can be done with one run."""

import streamlit as st

from core.data.sources import kind_of
from core.runs import Run, has_checkpoint
from pages.parts.compare.many import name_and_note
from pages.parts.draft import draft
from pages.parts.runs.start_from import fine_tune
from pages.parts.runs.take_away import made_with, take_away
from pages.parts.runs.words import STATUS, by
from pages.parts.shell.frame import go_to, select_run
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services


def one_run(server: Services, run: Run) -> None:
    """Its name and note, and the ways from here to other pages and away."""
    st.header(as_text(run.title) or f"Run {run.id[:8]}")
    archived = " · archived" if run.archived else ""
    st.caption(f"{STATUS[run.status][0]}{': ' + as_text(run.message) if run.message else ''}{archived} · run {run.id}"
               f"{by(server.store, run)}")
    if run.note:
        st.text(run.note)
    with st.container(horizontal=True):
        if st.button("Open", icon=":material/show_chart:", key="compare.open"):
            select_run(run.id)
            go_to("pages/train_model.py")
        if st.button("Use its settings", icon=":material/tune:", key="compare.settings", help="Start a new run from this one's."):
            draft.take(run.config)
            go_to("pages/train_model.py")
        if has_checkpoint(server.store, run.id) and not run.is_active:  # while it trains, its weights change all the time
            is_of_images = kind_of(run.config.data.dataset) == "images"
            if is_of_images and st.button("Draw a digit for it", icon=":material/draw:", key="compare.draw"):
                select_run(run.id)
                go_to("pages/draw_digit.py")
        fine_tune(server, run, "compare")
        if server.may_change(run):
            name_and_note(server, run)
    take_away(server, run)
    made_with(server, run)
