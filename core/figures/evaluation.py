"""Figures of an evaluation: confusion counts, ROC and precision-recall curves, calibration, robustness, labelled pictures."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from core.evaluation.calibration import Reliability
from core.evaluation.corruptions import CORRUPTIONS
from core.evaluation.metrics import wilson
from core.evaluation.robustness import Point
from core.evaluation.thresholds import Decision, Sweep, thinned
from core.figures.confusion import about_cells, cell_texts, row_shares
from core.figures.images import as_picture
from core.figures.literal import literal, literals
from core.figures.palette import CLASSES, GREY, TRAIN, VALIDATION

MARGIN = {"l": 8, "r": 24, "t": 40, "b": 8}  # on the right room for half of the last number below the axis
MODEL_COLORS = (VALIDATION, TRAIN)  # the first and the second model
SHARES = [[0.0, "#eef3f6"], [0.3, "#a9cfe0"], [1.0, "#4a97bb"]]  # light cells in both themes, below black text
CORNER = 0.1  # of both axes
ZOOMED = [1 - CORNER, 1 + CORNER / 50]
TEXT_HEIGHT = 13  # pixels of one line below a picture


def confusion_figure(counts: np.ndarray, classes: Sequence[str]) -> go.Figure:
    """(K, K) counts with true classes as rows. Colour is the share of the row, on a root scale: rare mistakes show too."""
    size, shares = len(classes), row_shares(counts)
    figure = go.Figure(go.Heatmap(
        z=np.sqrt(shares), colorscale=SHARES, zmin=0, zmax=1, showscale=False, xgap=1, ygap=1,
        text=cell_texts(counts, as_shares=False), texttemplate="%{text}" if size <= 20 else "",
        hovertext=about_cells(counts, literals(classes)), hovertemplate="%{hovertext}<extra></extra>",
        textfont={"size": 12 if size <= 10 else 9, "color": "#000000"}))
    ticks = {"tickmode": "array", "tickvals": list(range(size)), "ticktext": literals(classes), "showgrid": False,
             "zeroline": False, "range": [-0.5, size - 0.5]}
    figure.update_layout(height=max(260, min(620, 120 + 40 * size)), margin=MARGIN, dragmode=False,
                         xaxis={**ticks, "title": "what it said"},
                         yaxis={**ticks, "range": [size - 0.5, -0.5], "title": "true class"})
    return figure


def roc_figure(curves: dict[str, Sweep], colors: Sequence[str] = CLASSES, points: Sequence[Decision] = (),
               corner: bool = False) -> go.Figure:
    """Recall over false alarms by name, with the diagonal of guessing; `points` are marked, one for each curve.

    corner: show only the corner where good models are.
    """
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot"}, name="guessing",
                                  hoverinfo="skip"))
    for index, (name, curve) in enumerate(curves.items()):
        if curve.roc_area is not None:
            keep = thinned(curve)
            _curve(figure, curve.false_positive_rate[keep], curve.recall[keep], curve.thresholds[keep],
                   f"{literal(name)} ({curve.roc_area:.4f})", colors[index % len(colors)],
                   "false alarms %{x:.2%}<br>recall %{y:.2%}")
    _points(figure, [(p.false_positive_rate, p.recall) for p in points], colors)
    _square(figure, "ROC", "false alarms (false positive rate)", "recall (true positive rate)")
    return figure.update_layout(xaxis_range=[-CORNER / 50, CORNER], yaxis_range=ZOOMED) if corner else figure


def precision_recall_figure(curves: dict[str, Sweep], colors: Sequence[str] = CLASSES, points: Sequence[Decision] = (),
                            corner: bool = False) -> go.Figure:
    """Precision over recall by name; `points` are marked, one for each curve. corner: as for roc_figure()."""
    figure = go.Figure()
    for index, (name, curve) in enumerate(curves.items()):
        if curve.average_precision is not None:
            keep = thinned(curve)
            _curve(figure, curve.recall[keep], curve.precision[keep], curve.thresholds[keep],
                   f"{literal(name)} ({curve.average_precision:.4f})", colors[index % len(colors)],
                   "recall %{x:.2%}<br>precision %{y:.2%}")
    _points(figure, [(p.recall, p.precision) for p in points], colors)
    _square(figure, "Precision and recall", "recall", "precision")
    return figure.update_layout(xaxis_range=ZOOMED, yaxis_range=ZOOMED) if corner else figure


def reliability_figure(named: dict[str, Reliability]) -> go.Figure:
    """Accuracy over confidence for each bin with its 95 % interval, and the diagonal where the two are equal."""
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dot"},
                                  name="as right as sure", hoverinfo="skip"))
    for index, (name, result) in enumerate(named.items()):
        rows = [(row, row.accuracy) for row in result.bins if row.accuracy is not None]
        spans = [wilson(round(accuracy * row.count), row.count) for row, accuracy in rows]
        figure.add_scatter(
            x=[row.confidence for row, _ in rows], y=[accuracy for _, accuracy in rows], name=literal(name), mode="lines+markers",
            line={"color": MODEL_COLORS[index % 2], "width": 2, "dash": ("solid", "dash")[index // 2 % 2]},
            marker={"size": 8, "symbol": ("circle", "diamond")[index // 2 % 2]}, customdata=[row.count for row, _ in rows],
            error_y={"type": "data", "symmetric": False, "array": [s.high - a for s, (_, a) in zip(spans, rows, strict=True)],
                     "arrayminus": [a - s.low for s, (_, a) in zip(spans, rows, strict=True)], "thickness": 1, "width": 2},
            hovertemplate="sure %{x:.1%}, right %{y:.1%}<br>%{customdata:,} images<extra></extra>")
    return _square(figure, "", "how sure it was (confidence)", "how often it was right")


def confidence_figure(named: dict[str, Reliability]) -> go.Figure:
    """How many answers fall into each bin of confidence, on a logarithmic scale; colours as in reliability_figure()."""
    figure = go.Figure()
    for index, (name, result) in enumerate(named.items()):
        figure.add_bar(x=[(row.low + row.high) / 2 for row in result.bins], y=[row.count or None for row in result.bins],
                       name=literal(name), marker_color=MODEL_COLORS[index % 2],
                       hovertemplate="sure about %{x:.0%}: %{y:,} images<extra></extra>")
    figure.update_layout(height=300, margin=MARGIN, showlegend=False, barmode="group", bargap=0.1,
                         xaxis={"title": "how sure it was", "range": [0, 1], "tickformat": ".0%"},
                         yaxis={"title": "images", "type": "log", "dtick": 1, "exponentformat": "none"})
    return figure


def robustness_figure(named: Mapping[str, Sequence[Point]], kind: str, floor: float) -> go.Figure:
    """Accuracy of each model over the strength of one kind of change, with 95 % intervals as a band.

    floor: accuracy of always saying the most frequent class, drawn as a line: nothing has been recognised there.
    """
    entry = CORRUPTIONS[kind]
    figure = go.Figure()
    for index, (name, points) in enumerate(named.items()):
        mine = [point for point in points if point.kind == kind]
        x, color = [p.strength for p in mine], MODEL_COLORS[index % 2]
        spans = [wilson(p.right, p.examples) for p in mine]
        figure.add_scatter(x=x + x[::-1], y=[s.high for s in spans] + [s.low for s in spans[::-1]], fill="toself", mode="none",
                           fillcolor=f"rgba{(*bytes.fromhex(color[1:]), 0.18)}", hoverinfo="skip", showlegend=False)
        figure.add_scatter(x=x, y=[p.accuracy for p in mine], name=literal(name), mode="lines+markers",
                           line={"color": color, "width": 2},
                           hovertemplate="%{x:g}: %{y:.1%}<extra></extra>")
    figure.add_vline(x=entry.neutral, line={"color": GREY, "dash": "dot", "width": 1})
    figure.add_hline(y=floor, line={"color": GREY, "dash": "dash", "width": 1})
    figure.update_layout(height=270 if len(named) == 1 else 310, margin=MARGIN, showlegend=len(named) > 1,
                         legend={"orientation": "h", "y": -0.3, "yanchor": "top", "x": 0, "font": {"size": 11}},
                         title={"text": entry.title, "font": {"size": 14}, "x": 0, "y": 0.98, "yanchor": "top"},
                         xaxis={"title": entry.unit}, yaxis={"range": [0, 1.03], "tickformat": ".0%"})
    return figure


def difference_figure(difference: float, low: float, high: float) -> go.Figure:
    """A difference of accuracies in percentage points with its interval, beside zero."""
    figure = go.Figure(go.Scatter(
        x=[100 * difference], y=[""], mode="markers", marker={"size": 12, "color": TRAIN}, showlegend=False,
        error_x={"type": "data", "symmetric": False, "array": [100 * (high - difference)],
                 "arrayminus": [100 * (difference - low)], "thickness": 3, "width": 8, "color": TRAIN},
        hovertemplate="%{x:+.2f} percentage points<extra></extra>"))
    reach = 110 * max(abs(low), abs(high), 1e-4)
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    figure.update_layout(height=130, margin={**MARGIN, "t": 8}, yaxis={"visible": False},
                         xaxis={"title": "percentage points; right of 0 the second model is better", "range": [-reach, reach]})
    return figure


def labelled_sheet(images: Tensor, captions: Sequence[str], columns: int = 5, scale: int = 4) -> np.ndarray:
    """(N, C, H, W) uint8 → (height, width, 3) uint8: pictures in rows, each with its caption below; "\\n" breaks a line."""
    count, _, height, width = images.shape
    lines = max((caption.count("\n") + 1 for caption in captions), default=1)
    cell_h, cell_w = height * scale + TEXT_HEIGHT * lines + 10, width * scale + 10
    sheet = Image.new("RGB", (columns * cell_w + 10, max(1, -(-count // columns)) * cell_h + 10), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = 10 + index % columns * cell_w, 10 + index // columns * cell_h
        sheet.paste(Image.fromarray(as_picture(image, scale)), (left, top))
        draw.multiline_text((left, top + height * scale + 1), caption, fill="black", font=font, spacing=2)
    return np.asarray(sheet)


def _curve(figure: go.Figure, x: np.ndarray, y: np.ndarray, thresholds: np.ndarray, name: str, color: str, about: str) -> None:
    at = [f"{t:.3g}" if np.isfinite(t) else "above all" for t in thresholds]
    figure.add_scatter(x=np.round(x, 5), y=np.round(y, 5), name=name, mode="lines", line={"color": color, "width": 2},
                       customdata=at, hovertemplate=about + "<br>threshold %{customdata}<extra>" + name + "</extra>")


def _points(figure: go.Figure, places: Sequence[tuple[float | None, float | None]], colors: Sequence[str]) -> None:
    for index, (x, y) in enumerate(places):
        if x is not None and y is not None:
            figure.add_scatter(x=[x], y=[y], mode="markers", showlegend=False, hoverinfo="skip",
                               marker={"size": 13, "color": colors[index % len(colors)], "line": {"width": 2, "color": "white"}})


def _square(figure: go.Figure, title: str, across: str, up: str) -> go.Figure:
    """Both axes from 0 to 1, with room for a long legend below the title."""
    figure.update_layout(height=430, margin={**MARGIN, "t": 48 if title else 30}, hovermode="closest",
                         title={"text": title, "font": {"size": 14}, "x": 0, "y": 0.98, "yanchor": "top"},
                         legend={"orientation": "h", "y": -0.18, "yanchor": "top", "x": 0, "font": {"size": 11}},
                         xaxis={"title": across, "range": [-0.01, 1.01], "tickformat": ".0%"},
                         yaxis={"title": up, "range": [-0.01, 1.02], "tickformat": ".0%"})
    return figure
