"""One image, large, with its numbers, its neighbours and the line of code that gets it."""

import streamlit as st
import torch
from torch import Tensor

from core.data import Dataset
from core.data.explore.neighbours import MOST_PIXELS
from core.export.snippets import image_code, one_liner
from core.figures.images import as_picture
from core.wording import percent, plural
from pages.parts.explore.cache import neighbours_of
from pages.parts.shell import keys
from pages.parts.shell.markdown import as_text
from pages.parts.widgets.pictures import number_table, picture_grid

SPLITS = {"train": "Training", "validation": "Validation", "test": "Test"}
NEIGHBOURS = 10
SIDE = 224  # pixels of the large picture, about
CHANNELS = {"Red": (255, 0, 0), "Green": (0, 255, 0), "Blue": (0, 0, 255)}
POSITION = "explore.sample.position"


def title_of(data: Dataset, split: str, position: int, label: int) -> str:
    """What an image is called."""
    return f"{SPLITS[split]} image {position}: {data.classes[label]}"


def titles_of(data: Dataset, name: str, positions: Tensor) -> list[str]:
    """The same for several images of a split."""
    split = data.split(name)
    labels = split.labels[split.rows[positions]]
    return [title_of(data, name, at, label) for at, label in zip(positions.tolist(), labels.tolist(), strict=True)]


def open_sample(data: Dataset, split: str, position: int) -> None:
    """Open the large view. To be called at most once in a script run."""
    _go_to(split, position)
    _dialog(data)


@st.dialog("One image", width="large")
def _dialog(data: Dataset) -> None:
    if (pending := st.session_state.pop(keys.SAMPLE_NEXT, None)) is not None:
        st.session_state[keys.SAMPLE], st.session_state[POSITION] = pending
    name = st.session_state[keys.SAMPLE]
    split = data.split(name)
    last = len(split) - 1
    position = st.number_input(f"{SPLITS[name]} image (0 to {last:,})", 0, last, step=1, key=POSITION, width=220)
    images, labels = split.take(torch.tensor([position]))
    image, label = images[0], int(labels[0])
    st.header(as_text(title_of(data, name, position, label)), anchor=False)
    left, right = st.columns([2, 5])
    with left:
        _facts(image)
    with right:
        _numbers(image)
    _neighbours(data, name, position, label)
    st.markdown("**This image in code**")
    st.code(one_liner(data, name, position), language="python", wrap_lines=True)
    with st.expander("As lines that run", icon=":material/code:"):
        st.code(image_code(data, name, position), language="python")


def _facts(image: Tensor) -> None:
    channels, height, width = image.shape
    st.image(as_picture(image, max(1, SIDE // max(height, width))), output_format="PNG", alt="The image, enlarged")
    st.markdown(f"{height}×{width} pixels, {plural(channels, 'channel')}  \n"
                f"values from {int(image.min())} to {int(image.max())}, mean {image.float().mean():.1f}  \n"
                f"{percent(float((image == 0).float().mean()), 0)} of them 0")
    st.caption("0 is black, 255 is full brightness. To the network an image is nothing but these numbers, most often divided "
               "by 255.")


def _numbers(image: Tensor) -> None:
    tint = (255, 255, 255)
    channel = 0
    if image.shape[0] == 3:
        chosen = st.segmented_control("Channel", list(CHANNELS), default="Red", required=True, key="explore.sample.channel",
                                      bind="query-params")
        channel, tint = list(CHANNELS).index(chosen), CHANNELS[chosen]
    number_table(image[channel], "explore.sample.numbers", "The image as numbers", tint)


def _neighbours(data: Dataset, split: str, position: int, label: int) -> None:
    st.markdown("**Nearest training images**")
    if data.train.images[0].numel() > MOST_PIXELS:
        st.info("These images are too large to be compared pixel by pixel here.")
        return
    found = neighbours_of(data, split, position, NEIGHBOURS)
    images, labels = data.train.take(found.positions)
    others = (labels != label).tolist()
    captions = [f"{data.classes[theirs]} · {distance:.1f}" for theirs, distance in zip(
        labels.tolist(), found.distances.tolist(), strict=True)]
    picked = picture_grid(images, "explore.sample.neighbours", "Nearest training images", captions,
                          titles_of(data, "train", found.positions), others)
    st.caption("Class and distance: the root of the summed squared differences of all pixels, from 0 to 1 each. "
               f"{sum(others)} of "
               f"{len(others)} have another label (framed in red). Click one to look at it.")
    if picked is not None:
        _go_to("train", int(found.positions[picked]))
        st.rerun(scope="fragment")


def _go_to(split: str, position: int) -> None:
    st.session_state[keys.SAMPLE_NEXT] = (split, position)
