"""Evaluate: which models on which images, their answers, and how images are shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st
import torch

from core.data import DATASETS, DataError, Dataset
from core.devices import ran_out
from core.errors import reason
from core.evaluation import Predictions
from core.figures.evaluation import labelled_sheet
from core.figures.images import as_picture, png_file
from core.runs import Run
from core.runs.evaluations import load_predictions, predictions_path, weights_stamp
from core.wording import chance, percent
from pages.parts.runs.answers import compute
from pages.parts.shell import keys
from pages.parts.shell.frame import link, select_run
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, dataset
from pages.parts.widgets.address import keep_choice, take_choice

SPLITS = {"test": "Test images", "validation": "Validation images"}
PICTURE = 84  # pixels: three times MNIST's
CHART = {"displaylogo": False, "displayModeBar": True,  # always there: its camera saves the chart as PNG
         "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"], "toImageButtonOptions": {"scale": 2}}
NONE = ""
SECOND = "evaluate.second"


@dataclass(frozen=True)
class EvaluatedRun:
    """One model on one split. data is None where its images are not on this machine, or are others by now."""

    run: Run
    name: str  # for legends
    predictions: Predictions
    data: Dataset | None

    @property
    def classes(self) -> tuple[str, ...]:
        return self.predictions.classes


def predicts_number(run: Run) -> bool:
    """Whether the run's answer is a number, which is not right or wrong."""
    spec = DATASETS.get(run.config.data.dataset)
    return spec is not None and spec.target == "number"


def has_images(subject: EvaluatedRun) -> bool:
    """Whether the run looks at images, and not at points or texts."""
    spec = DATASETS.get(subject.run.config.data.dataset)
    return spec is None or spec.kind == "images"


def title(run: Run) -> str:
    """"Is it an 8? (ff1a) · 99.44 %". No percentage of a run that predicts a number."""
    if run.status == "finished" and predicts_number(run):
        return f"{run.title or 'Run'} ({run.id[:4]})"
    return f"{run.title or 'Run'} ({run.id[:4]}) · {percent(run.test_accuracy) if run.test_accuracy is not None else run.status}"


def choose(runs: dict[str, Run]) -> list[Run]:
    """The model, the one in the address first, and one to lay beside it if wanted."""
    selected = st.session_state.get(keys.RUN)
    left, right, images = st.columns([1.7, 1.7, 1], vertical_alignment="bottom")
    options = list(runs)
    # a session keeps what its widgets are given for as long as it lives: titles, and not the runs themselves
    titles = {NONE: "no second model"} | {run_id: title(run) for run_id, run in runs.items()}
    key = f"evaluate.model.{selected}"
    # the current run changes only when a person chooses: it may be one that is training right now
    first = left.selectbox("Model", options, options.index(selected) if selected in runs else 0, key=key,
                           format_func=titles.__getitem__,
                           on_change=lambda: select_run(st.session_state[key]))
    if not selected:
        select_run(first)
    number = predicts_number(runs[first])
    others = [run_id for run_id in options if run_id != first and predicts_number(runs[run_id]) == number]
    take_choice(SECOND, others, NONE)
    if st.session_state.get(SECOND, NONE) not in {NONE, *others}:
        st.session_state[SECOND] = NONE
    second = right.selectbox("Beside it", [NONE, *others], key=SECOND, persist_state="session",
                             format_func=titles.__getitem__)
    keep_choice(SECOND, second, NONE)
    images.selectbox("Split", list(SPLITS), format_func=SPLITS.__getitem__, key="evaluate.split", bind="query-params",
                     help="Test images are looked at once, at the end. Validation images were used to watch the training.")
    return [runs[run_id] for run_id in (first, second) if run_id]


def subjects(server: Services, runs: Sequence[Run]) -> list[EvaluatedRun]:
    """Those of the runs whose answers are there; for each of the others a button, or a line that says why not."""
    split = st.session_state["evaluate.split"]
    names = [f"{run.title or 'Run'} ({run.id[:4]})" for run in runs]
    found = []
    for run, name in zip(runs, names, strict=True):
        predictions = answers(server, run, split)
        if predictions is None:
            _offer(server, run, split)
        elif not predictions.is_finite:
            st.error(f"{as_text(name)} answers with numbers that are infinite or no numbers, so there is nothing to count.",
                     icon=":material/error:")
        else:
            found.append(EvaluatedRun(run, name, predictions, _images(server, run, predictions)))
    return found


def answers(server: Services, run: Run, split: str) -> Predictions | None:
    """A run's kept predictions, read again when they or the weights have changed."""
    path = predictions_path(server.store, run.id, split)
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _answers(server, run.id, split, str(path), changed, tuple(weights_stamp(server.store, run.id)))


