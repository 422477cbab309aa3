"""What has been done or refused, said on every page in the same way: seen wherever the page is scrolled to, and read out."""

from typing import NoReturn

import streamlit as st

from core.runs import StoreError
from core.runs.limits import LimitReached
from core.runs.rights import NotYours
from pages.parts.shell import keys


def tell(line: str, icon: str = ":material/notifications:") -> None:
    """Say with the next drawing of a page, whichever it is, that something is done or has happened. line: Markdown."""
    st.session_state[keys.NOTICE] = line, icon


def icon_of(error: Exception) -> str:
    """The icon for refuse(): a missing folder where the runs folder can't be used."""
    store = isinstance(error, StoreError) and not isinstance(error, LimitReached | NotYours)
    return ":material/folder_off:" if store else ":material/block:"


def refuse(line: str, icon: str = ":material/block:") -> NoReturn:
    """Draw the page anew with the reason why something was not done, at its top: it stays until the next thing is done. What is
    drawn after a button, and then drawn anew, is seen by nobody. line: Markdown."""
    st.session_state[keys.REFUSED] = line, icon
    st.rerun()


def draw_notices() -> None:
    """What was kept to be said. Streamlit marks both as alerts, which screen readers read out; reachable.js does the rest."""
    if refused := st.session_state.pop(keys.REFUSED, None):
        line, icon = refused
        st.error(line, icon=icon)
        st.toast(line, icon=icon)  # who is far down the page would not see its top
    if told := st.session_state.pop(keys.NOTICE, None):
        line, icon = told
        st.toast(line, icon=icon)
