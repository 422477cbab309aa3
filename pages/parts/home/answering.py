"""Home: who answers a drawing, and what it says."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from core.data.drawing import Drawing
from core.data.drawing.sheet import marks_in
from core.evaluation.ood.score import OODReference
from core.figures.bars import probability_bars
from core.figures.learning import gray
from core.figures.pictures import to_bytes
from core.runs import CheckpointError, Run, RunNotFound, TrainedModel, has_checkpoint
from core.wording import drawn_thing, duration, in_letters, percent, surely_before
from pages.parts.draw.answers import said_by, why_not
from pages.parts.draw.shipped import about_shipped, shipped, shipped_judge
from pages.parts.draw.teach import source_classes
from pages.parts.home.watching import MOST_CLASSES
from pages.parts.shell.services import Services, familiar, trained_model

DIGITS = tuple("0123456789")  # what the bars are called where nobody can answer


@dataclass(frozen=True, eq=False)
class Answering:
    """Who answers. own: whether it is the run that is looked at. about: a line on it; model None: why there is none.

    familiar: what its training images look like to it, where that is known by now.
    """

    model: TrainedModel | None
    own: bool
    about: str
    familiar: OODReference | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return DIGITS if self.model is None else self.model.classes


def answering(server: Services, run: Run | None) -> Answering:
    """The network of a run that has ended, where it can read a drawing; else the one that comes with the app."""
    if run is not None and not run.is_active and has_checkpoint(server.store, run.id):
        try:
            model = trained_model(server.store, run.id)
        except (CheckpointError, OSError):
            model = None
        if model is not None and not why_not(model) and len(model.classes) <= MOST_CLASSES:
            return Answering(model, True, _about_own(run), _familiar(server, run, model))
    found = shipped()
    if isinstance(found, str):
        return Answering(None, False, found)
    return Answering(found, False, about_shipped(found), shipped_judge())


def _familiar(server: Services, run: Run, model: TrainedModel) -> OODReference | None:
    """The first screen waits for nothing: what is not known yet is asked for, and helps with a later stroke."""
    try:
        return familiar(server, run.id, model, here=False)[0]
    except RunNotFound:
        return None  # somebody has deleted it


def _about_own(run: Run) -> str:
    reached = f" {percent(run.test_accuracy, 1)} of the test images right" if run.test_accuracy is not None else ""
    took = f" after {duration(run.seconds)} of training" if run.seconds is not None else ""
    return f"This network answers:{reached}{took}; it may be wrong." if reached else "This network answers; it may be wrong."


def blank(classes: tuple[str, ...], title: str, line: str) -> dict[str, Any]:
    """Bars of nothing, with what to do or to wait for."""
    return {"title": title, "line": line, "values": [None] * len(classes), "best": -1, "image": None, "about": ""}


def said(who: Answering, image: Tensor, drawing: Drawing | None = None) -> dict[str, Any]:
    """What it says to an image (1, 28, 28) float32 in [0, 1]; drawing: it, where it was drawn now."""
    assert who.model is not None
    answer = said_by(who.model, who.familiar, image, drawing is not None and drawing.solid)
    best, second = answer.order[:2]
    sure = surely_before(answer.probabilities[best], who.classes[second], answer.probabilities[second])
    title, line = f"It says: {who.classes[best]}", f"{sure[0].upper()}{sure[1:]}."
    if not answer.knows:
        title, line = "I don't know", answer.doubt
    if drawing is not None and drawn_thing(source_classes(who.model)) != "drawing" and (count := marks_in(drawing)) > 1:
        line = f"{line} {in_letters(count).capitalize()} marks; read as one."
    return blank(who.classes, title, line) | {name: value for name, value in probability_bars(
        who.classes, answer.probabilities).items() if name != "classes"}


def thumbnail(image: Tensor, about: str) -> dict[str, Any]:
    """An image (1, H, W) float32 in [0, 1] beside what is said to it."""
    return {"image": gray(to_bytes(image).numpy()), "about": about}
