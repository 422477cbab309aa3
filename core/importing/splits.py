"""Which pictures are for testing: those that the archive says, or a share of each class drawn by a seed."""

from collections.abc import Sequence

import numpy as np


def given_test(parts: Sequence[str]) -> np.ndarray:
    """(N,) bool from "train", "test", "validation". Without test pictures, those for validation are the test."""
    wanted = "test" if "test" in parts else "validation"
    return np.array([part == wanted for part in parts])


def drawn_test(labels: np.ndarray, groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """(N,) bool: about `share` of each class, at least one and never all of a class that has two or more.

    labels: (N,) class numbers. groups: (N,) rows of the same group go to the same side together, so that no copy of a test
    picture is learned from. Of classes that are one picture, some become test pictures only where no class has more.
    """
    generator = np.random.default_rng(seed)
    test = np.zeros(len(labels), dtype=bool)
    done: dict[int, bool] = {}  # group → side, for groups that span classes
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        wanted = int(np.clip(round(share * len(rows)), 1, len(rows) - 1)) if len(rows) > 1 else 0
        _draw(test, rows, groups, wanted, done, generator)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(rows) > 1 and test[rows].all():  # all are copies of other classes' test pictures: one of them is learned from
            test[groups == groups[rows[0]]] = False
    if not test.any() and len(labels) > 1:
        test[generator.permutation(len(labels))[:max(1, round(share * len(labels)))]] = True
    return test


def _draw(test: np.ndarray, rows: np.ndarray, groups: np.ndarray, wanted: int, done: dict[int, bool],
          generator: np.random.Generator) -> None:
    """Mark whole groups among one class's `rows` until `wanted` are marked."""
    members: dict[int, list[int]] = {}
    for row in rows:
        members.setdefault(int(groups[row]), []).append(int(row))
    marked = 0
    for group in generator.permutation(list(members)).tolist():
        of_group = members[group]
        if group not in done:
            # a group too large to fit is passed over, so that one pile of copies does not become the whole test set
            done[group] = marked + len(of_group) <= wanted
        if done[group]:
            test[of_group] = True
            marked += len(of_group)
