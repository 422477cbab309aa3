"""The lab on transfer learning: its topics, one function each."""

import numpy as np
import streamlit as st

from core.errors import reason
from core.figures.building_blocks import lines
from core.figures.in_words import in_words
from core.labs.transfer import (
    MOST_TEST,
    TransferConfig,
    TransferQuestion,
    Way,
    compare,
    few,
    source_config,
    target_config,
    transfer_code,
    ways_from,
)
from core.wording import percent, plural
from pages.parts.learn.asked import worked_out
from pages.parts.learn.lab import covered, predict, tried
from pages.parts.learn.questions import TRANSFER
from pages.parts.learn.transfer.subject import Subject, choose
from pages.parts.runs.control import control_buttons
from pages.parts.runs.panel import current_run, run_panel
from pages.parts.runs.start import start
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row
from pages.parts.widgets.table import draw_table, rows_table

PATH = "pages/learn_transfer.py"
STILL = {"displayModeBar": False}
HEIGHT = 640  # px
STEPS = "Three networks take their steps…"
RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03]
HEADS = {"linear": "All linear layers", "last": "Last layer only"}


def settings() -> TransferConfig:
    """The controls, as a config."""
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        head = st.segmented_control("New head", list(HEADS), format_func=HEADS.__getitem__, default="linear", required=True,
                                    key="transfer.head", bind="query-params", on_change=tried, args=(PATH,),
                                    help="What is replaced by fresh weights; all layers before it are the features.")
        images = st.slider("Images per class", 1, 50, 10, key="transfer.images", bind="query-params", width=150,
                           on_change=tried, args=(PATH,))
        steps = st.slider("Steps", 10, 200, 30, 10, key="transfer.steps", bind="query-params", width=150)
        rate = st.select_slider("Learning rate", RATES, 0.001, key="transfer.rate", bind="query-params", width=150)
        seed = st.number_input("Seed", 0, 999, 0, key="transfer.seed", bind="query-params", width=120)
    return TransferConfig(head="last" if head == "last" else "linear", per_class=images, steps=steps, learning_rate=rate,
                          seed=int(seed))


@st.cache_data(max_entries=32, show_spinner=STEPS)
def _ways(_subject: Subject, question: str, _config: TransferConfig) -> list[Way]:
    return compare(_subject.model(), _subject.data, _config, _subject.config)


def compare_section(server: Services) -> str | None:
    """Three networks, the same images and steps. Returns the code."""
    seen = predict(PATH, TRANSFER["ways"])
    subject = choose(server)
    if subject is None:
        return None
    config = settings()
    data = subject.data
    if not seen:
        covered(HEIGHT)
        return transfer_code(config)
    question = TransferQuestion(run=subject.run, weights=subject.weights, data=subject.data_config, config=config)
    try:
        ways = worked_out(server, "transfer", question, lambda text: ways_from(text, config),
                          lambda: _ways(subject, question.model_dump_json(), config), STEPS, HEIGHT)
    except ValueError as error:
        st.info(as_text(reason(error)), icon=":material/info:")
        return None
    if ways is None:
        return transfer_code(config)
    tested = min(MOST_TEST, len(data.test))
    metrics_row({way.name: (percent(way.accuracies[-1], 1), f"Of {tested} test images of the new classes, after the last step.")
                 for way in ways})
    draw_table(rows_table([{
        "Network": way.name, "Trainable": way.count.trainable, "Frozen": way.count.frozen,
        "Before the first step": percent(way.accuracies[0], 1), "After the last": percent(way.accuracies[-1], 1)}
        for way in ways]), hide_index=True, height="content", key="transfer.table",
        column_config={name: st.column_config.NumberColumn(format="localized") for name in ("Trainable", "Frozen")})
    left, right = st.columns(2)
    figure = lines(np.array(ways[0].steps), {way.name: list(way.accuracies) for way in ways}, "step", "accuracy on test images")
    left.plotly_chart(figure, key="transfer.accuracy", config=STILL, alt=in_words(figure, "Accuracy over steps"))
    figure = lines(np.arange(1, len(ways[0].losses) + 1), {way.name: list(way.losses) for way in ways}, "step", "training loss")
    right.plotly_chart(figure, key="transfer.loss", config=STILL, alt=in_words(figure, "Loss over steps"))
    images = plural(len(few(data, config.per_class, config.seed)), "image")
    st.caption(f"All three see the same {images} in the same order and take {plural(config.steps, 'step')} of Adam; the new "
               "weights are drawn from the same seed. One seed is one draw: with few images it moves accuracies by several "
               "points, so try others.")
    predict(PATH, TRANSFER["last"])
    return transfer_code(config)


def runs_section(server: Services) -> None:
    """The same with runs like any other, which can start from another run's weights."""
    st.markdown("A run can start from the weights of another one whose network has the same shape: here a network for the "
                "digits 0 to 4, then one for 5 to 9 that starts where the first ended, its last layer included, and trains "
                "**all** layers (fine-tuning). Runs have no frozen layers; freezing is done in this lab alone.")
    source = target_config("").model_copy(update={"training": source_config().training})
    first = source_config()
    run = current_run(server)
    ready = run is not None and run.status == "finished" and run.config == first
    with st.container(horizontal=True):
        if st.button("1. Train on 0 to 4", key="transfer.first", icon=":material/play_arrow:", type="primary" if not ready else
                     "secondary"):
            _begin(server, first)
        if st.button("2. Go on with 5 to 9", key="transfer.second", icon=":material/move_up:", disabled=not ready,
                     type="primary" if ready else "secondary", help="Once the first run has ended and is the one shown below.") \
                and run is not None:
            _begin(server, target_config(run.id))
        if st.button("For comparison: 5 to 9 from scratch", key="transfer.scratch", icon=":material/restart_alt:"):
            _begin(server, source)
    if run is not None and run.config.model == first.model and run.config.data.dataset == "digits":
        run_panel(server, run)
        with st.container(horizontal=True):
            control_buttons(server, run)


def _begin(server: Services, config) -> None:
    tried(PATH)
    start(server, config)
    st.rerun()
