"""2-D classifier: how does a network bend a line around points?"""

from core.process import configure

configure("server")

from dataclasses import replace

import streamlit as st

from core.data import DataError
from core.export import ExportError
from core.export.points_script import points_script
from core.fields import ConfigError
from core.models import ModelError
from pages.parts.draft import draft
from pages.parts.learn.decision_boundary import address as plane_address
from pages.parts.learn.decision_boundary import config as plane_config
from pages.parts.learn.decision_boundary import controls as plane_controls
from pages.parts.learn.decision_boundary import live, weight
from pages.parts.learn.lab import Next, open_lab, predict, show_code, tried, try_next
from pages.parts.learn.questions import PLANE
from pages.parts.runs.by_hand import by_hand_list
from pages.parts.runs.panel import current_run
from pages.parts.shell import keys
from pages.parts.shell.frame import go_to
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import dataset, services

PATH = "pages/learn_decision_boundary.py"
# one screen: less room at the sides, and on a phone the picture before its controls; the buttons and the line with them keep
# their height, whatever they say
STYLE = """<style>
.stApp .stMainBlockContainer { padding-left: 2rem; padding-right: 2rem; }
.stApp h1 { padding-top: 0.5rem; padding-bottom: 0.25rem; }
@media (max-width: 640px) {
  .stApp .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
  .st-key-plane-stage > :has(> .st-key-plane-main) { order: 1; }
  .st-key-plane-buttons { gap: 0.5rem; min-height: 7.75rem; align-content: flex-start; }
  .st-key-plane-buttons button { padding: 0.25rem 0.5rem; min-height: 2.25rem; }
  .st-key-plane-buttons > :has(> .st-key-plane-status) { flex: 1 1 100%; }
}
@media (max-width: 640px) and (pointer: coarse) { .st-key-plane-buttons { min-height: 8.5rem; } }
@media (pointer: coarse) { .st-key-plane-speed { margin-top: 4px; } }
@media (min-width: 641px) { .stApp [data-testid="stLayoutWrapper"]:has(> .st-key-lab-folded) { top: 0.5rem; } }
.st-key-plane-main { gap: 0.5rem; }
.st-key-plane-refused { min-height: 1.5rem; }
.st-key-plane-status p { line-height: 1.25; }
.st-key-plane-sets [data-testid="stElementToolbar"] { display: none; }
.st-key-plane-sets button { padding: 0.1rem 0.2rem; min-height: 2rem; }
.st-key-plane-sets button p { font-size: 0.8rem; }
</style>"""
NEXT = [
    Next("Lay this run's losses over another's, or download its weights:", "pages/compare_runs.py", "Compare runs",
         ":material/leaderboard:"),
    Next("See the same network layer by layer, and what the doctor says:", "pages/build_model.py", "Build model",
         ":material/account_tree:"),
    Next("Do the same with pictures, where nobody can see the boundary:", "pages/train_model.py", "Train model",
         ":material/model_training:"),
]
TASKS = """- **Exclusive or** with no hidden layer: it fails. Add the input x₁·x₂: why is that enough?
- **Circle** with 1, 2, 3, then 4 units: how many lines does it take to enclose it?
- **Two spirals** with 3 layers of 8 units and tanh. Then more inputs instead of more layers.
- 20 points, much noise, 8 units: training loss falls, validation loss rises. Then L2 at 0.03.
- L1 at 0.003: which lines become thin, and can you do without those units?
- Learning rate 10: what happens to the losses, and to the units?
"""


def settings() -> None:
    """Where these settings came from and where they can go."""
    with st.container(horizontal=True):
        st.button("The classic circle", icon=":material/menu_book:", key="plane.notes", on_click=plane_config.take,
                  args=(plane_config.NOTES,), help="The preset circle-2d: 100 points, 2-4-1, BCE after a sigmoid, SGD 0.1.")
        st.button("The circle, closed", icon=":material/circle:", key="plane.closed", on_click=plane_config.take,
                  args=(plane_config.CLOSED,), help="The preset circle-2d-closed: the same with SGD 1.0 and 1,000 epochs. With "
                  "the classic settings the region stays open in 4 of 5 seeds, with these it closes in 5 of 5.")
        if st.button("Use these settings on Train model", icon=":material/tune:", key="plane.draft"):
            draft.take(config)
            go_to("pages/train_model.py")


def code() -> None:
    """The run as a script."""
    try:
        # of a run that was changed by hand, what it began with and what was done
        show_code(points_script(run.config, changes) if run is not None else points_script(config))
    except (ExportError, DataError, ModelError, ConfigError) as error:
        st.info(as_text(str(error)), icon=":material/code_off:")


open_lab(PATH, "Every unit bends the plane in its own way, and the next layer puts them together. Watch it, then change it.")
st.html(STYLE)
server = services()
run = current_run(server)
plane_config.begin()
plane_config.adopt(run)
plane_address.take()
config = plane_config.config()
if run is not None and not plane_config.belongs(run, config):
    # another learning rate goes to the run that is going; any other change makes it a run of other settings
    run = plane_config.follow(server, run, config)
plane_address.keep(config, named=run is None and st.session_state.get(keys.RUN) is not None)
with st.container(key="plane.stage", gap="small"):  # on a phone the picture comes before the controls: see STYLE
    plane_controls.problem()
    live.buttons(server, config, run)
    with st.container(key="plane.main"):
        sets, controls = st.columns([1.42, 1], gap="small")
        with sets, st.container(gap="xxsmall"):
            plane_controls.data_sets(config)
            with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
                live.speed(server, run)
                plane_controls.network_controls(config)
        with controls:
            plane_controls.main_controls(config)
    place = st.container(key="plane.picture", gap="xxsmall")  # how it is drawn is read first and stands below
data = None
try:
    data = dataset(config.data, server.settings)
    shown, adds = live.display_options(bool(data.classes))
    with place:
        live.picture(server, config, run, data, replace(shown, editing=weight.can_edit(run)), adds)
except (DataError, ModelError, ConfigError) as error:
    st.error(as_text(str(error)), icon=":material/error:")
curves, question = st.columns(2, gap="medium")
changes = server.store.interventions(run.id) if run is not None else []
with curves:
    live.losses(server, config, run)
    if data is not None:
        weight.weight_form(server, config, run, data)
    by_hand_list(changes, names=weight.names(config, data.classes) if data is not None else None)
with question:
    predict(PATH, PLANE["line"])
left, right = st.columns(2, gap="medium")
with left:
    plane_controls.training_controls(config)
with right:
    plane_controls.data_controls(config)
settings()
if run is not None and run.step:
    tried(PATH)
code()
try_next(NEXT, TASKS)
