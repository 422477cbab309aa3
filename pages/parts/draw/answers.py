"""Draw a digit: which trained models are asked, and what each of them says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import streamlit as st
from torch import Tensor

from core.config import DataConfig
from core.data.drawing.as_kept import DRAWING_SHAPE, Preparation, preparation_of
from core.evaluation.ood.score import ANSWER, OODReference
from core.runs import CheckpointError, Run, RunNotFound, TrainedModel
from core.settings import Settings
from core.wording import percent, plural, surely_before
from pages.parts.shell import keys
from pages.parts.shell.frame import select_run
from pages.parts.shell.markdown import as_text
from pages.parts.shell.services import Services, familiar, trained_model
from pages.parts.widgets.address import keep_choices, take_choices
from pages.parts.widgets.quick_bars import bars

# What the score is
LEARNED = ("A small network beside this model has practised telling its training images from letters, signs and scribbles, by "
           "what the model makes of them and by the directions of their strokes. The score is its doubt, or the distance to the "
           "nearest training images where that is larger.")
NEAREST = "The distance to the nearest training images: in what the model makes of them, in their ink, and in their strokes."
NEIGHBOURS = " It is also above 1 where the nearest training images are of another class than it says."
OTHERS = "draw.others"  # in the address
MOST_OTHERS = 7  # with the first one as many as are kept in memory


@dataclass(frozen=True, eq=False)
class Asked:
    """A run that is asked: its model and what it knows, or why it can't answer a picture. how: what becomes of one first; None
    where it goes the way of MNIST's digits."""

    run: Run
    model: TrainedModel | None
    familiar: OODReference | None
    problem: str = ""
    waiting: bool = False  # for what its training images look like to it: the training process works it out
    how: Preparation | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of what a picture is brought to."""
        return DRAWING_SHAPE if self.how is None else (self.how.channels, self.how.size, self.how.size)


@dataclass(frozen=True)
class Answer:
    """What one model says.

    order: classes, most probable first. unlike: above 1 is unlike its training data; None unknown. solid: a dot or filled shape.
    contradicted: it is like them, but the nearest of them are of another class.
    """

    probabilities: list[float]
    order: list[int]
    unlike: float | None
    solid: bool
    contradicted: bool = False

    @property
    def knows(self) -> bool:
        return not self.solid and (self.unlike is None or self.unlike <= 1)

    @property
    def doubt(self) -> str:
        """Why it does not know, as a sentence."""
        if self.solid:
            return "This is a dot or a filled shape, without strokes to read."
        if self.contradicted:
            return "The training images most like this are of another class."
        return "This is unlike what the model learned from."


def title_of(run: Run) -> str:
    return f"{run.title or run.id[:8]} · {'test ' + percent(run.test_accuracy) if run.test_accuracy else run.status}"


def choose(runs: dict[str, Run]) -> str:
    """Which trained model answers: the one in the address."""
    selected = st.session_state.get(keys.RUN)
    options = list(runs)
    titles = {run_id: title_of(run) for run_id, run in runs.items()}  # kept as long as the session: not the runs themselves
    key = f"draw.model.{selected}"
    # Selected before the script runs: the key has the choice in it, and a key that changed later would lose the next choice
    chosen = st.selectbox("Trained model", options, options.index(selected) if selected in runs else 0, key=key,
                          format_func=titles.__getitem__, on_change=lambda: select_run(st.session_state[key]),
                          label_visibility="collapsed")
    if chosen != selected:  # on a first visit
        select_run(chosen)
    return chosen


def choose_others(runs: dict[str, Run], chosen: str) -> list[str]:
    """Which models answer beside the chosen one."""
    titles = {run_id: title_of(run) for run_id, run in runs.items() if run_id != chosen}
    key = f"{OTHERS}.{chosen}"
    asked = take_choices(OTHERS, titles, MOST_OTHERS)
    if asked is not None:
        st.session_state[keys.DRAW_OTHERS] = asked
        st.session_state.pop(key, None)  # so that it begins with them
    kept = [run_id for run_id in st.session_state.get(keys.DRAW_OTHERS, []) if run_id in titles]
    others = st.popover(":material/groups:", help="Ask other trained models too.").multiselect(
        "Ask these too", list(titles), kept, format_func=titles.__getitem__, max_selections=MOST_OTHERS,
        key=key, disabled=not titles,
        placeholder="No other model" if titles else "There is only one model yet")
    st.session_state[keys.DRAW_OTHERS] = others
    keep_choices(OTHERS, others)
    return others


def ask(server: Services, runs: dict[str, Run], run_id: str) -> Asked:
    """Load one model; what it can't do becomes a line, not an error."""
    try:
        model = trained_model(server.store, run_id)
    except (CheckpointError, RunNotFound, OSError) as error:
        return Asked(runs[run_id], None, None, str(error))
    how = _preparation(model.config.data.model_dump_json(), model.input_shape, model.takes(DRAWING_SHAPE), server.settings)
    asked = Asked(runs[run_id], model, None, how=how)
    if problem := why_not(model, asked.shape):
        return replace(asked, problem=problem)
    known, waiting = familiar(server, run_id, model)
    return replace(asked, familiar=known, waiting=waiting)


