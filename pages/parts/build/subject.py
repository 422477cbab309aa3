"""Which network is looked into, and which sample goes through it."""

import random
from contextlib import suppress
from dataclasses import dataclass

import streamlit as st
import torch
from torch import Tensor, nn

from core.config import DataConfig, RunConfig, TrainingConfig
from core.data import DataError, Dataset, fixed_normalization, outline, spec_of
from core.models import TextEmbeddingConfig
from core.runs import CheckpointError, Run
from core.training import fresh_model
from core.transforms import with_normalizes
from core.wording import percent
from pages.parts.runs.back import back_in_time
from pages.parts.runs.usable import usable_runs
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset, trained_model

# No seed that weights can have: from the same one, the first unit's weights would be the picture itself. The generator looks
# at 32 bits.
RANDOM_SEED = 2**31
UNTRAINED = ""  # the choice that is no run
RUNS_LISTED = 100
MOST_PARAMETERS = 150_000_000  # 600 MB of weights; vgg16 has 138 million
FROM_DATA, RANDOM, DRAWING = "From the data", "Three random images", "My last drawing"
BROUGHT = "The image you came with"


@dataclass(frozen=True)
class InspectedNetwork:
    """A network to look into. key: changes when the network does. data: None where its files are not here."""

    key: str
    model: nn.Module
    config: RunConfig
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    data: Dataset | None
    trained: bool


@dataclass(frozen=True)
class Sample:
    """images: (N, C, H, W), uint8 or float in [0, 1]. label: what the first one is, "" where nobody knows."""

    key: str
    images: Tensor
    label: str


def choose_subject(server: Services, config: RunConfig, model: nn.Module | None) -> InspectedNetwork | None:
    """The network of the form with fresh weights, or a run with the weights it kept; None, and a line, where there is none."""
    runs = usable_runs(server, RUNS_LISTED)
    options = ([UNTRAINED] if model is not None else []) + list(runs)
    if not options:
        st.info("This network can't be built, so nothing can go through it.", icon=":material/block:")
        return None
    selected = st.session_state.get(keys.RUN)
    titles = {run_id: _title(runs.get(run_id)) for run_id in options}  # a session keeps them: not the runs themselves
    chosen = st.selectbox("Network", options, options.index(selected) if selected in runs else 0,
                          format_func=titles.__getitem__, key=f"build.look.network.{selected}.{len(options)}")
    if chosen == UNTRAINED:
        return _untrained(server, config, model)
    back_in_time(server, chosen, "build.look.time", tertiary=True)
    return _trained(server, runs[chosen])


def _title(run: Run | None) -> str:
    if run is None:
        return "This network, untrained"
    result = f"test {percent(run.test_accuracy)}" if run.test_accuracy is not None else run.status
    return f"Run {run.id[:8]} · {run.title or 'no title'} · {result}"


def _trained(server: Services, run: Run) -> InspectedNetwork | None:
    try:
        found = trained_model(server.store, run.id)
    except CheckpointError as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return None
    return InspectedNetwork(f"{run.id}.{found.epoch}", found.model, found.config, found.classes, found.input_shape, found.mean,
                            found.std, _data(server, found.config), trained=True)


def _untrained(server: Services, config: RunConfig, model: nn.Module | None) -> InspectedNetwork | None:
    count = sum(parameter.numel() for parameter in model.parameters()) if model is not None else 0
    if count > MOST_PARAMETERS:
        st.info(f"This network has {count:,} parameters, too many to fill with numbers here; the layer table needs none. Up to "
                f"{MOST_PARAMETERS:,} can be looked into.", icon=":material/memory:")
        return None
    shape, data = outline(config.data), _data(server, config)
    training = config.training
    start = RunConfig(  # what the first weights depend on, so that another learning rate does not draw them again
        data=DataConfig(dataset=config.data.dataset, task=config.data.task, transforms=config.data.transforms),
        model=config.model,
        training=TrainingConfig(loss=training.loss, seed=training.seed, initialization=training.initialization))
    fresh = _fresh(start)
    channels = shape.input_shape[0]
    if data is not None:
        classes, mean, std = data.classes, data.mean, data.std
    else:  # without the data only its own mean and deviation are unknown
        classes = shape.source_classes if config.data.task == "classes" else ("no", "yes")
        last = (0.0,) * channels, (1.0,) * channels
        with suppress(DataError):  # numbers for another number of channels: training says so
            last = fixed_normalization(config.data, channels) or last
        mean, std = with_normalizes(config.data.transforms, *last)
    key = f"new.{start.model_dump_json()}.{config.data.model_dump_json()}"
    return InspectedNetwork(key, fresh, config, classes, shape.input_shape, mean, std, data, trained=False)


