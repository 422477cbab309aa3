"""Evaluate: what does a trained model get right and wrong, how sure is it, and can it be trusted elsewhere?"""

from core.process import configure

configure("server")

import streamlit as st

from pages.parts.evaluate import (
    calibration,
    class_figures,
    compare,
    confusion,
    images,
    numbers,
    other_data,
    overview,
    robustness,
    subject,
    thresholds,
)
from pages.parts.runs.panel import current_run
from pages.parts.runs.usable import usable_runs
from pages.parts.shell import lesson
from pages.parts.shell.frame import open_page, page_button
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import services

# Title → what draws it. Only the chosen section is computed and drawn.
SECTIONS = {
    "Overview": overview.section,
    "Numbers": class_figures.section,
    "Confusion": confusion.section,
    "Thresholds": thresholds.section,
    "Calibration": calibration.section,
    "Images": images.section,
    "Robustness": robustness.section,
    "Other data": other_data.section,
    "Compare two": compare.section,
}
IMAGES_ONLY = {"Images", "Robustness", "Other data"}

open_page("Evaluate")
server = services()
st.title("Evaluate")
asked = current_run(server)
runs = usable_runs(server)
if not runs:
    st.info("There is no trained model yet. Train one first: it takes a few seconds, on Home.", icon=":material/model_training:")
    page_button("app.py", "To Home", ":material/home:", "evaluate.home")
    st.stop()
if asked and asked.id not in runs:
    why = "is not finished yet" if asked.is_active else "has kept no weights"
    st.info(f"“{as_text(asked.title or asked.id[:8])}” {why}; here is another model.", icon=":material/info:")
chosen = subject.choose(runs)
if subject.predicts_number(chosen[0]):
    numbers.section(server, chosen)
    st.stop()
found = subject.subjects(server, chosen)
if not found:
    st.stop()
if not all(map(subject.has_images, found)):
    SECTIONS = {name: draw for name, draw in SECTIONS.items() if name not in IMAGES_ONLY}
SECTIONS = {name: SECTIONS[name] for name in lesson.parts("evaluate_model", list(SECTIONS))} or SECTIONS
name = st.segmented_control("Section", list(SECTIONS), default=next(iter(SECTIONS)), required=True, key="evaluate.section",
                            bind="query-params", label_visibility="collapsed")
SECTIONS[name](server, found)
