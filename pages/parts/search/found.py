"""What a search has found: the best settings, how sure that is, and where to go from there."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from core.fields import ConfigError
from core.runs.beside import Beside
from core.runs.differing import in_words, labels_of
from core.runs.sweep_records import Sweep, Trial
from core.runs.view import View
from core.sweeps import Result, SweepPlan, read_result
from core.sweeps.luck import fresh_values
from core.sweeps.plan import with_params
from core.sweeps.result import apart, sentence, valued
from core.wording import number, percent, plural
from pages.parts.draft import draft
from pages.parts.shell import keys
from pages.parts.shell.frame import go_to, select_run
from pages.parts.shell.markdown import as_text, in_table
from pages.parts.shell.notices import refuse, tell
from pages.parts.shell.services import Services
from pages.parts.widgets.table import draw_table, rows_table


def found(server: Services, sweep: Sweep, plan: SweepPlan, trials: Sequence[Trial]) -> None:
    """The chosen trial; of a search that was stopped the best so far."""
    result = read_result(sweep.result) or _best_so_far(plan, trials)
    best = next((trial for trial in trials if result and trial.run_id == result.run_id), None)
    if result is None or best is None:
        return
    labels = labels_of([plan.base], list(best.params))
    settings = ", ".join(f"{labels[path]} **{as_text(in_words(path, value))}**" for path, value in best.params.items())
    if sweep.status == "finished":
        st.success(as_text(_kept_together(sentence(plan, result))), icon=":material/emoji_events:")
    tested = ""
    if best.test_accuracy is not None or best.test_loss is not None:
        figure = percent(best.test_accuracy) if best.test_accuracy is not None else f"loss {number(best.test_loss)}"
        tested = f" On the test images, looked at once, with this one alone: **{figure}**."
    st.markdown(_kept_together(f"Trial {best.trial}: {settings}.{tested}"))
    if len(result.means) > 1:
        _leaders(plan, trials, result, labels)
    with st.container(horizontal=True):
        if st.button("Use the best settings", icon=":material/check:", type="primary", key="search.use"):
            _use(plan, best)
        reference = _reference(plan, trials, best)
        if reference and st.button("Why is it best?", icon=":material/compare_arrows:", key="search.why",
                                   help=f"Walks from trial {reference.trial}'s settings to these, one change at a time, each "
                                   "with several seeds."):
            _compare([reference, best], Beside(view="change", first=reference.number, second=best.number,
                                               measure=plan.metric))
        if st.button("See its run", icon=":material/show_chart:", key="search.run"):
            select_run(best.run_id)
            go_to("pages/train_model.py")
        if st.button("All of them on Compare runs", icon=":material/leaderboard:", key="search.compare"):
            _compare([trial for trial in trials if not trial.deleted], Beside())
    if sweep.status == "finished":
        st.caption(as_text(f"The search ended as {result.why}." if result.why else ""))


def _kept_together(text: str) -> str:
    """No line begins with a percent sign."""
    return text.replace(" %", "\u00a0%")


def _reference(plan: SweepPlan, trials: Sequence[Trial], best: Trial) -> Trial | None:
    """What the best one is laid beside: the settings that the search began with; where these are the best, the next best."""
    known = [trial for trial in trials if not trial.repeat and trial.state == "complete" and not trial.deleted
             and trial.trial != best.trial]
    known.sort(key=lambda trial: (trial.trial > 0, -(trial.value or 0.0) if plan.higher else trial.value or 0.0))
    return known[0] if known else None


def _leaders(plan: SweepPlan, trials: Sequence[Trial], result: Result, labels: dict[str, str]) -> None:
    firsts = {trial.trial: trial for trial in trials if not trial.repeat}
    rows = []
    for trial, mean in result.means.items():
        values = fresh_values(trials, trial)
        rows.append({"Trial": trial, "Mean of fresh seeds": valued(plan, mean), "Seeds": len(values),
                     "First run": valued(plan, firsts[trial].value), "Verdict": "chosen" if trial == result.chosen else
                     "can't be told apart" if trial in result.alike else "worse",
                     **{labels[path].capitalize(): in_table(in_words(path, value)) for path, value in
                        firsts[trial].params.items() if path in labels},
                     "Parameters": firsts[trial].parameters})
    draw_table(rows_table(rows), hide_index=True, key="search.leaders", placeholder="–",
               column_config={"Parameters": st.column_config.NumberColumn(format="localized")})
    spread = f" All settings are taken to spread alike over seeds: standard deviation {apart(plan, result.luck)}." \
        if result.luck is not None else ""
    st.caption(f"Fresh seeds had no part in the choice, so their mean is without the luck of the best of many.{spread}")


def _best_so_far(plan: SweepPlan, trials: Sequence[Trial]) -> Result | None:
    known = {trial.trial: trial for trial in trials if not trial.repeat and trial.state == "complete" and trial.value is not None}
    if not known:
        return None
    best = (max if plan.higher else min)(known.values(), key=lambda trial: trial.value or 0.0)
    return Result(best.trial, best.run_id, (best.trial,), {}, None, None, "")


def _use(plan: SweepPlan, best: Trial) -> None:
    try:
        draft.take(with_params(plan.base, best.params))
    except ConfigError as error:  # of another version
        refuse(as_text(str(error)))
    tell(f"The settings are those of trial {best.trial} now: {plural(len(best.params), 'setting')} taken.")
    go_to("pages/train_model.py")


def _compare(trials: Sequence[Trial], beside: Beside) -> None:
    view = st.session_state.get(keys.COMPARE_VIEW) or View()
    st.session_state[keys.COMPARE_VIEW] = replace(view, selected=tuple(sorted(trial.number for trial in trials)), words="",
                                                  conditions=())
    st.session_state[keys.COMPARE_BESIDE] = beside
    go_to("pages/compare_runs.py")
