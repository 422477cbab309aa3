"""Data sets of what a class has drawn: each a copy of the drawings as they were when it was made.

So a run keeps what it has learned from, whatever is drawn or taken back afterwards. They are sets of people's own
(core.data.own.sets), in no list, and for whoever has the lesson's code. Beside their arrays lies pupils.npy, (N,) int64: the
number of whoever drew each image. Whose number that is, only the class's file knows.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.actors import CLASS, LOCAL, Actor
from core.config import DataConfig
from core.data.combine import without_misfits
from core.data.dataset import DataError, DataMissing
from core.data.load import default_config
from core.data.own.sets import (
    ARRAYS,
    OwnSet,
    arrays_folder,
    delete_set,
    held_for_testing,
    is_own,
    publish,
    read_set,
    staging,
)
from core.data.sources import spec_of
from core.lessons.class_digits import DIGITS, ClassDigits, file_of, opened, owner_of

FEWEST = 20  # drawings that a set is made of: two of each digit, and four of all for testing
PUPILS = "pupils.npy"
# a set that no run names is kept for so long, since somebody may be about to train on it; of all the newest
HOURS_UNUSED, MOST_UNUSED = 6, 40
InUse = Callable[[str], bool]  # whether a run names a data set: RunStore.names


@dataclass(frozen=True, eq=False)
class Hands:
    """Who has drawn some images of a run's. mine: (n,) bool. pupils: (n,) int64, a number for each who draws, for the teacher;
    0 for all others, and of images that no class has drawn."""

    mine: Tensor
    pupils: Tensor


def set_of(digits: ClassDigits, in_use: InUse) -> OwnSet | None:
    """The class's data set as it is now, made where there is none of just these drawings; None while there are fewer than
    FEWEST. in_use: sets that a run names stay; others go after a while. Raises DataError."""
    if own := _known(digits, _digest(digits._numbers())):
        _forget_unused(digits, own.name, in_use)
        return own
    found = digits._everything()
    if len(found) < FEWEST:
        return None
    digest = _digest(found.numbers.tolist())
    test = found.test.numpy()
    if not test.any() or test.all():  # the others were removed
        test = held_for_testing(found.labels.numpy())
    order = np.argsort(test, kind="stable")
    with staging(digits.data_dir) as folder:
        arrays = (found.images.numpy()[order], found.labels.numpy()[order], test[order])
        for name, array in zip((*ARRAYS, PUPILS), (*arrays, found.pupils.numpy()[order]), strict=True):
            np.save(folder / name, array)
        own = publish(folder, digits.data_dir, f"Class digits, {len(found):,} drawings", DIGITS, "drawn by a class, here",
                      hidden=True, actor=Actor(CLASS + digits.code, "visitor"))
    with opened(digits.path, to_write=True) as db:
        db.execute("INSERT INTO sets (name, drawings, made) VALUES (?, ?, ?)", (own.name, digest, time.time()))
    _forget_unused(digits, own.name, in_use)
    return _known(digits, digest) or own  # the first, where two made one at the same moment


def _digest(numbers: Sequence[int]) -> str:
    """What tells sets of drawings apart: a drawing never changes, and its number is never used again."""
    return hashlib.blake2b(repr(list(numbers)).encode(), digest_size=16).hexdigest()


def _known(digits: ClassDigits, digest: str) -> OwnSet | None:
    with opened(digits.path) as db:
        names = [row["name"] for row in db.execute("SELECT name FROM sets WHERE drawings = ? ORDER BY made, name", (digest,))]
    for name in names:
        with suppress(DataError):
            return read_set(digits.data_dir, name)
    return None


def _forget_unused(digits: ClassDigits, last: str, in_use: InUse) -> None:
    with opened(digits.path) as db:
        rows = db.execute("SELECT name, made FROM sets WHERE name <> ? ORDER BY made DESC", (last,)).fetchall()
    for place, row in enumerate(rows):
        old = place >= MOST_UNUSED or time.time() - row["made"] > HOURS_UNUSED * 3600
        if old and not in_use(row["name"]):
            _forget(digits.data_dir, digits.path, row["name"])


def _forget(data_dir: Path, path: Path, name: str) -> None:
    with suppress(DataError):
        delete_set(data_dir, name, LOCAL)
    with opened(path, to_write=True) as db:
        db.execute("DELETE FROM sets WHERE name = ?", (name,))


def train_config(name: str, join: str = "", root: Path | None = None) -> DataConfig:
    """How a class's set is trained on, alone or with another set's images joined to it; tested on the class's drawings either
    way. Raises DataError for what can't be joined."""
    config = default_config(name, root)
    if join:
        validation = default_config(join, root).validation
        config = config.model_copy(update={"join": (join,), "validation": validation, "variations": 0})
    return without_misfits(config, root)


