"""What somebody looks at in the table of runs: kept in the session, and in the address for a reload and for others."""

from collections.abc import Set
from dataclasses import replace
from typing import Any

import streamlit as st

from core.runs.view import PARAMETERS, View, read_view, write_view
from pages.parts.shell import keys


def open_view(known: Set[int]) -> View:
    """The view that the address names; the session's own where it names none, as when the menu leads here.

    known: the numbers of the runs there are; no other stays selected.
    """
    asked = {name: values for name in PARAMETERS if (values := st.query_params.get_all(name))}
    kept = st.session_state.get(keys.COMPARE_VIEW)
    if kept is None or asked and asked != st.session_state.get(keys.COMPARE_ADDRESS):
        kept = read_view(asked)
    kept = replace(kept, selected=tuple(number for number in kept.selected if number in known))
    st.session_state[keys.COMPARE_VIEW] = kept
    return kept


def keep_view() -> None:
    """Put the view into the address; what is as usual is left out of it."""
    wanted = write_view(st.session_state[keys.COMPARE_VIEW])
    for name in PARAMETERS:
        if name not in wanted:
            st.query_params.pop(name, None)
        elif st.query_params.get_all(name) != wanted[name]:
            st.query_params[name] = wanted[name]
    st.session_state[keys.COMPARE_ADDRESS] = wanted


def change(**values: Any) -> None:
    """Change the view; for callbacks, which come before the page draws it."""
    st.session_state[keys.COMPARE_VIEW] = replace(st.session_state[keys.COMPARE_VIEW], **values)
