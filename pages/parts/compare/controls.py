"""What is above the table of runs: search, order, filters and columns."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args

import streamlit as st

from core.runs.table import COLUMNS, FOR_TEACHERS, Entry, Value, label_of, text_of, usual_columns
from core.runs.view import MOST_CONDITIONS, MOST_VALUES, MOST_WORDS, ORDERED, Archived, Condition, View
from core.wording import plural
from pages.parts.compare.looked_at import change
from pages.parts.compare.words import title_of_data
from pages.parts.draft.fields import CHOICES, CHOICES_OF
from pages.parts.runs.words import STATUS
from pages.parts.shell.markdown import as_text

MOST_CHOICES = 200  # values that are offered one by one
ARCHIVES: dict[Archived, str] = {"no": "Without archived", "also": "With archived", "only": "Archived only"}
SIGN = {"=": "is", "~": "contains", ">=": "≥", "<=": "≤"}


def shown_as(column: str, value: Value) -> str:
    """A value as the page has it."""
    if column == "status":
        return STATUS[str(value)][0] if value in STATUS else text_of(value)
    if column == "data" and isinstance(value, str):
        return title_of_data(value)
    named = label_of(column, value)
    return (CHOICES | CHOICES_OF.get(column, {})).get(named, named) if "." in column else named


def controls(entries: Sequence[Entry], usual: Sequence[str], view: View) -> None:
    """All of them, and a button for each filter that takes it away again."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _search(view)
        with st.popover(f"Sort: {_label(view.sort).lower()} {'↓' if view.descending else '↑'}", icon=":material/sort:"):
            _order(_offered(entries, view), view)
        with st.popover(f"Filter ({len(view.conditions)})" if view.conditions else "Filter", icon=":material/filter_alt:"):
            _filter(entries, view)
        with st.popover("Columns", icon=":material/view_column:"):
            _columns(_offered(entries, view), usual, view)
    if view.conditions or view.words:
        with st.container(horizontal=True):
            for place, condition in enumerate(view.conditions):
                rest = tuple(one for one in view.conditions if one != condition)
                st.button(as_text(in_words(condition)), icon=":material/close:", key=f"compare.filter.{place}",
                          help="Take this filter away.", on_click=change, kwargs={"conditions": rest})
            st.button("Show all", key="compare.all", type="tertiary", on_click=change, kwargs={"conditions": (), "words": ""})


def in_words(condition: Condition) -> str:
    """"Test accuracy ≥ 97 %"."""
    column = COLUMNS[condition.column]
    values = [shown_as(condition.column, value) if condition.operator == "=" else value for value in condition.values]
    if column.kind == "share" and condition.operator in {">=", "<="}:
        values = [f"{float(condition.values[0]) * 100:g} %"]
    if column.kind == "flag":
        values = ["yes" if value == "yes" else "no" for value in condition.values]
    line = f"{column.label} {SIGN[condition.operator]} {' or '.join(value or 'not set' for value in values)}"
    return line if len(line) <= 80 else f"{line[:79]}…"


def _search(view: View) -> None:
    st.session_state["compare.words"] = view.words
    st.text_input("Search", key="compare.words", max_chars=MOST_WORDS, placeholder="Name, note, tag, network, data",
                  icon=":material/search:", width=320, help="Runs with all of these words, or parts of words.",
                  on_change=lambda: change(words=" ".join(st.session_state["compare.words"].split())))


def _order(offered: Sequence[str], view: View) -> None:
    st.session_state["compare.sort"], st.session_state["compare.descending"] = view.sort, view.descending
    st.selectbox("Sort by", offered, key="compare.sort", format_func=_label,
                 on_change=lambda: change(sort=st.session_state["compare.sort"]))
    st.toggle("Largest first", key="compare.descending", on_change=lambda: change(
        descending=st.session_state["compare.descending"]), help="Newest first, of dates; Z before A, of words. Runs without a "
        "value come last either way.")


