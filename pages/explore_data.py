"""Explore data: what does the network get to see?"""

import streamlit as st

from core.data import DATASETS, DataError, Dataset, default_config
from core.data.download import Progress, download
from pages.parts import draft, explore_look, explore_points
from pages.parts.frame import go_to, open_page
from pages.parts.run_panel import figures
from pages.parts.services import Services, dataset, services

# Title → (icon, what draws it). A section draws what it is asked for and nothing else, so each is as fast as if it were alone.
SECTIONS = {
    "Look": (":material/grid_view:", explore_look.section),
}


def choose(server: Services) -> str:
    """The data set; the one of the draft first."""
    names = list(DATASETS)
    current = draft.draft(server.settings).data.dataset
    return st.segmented_control("Data set", names, default=current if current in names else names[0], required=True,
                                format_func=lambda name: DATASETS[name].title, key="explore.dataset", persist_state="session")


def get_data(server: Services, name: str) -> None:
    """For a data set that is not there: what to do, and a button that does it."""
    spec = DATASETS[name]
    st.info(f"{spec.title} is not on this machine yet ({spec.download_mb} MB). Download it here, or put its files into "
            f"the folder {spec.folder} of the data directory. Without internet, choose “{DATASETS['digits'].title}”.",
            icon=":material/cloud_download:")
    if st.button(f"Download {spec.title}", type="primary", icon=":material/download:", key="explore.download"):
        bar = st.progress(0.0, "Connecting…")

        def show(progress: Progress) -> None:
            bar.progress(progress.share, f"{progress.file}: {progress.megabytes:.1f} MB of {progress.total_megabytes:.1f} MB")

        try:
            download(name, server.settings.data_dir, show)
        except DataError as error:
            bar.empty()
            st.error(str(error), icon=":material/cloud_off:")
            return
        st.rerun()


def card(name: str, data: Dataset) -> None:
    """What it is and where it comes from."""
    spec = DATASETS[name]
    st.markdown(spec.summary)
    channels, height, width = data.input_shape
    copies = default_config(name).variations
    varied = f"Includes {copies} copies of each image as other hands might have written it: slanted, turned, with a thinner pen."
    figures({
        "Training images": (f"{len(data.train):,}", varied if copies else None),
        "Validation images": (f"{len(data.validation):,}", None),
        "Test images": (f"{len(data.test):,}", None),
        "One image": (f"{height}×{width}", f"{channels} channel{'s' * (channels > 1)} of {height}×{width} pixels, each a number "
                      "from 0 (black) to 255 (white)."),
    })
    st.caption(f"Source: {spec.source}. Licence: {spec.licence}.")


open_page("Explore data")
server = services()
st.title("Explore data")
name = choose(server)
if not DATASETS[name].is_there(server.settings.data_dir):
    get_data(server, name)
    st.stop()
if DATASETS[name].kind == "points":
    explore_points.page(server, name)
    st.stop()
try:
    data = dataset(default_config(name), server.settings)
except DataError as error:
    st.error(str(error), icon=":material/broken_image:")
    st.stop()
card(name, data)
chosen = st.segmented_control("Section", list(SECTIONS), default=next(iter(SECTIONS)), required=True, key="explore.section",
                              format_func=lambda title: f"{SECTIONS[title][0]} {title}", persist_state="session",
                              label_visibility="collapsed")
SECTIONS[chosen][1](server, data)
if st.button("Train on these images", icon=":material/model_training:", key="explore.train"):
    draft.take_data(default_config(name))
    go_to("pages/train_model.py")
