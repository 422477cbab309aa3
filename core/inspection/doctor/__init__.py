"""The config doctor: what is wrong or doubtful about a run, why, and the edit that mends it.

To add a rule: write a function that takes a Case and returns a Finding or None, and name it in RULES below.
"""

from collections.abc import Callable

from torch import nn

from core.config import RunConfig
from core.data import Dataset
from core.data.sources import kind_of
from core.inspection.doctor import cost_rules, data_rules, network_rules, suspects, training_rules, transform_rules
from core.inspection.doctor.case import Case, Finding, Severity, Surroundings
from core.inspection.doctor.cost_rules import training_bytes
from core.training.range_test import RangeTest
from core.wording import worded_for

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")  # worst first


def diagnose(config: RunConfig, model: nn.Module | None = None, criterion: nn.Module | None = None, *,
             data: Dataset | None = None, surroundings: Surroundings | None = None,
             range_test: RangeTest | None = None) -> list[Finding]:
    """What is wrong or doubtful about a run, worst first. No weights are made, no image is looked at unless `data` is given.

    Args:
        model: a network of one's own in place of the one that `config` describes. It is left as it was.
        criterion: its loss, such as nn.BCEWithLogitsLoss(), in place of the config's.
        data: the loaded data set, for exact counts and statistics; without it the registry's figures serve.
        surroundings: time allowed, memory and speed of the device.
        range_test: what core.training.range_test.range_test found, for the learning rate.
    """
    return examine(Case(config, model, criterion, data, surroundings or Surroundings(), range_test))


def examine(case: Case) -> list[Finding]:
    """What diagnose() says, of a case that somebody else looks at, too: its network is built and run once for both."""
    found = [_worded(finding, case) for rule in RULES.values() if (finding := rule(case)) is not None]
    if sum(finding.severity == "error" for finding in found) > 1:  # another rule says it, and how to mend it
        found = [finding for finding in found if finding.rule != "refused"]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def _worded(finding: Finding, case: Case) -> Finding:
    """What is said about images, said about points or texts where the data set has those."""
    if finding.rule in {"transforms_not_for_points", "refused"}:
        return finding  # it is about images not being there, or a line that is said elsewhere as it is
    return worded_for(finding, kind_of(case.config.data.dataset))


def advise_on_transforms(config: RunConfig) -> list[Finding]:
    """What the rules about transforms say of a run's data settings, worst first; its network is not looked at."""
    case = Case(config)
    found = [finding for rule in TRANSFORM_RULES if (finding := rule(case)) is not None]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


# what a pipeline is asked on its own page, too
TRANSFORM_RULES: tuple[Callable[[Case], Finding | None], ...] = (
    transform_rules.transforms_not_for_points, transform_rules.flips_on_digits, transform_rules.turned_too_far,
    transform_rules.digits_cut_off, transform_rules.most_is_erased, transform_rules.drowned_in_noise,
    transform_rules.normalized_twice, transform_rules.to_tensor_too_late, transform_rules.grey_corners,
    transform_rules.varying_test_images)

RULES: dict[str, Callable[[Case], Finding | None]] = {
    "unknown_data": data_rules.unknown_data,
    "does_not_combine": data_rules.does_not_combine,
    "wrong_labels": data_rules.wrong_labels,
    "in_order_of_classes": data_rules.in_order_of_classes,
    "unbalanced_classes": data_rules.unbalanced_classes,
    "target_not_a_class": data_rules.target_not_a_class,
    "answers_not_in_inputs": data_rules.answers_not_in_inputs,
    "few_points": data_rules.few_points,
    "few_words": data_rules.few_words,
    "loss_for_numbers": data_rules.loss_for_numbers,
    "does_not_fit": network_rules.does_not_fit,
    "device_not_there": training_rules.device_not_there,
    "outputs_not_classes": network_rules.outputs_not_classes,
    "squashed_before_loss": network_rules.squashed_before_loss,
    "probabilities_expected": network_rules.probabilities_expected,
    "log_softmax_twice": network_rules.log_softmax_twice,
    "relu_on_output": network_rules.relu_on_output,
    "yes_no_loss_for_classes": training_rules.yes_no_loss_for_classes,
    "distance_loss_for_classes": training_rules.distance_loss_for_classes,
    "no_activation_between": network_rules.no_activation_between,
    "saturating_activations": network_rules.saturating_activations,
    "bottleneck": network_rules.bottleneck,
    "dropout_on_output": network_rules.dropout_on_output,
    "dropout_always_on": network_rules.dropout_always_on,
    "batch_norm_small_batch": network_rules.batch_norm_small_batch,
    "averages_lag": network_rules.averages_lag,
    "bias_before_batch_norm": network_rules.bias_before_batch_norm,
    **suspects.SURE,
    "learning_rate_too_high": training_rules.learning_rate_too_high,
    "learning_rate_too_low": training_rules.learning_rate_too_low,
    "batch_larger_than_data": training_rules.batch_larger_than_data,
    "few_steps": training_rules.few_steps,
    "batch_of_one": training_rules.batch_of_one,
    "nothing_left_to_learn": data_rules.nothing_left_to_learn,
    "few_to_validate": data_rules.few_to_validate,
    "few_per_class": data_rules.few_per_class,
    "same_images_in_splits": data_rules.same_images_in_splits,
    "test_set_reused": data_rules.test_set_reused,
    "unbalanced_question": data_rules.unbalanced_question,
    "no_normalisation": data_rules.no_normalisation,
    "not_as_pretrained": data_rules.not_as_pretrained,
    "frozen_at_random": training_rules.frozen_at_random,
    **{rule.__name__: rule for rule in TRANSFORM_RULES},
    "variations_not_handwriting": data_rules.variations_not_handwriting,
    "epoch_too_long": cost_rules.epoch_too_long,
    "beyond_memory": cost_rules.beyond_memory,
    "refused": training_rules.refused,
}

__all__ = ["RULES", "SEVERITIES", "Case", "Finding", "Severity", "Surroundings", "advise_on_transforms", "diagnose", "examine",
           "training_bytes"]
