"""What Explore data calculates, kept for all sessions while the data stays the same. Results are shared: only to be read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from torch import Tensor

from core.data import Dataset
from core.data.explore.browse import fingerprint
from core.data.explore.neighbours import Duplicates, Neighbours, Place, duplicates, nearest, picture_at
from core.data.explore.odd_ones import OddOne, among_others, far_from_class
from core.data.explore.pca import Pca, pca, some_positions
from core.data.explore.tsne import COMPONENTS, TsneMaps
from core.data.statistics import ClassMoments, class_moments, pixel_counts
from core.figures.pictures import thumbnails
from core.memory import drop_mapped_pages

SAME: dict[str | type[Any], Callable[[Any], Any]] = {Dataset: fingerprint}


@dataclass(frozen=True)
class Mapped:
    """Samples on a map. positions, labels: (N,); pictures: data URIs; pca: 50 components."""

    positions: Tensor
    labels: Tensor
    pictures: list[str]
    pca: Pca


@contextmanager
def read_once(data: Dataset, split: str) -> Iterator[None]:
    """For a look at all images of a split, whose answer is kept: their pages leave the memory at once, as the few of a page do
    a second later (core.memory.MappedData)."""
    yield
    drop_mapped_pages(data.split(split).images)


@st.cache_resource(max_entries=16, show_spinner=False, hash_funcs=SAME)
def counts_of(data: Dataset, split: str) -> np.ndarray:
    """(C, 256): how often each pixel value occurs in each channel."""
    with read_once(data, split):
        return pixel_counts(data.split(split))


@st.cache_resource(max_entries=6, show_spinner="Averaging the images…", hash_funcs=SAME)
def moments_of(data: Dataset, split: str) -> ClassMoments:
    with read_once(data, split):
        return class_moments(data.split(split), len(data.classes))


@st.cache_resource(max_entries=4, show_spinner="Making the map…", hash_funcs=SAME)
def map_of(data: Dataset, split: str, most: int) -> Mapped:
    positions = some_positions(data.split(split), most)
    with read_once(data, split):
        images, labels = data.split(split).take(positions)
    return Mapped(positions, labels, thumbnails(images), pca(images, COMPONENTS))


@st.cache_resource(max_entries=8, show_spinner="Looking for odd ones…", hash_funcs=SAME)
def odd_ones_of(data: Dataset, split: str, way: str) -> list[OddOne]:
    """way: "far" or "among"."""
    with read_once(data, split):
        return (far_from_class if way == "far" else among_others)(data.split(split), data.classes)


@st.cache_resource(max_entries=4, show_spinner="Comparing all images…", hash_funcs=SAME)
def duplicates_of(data: Dataset) -> Duplicates:
    with read_once(data, "train"), read_once(data, "test"):
        return duplicates(data)


@st.cache_resource(max_entries=64, show_spinner="Comparing with all training images…", hash_funcs=SAME)
def neighbours_of(data: Dataset, split: str, position: int, count: int) -> Neighbours:
    """The nearest training images of an image of any split."""
    image = picture_at(data, Place(split, position, 0))
    with read_once(data, "train"):
        return nearest(data.train, image, count, leave_out=position if split == "train" else None)


@st.cache_resource(max_entries=4, show_spinner=False)
def tsne_maps(cache: Path) -> TsneMaps:
    """The server's maker of t-SNE maps for a cache directory."""
    return TsneMaps(cache)
