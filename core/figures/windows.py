"""A window with its numbers, a kernel that slides, and histograms of weights, as Plotly figures."""

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from torch import Tensor

from core.figures.palette import VALIDATION
from core.inspection.activations.weights import Histogram
from core.inspection.activations.windows import Box, number

DIVERGING = [[0, "rgb(33,102,172)"], [0.5, "rgb(247,247,247)"], [1, "rgb(178,24,43)"]]
MARK = "#00c853"  # green: seen on blue, red, black and white
GREY = [[0, "black"], [1, "white"]]
CELL = 46  # pixels for one number
NUMBERS_UP_TO = 7  # a window with longer sides has no room for them


def numbers_heatmap(values: Tensor, title: str, bound: float | None = None, outside: Tensor | None = None,
                    mark: tuple[int, int] | None = None) -> go.Figure:
    """(h, w) as coloured squares with their numbers: blue below zero, white at zero, red above.

    bound: the |value| with the full colour, so that several figures compare. outside: (h, w) bool, cells on padding, in
    brackets. mark: row and column of a cell to frame.
    """
    cells = values.numpy()
    height, width = cells.shape
    finite = np.where(np.isfinite(cells), cells, 0.0)
    largest = bound or float(np.abs(finite).max(initial=0.0)) or 1.0
    show = max(height, width) <= NUMBERS_UP_TO
    away = np.zeros_like(cells, dtype=bool) if outside is None else outside.numpy()
    text = [[("" if not show else f"({number(v)})" if out else number(v)) for v, out in zip(row, hidden, strict=True)]
            for row, hidden in zip(cells, away, strict=True)]
    figure = go.Figure(go.Heatmap(z=finite, zmin=-largest, zmax=largest, colorscale=DIVERGING, showscale=False, text=text,
                                  texttemplate="%{text}", textfont={"size": 12}, xgap=1, ygap=1, hoverongaps=False,
                                  hovertemplate="row %{y}, column %{x}: %{z:.5g}<extra></extra>"))
    if mark is not None:
        row, column = mark
        figure.add_shape(type="rect", x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5,
                         line={"color": "black", "width": 3})
    cell = CELL if show else max(8, 7 * CELL // max(height, width))
    figure.update_layout(title={"text": title, "font": {"size": 14}, "x": 0}, width=max(130, width * cell + 16),
                         height=height * cell + 44, margin={"l": 4, "r": 4, "t": 36, "b": 4})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed")
    return figure


def sliding_kernel(source: Tensor, output: Tensor, boxes: list[Box], row: int,
                   column: int) -> go.Figure:
    """One input map and one output map; Play moves the window along a row of output pixels, in the browser.

    Args:
        source: (H, W) input map. output: (h, w) output map.
        boxes: for each column of the output row, the window's (left, top, right, bottom) in input pixels.
        row, column: the output pixel that is marked before playing.
    """
    figure = make_subplots(1, 2, subplot_titles=("Input", "Output"), horizontal_spacing=0.06)
    for place, values in enumerate((source, output), start=1):
        cells = values.numpy()
        negative = bool((cells < 0).any())
        largest = float(np.abs(cells).max(initial=0.0)) or 1.0
        figure.add_trace(go.Heatmap(z=cells, zmin=-largest if negative else 0, zmax=largest, showscale=False,
                                    colorscale=DIVERGING if negative else GREY,
                                    hovertemplate="row %{y}, column %{x}: %{z:.4g}<extra></extra>"), 1, place)
    frames = [go.Frame(name=str(index), layout={"shapes": _marks(box, row, index)}) for index, box in enumerate(boxes)]
    figure.frames = frames
    step = {"frame": {"duration": 250, "redraw": True}, "transition": {"duration": 0}, "fromcurrent": True}
    figure.update_layout(
        shapes=_marks(boxes[column], row, column), height=330, margin={"l": 4, "r": 4, "t": 28, "b": 4},
        updatemenus=[{"type": "buttons", "direction": "left", "x": 0, "y": -0.02, "xanchor": "left", "yanchor": "top",
                      "showactive": False, "buttons": [
                          {"label": "▶ Slide along this row", "method": "animate",
                           "args": [[frame.name for frame in frames], step | {"mode": "immediate", "fromcurrent": False}]},
                          {"label": "❚❚ Pause", "method": "animate", "args": [[None], {"mode": "immediate"}]}]}])
    beyond = max(-0.5 - min(box[0] for box in boxes), 0.0) + 0.5  # padding, so that the window stays in sight
    for place, (values, edge) in enumerate(((source, beyond), (output, 0.5)), start=1):
        height, width = values.shape
        figure.update_xaxes(visible=False, range=[-0.5 - edge, width - 0.5 + edge], constrain="domain", row=1, col=place)
        figure.update_yaxes(visible=False, range=[height - 0.5 + edge, -0.5 - edge], scaleanchor=f"x{place if place > 1 else ''}",
                            constrain="domain", row=1, col=place)
    return figure


def _marks(box: Box, row: int, column: int) -> list[dict[str, object]]:
    left, top, right, bottom = box
    line = {"color": MARK, "width": 3}
    return [{"type": "rect", "xref": "x", "yref": "y", "x0": left, "x1": right, "y0": top, "y1": bottom, "line": line},
            {"type": "rect", "xref": "x2", "yref": "y2", "x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5,
             "y1": row + 0.5, "line": line}]


def histogram_chart(values: Histogram, label: str) -> go.Figure:
    """How many weights have which value."""
    edges = np.asarray(values.edges)
    figure = go.Figure(go.Bar(x=(edges[:-1] + edges[1:]) / 2, y=values.counts, width=np.diff(edges), marker_color=VALIDATION,
                              hovertemplate="about %{x:.4g}: %{y:,} values<extra></extra>"))
    figure.update_layout(height=280, margin={"l": 8, "r": 8, "t": 8, "b": 8}, bargap=0, xaxis={"title": label},
                         yaxis={"title": "how many"})
    return figure
