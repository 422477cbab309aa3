"""Runs as points: cost against result with the front of the best, settings against results, and effects with intervals."""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from core.evaluation.ranking import pareto_front
from core.figures.literal import literal, literals
from core.figures.palette import GREY, TRAIN, VALIDATION
from core.runs.change_walk import Effect
from core.runs.differing import NOT_THERE, in_words
from core.runs.importance import Importance
from core.runs.outcomes import Outcome

HEIGHT = 380
MARGIN = {"l": 8, "r": 24, "t": 16, "b": 8}
WIDE = 30  # times: numbers that range further are on a logarithmic axis
MOST_TICKS = 8  # values of a setting that have a tick each
MOST_AXES = 8  # of parallel coordinates
MOST_LABELLED = 6  # points of the front that have their name beside them
ROW = 34  # pixels of a bar
MOST_BARS = 15
LONGEST = 40  # letters beside a bar
LETTER = 6  # pixels
LARGE = 10_000  # from where on thousands are a k
NARROW = 24  # letters of a line below an axis, of which a phone has little
SCALE = [[0.0, "#e4572e"], [0.5, "#b8860b"], [1.0, "#2e86ab"]]  # also told apart with colour-blind eyes


def front_chart(costs: Sequence[float], values: Sequence[float], names: Sequence[str], colours: Sequence[str], cost: Outcome,
                result: Outcome) -> go.Figure:
    """Runs by cost and result, with the front of those that none other beats in both as a line of steps."""
    figure = go.Figure()
    front = pareto_front(costs, values, result.higher)
    figure.add_scatter(x=[costs[one] for one in front], y=[values[one] for one in front], mode="lines", hoverinfo="skip",
                       line={"color": GREY, "width": 1.5, "dash": "dot", "shape": "hv"})
    labelled = set(front) if len(front) <= MOST_LABELLED and len(names) <= 60 else set()
    figure.add_scatter(
        x=list(costs), y=list(values), mode="markers+text",
        text=[literal(_short(name)) if one in labelled else "" for one, name in enumerate(names)],
        textposition="bottom right", textfont={"size": 11}, customdata=[[name] for name in literals(names)],
        marker={"color": list(colours), "size": [11 if one in front else 8 for one in range(len(names))],
                "symbol": ["diamond" if one in front else "circle" for one in range(len(names))], "opacity": 0.9},
        hovertemplate=f"%{{customdata[0]}}<br>{cost.label} %{{x:,.4~s}}{_unit(cost)}<br>{result.label} %{{y:{_format(result)}}}"
                      "<extra></extra>")
    return figure.update_layout(height=HEIGHT, margin=MARGIN, showlegend=False, xaxis=_axis(costs, cost),
                                yaxis=_axis(values, result, may_be_wide=False))


def scatter_chart(settings: Sequence[Any], values: Sequence[float], names: Sequence[str], colours: Sequence[str], label: str,
                  result: Outcome) -> go.Figure:
    """A result over one setting. settings: of each run, numbers or anything else; each value that is no number has its place."""
    numbers = _numbers(settings)
    texts = [literal(in_words("", value)) for value in settings] if numbers is None else []
    figure = go.Figure(go.Scatter(
        x=texts if numbers is None else numbers, y=list(values), mode="markers", customdata=[[name] for name in literals(names)],
        marker={"color": list(colours), "size": 9, "opacity": 0.85},
        hovertemplate=f"%{{customdata[0]}}<br>{literal(label)} %{{x}}<br>{result.label} %{{y:{_format(result)}}}<extra></extra>"))
    about = Outcome(label, "", lambda run: None)
    x_axis = _axis(numbers, about) | _ticks(numbers) if numbers is not None else {
        "title": literal(label), "type": "category", "categoryorder": "array", "categoryarray": sorted(set(texts), key=_natural)}
    return figure.update_layout(height=HEIGHT, margin=MARGIN, showlegend=False, xaxis=x_axis,
                                yaxis=_axis(values, result, may_be_wide=False))


