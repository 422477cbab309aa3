"""Build model: what is this network, layer by layer, and will it work?"""

from core.process import configure

configure("server")

import streamlit as st

from core.data import available, outline, spec_of
from core.models import ARCHITECTURES, StackConfig
from core.models.composer import problems
from core.training import outputs_for
from core.wording import plural
from pages.parts.build.code import show_code
from pages.parts.build.composer import composer, last_that_fitted
from pages.parts.build.layer_table import layers_section, shape
from pages.parts.build.walk import walk_section
from pages.parts.doctors import config_doctor
from pages.parts.draft import address, draft
from pages.parts.draft.fields import field
from pages.parts.runs.start import start
from pages.parts.runs.start_from import can_start, start_from_form
from pages.parts.shell import lesson
from pages.parts.shell.frame import go_to, open_page, select_run
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import services

EXAMPLE = {"images": "image (channels × height × width)", "points": "point (features)", "text": "text (words)"}


def choices() -> None:
    """Which architecture, for which data."""
    field(config, "model.architecture", list(ARCHITECTURES))
    st.caption(ARCHITECTURES[config.model.architecture].summary)
    if not isinstance(config.model, StackConfig):
        for name in type(config.model).model_fields:
            if name != "architecture":
                field(config, f"model.{name}")
    known = available(server.settings.data_dir, server.actor, [config.data.dataset])
    field(config, "data.dataset", list(known), {name: entry.title for name, entry in known.items()})
    start_from_form(server, config, "build")


def next_steps(works: bool) -> None:
    """Where to go with this network."""
    works = can_start(server, config) and works
    with st.container(horizontal=True):
        if lesson.shows("pages/train_model.py") and st.button(
                "Train this network", type="primary", icon=":material/model_training:", key="build.train",
                disabled=not works):
            if not spec_of(config.data.dataset, server.settings.data_dir).is_available(server.settings.data_dir):
                select_run(None)  # an older run's result would read as this network's; the page says how to get the data
                go_to("pages/train_model.py")
            else:
                start(server, config)
                go_to("pages/train_model.py")
        if not isinstance(config.model, StackConfig) and not lesson.is_fixed("model.architecture"):
            st.button("Compose layers", icon=":material/reorder:", key="build.compose", on_click=draft.take_apart,
                      help="Turns the network into rows to add, move, change and delete.")


open_page("Build model")
server = services()
st.title("Build model")
config = draft.draft(server)
address.note()
data = outline(config.data)
outputs = outputs_for(config, len(data.source_classes))
composed = isinstance(config.model, StackConfig)
with st.container(key="stage"):
    controls, picture = st.columns([1, 2.8], gap="large")
works, case = True, config_doctor.case_of(server, config)
with controls:
    actions = st.container()  # above the settings, as on Train model: some networks have more of them than a screen has room for
    choices()
with picture:
    st.markdown(f"From one {shape(data.input_shape)} {EXAMPLE[data.kind]} of {as_text(data.title)} to "
                f"{plural(outputs, 'output')}. Shapes are for one image.")
    if composed:
        works = not problems(composer(config, data.input_shape, outputs))
if works:
    with st.container() if composed else picture:
        works = layers_section(case, composed)
        config_doctor.show_findings(server, case)
        if works and lesson.parts("build_model", ["Code"]):
            show_code(config)
elif before := last_that_fitted(data.input_shape, outputs):
    st.caption("Until all rows fit: the network as it was when they last did.")
    layers_section(config_doctor.case_of(server, config.model_copy(update={"model": before})), composed)
with actions:
    next_steps(works)
if lesson.parts("build_model", ["Look inside"]):
    walk_section(server, config, case.model if works else None)
address.keep()
