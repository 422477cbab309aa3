"""Lessons: those that were made here, and what can be done with one."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from core.data import DataError
from core.lessons import MOST, Kept, Lesson, LessonError, keep_lesson, kept_lessons, may_change, read_kept
from core.lessons.class_sets import delete_with_digits
from core.lessons.lesson import DRAWN_ON
from core.runs import StoreError
from core.wording import plural
from pages.parts.lessons import draft
from pages.parts.lessons.share import share
from pages.parts.shell import keys, lesson
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import refuse, tell
from pages.parts.shell.services import Services

WALL = "wall"  # in an address, the code of the lesson whose wall is looked at

def kept_section(server: Services, begin: Callable[[str], None]) -> None:
    """Choose one; start it, share it, change it or a copy, delete it. begin(code) opens it."""
    found = {kept.code: kept for kept in kept_lessons(server.settings.runs_dir, _read) if may_change(kept, server.actor)}
    if not found:
        return
    st.header("Lessons made here")
    if st.session_state.get("lesson.kept") not in found:
        st.session_state.pop("lesson.kept", None)
    if (last := st.session_state.pop(keys.LESSON_KEPT, None)) in found:
        st.session_state["lesson.kept"] = last
    code = st.selectbox("Lesson", list(found), key="lesson.kept", persist_state="session", width=460,
                        format_func=lambda code: f"{found[code].lesson.title} · {code}")
    _one(server, found[code], begin)


@st.cache_resource(show_spinner=False, max_entries=MOST)
def _read(path: Path, changed: int) -> Kept:
    """A lesson's file, read again when it has changed: to check a lesson takes 3 ms, and there may be hundreds. Raises what
    read_kept raises."""
    return read_kept(path, changed)


def _one(server: Services, kept: Kept, begin: Callable[[str], None]) -> None:
    about = kept.lesson
    with st.container(border=True, key="lesson.one"):
        st.markdown(f"**{as_text(about.title)}** · {plural(len(about.steps), 'step')}")
        if about.summary:
            st.caption(as_text(about.summary))
        with st.container(horizontal=True):
            if st.button("Start", type="primary", icon=":material/play_arrow:", key="lesson.start"):
                begin(kept.code)
            st.button("Edit", icon=":material/edit:", key="lesson.change", on_click=draft.change, args=(kept.code, about),
                      help="Puts it into the form below, to be corrected: code and link stay, and what its class has done.")
            st.button("Edit a copy", icon=":material/content_copy:", key="lesson.copy", on_click=draft.take_copy, args=(about,),
                      help="Puts it into the form below, to become another lesson. This one stays as it is.")
            if server.actor.sees_all and st.button("Wall", icon=":material/cast_for_education:", key="lesson.wall",
                                                   help="For the projector: every run of this lesson while it trains."):
                st.switch_page("pages/lesson_wall.py", query_params={WALL: kept.code})
            with st.popover("Delete", icon=":material/delete:", key="lesson.delete"):
                drawn = " What its class has drawn is deleted, too; runs that have learned from it stay." \
                    if DRAWN_ON in about.pages else ""
                st.markdown("Its link and its code will open nothing any more, and what pupils called themselves and predicted "
                            f"in it is deleted, too. Runs stay. This can't be undone.{drawn}")
                if st.button("Delete this lesson", type="primary", key="lesson.delete_now"):
                    _delete(server, kept)
        share(kept.code, about)


def _delete(server: Services, kept: Kept) -> None:
    try:
        delete_with_digits(kept.code, server.settings.data_dir, server.store.delete_lesson, server.store.names)
    except (LessonError, StoreError, DataError) as error:
        refuse(as_text(str(error)))
    lesson.read_anew(kept.code)
    if (changing := draft.changing()) and changing[0] == kept.code:
        draft.stop_changing()
    tell(f"The lesson “{as_text(kept.lesson.title)}” is deleted.", ":material/delete:")
    st.rerun()


def keep(server: Services, about: Lesson) -> None:
    """Keep the lesson that is being made, and show how to share it; from then on it is the one that is corrected in the form."""
    try:
        code = keep_lesson(about, server.settings.runs_dir, server.actor, _read)
    except LessonError as error:
        refuse(as_text(str(error)))
    st.session_state[keys.LESSON_KEPT], st.session_state[keys.LESSON_CHANGED] = code, (code, about)
    tell(f"Kept. Its code is {code}.", ":material/check:")
    st.rerun()


def keep_change(server: Services, code: str, before: Lesson, about: Lesson) -> None:
    """Keep what was corrected of a lesson, under its code."""
    try:
        server.store.change_lesson(code, about, before)
    except (LessonError, StoreError) as error:
        refuse(as_text(str(error)))
    lesson.read_anew(code)
    st.session_state[keys.LESSON_KEPT], st.session_state[keys.LESSON_CHANGED] = code, (code, about)
    tell(f"Kept. Whoever is in the lesson {code} has it with their next click.", ":material/check:")
    st.rerun()
