"""Compare runs, Which change did it?: from one run to another, one change at a time."""

import streamlit as st

from core.config import RunConfig
from core.data import DataError
from core.fields import ConfigError
from core.figures.in_words import in_words
from core.figures.run_tables import effects_chart
from core.models import ModelError
from core.runs import Run, RunStore, StoreError
from core.runs.boards import can_be_right
from core.runs.change_walk import (
    MOST_RUNS,
    SEEDS,
    Effect,
    Walk,
    WalkError,
    effects,
    find_runs,
    missing,
    plan,
    seconds_for,
    start_missing,
)
from core.runs.differing import names_of
from core.runs.outcomes import RESULTS, Outcome
from core.training import check
from core.wording import plural, rough_duration
from pages.parts.compare.camera import camera, chart
from pages.parts.compare.looked_at import beside, follow
from pages.parts.compare.words import those_left, words
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text, in_table
from pages.parts.shell.services import services
from pages.parts.widgets.table import draw_table, rows_table

SECONDS_PER_LOOK = 2.0
MOST_TO_CHOOSE = 50


def section(store: RunStore, run_ids: list[str], colours: dict[str, str]) -> None:
    """Two runs, the walk between them, and what it has shown so far."""
    some = those_left(store, run_ids[:MOST_TO_CHOOSE])
    if len(some) < 2:
        return
    st.caption("Two runs differ in several settings, and one is better. Here the settings are changed one at a time, from the "
               "first run's to the second's, each with several seeds: what did each change do, and may it have been luck?")
    names = names_of(some, words)
    by_number = {run.number: run for run in some}
    numbers, asked = list(by_number), beside()
    left, right, seeds_place = st.columns([1.5, 1.5, 1], vertical_alignment="bottom")
    first = by_number[left.selectbox("From", numbers, format_func=lambda one: names[by_number[one].id], **follow(
        "compare.walk_from", "first", asked.first if asked.first in by_number else numbers[0], numbers[0]))]
    second = by_number[right.selectbox("To", numbers, format_func=lambda one: names[by_number[one].id], **follow(
        "compare.walk_to", "second", asked.second if asked.second in by_number else numbers[1], numbers[1]))]
    seeds = seeds_place.segmented_control("Seeds", SEEDS, required=True, **follow("compare.walk_seeds", "seeds", asked.seeds))
    if first.id == second.id:
        st.info("Choose two different runs.", icon=":material/compare_arrows:")
        return
    try:
        walk = plan(first.config, second.config, _trains, words)
        planned = walk.planned(seeds)
    except (WalkError, ConfigError) as error:
        st.info(as_text(str(error)), icon=":material/block:")
        return
    _progress(store, first, second, walk, planned)


def _progress(store: RunStore, first: Run, second: Run, walk: Walk, planned: list[list[RunConfig]]) -> None:
    """What is there, what is missing, and the effects; drawn anew while runs of the walk are going."""
    going = any(run is not None and run.is_active for place in find_runs(store, planned) for run in place)

    def panel() -> None:
        found = find_runs(store, planned)
        active = [run for place in found for run in place if run is not None and run.is_active]
        if going and not active:
            st.rerun()
        _state(store, first, second, walk, planned, found)
        _effects(first, walk, found)

    st.fragment(panel, run_every=SECONDS_PER_LOOK if going else None)()


def _state(store: RunStore, first: Run, second: Run, walk: Walk, planned: list[list[RunConfig]],
           found: list[list[Run | None]]) -> None:
    every = [run for place in found for run in place]
    done = sum(run is not None and run.status == "finished" for run in every)
    active = sum(run is not None and run.is_active for run in every)
    st.progress(done / len(every), f"{done} of {plural(len(every), 'run')} finished" + (f", {active} queued or training" if active
                                                                                       else ""))
    wanted = missing(planned, found)
    if wanted:
        _offer(first, second, walk, planned, wanted)
    broken = [run for run in every if run is not None and run.status not in ("finished", "queued", "running")]
    for run in broken[:3]:
        st.caption(f":material/error: {as_text(run.title)}: {as_text(run.message)}")


