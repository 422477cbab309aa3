"""Data sets of a few random images of any shape, for tests that need no real ones."""

from collections.abc import Sequence

import torch

from core.data import Dataset, Split


def split_of(count: int, shape: tuple[int, int, int] = (1, 6, 6), classes: int = 3, seed: int = 0,
             odd_rows: bool = False) -> Split:
    """`count` images of noise with labels in turn; odd_rows: every second image of a stack twice as large."""
    stack = count * 2 if odd_rows else count
    images = torch.randint(0, 256, (stack, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    return Split(images, torch.arange(stack) % classes, torch.arange(1, stack, 2) if odd_rows else torch.arange(count))


def make_set(counts: Sequence[int] = (40, 1, 9), shape: tuple[int, int, int] = (1, 6, 6), validation: int = 5,
             name: str = "digits") -> Dataset:
    """As many images of each class for training and validation as `counts` says, and 20 of each for the test. Each class is noise
    around a brightness of its own."""
    generator = torch.Generator().manual_seed(0)

    def stack(amounts: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.cat([torch.full((amount,), label) for label, amount in enumerate(amounts)])
        labels = labels[torch.randperm(len(labels), generator=generator)]
        noise = torch.randint(0, 60, (len(labels), *shape), generator=generator)
        return (noise + labels.view(-1, 1, 1, 1) * 60).to(torch.uint8), labels

    images, labels = stack(counts)
    tests, test_labels = stack([20] * len(counts))
    classes = tuple(f"class {label}" for label in range(len(counts)))
    rows = torch.arange(len(labels))
    return Dataset(name, "A small set", classes, classes, (0.0,) * shape[0], (1.0,) * shape[0],
                   train=Split(images, labels, rows[validation:]), validation=Split(images, labels, rows[:validation]),
                   test=Split(tests, test_labels, torch.arange(len(test_labels))))
