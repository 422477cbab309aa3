"""The diagram of a network as an ECharts graph: one box below the other, so that it fits a phone; skips bend around."""

from typing import Any

from core.inspection.diagram import Diagram

BOX_WIDTH, BOX_HEIGHT, STEP = 156, 36, 56  # pixels
# Kind of layer → colour; the same words start the kinds' names in every PyTorch network
COLOURS = {"Conv": "#3b82f6", "Linear": "#8b5cf6", "BatchNorm": "#0d9488", "MaxPool": "#64748b", "AvgPool": "#64748b",
           "AdaptiveAvgPool": "#64748b", "Dropout": "#a16207", "Embedding": "#8b5cf6"}
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
            "id": str(place), "name": f"{box.title} {place}", "value": [0, place], "symbol": "rect",
            "symbolSize": [BOX_WIDTH, BOX_HEIGHT],
            "itemStyle": {"color": _colour(box.kind, box.title), "opacity": 1 if marked or chosen is None else 0.75,
                          "borderColor": "#f59e0b", "borderWidth": 4 if marked else 0},
            "label": {"show": True, "color": "#ffffff", "fontSize": 12, "lineHeight": 14,
                      "formatter": _label(box.title, box.kind, box.shape)},
        })
    links = [{"source": str(start), "target": str(end),
              "lineStyle": {"curveness": 0 if end == start + 1 else _bend(end - start)}} for start, end in drawing.arrows]
    return {
        "animation": False,
        "grid": {"left": 8, "right": 8, "top": 8 + BOX_HEIGHT / 2, "bottom": 8 + BOX_HEIGHT / 2},
        "xAxis": {"type": "value", "min": -1, "max": 1, "show": False},
        "yAxis": {"type": "value", "min": 0, "max": max(1, last), "inverse": True, "show": False},
        "series": [{
            "type": "graph", "coordinateSystem": "cartesian2d", "data": nodes, "links": links, "selectedMode": "single",
            "select": {"itemStyle": {"borderColor": "#f59e0b", "borderWidth": 4}}, "edgeSymbol": ["none", "arrow"],
            "edgeSymbolSize": 8, "lineStyle": {"color": "#94a3b8", "width": 2, "opacity": 1}, "emphasis": {"disabled": True},
        }],
    }


def _bend(length: int) -> float:
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
