"""Many runs in one picture: their curves, seeds as mean and band, and the legend that all charts share."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.figures.literal import literal
from core.figures.metric_titles import metric_title
from core.figures.palette import GREY
from core.runs.thinning import Band, Points

MOST_NAMED = 20  # runs that have a colour and a place in the legend; with more, all are pale but those that are picked
MOST_AT_ONCE = 8  # runs of which the values at one place are shown together
MOST_MARKED = 30  # points of a line that are marked each
CHART_PIXELS = 400  # parts that a line is thinned to where there is room
POINTS_SENT = 120_000  # to the browser, in all charts of a page: 11 bytes each
PALE_GL = 20_000  # points; more are drawn by the graphics card
HEIGHT = 340
DASHES = ("solid", "dash", "dot")  # one after the other where a colour comes again
BORDERS = {"solid": "solid", "dash": "dashed", "dot": "dotted"}
AXES = {"step": "step", "epoch": "epoch", "seconds": "seconds of training"}
MARGIN = {"l": 8, "r": 16, "t": 36, "b": 8}


@dataclass(frozen=True)
class Look:
    """How one run is drawn and called; picked: stands out from the others. name: may hold a person's words."""

    name: str
    colour: str
    dash: str = "solid"
    picked: bool = False


def looks(names: Mapping[str, str], colours: Mapping[str, str], picked: str | None = None) -> dict[str, Look]:
    """A look for each name by its key. A colour that comes again is dashed, then dotted."""
    seen: dict[str, int] = {}
    found = {}
    for key, name in names.items():
        colour = colours.get(key, GREY)
        seen[colour] = seen.get(colour, 0) + 1
        found[key] = Look(name, colour, DASHES[(seen[colour] - 1) % len(DASHES)], key == picked)
    return found


