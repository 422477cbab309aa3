"""Every rule finds the trouble it is for, planted in numbers and in really trained runs, and sound runs get no finding."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import RunConfig
from core.data import DataConfig, Dataset, load
from core.devices import select_device
from core.figures.curves import Curves, curve_chart
from core.figures.troubles import Band, keep_in_sight, mark_bands
from core.inspection.activations.weights import dead_units
from core.inspection.training_doctor import CAUSES, RULES, Trouble, examine
from core.inspection.training_doctor.record import EARLY, RECENT, SAMPLE, Record
from core.presets import PRESETS
from core.training import Epoch, Finished, Gradients, Started, Step, build_for, fit
from tests.helpers import tiny

CPU = select_device("cpu")
PLAIN = RunConfig()
LAYERS = ("fc1", "fc2", "fc3")


def course(losses, accuracy=0.5, first=1) -> dict:
    """Series of batches with these losses."""
    steps = list(range(first, first + len(losses)))
    return {"loss": (steps, list(map(float, losses))), "accuracy": (steps, [accuracy] * len(losses))}


def noisy(mean, spread=0.05, seed=0):
    """A course of losses with noise, as batches have."""
    return np.asarray(mean) * np.random.default_rng(seed).normal(1, spread, len(mean))


def falling(count, start=2.3, end=0.1):
    return noisy(start * (end / start) ** np.linspace(0, 1, count))


def of_layers(prefix, *values) -> dict:
    """A course for each layer, a record each 10 steps."""
    return {f"{prefix}.{layer}": (list(range(1, 10 * len(course), 10)), list(map(float, course)))
            for layer, course in zip(LAYERS, values, strict=True)}


def epochs(train, validation, per_epoch=100) -> dict:
    ends = [per_epoch * (i + 1) for i in range(len(train))]
    return {"train_loss": (ends, list(train)), "validation_loss": (ends, list(validation))}


def found(rule, series, config=PLAIN, per_epoch=100, not_finite=False) -> Trouble | None:
    return next((trouble for trouble in examine(config, series, per_epoch, not_finite) if trouble.rule == rule), None)


def silent(series, config=PLAIN, per_epoch=100) -> bool:
    return examine(config, series, per_epoch) == []


# --- the whole


def test_every_rule_is_named_as_it_reports_and_documented():
    assert all(rule == function.__name__ and function.__doc__ for rule, function in RULES.items())
    assert CAUSES.keys() <= RULES.keys() and set().union(*CAUSES.values()) <= RULES.keys()
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{rule}"' in text for rule in RULES)


@pytest.mark.parametrize("series", [
    {}, {"loss": ([], [])}, course([2.3]), course([2.3] * 10), {"loss": ([1], [math.nan])}, {"accuracy": ([1], [0.1])},
    {"validation_loss": ([10], [1.0])}, course([math.nan] * 400), course([0.0] * 400), course([2.0] * 50, first=900),
    {"gradient.fc1": ([1], [math.inf])}, {"dead.relu1": ([], [])}, {"loss": ([1, 2, 3], [2.3, None, 2.2])}])
def test_nothing_is_said_where_nothing_is_known(series):
    assert silent(series)


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(["loss", "accuracy", "train_loss", "validation_loss", "gradient.a", "gradient.b",
                                        "gradient.c", "dead.a", "learning_rate"]),
                       st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60)), st.booleans())
def test_any_numbers_are_taken(values, not_finite):
    series = {name: (list(range(1, len(entries) + 1)), entries) for name, entries in values.items()}
    for trouble in examine(PLAIN, series, 10, not_finite):
        assert 1 <= trouble.first_step <= trouble.last_step and trouble.evidence and trouble.remedy


def test_a_long_run_is_sampled():
    """100,000 steps: under 3,000 numbers are looked at, with the first and the last of them, and means stay what they are."""
    losses = falling(100_000)
    record = Record(PLAIN, course(losses), 1000)
    steps, values = record.sample("loss")
    assert len(steps) <= EARLY + SAMPLE + SAMPLE // 10
    assert steps[:EARLY].tolist() == list(range(1, EARLY + 1)) and steps[-1] == record.last_step == 100_000
    assert record.now == np.median(losses[-RECENT:])
    assert np.all(np.diff(steps) > 0) and np.array_equal(values, losses[steps - 1])
    assert values[steps > 50_000].mean() == pytest.approx(losses[50_000:].mean(), rel=0.01)


# --- planted in numbers


def test_diverged():
    up = found("diverged", course([*noisy([2.3] * 30), *noisy(np.geomspace(2.3, 500, 170))]))
    assert up.severity == "error" and 30 <= up.first_step <= 70 and up.last_step == 200
    assert up.fix.training.optimizer.learning_rate == pytest.approx(1e-4), "a tenth of 0.001, which is usual already"
    jumped = found("diverged", course([2.3, 40.0, 1700.0, 30.0, *noisy([2.35] * 130)]))
    assert "1.7e+03" in jumped.evidence and "step 3 (epoch 1)" in jumped.evidence
    back = found("diverged", course([*falling(300), *noisy([2.3] * 160)]))
    assert "back at" in back.evidence and back.first_step <= 301
    high = PLAIN.with_values({"training.optimizer.learning_rate": 1.0})
    assert found("diverged", course([2.3, 40.0, *noisy([9.0] * 130)]), high).fix.training.optimizer.learning_rate == 1e-3


def test_momentum_may_throw_a_run_up_and_let_it_come_back():
    thrown = course([30.0] * 10 + [*noisy([80.0] * 190)])
    for share, said in ((0.9, True), (0.95, False)):  # 100 steps; 10 / (1 − 0.95) = 200, and 0.85 of 200 are fewer
        config = PLAIN.with_values({"data.dataset": "linear", "training.loss": "mse", "training.epochs": 10,
                                    "training.optimizer.name": "sgd", "training.optimizer.momentum": share})
        assert (found("diverged", thrown, config) is not None) == said
    swings = course(noisy(np.concatenate([np.linspace(30, 3, 300), np.linspace(3, 20, 100)])))
    assert silent(swings, config), "it goes up and down"


def test_diverged_to_nan():
    ended = found("diverged", course(noisy([2.3] * 8)), not_finite=True)
    assert "no finite number any more at step 9" in ended.evidence
    assert found("diverged", course(noisy([2.3] * 8))) is None, "8 steps alone say nothing"
    assert found("diverged", course([2.3, 4.0, 900.0]), not_finite=True).first_step == 2


@pytest.mark.parametrize("losses", [
    falling(400), noisy([2.3] * 60), [2.3, 6.0, 3.0, *falling(200)], [*falling(200), 8.0, 9.0, *noisy([0.1] * 60)],
    noisy(falling(300), 0.6)], ids=["falls", "has just begun", "a rough start", "two bad batches", "batches of one"])
def test_no_divergence(losses):
    assert found("diverged", course(losses)) is None


def test_plateau_at_the_start():
    flat = course(noisy([2.3] * 600, 0.01), accuracy=0.1)
    trouble = found("plateau", flat)
    assert trouble.title == "The network has not begun to learn" and "10 % of the training images" in trouble.evidence
    assert (trouble.first_step, trouble.last_step) == (300, 600)
    low = PLAIN.with_values({"training.optimizer.learning_rate": 1e-6})
    cause = found("learning_rate_too_low", flat, low)
    assert cause.fix.training.optimizer.learning_rate == 1e-3 and "10 % of the training images" in cause.evidence
    assert found("plateau", flat, low) is None, "its cause is named instead"


def test_plateau_after_learning():
    losses = np.concatenate([falling(200, 2.3, 0.8), noisy([0.8] * 800)])
    trouble = found("plateau", course(losses, accuracy=0.7))
    assert trouble.title == "The loss has stopped falling" and trouble.fix.training.schedule.name == "cosine"
    assert found("plateau", course(losses, accuracy=0.99)) is None, "there is nothing left to gain"
    assert silent(course(falling(1000), accuracy=0.7)), "it falls"
    assert silent(course(noisy(np.linspace(2.3, 2.2, 1000), 0.005), accuracy=0.3)), "it falls slowly, as plain SGD does at first"
    assert silent(course(losses[:250], accuracy=0.7)), "too early to say"
    assert silent(course([2.3, *noisy([0.8] * 399, 0.9)], accuracy=0.7)), "too noisy to say"


def test_a_loss_that_stands_still_where_most_answers_are_right_is_a_hint():
    """93 % of validation answers right with label smoothing: the loss is far from its floor and can't be told from noise."""
    losses = np.concatenate([falling(200, 2.3, 0.8), noisy([0.8] * 800)])
    digits = PLAIN.with_values({"data.dataset": "digits", "training.label_smoothing": 0.1})
    series = course(losses, accuracy=0.8) | {"validation_loss": ([1000], [0.8])}
    assert found("plateau", series | {"validation_accuracy": ([1000], [0.93])}, digits).severity == "note"
    assert found("plateau", series | {"validation_accuracy": ([1000], [0.8])}, digits).severity == "warning"


