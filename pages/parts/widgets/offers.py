"""Things to choose from, each with a button and what there is to say of it: one component of our own.

As elements of Streamlit's, four to a card, presets were half of what a first paint of Home cost the server.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
_component = st.components.v2.component(  # pyright: ignore[reportAttributeAccessIssue]  # made known when it is asked for
    "torch_playground.offers", html="<div class='offers' role='list'></div>",
    css=(HERE / "offers.css").read_text(encoding="utf-8"), js=(HERE / "offers.js").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Offer:
    """name: what choosing it returns. button, icon: on its button; strong: whether that has a frame. title, text: what it is;
    of rows the text alone is shown, behind the button. notes: a list that can be opened, below what it is called."""

    name: str
    button: str
    icon: str
    strong: bool = False
    title: str = ""
    text: str = ""
    notes_title: str = ""
    notes: tuple[str, ...] = ()


def choose_offer(offers: Sequence[Offer], key: str, label: str, rows: bool = False) -> str | None:
    """Draw them, all words as they are; the name of the one whose button has just been pressed.

    label: what they are, for screen readers. rows: below each other, a line each; else cards.
    """
    shown = tuple({"name": one.name, "button": one.button, "icon": one.icon.removeprefix(":material/").removesuffix(":"),
              "strong": one.strong, "title": one.title, "text": one.text, "notesTitle": one.notes_title, "notes": one.notes}
             for one in offers)  # no list: see pages.parts.shell.sent
    pressed = _component(key=key, data={"offers": shown, "label": label, "rows": rows}, on_pressed_change=lambda: None,
                         height="content").pressed
    return next((one.name for one in offers if one.name == pressed), None)
