"""Train model: the forms of a run's settings, one for each part of its config."""

import streamlit as st

from core.config import OPTIMIZERS, SCHEDULES, RunConfig
from core.data import DatasetSpec, available, outline, spec_of
from core.data.combine import join_problem
from core.devices import usable_cores
from core.figures.curves import schedule_chart
from core.figures.in_words import in_words
from core.models import ARCHITECTURES
from core.models.pretrained import torchvision_name
from core.training.schedules import preview
from core.transforms import TRANSFORMS, has_chance
from pages.parts.draft import draft
from pages.parts.draft.fields import field
from pages.parts.runs.space import moments_cost
from pages.parts.runs.start_from import start_from_form
from pages.parts.shell.frame import link
from pages.parts.shell.services import Services

MORE = ("loss", "label_smoothing", "shuffle", "gradient_clipping", "initialization", "early_stopping", "keep", "precision",
        "device")


def data_form(server: Services, config: RunConfig) -> None:
    """Which images and which question."""
    with st.expander("Data", icon=":material/grid_view:"):
        known = available(server.settings.data_dir, server.actor, [config.data.dataset, *config.data.join])
        field(config, "data.dataset", list(known), {name: spec.title for name, spec in known.items()})
        field(config, "data.task")
        if config.data.task == "is_target":
            classes = outline(config.data, server.settings.data_dir).source_classes
            field(config, "data.target", list(range(len(classes))), dict(enumerate(classes)))
        field(config, "data.normalization")
        if config.data.normalization == "channels":
            field(config, "data.channel_mean")
            field(config, "data.channel_std")
        field(config, "data.validation")
        kind = spec_of(config.data.dataset, server.settings.data_dir).kind
        if kind == "points":
            field(config, "data.points")
            field(config, "data.noise")
        elif kind == "images":
            field(config, "data.variations")
            transforms_row(config)
        if kind != "text":
            combine_form(config, known)


def combine_form(config: RunConfig, known: dict[str, DatasetSpec]) -> None:
    """What is joined, left out or spoiled; the page Explore data shows what it does."""
    data, spec = config.data, known[config.data.dataset]
    names = {name: other.title for name, other in known.items() if name != data.dataset and not join_problem(spec, other)}
    if names:
        field(config, "data.join", list(names), names)
    if data.join:
        field(config, "data.join_times")
    if spec.classes:
        field(config, "data.only_classes", list(spec.classes))
    for name in ("fraction", "imbalance", "label_noise") if spec.classes else ("fraction",):
        field(config, f"data.{name}")


def transforms_row(config: RunConfig) -> None:
    """What images go through, with a button that takes it out."""
    steps = config.data.transforms
    if steps:
        st.markdown("**Transforms**")
        st.caption(" → ".join(TRANSFORMS[step.kind].title for step in steps)
                   + (". Random steps act on training images alone." if has_chance(steps) else ""))
        st.button("Remove transforms", icon=":material/delete:", key="train.transforms.remove", on_click=draft.change,
                  args=("data.transforms", []))
    link("pages/explore_data.py", "Change transforms" if steps else "Add transforms", ":material/transform:")


def model_form(config: RunConfig) -> None:
    """The network's own fields."""
    with st.expander("Network", icon=":material/account_tree:"):
        field(config, "model.architecture", list(ARCHITECTURES))
        for name in type(config.model).model_fields:
            if name != "architecture":
                field(config, f"model.{name}")
        link("pages/build_model.py", "See its layers and shapes", ":material/account_tree:")


def starting_form(server: Services, config: RunConfig, everything: bool) -> None:
    """Where the weights start: in the short form where that is something else than at random, or easily may be."""
    training = config.training
    freezes = training.trainable != "all" or training.frozen_first
    if everything or training.start_from or freezes or torchvision_name(config.model):
        start_from_form(server, config, "train")


def training_form(config: RunConfig, everything: bool) -> None:
    """How it learns: what one changes most comes first."""
    training = config.training
    with st.expander("Training", icon=":material/tune:", expanded=True):
        field(config, "training.epochs")
        field(config, "training.optimizer.name", list(OPTIMIZERS))
        field(config, "training.optimizer.learning_rate")
        field(config, "training.batch_size")
        field(config, "training.seed")
    if not everything:
        return
    with st.expander("Optimizer", icon=":material/moving:"):
        for name in type(training.optimizer).model_fields:
            if name not in {"name", "learning_rate"}:
                field(config, f"training.optimizer.{name}")
    with st.expander("Schedule", icon=":material/timeline:", expanded=training.schedule.name != "constant"):
        field(config, "training.schedule.name", list(SCHEDULES))
        for name in type(training.schedule).model_fields:
            if name != "name":
                field(config, f"training.schedule.{name}")
        points = preview(training.schedule, training.optimizer.learning_rate, training.epochs)
        chart = schedule_chart(points)
        st.echarts_chart(chart, height=150, key="train.schedule", alt=in_words(chart, "Learning rate over epochs"))
    with st.expander("More settings", icon=":material/more_horiz:"):
        for name in MORE:
            field(config, f"training.{name}")
        field(config, "training.threads", ["auto", *range(1, usable_cores() + 1)])
        if cost := moments_cost(config):
            field(config, "training.moments")
            field(config, "training.moment_epochs")
            st.caption(cost)
