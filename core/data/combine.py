"""Data sets joined, cut down and spoiled on purpose: what a network does with few, wrong or unbalanced labels.

The steps, in this order, each a field of DataConfig that changes nothing by default:

1. join: training images of other data sets come after those of the first. Test images stay those of the first.
2. only_classes: the others are left out everywhere, and labels are numbered anew in the data set's order.
3. the validation images are held back (core.data).
4. fraction of the training images, the same share of each class.
5. imbalance: class after class keeps less.
6. join_times: joined training images are listed so many times. Not before, so that no copy is on both sides of the split.
7. label_noise, on the labels of the question that is asked.
8. variations and statistics, of what is then left to learn from (core.data).

Steps 2 and 4 to 7 only choose rows and labels: no pixel is copied. Each draws from a generator of its own, seeded by split_seed.
Validation and test images are touched by steps 1 to 3 alone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from core.config import DataConfig
from core.data.cached_arrays import Put, forget_oldest, kept_filled
from core.data.dataset import DataError, Split
from core.data.sources import DatasetSpec, Raw, spec_for, spec_of
from core.data.sources.generated import Generated
from core.wording import size_of_bytes

MOST_JOINED = 1 << 30  # bytes of a joined stack in the cache: six times CIFAR-10
MOST_KEPT = 1 << 29  # bytes of all of them, but for the last one: eleven times MNIST
CHUNK = 4096  # images written at once
FRACTION, IMBALANCE, NOISE = 1 << 29, 1 << 30, 3 << 29  # added to split_seed: each step has random numbers of its own


# What is known without reading anything

def combined_title(config: DataConfig, spec: DatasetSpec, root: Path | None = None) -> str:
    """"MNIST + Digits (scikit-learn)" where sets are joined."""
    return " + ".join([spec.title, *(spec_of(name, root).title for name in config.join)])


def combined_classes(config: DataConfig, spec: DatasetSpec) -> tuple[str, ...]:
    """The classes that are left, in the data set's order. Raises DataError for one it does not have, or fewer than two."""
    if not config.only_classes:
        return spec.classes
    unknown = [name for name in config.only_classes if name not in spec.classes]
    if unknown:
        has = f"its classes are {', '.join(spec.classes[:30])}" if spec.classes else "it has numbers to predict and no classes"
        raise DataError(f"data.only_classes names {unknown[0]!r}, which {spec.title} does not have; {has}.")
    left = tuple(name for name in spec.classes if name in config.only_classes)
    if len(left) < 2:
        raise DataError(f"data.only_classes leaves only {config.only_classes[0]!r}. Choose at least two classes, or none for "
                        "all.")
    return left


def join_problem(spec: DatasetSpec, other: DatasetSpec) -> str:
    """Why `other` can't be joined to `spec`, as the end of a sentence; "" where it can."""
    if spec.kind != "images" or other.kind != "images":
        computed = spec if spec.kind != "images" else other
        return f"{computed.title} is not made of images"
    if spec.input_shape != other.input_shape:
        return f"its images are {_size(other)} and those of {spec.title} {_size(spec)}"
    missing = [name for name in other.classes if name not in spec.classes]
    return f"{spec.title} has no class {missing[0]!r}" if missing else ""


def _size(spec: DatasetSpec) -> str:
    return "×".join(map(str, spec.input_shape))


def joined_specs(config: DataConfig, spec: DatasetSpec, root: Path | None = None) -> list[DatasetSpec]:
    """The entries of the sets to join. Raises DataError for one that does not fit, DataMissing where there is none."""
    found = []
    for name in config.join:
        other = spec_of(name, root)
        problem = "it is the data set itself" if name == config.dataset else join_problem(spec, other)
        if problem:
            raise DataError(f"{other.title} can't be joined to {spec.title}: {problem}.")
        found.append(other)
    if len(set(config.join)) < len(config.join):
        raise DataError("data.join names a data set twice; set data.join_times to use joined images several times.")
    return found


def training_total_estimate(config: DataConfig, spec: DatasetSpec, root: Path | None = None) -> int:
    """Training images after joining and choosing classes, before any are held back; as if all classes were equally large."""
    total = sum(one.counts[0] for one in (spec, *joined_specs(config, spec, root)))
    return round(total * len(combined_classes(config, spec)) / max(1, len(spec.classes)))


def training_estimate(config: DataConfig, spec: DatasetSpec, root: Path | None = None, total: int | None = None) -> int:
    """Training images that are learned from in an epoch, without variations; as if all classes were equally large.

    total: training images before any are held back, where that is known.
    """
    total = training_total_estimate(config, spec, root) if total is None else total
    classes = max(1, len(combined_classes(config, spec)))
    left = max(0, total - config.validation) * config.fraction
    left *= sum(imbalance_shares(classes, config.imbalance)) / classes
    joined = sum(other.counts[0] for other in joined_specs(config, spec, root))
    share = joined / max(1, joined + spec.counts[0])
    return round(left * (1 - share + share * config.join_times))


