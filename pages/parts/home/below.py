"""Home, below its first screen: where to go on, the labs, every preset, the last runs."""

import streamlit as st

from core.data import spec_of
from core.presets import PRESETS, Preset
from core.runs import Run
from core.wording import percent, plural
from pages.parts.learn.lab import lab_path
from pages.parts.runs.control import control_buttons
from pages.parts.runs.panel import next_steps, run_panel
from pages.parts.runs.start import start
from pages.parts.runs.words import STATUS
from pages.parts.shell import keys
from pages.parts.shell.frame import go_to, query_of, select_run
from pages.parts.shell.links import Group, show_links
from pages.parts.shell.services import Services
from pages.parts.widgets.offers import Offer, choose_offer

# path → (label, icon)
STEPS = {"pages/explore_data.py": ("1. Data", ":material/grid_view:"),
         "pages/build_model.py": ("2. Build", ":material/account_tree:"),
         "pages/train_model.py": ("3. Train", ":material/model_training:"), "pages/draw_digit.py": ("4. Draw", ":material/draw:"),
         "pages/open_lesson.py": ("Lessons", ":material/school:")}
RECENT = 5
CLASSIC, LEARN = "Classic systems", "Learn how it works"


def steps() -> None:
    """The way from data to drawing, in a line."""
    show_links([Group(STEPS)], "home.steps", "Steps", go_to, query_of, row=True)


def recent(server: Services, current: Run | None, shown: bool) -> None:
    """The last runs, the one that is looked at first. shown: it is on the first screen, so that a line will do."""
    runs = server.store.runs(limit=RECENT, archived=False)
    if not runs and current is None:
        return
    mine = server.actor.kind != "teacher" and (current is None or server.may_change(current))  # else a link has led to it
    st.header("Go on where you were" if mine else "Recent runs")
    if current is not None and not shown:
        with st.container(border=True):
            run_panel(server, current)
            with st.container(horizontal=True):
                control_buttons(server, current)
            next_steps(server, current)
    first = [current] if current is not None and shown else []
    listed = [*first, *[run for run in runs if current is None or run.id != current.id]][:RECENT]
    if chosen := choose_offer([_offer(run) for run in listed], "home.runs", "Runs", rows=True):
        select_run(chosen)
        go_to("pages/train_model.py")


def _offer(run: Run) -> Offer:
    label, icon = STATUS[run.status]
    reached = "" if run.test_accuracy is None else f" · test accuracy {percent(run.test_accuracy)}"
    return Offer(run.id, run.title or run.id[:8], icon, text=label.lower() + reached)


def more(server: Services) -> None:
    """Classic systems, or the labs: what is not looked at costs nothing, and a choice draws nothing else anew."""
    st.fragment(lambda: _more(server))()


def _more(server: Services) -> None:
    section = st.segmented_control("More", [CLASSIC, LEARN], default=CLASSIC, required=True, key="home.more",
                                   bind="query-params", label_visibility="collapsed")
    if section == LEARN:
        lab_path()
    else:
        presets(server)


def presets(server: Services) -> None:
    """Every preset with its own button; those that can be trained right now first."""
    st.header("Classic systems, one click each")
    here = {name: available_here(server, name) for name in {entry.config.data.dataset for entry in PRESETS.values()}}
    ordered = sorted(PRESETS.items(), key=lambda item: not here[item[1].config.data.dataset])
    chosen = choose_offer([_preset(name, entry, here[entry.config.data.dataset]) for name, entry in ordered], "home.presets",
                          "Classic systems")
    if chosen is None:
        return
    config = PRESETS[chosen].config
    if not here[config.data.dataset]:
        st.session_state[keys.EXPLORED] = config.data.dataset
        go_to("pages/explore_data.py")
    start(server, config)
    go_to("pages/train_model.py")


def _preset(name: str, entry: Preset, is_here: bool) -> Offer:
    data, epochs = spec_of(entry.config.data.dataset), entry.config.training.epochs
    button, icon = ("Train", ":material/play_arrow:") if is_here else (f"Get {data.title} first", ":material/cloud_download:")
    return Offer(name, button, icon, is_here, entry.title, f"{entry.summary} {plural(epochs, 'epoch')} on {data.title}.",
                 "Where well-known notes differ", entry.differs)


def available_here(server: Services, dataset: str) -> bool:
    return spec_of(dataset).is_available(server.settings.data_dir)