@st.cache_resource(max_entries=8, show_spinner=False)
def _answers(_server: Services, run_id: str, split: str, path: str, changed: int, weights: tuple[int, ...]) -> Predictions | None:
    return load_predictions(_server.store, run_id, split)


def one_line(error: Exception) -> str:
    """What to say of an error while a network was asked."""
    if isinstance(error, MemoryError) or isinstance(error, RuntimeError) and ran_out(error):
        return "There is not enough memory to ask this network. End other programs, or choose a smaller network."
    return reason(error)


def _offer(server: Services, run: Run, split: str) -> None:
    """A button that computes what is missing."""
    what = SPLITS[split].lower()
    st.info(f"“{as_text(run.title or run.id[:8])}” has not been asked about the {what} yet."
            + (" It did not train to its end, so its test images are unseen." if run.status != "finished" else ""),
            icon=":material/quiz:")
    if not st.button(f"Ask it about the {what}", key=f"evaluate.ask.{run.id}", icon=":material/play_arrow:", type="primary"):
        return
    try:
        compute(server, run, split)
    except DataError as error:
        st.warning(as_text(str(error)), icon=":material/cloud_download:")
        link("pages/explore_data.py", "Get the images on the page “Explore data”", ":material/grid_view:")
    except (ValueError, RuntimeError, MemoryError) as error:  # CheckpointError and NotEnoughMemory are ValueErrors
        st.error(as_text(one_line(error)), icon=":material/broken_image:")
    else:
        st.rerun()


def _images(server: Services, run: Run, predictions: Predictions) -> Dataset | None:
    """The data set, if it is here and its labels are those of the predictions."""
    try:
        data = dataset(run.config.data, server.settings)
    except DataError:
        return None
    split = data.split(predictions.split)
    same = len(split) == len(predictions) and torch.equal(split.labels[split.rows], predictions.labels)
    return data if same else None


def show_images(subject: EvaluatedRun, positions: np.ndarray, key: str, marks: Sequence[str] = ()) -> None:
    """Some of the split's images with label and answer, and a button that saves them as one picture.

    marks: what is added below each on the page, and is in no file.
    """
    predictions = subject.predictions
    lines = [caption(predictions, position) for position in positions.tolist()]
    if subject.data is not None and subject.data.kind != "images":
        rows = zip(positions.tolist(), lines, strict=True)
        st.code("\n".join(f"{position:>6}  {line}" for position, line in rows), language=None)
        return
    if subject.data is None:
        st.warning("The images are not on this machine, so here are their numbers in the split with label and answer.",
                   icon=":material/hide_image:")
        rows = zip(positions.tolist(), lines, strict=True)
        st.code("\n".join(f"{position:>6}  {line}" for position, line in rows), language=None)
        return
    pixels, _ = subject.data.split(predictions.split).take(torch.from_numpy(np.asarray(positions, dtype=np.int64)))
    show_pixels(pixels, lines, key, marks)


def show_pixels(pixels: torch.Tensor, lines: Sequence[str], key: str, marks: Sequence[str] = ()) -> None:
    """Images (n, C, H, W) uint8 with a caption each, and a button that saves them as one picture. marks: see show_images()."""
    scale = max(1, PICTURE // max(pixels.shape[2:]))
    with st.container(horizontal=True, gap="small"):
        for image, line, mark in zip(pixels, lines, marks or [""] * len(lines), strict=True):
            said = as_text(line).replace(" %", "\u00a0%") + (f" · **{mark}**" if mark else "")
            st.image(as_picture(image, scale), caption=said, width=PICTURE, output_format="PNG", alt=line)
    below = [line.replace(", ", "\n").replace("\u00a0", " ") for line in lines]
    save("Save as PNG", lambda: png_file(labelled_sheet(pixels, below)), f"{key}.png", "image/png", key)


def caption(predictions: Predictions, position: int) -> str:
    """"4, said 9, 97.3 %"."""
    truth, said = predictions.classes[predictions.targets[position]], predictions.classes[predictions.predicted[position]]
    sure = predictions.confidence[position]
    return f"{truth}, said {said}, {chance(float(sure))}".replace(" %", "\u00a0%")


def save(label: str, make: Callable[[], bytes], name: str, mime: str, key: str) -> None:
    """A download button whose file is made when it is pressed."""
    st.download_button(label, make, name, mime, key=f"evaluate.save.{key}", icon=":material/download:", on_click="ignore")


def save_csv(label: str, make: Callable[[], bytes], name: str) -> None:
    save(label, make, f"{name}.csv", "text/csv", name)


def columns(found: Sequence[EvaluatedRun]) -> list:
    """A column for each model, with its name where there are two."""
    places = st.columns(len(found), gap="large")
    if len(found) > 1:
        for place, subject in zip(places, found, strict=True):
            place.markdown(f"**{as_text(subject.name)}**")
    return places
