"""Tensors as grids of coloured cells."""

from collections.abc import Sequence
from math import isfinite

import plotly.graph_objects as go
from torch import Tensor

# What a cell's mark means: 0 as it is, 1 taken or first, 2 second, 3 made by stretching, 4 wrong
COLORS = ("#d8dce3", "#c8441b", "#26718f", "#f6c9b8", "#a3182c")  # each with the text that Plotly chooses for it
CELL = 46  # pixels
NARROWEST = 150  # pixels: Streamlit makes no narrower chart, and cuts off what is wider than it says
MOST = 24  # rows and columns that are drawn


def cell_grid(texts: Sequence[Sequence[str]], marks: Sequence[Sequence[int]] | None = None, rows: Sequence[str] | None = None,
              columns: Sequence[str] | None = None) -> go.Figure:
    """A grid of texts, each cell in the colour of its mark. rows, columns: names beside it, by default their positions."""
    height, width = len(texts), len(texts[0]) if texts else 0
    shown = marks or [[0] * width for _ in range(height)]
    last = len(COLORS) - 1
    figure = go.Figure(go.Heatmap(
        z=shown, x=list(range(width)), y=list(range(height)), text=texts, texttemplate="%{text}", zmin=0, zmax=last,
        showscale=False, xgap=3, ygap=3, hoverinfo="skip",
        colorscale=[[index / last, color] for index, color in enumerate(COLORS)], textfont={"size": 14}))
    names = [list(rows or map(str, range(height))), list(columns or map(str, range(width)))]
    axis = {"showgrid": False, "zeroline": False, "fixedrange": True, "ticks": ""}
    figure.update_xaxes(tickvals=list(range(width)), ticktext=names[1], side="top", range=[-0.5, width - 0.5], **axis)
    figure.update_yaxes(tickvals=list(range(height)), ticktext=names[0], range=[height - 0.5, -0.5], **axis)
    left = 14 + 8 * max([len(name) for name in names[0]] + [1])
    whole = max(NARROWEST, width * CELL + left + 6)
    figure.update_layout(height=height * CELL + 34, width=whole, dragmode=False,
                         margin={"l": left, "r": whole - left - width * CELL, "t": 28, "b": 6})
    return figure


def tensor_grid(tensor: Tensor, marks: Tensor | None = None) -> go.Figure:
    """A tensor of at most two dimensions as a grid: a single number is one cell, a vector one row. Cut at 24 rows and columns."""
    flat = tensor.reshape(1, -1) if tensor.dim() < 2 else tensor
    marked = None if marks is None else marks.reshape(flat.shape)[:MOST, :MOST].int().tolist()
    return cell_grid([[number(value) for value in row] for row in flat[:MOST, :MOST].tolist()], marked)


def number(value: float) -> str:
    """A cell's text: at most six characters, so that it keeps to its cell."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    size = abs(value)
    if not isfinite(value) or size == 0 or 0.1 <= size < 1000:
        return f"{value:.3g}"
    if 0.01 <= size < 0.1:
        return f"{value:.2g}"
    if 1000 <= size < 100_000:
        return f"{value:.0f}"
    digit, power = f"{value:.0e}".split("e")
    return f"{digit}e{int(power)}"
