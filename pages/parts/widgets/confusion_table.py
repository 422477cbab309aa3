"""A confusion matrix whose cells can be clicked on: a small component of our own, made of buttons.

Plotly chooses what was last hovered over, which for quick clicks and taps is another cell, and takes two clicks within half a
second for one that undoes the first. A button is what was pressed, by mouse, finger and keyboard.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from core.figures.confusion import about_cells, cell_colors, cell_texts
from pages.parts.shell.sent import as_sent

HERE = Path(__file__).parent
_table = st.components.v2.component("confusion_table", html="<div class='place'><table></table></div>",
                                    css=(HERE / "confusion_table.css").read_text(encoding="utf-8"),
                                    js=(HERE / "confusion_table.js").read_text(encoding="utf-8"))


def confusion_table(counts: np.ndarray, classes: Sequence[str], as_shares: bool, key: str, label: str, chosen: tuple[int, int],
                    on_pick: Callable[[int, int], None]) -> None:
    """(K, K) counts with true classes as rows; on_pick(row, column) is called for each cell that is pressed.

    label: what it is, for screen readers. chosen: the framed cell.
    """
    size = len(classes)

    def picked() -> None:
        # nothing of a page that has been left meanwhile
        index = (getattr(st.session_state.get(key), "picked", None) or {}).get("index")
        if isinstance(index, int) and 0 <= index < size * size:
            on_pick(*divmod(index, size))

    _table(key=key, on_picked_change=picked, data=as_sent({
        "classes": list(classes), "label": label, "chosen": chosen[0] * size + chosen[1],
        "texts": cell_texts(counts, as_shares), "titles": about_cells(counts, classes), "colors": cell_colors(counts)}))
