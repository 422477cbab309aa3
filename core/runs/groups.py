"""Runs that differ by their seed alone, taken together."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from core.runs.records import Run


@dataclass(frozen=True)
class SeedSummary:
    """Test accuracy over seeds, from 0 to 1: how many runs have one, their mean, and their standard deviation as of a sample,
    with n − 1 (None for fewer than two)."""

    runs: int
    mean: float | None
    deviation: float | None


def summarize(runs: Iterable[Run]) -> SeedSummary:
    """Over the runs that have looked at the test images."""
    found = [run.test_accuracy for run in runs if run.test_accuracy is not None]
    return SeedSummary(len(found), statistics.fmean(found) if found else None,
                       statistics.stdev(found) if len(found) > 1 else None)
