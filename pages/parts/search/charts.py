"""The charts of a search: its history, one setting, all settings, which of them matter, and its trials as a table."""

import shlex
from math import log2

import streamlit as st

from core.figures.in_words import in_words as chart_in_words
from core.figures.run_tables import MOST_BARS, importance_chart
from core.figures.sweeps import MOST_AXES, history_chart, parallel_chart, slice_chart
from core.runs import StoreError
from core.runs.differing import in_words, labels_of
from core.runs.importance import FEWEST, Importance, ImportanceError, importance
from core.runs.outcomes import RESULTS
from core.runs.sweep_records import Sweep, Trial
from core.sweeps import SweepError, SweepPlan, narrow
from core.sweeps.luck import luck_found
from core.sweeps.plan import Range
from core.sweeps.study import study_path
from core.wording import percent
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text, in_table
from pages.parts.shell.notices import refuse, tell
from pages.parts.shell.services import Services
from pages.parts.widgets.table import draw_table, rows_table

VIEWS = ("History", "One setting", "All at once", "Which matter", "Table")
HEIGHT = 320
OTHERS = ("Trials differ in other settings, too: what looks like this one's effect may be another's. What is much worse lies at "
          "the edge.")


def charts(server: Services, sweep: Sweep, plan: SweepPlan, trials: list[Trial]) -> None:
    """One of VIEWS; of a search that came to nothing its table alone."""
    labels = labels_of([plan.base], [one.path for one in plan.vary])
    if not sweep.is_active and all(trial.value is None for trial in trials):
        if trials:
            _table(plan, trials, labels)
        return
    view = st.segmented_control("Chart", VIEWS, default=VIEWS[0], required=True, key="search.view", bind="query-params",
                                label_visibility="collapsed")
    if view == VIEWS[0]:
        luck = luck_found(trials, plan.step)
        figure = history_chart(plan, trials, luck)
        st.echarts_chart(figure, height=HEIGHT, key="search.history", alt=chart_in_words(figure, "History of the search"))
        st.caption(f"{RESULTS[plan.metric].label.capitalize()} of each trial, grey where it was ended early; diamonds are fresh "
                   "seeds of the same settings. What is much worse lies at the edge. "
                   + ("Grey band: where 95 of 100 further seeds of the first settings would lie, so a dot inside it may be luck."
                      if luck else "How much is luck of the seed is measured first."))
    elif view == VIEWS[1]:
        _slice(server, sweep, plan, trials, labels)
    elif view == VIEWS[2]:
        figure = parallel_chart(plan, trials, labels)
        st.echarts_chart(figure, height=HEIGHT, key="search.parallel", alt=chart_in_words(figure, "All settings at once"))
        st.caption("A line is a trial, blue where the result is good and orange where it is bad, grey where it was ended early. "
                   "Drag along an axis to see only the trials that go through that part of it. What is much worse lies at the "
                   "edge."
                   + (f" The first {MOST_AXES} of {len(plan.vary)} settings are drawn." if len(plan.vary) > MOST_AXES else ""))
    elif view == VIEWS[3]:
        _which(sweep, plan, trials, labels)
    else:
        _table(plan, trials, labels)
        if server.actor.is_local and (study := study_path(server.store.path, sweep.id)).exists():
            st.caption("The study is Optuna's own journal: optuna-dashboard opens it, also while the search goes.")
            st.code(f"optuna-dashboard {shlex.quote(str(study))}", language="sh")


def _slice(server: Services, sweep: Sweep, plan: SweepPlan, trials: list[Trial], labels: dict[str, str]) -> None:
    by_path = {one.path: one for one in plan.vary}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        path = st.selectbox("Setting", list(by_path), format_func=lambda one: labels[one].capitalize(), key="search.setting",
                            width=320)
        one = by_path[path]
        can_narrow = one.is_number and sweep.is_active and plan.sampler != "grid"
        choosing = can_narrow and st.toggle("Narrow its range", key=f"search.narrowing.{path}.{one.low}.{one.high}")
    spec = slice_chart(plan, trials, one, labels[path])
    if not choosing:
        st.session_state.pop(keys.SEARCH_STILL, None)
        spec = {name: part for name, part in spec.items() if name not in ("brush", "toolbox")}
        st.echarts_chart(spec, height=HEIGHT, key=f"search.slice.{path}.{one.low}.{one.high}",
                         alt=chart_in_words(spec, f"Result over {labels[path]}"))
        st.caption(OTHERS)
        return
    key = f"search.brush.{sweep.id}.{path}.{one.low}.{one.high}"
    still = st.session_state.get(keys.SEARCH_STILL)
    if still is None or still[0] != key:
        still = st.session_state[keys.SEARCH_STILL] = key, spec
    chosen = st.echarts_chart(still[1], height=HEIGHT, key=key, on_select="rerun",
                              alt=chart_in_words(still[1], f"Result over {labels[path]}"))
    part = _ends(one, brushed(chosen, one), labels[path])
    st.caption("Press the first button at the chart's top right and drag over the part that you want, or type its ends. The "
               f"chart stands still meanwhile. {OTHERS}")
    if part is None:
        return
    if st.button(f"Search only from {part[0]:.3g} to {part[1]:.3g}", icon=":material/compress:", key="search.narrow",
                 type="primary"):
        try:
            after = narrow(server.store, sweep.id, path, *part)
        except (SweepError, StoreError) as error:
            refuse(as_text(str(error)))
        tell(f"{labels[path].capitalize()}: from {after.low:g} to {after.high:g} from the next trial on.")
        st.rerun()


