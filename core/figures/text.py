"""Words as pictures: where they lie before and after training, and how far each pushed an answer."""

import numpy as np
import plotly.graph_objects as go

from core.figures.palette import GREY, TRAIN, VALIDATION
from core.labs.text import Decision, WordMap

POSITIVE, NEGATIVE = VALIDATION, TRAIN  # blue and orange
PLACES = ("top center", "bottom center", "middle right", "middle left")  # of a word, so that neighbours don't overlap


def word_map_figure(found: WordMap, trained: bool, names: bool = True) -> go.Figure:
    """The words in the plane, before (trained false) or after training, on the same axes; a thin line leads back to the start."""
    points = found.after if trained else found.before
    figure = go.Figure()
    if trained:
        line = [(a, b) for a, b in zip(found.before, found.after, strict=True)]
        figure.add_scatter(x=[v for a, b in line for v in (a[0], b[0], None)], y=[v for a, b in line for v in (a[1], b[1], None)],
                           mode="lines", line={"color": GREY, "width": 1}, opacity=0.4, hoverinfo="skip", name="its way",
                           showlegend=False)
    for title, colour, want in (("more often in positive texts", POSITIVE, 1), ("more often in negative texts", NEGATIVE, -1)):
        mine = [i for i, lean in enumerate(found.leans) if lean * want > 0]
        figure.add_scatter(
            x=points[mine, 0], y=points[mine, 1], mode="markers+text" if names else "markers", name=title,
            text=[found.words[i] for i in mine], textfont={"size": 11, "color": colour},
            textposition=[PLACES[place % len(PLACES)] for place in range(len(mine))],
            marker={"color": colour, "size": 7, "symbol": "circle" if want > 0 else "diamond"},
            hovertemplate="%{text}<extra></extra>")
    wide, high = 1.25 * np.maximum(np.abs(np.concatenate([found.before, found.after])).max(0), 1e-6)
    figure.update_layout(height=480, margin={"l": 8, "r": 8, "t": 36, "b": 8},
                         legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
                         xaxis={"title": "first direction", "range": [-wide, wide]},
                         yaxis={"title": "second direction", "range": [-high, high]})
    return figure


def pushes_figure(decision: Decision) -> go.Figure:
    """One bar for each word in the text's order, from the top: to the right where it pushes towards positive."""
    values = [push.push for push in decision.pushes]
    names = [f"{place + 1}. {push.word}" for place, push in enumerate(decision.pushes)]
    figure = go.Figure(go.Bar(x=values, y=names, orientation="h", text=[f"{value:+.2f}" for value in values],
                              marker={"color": [POSITIVE if value > 0 else NEGATIVE for value in values]},
                              hovertemplate="%{y}: %{x:+.3f}<extra></extra>", textposition="outside", cliponaxis=False))
    reach = 1.3 * max([abs(value) for value in values] + [0.1])
    figure.update_layout(height=90 + 26 * max(1, len(values)), margin={"l": 8, "r": 8, "t": 8, "b": 8}, showlegend=False,
                         xaxis={"title": "push towards negative ← 0 → positive (logit)", "range": [-reach, reach]},
                         yaxis={"autorange": "reversed"})
    return figure
