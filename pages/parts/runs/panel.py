"""A run as it is seen: live charts while it trains, its result afterwards."""

import time
from statistics import median

import streamlit as st

from core.data import DataError, outline, spec_of
from core.data.sources import kind_of
from core.figures.curves import Curves
from core.figures.thinning import smooth
from core.runs import Run, RunNotFound, RunUnreadable, StoreError, has_checkpoint
from core.runs.recorder import FALLBACKS
from core.runs.records import NUMBER_FORMAT
from core.runs.store_queue import STOPPED_BY
from core.wording import drawn_thing, duration, number, percent, worded
from pages.parts.doctors import training_doctor
from pages.parts.runs import seeds
from pages.parts.runs.back import back_in_time
from pages.parts.runs.by_hand import by_hand_list
from pages.parts.runs.charts import (
    SMOOTHING,
    chart_controls,
    curve_charts,
    details,
    example_answers,
    fallbacks,
    format_line,
    previous_curves,
    quantities_of,
    read_curves,
)
from pages.parts.runs.control import stop, try_to
from pages.parts.runs.start import start
from pages.parts.runs.start_from import fine_tune
from pages.parts.runs.watched import watched_section
from pages.parts.runs.words import STATUS, by, going_now, name_of, waiting
from pages.parts.shell import keys
from pages.parts.shell.frame import page_button, select_run, tab_title
from pages.parts.shell.markdown import as_text
from pages.parts.shell.notices import tell
from pages.parts.shell.services import Services
from pages.parts.widgets.metrics import metrics_row

SECONDS_BEFORE_FIRST_POINT = 0.25  # between looks: somebody has just pressed a button
SPEEDS = 8  # last measurements of speed whose median is shown


def current_run(server: Services) -> Run | None:
    """The run in the address, if there is one. What there is not or can not be read gets one line, and is forgotten."""
    run_id = st.session_state.get(keys.RUN)
    if not run_id:
        return None
    try:
        run = server.store.get(run_id)
        if run.kind == "training":
            return run
        raise RunNotFound(run_id)
    except (RunNotFound, RunUnreadable) as error:
        st.warning(as_text(str(error)), icon=":material/search_off:")
        select_run(None)
        return None
    except StoreError as error:  # the store can't be read just now
        st.warning(as_text(str(error)), icon=":material/broken_image:")
        return None


def run_panel(server: Services, run: Run) -> None:
    """The run's progress and charts, or those of all seeds it was started with. While something of it is active the panel draws
    itself anew each second, and nothing else does."""
    if st.session_state.pop(keys.ENDED, None) == run.id:
        tab_title("✓ Finished" if run.status == "finished" else STATUS[run.status][0])
    together = server.store.group(run.group_id) if run.group_id else []
    whole = bool(together) and seeds.choose_view(together)
    active = any(one.is_active for one in (together if whole else [run]))

    def panel() -> None:
        now = server.store.get(run.id)
        runs = server.store.group(run.group_id) if whole else [now]
        if whole:
            seeds.draw_seeds(server, runs)
        else:
            draw(server, now)
        going = any(one.is_active for one in runs)
        if active and not going:
            tell(f"All {len(runs)} seeds have ended." if whole else
                 f"{as_text(now.title) or 'Your run'}: {STATUS[now.status][0].lower()}.")
            st.session_state[keys.ENDED] = run.id
        if active and (not going or now.status != run.status or (now.step and not run.step)):
            st.rerun()  # the whole page, so that its buttons know too, and the timer ends or slows down
        if going:
            tab_title(percent(sum(one.progress if one.is_active else 1.0 for one in runs) / len(runs), 0))

    soon = active and not run.step and run.pause_requested is None and (
        run.status == "running" or not server.store.queue_position(run.id))
    st.fragment(panel, run_every=(SECONDS_BEFORE_FIRST_POINT if soon else 1.0) if active else None)()


def draw(server: Services, run: Run) -> None:
    """One picture of a run as it is now."""
    label, icon = STATUS[run.status]
    if run.status == "running" and run.pause_requested is not None:
        label, icon = "Paused", ":material/pause_circle:"
    curves, snapshots = read_curves(server, run), server.store.snapshots(run.id)
    troubles = training_doctor.troubles_of(run, curves)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        took = f" in {duration(run.seconds)}" if run.status == "finished" and run.seconds is not None else ""
        st.markdown(f"{icon} **{as_text(run.title) or 'Run'}** · {label.lower()}{took}")
        memory = curves.of("memory")[1]
        st.caption(f"run {run.id[:8]}{by(server.store, run)}" + (f" · memory {memory[-1]:,.0f} MB" if memory else "")
                   + (f" · {run.precision}" if run.precision else ""), help=format_line(snapshots.get(NUMBER_FORMAT)) or None)
    if run.is_active or run.status in {"finished", "stopped"}:  # it stays when a run ends, so that what is below does too
        _progress(server, run)
    if run.status in {"failed", "interrupted"}:
        st.error(as_text(run.message), icon=icon)
    elif run.status == "stopped" and run.message != "Stopped." and not (
            run.message == STOPPED_BY["visitor"] and run.owner == st.session_state[keys.OWNER]):  # somebody will want to know why
        st.info(as_text(run.message), icon=icon)
    fallbacks(snapshots.get(FALLBACKS))
    _results(run, curves)
    changes = server.store.interventions(run.id)
    charts = st.container(key="panel.charts")
    with st.container(key="panel.examples"):
        if not watched_section(server, run):  # which has examples at the same look
            example_answers(server, run, snapshots)
    if run.is_active or curves.of("loss")[0]:
        smoothing, logarithmic = chart_controls()
        with charts:
            curve_charts(run, curves, previous_curves(server, run), smoothing, logarithmic, troubles, changes)
        by_hand_list(changes)
    training_doctor.show_troubles(server, run, curves, troubles, start)
    if getattr(run.config.model, "dropout", 0) or run.config.data.variations:
        st.caption("Training can look worse than validation here: it is measured with dropout on and on varied copies, which "
                   "are harder. Both are off for validation.")
    details(server, run, curves, snapshots)


