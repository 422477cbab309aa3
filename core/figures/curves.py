"""Loss and accuracy of one run, as ECharts options; side_by_side.py has several runs in one picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from core.figures.palette import GREY, TRAIN, VALIDATION
from core.figures.thinning import smooth, thin

Series = tuple[Sequence[int], Sequence[float]]

BEFORE = "run before"  # what its grey line is called
QUANTITIES = {"loss": "Loss", "accuracy": "Accuracy"}
LOG_AXIS = {"type": "log", "axisLabel": {"hideOverlap": True}}
MOST_MARKED = 30  # epochs; more markers would run together and hide the line of the training below
HEIGHT = 250  # of a chart of loss or accuracy in pixels: it, what trains and its examples are on one screen
ENDS = tuple(factor * 10.0**power for power in range(-1, 3) for factor in (1, 2, 5))  # of the axis while there is more to come


@dataclass(frozen=True)
class Curves:
    """What a run has recorded, by metric name, and how many steps an epoch has."""

    steps_per_epoch: int
    epochs: int
    series: Mapping[str, Series] = field(default_factory=dict)

    def of(self, name: str) -> Series:
        return self.series.get(name, ([], []))

    @property
    def axis_end(self) -> float:
        """The epoch at which the horizontal axis of its charts ends. It grows with the training from one round number to the
        next, so that a curve is never a line at the edge, until there is room for all epochs."""
        done = max((steps[-1] for steps, _ in self.series.values() if len(steps)), default=0) / max(1, self.steps_per_epoch)
        return next((end for end in ENDS if done <= end < self.epochs), float(max(1, self.epochs)))


def epoch_rows(curves: Curves) -> list[dict[str, float | None]]:
    """The curves as a table: for each epoch its number, what the validation examples gave after it, and the means of what its
    batches did, None where nothing was recorded."""
    rows: dict[int, dict[str, float | None]] = {}
    length = max(1, curves.steps_per_epoch)
    for quantity in QUANTITIES:
        validation = dict(zip(*curves.of(f"validation_{quantity}"), strict=True))
        batches: dict[int, list[float]] = {}
        for step, value in zip(*curves.of(quantity), strict=True):
            batches.setdefault(-(-step // length), []).append(value)
        for epoch in {*batches, *(-(-step // length) for step in validation)}:
            row = rows.setdefault(epoch, {"epoch": epoch})
            mine = batches.get(epoch)
            row[f"training {quantity}, mean of batches"] = sum(mine) / len(mine) if mine else None
            row[f"validation {quantity}"] = validation.get(epoch * length)
    return [rows[epoch] for epoch in sorted(rows)]


def curve_chart(curves: Curves, quantity: str, previous: Curves | None = None, smoothing: float = 0.9,
                logarithmic: bool = False, finished: bool = False, dark: bool = False) -> dict[str, Any]:
    """ECharts option for "loss" or "accuracy", with a horizontal axis that grows seldom, so that little jumps while points come.

    previous: an earlier run's curves, whose running mean stays behind in grey.
    smoothing: weight of the past in the running mean, 0 to below 1; what each batch said stays behind it, pale.
    finished: the same chart at the same place, with more points to look at closely and tools to zoom in and to save a picture.
    dark: what is behind the saved picture; the chart on the page takes the page's colours.
    """
    percent = quantity == "accuracy"
    scale = 100 if percent else 1  # ECharts' axis labels can't multiply
    steps, values = curves.of(quantity)
    most = 2 if finished else 1  # times as many points: nothing is sent anew each second
    raw = _points(curves, thin(steps, values, 400 * most), scale)
    mean = _points(curves, thin(steps, smooth(values, smoothing), 300 * most), scale) if smoothing else raw
    validation = curves.of(f"validation_{quantity}")
    y_axis = {"type": "value", "min": 0, "axisLabel": {"formatter": "{value} %" if percent else "{value}"}}
    if percent:
        y_axis["max"] = 100
    lines = _previous_line(previous, quantity, scale, smoothing) + [
        _line("each batch", raw if smoothing else [], TRAIN, width=1, opacity=0.3),
        _line("training", mean, TRAIN, width=2 if smoothing else 1),
        _line("validation", _points(curves, validation, scale), VALIDATION, width=2,
              symbols=len(validation[0]) <= MOST_MARKED),
    ]
    return {
        "animation": False,
        "title": {"text": QUANTITIES[quantity], "left": 0, "top": 2, "textStyle": {"fontSize": 14, "fontWeight": 600}},
        "legend": {"right": 0, "top": 0, "itemWidth": 16, "data": ["training", "validation"]},
        "grid": {"left": 4, "right": 16, "top": 36, "bottom": 22, "containLabel": True},
        "tooltip": {"trigger": "axis", "valueFormatter": "%.2f %%" if percent else "%.4f"},
        "xAxis": {"type": "value", "min": 0, "max": curves.axis_end, "name": "epoch", "nameLocation": "middle",
                  "nameGap": 24},
        "yAxis": LOG_AXIS if logarithmic else y_axis,
        "series": [_positive(line) for line in lines] if logarithmic else lines,
    } | ({"toolbox": _tools(quantity, dark)} if finished else {})


def _tools(name: str, dark: bool) -> dict[str, Any]:
    """A toolbox in the corner beside the axis' name, where there is room on a phone too. name: of the picture's file."""
    zoom = {"title": {"zoom": "Zoom in: drag a rectangle", "back": "Zoom out"}}
    save = {"title": "Save as picture", "name": name, "pixelRatio": 2, "backgroundColor": "#181818" if dark else "#ffffff"}
    return {"right": 4, "bottom": 3, "padding": 0, "itemSize": 13, "itemGap": 10,
            "iconStyle": {"borderColor": GREY, "borderWidth": 1.5}, "feature": {"dataZoom": zoom, "saveAsImage": save}}


def _positive(line: dict[str, Any]) -> dict[str, Any]:
    """A line for a logarithmic axis: what has no logarithm is a gap."""
    return line | {"data": [[x, y if y is not None and y > 0 else None] for x, y in line["data"]]}


def _previous_line(previous: Curves | None, quantity: str, scale: float, smoothing: float) -> list[dict[str, Any]]:
    """An earlier run's running mean in grey, or nothing."""
    if previous is None or not previous.of(quantity)[0]:
        return []
    steps, values = previous.of(quantity)
    points = _points(previous, thin(steps, smooth(values, smoothing), 200), scale)
    return [_line(BEFORE, points, GREY, width=2, opacity=0.6)]


