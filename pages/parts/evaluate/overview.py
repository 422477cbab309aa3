"""Evaluate, Overview: how often it is right, the mistakes it was surest of, and what it takes for what, with the images."""

from collections.abc import Sequence

import streamlit as st

from core.data.sources import kind_of
from core.evaluation.metrics import summarize
from core.evaluation.mistakes import confident_mistakes
from core.wording import percent, worded
from pages.parts.evaluate import confusion
from pages.parts.evaluate.guessing import guesses, guessing
from pages.parts.evaluate.subject import EvaluatedRun, columns, has_images, show_images
from pages.parts.evaluate.whose import about_mine
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services

MISTAKES = 10


def section(server: Services, found: Sequence[EvaluatedRun]) -> None:
    """The whole section."""
    for place, subject in zip(columns(found), found, strict=True):
        with place:
            _in_a_line(subject)
            if _mistakes(subject, alone=len(found) == 1):
                st.caption(":material/visibility_off: What it takes for what is shown once you have guessed them all.")
                continue
            st.markdown("## What it takes for what")
            kind = "images" if has_images(subject) else kind_of(subject.run.config.data.dataset)
            here = subject.data is not None
            st.caption(worded("Rows are what the images are, columns what the model said."
                              + (" Press a cell to see its images." if here else ""), kind))
            about_mine(server, subject)
            counts = confusion.matrix(subject, as_shares=False)
            if here:  # else the line that says so stands above already
                confusion.images_of_cell(server, subject, counts)


def _in_a_line(subject: EvaluatedRun) -> None:
    about = summarize(subject.predictions)
    beats = "" if about.accuracy > about.larger_share else (
        f" Always saying “{as_text(about.larger_class)}” would be as good or better.")
    st.markdown(f"**{percent(about.accuracy)}** are right: {about.right:,} of {about.examples:,}, with a 95 % interval of "
                f"{100 * about.interval.low:.2f} to {percent(about.interval.high)}.{beats}")


def _mistakes(subject: EvaluatedRun, alone: bool) -> bool:
    """What it got wrong while being sure, the surest first; where it stands alone a reader may guess them before. Returns whether
    they are being guessed, and so what they are must stand nowhere on the page."""
    positions = confident_mistakes(subject.predictions, MISTAKES)
    if not len(positions):
        st.success("Not a single mistake.", icon=":material/check:")
        return False
    st.markdown("## Its surest mistakes")
    marks: list[str] = []
    if alone and has_images(subject) and subject.data is not None:
        if guessing(subject, positions):
            return True
        marks = guesses(subject, positions)
    st.caption("What each is, what the model said, and how sure it was."
               + (" More of them, and why: under “Images”." if has_images(subject) else ""))
    show_images(subject, positions, f"overview-mistakes-{subject.run.id[:8]}", marks)
    return False
