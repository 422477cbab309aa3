"""Which trained models a page offers."""

from contextlib import suppress

import streamlit as st

from core.runs import Run, RunNotFound, StoreError, has_checkpoint
from pages.parts.shell import keys
from pages.parts.shell.services import Services


def usable_runs(server: Services, most: int = 200) -> dict[str, Run]:
    """Runs by id that have ended with weights, newest first: the newest that are not archived, and the one in the address,
    however old it is."""
    runs = server.store.runs(most, archived=False)
    current = st.session_state.get(keys.RUN)
    if current and all(run.id != current for run in runs):
        with suppress(RunNotFound, StoreError):
            runs.append(server.store.get(current))
    return {run.id: run for run in runs if run.kind == "training" and not run.is_active and has_checkpoint(server.store, run.id)}
