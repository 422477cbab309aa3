"""Class digits, outside a lesson in which they are drawn: what this is, and how a teacher begins."""

import streamlit as st

from core.lessons import LessonError, keep_lesson
from core.lessons.class_digits import MOST, MOST_OF_ONE
from core.lessons.class_lesson import CLASS_LESSON
from core.lessons.class_sets import FEWEST
from pages.parts.lessons import draft
from pages.parts.shell import keys, lesson
from pages.parts.shell.frame import go_to, link
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import refuse, tell
from pages.parts.shell.services import Services

LESSONS = "pages/open_lesson.py"


def intro(server: Services) -> None:
    """What it is, and buttons that begin."""
    st.title("Class digits")
    st.markdown("Everybody in a class draws digits on their phone, and all of them become one labelled data set: the page asks "
                "each for the digit of which there are fewest. Then the class trains on its own handwriting, and sees which "
                "digits are taken for others.")
    if lesson.taken() is not None:
        st.info("This lesson comes with the app and belongs to no class. A teacher makes one for theirs on the page Lessons.",
                icon=":material/school:")
        return
    st.markdown("**For pupils:** open the link that your teacher gives you, or type the code on the page Lessons.")
    link(LESSONS, "To Lessons", ":material/school:")
    st.markdown("**For teachers:** digits belong to a lesson, which is what gives the class its link. Begin with one that is "
                "ready: draw, look through, train, see what is taken for what.")
    with st.container(horizontal=True):
        if st.button("Begin with a ready lesson", type="primary", icon=":material/play_arrow:", key="collect.begin",
                     help="Keeps the lesson and leads to its link, its code and its QR code."):
            _begin(server)
        if st.button("Change it first", icon=":material/edit:", key="collect.change",
                     help="Puts the lesson into the form on the page Lessons."):
            draft.take_copy(CLASS_LESSON)
            go_to(LESSONS)
    st.caption(f"A class draws up to {MOST:,} digits, one pupil up to {MOST_OF_ONE}; from {FEWEST} on they can be trained on. "
               "Whoever has the lesson's link can draw and train. Whose a drawing is, nobody is told but whoever drew it. "
               "Whoever made the lesson, and the teacher, look through all drawings, of pupils who are numbers to them, remove "
               "what does not belong there, and take the set away as a zip file.")


def _begin(server: Services) -> None:
    try:
        code = st.session_state[keys.LESSON_KEPT] = keep_lesson(CLASS_LESSON, server.settings.runs_dir, server.actor)
    except LessonError as error:
        refuse(as_text(str(error)))
    tell(f"Kept. Its code is {code}.", ":material/check:")
    go_to(LESSONS)
