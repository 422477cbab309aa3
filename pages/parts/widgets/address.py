"""Pages in the state that an address names.

A widget made with bind="query-params" has its value in the address, under its key and as the page shows it:
/learn_tensors?tensors.topic=Join. A value that it can't have is taken out again. The two functions are for what that does not
do. docs/notes.md links to such addresses.
"""

from collections.abc import Collection

import streamlit as st

_KEPT = "session.address."  # and a key: what the address had for it last


def start_with(key: str, value: str) -> None:
    """The first value of a bound text field, unless the address has one. (As the field's own default it would be in conflict
    with the examples that a press puts into the session.)"""
    if key not in st.session_state and key not in st.query_params:
        st.session_state[key] = value


def take_choice(key: str, options: Collection[str]) -> None:
    """For a choice whose labels are no names for an address: to be called before it is drawn, and keep_choice after it."""
    asked = st.query_params.get(key)
    if asked in options and asked != st.session_state.get(_KEPT + key):
        st.session_state[key] = asked


def keep_choice(key: str, chosen: str, usual: str) -> None:
    """Put what is chosen into the address; nothing where it is what the page begins with."""
    st.session_state[_KEPT + key] = chosen
    if chosen == usual:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != chosen:
        st.query_params[key] = chosen
