"""Explore data, Look: the images by split and class, and how many there are of each."""

import streamlit as st

from core.data import Dataset
from core.figures.bars import class_counts
from core.figures.images import contact_sheet
from pages.parts.services import Services

SPLITS = {"train": "Training", "validation": "Validation", "test": "Test"}
SPLIT_HELP = ("Training images are learned from. Validation images are held back to check each epoch. Test images are looked at "
              "once, at the end, so that the result is honest.")
ALL = "All classes"
COLUMNS, ROWS = 12, 6


def section(server: Services, data: Dataset) -> None:
    """The whole section."""
    grid(data)


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
