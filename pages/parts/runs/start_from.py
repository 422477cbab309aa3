"""Where a run's weights start and which of them learn: the form, and the way there from a run."""

from contextlib import suppress
from dataclasses import dataclass

import streamlit as st
import torch

from core.config import RunConfig, read_config
from core.data import DataError, available, default_config, outline
from core.data.sources import kind_of
from core.fields import ConfigError
from core.models import ModelError, build
from core.models.pretrained import IMAGENET, fitting, pretrained_weights, published_shapes, torchvision_name
from core.runs import Run, has_checkpoint
from core.runs.starting import fits, start_problem
from core.training import outputs_for
from core.training.trainable import frozen_layers, layers_with_norms
from core.wording import percent
from pages.parts.draft import draft
from pages.parts.draft.fields import CHOICES_OF, field
from pages.parts.runs.download import weights_button
from pages.parts.runs.usable import usable_runs
from pages.parts.shell import lesson
from pages.parts.shell.frame import go_to
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services

RUNS_LISTED = 50
MOST_NAMED = 4  # layers that a line names
UNFIT = (DataError, ConfigError, ModelError)
FRESH, FROM_IMAGENET = "Random weights", "ImageNet (torchvision)"


def start_from_form(server: Services, config: RunConfig, key: str) -> None:
    """What the weights start from, and what of the network is trained; only what fits is offered.

    key: before that of the button that downloads weights.
    """
    training = config.training
    expanded = bool(training.start_from or training.frozen_first) or training.trainable != "all"
    with st.expander("Starting weights", icon=":material/conversion_path:", expanded=expanded):
        field(config, "training.start_from", *_starts(server, config))
        if training.start_from == IMAGENET and torchvision_name(config.model):
            _from_imagenet(server, config, key)
        network = _network_of(config)
        choices = list(network.choices)
        if len(choices) > 1 or training.trainable != "all":
            field(config, "training.trainable", choices, CHOICES_OF["training.trainable"])
        if len(network.layers) > 1 or training.frozen_first:
            numbers = list(range(max(1, len(network.layers))))
            field(config, "training.frozen_first", numbers, {number: _frozen_up_to(network.layers, number) for number in numbers})
        if training.start_from and training.trainable != "last_layer" or training.rate_below_last != 1.0:
            field(config, "training.rate_below_last")


def can_start(server: Services, config: RunConfig) -> bool:
    """Whether a run can start from the weights that it names, and a line where it can't. Where there can be no such network at
    all, another one on the page says why not."""
    with suppress(*UNFIT):
        if line := start_problem(server.store, config, server.settings):
            st.warning(as_text(line), icon=":material/conversion_path:")
            return False
    return True


def _starts(server: Services, config: RunConfig) -> tuple[list[str], dict[str, str]]:
    """What a run of this config can start from, and what each is called."""
    names = {"": FRESH}
    if torchvision_name(config.model):
        names[IMAGENET] = FROM_IMAGENET
    for run_id, run in usable_runs(server, RUNS_LISTED).items():
        if _fits(server, config, run):
            names[run_id] = named(run)
    chosen = config.training.start_from
    names.setdefault(chosen, FROM_IMAGENET if chosen == IMAGENET else f"Run {chosen[:8]}")
    return list(names), names


def named(run: Run) -> str:
    """A run in a list: what it is called, how good it is, and the beginning of its id."""
    result = f" · test {percent(run.test_accuracy)}" if run.test_accuracy is not None else ""
    return f"{run.title or 'Run'}{result} · {run.id[:8]}"


def _fits(server: Services, config: RunConfig, run: Run) -> bool:
    if config.model != run.config.model:  # most of them: nothing to build
        return False
    try:
        return fits(config, run.config, server.settings)
    except UNFIT:
        return False


@dataclass(frozen=True)
class _Network:
    """What can be said of a network without its numbers.

    choices: what of it can be trained alone. layers: those that can be frozen by number, from the input on. new: layers for which
    ImageNet's weights have none that fit; summed: whether their first convolution is brought to another number of channels.
    """

    choices: tuple[str, ...]
    layers: tuple[str, ...]
    new: tuple[str, ...]
    summed: bool


