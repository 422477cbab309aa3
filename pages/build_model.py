"""Build model: what is this network, layer by layer, and does it fit the data?"""

import pandas as pd
import streamlit as st
import torch

from core.data import DATASETS, spec_of
from core.inspection import InspectionError, LayerRow, describe_layers, totals
from core.models import ARCHITECTURES, ModelError, build
from core.training import outputs_for
from pages.parts import draft
from pages.parts.forms import field
from pages.parts.frame import go_to, open_page
from pages.parts.services import services


def form() -> None:
    """The architecture's own fields."""
    field(config, "model.architecture", list(ARCHITECTURES))
    st.caption(ARCHITECTURES[config.model.architecture].summary)
    for name in type(config.model).model_fields:
        if name != "architecture":
            field(config, f"model.{name}")
    field(config, "data.dataset", list(DATASETS), {name: entry.title for name, entry in DATASETS.items()})


def shape(values: tuple[int, ...]) -> str:
    return "×".join(map(str, values)) or "–"


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
    figures = st.columns(4)
    figures[0].metric("Parameters", f"{total.parameters:,}", help="Numbers that training changes: weights and biases.")
    figures[1].metric("Weights in memory", f"{total.weight_bytes / 1e6:.2f} MB", help="Four bytes for each parameter.")
    figures[2].metric("Multiply-adds", f"{total.mult_adds / 1e6:.2f} million", help="Work for one image, forward.")
    figures[3].metric("Activations", f"{total.activation_bytes / 1e6:.2f} MB",
                      help="What all layers return for one image, as float32. Training keeps most of it until the backward pass.")
    largest = max(rows, key=lambda row: row.parameters)
    if total.parameters:
        st.caption(f"{total.share(largest):.0%} of the parameters are in {largest.name}.".replace("%", " %"))
    st.dataframe(table(rows), hide_index=True, height="content", key="build.table", column_config={
        "Parameters": st.column_config.NumberColumn(format="localized"),
        "Multiply-adds": st.column_config.NumberColumn(format="localized"),
    })


open_page("Build model")
server = services()
st.title("Build model")
config = draft.draft(server.settings)
spec = spec_of(config.data.dataset)
controls, picture = st.columns([1, 2.8], gap="large")
with controls:
    form()
    if st.button("Train this network", type="primary", icon=":material/model_training:", key="build.train"):
        go_to("pages/train_model.py")
with picture:
    outputs = outputs_for(config, len(spec.classes))
    st.markdown(f"From one {shape(spec.input_shape)} image of {spec.title} (channels × height × width) to {outputs} "
                f"output{'s' * (outputs > 1)}. Shapes are for one image.")
    try:
        with torch.device("meta"):  # shapes without weights: a layer of a billion parameters answers at once
            model = build(config.model, spec.input_shape, outputs)
        show(describe_layers(model, spec.input_shape))
    except (ModelError, InspectionError) as error:
        st.error(str(error), icon=":material/error:")
    else:
        with st.expander("As PyTorch prints it", icon=":material/code:"):
            st.code(str(model), language="python")
