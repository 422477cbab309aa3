"""The trained network that comes with the app, so that a drawing is answered before anybody has trained.

Beside it is its judge, which has learned to tell digits from letters and scribbles.
core.runs.shipping makes it; here it is read, like a file of unknown origin.
"""

import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.evaluation.ood.classifier import Judge
from core.evaluation.ood.score import OODReference
from core.evaluation.ood.views import BINS, CELLS
from core.importing.names import plain_name
from core.runs.checkpoints import UNREADABLE, CheckpointError, rebuilt, tensors_in
from core.trained_model import TrainedModel

MODEL = "first_model.safetensors"
MOST_MODEL_BYTES = 500_000
JUDGE = "first_model_judge.safetensors"
MOST_JUDGE_BYTES = 300_000
IMAGE, CLASSES = (1, 28, 28), 10  # what a drawing is brought to, and the digits it can be
CHECKOUT = Path(__file__).resolve().parents[2] / "assets"
INSTALLED = Path(sysconfig.get_path("data")) / "share" / "torch-playground"  # where `pip install .` puts them, see pyproject.toml


class ShippedError(ValueError):
    """A file that comes with the app is not there or can't be used; the message is one line for people."""


@dataclass(frozen=True)
class ShippedModel(TrainedModel):
    """The shipped network and where it comes from.

    title: its data set's, plain text. images: how many different ones it learned from; config.data.variations says how many
    varied copies of each. test_accuracy: share of the test images right, 0 to 1. torch_version: that trained it.
    """

    title: str
    images: int
    test_accuracy: float
    torch_version: str


def assets() -> Path:
    """The folder with the files that come with the app: the checkout's, or the one that pip has installed."""
    return INSTALLED if not (CHECKOUT / MODEL).exists() and (INSTALLED / MODEL).exists() else CHECKOUT


def first_model(folder: Path | None = None) -> ShippedModel:
    """The shipped network on the CPU, in evaluation mode; folder: assets() if not said. Raises ShippedError.

    Its predict() takes drawings as core.data.drawing.prepare() makes them, as (N, 1, 28, 28).
    """
    weights, about = read_asset(MODEL, MOST_MODEL_BYTES, "model", folder)
    try:
        known = rebuilt(weights, about)
        title, torch_version = plain_name(str(about["title"])), plain_name(str(about["torch"]))
        images, accuracy = int(about["images"]), float(about["test_accuracy"])
        if known.input_shape != IMAGE or len(known.classes) != CLASSES:
            raise ValueError(f"it tells {len(known.classes)} classes apart, from examples of shape {known.input_shape}")
        if not all(isinstance(name, str) and name and name == plain_name(name) for name in known.classes):
            raise ValueError("its classes have no names")
        if images < 1 or not 0 <= accuracy <= 1:
            raise ValueError(f"it says that {accuracy} of the test images are right, learned from {images}")
    except (CheckpointError, *UNREADABLE) as error:
        raise unreadable("model") from error
    return ShippedModel(known.config, known.classes, known.model, known.input_shape, known.mean, known.std, known.epoch,
                        title, images, accuracy, torch_version)


def first_judge(model: ShippedModel, folder: Path | None = None) -> OODReference:
    """How unlike digits a drawing is, as the shipped model's judge says: there are no training images to compare it with. folder:
    assets() if not said. Raises ShippedError."""
    tensors, _ = read_asset(JUDGE, MOST_JUDGE_BYTES, "judge", folder)
    try:
        judge = Judge.from_tensors(tensors)
        if judge is None:
            raise ValueError("there is none in it")
        found = OODReference({"directions": torch.empty(0, BINS * CELLS**2)}, {}, judge)
        found.scores(model.model, torch.zeros(1, *IMAGE), model.mean, model.std)  # made for another network it could not
    except UNREADABLE as error:
        raise unreadable("judge") from error
    return found


def read_asset(name: str, most_bytes: int, what: str, folder: Path | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A shipped file's tensors, all of them finite, and what it says about itself. Raises ShippedError.

    most_bytes: a file that is larger is not read. what: it is, for people.
    """
    try:
        with ((folder or assets()) / name).open("rb") as file:
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise ValueError(f"it has more than {most_bytes:,} bytes")
        tensors, about = tensors_in(content)
        if not isinstance(about, dict):
            raise ValueError("it does not say what it is")
        lost = next((name for name, values in tensors.items() if values.is_floating_point() and not bool(
            values.isfinite().all())), None)
        if lost is not None:
            raise ValueError(f"{plain_name(lost)} holds NaN or infinite values")
    except FileNotFoundError:
        raise unreadable(what, "is missing") from None
    except OSError as error:
        raise unreadable(what, "can't be opened") from error
    except UNREADABLE as error:
        raise unreadable(what) from error
    return tensors, about


def unreadable(what: str, why: str = "is damaged") -> ShippedError:
    """The one line for people: what it is that can't be read, why, and that nothing else is lost. What exactly is wrong with
    the file is its cause, for whoever debugs."""
    return ShippedError(f"The shipped {what} can't be read: its file {why}. Everything else works.")
