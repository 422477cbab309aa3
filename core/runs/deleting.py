"""Deleting a run with what belongs to it alone: also the drawings that it was taught, which nobody else can see."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.actors import LOCAL
from core.data import DataError
from core.data.own.sets import delete_set, is_own, read_set
from core.lessons.class_sets import is_class_set, is_kept
from core.runs.database import StoreError, StoreFull
from core.runs.records import RunNotFound
from core.runs.store import RunStore


@dataclass(frozen=True)
class Deleted:
    """Which runs are deleted, by their ids. for_good: they can't be brought back."""

    ids: list[str]
    for_good: bool


def delete_runs(store: RunStore, run_ids: Iterable[str], data_dir: Path, seconds_kept: float) -> Deleted:
    """Delete runs that have ended so that they can be brought back, and remove for good what was deleted so many seconds ago.
    Where the disk is full, or the store can only be read, these go for good at once: nothing else makes room.

    Those that are active or gone are left alone. Raises NotYours, and StoreError where they can't be deleted.
    """
    ids = list(run_ids)
    if not (store.read_only or store.is_full):
        with suppress(StoreFull):
            deleted = store.discard(ids)
            remove_discarded(store, data_dir, seconds_kept)
            return Deleted(deleted, False)
    for run_id in ids:
        store.check_change(run_id)
    active, deleted = {run.id for run in store.these(ids) if run.is_active}, []
    for run_id in ids:
        if run_id not in active:
            with suppress(RunNotFound):
                delete_run(store, run_id, data_dir)
                deleted.append(run_id)
    return Deleted(deleted, True)


def delete_run(store: RunStore, run_id: str, data_dir: Path) -> None:
    """As RunStore.delete(), and with the last run that names them go hidden data sets.

    Raises RunNotFound, or StoreError while it is active or can't be deleted.
    """
    named: tuple[str, ...] = ()
    with suppress(StoreError):  # RunUnreadable: it can be deleted all the same
        data = store.get(run_id).config.data
        named = (data.dataset, *data.join)
    store.delete(run_id)
    for name in filter(is_own, named):
        forget_hidden(store, name, data_dir)


def forget_hidden(store: RunStore, name: str, data_dir: Path) -> None:
    """Delete a hidden data set, unless a run names it. What a class has drawn is its own to forget as long as it is there, and
    nobody's afterwards."""
    with suppress(DataError):  # it is gone already, or the data directory can't be written to
        own = read_set(data_dir, name)
        if own.hidden and not store.names(name) and not is_kept(own, data_dir):
            delete_set(data_dir, name, LOCAL if is_class_set(own) else store.actor)


def remove_discarded(store: RunStore, data_dir: Path, older_than: float = 0.0, most: int | None = None) -> list[str]:
    """As RunStore.remove_discarded(), and with the last run that names them go hidden data sets. Raises StoreError."""
    named = store.sets_of_discarded()
    removed = store.remove_discarded(older_than, most)
    for name in filter(is_own, named):
        forget_hidden(store, name, data_dir)
    return removed
