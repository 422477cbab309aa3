"""A network's layers as a table and a diagram that belong together, its totals, and its time measured on this machine."""

import pyarrow as pa
import streamlit as st

from core.config import RunConfig
from core.data import default_config, spec_of
from core.devices import DeviceError
from core.figures.diagram import diagram_chart, diagram_height
from core.inspection import LayerRow, totals
from core.inspection.doctor import Case
from core.layers.diagram import Diagram, diagram
from core.layers.memory import forward_bytes, training_bytes
from core.memory import as_in_training
from core.models import ModelError
from core.models.composer import huge
from core.training.measured import Measured, MeasureError, measure
from core.wording import duration, percent, size_of_bytes
from pages.parts.draft.measured import keep_measured, measured_for
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import services
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.table import draw_table, rows_table

DIAGRAM_HEIGHT = 560  # pixels of the window onto a longer diagram


def shape(values: tuple[int, ...]) -> str:
    return "×".join(map(str, values)) or "–"


def layers_section(case: Case, composed: bool) -> bool:
    """The whole section, or the line that says why the network can't be built. Returns whether it can."""
    if case.misfit:
        st.error(case.misfit, icon=":material/error:")
        return False
    rows, found = case.rows, measured_for(case.config)
    _totals(rows, case.config, found)
    _measure_button(case, found)
    chosen = _chosen(rows)
    _table(rows, found, chosen)
    _diagram(diagram(case.flow, rows, case.input_shape), rows, found, chosen)
    for row in rows:
        if not composed and (warning := huge(row.parameters, row.output_shape)):  # the composer's rows say so themselves
            st.warning(f"{row.name}: {warning}", icon=":material/warning:")
    with st.expander("As PyTorch prints it", icon=":material/code:"):
        st.code(str(case.model), language="python")
    return True


def _totals(rows: list[LayerRow], config: RunConfig, found: Measured | None) -> None:
    total, training = totals(rows), config.training
    batch = training.batch_size
    frozen = total.parameters - total.trainable
    metrics_row({
        "Parameters": (f"{total.parameters:,}", f"Weights and biases. Training changes {total.trainable:,} of them; {frozen:,} "
                       "are frozen."),
        **({"Trainable": (f"{total.trainable:,}", f"What training changes. The other {frozen:,} are frozen: they keep the values "
                          "that they start with.")} if frozen else {}),
        "Weights": (size_of_bytes(total.weight_bytes), "Memory for the parameters: four bytes each."),
        "Multiply-adds": (f"{total.mult_adds:,}", "Work for one example, from input to output: each weight counts once for each "
                          "number that it helps to make, a bias likewise; normalisation counts two for each number."),
        "Memory, forward": (size_of_bytes(forward_bytes(rows, batch)), f"For answers on a batch of {batch}: the weights, and the "
                            "largest layer's input and output. The others are freed on the way."),
        "Memory, training": (size_of_bytes(training_bytes(rows, training.optimizer, batch)), "For a training step on a batch of "
                             f"{batch}: weights, gradients, what the optimizer remembers, and what every layer returned, which "
                             "is kept until the backward pass."),
        **({"One epoch": (duration(found.per_epoch), f"Measured here: {found.step * 1000:.3g} ms for each of "
                          f"{found.steps_per_epoch:,} steps, the median of {found.steps}, on {found.device} in {found.precision} "
                          "while other work may have been going on.")} if found else {}),
    })
    largest = max(rows, key=lambda row: row.parameters)
    if total.parameters:
        st.caption(f"{percent(total.share(largest), 0)} of the parameters are in {largest.name}.")


# --- time

def _measure_button(case: Case, found: Measured | None) -> None:
    label = "Measure again" if found else "Measure the time on this machine"
    if not st.button(label, icon=":material/timer:", key="build.measure", help="Trains a copy with random weights for a few "
                     "steps on random examples: about four seconds."):
        return
    config = case.config
    examples = max(1, spec_of(config.data.dataset).counts[0] - default_config(config.data.dataset).validation)
    try:
        with st.spinner("Measuring a few training steps…"), as_in_training():
            taken = measure(config, case.input_shape, case.source_classes, examples, services().settings.cache_dir)
    except (MeasureError, ModelError, DeviceError) as error:
        st.warning(as_text(str(error)), icon=":material/timer_off:")
        return
    keep_measured(config, taken)
    st.rerun()


# --- table

def table(rows: list[LayerRow], found: Measured | None = None) -> pa.Table:
    """The layer table as people read it; shares in percent."""
    total = totals(rows)

    def frozen(row: LayerRow, shown: bool) -> dict[str, int]:
        """Far to the left where there is something to see, else the last column."""
        return {"Frozen": row.parameters - row.trainable} if shown == (total.trainable < total.parameters) else {}

    columns = [{
        "Layer": row.name, "Kind": row.kind, "Settings": row.arguments, "Input": shape(row.input_shape),
        "Output": shape(row.output_shape), "Parameters": row.parameters,
        **frozen(row, True), "Share": 100 * total.share(row),
        "How they come about": row.formula, "Output size": row.shape_formula, "Multiply-adds": row.mult_adds,
        "Activations": size_of_bytes(row.activation_bytes), "Receptive field": _field(row),
        **frozen(row, False),
    } for row in rows]
    if found:
        for line in columns:
            line["Time"] = 100 * found.layers[line["Layer"]].share if line["Layer"] in found.layers else None
    return rows_table(columns)


