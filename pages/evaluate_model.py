"""Evaluate: what does a trained model get right and wrong, how sure is it, and can it be trusted elsewhere?"""

from core.process import configure

configure("server")

import streamlit as st

from pages.parts.evaluate import calibration as evaluate_calibration
from pages.parts.evaluate import compare as evaluate_compare
from pages.parts.evaluate import confusion as evaluate_confusion
from pages.parts.evaluate import images as evaluate_images
from pages.parts.evaluate import other_data as evaluate_other
from pages.parts.evaluate import overview as evaluate_overview
from pages.parts.evaluate import robustness as evaluate_robustness
from pages.parts.evaluate import subject as evaluate_subject
from pages.parts.evaluate import thresholds as evaluate_curves
from pages.parts.runs.panel import current_run
from pages.parts.shell.frame import go_to, open_page
from pages.parts.shell.services import services

# Title → what draws it. Only the chosen section is computed and drawn.
SECTIONS = {
    "Overview": evaluate_overview.section,
    "Confusion": evaluate_confusion.section,
    "Thresholds": evaluate_curves.section,
    "Calibration": evaluate_calibration.section,
    "Images": evaluate_images.section,
    "Robustness": evaluate_robustness.section,
    "Other data": evaluate_other.section,
    "Compare two": evaluate_compare.section,
}
IMAGES_ONLY = {"Images", "Robustness", "Other data"}

open_page("Evaluate")
server = services()
st.title("Evaluate")
asked = current_run(server)
runs = evaluate_subject.usable_runs(server)
if not runs:
    st.info("There is no trained model yet. Train one first: it takes a few seconds, on Home.", icon=":material/model_training:")
    if st.button("To Home", icon=":material/home:", key="evaluate.home"):
        go_to("app.py")
    st.stop()
if asked and asked.id not in runs:
    why = "is not finished yet" if asked.is_active else "predicts a number, which is not right or wrong" \
        if evaluate_subject.predicts_number(asked) else "has kept no weights"
    st.info(f"“{asked.title or asked.id[:8]}” {why}; here is another model.", icon=":material/info:")
chosen = evaluate_subject.choose(runs)
found = evaluate_subject.subjects(server, chosen)
if not found:
    st.stop()
if not all(map(evaluate_subject.has_images, found)):
    SECTIONS = {name: draw for name, draw in SECTIONS.items() if name not in IMAGES_ONLY}
name = st.segmented_control("Section", list(SECTIONS), default="Overview", required=True, key="evaluate.section",
                            persist_state="session", label_visibility="collapsed")
SECTIONS[name](server, found)
