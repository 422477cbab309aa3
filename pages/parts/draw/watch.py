"""From a drawing to a training in which the answer to it forms."""

import streamlit as st

from core.data import available
from core.runs import Run
from pages.parts.runs.start import start
from pages.parts.runs.watched import watchable
from pages.parts.shell.frame import go_to
from pages.parts.shell.services import Services


def watch_button(server: Services, run: Run) -> None:
    """Trains the run's network anew with the drawing watched, where its data are on this machine and it takes such images."""
    config = run.config
    known = available(server.settings.data_dir, server.actor, [config.data.dataset])
    spec = known.get(config.data.dataset)
    if spec is None or not spec.is_available(server.settings.data_dir) or (images := watchable(server, config)) is None:
        return
    if st.button("Watch it being learned", icon=":material/visibility:", key="draw.watch",
                 help="Trains the same network anew, on Train model, and shows how its answer to this drawing forms."):
        start(server, config, watch=images)
        go_to("pages/train_model.py")
