"""The 2-D lab's pictures while its run goes, its buttons and its losses."""

import hashlib
import time
from pathlib import Path
from typing import Any

import streamlit as st

from core.actors import NOT_YOURS
from core.config import RunConfig, TrainingConfig
from core.data import Dataset, spec_of
from core.data.sources.generated import Generated
from core.fields import describe
from core.figures.by_hand import mark_changes
from core.figures.curves import Curves
from core.figures.in_words import in_words
from core.figures.plane import LOSSES, losses_chart
from core.labs.decision_boundary import MOST_BYTES, MOST_PICTURES, picture_of, plane_points, spread_over, untrained
from core.presets import title_of
from core.runs import Look, Run, RunNotFound, StoreError, TrainedModel, has_checkpoint
from core.runs.live_weights import newest_model
from core.training.plane import PLANE
from core.wording import percent, plural
from pages.parts.learn.decision_boundary import config as plane_config
from pages.parts.learn.decision_boundary import weight
from pages.parts.learn.decision_boundary.controls import CLASSES
from pages.parts.runs.start import check_lesson
from pages.parts.runs.words import waiting
from pages.parts.shell import keys
from pages.parts.shell.frame import is_dark, select_run
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import icon_of, refuse
from pages.parts.shell.services import Services
from pages.parts.widgets import plane
from pages.parts.widgets.plane import Shown

SPEEDS = {"1 epoch/s": 1.0, "5": 0.2, "20": 0.05, "100": 0.01, "as fast as it goes": 0.0}  # seconds for an epoch
FIRST_SPEED = "20"
SECONDS_PER_MESSAGE = 0.2  # to the browser, with all pictures since the last one
MOST_AT_ONCE = 60  # pictures: older ones are not played any more
SECONDS_TO_ANSWER = 1.5  # how long a button waits for the training process to do what it was asked
MORE_EPOCHS = 300
MOST_EPOCHS = int(describe(TrainingConfig, "epochs").maximum or 0)
NO_CLICKS = "Nothing"


@st.cache_data(max_entries=64, show_spinner=False)
def points_of(config_json: str) -> tuple[Generated, float]:
    """A config's points in the plane, and for a number the largest one's size."""
    config = RunConfig.model_validate_json(config_json)
    points = plane_points(config)
    return points, 1.0 if spec_of(config.data.dataset).classes else max(float(points.train[1].abs().max()), 1e-9)


def buttons(server: Services, config: RunConfig, run: Run | None) -> None:
    """Start, pause, step, go on, stop, reset: what there is to do with the run now, and how it is. run: None where none is of
    these settings."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="plane.buttons"):
        if run is None or not run.is_active:
            label = "Start" if run is None else "Start again"
            if st.button(label, type="primary", icon=":material/play_arrow:", key="plane.start"):
                _start(server, config)
            if st.button("Step by step", icon=":material/step:", key="plane.start_paused",
                         help="Starts, and waits before its first change of the weights, so that you can look at each."):
                _start(server, config, paused=True)
            if run is not None and server.may_change(run) and _more(server, run):
                _continue(server, run)
        else:
            if server.may_change(run):
                _while_active(server, run)
            else:
                st.caption(NOT_YOURS, width="content")
        if run is not None:
            st.button("Reset", icon=":material/restart_alt:", key="plane.reset", on_click=_reset, args=(server, run),
                      help="Back to the first weights. The run stays on Compare runs.")
        with st.container(key="plane.status", width="stretch"):
            status(server, run)


def _reset(server: Services, run: Run) -> None:
    if run.is_active and run.owner == st.session_state[keys.OWNER]:
        server.engine.cancel(run.id)
    select_run(None)


def speed(server: Services, run: Run | None) -> None:
    """How fast epochs follow each other."""
    chosen = st.select_slider("Speed (epochs a second)", list(SPEEDS), FIRST_SPEED, key="plane.speed", bind="query-params",
                              persist_state="session",
                              help="Epochs of so few points take a few thousandths of a second; slower, one sees "
                              "what happens. It changes nothing about the result.")
    if run is not None and run.is_active and run.pace != SPEEDS[chosen] and server.may_change(run):
        server.engine.set_pace(run.id, SPEEDS[chosen])


def _more(server: Services, run: Run) -> int:
    """Epochs that a run can go on for: what it has left, or some more; 0 where it can't."""
    if not has_checkpoint(server.store, run.id):
        return 0
    return max(0, min(run.config.training.epochs - run.epoch or MORE_EPOCHS, MOST_EPOCHS - run.epoch))


def _continue(server: Services, run: Run) -> None:
    """Go on from the last checkpoint. A run that was cut short needs no other settings, one that has ended gets more epochs."""
    more = _more(server, run)
    if not st.button(f"{more} more epochs", icon=":material/forward:", key="plane.continue"):
        return
    beyond = max(0, run.epoch + more - run.config.training.epochs)
    check_lesson(run.config.with_values({"training.epochs": run.config.training.epochs + beyond}))
    _try(lambda: server.engine.resume(run.id, beyond), server, run.id, lambda now: now.status != "queued")
    plane_config.take(plane_config.current(server.store.get(run.id)))
    st.rerun()


