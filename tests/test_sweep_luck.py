"""How much is luck, held to scipy and numpy, and what is said of the best. Needs no Optuna."""

import statistics
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from core.sweeps.luck import Luck, has_stalled, luck_of, near_best, verdict
from core.sweeps.result import Result, read_result, sentence
from tests.helpers import tiny
from tests.sweeps import a_plan

GROUPS = [[0.90, 0.92, 0.94], [0.80, 0.82], [0.5]]


def test_the_pooled_deviation_is_that_of_an_analysis_of_variance():
    luck = luck_of(GROUPS)
    # by hand: squares 0.0004 · 2 and 0.0002, three degrees of freedom
    assert luck.degrees == 3 and luck.deviation == pytest.approx((0.001 / 3) ** 0.5)
    model = [np.mean(group) for group in GROUPS[:2] for _ in group]
    residuals = np.concatenate(GROUPS[:2]) - model
    assert luck.deviation == pytest.approx(np.sqrt((residuals ** 2).sum() / (5 - 2)))
    assert luck_of([[0.5], [0.6]]) is None and luck_of([[0.5, 0.6], [0.5]]) is None


def test_runs_that_agree_to_the_image_are_no_sign_that_luck_does_nothing():
    assert luck_of([[0.975] * 4]).deviation == 0.0
    rounding = np.random.default_rng(0).uniform(0, 1, 100_000)
    assert luck_of([[0.975] * 4], 1 / 200).deviation == pytest.approx(np.std(rounding - np.round(rounding)) / 200, rel=0.01)
    assert luck_of(GROUPS, 1 / 200).deviation == luck_of(GROUPS).deviation, "which is larger"
    assert a_plan().step == 1 / tiny().data.validation and a_plan(metric="validation_loss").step == 0


def test_margins_are_student_s():
    luck = Luck(0.02, 4)
    t = stats.t.ppf(0.975, 4)
    assert luck.of_one() == pytest.approx(0.02 * t)
    assert luck.of_two(3, 3) == pytest.approx(0.02 * t * (2 / 3) ** 0.5)
    assert luck.of_two(3, 3, comparisons=2) == pytest.approx(0.02 * stats.t.ppf(1 - 0.025 / 2, 4) * (2 / 3) ** 0.5)
    assert luck.of_next(4) == pytest.approx(0.02 * t * 1.25 ** 0.5)


def test_the_margin_of_two_equal_settings_is_passed_once_in_twenty():
    """Drawn: two settings of three seeds each that are equally good, and the deviation from them and a third."""
    draw, passed = np.random.default_rng(0), 0
    for _ in range(4000):
        groups = draw.normal(0, 1, (3, 3)).tolist()
        luck = luck_of(groups)
        passed += abs(statistics.fmean(groups[0]) - statistics.fmean(groups[1])) > luck.of_two(3, 3)
    assert 0.04 < passed / 4000 < 0.06


def test_leaders_are_the_best_and_those_that_luck_may_have_kept_behind():
    luck = Luck(0.01, 1000)  # of two runs: ± 0.0277
    values = {0: 0.90, 1: 0.95, 2: 0.93, 3: 0.92, 4: 0.94}
    assert near_best(values, luck, higher=True) == [1, 4, 2]
    assert near_best(values, luck, higher=False) == [0, 3]
    assert near_best(values, None, higher=True) == [1, 4, 2, 3, 0] and near_best({}, luck, True) == []
    assert near_best(values, Luck(0.0001, 1000), higher=True) == [1]


def test_a_search_has_stalled_where_the_last_trials_gained_no_more_than_luck():
    luck = Luck(0.01, 10)
    assert has_stalled([0.5, 0.9, 0.6, 0.905, 0.7], luck, 3, higher=True)
    assert not has_stalled([0.5, 0.9, 0.6, 0.92, 0.7], luck, 3, higher=True)
    assert has_stalled([0.5, 0.1, 0.3, 0.095, 0.2], luck, 3, higher=False)
    assert not has_stalled([0.5, 0.9, 0.6], luck, 3, True) and not has_stalled([0.9] * 9, None, 3, True)
    assert not has_stalled([0.9] * 9, luck, 0, True)


def test_a_verdict_over_fresh_seeds():
    luck = Luck(0.01, 9)
    found = verdict({4: [0.95, 0.96], 7: [0.93, 0.96], 2: [0.80, 0.81]}, luck, higher=True)
    assert found.means == pytest.approx({4: 0.955, 7: 0.945, 2: 0.805}) and found.alike == (4, 7)
    assert found.margin == pytest.approx(luck.of_two(2, 2, 2))
    assert verdict({4: [0.2], 7: [0.1]}, Luck(0.001, 9), higher=False).alike == (7,)
    assert verdict({4: [], 7: []}, luck, True) is None and verdict({4: [0.9]}, None, True).alike == (4,)


def test_what_is_said_of_it():
    plan = a_plan()
    alike = Result(3, "r", (3, 12, 31), {3: 0.95, 12: 0.949, 31: 0.948}, 0.012, 0.004, "")
    assert sentence(plan, alike) == (
        "Trials 3, 12 and 31 can't be told apart; 3 had the best average over fresh seeds, 95.00 %. Luck of the seed alone makes "
        "differences of up to 1.20 points between such averages.")
    clear = Result(3, "r", (3,), {3: 0.95, 12: 0.5}, 0.012, 0.004, "")
    assert "clearly better than trial 12" in sentence(plan, clear)
    assert "None of the others came so near" in sentence(plan, Result(3, "r", (3,), {3: 0.95}, None, 0.004, ""))
    alone = sentence(plan, Result(3, "r", (3,), {3: 0.95}, None, 0.004, "", ended=1))
    assert alone.endswith("No other trial came to a result.")
    assert "came so near" not in sentence(plan, Result(3, "r", (3,), {3: 0.95}, None, 0.004, "", 2))
    assert sentence(plan, replace(clear, near=1)).endswith(" 1 more trial came as near by one run, without being repeated.")
    assert "no time to repeat" in sentence(plan, Result(3, "r", (3,), {}, None, None, ""))
    assert read_result(alike.to_json()) == alike
    assert read_result(alike.to_json().replace(', "near": 0, "ended": 2', "")) == alike, "of a search before these were counted"
    assert read_result("") is None and read_result("[1]") is None and read_result('{"chosen": 1}') is None
