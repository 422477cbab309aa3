"""Build model: what is this network, layer by layer, and will it work?"""

import pandas as pd
import streamlit as st
import torch
from torch import nn

from core.data import available, outline
from core.inspection import InspectionError, LayerRow, describe_layers, totals
from core.models import ARCHITECTURES, ModelError, StackConfig, build
from core.models.composer import huge, problems
from core.training import outputs_for
from pages.parts import doctor_view, draft
from pages.parts.composer_view import composer
from pages.parts.forms import field
from pages.parts.frame import go_to, open_page
from pages.parts.run_panel import figures
from pages.parts.services import services
from pages.parts.walk_view import walk_section

EXAMPLE = {"images": "image (channels × height × width)", "points": "point (features)", "text": "text (words)"}


def choices() -> None:
    """Which architecture, for which data."""
    field(config, "model.architecture", list(ARCHITECTURES))
    st.caption(ARCHITECTURES[config.model.architecture].summary)
    if not isinstance(config.model, StackConfig):
        for name in type(config.model).model_fields:
            if name != "architecture":
                field(config, f"model.{name}")
    known = available(server.settings.data_dir)
    field(config, "data.dataset", list(known), {name: entry.title for name, entry in known.items()})


def next_steps(works: bool) -> None:
    """Where to go with this network."""
    with st.container(horizontal=True):
        if st.button("Train this network", type="primary", icon=":material/model_training:", key="build.train",
                     disabled=not works):
            go_to("pages/train_model.py")
        if not isinstance(config.model, StackConfig):
            st.button("Compose layers", icon=":material/reorder:", key="build.compose", on_click=draft.take_apart,
                      help="Turns the network into rows to add, move, change and delete.")


def shape(values: tuple[int, ...]) -> str:
    return "×".join(map(str, values)) or "–"


def size(count: int) -> str:
    """Bytes as people read them: 640 B, 3.4 kB, 1.7 MB, 4.0 GB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def table(rows: list[LayerRow]) -> pd.DataFrame:
    """The layer table as people read it."""
    return pd.DataFrame([{
        "Layer": row.name, "Kind": row.kind, "Settings": row.arguments, "Input": shape(row.input_shape),
        "Output": shape(row.output_shape), "Parameters": row.parameters, "How they come about": row.formula,
        "Output size": row.shape_formula, "Multiply-adds": row.mult_adds,
    } for row in rows])


def show(rows: list[LayerRow]) -> None:
    """Totals first, then the table."""
    total = totals(rows)
    figures({
        "Parameters": (f"{total.parameters:,}", "Numbers that training changes: weights and biases."),
        "Weights": (size(total.weight_bytes), "Memory for the parameters: four bytes each."),
        "Multiply-adds": (f"{total.mult_adds:,}", "Work for one image, from input to output."),
        "Activations": (size(total.activation_bytes), "What all layers return for one image, as float32. Training keeps most "
                        "of it until the backward pass."),
    })
    largest = max(rows, key=lambda row: row.parameters)
    if total.parameters:
        st.caption(f"{total.share(largest):.0%} of the parameters are in {largest.name}.".replace("%", " %"))
    st.dataframe(table(rows), hide_index=True, height="content", key="build.table", column_config={
        "Parameters": st.column_config.NumberColumn(format="localized"),
        "Multiply-adds": st.column_config.NumberColumn(format="localized"),
    })


def layer_table() -> nn.Module | None:
    """The network's layers and totals, or the line that says why it can't be built. Returns it, without numbers, if it can."""
    try:
        with torch.device("meta"):  # shapes without weights: a layer of a billion parameters answers at once
            model = build(config.model, data.input_shape, outputs)
        rows = describe_layers(model, data.input_shape)
    except (ModelError, InspectionError) as error:
        st.error(str(error), icon=":material/error:")
        return None
    show(rows)
    for row in rows:
        if not composed and (warning := huge(row.parameters, row.output_shape)):  # the composer's rows say so themselves
            st.warning(f"{row.name}: {warning}", icon=":material/warning:")
    with st.expander("As PyTorch prints it", icon=":material/code:"):
        st.code(str(model), language="python")
    return model


open_page("Build model")
server = services()
st.title("Build model")
config = draft.draft(server.settings)
data = outline(config.data)
outputs = outputs_for(config, len(data.source_classes))
composed = isinstance(config.model, StackConfig)
controls, picture = st.columns([1, 2.8], gap="large")
works, network = True, None
with controls:
    choices()
    actions = st.container()
with picture:
    st.markdown(f"From one {shape(data.input_shape)} {EXAMPLE[data.kind]} of {data.title} to {outputs} "
                f"output{'s' * (outputs > 1)}. Shapes are for one image.")
    if composed:
        works = not problems(composer(config, data.input_shape, outputs))
if works:
    with st.container() if composed else picture:
        network = layer_table()
        works = network is not None
        doctor_view.show_findings(config)
        doctor_view.show_code(config)
with actions:
    next_steps(works)
walk_section(server, config, network)