def test_batch_norm_that_is_right_in_training_alone():
    """Training batches are answered right from batch statistics, and evaluation, from averages, guesses."""
    series = course(falling(200, 2.3, 0.3), 0.9) | epochs([1.0, 0.3], [2.3, 2.3]) | {
        "train_accuracy": ([100, 200], [0.7, 0.9]), "validation_accuracy": ([100, 200], [0.1, 0.12])}
    mobile = {"data.dataset": "digits", "data.validation": 200, "model.architecture": "mobilenet_v3_small", "training.epochs": 2,
              "training.batch_size": 13}
    trouble = found("averages_lag", series, PLAIN.with_values(mobile))
    assert "In training 90 % of the answers were right, in validation at best 12 %" in trouble.evidence
    assert trouble.fix.training.epochs == 13  # 12 / 0.01 = 1,200 steps of 96 in each epoch
    small = {"model.architecture": "cnn", "model.batch_norm": True, "training.batch_size": 2}
    assert found("batch_norm_small_batch", series, PLAIN.with_values(mobile | small)).fix.training.batch_size == 64
    assert found("averages_lag", series, PLAIN.with_values(mobile | small | {"training.batch_size": 13})) is None, "shallow"
    half = series | {"validation_accuracy": ([100, 200], [0.1, 0.5])}
    assert found("averages_lag", half, PLAIN.with_values(mobile)) is None, "it generalises badly: another trouble"


