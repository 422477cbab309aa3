"""Text: how does a network tell a good review from a bad one, and what can it not know?"""

from core.process import configure

configure("server")

import streamlit as st

from core.labs.text import text_code
from core.presets import title_of
from pages.parts.learn.lab import Next, covered, is_open, open_lab, show_code, skip, tried, try_next
from pages.parts.learn.questions import TEXT
from pages.parts.learn.text import meaning, vectors, words
from pages.parts.learn.text.subject import BUILT_IN, PATH, TextModel, choose, guess
from pages.parts.runs.control import control_buttons
from pages.parts.runs.panel import current_run, run_panel
from pages.parts.runs.start import start
from pages.parts.shell import lesson
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, services

NEXT = [
    Next("See the table of embeddings as a layer, with its parameters counted.", "pages/build_model.py", "Build model",
         ":material/account_tree:"),
    Next("Train again with 100 words in the vocabulary, or with dropout 0.5.", "pages/train_model.py", "Train model",
         ":material/model_training:"),
    Next("Lay the curves of both runs over each other.", "pages/compare_runs.py", "Compare runs", ":material/leaderboard:"),
]
# of core.presets' reviews-embedding, seeds 0 to 4, float32 on one CPU thread with PyTorch 2.13
MEASURED = ("Measured with five seeds: 69 % of the 120 test reviews (67.5 to 72.5 %). With so few test reviews, chance alone "
            "moves the figure by 8 points either way (95 % interval).")


def train_section(server: Services, subject: TextModel) -> None:
    """The run, like any other."""
    seen = guess(subject, "accuracy")
    config = subject.config
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Train it", type="primary", icon=":material/play_arrow:", key="text.train"):
            tried(PATH)
            skip(TEXT["accuracy"])  # who trains wants to see it
            start(server, config)
            st.rerun()
        st.caption(f"{title_of(config)} · {len(subject.data.train):,} training, {len(subject.data.validation):,} validation and "
                   f"{len(subject.data.test):,} test texts, {config.training.epochs} epochs. A run like any other: it appears "
                   "under Compare runs.")
    if not seen:
        covered()
        return
    if config.data.dataset == "reviews":
        st.caption(MEASURED)
    run = current_run(server)
    if run and run.config.data.dataset in {"reviews", "imdb", "own_texts"}:
        run_panel(server, run)
        with st.container(horizontal=True):
            control_buttons(server, run)


TOPICS = {
    "Words to numbers": words.words_section, "Vocabulary": words.vocabulary_section, "Train": train_section,
    "Map of words": meaning.map_section, "Word vectors": vectors.section, "What decided": meaning.decision_section,
    "Word order": meaning.order_section, "Your own texts": lambda server, subject: words.own_section(server),
}
ASKED = {"Words to numbers": "unknown", "Train": "accuracy", "Map of words": "map", "Word vectors": "vectors",
         "What decided": "push", "Word order": "order"}  # topic to the question that stands there

open_lab(PATH, "Follow film reviews from words to numbers to an answer, and see which words pushed it. Then find the sentence "
         "that such a network can never get right.")
server = services()
topics = lesson.parts("learn_text", list(TOPICS))
topic = st.segmented_control("Topic", topics, default=topics[0], required=True, key="text.topic",
                             label_visibility="collapsed", bind="query-params")
if (subject := choose(server)) is None:
    words.own_section(server)
    st.stop()
if subject.run is not None:
    st.caption(f"The network comes from the run “{as_text(subject.run.title)}” ({subject.run.id[:8]}).")
TOPICS[topic](server, subject)
# the script does what the question asks, of the built-in reviews
if topic not in ASKED or subject.config.data.dataset != BUILT_IN or is_open(TEXT[ASKED[topic]]):
    show_code(text_code(subject.config.model))
try_next(NEXT)
