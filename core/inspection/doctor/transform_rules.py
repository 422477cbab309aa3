"""Rules about transforms: where a pipeline makes images that are no longer what their label says, or does things twice."""

from math import sqrt

import torch

from core.config import RunConfig
from core.data import DataError, fixed_normalization
from core.inspection.doctor.case import Case, Finding, Severity, is_handwriting
from core.inspection.doctor.data_rules import transform_names
from core.transforms import (
    TRANSFORMS,
    AffineDraw,
    BoxDraw,
    GaussianNoiseConfig,
    NormalizeConfig,
    RandomAffineConfig,
    RandomErasingConfig,
    RandomHorizontalFlipConfig,
    RandomResizedCropConfig,
    RandomRotationConfig,
    Steps,
    ToTensorConfig,
    draw,
    with_normalizes,
    with_to_tensor,
)
from core.transforms.geometry import matrix_of
from core.wording import percent, plural

TURN = 45.0  # degrees from which a 6 on its side and a 9 on its side begin to look alike
SMALL_TURN = 15.0
INK_SHARE = 20 / 28  # of height and width: MNIST's digits lie in a box of 20×20 pixels in the middle of 28×28
DRAWS = 500
LOST, OFTEN = 0.1, 0.1  # a tenth of the digit's box is lost, in a tenth of the images
MOST_ERASED, MOST_NOISE = 0.5, 0.5
MOVES = RandomRotationConfig | RandomAffineConfig | RandomResizedCropConfig


def transforms_not_for_points(case: Case) -> Finding | None:
    """Pictures can be turned, points and texts have no pixels."""
    steps = case.config.data.transforms
    if not steps or case.has_images:
        return None
    return Finding("transforms_not_for_points", "error", "These examples are no images, so transforms can't be done",
                   f"{plural(len(steps), 'step')}: {_names(steps)}.",
                   "Transforms turn, shift and cut pictures. Points are two numbers each, and have nothing to turn.",
                   "Take the transforms out", case.changed(data__transforms=[]))


def flips_on_digits(case: Case) -> Finding | None:
    """Mirrored digits are other digits, or none."""
    if not is_handwriting(case.config.data.dataset):
        return None
    steps = case.config.data.transforms
    flips = [step for step in steps if isinstance(step, RandomHorizontalFlipConfig) and step.p]
    named = ["RandomHorizontalFlip"] if flips else []
    if case.surroundings.transform is not None:
        named += [name for name in sorted(transform_names(case.surroundings.transform)) if "Flip" in name]
    if not named:
        return None
    fix = _with(case, tuple(step for step in steps if step not in flips)) if flips else None
    # a note: small networks lost less than 8 % of the answers by it, some none (benchmarks/doctor_cases.py)
    return Finding("flips_on_digits", "note", "Mirrored digits are no digits", f"The images go through {', '.join(named)}.",
                   "A mirrored 2 looks like no 2 that anyone writes, and a 6 upside down is a 9 with the wrong label. Flips "
                   "help where left and right don't matter, as for cats or shoes.", "Leave the flips out", fix)


def normalized_twice(case: Case) -> Finding | None:
    """More than one normalisation, in the transforms or by the run's own setting."""
    data, given = case.config.data, case.surroundings.transform
    steps = [step for step in data.transforms if isinstance(step, NormalizeConfig)]
    own = data.normalization != "none" and case.has_images
    if given is not None:
        inner = list(getattr(given, "transforms", []))
        count = sum(type(part).__name__ == "Normalize" for part in inner)
        evidence, fix = f"The transform has {count} Normalize.", None
    else:
        count = len(steps) + own
        try:
            last = fixed_normalization(data, *(case.input_shape[:1] or (1,))) or ((0.0,), (1.0,))
        except DataError:  # numbers for another number of channels: the run is refused, which another rule says
            return None
        mean, std = with_normalizes(data.transforms, *last)
        evidence = f"{len(steps)} Normalize in the transforms" + (", and the run's own normalisation after them" if own else "")
        evidence += f": black becomes {-mean[0] / std[0]:.3g} and white {(1 - mean[0]) / std[0]:.3g}." \
            if data.normalization != "standard" else "."
        keep = [] if own else steps[:1]
        fix = _with(case, _without(data.transforms, NormalizeConfig, keep))
    if count < 2:
        return None
    return Finding("normalized_twice", "warning", f"The pixels are normalised {'twice' if count == 2 else f'{count} times'}",
                   evidence, "One Normalize brings values around 0. A second one takes them for pixels from 0 to 1, which they "
                   "no longer are, and moves them away from 0 again.",
                   "Keep the run's own normalisation alone" if own else "Keep the first Normalize alone", fix)


