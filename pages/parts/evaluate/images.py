"""Evaluate, Images: the mistakes it was surest of, the right answers it was least sure of, and some at random."""

from collections.abc import Sequence

import streamlit as st
import torch

from core.evaluation.mistakes import confident_mistakes, random_images, unsure_successes
from core.runs import CheckpointError
from pages.parts.evaluate.subject import EvaluatedRun, caption, columns, show_images
from pages.parts.explain.section import why_section
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, trained_model

MISTAKES, UNSURE, RANDOM = "Surest mistakes", "Least sure, yet right", "At random"
OTHER = -1  # the choice that is none of the images above
ABOUT = {
    MISTAKES: "What it got wrong while being sure. Would you have known? Some may be mistakes of those who labelled them.",
    UNSURE: "What it got right only just.",
    RANDOM: "What it is like on an average image. Another seed, other images; the same for all models.",
}


def section(server: Services, found: Sequence[EvaluatedRun]) -> None:
    """The whole section."""
    kind = st.segmented_control("Which images", list(ABOUT), default=MISTAKES, required=True, key="evaluate.images",
                                bind="query-params")
    with st.container(horizontal=True):
        count = st.number_input("How many", 1, 60, 10, 5, key="evaluate.count", bind="query-params", width=140)
        seed = st.number_input("Seed", 0, 9999, 0, key="evaluate.seed", bind="query-params", width=140,
                               help="Decides which images are drawn.") if kind == RANDOM else 0
    st.caption(ABOUT[kind] + " Below each image: what it is, what the model said, and how sure it was.")
    shown: dict[str, list[int]] = {}
    for place, subject in zip(columns(found), found, strict=True):
        with place:
            predictions = subject.predictions
            if kind == RANDOM:
                positions = random_images(predictions, int(count), int(seed))
            else:
                positions = (confident_mistakes if kind == MISTAKES else unsure_successes)(predictions, int(count))
            if not len(positions):
                st.success("Not a single mistake on these images." if kind == MISTAKES else "Not a single right answer.",
                           icon=":material/check:" if kind == MISTAKES else ":material/close:")
                continue
            wrong = int((~predictions.correct[positions]).sum())
            if kind == RANDOM:
                st.markdown(f"{len(positions) - wrong} of {len(positions)} are right.")
            show_images(subject, positions, f"images-{kind.split()[0].lower()}-{subject.run.id[:8]}")
            shown[subject.name] = positions.tolist()
    _why(server, found, shown)


def _why(server: Services, found: Sequence[EvaluatedRun], shown: dict[str, list[int]]) -> None:
    """One image, of those above or any other by its number, and what its answer depends on."""
    usable = {subject.name: subject for subject in found if subject.data is not None}
    if not usable:
        return
    st.divider()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = next(iter(usable)) if len(usable) == 1 else st.selectbox("Ask", list(usable), key="evaluate.why.model",
                                                                        bind="query-params", width=300)
        subject, above = usable[name], shown.get(name, [])
        count = len(subject.predictions)
        stamp = f"{subject.run.id}.{subject.predictions.split}"
        lines = {place: f"{place}: {caption(subject.predictions, place)}" for place in above} | {OTHER: "another, by its number"}
        position = st.selectbox("Image", [*above, OTHER], format_func=lines.__getitem__, width=280,
                                key=f"evaluate.why.image.{stamp}.{'.'.join(map(str, above))}")
        if position == OTHER:
            position = int(st.number_input(f"Number (0 to {count - 1:,})", 0, count - 1, key=f"evaluate.why.number.{stamp}",
                                           width=160))
    assert subject.data is not None  # only such ones are usable
    try:
        model = trained_model(server.store, subject.run.id)
    except CheckpointError as error:
        st.error(as_text(str(error)), icon=":material/broken_image:")
        return
    pixels, _ = subject.data.split(subject.predictions.split).take(torch.tensor([position]))
    why_section(model, pixels[0].float() / 255, "evaluate.why", subject.data, subject.run.id)
