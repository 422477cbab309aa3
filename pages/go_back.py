"""Go back in time: what did the network know at each moment of its training?"""

from core.process import configure

configure("server")

import streamlit as st

from core.data import DataError
from core.errors import reason
from core.inspection import InspectionError
from core.runs import CheckpointError
from core.runs.moments import moments
from core.wording import plural
from pages.parts.moments.controls import choose_parts, choose_run, save_animation
from pages.parts.moments.subject import examples, runs_with_moments
from pages.parts.moments.view import moments_view
from pages.parts.runs.panel import current_run
from pages.parts.shell.frame import link, open_page, page_button
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import services

open_page("Go back in time")
server = services()
st.title("Go back in time")
asked, runs = current_run(server), runs_with_moments(server)
if not runs:
    st.info("No run has kept moments of its training yet. Train one first: it takes a few seconds, on Home. Runs on images and "
            "texts keep some by themselves.", icon=":material/model_training:")
    page_button("app.py", "To Home", ":material/home:", "moments.home")
    st.stop()
if asked and asked.id not in runs:
    why = "has kept no moment yet" if asked.is_active else "has kept no moments of its training"
    st.info(f"“{as_text(asked.title or asked.id[:8])}” {why}; here is another run.", icon=":material/info:")
row = st.container(horizontal=True, vertical_alignment="bottom")
with row:
    run = choose_run(runs)
kept = moments(server.store, run.id)
if not kept.kept:
    st.warning("What this run has kept is damaged. Train it again.", icon=":material/broken_image:")
    st.stop()
try:
    data, asked_about = examples(server, run, kept.kept[-1])
    with row:
        shown = choose_parts(server, run, kept, data, asked_about)
    if kept.damaged:
        st.caption(f"{plural(kept.damaged, 'moment')} can't be read and {'is' if kept.damaged == 1 else 'are'} left out.")
    moments_view(server, run, shown)
    save_animation(server, run, shown)
except DataError as error:
    st.warning(as_text(str(error)), icon=":material/cloud_download:")
    link("pages/explore_data.py", "Get the images on the page “Explore data”", ":material/grid_view:")
except (CheckpointError, InspectionError, ValueError, RuntimeError) as error:
    st.error(as_text(reason(error)), icon=":material/broken_image:")
