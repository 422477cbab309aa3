"""Runs that differ by their seed alone: their curves together, and what they reach on average."""

import streamlit as st

from core.figures.curves import HEIGHT, QUANTITIES
from core.figures.in_words import in_words
from core.figures.seeds import seeds_chart
from core.runs import Run
from core.runs.groups import summarize
from core.wording import duration, number, percent
from pages.parts.runs.charts import chart_controls, quantities_of, read_curves
from pages.parts.runs.words import STATUS
from pages.parts.shell.frame import select_run
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.table import draw_table, rows_table

ALL = ""


def choose_view(runs: list[Run]) -> bool:
    """All seeds together, or one of them as a run of its own. Returns whether it is all."""
    names = {ALL: "All seeds"} | {run.id: f"Seed {run.config.training.seed}" for run in runs}
    key = f"panel.seed.{runs[0].group_id}"

    def changed() -> None:
        if st.session_state[key]:
            select_run(st.session_state[key])

    return st.segmented_control("Seeds", list(names), default=ALL, format_func=names.__getitem__, required=True, key=key,
                                on_change=changed, persist_state="session", label_visibility="collapsed") == ALL


def draw_seeds(server: Services, runs: list[Run]) -> None:
    """One picture of all seeds as they are now."""
    ended = sum(not run.is_active for run in runs)
    title = runs[0].title.rpartition(" · seed ")[0] or runs[0].title
    st.markdown(f":material/casino: **{as_text(title)}** · {len(runs)} seeds")
    share = sum(run.progress if run.is_active else 1.0 for run in runs) / len(runs)
    st.progress(min(1.0, share), f"{ended} of {len(runs)} runs have ended" if ended < len(runs) else "All runs have ended")
    smoothing, logarithmic = chart_controls()
    curves = [read_curves(server, run) for run in runs]
    quantities = quantities_of(runs[0])
    for column, quantity in zip(st.columns(len(quantities)), quantities, strict=True):
        with column:
            chart = seeds_chart(curves, quantity, smoothing, logarithmic and quantity == "loss")
            st.echarts_chart(chart, height=HEIGHT,
                             key=f"live.seeds.{quantity}", alt=in_words(chart, f"{QUANTITIES[quantity]} of each seed"))
    st.caption("Thin: each seed. Thick: their mean. Shaded: from the smallest to the largest. The same settings from other "
               "random starting weights: differences smaller than this band say little about the settings.")
    table(server, runs)


def table(server: Services, runs: list[Run]) -> None:
    """What each seed reached, and mean and standard deviation."""
    summary = summarize(runs)
    if summary.mean is not None:
        spread = f" ± {summary.deviation * 100:.2f}" if summary.deviation is not None else ""
        st.metric("Test accuracy, mean ± standard deviation" if spread else "Test accuracy",
                  f"{summary.mean * 100:.2f}{spread} %", help=f"Over {summary.runs} of {len(runs)} seeds. The standard deviation "
                  "is that of a sample, with n − 1.", width="content")
    right = "accuracy" in quantities_of(runs[0])  # else a number is predicted, which is never right or wrong
    draw_table(rows_table([{
        "Seed": run.config.training.seed, "Status": state(server, run),
        **({"Test accuracy": percent(run.test_accuracy), "Validation accuracy": percent(run.validation_accuracy)} if right else
           {"Test loss": number(run.test_loss)}),
        "Training time": "–" if run.seconds is None else duration(run.seconds),
    } for run in runs]), hide_index=True, key="panel.seeds", width="stretch")


def state(server: Services, run: Run) -> str:
    """The status in a word, with the place in the queue."""
    label = STATUS[run.status][0]
    return f"{label}, {server.store.queue_position(run.id)} before it" if run.status == "queued" else label
