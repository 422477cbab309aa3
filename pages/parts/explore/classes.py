"""Explore data, Look: how many images each class has, what they look like on average, and what values their pixels take."""

import streamlit as st

from core.config import DataConfig
from core.data import Dataset, fixed_normalization
from core.data.statistics import class_balance, moments, pixel_histogram
from core.figures.explore import balance_chart, pixel_chart
from core.figures.in_words import in_words
from core.figures.pictures import to_bytes
from pages.parts.explore.cache import counts_of, moments_of
from pages.parts.explore.sample import SPLITS
from pages.parts.shell.services import Services
from pages.parts.widgets.pictures import picture_grid

STILL = {"displayModeBar": False}
NORMALIZATIONS = {"none": "0 to 1", "half": "−1 to 1", "standard": "mean 0, standard deviation 1",
                  "imagenet": "as for ImageNet"}


def classes_view(server: Services, data: Dataset) -> None:
    """Class balance, mean and variance images."""
    counts = class_balance(data)
    st.header("How many images of each class", anchor=False)
    figure = balance_chart(data.classes, {SPLITS[name]: values for name, values in counts.items()})
    st.plotly_chart(figure, key="explore.balance",
                    config=STILL, alt=in_words(figure, "Images of each class"))
    fewest, most = min(counts["train"]), max(counts["train"])
    times = f", {most / fewest:.1f} times as many" if fewest else ""
    st.caption(f"The dotted line is an even share. In training the smallest class has {fewest:,} images and the largest {most:,}"
               f"{times}. A network sees little of a small class, and accuracy hardly punishes it for missing that class.")
    found = moments_of(data, "train")
    captions = [f"{name} ({count:,})" for name, count in zip(data.classes, found.counts.tolist(), strict=True)]
    st.header("The mean image of each class", anchor=False)
    picture_grid(to_bytes(found.mean), "explore.means", "Mean images", captions, smallest=72, pick=False)
    st.caption("Each pixel's mean over all training images of the class. Sharp where its images agree, blurred where they "
               "differ.")
    st.header("Where the images of a class differ", anchor=False)
    largest = float(found.variance.nan_to_num().max()) or 1.0
    picture_grid(to_bytes(found.variance / largest), "explore.variances", "Variance images", captions, smallest=72, pick=False)
    st.caption(f"Each pixel's variance: black where all images of the class agree, white at the largest of all classes, "
               f"{largest:.3f} for pixels from 0 to 1 (0.25 is the most there can be: half of them black, half white).")


def pixels_view(server: Services, data: Dataset) -> None:
    """The pixel histogram before and after normalisation."""
    counts = counts_of(data, "train")
    kind = st.segmented_control("Normalisation", list(NORMALIZATIONS), default="standard", required=True,
                                format_func=NORMALIZATIONS.__getitem__, key="explore.normalization", bind="query-params")
    channels = len(counts)
    mean, std = fixed_normalization(DataConfig.model_validate({"normalization": kind}), channels) or moments(counts)
    before, after = pixel_histogram(counts), pixel_histogram(counts, mean, std)
    left, right = st.columns(2)
    for place, title, histogram, key in ((left, "Before: the bytes of the file", before, "before"),
                                         (right, "After: what the network gets", after, "after")):
        with place:
            st.markdown(f"**{title}**")
            figure = pixel_chart(histogram, "pixel value")
            st.plotly_chart(figure, key=f"explore.pixels.{key}", config=STILL,
                            alt=in_words(figure, "How often each pixel value occurs"))
            st.markdown(f"mean **{round(histogram.mean, 4) + 0.0:.4f}**, standard deviation **{histogram.std:.4f}**")
    st.caption("All pixels of the training images; the axis of counts is logarithmic. Red: the mean, dotted: one standard "
               "deviation to "
               "each side. Normalising moves and stretches the values, it does not change the shape: networks often learn "
               "faster from numbers around 0 and about 1 in size.")
    st.code(_code(mean, std, kind), language="python", wrap_lines=True)


def _code(mean: tuple[float, ...], std: tuple[float, ...], kind: str) -> str:
    if kind == "none":
        return "transforms.ToTensor()  # bytes / 255: from 0 to 1"
    shown = [", ".join(f"{value:.4g}" for value in values) + ("," if len(values) == 1 else "") for values in (mean, std)]
    return f"transforms.Compose([transforms.ToTensor(), transforms.Normalize(({shown[0]}), ({shown[1]}))])"
