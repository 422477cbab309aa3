"""Evaluate, Overview: could you do better? The reader guesses the model's surest mistakes before it says what they are."""

import numpy as np
import streamlit as st
import torch

from core.evaluation.metrics import summarize
from core.figures.images import as_picture
from core.wording import percent
from pages.parts.evaluate.subject import PICTURE, EvaluatedRun
from pages.parts.shell.markdown import as_text

LARGE = 2  # times as large as the pictures of the mistakes
MOST_AT_A_GLANCE = 12  # classes that are a button each


def guessing(subject: EvaluatedRun, positions: np.ndarray) -> bool:
    """A switch; while it is on, one image after the other, and both scores once all are guessed. Returns whether what they are
    must stay hidden."""
    key, said = _key(subject), _said(subject)
    if not st.toggle("Could you do better? Guess them first", key=f"{key}.on"):
        return False
    left = [place for place in positions.tolist() if place not in said]
    if left:
        _ask(subject, left[0], len(positions) - len(left) + 1, len(positions))
        return True
    right = sum(said[place] == subject.predictions.targets[place] for place in positions.tolist())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**You: {right} of {len(positions)}**, as they are labelled. **The model: 0 of {len(positions)}**, since "
                    f"these are its mistakes; of all images it has {percent(summarize(subject.predictions).accuracy)} right."
                    + (" Where you and a label differ, the label may be what is wrong." if right < len(positions) else ""))
        st.button("Guess again", icon=":material/replay:", key=f"{key}.again", on_click=said.clear)
    return False


def guesses(subject: EvaluatedRun, positions: np.ndarray) -> list[str]:
    """What the reader has said of each, to stand below it; "" where nothing."""
    said, classes = _said(subject), subject.predictions.classes
    return [f"you: {as_text(classes[said[place]])}" if place in said else "" for place in positions.tolist()]


def _ask(subject: EvaluatedRun, place: int, number: int, count: int) -> None:
    """One image, and its classes to choose from."""
    assert subject.data is not None  # without its images nobody is asked
    key, predictions = f"{_key(subject)}.{place}", subject.predictions
    pixels, _ = subject.data.split(predictions.split).take(torch.tensor([place]))
    scale = LARGE * max(1, PICTURE // max(pixels.shape[2:]))
    what = f"Image {number} of {count}: what is it?"

    def keep() -> None:
        if st.session_state[key] is not None:
            _said(subject)[place] = st.session_state[key]

    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.image(as_picture(pixels[0], scale), width=LARGE * PICTURE, output_format="PNG", alt=f"Image {number}, to be guessed")
        with st.container(width="stretch"):
            choices = list(range(len(predictions.classes)))
            if len(choices) <= MOST_AT_A_GLANCE:
                st.pills(what, choices, format_func=predictions.classes.__getitem__, key=key, on_change=keep)
            else:
                st.selectbox(what, choices, index=None, format_func=predictions.classes.__getitem__, key=key, on_change=keep)


def _key(subject: EvaluatedRun) -> str:
    return f"evaluate.guess.{subject.run.id}.{subject.predictions.split}"


def _said(subject: EvaluatedRun) -> dict[int, int]:
    """Position → class, in this session."""
    return st.session_state.setdefault(f"{_key(subject)}.said", {})
