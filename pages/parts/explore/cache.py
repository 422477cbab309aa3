"""What Explore data calculates, kept for all sessions while the data stays the same. Results are shared: only to be read."""

from collections.abc import Callable
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

SAME: dict[str | type[Any], Callable[[Any], Any]] = {Dataset: fingerprint}


@dataclass(frozen=True)
class Mapped:
    """Samples on a map. positions, labels: (N,); pictures: data URIs; pca: 50 components."""

    positions: Tensor
    labels: Tensor
    pictures: list[str]
    pca: Pca


@st.cache_resource(max_entries=16, show_spinner=False, hash_funcs=SAME)
def counts_of(data: Dataset, split: str) -> np.ndarray:
    """(C, 256): how often each pixel value occurs in each channel."""
    return pixel_counts(data.split(split))


@st.cache_resource(max_entries=6, show_spinner="Averaging the images…", hash_funcs=SAME)
def moments_of(data: Dataset, split: str) -> ClassMoments:
    return class_moments(data.split(split), len(data.classes))


@st.cache_resource(max_entries=4, show_spinner="Making the map…", hash_funcs=SAME)
def map_of(data: Dataset, split: str, most: int) -> Mapped:
    positions = some_positions(data.split(split), most)
    images, labels = data.split(split).take(positions)
    return Mapped(positions, labels, thumbnails(images), pca(images, COMPONENTS))


@st.cache_resource(max_entries=8, show_spinner="Looking for odd ones…", hash_funcs=SAME)
def odd_ones_of(data: Dataset, split: str, way: str) -> list[OddOne]:
    """way: "far" or "among"."""
    return (far_from_class if way == "far" else among_others)(data.split(split), data.classes)


@st.cache_resource(max_entries=4, show_spinner="Comparing all images…", hash_funcs=SAME)
def duplicates_of(data: Dataset) -> Duplicates:
    return duplicates(data)


@st.cache_resource(max_entries=64, show_spinner="Comparing with all training images…", hash_funcs=SAME)
def neighbours_of(data: Dataset, split: str, position: int, count: int) -> Neighbours:
    """The nearest training images of an image of any split."""
    image = picture_at(data, Place(split, position, 0))
    return nearest(data.train, image, count, leave_out=position if split == "train" else None)


@st.cache_resource(max_entries=4, show_spinner=False)
def tsne_maps(cache: Path) -> TsneMaps:
    """The server's maker of t-SNE maps for a cache directory."""
    return TsneMaps(cache)
