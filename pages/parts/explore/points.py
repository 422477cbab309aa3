"""Explore data for sets of points: where they lie, what their numbers are, and what noise does."""

import streamlit as st
import torch

from core.config import DataConfig
from core.data import DATASETS, DataError, Dataset, channel_statistics, default_config
from core.data.sources.generated import RULES
from core.fields import describe
from core.figures.in_words import in_words
from core.figures.plane import plane_scatter
from pages.parts.draft import draft
from pages.parts.shell.frame import go_to, link
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.table import draw_table, rows_table

SPLITS = {"train": "Training", "validation": "Validation", "test": "Test"}
SHOWN = 1000  # points in the picture


def page(server: Services, name: str) -> None:
    """Everything about one set."""
    st.markdown(DATASETS[name].summary)
    config = _settings(name)
    try:
        data = dataset(config, server.settings)
    except DataError as error:
        st.error(as_text(str(error)), icon=":material/error:")
        return
    inputs = data.input_shape[0]
    metrics_row({
        "Training points": (f"{len(data.train):,}", None), "Validation points": (f"{len(data.validation):,}", None),
        "Test points": (f"{len(data.test):,}", "Looked at once, at the end."),
        "One point": (f"{inputs} numbers", "What the network gets to see of each."),
    })
    st.caption("Source: computed by this app from a formula, with a seed; no file, no licence needed.")
    split = data.split(st.segmented_control("Split", list(SPLITS), default="train", required=True, format_func=SPLITS.__getitem__,
                                            key="explore.points_split", bind="query-params"))
    points, labels = split.take(torch.arange(min(SHOWN, len(split))))
    axes = _axes(name, inputs)
    figure = plane_scatter(points[:, axes], labels, data.classes, (f"x{axes[0] + 1}", f"x{axes[1] + 1}"))
    st.plotly_chart(figure,
                    key="explore.scatter", config={"displaylogo": False}, alt=in_words(figure, f"Points of {data.title}"))
    _statistics(data)
    with st.container(horizontal=True):
        if st.button("Train on these points", icon=":material/model_training:", key="explore.train"):
            draft.draft(server)  # there is one now
            draft.take_kind(config)
            go_to("pages/train_model.py")
        if RULES[name].in_plane:
            link("pages/learn_decision_boundary.py", "Watch a network learn them: 2-D classifier", ":material/bubble_chart:")


def _settings(name: str) -> DataConfig:
    """The set with the number of points and the noise that a person asks for."""
    first = default_config(name)
    left, right = st.columns(2)
    count = left.select_slider("Training points", sorted({10, 20, 50, 100, 200, 500, 1000, 5000, first.points}), first.points,
                               key=f"explore.count.{name}", help=describe(DataConfig, "points").help, bind="query-params")
    noise = right.slider("Noise", 0.0, 1.0, first.noise, 0.05, key=f"explore.noise.{name}", bind="query-params",
                         help=describe(DataConfig, "noise").help)
    return first.model_copy(update={"points": count, "noise": noise})


def _axes(name: str, inputs: int) -> list[int]:
    """Which two of a point's numbers are drawn."""
    if inputs <= 2:
        return [0, inputs - 1]
    with st.container(horizontal=True):
        return [st.number_input(f"Number {where}", 1, inputs, place, key=f"explore.{where}.{name}") - 1
                for where, place in (("across", 1), ("up", 2))]


def _statistics(data: Dataset) -> None:
    """Mean and deviation of each input, and how many points there are of each class."""
    mean, std = channel_statistics(data.train)
    rows = data.train.images[data.train.rows]
    low, high = rows.amin(0).tolist(), rows.amax(0).tolist()
    table = rows_table([{"Input": f"x{i + 1}", "Mean": m, "Standard deviation": s, "Smallest": a, "Largest": b}
                        for i, (m, s, a, b) in enumerate(zip(mean, std, low, high, strict=True))])
    st.header("Training points in numbers")
    draw_table(table, hide_index=True, height="content", key="explore.numbers",
               column_config={name: st.column_config.NumberColumn(format="%.3f") for name in table.column_names[1:]})
    counts = data.train.counts(len(data.classes))
    if counts:
        named = ", ".join(f"{name} {count:,}" for name, count in zip(data.classes, counts, strict=True))
        st.caption(f"Of each class: {named}.")
    else:
        numbers = data.train.labels[data.train.rows]
        st.caption(f"The numbers to predict: {numbers.min():.2f} to {numbers.max():.2f}, mean {numbers.mean():.2f}.")
