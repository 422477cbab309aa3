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
from pages.parts.shell.frame import go_to, link, select_run
from pages.parts.shell.services import Services
from pages.parts.widgets.differences import differences
from pages.parts.widgets.markdown import as_text

STEPS = {"pages/explore_data.py": ("1. Data", ":material/grid_view:"),
         "pages/build_model.py": ("2. Build", ":material/account_tree:"),
         "pages/train_model.py": ("3. Train", ":material/model_training:"), "pages/draw_digit.py": ("4. Draw", ":material/draw:")}
RECENT = 5
CLASSIC, LEARN = "Classic systems", "Learn how it works"


def steps() -> None:
    """The way from data to drawing, in a line."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="home.steps"):
        for path, (label, icon) in STEPS.items():
            link(path, label, icon)


def recent(server: Services, current: Run | None, shown: bool) -> None:
    """The last runs, the one that is looked at first. shown: it is on the first screen, so that a line will do."""
    runs = server.store.runs(limit=RECENT, archived=False)
    if not runs:
        return
    mine = current is not None and current.owner == st.session_state[keys.OWNER]
    st.subheader("Go on where you were" if mine else "Recent runs")
    if current is not None and not shown:
        with st.container(border=True):
            run_panel(server, current)
            with st.container(horizontal=True):
                control_buttons(server, current)
            next_steps(server, current)
    first = [current] if current is not None and shown else []
    for run in [*first, *[run for run in runs if current is None or run.id != current.id]][:RECENT]:
        _one(server, run)


def _one(server: Services, run: Run) -> None:
    label, icon = STATUS[run.status]
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(as_text(run.title or run.id[:8]), key=f"home.run.{run.id}", type="tertiary", icon=icon):
            select_run(run.id)
            go_to("pages/train_model.py")
        reached = "" if run.test_accuracy is None else f" · test accuracy {percent(run.test_accuracy)}"
        st.caption(label.lower() + reached)


def more(server: Services) -> None:
    """Classic systems, or the labs: what is not looked at costs nothing, and a choice draws nothing else anew."""
    st.fragment(lambda: _more(server))()


def _more(server: Services) -> None:
    section = st.segmented_control("More", [CLASSIC, LEARN], default=CLASSIC, required=True, key="home.more",
                                   persist_state="session", label_visibility="collapsed")
    if section == LEARN:
        lab_path()
    else:
        presets(server)


def presets(server: Services) -> None:
    """Every preset with its own button; those that can be trained right now first."""
    st.subheader("Classic systems, one click each")
    here = {name: available_here(server, name) for name in {entry.config.data.dataset for entry in PRESETS.values()}}
    ordered = sorted(PRESETS.items(), key=lambda item: not here[item[1].config.data.dataset])
    # a grid of the style's instead of columns: with many visitors at once, what takes time is the number of elements
    with st.container(horizontal=True, gap="small", key="home.presets"):
        for name, entry in ordered:
            _preset(entry, name, here[entry.config.data.dataset], server)


def _preset(entry: Preset, name: str, is_here: bool, server: Services) -> None:
    data, epochs = spec_of(entry.config.data.dataset), entry.config.training.epochs
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{entry.title}**\n\n:small[{entry.summary} {plural(epochs, 'epoch')} on {as_text(data.title)}.]",
                    help=differences(entry, "Where well-known notes differ:") or None)
        if is_here:
            if st.button("Train", key=f"home.preset.{name}", icon=":material/play_arrow:"):
                start(server, entry.config)
                go_to("pages/train_model.py")
        elif st.button(f"Get {as_text(data.title)} first", key=f"home.get.{name}", icon=":material/cloud_download:",
                       type="tertiary"):
            st.session_state[keys.EXPLORED] = entry.config.data.dataset
            go_to("pages/explore_data.py")


def available_here(server: Services, dataset: str) -> bool:
    return spec_of(dataset).is_available(server.settings.data_dir)
