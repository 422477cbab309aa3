"""Evaluate: which of the images, where a class has drawn them, are one's own. No pupil is told whose the others are."""

import numpy as np
import streamlit as st
import torch

from core.data import DataError
from core.lessons.class_sets import Hands, hands
from core.wording import plural
from pages.parts.evaluate.subject import EvaluatedRun
from pages.parts.shell import keys
from pages.parts.shell.services import Services


def hands_of(server: Services, subject: EvaluatedRun, positions: np.ndarray) -> Hands | None:
    """Who has drawn images of the split, as far as whoever asks is told; None where no class has."""
    if subject.data is None:
        return None
    split = subject.predictions.split
    rows = subject.data.split(split).rows[torch.from_numpy(np.asarray(positions, dtype=np.int64))]
    try:
        return hands(subject.run.config.data, split, rows, server.settings.data_dir, server.actor, st.session_state[keys.OWNER])
    except DataError:
        return None


def about_mine(server: Services, subject: EvaluatedRun) -> None:
    """How many of all the images are one's own, and how many of these it reads wrongly."""
    predictions = subject.predictions
    found = hands_of(server, subject, np.arange(len(predictions)))
    if found is None or not (count := int(found.mine.sum())):
        return
    wrong = int((~predictions.correct[found.mine.numpy()]).sum())
    st.markdown(in_words(count, wrong))


def in_words(count: int, wrong: int) -> str:
    """How many images are one's own, 1 at least, and how many of them are read wrongly, in Markdown."""
    how, yours = "wrongly" if wrong else "rightly", f"**{count:,} of these images {'is' if count == 1 else 'are'} yours**"
    read = "it is" if count == 1 else "all of them are" if wrong in (0, count) else \
        f"{wrong:,} of them {'is' if wrong == 1 else 'are'}"
    return f"{yours}, and {read} read {how}. No other pupil is told which."


def line_and_marks(found: Hands | None) -> tuple[str, list[str]]:
    """What to say of some images, and what is added below each: "2 of these are yours", "yours". For a teacher, numbers."""
    if found is None:
        return "", []
    mine, pupils = found.mine.tolist(), found.pupils.tolist()
    count, drawn_by = sum(mine), len({pupil for pupil in pupils if pupil})
    lines = [f"{count} of these {'is' if count == 1 else 'are'} yours."] if count else []
    if drawn_by:
        lines.append(f"Drawn by {plural(drawn_by, 'pupil')}.")
    marks = ["yours" if own else f"pupil {pupil}" if pupil else "" for own, pupil in zip(mine, pupils, strict=True)]
    return " ".join(lines), marks
