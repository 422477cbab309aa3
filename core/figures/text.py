"""Words as pictures: where they lie before and after training, and how far each pushed an answer."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.figures.literal import literal
from core.figures.palette import CLASSES, GREY, TRAIN, VALIDATION
from core.labs.text import Decision, WordMap

POSITIVE, NEGATIVE = VALIDATION, TRAIN  # blue and orange
PLACES = ("top center", "bottom center", "middle right", "middle left")  # of a word, so that neighbours don't overlap
SYMBOLS = ("diamond", "circle", "square", "triangle-up", "x", "star", "triangle-down", "pentagon", "cross", "hexagon")


def word_map_figure(found: WordMap, classes: Sequence[str], trained: bool, names: bool = True) -> go.Figure:
    """The words in the plane, before (trained false) or after training, on the same axes; a thin line leads back to the start.
    classes: names, for the legend."""
    points = found.after if trained else found.before
    figure = go.Figure()
    if trained:
        line = [(a, b) for a, b in zip(found.before, found.after, strict=True)]
        figure.add_scatter(x=[v for a, b in line for v in (a[0], b[0], None)], y=[v for a, b in line for v in (a[1], b[1], None)],
                           mode="lines", line={"color": GREY, "width": 1}, opacity=0.4, hoverinfo="skip", name="its way",
                           showlegend=False)
    for label in sorted({*found.labels}, reverse=True):
        mine, colour = [i for i, own in enumerate(found.labels) if own == label], CLASSES[label % len(CLASSES)]
        figure.add_scatter(
            x=points[mine, 0], y=points[mine, 1], mode="markers+text" if names else "markers",
            name=f"more often in {literal(classes[label])} texts",
            text=[found.words[i] for i in mine], textfont={"size": 11},  # in the page's own colour, to be read
            textposition=[PLACES[place % len(PLACES)] for place in range(len(mine))],
            marker={"color": colour, "size": 7, "symbol": SYMBOLS[label % len(SYMBOLS)]},
            hovertemplate="%{text}<extra></extra>")
    wide, high = 1.25 * np.maximum(np.abs(np.concatenate([found.before, found.after])).max(0), 1e-6)
    figure.update_layout(height=480, margin={"l": 8, "r": 8, "t": 36, "b": 8},
                         legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
                         xaxis={"title": "first direction", "range": [-wide, wide]},
                         yaxis={"title": "second direction", "range": [-high, high]})
    return figure


def pushes_figure(decision: Decision, name: str = "positive", other: str = "negative") -> go.Figure:
    """One bar for each word in the text's order, from the top: to the right where it pushes towards the class called `name`."""
    values = [push.push for push in decision.pushes]
    names = [f"{place + 1}. {push.word}" for place, push in enumerate(decision.pushes)]
    figure = go.Figure(go.Bar(x=values, y=names, orientation="h", text=[f"{value:+.2f}" for value in values],
                              marker={"color": [POSITIVE if value > 0 else NEGATIVE for value in values]},
                              hovertemplate="%{y}: %{x:+.3f}<extra></extra>", textposition="outside", cliponaxis=False))
    reach = 1.3 * max([abs(value) for value in values] + [0.1])
    figure.update_layout(height=90 + 26 * max(1, len(values)), margin={"l": 8, "r": 8, "t": 8, "b": 8}, showlegend=False,
                         xaxis={"title": f"push towards {literal(other)} ← 0 → {literal(name)} (logit)",
                                "range": [-reach, reach]},
                         yaxis={"autorange": "reversed"})
    return figure
