"""The 2-D lab's picture while its run goes: buttons, every unit's map, losses, several times a second."""

import hashlib
import time

import streamlit as st

from core.config import RunConfig, TrainingConfig
from core.data import Dataset
from core.data.sources.generated import Generated
from core.fields import describe
from core.figures.curves import Curves
from core.figures.plane import LOSSES, losses_chart
from core.labs.decision_boundary import largest_number, maps_of, plane_points, standing, untrained
from core.presets import title_of
from core.runs import Run, RunNotFound, StoreError, TrainedModel, has_checkpoint
from core.runs.live_weights import newest_model
from core.wording import percent, plural
from pages.parts.learn.decision_boundary import config as plane_config
from pages.parts.learn.decision_boundary.controls import CLASSES
from pages.parts.shell import keys
from pages.parts.shell.frame import select_run
from pages.parts.shell.services import Services
from pages.parts.widgets import plane
from pages.parts.widgets.markdown import as_text
from pages.parts.widgets.metrics import metrics_row

SPEEDS = {"1 epoch/s": 1.0, "5": 0.2, "20": 0.05, "100": 0.01, "as fast as it goes": 0.0}  # seconds for an epoch
FIRST_SPEED = "20"
SECONDS_PER_PICTURE = 0.12
SECONDS_TO_ANSWER = 1.5  # how long a button waits for the training process to do what it was asked
MORE_EPOCHS = 300
MOST_EPOCHS = int(describe(TrainingConfig, "epochs").maximum or 0)
NO_CLICKS = "Nothing"


@st.cache_data(max_entries=64, show_spinner=False)
def points_of(config_json: str) -> tuple[Generated, float]:
    """A config's points in the plane, and for a number the largest one's size."""
    config = RunConfig.model_validate_json(config_json)
    return plane_points(config), largest_number(config)


def buttons(server: Services, config: RunConfig, run: Run | None) -> None:
    """Start, pause, step, go on, stop: what there is to do with the run now. run: None where none is of these settings."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="plane.buttons"):
        if run is None or not run.is_active:
            label = "Start" if run is None else "Start again"
            if st.button(label, type="primary", icon=":material/play_arrow:", key="plane.start"):
                _start(server, config)
            if st.button("Step by step", icon=":material/step:", key="plane.start_paused",
                         help="Starts, and waits before its first change of the weights, so that you can look at each."):
                _start(server, config, paused=True)
            if run is not None and _more(server, run):
                _continue(server, run)
        else:
            _while_active(server, run)


def speed(server: Services, run: Run | None) -> None:
    """How fast epochs follow each other; below the picture, so that no button is pushed away."""
    chosen = st.select_slider("Speed (epochs a second)", list(SPEEDS), FIRST_SPEED, key="plane.speed", persist_state="session",
                              help="Epochs of so few points take a few thousandths of a second; slower, one sees what happens. "
                              "It changes nothing about the result.")
    if run is not None and run.is_active and run.pace != SPEEDS[chosen]:
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
    _try(lambda: server.engine.resume(run.id, beyond), server, run.id, lambda now: now.status != "queued")
    plane_config.take(server.store.get(run.id).config)
    st.rerun()


def _while_active(server: Services, run: Run) -> None:
    paused = run.pause_requested is not None
    if st.button("Go on" if paused else "Pause", type="primary", icon=":material/play_arrow:" if paused else ":material/pause:",
                 key="plane.pause"):
        _try(lambda: server.engine.pause(run.id, not paused), server, run.id)
        st.rerun()
    if paused:
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
    text = config.model_dump_json()
    pace = SPEEDS[st.session_state.get("plane.speed", FIRST_SPEED)]
    try:
        run_id = server.engine.submit(config, st.session_state[keys.OWNER], title_of(config),
                                      key=hashlib.sha256(text.encode()).hexdigest(), paused=paused, pace=pace)
    except StoreError as error:
        st.error(as_text(str(error)), icon=":material/folder_off:")
        return
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


def display_options(classes: bool) -> dict[str, object]:
    """How it is drawn, and what a click does."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        validation = st.toggle("Show validation points", key="plane.validation", persist_state="session")
        discrete = st.toggle("Two colours only", key="plane.discrete", persist_state="session",
                             help="Which answer wins at each point, without how sure it is.")
        adds = NO_CLICKS
        if classes:
            adds = st.segmented_control("Click adds points", [NO_CLICKS, *CLASSES], default=NO_CLICKS, required=True,
                                        key="plane.click", persist_state="session")
    return {"validation": validation, "discrete": discrete, "adds": adds}


def picture(server: Services, config: RunConfig, run: Run | None, data: Dataset, options: dict[str, object]) -> None:
    """The maps and the losses; anew several times a second while the run goes."""
    fresh = untrained(config, data)

    def panel() -> None:
        now = server.store.get(run.id) if run is not None else None
        trained = (newest_model(server.store, now.id) if now is not None and now.step else None) or fresh
        draw(server, config, now, trained, data, options)
        if run is not None and now is not None and run.is_active and \
                (now.status, now.pause_requested) != (run.status, run.pause_requested):
            st.rerun()  # the whole page, so that its buttons know too

    st.fragment(panel, run_every=SECONDS_PER_PICTURE if run is not None and run.is_active else None)()


def draw(server: Services, config: RunConfig, run: Run | None, trained: TrainedModel, data: Dataset,
         options: dict[str, object]) -> None:
    """One picture."""
    points, bound = points_of(config.model_dump_json())
    maps = maps_of(trained, bound)
    status(run, config)
    clicked = plane.show(plane.message(
        maps, trained, data, points, discrete=bool(options["discrete"]), validation=bool(options["validation"]),
        adding=options["adds"] != NO_CLICKS), key="plane.map")
    learned, held_back = standing(trained, data, "train"), standing(trained, data, "validation")
    shown = {"Training loss": (f"{learned.loss:.4f}", "Of exactly these weights, over all training points."),
             "Validation loss": (f"{held_back.loss:.4f}", "The same over points it does not learn from. When it rises while the "
                                 "training loss falls, the network memorises its points (it overfits).")}
    if held_back.accuracy is not None:
        shown["Validation accuracy"] = (percent(held_back.accuracy), "Share of the validation points it gets right.")
    metrics_row(shown)
    st.echarts_chart(losses_chart(curves(server, run, config)), height=220, key="plane.losses")
    if clicked is not None and options["adds"] in CLASSES:
        plane_config.add_point(*clicked, CLASSES.index(str(options["adds"])))
        st.rerun()


def status(run: Run | None, config: RunConfig) -> None:
    """One line: where the run is."""
    if run is None:
        st.markdown(":material/radio_button_unchecked: **Not trained yet**: this is what the first weights say.")
        return
    epochs = f"epoch {run.epoch:,} of {run.config.training.epochs:,}, step {run.step:,}"
    text = {"queued": ":material/hourglass_empty: **Waiting** for the training process",
            "running": f":material/play_circle: **Training** · {epochs}",
            "finished": f":material/check_circle: **Finished** · {epochs}",
            "stopped": f":material/stop_circle: **Stopped** · {epochs}"}.get(run.status, f":material/error: {run.message}")
    if run.status == "running" and run.pause_requested is not None:
        text = f":material/pause_circle: **Paused** · {epochs}"
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
