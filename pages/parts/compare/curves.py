"""Compare runs, side by side: what is drawn of the runs that are selected, and the curves first of all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from core.figures.in_words import in_words
from core.figures.metric_titles import METRICS, metric_title
from core.figures.side_by_side import MOST_NAMED, Look, legend_html, looks, overlay_chart, pixels_for
from core.runs import Run, RunStore
from core.runs.beside import Kind
from core.runs.curves import SECONDS, Axis, View, extent, read_bands, read_clocks, read_curves
from core.runs.differing import by_seed, names_of, values_of
from core.runs.thinning import Band, Points
from core.wording import plural
from pages.parts.compare import board, costs, difference, effects, which_change
from pages.parts.compare.camera import camera, chart
from pages.parts.compare.looked_at import beside, follow
from pages.parts.compare.words import coloured, short_name, those_left, words

Container = Any  # of Streamlit's, which gives it no public type
AXIS_NAMES: dict[Axis, str] = {"step": "Steps", "epoch": "Epochs", "seconds": "Seconds"}
USUAL = ("validation_loss", "validation_accuracy")
PICKED_FOR_YOU = 5  # of many runs: the best ones
MOST_TOLD_APART = 200  # runs whose names to choose from say what differs
NOBODY = 0
FEW = 4  # runs whose full names make a short legend
BETWEEN = " · "


def side_by_side(store: RunStore, run_ids: list[str], colours: dict[str, str]) -> None:
    """The selected runs beside each other. colours: of runs by id; others get one of the palette."""
    if not run_ids:
        return
    mine = coloured(run_ids, colours)
    if len(run_ids) == 1:
        curves(store, run_ids, mine)
        return
    st.header(f"Side by side: {plural(len(run_ids), 'run')}")
    view: Kind = st.segmented_control("What to lay side by side", list(VIEWS), required=True, label_visibility="collapsed",
                                      format_func=lambda kind: VIEWS[kind][0], **follow("compare.view", "view", beside().view))
    VIEWS[view][1](store, run_ids, mine)


@dataclass(frozen=True)
class _Chosen:
    """What the controls say. window: from and to on the axis, the whole of it where that is None."""

    metrics: list[str]
    axis: Axis
    smoothing: float
    logarithmic: bool
    together: bool
    window: tuple[float, float] | None


@st.fragment
def curves(store: RunStore, run_ids: list[str], colours: dict[str, str]) -> None:
    """Curves of the metrics that are chosen, one chart each."""
    runs = those_left(store, run_ids)  # here, as they are now: the page around it is older
    if not runs:
        return
    names = _metrics(store, tuple(run.id for run in runs), tuple(run.step for run in runs))
    if not names:
        st.caption("Nothing has been recorded yet, so there are no curves to lay beside each other.")
        return
    groups = by_seed(runs)
    usual = [name for name in USUAL if name in names] or list(names)[:1]
    asked = beside().metric
    there = [name for name in asked or () if name in names]
    shown = usual if asked is None or asked and not there else there
    metrics = st.multiselect("Curves", list(names), format_func=lambda name: metric_title(name).title,
                             placeholder="Choose what to draw", **follow("compare.metrics", "metric", shown, usual))
    row = st.container(horizontal=True, vertical_alignment="bottom", gap="medium")
    axis = _axis(names, row)
    clocks = read_clocks(store, runs) if axis == "seconds" else {}
    chosen = _how(runs, metrics, axis, clocks, any(len(group) > 1 for group in groups), row)
    if not chosen.metrics:
        st.caption("Choose a curve above.")
        return
    members = {group[0].id: group for group in groups} if chosen.together else {run.id: [run] for run in runs}
    named, notes = _named(members, colours, chosen.together)
    if len(members) > 1:
        _legend(members, named, notes, chosen.together)
    for start in range(0, len(chosen.metrics), 2):
        for column, metric in zip(st.columns(2), chosen.metrics[start:start + 2], strict=False):
            with column:
                _chart(store, runs, metric, chosen, members, named, clocks)
    _caption(runs, names, chosen, members, named, _pixels(members, named, len(chosen.metrics)))
    camera()


def _axis(names: Mapping[str, int], row: Container) -> Axis:
    """Over what; seconds where a run has finished an epoch."""
    axes = [axis for axis in AXIS_NAMES if axis != "seconds" or SECONDS in names]
    asked = beside().over
    return row.segmented_control("Over", axes, required=True, format_func=AXIS_NAMES.__getitem__,
                                 help="Seconds are those of training, without evaluation and pauses; within an epoch they are "
                                 "spread evenly.",
                                 **follow("compare.axis", "over", asked if asked in axes else "epoch", forgets=["closer"]))


def _how(runs: Sequence[Run], metrics: list[str], axis: Axis, clocks: Mapping[str, Points], several: bool,
         row: Container) -> _Chosen:
    """How they are drawn, and which part of the axis. several: whether some runs differ by their seed alone."""
    with row:
        smoothing = st.slider("Smoothing", 0.0, 0.99, step=0.01, width=200, help="Weight of the past in the running mean. "
                              "Metrics with a value or two for each epoch stay as they are.",
                              **follow("compare.smoothing", "smoothing", beside().smoothing))
        logarithmic = st.toggle("Log scale", help="A logarithmic axis for losses, rates and norms: small improvements late in a "
                                "run become visible.", **follow("compare.log", "log", beside().log))
        together = several and st.toggle("Seeds together", help="Runs that differ by their seed alone as one line: their mean, "
                                         "and a band from the smallest to the largest.",
                                         **follow("compare.together", "together", beside().together))
    return _Chosen(metrics, axis, smoothing, logarithmic, together, _window(runs, axis, clocks))


def _window(runs: Sequence[Run], axis: Axis, clocks: Mapping[str, Points]) -> tuple[float, float] | None:
    """A part of the axis to look at more closely."""
    end = extent(runs, axis, clocks)
    if not end:
        return None
    whole = int(np.ceil(end)) if axis == "step" else float(f"{end * 1.0000001:.6g}")
    start = type(whole)(0)
    step = max(1, whole // 200) if axis == "step" else whole / 200
    asked = beside().closer or (0, whole)
    ends = tuple(min(type(whole)(round(end) if axis == "step" else end), whole) for end in asked)
    low, high = st.slider("Look closer", start, whole, step=step, format="%d" if axis == "step" else "%.4g",
                          help="Only this part of the axis is drawn, and read anew with more points in it. Zooming with the "
                               "mouse within a chart shows the points that are there and reads no new ones.",
                          **follow(f"compare.window.{axis}.{whole:g}", "closer", ends if ends[0] < ends[1] else (start, whole),
                                   (start, whole)))
    return None if (low, high) == (start, whole) or low >= high else (float(low), float(high))


def _named(members: Mapping[str, list[Run]], colours: Mapping[str, str], together: bool,
           ) -> tuple[dict[str, Look], dict[str, str]]:
    """Which runs, or groups of seeds, have a colour and a name, and what the legend says behind it."""
    first = {key: group[0] for key, group in members.items()}
    if len(members) > MOST_NAMED:
        best = sorted(first, key=lambda key: -(first[key].validation_accuracy or first[key].test_accuracy or 0.0))
        titles = names_of(list(first.values()), words, seeds=not together) if len(first) <= MOST_TOLD_APART else {
            key: short_name(run) for key, run in first.items()}
        number = {run.number: key for key, run in first.items()}
        usual = sorted(first[key].number for key in best[:PICKED_FOR_YOU])
        asked = beside().picked
        shown = st.multiselect(
            f"Pick out, of {len(members):,}", list(number), max_selections=MOST_NAMED,
            format_func=lambda one: titles[number[one]], help="These have a colour and a name; all others are drawn pale behind "
            "them. At first the best by validation accuracy.",
            **follow("compare.picked", "picked", usual if asked is None else [one for one in asked if one in number][:MOST_NAMED],
                     usual))
        first = {number[one]: first[number[one]] for one in shown}
    names = names_of(list(first.values()), words, seeds=not together)
    picked = None
    if len(names) > 2:
        number = {run.number: key for key, run in first.items()}
        asked = beside().highlight
        picked = number.get(st.selectbox("Highlight", [NOBODY, *number], width=420,
                                         format_func=lambda one: names[number[one]] if one in number else "none",
                                         **follow("compare.highlight", "highlight", asked if asked in number else NOBODY)))
    notes = {key: plural(len(members[key]), "seed") for key in names if len(members[key]) > 1}
    return looks(names, colours, picked), notes


def _legend(members: Mapping[str, list[Run]], named: Mapping[str, Look], notes: Mapping[str, str], together: bool) -> None:
    """Of many runs the settings that differ are named once, and each run has its values."""
    found = values_of([members[key][0] for key in named], words, seeds=not together) if len(named) > FEW else None
    if found is None:
        st.html(legend_html(named, notes))
    else:
        labels, values = found
        st.html(legend_html(named, notes, BETWEEN.join(labels), {key: BETWEEN.join(values[key]) for key in named}))


def _chart(store: RunStore, runs: list[Run], metric: str, chosen: _Chosen, members: Mapping[str, list[Run]],
           named: Mapping[str, Look], clocks: Mapping[str, Points]) -> None:
    low, high = chosen.window or (0.0, None)
    view = View(metric, chosen.axis, low, high, chosen.smoothing)
    banded = [key for key in named if len(members[key]) > 1]
    pixels = _pixels(members, named, len(chosen.metrics))
    in_bands = {run.id for key in banded for run in members[key]}
    state = tuple((run.id, run.step, run.first_step, run.status) for run in runs)
    lines, bands = _read(store, [run for run in runs if run.id not in in_bands], [members[key] for key in banded], view, pixels,
                         clocks, state, chosen.together)
    about = metric_title(metric)
    figure = overlay_chart(metric, chosen.axis, lines, named, dict(zip(banded, bands, strict=True)),
                           _ends(metric, members, named, chosen, clocks), chosen.logarithmic and about.falls)
    st.plotly_chart(figure, key=f"compare.chart.{metric}", config=chart(metric), alt=in_words(figure, about.title))


def _pixels(members: Mapping[str, list[Run]], named: Mapping[str, Look], charts: int) -> int:
    """To how many parts lines are thinned: seeds that have no name together are pale lines, each for itself."""
    return pixels_for(sum(1 if key in named else len(group) for key, group in members.items()), charts)


@st.cache_data(max_entries=12, show_spinner=False)
def _read(_store: RunStore, _runs: list[Run], _groups: list[list[Run]], view: View, pixels: int, _clocks: Mapping[str, Points],
          state: tuple[tuple[str, int, int, str], ...], together: bool) -> tuple[dict[str, Points], list[Band]]:
    """state: of all of the runs; what is kept is read again when one of them has gone on."""
    return (read_curves(_store, _runs, view, pixels, _clocks), read_bands(_store, _groups, view, pixels, _clocks))


@st.cache_data(max_entries=32, show_spinner=False)
def _metrics(_store: RunStore, run_ids: tuple[str, ...], steps: tuple[int, ...]) -> dict[str, int]:
    """The metrics there are, those that are looked at most first, and how many runs have each."""
    found = _store.metric_names(run_ids)
    order = {name: place for place, name in enumerate(METRICS)}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))


def _ends(metric: str, members: Mapping[str, list[Run]], named: Mapping[str, Look], chosen: _Chosen,
          clocks: Mapping[str, Points]) -> dict[str, tuple[float, float]]:
    """What the test images gave at a run's end, beside the same quantity of the validation images."""
    if metric not in TESTED:
        return {}
    found = {}
    for key in named:
        values = [value for run in members[key] if (value := TESTED[metric](run)) is not None]
        place = extent(members[key], chosen.axis, clocks)
        if values and (chosen.window is None or chosen.window[0] <= place <= chosen.window[1]):
            found[key] = (place, float(np.mean(values)))
    return found


