"""What a pupil is called on the wall of the lesson that is taken: a name of their own, or none."""

import streamlit as st

from core.lessons import LONGEST_NAME, LessonError, wall_name
from core.runs import StoreError
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import icon_of, tell
from pages.parts.shell.services import services

OPEN, TYPED = "lesson.name", "lesson.name_typed"


def wall_name_field(code: str) -> None:
    """A button that opens a field for it; what is kept is read only then."""
    with st.popover("Name on the wall", icon=":material/badge:", key=OPEN, on_change="rerun", type="tertiary") as field:
        if field.open:
            _field(code)


def _field(code: str) -> None:
    try:
        now = services().store.name_of(code, st.session_state[keys.OWNER])
    except StoreError as error:
        st.caption(as_text(str(error)))
        return
    st.markdown("Your teacher may show on a wall who trains. Without a name you are “visitor” and a number there. It need not be "
                "your real one.")
    if now is not None and not now.allowed:
        st.caption(":material/block: Your teacher has taken your name off the wall.")
        return
    with st.form("lesson.name_form", border=False):
        st.text_input("Name on the wall", now.name if now is not None else "", max_chars=LONGEST_NAME, key=TYPED,
                      placeholder="none", help="Empty it to have none again.")
        st.form_submit_button("Use it", key="lesson.name_use", icon=":material/check:", on_click=_keep, args=(code,))


def _keep(code: str) -> None:
    """Before the page is drawn anew, with the field closed."""
    typed = str(st.session_state[TYPED])
    try:
        services().store.keep_name(code, st.session_state[keys.OWNER], typed)
    except (LessonError, StoreError) as error:
        st.session_state[keys.REFUSED] = as_text(str(error)), icon_of(error)
    else:
        tell("This is your name on the wall." if wall_name(typed) else "You have no name on the wall.", ":material/badge:")
    st.session_state[OPEN] = False
