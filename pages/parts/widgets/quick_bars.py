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

CSS = """.view { color: var(--st-text-color); font: 13px var(--st-font, sans-serif); }
.bars { display: grid; gap: 2px; max-height: 460px; overflow-y: auto; }
.bars > div { display: grid; grid-template-columns: minmax(2ch, var(--names)) 1fr 58px; gap: 8px; align-items: center;
  min-height: 17px; line-height: 17px; }
.large > div { min-height: 27px; font-size: 14px; }
.name { text-align: right; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.track { height: 62%; min-height: 9px; border-radius: 3px; background: color-mix(in srgb, var(--st-text-color) 8%, transparent); }
.bar { display: block; height: 100%; min-width: 1px; border-radius: 3px; background: #2e86ab; }
.best .bar { background: #e4572e; }
.best { font-weight: 600; }
.value { text-align: right; font-variant-numeric: tabular-nums; }
.cards { display: flex; flex-wrap: wrap; gap: 16px; }
figure { margin: 0; width: 144px; }
img { display: block; image-rendering: pixelated; object-fit: contain; background: #000; border-radius: 6px;
  outline: 1px solid var(--st-border-color, #b0b4bb); outline-offset: -1px; }
figcaption { margin-top: 6px; line-height: 1.4; }
figcaption span { opacity: 0.7; }
b { font-size: 15px; }"""
_component = st.components.v2.component("torch_playground.quick", html='<div class="view"></div>', css=CSS,
                                        js=(Path(__file__).parent / "quick_bars.js").read_text(encoding="utf-8"))


@dataclass(frozen=True, eq=False)
class Card:
    """A picture, (H, W) or (H, W, 3) uint8, shown `side` pixels large, with a title and a line. said: an answer, above them."""

    title: str
    about: str
    picture: np.ndarray
    side: int
    said: str = ""


def bars(classes: Sequence[str], probabilities: Sequence[float], key: str, large: bool = False) -> None:
    """One bar for each class, the most probable one marked."""
    _component(data={**probability_bars(classes, probabilities), "large": large}, key=key, height="content")


def cards(shown: Sequence[Card], key: str) -> None:
    """Pictures side by side, as many in a row as there is room for."""
    _component(data={"cards": [{"url": "data:image/png;base64," + base64.b64encode(png_file(card.picture)).decode(),
                                "side": card.side, "title": card.title, "said": card.said, "about": card.about}
                               for card in shown]}, key=key, height="content")
