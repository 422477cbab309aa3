"""Both doctors on tests/doctor_cases: hundreds of planted mistakes and sound settings that training has judged, none of them made
with a rule's own threshold. benchmarks/doctor_cases.py draws and trains them, and tries every fix."""

from collections import Counter
from functools import cache

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.doctor_cases import LOOKS, NAMING, kept, said_before, said_while
from benchmarks.doctor_draws import MISTAKES
from benchmarks.doctor_pictures import CLOTHES, SHAPES, made_sets
from benchmarks.doctor_runs import train
from core.config import OPTIMIZERS, RunConfig, read_config
from core.inspection.doctor import RULES, diagnose
from core.inspection.training_doctor import RULES as TROUBLES
from core.inspection.training_doctor import examine
from tests.options import both, choices_of

CASES = kept()
CHOICES = [choice for choice in choices_of(RunConfig) if choice]
AFTERWARDS = {"drops_too_much", "too_deep", "stopped_too_soon"}  # causes that are only named of a run that went badly
PLANTED = [(case, run) for case, run in CASES if case.cause]
SOUND = [(case, run) for case, run in CASES if not case.cause]
ASKED_PLANTED, ASKED_SOUND = PLANTED[::2], SOUND[::2]  # half of them are asked here, all by benchmarks/doctor_cases.py


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A data folder with the sets of one's own that some cases learn from."""
    folder = tmp_path_factory.mktemp("pictures")
    made_sets(folder)
    return folder


@pytest.fixture(autouse=True)
def only_here(pictures, monkeypatch):
    """Other tests' data folder has none."""
    monkeypatch.setenv("PLAYGROUND_DATA", str(pictures))


@cache
def before(name: str) -> dict[str, object]:
    """What the config doctor says of a case, by rule."""
    case = next(case for case, _ in CASES if case.name == name)
    return {finding.rule: finding for finding in said_before(case.config)}


@cache
def while_it_ran(name: str) -> dict[str, object]:
    """What the training doctor says of a case: of a planted one in the middle and at its end, of a sound one at 25 places."""
    case, run = next(pair for pair in CASES if pair[0].name == name)
    return said_while(case.config, run.series, run.steps_per_epoch, run.not_finite, 2 if case.cause else LOOKS)


def test_the_cases_cover_what_there_is():
    assert len(PLANTED) >= 120 and len(SOUND) >= 120 and len({case.name for case, _ in CASES}) == len(CASES)
    assert {case.cause for case, _ in PLANTED} <= NAMING.keys() <= MISTAKES.keys()
    assert {case.config.training.optimizer.name for case, _ in CASES} == OPTIMIZERS.keys()
    assert {case.config.data.dataset for case, _ in SOUND} >= {
        "digits", "mnist", "circle", "xor", "blobs", "moons", "spirals", "linear", "hills", "reviews", CLOTHES, SHAPES}
    assert {case.config.model.architecture for case, _ in SOUND} >= {
        "mlp", "cnn", "lenet5", "small_resnet", "softmax_regression", "stack", "text_embedding", "resnet18", "mobilenet_v3_small"}


def test_planted_mistakes_are_named_by_their_cause():
    """At least 95 % of all, and more than half of each kind; before the run, or while it goes, or at its end."""
    missed, kinds = [], Counter(case.cause for case, _ in ASKED_PLANTED)
    for case, _ in ASKED_PLANTED:
        if not before(case.name).keys() & NAMING[case.cause] and not while_it_ran(case.name).keys() & NAMING[case.cause]:
            missed.append(case.name)
    assert len(missed) <= 0.05 * len(ASKED_PLANTED), missed
    per_kind = Counter(case.cause for case, _ in ASKED_PLANTED if case.name in missed)
    assert all(per_kind[kind] * 2 < count for kind, count in kinds.items() if count >= 5), per_kind


def test_sound_settings_are_left_alone_before_while_and_after():
    """At 25 places of each run; at most 1 % are accused of anything."""
    accused = {case.name: rules for case, _ in ASKED_SOUND if (rules := [*before(case.name), *while_it_ran(case.name)])}
    assert len(accused) <= 0.01 * len(ASKED_SOUND), accused


def test_most_findings_have_a_fix_and_every_error():
    fixed = Counter()
    for case, _ in ASKED_PLANTED:
        for finding in [*before(case.name).values(), *(() if before(case.name) else while_it_ran(case.name).values())]:
            fixed[finding.severity, finding.fix is not None] += 1
            assert finding.severity != "error" or finding.fix is not None or finding.rule == "refused", finding.rule
    assert fixed["warning", True] >= 0.8 * (fixed["warning", True] + fixed["warning", False]), fixed


@pytest.mark.parametrize("cause", ["weight_decay", "l1", "clipping", "initialization", "small_weights", "linear_model_for_curves",
                                   "missing_input", "no_activation", "loss_for_numbers", "rate_too_low",
                                   "squashed", "few_epochs"])
def test_the_button_mends_it(cause, places, cache_dir):
    """The shortest case of each kind on points and numbers, trained with the mistake and with the fix."""
    torch.set_num_threads(1)
    of_kind = [(case, run) for case, run in PLANTED
               if case.cause == cause and case.config.data.dataset not in {"digits", "mnist", "reviews", CLOTHES, SHAPES}]
    case, _ = min(of_kind, key=lambda pair: (len(pair[1].series.get("loss", ([],))[0]), pair[0].name))
    said = before(case.name) | while_it_ran(case.name)
    fix = next(finding.fix for rule, finding in said.items() if rule in NAMING[cause])
    wrong, mended = (train(config, places / "data", cache_dir).outcome for config in (case.config, fix))
    reached = case.twin_measured["accuracy"]
    assert wrong.ended != "completed" or wrong.accuracy < reached - 0.05 or cause == "squashed"
    assert mended.ended == "completed" and mended.accuracy > (wrong.accuracy + reached) / 2


# --- whatever is asked


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_valid_setting_gets_findings_and_no_exception(data):
    """Settings laid over each other at random, each from the schema with its bounds."""
    laid: dict = {}
    for choice in data.draw(st.lists(st.sampled_from(CHOICES), min_size=1, max_size=5)):
        try:
            laid = both(laid, choice)
            read_config(laid)
        except (ValueError, AssertionError):
            laid = {}
    config = read_config(laid)
    for finding in diagnose(config):
        assert finding.rule in RULES and finding.title and finding.evidence
    steps = list(range(1, 201))
    for losses in ([2.3] * 200, [2.3 * 0.97 ** step for step in steps], [0.0] * 200):
        series = {"loss": (steps, losses), "accuracy": (steps, [0.1] * 200), "validation_loss": ([100, 200], losses[:2]),
                  "validation_accuracy": ([100, 200], [0.1, 0.1]), "dead.relu1": ([200], [1.0])}
        for trouble in examine(config, series, 200 // config.training.epochs or 1):
            assert trouble.evidence and trouble.rule in RULES.keys() | TROUBLES.keys() | AFTERWARDS


