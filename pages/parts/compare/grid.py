"""The table of runs itself."""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import streamlit as st

from core.runs.table import COLUMNS, COMPARED, Entry, Value
from core.runs.view import View
from core.wording import plural
from pages.parts.compare.controls import shown_as
from pages.parts.compare.looked_at import change
from pages.parts.shell import keys
from pages.parts.shell.markdown import in_table
from pages.parts.widgets.table import columns_table, draw_table

TABLE = "compare.table"
NUMBERS = {"number", "share", "seconds"}
BEST = {"share": "#1f6b8a", "number": "#85600a", "seconds": "#5f6770"}  # accuracies, losses, times: white is read on each


def grid(entries: Sequence[Entry], columns: Sequence[str], view: View, colours: Mapping[int, str],
         best: Mapping[int, list[str]]) -> None:
    """One row for each run. Which rows are selected is for take_selection(). colours: of the selected runs, by number."""
    chosen = set(view.selected)
    rows = [place for place, entry in enumerate(entries) if entry.number in chosen]
    st.session_state[keys.COMPARE_ROWS] = [entry.number for entry in entries], rows
    known = st.session_state.get(TABLE)
    if known is None or sorted(known["selection"]["rows"]) != rows:
        st.session_state[TABLE] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    draw_table(frame(entries, columns, colours, best), hide_index=True, on_select="rerun", selection_mode="multi-row", key=TABLE,
               placeholder="–", column_config=_config(columns), alt=f"Table of {plural(len(entries), 'run')}")


def take_selection() -> None:
    """Select the runs whose rows somebody has selected since the table was drawn; to be called before the view is opened."""
    numbers, drawn = st.session_state.get(keys.COMPARE_ROWS, ([], []))
    if TABLE in st.session_state and keys.COMPARE_VIEW in st.session_state:
        rows = sorted(st.session_state[TABLE]["selection"]["rows"])
        if rows != drawn:
            change(selected=tuple(sorted(numbers[row] for row in rows if row < len(numbers))))


def frame(entries: Sequence[Entry], columns: Sequence[str], colours: Mapping[int, str],
          best: Mapping[int, list[str]]) -> pa.Table:
    """The cells. A text that a spreadsheet would take for a formula begins with a sign that takes no room."""
    found: dict[str, Any] = {}
    if colours:
        found["colour"] = [_dot(colours[entry.number]) if entry.number in colours else "" for entry in entries]
    for key in columns:
        found[key] = _cells(key, [entry.values.get(key) for entry in entries])
        if key == "name" and best:  # beside the name, so that it is seen; of results that are no columns, too
            found["best"] = [list(map(_short, best.get(entry.number, ()))) for entry in entries]
    return columns_table(found)


def _short(key: str) -> str:
    """What a result is called, without its unit."""
    return COLUMNS[key].label.removesuffix(" (s)")


def _cells(key: str, values: Sequence[Value]) -> Sequence[Any]:
    kind = COLUMNS[key].kind
    if kind in NUMBERS:
        times = 100 if kind == "share" else 1
        return [float(value) * times if isinstance(value, int | float) else None for value in values]
    if kind == "date":
        return [datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else None for value in values]
    if kind == "tags":
        return [list(map(in_table, value)) if isinstance(value, tuple) else [] for value in values]
    if key == "starred":
        return ["★" if value else "" for value in values]
    return [None if value in (None, "") else in_table(shown_as(key, value)) for value in values]


def _config(columns: Sequence[str]) -> dict[str, Any]:
    column = st.column_config
    found: dict[str, Any] = {
        "colour": column.ImageColumn("", width=36, pinned=True, help="The colour of its curve."),
        "best": column.MultiselectColumn(
            "Best in", width=230, options=list(map(_short, COMPARED)),
            color=[BEST[COLUMNS[key].kind] for key in COMPARED],
            help="Of which results it has the best of the runs shown, among those of the same data and task, for losses of the "
                 "same loss function. A double click on the cell shows those that have no room."),
    }
    for key in columns:
        about = COLUMNS[key]
        text, kind = about.help or None, about.kind
        if kind == "share":
            found[key] = column.NumberColumn(about.label, help=text, format="%.2f %%")
        elif kind == "date":
            found[key] = column.DatetimeColumn(about.label, help=text, format="distance")
        elif kind == "tags":
            found[key] = column.ListColumn(about.label, help=text)
        elif kind in NUMBERS:
            found[key] = column.NumberColumn(about.label, help=text, format=_format(key, kind))
        else:
            found[key] = column.TextColumn("★" if key == "starred" else about.label, help=text, pinned=key == "name" or None,
                                           width=200 if key == "name" else None)
    return found


def _format(key: str, kind: str) -> str:
    if kind == "seconds":
        return "%.1f"
    return "%.4f" if key.endswith("loss") else "localized" if key in {"parameters", "epoch", "by_hand"} else "%g"


def _dot(colour: str) -> str:
    """A disc as an image's address."""
    picture = ('<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24">'
               f'<circle cx="12" cy="12" r="9" fill="{colour}"/></svg>')
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()}"