def _field(row: LayerRow) -> str:
    """Pixels of the input that one output number sees."""
    if row.receptive_field is None:
        return "–"
    field = row.receptive_field
    return shape(field) if isinstance(field, tuple) else f"{field}×{field}"


def _table(rows: list[LayerRow], found: Measured | None, chosen: int) -> None:
    share = st.column_config.NumberColumn(format="%.1f %%")
    key = f"build.table.{len(rows)}.{rows[0].name}"  # another network: columns as wide as it needs
    known = st.session_state.get(key)
    if known is None or known["selection"]["rows"] != [chosen]:  # a box was clicked, or nothing yet
        st.session_state[key] = {"selection": {"rows": [chosen], "columns": [], "cells": []}}
    draw_table(table(rows, found), hide_index=True, height="content" if len(rows) <= 20 else 740, key=key,
               on_select=lambda: _take_row(key, [row.name for row in rows]), selection_mode="single-row-required",
               column_config={
                   "Layer": st.column_config.TextColumn(pinned=True),
                   "Parameters": st.column_config.NumberColumn(format="localized"),
                   "Multiply-adds": st.column_config.NumberColumn(format="localized", help="Work for one example."),
                   "Share": st.column_config.NumberColumn(format="%.1f %%", help="Part of all parameters."),
                   "Activations": st.column_config.TextColumn(help="What the layer returns for one example, as float32."),
                   "Receptive field": st.column_config.TextColumn(help="Pixels of the image that one output depends on."),
                   "Frozen": st.column_config.NumberColumn(format="localized", help="Parameters that training leaves alone."),
                   **({"Time": share} if found else {})})


# --- the chosen layer

def _chosen(rows: list[LayerRow]) -> int:
    """The row that table and diagram both mark; the one with most parameters where none was clicked."""
    chosen = st.session_state.get(keys.LAYER)
    found = next((place for place, row in enumerate(rows) if row.name == chosen), None)
    return max(range(len(rows)), key=lambda place: rows[place].parameters) if found is None else found


def _take_row(key: str, names: list[str]) -> None:
    """A row was clicked."""
    for place in st.session_state[key].selection.rows:
        st.session_state[keys.LAYER] = names[place]


def _take_box(key: str, names: dict[int, str]) -> None:
    """A box was clicked."""
    for series in st.session_state[key].selection.selected:
        for place in series["data_indices"]:
            if place in names:
                st.session_state[keys.LAYER] = names[place]


def _diagram(drawing: Diagram, rows: list[LayerRow], found: Measured | None, chosen: int) -> None:
    """Boxes and arrows; beside them the chosen layer in words."""
    st.header("Diagram")
    left, right = st.columns([1, 1.5], gap="medium")
    place = next((number for number, box in enumerate(drawing.boxes) if box.row == chosen), None)
    names = {number: rows[box.row].name for number, box in enumerate(drawing.boxes) if box.row is not None}
    key = "build.diagram"
    with left:
        st.caption("Click a layer to see its numbers and its row in the table.")
        height = diagram_height(drawing)
        with st.container(height=min(height + 16, DIAGRAM_HEIGHT), border=False):
            st.echarts_chart(diagram_chart(drawing, place), height=height, key=key, on_select=lambda: _take_box(key, names),
                             alt="Diagram of the network: " + " to ".join(box.title for box in drawing.boxes[:40]))
    with right:
        _details(rows[chosen], totals(rows).share(rows[chosen]), found)


def _details(row: LayerRow, share: float, found: Measured | None) -> None:
    """Everything about one layer, one line each."""
    st.markdown(f"**{row.name}** · {row.kind}")
    lines = {
        "Settings": row.arguments, "Goes in": shape(row.input_shape), "Comes out": shape(row.output_shape),
        "Output size": row.shape_formula, "Parameters": f"{row.parameters:,} ({percent(share, 1)} of all)",
        "How they come about": row.formula,
        "Frozen": f"{row.parameters - row.trainable:,}" if row.parameters > row.trainable else "",
        "Multiply-adds": f"{row.mult_adds:,} for one example",
        "Activations": f"{size_of_bytes(row.activation_bytes)} for one example",
        "Receptive field": f"{_field(row)} pixels of the image for each output number" if row.receptive_field else "",
        "Note": row.note,
    }
    if found and (taken := found.layers.get(row.name)):
        lines["Time"] = (f"{percent(taken.share, 0)} of a training step: {taken.forward * 1000:.3g} ms forward, "
                         f"{taken.backward * 1000:.3g} ms backward")
    draw_table(rows_table([{"What": name, "Value": value} for name, value in lines.items() if value]),
               hide_index=True, height="content", key="build.layer", column_config={
                   "What": st.column_config.TextColumn(width=150), "Value": st.column_config.TextColumn(width="large")})
