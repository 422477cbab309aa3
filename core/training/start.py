"""What a run starts from: its data and a fresh network."""

from pathlib import Path

import torch
from torch import nn

from core.config import RunConfig
from core.data import DataError, Dataset, Outline, is_own, load, spec_of
from core.data import check as check_data
from core.fields import ConfigError
from core.models import ARCHITECTURES, build, check_kind
from core.models.pretrained import IMAGENET, layers_anew, torchvision_name
from core.training.initialization import initialize
from core.training.objectives import OBJECTIVES, objective_of
from core.training.trainable import freeze, frozen_layers


def outputs_for(config: RunConfig, source_classes: int) -> int:
    """Width of the last layer: what the loss needs for the question asked of a data set with so many classes (0: a number)."""
    if not source_classes:
        return 1  # a number is predicted
    classes = 2 if config.data.task == "is_target" else source_classes
    return OBJECTIVES[config.training.loss].outputs(classes)


def fresh_model(config: RunConfig, input_shape: tuple[int, ...], source_classes: int, kind: str = "") -> nn.Module:
    """A run's network before it takes over any weights: as many outputs as its loss needs, weights drawn from its seed, and those
    that are not to learn frozen.

    Raises ModelError where it can't take the input, or data of this `kind` ("" where that is not known); ConfigError where
    nothing would learn, or there are no such pretrained weights.
    """
    if kind:
        check_kind(config.model, kind, config.data.vocabulary)
    model = build(config.model, input_shape, outputs_for(config, source_classes), seed=config.training.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.training.seed)
        initialize(model, config.training.initialization)
    freeze_for(config, model)
    return model


def freeze_for(config: RunConfig, model: nn.Module) -> None:
    """Freeze what does not learn in a run of `config`, of its network on any device. Raises ConfigError where nothing would
    learn, nothing could be frozen, or there are no such pretrained weights to start from."""
    training = config.training
    if training.start_from == IMAGENET and not torchvision_name(config.model):
        known = ", ".join(name for name, spec in ARCHITECTURES.items() if spec.torchvision)
        raise ConfigError(f"training.start_from is imagenet, and {ARCHITECTURES[config.model.architecture].title} has no weights "
                          f"that were learned there; these have: {known}.")
    if training.trainable != "all" or training.frozen_first:  # else torchvision need not be imported
        anew = layers_anew(config.model, model) if training.start_from == IMAGENET else ()
        freeze(model, frozen_layers(model, training.trainable, anew, training.frozen_first))


def build_for(config: RunConfig, data: Dataset) -> nn.Module:
    """The run's network for this data, with fresh weights."""
    return fresh_model(config, data.input_shape, len(data.source_classes), data.kind)


def check(config: RunConfig, root: Path | None = None) -> Outline:
    """All that a run is refused for before its data are read, for whoever must refuse the same, with the same line. Returns the
    data's outline. What this machine lacks, such as files or a device, is not looked at.

    Raises DataError, ConfigError for a loss that does not fit the data or a network in which nothing would learn, ModelError for
    a network that does not fit.
    """
    data, spec = check_data(config.data, root), spec_of(config.data.dataset, root)
    if is_own(config.data.dataset) and spec.counts[0] and not spec.counts[1]:
        raise DataError(f"{spec.title} has no {'texts' if spec.kind == 'text' else 'images'} for testing; keep it again with a "
                        "part of them for that.")
    check_for(config, data)
    return data


def check_for(config: RunConfig, data: Outline) -> None:
    """Whether loss and network of a run fit such data, and something learns in it. Raises ConfigError and ModelError."""
    objective_of(config.training, data.target)
    check_kind(config.model, data.kind, config.data.vocabulary)
    with torch.device("meta"):  # shapes without weights
        model = build(config.model, data.input_shape, outputs_for(config, len(data.source_classes)))
    freeze_for(config, model)


def prepare(config: RunConfig, root: Path, cache: Path | None = None) -> tuple[Dataset, nn.Module]:
    """Data and a fresh network: the two things fit() needs. Raises DataError and ModelError as load() and build() do, and
    ConfigError for a loss that does not fit the data."""
    check(config, root)
    data = load(config.data, root, cache)
    return data, build_for(config, data)