def to_tensor_too_late(case: Case) -> Finding | None:
    """Normalize or noise written before ToTensor."""
    steps = case.config.data.transforms
    written = next((index for index, step in enumerate(steps) if isinstance(step, ToTensorConfig)), len(steps))
    early = [step for step in steps[:written] if isinstance(step, NormalizeConfig | GaussianNoiseConfig)]
    if written == len(steps) or not early:
        return None
    return Finding("to_tensor_too_late", "warning", f"{_names(tuple(early[:1]))} comes before ToTensor",
                   f"In this order: {_names(steps)}.",
                   "Normalize needs numbers, and before ToTensor there are only pixels from 0 to 255: torchvision refuses that. "
                   "Here ToTensor is done first all the same.", "Put ToTensor first", _with(case, with_to_tensor(steps)))


def turned_too_far(case: Case) -> Finding | None:
    """Digits that are turned until they are others."""
    if not is_handwriting(case.config.data.dataset):
        return None
    steps = case.config.data.transforms
    far = [step for step in steps if isinstance(step, RandomRotationConfig | RandomAffineConfig) and step.degrees >= TURN]
    if not far:
        return None
    fix = tuple(step.model_copy(update={"degrees": SMALL_TURN}) if step in far else step for step in steps)
    return Finding("turned_too_far", "warning", f"Digits are turned by up to {max(step.degrees for step in far):g}°",
                   f"{_names(tuple(far))} with angles to both sides.",
                   "A 6 turned by 180° is a 9, and at 90° nobody can tell a 6, a 9 and a 0 with a tail apart, but the label "
                   "stays. People slant their digits by some 15°.", f"Turn by {SMALL_TURN:g}° at most", _with(case, fix))


def digits_cut_off(case: Case, sure: bool = True) -> Finding | None:
    """Crops and shifts that take part of the digit out of the picture."""
    data, shape = case.config.data, case.spec.input_shape if case.spec else ()
    if not is_handwriting(data.dataset) or len(shape) != 3:
        return None
    for step in data.transforms:
        if isinstance(step, MOVES) and (share := _share_cut(step, shape[1], shape[2])) > OFTEN:
            return Finding(
                "digits_cut_off", _harm(case, sure and isinstance(step, RandomResizedCropConfig)),
                f"{_names((step,))} cuts parts of digits off",
                f"Of {DRAWS} random draws, {percent(share, 0)} lose more than {percent(LOST, 0)} of the middle "
                f"{shape[1] * INK_SHARE:.0f}×{shape[2] * INK_SHARE:.0f} pixels, where the digit is.",
                "An 8 without its lower half is a 0, and a 7 without its bar a 1, but the label stays: the network learns what "
                "is wrong.", "Keep more of the picture",
                _with(case, tuple(_milder(step) if s is step else s for s in data.transforms)))
    return None


def _harm(case: Case, doubtful: bool) -> Severity:
    """How sure it is that a doubtful step does harm: convolutions find the parts that are left, and some such networks lost
    nothing (digits, 97 % after crops of a twelfth and more). Of a run that has gone badly it is asked once more."""
    return "note" if doubtful and case.flow.named({"conv2d"}) else "warning"


def _share_cut(step: MOVES, height: int, width: int) -> float:
    """Share of draws that lose more than LOST of the middle box."""
    made = draw(step, (DRAWS, 1, height, width), torch.Generator().manual_seed(0))
    y, x = torch.meshgrid(*((torch.arange(11) / 10 - 0.5) * side * INK_SHARE for side in (height, width)), indexing="ij")
    places = torch.stack([x.flatten(), y.flatten()])  # (2, 121), counted from the middle
    if isinstance(made, BoxDraw):
        left, top = (made.left - width / 2).view(-1, 1), (made.top - height / 2).view(-1, 1)
        inside = ((places[0] >= left) & (places[0] <= left + made.width.view(-1, 1))
                  & (places[1] >= top) & (places[1] <= top + made.height.view(-1, 1)))
    else:
        assert isinstance(made, AffineDraw)
        matrix = matrix_of(made)  # from new places to old ones; what is wanted is where old ones go
        moved = torch.linalg.solve(matrix[:, :, :2], places - matrix[:, :, 2:])
        inside = (moved[:, 0].abs() <= width / 2) & (moved[:, 1].abs() <= height / 2)
    return float(((~inside).float().mean(1) > LOST).float().mean())


def _milder(step: MOVES) -> MOVES:
    """The step with settings that keep the digit in the picture."""
    if isinstance(step, RandomResizedCropConfig):
        return step.model_copy(update={"scale_min": 0.8, "scale_max": max(0.8, step.scale_max), "ratio_min": 0.9,
                                       "ratio_max": 1.1})
    if isinstance(step, RandomAffineConfig):
        return step.model_copy(update={"translate": min(step.translate, 0.1), "scale_min": min(step.scale_min, 1.0),
                                       "scale_max": min(step.scale_max, 1.1), "shear": min(step.shear, 10.0)})
    return step


