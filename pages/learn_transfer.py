"""Transfer learning: what does a network that has learned one thing know of another?"""

from core.process import configure

configure("server")

import streamlit as st

from pages.parts.learn.lab import Next, open_lab, show_code, try_next
from pages.parts.learn.transfer.vgg import vgg_section
from pages.parts.learn.transfer.views import PATH, compare_section, runs_section
from pages.parts.shell import lesson
from pages.parts.shell.services import services

TOPICS = {"Three ways": compare_section, "VGG-16": vgg_section, "As runs": runs_section}
NEXT = [
    Next("Bring weights of your own, and see them fit an architecture.", "pages/build_model.py", "Build model",
         ":material/account_tree:"),
    Next("What is in a file of weights, and what goes wrong on the way back.", "pages/learn_saving.py", "Save and load",
         ":material/save:"),
    Next("Lay the curves of a run from scratch over those of one that went on.", "pages/compare_runs.py", "Compare runs",
         ":material/leaderboard:"),
]

open_lab(PATH, "Keep what a network has learned, give it a new head, and teach it other classes from a few images. Then find out "
         "when starting from nothing is as good.")
server = services()
topics = lesson.parts("learn_transfer", list(TOPICS))
topic = st.segmented_control("Topic", topics, default=topics[0], required=True, key="transfer.topic",
                             label_visibility="collapsed", bind="query-params")
code = TOPICS[topic](server)
if code:
    show_code(code)
try_next(NEXT)
