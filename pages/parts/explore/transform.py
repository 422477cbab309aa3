"""Explore data, Transform: compose a pipeline, see what every step does to images, and take it into a run or as code."""

import streamlit as st
import torch

from core.config import RunConfig
from core.data import Dataset, default_config, normalize
from core.export.transforms_code import pipeline_script
from core.figures.stages import in_words, strip
from core.inspection import advise_on_transforms
from core.transforms import TRANSFORMS, Steps, generator_for, has_chance, is_random, walk, with_to_tensor, without_chance, words
from core.transforms.pipelines import read_steps
from pages.parts.doctors.config_doctor import show_finding
from pages.parts.draft import draft
from pages.parts.explore import transform_steps
from pages.parts.shell import keys
from pages.parts.shell.frame import go_to
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset

SAMPLES = 4  # images that are shown after every step
DRAWS, COLUMNS = 24, 8  # of one image, beside each other


def section(server: Services, data: Dataset) -> None:
    """The whole section."""
    if data.kind != "images":
        st.info(f"Transforms change pictures. {as_text(data.title)} are points; choose a data set of images.",
                icon=":material/image:")
        return
    config = draft.draft(server)
    steps = transform_steps.current(config)
    st.markdown("What happens to images on their way to the network. Random steps act on **training images alone**, anew in each "
                "epoch: the network hardly ever sees the same picture twice, and can hardly memorise it (overfit).")
    left, right = st.columns([1, 1.5], gap="large")
    with left:
        transform_steps.composer(steps)
        advice(config, data, steps)
        take(server, config, data, steps)
    with right:
        stages(server, config, data, steps)
    with st.expander("The code: copy it, it runs alone", icon=":material/code:"):
        mean, std = last(server, config, data)
        wanted = draft.fitting_normalization(config.data, data.name)
        st.caption("torchvision's own transforms with the same settings. Give train_transform to the data set you learn from, "
                   "and test_transform to the other two.")
        st.code(pipeline_script(steps, wanted["normalization"], mean, std).strip(), language="python")


def samples(data: Dataset) -> torch.Tensor:
    """Four training images in a row, from the one that is chosen."""
    count = len(data.train)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        first = st.number_input(f"Training image (0 to {count - 1:,})", 0, count - 1, key=f"explore.transform.sample.{data.name}",
                                width=190)
        st.button("Draw again", icon=":material/casino:", key="explore.transform.again", on_click=draw_again,
                  help="Other random numbers for the same images.")
    positions = (first + torch.arange(SAMPLES)) % count
    return data.train.stored(positions)[0]


def stages(server: Services, config: RunConfig, data: Dataset, steps: Steps) -> None:
    """The chosen images after every step, then many draws of the first one."""
    images = samples(data)
    seed = st.session_state.setdefault(keys.PIPELINE_SEED, 0)
    row("As stored", images, "pixels from 0 to 255")
    written = len(steps)
    for stage in walk(steps, images, generator_for(seed)):
        said = words(stage.draw, 0)
        row(TRANSFORMS[stage.step.kind].title, stage.images, f"the first: {said}" if said else "", is_random(stage.step))
    if len(with_to_tensor(steps)) > written:
        st.caption("ToTensor is put in where it is needed if you leave it out.")
    mean, std = last(server, config, data)
    if config.data.normalization != "none":
        row("The run's own normalisation", normalize(walk(steps, images, generator_for(seed))[-1].images, mean, std),
            "set on Train model, after all steps")
    if not has_chance(steps):
        st.caption("Nothing in this pipeline is random: every split goes through all of it.")
        return
    st.markdown(f"**The first image, drawn {DRAWS} times**")
    many = walk(steps, images[:1].expand(DRAWS, -1, -1, -1), generator_for(seed, 1))[-1].images
    st.image(strip(many, COLUMNS), width="stretch", alt=f"One image after {DRAWS} random draws")
    fixed = [TRANSFORMS[step.kind].title for step in with_to_tensor(without_chance(steps))]
    st.caption(f"Validation and test images go through {' and '.join(fixed)} alone. If chance changed them too, the same network "
               "would get another result each time.")


def row(title: str, images: torch.Tensor, about: str, chance: bool = False) -> None:
    """One step's result: pictures, shape, number format and range."""
    shape = "×".join(map(str, images.shape[1:]))
    low, high = in_words(float(images.min())), in_words(float(images.max()))
    kind = str(images.dtype).removeprefix("torch.")
    with st.container(border=True, gap="xxsmall"):
        st.markdown(f"**{title}**{' :violet-badge[random]' if chance else ''} · {shape} · {kind} · {low} to {high}")
        st.image(strip(images, SAMPLES), width=min(SAMPLES, len(images)) * 84, alt=f"Images after {title}")
        if about:
            st.caption(about)


def last(server: Services, config: RunConfig, data: Dataset) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the run's own normalisation, which comes after the steps."""
    fits = draft.fitting_normalization(config.data, data.name)
    wanted = default_config(data.name).model_copy(update=fits)
    found = dataset(wanted, server.settings)
    return found.mean, found.std


def advice(config: RunConfig, data: Dataset, steps: Steps) -> None:
    """What the doctor says of this pipeline on these images, each with a button that mends it here."""
    dumped = tuple(step.model_dump(mode="json") for step in steps)
    whole = config.model_copy(update={"data": default_config(data.name).model_copy(update={
        "transforms": read_steps(dumped), "task": config.data.task} | draft.fitting_normalization(config.data, data.name))})
    found = advise_on_transforms(whole)
    for finding in found:
        show_finding(finding, "explore.transform", transform_steps.take_fix)
    if not found:
        st.caption(":green[:material/check_circle:] Nothing speaks against these steps for these images.")


def take(server: Services, config: RunConfig, data: Dataset, steps: Steps) -> None:
    """Put the pipeline into the run in the making."""
    same = config.data.transforms == steps and config.data.dataset == data.name
    if same:
        st.caption(":material/check: The run in the making has these transforms.")
    if st.button("Take into a run", type="primary", icon=":material/model_training:", key="explore.transform.take"):
        draft.take_transforms(data.name, steps)
        go_to("pages/train_model.py")


def draw_again() -> None:
    """The next random numbers."""
    st.session_state[keys.PIPELINE_SEED] = st.session_state.get(keys.PIPELINE_SEED, 0) + 1
