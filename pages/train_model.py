"""Train model: how does the network learn, with these settings?"""

from core.process import configure

configure("server")

from pathlib import Path

import streamlit as st

from core.config import RunConfig
from core.data import spec_of
from core.presets import PRESETS, title_of
from core.runs import Run
from core.runs.differing import labels_of, varying
from pages.parts.doctors import config_doctor
from pages.parts.draft import address, draft
from pages.parts.runs.control import control_buttons, retrain_on_change
from pages.parts.runs.panel import current_run, next_steps, run_panel
from pages.parts.runs.rate_finder import rate_finder
from pages.parts.runs.start import more_ways, start
from pages.parts.runs.start_from import can_start
from pages.parts.runs.take_away import made_with
from pages.parts.runs.watched import watch_choice
from pages.parts.shell import lesson
from pages.parts.shell.frame import link, open_page
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, services
from pages.parts.train.forms import data_form, model_form, starting_form, training_form
from pages.parts.train.microscope import microscope_section
from pages.parts.widgets.differences import differences

MOST_NAMED = 6  # settings in which a run differs from the form
STYLE = (Path(__file__).parent / "parts/train/cockpit.css").read_text(encoding="utf-8")
OWN = ""  # the choice for values of one's own, as draft.preset_of() says it
ESSENTIALS, ALL = "Essentials", "All settings"


def preset_choice(config: RunConfig) -> None:
    """Start from a preset; changing a field makes the settings one's own."""
    same = draft.preset_of(config)
    options = ([] if same else [OWN]) + list(PRESETS)
    chosen = st.selectbox("Start from", options, options.index(same), key=f"train.preset.{same}.{config.model_dump_json()}",
                          format_func=lambda name: PRESETS[name].title if name else "My own settings")
    if chosen != same:
        draft.take_preset(chosen)
        st.rerun()


def where_notes_differ(config: RunConfig) -> None:
    """For a preset that rebuilds a system of well-known notes: what they say or do otherwise."""
    text = next((differences(entry) for entry in PRESETS.values() if entry.config == config), "")
    if text:
        with st.expander("Where well-known notes differ", icon=":material/difference:"):
            st.markdown(text)


def beginning(server: Services, config: RunConfig) -> None:
    """What to start from, and the buttons that do."""
    spec = spec_of(config.data.dataset, server.settings.data_dir)
    is_here = spec.is_available(server.settings.data_dir)
    if lesson.parts("train_model", ["Start from"]):
        preset_choice(config)
    else:
        name = draft.preset_of(config)
        title = PRESETS[name].title if name else title_of(config, server.settings.data_dir)
        st.caption(f"Settings: {as_text(title)}")
    ready = can_start(server, config) and is_here
    place = st.container(horizontal=True, gap="xsmall")  # both in one line
    watch = watch_choice(server, config)
    with place:
        if st.button("Start training", type="primary", icon=":material/play_arrow:", key="train.start", disabled=not ready):
            start(server, config, watch=watch)
            st.rerun()
        more_ways(server, config, ready, watch)
    if not is_here:
        st.warning(f"{as_text(spec.title)} is not on this machine yet.", icon=":material/cloud_download:")
        link("pages/explore_data.py", "Get it on the page “Explore data”", ":material/grid_view:")


def as_it_was(server: Services, config: RunConfig, run: Run) -> None:
    """The run's own settings, where the form has others, and what it was made with: a link shows both to whoever opens it."""
    configs = [run.config, config]
    if paths := varying(configs):
        names = list(labels_of(configs, paths).values())
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("Use its settings", icon=":material/tune:", key="train.its_settings", on_click=draft.take,
                      args=(run.config,), help="The form then has this run's settings, for a new run.")
            st.caption(f"This run's settings are not the form's: {', '.join(names[:MOST_NAMED])}{more}.")
    made_with(server, run)


open_page("Train model", STYLE)
server = services()
st.title("Train model")
config, run = draft.draft(server), current_run(server)
with st.container(key="stage"):
    picture, controls = st.columns([2.3, 1], gap="medium")  # in this order, so that on a phone the picture comes first
with controls:
    beginning(server, config)
    address.note()
    where_notes_differ(config)
    view = ESSENTIALS
    if lesson.parts("train_model", [ALL]):
        view = st.segmented_control("Settings", [ESSENTIALS, ALL], default=ESSENTIALS, required=True, key="train.view",
                                    bind="query-params", label_visibility="collapsed")
    retrain_on_change(server, config, run)
    config_doctor.show_problems(config)
    training_form(config, view == ALL)
    if lesson.parts("train_model", ["Network"]):
        model_form(config)
        starting_form(server, config, view == ALL)
    if view == ALL:
        data_form(server, config)
with picture, st.container(key="train.cockpit", gap="xsmall"):
    rate_finder(server)
    if run:
        with st.container(horizontal=True):  # a row of their own: it is there as long as the run, and nothing wraps
            control_buttons(server, run)
        run_panel(server, run)
        next_steps(server, run)
        as_it_was(server, config, run)
    else:
        st.info("Press **Start training**: loss and accuracy appear here while the network learns. Loss is how wrong it is, "
                "accuracy the share of right answers.", icon=":material/show_chart:")
if lesson.parts("train_model", ["Microscope"]):
    microscope_section(server, config, run)
address.keep()
