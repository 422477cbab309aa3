"""From a DataConfig to a data set: read, joined, asked a question of, split and normalised."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from core.config import DataConfig
from core.data.combine import (
    chosen_rows,
    combined,
    combined_classes,
    combined_title,
    joined_specs,
    kept_rows,
    noisy_labels,
    of_classes,
    refuse_for_numbers,
    refuse_for_texts,
)
from core.data.dataset import DataError, Dataset, Kind, Split, Target
from core.data.features import as_features
from core.data.own.sets import is_own
from core.data.sources import DatasetSpec, Raw, spec_for, spec_of
from core.data.sources.texts import RawTexts, Texts, build_vocabulary, encode
from core.data.statistics import channel_statistics
from core.data.variations import digits_shown, refuse_variations, with_variations
from core.errors import os_reason
from core.settings import default_cache_dir
from core.transforms import fixed_sizes, shape_after, with_normalizes
from core.wording import plural

# of ImageNet's training images, red, green and blue, as torchvision's pretrained networks expect them
# (https://docs.pytorch.org/vision/stable/models.html); gray images get the mean of the three
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET_GRAY = 0.449, 0.226


def load(config: DataConfig, root: Path, cache: Path | None = None) -> Dataset:
    """The data set that `config` describes, split and ready to learn from.

    Args:
        root: the data directory, in torchvision's layout. Only read.
        cache: where gzipped files are unpacked once; the user's cache directory if None.

    Raises:
        DataMissing: the files are not there; the message says what to do.
        DataDamaged: a file is not what it should be.
        DataError: the config asks for more validation images or another class than the data set has, or the files or the
            cache can't be read or written.
    """
    check(config, root)
    spec = spec_for(config, root)
    try:
        return _load(config, spec, root, cache or default_cache_dir())
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise DataError(f"{spec.title} can't be read: {os_reason(error)}{place}.") from None


def _load(config: DataConfig, spec: DatasetSpec, root: Path, cache: Path) -> Dataset:
    if spec.generate is not None:
        return _compute(config, spec)
    if spec.read_texts is not None:
        return _encode(config, spec, spec.read_texts(root, config))
    assert spec.read is not None, spec
    source = spec.read(root, cache)
    own = len(source.train_labels) if config.join else None
    source = combined(config, spec, source, root, cache)
    learn, test = kept_rows(source.train_labels), kept_rows(source.test_labels)
    held_back, learned = _held_back(config, spec, len(learn), "images")
    source_classes = combined_classes(config, spec)
    classes, raw = _apply_task(config, spec, source)
    rows = chosen_rows(config, learn[learned], source.train_labels, len(source_classes), own)
    train = Split(raw.train_images, noisy_labels(config, raw.train_labels, rows, len(classes)), rows)
    if config.variations:
        train = with_variations(train, config, cache, digits_shown(config, source_classes, source.train_labels[rows]))
    last_mean, last_std = _normalization(config, train)
    mean, std = with_normalizes(config.transforms, last_mean, last_std)
    sizes = fixed_sizes(config.transforms)
    return Dataset(
        name=config.dataset,
        title=combined_title(config, spec, root),
        classes=classes,
        source_classes=source_classes,
        mean=mean,
        std=std,
        train=replace(train, sizes=sizes),
        validation=Split(raw.train_images, raw.train_labels, learn[held_back], sizes),
        test=Split(raw.test_images, raw.test_labels, test, sizes),
        transforms=config.transforms,
        last_mean=last_mean,
        last_std=last_std,
    )


def _held_back(config: DataConfig, spec: DatasetSpec, count: int, what: str) -> tuple[Tensor, Tensor]:
    """Rows held back for validation and rows to learn from, both ascending. Raises DataError where none would be left."""
    _refuse_validation(config, spec, count, what)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(config.split_seed))
    return order[:config.validation].sort().values, order[config.validation:].sort().values


def _refuse_validation(config: DataConfig, spec: DatasetSpec, count: int, what: str) -> None:
    if config.validation >= count:
        raise DataError(f"data.validation is {config.validation:,}; {spec.title} has {count:,} training {what}, and some must be "
                        "left to learn from.")


def read_texts(config: DataConfig, root: Path) -> Texts:
    """What the texts of a data set say, in the order of the splits that load() gives, and the vocabulary.

    Raises DataError as load() does, also for a data set that is none of texts.
    """
    spec = spec_for(config, root)
    if spec.read_texts is None:
        raise DataError(f"{spec.title} has no texts.")
    try:
        return _texts(config, spec, spec.read_texts(root, config))
    except OSError as error:
        raise DataError(f"{spec.title} can't be read: {os_reason(error)}.") from None


def _texts(config: DataConfig, spec: DatasetSpec, raw: RawTexts) -> Texts:
    held_back, learned = _held_back(config, spec, len(raw.train), "texts")
    train = tuple(raw.train[row] for row in learned.tolist())
    # from training texts alone: a word that only validation or test texts use must stay unknown, as it will be later
    return Texts(train, tuple(raw.train[row] for row in held_back.tolist()), tuple(raw.test),
                 build_vocabulary(train, config.vocabulary))


def _encode(config: DataConfig, spec: DatasetSpec, raw: RawTexts) -> Dataset:
    """A data set of texts, as numbers."""
    classes, texts = _task_classes(config, spec), _texts(config, spec, raw)
    held_back, learned = _held_back(config, spec, len(raw.train), "texts")
    numbers = encode(raw.train, texts.vocabulary, config.text_length)
    tested = encode(raw.test, texts.vocabulary, config.text_length)
    labels, test_labels = _task_labels(config, raw.train_labels), _task_labels(config, raw.test_labels)
    return Dataset(config.dataset, spec.title, classes, spec.classes, (), (), Split(numbers, labels, learned),
                   Split(numbers, labels, held_back), Split(tested, test_labels, torch.arange(len(test_labels))), spec.kind)


def _compute(config: DataConfig, spec: DatasetSpec) -> Dataset:
    """A data set whose points are computed from the config."""
    assert spec.generate is not None, spec
    drawn = spec.generate(config)
    source_classes, classes = combined_classes(config, spec), _task_classes(config, spec)
    if config.only_classes:
        drawn = of_classes(config, spec, drawn)
    rows = chosen_rows(config, torch.arange(len(drawn.train[1])), drawn.train[1], len(source_classes))
    train, validation, test = (
        Split(as_features(points, config.features) if spec.in_plane else points, _task_labels(config, labels),
              torch.arange(len(labels))) for points, labels in (drawn.train, drawn.validation, drawn.test))
    train = Split(train.images, noisy_labels(config, train.labels, rows, len(classes)), rows)
    mean, std = _normalization(config, train)
    return Dataset(config.dataset, spec.title, classes, source_classes, mean, std, train, validation, test, spec.kind,
                   spec.target)


def check(config: DataConfig, root: Path | None = None) -> "Outline":
    """All that load() refuses without reading anything, for whoever must refuse the same, with the same line. Returns the
    outline.

    How many images there are of some classes is known only to load().

    Args:
        root: the data directory; the environment's if None.

    Raises:
        DataMissing: there is no such data set. DataError: it can't be what the config asks for.
    """
    spec = spec_for(config, root)
    if spec.generate is not None:
        _refuse_for_points(config, spec)
    elif spec.read_texts is not None:
        refuse_for_texts(config, spec)
    joined = joined_specs(config, spec, root)  # which refuses points: they are computed, so more of them need no joining
    if config.only_classes and spec.generate is not None:
        of_classes(config, spec, spec.generate(config))
    _task_classes(config, spec)
    if spec.target == "number":
        refuse_for_numbers(config)
    if spec.generate is None and not config.only_classes and (count := sum(one.counts[0] for one in (spec, *joined))):
        _refuse_validation(config, spec, count, "texts" if spec.kind == "text" else "images")
    if spec.kind == "images":
        refuse_variations(config, spec.input_shape)
    found = outline(config, root)
    if found.kind != "text":
        fixed_normalization(config, found.input_shape[0])
    return found


def _refuse_for_points(config: DataConfig, spec: DatasetSpec) -> None:
    """Points are no images, and only in the plane can some be added. Raises DataError."""
    if config.variations:
        raise DataError(f"data.variations is {config.variations}; {spec.title} are points, and copies are made of images. "
                        "Set it to 0.")
    if config.transforms:
        raise DataError(f"data.transforms has {len(config.transforms)} steps; {spec.title} are points, and transforms are for "
                        "images. Set it to [].")
    if config.normalization == "imagenet":
        raise DataError(f"data.normalization is imagenet; {spec.title} are points, and ImageNet has images. Set it to standard.")
    if config.added and not (spec.in_plane and spec.classes):
        raise DataError(f"data.added has {len(config.added)} points; {spec.title} has no two coordinates with a class to add to. "
                        "Set it to [].")


@dataclass(frozen=True)
class Outline:
    """What a network needs to know of a data set before it is loaded: what goes in and what is to come out.

    input_shape: (C, H, W) of an image after the config's transforms, (F,) of a point, (L,) of a text.
    source_classes: the data set's classes, before a yes-no question is asked; none where a number is predicted.
    """

    title: str
    input_shape: tuple[int, ...]
    source_classes: tuple[str, ...]
    kind: Kind
    target: Target


def outline(config: DataConfig, root: Path | None = None) -> Outline:
    """The shape and classes of what load() would give, without reading anything.

    Raises DataMissing for an unknown name, DataError for sets that can't be joined or classes that are not there.
    """
    spec = spec_for(config, root)
    joined_specs(config, spec, root)  # which says what does not fit
    shape = (config.text_length,) if spec.kind == "text" else (len(config.features),) if spec.in_plane else \
        shape_after(spec.input_shape, config.transforms)
    return Outline(combined_title(config, spec, root), shape, combined_classes(config, spec), spec.kind, spec.target)


def default_config(name: str, root: Path | None = None) -> DataConfig:
    """The data set as one starts with it: 5,000 validation images where there are many, and copies where there are few.

    Of images of a person's own a sixth is for validation, and no copies are made: those are for handwriting. Of what a class has
    drawn they are: 193 drawings to learn from gave 76 % of 50 right without them and 96 % with them (digits-quick).
    """
    spec = spec_of(name, root)
    if is_own(name):
        return DataConfig(dataset=name, validation=min(5000, max(1, spec.counts[0] // 6)), variations=4 if spec.drawn else 0)
    if spec.generate is not None:
        return DataConfig(dataset=name, validation=max(1, spec.counts[0]), points=spec.counts[0], noise=spec.noise)
    if spec.kind == "text":
        many = spec.counts[0] >= 10_000
        return DataConfig(dataset=name, validation=5000 if many else 100, vocabulary=20_000 if many else 1000,
                          text_length=400 if many else 64)
    small = spec.counts[0] < 10_000
    return DataConfig(dataset=name, validation=200 if small else 5000, variations=4 if small else 0)


def _apply_task(config: DataConfig, spec: DatasetSpec, raw: Raw) -> tuple[tuple[str, ...], Raw]:
    """Class names and labels of the question that is asked."""
    return _task_classes(config, spec), Raw(raw.train_images, _task_labels(config, raw.train_labels),
                                            raw.test_images, _task_labels(config, raw.test_labels))


def _task_classes(config: DataConfig, spec: DatasetSpec) -> tuple[str, ...]:
    """Names of the answers: all classes, or "is it this one?"."""
    known = combined_classes(config, spec)
    if config.task == "classes":
        return known
    if not known:
        raise DataError(f"{spec.title} has numbers to predict and no classes to ask for. Set data.task to classes.")
    if config.target >= len(known):
        raise DataError(f"data.target is {config.target}; {spec.title} has classes 0 to {len(known) - 1}.")
    name = known[config.target]
    return f"not {name}", name


def _task_labels(config: DataConfig, labels: Tensor) -> Tensor:
    return labels if config.task == "classes" else (labels == config.target).long()


def _normalization(config: DataConfig, train: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation to normalise with, for each channel, of pixels in [0, 1], or for each feature."""
    return fixed_normalization(config, train.images.shape[1]) or channel_statistics(train)


def fixed_normalization(config: DataConfig, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and standard deviation for each channel where they do not depend on the data; None where they do.

    Raises DataError where the config has numbers for another number of channels.
    """
    if config.normalization == "none":
        return (0.0,) * channels, (1.0,) * channels
    if config.normalization == "half":
        return (0.5,) * channels, (0.5,) * channels
    if config.normalization == "imagenet":
        mean, std = IMAGENET if channels == 3 else ((IMAGENET_GRAY[0],) * channels, (IMAGENET_GRAY[1],) * channels)
        return mean, std
    if config.normalization == "channels":
        return _for_each("channel_mean", config.channel_mean, channels), _for_each("channel_std", config.channel_std, channels)
    return None


def _for_each(name: str, numbers: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(numbers) not in (1, channels):
        raise DataError(f"data.{name} has {plural(len(numbers), 'number')}, and there {'is' if channels == 1 else 'are'} "
                        f"{plural(channels, 'channel')}: give one number{f' for all of them, or {channels}' * (channels > 1)}.")
    return numbers if len(numbers) == channels else numbers * channels
