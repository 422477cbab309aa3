"""Linear regression as pictures: weights over steps, the bowl with the path, predictions, residuals, learning rates."""

import numpy as np
import plotly.graph_objects as go

from core.figures.building_blocks import GROUND, LEGEND, MARGIN
from core.figures.palette import CLASSES, GREY, TRAIN, VALIDATION
from core.labs.linear_regression import NAMES, TRUE, Bowl, Ground, Path

COLORS = (VALIDATION, TRAIN, CLASSES[2])
MOST = 400  # points of a line; more would only make it heavier to send


def _thinned(count: int) -> np.ndarray:
    """Places of at most MOST of `count` points, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST)).astype(int))


def weights_figure(path: Path, step: int) -> go.Figure:
    """The three numbers over the steps, each with its true value as a dotted line; a thin line at the current step."""
    steps = _thinned(len(path.points))
    figure = go.Figure()
    for index, (name, color) in enumerate(zip(NAMES, COLORS, strict=True)):
        figure.add_scatter(x=steps, y=path.points[steps, index], name=name, mode="lines", line={"color": color, "width": 2.5})
        figure.add_hline(TRUE[index], line={"color": color, "width": 1, "dash": "dot"})
    figure.add_vline(step, line={"color": GREY, "width": 1})
    figure.update_layout(height=340, margin=MARGIN, legend=LEGEND, hovermode="x unified", xaxis={"title": "step"})
    return figure


def bowl_figure(ground: Ground, path: Path, surface: Bowl, step: int) -> go.Figure:
    """Contours of the loss over w₁ and w₂ with the path up to `step`, its whole course in grey, and the best answer."""
    figure = go.Figure(go.Contour(x=ground.w1, y=ground.w2, z=np.log10(np.maximum(ground.loss, 1e-12)), colorscale=GROUND,
                                  ncontours=18, showscale=False, line={"width": 0.6}, hoverinfo="skip"))
    shown = path.points[:, :2].clip(-1e3, 1e3)
    for points, color, width, name in ((shown[_thinned(len(shown))], GREY, 1, "all steps"),
                                       (shown[:step + 1][_thinned(step + 1)], COLORS[0], 2.5, "so far")):
        figure.add_scatter(x=points[:, 0], y=points[:, 1], mode="lines+markers", name=name, line={"color": color, "width": width},
                           marker={"size": 3, "color": color}, hovertemplate="w₁ %{x:.3f}, w₂ %{y:.3f}<extra></extra>")
    for x, y, name, symbol, color in ((shown[step, 0], shown[step, 1], "now", "circle", COLORS[0]),
                                      (*surface.best[:2], "least squares", "x", COLORS[1]),
                                      (*TRUE[:2], "true", "star", COLORS[2])):
        figure.add_scatter(x=[x], y=[y], mode="markers", name=name, marker={"size": 12, "symbol": symbol, "color": color})
    figure.update_layout(height=440, margin=MARGIN, legend=LEGEND, xaxis={"title": "w₁", "range": [ground.w1[0], ground.w1[-1]]},
                         yaxis={"title": "w₂", "range": [ground.w2[0], ground.w2[-1]], "scaleanchor": "x"})
    return figure


def predictions_figure(y: np.ndarray, predicted: np.ndarray) -> go.Figure:
    """Predictions against targets; on the line they are equal."""
    ends = [float(min(y.min(), predicted.min())), float(max(y.max(), predicted.max()))]
    figure = go.Figure()
    figure.add_scatter(x=ends, y=ends, mode="lines", name="equal", line={"color": GREY, "dash": "dot"})
    figure.add_scatter(x=y, y=predicted, mode="markers", name="samples", marker={"color": COLORS[0], "size": 6})
    figure.update_layout(height=340, margin=MARGIN, legend=LEGEND, xaxis={"title": "target y"}, yaxis={"title": "prediction"})
    return figure


def residuals_figure(residuals: np.ndarray, predicted: np.ndarray) -> go.Figure:
    """What is left, y − prediction, over the prediction."""
    figure = go.Figure()
    figure.add_hline(0, line={"color": GREY, "dash": "dot"})
    figure.add_scatter(x=predicted, y=residuals, mode="markers", name="samples", marker={"color": COLORS[1], "size": 6})
    figure.update_layout(height=340, margin=MARGIN, showlegend=False, xaxis={"title": "prediction"},
                         yaxis={"title": "residual: y − prediction"})
    return figure


def rates_figure(paths: dict[str, Path], floor: float) -> go.Figure:
    """The loss above the lowest possible, on a logarithmic scale, for several learning rates."""
    figure = go.Figure()
    for name, path in paths.items():
        steps = _thinned(len(path.losses))
        figure.add_scatter(x=steps, y=np.maximum(path.losses[steps] - floor, 1e-12), mode="lines", name=name)
    figure.update_layout(height=360, margin=MARGIN, legend=LEGEND, xaxis={"title": "step"},
                         yaxis={"type": "log", "title": "loss above the lowest", "tickformat": "~g"})
    return figure
