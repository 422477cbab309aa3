"""What a run shows while it trains and afterwards: curves, answers to a few images, and closer looks."""

from array import array
from collections.abc import Sequence

import streamlit as st
import torch

from core.config import DataConfig
from core.data import DATASETS, DataError
from core.data.sources import kind_of
from core.figures.answers import LINE, SHORT, STRIP, answer_strip, confusion_heatmap, picture_address
from core.figures.by_hand import mark_changes
from core.figures.curves import HEIGHT, QUANTITIES, Curves, curve_chart, detail_chart, epoch_rows
from core.figures.in_words import in_words
from core.inspection.training_doctor import Trouble
from core.runs import Run, RunNotFound, Snapshot
from core.runs.recorder import CONFUSION, MOST_CLASSES, PREDICTIONS
from core.runs.records import NUMBER_FORMAT
from core.settings import Settings
from core.training import Intervention
from core.wording import plural, worded
from pages.parts.doctors import training_doctor
from pages.parts.shell import keys
from pages.parts.shell.frame import is_dark
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset
from pages.parts.widgets.table import draw_table, rows_table

SMOOTHING = 0.9
RUNS_KEPT = 8  # whose curves a session keeps
RATE, SPEED, DEAD, CONFUSED = "Learning rate and gradients", "Speed and memory", "Dead units", "Confusion matrix"
TABLE = "Curves as a table"


