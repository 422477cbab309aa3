"""The lab's part on optimizers: a race on a landscape."""

import pyarrow as pa
import streamlit as st

from core.fields import describe
from core.figures import race as race_figures
from core.figures.building_blocks import ground, race_losses, race_map
from core.figures.in_words import in_words
from core.labs.optimizer_race import RACERS, Path, RaceConfig, race, race_code
from core.labs.surfaces import SURFACES, Surface
from pages.parts.learn.building_blocks.running import running
from pages.parts.learn.lab import Next, covered, is_open, predict, show_code, try_next
from pages.parts.learn.questions import BLOCKS
from pages.parts.widgets.table import draw_table, rows_table

PATH = "pages/learn_building_blocks.py"

TITLES = {"bowl": "Bowl", "ravine": "Ravine", "saddle": "Saddle", "rosenbrock": "Rosenbrock's valley",
          "network": "A real network's loss"}
RATES = [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0]
FIRST = ("sgd", "momentum", "nesterov", "rmsprop", "adam")
RACE, WHOLE, STEP = VIEWS = ["Animated", "Whole paths", "Step by step"]


@st.cache_resource(show_spinner="Measuring the landscape…")
def landscape(name: str) -> Surface:
    """A surface, shared by all sessions; the network's takes a second to measure."""
    return SURFACES[name]()


@st.cache_data
def drawn_ground(name: str):
    """Its picture that stands still."""
    surface = landscape(name)
    grid = surface.grid()
    return ground(grid.x, grid.y, grid.loss, surface.lowest)


@st.cache_data
def shaded_ground(name: str):
    """Its picture that a race runs on."""
    surface = landscape(name)
    return race_figures.landscape(surface.grid().loss, surface.lowest)


def show() -> None:
    """The whole part. The race comes first; the question, which is about the ravine, stands above that alone."""
    question = st.container()
    with st.container(key="stage"):
        controls, picture = st.columns([1, 2.4], gap="large")
    with controls:
        name = st.selectbox("Landscape", list(SURFACES), format_func=TITLES.__getitem__, key="blocks.landscape",
                            bind="query-params")
        surface = landscape(name)
        st.caption(surface.about)
        config = _settings(name, surface)
    with picture:
        place, racers = st.container(), _racers()
        if not racers:
            st.info("Choose at least one racer.", icon=":material/sprint:")
            return
        if name == "ravine" and not is_open(BLOCKS["ravine"]):
            with place:
                covered(640)
        else:
            paths = race(surface, racers, config)
            with place:
                upto = _map(name, surface, paths, config.steps)
            _results(surface, paths, upto)
    with question if name == "ravine" else st.container():
        predict(PATH, BLOCKS["ravine"])
    with st.expander("The rules", icon=":material/functions:"):
        for racer in racers:
            st.markdown(f"**{RACERS[racer].title}.** {RACERS[racer].about}  \n${RACERS[racer].formula}$")
        st.caption("g: gradient, η: learning rate, μ: momentum. The page computes these rules in NumPy; the project's tests hold "
                   "each to torch.optim's own path within a millionth over 120 steps. The code below uses torch.optim itself.")
    show_code(race_code(surface, racers, config))
    try_next([
        Next("Train the same network once with SGD and once with Adam:", "pages/train_model.py", "Train model",
            ":material/model_training:"),
        Next("and lay their curves over each other:", "pages/compare_runs.py", "Compare runs", ":material/leaderboard:"),
    ], "- Ravine: raise the learning rate to 0.1. Who diverges, and why only some?\n"
       "- Saddle: start on the ridge (y = 0), first without noise, then with a noise of 0.1. What does noise do?\n")


def _racers() -> tuple[str, ...]:
    """Boxes to tick, in rows that wrap on a phone."""
    with st.container(horizontal=True, gap="small"):
        return tuple(name for name, racer in RACERS.items() if st.checkbox(
            racer.title, name in FIRST, key=f"blocks.racer.{name}", help=racer.about, bind="query-params", width="content"))


