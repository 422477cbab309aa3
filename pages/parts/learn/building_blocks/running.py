"""The race while it runs, a component of our own: the browser has every step and plays them by itself."""

from pathlib import Path
from typing import Any

import streamlit as st

HERE = Path(__file__).parent
HTML = """<div class="race"><div class="controls"><button class="play" type="button">Play</button>
<input class="slider" type="range" min="0" max="0" step="1" aria-label="Step of the race"><span class="now"></span></div>
<canvas class="map" role="img"></canvas><ol class="racers"></ol></div>"""
_component = st.components.v2.component(  # pyright: ignore[reportAttributeAccessIssue]  # made known when it is asked for
    "torch_playground.race", html=HTML, css=(HERE / "running.css").read_text(encoding="utf-8"),
    js=(HERE / "running.js").read_text(encoding="utf-8"))


def running(content: dict[str, Any], key: str) -> None:
    """Draw it.

    content: `id`, what names the race, which starts anew with another one; `ground` and `racers`, as core.figures.race makes
        them; `x` and `y`, the part that is drawn, (low, high) each; `minima`, (x, y) each; `about`, the picture in words.
    """
    # in a tuple, as none of its lists and dicts is a table: see pages.parts.shell.sent
    _component(data={"content": (content,)}, key=key, height="content")
