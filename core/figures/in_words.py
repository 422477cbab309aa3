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
            if "lines" in (trace.mode or "lines"):
                yield name + _ends(_numbers(trace.y)) if name else ""  # what has no name is a help for the eye
            else:
                yield name + plural(len(trace.y), "point")
        elif trace.type == "bar" and trace.x is not None and trace.y is not None:
            names, sizes = (trace.y, trace.x) if trace.orientation == "h" else (trace.x, trace.y)
            yield name + _bars(list(names), _numbers(sizes))
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
        elif line["type"] == "scatter" and points and all(isinstance(point, Mapping) and "name" in point for point in points):
            yield ", ".join(point["name"] for point in points)
        elif line["type"] == "heatmap":
            yield f"{name}in {len(points)} cells"


def _names(option: Mapping[str, Any]) -> list[Any]:
    """The bars' names, along the axis that has them."""
    axes = (axis for axis in (option.get("xAxis"), option.get("yAxis")) if isinstance(axis, Mapping))
    return next((list(axis["data"]) for axis in axes if "data" in axis), [])


def _numbers(values: Iterable[Any]) -> list[float]:
    """What is a finite number among them."""
    return [float(value) for value in values if isinstance(value, int | float | np.number) and isfinite(value)]


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
