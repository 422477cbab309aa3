"""The lab on metrics: the table of answers that is looked at, and how its figures are shown."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import streamlit as st

from core.labs.metrics import Answer, Figure, ask_scikit_learn
from core.labs.metrics_table import (
    EXAMPLES,
    MOST_ROWS,
    NUMBER_EXAMPLES,
    Table,
    TableRefused,
    read_table,
)
from core.wording import plural
from pages.parts.learn.lab import tried
from pages.parts.shell.markdown import as_text

PATH = "pages/learn_metrics.py"
TABLE, NUMBERS, POSITIVE, NAMED = "metrics.table", "metrics.numbers", "metrics.positive", "metrics.named"
AGREE = 1e-9  # two sums of the same numbers in another order differ by less


def typed(key: str, label: str, text: str, height: int = 260) -> str:
    """A table to type in, or to paste from a spreadsheet; what it starts with is an example's."""
    st.session_state.setdefault(key, text)
    return st.text_area(label, height=height, key=key, on_change=tried, args=(PATH,), persist_state="session")


def examples(key: str, entries: dict) -> None:
    """Tables to begin with, each on a button that puts it in place of what is there."""
    st.caption("Or begin with one of these:")
    with st.container(horizontal=True, gap="small"):
        for name, example in entries.items():
            st.button(example.title, key=f"{key}.example.{name}", help=example.about, on_click=_put, args=(key, example.text))


def _put(key: str, text: str) -> None:
    st.session_state[key] = text
    tried(PATH)


def choose_table() -> tuple[Table, str] | None:
    """The table of labels and the positive class; None, with one line, where it can't be used."""
    text = typed(TABLE, "y_true, y_pred, score: one answer a line", EXAMPLES["scores"].text)
    with st.expander("Classes and examples", icon=":material/tune:", expanded=True):
        examples(TABLE, EXAMPLES)
        named = st.text_input("All classes there can be", key=NAMED, max_chars=300, bind="query-params", on_change=tried,
                              args=(PATH,), placeholder="those in the table",
                              help="Divided by commas, such as 0, 1, 2. Also a class that is in no line has its row then.")
        try:
            table = read_table(text, named)
        except TableRefused as error:
            st.error(as_text(str(error)), icon=":material/block:")
            return None
        positive = st.selectbox("Positive class", table.classes, len(table.classes) - 1, key=POSITIVE, bind="query-params",
                                help="The one that is asked for: its precision, recall and scores. All others are the negatives.")
    scores = "" if table.scores is None else ", with scores"
    classes = plural(len(table.classes), "class", "classes")
    st.caption(f"{plural(len(table), 'answer')} of {classes}{scores}. At most {MOST_ROWS}; a first line of names is left out.")
    return table, positive


def choose_numbers() -> str:
    """The table of numbers as it is typed."""
    text = typed(NUMBERS, "y_true, y_pred: one answer a line", NUMBER_EXAMPLES["close"].text, 180)
    examples(NUMBERS, NUMBER_EXAMPLES)
    return text


def show_figures(figures: Sequence[Figure], given: dict[str, list[Any]], key: str) -> None:
    """Each figure with its formula, the numbers put in and its value; beside it what scikit-learn says, where that is wanted."""
    wanted = st.toggle("Ask scikit-learn, too", key=f"metrics.ask.{key}", bind="query-params", on_change=tried, args=(PATH,),
                       help="Runs the calls below in a process of its own: about two seconds.")
    answers: list[Answer] | None = None
    if wanted:
        try:
            answers = _asked(given, tuple(figures))
        except OSError as error:
            st.warning(as_text(f"{error}: the calls can be copied below."), icon=":material/timer_off:")
    for number, figure in enumerate(figures):
        with st.container(border=True, gap="small"):
            value = "undefined" if figure.value is None else f"{figure.value:.4f}" if isfinite(figure.value) else "infinite"
            st.markdown(f"**{figure.name}** $= \\displaystyle {figure.formula} = {figure.filled}$ = **{value}**")
            if figure.why:
                st.caption(as_text(f"{figure.why[0].upper()}{figure.why[1:]}."))
            st.code(str(figure.call), language="python", wrap_lines=True)
            if answers is not None:
                st.markdown(_verdict(figure, answers[number]))


@st.cache_data(max_entries=64, show_spinner="Asking scikit-learn…")
def _asked(given: dict[str, list[Any]], figures: tuple[Figure, ...]) -> list[Answer]:
    return ask_scikit_learn(given, list(figures))


def _verdict(figure: Figure, answer: Answer) -> str:
    """What scikit-learn gave, and whether it is the same."""
    if answer.error:
        return f":material/block: scikit-learn refuses: {as_text(answer.error)}"
    warned = f" and warns: {as_text(answer.warning)}" if answer.warning else ""
    assert answer.value is not None
    given = f"scikit-learn gives **{answer.value:.4f}**{warned}"
    if figure.value is None:
        return f":material/info: {given}"
    same = abs(answer.value - figure.value) <= AGREE * max(1.0, abs(figure.value))
    return f":material/{'check' if same else 'info'}: {given}{', the same' if same else ''}"
