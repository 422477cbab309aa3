"""Starting runs from a page, and what can be done with them while they go and afterwards."""

import hashlib
import time
from collections.abc import Callable

import streamlit as st

from core.config import RunConfig, TrainingConfig
from core.fields import ConfigError, describe
from core.presets import title_of
from core.runs import Run, RunNotFound, StoreError, has_checkpoint
from pages.parts.runs.rate_finder import find_rate
from pages.parts.shell import keys
from pages.parts.shell.frame import select_run
from pages.parts.shell.services import Services

MOST_EPOCHS = int(describe(TrainingConfig, "epochs").maximum or 0)
SECONDS_TO_STOP = 2.0  # the engine has ended a run by then, if need be with its process
SECONDS_FOR_STEP = 0.6  # the worker looks several times a second
SEEDS = (3, 5)
SECONDS_FOR_FIRST_POINT = 1.0  # a warm worker needs 0.1 to 0.5 s; then the first picture already has a point on it


def start(server: Services, config: RunConfig, seeds: int = 1, paused: bool = False) -> None:
    """Queue a run, or one for each of several seeds, and make it the one that is looked at. A second click while it is going
    finds the same run. paused: it waits before its first step."""
    owner, title = st.session_state[keys.OWNER], title_of(config)
    key = hashlib.sha256(f"{config.model_dump_json()}{seeds if seeds > 1 else ''}".encode()).hexdigest()
    try:
        if seeds > 1:
            run_id = server.engine.submit_seeds(config, owner, seeds, title, key)[0]
        else:
            run_id = server.engine.submit(config, owner, title, key, paused)
    except (StoreError, ConfigError) as error:
        st.error(str(error), icon=":material/folder_off:")
        return
    select_run(run_id)
    _wait(server, run_id, SECONDS_FOR_FIRST_POINT, lambda run: bool(
        run.step or (run.pause_requested and run.steps) or (run.status == "queued" and server.store.queue_position(run_id))))


