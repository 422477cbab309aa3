"""One weight of the run that goes, set by hand: chosen by a click on its link or from a list, so that a keyboard will do."""

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from core.config import RunConfig
from core.data import FEATURES, Dataset
from core.labs.decision_boundary import untrained
from core.runs import Run, RunNotFound, StoreError
from core.runs.live_weights import newest_model
from core.training import InterventionError, outputs_for
from core.training.by_hand import LARGEST_WEIGHT
from pages.parts.learn.decision_boundary import config as plane_config
from pages.parts.runs.start import wait_until
from pages.parts.shell import keys
from pages.parts.shell.services import Services
from pages.parts.widgets import plane
from pages.parts.widgets.markdown import as_text

SECONDS_TO_ACT = 1.5  # that the page waits for the training process to have set it


class Place(NamedTuple):  # plain enough for a session to keep
    """A weight: of which linear layer (from 0), to which of its units, from which unit or input before (None: its bias)."""

    layer: int
    row: int
    column: int | None


def places(config: RunConfig, classes: Sequence[str]) -> dict[Place, str]:
    """Every weight of the network, layer by layer, and what it is called."""
    hidden = plane_config.network(config).hidden
    names = [FEATURES[name].title for name in config.data.features]
    units = [names, *([f"unit {unit + 1} of layer {layer}" for unit in range(size)] for layer, size in enumerate(hidden, 1))]
    outputs = outputs_for(config, len(classes))
    ends = ["the output"] if outputs == 1 else [f"the output for {name}" for name in classes]
    found = {}
    for layer, (sources, targets) in enumerate(zip(units, [*units[1:], ends], strict=True)):
        for row, target in enumerate(targets):
            found |= {Place(layer, row, column): f"{source} → {target}" for column, source in enumerate(sources)}
            found[Place(layer, row, None)] = f"bias of {target}"
    return found


def can_edit(run: Run | None) -> bool:
    """Whether this visitor may set its weights: it is theirs, and going or paused."""
    return run is not None and run.status == "running" and run.owner == st.session_state[keys.OWNER]


def choose(config: RunConfig, classes: Sequence[str]) -> None:
    """What a click on a link does: the list and the field show its weight. With two outputs, where the picture shows one link for
    both, that of the second class."""
    edge, known = plane.edge("plane.map"), places(config, classes)
    if edge is None:
        return
    last = max(place.row for place in known if place.layer == len(plane_config.network(config).hidden))
    layer, row, column = edge
    place = Place(layer, last if layer == len(plane_config.network(config).hidden) else row, column)
    if place in known:
        st.session_state[_key(config)] = place
        st.session_state[keys.PLANE_CLICKED] = True


def weight_form(server: Services, config: RunConfig, run: Run, data: Dataset) -> None:
    """The list of weights, and for the chosen one a field with its value; Enter sets it."""
    known = places(config, data.classes)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="plane.edit"):
        place = st.selectbox("Set a weight by hand", list(known), None, known.__getitem__, key=_key(config), width=300,
                             placeholder="Click a line, or choose here",
                             help="Acts before the next step, at once while the run is paused. It becomes part of the run: its "
                             "list below, its script and its config file name it.")
        if place is None:
            return
        done = len(server.store.interventions(run.id))
        trained = newest_model(server.store, run.id) or untrained(config, data)
        name = f"fc{place.layer + 1}"
        layer = trained.model.get_submodule(name)
        now = float(layer.bias[place.row] if place.column is None else layer.weight[place.row, place.column])
        with st.form("plane.weight_form", border=False, enter_to_submit=True, width="content"), st.container(
                horizontal=True, vertical_alignment="bottom", gap="small"):
            value = st.number_input("Its value", -LARGEST_WEIGHT, LARGEST_WEIGHT, min(max(now, -LARGEST_WEIGHT), LARGEST_WEIGHT),
                                    0.1, "%.3f", key=f"plane.value.{run.id}.{'.'.join(map(str, place))}.{done}", width=150)
            wanted = st.form_submit_button("Set", icon=":material/back_hand:", key="plane.set_weight")
    if wanted:
        try:
            server.engine.set_weight(run.id, name, place.row, place.column, value)
        except (InterventionError, RunNotFound, StoreError) as error:
            st.error(as_text(str(error)))
            return
        wait_until(server, run.id, SECONDS_TO_ACT, lambda now: len(server.store.interventions(now.id)) > done)
        st.rerun()


def _key(config: RunConfig) -> str:
    sizes = (len(config.data.features), *plane_config.network(config).hidden)
    return f"plane.weight.{'.'.join(map(str, sizes))}"
