"""Explore data: what does the network get to see?"""

import streamlit as st

from core.data import DATASETS, DataError, Dataset, default_config
from core.data.download import Progress, download
from core.figures.bars import class_counts
from core.figures.images import contact_sheet
from pages.parts import draft
from pages.parts.frame import go_to, open_page
from pages.parts.run_panel import figures
from pages.parts.services import Services, dataset, services

SPLITS = {"train": "Training", "validation": "Validation", "test": "Test"}
SPLIT_HELP = ("Training images are learned from. Validation images are held back to check each epoch. Test images are looked at "
              "once, at the end, so that the result is honest.")
ALL = "All classes"
COLUMNS, ROWS = 12, 6


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


def grid(data: Dataset) -> None:
    """Images by split and class, page by page, and how many there are of each class."""
    left, middle, right = st.columns([1.4, 1, 1], vertical_alignment="bottom")
    split_name = left.segmented_control("Split", list(SPLITS), default="train", format_func=SPLITS.get, key="explore.split",
                                        help=SPLIT_HELP, required=True, persist_state="session")
    classes = [ALL, *data.classes]
    chosen = middle.selectbox("Class", classes, key="explore.class", persist_state="session")
    split = data.split(split_name)
    counts = split.counts(len(data.classes))
    found = len(split) if chosen == ALL else counts[data.classes.index(chosen)]
    pages = max(1, -(-found // (COLUMNS * ROWS)))
    page = right.number_input(f"Page (of {pages:,})", 1, pages, 1, key=f"explore.page.{data.name}.{split_name}.{chosen}")
    label = None if chosen == ALL else data.classes.index(chosen)
    positions = split.positions(label, (page - 1) * COLUMNS * ROWS, COLUMNS * ROWS)
    images, labels = split.take(positions)
    if not len(images):
        st.info("There are no images of this class in this split.")
        return
    st.image(contact_sheet(images, COLUMNS), width="stretch", output_format="PNG",
             alt=f"{len(images)} {SPLITS[split_name].lower()} images of {data.title}")
    with st.expander("Labels of these images, in rows"):
        names = [data.classes[label] for label in labels.tolist()]
        st.code("\n".join("  ".join(names[i:i + COLUMNS]) for i in range(0, len(names), COLUMNS)), language=None)
    st.subheader(f"{SPLITS[split_name]} images for each class")
    st.plotly_chart(class_counts(data.classes, counts), key="explore.counts", config={"displayModeBar": False})


open_page("Explore data")
server = services()
st.title("Explore data")
name = choose(server)
if not DATASETS[name].is_there(server.settings.data_dir):
    get_data(server, name)
    st.stop()
try:
    data = dataset(default_config(name), server.settings)
except DataError as error:
    st.error(str(error), icon=":material/broken_image:")
    st.stop()
card(name, data)
grid(data)
if st.button("Train on these images", icon=":material/model_training:", key="explore.train"):
    draft.take_data(default_config(name))
    go_to("pages/train_model.py")
