"""What a chart shows, in a sentence for screen readers."""

from collections.abc import Iterable, Mapping, Sequence
from html import unescape
from math import isfinite
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.wording import plural

MOST_LINES = 6  # lines or sets of bars that are told
MOST_BARS = 12
MOST_CELLS = 60


def in_words(chart: go.Figure | Mapping[str, Any], what: str) -> str:
    """The sentence: `what` the chart is of, then where each line begins and ends, what each bar and each cell of a small grid
    says, or how many points there are. chart: a Plotly figure, or an ECharts option."""
    parts = [said for said in (_traces(chart) if isinstance(chart, go.Figure) else _series(chart)) if said]
    left = len(parts) - MOST_LINES
    more = f"; and {left} more" if left > 0 else ""
    return f"{what}: {'; '.join(parts[:MOST_LINES])}{more}." if parts else f"{what}."


def _traces(figure: go.Figure) -> Iterable[str]:
    traces: Any = figure.data  # Plotly gives its traces no type
    for trace in traces:
        name = f"{unescape(trace.name)} " if trace.name else ""
        if trace.type in ("scatter", "scattergl") and trace.y is not None:
            mode = trace.mode or "lines"
            if "lines" in mode:
                yield name + _ends(_numbers(trace.y)) if name else ""  # what has no name is a help for the eye
            elif "markers" in mode:
                words = figure.layout.yaxis.ticktext  # a line for each point
                yield name + (_bars([unescape(words[place]) for place in trace.y], _numbers(trace.x)) if words is not None else
                              _cloud(_numbers(trace.y)))
        elif trace.type == "bar" and trace.x is not None and trace.y is not None:
            names, sizes, axis = (trace.y, trace.x, figure.layout.yaxis) if trace.orientation == "h" else (
                trace.x, trace.y, figure.layout.xaxis)
            words = axis.ticktext if axis.ticktext is not None and len(axis.ticktext) == len(names) else names
            yield name + _bars([unescape(str(word)) for word in words], _numbers(sizes))
        elif trace.type == "parcoords" and trace.dimensions:
            axes = ", ".join(axis.label for axis in trace.dimensions)
            yield f"{plural(len(trace.dimensions[0]['values']), 'line')} over {axes}"
        elif trace.type == "heatmap" and trace.text is not None and sum(map(len, trace.text)) <= MOST_CELLS:
            yield " / ".join(", ".join(str(cell) or "empty" for cell in row) for row in trace.text)


def _series(option: Mapping[str, Any]) -> Iterable[str]:
    for line in option.get("series", []):
        name, points = f"{line['name']} " if line.get("name") else "", line.get("data") or []
        values = [point["value"] if isinstance(point, Mapping) else point for point in points]
        numbers = _numbers([value[1] if isinstance(value, Sequence) else value for value in values])
        if line["type"] == "line" and name and numbers:
            yield name + _ends(numbers)
        elif line["type"] == "bar":
            yield name + _bars(_names(option), numbers)
        elif line["type"] == "scatter" and 0 < len(points) <= MOST_BARS and all(
                isinstance(point, Mapping) and "name" in point for point in points):
            yield ", ".join(point["name"] for point in points)
        elif line["type"] == "scatter" and points:
            yield name + _cloud(numbers)
        elif line["type"] == "parallel":
            axes = option.get("parallelAxis", [])
            yield f"{name}{plural(len(points), 'line')} over {', '.join(axis.get('name', '') for axis in axes)}"
        elif line["type"] == "heatmap":
            yield f"{name}in {len(points)} cells"


def _names(option: Mapping[str, Any]) -> list[Any]:
    """The bars' names, along the axis that has them."""
    axes = (axis for axis in (option.get("xAxis"), option.get("yAxis")) if isinstance(axis, Mapping))
    return next((list(axis["data"]) for axis in axes if "data" in axis), [])


def _numbers(values: Iterable[Any]) -> Sequence[float]:
    """What is a finite number among them."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":  # thousands of them, most often
        return values[np.isfinite(values)].tolist()
    return [float(value) for value in values if isinstance(value, int | float | np.number) and isfinite(value)]


def _cloud(numbers: Sequence[float]) -> str:
    """How many points, and from where to where they lie."""
    low, high = (f"{end(numbers):.4g}" for end in (min, max)) if numbers else ("", "")
    return plural(len(numbers), "point") + (f" from {low} to {high}" if low != high else f" at {low}" if low else "")


def _ends(numbers: Sequence[float]) -> str:
    if not numbers:
        return "without a value yet"
    first, last = f"{numbers[0]:.4g}", f"{numbers[-1]:.4g}"
    return f"from {first} to {last}" if first != last else f"at {first}"


def _bars(names: Sequence[Any], sizes: Sequence[float]) -> str:
    if not sizes:
        return ""
    if len(sizes) != len(names) or len(sizes) > MOST_BARS:
        return f"{plural(len(sizes), 'bar')} from {min(sizes):.4g} to {max(sizes):.4g}"
    return ", ".join(f"{name} {size:.4g}" for name, size in zip(names, sizes, strict=True))