def parallel_chart(settings: Mapping[str, Sequence[Any]], values: Sequence[float], result: Outcome) -> go.Figure:
    """An upright axis for each setting, by its label, and one for the result; a line for each run, coloured by the result."""
    axes = [_parallel_axis(label, column) for label, column in list(settings.items())[:MOST_AXES]]
    axes.append({"label": _short(result.label), "values": list(values),
                 "tickformat": ".4~%" if result.shares else ".4~s" if max(map(abs, values), default=0.0) >= LARGE else ".4~g"})
    first, last = axes[0], axes[-1]  # beside which their ticks and titles need room
    left = max(LETTER * max(map(len, first.get("ticktext") or [""])), LETTER * len(first["label"]) // 2)
    return go.Figure(go.Parcoords(
        dimensions=axes, line={"color": list(values), "colorscale": SCALE if result.higher else [
            [1 - place, colour] for place, colour in reversed(SCALE)]}, labelfont={"size": 12}, tickfont={"size": 11},
    )).update_layout(height=HEIGHT, margin={"l": max(60, 20 + left), "r": max(60, 12 + LETTER * len(last["label"]) // 2), "t": 60,
                                            "b": 32})


def importance_chart(found: Importance, labels: Mapping[str, str], result: Outcome) -> go.Figure:
    """A bar for each setting, the largest at the top, with its interval; grey where the interval reaches nothing."""
    shares, scale = found.shares[:MOST_BARS], 100 if result.shares else 1
    names = [literal(_short(" + ".join(labels.get(path, path) for path in share.settings), LONGEST)) for share in shares]
    figure = go.Figure(go.Bar(
        x=[share.drop * scale for share in shares], y=list(range(len(shares))), orientation="h",
        marker={"color": [VALIDATION if share.is_clear else GREY for share in shares]},
        error_x={"type": "data", "symmetric": False, "array": [(share.interval.high - share.drop) * scale for share in shares],
                 "arrayminus": [(share.drop - share.interval.low) * scale for share in shares], "thickness": 1.5,
                 "width": 4, "color": GREY},
        customdata=[[literal(" + ".join(labels.get(path, path) for path in share.settings))] for share in shares],
        hovertemplate="%{customdata[0]}<br>%{x:.3~g}<extra></extra>"))
    unit = "percentage points" if result.shares else result.label
    return figure.update_layout(
        height=100 + ROW * len(shares), margin=MARGIN, bargap=0.45,
        xaxis={"title": _broken(f"how much worse the guess gets ({unit})")},
        yaxis={"tickvals": list(range(len(shares))), "ticktext": names, "autorange": "reversed"})


def effects_chart(effects: Sequence[Effect], result: Outcome) -> go.Figure:
    """The effect of each change with its interval beside a line at nothing; the better direction is named on the axis."""
    scale = 100 if result.shares else 1
    shown = [(place, effect, effect.mean) for place, effect in enumerate(effects) if effect.mean is not None]
    half = [(effect.interval.high - mean) * scale if effect.interval is not None else 0.0 for _, effect, mean in shown]
    colours = [GREY if not effect.is_clear else VALIDATION if (mean > 0) == result.higher else TRAIN for _, effect, mean in shown]
    figure = go.Figure(go.Scatter(
        x=[mean * scale for *_, mean in shown], y=[place for place, *_ in shown], mode="markers",
        marker={"size": 11, "color": colours}, error_x={"type": "data", "array": half, "thickness": 2, "width": 6, "color": GREY},
        customdata=[[literal(effect.label), effect.seeds] for _, effect, _ in shown],
        hovertemplate="%{customdata[0]}<br>%{x:+.3~g}, %{customdata[1]} seeds<extra></extra>"))
    unit = "percentage points" if result.shares else result.unit or result.label
    better = "right is better" if result.higher else "left is better"
    figure.add_vline(x=0, line={"color": GREY, "width": 1.5, "dash": "dot"})
    return figure.update_layout(
        height=130 + ROW * len(effects), margin=MARGIN,
        xaxis={"title": _broken(f"change of the {result.label} ({unit}; {better})")},
        yaxis={"tickvals": list(range(len(effects))), "ticktext": [literal(_short(one.label, LONGEST)) for one in effects],
               "range": [len(effects) - 0.5, -0.5]})


def is_wide(values: Sequence[float]) -> bool:
    """Whether positive numbers range so far that equal steps of an axis should be equal factors."""
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) > WIDE * min(finite)


def _numbers(values: Sequence[Any]) -> list[float] | None:
    """Values as numbers; None where one is something else. A setting that a run does not have is no number."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return [float(value) for value in values]
    return None


def _parallel_axis(label: str, column: Sequence[Any]) -> dict[str, Any]:
    numbers = _numbers(column)
    if numbers is not None and not is_wide(numbers):
        return {"label": _short(label, 18), "values": numbers} | _ticks(numbers)
    if numbers is not None:
        ticks = sorted(set(numbers))
        shown = ticks if len(ticks) <= 8 else [ticks[round(place * (len(ticks) - 1) / 7)] for place in range(8)]
        return {"label": _short(label, 18), "values": [math.log10(value) for value in numbers],
                "tickvals": [math.log10(value) for value in shown], "ticktext": [in_words("", value) for value in shown]}
    texts = ["–" if value is NOT_THERE else in_words("", value) for value in column]
    order = sorted(set(texts), key=_natural)
    return {"label": _short(label, 18), "values": [order.index(text) for text in texts], "tickvals": list(range(len(order))),
            "ticktext": [_short(text, 16) for text in order], "range": [-0.3, max(0.3, len(order) - 0.7)]}


def _axis(values: Sequence[float] | None, about: Outcome, may_be_wide: bool = True) -> dict[str, Any]:
    wide = may_be_wide and values is not None and is_wide(values)
    unit = f" ({about.unit})" if about.unit and not about.shares else ""
    same = {value for value in values or () if math.isfinite(value)}
    # a format of its own has Plotly name each tick in full, "50k 100k 200k", where it would write "5 100k 2"
    log = {"type": "log", "tickformat": "~s" if same and max(same) >= LARGE else "~g"}
    return {"title": literal(about.label) + unit} | (log if wide else {}) | (
        {"tickformat": ".4~%"} if about.shares else {}) | (_around(same.pop(), about) if len(same) == 1 else {})


def _ticks(values: Sequence[float]) -> dict[str, Any]:
    """Of a setting that has few values a tick for each, where they lie far enough apart to be read; else {}."""
    ticks = sorted(set(values))
    if not 1 < len(ticks) <= MOST_TICKS or not all(map(math.isfinite, ticks)):
        return {}
    places = [math.log(value) for value in ticks] if is_wide(ticks) else ticks
    if min(b - a for a, b in pairwise(places)) < (places[-1] - places[0]) / (2 * MOST_TICKS):
        return {}
    return {"tickvals": ticks, "ticktext": [in_words("", value) for value in ticks]}


def _around(value: float, about: Outcome) -> dict[str, Any]:
    """An axis on which there is one value alone: Plotly would name it at each tick."""
    room = abs(value) * 0.05 or 1.0
    return {"range": [value - room, value + room], "tickvals": [value], "tickformat": ".4~%" if about.shares else ",.6~g"}


def _format(about: Outcome) -> str:
    return ".2%" if about.shares else ".4~g"


def _unit(about: Outcome) -> str:
    return f" {about.unit}" if about.unit and not about.shares else ""


def _natural(text: str) -> list[Any]:
    """What sorts 4 before 16, and 64-32 before 128-64."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", text))]


def _broken(text: str) -> str:
    """Words of ours in lines that are as narrow as an axis on a phone."""
    return "<br>".join(wrap(text, NARROW))


def _short(text: str, most: int = 28) -> str:
    return text if len(text) <= most else text[:most - 1] + "…"