@st.cache_resource(max_entries=2, show_spinner="Drawing fresh weights…")
def _fresh(config: RunConfig) -> nn.Module:
    shape = outline(config.data)
    return fresh_model(config, shape.input_shape, len(shape.source_classes)).eval()


def _data(server: Services, config: RunConfig) -> Dataset | None:
    try:
        if not spec_of(config.data.dataset).is_available(server.settings.data_dir):
            return None
        return dataset(config.data, server.settings)
    except DataError:
        return None


def choose_sample(subject: InspectedNetwork) -> Sample:
    """What goes through: a validation image, three random images, the last drawing, or an image that another page sent."""
    drawing = st.session_state.get(keys.DRAWING)
    fits = drawing is not None and tuple(drawing.shape) == subject.input_shape
    brought = st.session_state.get(keys.BROUGHT)  # from "Why?", where its first look is at this one
    came = brought is not None and tuple(brought.shape) == subject.input_shape
    options = ([BROUGHT] if came else []) + ([FROM_DATA] if subject.data else []) + [RANDOM] + ([DRAWING] if fits else [])
    chosen = st.segmented_control("Sample", options, default=options[0], required=True,
                                  key=f"build.look.sample.{len(options)}.{options[0]}")
    if chosen == BROUGHT and brought is not None:
        return Sample(f"brought.{hash(brought.numpy().tobytes())}", brought.unsqueeze(0), "")
    if subject.data is None:
        st.caption(_missing(subject.config.data.dataset))
    if chosen == FROM_DATA and subject.data:
        return _from_data(subject.data)
    if chosen == DRAWING and drawing is not None:
        return Sample(f"drawing.{hash(drawing.numpy().tobytes())}", drawing.unsqueeze(0), "")
    seed = st.session_state.setdefault("build.look.seed", 0)
    if st.button("Three others", icon=":material/casino:", key="build.look.reseed"):
        seed = st.session_state["build.look.seed"] = seed + 1
    st.caption("Every pixel is a random number from 0 to 1: no digit, only something of the right shape. A batch of three shows "
               "that the first number of each shape is the batch, and that no layer touches it.")
    return Sample(f"random.{seed}", random_images(subject, 3, seed), "")


def _missing(dataset: str) -> str:
    try:
        return f"{as_text(spec_of(dataset).title)} is not on this machine; Explore data can download it."
    except DataError:
        return "The images that this network learned from have been deleted."


def random_images(subject: InspectedNetwork, count: int, seed: int = 0) -> Tensor:
    """(count, C, H, W) float32, evenly from 0 to 1; of texts (count, L) int64, any word's number."""
    generator = torch.Generator().manual_seed(RANDOM_SEED + seed)
    if isinstance(subject.config.model, TextEmbeddingConfig):
        return torch.randint(subject.config.model.words, (count, *subject.input_shape), generator=generator)
    return torch.rand(count, *subject.input_shape, generator=generator)


def _from_data(data: Dataset) -> Sample:
    count = len(data.validation)
    key = f"build.look.index.{data.name}.{count}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        index = st.number_input(f"Validation image (0 to {count - 1:,})", 0, count - 1, key=key, width=220)
        st.button("Another at random", icon=":material/casino:", key="build.look.random",
                  on_click=lambda: st.session_state.update({key: random.randrange(count)}))
    images, labels = data.validation.take(torch.tensor([index]))
    return Sample(f"{data.name}.{data.classes}.{index}", images, data.classes[int(labels[0])])
