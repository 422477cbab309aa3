"""Evaluate, Robustness: how accuracy falls as the images are shifted, turned, blurred and so on."""

from collections.abc import Sequence
from contextlib import suppress

import streamlit as st
import torch

from core.data import Split
from core.evaluation import asker
from core.evaluation.corruptions import CORRUPTIONS, corrupt
from core.evaluation.metrics import summarize
from core.evaluation.robustness import Point, points_of, robustness, sample
from core.evaluation.tables import robustness_csv
from core.figures.evaluation import robustness_figure
from core.figures.in_words import in_words
from core.memory import as_in_training
from core.runs import CheckpointError, StoreError
from core.runs.evaluations import load_robustness, save_robustness
from core.wording import percent
from pages.parts.evaluate.subject import CHART, EvaluatedRun, one_line, save_csv, show_pixels
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, trained_model

SIZES = (500, 1000, 2000)


def section(server: Services, found: Sequence[EvaluatedRun]) -> None:
    """The whole section."""
    st.markdown("The same images, made harder in one way at a time. Where the line falls steeply, the network relies on "
                "something "
                "that you may not be able to promise it.")
    here = [subject for subject in found if subject.data is not None]
    if len(here) < len(found):
        st.warning("The images are not on this machine, so they can't be changed and tried.", icon=":material/hide_image:")
    if not here:
        return
    _example(here[0])
    count = st.segmented_control("How many images", SIZES, default=SIZES[0], required=True, key="evaluate.robust",
                                 bind="query-params", format_func=lambda n: f"{n:,} at most",
                                 help="Drawn from the split by a seed; more take longer.")
    kept = {subject.name: load_robustness(server.store, subject.run.id, subject.predictions.images, count) for subject in here}
    missing = [subject for subject in here if kept[subject.name] is None]
    if missing:
        place = st.empty()
        if not place.button(f"Try {points_of()} changes" + (" with each model" if len(missing) > 1 else ""), type="primary",
                            key="evaluate.try", icon=":material/play_arrow:"):
            st.caption(f"{points_of()} times up to {count:,} images: seconds for a small network, a minute for a large one.")
            return
        place.empty()
        for subject in missing:
            kept[subject.name] = _measure(server, subject, count)
    named = {name: points for name, points in kept.items() if points}
    about = summarize(here[0].predictions)
    for index, kind in enumerate(CORRUPTIONS if named else ()):
        if index % 2 == 0:
            places = st.columns(2)
        figure = robustness_figure(named, kind, about.larger_share)
        places[index % 2].plotly_chart(figure, key=f"evaluate.robust.{kind}", config=CHART,
                                       alt=in_words(figure, f"Accuracy over {CORRUPTIONS[kind].title.lower()}"))
    if named:
        save_csv("All points (CSV)", lambda: robustness_csv(named), "robustness")
        st.caption(f"Bands are 95 % intervals. The dotted line is where nothing is changed. The dashed line, "
                   f"{percent(about.larger_share)}, is what always saying “{as_text(about.larger_class)}” gets: a model that "
                   "falls to it recognises nothing any more.")


def _measure(server: Services, subject: EvaluatedRun, count: int) -> list[Point] | None:
    """All points with a progress bar; kept with the run for the next time."""
    try:
        trained = trained_model(server.store, subject.run.id)
    except CheckpointError as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return None
    split = sample(_split(subject), count)
    bar, points = st.progress(0.0, f"{as_text(subject.name)}…"), []
    try:
        with as_in_training():
            for point in robustness(asker(trained.model, trained.mean, trained.std, trained.config), split):
                points.append(point)
                bar.progress(len(points) / points_of(), f"{as_text(subject.name)}: {CORRUPTIONS[point.kind].title.lower()}")
    except (RuntimeError, MemoryError) as error:
        st.error(as_text(one_line(error)), icon=":material/broken_image:")
        return None
    finally:
        bar.empty()
    with suppress(StoreError):  # a full disk: then it is measured again next time
        save_robustness(server.store, subject.run.id, subject.predictions.images, count, points)
    return points


def _split(subject: EvaluatedRun) -> Split:
    assert subject.data is not None
    return subject.data.split(subject.predictions.split)


def _example(subject: EvaluatedRun) -> None:
    """One image at every strength of one kind."""
    with st.expander("See what happens to an image", icon=":material/visibility:"):
        kind = st.selectbox("Change", list(CORRUPTIONS), format_func=lambda name: CORRUPTIONS[name].title, key="evaluate.kind",
                            bind="query-params", width=260)
        entry = CORRUPTIONS[kind]
        pixels, _ = _split(subject).take(torch.tensor([0]))
        image = pixels.float().div_(255)
        changed = torch.cat([corrupt(image, kind, strength) for strength in entry.strengths])
        st.caption(f"{entry.about} Strength in {entry.unit}.")
        lines = [f"{strength:g}" for strength in entry.strengths]
        show_pixels(changed.mul(255).round().to(torch.uint8), lines, f"example-{kind}")
