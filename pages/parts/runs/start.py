"""Starting runs from a page."""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress

import streamlit as st
from torch import Tensor

from core.config import RunConfig
from core.fields import ConfigError
from core.presets import title_of
from core.runs import Run, StoreError, WatchError
from pages.parts.draft import address
from pages.parts.runs.rate_finder import RATE, find_rate
from pages.parts.shell import keys, lesson
from pages.parts.shell.frame import go_to, select_run
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import icon_of, refuse, tell
from pages.parts.shell.services import Services

SEEDS = (3, 5)
SECONDS_FOR_FIRST_POINT = 1.0  # a warm worker needs 0.1 to 0.5 s; then the first picture already has a point on it


def start(server: Services, config: RunConfig, seeds: int = 1, paused: bool = False, watch: Tensor | None = None) -> None:
    """Queue a run, or one for each of several seeds, and make it the one that is looked at; where that can't be, the page is
    drawn anew with the reason, and what follows is not done. A second click while it is going finds the same run. paused: it
    waits before its first step. watch: images it is watched with, as LocalEngine.submit()."""
    owner, title = st.session_state[keys.OWNER], title_of(config)
    watched = b"" if watch is None else watch.numpy().tobytes()  # another drawing is another run
    key = hashlib.sha256(f"{config.model_dump_json()}{seeds if seeds > 1 else ''}".encode() + watched).hexdigest()
    try:
        for number in range(seeds):
            check_lesson(config.with_values({"training.seed": config.training.seed + number}))
        there = server.engine.shared_run(config) if seeds == 1 and not paused and watch is None else None
        if there is not None:
            run_id = there
            with suppress(StoreError):  # a full disk: the wall says it less well, and the run is there all the same
                server.store.share_run(run_id, owner)
            if server.store.get(run_id).owner != owner:
                tell("Somebody in this lesson has started exactly these settings already: this is that run.", ":material/groups:")
        elif seeds > 1:
            run_id = server.engine.submit_seeds(config, owner, seeds, title, key, watch)[0]
        else:
            run_id = server.engine.submit(config, owner, title, key, paused, watch=watch)
    except (StoreError, ConfigError, WatchError) as error:
        refuse(as_text(str(error)), icon_of(error))
    is_draft = config.model_dump(mode="json") == st.session_state.get(keys.DRAFT)  # then the run says which settings these are
    select_run(run_id, without=(address.CONFIG,) if is_draft else ())
    wait_until(server, run_id, SECONDS_FOR_FIRST_POINT, lambda run: bool(
        run.step or (run.pause_requested and run.steps) or (run.status == "queued" and server.store.queue_position(run_id))))


def check_lesson(config: RunConfig) -> None:
    """In a lesson, draw the page anew with the reason where it does not allow such settings."""
    if line := lesson.problem(config):
        refuse(as_text(line), ":material/school:")


def wait_until(server: Services, run_id: str, seconds: float, happened: Callable[[Run], bool]) -> None:
    """Until something has happened to a run, or it has ended, or the time is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        run = server.store.get(run_id)
        if not run.is_active or happened(run):
            return
        time.sleep(0.02)


def more_ways(server: Services, config: RunConfig, ready: bool, watch: Tensor | None = None) -> None:
    """Other ways to start: one step at a time, from several seeds, or looking for a learning rate first. watch: as start()."""

    def way(label: str, key: str, icon: str, about: str) -> bool:
        return st.button(label, key=key, icon=icon, type="tertiary", help=about, on_click=close_popover, args=("train.more",))

    with st.popover("More", icon=":material/more_vert:", key="train.more", on_change="rerun", disabled=not ready):
        if way("Start paused", "train.start_paused", ":material/pause:",
               "Waits before the first step, so that you can take one step at a time."):
            start(server, config, paused=True, watch=watch)
            st.rerun()
        most = server.actor.limits.waiting
        for seeds in () if lesson.is_fixed("training.seed") else (count for count in SEEDS if not most or count <= most):
            if way(f"Start {seeds} seeds", f"train.seeds.{seeds}", ":material/casino:",
                   f"The same settings from {seeds} different random starting weights, one after another: how much of a result "
                   "is luck?"):
                start(server, config, seeds=seeds, watch=watch)
                st.rerun()
        if lesson.shows("pages/search_settings.py") and way(
                "Search for better settings", "train.search", ":material/travel_explore:",
                "Trains many times with other settings, and says which are best and how much of that is luck."):
            go_to("pages/search_settings.py")
        if not lesson.is_fixed(RATE) and way("Find a learning rate", "train.find_rate", ":material/search_insights:",
               "A short test in which the learning rate grows with each step. Takes seconds and is no result to compare."):
            find_rate(server, config)
            st.rerun()


def close_popover(popover: str) -> None:
    """Close a popover: once its button is pressed it would only hide what comes of it."""
    st.session_state[popover] = False
