"""Starting runs from a page, and what can be done with them while they go and afterwards."""

import hashlib
import time
from collections.abc import Callable

import streamlit as st

from core.config import RunConfig, TrainingConfig
from core.fields import ConfigError, describe
from core.presets import title_of
from core.runs import Run, RunNotFound, StoreError, has_checkpoint
from pages.parts import keys
from pages.parts.frame import select_run
from pages.parts.services import Services

MOST_EPOCHS = int(describe(TrainingConfig, "epochs").maximum or 0)
SECONDS_TO_STOP = 2.0  # the engine has ended a run by then, if need be with its process
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


def control_buttons(server: Services, run: Run) -> None:
    """What can be done with a run now: stop or pause it while it is going, go on with it afterwards."""
    if run.is_active:
        _while_active(server, run)
    elif has_checkpoint(server.store, run.id) and run.config.training.epochs < MOST_EPOCHS:
        with st.popover("Continue", icon=":material/forward:", help="Go on from the last checkpoint."):
            missing = run.config.training.epochs - run.epoch
            more = st.number_input("More epochs", 0 if missing else 1, MOST_EPOCHS - run.config.training.epochs,
                                   0 if missing else 5, key=f"run.more.{run.id}",
                                   help=f"In addition to the {run.config.training.epochs} it was made for.")
            if st.button("Continue training", type="primary", key="run.continue"):
                _try(lambda: server.engine.resume(run.id, int(more)))


def _while_active(server: Services, run: Run) -> None:
    if st.button("Stop", icon=":material/stop:", key="run.stop",
                 help="Ends the run after the step it is at. What it has learned so far is kept."):
        server.engine.cancel(run.id)
        until = time.monotonic() + SECONDS_TO_STOP
        while time.monotonic() < until and server.store.get(run.id).is_active:
            time.sleep(0.05)
        st.rerun()
    if run.status != "running":
        return
    paused = run.pause_requested is not None
    if st.button("Go on" if paused else "Pause", icon=":material/play_arrow:" if paused else ":material/pause:", key="run.pause",
                 help="The run waits after its next step and keeps everything."):
        _try(lambda: server.engine.pause(run.id, not paused))
    with st.popover("Learning rate", icon=":material/speed:", help="Another learning rate while it trains."):
        current = run.learning_rate if run.learning_rate is not None else run.config.training.optimizer.learning_rate
        value = st.number_input("Learning rate", 1e-9, 100.0, current, step=current / 2, format="%g", key=f"run.rate.{run.id}",
                                help="Acts from the next step on; a schedule scales it as it did the first one.")
        if st.button("Use it", key="run.use_rate"):
            _try(lambda: server.engine.set_learning_rate(run.id, value))


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
    st.session_state[keys.PREVIOUS_RUN] = run.id
    start(server, config)
    st.rerun()