def test_small_batches_of_batch_norm_explain_a_bad_end():
    config = PLAIN.with_values({"data.dataset": "digits", "data.validation": 200, "model.architecture": "cnn",
                                "model.batch_norm": True, "training.batch_size": 2, "training.epochs": 1})
    bad = course(noisy(np.linspace(2.3, 2.1, 600)), 0.2)
    assert found("batch_norm_small_batch", bad, config, 600).severity == "warning"
    assert found("batch_norm_small_batch", course(falling(600), 0.95), config, 600) is None


def test_a_schedule_that_waits_is_replayed_from_the_validation_losses():
    """A run of 20 steps a second or more records its learning rate once: at the start."""
    config = PLAIN.with_values({"data.dataset": "linear", "training.loss": "mse", "training.epochs": 10,
                                "training.schedule.name": "plateau", "training.schedule.factor": 0.01,
                                "training.schedule.patience": 0, "training.optimizer.learning_rate": 0.01})
    stuck = course(noisy([11.0] * 200)) | epochs([11] * 10, [1.2, 8, *[8] * 8], 20) | {"learning_rate": ([1], [0.01])}
    assert "was 0.01: it is multiplied by 0.01" in found("rate_falls_too_soon", stuck, config, 20).evidence
    falls = stuck | epochs([11] * 10, np.linspace(9, 8, 10), 20)
    assert found("rate_falls_too_soon", falls, config, 20) is None, "the rate never fell"


def test_early_stopping_at_an_epoch_that_jumped():
    """Stopped after 2 of 15 epochs, at a validation loss 40 % above the one before and 84 % right, where 88 % are wanted."""
    config = PLAIN.with_values({"data.dataset": "digits", "training.epochs": 15, "training.early_stopping": 1})

    def stopped(losses, right):
        return course(falling(144, 2.3, 0.25), 0.93) | epochs([0.75, 0.26], losses, 72) | {
            "train_accuracy": ([72, 144], [0.78, 0.93]), "validation_accuracy": ([72, 144], [0.92, right])}

    assert found("stopped_too_soon", stopped([0.335, 0.467], 0.84), config, 72).fix.training.early_stopping == 10
    assert found("stopped_too_soon", stopped([0.335, 0.34], 0.84), config, 72) is None
    assert found("stopped_too_soon", stopped([0.335, 0.467], 0.93), config, 72) is None


