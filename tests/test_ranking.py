"""Shared ranks, Holm's correction and the front, beside calculations by hand and by brute force."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.evaluation.comparison import mcnemar
from core.evaluation.ranking import holm, pareto_front, shared_ranks
from core.presets import PRESETS
from core.runs.boards import Answered, answered, boards, can_be_right
from tests.helpers import tiny
from tests.test_side_by_side import made


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 · 0.01; 2 · 0.03; at least that
    assert holm([0.6, 0.5]) == [1.0, 1.0] and holm([]) == [] and holm([0.2]) == [0.2]


def model(wrong, of=400):
    """A model that is wrong about some of the images."""
    correct = np.ones(of, bool)
    correct[list(wrong)] = False
    return correct


def test_models_that_no_test_tells_apart_share_a_rank():
    """The second is wrong on 10 images that the first got right and the other way round on 8; the third on 60 more."""
    first, second = model(range(8)), model(range(8, 18))
    third = model(range(20, 88))
    places = shared_ranks([third, second, first])
    assert [(place.index, place.rank, place.right) for place in places] == [(2, 1, 392), (1, 1, 390), (0, 3, 332)]
    assert places[0].p is None and places[1].p == pytest.approx(mcnemar(10, 8).p)  # the largest of three is not corrected
    assert places[2].p == pytest.approx(3 * mcnemar(68, 8).p) and places[2].accuracy == 332 / 400
    assert places[0].interval.low < 392 / 400 < places[0].interval.high


def test_a_rank_counts_only_who_is_better_for_certain():
    """The middle one can't be told from either, the best and the last can: ranks 1, 1 and 2."""
    best, middle, last = model(range(0)), model(range(5)), model(range(9))
    places = shared_ranks([best, middle, last])
    assert [place.rank for place in places] == [1, 1, 2]
    assert [place.rank for place in shared_ranks([best, best.copy()])] == [1, 1] and shared_ranks([]) == []
    with pytest.raises(ValueError, match="same images"):
        shared_ranks([model([]), model([], of=10)])
    with pytest.raises(ValueError, match="same images"):
        shared_ranks([model([], of=0)])


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12), st.booleans())
def test_on_the_front_is_who_nobody_beats(points, higher):
    costs, values = [p[0] for p in points], [p[1] for p in points]
    sign = 1 if higher else -1

    def beats(a, b):
        return costs[a] <= costs[b] and sign * values[a] >= sign * values[b] and (costs[a], values[a]) != (costs[b], values[b])

    expected = {one for one in range(len(points)) if not any(beats(other, one) for other in range(len(points)))}
    front = pareto_front(costs, values, higher)
    assert set(front) == expected and len(front) == len(expected)
    assert [costs[one] for one in front] == sorted(costs[one] for one in front)


def test_ranks_agree_with_every_pair_tested_alone():
    generator = np.random.default_rng(3)
    models = [generator.random(300) < share for share in (0.95, 0.93, 0.9, 0.8, 0.6)]
    pairs = list(combinations(range(5), 2))
    p = dict(zip(pairs, holm([mcnemar(int((models[a] & ~models[b]).sum()), int((models[b] & ~models[a]).sum())).p
                              for a, b in pairs]), strict=True))
    right = [int(one.sum()) for one in models]
    for place in shared_ranks(models):
        better = [other for other in range(5) if right[other] > right[place.index]
                  and p[min(other, place.index), max(other, place.index)] < 0.05]
        assert place.rank == 1 + len(better)


def test_a_board_holds_runs_that_were_asked_the_same(store, trained):
    runs = [made(store, tiny(training__seed=seed)) for seed in range(5)]
    one, other = ("images", "0", "1"), ("images", "2", "3")
    answers = {runs[0].id: Answered(one, model([1])), runs[1].id: Answered(one, model([])),
               runs[2].id: Answered(other, model([])), runs[3].id: Answered(other, model([])),
               runs[4].id: Answered(("others", "0", "1"), model([]))}
    found = boards(runs, answers)
    assert [[run.id for run in board.runs] for board in found] == [[runs[1].id, runs[0].id], [runs[2].id, runs[3].id]]
    assert found[0].images == 400 and found[0].left_out == 0 and boards(runs, {}) == []
    kept = answered(trained[0], trained[1].id)
    assert kept.correct.mean() == trained[1].test_accuracy and kept.same[1:] == tuple("0123456789")
    assert answered(store, runs[0].id) is None
    assert can_be_right(runs[0]) and not can_be_right(made(store, PRESETS["linear-regression"].config))
