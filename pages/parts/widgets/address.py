"""Pages in the state that an address names.

A widget made with bind="query-params" has its value in the address, under its key and as the page shows it:
/learn_tensors?tensors.topic=Join. A value that it can't have is taken out again. The functions are for what that does not
do. docs/notes.md links to such addresses. What is not in an address: guesses at a lab's questions, texts and tables that were
typed, uploaded files, and drawings.
"""

from collections.abc import Collection, Sequence

import streamlit as st

from pages.parts.shell.streamlit_private import came_by_history

_KEPT = "session.address."  # and a key: what the address had for it last


def start_with(key: str, value: str) -> None:
    """The first value of a bound text field, unless the address has one. (As the field's own default it would be in conflict
    with the examples that a press puts into the session.)"""
    if key not in st.session_state and key not in st.query_params:
        st.session_state[key] = value


def take_choice(key: str, options: Collection[str], usual: str) -> None:
    """For a choice whose labels are no names for an address: to be called before it is drawn, and keep_choice after it.
    usual: what it is where the address says nothing."""
    asked = st.query_params.get(key)
    if came_by_history():  # the address of then, which may say nothing
        st.session_state[key] = asked if asked in options else usual
    elif asked in options and asked != st.session_state.get(_KEPT + key):
        st.session_state[key] = asked


def keep_choice(key: str, chosen: str, usual: str) -> None:
    """Put what is chosen into the address; nothing where it is what the page begins with."""
    st.session_state[_KEPT + key] = chosen
    if chosen == usual:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != chosen:
        st.query_params[key] = chosen


def take_choices(key: str, options: Collection[str], most: int) -> list[str] | None:
    """The same for several choices at once: what the address asks for, and keep_choices() has not put there; None where it asks
    for nothing new."""
    asked = [one for one in dict.fromkeys(st.query_params.get_all(key)) if one in options][:most]
    return asked if came_by_history() or asked and asked != st.session_state.get(_KEPT + key) else None


def keep_choices(key: str, chosen: Sequence[str]) -> None:
    """Put what is chosen into the address."""
    st.session_state[_KEPT + key] = list(chosen)
    if not chosen:
        st.query_params.pop(key, None)
    elif st.query_params.get_all(key) != list(chosen):
        st.query_params[key] = chosen
