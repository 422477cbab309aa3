"""Home: what is this, and how do I see a network learn with one click?"""

from core.process import configure

configure("server")

import streamlit as st

from core.data import DataError, spec_of
from core.figures.images import contact_sheet
from core.presets import PRESETS, Preset
from core.runs import StoreError
from core.version import TORCH_VERSION
from core.wording import percent, plural
from pages.parts.draft.draft import first_preset
from pages.parts.learn.lab import lab_path
from pages.parts.runs.control import control_buttons
from pages.parts.runs.panel import current_run, next_steps, run_panel
from pages.parts.runs.start import start
from pages.parts.runs.words import STATUS
from pages.parts.shell.frame import device, go_to, link, open_page, select_run
from pages.parts.shell.services import Services, dataset, services
from pages.parts.widgets.differences import differences
from pages.parts.widgets.markdown import as_text

PATH = [
    ("pages/explore_data.py", "1. Look at the data", ":material/grid_view:", "What does the network get to see?"),
    ("pages/build_model.py", "2. Build a network", ":material/account_tree:", "Layers, shapes and every parameter counted."),
    ("pages/train_model.py", "3. Train it", ":material/model_training:", "Loss and accuracy while it learns."),
    ("pages/draw_digit.py", "4. Draw a digit", ":material/draw:", "Does it recognise your handwriting?"),
]
DATASET = "explore.dataset"  # key of that page's choice
STRIP = 20  # digits in a row: still to be told apart on a phone


def hero(server: Services) -> None:
    """What this is, and the one button."""
    st.title("See a neural network learn")
    st.markdown("Real PyTorch on real handwriting. Look at the data, choose a network, watch it learn, then draw a digit and see "
                "whether it can read it.")
    name = first_preset(server.settings)
    samples(server, name)
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Train a first model", type="primary", icon=":material/play_arrow:", key="home.train"):
            start(server, PRESETS[name].config)
            st.rerun()
        st.caption(f"{PRESETS[name].title}, on this machine's {device().title} with PyTorch {TORCH_VERSION}.")


def samples(server: Services, name: str) -> None:
    """A strip of what the first model learns from."""
    try:
        train = dataset(PRESETS[name].config.data, server.settings).train
    except DataError as error:
        st.warning(as_text(str(error)), icon=":material/broken_image:")
        return
    images, _ = train.take(train.positions(None, 0, STRIP))
    st.image(contact_sheet(images, STRIP, gap=0), width="stretch", alt="Handwritten digits the network learns from")


def path() -> None:
    """The four steps."""
    for column, (page, label, icon, text) in zip(st.columns(4), PATH, strict=True):
        with column.container(border=True):
            link(page, f"**{label}**", icon)
            st.caption(text)


def presets(server: Services) -> None:
    """Every preset with its own button; those that can be trained right now first."""
    st.subheader("Classic systems, one click each")
    ordered = sorted(PRESETS.items(), key=lambda item: not _is_available(server, item[1]))
    for index, (name, entry) in enumerate(ordered):
        if index % 3 == 0:
            columns = st.columns(3)
        data, epochs = spec_of(entry.config.data.dataset), entry.config.training.epochs
        with columns[index % 3].container(border=True, height="stretch"):
            st.markdown(f"**{entry.title}**", help=differences(entry, "Where well-known notes differ:") or None)
            st.caption(f"{entry.summary} {plural(epochs, 'epoch')} on {as_text(data.title)}.")
            if _is_available(server, entry):
                if st.button("Train", key=f"home.preset.{name}", icon=":material/play_arrow:"):
                    start(server, entry.config)
                    go_to("pages/train_model.py")
            elif st.button(f"Get {as_text(data.title)} first", key=f"home.get.{name}", icon=":material/cloud_download:",
                           type="tertiary"):
                st.session_state[DATASET] = entry.config.data.dataset
                go_to("pages/explore_data.py")


def _is_available(server: Services, entry: Preset) -> bool:
    return spec_of(entry.config.data.dataset).is_available(server.settings.data_dir)


def recent(server: Services) -> None:
    """The last few runs, each one click away."""
    runs = server.store.runs(limit=5)
    if not runs:
        return
    st.subheader("Recent runs")
    for run in runs:
        label, icon = STATUS[run.status]
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button(as_text(run.title or run.id[:8]), key=f"home.run.{run.id}", type="tertiary", icon=icon):
                select_run(run.id)
                go_to("pages/train_model.py")
            reached = "" if run.test_accuracy is None else f" · test accuracy {percent(run.test_accuracy)}"
            st.caption(label.lower() + reached)


open_page("Home")
server = services()
hero(server)
try:
    if run := current_run(server):
        with st.container(border=True):
            run_panel(server, run)
            with st.container(horizontal=True):
                control_buttons(server, run)
            next_steps(server, run)
    path()
    lab_path()
    presets(server)
    recent(server)
except StoreError as error:
    st.error(as_text(str(error)), icon=":material/folder_off:")
