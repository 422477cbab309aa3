"""Rules about the data: how much there is, how it is split, what is done to the pixels."""

from math import ceil, log, sqrt

import numpy as np

from core.data import DATASETS, DataError, Split, is_own, spec_of
from core.data.own.sets import read_arrays
from core.data.variations import MOST_IMAGES
from core.inspection.doctor.case import Case, Finding, Severity, is_handwriting
from core.inspection.doctor.network_rules import NAMES
from core.inspection.doctor.points import readable
from core.models.pretrained import IMAGENET
from core.settings import default_data_dir
from core.wording import percent, plural

BENCHMARK = "benchmarks/doctor_tables.py"
FEW_PER_CLASS, TOO_FEW_PER_CLASS = 50, 20  # see PER_CLASS_ACCURACY
FEW_TO_VALIDATE, TOO_FEW_TO_VALIDATE = 100, 30  # 30 show 90 ± 11 points
MUCH_NOISE = 0.2  # share of wrong labels from which on it costs more than it shows


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
    severity: Severity = "warning" if hopeless or share >= MUCH_NOISE else "note"
    return Finding(
        "wrong_labels", severity, f"{100 * share:.3g} % of the training labels are wrong on purpose",
        f"data.label_noise is {share:g}; of {case.classes} classes, {100 * (1 - share):.3g} % of the images keep their own.",
        "A network first learns what most labels agree on, and later memorises the wrong ones: training accuracy then goes on "
        "rising while validation accuracy, whose labels are true, falls. Stop at the best validation epoch."
        + (" With so many, no class is right more often than another." if hopeless else ""),
        "Take the noise away, or keep the best epoch", case.changed(data__label_noise=0.0))


RUNS_OF_ONE = 0.9  # share of neighbours of the same class; shuffled it is the sum of the classes' squared shares


def in_order_of_classes(case: Case) -> Finding | None:
    """No shuffling of examples that lie sorted by class, as folders of images do. The sets that come along are not sorted."""
    data = case.config.data
    if case.config.training.shuffle or not case.data and not is_own(data.dataset):
        return None
    try:
        labels = case.data.train.labels[case.data.train.rows].numpy() if case.data else \
            read_arrays(default_data_dir(), data.dataset).labels[:case.spec.counts[0] if case.spec else 0]
    except DataError:
        return None  # it can't be read, which a run says
    if len(labels) < 2 or (alike := float((labels[1:] == labels[:-1]).mean())) < RUNS_OF_ONE:
        return None
    by_chance = float(((np.bincount(labels) / len(labels)) ** 2).sum())
    if by_chance >= RUNS_OF_ONE:
        return None
    return Finding(
        "in_order_of_classes", "warning", "The images come sorted by class, and are not shuffled",
        f"{percent(alike, 0)} of the training images are followed by one of their own class; shuffled it would be "
        f"{percent(by_chance, 0)}.",
        "Each batch holds a single class or two: every step teaches the network to answer with that one, and what it learned of "
        "the others is forgotten until they come again.", "Shuffle the training images", case.changed(training__shuffle=True))


def unbalanced_classes(case: Case) -> Finding | None:
    """Classes made unequal on purpose, strongly."""
    share = case.config.data.imbalance
    if share > 0.2 or case.source_classes < 2:
        return None
    rarest = case.unaugmented_total * share / max(1, case.source_classes)
    told = readable(case.config.data)
    lost = told is not None and told.best >= TOLD and told.own < told.best - FEWER_OF_ONE
    asked = case.config.data.target if case.config.data.task == "is_target" else case.source_classes - 1
    kept = share ** (asked / max(1, case.source_classes - 1))  # of the class that is asked about, else of the rarest
    few = told is None and case.unaugmented_total and rarest < 2 * case.source_classes and kept <= MOST_GONE
    severity: Severity = "warning" if lost or few else "note"
    return Finding(
        "unbalanced_classes", severity, f"The rarest class keeps {100 * share:.3g} % of its training images",
        f"data.imbalance is {share:g}: the first class has about {1 / share:.0f} times as many images as the last.",
        "The network hardly sees the rare classes and is seldom punished for missing them. The test images are as they were, so "
        "test accuracy shows what that costs; look at each class on the page Evaluate.", "Keep all images of each class",
        case.changed(data__imbalance=1.0))


