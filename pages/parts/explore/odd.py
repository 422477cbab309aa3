"""Explore data, Look: images that do not look like their class, and the same image under two labels."""

import streamlit as st
import torch

from core.data import Dataset
from core.data.explore.neighbours import picture_at
from core.data.explore.odd_ones import COMPONENTS, NEIGHBOURS, OddOne
from core.data.explore.pca import MOST_POINTS
from pages.parts.explore.cache import duplicates_of, odd_ones_of
from pages.parts.explore.sample import SPLITS, open_sample, title_of
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.pictures import picture_grid

WAYS = {
    "among": ("Among other classes", f"Most of their {NEIGHBOURS} nearest neighbours have another label (fewer where their class "
              "has not so many others): written oddly, or labelled wrongly. Those with the closest neighbours come first."),
    "far": ("Far from their class", "Furthest from the mean of their class, compared with how far its images usually are: "
                                    "unusually "
            "thick, thin, slanted, bright, or not that class at all."),
    "same": ("Same image, other label", "The same pixels twice with two labels: at least one label is wrong, and no network "
                                        "can get "
             "both right."),
}
SHOWN = 24


def odd_view(server: Services, data: Dataset) -> None:
    """One way of being odd."""
    way = st.segmented_control("What is odd", list(WAYS), default="among", required=True, key="explore.odd",
                               bind="query-params", format_func=lambda way: WAYS[way][0])
    st.markdown(WAYS[way][1])
    if way == "same":
        same_images(data)
        return
    name = st.segmented_control("Split", list(SPLITS), default="train", format_func=SPLITS.__getitem__, key="explore.odd.split",
                                required=True, bind="query-params")
    if len(data.split(name)) < 3:
        st.info("To say what is odd takes at least three images; this split has fewer.")
        return
    show_odd(data, name, odd_ones_of(data, name, way))


def show_odd(data: Dataset, name: str, found: list[OddOne]) -> None:
    """Odd images with their label, what they are like instead, and why."""
    split = data.split(name)
    if not found:
        st.success("None found.", icon=":material/check_circle:")
        return
    images, _ = split.take(torch.tensor([one.position for one in found]))
    captions = [data.classes[one.label] + (f", like {data.classes[one.other]}" if one.other != one.label else "")
                for one in found]
    titles = [f"{title_of(data, name, one.position, one.label)}. {one.why}" for one in found]
    picked = picture_grid(images, "explore.odd.grid", "Odd images", captions, titles, smallest=92)
    whole = f"{MOST_POINTS:,} images drawn from the {len(split):,}" if len(split) > MOST_POINTS else f"all {len(split):,} images"
    st.caption(f"Compared on the first {COMPONENTS} principal components of {whole}. Hover for the reason; click to open one.")
    with st.expander("The reasons, as a list"):
        st.markdown("\n".join(f"1. {as_text(title)}." for title in titles))
    if picked is not None:
        open_sample(data, name, found[picked].position)


def same_images(data: Dataset) -> None:
    """Equal images with different labels, and how many equal ones there are at all."""
    found = duplicates_of(data)
    if not found.conflicting:
        st.success("None found: no two equal images of this data set have different labels.", icon=":material/check_circle:")
    places = [place for group in found.conflicting[:SHOWN] for place in group]
    if places:
        st.warning(f"{len(found.conflicting):,} images are there with more than one label.", icon=":material/warning:")
        images = torch.stack([picture_at(data, place) for place in places])
        picked = picture_grid(images, "explore.odd.same", "Equal images with different labels",
                              [data.classes[place.label] for place in places],
                              [title_of(data, place.split, place.position, place.label) for place in places], smallest=92)
        if picked is not None:
            open_sample(data, places[picked].split, places[picked].position)
    if found.copies:
        st.markdown(f"{found.copies:,} images are exact copies of another one; {found.across:,} images are in more than one "
                    "split. What "
                    "is learned from and tested on says nothing about new images.")
    else:
        st.markdown("There are no exact copies either, neither within a split nor across splits.")
