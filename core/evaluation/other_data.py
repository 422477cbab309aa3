"""A model on images of another source than its own: where what it learned holds, and where it doesn't."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.actors import LOCAL, Actor
from core.config import DataConfig
from core.data import DATASETS, Dataset, Split, available, spec_of
from core.data.drawing import prepare

ENOUGH = 5000  # up to so many images a data set is used whole: the model learned from none of them
CANVAS = 280  # pixels, as the page's canvas is
DRAWING_SHAPE = (1, 28, 28)


def why_not(config: DataConfig, classes: tuple[str, ...], input_shape: tuple[int, ...], name: str,
            root: Path | None = None) -> str | None:
    """One line that says why a model of `config` can't be tried on data set `name`; None where it can.

    classes: the model's own, by label; input_shape: (C, H, W) it takes; root: the data directory, for a person's own sets. Raises
    DataMissing for a name there is not.
    """
    spec = spec_of(name, root)
    if name == config.dataset or name in config.join:
        return "it learned from this data set"
    if tuple(spec.input_shape) != tuple(input_shape):
        return (f"its images are {'×'.join(map(str, spec.input_shape))}, and this model takes "
                f"{'×'.join(map(str, input_shape))}")
    if config.task == "is_target" and classes[1] not in spec.classes:
        return f"it has no class “{classes[1]}”"
    if config.task == "classes" and tuple(one for one in spec.classes if one in classes) != classes:
        return "its classes have other names"
    return None


def others(config: DataConfig, classes: tuple[str, ...], input_shape: tuple[int, ...],
           root: Path | None = None, actor: Actor = LOCAL) -> dict[str, str | None]:
    """Every data set of images but the model's own → why_not(). root: the data directory, for sets of actor's own."""
    known = DATASETS if root is None else available(root, actor)
    return {name: why_not(config, classes, input_shape, name, root) for name, spec in known.items()
            if name != config.dataset and spec.kind == "images"}


def other_config(config: DataConfig, classes: tuple[str, ...], name: str, root: Path | None = None) -> DataConfig:
    """How to load another data set so that its labels mean what the model's do."""
    known = spec_of(name, root).classes
    if config.task == "is_target":
        return DataConfig(dataset=name, task="is_target", target=known.index(classes[1]), validation=1)
    return DataConfig(dataset=name, validation=1, only_classes=classes if classes != known else ())


def to_try(other: Dataset, mean: tuple[float, ...], std: tuple[float, ...]) -> Dataset:
    """Another data set as a model meets it: its test images, or all of a small set, normalised as in the model's training."""
    parts = [other.train, other.validation, other.test]
    if sum(map(len, parts)) > ENOUGH:
        return replace(other, mean=mean, std=std)
    taken = [part.take(torch.arange(len(part))) for part in parts]
    whole = as_split(torch.cat([images for images, _ in taken]), torch.cat([labels for _, labels in taken]))
    return replace(other, mean=mean, std=std, test=whole)


def as_split(images: Tensor, labels: Tensor) -> Split:
    """All of some images (N, C, H, W) uint8 with their labels."""
    return Split(images, labels, torch.arange(len(labels)))


def through_drawing(split: Split) -> Iterator[Tensor]:
    """Each image of a split as if it had been drawn: enlarged to the canvas, dark on white, then brought to 28×28 by prepare().

    Args:
        split: images (N, 1, H, W), bright strokes on black.

    Yields:
        (1, 28, 28) uint8, some 300 a second.
    """
    for row in split.rows.tolist():
        picture = Image.fromarray(split.images[row, 0].numpy()).resize((CANVAS, CANVAS), Image.Resampling.BICUBIC)
        canvas = np.empty((CANVAS, CANVAS, 4), np.uint8)
        canvas[..., :3] = 255 - np.asarray(picture)[..., None]
        canvas[..., 3] = 255
        yield prepare(canvas).image.mul(255).round_().to(torch.uint8)
