"""Curves made ready to be drawn: what thinning must keep, smoothing, and seeds as mean and band."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.figures.thinning import smooth
from core.runs.thinning import mean_and_band, running_mean, thinned

VALUES = st.lists(st.tuples(st.integers(0, 60), st.integers(-4, 4) | st.sampled_from([np.nan, np.inf, -np.inf])), max_size=60,
                  unique_by=lambda point: point[0])


@settings(max_examples=200)
@given(VALUES, st.integers(0, 30), st.integers(1, 40), st.integers(1, 9))
def test_of_every_part_the_smallest_the_largest_and_the_last_value_survive(points, low, width, pixels):
    points.sort()
    x, y = np.array([p[0] for p in points], float), np.array([p[1] for p in points], float)
    found_x, found_y = thinned((x, y), low, low + width, pixels)
    assert (np.diff(found_x) > 0).all()
    kept, whole = dict(zip(found_x, found_y, strict=True)), dict(zip(x, y, strict=True))
    assert all(value == whole[at] or np.isnan(value) and not np.isfinite(whole[at]) for at, value in kept.items()), "as recorded"
    inside = [at for at in whole if low <= at <= low + width]
    assert sum(low <= at <= low + width for at in kept) <= 3 * pixels
    edges = np.linspace(low, low + width, pixels + 1)
    for part in range(pixels):
        members = [at for at in inside if edges[part] <= at and (at < edges[part + 1] or part == pixels - 1)]
        finite = [whole[at] for at in members if np.isfinite(whole[at])]
        here = [kept[at] for at in members if at in kept and np.isfinite(kept[at])]
        assert not members or members[-1] in kept, "the last point"
        assert not finite or (min(here), max(here)) == (min(finite), max(finite))
    outside = [max((at for at in whole if at < low), default=None), min((at for at in whole if at > low + width), default=None)]
    assert all(at is None or at in kept for at in outside), "the line runs to the edges"
    assert len(kept) == sum(low <= at <= low + width for at in kept) + sum(at is not None for at in outside)


def test_a_spike_of_one_step_in_a_hundred_thousand_is_there():
    x, y = np.arange(100_000.0), np.ones(100_000)
    y[54_321] = 9.0
    found_x, found_y = thinned((x, y), 0, 99_999, 100)
    assert found_y.max() == 9.0 and found_x[found_y.argmax()] == 54_321 and len(found_x) <= 300 and found_x[-1] == 99_999


def test_a_running_mean_by_hand():
    assert running_mean([1.0, 2.0, 4.0], 0.5).tolist() == pytest.approx([1, (0.5 * 1 + 2) / 1.5, (0.25 * 1 + 0.5 * 2 + 4) / 1.75])
    assert smooth([1.0, 2.0, 4.0], 0.5) == running_mean([1.0, 2.0, 4.0], 0.5).tolist()
    assert running_mean([3.0, 5.0], 0.0).tolist() == [3.0, 5.0]


def test_mean_and_band_by_hand():
    """The second run has values at other places, and ends sooner."""
    band = mean_and_band([(np.array([0.0, 1, 2, 3]), np.array([1.0, 3, 5, 7])),
                          (np.array([1.0, 2.0]), np.array([5.0, np.nan])), (np.array([0.0, 2.0]), np.array([0.0, 4.0]))], 0, 3)
    assert band.x.tolist() == [0, 1, 2, 3]
    assert band.low.tolist() == [0, 2, 4, 7] and band.high.tolist() == [1, 5, 5, 7]
    assert band.mean.tolist() == pytest.approx([0.5, 10 / 3, 4.5, 7])
    assert not len(mean_and_band([], 0, 1).x)
    many = mean_and_band([(np.arange(1000.0), np.arange(1000.0))], 100, 900, most=9)
    assert many.x.tolist() == [100, 200, 300, 400, 500, 600, 700, 800, 900]
