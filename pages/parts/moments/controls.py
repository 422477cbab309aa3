"""Go back in time: which run, what of it is shown, and all of it as a file."""

import streamlit as st

from core.data import Dataset
from core.inspection import InspectionError
from core.inspection.moment import ACTIVATIONS, ANSWERS, CONFUSION, FILTERS, GRADIENTS, MAP, MAPS, WEIGHTS, Examples
from core.runs import Run
from core.runs.moments import Moments, moments
from core.wording import plural, size_of_bytes
from pages.parts.moments.subject import Shown, as_animation, layers, split_of
from pages.parts.shell import keys
from pages.parts.shell.frame import is_dark, select_run
from pages.parts.shell.services import Services

HISTOGRAMS = "Histograms"
VIEWS = {"Answers": ANSWERS, "First layer": FILTERS, "Layer by layer": MAPS, "Confusion": CONFUSION, "Map": MAP,
         HISTOGRAMS: WEIGHTS}
OF_IMAGES = {"Answers", "First layer", "Layer by layer"}
KINDS = {"Weights": WEIGHTS, "What layers return": ACTIVATIONS, "Gradients": GRADIENTS}


def choose_run(runs: dict[str, Run]) -> Run:
    """The run in the address first."""
    selected = st.session_state.get(keys.RUN)
    titles = {run_id: f"{run.title or 'Run'} ({run_id[:4]})" for run_id, run in runs.items()}
    key = f"moments.run.{selected}"
    chosen = st.selectbox("Run", list(runs), list(runs).index(selected) if selected in runs else 0, key=key, width=300,
                          format_func=titles.__getitem__, on_change=lambda: select_run(st.session_state[key]))
    if not selected:
        select_run(chosen)
    return runs[chosen]


def choose_parts(server: Services, run: Run, kept: Moments, data: Dataset, asked: Examples) -> Shown:
    """What is shown of each moment. Only that is worked out."""
    views = [name for name in VIEWS if data.kind == "images" or name not in OF_IMAGES]
    image = layer = 0
    with st.popover("What is shown", icon=":material/tune:"):
        chosen = st.pills("Of each moment", views, selection_mode="multi", default=views, key="moments.shown",
                          bind="query-params", help="Only what is shown is worked out.") or []
        parts = [VIEWS[name] for name in chosen if name != HISTOGRAMS]
        if MAPS in parts:
            image, layer = _image_and_layer(server, run, kept, data, asked)
        if HISTOGRAMS in chosen:
            kind = st.selectbox("Histograms of", list(KINDS), key="moments.kind", bind="query-params")
            parts.append(KINDS[kind])
    return Shown(tuple(parts), image, layer, is_dark())


def _image_and_layer(server: Services, run: Run, kept: Moments, data: Dataset, asked: Examples) -> tuple[int, int]:
    names = [*("Your drawing" if len(asked.watched) == 1 else f"Your drawing {place + 1}" for place in range(len(asked.watched))),
             *(f"{place + 1}: {data.classes[label]}" for place, label in enumerate(asked.shown_labels.tolist()))]
    image = st.selectbox("Image", range(len(names)), format_func=names.__getitem__, key=f"moments.image.{run.id}",
                         bind="query-params")
    try:
        stages = layers(server, run, kept.kept[-1], image)
    except InspectionError:
        return image, 0
    titles = [f"{stage.name} · {stage.kind} · {'×'.join(map(str, stage.shape[1:]))}" for stage in stages]
    first = next((place for place, stage in enumerate(stages) if stage.is_activation), 0)
    layer = st.selectbox("Layer", range(len(titles)), first, format_func=titles.__getitem__, key=f"moments.layer.{run.id}",
                         bind="query-params")
    return image, layer


def save_animation(server: Services, run: Run, shown: Shown) -> None:
    """All moments as a moving picture; made when it is asked for."""
    kept = moments(server.store, run.id)
    size = sum(moment.size for moment in kept.kept)
    about = (f"{plural(len(kept.kept), 'moment')} of this run {'take' if len(kept.kept) > 1 else 'takes'} {size_of_bytes(size)} "
             f"on disk. Weights are kept as float16, so that a loss may differ from the run's own in its third or fourth digit. "
             f"Asked about {split_of(run)} examples"
             + ("." if split_of(run) == "test" else ": the test examples are looked at once, at the end of a run."))
    with st.container(horizontal=True, vertical_alignment="center"):
        for kind, mime in (("webp", "image/webp"), ("gif", "image/gif")):
            st.download_button(f"Save as {'WebP' if kind == 'webp' else 'GIF'}",
                               lambda kind=kind: as_animation(server, run, kept, shown, kind),
                               f"{_file_name(run)}.{kind}", mime, key=f"moments.save.{kind}", icon=":material/download:",
                               on_click="ignore", disabled=not shown.parts)
    st.caption(about)


def _file_name(run: Run) -> str:
    return f"moments-{run.id[:8]}"
