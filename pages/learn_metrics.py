"""Metrics: what do accuracy, precision, recall, F1 and the areas under curves count, and where do they mislead?"""

from core.process import configure

configure("server")

import streamlit as st

from pages.parts.learn.lab import Next, open_lab, show_code, try_next
from pages.parts.learn.metrics import views
from pages.parts.learn.metrics.table import PATH, choose_table
from pages.parts.shell import lesson

TOPICS = {"Confusion matrix": views.classes_section, "Averages": views.averages_section,
          "Scores and thresholds": views.scores_section}
NUMBERS = "Predicted numbers"
NEXT = [
    Next("The same figures of a trained network, with their lines of scikit-learn.", "pages/evaluate_model.py", "Evaluate",
         ":material/fact_check:"),
    Next("What a network is trained with instead: a loss that has a slope everywhere.", "pages/learn_building_blocks.py",
         "Losses", ":material/category:"),
]

open_lab(PATH, "Work out each figure by hand from a table of answers of your own, and see scikit-learn give the same. Then find "
         "a table whose accuracy is high although nothing was found.")
topics = lesson.parts("learn_metrics", [*TOPICS, NUMBERS])
topic = st.segmented_control("Topic", topics, default=topics[0], required=True, key="metrics.topic",
                             label_visibility="collapsed", bind="query-params")
if topic == NUMBERS:
    code = views.numbers_section()
else:
    left, right = st.columns([1, 1.9], gap="large")
    with left:
        chosen = choose_table()
    with right:
        code = TOPICS[topic](*chosen) if chosen else None
if code:
    show_code(code)
try_next(NEXT)
