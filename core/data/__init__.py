"""Data sets: found, split by a seed, and shared between processes.

    data = load(DataConfig(dataset="digits"), Path("data"))
    data.train.take(torch.arange(10))     # ten images and their labels
"""

from pathlib import Path

import numpy as np
import torch

from core.config import DataConfig
from core.data.dataset import DataDamaged, DataError, DataMissing, Dataset, Split, normalize
from core.data.importing import ImportRefused, ImportReport, delete_imported, import_images
from core.data.own_sets import is_own
from core.data.sources import DATASETS, DatasetSpec, Raw, available, spec_of
from core.data.variations import with_variations
from core.settings import default_cache_dir


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
    spec = spec_of(config.dataset, root)
    try:
        return _load(config, spec, root, cache or default_cache_dir())
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise DataError(f"{spec.title} can't be read: {error.strerror or error}{place}.") from None


def _load(config: DataConfig, spec: DatasetSpec, root: Path, cache: Path) -> Dataset:
    raw = spec.read(root, cache)
    held_back = config.validation
    if held_back >= len(raw.train_labels):
        raise DataError(f"data.validation is {held_back:,}; {spec.title} has {len(raw.train_labels):,} training images, "
                        "and some must be left to learn from.")
    classes, raw = _apply_task(config, spec, raw)
    order = torch.randperm(len(raw.train_labels), generator=torch.Generator().manual_seed(config.split_seed))
    train = Split(raw.train_images, raw.train_labels, order[held_back:].sort().values)
    if config.variations:
        train = with_variations(train, config, cache)
    mean, std = _normalization(config, train)
    return Dataset(
        name=config.dataset,
        title=spec.title,
        classes=classes,
        source_classes=spec.classes,
        mean=mean,
        std=std,
        train=train,
        validation=Split(raw.train_images, raw.train_labels, order[:held_back].sort().values),
        test=Split(raw.test_images, raw.test_labels, torch.arange(len(raw.test_labels))),
    )


def default_config(name: str, root: Path | None = None) -> DataConfig:
    """The data set as one starts with it: 5,000 validation images where there are many, and copies where there are few.

    Of images of a person's own a sixth is for validation, and no copies are made: those are for handwriting.
    """
    train = spec_of(name, root).counts[0]
    if is_own(name):
        return DataConfig(dataset=name, validation=min(5000, max(1, train // 6)))
    small = train < 10_000
    return DataConfig(dataset=name, validation=200 if small else 5000, variations=4 if small else 0)


def _apply_task(config: DataConfig, spec: DatasetSpec, raw: Raw) -> tuple[tuple[str, ...], Raw]:
    """Class names and labels of the question that is asked: all classes, or "is it this one?"."""
    if config.task == "classes":
        return spec.classes, raw
    if config.target >= len(spec.classes):
        raise DataError(f"data.target is {config.target}; {spec.title} has classes 0 to {len(spec.classes) - 1}.")
    name = spec.classes[config.target]
    return (f"not {name}", name), Raw(raw.train_images, (raw.train_labels == config.target).long(),
                                      raw.test_images, (raw.test_labels == config.target).long())


def _normalization(config: DataConfig, train: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation to normalise with, for each channel, of pixels in [0, 1]."""
    channels = train.images.shape[1]
    if config.normalization == "none":
        return (0.0,) * channels, (1.0,) * channels
    if config.normalization == "half":
        return (0.5,) * channels, (0.5,) * channels
    return channel_statistics(train)


def channel_statistics(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and (population) standard deviation of each channel, pixels in [0, 1], exact: from counts of the 256 values."""
    values = np.arange(256) / 255
    means, deviations = [], []
    for channel in range(split.images.shape[1]):
        counts = np.zeros(256)
        for rows in split.rows.split(8192):  # in pieces: the whole set at once would be copied
            counts += np.bincount(split.images[rows, channel].numpy().ravel(), minlength=256)
        mean = float(counts @ values / counts.sum())
        means.append(mean)
        deviations.append(max(float(np.sqrt(counts @ (values - mean) ** 2 / counts.sum())), 1e-6))  # 1e-6: a flat channel
    return tuple(means), tuple(deviations)


__all__ = ["DATASETS", "DataDamaged", "DataError", "DataMissing", "Dataset", "DatasetSpec", "ImportRefused", "ImportReport",
           "Split", "available", "channel_statistics", "default_config", "delete_imported", "import_images", "is_own", "load",
           "normalize", "spec_of"]
