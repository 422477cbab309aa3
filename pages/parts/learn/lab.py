"""What every lab shares: its opening, a question to answer before pressing anything, the code, and where to go next."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from pages.parts.shell import keys
from pages.parts.shell.frame import link, open_page
from pages.parts.shell.menu import LABS


@dataclass(frozen=True)
class Question:
    """Something to predict before the picture shows it."""

    key: str  # of its widgets, "lab.what"
    text: str
    choices: tuple[str, ...]
    right: int  # position in choices
    why: str  # shown with the answer


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
    open_page(title)
    _progress().setdefault(path, "opened")
    st.title(title)
    st.markdown(goal)


def tried(path: str) -> None:
    """Note that the reader has done something in a lab, for the path on Home; also as a widget's on_change."""
    _progress()[path] = "tried"


def progress(path: str) -> str | None:
    """None, "opened" or "tried"; in this browser session."""
    return _progress().get(path)


def predict(path: str, question: Question) -> None:
    """Ask, and answer when the reader has made up their mind."""
    with st.container(border=True, key=f"{question.key}.box"):
        st.markdown(f":material/psychology_alt: **Predict before you try.** {question.text}")
        chosen = st.radio("Your prediction", question.choices, index=None, horizontal=True, key=f"{question.key}.guess",
                          label_visibility="collapsed")
        if st.button("Reveal", key=f"{question.key}.reveal", icon=":material/visibility:", disabled=chosen is None,
                     on_click=tried, args=(path,)):
            st.session_state[f"{question.key}.revealed"] = True
        if chosen is not None and st.session_state.get(f"{question.key}.revealed"):
            right = question.choices[question.right]
            verdict = "Yes." if chosen == right else f"Not quite: {right}."
            st.markdown(f"**{verdict}** {question.why}")


def show_code(code: str) -> None:
    """Code that does the same and runs alone; Streamlit adds the button that copies it."""
    with st.expander("The code: copy it, it runs alone", icon=":material/code:", expanded=True):
        st.code(code.strip(), language="python", wrap_lines=True)  # what scrolls sideways, a keyboard can't reach


def refusal(text: str) -> None:
    """An error that PyTorch really raised and that the lab means to show."""
    st.markdown(":material/block: **PyTorch refuses:**")
    st.code(text, language=None, wrap_lines=True)


def try_next(items: Sequence[Next]) -> None:
    """What to do now, each with a link."""
    st.header("What to try next")  # under the title comes a heading of the second order
    for item in items:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(item.text)
            link(item.page, item.label, item.icon)


def lab_path() -> None:
    """The labs as a path, with what this browser session has opened and tried. For Home."""
    st.subheader("Learn how it works")
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
