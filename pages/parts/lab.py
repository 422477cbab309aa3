"""What every lab has: its goal, a guess before the answer, the code, and what to try next."""

from collections.abc import Sequence

import streamlit as st

from pages.parts.frame import link, open_page
from pages.parts.labs import LABS
from pages.parts.services import services

SHOWN = "session.lab_shown"  # which questions of which labs this session has answered or skipped


def open_lab(path: str) -> None:
    """Frame, title and goal."""
    lab = LABS[path]
    open_page(lab.title)
    services()  # also freezes what Python's garbage collection need not look at again: reruns stay fast
    st.title(lab.title)
    st.markdown(lab.goal)


def predict(key: str, question: str, options: Sequence[str], right: str, because: str) -> bool:
    """A question before the picture: a guess, a button, and then how it is. True once the button has been pressed."""
    shown: set[str] = st.session_state.setdefault(SHOWN, set())
    with st.container(border=True):
        st.markdown(f"**Guess first.** {question}")
        guess = st.radio("Your guess", list(options), index=None, key=f"{key}.guess", label_visibility="collapsed",
                         persist_state="session")
        if key not in shown:
            if st.button("Show me", icon=":material/visibility:", type="primary", key=f"{key}.show"):
                shown.add(key)
                st.rerun()
            return False
        verdict = "" if guess is None else "**As you said.** " if guess == right else "**Not this time.** "
        st.markdown(f"{verdict}{right}: {because}")
    return True


def show_code(code: str) -> None:
    """The same in plain PyTorch, to copy and run."""
    with st.expander("The code", icon=":material/code:"):
        st.caption("Runs alone: save it as a .py file or paste it into a notebook.")
        st.code(code, language="python")


def try_next(ideas: Sequence[str], links: Sequence[tuple[str, str, str]]) -> None:
    """Things to try here, and pages where it goes on: (path, label, icon)."""
    st.subheader("What to try next")
    st.markdown("\n".join(f"- {idea}" for idea in ideas))
    with st.container(horizontal=True):
        for path, label, icon in links:
            link(path, label, icon)