@st.cache_data(max_entries=64, show_spinner=False)
def _network(config_json: str) -> _Network:
    """config_json: of a config of the same data, network and loss. A network that can't be built has no choices."""
    config, choices = read_config(config_json), ["all"]
    try:
        shape = outline(config.data)
        with torch.device("meta"):
            model = build(config.model, shape.input_shape, outputs_for(config, len(shape.source_classes)))
    except UNFIT:
        return _Network(("all",), (), (), False)
    for choice in ("linear_layers", "last_layer"):
        with suppress(ConfigError):
            choices += [choice] * bool(frozen_layers(model, choice))
    name = torchvision_name(config.model)
    found = fitting(model.state_dict(), published_shapes(name)) if name else None
    layers = tuple(names[0] for names in layers_with_norms(model))
    return _Network(tuple(choices), layers, tuple(found.anew) if found else (), bool(found and found.adapted))


def _network_of(config: RunConfig) -> _Network:
    about = {"data": config.data.model_dump(mode="json"), "model": config.model.model_dump(mode="json"),
             "training": {"loss": config.training.loss}}
    return _network(read_config(about).model_dump_json())


def _frozen_up_to(layers: tuple[str, ...], number: int) -> str:
    """What a number of frozen layers is called: "2: conv1 to conv2"."""
    if not number:
        return "None"
    return f"{number}: {layers[0]}" + (f" to {layers[number - 1]}" if number > 1 else "")


def _from_imagenet(server: Services, config: RunConfig, key: str) -> None:
    """What of torchvision's weights is taken over, and a button where they are not here yet."""
    if start_problem(server.store, config, server.settings) and (weights := pretrained_weights(config.model)) is not None:
        weights_button(server, weights, f"{key}.weights")
    about = _network_of(config)
    more = len(about.new) - MOST_NAMED
    shown = ", ".join(about.new[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    start = "has another shape here: it starts anew and learns" if len(about.new) == 1 else \
        "have another shape here: they start anew and learn"
    line = f"Taken over: all layers but {shown}, which {start} in any case." if about.new else "Taken over: all layers."
    st.caption(as_text(line) + (" The first convolution's weights are summed over their three channels." if about.summed else ""))


def fine_tune(server: Services, run: Run, key: str) -> None:
    """A button that opens a draft which starts from a run's weights, on data of one's choice."""
    if run.is_active or not has_checkpoint(server.store, run.id) or not lesson.shows("pages/train_model.py"):
        return
    place = st.popover("Train it further", icon=":material/conversion_path:", key=f"{key}.further", on_change="rerun")
    if not place.open:
        return
    with place:
        st.caption("Fine-tuning: a new run starts with this network's weights instead of random ones, and learns other data, or "
                   "the same with other settings. Few pictures can be enough then. This run stays as it is.")
        names = _fitting_sets(server, run)
        chosen = st.selectbox("Learn from", list(names), format_func=names.__getitem__, key=f"{key}.further.data")
        if st.button("Open its settings", type="primary", icon=":material/tune:", key=f"{key}.further.open", on_click=_take,
                     args=(f"{key}.further", _further(run, chosen)), help="The form then has them; nothing starts yet."):
            go_to("pages/train_model.py")


def _take(popover: str, config: RunConfig) -> None:
    """The settings into the form, with all of its fields: data are not among the essential ones."""
    draft.take(config)
    st.session_state["train.view"] = "All settings"
    st.session_state[popover] = False


def _further(run: Run, name: str) -> RunConfig:
    """The run's settings with its own weights to start from, on a data set."""
    config, data = run.config, run.config.data
    if name != data.dataset:
        kept = draft.fitting_normalization(data, name) | {"task": "classes"}
        if kind_of(name) == "images":
            kept["transforms"] = data.model_dump(mode="json")["transforms"]
        data = read_config({"data": default_config(name).model_dump(mode="json") | kept}).data
    return config.model_copy(update={"data": data, "training": config.training.model_copy(update={"start_from": run.id})})


def _fitting_sets(server: Services, run: Run) -> dict[str, str]:
    """Data sets that a run's network can go on with, by name with their titles: its own first."""
    own = run.config.data.dataset
    found: dict[str, str] = {}
    known = available(server.settings.data_dir, server.actor, [own])
    for name in (own, *(name for name in known if name != own)):
        spec = known.get(name)
        if spec is None or not spec.is_available(server.settings.data_dir) or spec.kind != known[own].kind or not spec.classes:
            continue
        try:
            if name == own or fits(_further(run, name), run.config, server.settings):
                found[name] = spec.title
        except UNFIT:
            continue
    return found or {own: own}