def most_is_erased(case: Case, sure: bool = True) -> Finding | None:
    """Holes larger than what is left."""
    steps = case.config.data.transforms
    large = [step for step in steps if isinstance(step, RandomErasingConfig) and step.p and step.scale_max > MOST_ERASED]
    if not large:
        return None
    fix = tuple(step.model_copy(update={"scale_min": min(step.scale_min, 0.02), "scale_max": 0.2, "p": min(step.p, 0.5)})
                if step in large else step for step in steps)
    side = sqrt(large[0].scale_max)
    return Finding("most_is_erased", _harm(case, sure), "More is erased than is left",
                   f"Holes of up to {percent(large[0].scale_max, 0)} of the picture: as a square, {percent(side, 0)} of its "
                   "height and width.",
                   "A hole teaches a network not to rely on one spot. Where the whole digit or shoe is gone, there is nothing to "
                   "learn but the label of a black picture.", "Erase a fifth at most, in half of the images", _with(case, fix))


def drowned_in_noise(case: Case) -> Finding | None:
    """Noise as strong as the picture, or cut off where the values are negative."""
    steps = case.config.data.transforms
    for index, step in enumerate(steps):
        if not isinstance(step, GaussianNoiseConfig):
            continue
        if step.sigma > MOST_NOISE:
            milder = step.model_copy(update={"sigma": 0.1})
            return Finding("drowned_in_noise", "warning", "The noise is stronger than the picture",
                           f"A standard deviation of {step.sigma:g}, where black is 0 and white 1.",
                           "A little noise keeps a network from relying on single pixels. In this much of it neither people nor "
                           "networks find the picture.", "Use a strength of 0.1",
                           _with(case, (*steps[:index], milder, *steps[index + 1:])))
        if step.clip and step.sigma and any(isinstance(before, NormalizeConfig) for before in steps[:index]):
            kept = step.model_copy(update={"clip": False})
            return Finding("drowned_in_noise", "warning", "Noise after Normalize cuts the dark half off",
                           f"In this order: {_names(steps)}; after the noise only values from 0 to 1 are left.",
                           "Normalize makes dark pixels negative. GaussianNoise cuts its result to 0…1 unless it is told not to.",
                           "Don't cut values off", _with(case, (*steps[:index], kept, *steps[index + 1:])))
    return None


def grey_corners(case: Case) -> Finding | None:
    """Moves after Normalize: what comes in from outside is 0, which is grey there."""
    steps = case.config.data.transforms
    normal = next((index for index, step in enumerate(steps) if isinstance(step, NormalizeConfig) and step.mean), len(steps))
    late = [step for step in steps[normal:] if isinstance(step, RandomRotationConfig | RandomAffineConfig | RandomErasingConfig)]
    if not late:
        return None
    step = steps[normal]
    assert isinstance(step, NormalizeConfig)
    fix = (*steps[:normal], *steps[normal + 1:], step)
    return Finding("grey_corners", "note", f"{_names(tuple(late[:1]))} after Normalize brings in grey",
                   f"Corners and holes get the value 0, which after Normalize is a pixel of {255 * step.mean:.0f} of 255.",
                   "Turned and shifted pictures need something where there was none, and that is 0. Before Normalize 0 is black, "
                   "as the background of digits; after it, it is the mean.", "Normalise last", _with(case, fix))


def varying_test_images(case: Case) -> Finding | None:
    """Random transforms on the images that a result is measured on."""
    transform = case.surroundings.test_transform
    if transform is None:
        return None
    chance = sorted(name for name in transform_names(transform) if name.startswith("Random") or name in {
        "GaussianNoise", "ColorJitter", "AutoAugment", "RandAugment", "TrivialAugmentWide", "AugMix", "ElasticTransform"})
    if not chance:
        return None
    return Finding("varying_test_images", "warning", "The test images are changed by chance",
                   f"They go through {', '.join(chance)}.",
                   "The result then depends on the draw: the same network gets another accuracy each time, and mostly a lower "
                   "one. Random transforms are for training images alone.",
                   "Use a transform without random steps for the test images")


def _names(steps: Steps) -> str:
    return ", ".join(TRANSFORMS[step.kind].title for step in steps)


def _without(steps: Steps, kind: type, keep: list) -> Steps:
    """The steps without those of a kind, but for those in `keep`."""
    kept, left = [], list(keep)
    for step in steps:
        if isinstance(step, kind):
            if step not in left:
                continue
            left.remove(step)
        kept.append(step)
    return tuple(kept)


def _with(case: Case, steps: Steps) -> RunConfig | None:
    return case.changed(data__transforms=[step.model_dump(mode="json") for step in steps])

