"""One slider over the moments that a run has kept, a component of our own: the browser keeps what it was sent and plays it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from pages.parts.shell.sent import as_sent

HERE = Path(__file__).parent
HTML = """<div class="time"><div class="controls"><button class="play" type="button">Play</button>
<input class="slider" type="range" min="0" max="0" step="1" aria-label="Moment of the training"></div>
<p class="now" role="status"></p><div class="panels"></div></div>"""
MOST_ASKED = 12  # moments in one question
_component = st.components.v2.component(  # pyright: ignore[reportAttributeAccessIssue]  # made known when it is asked for
    "torch_playground.time", html=HTML, css=(HERE / "slider.css").read_text(encoding="utf-8"),
    js=(HERE / "slider.js").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Asked:
    """What a browser asks for. steps: of moments whose pictures it has not got. at: where the slider has come to rest, if so."""

    steps: tuple[int, ...]
    at: int | None


def asked(key: str) -> Asked:
    """The question that this run of the script is to answer; nothing for a message made by hand that says nothing of the kind."""
    match getattr(st.session_state.get(key), "asked", None):
        case {"steps": list() as steps, "at": (int() | None) as at}:
            return Asked(tuple(step for step in steps[:MOST_ASKED] if isinstance(step, int)), at)
    return Asked((), None)


def time_slider(content: dict[str, Any], key: str) -> None:
    """Draw it.

    content: `of`, what names the run and all that is shown, so that pictures of something else are forgotten; `moments`, each a
        `step` and a `label`; `frames`, each a `step`, a `line` and `panels` (`title`, `src`, `alt`, `width`, `height`,
        `pixelated`); `at`, the step to begin with; `going`: whether the training goes on; `tried` and `rested`: the question
        that this answers.
    """
    _component(data=as_sent(content), key=key, on_asked_change=lambda: None, height="content")
