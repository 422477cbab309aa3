"""The learning-rate range test as a picture."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

from core.figures.palette import TRAIN, VALIDATION
from core.training.range_test import HIGHEST, LOWEST, RangeStep


def range_chart(steps: Sequence[RangeStep], suggested: float | None = None) -> dict[str, Any]:
    """ECharts option: loss over learning rate on a logarithmic axis, the batches pale behind their running mean.

    suggested: a learning rate to mark, by a line of its own: ECharts' markLine is not drawn on this axis. The axes don't move
    while points arrive; losses above one and a half times the first are cut off.
    """
    good = [step for step in steps if isfinite(step.loss)]
    top = 1.5 * good[0].smoothed if good else 1.0
    top = float(f"{top:.2g}")
    mark = [] if suggested is None else [{
        "name": f"suggested: {suggested:.2g}", "type": "line", "showSymbol": False, "silent": True, "color": VALIDATION,
        "lineStyle": {"width": 2, "type": "dashed"}, "data": [[suggested, 0], [suggested, top]]}]
    return {
        "animation": False,
        "legend": {"right": 0, "top": 0, "itemWidth": 16, "data": ["running mean", *(line["name"] for line in mark)]},
        "grid": {"left": 4, "right": 20, "top": 34, "bottom": 22, "containLabel": True},
        "tooltip": {"trigger": "axis", "valueFormatter": "%.3g"},
        "xAxis": {"type": "log", "min": LOWEST, "max": HIGHEST, "name": "learning rate", "nameLocation": "middle", "nameGap": 24},
        "yAxis": {"type": "value", "min": 0, "max": top, "name": "loss"},
        "series": [
            {"name": "each batch", "type": "line", "showSymbol": False, "color": TRAIN, "silent": True, "clip": True,
             "lineStyle": {"width": 1, "opacity": 0.3}, "data": _data(good, [step.loss for step in good])},
            {"name": "running mean", "type": "line", "showSymbol": False, "color": TRAIN, "clip": True, "lineStyle": {"width": 2},
             "data": _data(good, [step.smoothed for step in good])},
            *mark,
        ],
    }


def _data(steps: Sequence[RangeStep], values: Sequence[float]) -> list[list[float]]:
    return [[float(f"{step.rate:.4g}"), float(f"{value:.5g}")] for step, value in zip(steps, values, strict=True)]
