"""Rules about the data: how much there is, how it is split, what is done to the pixels."""

from math import log, sqrt

import numpy as np

from core.data import DATASETS, Split
from core.data.variations import MOST_IMAGES
from core.inspection.doctor.case import Case, Finding, Severity
from core.wording import percent, plural

BENCHMARK = "benchmarks/doctor_tables.py"
HANDWRITING = {"mnist", "digits", "emnist", "kmnist", "qmnist", "usps"}  # data sets whose pictures have a right way round
FEW_PER_CLASS, TOO_FEW_PER_CLASS = 50, 20  # see PER_CLASS_ACCURACY
FEW_TO_VALIDATE = 100


def unknown_data(case: Case) -> Finding | None:
    """A data set that isn't there."""
    if case.spec is not None or case.data is not None:
        return None
    name = case.config.data.dataset
    fix = case.changed(data__dataset="digits", data__validation=200)
    return Finding("unknown_data", "error", f"There is no data set {name!r}", f"Known are {', '.join(DATASETS)}.",
                   "A config from elsewhere may name data that this installation does not have. Nothing else can be said "
                   "about it until the data is known.", "Use the digits that need no download", fix)


def does_not_combine(case: Case) -> Finding | None:
    """Sets that can't be joined, or classes that are not there."""
    if not case.misfit_of_data:
        return None
    fix = case.changed(data__join=[], data__only_classes=[])
    return Finding("does_not_combine", "error", "Data can't be combined so", case.misfit_of_data,
                   "Images are learned from together only where they have the same size and their classes the same names.",
                   "Join nothing and keep all classes", fix)


def wrong_labels(case: Case) -> Finding | None:
    """Label noise, put there on purpose."""
    share = case.config.data.label_noise
    if not share or not case.classes:
        return None
    hopeless = share >= 1 - 1 / case.classes  # then the true label is not the most frequent one any more
    return Finding(
        "wrong_labels", "warning" if hopeless else "note", f"{100 * share:.3g} % of the training labels are wrong on purpose",
        f"data.label_noise is {share:g}; of {case.classes} classes, {100 * (1 - share):.3g} % of the images keep their own.",
        "A network first learns what most labels agree on, and later memorises the wrong ones: training accuracy then goes on "
        "rising while validation accuracy, whose labels are true, falls. Stop at the best validation epoch."
        + (" With so many, no class is right more often than another." if hopeless else ""),
        "Take the noise away, or keep the best epoch", case.changed(data__label_noise=0.0))


def unbalanced_classes(case: Case) -> Finding | None:
    """Classes made unequal on purpose, strongly."""
    share = case.config.data.imbalance
    if share > 0.2:
        return None
    return Finding(
        "unbalanced_classes", "note", f"The rarest class keeps {100 * share:.3g} % of its training images",
        f"data.imbalance is {share:g}: the first class has about {1 / share:.0f} times as many images as the last.",
        "The network hardly sees the rare classes and is seldom punished for missing them. The test images are as they were, so "
        "test accuracy shows what that costs; look at each class on the page Evaluate.", "Keep all images of each class",
        case.changed(data__imbalance=1.0))


def target_not_a_class(case: Case) -> Finding | None:
    """A yes-no question about a class that the data set does not have."""
    data = case.config.data
    if data.task != "is_target" or not case.source_classes or data.target < case.source_classes:
        return None
    last = case.source_classes - 1
    return Finding("target_not_a_class", "error", f"The question is about class {data.target}, and there is none",
                   f"The data set has classes 0 to {last}.",
                   "A yes-no question needs a class for which “yes” is right.", f"Ask for class {last}",
                   case.changed(data__target=last))


def nothing_left_to_learn(case: Case) -> Finding | None:
    """All or most images held back for validation."""
    held_back = len(case.data.validation) if case.data else case.config.data.validation
    if not case.training_total or not case.has_images or held_back * 2 <= case.training_total:
        return None
    severity: Severity = "error" if held_back >= case.training_total else "warning"
    better = max(1, round(case.training_total / 6))
    return Finding(
        "nothing_left_to_learn", severity, "More images are held back than learned from" if severity == "warning" else
        "All training images are held back", f"{held_back:,} of {case.training_total:,} training images are for validation.",
        "Images held back for validation teach the network nothing. A tenth to a fifth is enough to see whether it learns.",
        f"Hold back {better:,} images", case.changed(data__validation=better))


