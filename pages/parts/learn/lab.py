"""What every lab shares: its opening, a question to answer before pressing anything, the code, and where to go next."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.lessons import LessonError
from core.runs import StoreError
from pages.parts.shell import keys, lesson
from pages.parts.shell.frame import link, open_page
from pages.parts.shell.menu import LABS
from pages.parts.shell.services import services

STYLE = (Path(__file__).parent / "lab.css").read_text(encoding="utf-8")
NEXT_TITLE = "What to try next"


@dataclass(frozen=True)
class Question:
    """Something to predict before the picture shows it."""

    key: str  # of its widgets, "lab.what"
    text: str
    choices: tuple[str, ...]
    right: int  # position in choices
    why: str  # shown with the answer
    tells: tuple[str, ...] = ()  # what the page shows once it may, and would give the answer away before; empty: nothing it shows


@dataclass(frozen=True)
class Next:
    """One thing to try next, and the page where it is done."""

    text: str
    page: str  # "pages/build_model.py"
    label: str
    icon: str


def open_lab(path: str, goal: str) -> None:
    """Set a lab's page up; to be called first. path: its key in LABS. goal: two sentences, what one can do afterwards."""
    title = LABS[path][0]
    open_page(title, STYLE)
    _progress().setdefault(path, "opened")
    st.title(title)
    with st.container(key="lab.goal"):
        st.markdown(goal)


def tried(path: str) -> None:
    """Note that the reader has done something in a lab, for the path on Home; also as a widget's on_change."""
    _progress()[path] = "tried"


def progress(path: str) -> str | None:
    """None, "opened" or "tried"; in this browser session."""
    return _progress().get(path)


def predict(path: str, question: Question) -> bool:
    """Ask, and answer when the reader has made up their mind. Returns whether what answers it may be shown: once they have
    revealed the answer to a guess, or skipped the question. Until then pages put `covered` in its place."""
    with st.container(border=True, key=f"{question.key}.box"):
        st.markdown(f":material/psychology_alt: **Predict before you try.** {question.text}")
        # beside each other where there is room: what the question is about should be on the same screen
        with st.container(horizontal=True, vertical_alignment="center"):
            chosen = st.radio("Your prediction", question.choices, index=None, horizontal=True, key=f"{question.key}.guess",
                              label_visibility="collapsed", persist_state="session", width="content")
            st.button("Reveal", key=f"{question.key}.reveal", icon=":material/visibility:", disabled=chosen is None,
                      on_click=_reveal, args=(path, question))
            if not is_open(question):
                st.button("Skip", key=f"{question.key}.skip", icon=":material/skip_next:", on_click=skip, args=(question,),
                          help="Show what answers it, without a guess.")
        if chosen is not None and st.session_state.get(_answered(question)) == "revealed":
            right = question.choices[question.right]
            verdict = "Yes." if chosen == right else f"Not quite: {right}."
            st.markdown(f"**{verdict}** {question.why}")
    return is_open(question)


def is_open(question: Question) -> bool:
    """Whether what answers it may be shown, in this browser session."""
    return _answered(question) in st.session_state


def skip(question: Question) -> None:
    """What answers it may be shown from now on; also where a reader tries it out before any guess."""
    st.session_state.setdefault(_answered(question), "skipped")


def _reveal(path: str, question: Question) -> None:
    st.session_state[_answered(question)] = "revealed"
    tried(path)
    _count(question)


def _count(question: Question) -> None:
    """In a class's lesson, count the guess for the wall."""
    now, guess = lesson.taken(), st.session_state.get(f"{question.key}.guess")
    if now is None or not now.has_wall or guess not in question.choices:
        return
    with suppress(StoreError, LessonError):  # deleted just now, or a full disk: the lab goes on without
        services().store.keep_prediction(now.code, st.session_state[keys.OWNER], question.key, question.choices.index(guess))


def _answered(question: Question) -> str:
    """Where the session keeps "revealed" or "skipped"; there is no such entry before."""
    return f"{question.key}.answered"


def covered(height: int = 320) -> None:
    """One line in place of what answers a question. height: about what will stand here takes, in px, so that little moves."""
    with st.container(border=True, height=height, horizontal_alignment="center"):
        st.caption(":material/visibility_off: Shown when you have answered the question, or skipped it.", text_alignment="center")


def show_code(code: str) -> None:
    """Code that does the same and runs alone, folded: picture and question come first. Streamlit adds the button that copies
    it."""
    with st.expander("The code: copy it, it runs alone", icon=":material/code:"):
        st.code(code.strip(), language="python", wrap_lines=True)  # what scrolls sideways, a keyboard can't reach


def refusal(text: str) -> None:
    """An error that PyTorch really raised and that the lab means to show."""
    st.markdown(":material/block: **PyTorch refuses:**")
    st.code(text, language=None, wrap_lines=True)


def try_next(items: Sequence[Next], here: str = "") -> None:
    """What to do now, each with a link. Beside the picture where there is room for it; else folded, on the title's line or, on a
    phone, at the end: lab.css. To be called on the page itself, in no column.

    here: what else can be tried in this lab, as Markdown.
    """
    items = [item for item in items if lesson.shows(item.page)]
    if not items and not here:
        return
    with st.container(key="lab.beside", gap="small"):
        st.header(NEXT_TITLE)  # under the title comes a heading of the second order
        _next(items, here)
    with st.container(key="lab.folded"), st.popover(NEXT_TITLE, icon=":material/explore:", width="stretch"):
        _next(items, here)


def _next(items: Sequence[Next], here: str) -> None:
    for item in items:
        with st.container(gap="xxsmall"):
            st.markdown(item.text)
            link(item.page, item.label, item.icon)
    if here:
        st.markdown(f"And here:\n\n{here}")


def lab_path() -> None:
    """The labs as a path, with what this browser session has opened and tried. For Home."""
    st.header("Learn how it works")
    for index, (path, (title, goal, icon)) in enumerate(LABS.items()):
        if index % 2 == 0:  # two a row: titles fit, and a row's cards are equally high
            columns = st.columns(2)
        with columns[index % 2].container(border=True, height="stretch"):
            link(path, f"**{index + 1}. {title}**", icon)
            st.caption(goal)
            state = progress(path)
            if state:
                st.badge(state.capitalize(), icon=":material/check:" if state == "tried" else ":material/visibility:",
                         color="green" if state == "tried" else "gray")


def _progress() -> dict[str, str]:
    return st.session_state.setdefault(keys.LABS, {})
