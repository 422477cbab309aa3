"""Evaluate: the same figures by scikit-learn, as lines that run on a file of this run's answers."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from core.evaluation import Predictions
from core.evaluation.sklearn_lines import (
    Lines,
    answers_file,
    calibration_lines,
    confusion_lines,
    file_name,
    overview_lines,
    threshold_lines,
)
from pages.parts.evaluate.subject import EvaluatedRun, save

SECTIONS: dict[str, Callable[..., Lines]] = {"overview": overview_lines, "confusion": confusion_lines,
                                             "thresholds": threshold_lines, "calibration": calibration_lines}


def by_scikit_learn(subject: EvaluatedRun, section: str, threshold: float | None = None) -> None:
    """A section's figures. threshold: of a yes-no question, where the section has one."""
    name = file_name(subject.run.id, subject.predictions.split)
    lines = _lines(subject.predictions, subject.predictions.digest, section, name, threshold)
    draw(lines, name, partial(answers_file, subject.predictions), f"{section}-{subject.run.id[:8]}")


@st.cache_data(max_entries=64, show_spinner=False)
def _lines(_predictions: Predictions, digest: str, section: str, name: str, threshold: float | None) -> Lines:
    return SECTIONS[section](_predictions, name, **({} if threshold is None else {"threshold": threshold}))


def draw(lines: Lines, name: str, make: Callable[[], bytes], key: str) -> None:
    """An expander with a button that saves the file of answers, the lines, and what they print."""
    with st.expander("The same figures by scikit-learn", icon=":material/code:"):
        st.markdown("Save the answers, put the lines into a file beside them and run it (needs `pip install scikit-learn`).")
        save("Answers (NPZ)", make, name, "application/octet-stream", f"npz-{key}")
        st.code(lines.code.strip(), language="python")
        st.markdown("It prints:")
        st.code(lines.output, language=None)
