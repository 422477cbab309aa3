"""Explore data: what does the network get to see?"""

from core.process import configure

configure("server")

from typing import Any

import streamlit as st

from core.config import DataConfig
from core.data import DATASETS, DataError, Dataset, available, default_config, is_own, spec_of
from core.data.statistics import memory_bytes, moments
from core.wording import plural, size_of_bytes
from pages.parts.draft import address, draft
from pages.parts.explore import batches, combine, own, points, transform
from pages.parts.explore import look as explore_look
from pages.parts.explore.cache import counts_of
from pages.parts.runs.download import download_button
from pages.parts.shell import keys, lesson
from pages.parts.shell.frame import go_to, open_page
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset, services
from pages.parts.widgets.address import keep_choice, take_choice
from pages.parts.widgets.metrics import metrics_row

COMBINE, OWN = "Combine", "Bring your own"  # have buttons of their own for what they make
DATASET, SECTION = keys.EXPLORED, "explore.section"  # keys that explore_own.look_at sets too
# Title → (icon, what draws it). A section draws what it is asked for and nothing else, so each is as fast as if it were alone.
SECTIONS = {
    "Look": (":material/grid_view:", explore_look.section),
    "Transform": (":material/transform:", transform.section),
    "Batches": (":material/view_module:", batches.section),
    COMBINE: (":material/join:", combine.section),
    OWN: (":material/add_photo_alternate:", own.section),
}


def choose(server: Services) -> str:
    """The data set; the one of the draft first."""
    current = draft.draft(server).data.dataset
    known = available(server.settings.data_dir, server.actor, [current, st.session_state.get(DATASET, "")])
    names = [name for name, spec in known.items() if spec.kind != "text"]  # texts have a lab of their own
    if lesson.is_fixed("data.dataset"):
        names = [current]
    usual = current if current in names else names[0]
    take_choice(DATASET, names, usual)
    if st.session_state.get(DATASET) not in names:
        st.session_state.pop(DATASET, None)  # it has been deleted
    first: dict[str, Any] = {} if DATASET in st.session_state else {"index": names.index(usual)}

    def said(name: str) -> str:
        spec = known[name]
        what = "points" if spec.kind == "points" else "{1}×{2} images".format(*spec.input_shape)
        there = spec.is_available(server.settings.data_dir)
        return f"{spec.title} · {what}" + ("" if there else f" · not here yet, {spec.download_mb} MB")

    name = st.selectbox("Data set", names, **first, format_func=said, key=DATASET, persist_state="session", width=460,
                        help="Images to recognise, or points computed from a formula. Texts have a page of their own.")
    keep_choice(DATASET, name, usual)
    return name


def get_data(server: Services, name: str) -> None:
    """For a data set that is not there: what to do, and a button that does it."""
    spec = DATASETS[name]
    st.info(f"{spec.title} is not on this machine yet ({spec.download_mb} MB). Download it here, or put its files into "
            f"the folder {spec.folder} of the data directory. Without internet, choose “{DATASETS['digits'].title}”.",
            icon=":material/cloud_download:")
    download_button(server, name, "explore.download")


def looked_at(name: str) -> DataConfig:
    """A data set as this page shows it: as one starts with it, but of what people have drawn no more than that."""
    config = default_config(name)
    return config.model_copy(update={"variations": 0}) if is_own(name) else config


def card(name: str, data: Dataset) -> None:
    """What it is and where it comes from."""
    spec = spec_of(name)
    st.markdown(spec.summary)
    channels, height, width = data.input_shape
    copies = looked_at(name).variations
    varied = (f"Includes {copies} copies of each image as other hands might have written it: slanted, turned, with a thinner "
              "pen; two fifths of them are written anew by a program, with flags, feet and tails of other hands.")
    metrics_row({
        "Training images": (f"{len(data.train):,}", varied if copies else None),
        "Validation images": (f"{len(data.validation):,}", None),
        "Test images": (f"{len(data.test):,}", None),
        "One image": (f"{height}×{width}", f"{plural(channels, 'channel')} of {height}×{width} pixels, each a number "
                      "from 0 (black) to 255 (white)."),
    })
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(facts(data) + f" · licence: {spec.licence} · source: {as_text(spec.source)}.")
        if spec.citation:
            with st.popover("How to cite", icon=":material/format_quote:", type="tertiary"):
                st.code(spec.citation, language=None, wrap_lines=True)


def facts(data: Dataset) -> str:
    """Classes, mean, deviation and memory in one line."""
    mean, std = (" / ".join(f"{value:.4f}" for value in values)
                 for values in moments(counts_of(data, "train") + counts_of(data, "validation")))
    colours = ", for red / green / blue" if data.input_shape[0] == 3 else ""
    return (f"{len(data.classes)} classes · mean {mean} and standard deviation {std} of pixels from 0 to 1 (training "
            f"and validation images{colours}) · {size_of_bytes(memory_bytes(data))} in memory")


open_page("Explore data")
server = services()
st.title("Explore data")
name = choose(server)
address.keep()
if not spec_of(name, server.settings.data_dir).is_available(server.settings.data_dir):
    get_data(server, name)
    if lesson.parts("explore_data", [OWN]):
        own.section(server, None)
    st.stop()
if spec_of(name, server.settings.data_dir).kind == "points":
    points.page(server, name)
    st.stop()
try:
    data = dataset(looked_at(name), server.settings)
except DataError as error:
    st.error(as_text(str(error)), icon=":material/broken_image:")
    st.stop()
card(name, data)
offered = lesson.parts("explore_data", list(SECTIONS))
take_choice(SECTION, offered, offered[0])
if st.session_state.get(SECTION) not in offered:
    st.session_state.pop(SECTION, None)
first: dict[str, Any] = {} if SECTION in st.session_state else {"default": offered[0]}
chosen = st.segmented_control("Section", offered, **first, required=True, key=SECTION,
                              format_func=lambda title: f"{SECTIONS[title][0]} {title}", persist_state="session",
                              label_visibility="collapsed")
keep_choice(SECTION, chosen, offered[0])
SECTIONS[chosen][1](server, data)
to_train = chosen not in {COMBINE, OWN} and lesson.shows("pages/train_model.py")
if to_train and st.button("Train on these images", icon=":material/model_training:", key="explore.train"):
    draft.take_data(default_config(name))
    go_to("pages/train_model.py")
