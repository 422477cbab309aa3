"""Explore data, Look: samples as points in a plane, near each other where they are alike."""

import streamlit as st
import torch

from core.data import Dataset
from core.data.explore.pca import EXACT, MOST_POINTS
from core.data.explore.tsne import FEWEST, TsneMaps
from core.figures.explore import map_chart, selected_rows
from core.wording import percent
from pages.parts.explore.cache import Mapped, map_of, tsne_maps
from pages.parts.explore.sample import SPLITS, open_sample, titles_of
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.pictures import picture_grid

METHODS = ("PCA", "t-SNE")
HELP = ("PCA turns the cloud of images so that the two directions in which they differ most lie on the page: quick, and "
        "distances "
        "mean something. t-SNE keeps neighbours together and pulls groups apart: groups mean something, the distances between "
        "them and their sizes do not.")
FEW = 2_000  # points where images are large: their pictures travel too
SHOWN = 72  # selected pictures


def map_view(server: Services, data: Dataset) -> None:
    """The map, and what is selected on it."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.segmented_control("Split", list(SPLITS), default="train", format_func=SPLITS.__getitem__,
                                    key="explore.map.split", required=True, bind="query-params")
        method = st.segmented_control("Method", METHODS, default="PCA", required=True, key="explore.map.method", help=HELP,
                                      bind="query-params")
        start = MOST_POINTS if data.train.images[0].numel() <= EXACT else FEW
        most = st.select_slider("Samples at most", (200, 500, 1000, FEW, MOST_POINTS), start, key="explore.map.most",
                                bind="query-params", width=220)
    if len(data.split(name)) < 2:
        st.info("A map needs at least two images; this split has fewer.")
        return
    mapped = map_of(data, name, most)
    points = mapped.pca.points[:, :2] if method == "PCA" else tsne_points(tsne_maps(server.settings.cache_dir), mapped)
    if points is None:
        return
    chosen = map_of_points(data, method, mapped, points, titles_of(data, name, mapped.positions),
                           f"explore.map.{data.name}.{name}", f"{SPLITS[name].lower()} images of {data.title}")
    if chosen:
        show_selected(data, name, mapped, chosen)


def map_of_points(data: Dataset, method: str, mapped: Mapped, points: torch.Tensor, titles: list[str], key: str,
                  what: str) -> list[int]:
    """The chart; which of the mapped samples are selected on it. what: of what it is, for screen readers."""
    shares = mapped.pca.explained[:2].tolist()
    said = [f"component {i + 1}: {percent(share, 1)} of the variance" for i, share in enumerate(shares)]
    axes = (said[0], said[1]) if method == "PCA" else ("", "")
    event = st.echarts_chart(map_chart(points, mapped.labels, data.classes, mapped.pictures, titles, axes), height=560,
                             on_select="rerun", key=f"{key}.{method}.{len(titles)}",
                             alt=f"Map of {len(titles)} {what} by {method}")
    shrunk = f" Images were shrunk to {percent(1 / mapped.pca.shrunk, 0)} of their width first." \
        if mapped.pca.shrunk > 1 else ""
    st.caption(f"{len(titles):,} images; hover over a point to see its picture. Click points, or press the rectangle or the "
               "lasso "
               f"above the map and drag, to see them below. Click a class's name to hide it.{shrunk}")
    return selected_rows(mapped.labels, event["selection"]["selected"])


def show_selected(data: Dataset, name: str, mapped: Mapped, chosen: list[int]) -> None:
    """The selected samples, sorted by class."""
    rows = torch.tensor(chosen)
    rows = rows[mapped.labels[rows].argsort(stable=True)]
    counts = torch.bincount(mapped.labels[rows], minlength=len(data.classes)).tolist()
    st.markdown(f"**{len(rows):,} selected**, by class: " + ", ".join(
        f"{as_text(label)}: {count:,}" for label, count in zip(data.classes, counts, strict=True) if count))
    if len(rows) > SHOWN:
        rows = rows[torch.linspace(0, len(rows) - 1, SHOWN).long()]
        st.caption(f"{SHOWN} of them, evenly drawn:")
    images, labels = data.split(name).take(mapped.positions[rows])
    picked = picture_grid(images, "explore.map.selected", "Selected images", [data.classes[i] for i in labels.tolist()],
                          titles_of(data, name, mapped.positions[rows]), smallest=56)
    if picked is not None:
        open_sample(data, name, int(mapped.positions[rows[picked]]))


def tsne_points(maps: TsneMaps, mapped: Mapped) -> torch.Tensor | None:
    """The t-SNE map if it has been made; else how far it is, or a button that asks for it."""
    features = mapped.pca.points
    found = maps.find(features)
    if found is not None:
        return found
    state = maps.state(features)
    if state is None or state.problem:
        if state is not None:
            st.error(as_text(state.problem), icon=":material/error:")
        if len(features) < FEWEST:
            st.info(f"t-SNE needs at least {FEWEST} images.")
            return None
        st.info("t-SNE is calculated in the background: about half a minute for 5,000 images, a few seconds for 500. The result "
                "is kept.", icon=":material/hourglass_empty:")
        if st.button(f"Make the map of {len(features):,} images", type="primary", icon=":material/play_arrow:",
                     key="explore.map.make"):
            maps.ask(features)
            st.rerun()
        return None

    def progress() -> None:
        now = maps.state(features)
        if now is None or now.problem:
            st.rerun()  # the whole page: it is made, or there is something to say
        elif now.share is None:
            st.progress(0.0, "Waiting for another map to be finished…")
        else:
            st.progress(now.share, f"Arranging {len(features):,} images: {percent(now.share, 0)}"
                        if now.share else "Looking for each image's neighbours…")

    st.fragment(progress, run_every=1.0)()
    return None
