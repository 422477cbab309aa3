"""A search as it goes, and as it has ended: what it has come to, its charts, and what can be done with it."""

import streamlit as st

from core.runs import StoreError
from core.runs.differing import in_words, labels_of
from core.runs.sweep_records import Sweep, Trial
from core.sweeps import SweepError, SweepPlan, add_trials, pause, read_plan, resume, stop
from core.sweeps.driver import REPEATING
from core.sweeps.luck import MOST_LEADERS, luck_found
from core.sweeps.plan import MOST_TRIALS
from core.sweeps.result import apart, valued
from core.wording import duration, plural, rough_duration
from pages.parts.runs.control import try_to
from pages.parts.search.charts import charts
from pages.parts.search.found import found
from pages.parts.shell.frame import tab_title
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import refuse, tell
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row

STATES = {"running": ("Searching", ":material/progress_activity:"), "paused": ("Paused", ":material/pause_circle:"),
          "finished": ("Finished", ":material/check_circle:"), "stopped": ("Stopped", ":material/stop_circle:"),
          "failed": ("Failed", ":material/error:")}
SECONDS_PER_LOOK = 1.0


def panel(server: Services, sweep: Sweep) -> None:
    """The search; while it is going it is drawn anew each second, and nothing else of the page is."""
    try:
        plan = read_plan(sweep.plan)
    except SweepError as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return

    def draw() -> None:
        now = server.store.sweep(sweep.id)
        if sweep.is_active and (now.status != sweep.status or now.plan != sweep.plan):
            if not now.is_active:
                tell(f"The search has ended: {STATES[now.status][0].lower()}.")
            st.rerun()
        trials = server.store.trials(sweep.id)
        _state(now, plan, trials)
        if not now.is_active:
            found(server, now, plan, trials)
        charts(server, now, plan, trials)

    st.fragment(draw, run_every=SECONDS_PER_LOOK if sweep.is_active else None)()


def _state(sweep: Sweep, plan: SweepPlan, trials: list[Trial]) -> None:
    label, icon = STATES[sweep.status]
    st.markdown(f"{icon} **{as_text(sweep.title)}** · {label.lower()}")
    first = [trial for trial in trials if not trial.repeat]
    ended = [trial for trial in first if trial.state]
    luck = luck_found(trials, plan.step)
    if sweep.is_active:
        most = len(first) if sweep.note.startswith(REPEATING) else max(plan.most_trials, len(first))
        share, left = len(ended) / most, seconds_left(sweep, plan, trials, most)
        about = f" · about {rough_duration(left, 2)} left" if left is not None and sweep.status == "running" else ""
        st.progress(share, f"{as_text(sweep.note) or 'Begins'} · {len(ended)} of {plural(most, 'trial')}{about}")
        tab_title(f"{100 * share:.0f} %")
    elif sweep.message and sweep.status != "finished":
        (st.error if sweep.status == "failed" else st.info)(as_text(sweep.message), icon=icon)
    values = [trial.value for trial in first if trial.state == "complete" and trial.value is not None]
    best = (max if plan.higher else min)(values) if values else None
    counts = {state: sum(trial.state == state for trial in first) for state in ("complete", "pruned", "failed")}
    with st.container(key="search.figures"):
        metrics_row({
            "Best so far": (valued(plan, best), "Of one run on the validation images. The best of many has had luck, too: that "
                            "is why the best ones are repeated with fresh seeds."),
            "Luck of the seed": (f"± {apart(plan, luck.of_one())}" if luck else "–",
                                 "How far one run lies from the mean of its settings, in 95 of 100: from runs of the same "
                                 "settings with several seeds. Differences smaller than this say little."),
            "Trials": (f"{counts['complete']}" + (f" + {counts['pruned']} short" if counts["pruned"] else ""),
                       f"Done, and ended early as they lagged behind. {plural(counts['failed'], 'trial')} failed."),
            "Time": (duration(sweep.seconds), f"Of at most {rough_duration(plan.seconds)}." if plan.minutes else "No limit."),
        })
    bad = next((one for one in reversed(first) if one.state == "failed"), None)
    if bad is not None and sweep.status != "failed":  # which has said it
        st.caption(f":material/error: Trial {bad.trial} failed: {as_text(bad.reason)}")


def seconds_left(sweep: Sweep, plan: SweepPlan, trials: list[Trial], most: int) -> float | None:
    """About how long it still takes, by what its trials took; None before the first has ended. most: different settings that are
    tried."""
    took = sum(bool(trial.state) for trial in trials)
    if not took or not sweep.seconds:
        return None
    runs = most + (1 + MOST_LEADERS) * plan.seeds
    return max(0.0, min(sweep.seconds / took * (runs - took), plan.seconds - sweep.seconds))


def buttons(server: Services, sweep: Sweep) -> None:
    """Pause, stop, add trials to a search that is going. Of somebody else's nothing can be done."""
    try:
        plan = read_plan(sweep.plan)
    except SweepError:  # the panel says so
        return
    if not (server.actor.is_local or server.actor.may_change(sweep.owner)):
        st.caption(":material/visibility: This search belongs to somebody else. You can look at it.")
        return

    def wake(action: object) -> None:
        server.sweeps.wake()

    with st.container(horizontal=True):
        if sweep.status == "running" and st.button("Pause", icon=":material/pause:", key="search.pause",
                                                   help="Trials that train go to their end; no other starts."):
            try_to(lambda: pause(server.store, sweep.id))
        if sweep.status == "paused" and st.button("Go on", icon=":material/play_arrow:", key="search.resume", type="primary"):
            try_to(lambda: wake(resume(server.store, sweep.id)))
        if st.button("Stop", icon=":material/stop:", key="search.stop", help="Ends the search. What it has found stays."):
            try_to(lambda: stop(server.store, server.engine, sweep.id))
        with st.popover("Add trials", icon=":material/add:", key="search.add_open"):
            count = st.number_input("More trials", 1, MOST_TRIALS, 10, key="search.more")
            minutes = st.number_input("More time (min)", 0.0, 10_000.0, 0.0, 5.0, "%g", key="search.more_time",
                                      help="On top of what the search may take.") if plan.minutes else 0.0
            if st.button("Add", key="search.add", type="primary"):
                try:
                    add_trials(server.store, sweep.id, int(count), minutes)
                except (SweepError, StoreError) as error:
                    refuse(as_text(str(error)))
                tell(f"{plural(int(count), 'trial')} added.")
                st.rerun()
    what_varies(plan)
    st.caption("You can leave or reload this page: the search goes on. After a restart of the server it goes on as soon as "
               "somebody opens the app.")


def what_varies(plan: SweepPlan) -> None:
    """The ranges of a search."""
    labels = labels_of([plan.base], [one.path for one in plan.vary])
    lines = [f"- {as_text(labels[one.path]).capitalize()}: " + (
        f"{one.low:g} to {one.high:g}" + (", by factors" if one.log else "") if one.is_number else
        as_text(", ".join(in_words(one.path, choice) for choice in one.choices))) for one in plan.vary]
    st.markdown("\n".join(["**What varies**", "", *lines]))
