"""One weight of the run that goes, set by hand: in a field at its link, or from a list, so that a keyboard will do."""

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
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets import plane

HELP = ("A weight set by hand acts before the next step, at once while the run is paused. It becomes part of the run: the "
        "list here, its script and its config file name it.")
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


def names(config: RunConfig, classes: Sequence[str]) -> dict[tuple[str | None, int | None, int | None], str]:
    """The same names, by layer, row and column as an Intervention has them."""
    return {(_name(place), place.row, place.column): name for place, name in places(config, classes).items()}


def why_not(run: Run | None) -> str:
    """Why this visitor can't set a weight now; "" where they can."""
    if can_edit(run):
        return ""
    if run is None:
        return "Start a run first."
    if run.owner != st.session_state[keys.OWNER]:
        return "This is not your run."
    return "The run still waits." if run.status == "queued" else "This run has ended."


def take(server: Services, run: Run, config: RunConfig, data: Dataset) -> None:
    """Do what the field at a link asked for. With two outputs the picture shows what speaks for the second class, the second
    one's weight less the first one's: the second one's is set, so that it shows what was asked for."""
    link = plane.wanted("plane.map")
    if link is None:
        return
    row, weight = link.to, link.weight
    if link.layer == len(plane_config.network(config).hidden) and outputs_for(config, len(data.classes)) == 2:
        first = Place(link.layer, 0, link.start)
        if first in places(config, data.classes):
            row, weight = 1, link.weight + value_of(server, run, config, data, first)
    _set(server, run, Place(link.layer, row, link.start), weight)
    st.session_state[keys.PLANE_EDITED] = True


def weight_form(server: Services, config: RunConfig, run: Run | None, data: Dataset) -> None:
    """The list of weights, and for the chosen one a field with its value; Enter sets it. Its place is kept while there is no run
    whose weights could be set."""
    with st.container(gap="xxsmall"):
        _form(server, config, run, data)
        with st.container(key="plane.refused"):  # its place is kept: see the page's STYLE
            if line := st.session_state.get(keys.PLANE_REFUSED):
                st.markdown(f":material/error: {as_text(line)}")


def _form(server: Services, config: RunConfig, run: Run | None, data: Dataset) -> None:
    known, reason = places(config, data.classes), why_not(run)
    free = not reason
    sizes = ".".join(map(str, (len(config.data.features), *plane_config.network(config).hidden)))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="plane.edit"):
        place = st.selectbox("Set a weight by hand", list(known), None, known.__getitem__, key=f"plane.weight.{sizes}.{free}",
                             placeholder=reason.removesuffix(".") or "Choose or click a line",
                             disabled=not free, width=200,
                             help=f"{reason} {HELP}".strip())
        if place is None or run is None or not free:
            return
        done = len(server.store.interventions(run.id))
        now = min(max(value_of(server, run, config, data, place), -LARGEST_WEIGHT), LARGEST_WEIGHT)
        with st.form("plane.weight_form", border=False, enter_to_submit=True, width="content"), st.container(
                horizontal=True, vertical_alignment="bottom", gap="small"):
            value = st.number_input("Its value", -LARGEST_WEIGHT, LARGEST_WEIGHT, now, 0.1, "%.3f", width=120,
                                    key=f"plane.value.{run.id}.{'.'.join(map(str, place))}.{done}")
            if st.form_submit_button("Set", icon=":material/back_hand:", key="plane.set_weight"):
                _set(server, run, place, value)
                st.rerun()


def value_of(server: Services, run: Run, config: RunConfig, data: Dataset, place: Place) -> float:
    """What a weight is now, as far as it is known."""
    model = (newest_model(server.store, run.id) or untrained(config, data)).model
    if place.column is None:
        return model.get_parameter(f"{_name(place)}.bias")[place.row].item()
    return model.get_parameter(f"{_name(place)}.weight")[place.row, place.column].item()


def _name(place: Place) -> str:
    return f"fc{place.layer + 1}"


def _set(server: Services, run: Run, place: Place, value: float) -> None:
    """Ask for it, and wait a moment until it is done; where it can't be, the reason stands below the form."""
    done = len(server.store.interventions(run.id))
    try:
        server.engine.set_weight(run.id, _name(place), place.row, place.column, value)
    except (InterventionError, RunNotFound, StoreError) as error:
        st.session_state[keys.PLANE_REFUSED] = str(error)
        return
    st.session_state.pop(keys.PLANE_REFUSED, None)
    wait_until(server, run.id, SECONDS_TO_ACT, lambda now: len(server.store.interventions(now.id)) > done)