def _offer(first: Run, second: Run, walk: Walk, planned: list[list[RunConfig]], wanted: list[tuple[int, RunConfig]]) -> None:
    """A button that trains what is missing, and before it what that means."""
    count, there = len(wanted), sum(map(len, planned)) - len(wanted)
    seconds = seconds_for(wanted, len(planned), first, second)
    about = f", about {rough_duration(seconds, 2)} of training on this machine" if seconds is not None else ""
    st.markdown(f"{plural(len(walk.changes), 'change')}, {plural(len(planned[0]), 'seed')}: **{plural(count, 'run')} to train**"
                + about + (f"; {there} {'is' if there == 1 else 'are'} there already, or on the way." if there else "."))
    too_many = count > MOST_RUNS
    if too_many:
        st.caption(f"At most {MOST_RUNS} runs are started at once. Take fewer seeds.")
    if st.button(f"Train {plural(count, 'run')}", type="primary", icon=":material/play_arrow:", key="compare.walk_start",
                 disabled=too_many):
        try:
            start_missing(services().engine, walk, wanted, st.session_state[keys.OWNER])
        except (StoreError, WalkError) as error:
            st.error(as_text(str(error)), icon=":material/folder_off:")
            return
        st.rerun()


def _effects(first: Run, walk: Walk, found: list[list[Run | None]]) -> None:
    measures = [*(("validation_accuracy", "test_accuracy") if can_be_right(first) else ()), "validation_loss", "test_loss"]
    asked = beside().measure
    name = st.segmented_control("Measured by", measures, required=True, format_func=lambda name: RESULTS[name].label.capitalize(),
                                **follow("compare.walk_by", "measure", asked if asked in measures else measures[0], measures[0]))
    outcome = RESULTS[name]
    shown = effects(walk, found, outcome)
    if any(effect.mean is not None for effect in shown):
        figure = effects_chart(shown, outcome)
        st.plotly_chart(figure, key="compare.walk_chart", config=chart("effect of each change"),
                        alt=in_words(figure, "Effect of each change"))
        camera()
    draw_table(rows_table([{"Change": in_table(effect.label), "Effect": _points(effect.mean, outcome),
                            "95 % interval": _interval(effect, outcome), "Seeds": effect.seeds,
                            "Verdict": _verdict(effect, outcome)} for effect in shown]), hide_index=True,
               key="compare.walk_table", placeholder="–")
    st.caption("Changes are made in this order and kept, and each place is laid beside the one before it with the same seeds; in "
               "another order an effect may be another. Intervals are Student's, from the differences of the seeds, each for "
               "itself: of twenty changes that did nothing, one looks as if it had. "
               + ("The test images are looked at with each of these runs: to choose settings, measure by validation accuracy. "
                  if name.startswith("test") else "")
               + (f"Left as in the first run: {', '.join(path.rpartition('.')[2] for path in walk.left)}. " if walk.left else "")
               + "You can leave: what is there is found again by its settings, whoever started it.")


def _verdict(effect: Effect, outcome: Outcome) -> str:
    if effect.mean is None:
        return "waits for runs"
    if effect.interval is None:
        return "one seed says little" if effect.seeds == 1 else "the same with each seed"
    if not effect.is_clear:
        return "may be luck"
    return "better" if (effect.mean > 0) == outcome.higher else "worse"


def _points(value: float | None, outcome: Outcome) -> str | None:
    if value is None:
        return None
    text = f"{100 * value:+.2f} points" if outcome.shares else f"{value:+.4f}"
    return text.replace("-", "−")


def _interval(effect: Effect, outcome: Outcome) -> str | None:
    if effect.interval is None:
        return None
    return f"{_points(effect.interval.low, outcome)} to {_points(effect.interval.high, outcome)}".replace(" points to", " to")


def _trains(config: RunConfig) -> bool:
    """Whether a run of these settings is not refused before it starts."""
    try:
        check(config, services().settings.data_dir)
    except (DataError, ConfigError, ModelError):
        return False
    return True