def _while_active(server: Services, run: Run) -> None:
    paused = run.pause_requested is not None
    going = run.status == "running"  # before that there is nothing to pause or to step through
    if going and st.button("Go on" if paused else "Pause", type="primary", key="plane.pause",
                           icon=":material/play_arrow:" if paused else ":material/pause:"):
        _try(lambda: server.engine.pause(run.id, not paused), server, run.id)
        st.rerun()
    if going and paused:
        for label, count in (("One step", 1), ("One epoch", max(1, run.steps_per_epoch))):
            if st.button(label, icon=":material/step:" if count == 1 else ":material/skip_next:", key=f"plane.{label}",
                         help=f"{plural(count, 'change')} of the weights, then wait again."):
                _steps(server, run, count)
    if st.button("Stop", icon=":material/stop:", key="plane.stop", help="Ends the run; what it has learned is kept."):
        _try(lambda: server.engine.cancel(run.id), server, run.id, lambda now: not now.is_active)
        st.rerun()


def _steps(server: Services, run: Run, count: int) -> None:
    """Let a paused run take so many steps."""
    _try(lambda: server.engine.step(run.id, count), server, run.id, lambda now: now.step >= run.step + count)


def _start(server: Services, config: RunConfig, paused: bool = False) -> None:
    """A run like any other, but slow enough to watch; or waiting for its first step."""
    check_lesson(config)
    text = config.model_dump_json()
    pace = SPEEDS[st.session_state.get("plane.speed", FIRST_SPEED)]
    try:
        run_id = server.engine.submit(config, st.session_state[keys.OWNER], title_of(config),
                                      key=hashlib.sha256(text.encode()).hexdigest(), paused=paused, pace=pace)
    except StoreError as error:
        refuse(as_text(str(error)), icon_of(error))
    st.session_state[keys.PLANE_RUN] = run_id
    select_run(run_id)
    _try(lambda: None, server, run_id, lambda now: now.status != "queued" or server.store.queue_position(run_id) > 0)
    st.rerun()


def _try(action, server: Services, run_id: str, done=lambda now: True) -> None:
    """Do it and wait a moment until it shows, or say in one line why it can't be done."""
    try:
        action()
        until = time.monotonic() + SECONDS_TO_ANSWER
        while not done(server.store.get(run_id)) and time.monotonic() < until:
            time.sleep(0.02)
    except (StoreError, RunNotFound) as error:
        st.error(as_text(str(error)))
        st.stop()


def display_options(classes: bool) -> tuple[Shown, int | None]:
    """How it is drawn, and of which class the points are that a click adds (None: it adds none)."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        validation = st.toggle("Show validation points", key="plane.validation", bind="query-params", persist_state="session")
        discrete = st.toggle("Two colours only", key="plane.discrete", bind="query-params", persist_state="session",
                             help="Which answer wins at each point, without how sure it is.")
        adds = NO_CLICKS
        if classes:
            adds = st.segmented_control("Click adds points", [NO_CLICKS, *CLASSES], default=NO_CLICKS, required=True,
                                        key="plane.click", persist_state="session")
    return Shown(discrete, validation, adds in CLASSES), CLASSES.index(str(adds)) if adds in CLASSES else None


def picture(server: Services, config: RunConfig, run: Run | None, data: Dataset, shown: Shown, adds: int | None) -> None:
    """The network's pictures, which the browser plays; while the run goes, new ones are sent a few times a second."""
    fresh = untrained(config, data)
    points, bound = points_of(config.model_dump_json())
    about = plane.content(config, data, points, bound, shown)

    def panel() -> None:
        now = server.store.get(run.id) if run is not None else None
        clicked = _send(server, now, fresh, data, about)
        if st.session_state.pop(keys.PLANE_EDITED, False):
            st.rerun()  # the whole page, which lists what was changed, or says why it was not
        if clicked is not None and adds is not None:
            plane_config.add_point(*clicked, adds)
            st.rerun()
        if run is not None and now is not None and run.is_active and \
                (now.status, now.pause_requested) != (run.status, run.pause_requested):
            st.rerun()  # the whole page, so that its buttons know too

    st.fragment(panel, run_every=SECONDS_PER_MESSAGE if run is not None and run.is_active else None)()


