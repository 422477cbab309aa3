"""Where on a chart something is wrong: a shaded range of steps with its name, on ECharts options."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.figures.curves import BEFORE, Curves

COLOURS = {"error": "#e5484d", "warning": "#b06800", "note": "#747474"}  # to be read on white and on black
ROOM = 1.5  # times a run's own highest value: where the run before was higher, it is cut off, for it would flatten the new one
NARROWEST = 0.01  # share of the axis: a range of one step in thousands would not be seen
LABEL_HEIGHT = 15  # pixels; a band's name stands below those before it


@dataclass(frozen=True)
class Band:
    """A range of steps, from 1, and what it shows. severity: a key of COLOURS."""

    label: str
    severity: str
    first_step: int
    last_step: int


def _range(band: Band, curves: Curves) -> tuple[float, float]:
    """Its first and last place on the axis of epochs, wide enough to be seen."""
    per_epoch, width = max(1, curves.steps_per_epoch), curves.axis_end
    start, end = (band.first_step - 1) / per_epoch, band.last_step / per_epoch
    missing = max(0.0, NARROWEST * width - (end - start))
    return round(max(0.0, start - missing / 2), 4), round(min(width, end + missing / 2), 4)


def mark_bands(chart: dict[str, Any], bands: Sequence[Band], curves: Curves) -> dict[str, Any]:
    """The same ECharts option with the bands shaded behind its last line; every line keeps its place and data."""
    if not bands or not chart["series"]:
        return chart
    areas = []
    for row, band in enumerate(bands):
        start, end = _range(band, curves)
        label = {"show": True, "position": "insideTopLeft", "color": COLOURS[band.severity], "fontSize": 11,
                 "offset": [0, LABEL_HEIGHT * row]}
        areas.append([{"name": band.label, "xAxis": start, "label": label,
                       "itemStyle": {"color": COLOURS[band.severity], "opacity": 0.13}}, {"xAxis": end}])
    *others, last = chart["series"]
    return chart | {"series": [*others, last | {"markArea": {"silent": True, "data": areas}}]}


def keep_in_sight(chart: dict[str, Any]) -> dict[str, Any]:
    """The same ECharts option with an axis for its own lines, where the run before went far above them."""
    tops = {line["name"]: max((y for _, y in line["data"] if y is not None), default=0.0) for line in chart["series"]}
    before, own = tops.pop(BEFORE, 0.0), max(tops.values(), default=0.0)
    if not own or before <= ROOM * own or "max" in chart["yAxis"] or chart["yAxis"]["type"] == "log":
        return chart
    return chart | {"yAxis": chart["yAxis"] | {"max": float(f"{ROOM * own:.2g}")}}
