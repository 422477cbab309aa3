"""Where the disk space of runs went, and how it stays within a budget.

What somebody has deleted goes first, then moments of old runs, and nothing else.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.runs.checkpoints import TRAINING, WEIGHTS
from core.runs.deleting import remove_discarded
from core.runs.moment_costs import chosen_steps
from core.runs.moments import NAME, thin
from core.runs.records import KINDS, Run
from core.runs.store import RunStore

STAY = (16, 6, 2)  # moments of an old run: all runs are thinned to the first number before any is to the next
SURE_UNDO = 600.0  # seconds for which a deleted run can be brought back whatever the budget


@dataclass(frozen=True)
class RunSpace:
    """Bytes of one run. weights: what it is asked and goes on with; moments: what can be gone back to; other: answers, watched
    images. count: of moments."""

    run: Run
    weights: int
    moments: int
    count: int
    other: int

    @property
    def total(self) -> int:
        return self.weights + self.moments + self.other


@dataclass(frozen=True)
class Space:
    """All that a runs folder takes, in bytes. runs: the largest first. database: curves and looks of all of them. deleted: runs
    that can still be brought back, by their ids; their curves are in the database, too."""

    runs: tuple[RunSpace, ...]
    database: int
    deleted: dict[str, int]

    @property
    def total(self) -> int:
        return self.database + sum(run.total for run in self.runs) + sum(self.deleted.values())


def space_of(store: RunStore) -> Space:
    """What each run takes. Folders of runs that this version can't read are left out. Raises StoreError."""
    found = [_run_space(store, run) for run in store.runs(limit=-1, kinds=KINDS)]
    database = sum(_size(path) for path in store.path.glob("runs.sqlite3*"))
    deleted = {run_id: sum(map(_size, store.folder(run_id).glob("*"))) for run_id in store.discarded()}
    return Space(tuple(sorted(found, key=lambda one: -one.total)), database, deleted)


def keep_within(store: RunStore, budget: int, data_dir: Path) -> int:
    """Make room until all runs together take at most `budget` bytes; the bytes that are free now. 0 is no budget.

    Runs that somebody has deleted and could still bring back go first, the first deleted first: nobody has asked to keep them.
    Only what was deleted within SURE_UNDO stays; it goes soon, so that nothing else goes in its place. Then moments are thinned,
    those of the oldest run first. Of no run goes its first and its last moment, nor that of an epoch that was chosen to be kept,
    and nothing of one that waits, goes on or has a star; so more may stay than the budget. Raises StoreError.
    """
    if not budget:
        return 0
    space, freed = space_of(store), 0
    deleted = dict(space.deleted)
    while deleted and space.total - freed > budget:
        gone = remove_discarded(store, data_dir, SURE_UNDO, 1)
        if not gone:
            break
        freed += deleted.pop(gone[0], 0)
    budget += sum(deleted.values())
    ours = sorted((one.run for one in space.runs if one.count and not one.run.is_active and not one.run.starred),
                  key=lambda run: run.number)
    for most in STAY:
        for run in ours:
            if space.total - freed <= budget:
                return freed
            freed += thin(store, run.id, most, certain=chosen_steps(run))
    return freed


def _run_space(store: RunStore, run: Run) -> RunSpace:
    weights = moments = count = other = 0
    with suppress(OSError):  # deleted meanwhile
        for path in store.folder(run.id).iterdir():
            size = _size(path)
            if NAME.fullmatch(path.name):
                moments, count = moments + size, count + 1
            elif path.name in {WEIGHTS, TRAINING}:
                weights += size
            else:
                other += size
    return RunSpace(run, weights, moments, count, other)


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