@pytest.mark.parametrize(("rule", "far", "less"), [
    ("averages_too_long", {"training.optimizer.beta1": 0.995}, {"training.optimizer.beta1": 0.95}),
    ("drops_too_much", {"model.dropout": 0.9}, {"model.dropout": 0.6}),
    ("too_deep", {"model.hidden": [50] * 12}, {"model.hidden": [50] * 6}),
    ("weight_decay_too_strong", {"training.optimizer.weight_decay": 0.15}, {"training.optimizer.weight_decay": 0.01}),
    ("learning_rate_too_low", {"training.optimizer.learning_rate": 2e-5}, {"training.optimizer.learning_rate": 2e-4})])
def test_half_way_on_unmeasured_data_only_what_nobody_would_choose_is_accused(rule, far, less):
    """On pictures whose difficulty nobody knows half of the way may be all that there is."""
    config = PLAIN.with_values({"data.dataset": "fashion_mnist", "training.epochs": 6})
    half = course(falling(600, 2.3, 1.0), 0.6) | {"validation_loss": ([600], [1.0]), "validation_accuracy": ([600], [0.6])}
    assert rule in {trouble.rule for trouble in examine(config.with_values(far), half, 100)}
    assert silent(half, config.with_values(less)) and silent(half, config)
    good = course(falling(600, 2.3, 0.3), 0.9) | {"validation_loss": ([600], [0.3]), "validation_accuracy": ([600], [0.9])}
    assert silent(good, config.with_values(far))


def test_what_comes_and_goes_while_a_run_goes_is_not_said():
    """A loss that stands still at the last look alone; of a run that is over there is no later look."""
    linear = PLAIN.with_values({"data.dataset": "linear", "training.loss": "mse", "training.epochs": 4,
                                "training.optimizer.name": "sgd", "training.optimizer.learning_rate": 0.01})
    up = course([*noisy(np.linspace(30, 5, 260)), *noisy([90.0] * 40)])
    assert "diverged" not in {trouble.rule for trouble in examine(linear, up, 100)}
    assert found("diverged", up, linear.with_values({"training.epochs": 3})) is not None
    lasts = course([*noisy(np.linspace(30, 5, 260)), *noisy([90.0] * 140)])
    assert found("diverged", lasts, linear.with_values({"training.epochs": 5})) is not None


def test_numbers_that_are_explained_are_no_plateau():
    """Hills, of which neighbours explain 98 %: 0.007 of a variance of 0.18 is left, and the loss jumps."""
    hills = PLAIN.with_values({"data.dataset": "hills", "data.points": 800, "data.validation": 100, "training.loss": "mse",
                               "training.optimizer.learning_rate": 0.005, "model.architecture": "mlp", "model.hidden": [64, 64]})

    def still(loss):
        return course([*falling(200, 0.2, loss), *noisy([loss] * 800)]) | {"validation_loss": ([1000], [loss])}

    assert found("plateau", still(0.007), hills).severity == "note"
    assert found("plateau", still(0.05), hills).severity == "warning"


def test_underfitting_after_the_schedule_has_ended():
    cosine = PLAIN.with_values({"training.schedule.name": "cosine"})
    losses = np.concatenate([falling(200, 2.3, 0.8), noisy([0.8] * 800)])
    series = course(losses, accuracy=0.7) | {"learning_rate": ([1, 500, 1000], [1e-3, 5e-4, 1e-6])}
    trouble = found("underfitting", series, cosine)
    assert trouble.severity == "note" and trouble.fix.model.hidden == (100,)
    assert found("plateau", series, cosine) is None
    assert found("underfitting", course(falling(1000), accuracy=0.7) | series, cosine) is not None
    assert silent(course(falling(1000), accuracy=0.7) | {"learning_rate": series["learning_rate"]}, cosine)


