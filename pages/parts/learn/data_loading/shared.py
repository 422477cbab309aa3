"""What the views of the lab on data loading share: the folder, and first choices from the address."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.errors import reason
from core.labs.data_folder import Item, write_folder
from core.settings import Settings
from pages.parts.shell.markdown import as_text
from pages.parts.shell.streamlit_private import came_by_history

PATH = "pages/learn_data_loading.py"
STILL = {"displayModeBar": False}


def folder() -> list[Item]:
    """The lab's folder, made anew where somebody has cleared the cache; the page ends with one line where it can't be written."""
    try:
        return write_folder(place())
    except OSError as error:
        st.error(f"The folder for this lab can't be written: {as_text(error.strerror or reason(error))}.",
                 icon=":material/folder_off:")
        st.stop()


def place():
    """Where the folder "digits" lies."""
    return Settings.from_environment().cache_dir / "labs"


def from_address(key: str, name: str, choices: Mapping[str, Any], first: Any) -> None:
    """Give a widget its first value: what the address says under this name, as one of the choices, or `first`; and keep what is
    chosen later in the address, under the name that is in it or the first that means the same. Nothing is there for `first`.

    Before the widget is made, which gets no value of its own then.
    """
    asked = st.query_params.get(name)
    if key not in st.session_state or came_by_history():
        st.session_state[key] = choices.get(asked or "", first)
    chosen = st.session_state[key]
    if chosen == first:
        st.query_params.pop(name, None)
    elif asked is None or asked not in choices or choices[asked] != chosen:
        st.query_params[name] = next(word for word, value in choices.items() if value == chosen)


def numbers(low: int, high: int) -> dict[str, int]:
    """The whole numbers that an address can ask for."""
    return {str(value): value for value in range(low, high + 1)}


SWITCH = {"1": True, "0": False, "true": True, "false": False, "True": True, "False": False}
