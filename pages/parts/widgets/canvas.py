"""Draw a digit: the sheet to draw on, a small component of our own.

The ready-made one, streamlit-drawable-canvas 0.13.0, waits 200 ms before it sends a stroke, has the server run for each change of
tool, and loses the drawing with the page.
"""

from pathlib import Path

import numpy as np
import streamlit as st

from core.data.drawing import DrawingError
from core.data.drawing.canvas import read_canvas
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text

CANVAS_SIZE = 280  # pixels: ten for each of the network's, and it fits a phone
PAPER, INK = "#ffffff", "#1a1a1a"
NARROWEST, WIDEST, USUAL = 6, 40, 20  # pixels: the brush
HTML = """<div class="sheet">
<div class="row tools"><div class="pair" role="radiogroup" aria-label="Tool">
<label><input type="radio" name="tool" value="pen" checked><span>Pen</span></label><label><input type="radio" name="tool"
 value="eraser"><span>Eraser</span></label></div>
<label class="width">Width <input type="range" aria-label="Brush width (pixels)"><output></output></label></div>
<canvas class="upper-canvas" tabindex="0" role="application" aria-label="White square to draw on with mouse, pen or finger. By
 keyboard: arrows move the pen, space puts it down and lifts it.">
</canvas><p class="help" hidden>Arrows move the pen, space puts it down and lifts it.</p><span role="status"></span>
<div class="row"><button class="undo" title="Ctrl+Z">Undo</button><button class="redo" title="Ctrl+Shift+Z">Redo</button>
<button class="clear">Clear</button></div></div>"""
CSS = """.sheet { width: max(17.625rem, min(100%, 100dvh - var(--rest, 100dvh))); max-width: 100%;
  color: var(--st-text-color); font: 0.875rem var(--st-font, sans-serif);
  user-select: none; -webkit-user-select: none; position: relative; }
.help { position: absolute; margin: 0; padding: 2px 8px; border-radius: 4px; color: #1a1a1a; background: #eef0f2e6;
  pointer-events: none; }
.help[hidden] { display: none; }
[role="status"] { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.plain .tools { display: none; }
@media (max-width: 640px) {
  .sheet.fitted { display: flex; flex-wrap: wrap; gap: 8px; width: 100%; align-items: flex-start; }
  .fitted .tools { flex: 0 0 100%; }
  .fitted canvas { margin: 0; flex: none; width: max(15rem, min(100% - 5.5rem, 100dvh - var(--narrow-rest, 100dvh))); }
  .fitted .row:last-child { flex-direction: column; flex: 1; align-items: stretch; }
  .fitted button { flex: none; }
  .fitted.below .row:last-child { flex: 0 0 100%; flex-direction: row; }
  .fitted.below button { flex: 1; }
  .fitted.below canvas { width: max(15rem, min(100%, 100dvh - var(--narrow-rest, 100dvh))); }
}
.row { display: flex; align-items: center; gap: 8px; min-height: 40px; }
canvas { display: block; width: 100%; aspect-ratio: 1; box-sizing: border-box; margin: 6px 0; border-radius: 6px;
  outline: 1px solid var(--st-border-color, #b0b4bb); outline-offset: -1px; touch-action: none; cursor: crosshair; }
canvas:focus-visible, button:focus-visible { outline: 2px solid var(--st-primary-color); }
button { flex: 1; height: 40px; border: 1px solid var(--st-border-color, #b0b4bb); border-radius: var(--st-button-radius, 8px);
  background: transparent; color: inherit; font: inherit; cursor: pointer; }
button:hover:enabled { border-color: var(--st-primary-color); color: var(--st-primary-color); }
button:disabled { opacity: 0.45; cursor: default; }
.pair { display: flex; }
.pair label { position: relative; }
.pair input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: pointer; }
.pair span { display: block; padding: 9px 10px; border: 1px solid var(--st-border-color, #b0b4bb); line-height: 1.25rem; }
.pair label:first-child span { border-radius: 8px 0 0 8px; }
.pair label:last-child span { border-radius: 0 8px 8px 0; margin-left: -1px; }
.pair input:checked + span { border-color: var(--st-primary-color); font-weight: 600; position: relative;
  background: color-mix(in srgb, var(--st-primary-color) 12%, transparent); }
.pair input:focus-visible + span { box-shadow: 0 0 0 2px var(--st-primary-color); }
.width { display: flex; flex: 1; align-items: center; gap: 6px; min-width: 0; }
.width input { height: 40px; }
.width input { flex: 1; min-width: 0; accent-color: var(--st-primary-color); }
.width output { width: 2.5rem; text-align: right; font-variant-numeric: tabular-nums; }"""
_component = st.components.v2.component("torch_playground.sheet", html=HTML, css=CSS,
                                        js=(Path(__file__).parent / "canvas.js").read_text(encoding="utf-8"))


def canvas(live: bool = False, rest: tuple[int, int] | None = None, plain: bool = False, below: bool = False,
           name: str = "") -> np.ndarray | None:
    """The sheet and its pixels, (H, W, 4) uint8; None while there is no ink on it.

    live: whether it is sent while the pen moves as well. rest: pixels of the screen's height that are for other things, on a
        desktop and on a phone: the sheet is as large as they leave it, never smaller than 282 pixels (a phone: 240) and never
        wider than its column; None: 282. plain: without eraser and width. below: on a phone its buttons stand below it, and not
        beside. name: of a sheet that has nothing to do with the others.
    """
    key, version = _key(name), _sheet_number(name)
    before = st.session_state.get(key)
    told = before.get("drawing") if isinstance(before, dict) else None
    heard = told.get("number", 0) if isinstance(told, dict) else 0
    _component(key=key, on_drawing_change=lambda: None, height="content",
               data={"side": CANVAS_SIZE, "ink": INK, "paper": PAPER, "narrowest": NARROWEST, "widest": WIDEST,
                     "width": USUAL, "sheet": f"{st.session_state[keys.OWNER]}.{version}", "live": live, "rest": rest,
                     "plain": plain, "below": below, "name": name,
                     "heard": heard if type(heard) is int and 0 <= heard < 2**31 else 0})
    try:
        return on_sheet(name)
    except DrawingError as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return None


def on_sheet(name: str = "") -> np.ndarray | None:
    """What the browser has sent of a sheet last, (H, W, 4) uint8, also as a button is pressed and before the page is drawn; None
    while there is no ink on it. Raises DrawingError for what is no picture."""
    state = st.session_state.get(_key(name))
    sent = state.get("drawing") if isinstance(state, dict) else None
    url = sent.get("data") if isinstance(sent, dict) else None
    return None if url is None else read_canvas(url)


def new_sheet(name: str = "") -> None:
    """Put the drawing away: a sheet under another key is a new one."""
    st.session_state[f"{keys.CANVAS_VERSION}{name}"] = _sheet_number(name) + 1


def _sheet_number(name: str) -> int:
    return st.session_state.get(f"{keys.CANVAS_VERSION}{name}", 0)


def _key(name: str) -> str:
    return f"{keys.CANVAS}{name}.{_sheet_number(name)}"
