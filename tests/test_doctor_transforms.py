"""The doctor's rules about transforms: each finds the mistake it is for, mends it, and is silent where there is none."""

import pytest

from core.config import RunConfig
from core.inspection import Finding, Surroundings, advise_on_transforms, diagnose
from core.inspection.doctor import TRANSFORM_RULES
from core.inspection.training_doctor import examine
from core.torchvision_guard import torchvision
from core.transforms import (
    GaussianNoiseConfig,
    NormalizeConfig,
    RandomAffineConfig,
    RandomErasingConfig,
    RandomHorizontalFlipConfig,
    RandomResizedCropConfig,
    RandomRotationConfig,
    ResizeConfig,
    Steps,
    ToTensorConfig,
)

V2 = torchvision.transforms.v2
TO, NORM, TURN, FLIP = ToTensorConfig(), NormalizeConfig(), RandomRotationConfig(), RandomHorizontalFlipConfig()


def config(steps: Steps, **data) -> RunConfig:
    return RunConfig.model_validate({"data": {"transforms": [step.model_dump() for step in steps], **data}})


def found(rule: str, steps: Steps, **data) -> Finding | None:
    return next((finding for finding in advise_on_transforms(config(steps, **data)) if finding.rule == rule), None)


PLANTED = {
    "flip": ("flips_on_digits", (FLIP, TURN), {}),
    "turn": ("turned_too_far", (RandomAffineConfig(degrees=90, translate=0),), {}),
    "small crops": ("digits_cut_off", (RandomResizedCropConfig(scale_min=0.2),), {}),
    "far shifts": ("digits_cut_off", (RandomAffineConfig(translate=0.4),), {}),
    "enlarged": ("digits_cut_off", (RandomAffineConfig(translate=0, scale_max=3),), {}),
    "large holes": ("most_is_erased", (RandomErasingConfig(scale_max=0.9),), {"dataset": "fashion_mnist"}),
    "much noise": ("drowned_in_noise", (GaussianNoiseConfig(sigma=1.5),), {}),
    "noise cut off": ("drowned_in_noise", (TO, NORM, GaussianNoiseConfig()), {}),
    "two in the steps": ("normalized_twice", (TO, NORM, TURN, NORM), {}),
    "one there, one here": ("normalized_twice", (NORM,), {"normalization": "half"}),
    "with the statistics": ("normalized_twice", (NORM,), {"normalization": "standard"}),
    "too early": ("to_tensor_too_late", (NORM, TO), {}),
    "grey": ("grey_corners", (TO, NORM, TURN), {}),
    "points": ("transforms_not_for_points", (TURN,), {"dataset": "circle", "validation": 100}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found_and_mended(name):
    rule, steps, data = PLANTED[name]
    finding = found(rule, steps, **data)
    assert finding is not None and finding.fix is not None
    assert finding.title and finding.evidence and finding.explanation and "\n" not in finding.evidence
    again = [other.rule for other in advise_on_transforms(finding.fix)]
    assert rule not in again, "the fix mends it"
    assert any(other.rule == rule for other in diagnose(config(steps, **data))), "the whole doctor says so, too"


@pytest.mark.parametrize(("rule", "step"), [
    ("digits_cut_off", RandomResizedCropConfig(scale_min=0.08)), ("most_is_erased", RandomErasingConfig(scale_max=0.9))])
def test_what_convolutions_may_bear_is_a_hint_and_a_bad_run_is_asked_again(rule, step):
    """A CNN on crops of a twelfth and more got 97 % of digits, LeNet-5 86 %."""
    def said(**values) -> Finding:
        asked = config((step,), dataset="digits", validation=200).with_values({"training.epochs": 1, **values})
        return next(finding for finding in diagnose(asked) if finding.rule == rule)

    assert said().severity == "warning"
    assert said(**{"model.architecture": "cnn"}).severity == "note"
    asked = config((step,), dataset="digits", validation=200).with_values({"model.architecture": "cnn", "training.epochs": 1})
    steps = list(range(1, 201))
    bad = examine(asked, {"loss": (steps, [2.3 * 0.995 ** number for number in steps])}, 200)
    assert [(trouble.rule, trouble.severity) for trouble in bad] == [(rule, "warning")]
    assert examine(asked, {"loss": (steps, [2.3 * 0.97 ** number for number in steps])}, 200) == []


SOUND = {
    "none": ((), {}),
    "small shifts and turns": ((RandomAffineConfig(),), {"normalization": "half"}),
    "the notes'": ((RandomRotationConfig(degrees=10), TO, NORM), {}),
    "for pictures of things": ((FLIP, RandomResizedCropConfig(scale_min=0.3), RandomRotationConfig(degrees=90), TO, NORM),
                               {"dataset": "fashion_mnist"}),
    "wide crops": ((RandomResizedCropConfig(scale_min=0.85, ratio_min=0.95, ratio_max=1.05), RandomErasingConfig()), {}),
    "another size": ((ResizeConfig(), GaussianNoiseConfig()), {}),
    "noise uncut": ((TO, NORM, GaussianNoiseConfig(clip=False)), {}),
    "a flip that never happens": ((RandomHorizontalFlipConfig(p=0),), {}),
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_said_of_a_sound_pipeline(name):
    steps, data = SOUND[name]
    assert advise_on_transforms(config(steps, **data)) == []


def test_fixes_by_hand():
    assert found("flips_on_digits", (FLIP, TURN)).fix.data.transforms == (TURN,)
    assert found("to_tensor_too_late", (NORM, TURN, TO)).fix.data.transforms == (TO, NORM, TURN)
    assert found("grey_corners", (TO, NORM, TURN)).fix.data.transforms == (TO, TURN, NORM)
    twice = found("normalized_twice", (NORM,), normalization="half")
    assert twice.fix.data.transforms == () and twice.fix.data.normalization == "half"
    # (0 − 0.5) / 0.5 = −1, (−1 − 0.5) / 0.5 = −3; (1 − 0.5) / 0.5 = 1, and once more 1
    assert "black becomes -3 and white 1" in twice.evidence
    assert found("normalized_twice", (TO, NORM, TURN, NORM)).fix.data.transforms == (TO, NORM, TURN)
    assert found("turned_too_far", (RandomRotationConfig(degrees=180),)).fix.data.transforms == (
        RandomRotationConfig(degrees=15),)


def test_how_often_a_crop_cuts_by_hand():
    """A quarter of the area is 14×14 pixels and never holds 20×20; the whole picture always does."""
    crop = RandomResizedCropConfig(scale_min=0.25, scale_max=0.25, ratio_min=1, ratio_max=1)
    assert "100 %" in found("digits_cut_off", (crop,)).evidence
    assert found("digits_cut_off", (RandomResizedCropConfig(scale_min=1, ratio_min=1, ratio_max=1),)) is None
    # a shift by 4 pixels keeps the box inside, one by 8 loses 4 of 20 columns
    assert found("digits_cut_off", (RandomAffineConfig(degrees=0, translate=4 / 28, scale_min=1, scale_max=1),)) is None
    assert found("digits_cut_off", (RandomAffineConfig(degrees=0, translate=10 / 28, scale_min=1, scale_max=1),)) is not None


def test_a_persons_own_torchvision_transforms():
    plain = RunConfig()
    chance = V2.Compose([V2.RandomRotation(10), V2.ToImage(), V2.Normalize([0.5], [0.5]), V2.Normalize([0.5], [0.5])])
    rules = {f.rule for f in diagnose(plain, surroundings=Surroundings(transform=chance, test_transform=chance))}
    assert {"normalized_twice", "varying_test_images"} <= rules
    fixed = V2.Compose([V2.ToImage(), V2.Normalize([0.5], [0.5])])
    rules = {f.rule for f in diagnose(plain, surroundings=Surroundings(transform=fixed, test_transform=fixed))}
    assert not {"normalized_twice", "varying_test_images", "flips_on_digits"} & rules


def test_every_rule_about_transforms_is_planted_here():
    assert {rule.__name__ for rule in TRANSFORM_RULES} == {rule for rule, _, _ in PLANTED.values()} | {"varying_test_images"}


def test_a_normalize_step_counts_as_normalisation():
    def said(steps: Steps) -> bool:
        return "no_normalisation" in {finding.rule for finding in diagnose(config(steps))}

    assert said((TURN,)) and not said((TO, NORM))
