"""Home: who answers a drawing, and what it says."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from core.data.drawing import Drawing
from core.figures.bars import probability_bars
from core.figures.learning import gray
from core.figures.pictures import to_bytes
from core.runs import CheckpointError, Run, TrainedModel, has_checkpoint
from core.wording import duration, percent, surely_before
from pages.parts.draw.answers import why_not
from pages.parts.draw.shipped import about_shipped, shipped
from pages.parts.home.watching import MOST_CLASSES
from pages.parts.shell.services import Services, trained_model

DIGITS = tuple("0123456789")  # what the bars are called where nobody can answer


@dataclass(frozen=True, eq=False)
class Answering:
    """Who answers. own: whether it is the run that is looked at. about: a line on it; model None: why there is none."""

    model: TrainedModel | None
    own: bool
    about: str

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
            return Answering(model, True, _about_own(run))
    found = shipped()
    return Answering(None, False, found) if isinstance(found, str) else Answering(found, False, about_shipped(found))


def _about_own(run: Run) -> str:
    reached = f" {percent(run.test_accuracy, 1)} of the test images right" if run.test_accuracy is not None else ""
    took = f" after {duration(run.seconds)} of training" if run.seconds is not None else ""
    return f"Your network answers:{reached}{took}; it may be wrong." if reached else "Your network answers; it may be wrong."


def blank(classes: tuple[str, ...], title: str, line: str) -> dict[str, Any]:
    """Bars of nothing, with what to do or to wait for."""
    return {"title": title, "line": line, "values": [None] * len(classes), "best": -1, "image": None, "about": ""}


def said(who: Answering, image: Tensor, drawing: Drawing | None = None) -> dict[str, Any]:
    """What it says to an image (1, 28, 28) float32 in [0, 1], drawn or not."""
    assert who.model is not None
    probabilities = who.model.predict(image[None])[0].tolist()
    best, second = sorted(range(len(probabilities)), key=lambda label: -probabilities[label])[:2]
    sure = surely_before(probabilities[best], who.classes[second], probabilities[second])
    title, line = f"It says: {who.classes[best]}", f"{sure[0].upper()}{sure[1:]}."
    if drawing is not None and drawing.solid:
        title, line = "I don't know", "This is a dot or a filled shape, without strokes to read."
    return blank(who.classes, title, line) | {name: value for name, value in probability_bars(who.classes, probabilities).items()
                                              if name != "classes"}


def thumbnail(image: Tensor, about: str) -> dict[str, Any]:
    """An image (1, H, W) float32 in [0, 1] beside what is said to it."""
    return {"image": gray(to_bytes(image).numpy()), "about": about}
