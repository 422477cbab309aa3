"""Metrics, thresholds, calibration and comparison against scikit-learn, SciPy and values by hand, on ordinary and degenerate
cases."""

import csv
import io
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn import metrics as reference

from core.evaluation import Predictions
from core.evaluation.calibration import fit_temperature, log_loss, reliability
from core.evaluation.comparison import bootstrap_difference, compare, mcnemar, why_unfair
from core.evaluation.metrics import (
    class_table,
    confusion_counts,
    confusion_shares,
    macro_means,
    summarize,
    weighted_means,
    wilson,
)
from core.evaluation.mistakes import confident_mistakes, in_cell, random_images, unsure_successes
from core.evaluation.predictions import softmax
from core.evaluation.report import evaluation_report
from core.evaluation.robustness import Point
from core.evaluation.tables import (
    classes_csv,
    comparison_csv,
    confusion_csv,
    csv_of,
    curves_csv,
    predictions_csv,
    robustness_csv,
    table_csv,
)
from core.evaluation.thresholds import cheapest, decide, sweep, thinned
from core.training import OBJECTIVES


def predictions(logits, labels, classes=("a", "b", "c"), loss="cross_entropy", images="same", split="test"):
    return Predictions(torch.as_tensor(logits, dtype=torch.float32), torch.as_tensor(labels), tuple(classes), loss, split, images)


