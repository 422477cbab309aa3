"""What somebody looks at of runs side by side, as the page's address has it: which view is open, and what its controls say.

An address may hold anything: what makes no sense is left out, and what is as usual is not written. Whether the selected runs have
a metric, result or setting that is asked for is the page's to find out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any, Literal, get_args

from core.runs.change_walk import SEEDS
from core.runs.curves import Axis
from core.runs.outcomes import COSTS, RESULTS
from core.runs.table import SETTINGS, SHOWN_AS
from core.runs.view import read_numbers, write_numbers

Kind = Literal["curves", "settings", "cost", "effect", "board", "change"]
Way = Literal["one", "all", "which"]
Split = Literal["test", "validation"]
MULT_ADDS = "mult_adds"  # the cost that is worked out and not recorded
LAST = "last."  # before the name of a metric of which the last value is the result
MOST_METRICS, MOST_TEXT = 40, 200  # of an address, and signs of each
LARGEST = 1e15


@dataclass(frozen=True)
class Beside:
    """The view and its controls, each by the name that it has in the address. Runs are named by their numbers, 0 for none; "" and
    None are what the page takes where nobody has chosen."""

    view: Kind = "curves"
    metric: tuple[str, ...] | None = None  # which curves
    over: Axis = "epoch"
    smoothing: float = 0.0  # 0 to 0.99
    log: bool = False
    together: bool = True  # runs that differ by their seed alone
    closer: tuple[float, float] | None = None  # the part of the axis that is looked at, in its unit
    picked: tuple[int, ...] | None = None  # runs with a colour, where there are too many for all to have one
    highlight: int = 0
    cost: str = "parameters"
    result: str = ""  # of RESULTS, beside costs and settings; beside settings also of COSTS, or LAST and a metric's name
    effect: Way = "one"
    setting: str = ""  # its dotted path
    split: Split = "test"
    budget: str = ""  # of COSTS
    most: float | None = None  # that the budget allows
    first: int = 0  # from which run to which …
    second: int = 0
    seeds: int = 3
    measure: str = ""  # … and by which of RESULTS


def read_beside(parameters: Mapping[str, Sequence[str]]) -> Beside:
    """What an address names. parameters: all values of each of its parameters."""
    found: dict[str, Any] = {}
    for name, (read, _) in PARAMETERS.items():
        values = parameters.get(name)
        if not values:
            continue
        value = _metrics(values) if name == "metric" else read(values[-1][:10 * MOST_TEXT])
        if value is not None:
            found[name] = value
    return Beside(**found)


def write_beside(beside: Beside) -> dict[str, list[str]]:
    """The parameters of an address that read_beside() takes; what is as usual is left out."""
    found: dict[str, list[str]] = {}
    for name, (_, write) in PARAMETERS.items():
        value = getattr(beside, name)
        if value != USUAL[name]:
            found[name] = list(value) or [""] if name == "metric" else [write(value)]
    return found


def plain(value: float) -> float:
    """A number as an address has it: nine digits."""
    return float(f"{value:.9g}")


# --- one parameter each: what reads it, None for what makes no sense, and what writes it

def _one_of(*known: str) -> Callable[[str], str | None]:
    return lambda text: text if text in known else None


def _result(text: str) -> str | None:
    return text if text in RESULTS or text in COSTS or text.startswith(LAST) and len(text) <= MOST_TEXT else None


def _share(text: str) -> float | None:
    value = _number(text)
    return value if value is not None and value <= 0.99 else None


def _number(text: str) -> float | None:
    """Not below zero."""
    try:
        value = float(text)
    except ValueError:
        return None
    return plain(value) if isfinite(value) and 0 <= value <= LARGEST else None


def _window(text: str) -> tuple[float, float] | None:
    low, _, high = text.partition(",")
    ends = _number(low), _number(high)
    return (ends[0], ends[1]) if ends[0] is not None and ends[1] is not None and ends[0] < ends[1] else None


def _run(text: str) -> int | None:
    found = read_numbers(text)
    return found[0] if len(found) == 1 else None


def _seeds(text: str) -> int | None:
    return next((count for count in SEEDS if str(count) == text), None)


def _metrics(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in values if text and len(text) <= MOST_TEXT))[:MOST_METRICS]


def _flag(text: str) -> bool | None:
    return {"yes": True, "no": False}.get(text)


def _said(flag: bool) -> str:
    return "yes" if flag else "no"


def _figure(value: float) -> str:
    return f"{value:.9g}"


PARAMETERS: dict[str, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    "view": (_one_of(*get_args(Kind)), str),
    "metric": (str, str),  # the only one that comes several times
    "over": (_one_of(*get_args(Axis)), str),
    "smoothing": (_share, _figure),
    "log": (_flag, _said),
    "together": (_flag, _said),
    "closer": (_window, lambda ends: ",".join(map(_figure, ends))),
    "picked": (read_numbers, write_numbers),
    "highlight": (_run, str),
    "cost": (_one_of(*COSTS, MULT_ADDS), str),
    "result": (_result, str),
    "effect": (_one_of(*get_args(Way)), str),
    "setting": (_one_of(*SETTINGS, *SHOWN_AS), str),
    "split": (_one_of(*get_args(Split)), str),
    "budget": (_one_of(*COSTS), str),
    "most": (_number, _figure),
    "first": (_run, str),
    "second": (_run, str),
    "seeds": (_seeds, str),
    "measure": (_one_of(*RESULTS), str),
}
USUAL: dict[str, Any] = {field.name: field.default for field in fields(Beside)}
