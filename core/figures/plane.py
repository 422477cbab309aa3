"""A network on points in the plane as what the browser draws: small maps of bytes, links, points; and pictures of data sets."""

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageDraw
from torch import Tensor

from core.figures.curves import Curves
from core.figures.palette import TRAIN, VALIDATION
from core.figures.thinning import thin
from core.training import Look

ORANGE, BLUE = "#f59322", "#0877bd"  # first and second class, low and high numbers; told apart with colour-blind eyes
RGB = np.array([[245, 147, 34], [8, 119, 189]])
SHOWN = 500  # points of each split that are drawn; more would cover the map
LOSSES = {"train_loss": ("training", TRAIN), "validation_loss": ("validation", VALIDATION)}


def message(content: dict[str, Any], looks: Sequence[Look]) -> bytes:
    """What the browser is sent: `content` as JSON, with the pictures' steps, epochs and times, and then the pictures.

    4 bytes say how long the JSON is, little-endian, and spaces fill it up to a multiple of 4. Of each picture come float32
    numbers (standing, largest, weights, biases) and bytes (answer, units), filled up with zeros: see PlaneWatcher.
    """
    about = {"steps": [look.step for look in looks], "epochs": [look.epoch for look in looks],
             "made": [float(look.arrays["made"][0]) for look in looks]}
    text = json.dumps(content | about, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    return b"".join([len(text).to_bytes(4, "little"), text, *map(_record, looks)])


def _record(look: Look) -> bytes:
    numbers = b"".join(look.arrays[name].astype("<f4").tobytes() for name in ("standing", "largest", "weights", "biases"))
    pictures = look.arrays["answer"].tobytes() + look.arrays["units"].tobytes()
    return numbers + pictures + bytes(-len(pictures) % 4)


def as_text(values: Tensor) -> str:
    """Bytes (uint8) as base64, row by row."""
    return b64encode(values.contiguous().numpy().tobytes()).decode()


def points_as_bytes(points: Tensor, labels: Tensor, extent: float, bound: float, number: bool) -> str:
    """The first SHOWN points (N, 2) as base64 of three bytes each: x₁ and x₂ from −extent to extent, and the label's colour.

    Points outside are left out.
    """
    values = labels.float() / bound if number else labels.float() * 2 - 1
    inside = (points.abs() <= extent).all(1)
    rows = np.concatenate([points[inside][:SHOWN].numpy() / extent, values[inside][:SHOWN, None].numpy()], axis=1)
    return b64encode(np.rint((rows.clip(-1, 1) + 1) * 127.5).astype(np.uint8).tobytes()).decode()


def thumbnail(points: Tensor, labels: Tensor, extent: float, number: bool, side: int = 72) -> Image.Image:
    """A data set as a small picture on a transparent ground, which suits both themes. Numbers fade from orange to blue."""
    scale = 3  # drawn larger and made smaller: round dots
    picture = Image.new("RGBA", (side * scale, side * scale), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    values = labels.float()
    share = ((values - values.min()) / (values.max() - values.min())).tolist() if number else values.tolist()
    radius = 1.9 * scale
    for (x1, x2), part in zip(points.tolist(), share, strict=True):
        x, y = (x1 / extent + 1) / 2 * side * scale, (1 - x2 / extent) / 2 * side * scale
        colour = tuple(np.rint(RGB[0] * (1 - part) + RGB[1] * part).astype(int).tolist())
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*colour, 255))
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def losses_chart(curves: Curves) -> dict[str, Any]:
    """ECharts option: training and validation loss after each epoch, on an axis that does not move while points arrive."""
    series = []
    for name, (label, colour) in LOSSES.items():
        steps, values = thin(*curves.of(name), 300)
        points = [[round(step / max(1, curves.steps_per_epoch)), float(f"{value:.4g}") if np.isfinite(value) else None]
                  for step, value in zip(steps, values, strict=True)]
        series.append({"name": label, "type": "line", "data": points, "showSymbol": False, "color": colour,
                       "lineStyle": {"width": 2}})
    return {
        "animation": False,
        "title": {"text": "Loss", "left": 0, "top": 2, "textStyle": {"fontSize": 14, "fontWeight": 600}},
        "legend": {"right": 0, "top": 0, "itemWidth": 16},
        "grid": {"left": 4, "right": 16, "top": 34, "bottom": 22, "containLabel": True},
        "tooltip": {"trigger": "axis", "valueFormatter": "%.4f"},
        "xAxis": {"type": "value", "min": 0, "max": max(1, curves.epochs), "name": "epoch", "nameLocation": "middle",
                  "nameGap": 24},
        "yAxis": {"type": "value", "min": 0},
        "series": series,
    }


def plane_scatter(points: Tensor, labels: Tensor, classes: Sequence[str], axes: tuple[str, str]) -> go.Figure:
    """Points (N, 2) coloured by class, or from orange to blue by their number where there are no classes."""
    figure, hover = go.Figure(), f"{axes[0]} %{{x:.2f}}<br>{axes[1]} %{{y:.2f}}"
    groups = [(name, labels == label, (ORANGE, BLUE)[label % 2]) for label, name in enumerate(classes)]
    for name, chosen, colour in groups:
        figure.add_scatter(x=points[chosen, 0].numpy(), y=points[chosen, 1].numpy(), name=name, mode="markers",
                           marker={"color": colour, "size": 7, "line": {"color": "white", "width": 0.5}},
                           hovertemplate=f"{hover}<extra>{name}</extra>")
    if not classes:
        figure.add_scatter(x=points[:, 0].numpy(), y=points[:, 1].numpy(), mode="markers", showlegend=False,
                           customdata=labels.numpy(), marker={
                               "color": labels.numpy(), "colorscale": [ORANGE, "#d9d9d9", BLUE], "size": 7, "showscale": True,
                               "colorbar": {"title": {"text": "number"}}},
                           hovertemplate=f"{hover}<br>number %{{customdata:.2f}}<extra></extra>")
    figure.update_layout(height=460, margin={"l": 8, "r": 8, "t": 36, "b": 8}, xaxis={"title": axes[0]},
                         yaxis={"title": axes[1], "scaleanchor": "x"},
                         legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    return figure
