"""A run as it is seen: live charts while it trains, its result afterwards."""

import time

import streamlit as st

from core.figures.curves import Curves, detail_chart, finished_chart, live_chart
from core.runs import Run, RunNotFound, has_checkpoint
from pages.parts import keys
from pages.parts import training_doctor_view as doctor
from pages.parts.frame import go_to, select_run
from pages.parts.metrics_row import figures
from pages.parts.run_words import duration, percent
from pages.parts.services import Services

STATUS = {
    "queued": ("Waiting", ":material/hourglass_empty:"), "running": ("Training", ":material/play_circle:"),
    "finished": ("Finished", ":material/check_circle:"), "stopped": ("Stopped", ":material/stop_circle:"),
    "failed": ("Failed", ":material/error:"), "interrupted": ("Interrupted", ":material/power_off:"),
}


def current_run(server: Services) -> Run | None:
    """The run in the address, if there is one. An id that does not exist gets one line, and is forgotten."""
    run_id = st.session_state.get(keys.RUN)
    if not run_id:
        return None
    try:
        return server.store.get(run_id)
    except RunNotFound as error:
        st.warning(str(error), icon=":material/search_off:")
        select_run(None)
        return None


def run_panel(server: Services, run: Run) -> None:
    """The run's progress and charts. While it is active the panel draws itself anew each second, and nothing else does."""

    if notice := st.session_state.pop(keys.NOTICE, None):
        st.toast(notice, icon=":material/notifications:")

    def panel() -> None:
        now = server.store.get(run.id)
        draw(server, now)
        if run.is_active and not now.is_active:
            st.session_state[keys.NOTICE] = f"{now.title or 'Your run'}: {STATUS[now.status][0].lower()}."
        if run.is_active and now.status != run.status:
            st.rerun()  # the whole page, so that its buttons know too, and the timer ends

    st.fragment(panel, run_every="1s" if run.is_active else None)()


def draw(server: Services, run: Run) -> None:
    """One picture of a run as it is now."""
    label, icon = STATUS[run.status]
    curves, previous = read_curves(server, run), previous_curves(server, run)
    troubles = doctor.troubles_of(run, curves)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        took = f" in {duration(run.seconds)}" if run.status == "finished" and run.seconds is not None else ""
        st.markdown(f"{icon} **{run.title or 'Run'}** · {label.lower()}{took}")
        st.caption(f"run {run.id[:8]}")
    if run.is_active:
        _progress(server, run)
    elif run.status in {"failed", "interrupted"}:
        st.error(run.message, icon=icon)
    _results(run, curves)
    if run.is_active:
        for column, quantity in zip(st.columns(2), ("loss", "accuracy"), strict=True):
            with column:
                chart = doctor.marked(live_chart(curves, quantity, previous), quantity, curves, troubles)
                st.echarts_chart(chart, height=300, key=f"live.{quantity}")
    elif curves.of("loss")[0]:
        for column, quantity in zip(st.columns(2), ("loss", "accuracy"), strict=True):
            with column:
                figure = doctor.marked_figure(finished_chart(curves, quantity), quantity, curves, troubles, previous)
                st.plotly_chart(figure, key=f"finished.{quantity}", config={"displaylogo": False})
    doctor.show_troubles(server, run, curves, troubles)
    _details(curves)
    if getattr(run.config.model, "dropout", 0) or run.config.data.variations:
        st.caption("Training can look worse than validation here: it is measured with dropout on and on varied copies, which "
                   "are harder. Both are off for validation.")


def _details(curves: Curves) -> None:
    """Learning rate and gradient norms, for those who want to look closer."""
    norms = {name: name.removeprefix("gradient.") for name in curves.series if name.startswith("gradient.")}
    if not norms or not st.toggle("Learning rate and gradients", key="panel.details", persist_state="session",
                                  help="How large the steps are, and how strongly each layer is pulled at."):
        return
    charts = (({"learning_rate": "learning rate"}, "Learning rate", False), (norms, "Gradient norm of each layer", True))
    for column, (names, title, logarithmic) in zip(st.columns(2), charts, strict=True):
        with column:
            st.echarts_chart(detail_chart(curves, names, title, logarithmic), height=260, key=f"live.{title}")