def test_overfitting():
    train = np.geomspace(2, 0.001, 14)
    validation = [1.2, 0.8, 0.6, 0.5, 0.45, 0.5, 0.55, 0.6, 0.62, 0.65, 0.7, 0.72, 0.75, 0.78]
    trouble = found("overfitting", course(falling(1400), 0.9) | epochs(train, validation))
    assert (trouble.first_step, trouble.last_step) == (500, 1400) and "after epoch 5, 0.45" in trouble.evidence
    assert trouble.fix.model.dropout == 0.5 and trouble.charts == ("loss", "accuracy")
    dropped = PLAIN.with_values({"model.dropout": 0.5})
    assert found("overfitting", epochs(train, validation), dropped).fix.data.variations == 4
    clothes = dropped.with_values({"data.dataset": "fashion_mnist"})
    assert found("overfitting", epochs(train, validation), clothes).fix.training.keep == "best"
    keeping = clothes.with_values({"training.keep": "best"})
    assert found("overfitting", epochs(train, validation), keeping).fix is None, "nothing left that is no change"


def test_sure_answers_that_get_a_little_less_sure_are_no_overfitting():
    train, sure = np.geomspace(2, 0.001, 12), [1.2, 0.3, 0.05, 0.01, 0.02, 0.05, 0.1, 0.15, 0.17, 0.19, 0.2, 0.2]
    assert found("overfitting", epochs(train, sure)) is None, "0.2 of 2.3 is 91 % of the way"
    assert found("overfitting", epochs(train, [2 * loss for loss in sure])) is not None


def test_a_question_that_is_mostly_no_is_answered_well_at_half_the_way():
    """Guessing costs 0.325 where a tenth is yes; 260 steps that end at 0.12 and still fall."""
    mostly_no = PLAIN.with_values({"data.dataset": "digits", "data.task": "is_target", "training.loss": "bce",
                                   "training.epochs": 1})
    assert silent(course(falling(260, 0.4, 0.12), 0.95), mostly_no, 260)
    assert found("few_steps", course(falling(260, 0.4, 0.25), 0.9), mostly_no, 260) is not None
    ten = PLAIN.with_values({"data.dataset": "digits", "training.epochs": 1})
    assert found("few_steps", course(falling(260, 2.5, 0.8), 0.7), ten, 260).severity == "warning"


def test_a_short_run_that_got_most_of_the_way_is_only_told_so():
    ten = PLAIN.with_values({"data.dataset": "digits", "training.epochs": 1})
    assert found("few_steps", course(falling(260, 2.5, 0.5), 0.8), ten, 260).severity == "note", "78 % of the way"


def test_numbers_memorised():
    """The mean square of numbers jumps in training and in validation alike where a step was too long."""
    linear = PLAIN.with_values({"data.dataset": "linear", "training.loss": "mse"})
    validation = [20, 3, 2, 1, 2, 3, 4, 4.5, 4.7, 4.7, 4.7]
    assert found("overfitting", epochs([20, 10, 8, 6.4, 5, 4.5, 4, 3.6, 3.4, 3.3, 3.3], validation), linear) is None
    assert found("overfitting", epochs([20, 10, 8, 3, 1, 0.5, 0.2, 0.1, 0.1, 0.1, 0.1], validation), linear) is not None


@pytest.mark.parametrize(("train", "validation"), [
    (np.geomspace(2, 0.1, 8), np.geomspace(1.5, 0.3, 8)), (np.geomspace(2, 0.1, 8), [1, 0.5, 0.4, 0.42, 0.41, 0.43, 0.42, 0.44]),
    (np.geomspace(2, 0.1, 8), [1, 0.5, 0.4, 0.38, 0.37, 0.36, 0.35, 0.9]), ([2, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.6],
                                                                           [1, 0.5, 0.4, 0.6, 0.6, 0.7, 0.7, 0.8]),
    ([2, 1], [1, 2])], ids=["both fall", "rises by a tenth", "one bad epoch", "training is no better", "two epochs"])
def test_no_overfitting(train, validation):
    assert found("overfitting", epochs(train, validation)) is None


HIGH = course(noisy([2.2] * 200), 0.1)


def test_vanishing_gradients():
    sigmoid = PLAIN.with_values({"model.activation": "sigmoid"})
    series = HIGH | of_layers("gradient", [1e-6] * 8, [1e-3] * 8, [1.0] * 8)
    trouble = found("vanishing_gradients", series, sigmoid)
    assert "fc1 has norm 1e-06" in trouble.evidence and "1,000,000 times weaker" in trouble.evidence
    assert trouble.fix.model.activation == "relu" and trouble.charts == ("gradient",)
    assert found("vanishing_gradients", series).fix.training.initialization == "xavier_uniform"
    assert found("vanishing_gradients", course(falling(200)) | of_layers("gradient", [1e-6] * 8, [1e-3] * 8, [1.0] * 8)) is None
    assert silent(HIGH | of_layers("gradient", [0.05] * 8, [0.1] * 8, [1.0] * 8)), "20 times is usual for three sigmoids"
    assert silent(HIGH | of_layers("gradient", [1e-6] * 2, [1.0] * 2, [1.0] * 2)), "two records say little"


