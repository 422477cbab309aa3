"""The weights of a network: filters, histograms, the parameter table, spectral norms, dead units."""

import streamlit as st
import torch
from torch import nn

from core.figures.in_words import in_words
from core.figures.maps import map_sheet
from core.figures.windows import histogram_chart
from core.inspection import (
    dead_units,
    filters,
    histogram,
    parameter_table,
    spectral_norms,
    templates,
)
from core.inspection.activations.windows import number
from core.wording import percent
from pages.parts.build.subject import InspectedNetwork, random_images
from pages.parts.widgets.table import draw_table, rows_table

FILTERS, HISTOGRAMS, TABLE, NORMS, DEAD = "Filters", "Histograms", "Parameters", "Spectral norms", "Dead units"
MOST_FILTERS = 128
IMAGES, IMAGES_LARGE = 1000, 100  # to look for dead units with; fewer for a large network: resnet18 takes 16 ms for each
LARGE = 1_000_000  # parameters


def weights_section(subject: InspectedNetwork) -> None:
    """One view of the weights; only the chosen one is computed."""
    view = st.segmented_control("Weights", list(VIEWS), default=FILTERS, required=True, key="build.look.weights",
                                bind="query-params")
    if not any(True for _ in subject.model.parameters()):
        st.info("This network has no weights.")
        return
    VIEWS[view](subject)


def _filters(subject: InspectedNetwork) -> None:
    layers = {name or type(module).__name__: module for name, module in subject.model.named_modules()
              if isinstance(module, nn.Conv2d)
              or (isinstance(module, nn.Linear) and templates(module, subject.input_shape) is not None)}
    if not layers:
        st.info("No layer of this network looks at a picture directly, so there are no filters to show. See the histograms.")
        return
    name = st.selectbox("Layer", list(layers), key=f"build.look.filters.{len(layers)}.{next(iter(layers))}", width=320)
    layer = layers[name]
    weights = filters(layer) if isinstance(layer, nn.Conv2d) else templates(layer, subject.input_shape)
    assert weights is not None  # a layer without is not offered
    units, channels = weights.shape[:2]
    channel = 0
    if channels > 1:
        channel = st.number_input(f"Weights for input map (0 to {channels - 1})", 0, channels - 1, 0, width=260,
                                  key=f"build.look.filters.channel.{name}.{channels}")
    own = st.toggle("Each on its own scale", key="build.look.filters.own", bind="query-params")
    st.image(map_sheet(weights[:, channel], own_scale=own, most=MOST_FILTERS), output_format="PNG",
             alt=f"{min(units, MOST_FILTERS)} filters of {name}")
    st.caption(("A linear layer on pixels has one weight for each: " if isinstance(layer, nn.Linear) else
                "The weights that slide over the picture: ") + "red adds where the picture is bright, blue takes away, white "
               "does not care." + (f" The first {MOST_FILTERS} of {units:,}." if units > MOST_FILTERS else ""))
    if not subject.trained:
        st.caption("Untrained weights are random. In a trained network look for edges, strokes and blobs.")


def _histograms(subject: InspectedNetwork) -> None:
    parameters = dict(subject.model.named_parameters())
    name = st.selectbox("Parameter", list(parameters), key=f"build.look.histogram.{len(parameters)}.{next(iter(parameters))}",
                        width=320)
    values = histogram(parameters[name])
    figure = histogram_chart(values, f"value of {name}")
    st.plotly_chart(figure, key="build.look.histogram", config={"displayModeBar": False},
                    alt=in_words(figure, f"Values of {name}"))
    if values.not_finite:
        st.warning(f"{values.not_finite:,} values are infinite or NaN and in no bar.")
    st.caption("PyTorch draws fresh weights evenly from a narrow range around 0: a flat block. Training moves them: most "
               "stay near 0, and some end far out. Biases and batch norm's weights may sit elsewhere.")


def _table(subject: InspectedNetwork) -> None:
    rows = _for(subject, "table", lambda: [(row, histogram(subject.model.get_parameter(row.name), 24).counts.tolist())
                                           for row in parameter_table(subject.model)])
    draw_table(rows_table([{
        "Name": row.name, "Shape": "×".join(map(str, row.shape)), "Count": row.count, "Values": counts,
        "First values": ", ".join(map(number, row.first_values)), "Mean": number(row.mean), "Deviation": number(row.std),
        "Norm": number(row.norm), "Trained": row.trainable,
    } for row, counts in rows]), hide_index=True, height="content", key="build.look.parameters", column_config={
        "Count": st.column_config.NumberColumn(format="localized"),
        "Values": st.column_config.BarChartColumn(help="How often which value occurs, smallest to largest."),
        "Norm": st.column_config.TextColumn(help="Root of the sum of squares."),
        "Trained": st.column_config.CheckboxColumn(help="Whether training may change it (requires_grad)."),
    })
    st.caption("What `model.named_parameters()` lists: every tensor that training changes, with its first values.")


def _norms(subject: InspectedNetwork) -> None:
    with st.spinner("Computing…"):
        norms = _for(subject, "norms", lambda: spectral_norms(subject.model))
    draw_table(rows_table([{
        "Name": norm.name, "As a matrix": "×".join(map(str, norm.matrix)),
        "Spectral norm": ("" if norm.exact else "about ") + number(norm.norm),
    } for norm in norms]), hide_index=True, height="content", key="build.look.norms")
    st.caption("The largest factor by which the weights, as a matrix of outputs × inputs, stretch their input. Far above 1 in "
               "layer after layer, small changes of a picture grow, and so do gradients; far below 1 they fade. A convolution's "
               "weights are taken as the matrix of filters × (maps · height · width); the factor for a whole picture differs.")


def _dead(subject: InspectedNetwork) -> None:
    large = sum(parameter.numel() for parameter in subject.model.parameters()) > LARGE
    if subject.data is not None:
        count = min(IMAGES_LARGE if large else IMAGES, len(subject.data.validation))
        images, what = subject.data.validation.take(torch.arange(count))[0], "validation images"
    else:
        count = 64
        images = random_images(subject, count)
        what = "random images, as the data is not on this machine"
    with st.spinner("Trying the units…"):
        layers = _for(subject, f"dead.{count}", lambda: dead_units(subject.model, images, subject.mean, subject.std))
    if not layers:
        st.info("This network has no ReLU layers, so no unit can be stuck at 0.")
        return
    draw_table(rows_table([{
        "Layer": layer.name, "Units": layer.units, "Dead": len(layer.dead),
        "Share": percent(len(layer.dead) / max(1, layer.units), 0),
        "Which": ", ".join(map(str, layer.dead[:20])) + (" …" if len(layer.dead) > 20 else "") or "none",
    } for layer in layers]), hide_index=True, height="content", key="build.look.dead")
    st.caption(f"Dead: 0 for all of {count:,} {what}. Such a ReLU unit passes no gradient on from these images, so it hardly "
               "learns any more. Some are usual; many can mean that the learning rate was too high. After a convolution a unit "
               "is a whole map.")


def _for(subject: InspectedNetwork, what: str, compute):
    """The last result of a view, kept while the network stays the same."""
    key, wanted = f"session.weights.{what}", subject.key
    kept = st.session_state.get(key)
    if kept is None or kept[0] != wanted:
        kept = st.session_state[key] = (wanted, compute())
    return kept[1]


VIEWS = {FILTERS: _filters, HISTOGRAMS: _histograms, TABLE: _table, NORMS: _norms, DEAD: _dead}