def _offered(entries: Sequence[Entry], view: View) -> list[str]:
    """The columns that can be chosen: those for teachers only where a run has them, or the address names them."""
    named = (view.sort, *(view.columns or ()))
    return [key for key in COLUMNS if key not in FOR_TEACHERS or key in named or any(entry.values.get(key) for entry in entries)]


def _label(column: str) -> str:
    return COLUMNS[column].label


def _columns(offered: Sequence[str], usual: Sequence[str], view: View) -> None:
    st.session_state["compare.columns"] = list(view.columns or usual)

    def chosen() -> None:
        columns = tuple(st.session_state["compare.columns"])
        change(columns=None if set(columns) in (set(usual), set()) else columns)

    st.multiselect("Columns", offered, key="compare.columns", format_func=_label, on_change=chosen)
    st.caption("As usual: results that some run has, and the settings in which the runs shown differ.")
    st.button("As usual", key="compare.usual_columns", disabled=view.columns is None, on_click=change, kwargs={"columns": None})


# --- filters

def _filter(entries: Sequence[Entry], view: View) -> None:
    st.session_state["compare.archived"] = view.archived
    st.segmented_control("Archived runs", list(get_args(Archived)), format_func=ARCHIVES.__getitem__, key="compare.archived",
                         required=True, on_change=lambda: change(archived=st.session_state["compare.archived"]))
    # what differs among all runs first: little is gained by a filter on what is the same everywhere
    first = usual_columns(entries)
    column = st.selectbox("Column", [*first, *(key for key in _offered(entries, view) if key not in first)], format_func=_label,
                          key="compare.filter_column")
    kind = COLUMNS[column].kind
    if kind == "date":
        added = _days(column)
    elif kind in ORDERED:
        added = _bounds(column)
    elif kind == "text":
        words = st.text_input("Contains", key=f"compare.filter_words.{column}", max_chars=MOST_WORDS)
        added = [Condition(column, "~", (words,))] if words.split() else []
    else:
        added = _values(entries, column)
    full = len(view.conditions) + len(added) > MOST_CONDITIONS
    st.button("Add filter", key="compare.add_filter", type="primary", disabled=not added or full, on_click=change,
              help=f"There can be {MOST_CONDITIONS} filters." if full else None,
              kwargs={"conditions": tuple(dict.fromkeys((*view.conditions, *added)))})


def _days(column: str) -> list[Condition]:
    first, last = (st.date_input(label, None, key=f"compare.filter_{name}", max_value=datetime.now(UTC).date())
                   for label, name in (("From (UTC)", "from"), ("To (UTC)", "to")))
    return _between(column, first.isoformat() if first else "", last.isoformat() if last else "")


def _bounds(column: str) -> list[Condition]:
    share = COLUMNS[column].kind == "share"
    unit = " (%)" if share else ""
    least = st.number_input(f"At least{unit}", value=None, format="%g", key=f"compare.filter_least.{column}")
    most = st.number_input(f"At most{unit}", value=None, format="%g", key=f"compare.filter_most.{column}")
    return _between(column, *("" if value is None else f"{value / 100 if share else value:.12g}" for value in (least, most)))


def _between(column: str, least: str, most: str) -> list[Condition]:
    """"" for an end that is open."""
    return [*([Condition(column, ">=", (least,))] if least else []), *([Condition(column, "<=", (most,))] if most else [])]


def _values(entries: Sequence[Entry], column: str) -> list[Condition]:
    found: Counter[str] = Counter()
    for entry in entries:
        value = entry.values.get(column)
        found.update(value if isinstance(value, tuple) and value else [text_of(value)])
    if len(found) > MOST_CHOICES:
        st.caption(f"The {MOST_CHOICES} most frequent of {plural(len(found), 'value')}.")
    names = {value: f"{_short(shown_as(column, value) or 'not set')} ({count:,})" for value, count in
             found.most_common(MOST_CHOICES)}
    chosen = st.multiselect("Is one of", list(names), format_func=names.__getitem__, key=f"compare.filter_values.{column}",
                            max_selections=MOST_VALUES)
    return [Condition(column, "=", tuple(chosen))] if chosen else []


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
