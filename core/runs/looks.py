"""A run's history of looks, as the store keeps it, and the images that a run is watched with.

Looks are dense at first and become fewer with time: what a run of hours keeps of them is bounded, and so is what a page reads.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from core.config import DataConfig
from core.data import DataError, Dataset, outline
from core.training import Look
from core.training.watchers import suits
from core.transforms import fixed_sizes
from core.wording import plural

MOST_LOOKS, FIRST_LOOKS = 600, 50  # that are kept of a run and kind; how many of the first are never dropped
MOST_AFTER = 350  # of the others, when they had become too many
WATCHED, IMAGES = "watched.safetensors", "images"  # the file in a run's folder, the tensor in it
MOST_WATCHED = 8  # images


class WatchError(ValueError):
    """Images that can't be watched; the message is one line that says why."""


# --- the store's rows

def insert_looks(db: sqlite3.Connection, run: int, looks: Iterable[Look]) -> None:
    """Keep looks of a run (its number); one of the same kind at the same step is replaced."""
    rows = [(run, look.kind, look.step, look.epoch, look.seconds, save_arrays(
        {name: np.ascontiguousarray(array) for name, array in look.arrays.items()})) for look in looks]
    db.executemany("INSERT OR REPLACE INTO looks (run, kind, step, epoch, seconds, arrays) VALUES (?, ?, ?, ?, ?, ?)", rows)
    for kind in {row[1] for row in rows}:
        _thin(db, run, kind)


def _thin(db: sqlite3.Connection, run: int, kind: str) -> None:
    if db.execute("SELECT count(*) FROM looks WHERE run = ? AND kind = ?", (run, kind)).fetchone()[0] <= MOST_LOOKS:
        return
    steps = [row[0] for row in db.execute("SELECT step FROM looks WHERE run = ? AND kind = ? ORDER BY step", (run, kind))]
    db.executemany("DELETE FROM looks WHERE run = ? AND kind = ? AND step = ?",
                   [(run, kind, step) for step in set(steps) - set(thinned(steps))])


def thinned(steps: list[int]) -> list[int]:
    """Which steps to keep of too many, ascending: the first ones, which are dense, the last, and between them as many as lie
    evenly, at least so far apart that about half of what is allowed remains: room for the next ones."""
    if len(steps) <= MOST_LOOKS:
        return steps
    first, later = steps[:FIRST_LOOKS], steps[FIRST_LOOKS:]
    few, many = 1, later[-1] - later[0]  # the distance is searched for by halving: a larger one never keeps more
    while few < many:
        middle = (few + many) // 2
        few, many = (few, middle) if len(_apart(later, middle)) <= MOST_AFTER else (middle + 1, many)
    return [*first, *_apart(later, few)]


def _apart(steps: list[int], distance: int) -> list[int]:
    """Of ascending steps the last one, and before it those that are `distance` apart at least."""
    kept = steps[-1:]
    for step in reversed(steps):
        if kept[-1] - step >= distance:
            kept.append(step)
    return kept[::-1]


def read_looks(db: sqlite3.Connection, run_id: str, kind: str, after: int, most: int) -> list[Look]:
    """The first `most` of a run with a later step than `after`, in their order. What can't be read is left out."""
    rows = db.execute("SELECT step, epoch, seconds, arrays FROM looks WHERE run = (SELECT number FROM runs WHERE id = ?) "
                      "AND kind = ? AND step > ? ORDER BY step LIMIT ?", (run_id, kind, after, most)).fetchall()
    found = []
    for row in rows:
        try:
            arrays = load_arrays(row["arrays"])
        except (SafetensorError, ValueError, KeyError, TypeError):  # a disk that failed: one picture less
            continue
        found.append(Look(kind, row["step"], row["epoch"], row["seconds"], arrays))
    return found


# --- watched images

def watched_images(images: Tensor | np.ndarray) -> Tensor:
    """Images to watch as (W, C, H, W) float32 on the CPU. Raises WatchError for what can't be watched whatever the network."""
    try:
        tensor = torch.as_tensor(images)
    except (TypeError, ValueError, RuntimeError):
        raise WatchError("Watched images must be numbers from 0 to 1, as one array.") from None
    if tensor.dim() != 4 or not tensor.is_floating_point():
        raise WatchError(f"Watched images must be floats of shape (images, channels, height, width); these are {tensor.dtype} "
                         f"of shape {tuple(tensor.shape)}.")
    if not 1 <= len(tensor) <= MOST_WATCHED or not tensor.numel():
        raise WatchError(f"A run can watch 1 to {plural(MOST_WATCHED, 'image')}; here are {len(tensor)}.")
    tensor = tensor.detach().to("cpu", torch.float32).contiguous()
    lowest, highest = tensor.aminmax()
    if not (lowest >= 0 and highest <= 1):  # NaN is neither
        raise WatchError("Watched images must hold finite values from 0 to 1.")
    return tensor


def check_suits(images: Tensor, config: DataConfig, root: Path | None = None) -> None:
    """Whether a run on such data can watch images (W, C, H, W). Data that are not there are no question here: the run says so.

    Raises WatchError.
    """
    try:
        data = outline(config, root)
    except DataError:
        return
    shape = tuple(images.shape[1:])
    if data.kind != "images" or data.target != "classes":
        raise WatchError(f"{data.title}: only a run that tells images apart can watch an image.")
    if not suits(shape, data.input_shape, fixed_sizes(config.transforms)):
        raise WatchError(f"This image is {in_words(shape)}, and a run on {data.title} takes {in_words(data.input_shape)}, so it "
                         "can't watch it. Choose other data, or do not watch.")


def can_watch(images: Tensor, data: Dataset) -> bool:
    """As check_suits(), of data that are loaded."""
    return data.kind == "images" and data.target == "classes" and suits(
        tuple(images.shape[1:]), data.input_shape, fixed_sizes(data.transforms))


def in_words(shape: tuple[int, ...]) -> str:
    """A size and colours for people: "28×28 in grey", "32×32 in colour"."""
    channels, height, width = shape
    return f"{height}×{width} in {'grey' if channels == 1 else 'colour' if channels == 3 else plural(channels, 'channel')}"


def watched_bytes(images: Tensor) -> bytes:
    """What read_watched() reads."""
    return save_tensors({IMAGES: images})


def read_watched(path: Path) -> Tensor | None:
    """(W, C, H, W) float32 in [0, 1]; None where there are none, or the file is damaged: a run does without."""
    try:
        return watched_images(load_tensors(path.read_bytes())[IMAGES])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
