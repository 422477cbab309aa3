"""Pictures of a data set: class balance, pixel histograms, a map of samples, the labels of an epoch."""

import colorsys
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from torch import Tensor

from core.data.statistics import PixelHistogram
from core.figures.literal import literals
from core.figures.palette import CLASSES, GREY, TRAIN, VALIDATION

MARGIN = {"l": 8, "r": 8, "t": 36, "b": 8}
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
SPLIT_COLORS = (TRAIN, VALIDATION, GREY)
CHANNELS = (("red", "#d1383d"), ("green", "#2f9e44"), ("blue", "#2b6cb0"))
SYMBOLS = ("circle", "triangle", "rect", "diamond")


def class_colors(count: int) -> list[str]:
    """One colour for each class: ten chosen ones, or evenly around the colour wheel where there are more."""
    if count <= len(CLASSES):
        return list(CLASSES[:count])
    wheel = [colorsys.hls_to_rgb(index / count, 0.42 + 0.16 * (index % 2), 0.6) for index in range(count)]
    return ["#" + "".join(f"{round(255 * part):02x}" for part in color) for color in wheel]


def balance_chart(classes: Sequence[str], counts: dict[str, Sequence[int]]) -> go.Figure:
    """Each class's share of each split, so that a large and a small split compare; hovering shows how many images that are.

    counts: title of the split → images of each class.
    """
    figure = go.Figure()
    for (title, images), color in zip(counts.items(), SPLIT_COLORS, strict=False):
        total = sum(images)
        figure.add_bar(x=literals(classes), y=[count / total if total else 0 for count in images], name=f"{title} ({total:,})",
                       customdata=list(images), marker_color=color,
                       hovertemplate="%{x}: %{customdata:,} images, %{y:.1%}<extra>" + title + "</extra>")
    figure.add_hline(y=1 / max(1, len(classes)), line={"dash": "dot", "color": GREY, "width": 1})
    figure.update_layout(height=320, margin=MARGIN, legend=LEGEND, barmode="group", bargap=0.25,
                         yaxis={"title": "share of the split", "tickformat": ".0%", "rangemode": "tozero"},
                         xaxis={"title": "class", "type": "category"})
    return figure


def pixel_chart(histogram: PixelHistogram, across: str) -> go.Figure:
    """How often which value occurs, on a logarithmic scale since most pixels of a drawing are black; 64 bars a channel."""
    figure = go.Figure()
    channels = len(histogram.counts)
    for index in range(channels):
        name, color = CHANNELS[index] if channels == 3 else ("pixels", VALIDATION)
        counts = histogram.counts[index].reshape(64, 4).sum(1)
        centres = histogram.values[index].reshape(64, 4).mean(1)
        width = float(histogram.values[index][4] - histogram.values[index][0])
        figure.add_bar(x=centres, y=counts, width=width, name=name, marker_color=color, marker_line_width=0,
                       opacity=0.6 if channels > 1 else 1,
                       hovertemplate="about %{x:.3g}: %{y:,} pixels<extra>" + name + "</extra>")
    figure.add_vline(x=histogram.mean, line={"color": TRAIN, "width": 2})
    for side in (-1, 1):
        figure.add_vline(x=histogram.mean + side * histogram.std, line={"color": TRAIN, "width": 1, "dash": "dot"})
    figure.update_layout(height=260, margin={**MARGIN, "t": 8 if channels == 1 else 36}, bargap=0, barmode="overlay",
                         legend=LEGEND, showlegend=channels > 1, xaxis={"title": across},
                         yaxis={"type": "log", "title": "pixels", "exponentformat": "power", "dtick": 1})
    return figure


