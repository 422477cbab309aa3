"""What can be done with a run while it goes and afterwards, and runs that start by themselves when a setting changes."""

from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import streamlit as st

from core.actors import NOT_YOURS
from core.config import RunConfig, TrainingConfig
from core.fields import ConfigError, describe
from core.runs import CheckpointError, Run, RunNotFound, StoreError, has_checkpoint
from pages.parts.draft import draft
from pages.parts.runs.rate_finder import RATE
from pages.parts.runs.start import check_lesson, close_popover, start, wait_until
from pages.parts.shell import keys, lesson
from pages.parts.shell.frame import go_to
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import refuse, tell
from pages.parts.shell.services import Services

MOST_EPOCHS = int(describe(TrainingConfig, "epochs").maximum or 0)
SECONDS_TO_STOP = 2.0  # the engine has ended a run by then, if need be with its process
SECONDS_FOR_STEP = 0.6  # the worker looks several times a second


def control_buttons(server: Services, run: Run) -> None:
    """What can be done with a run now: stop or pause it while it is going, go on with it afterwards. Of somebody else's run, that
    it is theirs, and what can be done with it all the same."""
    if not server.may_change(run):
        _of_another(run)
        return
    waiting = [one for one in server.store.group(run.group_id) if one.is_active and one.id != run.id] if run.group_id else []
    if waiting and st.button("Stop all seeds", icon=":material/stop:", key="run.stop_all",
                             help="Ends the seed that trains now and takes the others out of the queue."):
        # the last one first, so that none starts meanwhile
        try_to(lambda: [server.engine.cancel(one.id) for one in reversed(server.store.group(run.group_id))])
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
            if st.button("Continue training", type="primary", key="run.continue", on_click=close_popover,
                         args=("run.continue_open",)):
                check_lesson(run.config.with_values({"training.epochs": run.config.training.epochs + int(more)}))
                try_to(lambda: server.engine.resume(run.id, int(more)))


def _of_another(run: Run) -> None:
    """Whose the buttons are, and the way to a run of one's own."""
    st.caption(f":material/visibility: {NOT_YOURS}", width="content")
    if st.button("Use its settings", icon=":material/tune:", key="run.use_settings", help="Start a run of your own from them."):
        draft.take(run.config)
        go_to("pages/train_model.py")


def _while_active(server: Services, run: Run, which: str) -> None:
    if st.button(f"Stop{which}", icon=":material/stop:", key="run.stop",
                 help="Ends the run after the step it is at. What it has learned so far is kept."):
        try_to(lambda: stop(server, run))
    if run.status != "running":
        teacher = server.actor.kind == "teacher" and server.store.queue_position(run.id)
        if teacher and st.button("Train it next", icon=":material/vertical_align_top:", key="run.next",
                                 help="Moves it to the front of the queue."):
            try_to(lambda: server.engine.move_to_front(run.id))
        return
    paused = run.pause_requested is not None
    label, icon, about = ("Go on", ":material/play_arrow:", "Goes on from the step it waits at.") if paused else \
        ("Pause", ":material/pause:", "The run waits after its next step and keeps everything.")
    if st.button(label, icon=icon, key="run.pause", help=about):
        try_to(lambda: server.engine.pause(run.id, not paused))
    if not lesson.is_fixed(RATE):
        _learning_rate(server, run)
    if paused and st.button("One step", icon=":material/skip_next:", key="run.step",
                            help="One batch forward and backward, one change of the weights; then it waits again."):
        def one_step() -> None:
            server.engine.step(run.id)
            wait_until(server, run.id, SECONDS_FOR_STEP, lambda now: now.step > run.step)

        try_to(one_step)


def stop(server: Services, run: Run) -> None:
    """Stop a run and wait until it has ended. Raises StoreError and RunNotFound."""
    server.engine.cancel(run.id)
    wait_until(server, run.id, SECONDS_TO_STOP, lambda run: False)


def _learning_rate(server: Services, run: Run) -> None:
    """Another learning rate for a run that is going."""

    def use() -> None:
        server.engine.set_learning_rate(run.id, value)
        tell(f"This run's learning rate: {value:g} from the next step on.")

    with st.popover("Its learning rate", icon=":material/speed:", key="run.rate_open", on_change="rerun",
                    help="Another learning rate while it trains. The settings are those of the next run."):
        current = run.learning_rate if run.learning_rate is not None else run.config.training.optimizer.learning_rate
        least, most = lesson.bounds(RATE) or (1e-9, 100.0)
        value = st.number_input("This run's learning rate", min(least, current), max(most, current), current, step=current / 2,
                                format="%g",
                                key=f"run.rate.{run.id}", help="Acts from the next step on; a schedule scales it as it did the "
                                "first one. It becomes part of the run: its list, its script and its config file name it.")
        if st.button("Use it", key="run.use_rate", on_click=close_popover, args=("run.rate_open",)):
            try_to(use)


def try_to(action: Callable[[], object]) -> NoReturn:
    """Do it and draw the page anew, with one line where it can't be done."""
    try:
        action()
    except (StoreError, RunNotFound, ConfigError, CheckpointError) as error:
        refuse(as_text(str(error)))
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
        with suppress(StoreError, RunNotFound):  # starting the next one says what is wrong
            server.engine.cancel(run.id)
    same = (run.config.data.dataset, run.config.training.loss) == (config.data.dataset, config.training.loss)
    st.session_state[keys.PREVIOUS_RUN] = run.id if same else None  # else the grey curve would measure something else
    start(server, config)
    st.rerun()
