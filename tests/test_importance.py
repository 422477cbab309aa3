"""Which settings matter: planted ones are found, noise is called noise, and what can't be told apart is said."""

import math

import numpy as np
import pytest

from core import importance_child
from core.runs import importance as asked
from core.runs.importance import FEWEST, ImportanceError, columns_of, importance


def test_the_setting_that_decides_is_found_by_scikit_learn_in_a_process_of_its_own():
    """The outcome is the logarithm of the rate, and a little noise; batch and seed do nothing; two others change together."""
    draw = np.random.default_rng(0)
    settings = [{"rate": 10.0 ** -(number % 4), "batch": [32, 64][number // 4 % 2], "seed": number, "same": "always",
                 "kind": ["adam", "sgd"][number // 8 % 2], "decay": [0.0, 0.1][number // 8 % 2]} for number in range(32)]
    outcomes = [math.log10(one["rate"]) + 0.05 * draw.normal() for one in settings]
    found = importance(settings, outcomes)
    assert found.shares[0].settings == ("rate",) and found.shares[0].is_clear and found.shares[0].drop > 0.5
    others = {share.settings: share for share in found.shares[1:]}
    assert set(others) == {("batch",), ("seed",), ("kind", "decay")}
    assert all(share.drop < 0.1 * found.shares[0].drop for share in others.values())
    assert found.explained > 0.8 and found.error < found.plain_error / 2 and found.runs == 32


def test_noise_explains_nothing(monkeypatch):
    monkeypatch.setattr(importance_child, "RESAMPLES", 6)
    monkeypatch.setattr(importance_child, "TREES", 20)
    monkeypatch.setattr(asked, "_ask", importance_child.answer)  # in this process
    draw = np.random.default_rng(1)
    settings = [{"rate": float(draw.random()), "batch": int(draw.integers(3)), "drop": None if number % 3 else 0.5}
                for number in range(24)]
    found = importance(settings, draw.normal(size=24).tolist())
    assert found.explained < 0.2 and not all(share.is_clear for share in found.shares)
    assert importance(settings, [1.0] * 24).explained is None, "equal outcomes leave nothing to explain"


def test_settings_as_numbers():
    settings = [{"a": 1, "b": "x", "c": True, "d": [1, 2]}, {"a": 2.5, "b": "y", "c": False, "d": [1, 2]}, {"a": 2.5, "c": True}]
    found = dict(columns_of(settings))
    assert found[("a",)] == [1.0, 2.5, 2.5] and found[("c",)] == [1.0, 0.0, 1.0]
    assert found[("b",)][:2] == [0.0, 1.0] and math.isnan(found[("b",)][2])
    assert found[("d",)][:2] == [0.0, 0.0] and math.isnan(found[("d",)][2]), "only where it is there does it differ"
    assert columns_of([{"a": 1}, {"a": 1.0}]) == []
    drawn = [{"up": value, "also up": value ** 2, "down": -value, "other": other, "none": None if value == 3 else value}
             for value, other in ((1, 2), (2, 9), (3, 4), (4, 1))]
    assert [names for names, _ in columns_of(drawn)] == [("up", "also up", "down"), ("other",), ("none",)], "all values differ"


def test_what_can_not_be_worked_out_says_why(monkeypatch):
    many = [{"a": number} for number in range(FEWEST)]
    wide = [dict(zip(map(str, range(50)), row, strict=True)) for row in np.random.default_rng(2).random((FEWEST, 50)).tolist()]
    for settings, line in ((many[1:], "chance decides"), ([{"a": 1}] * FEWEST, "the same settings"),
                           (many * 200, "choose at most"), (wide, "too many")):
        with pytest.raises(ImportanceError, match=line):
            importance(settings, [0.0] * len(settings))
    monkeypatch.setattr(asked, "run", lambda *given, **more: -9)
    with pytest.raises(ImportanceError, match="gave no answer"):
        importance(many, [float(number) for number in range(FEWEST)])
