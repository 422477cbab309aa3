"""The draft in the address, so that a reload, the browser's way back and somebody else's browser find it.

?preset=circle-2d names it where it is a preset; ?config={"from":"circle-2d","training.epochs":7} where it is not, as
core.config_text writes it. Neither is there where the draft is what such a page begins with: the settings of the run that the
address names, else a first preset's. Pages that do not show it pass it on.
"""

import streamlit as st

from core.config import RunConfig
from core.config_text import LONGEST, from_text, to_text
from core.fields import ConfigError
from core.presets import PRESETS, UnknownPreset, preset
from pages.parts.shell import keys
from pages.parts.shell.frame import DRAFT_NAMES
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import refuse
from pages.parts.shell.streamlit_private import came_by_history, change_address

CONFIG, PRESET = DRAFT_NAMES
MOST_KNOWN = 50  # addresses


def news() -> dict[str, str] | None:
    """What the address says of the draft, where this session did not put it there; None where there is nothing new in it. Nothing
    at all, {}, is new where the browser's way back led there."""
    said, known = _said(), st.session_state.get(keys.DRAFT_KNOWN, [])
    # until the browser has the last one, what it is asked for may come with any of those before
    st.session_state[keys.DRAFT_KNOWN] = known[-MOST_KNOWN:] if said in known[:-1] else [said]
    return said if came_by_history() or (said and said not in known) else None


def read(said: dict[str, str], first: RunConfig) -> RunConfig:
    """The draft that an address asks for. What can't be read gets one line at the top of the page, which is drawn anew."""
    try:
        if CONFIG in said:
            return from_text(said[CONFIG])
        return preset(said[PRESET]).config if PRESET in said else first
    except (ConfigError, UnknownPreset) as error:
        for name in said:
            del st.query_params[name]
        refuse(as_text(f"The settings in the address can't be read: {error}"))


def put_in_words(config: RunConfig, first: RunConfig | None = None) -> None:
    """Find the words for a draft that is new. first: what a page begins with whose address has none; as before if None."""
    before, begun, _ = st.session_state.get(keys.DRAFT_NAMED, (None, None, None))
    first = first or begun
    if config == before and first == begun:
        return
    same = next((name for name, entry in PRESETS.items() if entry.config == config), None)
    text = "" if same or config == first else to_text(config)
    words = {} if config == first else {PRESET: same} if same else {CONFIG: text} if text else None
    st.session_state[keys.DRAFT_NAMED] = config, first, words
    st.session_state[keys.DRAFT_QUERY] = words or {}


def keep() -> None:
    """Put the draft into the address, at the end of a page: what has been done with it by then is one step of the way back."""
    said, wanted = _said(), st.session_state[keys.DRAFT_QUERY]
    config, first, _ = st.session_state[keys.DRAFT_NAMED]
    if config == first and (asked := said.get(PRESET)) in PRESETS and PRESETS[asked].config == config:
        wanted = {PRESET: asked}  # somebody has asked for it by name
    change_address({name: wanted.get(name) for name in DRAFT_NAMES})
    st.session_state[keys.DRAFT_KNOWN] = [*st.session_state.get(keys.DRAFT_KNOWN, []), wanted]


def note() -> None:
    """A line where the draft is too long for an address; else nothing."""
    if st.session_state[keys.DRAFT_NAMED][2] is None:
        st.caption(f":material/link_off: These settings are too long for an address (more than {LONGEST:,} signs). They are kept "
                   "until this tab is reloaded or closed; of a run that is trained with them, for good.")


def _said() -> dict[str, str]:
    return {name: value for name in DRAFT_NAMES if (value := st.query_params.get(name)) is not None}