def test_exploding_gradients():
    series = HIGH | of_layers("gradient", [1.0, 2.0, 5e4, 3.0, 1e3], [1.0] * 5, [0.5] * 5)
    trouble = found("exploding_gradients", series)
    assert "fc1 had norm 5e+04" in trouble.evidence and "2 times, first at step 21" in trouble.evidence
    assert (trouble.first_step, trouble.last_step) == (21, 41) and trouble.fix.training.gradient_clipping == 1.0
    assert found("exploding_gradients", series, PLAIN.with_values({"training.gradient_clipping": 5.0})) is None
    assert silent(HIGH | of_layers("gradient", [30.0] * 5, [1.0] * 5, [1.0] * 5))


def test_dead_relus():
    series = HIGH | of_layers("dead", [0.1, 0.2, 0.3, 0.2], [0.2, 0.9, 1.0, 1.0], [0.3, 0.9, 0.9, 0.95])
    trouble = found("dead_relus", series)
    assert "100 % of the units of fc2" in trouble.evidence and "1 other layer likewise" in trouble.evidence
    assert trouble.first_step == 11 and trouble.charts == ("loss", "dead")
    assert trouble.fix.model.activation == "leaky_relu", "the learning rate is no higher than usual"
    high = PLAIN.with_values({"training.optimizer.learning_rate": 0.1})
    assert found("learning_rate_too_high", series, high).fix.training.optimizer.learning_rate == 1e-3
    zeros = PLAIN.with_values({"training.initialization": "zeros"})
    assert found("starts_at_nothing", series, zeros).fix.training.initialization == "default"
    assert found("dead_relus", series, high) is found("dead_relus", series, zeros) is None, "its cause is named instead"
    assert silent(HIGH | of_layers("dead", [0.6] * 4, [0.7] * 4, [0.1, 1.0, 0.1, 0.2])), "many units answer to few images"


def test_dying_relus_of_a_network_that_learns_are_left_alone():
    dying = of_layers("dead", [0.1] * 4, [0.94] * 4, [0.3] * 4)
    assert silent(course(falling(160, 2.3, 0.8)) | dying), "it falls all the time"
    stuck = np.concatenate([falling(80, 2.3, 1.2), noisy([1.2] * 160)])
    assert found("dead_relus", course(stuck) | dying) is not None


def test_dead_relus_without_counts_of_dead_units():
    series = HIGH | of_layers("gradient", [1.0, 0.5, 0, 0, 0, 0], [1.0, 1.0, 0, 0, 0, 0], [1.0] * 6)
    trouble = found("dead_relus", series)
    assert "fc1, fc2 is exactly 0 since step 21" in trouble.evidence and found("vanishing_gradients", series) is None
    learned = course([2.3, *noisy([1e-6] * 200)], 1.0)
    assert silent(learned | of_layers("gradient", *([[1.0, 0.0, 0.0, 0.0]] * 3))), "nothing left to correct"


def test_a_cause_is_named_instead_of_what_it_looks_like():
    flat = course(noisy([2.3] * 600, 0.01), accuracy=0.1)
    assert [trouble.rule for trouble in examine(PLAIN, flat, 100)] == ["plateau"]
    dead = flat | of_layers("dead", [1.0] * 5, [1.0] * 5, [0.9] * 5)
    assert [trouble.rule for trouble in examine(PLAIN, dead, 100)] == ["dead_relus"]


# --- really trained


@dataclass
class Trained:
    """What a run's store would hold, and its config."""

    config: RunConfig
    series: dict = field(default_factory=dict)
    per_epoch: int = 0
    not_finite: bool = False

    def troubles(self, until=math.inf) -> dict[str, Trouble]:
        """What is said when the run is at step `until`."""
        seen = {name: (steps[:sum(step <= until for step in steps)], values) for name, (steps, values) in self.series.items()}
        cut = {name: (steps, values[:len(steps)]) for name, (steps, values) in seen.items()}
        return {trouble.rule: trouble for trouble in examine(self.config, cut, self.per_epoch, self.not_finite)}


