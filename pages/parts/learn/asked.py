"""What a lab has a training process work out, and how its page waits for that."""

import time
from collections.abc import Callable
from math import inf
from typing import TypeVar

import streamlit as st

from core.fields import Config
from core.runs.asked import Asked
from pages.parts.shell import keys
from pages.parts.shell.services import Services

Result = TypeVar("Result")
SECONDS_PER_LOOK = 0.5
SECONDS_OF_PATIENCE = 3.0  # until a process that trains nothing takes a question …
SECONDS_IN_LINE = 20.0  # … and while it is at those of others


def worked_out(server: Services, lab: str, question: Config, read: Callable[[bytes], Result], here: Callable[[], Result],
               says: str, height: int) -> Result | None:
    """What a training process answers a lab, or what the page works out itself where none is free or none answers; None while it
    is on the way: then a line stands there, and the page is drawn again with the answer.

    lab: its name in core.runs.lab_answers, question: all that the answer depends on. read: makes a result of what may have been
    damaged; raises ValueError. here: works it out, and keeps it for the same question. says: what is being done. height: about
    what will stand here takes, in px, so that little moves. Raises what `here` raises.
    """
    asked = Asked(server.store, lab, question)
    known, since = st.session_state.get(keys.ASKED, ("", 0.0))
    if known != asked.name:
        since = time.monotonic()
        st.session_state[keys.ASKED] = asked.name, since
    if (answer := asked.answer) is not None:
        try:
            return read(answer)
        except ValueError:  # it is damaged, or nothing came of it
            asked.forget()
    elif _waits(server, asked, since):
        _wait(server, asked, since, says, height)
        return None
    st.session_state[keys.ASKED] = asked.name, -inf
    return here()


def _waits(server: Services, asked: Asked, since: float) -> bool:
    """Whether an answer can be hoped for. Asks for it."""
    waited = time.monotonic() - since
    hopes = waited < (SECONDS_IN_LINE if asked.is_in_line else SECONDS_OF_PATIENCE) and server.engine.is_resting
    if waited == inf or not (asked.is_taken or hopes):  # infinite: nobody has answered in time, and the page did it itself
        return False
    try:
        if asked.want():
            server.engine.wake()
    except OSError:  # a full disk
        return False
    return True


def _wait(server: Services, asked: Asked, since: float, says: str, height: int) -> None:
    """A line until there is an answer, or none can be hoped for."""

    def look() -> None:
        if asked.answer is not None or not _waits(server, asked, since):
            st.rerun()
        with st.container(border=True, height=height, horizontal_alignment="center"):
            st.caption(f":material/hourglass_top: {says}", text_alignment="center")

    st.fragment(look, run_every=SECONDS_PER_LOOK)()
