"""Data sets of people's own, as folders of the data directory: imported/<id>/ with meta.json and three arrays.

    images.npy  (N, C, H, W) uint8, training images first, so that both parts are views of the mapped file
    labels.npy  (N,) int64, numbers of the classes in meta.json
    test.npy    (N,) bool, which rows are for testing

A set is written to a hidden folder beside it and renamed: it is there whole or not at all. In configs its name is "own:<id>".
Whatever makes such sets (an archive of images, drawings) keeps them through save_set or publish.
"""

import contextlib
import itertools
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from core.actors import EVERYBODY, LOCAL, Actor
from core.data.dataset import DataDamaged, DataError, DataMissing, NotYourData
from core.errors import os_reason
from core.files import write_atomically
from core.importing.names import plain_name
from core.importing.splits import drawn_test
from core.subprocesses import is_alive
from core.wording import size_of_bytes

FOLDER, PREFIX = "imported", "own:"
TEXTS = "texts"  # folder of people's own files of texts
NAME = re.compile(r"own:[0-9a-f]{6,32}")
STAGING = ".staging"
HOURS_OF_STAGING = 6  # what was looked at and neither kept nor dropped is cleared away then
MOST_TITLE = 60
ARRAYS = ("images.npy", "labels.npy", "test.npy")
TEST_SHARE = 0.2  # of images that are kept without a test part of their own


@dataclass(frozen=True)
class OwnSet:
    """What meta.json says of one set. counts: images in (train before validation is held back, test).

    hidden: in no list, so that only who knows its name can use it: drawings that one visitor has taught a network, or that a
        class has drawn.
    owner: the key of the visitor whose it is, on a server that many use; EVERYBODY where it is everybody's; CLASS with a lesson's
        code where it is for whoever has that.
    fit: how pictures of other shapes became square when they were brought here; "" where it was made otherwise, or before that
        was kept.
    """

    id: str
    title: str
    classes: tuple[str, ...]
    input_shape: tuple[int, int, int]
    counts: tuple[int, int]
    created: str  # ISO 8601, UTC
    source: str
    hidden: bool = False
    owner: str = field(default=EVERYBODY, repr=False)
    fit: Literal["pad", "crop", ""] = ""

    @property
    def name(self) -> str:
        """What configs call it."""
        return PREFIX + self.id


@dataclass(frozen=True, eq=False)
class Arrays:
    """images: (N, C, H, W) uint8, memory-mapped. labels: (N,) int64. test: (N,) bool, all False before the first True."""

    images: np.ndarray
    labels: np.ndarray
    test: np.ndarray


def is_own(name: str) -> bool:
    """Whether a data set's name is that of a person's own, whether it is there or not."""
    return NAME.fullmatch(name) is not None


def own_sets(root: Path, actor: Actor = LOCAL, also: Iterable[str] = ()) -> list[OwnSet]:
    """All sets in the data directory that somebody may use, newest first; of what the class of their lesson draws the newest.
    What can't be read is left out. also: names of hidden sets that are in the list too, where they may use them."""
    every = sorted(_all_sets(root), key=lambda own: (own.created, own.id), reverse=True)
    named = {*also, next((own.name for own in every if actor.draws_with(own.owner)), "")}
    return [own for own in every if actor.may_use(own.owner) and (not own.hidden or own.name in named)]


def _all_sets(root: Path) -> list[OwnSet]:
    found = []
    with contextlib.suppress(OSError):  # no such folder yet, or one that may not be entered
        for folder in (root / FOLDER).iterdir():
            with contextlib.suppress(DataError):
                found.append(read_set(root, PREFIX + folder.name))
    return found