def train(config: RunConfig, data: Dataset) -> Trained:
    torch.set_num_threads(1)
    run, model = Trained(config), build_for(config, data)
    images = data.validation.take(torch.arange(64))[0]

    def note(name: str, step: int, value: float) -> None:
        for entries, entry in zip(run.series.setdefault(name, ([], [])), (step, value), strict=True):
            entries.append(entry)

    for event in fit(config, data, model, CPU):
        match event:
            case Started():
                run.per_epoch = event.steps_per_epoch
            case Step():
                note("loss", event.step, event.loss)
                note("accuracy", event.step, event.accuracy)
            case Gradients():
                note("learning_rate", event.step, event.learning_rate)
                for name, norm in event.norms.items():
                    note(f"gradient.{name}", event.step, norm)
                for layer in dead_units(model, images, data.mean, data.std):
                    note(f"dead.{layer.name}", event.step, len(layer.dead) / layer.units)
            case Epoch():
                for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
                    note(name, event.step, getattr(event, name))
            case Finished():
                run.not_finite = event.reason == "diverged"
    return run


DEEP = {"model__hidden": [50] * 8, "training__epochs": 16}
PLANTED = {
    "diverged": [{"model__hidden": [50], "training__optimizer__learning_rate": 1.0, "training__epochs": 8},
                 {"model__hidden": [64, 64, 64], "training__optimizer__name": "sgd", "training__optimizer__learning_rate": 100.0,
                  "training__epochs": 3}],
    "dead_relus": [{"model__hidden": [64, 64], "training__optimizer__name": "sgd", "training__optimizer__learning_rate": 2.0,
                    "training__epochs": 8}],
    "too_deep": [DEEP | {"model__activation": "sigmoid"}],
    "overfitting": [{"data__validation": 1300, "model__hidden": [64, 64, 64], "training__epochs": 60, "training__batch_size": 16,
                     "training__optimizer__learning_rate": 0.003}],
    "learning_rate_too_low": [{"model__architecture": "mlp", "model__hidden": [50], "training__optimizer__learning_rate": 1e-7,
                 "training__epochs": 20}],
}


@pytest.fixture(scope="module")
def few_digits(places, cache_dir) -> Dataset:
    return load(DataConfig(dataset="digits", validation=1300), places / "data", cache_dir)


@pytest.mark.parametrize(("rule", "changes"), [(rule, changes) for rule, cases in PLANTED.items() for changes in cases],
                         ids=[f"{rule}-{number}" for rule, cases in PLANTED.items() for number, _ in enumerate(cases)])
def test_a_trained_run_shows_it_and_the_remedy_helps(digits, few_digits, rule, changes):
    data = few_digits if "data__validation" in changes else digits
    run = train(tiny(**changes), data)
    trouble = run.troubles()[rule]
    assert 1 <= trouble.first_step < trouble.last_step <= run.series["loss"][0][-1]
    changed = {name for part in ("data", "model", "training") for name, value in getattr(trouble.fix, part)
               if value != getattr(getattr(run.config, part), name)}
    assert len(changed) == 1, "a controlled re-run changes one thing"
    again = train(trouble.fix, data)
    assert rule not in again.troubles()
    before = run.series.get("validation_loss", ([], [math.inf]))[1][-1]  # none where it ended in its first epoch
    assert again.series["validation_loss"][1][-1] < before