def as_it_is_now(data: DataConfig, name: str, root: Path) -> DataConfig:
    """A config with the newer set `name` in the place of another one that the same class has drawn; all else stays, but for
    validation images where there would be too many. Raises DataError."""
    owner = read_set(root, name).owner

    def newer(one: str) -> str:
        with suppress(DataMissing):
            return name if is_own(one) and read_set(root, one).owner == owner else one
        return one

    changed = data.model_copy(update={"dataset": newer(data.dataset), "join": tuple(dict.fromkeys(map(newer, data.join)))})
    if changed.dataset != data.dataset and not changed.join:
        most = default_config(name, root).validation
        changed = changed.model_copy(update={"validation": min(changed.validation, most)})
    return without_misfits(changed, root) if changed != data else data


def is_class_set(own: OwnSet) -> bool:
    return own.owner.startswith(CLASS)


def is_kept(own: OwnSet, data_dir: Path) -> bool:
    """Whether the class that has drawn a set is still there, which then forgets it by itself."""
    return is_class_set(own) and file_of(data_dir, own.owner.removeprefix(CLASS)).is_file()


def delete_with_digits(code: str, data_dir: Path, delete: Callable[[str], None], in_use: InUse) -> None:
    """Delete a lesson and what its class has drawn; sets that runs have learned from go with the last of these runs. delete: the
    lesson itself, core.runs.RunStore.delete_lesson(), which looks at who asks. Raises what that does, and DataError where the
    drawings can't be deleted."""
    delete(code)
    path = file_of(data_dir, code)
    if not path.is_file():
        return
    with suppress(DataError), opened(path) as db:  # a damaged one goes, too
        for row in db.execute("SELECT name FROM sets").fetchall():
            if not in_use(row["name"]):
                with suppress(DataError):
                    delete_set(data_dir, row["name"], LOCAL)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"The lesson is deleted, but not what its class has drawn: {error.strerror or error}.") from None


def hands(data: DataConfig, split: str, rows: Tensor, data_dir: Path, actor: Actor, owner: str = "") -> Hands | None:
    """Who has drawn some of a run's images; None where no class has drawn any of its data set.

    Args:
        split: "validation" or "test". rows: (n,) of the loaded split's stack. owner: see ClassDigits.
    """
    pupils, me, any_class = torch.zeros(len(rows), dtype=torch.long), torch.zeros(len(rows), dtype=torch.bool), False
    start = 0
    for name in (data.dataset, *(data.join if split != "test" else ())):
        count = spec_of(name, data_dir).counts[split == "test"]
        own = read_set(data_dir, name) if is_own(name) else None
        inside = (rows >= start) & (rows < start + count)
        if own is not None and is_class_set(own):
            any_class = True
            drawn = _pupils_of(data_dir, own, split)[(rows - start)[inside]]
            pupils[inside] = drawn
            me[inside] = drawn == _number_of(data_dir, own, owner_of(actor, owner))
        start += count
    if not any_class:
        return None
    return Hands(me, pupils if actor.sees_all else torch.zeros_like(pupils))


def _pupils_of(data_dir: Path, own: OwnSet, split: str) -> Tensor:
    """(n,) the numbers of those who drew the training or the test images of a set."""
    try:
        found = np.load(arrays_folder(data_dir, own.name) / PUPILS, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        found = np.zeros(0, np.int64)
    if found.shape != (sum(own.counts),) or found.dtype != np.int64:  # damaged: nobody's
        found = np.zeros(sum(own.counts), np.int64)
    train = own.counts[0]
    return torch.from_numpy(found[train:] if split == "test" else found[:train])


def _number_of(data_dir: Path, own: OwnSet, owner: str) -> int:
    """The number of somebody in a class, -1 where they have none or the class is gone."""
    with suppress(DataError), opened(file_of(data_dir, own.owner.removeprefix(CLASS))) as db:
        row = db.execute("SELECT number FROM pupils WHERE owner = ?", (owner,)).fetchone()
        return row["number"] if row else -1
    return -1
