"""Explore data, Look: the images, their classes and pixels, a map of them, and odd ones. One view at a time."""

import streamlit as st

from core.data import Dataset
from core.data.explore.browse import find_classes, find_images
from pages.parts.explore.classes import classes_view, pixels_view
from pages.parts.explore.map import map_view
from pages.parts.explore.odd import odd_view
from pages.parts.explore.sample import SPLITS, open_sample, titles_of
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.pictures import picture_grid

SPLIT_HELP = ("Training images are learned from. Validation images are held back to check each epoch. Test images are looked at "
              "once, at the end, so that the result is honest.")
ALL = "All classes"
PER_PAGE = 72


def section(server: Services, data: Dataset) -> None:
    """One view of the data."""
    chosen = st.segmented_control("View", list(VIEWS), default=next(iter(VIEWS)), required=True, key="explore.view",
                                  bind="query-params", label_visibility="collapsed")
    VIEWS[chosen](server, data)


def choose_split(key: str) -> str:
    """Which part of the data."""
    return st.segmented_control("Split", list(SPLITS), default="train", format_func=SPLITS.__getitem__, key=key, help=SPLIT_HELP,
                                required=True, persist_state="session")


def pictures_view(server: Services, data: Dataset) -> None:
    """Images by split and class, page by page; a click opens one."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = choose_split("explore.split")
        text = st.text_input("Find a class", placeholder="3, or shirt", key="explore.search",
                             bind="query-params", max_chars=100, width=110)
        matching = find_classes(data.classes, text)
        every = ALL if len(matching) == len(data.classes) else f"All {len(matching)} found"
        # the words of the search in the key: a class chosen before may not be among those found now
        chosen = st.selectbox("Class", [every, *(data.classes[label] for label in matching)], width=130,
                              key="explore.class" if every == ALL else f"explore.class.{text}", bind="query-params")
        seed = st.number_input("Shuffle seed", 0, 2**31 - 1, 0, key="explore.seed", bind="query-params", width=136,
                               help="0 shows the images in the order of the file. Any other number shuffles them; the same "
                                    "number "
                                    "always gives the same order.")
        labels = matching if chosen == every else [data.classes.index(chosen)]
        found = find_images(data.split(name), None if len(labels) == len(data.classes) else labels, seed)
        pages = max(1, -(-len(found) // PER_PAGE))
        page = st.number_input(f"Page (of {pages:,})", 1, pages, 1, width=136,
                               key=f"explore.page.{data.name}.{name}.{','.join(map(str, labels))}")
    if not matching:
        st.info(as_text(f"No class has “{text}” in its name. The classes are: {', '.join(data.classes[:30])}."))
        return
    show_page(data, name, found[(page - 1) * PER_PAGE:page * PER_PAGE])


def show_page(data: Dataset, name: str, positions) -> None:
    """One page of the grid, and another way to open an image."""
    if not len(positions):
        st.info("There are no images of this class in this split.")
        return
    images, labels = data.split(name).take(positions)
    picked = picture_grid(images, "explore.grid", f"{SPLITS[name]} images of {data.title}",
                          titles=titles_of(data, name, positions), smallest=56)
    st.caption("Click a picture to see it large, with its numbers and the images most like it.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        last = len(data.split(name)) - 1
        number = st.number_input(f"Image number (0 to {last:,})", 0, last, int(positions[0]), width=200,
                                 key=f"explore.number.{data.name}.{name}.{int(positions[0])}")
        opened = st.button("Open this image", icon=":material/zoom_in:", key="explore.open")
    with st.expander("Labels of these images"):
        st.code("  ".join(data.classes[label] for label in labels.tolist()), language=None, wrap_lines=True)
    if picked is not None or opened:
        open_sample(data, name, number if picked is None else int(positions[picked]))


VIEWS = {"Pictures": pictures_view, "Classes": classes_view, "Pixels": pixels_view, "Map": map_view, "Odd ones": odd_view}
