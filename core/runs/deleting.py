"""Deleting a run with what belongs to it alone: also the drawings that it was taught, which nobody else can see."""

from contextlib import suppress
from pathlib import Path

from core.actors import LOCAL
from core.data import DataError
from core.data.own.sets import delete_set, is_own, read_set
from core.lessons.class_sets import is_class_set, is_kept
from core.runs.database import StoreError
from core.runs.store import RunStore


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
