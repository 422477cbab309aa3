"""The lab on text: word vectors that come from elsewhere, instead of a table that is learned from the reviews."""

import hashlib

import numpy as np
import streamlit as st

from core.config import RunConfig
from core.figures.building_blocks import lines
from core.figures.in_words import in_words
from core.labs.text import QUICK
from core.labs.word_vectors import (
    MOST_BYTES,
    VECTORS_CODE,
    VectorRun,
    VectorsRefused,
    WordVectors,
    built_in,
    compare,
    known,
    nearest,
    read_vectors,
)
from core.wording import percent, size_of_bytes
from pages.parts.learn.lab import covered, tried
from pages.parts.learn.text.subject import TextModel, guess
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.table import draw_table, rows_table

PATH = "pages/learn_text.py"
STILL = {"displayModeBar": False}
BUILT_IN, OWN = "GloVe 6B, 50 numbers", "A file of your own"
KEPT = "text.own_vectors"  # in the session: an uploaded file's vectors, and which file for which vocabulary they are of


def section(server: Services, subject: TextModel) -> None:
    """Which vectors, what they know, and what they are worth."""
    seen = guess(subject, "vectors")
    kind = st.segmented_control("Vectors", [BUILT_IN, OWN], default=BUILT_IN, required=True, key="text.vectors",
                                bind="query-params", on_change=tried, args=(PATH,))
    if not seen:
        covered(480)
        return
    vectors = _built_in() if kind == BUILT_IN else _own(subject)
    if vectors is None:
        return
    vocabulary = subject.texts.vocabulary
    metrics_row({"Known": (f"{known(vectors, vocabulary):,} of {len(vocabulary.words):,}", "Words of this vocabulary that have a "
                                                                                         "vector; the others keep a random row."),
                 "Numbers a word": (f"{vectors.width:,}", None)})
    if kind == BUILT_IN:
        st.caption("GloVe (J. Pennington, R. Socher, C. Manning, EMNLP 2014), learned from Wikipedia and news; public domain "
                   "(PDDL 1.0). The app carries the vectors of the words in its own reviews. For other texts bring the whole "
                   "file: glove.6B.50d.txt, 171 MB, from its authors' page.")
    _nearest(vectors)
    if len(subject.data.train) > QUICK:
        st.info(f"The comparison learns three times while you wait, so it takes {QUICK:,} training texts at most; these are "
                f"{len(subject.data.train):,}.", icon=":material/hourglass_top:")
    elif not known(vectors, vocabulary):
        st.info("No word of this vocabulary has a vector here: bring a file that knows them.", icon=":material/translate:")
    else:
        _comparison(subject, vectors)
    with st.expander("The lines of PyTorch", icon=":material/code:"):
        st.code(VECTORS_CODE.strip(), language="python")


@st.cache_resource(max_entries=1, show_spinner=False)
def _built_in() -> WordVectors:
    return built_in()


def _own(subject: TextModel) -> WordVectors | None:
    """An uploaded file's vectors of this vocabulary; they stay with the session."""
    upload = st.file_uploader("Word vectors as text (GloVe, word2vec, fastText)", type=["txt", "vec"], key="text.vectors_upload",
                              max_upload_size=MOST_BYTES // 1_000_000)
    st.caption(f"A word and its numbers in each line. At most {size_of_bytes(MOST_BYTES, 0)}; only the words of this vocabulary "
               "are kept, in this session alone.")
    if upload is None:
        return None
    about = (upload.file_id, hashlib.sha256(" ".join(subject.texts.vocabulary.words).encode()).hexdigest())
    kept = st.session_state.get(KEPT)
    if kept is None or kept[0] != about:
        bar = st.progress(0.0, "Reading…")
        try:
            upload.seek(0)
            vectors = read_vectors(upload, upload.name, frozenset(subject.texts.vocabulary.words),
                                   lambda read: bar.progress(min(1.0, upload.tell() / max(1, upload.size)), f"{read:,} lines"))
        except VectorsRefused as error:
            st.error(as_text(str(error)), icon=":material/block:")
            return None
        finally:
            bar.empty()
        kept = st.session_state[KEPT] = (about, vectors)
        tried(PATH)
    return kept[1]


def _nearest(vectors: WordVectors) -> None:
    """Words beside a word."""
    word = st.text_input("Which words lie beside", "wonderful", max_chars=40, key="text.nearest", bind="query-params",
                         on_change=tried, args=(PATH,)).strip().lower()
    found = nearest(vectors, word)
    if not found:
        st.caption(f"“{as_text(word)}” has no vector here.")
        return
    st.markdown(" · ".join(f"{as_text(other)} {cosine:.2f}" for other, cosine in found))
    st.caption("By the cosine of the angle between two vectors: 1 for the same direction. Words that stand between the same "
               "words get similar vectors, so opposites can lie close together: both “good” and “bad” are said of films.")


@st.cache_data(max_entries=16, show_spinner="Learning three times…")
def _runs(_subject: TextModel, _vectors: WordVectors, config: RunConfig, digest: str) -> list[VectorRun]:
    return compare(config, _subject.data, _subject.texts.vocabulary, _vectors)


def _comparison(subject: TextModel, vectors: WordVectors) -> None:
    """The three ways, learned here."""
    seed = int(st.number_input("Seed", 0, 999, 0, key="text.vectors_seed", bind="query-params", width=140, on_change=tried,
                               args=(PATH,)))
    training = subject.config.training.model_copy(update={"seed": seed, "start_from": "", "trainable": "all",
                                                         "frozen_first": 0, "rate_below_last": 1.0})
    digest = hashlib.sha256(vectors.values.numpy().tobytes() + " ".join(vectors.words).encode()).hexdigest()
    runs = _runs(subject, vectors, subject.config.model_copy(update={"training": training}), digest)
    draw_table(rows_table([{"Table of words": run.name, "Trainable": run.count.trainable, "Frozen": run.count.frozen,
                            "Test accuracy": percent(run.test, 1)} for run in runs]), hide_index=True, height="content",
               key="text.vectors_table",
               column_config={name: st.column_config.NumberColumn(format="localized") for name in ("Trainable", "Frozen")})
    figure = lines(np.arange(1, len(runs[0].validation) + 1), {run.name: list(run.validation) for run in runs}, "epoch",
                   "accuracy on validation texts")
    st.plotly_chart(figure, key="text.vectors_curves", config=STILL, alt=in_words(figure, "Accuracy over epochs"))
    st.caption(f"The same network, seed and {len(runs[0].validation)} epochs, on a table of {vectors.width} numbers a word. "
               f"Learned here and not kept; {len(subject.data.test):,} test texts.")