MOST_GONE = 0.3  # share of its images that a class is left with
TOLD = 0.85  # share of points told right below which the inputs hardly say what the answer is
FAR, TOLD_APART = 0.6, 0.95  # noise as large as the shapes themselves; share told right without it
EXPLAINED = 0.6  # the same of numbers: share of their variance
FEWER, LESS_EXPLAINED = 0.1, 0.25  # what too few points may cost
FEWER_OF_ONE = 0.04  # the same where the points of one class alone are few: its own mistakes are twice as many


def answers_not_in_inputs(case: Case) -> Finding | None:
    """Inputs that do not say what the answer is: one is missing, points stray too far, or the answers are random."""
    found = readable(case.config.data)
    strays = not case.predicts_number and case.config.data.noise >= FAR and found is not None and found.best < TOLD_APART
    if found is None or found.best >= (EXPLAINED if case.predicts_number else TOLD) and not strays:
        return None
    data, random = case.config.data, case.spec is not None and not case.spec.in_plane
    missing = [name for name, seen in (("x1", "x1"), ("x2", "x2")) if not any(seen in feature for feature in data.features)]
    if random:
        remedy, fix = "Choose a set whose answers follow from its inputs", None
    elif missing:
        straight = getattr(case.config.model, "hidden", ()) == () and not case.predicts_number  # which needs the squares, too
        remedy, fix = "Let the network see both coordinates", case.changed(data__features=[
            "x1", "x2", *(["x1_squared", "x2_squared", "x1_x2"] if straight else [])])
    else:
        noise = case.spec.noise if case.spec else 0.0
        remedy, fix = f"Set the noise to {noise:g}", case.changed(data__noise=noise) if data.noise > noise else None
    told = "explain {share} of the numbers’ variance" if case.predicts_number else \
        "answer {share} of fresh points right; guessing, {guess}"
    why = "the answers have nothing to do with the inputs" if random else \
        f"{' and '.join(missing)} is not among the inputs" if missing else f"points stray by {data.noise:g}"
    return Finding(
        "answers_not_in_inputs", "warning", "What decides the answer can't be seen in the inputs",
        "The nearest of 1,000 training points " + told.format(share=percent(found.best, 0), guess=percent(found.guess, 0))
        + f": {why}.",
        "A network can only learn what its inputs say. Where the same input belongs to different answers, no network and no "
        "training tells them apart; what it learns beyond that it has memorised.", remedy, fix)


def few_points(case: Case) -> Finding | None:
    """Too few points to show where the border runs."""
    found = readable(case.config.data)
    data, least = case.config.data, EXPLAINED if case.predicts_number else TOLD
    if found is None or data.added or data.imbalance <= 0.2 or found.best < least:
        return None
    if found.own >= found.best - (LESS_EXPLAINED if case.predicts_number else FEWER):
        return None
    points = case.config.data.points
    return Finding(
        "few_points", "warning", f"{points} points don't show where the border runs",
        f"What is nearest among {points} points is right for {percent(found.own, 0)} of fresh ones; among 1,000 points for "
        f"{percent(found.best, 0)}." if not case.predicts_number else
        f"What is nearest among {points} points explains {percent(found.own, 0)} of the numbers’ variance; among 1,000 points "
        f"{percent(found.best, 0)}.",
        "Between the points that it has seen, a network has to guess. The fewer they are, the more different borders fit them "
        "all.",
        "Learn from 200 points", case.changed(data__points=max(200, points)))


# From which on it is said; see WORDS_ACCURACY, where guessing gets 50 %
FEW_WORDS, SHORT = 20, 3
WORDS_ACCURACY = ("On the built-in reviews a bag of embeddings that knew 3, 10, 30, 100 and 1,000 words got 50, 53, 58, 68 "
                  "and 70 % of the test texts right, and one that read 1, 2, 4, 16 and 64 words of each 47, 58, 66, 70 and "
                  f"70 % ({BENCHMARK}, mean of 4 seeds).")