def detail_chart(curves: Curves, names: dict[str, str], title: str, logarithmic: bool = False,
                 most_symbols: int = 2, shares: bool = False) -> dict[str, Any]:
    """ECharts option with a line for each metric in `names` (metric → label), such as the learning rate or gradient norms.

    most_symbols: up to so many points are marked each. shares: the values go from 0 to 1, and so does the axis.
    """
    lines = [{"name": label, "type": "line", "showSymbol": len(curves.of(name)[0]) <= most_symbols, "lineStyle": {"width": 1.5},
              "data": _points(curves, thin(*curves.of(name), 200))} for name, label in names.items()]
    return {
        "animation": False,
        "title": {"text": title, "left": 0, "top": 2, "textStyle": {"fontSize": 14, "fontWeight": 600}},
        "legend": {"type": "scroll", "left": 0, "top": 22, "itemWidth": 14, "show": len(names) > 1},
        "grid": {"left": 4, "right": 16, "top": 54 if len(names) > 1 else 34, "bottom": 22, "containLabel": True},
        "tooltip": {"trigger": "axis", "valueFormatter": "%.3g"},
        "xAxis": {"type": "value", "min": 0, "max": curves.axis_end, "name": "epoch", "nameLocation": "middle",
                  "nameGap": 24},
        "yAxis": {"type": "value", "min": 0, "max": 1} if shares else {"type": "log" if logarithmic else "value", "scale": True},
        "series": lines,
    }


def schedule_chart(points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """ECharts option of (epoch, learning rate) before a run."""
    return {
        "animation": False,
        "grid": {"left": 4, "right": 12, "top": 12, "bottom": 22, "containLabel": True},
        "tooltip": {"trigger": "axis", "valueFormatter": "%.3g"},
        "xAxis": {"type": "value", "min": 0, "max": "dataMax", "name": "epoch", "nameLocation": "middle", "nameGap": 24},
        "yAxis": {"type": "value", "min": 0, "splitNumber": 2},
        "series": [{"name": "learning rate", "type": "line", "showSymbol": False, "color": VALIDATION,
                    "data": [[round(epoch, 3), float(f"{rate:.4g}")] for epoch, rate in points]}],
    }


def _points(curves: Curves, series: Series, scale: float = 1) -> list[list[float | None]]:
    """[[epoch, value · scale], …], the epoch as a fraction, rounded so that less travels to the browser.

    A run that diverges has infinite and NaN values (None from the store): those are gaps, as JSON has no such numbers.
    """
    per_epoch = max(1, curves.steps_per_epoch)
    return [[round(step / per_epoch, 4), float(f"{value * scale:.5g}") if value is not None and isfinite(value) else None]
            for step, value in zip(*series, strict=True)]


def _line(name: str, points: list[list[float | None]], color: str, width: int, opacity: float = 1.0,
          symbols: bool = False) -> dict[str, Any]:
    return {"name": name, "type": "line", "data": points, "showSymbol": symbols, "symbolSize": 7, "color": color,
            "lineStyle": {"width": width, "opacity": opacity}, "silent": name == "each batch"}
