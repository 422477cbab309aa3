"""Pictures of activations, losses and the optimizer race: values in, Plotly figures out."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.figures.palette import CLASSES, TRAIN, VALIDATION

MARGIN = {"l": 8, "r": 8, "t": 40, "b": 8}
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
OPTIMIZERS = ("sgd", "adam", "rmsprop", "momentum", "adamw", "nesterov", "adagrad")
COLORS: dict[str, str] = dict(zip(OPTIMIZERS, CLASSES, strict=False))
GROUND = [[0.0, "#ffffff"], [1.0, "#aab2bb"]]  # the landscape: light is low, in both themes


def function_and_slope(x: np.ndarray, value: np.ndarray, slope: np.ndarray, at: tuple[float, float, float] | None = None,
                       names: tuple[str, str] = ("f(x)", "slope f′(x)"), across: str = "x") -> go.Figure:
    """A function and its derivative; `at` marks (x, value, slope)."""
    figure = go.Figure()
    for name, line, color, dash in ((names[0], value, VALIDATION, "solid"), (names[1], slope, TRAIN, "dash")):
        figure.add_scatter(x=x, y=line, name=name, mode="lines", line={"color": color, "width": 2.5, "dash": dash})
    if at:
        figure.add_scatter(x=[at[0], at[0]], y=list(at[1:]), mode="markers", showlegend=False, hoverinfo="skip",
                           marker={"size": 11, "color": [VALIDATION, TRAIN], "line": {"width": 2, "color": "white"}})
    figure.update_layout(height=340, margin=MARGIN, legend=LEGEND, hovermode="x unified", xaxis={"title": across})
    return figure


def layer_histograms(counts: Sequence[np.ndarray], edges: Sequence[np.ndarray], stds: Sequence[float]) -> go.Figure:
    """One small histogram for each layer, each on its own scale, five in a row."""
    rows = -(-len(counts) // 5)
    titles = [f"layer {i}<br>std {std:.2g}" for i, std in enumerate(stds, start=1)]
    figure = make_subplots(rows, 5, subplot_titles=titles, horizontal_spacing=0.03, vertical_spacing=0.3)
    for index, (count, edge) in enumerate(zip(counts, edges, strict=True)):
        figure.add_bar(x=(edge[:-1] + edge[1:]) / 2, y=count / max(1, count.max()), width=np.diff(edge), marker_color=VALIDATION,
                       marker_line_width=0, hovertemplate="%{x:.3g}<extra></extra>", row=index // 5 + 1, col=index % 5 + 1)
    figure.update_xaxes(nticks=3, tickformat=".2~g", tickfont={"size": 9}, tickangle=0)
    figure.update_yaxes(visible=False)
    figure.update_annotations(font={"size": 11})
    figure.update_layout(height=165 * rows + 40, margin={**MARGIN, "t": 48}, showlegend=False, bargap=0)
    return figure


def sizes_by_layer(values: Sequence[float], gradients: Sequence[float]) -> go.Figure:
    """Deviation of values and size of gradients at each layer, on a logarithmic scale; exact zeros are left out."""
    layers = list(range(1, len(values) + 1))
    figure = go.Figure()
    for name, sizes, color, symbol in (("values (std)", values, VALIDATION, "circle"),
                                       ("gradients (root mean square)", gradients, TRAIN, "diamond")):
        figure.add_scatter(x=layers, y=[size if size > 0 else None for size in sizes], name=name, mode="lines+markers",
                           line={"color": color, "width": 2}, marker={"symbol": symbol, "size": 8})
    figure.update_layout(height=320, margin=MARGIN, legend=LEGEND, hovermode="x unified", xaxis={"title": "layer", "dtick": 1},
                         yaxis={"type": "log", "tickformat": "~g", "nticks": 8, "title": "size"})
    return figure


def loss_surface_figure(x: np.ndarray, y: np.ndarray, loss: np.ndarray, across: str, up: str,
                        at: tuple[float, float, float] | None = None) -> go.Figure:
    """A loss over two axes in 3-D, to turn with the mouse; `at` marks (x, y, loss)."""
    figure = go.Figure(go.Surface(x=x, y=y, z=loss, colorscale="Viridis", showscale=False, opacity=0.95,
                                  hovertemplate=f"{across} %{{x:.2f}}<br>{up} %{{y:.2f}}<br>loss %{{z:.4f}}<extra></extra>"))
    if at:
        figure.add_scatter3d(x=[at[0]], y=[at[1]], z=[at[2]], mode="markers", showlegend=False, hoverinfo="skip",
                             marker={"size": 6, "color": TRAIN})
    axes = {name: {"title": {"text": text}} for name, text in (("xaxis", across), ("yaxis", up), ("zaxis", "loss"))}
    figure.update_layout(height=380, margin={"l": 0, "r": 0, "t": 0, "b": 0},
                         scene={**axes, "camera": {"eye": {"x": -1.8, "y": -1.9, "z": 1.1}}, "aspectmode": "cube"})
    return figure


def lines(x: np.ndarray, named: Mapping[str, Sequence[float] | np.ndarray], across: str, up: str,
          top: float | None = None) -> go.Figure:
    """Several functions of the same x; values that are no number are gaps."""
    figure = go.Figure()
    dashes = ("solid", "dash", "dot")
    for index, (name, values) in enumerate(named.items()):
        figure.add_scatter(x=x, y=[v if np.isfinite(v) else None for v in values], name=name, mode="lines",
                           line={"color": (VALIDATION, TRAIN, CLASSES[2])[index % 3], "width": 3 - 0.5 * index,
                                 "dash": dashes[index % 3]})
    figure.update_layout(height=320, margin=MARGIN, legend=LEGEND, hovermode="x unified", xaxis={"title": across},
                         yaxis={"title": up, **({"range": [-0.02 * top, top]} if top else {})})
    return figure


def height(loss: np.ndarray, lowest: float) -> np.ndarray:
    """How high a landscape is drawn: the logarithm of the height above the lowest point, so that flat floors show too."""
    return np.log10(loss - lowest + 1e-3 * max(1e-9, float(loss.max() - lowest)))


def ground(x: np.ndarray, y: np.ndarray, loss: np.ndarray, lowest: float) -> go.Contour:
    """A landscape as a map."""
    return go.Contour(x=x, y=y, z=np.round(height(loss, lowest), 3), colorscale=GROUND, showscale=False, ncontours=18,
                      contours_coloring="fill", line={"color": "#8e97a1", "width": 0.6}, hoverinfo="skip")


def race_map(landscape: go.Contour, minima: Sequence[tuple[float, float]], paths: dict[str, np.ndarray], titles: dict[str, str],
             x: tuple[float, float], y: tuple[float, float], upto: int | None = None) -> go.Figure:
    """Paths (steps + 1, 2) on a landscape, each up to step `upto`."""
    figure = go.Figure(landscape)
    figure.add_scatter(x=[m[0] for m in minima], y=[m[1] for m in minima], mode="markers", name="minimum", hoverinfo="name",
                       marker={"symbol": "star", "size": 13, "color": "#111111", "line": {"color": "white", "width": 1}})
    # float32: half the bytes to send
    shown = {name: path[:None if upto is None else upto + 1].astype(np.float32) for name, path in paths.items()}
    for name, path in shown.items():
        figure.add_scatter(x=path[:, 0], y=path[:, 1], mode="lines", name=titles[name],
                           line={"color": COLORS[name], "width": 2.5},
                           hovertemplate="(%{x:.3g}, %{y:.3g})<extra>" + titles[name] + "</extra>")
    heads = np.array([path[-1] for path in shown.values()]).reshape(-1, 2)
    figure.add_scatter(x=heads[:, 0], y=heads[:, 1], mode="markers", showlegend=False, hoverinfo="skip",
                       marker={"color": [COLORS[name] for name in paths], "size": 11})
    figure.update_layout(height=480, margin=MARGIN, legend={**LEGEND, "itemwidth": 30}, xaxis={"range": list(x), "title": "x"},
                         yaxis={"range": list(y), "title": "y"})
    return figure


def race_losses(losses: dict[str, np.ndarray], titles: dict[str, str], lowest: float) -> go.Figure:
    """Height above the lowest point at each step, on a logarithmic scale; what reached it exactly leaves the picture."""
    figure = go.Figure()
    for name, values in losses.items():
        height = np.maximum(values - lowest, 0)
        figure.add_scatter(x=np.arange(len(values)), y=[float(f"{h:.4g}") if h > 1e-12 else None for h in height.tolist()],
                           name=titles[name], mode="lines", line={"color": COLORS[name], "width": 2})
    figure.update_layout(height=340, margin=MARGIN, legend=LEGEND, xaxis={"title": "step"},
                         yaxis={"type": "log", "tickformat": "~g", "nticks": 8, "title": "loss above the lowest"})
    return figure
