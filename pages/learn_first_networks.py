"""First networks: what does each line of a first PyTorch script do, and what does its loss say?"""

from core.process import configure

configure("server")

from math import isfinite

import streamlit as st

from core.fields import describe
from core.figures.first_networks import losses_figure
from core.figures.grids import tensor_grid
from core.figures.in_words import in_words
from core.labs.first_networks import NOTES, FirstNetworkConfig, Line, Walk, network_code, run_config, walk
from core.presets import PRESETS
from core.wording import percent
from pages.parts.learn.lab import Next, covered, open_lab, predict, show_code, tried, try_next
from pages.parts.learn.questions import FIRST_NETWORKS
from pages.parts.runs.control import control_buttons
from pages.parts.runs.panel import current_run, run_panel
from pages.parts.runs.start import start
from pages.parts.shell import lesson
from pages.parts.shell.services import Services, services
from pages.parts.widgets.metrics import metrics_row

PATH = "pages/learn_first_networks.py"
TITLES = {"toy-2-2-1": "Ten random numbers", "toy-sigmoid": "Ten random answers", "circle-2d": "Inside the circle?"}
RATES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
TOPICS = ["Line by line", "Training and new samples", "Train it as a run"]
STILL = {"displayModeBar": False}
NEXT = [
    Next("Where the gradients of backward() come from, edge by edge.", "pages/learn_autograd.py", "Autograd",
         ":material/graph_3:"),
    Next("The same loop with one layer and three numbers to watch.", "pages/learn_linear_regression.py", "Linear regression",
         ":material/show_chart:"),
    Next("The same five lines train a network that reads handwriting.", "pages/train_model.py", "Train model",
         ":material/model_training:"),
]


@st.cache_data(max_entries=64, show_spinner=False)
def walked(config: FirstNetworkConfig) -> Walk:
    """The script's values, for all who look at the same settings."""
    return walk(config)


def settings() -> FirstNetworkConfig:
    """Which script, and its numbers."""
    system = st.segmented_control("Script", list(TITLES), format_func=TITLES.__getitem__, default="toy-sigmoid", required=True,
                                  key="first.system", bind="query-params", on_change=tried, args=(PATH,))
    notes = NOTES[system]

    def about(name: str) -> str:
        return describe(FirstNetworkConfig, name).help

    with st.container(horizontal=True, gap="medium"):
        hidden = st.slider("Hidden units", 1, 64, notes.hidden, key=f"first.hidden.{system}", help=about("hidden"), width=185,
                           bind="query-params")
        rate = st.select_slider("Learning rate", RATES, notes.learning_rate, key=f"first.rate.{system}", width=185,
                                help=about("learning_rate"), bind="query-params")
        epochs = st.slider("Epochs", 10, 400, notes.epochs, 10, key=f"first.epochs.{system}", help=about("epochs"), width=185,
                           bind="query-params")
        seed = st.number_input("Seed", 0, 999, 0, key=f"first.seed.{system}", help=about("seed"), width=130,
                               bind="query-params")
    return FirstNetworkConfig(system=system, hidden=hidden, learning_rate=rate, epochs=epochs, seed=int(seed))


def line_by_line(lines: tuple[Line, ...]) -> None:
    """One line, what it does, and what it made."""
    predict(PATH, FIRST_NETWORKS["backward"])
    left, right = st.columns([1, 1.3], gap="large")
    with left:
        codes = [" ".join(line.code.split()) for line in lines]
        names = [code if len(code) <= 56 else code[:54] + "…" for code in codes]
        place = st.radio("Line", range(len(lines)), 1, format_func=lambda i: f"`{names[i]}`", key="first.line", on_change=tried,
                         args=(PATH,), bind="query-params")
    line = lines[place]
    with right:
        st.code(line.code, language="python", wrap_lines=True)
        st.markdown(line.about)
        if not line.shown:
            st.caption("Nothing to see yet: this line only prepares.")
        for index, (name, values) in enumerate(line.shown.items()):
            comma = "," if values.dim() == 1 else ""
            size = f"shape ({', '.join(map(str, values.shape))}{comma})" if values.dim() else "one number"
            st.markdown(f"`{name}` · {size}")
            column = values.dim() == 2 and values.shape[1] == 1
            figure = tensor_grid(values.T if column else values[:12] if values.dim() else values)
            st.plotly_chart(figure,
                            key=f"first.values.{index}", config=STILL, alt=in_words(figure, f"Values of {name}"))
            if column:
                st.caption("A column; shown transposed, as a row." + (" Its first 24 numbers." if len(values) > 24 else ""))
            elif values.dim() == 2 and len(values) > 12:
                st.caption("Its first 12 rows.")