@st.cache_data(max_entries=32, show_spinner=False, ttl=60)  # a set may be deleted meanwhile
def _preparation(data: str, shape: tuple[int, ...], takes_drawings: bool, settings: Settings) -> Preparation | None:
    """How a picture is prepared for a run on this data, (C, H, W) of whose network is given."""
    return preparation_of(DataConfig.model_validate_json(data), DRAWING_SHAPE if takes_drawings else shape, settings.data_dir)


def why_not(model: TrainedModel, given: tuple[int, ...] = DRAWING_SHAPE) -> str:
    """Why a model can't answer a picture that is brought to (C, H, W); "" where it can."""
    shape = model.input_shape
    if model.takes(given) and model.classes:
        return ""
    if len(shape) == 3:
        colours = {1: "gray", 3: "colour"}.get(shape[0], f"{shape[0]}-channel")
        return (f"This model looks at {colours} images of {shape[1]}×{shape[2]} pixels, and a picture is brought to "
                f"{given[1]}×{given[2]} in {'gray' if given[0] == 1 else 'colour'} here. Choose a model that learned from such "
                "images.")
    if len(shape) == 1 and not model.mean:
        return "This model reads texts, word by word, so a drawing means nothing to it. Choose one that learned from images."
    return (f"This model takes {plural(shape[0], 'number')} for each example, such as the place of a point, and no "
            "picture. Choose one that learned from images.")


def answer_of(asked: Asked, image: Tensor | None, solid: bool = False) -> Answer | None:
    """One model's probabilities, and how unlike its training data a picture is, which is prepared for it, (C, H, W) float32 in
    [0, 1]; None where it can't answer."""
    if asked.model is None or asked.problem or image is None:
        return None
    return said_by(asked.model, asked.familiar, image, solid)


def said_by(model: TrainedModel, familiar: OODReference | None, image: Tensor, solid: bool) -> Answer:
    """As answer_of(), of a model that can answer.

    familiar: what its training images look like to it, where that is known. image: (C, H, W) float32 in [0, 1]. solid: as a
        drawing's.
    """
    images = image.unsqueeze(0)
    probabilities = model.predict(images)[0].tolist()
    order = sorted(range(len(probabilities)), key=lambda i: -probabilities[i])
    if familiar is None:
        return Answer(probabilities, order, None, solid)
    parts = familiar.parts(model.model, model.brought_to_size(images), model.mean, model.std)
    scores = {name: float(values[0]) for name, values in parts.items()}
    rest = max(score for name, score in scores.items() if name != ANSWER)
    return Answer(probabilities, order, max(scores.values()), solid, rest <= 1 < scores.get(ANSWER, 0))


def show_answer(classes: Sequence[str], said: Answer | None, otherwise: str) -> None:
    """The most probable class, how sure it is, and the bars: as high whatever it says, so that nothing below them jumps.

    otherwise: what to say where there is no answer, in plain text.
    """
    if said is None:
        bars(classes, [None] * len(classes), "draw.bars", True, "Nothing drawn yet", otherwise)
        return
    best, second = said.order[0], said.order[1]
    sure = surely_before(said.probabilities[best], classes[second], said.probabilities[second])
    title, line = f"It says: {classes[best]}", f"{sure[0].upper()}{sure[1:]}."
    if not said.knows:
        title, line = "I don't know", f"{said.doubt} If it had to choose: {classes[best]}, {sure}."
    bars(classes, said.probabilities, "draw.bars", True, title, line)


def explain_unlike(asked: Asked, said: Answer) -> None:
    """The score and what it means, in a line."""
    if asked.waiting:
        st.caption("How unlike its training images this is will stand here as soon as the training process has looked at them.")
        return
    if said.unlike is None or asked.familiar is None:
        st.caption("How unlike its training images this is can't be said: they are not on this machine, too few of them are held "
                   "back for validation, or the network is too large to be shown thousands of them now.")
        return
    known = f"{LEARNED if asked.familiar.judge else NEAREST}{NEIGHBOURS if asked.familiar.labels is not None else ''}"
    st.caption(f"Unlike its training images: **{said.unlike:.2f}**, where more than 1 is unlike them.",
               help=f"{known} Nearly all images that were held back for validation and that it reads right are below 1. The "
                    "probabilities can't tell: they are shared out among the classes it knows, whatever the picture.")


def side_by_side(models: list[Asked], answers: list[Answer | None]) -> None:
    """Every model's answer in a card of its own; None for one that can't answer."""
    with st.container(horizontal=True, gap="small"):
        for place, (asked, said) in enumerate(zip(models, answers, strict=True)):
            with st.container(border=True, width=250):
                st.markdown(f"**{as_text(asked.run.title or asked.run.id[:8])}**")
                if asked.model is None or said is None:
                    st.caption(as_text(asked.problem))
                    continue
                classes = asked.model.classes
                best, second = said.order[0], said.order[1]
                name = as_text(classes[best])
                st.markdown(f"### {name}" if said.knows else "### I don't know")
                bars(classes, said.probabilities, f"draw.bars.{place}")
                sure = surely_before(said.probabilities[best], as_text(classes[second]), said.probabilities[second])
                st.caption(f"{sure[0].upper()}{sure[1:]}." if said.knows else f"Would say {name}, {sure}.")
