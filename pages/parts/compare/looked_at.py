"""What somebody looks at on Compare runs, in the table and side by side, as the session and the page's address have it.

The address is for a reload, the browser's way back, and others."""

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any

import streamlit as st

from core.runs import beside as side
from core.runs.beside import USUAL, Beside, plain, read_beside, write_beside
from core.runs.view import PARAMETERS, View, read_view, write_view
from pages.parts.shell import keys

NAMES = (*PARAMETERS, *side.PARAMETERS)  # of parameters of the address


def open_view(known: Set[int]) -> View:
    """The table's view that the address names, and with it what lies side by side, see beside(); the session's own where it names
    none, as when the menu leads here.

    known: the numbers of the runs there are; no other stays selected.
    """
    asked = {name: values for name in NAMES if (values := st.query_params.get_all(name))}
    kept = st.session_state.get(keys.COMPARE_VIEW)
    # an address that names nothing means it where the browser has gone back to it on this page
    means_it = asked or st.session_state.get(keys.PAGE_BEFORE) == st.session_state.get(keys.PAGE)
    if kept is None or means_it and asked != st.session_state.get(keys.COMPARE_ADDRESS):
        kept, st.session_state[keys.COMPARE_BESIDE] = read_view(asked), read_beside(asked)
    st.session_state[keys.COMPARE_VIEW] = replace(kept, selected=tuple(one for one in kept.selected if one in known))
    _keep()
    return st.session_state[keys.COMPARE_VIEW]


def beside() -> Beside:
    """What lies side by side."""
    return st.session_state.setdefault(keys.COMPARE_BESIDE, Beside())


def change(**values: Any) -> None:
    """Change the table's view; for callbacks, which come before the page draws it."""
    st.session_state[keys.COMPARE_VIEW] = replace(st.session_state[keys.COMPARE_VIEW], **values)
    _keep()


def follow(key: str, name: str, shown: Any, usual: Any = None, forgets: Sequence[str] = ()) -> dict[str, Any]:
    """What makes a control show one field of beside() and change it: its key and its callback.

    shown: the value that it has; usual: the one that it would have if nobody had chosen, which is not written down; forgets:
    other fields that a change of this one makes senseless.
    """
    st.session_state[key] = shown
    return {"key": key, "on_change": _take, "args": (key, name, usual, forgets)}


def _take(key: str, name: str, usual: Any, forgets: Sequence[str]) -> None:
    chosen = st.session_state[key]
    value: Any = USUAL[name] if chosen == usual else _plain(chosen)
    st.session_state[keys.COMPARE_BESIDE] = replace(beside(), **{name: value}, **{one: USUAL[one] for one in forgets})
    _keep()


def _plain(chosen: Any) -> Any:
    """Lists as tuples, and numbers as an address can have them."""
    if isinstance(chosen, list | tuple):
        return tuple(map(_plain, chosen))
    return plain(chosen) if isinstance(chosen, float) else chosen


def _keep() -> None:
    """Put both into the address, in one step of the browser's history; what is as usual is left out of it."""
    wanted = write_view(st.session_state.get(keys.COMPARE_VIEW) or View()) | write_beside(beside())
    if wanted != {name: values for name in NAMES if (values := st.query_params.get_all(name))}:
        others = {name: st.query_params.get_all(name) for name in st.query_params if name not in NAMES}
        st.query_params.from_dict(others | wanted)
    st.session_state[keys.COMPARE_ADDRESS] = wanted
