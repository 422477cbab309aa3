"""Evaluate, Images: the mistakes it was surest of, the right answers it was least sure of, and some at random."""

from collections.abc import Sequence

import streamlit as st

from core.evaluation.mistakes import confident_mistakes, random_images, unsure_successes
from pages.parts.evaluate_subject import Subject, columns, show_images
from pages.parts.services import Services

MISTAKES, UNSURE, RANDOM = "Surest mistakes", "Least sure, yet right", "At random"
ABOUT = {
    MISTAKES: "What it got wrong while being sure. Would you have known? Some are mistakes of those who labelled them.",
    UNSURE: "What it got right only just.",
    RANDOM: "What it is like on an average image. Another seed, other images; the same for all models.",
}


def section(server: Services, found: Sequence[Subject]) -> None:
    """The whole section."""
    kind = st.segmented_control("Which images", list(ABOUT), default=MISTAKES, required=True, key="evaluate.images",
                                persist_state="session")
    with st.container(horizontal=True):
        count = st.number_input("How many", 1, 60, 10, 5, key="evaluate.count", persist_state="session", width=140)
        seed = st.number_input("Seed", 0, 9999, 0, key="evaluate.seed", persist_state="session", width=140,
                               help="Decides which images are drawn.") if kind == RANDOM else 0
    st.caption(ABOUT[kind] + " Below each image: what it is, what the model said, and how sure it was.")
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
            wrong = int((~predictions.right[positions]).sum())
            if kind == RANDOM:
                st.markdown(f"{len(positions) - wrong} of {len(positions)} are right.")
            show_images(subject, positions, f"images-{kind.split()[0].lower()}-{subject.run.id[:8]}")