def chart_controls() -> tuple[float, bool]:
    """How curves are drawn: the smoothing and whether losses are on a logarithmic axis."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        smoothing = st.slider("Smoothing", 0.0, 0.99, SMOOTHING, 0.01, key="panel.smoothing", bind="query-params", width=220,
                              help="Weight of the past in the thick line's running mean. What each batch said stays behind it, "
                                   "pale. 0 shows batches alone.")
        logarithmic = st.toggle("Log scale", key="panel.log", bind="query-params",
                                help="A logarithmic axis for the loss: small improvements late in a run become visible.")
    return smoothing, logarithmic


def curve_charts(run: Run, curves: Curves, previous: Curves | None, smoothing: float, logarithmic: bool,
                 troubles: list[Trouble], interventions: list[Intervention]) -> None:
    """Loss and accuracy, with what the training doctor found and what was changed by hand marked. When the run ends the charts
    stay where they are, and get tools."""
    if not run.is_active and not curves.of("loss")[0]:
        return
    quantities = quantities_of(run)
    for column, quantity in zip(st.columns(len(quantities)), quantities, strict=True):
        log = logarithmic and quantity == "loss"
        with column:
            chart = curve_chart(curves, quantity, previous, smoothing, log, finished=not run.is_active,
                                dark=is_dark())
            chart = mark_changes(training_doctor.marked(chart, quantity, curves, troubles), interventions, curves, is_dark())
            st.echarts_chart(chart, height=HEIGHT, key=f"live.{quantity}", alt=in_words(chart, QUANTITIES[quantity]))


def quantities_of(run: Run) -> tuple[str, ...]:
    """What a run has curves of: no accuracy where a number is predicted, which is never right or wrong."""
    spec = DATASETS.get(run.config.data.dataset)
    return ("loss",) if spec is not None and spec.target == "number" else ("loss", "accuracy")


def example_answers(server: Services, run: Run, snapshots: dict[str, Snapshot]) -> None:
    """The strip of validation images with what the network says to them now. Its place is kept before it has said anything."""
    snapshot = snapshots.get(PREDICTIONS)
    if snapshot is None and not run.is_active:
        return
    value = snapshot.value if snapshot else {"positions": [], "labels": [], "answers": [], "probabilities": []}
    try:
        data = dataset(run.config.data, server.settings)
        if data.kind != "images" or not data.classes:
            return
        pictures, names = sample_pictures(run.config.data, server.settings, tuple(value["positions"])), data.classes
    except (DataError, IndexError):
        return  # the data is no longer here, or no longer what it was
    when = f"at step {snapshot.step:,}" if snapshot else "soon"
    st.caption(f"Images it does not learn from, and its answers {when}.")
    long = any(len(name) > SHORT for name in names)
    for half, column in enumerate(st.columns(2)):
        part = slice(5 * half, 5 * half + 5)
        strip = answer_strip(pictures[part], [names[i] for i in value["labels"][part]],
                             [names[i] for i in value["answers"][part]], value["probabilities"][part], long, is_dark())
        with column:
            st.echarts_chart(strip, height=STRIP + long * LINE, key=f"live.answers.{half}",
                             alt=in_words(strip, "Images, and what it answers"))


@st.cache_data(max_entries=32, show_spinner=False)
def sample_pictures(config: DataConfig, settings: Settings, positions: tuple[int, ...]) -> list[str]:
    """Validation images as addresses that carry them. Raises DataError, and IndexError where there are fewer images."""
    images, _ = dataset(config, settings).validation.take(torch.tensor(positions, dtype=torch.int64))
    return [picture_address(image) for image in images]


def details(server: Services, run: Run, curves: Curves, snapshots: dict[str, Snapshot]) -> None:
    """Closer looks, for those who want them."""
    if not run.is_active and not curves.of("loss")[0]:
        return
    chosen = st.pills("Look closer", [RATE, SPEED, DEAD, CONFUSED, TABLE], selection_mode="multi", key="panel.details",
                      bind="query-params")
    if RATE in chosen:
        norms = _named(curves, "gradient.")
        pair(curves, ({"learning_rate": "learning rate"}, "Learning rate", False), (norms, "Gradient norm of each layer", True))
    if SPEED in chosen:
        speed = worded("images/s", kind_of(run.config.data.dataset))
        pair(curves, ({"throughput": speed}, f"Training speed ({speed})", False),
             ({"memory": "training process", "gpu_memory": "GPU"}, "Memory (MB)", False))
        for line in (format_line(snapshots.get(NUMBER_FORMAT)), threads_line(*curves.of("threads"))):
            if line:
                st.caption(line)
    if DEAD in chosen:
        dead_units(curves, run.config.data.dataset)
    if CONFUSED in chosen:
        confusion(server, run, snapshots.get(CONFUSION))
    if TABLE in chosen:
        draw_table(rows_table(epoch_rows(curves)), hide_index=True, key="live.table", height="auto")


def pair(curves: Curves, *charts: tuple[dict[str, str], str, bool]) -> None:
    """Charts side by side, each of metric → label, a title, and whether its axis is logarithmic."""
    for column, (names, title, logarithmic) in zip(st.columns(2), charts, strict=True):
        with column:
            there = {name: label for name, label in names.items() if name in curves.series}
            chart = detail_chart(curves, there, title, logarithmic)
            st.echarts_chart(chart, height=260, key=f"live.{title}", alt=in_words(chart, title))


def dead_units(curves: Curves, dataset: str) -> None:
    """The share of units that are never active, for each ReLU."""
    names = _named(curves, "dead.")
    title = "Dead units (share of each ReLU layer)"
    chart = detail_chart(curves, names, title, most_symbols=30, shares=True)
    st.echarts_chart(chart, height=260, key="live.dead", alt=in_words(chart, title))
    st.caption(worded("A unit is dead when ReLU gives 0 for all of the validation images looked at, 500 at most: it adds nothing "
                      "and no gradient reaches it. Some are normal; if most die, try a smaller learning rate.", kind_of(dataset))
               if names or not curves.of("validation_loss")[0] else "This network has no ReLU layers.")


def confusion(server: Services, run: Run, snapshot: Snapshot | None) -> None:
    """Which class it takes for which, after the last epoch."""
    try:
        names = dataset(run.config.data, server.settings).classes
    except DataError:
        names = tuple(map(str, range(len(snapshot.value["counts"])))) if snapshot else ()
    if not names or (snapshot is None and (not run.is_active or len(names) > MOST_CLASSES)):
        st.caption(f"There is no confusion matrix: the run finished no epoch, or has more than {MOST_CLASSES} classes.")
        return
    when = f"after epoch {snapshot.value['epoch']}" if snapshot else "after each epoch"
    st.caption(worded(f"Validation images {when}: rows are what is right, columns what the network said. Blue is right; orange "
                      "is a mistake.", kind_of(run.config.data.dataset)))
    counts = snapshot.value["counts"] if snapshot else [[0] * len(names)] * len(names)  # its place is kept, so nothing jumps
    chart = confusion_heatmap(counts, names)
    st.echarts_chart(chart, height=400, key="live.confusion", width=520,
                     alt=in_words(chart, "Confusion matrix of the validation images"))


def format_line(snapshot: Snapshot | None) -> str:
    """What a run computes in and why it was taken; "" where that was not written down."""
    if snapshot is None:
        return ""
    return f"Number format: {snapshot.value['why'] or snapshot.value['precision'] + ', as the settings say'}."


def fallbacks(snapshot: Snapshot | None) -> None:
    """What this device was not able to do, if anything: a run is slower then, and as right."""
    for step, line in snapshot.value["lines"] if snapshot else ():
        st.caption(f":material/build_circle: {f'After step {step:,}: ' if step else ''}{as_text(line)}")


def threads_line(steps: Sequence[int], threads: Sequence[float]) -> str:
    """How many processor threads a run took, and from which step on; "" where that was not written down."""
    if not steps:
        return ""
    changes = [f"from step {step + 1:,} on {number:.0f}" for step, number in zip(steps[1:], threads[1:], strict=True)]
    most = 6
    left = f" … ({plural(len(changes) - most, 'more change')}) …" if len(changes) > most else ""
    return f"Processor threads: {threads[0]:.0f}{',' if changes else ''}{left} {', '.join(changes[-most:])}".strip() + "."


def _named(curves: Curves, prefix: str) -> dict[str, str]:
    return {name: name.removeprefix(prefix) for name in curves.series if name.startswith(prefix)}


def read_curves(server: Services, run: Run) -> Curves:
    """A run's curves. Only what is new since the last look of this session is read from the store."""
    sessions = st.session_state.setdefault(keys.METRICS, {})
    begun = (run.id, run.first_step)  # a run that went on from a checkpoint has forgotten what came after it
    kept = sessions.get(run.id)
    if kept is None or kept["run"] != begun:
        kept = {"run": begun, "seq": 0, "series": {}}
    sessions.pop(run.id, None)
    sessions[run.id] = kept  # the newest last
    while len(sessions) > RUNS_KEPT:
        sessions.pop(next(iter(sessions)))
    new = server.store.metrics(run.id, after=kept["seq"])
    for name, (steps, values) in new.series.items():
        # arrays, not lists: 16 bytes a point instead of 72, for each visitor and each run
        have = kept["series"].setdefault(name, (array("q"), array("d")))
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