def beyond(config: FirstNetworkConfig, result: Walk) -> None:
    """What the training loss does not say."""
    if not predict(PATH, FIRST_NETWORKS[config.system]):
        covered(480)
        return
    figures: dict[str, tuple[str, str | None]] = {
        "Training loss at the end": (f"{result.losses[-1]:.4f}", "Before the last step."),
        "Loss on new samples": (f"{result.new_losses[-1]:.4f}", "500 samples drawn in the same way.")}
    if result.right is not None and result.new_right is not None:
        figures |= {"Right, training samples": (percent(result.right, 0), None),
                    "Right, new samples": (percent(result.new_right, 0), None)}
    metrics_row(figures)
    if not isfinite(result.losses[-1]):
        st.warning("The steps were so long that the loss grew beyond all numbers (NaN). Choose a smaller learning rate.",
                   icon=":material/trending_up:")
    figure = losses_figure(result)
    st.plotly_chart(figure, key="first.losses", config=STILL, alt=in_words(figure, "Losses over epochs"))
    if config.system == "toy-2-2-1":
        st.caption("The numbers to predict are random, with mean 0 and standard deviation 1. Always saying 0 has a loss of 1 on "
                   "average, and no other habit has less. Try 64 hidden units, a learning rate of 0.1 and 400 epochs: the "
                   "training loss falls below 0.5, and the loss on new points rises above 1.5.")
    elif config.system == "toy-sigmoid":
        st.caption("The answers are random, so nothing can be known about new samples: always saying 0.5 gives a loss of 0.25 "
                   "there, and on average no other habit does better. Try a learning rate of 3 and 400 epochs: with most seeds "
                   "the training loss goes to nearly 0 and the other one up, and new samples are guessed right about as often as "
                   "a coin would. A script that prints only its training loss looks like a success all the while.")
    else:
        st.caption("Here the answers follow a rule that holds for new points too, so what is learned from 100 of them helps with "
                   "others. After 100 epochs at a rate of 0.1 it has hardly begun; try a rate of 1 and 400 epochs: over 90 % of "
                   "the new points are then right with most seeds.")


def as_run(server: Services, config: FirstNetworkConfig) -> None:
    """The same training through the engine."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Train it", type="primary", icon=":material/play_arrow:", key="first.train"):
            tried(PATH)
            start(server, run_config(PRESETS[config.system].config, config))
            st.rerun()
        st.caption("The same samples, weights and steps as a run like any other. Its validation samples are new ones, drawn for "
                   "it.")
    run = current_run(server)
    if run and run.config.data.dataset in {"random_numbers", "random_labels", "circle"}:
        run_panel(server, run)
        with st.container(horizontal=True):
            control_buttons(server, run)


open_lab(PATH, "Go through three classic first scripts line by line, with every value they make. Then find out what a loss that "
         "falls does not say.")
server = services()
config = settings()
topics = lesson.parts("learn_first_networks", TOPICS)
topic = st.segmented_control("Topic", topics, default=topics[0], required=True, key="first.topic",
                             label_visibility="collapsed", bind="query-params")
if topic == TOPICS[0]:
    line_by_line(walked(config).lines)
elif topic == TOPICS[1]:
    beyond(config, walked(config))
else:
    as_run(server, config)
show_code(network_code(config))
try_next(NEXT)
