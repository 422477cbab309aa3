"""Compare runs: which settings learned best, and how do I take a result with me?"""

from core.process import configure

configure("server")

from collections.abc import Sequence

import streamlit as st

from core.figures.palette import run_colours
from core.runs import Run, RunNotFound, StoreError
from core.runs.table import Entry, best, usual_columns
from core.runs.view import View, matching, shown
from core.wording import plural
from pages.parts.compare.controls import controls
from pages.parts.compare.curves import side_by_side
from pages.parts.compare.grid import grid, take_selection
from pages.parts.compare.looked_at import change, open_view
from pages.parts.compare.many import many_actions, recycle_bin, undo_line
from pages.parts.compare.one import one_run
from pages.parts.runs.by_hand import by_hand_list
from pages.parts.runs.panel import current_run
from pages.parts.runs.space import space_section
from pages.parts.runs.take_away import bring_a_bundle
from pages.parts.shell import keys
from pages.parts.shell.frame import go_to, open_page
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, services

MOST_LISTED = 8  # runs whose changes by hand are listed
STYLE = """
.st-key-compare-parallel .axis :is(path, line) { stroke: #7d8590; stroke-opacity: 0.8; }  /* Plotly's are black in any theme */
@media (max-width: 640px) {  /* nine upright axes need more room than a phone has */
    .st-key-compare-parallel { overflow-x: auto; }
    .st-key-compare-parallel > * { min-width: 820px; }
}"""


def table(entries: Sequence[Entry], view: View) -> tuple[list[Entry], list[str]]:
    """The table with what is above it; the runs and columns that it shows."""
    rows = shown(entries, view)
    usual = usual_columns(rows)
    controls(entries, usual, view)
    columns = ["name", *(key for key in view.columns or usual if key != "name")]
    grid(rows, columns, view, run_colours(view.selected), best(rows))
    found = matching(entries, view)
    line = plural(found, "run") if found == len(entries) else f"{found:,} of {plural(len(entries), 'run')}"
    if len(rows) > found:
        line += f", and {len(rows) - found:,} more that {'is' if len(rows) - found == 1 else 'are'} selected"
    if hidden := sum(bool(entry.values["archived"]) for entry in entries) if view.archived == "no" else 0:
        line += f" · {hidden:,} archived (see Filter)"
    st.caption(f"{line}. Select one to open, name or download it; several to see their curves together.")
    return rows, columns


def chosen_runs(server: Services, chosen: Sequence[Entry], current: Run | None) -> list[Run]:
    """The selected runs, the current one where there are none: it is reachable whatever the table shows."""
    if not chosen:
        return [current] if current else []
    found = []
    for entry in chosen:
        try:
            found.append(server.store.get(entry.id))
        except RunNotFound:  # deleted since the table was read
            continue
        except StoreError as error:
            st.warning(as_text(str(error)), icon=":material/broken_image:")
    return found


def details(server: Services, chosen: Sequence[Entry], current: Run | None) -> None:
    """What is below the table: curves, and what can be done with one run."""
    runs = chosen_runs(server, chosen[:MOST_LISTED], current)
    if not runs:
        return
    numbers = {entry.id: entry.number for entry in chosen} or {run.id: run.number for run in runs}
    by_number = run_colours(numbers.values())
    colours = {run_id: by_number[number] for run_id, number in numbers.items()}
    side_by_side(server.store, list(numbers), colours)
    for run in runs:
        by_hand_list(server.store.interventions(run.id), f"{run.title or 'Run'} ({run.id[:4]})", f"compare.by_hand.{run.id}")
    if len(numbers) == 1:
        one_run(server, runs[0])


open_page("Compare runs", STYLE)
server = services()
st.title("Compare runs")
current = current_run(server)  # says so where the address names a run that is gone
try:
    entries = server.store.entries(st.session_state[keys.OWNER])
except StoreError as error:
    st.error(as_text(str(error)), icon=":material/folder_off:")
    st.stop()
take_selection()
view = open_view({entry.number for entry in entries})
if not entries:
    undo_line(server)
    st.info("There are no runs yet. Train one on Home, or choose your own settings.", icon=":material/model_training:")
    if st.button("Train a model", key="compare.train", icon=":material/model_training:"):
        go_to("pages/train_model.py")
    details(server, [], current)  # somebody else's, whose link was opened
else:
    rows, columns = table(entries, view)
    selected = set(view.selected)
    chosen = [entry for entry in rows if entry.number in selected]
    many_actions(server, chosen, rows, columns)
    undo_line(server)  # below what was pressed: above the table it would move the rows away from under the mouse
    details(server, chosen, current)
recycle_bin(server)
bring_a_bundle(server, lambda run: change(selected=(run.number,)))
space_section(server)
