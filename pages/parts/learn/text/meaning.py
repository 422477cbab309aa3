"""The lab on text, second half: what the table has learned, what decided an answer, and what a bag can't know."""

import pandas as pd
import streamlit as st
from torch import nn

from core.figures.in_words import in_words
from core.figures.text import pushes_figure, word_map_figure
from core.labs.text import NEGATIONS, TWINS, decide, gap, reordered, word_map
from core.wording import chance, percent
from pages.parts.learn.lab import covered, predict, tried
from pages.parts.learn.questions import TEXT
from pages.parts.learn.text.subject import TextModel, network, telling_words
from pages.parts.learn.text.words import review
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row

PATH = "pages/learn_text.py"
BEFORE, AFTER = "Before training", "After training"
STILL = {"displayModeBar": False}


def trained(subject: TextModel) -> nn.Module | None:
    """The network that has learned; None, with a line that says how to get one."""
    if subject.model is None:
        st.info("Nobody has trained on these texts yet. Press **Train it** under the topic “Train”.",
                icon=":material/model_training:")
    return subject.model


def map_section(server: Services, subject: TextModel) -> None:
    """The embeddings of telling words as a map."""
    seen = predict(PATH, TEXT["map"])
    model, chosen = trained(subject), telling_words(subject, server.settings)
    if model is None or subject.before is None:
        return
    if len(chosen) < 3:
        st.info("Too few words are frequent enough for a map.", icon=":material/map:")
        return
    when = st.segmented_control("When", [BEFORE, AFTER], default=AFTER, required=True, key="text.when", bind="query-params",
                                on_change=tried, args=(PATH,), label_visibility="collapsed")
    if not seen:
        covered(480)
        return
    found = word_map(subject.before, model, chosen)
    figure = word_map_figure(found, when == AFTER)
    st.plotly_chart(figure, key="text.map", config=STILL, alt=in_words(figure, "Map of words"))
    metrics_row({"Between the two groups, before": (f"{gap(found.before, found.leans):.2f}", "Distance between the two middles."),
                 "After": (f"{gap(found.after, found.leans):.2f}", "The same distance after training."),
                 "Of the table's spread": (percent(found.share, 0),
                                           "How much of the differences between these words' rows this plane shows.")})
    width = network(subject.config).width
    st.caption(f"The {len(chosen)} words whose training reviews are most one-sided. Each has a row of "
               f"{width} numbers in the table; the map shows the two directions in which the trained rows "
               "differ most (principal components), for both pictures the same. The second is drawn larger, so that words don't "
               "overlap. Nobody told the network what a word means: rows that help the same answer were pushed the same way.")


def decision_section(server: Services, subject: TextModel) -> None:
    """What pushed one answer."""
    seen = predict(PATH, TEXT["push"])
    text, model = review(subject, "decision"), trained(subject)
    if model is None:
        return
    if not seen:
        covered(480)
        return
    decision = decide(model, text, subject.texts.vocabulary, subject.config.data.text_length)
    if not decision.pushes:
        st.info("There is no word in it, so nothing pushes.", icon=":material/short_text:")
        return
    positive = decision.logit > 0
    share = decision.probability if positive else 1 - decision.probability
    st.markdown(f"## {'Positive' if positive else 'Negative'} · {chance(share)}")
    figure = pushes_figure(decision if len(decision.pushes) <= 40 else _strongest(decision))
    st.plotly_chart(figure, key="text.pushes",
                    config=STILL, alt=in_words(figure, "What each word pushes towards"))
    st.caption(f"Each bar is the logit ({decision.logit:+.2f}) less the logit without that word: calculated anew each time, so "
               "nothing is estimated. The bars need not add up to the logit: the mean is taken over fewer words each time, and "
               "the "
               f"network bends (ReLU). Without any word the logit is {decision.empty:+.2f}.")


def _strongest(decision):
    """The 40 words that push most, in the text's order."""
    places = sorted(sorted(range(len(decision.pushes)), key=lambda i: -abs(decision.pushes[i].push))[:40])
    return type(decision)(decision.probability, decision.logit, tuple(decision.pushes[i] for i in places), decision.empty)


def order_section(server: Services, subject: TextModel) -> None:
    """Negation, and why a bag can't know it."""
    seen = predict(PATH, TEXT["order"])
    model = trained(subject)
    if model is None:
        return
    if not seen:
        covered(480)
        return
    vocabulary, length = subject.texts.vocabulary, subject.config.data.text_length

    def answer(text: str) -> str:
        return chance(decide(model, text, vocabulary, length).probability)

    st.markdown("**Opposite meaning, the same words.** The mean of the same rows is the same mean, whatever their order:")
    _table([{"Sentence": text, "Positive": answer(text)} for text in TWINS], "text.twins")
    st.markdown("**“not” is one more word.** It has a row of its own and pulls a little in one direction, whatever follows it. "
                "It can't turn the word behind it around:")
    _table([{"Sentence": text, "Positive": answer(text)} for pair in NEGATIONS for text in pair], "text.negations")
    own = st.text_input("A sentence of yours", "I did not like the film, it was far from good.", max_chars=300, key="text.order",
                        on_change=tried, args=(PATH,), bind="query-params")
    orders = reordered(own)
    if orders["as written"]:
        _table([{"Order": name, "Words": text, "Positive": answer(text)} for name, text in orders.items()], "text.orders")
    st.caption("What helps: pairs of words as words of their own (“not good”), a convolution over neighbouring words, or a "
               "network that reads in order, such as an LSTM or a transformer.")


def _table(rows: list[dict[str, str]], key: str) -> None:
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content", key=key)
