"""The lab on data loading: what a DataLoader makes of a Dataset, what shuffle is for, and two sets joined to one.

Batches come from torch.utils.data's own DataLoader and ConcatDataset, and the trainings take the steps of a run.
"""

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, TensorDataset

from core.config import AdamConfig, SGDConfig, TrainingConfig
from core.data.batches import Batch
from core.errors import reason
from core.labs.data_folder import CLASSES, Item, all_digits, chosen_rows, picture_of
from core.models import MLPConfig, build
from core.torchvision_guard import torchvision
from core.training.step import TrainingStep

HELD_OUT = 360  # of scikit-learn's 1,797 digits
BATCH, RATE, EPOCHS = 32, 0.1, 10  # of the training with and without shuffle
FEW_BATCH, FEW_RATE, FEW_STEPS, SEEDS = 10, 0.003, 300, 5  # of the trainings on 50 images
HIDDEN = 32


@dataclass(frozen=True)
class Epoch:
    """The batches of one epoch: which samples each has, by their numbers, and the shape of the first batch's images."""

    batches: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]

    def dropped(self, count: int) -> list[int]:
        """Samples of `count` that no batch has."""
        return sorted(set(range(count)) - {index for batch in self.batches for index in batch})


def epochs(truth: list[Item], batch_size: int, shuffle: bool, drop_last: bool, seed: int = 0, count: int = 2) -> list[Epoch]:
    """So many epochs of one DataLoader over the folder. Raises ValueError for a batch size below 1, as PyTorch does."""
    images = torch.stack([item.pixels for item in truth]).float() / 255
    loader = DataLoader(TensorDataset(images, torch.arange(len(truth))), batch_size=batch_size, shuffle=shuffle,
                        drop_last=drop_last, generator=torch.Generator().manual_seed(seed))
    found = []
    for _ in range(count):
        batches, shape = [], (0, *images.shape[1:])
        for batch, indices in loader:
            shape = shape if batches else tuple(batch.shape)
            batches.append(tuple(indices.tolist()))
        found.append(Epoch(tuple(batches), shape))
    return found


# --- shuffle


@dataclass(frozen=True)
class Learning:
    """A training on digits that lie sorted by class. accuracies: (steps,) on held-out digits after each step, 0 to 1.
    answers: how often each class was the answer at the end, and truth: how often it would be right."""

    accuracies: tuple[float, ...]
    steps_per_epoch: int
    answers: tuple[int, ...]
    truth: tuple[int, ...]

    def of_epochs(self) -> list[float]:
        """Accuracy at the end of each epoch."""
        return list(self.accuracies[self.steps_per_epoch - 1::self.steps_per_epoch])


def sorted_digits() -> tuple[TensorDataset, Tensor, Tensor]:
    """1,437 digits to learn from, sorted by class, and 360 others: images (360, 1, 8, 8) float32 in [0, 1], labels (360,)."""
    images, labels = all_digits()
    images = images.float() / 255
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, held_out = order[HELD_OUT:], order[:HELD_OUT]
    train = train[labels[train].argsort(stable=True)]
    return TensorDataset(images[train], labels[train]), images[held_out], labels[held_out]


def learning(shuffle: bool, seed: int = 0) -> Learning:
    """Train 64-32-10 for 10 epochs with SGD, its batches from a DataLoader. PyTorch's random state is left as it was."""
    train, images, labels = sorted_digits()
    loader = DataLoader(train, batch_size=BATCH, shuffle=shuffle, generator=torch.Generator().manual_seed(seed))
    training = TrainingConfig(optimizer=SGDConfig(learning_rate=RATE), batch_size=BATCH, epochs=EPOCHS, seed=seed,
                              device="cpu", precision="float32")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        step = _step(training)
        accuracies, answers = [], labels
        for _ in range(EPOCHS):
            for batch, targets in loader:
                step.take(Batch(batch, targets), RATE)
                answers = _answers(step.model, images)
                accuracies.append((answers == labels).float().mean().item())
    return Learning(tuple(accuracies), len(loader), tuple(answers.bincount(minlength=CLASSES).tolist()),
                    tuple(labels.bincount(minlength=CLASSES).tolist()))


def _step(training: TrainingConfig) -> TrainingStep:
    """A fresh 64-32-10 with the product's own step; its weights come from PyTorch's global random state."""
    model = build(MLPConfig(hidden=(HIDDEN,)), (1, 8, 8), CLASSES)
    return TrainingStep(training, "classes", model.train(), torch.device("cpu"))


