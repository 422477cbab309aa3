"""Compare runs: which settings learned best, and how do I take a result with me?"""

from core.process import configure

configure("server")

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from core.data.sources import kind_of
from core.figures.curves import Curves, comparison_chart
from core.runs import Run, RunNotFound, StoreError, has_checkpoint
from core.runs.deleting import delete_run
from core.wording import cell
from pages.parts.draft import draft
from pages.parts.draft.fields import CHOICES
from pages.parts.runs.by_hand import by_hand_list
from pages.parts.runs.panel import current_run
from pages.parts.runs.space import space_section
from pages.parts.runs.take_away import bring_a_bundle, made_with, take_away
from pages.parts.runs.words import STATUS
from pages.parts.shell import keys
from pages.parts.shell.frame import go_to, open_page, select_run
from pages.parts.shell.notices import refuse
from pages.parts.shell.services import Services, services
from pages.parts.widgets.markdown import as_text

MOST_COMPARED = 8  # runs whose curves are laid over each other
VALIDATION = ("validation_loss", "validation_accuracy")  # enough to compare; a long run has 100,000 other values


def table(runs: list[Run], by_hand: dict[str, int]) -> pd.DataFrame:
    """One row for each run. by_hand: how many changes by hand a run has had, where there were any."""
    mine = st.session_state[keys.OWNER]
    return pd.DataFrame([{
        "Run": cell(run.title) or run.id[:8], "Status": STATUS[run.status][0],
        "Test accuracy": None if run.test_accuracy is None else run.test_accuracy * 100,
        "Validation accuracy": None if run.validation_accuracy is None else run.validation_accuracy * 100,
        "Test loss": run.test_loss, "Training time (s)": run.seconds,
        "Epochs": f"{run.epoch:,} of {run.config.training.epochs:,}",
        "Parameters": run.parameters, "Optimizer": f"{CHOICES[run.config.training.optimizer.name]}, "
        f"{run.config.training.optimizer.learning_rate:g}", "Batch size": run.config.training.batch_size,
        "Seed": run.config.training.seed, **({"Changed by hand": by_hand.get(run.id)} if by_hand else {}),
        "Started": datetime.fromtimestamp(run.created, UTC),
        "Yours": run.owner == mine, "Id": run.id[:8],
    } for run in runs])


def choose(server: Services, runs: list[Run]) -> list[Run]:
    """The table; the runs whose rows are selected, the current run where there are none."""
    percent = st.column_config.NumberColumn(format="%.2f %%")
    event = st.dataframe(table(runs, server.store.changed_by_hand()), hide_index=True, on_select="rerun",
                         selection_mode="multi-row", key="compare.table", placeholder="–",
                         column_config={
                             "Test accuracy": percent, "Validation accuracy": percent,
                             "Test loss": st.column_config.NumberColumn(format="%.4f"),
                             "Training time (s)": st.column_config.NumberColumn(format="%.1f"),
                             "Changed by hand": st.column_config.NumberColumn(
                                 help="How many times its learning rate or a weight was changed by hand while it trained."),
                             "Parameters": st.column_config.NumberColumn(format="localized"),
                             "Started": st.column_config.DatetimeColumn(format="distance"),
                         })
    chosen = [runs[i] for i in event.selection.rows if i < len(runs)]
    current = next((run for run in runs if run.id == st.session_state.get(keys.RUN)), None)
    return chosen or ([current] if current else [])


def overlay(server: Services, runs: list[Run]) -> None:
    """Validation curves of the selected runs in one chart."""
    curves = {}
    for run in runs[:MOST_COMPARED]:
        series = server.store.metrics(run.id, names=VALIDATION).series
        curves[f"{run.title or 'Run'} ({run.id[:4]})"] = Curves(run.steps_per_epoch, run.config.training.epochs, series)
    if any(one.of("validation_loss")[0] for one in curves.values()):
        measured = any(one.of("validation_accuracy")[0] for one in curves.values())  # not where a number is predicted
        quantities = ["loss", "accuracy"] if measured else ["loss"]
        for column, quantity in zip(st.columns(len(quantities)), quantities, strict=True):
            column.plotly_chart(comparison_chart(curves, quantity), key=f"compare.{quantity}", config={"displaylogo": False})
    else:
        st.caption("No epoch has been finished yet, so there are no curves to compare.")


def actions(server: Services, run: Run) -> None:
    """What can be done with one run."""
    st.subheader(as_text(run.title) or f"Run {run.id[:8]}")
    st.caption(f"{STATUS[run.status][0]}{': ' + as_text(run.message) if run.message else ''} · run {run.id}")
    with st.container(horizontal=True):
        if st.button("Open", icon=":material/show_chart:", key="compare.open"):
            select_run(run.id)
            go_to("pages/train_model.py")
        if st.button("Use its settings", icon=":material/tune:", key="compare.settings", help="Start a new run from this one's."):
            draft.take(run.config)
            go_to("pages/train_model.py")
        if has_checkpoint(server.store, run.id) and not run.is_active:  # while it trains, its weights change all the time
            is_of_images = kind_of(run.config.data.dataset) == "images"
            if is_of_images and st.button("Draw a digit for it", icon=":material/draw:", key="compare.draw"):
                select_run(run.id)
                go_to("pages/draw_digit.py")
        if not run.is_active:
            with st.popover("Delete", icon=":material/delete:"):
                st.markdown("The run, its curves and its weights will be gone.")
                if st.button("Delete this run", key="compare.delete", type="primary"):
                    delete(server, run)
    take_away(server, run)
    made_with(server, run)


def delete(server: Services, run: Run) -> None:
    """Delete a run and forget it."""
    try:
        delete_run(server.store, run.id, server.settings.data_dir)
    except (StoreError, RunNotFound) as error:
        refuse(as_text(str(error)))
    if st.session_state.get(keys.RUN) == run.id:
        select_run(None)
    st.rerun()


open_page("Compare runs")
server = services()
st.title("Compare runs")
current_run(server)  # says so where the address names a run that is gone
try:
    runs = server.store.runs()
except StoreError as error:
    st.error(as_text(str(error)), icon=":material/folder_off:")
    st.stop()
if not runs:
    st.info("There are no runs yet. Train one on Home, or choose your own settings.", icon=":material/model_training:")
    if st.button("Train a model", key="compare.train", icon=":material/model_training:"):
        go_to("pages/train_model.py")
    bring_a_bundle(server)
    st.stop()
st.caption("Select one run to open, download or delete it; several to see their curves together.")
chosen = choose(server, runs)
if chosen:
    overlay(server, chosen)
    for run in chosen[:MOST_COMPARED]:
        by_hand_list(server.store.interventions(run.id), f"{run.title or 'Run'} ({run.id[:4]})", f"compare.by_hand.{run.id}")
if len(chosen) == 1:
    actions(server, chosen[0])
bring_a_bundle(server)
space_section(server)
