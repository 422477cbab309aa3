"""Bars: probabilities of a prediction, images for each class."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import plotly.graph_objects as go

from core.figures.literal import literal, literals
from core.figures.palette import TRAIN, VALIDATION


def probability_bars(classes: Sequence[str], probabilities: Sequence[float]) -> dict[str, Any]:
    """What a bar for each class is drawn from: classes, values in %, None for what is no number, and the place of the best."""
    values = [100 * float(p) if isfinite(p) else None for p in probabilities]  # whole: who rounds them knows the words beside
    return {"classes": list(classes), "values": values,
            "best": max(range(len(values)), key=lambda i: -1.0 if values[i] is None else float(probabilities[i]))}


def class_counts(classes: Sequence[str], counts: Sequence[int]) -> go.Figure:
    """How many images of each class there are."""
    figure = go.Figure(go.Bar(x=literals(classes), y=list(counts), marker_color=VALIDATION, text=[f"{n:,}" for n in counts],
                              hovertemplate="%{x}: %{y:,} images<extra></extra>"))
    figure.update_layout(height=280, margin={"l": 8, "r": 8, "t": 8, "b": 8}, yaxis={"title": "images"},
                         xaxis={"title": "class", "type": "category"})
    return figure


def grouped_counts(classes: Sequence[str], counts: Mapping[str, Sequence[int]]) -> go.Figure:
    """How many images of each class each of up to four groups has, side by side. The first one is what the others came from.

    counts: title → images of each class.
    """
    figure = go.Figure()
    for (title, images), color in zip(counts.items(), ("#c5cad1", VALIDATION, "#b8860b", TRAIN), strict=False):
        figure.add_bar(x=literals(classes), y=list(images), name=f"{literal(title)} ({sum(images):,})", marker_color=color,
                       hovertemplate="%{x}: %{y:,} images<extra>" + literal(title) + "</extra>")
    figure.update_layout(height=340, margin={"l": 8, "r": 8, "t": 48, "b": 8}, barmode="group", bargap=0.2,
                         yaxis={"title": "images", "rangemode": "tozero"}, xaxis={"title": "class", "type": "category"},
                         legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0})
    return figure


def split_counts(classes: Sequence[str], train: Sequence[int], test: Sequence[int]) -> go.Figure:
    """How many images of each class there are for training and, on top of those, for testing."""
    figure = go.Figure([
        go.Bar(x=literals(classes), y=list(counts), name=name, marker_color=colour,
               hovertemplate=f"%{{x}}: %{{y:,}} {name} images<extra></extra>")
        for name, counts, colour in (("training", train, VALIDATION), ("test", test, TRAIN))])
    figure.update_layout(height=280, barmode="stack", margin={"l": 8, "r": 8, "t": 8, "b": 8}, yaxis={"title": "images"},
                         xaxis={"title": "class", "type": "category"},
                         legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "traceorder": "normal"})
    return figure
