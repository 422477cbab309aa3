"""Small pictures with a label each, corrected by keyboard or touch: a hundred of the browser's own lists in one component."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.data.drawing.boxes import MOST_EDITS, read_edits
from pages.parts.shell.sent import as_sent

HERE = Path(__file__).parent
_list = st.components.v2.component(  # pyright: ignore[reportAttributeAccessIssue]  # loaded by Streamlit itself
    "label_list", html="<div class='labels'></div>", css=(HERE / "label_list.css").read_text(encoding="utf-8"),
    js=(HERE / "label_list.js").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Labelled:
    """id: a number of its own. src: the picture as a data URI. label: a class, −1 for none. title: for screen readers and where
    one hovers. marked: framed, to be looked at first."""

    id: int
    src: str
    label: int
    title: str
    marked: bool


def label_list(items: Sequence[Labelled], classes: Sequence[str], none: str, key: str, label: str,
               taken: int) -> list[tuple[int, int, int]]:
    """Show them; corrections as (when, id, label), all that the browser has sent, oldest first.

    none: what label −1 is called. label: what they are, for screen readers. taken: the time of the last correction that is in
    the items; later ones, still on their way, go on being shown. Raises DrawingError for a message made by hand.
    """
    shown = [{"id": one.id, "src": one.src, "value": one.label + 1, "title": one.title, "marked": one.marked} for one in items]
    sent = _list(key=key, data=as_sent({"items": shown, "options": [none, *classes], "label": label, "most": MOST_EDITS,
                                        "taken": taken}), on_edits_change=lambda: None, height="content")
    return read_edits(sent.edits, len(classes))