def pixels_for(runs: int, charts: int = 1) -> int:
    """To how many parts each line is thinned, so that all charts of a page stay small."""
    return max(16, min(CHART_PIXELS, POINTS_SENT // (3 * max(1, runs) * max(1, charts))))


def overlay_chart(name: str, axis: str, lines: Mapping[str, Points], named: Mapping[str, Look],
                  bands: Mapping[str, Band] | None = None, ends: Mapping[str, tuple[float, float]] | None = None,
                  logarithmic: bool = False) -> go.Figure:
    """One metric of many runs.

    Args:
        name, axis: the metric, and a key of AXES.
        lines: what is drawn, by run. Those without a look are pale, together, and say nothing when pointed at.
        named: the looks of those that can be told apart, in the order of the legend.
        bands: mean and range of several seeds, by a key of `named`.
        ends: a value that was measured once, such as the test accuracy, as (x, y).
    """
    about, some_picked = metric_title(name), any(look.picked for look in named.values())
    pale = {key: points for key, points in lines.items() if key not in named}
    traces = _pale(pale, logarithmic)
    order = sorted(named, key=lambda key: named[key].picked)  # what is picked lies on top
    for key in order:
        look, faded = named[key], some_picked and not named[key].picked
        if bands and key in bands:
            traces += _band(bands[key], look, faded, logarithmic)
        elif key in lines:
            traces.append(_line(*lines[key], look, faded, logarithmic))
        if ends and key in ends and np.isfinite(ends[key][1]):
            traces.append({"type": "scatter", "mode": "markers", "x": [ends[key][0]], "y": [ends[key][1]],
                           "name": f"{literal(look.name)}, test", "opacity": 0.35 if faded else 1.0,
                           "marker": {"symbol": "diamond-open", "size": 9, "color": look.colour, "line": {"width": 2}}})
    value = ".2%" if about.share else ".4~g"
    for trace in traces:
        if "hoverinfo" not in trace:
            trace["hovertemplate"] = f"%{{y:{value}}}  %{{fullData.name}}<extra></extra>"
    at_once = len(named) <= MOST_AT_ONCE and not pale
    x_axis: dict[str, Any] = {"title": AXES[axis], "hoverformat": ",.4~f" if axis != "step" else ","}
    y_axis: dict[str, Any] = {"type": "log", "tickformat": "~g"} if logarithmic else {
        "tickformat": ".4~%"} if about.share else {}
    return go.Figure(traces, {
        "title": {"text": literal(about.title), "x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "pad": {"t": 4},
                  "font": {"size": 15}},
        "height": HEIGHT, "margin": MARGIN, "showlegend": False, "hovermode": "x unified" if at_once else "closest",
        "xaxis": x_axis, "yaxis": y_axis, "uirevision": f"{name} {axis}"})


def _line(x: np.ndarray, y: np.ndarray, look: Look, faded: bool, logarithmic: bool) -> dict[str, Any]:
    return {"type": "scatter", "mode": "lines+markers" if len(x) <= MOST_MARKED else "lines", "x": _sent(x),
            "y": _sent(_drawn(y, logarithmic)), "name": literal(look.name), "opacity": 0.35 if faded else 1.0,
            "line": {"color": look.colour, "dash": look.dash, "width": 3.5 if look.picked else 2}, "marker": {"size": 5}}


def _band(band: Band, look: Look, faded: bool, logarithmic: bool) -> list[dict[str, Any]]:
    low, high = _drawn(band.low, logarithmic), _drawn(band.high, logarithmic)
    there = np.isfinite(low) & np.isfinite(high)
    x = band.x[there]
    red, green, blue = bytes.fromhex(look.colour[1:])
    area = {"type": "scatter", "mode": "none", "x": _sent(np.concatenate((x, x[::-1]))),
            "y": _sent(np.concatenate((high[there], low[there][::-1]))), "fill": "toself", "hoverinfo": "skip",
            "fillcolor": f"rgba({red}, {green}, {blue}, {0.06 if faded else 0.18})"}
    return [area, _line(band.x, band.mean, look, faded, logarithmic)]


def _pale(lines: Mapping[str, Points], logarithmic: bool) -> list[dict[str, Any]]:
    """All lines that nobody has picked as one, with gaps: a thousand traces would take the browser seconds."""
    if not lines:
        return []
    gap = np.array([np.nan])
    x = np.concatenate([part for points in lines.values() for part in (points[0], gap)])
    y = np.concatenate([part for points in lines.values() for part in (_drawn(points[1], logarithmic), gap)])
    return [{"type": "scattergl" if len(x) > PALE_GL else "scatter", "mode": "lines", "x": _sent(x), "y": _sent(y),
             "hoverinfo": "skip", "line": {"color": GREY, "width": 1}, "opacity": max(0.12, min(0.5, 30 / len(lines)))}]


def _drawn(y: np.ndarray, logarithmic: bool) -> np.ndarray:
    """What has no logarithm is a gap on a logarithmic axis."""
    return np.where(y > 0, y, np.nan) if logarithmic else y


def _sent(values: np.ndarray) -> np.ndarray:
    """Half as many bytes; seven digits are more than a screen shows. Steps beyond 16 million may be one off."""
    return values.astype(np.float32)


def legend_html(named: Mapping[str, Look], notes: Mapping[str, str] | None = None, heading: str = "",
                short: Mapping[str, str] | None = None) -> str:
    """The legend of all charts, for a place that takes HTML: a piece of each line and the run's name, in columns that wrap.

    notes: stand behind the names in small letters. heading, short: what all names begin with alike, once, and the rest of each.
    All of them are text: whatever is in them is shown as it was written.
    """
    rows = "".join(
        f'<li style="display:flex;gap:.5rem;align-items:center;min-width:0;{"font-weight:650;" if look.picked else ""}">'
        f'<span aria-hidden="true" style="flex:none;width:1.8rem;border-top:3px {BORDERS[look.dash]} {look.colour}"></span>'
        f'<span style="overflow-wrap:anywhere">{escape(short[key] if short else look.name)}'
        f'{f" <small>{escape(notes[key])}</small>" if notes and key in notes else ""}</span></li>'
        for key, look in named.items())
    above = f'<div style="font-size:.9rem;opacity:.75">{escape(heading)}</div>' if heading else ""
    width = f"min({11 if short else 19}rem,100%)"
    return (f'{above}<ul style="list-style:none;margin:0;padding:0;display:grid;gap:.15rem 1.5rem;font-size:.9rem;'
            f'line-height:1.35;grid-template-columns:repeat(auto-fill,minmax({width},1fr))">{rows}</ul>')