def _settings(name: str, surface: Surface) -> RaceConfig:
    """Sliders; each landscape keeps its own values."""
    def about(field: str) -> str:
        return describe(RaceConfig, field).help

    rate = st.select_slider("Learning rate (SGD, momentum, Nesterov)", RATES, surface.rates[0], key=f"blocks.rate.{name}",
                            help=about("learning_rate"), bind="query-params")
    adaptive = st.select_slider("Learning rate (Adagrad, RMSprop, Adam, AdamW)", RATES, surface.rates[1],
                                key=f"blocks.adaptive.{name}", help=about("adaptive_rate"), bind="query-params")
    momentum = st.slider("Momentum", 0.0, 0.99, 0.9, 0.01, key="blocks.momentum", help=about("momentum"), bind="query-params")
    noise = st.slider("Gradient noise", 0.0, 5.0, 0.0, 0.1, key="blocks.noise", help=about("noise"), bind="query-params")
    steps = st.slider("Steps", 10, 500, 200, 10, key="blocks.steps", help=about("steps"), bind="query-params")
    x = st.slider("Start, x", *surface.x, surface.start[0], 0.01, key=f"blocks.start_x.{name}", bind="query-params")
    y = st.slider("Start, y", *surface.y, surface.start[1], 0.01, key=f"blocks.start_y.{name}", bind="query-params")
    return RaceConfig(learning_rate=rate, adaptive_rate=adaptive, momentum=momentum, noise=noise, steps=steps, x=x, y=y)


def _map(name: str, surface: Surface, paths: list[Path], steps: int) -> int | None:
    """Where they went, in motion or standing still. Returns the step that is looked at; None for all of them."""
    with st.container(horizontal=True, vertical_alignment="center"):
        view = st.segmented_control("View", VIEWS, default=VIEWS[0], key="blocks.view", required=True,
                                    label_visibility="collapsed", bind="query-params")
        st.markdown(f"${surface.formula}$")
    upto = None
    if view == STEP:
        upto = st.slider("Step", 0, steps, min(10, steps), key=f"blocks.step.{steps}", bind="query-params")
    titles = {path.racer: RACERS[path.racer].title for path in paths}
    points = {path.racer: path.points for path in paths}
    if view == RACE:
        shades = shaded_ground(name)
        runners = race_figures.racers(points, {path.racer: path.losses for path in paths}, titles)
        running({"id": race_figures.name_of(shades, runners), "ground": shades, "racers": runners, "x": surface.x, "y": surface.y,
                 "minima": surface.minima, "about": f"{len(paths)} optimizers on a landscape, from the same start. " + " ".join(
                     f"{titles[path.racer]}: {path.words}" for path in paths)}, key="blocks.race")
    else:
        figure = race_map(drawn_ground(name), surface.minima, points, titles, surface.x, surface.y, upto)
        st.plotly_chart(figure, key="blocks.map", width="stretch", alt=in_words(figure, "Paths over the landscape"))
    return upto


def _results(surface: Surface, paths: list[Path], upto: int | None) -> None:
    """How each of them fares."""
    draw_table(_table(paths, upto), hide_index=True, height="content", key="blocks.results")
    titles = {path.racer: RACERS[path.racer].title for path in paths}
    st.markdown("\n".join(f"- **{titles[path.racer]}.** {path.words}" for path in paths))
    figure = race_losses({path.racer: path.losses for path in paths}, titles, surface.lowest)
    st.plotly_chart(figure, key="blocks.race_losses",
                    width="stretch", alt=in_words(figure, "Loss above the lowest over steps"))


def _table(paths: list[Path], upto: int | None) -> pa.Table:
    rows = []
    for path in paths:
        step = len(path.points) - 1 if upto is None else min(upto, len(path.points) - 1)
        (x, y), loss = path.points[step], path.losses[step]
        rows.append({"Optimizer": RACERS[path.racer].title, "Step": step, "x": f"{x:.4g}", "y": f"{y:.4g}",
                     "Loss": f"{loss:.4g}" if abs(loss) >= 1e-12 else "below 1e-12"})
    return rows_table(rows)