def few_words(case: Case) -> Finding | None:
    """Texts of which hardly a word is known or read."""
    data = case.config.data
    if case.spec is None or case.spec.kind != "text" or (data.vocabulary >= FEW_WORDS and data.text_length >= SHORT):
        return None
    unknown = data.vocabulary < FEW_WORDS
    what = f"{plural(data.vocabulary, 'word')} have a number of their own" if unknown else \
        f"{plural(data.text_length, 'word')} of each text are read"
    fix = case.changed(data__vocabulary=1000, model__words=max(1000, getattr(case.config.model, "words", 0))) if unknown and \
        hasattr(case.config.model, "words") else case.changed(data__text_length=64) if not unknown else None
    return Finding(
        "few_words", "warning", "Hardly a word of the texts reaches the network", f"Only {what}. {WORDS_ACCURACY}",
        "A text is a row of word numbers to the network. Frequent words such as “the” say nothing about its class, and those "
        "that "
        "do are not among the few it gets.", "Know 1,000 words" if unknown else "Read 64 words of each text", fix)


def loss_for_numbers(case: Case) -> Finding | None:
    """A loss for classes where a number is predicted."""
    if not case.predicts_number or case.criterion is not None or case.config.training.loss == "mse":
        return None
    return Finding(
        "loss_for_numbers", "error", "A loss for classes, and the answer is a number",
        f"The loss is {NAMES.get(case.config.training.loss, case.config.training.loss)}; "
        f"{case.spec.title if case.spec else 'the set'} "
        "asks for one number for each example, and has no classes (0 of them).",
        "Cross-entropy compares probabilities of classes. How far a predicted number is from the true one is what mean squared "
        "error measures.", "Use mean squared error", case.changed(training__loss="mse"))


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
    severity: Severity = "warning" if count < TOO_FEW_TO_VALIDATE else "note"
    return Finding(
        "few_to_validate", severity, f"{plural(count, 'validation image')} can't tell good from lucky",
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
    severity: Severity = "warning" if least < min(TOO_FEW_PER_CLASS, 2 * case.source_classes) else "note"
    fix, remedy, share = None, "Add images, or varied copies of them", case.config.data.fraction
    if not case.data and share < 1:
        fraction = min(1.0, ceil(100 * share * 2 * FEW_PER_CLASS / max(1, least)) / 100)
        fix, remedy = case.changed(data__fraction=fraction), f"Learn from {percent(fraction, 0)} of the images"
    elif not case.data and case.config.data.validation > case.training_total // 6:
        fix, remedy = case.changed(data__validation=max(1, case.training_total // 6)), "Hold back fewer images"
    return Finding(
        "few_per_class", severity, f"About {plural(least, 'image')} of a class is little to learn from",
        f"{evidence}. {PER_CLASS_ACCURACY}",
        "With few examples a network memorises them (it overfits) instead of learning what they have in common. More images help "
        "most; varied copies of them, a smaller network or dropout help a little.",
        remedy, fix)


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


def not_as_pretrained(case: Case) -> Finding | None:
    """Pretrained weights that get other numbers than those they learned from."""
    data, training = case.config.data, case.config.training
    if case.given is not None or training.start_from != IMAGENET or data.normalization == "imagenet" or not case.has_images:
        return None
    if any(step.kind == "normalize" for step in data.transforms):
        return None
    return Finding(
        "not_as_pretrained", "warning", "The pretrained weights expect other numbers",
        f"They start from ImageNet's, and the normalisation is {data.normalization}.",
        "torchvision's weights have learned from pictures with ImageNet's means and standard deviations subtracted and divided "
        "out. Where pixels are brought to another scale, what the first layers have learned fits them less.",
        "Normalise as ImageNet", case.changed(data__normalization="imagenet"))


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
    other = [name for name in (data.dataset, *data.join) if not is_handwriting(name)]
    if not other:
        return None
    try:
        title = spec_of(other[0]).title
    except DataError:  # a joined set that is gone: another rule says so
        return None
    return Finding("variations_not_handwriting", "warning", "These copies are made for handwriting",
                   f"{plural(data.variations, 'copy', 'copies')} of each image of {title}.",
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
