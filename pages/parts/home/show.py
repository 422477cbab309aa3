"""The picture of Home, a component of our own: what a network says to the drawing, and a training that is played beside it.

Bars, ten examples, first filters and loss are one component, so that all of it moves by one clock.
"""

from pathlib import Path
from typing import Any

import streamlit as st

from pages.parts.widgets.quick_bars import ROWS_CSS, ROWS_JS

HERE = Path(__file__).parent
HTML = """<div class="show">
<div class="said"><canvas class="watched" role="img" hidden></canvas><div class="head" role="status"><h2></h2><p></p></div></div>
<div class="lines" role="list" aria-label="What it says, class by class"></div><p class="source"></p>
<div class="label"><span></span><button class="again" hidden>Play again</button></div>
<div class="picture" role="img" aria-label="A network while it learns">
<div class="examples"></div><div class="below"><canvas class="filters"></canvas><canvas
 class="curve"></canvas></div></div></div>"""
_component = st.components.v2.component(  # pyright: ignore[reportAttributeAccessIssue]  # made known when it is asked for
    "torch_playground.show", html=HTML, css=ROWS_CSS + (HERE / "show.css").read_text(encoding="utf-8"),
    js=ROWS_JS + (HERE / "show.js").read_text(encoding="utf-8"))


def show(content: dict[str, Any], key: str) -> bool:
    """Draw it. Returns whether the browser has no recording yet, and asks for it.

    content: `bars`, as answer() or learning() make it; `classes`; `source`, a line about who answers; `play`, None to leave the
        picture as it is, or `id`, `label`, `frames`, as core.figures.learning makes them, `curve`, a list of (seconds, loss),
        `examples`, as gray(), their `labels`, `names` of the answers, and `live`: whether more frames are to come;
        `timed`: whether the label is followed by the time of what is played. `missing`: why there is no recording, or "".
        `waiting`: nothing is to be played again now.
    """
    # in a tuple, as none of its lists and dicts is a table: see pages.parts.shell.sent
    return bool(_component(data={"content": (content,)}, key=key, on_asked_change=lambda: None, height="content").asked)
