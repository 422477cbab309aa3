"""Compare runs, Cost: what a result costs in parameters, time or arithmetic, and which runs no other beats."""

from collections.abc import Mapping

import streamlit as st

from core.config import RunConfig, TrainingConfig
from core.evaluation.ranking import pareto_front
from core.figures.in_words import in_words
from core.figures.run_tables import front_chart
from core.runs import Run, RunStore
from core.runs.beside import MULT_ADDS
from core.runs.differing import names_of
from core.runs.outcomes import COSTS, RESULTS, Outcome, mult_adds_of, questions_differ
from core.settings import Settings
from core.wording import number, percent, plural
from pages.parts.compare.camera import camera, chart
from pages.parts.compare.looked_at import beside, follow
from pages.parts.compare.words import short_name, those_left, words
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import services

ARITHMETIC = Outcome("multiply-adds per example", "", lambda run: None)
MOST_LISTED = 8
NO_BREAK = "\u00a0"
MOST_NAMED = 60  # with more runs, names that say what differs would be long lists


@st.fragment
def section(store: RunStore, run_ids: list[str], colours: dict[str, str]) -> None:
    """Cost against result."""
    runs = those_left(store, run_ids)
    if not runs:
        return
    with st.container(horizontal=True, gap="medium"):
        costs = COSTS | {MULT_ADDS: ARITHMETIC}
        cost_name = st.selectbox("Cost", list(costs), format_func=lambda name: costs[name].label.capitalize(), width=260,
                                 **follow("compare.cost", "cost", beside().cost))
        result = choose_result(runs)
    if result is None:
        return
    different_questions(runs, result)
    cost = costs[cost_name]
    settings = services().settings
    found = []
    for run in runs:
        spent = _mult_adds(_network(run.config), settings) if cost_name == MULT_ADDS else cost.of(run)
        value = result.of(run)
        if spent is not None and value is not None:
            found.append((run, float(spent), value))
    if not found:
        st.info(f"None of these runs has both its {cost.label} and its {result.label} yet.", icon=":material/hourglass_empty:")
        return
    shown, spent, values = map(list, zip(*found, strict=True))
    names = names_of(shown, words) if len(shown) <= MOST_NAMED else {run.id: short_name(run) for run in shown}
    figure = front_chart(spent, values, [names[run.id] for run in shown], [colours[run.id] for run in shown], cost, result)
    st.plotly_chart(figure, key="compare.front", config=chart(f"{result.label} over {cost.label}"),
                    alt=in_words(figure, f"{result.label} over {cost.label}"))
    front = pareto_front(spent, values, result.higher)
    said = [percent(value).replace(" ", NO_BREAK) if result.shares else number(value) for value in values]
    lines = [f"- {as_text(names[shown[one].id])}: {_amount(spent[one], cost)}, {result.label} {said[one]}"
             for one in front[:MOST_LISTED]]
    st.markdown(f"**{plural(len(front), 'run')} on the front** (diamonds): no other of these is as good for less, or better for "
                "as much.\n\n" + "\n".join(lines))
    left = len(runs) - len(shown)
    if left:
        st.caption(f"{plural(left, 'run')} without one of the two figures {'is' if left == 1 else 'are'} left out.")
    if cost_name == "seconds":
        st.caption("Seconds depend on the machine and on what else it did. Compare them within one machine.")
    camera()


def choose_result(runs: list[Run], others: Mapping[str, Outcome] | None = None) -> Outcome | None:
    """Which result to look at, of those that any of the runs has; None, and a line, where there is none. others: what is offered
    besides by name, where there is a result."""
    there = {name: outcome for name, outcome in RESULTS.items() if any(outcome.of(run) is not None for run in runs)}
    if not there:
        st.info("None of these runs has come to a result yet.", icon=":material/hourglass_empty:")
        return None
    asked, usual = beside().result, next(iter(there))
    there |= others or {}
    return there[st.selectbox("Result", list(there), format_func=lambda name: there[name].label.capitalize(), width=260,
                              **follow("compare.result", "result", asked if asked in there else usual, usual))]


def different_questions(runs: list[Run], result: Outcome) -> None:
    """A line where results lie beside each other that are no answers to the same question."""
    if differing := questions_differ(runs, result):
        st.caption(f"These runs answer different questions: they differ in {', '.join(differing)}. What looks better here may "
                   "only be easier.")


def _network(config: RunConfig) -> RunConfig:
    """The same for all runs of one network on one data set, however they were trained."""
    return RunConfig(data=config.data, model=config.model, training=TrainingConfig(loss=config.training.loss))


@st.cache_data(max_entries=500, show_spinner=False)
def _mult_adds(config: RunConfig, settings: Settings) -> int | None:
    return mult_adds_of(config, settings.data_dir)


def _amount(value: float, cost: Outcome) -> str:
    return f"{value:,.1f} s" if cost.unit == "s" else f"{value:,.0f} {cost.label}"
