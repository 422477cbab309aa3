"""What was changed by hand while a run trained: in words, and as lines in its charts."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from core.figures.curves import Curves
from core.figures.palette import GREY, GREY_TEXT
from core.training import Intervention

MOST_LINES, MOST_LABELS = 100, 20  # in a chart; more would hide the curve, and their numbers each other


Names = Mapping[tuple[str | None, int | None, int | None], str]  # of weights, by layer, row and column (None: a bias)


def in_words(one: Intervention, names: Names | None = None) -> str:
    """What was changed, such as "learning rate 0.1 → 0.05" or "fc1.weight[2, 0] −0.31 → 2.5". names: what a page calls weights,
    for "x₁ → unit 3 of layer 1: −0.31 → 2.5"."""
    what = "learning rate"
    if one.what == "weight" and names and (one.layer, one.row, one.column) in names:
        what = f"{names[one.layer, one.row, one.column]}:"
    elif one.what == "weight":
        what = f"{one.layer}.bias[{one.row}]" if one.column is None else f"{one.layer}.weight[{one.row}, {one.column}]"
    return f"{what} {number(one.before)} → {number(one.after)}"


def number(value: float) -> str:
    """In four digits, with a minus sign as people write it."""
    return f"{value:.4g}".replace("-", "−")


def by_step(interventions: Sequence[Intervention], names: Names | None = None) -> list[str]:
    """One line for all that was changed between the same two steps, in their order. names: as in_words()."""
    return [f"{f'After step {step:,}' if step else 'Before the first step'}: {', '.join(in_words(one, names) for one in group)}"
            for step, group in groupby(interventions, lambda one: one.step)]


def mark_changes(chart: dict[str, Any], interventions: Sequence[Intervention], curves: Curves,
                 dark: bool = False) -> dict[str, Any]:
    """The same ECharts option of a run's curves with an upright line where something was changed by hand, numbered as by_step()'s
    lines are, the first one with what the number means; every curve keeps its place and data. dark: whether the page is."""
    steps = list(dict.fromkeys(one.step for one in interventions))
    if not steps or not chart["series"]:
        return chart
    some = steps[::-(-len(steps) // MOST_LINES)]
    lines = [{"xAxis": round(step / max(1, curves.steps_per_epoch), 4),
              "label": {"show": len(steps) <= MOST_LABELS, "formatter": str(steps.index(step) + 1)}} for step in some]
    if some[0] == steps[0] and len(steps) <= MOST_LABELS:  # with room for it beside the line
        lines[0]["label"] |= {"formatter": "1 by hand", "align": "left" if lines[0]["xAxis"] < curves.axis_end / 2 else "right"}
    *others, last = chart["series"]
    mark = {"silent": True, "symbol": "none", "lineStyle": {"color": GREY, "type": "dashed", "width": 1.5},
            "label": {"color": GREY_TEXT[dark], "fontSize": 11, "distance": 2}, "data": lines}
    return chart | {"series": [*others, last | {"markLine": mark}]}
