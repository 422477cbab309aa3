"""A map of what a model says when one picture is changed in two ways."""

from collections.abc import Sequence

import plotly.graph_objects as go

from core.evaluation.digit_robustness import Map
from core.figures.literal import literal, literals

SCALE = [[0, "#8c2d04"], [0.5, "#f1c9a5"], [1, "#2171b5"]]  # told apart with colour-blind eyes
LONGEST = 3  # characters of a class name that fit a cell


def robustness_figure(found: Map, classes: Sequence[str]) -> go.Figure:
    """Each cell says the answer, and its colour the probability of the answer to the unchanged picture."""
    sweep = found.sweep
    answers = [[str(classes[int(label)]) for label in row] for row in found.said.tolist()]
    names, short = [literals(row) for row in answers], [literals([name[:LONGEST] for name in row]) for row in answers]
    usual = literal(classes[found.usual])
    figure = go.Figure(go.Heatmap(
        z=[[100 * value for value in row] for row in found.probability.tolist()], zmin=0, zmax=100, colorscale=SCALE,
        xgap=1, ygap=1, x=[f"{value:g}" for value in sweep.across_strengths], y=[f"{value:g}" for value in sweep.down_strengths],
        text=short, texttemplate="%{text}", customdata=names,
        colorbar={"title": {"text": f"sure it is {usual} (%)", "side": "right"}, "thickness": 12},
        hovertemplate="says %{customdata}<br>" + usual + ": %{z:.1f} %<br>" + sweep.axis(sweep.across)
                      + " %{x}<br>" + sweep.axis(sweep.down) + " %{y}<extra></extra>"))
    figure.update_xaxes(title=sweep.axis(sweep.across), type="category", fixedrange=True)
    figure.update_yaxes(title=sweep.axis(sweep.down), type="category", autorange="reversed", fixedrange=True)
    figure.update_layout(height=80 + 34 * len(sweep.down_strengths), margin={"l": 8, "r": 8, "t": 8, "b": 8})
    return figure