# Steps 1 and 2: before the split

def combined(config: DataConfig, spec: DatasetSpec, raw: Raw, root: Path, cache: Path) -> Raw:
    """The data set's images joined with the others'. Labels of classes that are left out are −1.

    Raises:
        DataError: sets that don't fit, or too many images to keep.
    """
    others = joined_specs(config, spec, root)
    if others:
        raws = [_renamed(other, other.read_images(root, cache), spec) for other in others]
        raw = replace(raw, train_images=_joined_images([raw, *raws], cache),
                      train_labels=torch.cat([raw.train_labels, *(one.train_labels for one in raws)]))
    if not config.only_classes:
        return raw
    table = class_table(config, spec)
    return replace(raw, train_labels=table[raw.train_labels], test_labels=table[raw.test_labels])


def class_table(config: DataConfig, spec: DatasetSpec) -> Tensor:
    """(K,) the new label of each of the data set's classes, −1 for one that is left out."""
    left = combined_classes(config, spec)
    return torch.tensor([left.index(name) if name in left else -1 for name in spec.classes])


def kept_rows(labels: Tensor) -> Tensor:
    """(N,) rows whose class has not been left out, ascending."""
    return torch.arange(len(labels)) if labels.is_floating_point() else (labels >= 0).nonzero()[:, 0]


def of_classes(config: DataConfig, spec: DatasetSpec, drawn: Generated) -> Generated:
    """Computed points of the chosen classes alone. Raises DataError where a part has none of them."""
    table = class_table(config, spec)
    parts = []
    for points, labels in (drawn.train, drawn.validation, drawn.test):
        rows = kept_rows(table[labels])
        if not len(rows):
            raise DataError("data.only_classes leaves no points in one part of the data. Choose more classes or more points.")
        parts.append((points[rows], table[labels[rows]]))
    return Generated(*parts)


def _renamed(other: DatasetSpec, raw: Raw, spec: DatasetSpec) -> Raw:
    """Labels as `spec` numbers the classes of these names."""
    table = torch.tensor([spec.classes.index(name) for name in other.classes])
    return replace(raw, train_labels=table[raw.train_labels])


def _joined_images(raws: Sequence[Raw], cache: Path) -> Tensor:
    """(sum of N, C, H, W) training images of all sets, memory-mapped from the cache, where they are kept once.

    The pixels themselves are the name, so reading takes a second for each gigabyte.
    """
    stacks = [raw.train_images for raw in raws]
    size = sum(stack.nbytes for stack in stacks)
    if size > MOST_JOINED:
        raise DataError(f"The joined images take {size_of_bytes(size)}; at most {size_of_bytes(MOST_JOINED)} are kept. Join "
                        "fewer sets.")
    digest = hashlib.blake2b(digest_size=12)
    for stack in stacks:
        digest.update(repr(tuple(stack.shape)).encode())
        for chunk in stack.split(CHUNK):
            digest.update(chunk.contiguous().numpy().data)

    def fill(put: Put) -> None:
        first = 0
        for stack in stacks:
            for chunk in stack.split(CHUNK):
                put(first, chunk.numpy())
                first += len(chunk)

    shape = (sum(map(len, stacks)), *stacks[0].shape[1:])
    path = cache / "joined" / f"{digest.hexdigest()}.npy"
    found = torch.from_numpy(kept_filled(path, shape, fill))
    forget_oldest(path.parent, MOST_KEPT, path)  # each time that somebody teaches a network drawings there is another one
    return found


# Steps 4 to 7: of the training images alone

def chosen_rows(config: DataConfig, rows: Tensor, labels: Tensor, classes: int, own: int | None = None) -> Tensor:
    """Steps 4 to 6: which rows are learned from, ascending; joined ones several times.

    Args:
        rows: (N,) rows of the training split. labels: (M,) of the stack: the data set's own classes, or numbers. classes: K.
        own: rows below it are the data set's own, the others joined; None where nothing is joined.

    Raises:
        DataError: numbers to predict can't be unbalanced.
    """
    if config.fraction < 1:
        counts = class_counts(labels[rows])
        rows = keep_some(rows, labels, [share_of(count, config.fraction) for count in counts], config.split_seed + FRACTION)
    if config.imbalance < 1:
        if labels.is_floating_point():
            refuse_for_numbers(config)
        wanted = unbalanced_counts(class_counts(labels[rows], classes), config.imbalance)
        rows = keep_some(rows, labels, wanted, config.split_seed + IMBALANCE)
    if own is not None and config.join_times > 1:
        rows = rows.repeat_interleave(torch.where(rows < own, 1, config.join_times))
    return rows


