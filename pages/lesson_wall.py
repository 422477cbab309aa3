"""Wall: how does the class train just now, on one screen for all?"""

from core.process import configure

configure("server")

import streamlit as st

from core.lessons import Lesson, LessonError, as_code, find_lesson, is_code
from pages.parts.lessons.kept import WALL
from pages.parts.shell.frame import link, open_page
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import services
from pages.parts.wall.panel import LESSONS, SECONDS, STYLE, wall_panel


def found(code: str) -> Lesson:
    """The lesson that the address names; else the page ends here, with a line."""
    try:
        if not is_code(as_code(code)):
            raise LessonError("A lesson that was made here has a wall. Open it on the page Lessons, beside the lesson's link.")
        return find_lesson(code, server.settings.runs_dir)
    except LessonError as error:
        st.title("Wall")
        st.info(as_text(str(error)), icon=":material/cast_for_education:")
        link(*LESSONS)
        st.stop()


open_page("Wall")
server = services()
asked = st.query_params.get(WALL, "")
if not server.actor.sees_all:
    st.title("Wall")
    st.info("Only the teacher can open the wall of a lesson.", icon=":material/lock:")
    link(*LESSONS)
    st.stop()
about = found(asked)
st.html(STYLE)
st.fragment(wall_panel, run_every=SECONDS)(server, as_code(asked), about)
