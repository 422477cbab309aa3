"""Pictures for the lab on saving."""

from collections.abc import Sequence

import plotly.graph_objects as go

from core.figures.literal import literals
from core.figures.palette import GREY, ON_BARS, TRAIN, VALIDATION
from core.wording import chance

SHADES = (VALIDATION, TRAIN, GREY)


def answers_figure(answers: Sequence[Sequence[float]], classes: Sequence[str]) -> go.Figure:
    """Probabilities (times, classes) as one stacked bar for each time the network was asked."""
    figure = go.Figure()
    asked = [f"time {number}" for number in range(1, len(answers) + 1)]
    for index, name in enumerate(literals(classes)):
        figure.add_bar(x=asked, y=[answer[index] for answer in answers], name=name, marker_color=SHADES[index % 3],
                       text=[chance(answer[index]) for answer in answers], textposition="inside", textangle=0,
                       insidetextfont={"color": ON_BARS},
                       hovertemplate="%{text}<extra>" + name + "</extra>")
    figure.update_layout(barmode="stack", height=340, margin={"l": 8, "r": 8, "t": 40, "b": 8}, bargap=0.15,
                         legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
                         yaxis={"tickformat": ".0%", "range": [0, 1], "title": "probability"})
    return figure
