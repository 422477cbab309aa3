"""Where the disk space went, and what keeping moments of a training costs."""

import streamlit as st
import torch

from core.config import RunConfig, read_config
from core.data import DataError, outline
from core.fields import ConfigError
from core.models import ModelError, build
from core.runs import StoreError
from core.runs.moment_costs import FEWEST, RUN_BYTES, Cost, bytes_about, cost_of, epochs_of
from core.runs.space import SURE_UNDO, space_of
from core.training import outputs_for
from core.wording import plural, size_of_bytes
from pages.parts.runs.words import STATUS
from pages.parts.shell.markdown import as_text, in_table
from pages.parts.shell.services import Services
from pages.parts.widgets.table import draw_table, rows_table

MOST_ROWS = 50
MEGABYTE = 1e6


def space_section(server: Services) -> None:
    """What each run takes on disk; looked at only where somebody opens it."""
    box = st.expander("Where the disk space went", icon=":material/hard_drive:", key="runs.space", on_change="rerun")
    if not box.open:
        return
    with box:
        try:
            space = space_of(server.store)
        except StoreError as error:
            # which names the server's folder
            line = "What your runs take can't be read just now. Try again in a minute." if server.private else as_text(str(error))
            st.error(line, icon=":material/folder_off:")
            return
        budget = server.settings.disk_budget
        moments, deleted = sum(run.moments for run in space.runs), sum(space.deleted.values())
        if server.private:  # curves of everybody are in one file, and the budget is the server's
            line = (f"{plural(len(space.runs), 'run')} of yours: {size_of_bytes(space.total - space.database)} without "
                    f"{'its' if len(space.runs) == 1 else 'their'} curves, of which moments to go back to are "
                    f"{size_of_bytes(moments)}.")
        else:
            line = (f"{plural(len(space.runs), 'run')}: {size_of_bytes(space.total)}, of which curves and looks are "
                    f"{size_of_bytes(space.database)} and moments to go back to {size_of_bytes(moments)}.")
        if space.deleted:
            line += (f" {plural(len(space.deleted), 'deleted run')} that can still be brought back "
                     f"{'takes' if len(space.deleted) == 1 else 'take'} {size_of_bytes(deleted)} of it, without "
                     f"{'its' if len(space.deleted) == 1 else 'their'} curves.")
        if server.private:
            st.caption(line)
        elif budget:
            st.progress(min(1.0, space.total / budget), f"{size_of_bytes(space.total)} of the budget, {size_of_bytes(budget, 0)}")
            st.caption(f"{line} Beyond the budget, when a run ends, those runs go for good that were deleted more than "
                       f"{round(SURE_UNDO / 60)} minutes ago; then moments of the oldest runs are thinned, never those of a run "
                       "that goes on or has a star. Weights and curves go only where somebody deletes a run. PLAYGROUND_DISK "
                       "sets the budget.")
            if space.total > budget:
                st.warning("The budget is passed, and thinning alone does not help: delete runs that you do not need"
                           + (", and remove deleted ones for good." if space.deleted else "."), icon=":material/hard_drive:")
        else:
            st.caption(f"{line} There is no budget: PLAYGROUND_DISK is 0.")
        if not space.runs:
            return
        rows = [{"Run": in_table(one.run.title) or one.run.id[:8], "Id": one.run.id[:8], "Status": STATUS[one.run.status][0],
                 "All": one.total / MEGABYTE, "Weights": one.weights / MEGABYTE, "Moments": one.moments / MEGABYTE,
                 "Kept": one.count, "Other": one.other / MEGABYTE} for one in space.runs[:MOST_ROWS]]
        size = st.column_config.NumberColumn(format="%.2f MB")
        draw_table(rows_table(rows), hide_index=True, key="runs.space.table", column_config={
            "All": size, "Weights": size, "Moments": size, "Other": size,
            "Kept": st.column_config.NumberColumn(help="How many moments can be gone back to.")})
        if len(space.runs) > MOST_ROWS:
            st.caption(f"The {MOST_ROWS} largest of {len(space.runs):,} runs.")


def moments_cost(config: RunConfig) -> str:
    """What the moments of a run of this config take on disk at most, in a line; "" where the network can't be built, and for
    points, which have none."""
    cost = _cost(config.model_dump_json())
    if cost is None:
        return ""
    if cost.count:
        each = size_of_bytes(cost.bytes_each)
        line = f"On disk at most {size_of_bytes(cost.total)}: {plural(cost.count, 'moment')} of {each} each."
        return line + _left_out(config, cost)
    if config.training.moments < FEWEST:
        return f"None will be kept: fewer than {FEWEST} show nothing." if config.training.moments else "None will be kept."
    return (f"None will be kept: one of this network takes {size_of_bytes(cost.bytes_each)}, and a run has room for "
            f"{size_of_bytes(RUN_BYTES, 0)}.")


@st.cache_data(max_entries=64, show_spinner=False)
def _cost(config_json: str) -> Cost | None:
    config = read_config(config_json)
    try:
        data = outline(config.data)
        if data.kind == "points":
            return None
        with torch.device("meta"):  # the shapes alone
            model = build(config.model, data.input_shape, outputs_for(config, len(data.source_classes)))
    except (DataError, ModelError, ConfigError):
        return None
    about = bytes_about(model, config, data.source_classes)
    return cost_of(model, config.training.moments, epochs_of(config.training), about)


def _left_out(config: RunConfig, cost: Cost) -> str:
    """Which of the chosen epochs won't be kept, and why; "" where all will be."""
    later = sorted({epoch for epoch in config.training.moment_epochs if epoch > config.training.epochs})
    crowded = sorted(set(epochs_of(config.training)) - set(cost.certain))
    line = f" The run ends before {_epochs(later)}." if later else ""
    return line + (f" There is no room for {_epochs(crowded)}: a run has {size_of_bytes(RUN_BYTES, 0)}." if crowded else "")


def _epochs(numbers: list[int]) -> str:
    """"epoch 5", "epochs 5, 20 and 30"."""
    last = f" and {numbers[-1]}" if len(numbers) > 1 else ""
    return f"epoch{'s' if last else ''} {', '.join(map(str, numbers[:-1] if last else numbers))}{last}"
