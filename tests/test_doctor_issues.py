"""Mistakes that learners make with one setting, one by one: each is named by its cause, before the run or at its end, and the
button of what is said mends it, trained with and without. What else is planted is in tests/doctor_cases."""

import pytest
import torch

from benchmarks.doctor_cases import said_before, said_while
from benchmarks.doctor_runs import train
from core.config import RunConfig, read_config

IMAGES = {"data": {"dataset": "digits", "validation": 200}, "model": {"architecture": "mlp", "hidden": [50]},
          "training": {"epochs": 10, "batch_size": 64, "device": "cpu", "precision": "float32",
                       "optimizer": {"name": "adam", "learning_rate": 3e-3}}}
POINTS = {"data": {"dataset": "circle", "points": 200, "validation": 100}, "model": {"architecture": "mlp", "hidden": [16]},
          "training": {"epochs": 40, "batch_size": 10, "device": "cpu", "precision": "float32",
                       "optimizer": {"name": "adam", "learning_rate": 0.01}}}
# setting, the mistake, the rule that names it, the field that its button changes, the accuracy that it ends below and the fix
# gets above. Smoothing costs no accuracy, but makes each answer unsure: on images the log loss is at least halved, too.
LEARNERS = {
    "RMSprop at rate 1": (IMAGES, {"training.optimizer.name": "rmsprop", "training.optimizer.learning_rate": 1.0},
                          "learning_rate_too_high", "training.optimizer.learning_rate", 0.6, 0.9),
    "weight decay 1": (IMAGES, {"training.optimizer.weight_decay": 1.0}, "weight_decay_too_strong",
                       "training.optimizer.weight_decay", 0.3, 0.9),
    "L1 1.0": (IMAGES, {"training.l1": 1.0}, "l1_too_strong", "training.l1", 0.3, 0.9),
    "8 ReLU layers from N(0, 0.01)": (IMAGES, {"model.hidden": [50] * 8, "training.initialization": "normal"},
                                      "starts_at_nothing", "training.initialization", 0.3, 0.85),
    "clipping 0.001": (IMAGES, {"training.optimizer.name": "sgd", "training.optimizer.learning_rate": 0.1,
                                "training.gradient_clipping": 0.001}, "clipping_too_short", "training.gradient_clipping",
                       0.4, 0.9),
    "label smoothing 0.9": (IMAGES, {"training.label_smoothing": 0.9}, "smoothed_too_much", "training.label_smoothing", 1.0, 0.9),
    "1 % of the rate at once": (IMAGES, {"training.schedule.name": "step", "training.schedule.every": 1,
                                         "training.schedule.factor": 0.01, "training.optimizer.learning_rate": 1e-3},
                                "rate_falls_too_soon", "training.schedule", 0.85, 0.9),
    "12 tanh layers": (IMAGES, {"model.hidden": [50] * 12, "model.activation": "tanh"}, "too_deep", "model", 0.5, 0.9),
    "a linear model on the circle": (POINTS, {"model.architecture": "softmax_regression"}, "network_too_small", "model", 0.7,
                                     0.9),
    "spirals with two units": (POINTS, {"data.dataset": "spirals", "model.hidden": [2], "training.epochs": 100},
                               "network_too_small", "model.hidden", 0.8, 0.9),
    "a number with cross-entropy": (POINTS, {"data.dataset": "linear", "model.hidden": []}, "loss_for_numbers",
                                    "training.loss", 0.1, 0.9),
}


def changed(before: RunConfig, after: RunConfig) -> set[str]:
    """Fields that differ, by parts of the config: "model.hidden"; where the part's kind differs, "model"."""
    found = set()
    for part in ("data", "model", "training", "training.optimizer", "training.schedule"):
        old, new = before, after
        for name in part.split("."):
            old, new = getattr(old, name), getattr(new, name)
        if type(old) is not type(new):
            found.add(part)
            continue
        found |= {f"{part}.{name}" for name, value in old if getattr(new, name) != value and f"{part}.{name}" not in {
            "training.optimizer", "training.schedule"}}
    return found


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learners_mistake_is_named_and_its_button_mends_it(name, places, cache_dir):
    torch.set_num_threads(1)
    base, changes, rule, field, below, reached = LEARNERS[name]
    config = read_config(base).with_values(changes)
    wrong = train(config, places / "data", cache_dir)
    said = {finding.rule: finding for finding in said_before(config)} | said_while(
        config, wrong.series, wrong.steps_per_epoch, wrong.not_finite, 1)
    assert rule in said and said.keys() <= {rule, "saturating_activations"}, said.keys()
    fix = said[rule].fix
    assert fix is not None and all(name.startswith(field) for name in changed(config, fix)), changed(config, fix)
    mended = train(fix, places / "data", cache_dir).outcome
    assert wrong.outcome.ended != "completed" or wrong.outcome.accuracy < below
    assert mended.ended == "completed" and mended.accuracy > reached
    assert wrong.outcome.log_loss > 2 * mended.log_loss or config.data.dataset != "digits"
