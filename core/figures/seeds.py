"""The same run from several seeds: each one thin, their mean and the band between the smallest and the largest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.figures.curves import LOG_AXIS, QUANTITIES, Curves, Series
from core.figures.palette import TRAIN, VALIDATION
from core.figures.thinning import smooth

POINTS = 200  # of each line


@dataclass(frozen=True)
class Band:
    """Where at least one run has a value: over `steps`, the smallest, mean and largest value of the runs that got so far."""

    steps: tuple[int, ...]
    low: tuple[float, ...]
    mean: tuple[float, ...]
    high: tuple[float, ...]


def band(runs: Sequence[Series], points: int = POINTS) -> Band:
    """Smallest, mean and largest value at each step of the longest run, thinned evenly to `points` steps.

    All runs record the same steps, so nothing is interpolated; NaN and infinite values are left out.
    """
    longest = max((steps for steps, _ in runs), key=len, default=[])
    if not longest:
        return Band((), (), (), ())
    chosen = np.asarray(longest)[np.unique(np.linspace(0, len(longest) - 1, min(points, len(longest))).round().astype(int))]
    values = np.array([_at(series, chosen) for series in runs])  # (runs, steps), NaN where a run has no value
    there = np.isfinite(values).any(axis=0)
    chosen, values = chosen[there], np.where(np.isfinite(values), values, np.nan)[:, there]
    return Band(tuple(chosen.tolist()), tuple(np.nanmin(values, axis=0).tolist()), tuple(np.nanmean(values, axis=0).tolist()),
                tuple(np.nanmax(values, axis=0).tolist()))


def _at(series: Series, chosen: np.ndarray) -> np.ndarray:
    """A run's values at the chosen steps, NaN where it has none."""
    steps, values = np.asarray(series[0], dtype=int), np.asarray(series[1], dtype=float)
    if not len(steps):
        return np.full(len(chosen), np.nan)
    places = np.searchsorted(steps, chosen).clip(max=len(steps) - 1)
    return np.where(steps[places] == chosen, values[places], np.nan)


def seeds_chart(runs: Sequence[Curves], quantity: str, smoothing: float = 0.9, logarithmic: bool = False) -> dict[str, Any]:
    """ECharts option for "loss" or "accuracy" of several seeds, training (running mean) and validation."""
    percent = quantity == "accuracy"
    scale = 100 if percent else 1
    per_epoch = max(1, *(curves.steps_per_epoch for curves in runs))
    series: list[dict[str, Any]] = []
    for name, metric, color in (("training", quantity, TRAIN), ("validation", f"validation_{quantity}", VALIDATION)):
        each = [curves.of(metric) for curves in runs]
        if name == "training":
            each = [(steps, smooth(values, smoothing)) for steps, values in each]
        for number, one in enumerate(each):
            line = band([one])
            series.append(_line(f"{name} {number}", line.steps, line.mean, per_epoch, scale, color, 1, 0.35))
        whole = band(each)
        series += _area(name, whole, per_epoch, scale, color)
        series.append(_line(name, whole.steps, whole.mean, per_epoch, scale, color, 2.5, 1.0))
    y_axis: dict[str, Any] = {"type": "value", "min": 0, "axisLabel": {"formatter": "{value} %" if percent else "{value}"}}
    if percent:
        y_axis["max"] = 100
    return {
        "animation": False,
        "title": {"text": QUANTITIES[quantity], "left": 0, "top": 2, "textStyle": {"fontSize": 14, "fontWeight": 600}},
        "legend": {"right": 0, "top": 0, "itemWidth": 16, "data": ["training", "validation"]},
        "grid": {"left": 4, "right": 16, "top": 36, "bottom": 22, "containLabel": True},
        "xAxis": {"type": "value", "min": 0, "max": max(one.axis_end for one in runs), "name": "epoch", "nameLocation": "middle",
                  "nameGap": 24},
        "yAxis": LOG_AXIS if logarithmic else y_axis,
        # stacked areas have no meaning on a logarithmic axis; the thin lines show the spread there
        "series": [line for line in series if not (logarithmic and line.get("stack"))],
    }


def _line(name: str, steps: Sequence[int], values: Sequence[float], per_epoch: int, scale: float, color: str, width: float,
          opacity: float) -> dict[str, Any]:
    return {"name": name, "type": "line", "data": _data(steps, values, per_epoch, scale), "color": color, "silent": opacity < 1,
            "showSymbol": len(steps) < 2, "symbolSize": 5, "lineStyle": {"width": width, "opacity": opacity}}


def _area(name: str, whole: Band, per_epoch: int, scale: float, color: str) -> list[dict[str, Any]]:
    """The band, as ECharts draws one: an invisible line at its foot, and its height stacked on that and filled."""
    common = {"type": "line", "showSymbol": False, "silent": True, "stack": f"band {name}", "color": color,
              "lineStyle": {"opacity": 0}, "tooltip": {"show": False}}
    heights = [high - low for low, high in zip(whole.low, whole.high, strict=True)]
    return [common | {"name": f"{name}, lowest", "data": _data(whole.steps, whole.low, per_epoch, scale)},
            common | {"name": f"{name}, range", "data": _data(whole.steps, heights, per_epoch, scale),
                      "areaStyle": {"opacity": 0.18}}]


def _data(steps: Sequence[int], values: Sequence[float], per_epoch: int, scale: float) -> list[list[float]]:
    return [[round(step / per_epoch, 4), float(f"{value * scale:.5g}")] for step, value in zip(steps, values, strict=True)]
