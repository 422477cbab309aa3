"""Starting and stopping runs from a page."""

import hashlib
import time

import streamlit as st

from core.config import RunConfig
from core.presets import title_of
from core.runs import Run, StoreError
from pages.parts import keys
from pages.parts.frame import select_run
from pages.parts.services import Services

SECONDS_FOR_FIRST_POINT = 1.0  # a warm worker needs 0.1 to 0.5 s; then the first picture already has a point on it


def start(server: Services, config: RunConfig) -> None:
    """Queue a run and make it the one that is looked at. A second click while it is going finds the same run."""
    text = config.model_dump_json()
    try:
        run_id = server.engine.submit(config, st.session_state[keys.OWNER], title_of(config),
                                      key=hashlib.sha256(text.encode()).hexdigest())
    except StoreError as error:
        st.error(str(error), icon=":material/folder_off:")
        return
    select_run(run_id)
    until = time.monotonic() + SECONDS_FOR_FIRST_POINT
    while time.monotonic() < until:
        run = server.store.get(run_id)
        if run.step or not run.is_active or (run.status == "queued" and server.store.queue_position(run_id)):
            return
        time.sleep(0.02)


def stop_button(server: Services, run: Run) -> None:
    """A button that ends a run and keeps what it has learned; nothing for a run that has ended."""
    if run.is_active and st.button("Stop", icon=":material/stop:", key="run.stop",
                                   help="Ends the run after the step it is at. What it has learned so far is kept."):
        server.engine.cancel(run.id)
        until = time.monotonic() + 2
        while time.monotonic() < until and server.store.get(run.id).is_active:
            time.sleep(0.05)
        st.rerun()
