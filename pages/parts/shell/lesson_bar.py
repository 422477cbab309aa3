"""The bar above each page of a lesson: which step this is, what to do, and the way to the next one."""

import streamlit as st
from streamlit.errors import StreamlitAPIException, StreamlitPageNotFoundError

from core.lessons import Lesson
from pages.parts.shell import keys, lesson
from pages.parts.shell.links import Group, show_links
from pages.parts.shell.markdown import as_text, paragraphs
from pages.parts.shell.streamlit_private import came_by_history
from pages.parts.shell.wall_name import wall_name_field

LEAVE_TO = "pages/open_lesson.py"
STYLE = """<style>
.st-key-lesson-bar { gap: 0.5rem; border-left: 4px solid var(--st-primary-color, #c8441b); }
</style>"""


def lesson_bar(page: str) -> None:
    """Draw it, where a lesson is taken; leads to its step from a page that it does not show. page: the one that is open."""
    if line := lesson.why_none():
        st.warning(as_text(line), icon=":material/school:")
        return
    now = lesson.taken()
    if now is None:
        return
    if lesson.reached(keys.LESSON_SEEN) == "changed":
        st.toast("This lesson has been changed: this is how it is now.", icon=":material/school:")
    if (not now.number or page not in now.lesson.pages) and not came_by_history():  # else nobody would get back past it
        go_to_step(max(1, now.number))
    st.html(STYLE)
    number = max(1, now.number)
    with st.container(border=True, key="lesson.bar"):
        draw_step(now.lesson, number)
        _links(now, number, page == now.step.page)
        if now.has_wall:
            wall_name_field(now.code)


def draw_step(about: Lesson, number: int) -> None:
    """Which step this is, counted from 1, and what to do: as it is typed."""
    step = about.steps[number - 1]
    st.caption(f":material/school: {as_text(about.title)} · step {number} of {len(about.steps)}")
    if step.title:
        st.markdown(f"**{as_text(step.title)}**")
    if step.text:
        st.markdown(paragraphs(step.text))


def _links(now: lesson.Taken, number: int, here: bool) -> None:
    """To other steps and out of the lesson; as links, which are one step of the browser's way back each. here: whether the page
    that is open is the step's own."""
    count = len(now.lesson.steps)
    places = {step: f"{lesson.path_of(now.lesson.steps[step - 1].page)}#{step}" for step in range(1, count + 1)}
    links = {} if here else {places[number]: ("To this step", ":material/arrow_forward:")}
    if number > 1:
        links[places[number - 1]] = ("Back", ":material/arrow_back:")
    if number < count:
        links[places[number + 1]] = ("Next", ":material/arrow_forward:")
    links[LEAVE_TO] = ("Leave the lesson" if number < count else "Finish the lesson", ":material/logout:")
    strong = places[number] if not here else places[number + 1] if number < count else LEAVE_TO
    show_links([Group(links, strong=strong)], "lesson.links", "Steps of the lesson", _choose, lambda path: _query(now, path),
               row=True)


def _choose(path: str) -> None:
    if path == LEAVE_TO:
        leave()
    else:
        go_to_step(int(path.rpartition("#")[2]))


def _query(now: lesson.Taken, path: str) -> dict[str, str]:
    """What the address says after the question mark, of a step or of the page outside."""
    run = st.session_state.get(keys.RUN)
    kept = {"run": run} if run else {}
    if path == LEAVE_TO:
        return kept
    number = path.partition("#")[2]
    same = now.lesson.preset_at(int(number)) == now.lesson.preset_at(now.number)
    drafted = st.session_state.get(keys.DRAFT_QUERY, {}) if same else {}
    return {lesson.CODE: now.code, lesson.STEP: number} | now.lesson.steps[int(number) - 1].view | drafted | kept


def go_to_step(number: int, code: str = "") -> None:
    """Open a step's page as its lesson wants it; stays where a page runs alone. code: of a lesson that is begun now."""
    # the address is changed once, by opening the page: each change is a step of the browser's way back
    now = lesson.begun(code) if code else lesson.taken()
    if now is None:
        return
    step = now.lesson.steps[number - 1]
    path = lesson.path_of(step.page)
    query = _query(now, f"{path}#{number}")
    kept = {name: text for name, text in now.lesson.picked_at(number).items() if name in st.session_state}
    st.session_state.update(kept)  # a widget's own value would win over the address
    try:
        try:
            st.switch_page(path, query_params=query)
        except StreamlitPageNotFoundError:
            raise
        except StreamlitAPIException:  # a widget of this page keeps one of them in the address by itself
            st.switch_page(path, query_params={name: text for name, text in query.items() if name not in step.view})
    except (StreamlitPageNotFoundError, KeyError):
        st.query_params.update({lesson.CODE: now.code, lesson.STEP: str(number)})


def leave() -> None:
    """Back to the whole app."""
    run = st.session_state.get(keys.RUN)
    try:
        st.switch_page(LEAVE_TO, query_params={"run": run} if run else {})  # which leaves out the lesson
    except (StreamlitPageNotFoundError, KeyError):  # a page that runs alone
        for name in (lesson.CODE, lesson.STEP):
            st.query_params.pop(name, None)
