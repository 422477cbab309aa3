"""Home: what is this, and how do I see a network learn what I have drawn?"""

from core.process import configure

configure("server")

import streamlit as st

from core.data import DataError
from core.runs import StoreError
from pages.parts.home.below import more, recent, steps
from pages.parts.home.first_screen import STYLE, begin_with, first_screen
from pages.parts.runs.panel import current_run
from pages.parts.shell import lesson
from pages.parts.shell.frame import open_page
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import dataset, services

open_page("Home", STYLE)
server = services()
whole = lesson.taken() is None  # a lesson shows the first screen alone
try:
    with st.container(key="home.first"):
        st.title("See a neural network learn")
        run = current_run(server)
        shown = first_screen(server, run)
        if whole:
            steps()
    if whole:
        recent(server, run, shown)
        more(server)
    dataset(begin_with(server).data, server.settings)  # read by the time that somebody trains
except StoreError as error:
    st.error(as_text(str(error)), icon=":material/folder_off:")
except DataError as error:
    st.warning(as_text(str(error)), icon=":material/broken_image:")
