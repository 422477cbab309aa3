"""What we calculate ourselves so that no process needs scipy or scikit-learn for it, against scipy and scikit-learn."""

import importlib.util

import numpy as np
import pytest
from scipy import ndimage, special
from scipy.interpolate import RectBivariateSpline
from scipy.optimize import minimize
from sklearn.datasets import load_digits

from core.data.drawing.connected_components import label
from core.data.sources import digits
from core.evaluation.comparison import mcnemar
from core.labs.spline import Bicubic, lowest


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.5, 0.9, 1.0])
def test_marks_are_those_of_scipy(share):
    random = np.random.default_rng(0)
    for height, width in random.integers(1, 40, (60, 2)):
        ink = random.random((height, width)) < share
        marks, count = label(ink)
        expected, number = ndimage.label(ink, structure=np.ones((3, 3)))
        assert count == number and np.array_equal(marks, expected)


def test_marks_that_meet_late_are_one():
    """A comb whose teeth meet in the last row, and a spiral: each turn is joined to the next far away."""
    comb = np.zeros((5, 9), bool)
    comb[:, ::2] = comb[-1] = True
    assert label(comb)[1] == 1
    spiral = np.array([[1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1], [1, 1, 1, 1, 1, 0, 1], [1, 0, 0, 0, 1, 0, 1],
                       [1, 0, 1, 1, 1, 0, 1], [1, 0, 0, 0, 0, 0, 1], [1, 1, 1, 1, 1, 1, 1]], bool)
    assert label(spiral)[1] == 1 and np.array_equal(label(spiral)[0], spiral)
    assert label(np.zeros((0, 3), bool))[1] == 0


@pytest.fixture(scope="module")
def surface():
    random = np.random.default_rng(1)
    ticks = np.linspace(-2, 2, 17)
    values = np.add.outer((ticks - 0.3) ** 2, 2 * (ticks + 0.4) ** 2) + 0.05 * random.normal(size=(17, 17))
    return Bicubic(ticks, values), RectBivariateSpline(ticks, ticks, values), random.uniform(-2, 2, (200, 2))


def test_the_spline_is_that_of_scipy(surface):
    ours, theirs, points = surface
    x, y = points.T
    assert np.allclose(ours(points), theirs.ev(x, y), rtol=0, atol=1e-12)
    assert np.allclose(ours.gradient(points), np.stack([theirs.ev(x, y, dx=1), theirs.ev(x, y, dy=1)], 1), rtol=0, atol=1e-11)
    for point in points[:10]:
        second = [[theirs.ev(*point, dx=2), theirs.ev(*point, dx=1, dy=1)],
                  [theirs.ev(*point, dx=1, dy=1), theirs.ev(*point, dy=2)]]
        assert np.allclose(ours.curvature(point), second, rtol=0, atol=1e-9)


def test_its_lowest_point_is_that_of_scipy():
    ticks = np.linspace(-2, 2, 41)
    values = np.cosh(np.subtract.outer(ticks, 0.5 * ticks) - 0.2) + np.add.outer(0 * ticks, (ticks - 0.3) ** 2)
    theirs = RectBivariateSpline(ticks, ticks, values)
    best = minimize(lambda point: float(theirs.ev(*point)), (0.0, 0.0), tol=1e-9)
    assert lowest(Bicubic(ticks, values), (0.0, 0.0)) == pytest.approx(tuple(best.x), abs=1e-5)


def test_mcnemars_test_is_that_of_scipy():
    for first, second in [(0, 0), (1, 0), (3, 9), (12, 12), (10, 20), (40, 15), (300, 310)]:
        test = mcnemar(first, second)
        expected = min(1.0, 2 * special.bdtr(min(first, second), first + second, 0.5)) if test.exact else \
            special.chdtrc(1, test.statistic)
        assert test.p == pytest.approx(expected if first + second else 1.0, rel=1e-12)


def test_the_digits_are_those_of_scikit_learn(monkeypatch):
    expected = load_digits()
    for _ in range(2):
        counts, labels = digits.bitmap_counts()
        assert np.array_equal(counts, expected.images) and np.array_equal(labels, expected.target)
        assert counts.dtype == np.float64 and labels.dtype == np.int64
        monkeypatch.setattr(digits, "find_spec", lambda name: importlib.util.find_spec("numpy"))  # not where it is expected