def _caption(runs: Sequence[Run], names: Mapping[str, int], chosen: _Chosen, members: Mapping[str, list[Run]],
             named: Mapping[str, Look], pixels: int) -> None:
    lines = []
    if set(chosen.metrics) & set(USUAL) and any(run.test_loss is not None for run in runs):
        lines.append("A diamond is what the test images gave at the end" + (", the mean of the seeds." if any(
            len(group) > 1 for group in members.values()) else "."))
    if chosen.together:
        lines.append("A band goes from the smallest to the largest of its seeds, the line is their mean.")
    if len(members) > len(named):
        lines.append(f"{len(members) - len(named):,} runs are drawn pale, without a name.")
    lines += [f"{metric_title(name).title} was recorded by {names[name]:,} of {len(runs):,} runs."
              for name in chosen.metrics if names[name] < len(runs)]
    going = sum(run.is_active for run in runs)
    if going:
        lines.append(f"{plural(going, 'run')} not finished yet: the curves are as they were when this page was drawn.")
    if max(run.step for run in runs) > 3 * pixels:
        lines.append(f"Of a line with more points the smallest, largest and last of each of {pixels} parts of the axis is drawn.")
    st.caption(" ".join(lines))


TESTED: dict[str, Callable[[Run], float | None]] = {
    "validation_accuracy": lambda run: run.test_accuracy, "validation_loss": lambda run: run.test_loss}
VIEWS: dict[Kind, tuple[str, Callable[[RunStore, list[str], dict[str, str]], None]]] = {
    "curves": ("Curves", curves),
    "settings": ("Settings", difference.section),
    "cost": ("Cost", costs.section),
    "effect": ("Effect of settings", effects.section),
    "board": ("Board", board.section),
    "change": ("Which change did it?", which_change.section),
}
