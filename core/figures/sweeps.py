"""A search as pictures that move while it goes: its history, a setting against its result, and all settings at once."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median
from typing import Any

from core.figures.palette import GREY, TRAIN, VALIDATION
from core.runs.differing import in_words
from core.runs.sweep_records import Trial
from core.sweeps.luck import Luck
from core.sweeps.plan import Range, SweepPlan
from core.sweeps.result import valued

GRID = {"left": 8, "right": 28, "top": 36, "bottom": 32, "containLabel": True}
SCALE = [TRAIN, "#b8860b", VALIDATION]  # from bad to good, also told apart with colour-blind eyes
MOST_AXES = 8
WIDE, ROOM = 4, 0.05  # times the distance from the best to the middle one; share of the axis beyond the last points


@dataclass(frozen=True)
class Band:
    """Where further seeds of the first settings would lie, in 95 of 100."""

    low: float
    high: float


def luck_band(trials: Sequence[Trial], luck: Luck | None) -> Band | None:
    """Around the mean of the settings that were run with several seeds first; None while that is not known."""
    first = next((trial.trial for trial in trials if trial.repeat), None)
    values = [trial.value for trial in trials if trial.trial == first and trial.state == "complete" and trial.value is not None]
    if luck is None or len(values) < 2:
        return None
    mean, reach = sum(values) / len(values), luck.of_next(len(values))
    return Band(mean - reach, mean + reach)


def value_range(plan: SweepPlan, trials: Sequence[Trial], band: Band | None = None) -> tuple[float, float] | None:
    """What the axis of results shows, in the metric's unit: the good half and as much again three times over, and the band. One
    trial that learned nothing would make a line of all others; it lies at the edge then."""
    values = [trial.value for trial in trials if trial.state == "complete" and trial.value is not None and isfinite(trial.value)]
    if not values:
        return None
    best, middle = (max if plan.higher else min)(values), median(values)
    worst = best - WIDE * (best - middle)
    near = [value for value in values if (value >= worst if plan.higher else value <= worst)]
    known = [*near, *([band.low, min(band.high, 1.0) if plan.higher else band.high] if band else [])]
    low, high = min(known), max(known)
    room = (high - low) * ROOM or abs(high) * ROOM or ROOM
    return low - room, min(high + room, 1.0) if plan.higher else high + room


def history_chart(plan: SweepPlan, trials: Sequence[Trial], luck: Luck | None) -> dict[str, Any]:
    """ECharts option: each trial by its number, the best so far as a line, fresh seeds as diamonds, what was ended early in grey,
    and as a band how far luck of the seed alone moves the first settings."""
    scale = 100 if plan.higher else 1
    first = [trial for trial in trials if not trial.repeat]
    band = luck_band(trials, luck)
    ends = value_range(plan, trials, band)
    best, line = None, []
    for trial in sorted((one for one in first if one.state == "complete" and one.value is not None), key=lambda one: one.trial):
        assert trial.value is not None
        if best is None or (trial.value > best if plan.higher else trial.value < best):
            best = trial.value
        line.append([trial.trial, _sent(best * scale)])
    if line and first:
        line.append([max(one.trial for one in first), line[-1][1]])
    top = 0.0 if band is None else min(band.high, 1.0) if plan.higher else band.high
    area = {"silent": True, "itemStyle": {"color": GREY, "opacity": 0.16}, "data": [[
        {"yAxis": _sent(band.low * scale)}, {"yAxis": _sent(top * scale)}]]} if band else {}
    series = [
        _points("ended early", plan, [one for one in first if one.state == "pruned"], ends, GREY, "circle", 6),
        _points("trials", plan, [one for one in first if one.state == "complete"], ends, VALIDATION, "circle", 9),
        _points("fresh seeds", plan, [one for one in trials if one.repeat and one.state == "complete"], ends, VALIDATION,
                "diamond", 8),
        {"name": "best so far", "type": "line", "step": "end", "showSymbol": False, "color": TRAIN, "silent": True,
         "lineStyle": {"width": 2}, "data": line},
        {"name": "luck of the seed", "type": "line", "color": GREY, "silent": True, "data": [], "markArea": area,
         "symbol": "rect"},
    ]
    shown = [one["name"] for one in series if one["data"] or one["name"] == "luck of the seed" and band]
    legend = {"type": "scroll", "left": 0, "right": 0, "top": 0, "itemWidth": 14, "data": shown}
    return {"animation": False, "grid": GRID, "legend": legend,
            "tooltip": {"trigger": "item", "formatter": "{b}"},
            "xAxis": {"type": "value", "name": "trial", "nameLocation": "middle", "nameGap": 22, "minInterval": 1, "min": 0,
                      "splitLine": {"show": False}},
            "yAxis": _value_axis(plan, ends), "series": series}


def slice_chart(plan: SweepPlan, trials: Sequence[Trial], one: Range, label: str) -> dict[str, Any]:
    """ECharts option: the result over one setting, to be brushed where that is a range of numbers."""
    first = [trial for trial in trials if not trial.repeat and one.path in trial.params]
    ends = value_range(plan, first)

    def place(trial: Trial) -> Any:
        value = trial.params[one.path]
        return value if one.is_number else in_words(one.path, value)

    def points(name: str, state: str, colour: str, symbol: str, size: int) -> dict[str, Any]:
        chosen = [trial for trial in first if trial.state == state]
        return _points(name, plan, chosen, ends, colour, symbol, size, place)

    axis: dict[str, Any] = {"name": label, "nameLocation": "middle", "nameGap": 24}
    axis |= {"type": "log" if one.log else "value", "min": one.low, "max": one.high} if one.is_number else {
        "type": "category", "data": [in_words(one.path, choice) for choice in one.choices]}
    brush = {"brush": {"toolbox": ["lineX", "clear"], "xAxisIndex": "all", "brushType": "lineX", "brushMode": "single",
                       "throttleType": "debounce", "throttleDelay": 300},
             "toolbox": {"right": 0, "top": 0, "feature": {"brush": {"type": ["lineX", "clear"], "title": {
                 "lineX": "Choose a part", "clear": "Choose nothing"}}}}} if one.is_number else {}
    return {"animation": False, "grid": GRID, "tooltip": {"trigger": "item", "formatter": "{b}"}, "xAxis": axis,
            "yAxis": _value_axis(plan, ends), **brush, "series": [
                points("ended early", "pruned", GREY, "circle", 6), points("trials", "complete", VALIDATION, "circle", 9)]}


def parallel_chart(plan: SweepPlan, trials: Sequence[Trial], labels: Mapping[str, str]) -> dict[str, Any]:
    """ECharts option: an upright axis for each setting and one for the result, a line for each trial."""
    scale = 100 if plan.higher else 1
    shown = plan.vary[:MOST_AXES]
    axes = [{"dim": number, "name": labels[one.path]} | ({"type": "log" if one.log else "value", "min": one.low, "max": one.high}
            | ({"minInterval": 1} if one.whole else {})
            if one.is_number else {"type": "category", "data": [in_words(one.path, choice) for choice in one.choices]})
            for number, one in enumerate(shown)]
    found = [trial for trial in trials if not trial.repeat and trial.value is not None and isfinite(trial.value)]

    axis = _value_axis(plan, value_range(plan, found) or (0.0, 1.0))
    low, high = axis["min"], axis["max"]

    def rows(state: str) -> list[list[Any]]:
        return [[*(trial.params[one.path] if one.is_number else in_words(one.path, trial.params[one.path]) for one in shown),
                 _sent(min(max((trial.value or 0.0) * scale, low), high))] for trial in found if trial.state == state]

    return {"animation": False, "parallel": {"left": 50, "right": 70, "top": 44, "bottom": 20},
            "parallelAxis": [*axes, {"dim": len(shown), "name": _short_metric(plan), "min": low, "max": high}],
            "visualMap": {"show": False, "dimension": len(shown), "min": low, "max": high, "seriesIndex": 1,
                          "inRange": {"color": SCALE if plan.higher else SCALE[::-1]}},
            "series": [{"name": "ended early", "type": "parallel", "lineStyle": {"color": GREY, "width": 1, "opacity": 0.4},
                        "data": rows("pruned")},
                       {"name": "trials", "type": "parallel", "lineStyle": {"width": 1.5, "opacity": 0.75},
                        "data": rows("complete")}]}


def _points(name: str, plan: SweepPlan, trials: Sequence[Trial], ends: tuple[float, float] | None, colour: str, symbol: str,
            size: int, place: Callable[[Trial], Any] = lambda trial: trial.trial) -> dict[str, Any]:
    """What lies outside the axis is at its edge, and its words say where it is. place: of a trial on the other axis."""
    low, high = ends or (float("-inf"), float("inf"))
    scale = 100 if plan.higher else 1
    return {"name": name, "type": "scatter", "color": colour, "symbol": symbol, "symbolSize": size,
            "itemStyle": {"opacity": 0.9}, "data": [
                {"name": _said(plan, trial), "value": [place(trial), _sent(min(max(trial.value, low), high) * scale)]}
                for trial in trials if trial.value is not None and isfinite(trial.value)]}


def _said(plan: SweepPlan, trial: Trial) -> str:
    """What is told of a point: in a few words, which may be a person's; ECharts shows them as text."""
    settings = ", ".join(f"{path.rpartition('.')[2].replace('_', ' ')} {in_words(path, value)}" for path, value in
                         trial.params.items())
    seed = f", seed {plan.base.training.seed + trial.repeat}" if trial.repeat else ""
    early = f", {trial.reason}" if trial.state == "pruned" else ""
    return f"Trial {trial.trial}{seed}: {valued(plan, trial.value)} ({settings}{early})"


def _value_axis(plan: SweepPlan, ends: tuple[float, float] | None) -> dict[str, Any]:
    scale = 100 if plan.higher else 1
    limits = {"min": _rounded(ends[0] * scale, math.floor), "max": _rounded(ends[1] * scale, math.ceil)} if ends else {}
    return {"type": "value", "scale": True, "axisLabel": {"formatter": "{value} %"} if plan.higher else {}} | limits


def _rounded(value: float, which: Callable[[float], int]) -> float:
    """To a tenth, or of what is small to three digits."""
    step = 0.1 if abs(value) >= 1 else 10.0 ** (math.floor(math.log10(abs(value) or 1.0)) - 2)
    return float(f"{which(value / step) * step:.6g}")


def _short_metric(plan: SweepPlan) -> str:
    return "accuracy (%)" if plan.higher else "loss"


def _sent(value: float) -> float:
    return float(f"{value:.5g}")
