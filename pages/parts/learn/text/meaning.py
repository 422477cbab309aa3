"""The lab on text, second half: what the table has learned, what decided an answer, and what a bag can't know."""

import streamlit as st
from torch import nn

from core.figures.in_words import in_words
from core.figures.text import pushes_figure, word_map_figure
from core.labs.text import NEGATIONS, TWINS, gap, likeliest, reordered, word_map
from core.wording import chance, percent
from pages.parts.learn.lab import covered, tried
from pages.parts.learn.text.subject import TextModel, guess, network, telling_words, title
from pages.parts.learn.text.words import review
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.table import draw_table, rows_table

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
    seen = guess(subject, "map")
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
    figure = word_map_figure(found, subject.data.classes, when == AFTER)
    st.plotly_chart(figure, key="text.map", config=STILL, alt=in_words(figure, "Map of words"))
    two = len({*found.labels}) < 3
    metrics_row({f"Between the {'two ' * two}groups, before": (
                     f"{gap(found.before, found.labels):.2f}",
                     "Distance between the two middles." if two else "Distance between the middles of two groups, as a mean over "
                                                                     "all pairs."),
                 "After": (f"{gap(found.after, found.labels):.2f}", "The same distance after training."),
                 "Of the table's spread": (percent(found.share, 0),
                                           "How much of the differences between these words' rows this plane shows.")})
    width = network(subject.config).width
    st.caption(f"The {len(chosen)} words whose training {subject.what}s are most one-sided. Each has a row of "
               f"{width} numbers in the table; the map shows the two directions in which the trained rows "
               "differ most (principal components), for both pictures the same. The second is drawn larger, so that words don't "
               "overlap. Nobody told the network what a word means: rows that help the same answer were pushed the same way.")


def decision_section(server: Services, subject: TextModel) -> None:
    """What pushed one answer."""
    seen = guess(subject, "push")
    text, model = review(subject, "decision"), trained(subject)
    if model is None:
        return
    if not seen:
        covered(480)
        return
    classes = subject.data.classes
    said = likeliest(model, text, subject.texts.vocabulary, subject.config.data.text_length, len(classes),
                     subject.config.training.loss)
    answer = subject.decide(model, text, said)
    if not answer.pushes:
        st.info("There is no word in it, so nothing pushes.", icon=":material/short_text:")
        return
    st.markdown(f"## {as_text(title(classes[said]))} · {chance(answer.probability)}")
    label = 1 if len(classes) == 2 else _asked_class(subject, "decision", said)
    decision = subject.decide(model, text, label)
    other = classes[0] if len(classes) == 2 else "another class"
    figure = pushes_figure(decision if len(decision.pushes) <= 40 else _strongest(decision), classes[label], other)
    st.plotly_chart(figure, key="text.pushes", config=STILL, alt=in_words(figure, "What each word pushes towards"))
    st.caption(f"Each bar is the logit of {as_text(classes[label])} ({decision.logit:+.2f}) less the logit without that word: "
               "calculated anew each time, so nothing is estimated. The bars need not add up to the logit: the mean is taken "
               "over fewer words each time, and the network bends (ReLU). Without any "
               f"word the logit is {decision.empty:+.2f}.")


def _asked_class(subject: TextModel, key: str, said: int | None = None) -> int:
    """Which of several classes is asked about; what the network has said, where there is such an answer, until somebody
    chooses."""
    classes = subject.data.classes
    answer = -1  # stands for what the network has said
    options = list(range(0 if said is None else answer, len(classes)))
    chosen = st.selectbox("How likely is" if said is None else "What speaks for", options, key=f"text.class.{key}", width=260,
                          format_func=lambda label: f"its answer, {classes[said or 0]}" if label == answer else classes[label],
                          bind="query-params", on_change=tried, args=(PATH,))
    return int(chosen) if 0 <= int(chosen) < len(classes) else said or 0


def _strongest(decision):
    """The 40 words that push most, in the text's order."""
    places = sorted(sorted(range(len(decision.pushes)), key=lambda i: -abs(decision.pushes[i].push))[:40])
    return type(decision)(decision.probability, decision.logit, tuple(decision.pushes[i] for i in places), decision.empty)


def order_section(server: Services, subject: TextModel) -> None:
    """Negation, and why a bag can't know it."""
    seen = guess(subject, "order")
    model = trained(subject)
    if model is None:
        return
    if not seen:
        covered(480)
        return
    classes = subject.data.classes
    label = 1 if len(classes) == 2 else _asked_class(subject, "order")
    heading = title(classes[label])

    def answer(text: str) -> str:
        return chance(subject.decide(model, text, label).probability)

    if subject.has_sides:
        st.markdown("**Opposite meaning, the same words.** The mean of the same rows is the same mean, whatever their order:")
        _table([{"Sentence": text, heading: answer(text)} for text in TWINS], "text.twins")
        st.markdown("**“not” is one more word.** It has a row of its own and pulls a little in one direction, whatever follows "
                    "it. It can't turn the word behind it around:")
        _table([{"Sentence": text, heading: answer(text)} for pair in NEGATIONS for text in pair], "text.negations")
    else:
        st.markdown("**The same words in another order.** The mean of the same rows is the same mean, whatever their order:")
    some = " ".join(subject.texts.test[0].split()[:12])
    first = "I did not like the film, it was far from good." if subject.has_sides else some
    own = st.text_input("A sentence of yours", first, max_chars=300, key=f"text.order{'' if subject.has_sides else '.own'}",
                        on_change=tried, args=(PATH,), bind="query-params")
    orders = reordered(own)
    if orders["as written"]:
        _table([{"Order": name, "Words": text, heading: answer(text)} for name, text in orders.items()], "text.orders")
    st.caption("What helps: pairs of words as words of their own (“not good”), a convolution over neighbouring words, or a "
               "network that reads in order, such as an LSTM or a transformer.")


def _table(rows: list[dict[str, str]], key: str) -> None:
    draw_table(rows_table(rows), hide_index=True, height="content", key=key)
