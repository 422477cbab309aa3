"""Linear regression: how do three numbers find their values, and what can a learning rate do wrong?"""

from core.process import configure

configure("server")

import streamlit as st

from core.labs.linear_regression import bowl, configured, descend, regression_code, samples, start_of
from core.presets import PRESETS
from pages.parts.learn.lab import Next, open_lab, predict, show_code, tried, try_next
from pages.parts.learn.linear_regression import views
from pages.parts.learn.questions import REGRESSION
from pages.parts.runs.control import control_buttons
from pages.parts.runs.panel import current_run, run_panel
from pages.parts.runs.start import start
from pages.parts.shell import lesson
from pages.parts.shell.services import Services, dataset, services

PATH = "pages/learn_linear_regression.py"
PRESET = PRESETS["linear-regression"].config
RATES = [0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.2, 2.0]
TOPICS = ["Watch it converge", "Predictions and residuals", "Learning rate", "Train it as a run"]
NEXT = [
    Next("Give the same data to Adam, or to batches of 10: then the path wobbles.", "pages/train_model.py", "Train model",
         ":material/model_training:"),
    Next("Where the gradient of each number comes from.", "pages/learn_autograd.py", "Autograd", ":material/graph_3:"),
    Next("Steeper bowls, and optimizers that cope with them.", "pages/learn_building_blocks.py", "Optimizers",
         ":material/category:"),
]


def settings():
    """The controls, as a run's config."""
    with st.container(horizontal=True, gap="small"):
        rate = st.select_slider("Learning rate", RATES, 0.01, key="regression.rate", bind="query-params", width=138,
                                on_change=tried, args=(PATH,), help="How far each step moves the three numbers.")
        steps = st.slider("Steps", 10, 1000, 1000, 10, key="regression.steps", bind="query-params", width=138)
        points = st.slider("Samples", 10, 500, 100, 10, key="regression.points", bind="query-params", width=138)
        noise = st.slider("Noise", 0.0, 1.0, 0.1, 0.05, key="regression.noise", bind="query-params", width=138,
                          help="Standard deviation of the random number that is added to each y.")
        seed = st.number_input("Seed", 0, 999, 0, key="regression.seed", bind="query-params", width=138,
                               help="Start of the random numbers for the first weights.")
    return configured(PRESET, rate, steps, points, noise, int(seed))


def as_run(server: Services, config) -> None:
    """The same as a run like any other."""
    predict(PATH, REGRESSION["same"])
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Train it", type="primary", icon=":material/play_arrow:", key="regression.train"):
            tried(PATH)
            start(server, config)
            st.rerun()
        st.caption("The training process takes the same steps in float32; the path on this page is calculated in float64. There "
                   "is no accuracy: a predicted number is never just right or wrong.")
    run = current_run(server)
    if run and run.config.data.dataset == "linear":
        run_panel(server, run)
        with st.container(horizontal=True):
            control_buttons(server, run)


open_lab(PATH, "Watch three numbers find 2, 3 and 4 from noisy samples, on a loss surface that can be drawn whole. Then work out "
         "how large the learning rate may be.")
server = services()
config = settings()
data = dataset(config.data, server.settings)
x, y = samples(data)
surface, begin = bowl(x, y), start_of(config, data)
rate, steps = config.training.optimizer.learning_rate, config.training.epochs
path = descend(surface, begin, rate, steps)
topics = lesson.parts("learn_linear_regression", TOPICS)
topic = st.segmented_control("Topic", topics, default=topics[0], required=True, key="regression.topic",
                             label_visibility="collapsed", bind="query-params")
if topic == TOPICS[0]:
    views.converge(surface, path)
elif topic == TOPICS[1]:
    views.fit_section(surface, path, x, y)
elif topic == TOPICS[2]:
    views.rates_section(surface, path, begin, rate, steps)
else:
    as_run(server, config)
show_code(regression_code(config))
try_next(NEXT)