def few_to_validate(case: Case) -> Finding | None:
    """So few validation images that their accuracy is mostly chance."""
    count = len(case.data.validation) if case.data else case.config.data.validation
    if not case.training_total or not count or count >= FEW_TO_VALIDATE or count >= case.training_total:
        return None
    better = min(max(FEW_TO_VALIDATE, case.training_total // 10), 5000)
    fix = case.changed(data__validation=better) if better < case.training_total / 2 else None
    return Finding(
        "few_to_validate", "warning", f"{plural(count, 'validation image')} can't tell good from lucky",
        f"At 90 % true accuracy, {count} images show 90 ± {100 * 1.96 * sqrt(0.9 * 0.1 / count):.0f} points (95 % interval, "
        f"1.96·√(0.9·0.1/{count})), in steps of {100 / count:.2g} points.",
        "Accuracy is measured on these images after each epoch. With so few, it jumps up and down by chance, and the best epoch "
        "is the luckiest.", f"Hold back {better:,} images", fix)


def few_per_class(case: Case) -> Finding | None:
    """Hardly any training images of a class; varied copies don't count."""
    if not case.unaugmented_total or not case.source_classes or not case.has_images:
        return None
    if case.data:
        originals = len(case.data.train) // (1 + case.config.data.variations)
        split = Split(case.data.train.images, case.data.train.labels, case.data.train.rows[:originals])
        counts = split.counts(len(case.data.classes))
        least = min(counts)
        evidence = f"“{case.data.classes[counts.index(least)]}” has {least:,} training images"
    else:
        least = case.unaugmented_total // case.source_classes
        evidence = f"{case.unaugmented_total:,} training images of {case.source_classes} classes: about {least:,} of each"
    if least >= FEW_PER_CLASS:
        return None
    severity: Severity = "warning" if least < TOO_FEW_PER_CLASS else "note"
    fix = None
    if not case.data and case.config.data.validation > case.training_total // 6:
        fix = case.changed(data__validation=max(1, case.training_total // 6))
    return Finding(
        "few_per_class", severity, f"About {least} images of a class is little to learn from",
        f"{evidence}. {PER_CLASS_ACCURACY}",
        "With few examples a network memorises them (it overfits) instead of learning what they have in common. More images help "
        "most; varied copies of them, a smaller network or dropout help a little.",
        "Hold back fewer images" if fix else "Add images, or varied copies of them", fix)


# benchmarks/doctor_tables.py: 360 test digits, 784-50-10 trained for 200 epochs with Adam 1e-3, mean of 2 seeds; a CNN the same
PER_CLASS_ACCURACY = ("On scikit-learn's digits a small network with 1, 5, 10, 20, 50 and 100 images of each class got 67, 80, "
                      "83, 86, 93 and 96 % of the test images right.")


def unbalanced_question(case: Case) -> Finding | None:
    """A yes-no question whose answer is mostly no."""
    if case.config.data.task != "is_target" or case.source_classes < 3:
        return None
    share = 1 / case.source_classes
    if case.data:
        counts = case.data.train.counts(2)
        share = counts[1] / max(1, sum(counts))
    if not 0 < share < 0.25:
        return None
    return Finding(
        "unbalanced_question", "note", f"Always saying “no” is right for {percent(1 - share, 0)} of the images",
        f"{'The' if case.data else 'About the'} share of “yes” is {percent(share, 1)}.",
        "So an accuracy of 90 % can mean that nothing was learned. Compare accuracy with that figure, and look at which "
        "images of the rarer answer are found.", "Judge by more than accuracy")


def no_normalisation(case: Case) -> Finding | None:
    """Pixels that are never negative."""
    transform = case.surroundings.transform
    if transform is not None:
        names = transform_names(transform)
        if "Normalize" in names:
            return None
        raw = not names & {"ToTensor", "ToDtype", "ConvertImageDtype"}
        scale = "0 to 255" if raw else "0 to 1"
        return Finding("no_normalisation", "warning" if raw else "note", f"Pixels go in as {scale}",
                       f"The transform has no Normalize: {', '.join(sorted(names)) or 'nothing'}.", WHY_NORMALISE,
                       "Add transforms.Normalize(mean, std)")
    if case.config.data.normalization != "none" or not case.has_images:
        return None
    if any(step.kind == "normalize" for step in case.config.data.transforms):
        return None
    evidence = "Pixels go in as numbers from 0 to 1"
    if case.data:
        from core.data import channel_statistics  # reads every training image

        means, deviations = channel_statistics(case.data.train)
        evidence += f" with mean {np.mean(means):.2f} and standard deviation {np.mean(deviations):.2f}"
    return Finding("no_normalisation", "note", "The pixels are not centred", f"{evidence}; none is ever negative.", WHY_NORMALISE,
                   "Bring pixels to mean 0 and standard deviation 1", case.changed(data__normalization="standard"))


WHY_NORMALISE = ("With inputs that are never negative, each image asks for all weights of a first unit to rise, or for all to "
                 "fall: where some should rise and others fall, the way there zigzags (LeCun et al.: Efficient BackProp, 1998, "
                 "section 4.3). A batch of several images softens that. Mean 0 and standard deviation 1 often make training "
                 "faster. For small networks on digits the difference is small: 96.1 instead of "
                 f"95.4 % of test images after 10 epochs of 784-50-10 ({BENCHMARK}, mean of 4 seeds).")


def transform_names(transform: object) -> set[str]:
    """Class names of a torchvision transform and of all that it is made of."""
    inner = getattr(transform, "transforms", None)
    parts = list(inner) if isinstance(inner, list | tuple) else []
    return {type(transform).__name__, *(name for part in parts for name in transform_names(part))} - {"Compose"}


def variations_not_handwriting(case: Case) -> Finding | None:
    """Copies "as other hands might have written it" of what nobody wrote, or too many of them."""
    data = case.config.data
    if not data.variations or case.spec is None:
        return None
    fix = case.changed(data__variations=0)
    copies = case.unaugmented_total * data.variations
    shape = case.spec.input_shape  # as stored: copies are made before any transform
    if tuple(shape) != (1, 28, 28) or copies > MOST_IMAGES:
        why = f"{copies:,} copies" if copies > MOST_IMAGES else f"images of {'×'.join(map(str, shape))}"
        return Finding("variations_not_handwriting", "error", "These varied copies can't be made",
                       f"{why}; copies are made of gray 28×28 images, at most {MOST_IMAGES:,}.",
                       "Copies help small data sets. A data set of this size has enough hands of its own.", "Make no copies", fix)
    if data.dataset in HANDWRITING:
        return None
    return Finding("variations_not_handwriting", "warning", "These copies are made for handwriting",
                   f"{plural(data.variations, 'copy', 'copies')} of each image of {case.spec.title}.",
                   "Copies are slanted, turned and drawn with a thinner pen, as other hands might write. Of other pictures that "
                   "makes things that don't exist, and cuts away what is not white.", "Make no copies", fix)


def test_set_reused(case: Case) -> Finding | None:
    """Test data used for choosing: the best of many test results is partly luck."""
    tested = case.surroundings.tested_runs
    images = len(case.data.test) if case.data else case.spec.counts[1] if case.spec else 0
    if tested < 10 or not images:
        return None
    # the largest of k equal normal values lies about √(2·ln k) deviations above their mean
    luck = 100 * sqrt(0.95 * 0.05 / images) * sqrt(2 * log(tested))
    return Finding(
        "test_set_reused", "note", f"{tested} runs have already been tested on these images",
        f"Of {tested} equally good networks with 95 % accuracy, the best looks up to {luck:.1f} points better on {images:,} test "
        f"images by luck alone (√(0.95·0.05/{images}) · √(2·ln {tested})).",
        "A test set says how well a network does on images that had no part in making it. Choosing settings by it makes it a "
        "part. Choose by validation accuracy and look at the test accuracy of the chosen one.",
        "Compare runs by validation accuracy")


def same_images_in_splits(case: Case) -> Finding | None:
    """Validation or test images among those that are learned from."""
    if case.data is None:
        return None
    prints = {name: _fingerprints(case.data.split(name)) for name in ("train", "validation", "test")}
    for held, other in (("validation", "train"), ("test", "train"), ("test", "validation")):
        if not len(prints[held]):
            continue
        share = float(np.isin(prints[held], prints[other]).mean())
        if share > 0.05:
            return Finding(
                "same_images_in_splits", "warning", f"{held.capitalize()} images are among the {other} images",
                f"{percent(share, 0)} of {len(prints[held]):,} {held} images are pixel for pixel also {other} images.",
                "What a network has already seen says nothing about how it will do on new images: it may have memorised them. "
                "Accuracy on them is too good to be true.", "Split the images so that each is in one part only")
    return None


def _fingerprints(split: Split) -> np.ndarray:
    """(N,) int64, equal for equal images; different images share one with probability 2⁻⁶⁴ or so."""
    pixels = split.images[split.rows].flatten(1).numpy()
    factors = np.random.default_rng(0).integers(1, 2**62, pixels.shape[1], dtype=np.int64) | 1
    prints = np.zeros(len(pixels), np.int64)
    for column in range(pixels.shape[1]):  # one column at a time: int64 copies of all pixels would be eight times as large
        prints += pixels[:, column] * factors[column]
    return prints
