"""The controls of the 2-D lab: data, inputs, network, training. Each writes into the lab's config and nothing else."""

from collections.abc import Sequence
from math import inf
from typing import Any

import streamlit as st
from PIL import Image

from core.config import OPTIMIZERS, DataConfig, RunConfig, TrainingConfig
from core.data import DATASETS, FEATURES, spec_of
from core.data.sources.generated import RULES
from core.fields import Config, describe
from core.figures.plane import thumbnail
from core.labs.decision_boundary import EXTENT, MOST_LAYERS, MOST_UNITS, plane_points
from core.models import ACTIVATIONS, MLPConfig
from pages.parts.draft.fields import CHOICES
from pages.parts.learn.decision_boundary import config as plane_config
from pages.parts.learn.decision_boundary.config import CONTROLS
from pages.parts.shell import keys, lesson
from pages.parts.shell.markdown import as_text

SETS = [name for name, rule in RULES.items() if rule.in_plane]
RATES = [0.00001, 0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
PENALTIES = [0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
BATCHES = [1, 2, 5, 10, 15, 20, 30, 50, 100, 200, 500, 1000]
TOTALS = [20, 50, 100, 200, 300, 500, 1000, 2000]
SHARES = list(range(10, 91, 10))
EPOCHS = [20, 50, 100, 200, 300, 500, 1000]
LOSSES = {"bce_with_logits": "Binary cross-entropy (with logits)", "bce": "Binary cross-entropy (after a sigmoid)",
          "cross_entropy": "Cross-entropy (two outputs)", "nll": "Negative log-likelihood (two outputs)",
          "mse": "Mean squared error"}
NAMES = {**CHOICES, "identity": "None (a straight line)"}
SHORT = {"xor": "XOR", "random_numbers": "Random"}  # under their pictures, where there is room for one word
CLASSES = ("Orange", "Blue")
HIDDEN = "model.hidden"


@st.cache_data(show_spinner=False)
def pictures() -> dict[str, Image.Image]:
    """Every set as a small picture."""
    drawn = {name: plane_points(plane_config.FIRST.with_values({
        "data.dataset": name, "data.points": 150, "data.noise": DATASETS[name].noise})).train for name in SETS}
    return {name: thumbnail(*points, EXTENT, spec_of(name).target == "number") for name, points in drawn.items()}


def data_sets(config: RunConfig) -> None:
    """Thumbnails; the button under each chooses it. None where a lesson has a set of its own."""
    if lesson.is_fixed("data.dataset"):
        return
    with st.container(horizontal=True, gap="xxsmall", key="plane.sets"):
        for name, picture in pictures().items():
            with st.container(width=62, gap="xxsmall", horizontal_alignment="center"):
                st.image(picture, width=48, alt="")  # the button under it has the name
                chosen = name == config.data.dataset
                label = SHORT.get(name, RULES[name].title.removeprefix("Two ").removeprefix("A ").capitalize())
                st.button(label, key=f"plane.set.{name}", type="primary" if chosen else "tertiary", width="stretch",
                          help=RULES[name].summary, on_click=plane_config.choose_set, args=(name,))


def _write(path: str, key: str) -> None:
    if CONTROLS.hears(key):
        plane_config.change({path: st.session_state[key]})


def _help(owner: type[Config], path: str) -> str:
    return describe(owner, path.rpartition(".")[2]).help


def _slide(label: str, path: str, value: Any, options: Sequence[Any], owner: type[Config] | None = None, **more: Any) -> None:
    """A slider over sensible values; a value from elsewhere is put between them."""
    key = CONTROLS.key(path)
    help_text = _help(owner, path) if owner else None
    least, most = lesson.bounds(path) or (-inf, inf)
    ends = () if lesson.bounds(path) is None else (type(value)(least), type(value)(most))
    allowed = sorted({*(one for one in options if least <= one <= most), *ends, value})
    st.select_slider(label, allowed if len(allowed) > 1 else [*allowed, *options[-1:]], value, key=key, help=help_text,
                     disabled=lesson.is_fixed(path) or len(allowed) == 1, on_change=_write, args=(path, key), **more)


def _select(label: str, path: str, value: str, options: Sequence[str], names: dict[str, str], owner: type[Config]) -> None:
    key = CONTROLS.key(path)
    st.selectbox(label, list(options), list(options).index(value), format_func=lambda name: str(names.get(name, name)), key=key,
                 help=_help(owner, path), disabled=lesson.is_fixed(path), on_change=_write, args=(path, key))


def main_controls(config: RunConfig) -> None:
    """What one changes most, beside the picture: noise, learning rate, hidden layers, activation."""
    network, optimizer = plane_config.network(config), config.training.optimizer
    left, right = st.columns(2, gap="small")
    with left, st.container(gap="xxsmall"):
        _slide("Learning rate", plane_config.RATE, optimizer.learning_rate, RATES, type(optimizer))
        _slide("Noise", "data.noise", config.data.noise, [n / 20 for n in range(21)], DataConfig)
    with right, st.container(gap="xxsmall"):
        _select("Activation", "model.activation", network.activation, list(ACTIVATIONS), NAMES, MLPConfig)
        layers_control(network.hidden)


def data_controls(config: RunConfig) -> None:
    """How many points, which ones."""
    data = config.data
    with st.expander("Data", icon=":material/scatter_plot:", expanded=True):
        total, share = data.points + data.validation, round(100 * data.points / (data.points + data.validation))
        names = CONTROLS.key("total"), CONTROLS.key("share")

        def split() -> None:
            if CONTROLS.hears(names[0]):
                count, part = st.session_state[names[0]], st.session_state[names[1]]
                learn = max(10, round(count * part / 100))
                plane_config.change({"data.points": learn, "data.validation": max(1, count - learn)})

        st.select_slider("Points (training and validation)", sorted({*TOTALS, total}), total, key=names[0], on_change=split)
        st.select_slider("Training points (%)", sorted({*SHARES, share}), share, key=names[1], on_change=split,
                         help="The others are validation points: they check each epoch and teach the network nothing. 500 more "
                         "are for the test at the end.")
        st.button("Other points", icon=":material/casino:", key="plane.points", help="Draws all points anew.",
                  on_click=lambda: plane_config.change({"data.split_seed": (config.data.split_seed + 1) % 1000}))
        if spec_of(data.dataset).classes:
            added_points(config)


def added_points(config: RunConfig) -> None:
    """Points of one's own, by numbers, and how to take them back; clicks on the map add them too."""
    added = config.data.added
    with st.popover(f"Add points ({len(added)})", icon=":material/add_circle:"):
        st.markdown("Switch on “Click adds points” under the picture and click on it, or type:")
        left, right = st.columns(2)
        x1 = left.number_input("x₁", -EXTENT, EXTENT, 0.0, 0.1, key="plane.add_x1")
        x2 = right.number_input("x₂", -EXTENT, EXTENT, 0.0, 0.1, key="plane.add_x2")
        label = st.segmented_control("Class", CLASSES, default=CLASSES[0], required=True, key="plane.add_class")
        st.button("Add this point", icon=":material/add:", key="plane.add", on_click=plane_config.add_point,
                  args=(x1, x2, CLASSES.index(label)))
        st.button("Take the last one back", icon=":material/undo:", key="plane.unadd", disabled=not added,
                  on_click=lambda: plane_config.change({"data.added": list(added[:-1])}))
        st.button("Take all back", icon=":material/delete:", key="plane.clear", disabled=not added,
                  on_click=lambda: plane_config.change({"data.added": []}))


def network_controls(config: RunConfig) -> None:
    """Inputs, units, dropout: behind a button, so that they are on the first screen too."""
    network = plane_config.network(config)
    hidden = network.hidden
    with st.popover("Inputs and units", icon=":material/account_tree:", width="content"):
        key = CONTROLS.key("features")

        def inputs() -> None:
            if not CONTROLS.hears(key):
                return
            chosen = [name for name in FEATURES if name in st.session_state[key]]
            if chosen:
                plane_config.change({"data.features": chosen})
            else:  # a network needs something to look at: the last one stays
                plane_config.take(plane_config.config())

        st.pills("Inputs", list(FEATURES), selection_mode="multi", disabled=lesson.is_fixed("data.features"),
                 default=list(config.data.features), key=key, on_change=inputs,
                 format_func=lambda name: FEATURES[name].title, help=_help(DataConfig, "features"))
        if hidden:
            with st.container(horizontal=True, gap="small"):
                for index, units in enumerate(hidden):
                    _units(index, units)
        _slide("Dropout", "model.dropout", network.dropout, [n / 10 for n in range(10)], MLPConfig)


def layers_control(hidden: tuple[int, ...]) -> None:
    """How many hidden layers; a new one has as many units as the last one."""
    key = CONTROLS.key("layers")

    def write() -> None:
        if CONTROLS.hears(key):
            now, wanted = plane_config.network(plane_config.config()).hidden, st.session_state[key]
            plane_config.change({"model.hidden": [*now[:wanted], *[now[-1] if now else 4] * (wanted - len(now))]})

    st.number_input("Hidden layers", 0, MOST_LAYERS, len(hidden), key=key, on_change=write, disabled=lesson.is_fixed(HIDDEN),
                    help="Without one, the network can only draw a straight line through what it is given.")


def _units(index: int, units: int) -> None:
    key = CONTROLS.key(f"units.{index}")

    def write() -> None:
        now = list(plane_config.network(plane_config.config()).hidden)
        if CONTROLS.hears(key) and index < len(now):  # else there are fewer layers since
            now[index] = st.session_state[key]
            plane_config.change({"model.hidden": now})

    st.number_input(f"Units {index + 1}", 1, MOST_UNITS, units, key=key, on_change=write, width=110,
                    disabled=lesson.is_fixed(HIDDEN),
                    help=f"How many units hidden layer {index + 1} has.")


def training_controls(config: RunConfig) -> None:
    """How it learns."""
    training, optimizer = config.training, config.training.optimizer
    with st.expander("Training", icon=":material/tune:", expanded=True):
        _select("Optimizer", "training.optimizer.name", optimizer.name, list(OPTIMIZERS), NAMES, type(optimizer))
        if spec_of(config.data.dataset).classes:
            _select("Loss", "training.loss", training.loss, list(LOSSES), LOSSES, TrainingConfig)
        _slide("Batch size (points)", "training.batch_size", training.batch_size, BATCHES, TrainingConfig)
        _slide("Epochs", "training.epochs", training.epochs, EPOCHS, TrainingConfig)
        regularisation(config)
        st.button("Other first weights", icon=":material/casino:", key="plane.weights", help="The next seed.",
                  on_click=lambda: plane_config.change({"training.seed": (training.seed + 1) % 1000}))


def regularisation(config: RunConfig) -> None:
    """None, L1 or L2, and how strong. L2 is what PyTorch calls weight decay."""
    training = config.training
    kind = "L1" if training.l1 else "L2" if training.optimizer.weight_decay else "None"
    rate = training.l1 or training.optimizer.weight_decay or 0.003
    kind_key, rate_key = CONTROLS.key("penalty"), CONTROLS.key(f"penalty_rate.{kind}")

    def write() -> None:
        if not CONTROLS.hears(kind_key):
            return
        chosen, strength = st.session_state[kind_key], st.session_state.get(rate_key, rate)
        plane_config.change({"training.l1": strength if chosen == "L1" else 0.0,
                             "training.optimizer.weight_decay": strength if chosen == "L2" else 0.0})

    st.segmented_control("Regularisation", ["None", "L1", "L2"], default=kind, required=True, key=kind_key, on_change=write,
                         help="A pull on all weights towards zero. L1 pulls all by the same amount, so that those not needed "
                         "end close to zero; L2, PyTorch's weight decay, pulls large ones more.")
    if kind != "None":
        st.select_slider("Strength", sorted({*PENALTIES, rate}), rate, key=rate_key, on_change=write)


def problem() -> None:
    """What a person has asked for that can't be, in one line."""
    if line := st.session_state.get(keys.PLANE_PROBLEM):
        st.warning(as_text(line), icon=":material/error:")
