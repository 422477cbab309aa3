"""The diagram of a network for ECharts: one box below the other, so that it fits a phone; skips bend around."""

from typing import Any

from core.layers.diagram import Diagram

BOX_WIDTH, BOX_HEIGHT, STEP = 156, 36, 56  # pixels
# Kind of layer → colour, on which white can be read; the same words start the kinds' names in every PyTorch network
COLOURS = {"Conv": "#2563eb", "Linear": "#7c3aed", "BatchNorm": "#0f766e", "MaxPool": "#64748b", "AvgPool": "#64748b",
           "AdaptiveAvgPool": "#64748b", "Dropout": "#a16207", "Embedding": "#7c3aed"}
ACTIVATION, FUNCTION, OTHER = "#c2410c", "#475569", "#64748b"
ACTIVATIONS = ("ReLU", "LeakyReLU", "GELU", "Sigmoid", "Tanh", "Softmax", "SiLU", "ELU", "Hardswish", "Hardsigmoid", "ReLU6")


def diagram_height(drawing: Diagram) -> int:
    """Pixels that the whole diagram needs."""
    return len(drawing.boxes) * STEP + 16


def diagram_chart(drawing: Diagram, chosen: int | None = None) -> dict[str, Any]:
    """Boxes that can be clicked; `chosen` is the place of the one that is marked."""
    last = len(drawing.boxes) - 1
    nodes = []
    for place, box in enumerate(drawing.boxes):
        marked = place == chosen
        nodes.append({
            "value": [0, place],
            "itemStyle": {"color": _colour(box.kind, box.title), "opacity": 1, "borderColor": "#f59e0b",
                          "borderWidth": 4 if marked else 0},
            "label": {"show": True, "color": "#ffffff", "fontSize": 12, "lineHeight": 14,
                      "formatter": _label(box.title, box.kind, box.shape)},
        })
    edge = BOX_HEIGHT / 2 / STEP  # from the middle of a box to its edge, in boxes
    lines = [{"coords": [[0, start + edge], [0, end - edge]],
              "lineStyle": {"curveness": 0 if end == start + 1 else _bend(end - start - 2 * edge)}}
             for start, end in drawing.arrows]
    return {
        "animation": False,
        "grid": {"left": 8, "right": 8, "top": 8 + BOX_HEIGHT / 2, "bottom": 8 + BOX_HEIGHT / 2},
        "xAxis": {"type": "value", "min": -1, "max": 1, "show": False},
        "yAxis": {"type": "value", "min": 0, "max": max(1, last), "inverse": True, "show": False},
        "series": [
            {"type": "scatter", "data": nodes, "symbol": "rect", "symbolSize": [BOX_WIDTH, BOX_HEIGHT], "selectedMode": "single",
             "select": {"itemStyle": {"borderColor": "#f59e0b", "borderWidth": 4}}, "emphasis": {"disabled": True}},
            {"type": "lines", "coordinateSystem": "cartesian2d", "data": lines, "symbol": ["none", "arrow"], "symbolSize": 7,
             "lineStyle": {"color": "#94a3b8", "width": 2, "opacity": 1}, "silent": True},
        ],
    }


def _bend(length: float) -> float:
    """How far an arrow that skips boxes bends aside, as a share of its length: its middle passes the boxes' edge."""
    return 1.25 * BOX_WIDTH / (length * STEP)  # the middle of such a curve is half as far out


def _label(title: str, kind: str, shape: tuple[int, ...]) -> str:
    short = title if len(title) <= 16 else f"…{title[-15:]}"
    name = short if kind in {"", title} or kind == "in forward" else f"{short} · {kind}"
    return f"{name[:27]}\n{'×'.join(map(str, shape)) or 'one number'}"


def _colour(kind: str, title: str) -> str:
    if kind in ACTIVATIONS:
        return ACTIVATION
    if kind == "in forward":
        return ACTIVATION if title[:-2].replace("_", "").removeprefix("log") in map(str.lower, ACTIVATIONS) else FUNCTION
    return next((colour for start, colour in COLOURS.items() if kind.startswith(start)), OTHER)