def class_counts(labels: Tensor, classes: int = 0) -> list[int]:
    """How many labels of each class there are; of numbers all as one class."""
    return [len(labels)] if labels.is_floating_point() else torch.bincount(labels, minlength=classes).tolist()


def share_of(count: int, share: float) -> int:
    """`share` of `count` images, rounded (a half up), and at least one where there is any."""
    return min(count, max(1, int(count * share + 0.5)))


def imbalance_shares(classes: int, imbalance: float) -> list[float]:
    """What share of its images each class keeps: imbalance^(i / (K − 1)), from 1 for class 0 to `imbalance` for the last.

    Source: Y. Cui and others, Class-balanced loss based on effective number of samples, CVPR 2019, section 5.1 (long-tailed
    CIFAR), whose imbalance factor is 1 / `imbalance`.
    """
    return [imbalance ** (i / max(1, classes - 1)) for i in range(classes)]


def unbalanced_counts(counts: Sequence[int], imbalance: float) -> list[int]:
    """How many images each class keeps; at least one of each that has any."""
    return [share_of(count, share) for count, share in zip(counts, imbalance_shares(len(counts), imbalance), strict=True)]


def keep_some(rows: Tensor, labels: Tensor, wanted: Sequence[int], seed: int) -> Tensor:
    """`wanted[k]` of the rows of class k, at random, ascending. With the same seed, fewer are among the more."""
    order = rows[torch.randperm(len(rows), generator=_generator(seed))]
    if labels.is_floating_point():
        return order[:wanted[0]].sort().values
    of = labels[order]
    return torch.cat([order[of == label][:count] for label, count in enumerate(wanted)]).sort().values


def noisy_labels(config: DataConfig, labels: Tensor, rows: Tensor, classes: int) -> Tensor:
    """Step 7: a copy of labels (M,) in which the share `label_noise` of the distinct rows has another class, each other one
    equally likely. With the same seed, a larger share changes the same labels and more.

    Raises:
        DataError: numbers to predict have no other class.
    """
    if not config.label_noise:
        return labels
    if labels.is_floating_point() or classes < 2:
        refuse_for_numbers(config)
    distinct = rows.unique()
    generator = _generator(config.split_seed + NOISE)
    order = distinct[torch.randperm(len(distinct), generator=generator)]
    step = torch.randint(1, classes, (len(order),), generator=generator)
    count = int(len(order) * config.label_noise + 0.5)
    spoiled = labels.clone()
    spoiled[order[:count]] = (labels[order[:count]] + step[:count]) % classes
    return spoiled


def mislabelled(noisy: Split, true_labels: Tensor) -> Tensor:
    """(N,) bool: which positions of a split have another label than they should. true_labels: (M,) of the same stack."""
    return noisy.labels[noisy.rows] != true_labels[noisy.rows]


def before_choosing(config: DataConfig) -> DataConfig:
    """The same sets, classes and split with all training images, true labels and no copies."""
    return config.model_copy(update={"fraction": 1.0, "imbalance": 1.0, "label_noise": 0.0, "join_times": 1, "variations": 0})


def without_misfits(config: DataConfig, root: Path | None = None) -> DataConfig:
    """The config without joined sets and classes that its data set can't have: after a change of the data set."""
    spec = spec_for(config, root)
    for changes in ({}, {"join": ()}, {"only_classes": ()}, {"join": (), "only_classes": ()}):
        tried = config.model_copy(update=changes)
        try:
            joined_specs(tried, spec, root)
            combined_classes(tried, spec)
        except DataError:
            continue
        return tried
    raise AssertionError("nothing joined and nothing chosen always fits")


def is_plain(config: DataConfig) -> bool:
    """Whether nothing is combined."""
    return all(getattr(config, name) == DataConfig.model_fields[name].default for name in FIELDS)


FIELDS = ("join", "join_times", "only_classes", "fraction", "imbalance", "label_noise")


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed % 2**32)  # PyTorch's generator on the CPU looks at 32 bits


def refuse_for_numbers(config: DataConfig) -> None:
    """Numbers to predict have no classes, so none can be rarer, and none be mistaken for another. Raises DataError."""
    if config.imbalance < 1:
        raise DataError(f"data.imbalance is {config.imbalance:g}; numbers to predict have no classes. Set it to 1.")
    if config.label_noise:
        raise DataError(f"data.label_noise is {config.label_noise:g}; there are no other classes to take. Set it to 0.")


def refuse_for_texts(config: DataConfig, spec: DatasetSpec) -> None:
    """Texts are learned from as they are: a setting that would be left out in silence is refused. Raises DataError."""
    for name in ("join", "only_classes", "fraction", "imbalance", "label_noise", "variations", "transforms"):
        usual = DataConfig.model_fields[name].get_default(call_default_factory=True)
        if getattr(config, name) != usual:
            value = "[]" if usual == () else usual
            raise DataError(f"data.{name} is not for texts such as {spec.title}. Set it to {value}.")
