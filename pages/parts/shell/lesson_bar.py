"""The bar above each page of a lesson: which step this is, what to do, and the way to the next one."""

from contextlib import suppress

import streamlit as st
from streamlit.errors import StreamlitAPIException, StreamlitPageNotFoundError

from pages.parts.shell import keys, lesson
from pages.parts.shell.markdown import as_text, paragraphs

LEAVE_TO = "pages/open_lesson.py"
STYLE = """<style>
.st-key-lesson-bar { gap: 0.5rem; border-left: 4px solid var(--st-primary-color, #c8441b); }
@media (max-width: 640px) { .st-key-lesson-bar button { padding: 0.25rem 0.6rem; } }
</style>"""


def lesson_bar(page: str) -> None:
    """Draw it, where a lesson is taken; leads to its step from a page that it does not show. page: the one that is open."""
    if line := lesson.why_none():
        st.warning(as_text(line), icon=":material/school:")
        return
    now = lesson.taken()
    if now is None:
        return
    if not now.number or page not in now.lesson.pages:
        go_to_step(max(1, now.number))
    st.html(STYLE)
    number, count = max(1, now.number), len(now.lesson.steps)
    with st.container(border=True, key="lesson.bar"):
        st.caption(f":material/school: {as_text(now.lesson.title)} · step {number} of {count}")
        if now.step.title:
            st.markdown(f"**{as_text(now.step.title)}**")
        if now.step.text:
            st.markdown(paragraphs(now.step.text))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            _buttons(number, count, page == now.step.page)


def _buttons(number: int, count: int, here: bool) -> None:
    """here: whether the page that is open is the step's own."""
    if not here and st.button("To this step", icon=":material/arrow_forward:", key="lesson.here", type="primary"):
        go_to_step(number)
    if st.button("Back", icon=":material/arrow_back:", key="lesson.back", disabled=number == 1):
        go_to_step(number - 1)
    if number < count and st.button("Next", icon=":material/arrow_forward:", key="lesson.next",
                                    type="primary" if here else "secondary"):
        go_to_step(number + 1)
    last = number == count
    if st.button("Finish the lesson" if last else "Leave the lesson", icon=":material/logout:", key="lesson.leave",
                 type="primary" if last else "tertiary"):
        leave()


def go_to_step(number: int, code: str = "") -> None:
    """Open a step's page as its lesson wants it; stays where a page runs alone. code: of a lesson that is begun now."""
    if code:
        st.query_params[lesson.CODE] = code
    now = lesson.taken()
    if now is None:
        return
    step = now.lesson.steps[number - 1]
    named = {lesson.CODE: now.code, lesson.STEP: str(number)}
    run = st.session_state.get(keys.RUN)
    view = step.view | ({"run": run} if run else {})
    kept = {name: _as_before(text, st.session_state[name]) for name, text in view.items() if name in st.session_state}
    st.session_state.update(kept)  # a widget's own value would win over the address
    path = lesson.path_of(step.page)
    try:
        try:
            st.switch_page(path, query_params=named | view)
        except StreamlitPageNotFoundError:
            raise
        except StreamlitAPIException:  # a widget of this page keeps one of them in the address by itself
            st.switch_page(path, query_params=named | {name: text for name, text in view.items() if name not in kept})
    except (StreamlitPageNotFoundError, KeyError):
        st.query_params.update(named)


def _as_before(text: str, value: object) -> object:
    """What an address says, as a switch has it."""
    return text == "true" if isinstance(value, bool) else text


def leave() -> None:
    """Back to the whole app."""
    for name in (lesson.CODE, lesson.STEP):
        st.query_params.pop(name, None)
    run = st.session_state.get(keys.RUN)
    with suppress(StreamlitPageNotFoundError, KeyError):
        st.switch_page(LEAVE_TO, query_params={"run": run} if run else None)