def random_predictions(seed, count=200, classes=3, only=None):
    """Answers that are right somewhat more often than not. only: labels and answers of these classes alone."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(only or classes, size=count)
    logits = generator.normal(size=(count, classes)) + 1.2 * np.eye(classes)[labels]
    if only:
        logits[:, [c for c in range(classes) if c not in only]] = -50
    return predictions(logits, labels, "abcdefghij"[:classes])


CASES = {"three classes": random_predictions(0), "ten classes": random_predictions(1, 500, 10),
         "a class without images": random_predictions(2, only=[0, 2]), "one class": random_predictions(3, only=[1]),
         "one image": random_predictions(4, count=1), "two classes": random_predictions(5, classes=2),
         "always the same": predictions(np.zeros((6, 3)), [0, 1, 2, 0, 1, 2])}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@pytest.mark.parametrize("case", [CASES["three classes"], CASES["ten classes"]], ids=["three classes", "ten classes"])
def test_a_report_has_scikit_learns_figures_of_every_class(case):
    found = evaluation_report(case)
    p, r, f, support = reference.precision_recall_fscore_support(case.targets, case.predicted)
    for label, row in enumerate(found["classes"]):
        scores, positive = case.probabilities[:, label], case.targets == label
        assert (row["name"], row["support"]) == (case.classes[label], support[label])
        assert (row["precision"], row["recall"], row["f1"]) == pytest.approx((p[label], r[label], f[label]))
        assert row["roc_area"] == pytest.approx(reference.roc_auc_score(positive, scores))
        assert row["average_precision"] == pytest.approx(reference.average_precision_score(positive, scores))
    assert (found["examples"], found["right"]) == (len(case.targets), int((case.predicted == case.targets).sum()))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(case.targets, case.predicted))
    assert found["loss"] == pytest.approx(reference.log_loss(case.targets, case.probabilities))
    share = np.bincount(case.targets).max() / len(case.targets)
    largest = case.classes[np.bincount(case.targets).argmax()]
    assert (found["larger_class"], found["larger_share"]) == (largest, pytest.approx(share))
    assert found["macro_mean"]["f1"] == pytest.approx(reference.f1_score(case.targets, case.predicted, average="macro"))
    assert found["weighted_mean"]["f1"] == pytest.approx(reference.f1_score(case.targets, case.predicted, average="weighted"))
    assert found["confusion"] == reference.confusion_matrix(case.targets, case.predicted).tolist()


def test_a_report_of_infinite_answers_says_none_for_what_needs_probabilities():
    found = evaluation_report(predictions([[np.inf, 0, 0], [0, 1, 0]], [0, 1]))
    assert (found["loss"], found["calibration_error"], found["accuracy"]) == (None, None, 1.0)
    assert all(row["roc_area"] is None and row["average_precision"] is None for row in found["classes"])


@each_case
def test_class_figures_are_scikit_learns(case):
    every = list(range(len(case.classes)))
    counts = confusion_counts(case)
    assert np.array_equal(counts, reference.confusion_matrix(case.targets, case.predicted, labels=every))
    rows = class_table(counts, case.classes)
    wanted = reference.precision_recall_fscore_support(case.targets, case.predicted, labels=every, zero_division=np.nan)
    for position, name in enumerate(("precision", "recall", "f1")):
        ours = [np.nan if getattr(row, name) is None else getattr(row, name) for row in rows]
        assert ours == pytest.approx(list(wanted[position]), nan_ok=True), name
    assert [row.support for row in rows] == list(wanted[3])
    for average, means in (("macro", macro_means(rows)), ("weighted", weighted_means(rows))):
        p, r, f, _ = reference.precision_recall_fscore_support(case.targets, case.predicted, labels=every, average=average,
                                                               zero_division=0)
        assert (means.precision, means.recall, means.f1) == pytest.approx((p, r, f)), average


@each_case
def test_the_summary_is_scikit_learns(case):
    about = summarize(case)
    assert about.accuracy == pytest.approx(reference.accuracy_score(case.targets, case.predicted))
    wanted = reference.log_loss(case.targets, case.probabilities, labels=range(len(case.classes)))
    assert about.loss == pytest.approx(wanted, abs=1e-6)
    assert about.larger_share == max(np.bincount(case.targets)) / len(case)


def test_what_is_undefined_is_none_and_not_zero():
    rows = class_table(np.array([[3, 0, 0], [2, 0, 0], [0, 0, 0]]), ("a", "b", "c"))
    assert (rows[0].precision, rows[0].recall) == (0.6, 1.0)
    assert (rows[1].precision, rows[1].recall, rows[1].f1) == (None, 0.0, 0.0), "never said, but there are such images"
    assert (rows[2].precision, rows[2].recall, rows[2].f1) == (None, None, None)
    shares = confusion_shares(np.array([[3, 1], [0, 0]]))
    assert shares[0].tolist() == [0.75, 0.25] and np.isnan(shares[1]).all()


@pytest.mark.parametrize(("right", "of"), [(0, 10), (10, 10), (1, 1), (0, 1), (97, 100), (9714, 10_000)])
def test_the_interval_is_wilsons(right, of):
    wanted = stats.binomtest(right, of).proportion_ci(method="wilson")
    interval = wilson(right, of)
    assert (interval.low, interval.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)
    assert 0 <= interval.low <= right / of <= interval.high <= 1


@pytest.mark.parametrize(("right", "of"), [(1, 0), (3, 2), (-1, 2)])
def test_no_share_has_no_interval(right, of):
    with pytest.raises(ValueError, match="no share"):
        wilson(right, of)


# --- what logits mean


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("loss", OBJECTIVES)
def test_scores_give_the_objectives_probabilities(loss, classes):
    outputs = OBJECTIVES[loss].outputs(classes)
    logits = torch.randn(50, outputs, generator=torch.Generator().manual_seed(0)) * 4
    ours = predictions(logits, torch.zeros(50, dtype=torch.int64), "abcd"[:classes], loss)
    assert np.allclose(ours.probabilities, OBJECTIVES[loss].probabilities(logits).numpy(), atol=1e-6)
    assert np.array_equal(ours.predicted, ours.probabilities.argmax(1))
    assert ours.is_finite and not predictions([[np.inf, 0, 0]], [0]).is_finite


def test_a_digest_tells_answers_apart():
    one = predictions(np.eye(3), [0, 1, 2])
    assert one.digest == predictions(np.eye(3), [0, 1, 2]).digest
    surer, elsewhere = predictions(np.eye(3) * 2, [0, 1, 2]), predictions(np.eye(3), [0, 1, 2], images="others")
    assert len({one.digest, surer.digest, elsewhere.digest}) == 3


def test_softmax_of_huge_scores_does_not_overflow():
    assert softmax(np.array([[1e5, 0.0], [-1e5, -1e5]])).tolist() == [[1, 0], [0.5, 0.5]]


# --- thresholds


def scored(seed, ties):
    generator = np.random.default_rng(seed)
    positive = generator.random(300) < 0.2
    scores = np.clip(generator.normal(0.4 + 0.2 * positive, 0.2), 0, 1)
    return (np.round(scores, 1) if ties else scores), positive


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_curves_and_areas_are_scikit_learns(seed, ties):
    scores, positive = scored(seed, ties)
    ours = sweep(scores, positive)
    fpr, tpr, thresholds = reference.roc_curve(positive, scores, drop_intermediate=False)
    assert np.allclose(ours.false_positive_rate, fpr) and np.allclose(ours.recall, tpr)
    assert np.array_equal(ours.thresholds[1:], thresholds[1:])
    precision, recall, _ = reference.precision_recall_curve(positive, scores)
    assert np.allclose(ours.precision[::-1], precision) and np.allclose(ours.recall[::-1], recall)
    assert ours.roc_area == pytest.approx(reference.roc_auc_score(positive, scores))
    assert ours.average_precision == pytest.approx(reference.average_precision_score(positive, scores))


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=30),
       st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.7, 1.0]))
@settings(max_examples=60)
def test_a_decision_counts_what_is_at_or_above_the_threshold(pairs, threshold):
    scores, positive = np.array([s for s, _ in pairs]), np.array([p for _, p in pairs])
    got = decide(sweep(scores, positive), threshold)
    yes = scores >= threshold
    assert (got.true_positives, got.false_positives) == ((yes & positive).sum(), (yes & ~positive).sum())
    assert (got.false_negatives, got.true_negatives) == ((~yes & positive).sum(), (~yes & ~positive).sum())
    assert got.examples == len(pairs)


def test_areas_without_both_kinds_are_none():
    scores = np.array([0.1, 0.5, 0.5])
    nobody, everybody = sweep(scores, np.zeros(3, bool)), sweep(scores, np.ones(3, bool))
    assert (nobody.roc_area, nobody.average_precision) == (None, None)
    assert (everybody.roc_area, everybody.average_precision) == (None, 1.0)
    assert np.isnan(nobody.recall).all() and decide(nobody, 0.5).recall is None


def test_constant_probabilities_are_a_guess():
    constant = sweep(np.full(10, 0.3), np.arange(10) < 4)
    assert (constant.roc_area, constant.average_precision) == (0.5, 0.4)
    assert decide(constant, 0.5).precision is None, "it never says yes"


@pytest.mark.parametrize("scores", [[], [0.1, np.nan], [np.inf]])
def test_scores_that_are_no_numbers_are_refused(scores):
    with pytest.raises(ValueError, match="finite"):
        sweep(np.array(scores, dtype=float), np.zeros(len(scores), bool))


def test_the_cheapest_threshold_by_hand():
    curve = sweep(np.array([0.9, 0.8, 0.6, 0.4, 0.2]), np.array([True, False, True, False, False]))
    equal = cheapest(curve, 1, 1)
    assert equal.cost(1, 1) == 1 and equal.threshold == 0.6, "of 0.9 and 0.6 the one nearer to one half"
    dear_misses = cheapest(curve, 10, 1)
    assert (dear_misses.threshold, dear_misses.false_negatives, dear_misses.false_positives) == (0.6, 0, 1)
    dear_alarms = cheapest(curve, 1, 10)
    assert (dear_alarms.threshold, dear_alarms.false_negatives, dear_alarms.false_positives) == (0.9, 1, 0)
    assert cheapest(curve, 0, 1).false_positives == 0


def test_thinning_keeps_the_ends_and_the_shape():
    scores, positive = np.random.default_rng(0).random(5000), np.random.default_rng(1).random(5000) < 0.3
    curve = sweep(scores, positive)
    keep = thinned(curve, 200)
    assert len(keep) <= 202 and keep[0] == 0 and keep[-1] == len(curve.thresholds) - 1
    between = np.interp(curve.false_positive_rate, curve.false_positive_rate[keep], curve.recall[keep])
    assert np.abs(between - curve.recall).max() < 0.02


# --- calibration


def test_reliability_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.6, 0.4], [0.45, 0.55]])
    result = reliability(np.log(probabilities), np.array([0, 1, 0, 1]))
    filled = {round(row.high * 15): row for row in result.bins if row.count}
    assert {place: row.count for place, row in filled.items()} == {9: 2, 15: 2}  # (8/15, 9/15] and (14/15, 1]
    assert filled[15].accuracy == 0.5 and filled[15].confidence == pytest.approx(0.95)
    assert filled[9].accuracy == 1.0 and filled[9].confidence == pytest.approx(0.575)
    assert result.error == pytest.approx(0.5 * 0.45 + 0.5 * 0.425)
    assert result.gap == pytest.approx(0.7625 - 0.75)
    assert result.loss == pytest.approx(-np.log([0.95, 0.05, 0.6, 0.55]).mean())


def test_certainty_of_one_is_in_the_last_bin():
    result = reliability(np.array([[1000.0, 0.0]]), np.array([0]))
    assert result.bins[-1].count == 1 and result.error == 0


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_temperature_is_what_scipys_minimiser_finds(factor):
    case = random_predictions(7, 2000)
    scores = case.scores * factor
    found = fit_temperature(scores, case.targets)
    wanted = optimize.minimize_scalar(lambda t: log_loss(scores, case.targets, t), bounds=(0.05, 20), method="bounded",
                                      options={"xatol": 1e-8})
    assert not found.at_limit and found.value == pytest.approx(wanted.x, rel=1e-4)
    assert found.value / factor == pytest.approx(fit_temperature(case.scores, case.targets).value, rel=1e-6)


def test_a_temperature_mends_what_it_can_and_changes_no_answer():
    fitted, judged = random_predictions(8, 3000), random_predictions(9, 3000)
    too_sure = 5 * judged.scores
    temperature = fit_temperature(5 * fitted.scores, fitted.targets).value
    before, after = reliability(too_sure, judged.targets), reliability(too_sure, judged.targets, temperature)
    assert before.gap > 0.1 and after.error < before.error / 3 and after.loss < before.loss
    assert np.array_equal(softmax(too_sure).argmax(1), softmax(too_sure / temperature).argmax(1))


@pytest.mark.parametrize(("scores", "labels"), [([[2.0, 0], [0, 2]], [0, 1]), ([[2.0, 0], [0, 2]], [1, 0]),
                                                ([[1.0, 1], [1, 1]], [0, 1])], ids=["no mistake", "all wrong", "constant"])
def test_a_temperature_without_a_best_value_says_so(scores, labels):
    found = fit_temperature(np.array(scores), np.array(labels))
    assert found.at_limit and 0.05 <= found.value <= 20


def test_one_logit_is_calibrated_like_its_two_class_twin():
    logits = torch.randn(500, 1, generator=torch.Generator().manual_seed(1)) * 3
    labels = (torch.rand(500, generator=torch.Generator().manual_seed(2)) < torch.sigmoid(logits[:, 0] / 2)).long()
    one = predictions(logits, labels, ("no", "yes"), "bce_with_logits")
    two = predictions(torch.cat([torch.zeros_like(logits), logits], 1), labels, ("no", "yes"))
    assert np.allclose(one.probabilities, two.probabilities)
    assert fit_temperature(one.scores, one.targets).value == pytest.approx(2.0, rel=0.2)


# --- comparison


def test_mcnemar_exact_by_hand():
    result = mcnemar(1, 5)  # 2·(C(6,0) + C(6,1)) / 2⁶ = 14 / 64
    assert result.exact and result.p == pytest.approx(14 / 64)
    assert mcnemar(0, 0).p == 1.0 and mcnemar(3, 3).p == 1.0
    assert mcnemar(0, 10).p == pytest.approx(2 / 1024)


def test_mcnemar_chi_square_by_hand():
    result = mcnemar(10, 30)  # (|10 − 30| − 1)² / 40 = 9.025
    assert result.statistic == pytest.approx(9.025) and result.p == pytest.approx(stats.chi2.sf(9.025, 1))
    assert mcnemar(15, 15).p == 1.0
    assert not mcnemar(5, 20).exact and mcnemar(4, 20).exact, "25 differing images is where the exact test ends"


@pytest.mark.parametrize(("first", "second"), [(0, 7), (3, 12), (11, 13)])
def test_mcnemar_exact_is_the_binomial_test(first, second):
    assert mcnemar(first, second).p == pytest.approx(stats.binomtest(first, first + second).pvalue)


def test_the_bootstrap_is_scipys_paired_one():
    generator = np.random.default_rng(0)
    first = generator.random(400) < 0.9
    second = np.where(generator.random(400) < 0.1, ~first, first)
    ours = bootstrap_difference(first, second, seed=1)
    wanted = stats.bootstrap((second.astype(float) - first,), np.mean, method="percentile", n_resamples=4000, rng=1)
    assert (ours.low, ours.high) == pytest.approx(tuple(wanted.confidence_interval), abs=0.006)
    assert ours == bootstrap_difference(first, second, seed=1)


def test_two_models_are_compared_image_by_image():
    first = predictions([[9, 0, 0], [0, 9, 0], [0, 0, 9], [9, 0, 0]], [0, 1, 0, 0])
    second = predictions([[9, 0, 0], [0, 0, 9], [9, 0, 0], [9, 0, 0]], [0, 1, 0, 0])
    result = compare(first, second)
    assert (result.lost.tolist(), result.gained.tolist(), result.both_right, result.both_wrong) == ([1], [2], 2, 0)
    assert result.difference == 0 and result.interval.low < 0 < result.interval.high and result.test.p == 1.0
    same = compare(first, first)
    assert (same.difference, same.interval.low, same.interval.high, same.test.p) == (0, 0, 0, 1.0)


@pytest.mark.parametrize(("changed", "why"), [({"images": "others"}, "different images"), ({"split": "validation"}, "different"),
                                              ({"classes": ("x", "y", "z")}, "different questions")])
def test_an_unfair_comparison_says_why(changed, why):
    one, other = predictions(np.eye(3), [0, 1, 2]), predictions(np.eye(3), [0, 1, 2], **changed)
    assert why in why_unfair(one, other) and "\n" not in why_unfair(one, other)
    assert why_unfair(one, one) is None
    with pytest.raises(ValueError, match=why):
        compare(one, other)


# --- which images


def test_images_to_look_at_by_hand():
    logits = np.log([[0.9, 0.1, 1e-9], [0.6, 0.4, 1e-9], [0.2, 0.8, 1e-9], [0.55, 0.45, 1e-9], [0.9, 0.1, 1e-9]])
    case = predictions(logits, [0, 0, 0, 1, 2])
    assert confident_mistakes(case, 10).tolist() == [4, 2, 3] and confident_mistakes(case, 1).tolist() == [4]
    assert unsure_successes(case, 10).tolist() == [1, 0]
    assert in_cell(case, 0, 0).tolist() == [0, 1] and in_cell(case, 2, 1).tolist() == []
    assert sorted(random_images(case, 99, 3).tolist()) == list(range(5))
    assert random_images(case, 3, 3).tolist() == random_images(case, 3, 3).tolist()


# --- tables


def test_tables_say_what_was_counted():
    case = predictions([[2.0, 0, 0], [0, 0, 2]], [0, 1], ("zero, round", "b", "c"))
    lines = predictions_csv(case).decode().splitlines()
    assert lines[0] == 'image,label,said,right,"p(zero, round)",p(b),p(c)'
    assert lines[1].startswith('0,"zero, round","zero, round",1,0.786986') and lines[2].startswith("1,b,c,0,")
    assert confusion_csv(confusion_counts(case), case.classes).decode().splitlines()[2] == "b,0,0,1"
    rows = class_table(confusion_counts(case), case.classes)
    table = classes_csv(rows, macro_means(rows), weighted_means(rows)).decode().splitlines()
    assert table[2] == "b,,0,0,1,0" and table[4].startswith("macro mean,0.333333")
    assert table_csv(["x", "y"], [[1, np.inf], [0.5, np.nan]]).decode() == "x,y\n1,0.5\ninf,\n"


def test_no_metric_warns_on_what_people_do():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for case in CASES.values():
            rows = class_table(confusion_counts(case), case.classes)
            macro_means(rows), weighted_means(rows), summarize(case), reliability(case.scores, case.targets)
            for label in range(len(case.classes)):
                curve = sweep(case.probabilities[:, label], case.targets == label)
                assert curve.roc_area is None or 0 <= curve.roc_area <= 1
                thinned(curve)


def test_all_curves_and_the_comparison_as_csv():
    curve = sweep(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
    lines = curves_csv({"0": curve, "a, b": curve}).decode().splitlines()
    assert lines[0] == "curve,threshold,recall,false_positive_rate,precision" and len(lines) == 1 + 2 * 4
    assert lines[1:3] == ["0,inf,0,0,1", "0,0.9,0.5,0,1"] and lines[5].startswith('"a, b",inf')
    labels = torch.tensor([0, 1, 0, 1])

    def answers(said) -> Predictions:
        return Predictions(torch.eye(2)[torch.tensor(said)], labels, ("a", "b"), "cross_entropy", "test", "same")

    result = compare(answers([0, 1, 0, 0]), answers([0, 1, 1, 1]))
    header, line = comparison_csv("one", "two", result).decode().splitlines()
    found = dict(zip(header.split(","), line.split(","), strict=True))
    assert (found["both_right"], found["only_first"], found["only_second"], found["both_wrong"]) == ("2", "1", "1", "0")
    assert (found["difference"], found["mcnemar_p"]) == ("0", "1")


FORMULAS = ('=HYPERLINK("https://zqx.example")', "+zqx", "@zqx")


def test_no_name_in_a_table_is_a_formula_to_a_spreadsheet():
    """Names of classes and of runs are anybody's words; numbers stay numbers, below 0 too."""
    case = predictions([[2.0, 0, 0], [0, 0, 2]], [0, 1], FORMULAS)
    counts, curve = confusion_counts(case), sweep(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
    rows = class_table(counts, case.classes)
    tables = (predictions_csv(case), confusion_csv(counts, case.classes),
              classes_csv(rows, macro_means(rows), weighted_means(rows)),
              robustness_csv({name: [Point("noise", 0.5, 1, 2)] for name in FORMULAS}), curves_csv({FORMULAS[0]: curve}),
              comparison_csv(FORMULAS[0], FORMULAS[1], compare(case, case)), csv_of(FORMULAS, [["\t=zqx", "a", -1.5]]))
    for table in tables:
        cells = [cell for row in csv.reader(io.StringIO(table.decode())) for cell in row]
        assert any("zqx" in cell for cell in cells)
        assert not [cell for cell in cells if "zqx" in cell and cell.lstrip().startswith(("=", "+", "-", "@"))]
    assert table_csv(["x"], [[-0.5]]).decode() == "x\n-0.5\n" and csv_of(["x"], [["-1e-05"], [-2]]).decode() == "x\n-1e-05\n-2\n"