def _wait(server: Services, run_id: str, seconds: float, happened: Callable[[Run], bool]) -> None:
    """Until something has happened to a run, or it has ended, or the time is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        run = server.store.get(run_id)
        if not run.is_active or happened(run):
            return
        time.sleep(0.02)


def more_ways(server: Services, config: RunConfig, ready: bool) -> None:
    """Other ways to start: one step at a time, from several seeds, or looking for a learning rate first."""

    def way(label: str, key: str, icon: str, about: str) -> bool:
        return st.button(label, key=key, icon=icon, type="tertiary", help=about, on_click=_close, args=("train.more",))

    with st.popover("More", icon=":material/more_vert:", key="train.more", on_change="rerun", disabled=not ready):
        if way("Start paused", "train.start_paused", ":material/pause:",
               "Waits before the first step, so that you can take one step at a time."):
            start(server, config, paused=True)
            st.rerun()
        for seeds in SEEDS:
            if way(f"Start {seeds} seeds", f"train.seeds.{seeds}", ":material/casino:",
                   f"The same settings from {seeds} different random starting weights, one after another: how much of a result "
                   "is luck?"):
                start(server, config, seeds=seeds)
                st.rerun()
        if way("Find a learning rate", "train.find_rate", ":material/search_insights:",
               "A short test in which the learning rate grows with each step. Takes seconds and is no result to compare."):
            find_rate(server, config)
            st.rerun()


def _close(popover: str) -> None:
    """Close a popover: once its button is pressed it would only hide what comes of it."""
    st.session_state[popover] = False


def control_buttons(server: Services, run: Run) -> None:
    """What can be done with a run now: stop or pause it while it is going, go on with it afterwards."""
    waiting = [one for one in server.store.group(run.group_id) if one.is_active and one.id != run.id] if run.group_id else []
    if waiting and st.button("Stop all seeds", icon=":material/stop:", key="run.stop_all",
                             help="Ends the seed that trains now and takes the others out of the queue."):
        for one in reversed(server.store.group(run.group_id)):  # the last one first, so that none starts meanwhile
            server.engine.cancel(one.id)
        st.rerun()
    if run.is_active:
        _while_active(server, run, f" seed {run.config.training.seed}" if waiting else "")
    elif has_checkpoint(server.store, run.id) and run.config.training.epochs < MOST_EPOCHS:
        which = f" seed {run.config.training.seed}" if run.group_id else ""
        with st.popover(f"Continue{which}", icon=":material/forward:", help="Go on from the last checkpoint.",
                        key="run.continue_open", on_change="rerun"):
            missing = run.config.training.epochs - run.epoch
            more = st.number_input("More epochs", 0 if missing else 1, MOST_EPOCHS - run.config.training.epochs,
                                   0 if missing else 5, key=f"run.more.{run.id}",
                                   help=f"In addition to the {run.config.training.epochs} it was made for.")
            if st.button("Continue training", type="primary", key="run.continue", on_click=_close, args=("run.continue_open",)):
                _try(lambda: server.engine.resume(run.id, int(more)))


def _while_active(server: Services, run: Run, which: str) -> None:
    if st.button(f"Stop{which}", icon=":material/stop:", key="run.stop",
                 help="Ends the run after the step it is at. What it has learned so far is kept."):
        server.engine.cancel(run.id)
        _wait(server, run.id, SECONDS_TO_STOP, lambda run: False)
        st.rerun()
    if run.status != "running":
        return
    paused = run.pause_requested is not None
    label, icon, about = ("Go on", ":material/play_arrow:", "Goes on from the step it waits at.") if paused else \
        ("Pause", ":material/pause:", "The run waits after its next step and keeps everything.")
    if st.button(label, icon=icon, key="run.pause", help=about):
        _try(lambda: server.engine.pause(run.id, not paused))
    _learning_rate(server, run)
    if paused and st.button("One step", icon=":material/skip_next:", key="run.step",
                            help="One batch forward and backward, one change of the weights; then it waits again."):
        server.engine.step(run.id)
        _wait(server, run.id, SECONDS_FOR_STEP, lambda now: now.step > run.step)
        st.rerun()


def _learning_rate(server: Services, run: Run) -> None:
    """Another learning rate for a run that is going."""

    def use() -> None:
        server.engine.set_learning_rate(run.id, value)
        st.session_state[keys.NOTICE] = f"Learning rate {value:g} from the next step on."

    with st.popover("Learning rate", icon=":material/speed:", help="Another learning rate while it trains.", key="run.rate_open",
                    on_change="rerun"):
        current = run.learning_rate if run.learning_rate is not None else run.config.training.optimizer.learning_rate
        value = st.number_input("Learning rate", 1e-9, 100.0, current, step=current / 2, format="%g", key=f"run.rate.{run.id}",
                                help="Acts from the next step on; a schedule scales it as it did the first one.")
        if st.button("Use it", key="run.use_rate", on_click=_close, args=("run.rate_open",)):
            _try(use)


def _try(action: Callable[[], None]) -> None:
    """Do it and draw the page anew, or say in one line why it can't be done."""
    try:
        action()
    except (StoreError, RunNotFound, ConfigError) as error:
        st.error(str(error))
        return
    st.rerun()


def retrain_on_change(server: Services, config: RunConfig, run: Run | None) -> None:
    """With the switch on, a changed setting stops the run that is going and starts the new one, the old curve kept in grey.

    Settings are compared with those of the run that is looked at, so turning the switch on starts nothing by itself.
    """
    live = st.toggle("Retrain on change", key="train.live", persist_state="session",
                     help="Each change of a setting starts a new run at once; the last one's curve stays behind it in grey.")
    text = config.model_dump_json()
    seen = st.session_state.get(keys.LAST_DRAFT, text)
    st.session_state[keys.LAST_DRAFT] = text
    if not live or seen == text or run is None or run.config == config:
        return
    if run.is_active and run.owner == st.session_state[keys.OWNER]:
        server.engine.cancel(run.id)
    same = (run.config.data.dataset, run.config.training.loss) == (config.data.dataset, config.training.loss)
    st.session_state[keys.PREVIOUS_RUN] = run.id if same else None  # else the grey curve would measure something else
    start(server, config)
    st.rerun()