def read_set(root: Path, name: str) -> OwnSet:
    """What is known of a set. Raises DataMissing where it is not there, DataDamaged where its meta.json is not ours."""
    path = arrays_folder(root, name) / "meta.json"
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        own = OwnSet(
            id=name.removeprefix(PREFIX), title=plain_name(meta["title"], MOST_TITLE), created=str(meta["created"]),
            classes=tuple(map(str, meta["classes"])), input_shape=_three(meta["input_shape"]),
            counts=(int(meta["counts"]["train"]), int(meta["counts"]["test"])), source=plain_name(meta["source"], 200),
            hidden=meta.get("hidden") is True, owner=str(meta.get("owner", EVERYBODY)),
            fit=meta.get("fit") if meta.get("fit") in ("pad", "crop") else "")
    except FileNotFoundError:
        raise DataMissing(f"There is no data set {name!r}; it may have been deleted.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataDamaged(f"{path} can't be read ({type(error).__name__}). Delete the set and import it again.") from None
    if min(own.counts) < 0 or not own.classes or min(own.input_shape) < 1:
        raise DataDamaged(f"{path} does not describe a data set. Delete the set and import it again.")
    return own


def read_arrays(root: Path, name: str) -> Arrays:
    """A set's arrays. Raises DataMissing, or DataDamaged where they are not what meta.json says."""
    own, folder = read_set(root, name), arrays_folder(root, name)
    try:
        # mode "c": private pages that nobody writes to stay shared, and PyTorch gets the writable array it wants
        images = np.load(folder / "images.npy", mmap_mode="c", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        test = np.load(folder / "test.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataDamaged(f"{own.title} can't be read from {folder}: {error}. Delete the set and import it again.") from None
    train, count = own.counts[0], sum(own.counts)
    whole = (images.shape == (count, *own.input_shape) and images.dtype == np.uint8 and labels.shape == test.shape == (count,)
             and labels.dtype == np.int64 and test.dtype == bool and not test[:train].any() and test[train:].all()
             and (not count or 0 <= labels.min() <= labels.max() < len(own.classes)))
    if not whole:
        raise DataDamaged(f"{own.title} in {folder} is not as its meta.json says. Delete the set and import it again.")
    return Arrays(images, labels, test)


def held_for_testing(labels: np.ndarray) -> np.ndarray:
    """(N,) bool: a fifth of each class, as for an archive without a test folder; a run on a set without test images would fail
    at its end, where it is tested."""
    return drawn_test(labels, np.arange(len(labels)), TEST_SHARE, 0)


def save_set(root: Path, title: str, classes: Sequence[str], images: np.ndarray, labels: np.ndarray, test: np.ndarray,
             source: str = "made here", hidden: bool = False, actor: Actor = LOCAL) -> OwnSet:
    """Keep images as a data set of one's own.

    Args:
        root: the data directory.
        images: (N, C, H, W) uint8. labels: (N,) class numbers. test: (N,) bool, which are for testing.
        source: where they come from, one line; other visitors of the server can read it.
        hidden: leave it out of own_sets(). actor: whose it becomes.

    Raises:
        DataError: the data directory can't be written to.
    """
    assert images.ndim == 4 and images.dtype == np.uint8 and len(images) == len(labels) == len(test), images.shape
    order = np.argsort(np.asarray(test, dtype=bool), kind="stable")
    with staging(root) as folder:
        for name, array in zip(ARRAYS, (images[order], labels[order].astype(np.int64), test[order].astype(bool)), strict=True):
            np.save(folder / name, array)
        return publish(folder, root, title, classes, source, hidden, actor)


def publish(folder: Path, root: Path, title: str, classes: Sequence[str], source: str, hidden: bool = False,
            actor: Actor = LOCAL, fit: Literal["pad", "crop", ""] = "") -> OwnSet:
    """Make a staged folder with the three arrays a data set of actor's: write its meta.json and rename it. fit: see OwnSet.

    Raises DataError where that can't be done, or the actor keeps as much as they may; the folder is left for whoever made it to
    remove.
    """
    check_room(root, actor, sum(file.stat().st_size for file in folder.iterdir()))
    taken = {own.title for own in own_sets(root, actor)}
    # the shape alone: Windows renames no folder in which a file is open
    shape = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False).shape
    tested = int(np.load(folder / "test.npy", allow_pickle=False).sum())
    own = OwnSet(
        id=secrets.token_hex(6), title=_unused(plain_name(title, MOST_TITLE) or "My images", taken),
        classes=tuple(map(plain_name, classes)), input_shape=_three(shape[1:]),
        counts=(shape[0] - tested, tested), created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        source=plain_name(source, 200), hidden=hidden, owner=actor.data_owner,
        fit=fit)
    meta = {"format": 1, "title": own.title, "classes": own.classes, "input_shape": own.input_shape,
            "counts": {"train": own.counts[0], "test": own.counts[1]}, "created": own.created, "source": own.source,
            "hidden": own.hidden, "owner": own.owner, "fit": own.fit}
    text = json.dumps(meta, ensure_ascii=False, indent=1).encode()
    with writing(root):
        write_atomically(folder / "meta.json", lambda file: file.write(text))
        for name in ARRAYS:  # on the disk before the name is
            with (folder / name).open("r+b") as file:  # Windows flushes nothing that is only read
                os.fsync(file.fileno())
        os.rename(folder, root / FOLDER / own.id)
    return own


def check_room(root: Path, actor: Actor, more: int) -> None:
    """Raises DataError where somebody would keep more than they may. more: bytes of sets or texts that they bring."""
    most = actor.limits.megabytes
    if most and kept_bytes(root, actor.data_owner) + more > most * 1_000_000:
        raise DataError(f"This has {size_of_bytes(more)}, and one person may keep {most} MB of images and texts on this server. "
                        "Delete a set of yours first, or take a part of it.")


def kept_bytes(root: Path, owner: str) -> int:
    """What somebody's sets, hidden ones too, and files of texts take."""
    folders = [(root / FOLDER / own.id).iterdir() for own in _all_sets(root) if own.owner == owner]
    total = 0
    with contextlib.suppress(OSError):  # what is deleted meanwhile takes nothing
        texts = [mark.with_suffix(".csv") for mark in (root / TEXTS).glob("*.owner") if mark.read_bytes() == owner.encode()]
        for file in itertools.chain(texts, *folders):
            total += file.stat().st_size if file.is_file() else 0
    return total


def delete_set(root: Path, name: str, actor: Actor = LOCAL) -> None:
    """Remove a set; a run that is learning from it keeps what it has mapped. Raises DataMissing and DataError, and NotYourData
    where it is somebody else's."""
    folder = arrays_folder(root, name)
    if not actor.is_local and not actor.may_change(read_set(root, name).owner):
        raise NotYourData
    gone = folder.with_name(f"{STAGING}-{os.getpid()}-{secrets.token_hex(6)}")
    try:
        os.rename(folder, gone)  # at once: nobody sees half of it
    except FileNotFoundError:
        raise DataMissing(f"There is no data set {name!r}; it may have been deleted already.") from None
    except OSError as error:
        raise DataError(f"The set can't be deleted: {os_reason(error)} ({folder}).") from None
    shutil.rmtree(gone, ignore_errors=True)


@contextlib.contextmanager
def staging(root: Path) -> Any:
    """A new folder beside the sets, on the same file system; removed at the end if it has not become a set."""
    folder = new_staging(root)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_staging(root: Path) -> Path:
    """A new folder to prepare a set in, for its maker to publish or remove. Raises DataError where none can be made."""
    sweep(root)
    with writing(root):
        folder = root / FOLDER / f"{STAGING}-{os.getpid()}-{secrets.token_hex(6)}"
        folder.mkdir(parents=True)
    return folder


def sweep(root: Path) -> None:
    """Remove what processes that have died left behind, and what has lain for six hours."""
    with contextlib.suppress(OSError):
        for folder in (root / FOLDER).glob(f"{STAGING}-*"):
            old = time.time() - folder.stat().st_mtime > HOURS_OF_STAGING * 3600
            if old or _has_died(folder.name.split("-")[1]):
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def writing(root: Path) -> Any:
    """Turns the file system's refusals into one line that says what to do."""
    try:
        yield
    except OSError as error:
        raise DataError(f"Images and texts can't be kept in {root / FOLDER}: {os_reason(error)}. Free some space, or set "
                        "PLAYGROUND_DATA to a folder that can be written to.") from None


def arrays_folder(root: Path, name: str) -> Path:
    """Where a set of that name is. The name's form is checked: it comes from configs that anybody can write."""
    if not is_own(name):
        raise DataMissing(f"{name!r} is not the name of a data set of one's own.")
    return root / FOLDER / name.removeprefix(PREFIX)


def _three(shape: Sequence[int]) -> tuple[int, int, int]:
    channels, height, width = (int(length) for length in shape)
    return channels, height, width


def _unused(title: str, taken: set[str]) -> str:
    """The title, with a number after it where another set has it."""
    return next(t for t in [title, *(f"{title} {n}" for n in range(2, len(taken) + 3))] if t not in taken)


def _has_died(pid: str) -> bool:
    """False for what is no number: that folder is not of our making."""
    return pid.isdecimal() and not is_alive(int(pid))
