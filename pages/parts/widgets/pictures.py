"""Pictures to click, in a grid that fits the page's width, and an image as a table of its numbers.

Streamlit's own st.image can't be clicked, and charts have one height on a phone and on a desk. So these are two small components
of our own: the scripts beside this module build elements and set text; what people wrote never becomes HTML.
"""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st
from torch import Tensor

from core.figures.pictures import data_uri
from pages.parts.shell.sent import as_sent

HERE = Path(__file__).parent
_grid = st.components.v2.component("picture_grid", html="<div class='grid'></div>",
                                   css=(HERE / "picture_grid.css").read_text(encoding="utf-8"),
                                   js=(HERE / "picture_grid.js").read_text(encoding="utf-8"))
_numbers = st.components.v2.component("number_table", html="<div class='place'></div>",
                                      css=(HERE / "number_table.css").read_text(encoding="utf-8"),
                                      js=(HERE / "number_table.js").read_text(encoding="utf-8"))


def picture_grid(images: Tensor, key: str, label: str, captions: Sequence[str] = (), titles: Sequence[str] = (),
                 marked: Sequence[bool] = (), selected: int | None = None, smallest: int = 64, pick: bool = True) -> int | None:
    """Images (N, C, H, W) uint8 in rows; the index of the one that was just clicked, if any.

    label: what they are, for screen readers. captions: below each. titles: shown where one hovers. marked: framed in red.
    selected: framed. smallest: width in pixels of one at least. pick: whether they can be clicked.
    """
    def entry(values: Sequence[str], index: int) -> str:
        return values[index] if index < len(values) else ""

    items = [{"src": data_uri(image), "caption": entry(captions, i), "title": entry(titles, i),
              "marked": bool(i < len(marked) and marked[i])} for i, image in enumerate(images)]
    result = _grid(key=key, on_picked_change=_nothing, data=as_sent({
        "items": items, "label": label, "smallest": smallest, "selected": selected, "pick": pick}))
    picked = result.picked
    index = picked.get("index") if picked else None
    return index if isinstance(index, int) and 0 <= index < len(items) else None


def number_table(channel: Tensor, key: str, label: str, tint: tuple[int, int, int] = (255, 255, 255)) -> None:
    """(H, W) uint8 as numbers, each cell in its shade: black for 0, `tint` for 255."""
    light = (0.299 * tint[0] + 0.587 * tint[1] + 0.114 * tint[2]) / 255  # how bright the tint looks (ITU-R BT.601)
    _numbers(key=key, data=as_sent({"rows": channel.tolist(), "label": label, "tint": tint, "light": light}))


def _nothing() -> None:
    """A trigger needs a callback; the page reads the result."""
