"""What a run's network said about images, kept beside its weights: computed once, and again where the weights have changed."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as safetensors_save

from core.data import Dataset, normalize
from core.evaluation import Predictions, predict
from core.evaluation.robustness import Point
from core.files import why_not_written, write_atomically
from core.runs.checkpoints import UNREADABLE, checkpoint_path, read_tensors
from core.runs.database import StoreError
from core.runs.memory import check_answers_fit
from core.runs.store import RunStore
from core.trained_model import TrainedModel
from core.training import OBJECTIVES

ROBUSTNESS = "robustness.json"


class OtherImages(ValueError):
    """A data set that is not the one a network was trained for; the message is one line."""


def predictions_path(store: RunStore, run_id: str, split: str) -> Path:
    """Where a run's predictions on a split are, or would be. Raises RunNotFound for what is no id."""
    return store.folder(run_id) / f"predictions-{split}.safetensors"


def weights_stamp(store: RunStore, run_id: str) -> list[int]:
    """Tells a run's kept weights from later ones: size in bytes and time of change in ns; [0, 0] where there are none."""
    try:
        about = checkpoint_path(store, run_id).stat()
    except FileNotFoundError:
        return [0, 0]
    return [about.st_size, about.st_mtime_ns]


def compute_predictions(store: RunStore, run_id: str, trained: TrainedModel, data: Dataset, split: str,
                        report: Callable[[int], object] | None = None) -> Predictions:
    """Ask a run's network about each image of a split, and keep its answers where the runs folder can be written to. Of the test
    images it is counted as one more look at them.

    Args:
        data: the run's data set as it is on this machine. report: told after each batch how many images are answered.

    Raises:
        OtherImages: the data set has other classes or another size by now.
        NotEnoughMemory: the answers need more than there is.
    """
    if data.classes != trained.classes or data.input_shape != trained.input_shape:
        raise OtherImages(f"{data.title} on this machine has other classes or another size than this model learned.")
    check_answers_fit(trained.model, normalize(data.split(split).take(torch.arange(1))[0], trained.mean, trained.std))
    predictions = predict(trained.model, replace(data, mean=trained.mean, std=trained.std), trained.config, split, report=report)
    with suppress(StoreError):  # a full disk, or a folder that can only be read: then they are computed again next time
        save_predictions(store, run_id, predictions)
    if split == "test":
        with suppress(StoreError):
            store.note_test_look(run_id)
    return predictions


def save_predictions(store: RunStore, run_id: str, predictions: Predictions) -> None:
    """Keep predictions of a run's current weights. Raises StoreError where they can't be written.

    A run without weights, such as one that was deleted meanwhile, keeps nothing.
    """
    stamp = weights_stamp(store, run_id)
    if not stamp[0]:
        return
    about = {"classes": predictions.classes, "loss": predictions.loss, "split": predictions.split, "images": predictions.images,
             "weights": stamp}
    content = safetensors_save({"logits": predictions.logits.contiguous(), "labels": predictions.labels.to(torch.int32)},
                               metadata={"about": json.dumps(about)})
    _write(store, predictions_path(store, run_id, predictions.split), content)


def load_predictions(store: RunStore, run_id: str, split: str = "test") -> Predictions | None:
    """A run's predictions; None where none were kept, or they are of other weights or damaged: they can be computed again.

    Raises RunNotFound for what is no id.
    """
    path = predictions_path(store, run_id, split)
    try:
        tensors, about = read_tensors(path)
        if about["weights"] != weights_stamp(store, run_id):
            return None
        predictions = Predictions(tensors["logits"], tensors["labels"].long(), tuple(map(str, about["classes"])),
                                  str(about["loss"]), str(about["split"]), str(about["images"]))
        return predictions if _is_whole(predictions) else None
    except (OSError, *UNREADABLE):
        return None


def _is_whole(predictions: Predictions) -> bool:
    """Whether shapes, number formats and labels fit together."""
    logits, labels, classes = predictions.logits, predictions.labels, len(predictions.classes)
    return (len(labels) > 0 and labels.dim() == 1 and logits.dtype == torch.float32
            and tuple(logits.shape) == (len(labels), OBJECTIVES[predictions.loss].outputs(classes))
            and int(labels.min()) >= 0 and int(labels.max()) < classes)


def save_robustness(store: RunStore, run_id: str, images: str, count: int, points: Sequence[Point]) -> None:
    """Keep accuracies on changed images: `count` of the test images whose fingerprint is `images`. Raises StoreError."""
    stamp = weights_stamp(store, run_id)
    if stamp[0]:
        about = {"weights": stamp, "images": images, "count": count, "points": [asdict(point) for point in points]}
        _write(store, store.folder(run_id) / ROBUSTNESS, json.dumps(about).encode())


def load_robustness(store: RunStore, run_id: str, images: str, count: int) -> list[Point] | None:
    """What save_robustness() kept for the same weights, images and count; None otherwise."""
    path = store.folder(run_id) / ROBUSTNESS
    try:
        about: dict[str, Any] = json.loads(path.read_bytes())
        if (about["weights"], about["images"], about["count"]) != (weights_stamp(store, run_id), images, count):
            return None
        return [Point(str(p["kind"]), float(p["strength"]), int(p["right"]), int(p["examples"])) for p in about["points"]]
    except (OSError, *UNREADABLE):
        return None


def _write(store: RunStore, path: Path, content: bytes) -> None:
    try:
        write_atomically(path, lambda file: file.write(content))
    except OSError as error:
        raise StoreError(why_not_written(f"The runs folder {store.path}", error, "PLAYGROUND_RUNS")) from None