def _answers(model: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(images).argmax(1)


# --- two sets joined


@dataclass(frozen=True)
class Augmentation:
    """A way to make another copy of an image. code: as in a script; make: the same."""

    title: str
    code: str
    make: Callable[[], Callable[[Any], Any]]
    after: bool = False  # whether it works on tensors, after ToTensor


BILINEAR = torchvision.transforms.InterpolationMode.BILINEAR
AUGMENTATIONS: dict[str, Augmentation] = {
    "turn": Augmentation("Turned by up to 15°", "RandomRotation(15, interpolation=InterpolationMode.BILINEAR)",
                         lambda: torchvision.transforms.RandomRotation(15, interpolation=BILINEAR)),
    "shift": Augmentation("Moved by up to a pixel", "RandomAffine(0, translate=(0.13, 0.13))",
                          lambda: torchvision.transforms.RandomAffine(0, translate=(0.13, 0.13))),
    "mirror": Augmentation("Mirrored", "RandomHorizontalFlip(p=1.0)",
                           lambda: torchvision.transforms.RandomHorizontalFlip(p=1.0)),
    "noise": Augmentation("With noise", "Lambda(lambda x: (x + 0.2 * torch.randn(x.shape)).clamp(0, 1))",
                          lambda: torchvision.transforms.Lambda(lambda x: (x + 0.2 * torch.randn(x.shape)).clamp(0, 1)), True),
}


class FolderSet(Dataset[tuple[Tensor, int]]):
    """The folder's images in memory, each through a transform when it is asked for."""

    def __init__(self, truth: list[Item], transform: Callable[[Any], Any]) -> None:
        self.pictures: list[Image.Image] = [picture_of(item) for item in truth]
        self.labels = [item.label for item in truth]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, idx: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[idx]), self.labels[idx]


def plain_set(truth: list[Item]) -> FolderSet:
    """The folder as it is, (1, 8, 8) float32 in [0, 1]."""
    return FolderSet(truth, torchvision.transforms.ToTensor())


def augmented_set(truth: list[Item], name: str) -> FolderSet:
    """The same images, each drawn anew whenever it is asked for. Raises KeyError for an augmentation that does not exist."""
    steps = [AUGMENTATIONS[name].make(), torchvision.transforms.ToTensor()]
    return FolderSet(truth, torchvision.transforms.Compose(steps[::-1] if AUGMENTATIONS[name].after else steps))


def transform_code(name: str) -> str:
    """An augmentation's transform as it is written."""
    entry = AUGMENTATIONS[name]
    return f"Compose([ToTensor(), {entry.code}])" if entry.after else f"Compose([{entry.code}, ToTensor()])"


@dataclass(frozen=True)
class Found:
    """Where a joined set takes an index from. part: 0 for the first set; inner: the index there; image (1, 8, 8) float32, label.
    error: what PyTorch said of an index that there is not; the rest is then None."""

    part: int | None
    inner: int | None
    image: Tensor | None
    label: int | None
    error: str = ""


def look_up(joined: ConcatDataset[tuple[Tensor, int]], index: int, seed: int = 0) -> Found:
    """joined[index], and where it came from. Random transforms draw from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            image, label = joined[index]
        except (IndexError, ValueError) as error:
            return Found(None, None, None, None, f"{type(error).__name__}: {reason(error)}")
    place = index % len(joined)
    part = bisect.bisect_right(joined.cumulative_sizes, place)
    return Found(part, place - (joined.cumulative_sizes[part - 1] if part else 0), image, label)


@dataclass(frozen=True)
class Compared:
    """The same training on three sets. accuracies: on the 1,747 digits that are not in the folder, one for each seed."""

    title: str
    samples: int
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        return sum(self.accuracies) / len(self.accuracies)


def compare(truth: list[Item], name: str, seeds: int = SEEDS) -> list[Compared]:
    """The set alone, twice, and joined with an augmented copy: 300 steps each, from the same weights seed by seed."""
    plain = plain_set(truth)
    sets: dict[str, FolderSet | ConcatDataset[tuple[Tensor, int]]] = {
        "The set alone": plain, "The set twice": ConcatDataset([plain, plain]),
        "The set and its augmented copy": ConcatDataset([plain, augmented_set(truth, name)])}
    return [Compared(title, len(data), tuple(few_images(data, seed) for seed in range(seeds))) for title, data in sets.items()]


def few_images(data: Dataset, seed: int) -> float:
    """Accuracy, 0 to 1, on the digits that are not in the folder, after 300 steps of 10 images with Adam."""
    images, labels = all_digits()
    others = torch.ones(len(labels), dtype=torch.bool)
    others[chosen_rows(labels)] = False
    training = TrainingConfig(optimizer=AdamConfig(learning_rate=FEW_RATE), batch_size=FEW_BATCH, seed=seed, device="cpu",
                              precision="float32")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        step, taken = _step(training), 0
        loader = DataLoader(data, batch_size=FEW_BATCH, shuffle=True)
        while taken < FEW_STEPS:
            for batch, targets in loader:
                step.take(Batch(batch, targets), FEW_RATE)
                taken += 1
        answers = _answers(step.model, images[others].float() / 255)
    return (answers == labels[others]).float().mean().item()


def judged(compared: Sequence[Compared]) -> str:
    """One sentence: how often, seed by seed, the augmented copy beat the set twice, which takes as many steps."""
    twice, joined = compared[1].accuracies, compared[2].accuracies
    better = sum(a > b for a, b in zip(joined, twice, strict=True))
    worse = sum(a < b for a, b in zip(joined, twice, strict=True))
    difference = 100 * (compared[2].mean - compared[1].mean)
    if better == len(twice):
        verdict = "It helped with every seed"
    elif worse == len(twice):
        verdict = "It did harm with every seed"
    else:
        verdict = f"It was better with {better} and worse with {worse} of {len(twice)} seeds"
    return f"{verdict}: {difference:+.1f} percentage points on average, beside the set twice."