def _send(server: Services, run: Run | None, fresh: TrainedModel, data: Dataset,
          about: dict[str, Any]) -> tuple[float, float] | None:
    """The pictures that the browser does not have yet. Returns where a person has clicked."""
    def edited() -> None:
        if run is not None and weight.can_edit(run):
            weight.take(server, run, fresh.config, data)

    if run is None:
        first = picture_of(fresh, data)
        name = hashlib.sha256(fresh.config.model_dump_json().encode()).hexdigest()
        return plane.show(about, [first] if first else [], name, going=False, whole=True, key="plane.map")
    name, going = f"{run.id}.{run.first_step}", run.is_active and (run.status == "queued" or run.pause_requested is None)
    pictures = [] if run.is_active else history(server.store.path, run.id, run.step, _server=server)
    changes = len(server.store.interventions(run.id))
    if run.is_active:
        sent = st.session_state.get(keys.PLANE_SENT)
        after = sent["step"] if sent is not None and sent["run"] == name else -1
        if sent is not None and after >= 0 and sent["changes"] != changes:
            after -= 1  # a weight was set while it waits: the same step looks otherwise
        pictures = server.store.looks(run.id, PLANE, after, MOST_AT_ONCE + 1)
        if len(pictures) > MOST_AT_ONCE:  # the page was away
            pictures = server.store.looks(run.id, PLANE, list(server.store.look_times(run.id, PLANE))[-MOST_AT_ONCE] - 1)
        st.session_state[keys.PLANE_SENT] = {"run": name, "step": pictures[-1].step if pictures else after, "changes": changes}
    if not pictures:  # none yet, or none since the last ones; a run from before there were any has its weights
        newest = newest_picture(server, run, data) or picture_of(fresh, data)
        pictures = [newest] if newest else []
    return plane.show(about, pictures, name, going=going, whole=not run.is_active, key="plane.map", changes=changes,
                      on_weight=edited)


def newest_picture(server: Services, run: Run, data: Dataset) -> Look | None:
    """Of a run: the last one it has, or one of its newest weights; None where there are none."""
    times = server.store.look_times(run.id, PLANE)
    if times:
        return next(iter(server.store.looks(run.id, PLANE, max(times) - 1, 1)), None)
    trained = newest_model(server.store, run.id) if run.step else None
    return picture_of(trained, data, run.step) if trained is not None else None


@st.cache_resource(max_entries=4, show_spinner=False)
def history(store: Path, run_id: str, step: int, _server: Services) -> list[Look]:
    """What is kept of a run that has ended, as much as is sent; store and step stand for which run it is and how far it got."""
    steps = list(_server.store.look_times(run_id, PLANE))
    if not steps:
        return []
    first = next(iter(_server.store.looks(run_id, PLANE, -1, 1)), None)
    size = sum(array.nbytes for array in first.arrays.values()) if first is not None else 1
    wanted = set(spread_over(steps, max(2, min(MOST_PICTURES, MOST_BYTES // size))))
    return [look for look in _server.store.looks(run_id, PLANE) if look.step in wanted]


def losses(server: Services, config: RunConfig, run: Run | None) -> None:
    """Both losses by epoch, anew each second while the run goes."""
    def panel() -> None:
        now = server.store.get(run.id) if run is not None else None
        changes, read = server.store.interventions(now.id) if now is not None else [], curves(server, now, config)
        chart = mark_changes(losses_chart(read), changes, read, is_dark())
        st.echarts_chart(chart, height=220, key="plane.losses", alt=in_words(chart, "Losses over epochs"))

    st.fragment(panel, run_every=1.0 if run is not None and run.is_active else None)()


def status(server: Services, run: Run | None) -> None:
    """What the run does, or waits for. How far it is stands with each picture."""
    if run is None:
        st.markdown(":material/radio_button_unchecked: **Not trained yet**: this is what the first weights say.")
        return
    if run.status == "queued":
        def place() -> None:
            st.markdown(f":material/hourglass_empty: **Waiting** · {waiting(server.store, run, server.engine.trouble)}")

        st.fragment(place, run_every=1.0)()  # others ahead of it end
        return
    text = {"running": f":material/play_circle: **Training** for {plural(run.config.training.epochs, 'epoch')}",
            "finished": f":material/check_circle: **Finished** after {plural(run.epoch, 'epoch')}",
            "stopped": f":material/stop_circle: **Stopped** in epoch {run.epoch:,}"}.get(
                run.status, f":material/error: {as_text(run.message)}")
    if run.status == "running" and run.pause_requested is not None:
        text = ":material/pause_circle: **Paused**"
    if run.status == "finished":
        text += f" · test accuracy {percent(run.test_accuracy)}" if run.test_accuracy is not None else \
            f" · test loss {run.test_loss:.4f}" if run.test_loss is not None else ""
    st.markdown(text)


def curves(server: Services, run: Run | None, config: RunConfig) -> Curves:
    """Losses by epoch so far. Only what is new since the last look of this session is read from the store."""
    if run is None:
        return Curves(1, config.training.epochs)
    begun = (run.id, run.first_step)
    kept = st.session_state.get(keys.PLANE_CURVES)
    if kept is None or kept["run"] != begun:
        kept = st.session_state[keys.PLANE_CURVES] = {"run": begun, "seq": 0, "series": {}}
    new = server.store.metrics(run.id, after=kept["seq"], names=tuple(LOSSES))
    for name, (steps, values) in new.series.items():
        have = kept["series"].setdefault(name, ([], []))
        have[0].extend(steps)
        have[1].extend(values)
    kept["seq"] = new.seq
    return Curves(run.steps_per_epoch, run.config.training.epochs, kept["series"])