def order_chart(shares: Tensor, classes: Sequence[str], batches: float) -> go.Figure:
    """Which labels come when: the epoch from left to right in equal stretches, each filled by the classes' shares in it.

    shares: (steps, K). batches: how many the epoch has, for the axis.
    """
    steps = len(shares)
    at = (np.arange(steps) + 0.5) * batches / steps
    figure = go.Figure()
    for index, (name, color) in enumerate(zip(literals(classes), class_colors(len(classes)), strict=True)):
        figure.add_bar(x=at, y=shares[:, index].tolist(), width=batches / steps, name=name, marker_color=color,
                       marker_line_width=0, hovertemplate="about batch %{x:.0f}: %{y:.0%}<extra>" + name + "</extra>")
    figure.update_layout(barmode="stack", bargap=0, height=230, margin=MARGIN, showlegend=len(classes) <= 12,
                         legend={**LEGEND, "traceorder": "normal", "font": {"size": 11}},
                         xaxis={"title": "batch of the epoch", "range": [0, batches]},
                         yaxis={"tickformat": ".0%", "range": [0, 1], "title": "labels"})
    return figure


def map_chart(points: Tensor, labels: Tensor, classes: Sequence[str], pictures: Sequence[str], titles: Sequence[str],
              axes: tuple[str, str]) -> dict[str, Any]:
    """ECharts option: each sample a point in its class's colour, with its picture on hovering; rectangle and lasso select.

    points: (N, 2). pictures: data URIs. titles: one line for each sample. The classes that occur are the series, in order of
    their label, and the points of one keep their order: see map_rows().
    """
    colors = class_colors(len(classes))
    datasets, series = [], []
    for label, rows in map_rows(labels).items():
        datasets.append({"dimensions": ["x", "y", "picture", "title"], "source": tuple(  # Streamlit asks of a list: a table?
            (*points[i, :2].tolist(), pictures[i], titles[i]) for i in rows)})
        series.append({"type": "scatter", "name": classes[label], "datasetIndex": len(datasets) - 1,
                       "encode": {"x": "x", "y": "y"}, "symbolSize": 7 if len(labels) > 1500 else 10,
                       "symbol": SYMBOLS[label // len(CLASSES) % len(SYMBOLS)] if len(classes) > len(CLASSES) else "circle",
                       "itemStyle": {"color": colors[label], "opacity": 0.75}, "selectedMode": "multiple",
                       "select": {"itemStyle": {"borderColor": "#000000", "borderWidth": 2, "opacity": 1}}})
    hidden = {part: {"show": False} for part in ("splitLine", "axisLabel", "axisTick")}
    axis = {"type": "value", "scale": True, "nameLocation": "middle", "nameGap": 10, "axisLine": {"onZero": False}, **hidden}
    return {
        "animation": False,
        "dataset": datasets,
        "legend": {"type": "scroll", "top": 42, "left": 0, "right": 0},
        "grid": {"left": 24, "right": 12, "top": 74, "bottom": 28},
        "tooltip": {"confine": True, "formatter": "<img src='{@picture}' alt='' style='width:96px;image-rendering:pixelated;"
                                                  "display:block;margin-bottom:4px'>{@title}"},
        "toolbox": {"left": 0, "top": 0, "itemSize": 22, "iconStyle": {"borderColor": GREY, "borderWidth": 1.5}, "feature": {
            "brush": {"type": ["rect", "polygon", "clear"], "title": {
                "rect": "Select a rectangle", "polygon": "Select with a lasso", "clear": "Clear the selection"}}}},
        "brush": {"xAxisIndex": "all", "yAxisIndex": "all", "throttleType": "debounce", "throttleDelay": 400},
        "xAxis": {**axis, "name": axes[0]},
        "yAxis": {**axis, "name": axes[1]},
        "series": series,
    }


def map_rows(labels: Tensor) -> dict[int, list[int]]:
    """Label → the rows of its samples; the n-th entry is the n-th series of map_chart()."""
    return {label: (labels == label).nonzero()[:, 0].tolist() for label in labels.unique().tolist()}


def selected_rows(labels: Tensor, selected: Sequence[dict[str, Any]]) -> list[int]:
    """The rows that a selection on map_chart() means; entries that fit no point are left out."""
    series = list(map_rows(labels).values())
    found = []
    for group in selected:
        index = group.get("series_index", -1)
        rows = series[index] if 0 <= index < len(series) else []
        found += [rows[i] for i in group.get("data_indices", ()) if 0 <= i < len(rows)]
    return sorted(set(found))