def _ends(one: Range, part: tuple[float, float] | None, label: str) -> tuple[float, float] | None:
    """What is typed of a range, which begins with what is brushed; None where it is the whole range, or no part of it."""
    assert one.low is not None and one.high is not None
    kind: type[int] | type[float] = int if one.whole else float
    low, high = (kind(end) for end in (one.low, one.high))
    with st.container(horizontal=True, width=460):
        found = [st.number_input(f"{label.capitalize()}, {word}", low, high, kind(at), format="%d" if one.whole else "%.3g",
                                 step=1 if one.whole else (high - low) / 20, key=f"search.{word}.{one.path}.{low}.{high}.{part}")
                 for word, at in zip(("from", "to"), part or (low, high), strict=True)]
    if found[0] >= found[1]:
        st.warning("The smaller end comes first.", icon=":material/swap_horiz:")
        return None
    return None if (found[0], found[1]) == (low, high) else (found[0], found[1])


def brushed(chosen: object, one: Range) -> tuple[float, float] | None:
    """What is brushed of a range; None where nothing is, or next to nothing."""
    selection = getattr(chosen, "selection", None)
    areas = [area for area in getattr(selection, "areas", None) or () if area.get("brush_type") == "lineX"]
    if not areas or one.low is None or one.high is None:
        return None
    try:
        ends = sorted(float(end) for end in areas[-1]["coord_range"])
    except (KeyError, TypeError, ValueError):
        return None
    low, high = (one.rounded(min(max(end, one.low), one.high)) for end in (ends[0], ends[-1]))
    return (low, high) if low < high else None


def _which(sweep: Sweep, plan: SweepPlan, trials: list[Trial], labels: dict[str, str]) -> None:
    known = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    if len(known) < FEWEST:
        st.info(f"From {FEWEST} trials with a result on there is something to say; these are {len(known)}, and chance decides.",
                icon=":material/casino:")
        return
    if sweep.is_active:  # anew at 20, 40, 80, … results: it takes seconds, for which the page waits
        known = known[:FEWEST * 2 ** int(log2(len(known) / FEWEST))]
    try:
        found = _importance(tuple(trial.run_id for trial in known), tuple(trial.value or 0.0 for trial in known),
                            [trial.params for trial in known])
    except ImportanceError as error:
        st.info(as_text(str(error)), icon=":material/info:")
        return
    if found.explained is None or found.explained <= 0:
        st.warning("These settings do not say what a trial comes to: guessing from them is no better than always saying the "
                   "mean. The bars below mean nothing.", icon=":material/casino:")
    figure = importance_chart(found, labels, RESULTS[plan.metric])
    st.plotly_chart(figure, key="search.importance", alt=chart_in_words(figure, "How much each setting matters"))
    explained = f" The settings account for {percent(found.explained, 0)} of the differences." if (
        found.explained or 0) > 0 else ""
    st.caption(f"A random forest learns from some of the first {found.runs} results and guesses the others; a bar says how much "
               "worse it guesses when one setting is shuffled. Lines: 90 % of 20 resamples; grey where they reach 0, so that it "
               f"may be nothing.{explained} Of ranges as they were searched, not of all values."
               + (f" The {MOST_BARS} largest of {len(found.shares)} are drawn." if len(found.shares) > MOST_BARS else ""))


@st.cache_data(max_entries=30, show_spinner="Finding out which settings matter…")
def _importance(run_ids: tuple[str, ...], values: tuple[float, ...], _settings: list[dict[str, object]]) -> Importance:
    return importance(_settings, values)


def _table(plan: SweepPlan, trials: list[Trial], labels: dict[str, str]) -> None:
    scale = 100 if plan.higher else 1
    rows = [{"Trial": trial.trial, "Seed": plan.base.training.seed + trial.repeat,
             "Result": None if trial.value is None else trial.value * scale, "State": trial.state or trial.status,
             **{labels[path].capitalize(): in_table(in_words(path, value)) for path, value in trial.params.items()},
             "Why": in_table(trial.reason), "Training time (s)": trial.seconds, "Epochs": trial.epoch, "Run": trial.run_id[:8]}
            for trial in reversed(trials)]
    draw_table(rows_table(rows), hide_index=True, key="search.table", height=HEIGHT, placeholder="–", column_config={
        "Result": st.column_config.NumberColumn(format="%.2f %%" if plan.higher else "%.4f"),
        "Training time (s)": st.column_config.NumberColumn(format="%.1f")})
