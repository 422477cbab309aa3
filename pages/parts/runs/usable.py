"""Which runs a page offers."""

from collections.abc import Callable
from contextlib import suppress

import streamlit as st

from core.data.sources import kind_of
from core.runs import Run, RunNotFound, StoreError, has_checkpoint
from pages.parts.shell import keys
from pages.parts.shell.services import Services


def usable_runs(server: Services, most: int = 200) -> dict[str, Run]:
    """Runs by id that have ended with weights, newest first: see offered_runs(). After them those that have finished and were not
    tested, a search's trials but for the chosen one: who names no run does not begin with one of these."""
    runs = offered_runs(server, lambda run: not run.is_active and has_checkpoint(server.store, run.id), most)
    first = {run_id: run for run_id, run in runs.items() if run.status != "finished" or run.is_tested}
    return first | runs


def picture_runs(server: Services) -> dict[str, Run]:
    """As usable_runs(), but those first that learned from images: who names no run begins with one of them. Empty where none of
    them did and the address names none: a picture means nothing to the others, and a page says so of each."""
    runs = usable_runs(server)
    reading = {run_id: run for run_id, run in runs.items() if kind_of(run.config.data.dataset) == "images"}
    return reading | runs if reading or st.session_state.get(keys.RUN) in runs else {}


def offered_runs(server: Services, fits: Callable[[Run], bool], most: int = 200) -> dict[str, Run]:
    """Trainings by id that fit, newest first: of the newest that are not archived, and the one in the address, however old it
    is."""
    runs = server.store.runs(most, archived=False)
    current = st.session_state.get(keys.RUN)
    if current and all(run.id != current for run in runs):
        with suppress(RunNotFound, StoreError):
            runs.append(server.store.get(current))
    return {run.id: run for run in runs if run.kind == "training" and fits(run)}
