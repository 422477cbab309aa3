"""The lab's part on activations: the function, its slope, and ten layers of it."""

import pyarrow as pa
import streamlit as st

from core.figures.building_blocks import function_and_slope, layer_histograms, sizes_by_layer
from core.figures.in_words import in_words
from core.labs.activations import (
    ACTIVATIONS,
    INITS,
    Depth,
    activation_at,
    activation_code,
    activation_curve,
    shares,
    through_layers,
)
from core.wording import percent
from pages.parts.learn.lab import Next, covered, predict, show_code, try_next
from pages.parts.learn.questions import BLOCKS
from pages.parts.widgets.table import draw_table, rows_table

PATH = "pages/learn_building_blocks.py"


def show() -> None:
    """The whole part."""
    controls, picture = st.columns([1, 2.4], gap="large")
    with controls:
        name = st.selectbox("Activation", list(ACTIVATIONS), format_func=lambda key: ACTIVATIONS[key].title,
                            key="blocks.activation", bind="query-params")
        entry = ACTIVATIONS[name]
        st.caption(entry.about)
        x = st.slider("x", -6.0, 6.0, 1.0, 0.1, key="blocks.x", bind="query-params", help="A number that goes in.")
    with picture:
        here = activation_at(name, x)
        st.markdown(f"$f(x) = {entry.formula}$, with the slope $f'(x) = {entry.slope}$")
        figure = function_and_slope(*_fields(activation_curve(name)), at=(x, here.value[0], here.slope[0]))
        st.plotly_chart(figure,
                        key="blocks.curve", width="stretch", alt=in_words(figure, "The function and its slope"))
        st.markdown(f"At x = {x:g}: f(x) = **{here.value[0]:.4f}**, slope **{here.slope[0]:.4f}**. A gradient that comes back "
                    "through here is multiplied by the slope.")
        if entry.beside:
            row = ", ".join(f"{value:g} → {percent(share, 1)}" for value, share in shares(x))
            st.caption(f"The whole row: {row}; together 100 %. Raising x lowers the others' shares.")
    init = _ten_layers(name)
    show_code(activation_code(name, init, x))
    try_next([
        Next("ReLU with He's weights, then with PyTorch's default: which keeps its size? PyTorch's default is what you get on",
            "pages/build_model.py", "Build model", ":material/account_tree:"),
        Next("Train a deep network with sigmoid, and one with ReLU, and compare what their first layers learn:",
            "pages/train_model.py", "Train model", ":material/model_training:"),
    ], "- Tanh with weights that are too large: where do all values end up, and what does that do to the slope?\n")


def _fields(curve) -> tuple:
    return curve.x, curve.value, curve.slope


def _ten_layers(name: str) -> str:
    """Values and gradients through ten layers; the chosen way to make first weights."""
    st.header("Ten layers of it")
    seen = predict(PATH, BLOCKS["depth"])
    left, right = st.columns(2)
    init = left.selectbox("First weights", list(INITS), format_func=lambda key: INITS[key].title, key="blocks.init",
                          bind="query-params", help="How the weights are drawn before any training.")
    seed = right.number_input("Seed", 0, 9999, 0, key="blocks.seed", bind="query-params",
                              help="Start of the random numbers for weights, values and gradients.")
    st.caption(f"{INITS[init].about} Each layer is Linear(128, 128) and then {ACTIVATIONS[name].title}; 256 examples of 128 "
               "standard normal numbers go in at layer 1, and as many come back as gradients from layer 10.")
    if not seen:
        covered(640)
        return init
    depth = through_layers(name, init, int(seed))
    st.markdown(f"**{depth.forward}**  \n**{depth.backward}**")
    figure = sizes_by_layer([row.std for row in depth.layers], [row.gradient for row in depth.layers])
    st.plotly_chart(figure,
                    key="blocks.sizes", width="stretch", alt=in_words(figure, "Size of values and gradients at each layer"))
    st.markdown("What comes out of each layer, each on its own scale (std: standard deviation)")
    figure = layer_histograms([row.counts for row in depth.layers], [row.edges for row in depth.layers],
                              [row.std for row in depth.layers])
    st.plotly_chart(figure, key="blocks.histograms", width="stretch", alt=in_words(figure, "Values after each layer"))
    with st.expander("The numbers", icon=":material/table:"):
        draw_table(_table(depth), hide_index=True, height="content", key="blocks.layers")
    return init


def _table(depth: Depth) -> pa.Table:
    return rows_table([{"Layer": row.layer, "Mean": f"{row.mean:.3g}", "Standard deviation": f"{row.std:.3g}",
                        "Gradient (root mean square)": f"{row.gradient:.3g}",
                        "Slope below 0.01": percent(row.flat, 0)} for row in depth.layers])