def _progress(server: Services, run: Run) -> None:
    """How far it is, or has come."""
    paused = run.is_active and run.pause_requested is not None  # one that has ended while it was paused waits no more
    if run.status == "queued":
        st.progress(0.0, waiting(server.store, run, server.engine.trouble))
        _make_room(server)
    elif not run.step and not run.is_active:
        st.progress(0.0, "No step was taken.")
    elif not run.step:
        st.progress(0.0, "Paused before the first step" if paused and run.steps else "Getting the data ready…")
    else:
        left = run.seconds_left(time.time())
        # the epoch that is going on; of a run that has ended the last it was in
        epoch = min(run.config.training.epochs, (run.step - (not run.is_active)) // max(1, run.steps_per_epoch) + 1)
        text = f"Epoch {epoch} of {run.config.training.epochs} · step {run.step:,} of {run.steps:,}"
        if paused:
            text += " · paused"
        st.progress(min(1.0, run.progress), text + (f" · about {duration(left)} left" if left is not None else ""))


def _make_room(server: Services) -> None:
    """For who waits for a run of their own: a button that stops it."""
    mine = next((one for one in going_now(server.store) if one.owner == st.session_state[keys.OWNER]), None)
    if mine and not mine.stop_requested and st.button(f"Stop {name_of(mine)}", icon=":material/stop:", type="tertiary",
                                                      key=f"panel.make_room.{mine.id}",
                                                      help="Ends the run that trains now, so that this one can begin. What it "
                                                      "has learned so far is kept."):
        try_to(lambda: stop(server, mine))


def _results(run: Run, curves: Curves) -> None:
    """The figures people look for first."""
    loss, accuracy = curves.of("validation_loss")[1], curves.of("validation_accuracy")[1]
    now, of_epoch = curves.of("throughput")[1][-SPEEDS:], curves.of("images_per_second")[1][-1:]
    speed = now or of_epoch if run.is_active else of_epoch or now
    tested = run.test_accuracy is not None
    share = run.test_accuracy if tested else accuracy[-1] if accuracy else None
    rows = {
        "Test accuracy" if tested else "Validation accuracy": (
            percent(share),
            "Share of right answers on images it did not learn from. The test images are looked at once, at the end."),
        "Test loss": (number(run.test_loss), "How wrong it is on images it did not learn from, looked at once, at the end."),
        "Validation loss": (number(loss[-1] if loss else None),
                            "How wrong the network is on the images held back, after each epoch. Smaller is better."),
        "Speed (images/s)": (f"{median(speed):,.0f}" if speed else "–",
                             "Training images each second: of the last moments while it trains, then of the last epoch."),
    }
    rows.pop("Test loss" if "accuracy" in quantities_of(run) else "Validation accuracy")
    if not (run.is_active or loss or tested) and curves.of("loss")[1]:  # it ended within its first epoch
        rows = _before_validation(curves) | {"Speed (images/s)": rows["Speed (images/s)"]}
    kind = kind_of(run.config.data.dataset)
    metrics_row({worded(label, kind): (value, worded(about, kind)) for label, (value, about) in rows.items()})


def _before_validation(curves: Curves) -> dict[str, tuple[str, str]]:
    """What is known of a run that ended before anything was held against it: its curves' last values."""
    ends = {name: smooth(values, SMOOTHING)[-1] for name in ("loss", "accuracy") if (values := curves.of(name)[1])}
    about = (f"The running mean of its last batches, where the curve ends (smoothing {SMOOTHING:g}): images it learned from. The "
             "run ended before the held-back images were looked at.")
    return {f"Training {name}": (percent(value) if name == "accuracy" else number(value), about) for name, value in ends.items()}


def _drawing_for(run: Run) -> str:
    """Draw a digit for it, or what else it knows."""
    try:
        thing = drawn_thing(outline(run.config.data).source_classes)
    except DataError:
        thing = "drawing"
    return "Draw for it" if thing == "drawing" else f"Draw a {thing} for it"


def next_steps(server: Services, run: Run) -> None:
    """Where to go from a run that has weights: only to what can be done with it. While it goes, back to its first steps."""
    if run.is_active or not has_checkpoint(server.store, run.id):
        back_in_time(server, run.id, "panel.back")
        return
    kind = kind_of(run.config.data.dataset)
    with st.container(horizontal=True):
        if kind == "images":
            page_button("pages/draw_digit.py", _drawing_for(run), ":material/draw:", "panel.draw", primary=True)
        if kind == "text":
            page_button("pages/learn_text.py", "Ask it about a text", ":material/rate_review:", "panel.ask", primary=True)
        if kind == "points" and spec_of(run.config.data.dataset).in_plane:
            page_button("pages/learn_decision_boundary.py", "See its answers in the plane", ":material/bubble_chart:",
                        "panel.plane", primary=True)
        if "accuracy" in quantities_of(run):
            page_button("pages/evaluate_model.py", "Evaluate it", ":material/fact_check:", "panel.evaluate")
        fine_tune(server, run, "panel")
        back_in_time(server, run.id, "panel.back")
        page_button("pages/compare_runs.py", "Compare runs", ":material/leaderboard:", "panel.compare")
