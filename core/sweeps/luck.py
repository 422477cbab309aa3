"""How much of a result is luck of the seed, and which of the best trials that luck leaves equal.

Runs of the same settings with several seeds say how far luck goes; all such groups together are taken to spread alike (a pooled
standard deviation, as in the analysis of variance), since three seeds alone would say little.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from core.runs.sweep_records import Trial

LEVEL = 0.95
MOST_LEADERS = 3


@dataclass(frozen=True)
class Luck:
    """deviation: standard deviation over seeds, in the metric's unit. degrees: of freedom, the more the surer."""

    deviation: float
    degrees: int

    def of_one(self) -> float:
        """How far one run of the same settings lies from its mean at most, in 95 of 100."""
        return self._times(1) * self.deviation

    def of_two(self, first: int = 1, second: int = 1, comparisons: int = 1) -> float:
        """How far apart the means of so many runs each, of settings that are equally good, are at most in 95 of 100: of all the
        comparisons together (Bonferroni)."""
        return self._times(comparisons) * self.deviation * sqrt(1 / first + 1 / second)

    def of_next(self, runs: int) -> float:
        """How far the next run lies from the mean of so many of the same settings at most, in 95 of 100."""
        return self._times(1) * self.deviation * sqrt(1 + 1 / runs)

    def _times(self, comparisons: int) -> float:
        """Student's t."""
        from scipy.special import stdtrit  # 0.1 s, which what only lists searches need not wait for

        return float(stdtrit(self.degrees, 1 - (1 - LEVEL) / 2 / comparisons))


def luck_of(groups: Sequence[Sequence[float]], step: float = 0.0) -> Luck | None:
    """From groups of results, each of the same settings with several seeds; None where that is two runs alone, which say next to
    nothing.

    step: by which results differ at least, one image of an accuracy. What is rounded to such steps strays by 1/√12 of one, so
    that runs which agree to the image are no sign that luck does nothing.
    """
    several = [group for group in groups if len(group) > 1]
    degrees = sum(len(group) - 1 for group in several)
    if degrees < 2:
        return None
    squares = sum((len(group) - 1) * statistics.variance(group) for group in several)
    return Luck(max(sqrt(squares / degrees), step / sqrt(12)), degrees)


def near_best(values: Mapping[int, float], luck: Luck | None, higher: bool) -> list[int]:
    """The trials that may be the best: the best one, and those that luck may have kept behind it; the best first.

    values: of the first run of each trial.
    """
    order = sorted(values, key=lambda trial: (-values[trial] if higher else values[trial], trial))
    if not order:
        return []
    reach = float("inf") if luck is None else luck.of_two()
    return [trial for trial in order if abs(values[trial] - values[order[0]]) <= reach]


def has_stalled(values: Sequence[float], luck: Luck | None, patience: int, higher: bool) -> bool:
    """Whether the last `patience` trials, in their order, have beaten the best before them by no more than luck."""
    if luck is None or not patience or len(values) <= patience:
        return False
    best = max if higher else min
    before, since = best(values[:-patience]), best(values[-patience:])
    return (since - before if higher else before - since) <= luck.deviation


@dataclass(frozen=True)
class Verdict:
    """means: of the leaders over fresh seeds, with which none of them was chosen, so that none has its luck in it; the best
    first. alike: the best, and those that can't be told apart from it."""

    means: dict[int, float]
    alike: tuple[int, ...]
    margin: float | None  # how far apart two of them would have to be


def verdict(fresh: Mapping[int, Sequence[float]], luck: Luck | None, higher: bool) -> Verdict | None:
    """Of the leaders' results over fresh seeds; None where there are none."""
    means = {trial: statistics.fmean(values) for trial, values in fresh.items() if values}
    order = sorted(means, key=lambda trial: (-means[trial] if higher else means[trial], trial))
    if not order:
        return None
    best, rest = order[0], order[1:]
    margins = {trial: luck.of_two(len(fresh[best]), len(fresh[trial]), len(rest)) if luck else float("inf") for trial in rest}
    alike = (best, *(trial for trial in rest if abs(means[trial] - means[best]) <= margins[trial]))
    known = [margin for margin in margins.values() if luck]
    return Verdict({trial: means[trial] for trial in order}, alike, max(known) if known else None)


# --- of a search's trials

def luck_found(trials: Sequence[Trial], step: float) -> Luck | None:
    """How much is luck, from all settings that were run with several seeds. step: see luck_of()."""
    groups: dict[int, list[float]] = {}
    for trial in trials:
        if trial.state == "complete" and trial.value is not None:
            groups.setdefault(trial.trial, []).append(trial.value)
    return luck_of(list(groups.values()), step)


def fresh_values(trials: Sequence[Trial], number: int) -> list[float]:
    """What a trial's settings came to with seeds by which it was not chosen."""
    return [trial.value for trial in trials if trial.trial == number and trial.repeat and trial.value is not None]
