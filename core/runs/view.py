"""What somebody looks at in the table of runs, as the page's address has it: words, conditions, order, columns and selection.

An address may hold anything: what makes no sense is left out. Two addresses that mean the same give the same view.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Literal, get_args

from core.models import ARCHITECTURES
from core.runs.table import COLUMNS, Entry, label_of, ordered, text_of

Operator = Literal["=", ">=", "<=", "~"]
Archived = Literal["no", "also", "only"]
MOST_WORDS, MOST_TEXT = 200, 400  # signs of a search, of a condition
MOST_CONDITIONS, MOST_VALUES, MOST_SELECTED = 20, 50, 2000
PARAMETERS = ("words", "where", "sort", "columns", "selected", "archived")
CONDITION = re.compile(r"([a-z][a-z0-9_.]*)(>=|<=|=|~)(.*)", re.DOTALL)
RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
ORDERED = ("number", "share", "seconds", "date")  # kinds of columns that have a more and a less


@dataclass(frozen=True)
class Condition:
    """What a column's value must be: one of some texts, at least or at most a number or day, or a text with words in it."""

    column: str
    operator: Operator
    values: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """columns: None for the usual ones. selected: numbers of runs, ascending."""

    words: str = ""
    conditions: tuple[Condition, ...] = ()
    sort: str = "date"
    descending: bool = True
    columns: tuple[str, ...] | None = None
    selected: tuple[int, ...] = ()
    archived: Archived = "no"


# --- which runs are shown

def shown(entries: Sequence[Entry], view: View) -> list[Entry]:
    """The runs that a view shows, in its order. Selected ones stay, whatever is looked for."""
    words, chosen = view.words.casefold().split(), set(view.selected)
    return ordered((entry for entry in entries if entry.number in chosen or _matches(entry, view, words)), view.sort,
                   view.descending)


def matching(entries: Sequence[Entry], view: View) -> int:
    """How many runs are what a view looks for."""
    words = view.words.casefold().split()
    return sum(_matches(entry, view, words) for entry in entries)


def _matches(entry: Entry, view: View, words: Sequence[str]) -> bool:
    archived = bool(entry.values["archived"])
    if archived and view.archived == "no" or not archived and view.archived == "only":
        return False
    if words:
        text = _searched(entry)
        if not all(word in text for word in words):
            return False
    return all(holds(condition, entry) for condition in view.conditions)


def _searched(entry: Entry) -> str:
    values, network = entry.values, text_of(entry.values.get("network"))
    return " ".join([entry.name, entry.id, *(text_of(values.get(key)) for key in ("note", "tags", "network", "data")),
                     label_of("network", network), label_of("data", values.get("data")),
                     ARCHITECTURES[network].title if network in ARCHITECTURES else ""]).casefold()


def holds(condition: Condition, entry: Entry) -> bool:
    """Whether a run is what a condition asks for."""
    value = entry.values.get(condition.column)
    if condition.operator == "=":
        return bool(set(value) & set(condition.values)) if isinstance(value, tuple) and value else text_of(value) in \
            condition.values
    if condition.operator == "~":
        text = f"{text_of(value)} {label_of(condition.column, value)}".casefold()
        return all(word in text for word in condition.values[0].casefold().split())
    if isinstance(value, str) or not isinstance(value, int | float):
        return False
    bound = bound_of(condition)
    return bound is not None and (value >= bound if condition.operator == ">=" else value <= bound)


def bound_of(condition: Condition) -> float | None:
    """The number that a value is held against; None where the text is none. A day is over at its end."""
    text = condition.values[0]
    try:
        if COLUMNS[condition.column].kind == "date":
            day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
            return (day if condition.operator == ">=" else day + timedelta(days=1)).timestamp()
        number = float(text)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


# --- the address

def read_view(parameters: Mapping[str, Sequence[str]]) -> View:
    """The view that an address names. parameters: all values of each of its parameters."""
    first = {name: values[-1] for name, values in parameters.items() if values}
    sort = first.get("sort", "-date")
    column = sort.removeprefix("-")
    asked = first.get("archived", "no")
    columns = tuple(dict.fromkeys(key for key in first.get("columns", "").split(",") if key in COLUMNS))
    conditions = dict.fromkeys(found for text in parameters.get("where", ()) if (found := _condition(text)))
    return View(words=" ".join(first.get("words", "")[:MOST_WORDS].split()), conditions=tuple(conditions)[:MOST_CONDITIONS],
                sort=column if column in COLUMNS else "date", descending=sort.startswith("-") or column not in COLUMNS,
                columns=columns or None, selected=read_numbers(first.get("selected", "")),
                archived=next((one for one in get_args(Archived) if one == asked), "no"))


def write_view(view: View) -> dict[str, list[str]]:
    """The parameters of an address that read_view() takes; what is as usual is left out."""
    texts = {"words": view.words, "sort": ("-" if view.descending else "") + view.sort,
             "columns": ",".join(view.columns or ()), "selected": write_numbers(view.selected), "archived": view.archived}
    usual = {"words": "", "sort": "-date", "columns": "", "selected": "", "archived": "no"}
    found = {name: [text] for name, text in texts.items() if text != usual[name]}
    if view.conditions:
        found["where"] = [condition.column + condition.operator + "|".join(map(_quoted, condition.values))
                          for condition in view.conditions]
    return found


def _condition(text: str) -> Condition | None:
    found = CONDITION.fullmatch(text[:MOST_TEXT])
    if found is None or found[1] not in COLUMNS:
        return None
    operator: Operator = next(one for one in get_args(Operator) if one == found[2])
    values = tuple(dict.fromkeys(map(_unquoted, found[3].split("|"))))[:MOST_VALUES]
    if operator == "=":
        return Condition(found[1], operator, values)
    condition = Condition(found[1], operator, values[:1])
    if operator == "~":
        return condition if values[0].split() else None
    return condition if COLUMNS[found[1]].kind in ORDERED and bound_of(condition) is not None else None


def _quoted(value: str) -> str:
    return value.replace("%", "%25").replace("|", "%7C")


def _unquoted(text: str) -> str:
    return text.replace("%7C", "|").replace("%25", "%")


def read_numbers(text: str) -> tuple[int, ...]:
    """Numbers and ranges of them: "3,7-9" is 3, 7, 8, 9."""
    found: set[int] = set()
    for part in text.split(","):
        if match := RANGE.fullmatch(part):
            first = int(match[1])
            last = int(match[2] or first)
            found.update(range(first, min(last, first + MOST_SELECTED) + 1))
        if len(found) >= MOST_SELECTED:
            break
    return tuple(sorted(found))[:MOST_SELECTED]


def write_numbers(numbers: Iterable[int]) -> str:
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
