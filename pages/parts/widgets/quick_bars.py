"""Bars and small pictures that change with every stroke: a component of our own.

Four charts and a dozen pictures of Streamlit's took the browser 100 ms longer, and each picture was fetched, blank until it came.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from core.figures.bars import probability_bars
from core.figures.images import png_file
from pages.parts.shell.sent import as_sent

HERE = Path(__file__).parent
ROWS_JS = (HERE / "bar_rows.js").read_text(encoding="utf-8")  # stands before the script of whatever shows bars
ROWS_CSS = """.lines { display: grid; gap: 2px; max-height: 28.75rem; overflow-y: auto; }
.line { display: grid; grid-template-columns: minmax(2ch, var(--names)) 1fr 3.625rem; gap: 8px; align-items: center;
  min-height: 1.0625rem; line-height: 1.0625rem; }
.name { text-align: right; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.track { height: 62%; min-height: 9px; border-radius: 3px; background: color-mix(in srgb, var(--st-text-color) 8%, transparent); }
.bar { display: block; height: 100%; min-width: 1px; border-radius: 3px; background: #2e86ab; }
.best .bar { background: #e4572e; }
.best { font-weight: 600; }
.value { text-align: right; font-variant-numeric: tabular-nums; }
"""
CSS = ROWS_CSS + """.view { color: var(--st-text-color); font: 0.8125rem var(--st-font, sans-serif); }
.large .line { min-height: 1.6875rem; font-size: 0.875rem; }
.head h2 { margin: 0; font-size: 1.875rem; line-height: 1.2; font-weight: 700; }
.head p { margin: 2px 0 8px; min-height: 3.75rem; font-size: 0.875rem; line-height: 1.25rem; opacity: 0.8; }
@media (max-width: 640px) {
  .large.few .lines { grid-auto-flow: column; grid-template-rows: repeat(var(--half), auto); grid-auto-columns: 1fr;
    column-gap: 12px; }
  .large.few .line { min-height: 1.1875rem; grid-template-columns: minmax(2ch, var(--names)) 1fr 3.375rem; gap: 6px; }
  .head h2 { font-size: 1.625rem; }
  .head p { font-size: 0.8125rem; line-height: 1.125rem; min-height: 3.375rem; margin-bottom: 4px; }
}
.cards { display: flex; flex-wrap: wrap; gap: 16px; }
figure { margin: 0; width: 9rem; }
img { display: block; image-rendering: pixelated; object-fit: contain; background: #000; border-radius: 6px;
  outline: 1px solid var(--st-border-color, #b0b4bb); outline-offset: -1px; }
figcaption { margin-top: 6px; line-height: 1.4; }
figcaption span { opacity: 0.7; }
b { font-size: 0.9375rem; }"""
_component = st.components.v2.component("torch_playground.quick", html='<div class="view"></div>', css=CSS,
                                        js=ROWS_JS + (HERE / "quick_bars.js").read_text(encoding="utf-8"))


@dataclass(frozen=True, eq=False)
class Card:
    """A picture, (H, W) or (H, W, 3) uint8, shown `side` pixels large, with a title and a line. said: an answer, above them."""

    title: str
    about: str
    picture: np.ndarray
    side: int
    said: str = ""


def bars(classes: Sequence[str], probabilities: Sequence[float | None], key: str, large: bool = False, title: str = "",
         line: str = "", marked: bool = True) -> None:
    """One bar for each class, the most probable one marked unless told otherwise; None for probabilities that there are not.

    title, line: plain text above them that changes with them, in the same frame.
    """
    known = [float("nan") if value is None else value for value in probabilities]
    shown = probability_bars(classes, known) | ({"best": -1} if None in probabilities else {})
    _component(data=as_sent({**shown, **({} if marked else {"best": -1}), "large": large, "title": title, "line": line}), key=key,
               height="content")


def cards(shown: Sequence[Card], key: str) -> None:
    """Pictures side by side, as many in a row as there is room for."""
    _component(data={"cards": tuple({"url": "data:image/png;base64," + base64.b64encode(png_file(card.picture)).decode(),
                                     "side": card.side, "title": card.title, "said": card.said, "about": card.about}
                                    for card in shown)}, key=key, height="content")
