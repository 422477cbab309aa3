"""The table of runs itself."""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from core.runs.table import COLUMNS, COMPARED, Entry, Value
from core.runs.view import View
from core.wording import plural
from pages.parts.compare.controls import shown_as
from pages.parts.compare.looked_at import change
from pages.parts.shell import keys
from pages.parts.shell.markdown import in_table

TABLE = "compare.table"
NUMBERS = {"number", "share", "seconds"}
MOST_MARKED = 1000  # rows of a table whose best cells are marked: each text of a marked table is sent twice
BEST = "font-weight: 700; background-color: #2e86ab33"  # to be read on both themes


def grid(entries: Sequence[Entry], columns: Sequence[str], view: View, colours: Mapping[int, str],
         best: Mapping[int, list[str]]) -> None:
    """One row for each run. Which rows are selected is for take_selection(). colours: of the selected runs, by number."""
    chosen = set(view.selected)
    rows = [place for place, entry in enumerate(entries) if entry.number in chosen]
    st.session_state[keys.COMPARE_ROWS] = [entry.number for entry in entries], rows
    known = st.session_state.get(TABLE)
    if known is None or sorted(known["selection"]["rows"]) != rows:
        st.session_state[TABLE] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    st.dataframe(marked(frame(entries, columns, colours, best), entries, best), hide_index=True, on_select="rerun",
                 selection_mode="multi-row", key=TABLE, placeholder="–", column_config=_config(columns),
                 alt=f"Table of {plural(len(entries), 'run')}")


def take_selection() -> None:
    """Select the runs whose rows somebody has selected since the table was drawn; to be called before the view is opened."""
    numbers, drawn = st.session_state.get(keys.COMPARE_ROWS, ([], []))
    if TABLE in st.session_state and keys.COMPARE_VIEW in st.session_state:
        rows = sorted(st.session_state[TABLE]["selection"]["rows"])
        if rows != drawn:
            change(selected=tuple(sorted(numbers[row] for row in rows if row < len(numbers))))


def frame(entries: Sequence[Entry], columns: Sequence[str], colours: Mapping[int, str],
          best: Mapping[int, list[str]]) -> pd.DataFrame:
    """The cells. A text that a spreadsheet would take for a formula begins with a sign that takes no room."""
    found: dict[str, Any] = {}
    if colours:
        found["colour"] = [_dot(colours[entry.number]) if entry.number in colours else "" for entry in entries]
    for key in columns:
        found[key] = _cells(key, [entry.values.get(key) for entry in entries])
    if best:  # in words, and of results that are no columns, too
        found["best"] = [[COLUMNS[one].label.removesuffix(" (s)") for one in best.get(entry.number, ())] for entry in entries]
    return pd.DataFrame(found)


def marked(table: pd.DataFrame, entries: Sequence[Entry], best: Mapping[int, list[str]]) -> pd.DataFrame | Styler:
    """The table with its best cells marked.

    All that is not in a row and a column with one of them is hidden from pandas, which makes up a text for each cell that it
    styles; what is hidden from it is drawn all the same.
    """
    keys = [key for key in COMPARED if key in table]
    rows = {place: best[entry.number] for place, entry in enumerate(entries) if set(best.get(entry.number, ())) & set(keys)}
    if not rows or len(table) > MOST_MARKED:
        return table
    marks = pd.DataFrame({key: [BEST if key in of_run else "" for of_run in rows.values()] for key in keys}, index=list(rows))
    others = [place for place in range(len(table)) if place not in rows]
    return table.style.hide(others, axis="index").hide([key for key in table if key not in keys], axis="columns").apply(
        lambda _: marks, axis=None, subset=(list(rows), keys))


def _cells(key: str, values: Sequence[Value]) -> Any:
    kind = COLUMNS[key].kind
    if kind in NUMBERS:
        times = 100 if kind == "share" else 1
        return pd.array([float(value) * times if isinstance(value, int | float) else None for value in values], "Float64")
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
        "best": column.ListColumn("Best", width=190, help="Of which results it has the best of the runs shown, among those of "
                                  "the same data and task, for losses of the same loss function. The same cells are bold."),
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
