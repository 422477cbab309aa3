"""Boards: who is best on exactly the same images, among models that cost no more than a budget."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.data.sources import DATASETS
from core.evaluation.ranking import Place, shared_ranks
from core.runs.evaluations import load_predictions
from core.runs.records import Run
from core.runs.store import RunStore

MOST = 60  # models on one board: every two of them are compared


@dataclass(frozen=True, eq=False)
class Answered:
    """Which images a run's network got right: (N,) bool; `same` is equal for runs that were asked the same about the same."""

    same: tuple[str, ...]
    correct: np.ndarray


@dataclass(frozen=True)
class Board:
    """places: the best first, each with its run. left_out: runs that answered the same question and are below the MOST best."""

    runs: tuple[Run, ...]
    places: tuple[Place, ...]
    images: int
    left_out: int


def answered(store: RunStore, run_id: str, split: str = "test") -> Answered | None:
    """What is kept of a run's answers; None where nothing is, where it is of other weights by now, or where they are NaN."""
    found = load_predictions(store, run_id, split)
    return None if found is None or not found.is_finite else Answered((found.images, *found.classes), found.correct)


def boards(runs: Sequence[Run], answers: Mapping[str, Answered]) -> list[Board]:
    """A board for each set of images and question that at least two of the runs have answered, the largest first.

    answers: by the run's id; runs without any are on no board.
    """
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        if run.id in answers:
            groups.setdefault(answers[run.id].same, []).append(run)
    found = []
    for members in groups.values():
        best = sorted(members, key=lambda run: -int(answers[run.id].correct.sum()))[:MOST]
        if len(best) > 1:
            places = shared_ranks([answers[run.id].correct for run in best])
            found.append(Board(tuple(best[place.index] for place in places), tuple(places), len(answers[best[0].id].correct),
                               len(members) - len(best)))
    return sorted(found, key=lambda board: -len(board.runs))


def can_be_right(run: Run) -> bool:
    """Whether the run's answers are right or wrong, and not a number."""
    spec = DATASETS.get(run.config.data.dataset)
    return spec is None or spec.target != "number"