def _progress(server: Services, run: Run) -> None:
    if run.status == "queued":
        before = server.store.queue_position(run.id)
        waiting = f"In the queue: {before} run{'s' * (before > 1)} before this one."
        st.progress(0.0, waiting if before else "Starts in a moment…")
    elif not run.step:
        st.progress(0.0, "Getting the data ready…")
    else:
        left = run.seconds_left(time.time())
        epoch = min(run.config.training.epochs, run.step // max(1, run.steps_per_epoch) + 1)
        text = f"Epoch {epoch} of {run.config.training.epochs} · step {run.step:,} of {run.steps:,}"
        if run.pause_requested is not None:
            text += " · paused"
        st.progress(min(1.0, run.progress), text + (f" · about {duration(left)} left" if left is not None else ""))


def _results(run: Run, curves: Curves) -> None:
    """The figures people look for first."""
    loss, accuracy = curves.of("validation_loss")[1], curves.of("validation_accuracy")[1]
    speed = curves.of("images_per_second")[1]
    tested = run.test_accuracy is not None
    figures({
        "Test accuracy" if tested else "Validation accuracy": (
            percent(run.test_accuracy if tested else accuracy[-1] if accuracy else None),
            "Share of right answers on images it did not learn from. The test images are looked at once, at the end."),
        "Validation loss": (f"{loss[-1]:.4f}" if loss else "–",
                            "How wrong the network is on the images held back, after each epoch. Smaller is better."),
        "Speed (images/s)": (f"{speed[-1]:,.0f}" if speed else "–", "Training images each second in the last epoch."),
    })


def read_curves(server: Services, run: Run) -> Curves:
    """A run's curves. Only what is new since the last look of this session is read from the store."""
    kept = st.session_state.get(keys.METRICS)
    begun = (run.id, run.first_step)  # a run that went on from a checkpoint has forgotten what came after it
    if kept is None or kept["run"] != begun:
        kept = st.session_state[keys.METRICS] = {"run": begun, "seq": 0, "series": {}}
    new = server.store.metrics(run.id, after=kept["seq"])
    for name, (steps, values) in new.series.items():
        have = kept["series"].setdefault(name, ([], []))
        have[0].extend(steps)
        have[1].extend(values)
    kept["seq"] = new.seq
    return Curves(run.steps_per_epoch, run.config.training.epochs, kept["series"])


def previous_curves(server: Services, run: Run) -> Curves | None:
    """The curves of the run that this one replaced by a changed setting, if there was one."""
    run_id = st.session_state.get(keys.PREVIOUS_RUN)
    if not run_id or run_id == run.id:
        return None
    try:
        before = server.store.get(run_id)
    except RunNotFound:
        return None
    kept = st.session_state.get(keys.PREVIOUS_CURVES)
    if kept is None or kept[0] != run_id or before.is_active:  # read once: it has ended
        kept = st.session_state[keys.PREVIOUS_CURVES] = (run_id, server.store.metrics(run_id, names=("loss", "accuracy")).series)
    return Curves(before.steps_per_epoch, before.config.training.epochs, kept[1])


def next_steps(server: Services, run: Run) -> None:
    """Where to go from a run that has weights."""
    if not run.is_active and has_checkpoint(server.store, run.id):
        with st.container(horizontal=True):
            if st.button("Draw a digit for it", icon=":material/draw:", type="primary", key="panel.draw"):
                go_to("pages/draw_digit.py")
            if st.button("Evaluate it", icon=":material/fact_check:", key="panel.evaluate"):
                go_to("pages/evaluate_model.py")
            if st.button("Compare runs", icon=":material/leaderboard:", key="panel.compare"):
                go_to("pages/compare_runs.py")
