"""Lessons: which lesson do I take, and how do I make one for a class?"""

from core.process import configure

configure("server")

import streamlit as st

from core.lessons import Lesson, LessonError, as_code, find_lesson, shipped_lessons
from core.lessons.class_lesson import CLASS_LESSON
from core.wording import plural
from pages.parts.lessons.kept import kept_section
from pages.parts.lessons.make import make_section
from pages.parts.shell import keys
from pages.parts.shell.frame import open_page
from pages.parts.shell.lesson_bar import go_to_step
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import services
from pages.parts.widgets.offers import Offer, choose_offer


@st.cache_resource(show_spinner=False)
def shipped() -> dict[str, Lesson]:
    """The lessons that come with the app."""
    return shipped_lessons()


def begin(code: str) -> None:
    """Open a lesson's first step, without the run that was looked at before."""
    st.session_state[keys.RUN] = None  # the address follows with the page: select_run would add a step to the way back
    go_to_step(1, code)


def code_field() -> None:
    """For a code that somebody has been given."""
    with st.form("lesson.code", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        typed = st.text_input("Code of a lesson", max_chars=60, width=220, key="lesson.typed",
                              help="Six letters and digits, such as K7M2XQ.")
        asked = st.form_submit_button("Open it", icon=":material/login:")
    if not asked:
        return
    try:
        find_lesson(typed, server.settings.runs_dir)
    except LessonError as error:
        st.warning(as_text(str(error)), icon=":material/search_off:")
        return
    begin(as_code(typed))


open_page("Lessons")
server = services()
st.title("Lessons")
st.markdown("A lesson goes through some pages of this app, one step after the other. It says what to do on each, and shows only "
            "what it needs.")
code_field()
offered = {name: Offer(name, "Start", ":material/play_arrow:", title=about.title,
                       text=f"{about.summary} {plural(len(about.steps), 'step')}.") for name, about in shipped().items()}
if chosen := choose_offer(list(offered.values()), "lesson.shipped", "Lessons that come with the app"):
    begin(chosen)
kept_section(server, begin)
make_section(server, shipped() | {"class-digits": CLASS_LESSON})