SOUND = {
    "adam": {"model__hidden": [50], "training__epochs": 20}, "deep": DEEP, "tanh": DEEP | {"model__activation": "tanh"},
    "cnn": {"model__architecture": "cnn", "model__channels": [4, 8], "training__epochs": 4},
    "two sigmoids": {"model__hidden": [50, 50], "model__activation": "sigmoid", "training__epochs": 30},
    "slow": {"model__hidden": [50], "training__optimizer__name": "sgd", "training__optimizer__learning_rate": 0.02,
             "training__epochs": 40},
    "cosine": {"model__hidden": [50], "training__schedule__name": "cosine", "training__epochs": 20},
    "one cycle": {"model__hidden": [50], "training__schedule__name": "one_cycle", "training__epochs": 10},
    "batches of one": {"model__hidden": [20], "training__batch_size": 1, "training__epochs": 2},
    "batch norm": {"model__architecture": "cnn", "model__channels": [8, 8], "model__batch_norm": True, "training__epochs": 6},
    "linear": {"model__architecture": "softmax_regression", "training__epochs": 20},
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_run_is_left_alone_all_the_way(digits, name):
    run = train(tiny(**SOUND[name]), digits)
    last = run.series["loss"][0][-1]
    said = {until: list(troubles) for until in range(last // 25, last + 1, max(1, last // 25))
            if (troubles := run.troubles(until))}
    assert said == {}


def test_the_preset_without_downloads_is_left_alone(places, cache_dir):
    changes = {"training.device": "cpu", "training.precision": "float32", "training.epochs": 3}
    config = PRESETS["digits-quick"].config.with_values(changes)
    run = train(config, load(config.data, places / "data", cache_dir))
    assert not any(run.troubles(until) for until in range(20, 300, 20))


@pytest.mark.mnist
@pytest.mark.parametrize("name", ["mnist-mlp-50", "mnist-is-8-cnn"])
def test_presets_on_mnist_are_left_alone(mnist_root, cache_dir, name):
    smaller = {"mnist-mlp-50": {"training.epochs": 3}, "mnist-is-8-cnn": {"training.epochs": 1, "model.channels": [8, 8]}}
    config = PRESETS[name].config.with_values({"training.device": "cpu"} | smaller[name])
    run = train(config, load(config.data, mnist_root, cache_dir))
    last = run.series["loss"][0][-1]
    assert not any(run.troubles(until) for until in range(50, last + 1, 200))


# --- on the charts


BANDS = [Band("diverged", "error", 200, 200), Band("flat", "warning", 501, 1000)]
CURVES = Curves(100, 10, course(falling(1000), 0.5))


def test_the_live_chart_is_shaded_and_its_lines_are_the_same():
    plain = curve_chart(CURVES, "loss")
    marked = mark_bands(plain, BANDS, CURVES)
    assert json.loads(json.dumps(marked, allow_nan=False)) == marked
    areas = marked["series"][-1]["markArea"]["data"]
    assert [area[0]["name"] for area in areas] == ["diverged", "flat"]
    assert (areas[1][0]["xAxis"], areas[1][1]["xAxis"]) == (5.0, 10.0)
    assert areas[0][1]["xAxis"] - areas[0][0]["xAxis"] == pytest.approx(0.1), "one step of a thousand is widened to be seen"
    assert areas[0][0]["xAxis"] < 1.995 < areas[0][1]["xAxis"]
    assert [line["data"] for line in marked["series"]] == [line["data"] for line in plain["series"]]
    assert "markArea" not in plain["series"][-1] and mark_bands(plain, [], CURVES) is plain


def test_the_finished_chart_is_shaded_with_the_run_before_in_grey():
    chart = mark_bands(curve_chart(CURVES, "loss", CURVES, finished=True), BANDS, CURVES)
    assert [area[0]["name"] for area in chart["series"][-1]["markArea"]["data"]] == ["diverged", "flat"]
    assert [line["name"] for line in chart["series"]] == ["run before", "each batch", "training", "validation"]
    assert len(curve_chart(CURVES, "loss", None, finished=True)["series"]) == 3
    assert len(curve_chart(CURVES, "loss", Curves(10, 5), finished=True)["series"]) == 3


def test_a_run_before_that_blew_up_does_not_flatten_the_new_one():
    high = Curves(100, 10, course([2.3, 900.0] + [9.0] * 300))
    top = max(CURVES.of("loss")[1])
    chart = keep_in_sight(curve_chart(CURVES, "loss", high))
    assert top < chart["yAxis"]["max"] == pytest.approx(1.5 * top, rel=0.05)
    assert "max" not in keep_in_sight(curve_chart(CURVES, "loss", CURVES))["yAxis"]
    assert "max" not in keep_in_sight(curve_chart(Curves(100, 10), "loss", high))["yAxis"], "no line of its own yet"
    assert keep_in_sight(curve_chart(CURVES, "accuracy", high))["yAxis"]["max"] == 100
    logarithmic = curve_chart(CURVES, "loss", high) | {"yAxis": {"type": "log"}}
    assert keep_in_sight(logarithmic) is logarithmic
