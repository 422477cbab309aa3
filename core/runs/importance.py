"""Which settings an outcome of many runs hangs on: what a random forest that never saw a run needs to know of it."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.evaluation.metrics import Interval
from core.runs.differing import NOT_THERE
from core.subprocesses import ONE_THREAD, run

FEWEST = 20  # runs; with fewer what is unseen is a handful
MOST = 2000  # runs, and
MOST_SETTINGS = 40  # settings: more would take minutes
SECONDS = 120.0  # for the process that works it out


class ImportanceError(ValueError):
    """The importance of settings can't be worked out; the message is one line."""


@dataclass(frozen=True)
class Share:
    """Settings that always changed together count as one. drop: by how much the forest's mean absolute error grows when it is
    told wrong values of them, in the outcome's unit; its 90 % interval over resamples of the runs."""

    settings: tuple[str, ...]
    drop: float
    interval: Interval

    @property
    def is_clear(self) -> bool:
        """Whether even the lower end of the interval is above nothing."""
        return self.interval.low > 0


@dataclass(frozen=True)
class Importance:
    """shares: the largest first. error: the forest's mean absolute error on runs that it has not seen; plain_error: that of
    always saying the mean. explained: the share of the squared differences between unseen runs that the forest accounts for, at
    most 1, below 0 where the mean would have done better; None where all outcomes are equal."""

    runs: int
    shares: tuple[Share, ...]
    explained: float | None
    error: float
    plain_error: float


def importance(settings: Sequence[Mapping[str, Any]], outcomes: Sequence[float], seed: int = 0) -> Importance:
    """What the outcome of runs hangs on, as far as these runs show it.

    Args:
        settings: for each run its settings by path, see core.runs.differing.flat(); those that are the same in all do not count.
        outcomes: for each run a finite number.

    Raises ImportanceError: fewer runs than FEWEST, no setting that differs, or a process that gave no answer.
    """
    if len(settings) < FEWEST:
        raise ImportanceError(f"With {len(settings)} runs chance decides. From {FEWEST} runs on there is something to say.")
    if len(settings) > MOST:
        raise ImportanceError(f"These are {len(settings):,} runs; choose at most {MOST:,} of them.")
    together = columns_of(settings)
    if not together:
        raise ImportanceError("All of these runs have the same settings.")
    if len(together) > MOST_SETTINGS:
        raise ImportanceError(f"{len(together)} settings differ, too many to tell apart. Choose runs that differ in at most "
                              f"{MOST_SETTINGS}.")
    rows = np.array([values for _, values in together]).T
    found = _ask({"columns": [[None if np.isnan(value) else float(value) for value in row] for row in rows],
                  "outcomes": [float(outcome) for outcome in outcomes], "seed": seed})
    drops = np.array(found["drops"])  # (resamples, settings)
    shares = [Share(paths, float(drops[:, place].mean()), Interval(*map(float, np.quantile(drops[:, place], (0.05, 0.95)))))
              for place, (paths, _) in enumerate(together)]
    return Importance(len(settings), tuple(sorted(shares, key=lambda share: -share.drop)), found["explained"], found["error"],
                      found["plain_error"])


def columns_of(settings: Sequence[Mapping[str, Any]]) -> list[tuple[tuple[str, ...], list[float]]]:
    """The settings that differ as numbers, a value for each run: paths that always change together, and their values.

    A number stays one. Anything else becomes the place of its value in their alphabetical order, which a tree can cut where it
    likes. NaN is a setting that a run does not have.
    """
    paths = dict.fromkeys(path for one in settings for path in one)
    found: dict[tuple[int, ...], tuple[list[str], list[float]]] = {}
    for path in paths:
        values = [one.get(path, NOT_THERE) for one in settings]
        if all(value is NOT_THERE or isinstance(value, int | float) for value in values):
            numbers = [np.nan if value is NOT_THERE else float(value) for value in values]
        else:
            texts = [None if value is NOT_THERE else json.dumps(value, sort_keys=True) for value in values]
            order = {text: float(place) for place, text in enumerate(sorted({text for text in texts if text is not None}))}
            numbers = [np.nan if text is None else order[text] for text in texts]
        if len(set(map(repr, numbers))) > 1:
            found.setdefault(_pattern(numbers), ([], numbers))[0].append(path)
    return [(tuple(names), numbers) for names, numbers in found.values()]


def _pattern(numbers: list[float]) -> tuple[int, ...]:
    """The same for what always changes together. Where nearly every run has a value of its own that says nothing; there it is the
    same for what rises together, or falls as the other rises."""
    first: dict[str, int] = {}
    pattern = tuple(first.setdefault(repr(number), len(first)) for number in numbers)
    if 2 * len(first) <= len(numbers):
        return pattern
    order = {repr(number): place for place, number in enumerate(sorted(set(numbers), key=lambda one: (np.isnan(one), one)))}
    ranks = tuple(order[repr(number)] for number in numbers)
    return max(ranks, tuple(len(order) - 1 - rank for rank in ranks))


def _ask(question: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        asked, said = Path(folder) / "question.json", Path(folder) / "answer.json"
        asked.write_text(json.dumps(question), encoding="utf-8")
        try:
            code = run("core.importance_child", str(asked), str(said), seconds=SECONDS, environment=ONE_THREAD)
            if code == 0:
                return json.loads(said.read_bytes())
        except (OSError, subprocess.TimeoutExpired, ValueError):
            pass  # the same as where it ends with an error
    raise ImportanceError("The process that works this out gave no answer. It may have had too little memory or time.")
