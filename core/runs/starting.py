"""Where a run's weights start: fresh, from a run's, or from torchvision's; what fits is taken over, and said.

They are copied as the run begins, into its own checkpoint from then on: what they came from may be deleted, and costs only runs
that have not begun.
"""

from collections.abc import Mapping
from contextlib import suppress

import torch
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_save
from torch import Tensor, nn

from core.config import RunConfig
from core.data import Dataset, outline
from core.errors import reason
from core.files import write_atomically
from core.models import build
from core.models.pretrained import IMAGENET, Fitting, fitting, pretrained_weights, take
from core.runs.checkpoints import (
    UNREADABLE,
    CheckpointError,
    check_weights,
    checkpoint_path,
    has_checkpoint,
    read_checkpoint,
)
from core.runs.records import RunNotFound
from core.runs.store import RunStore
from core.settings import Settings
from core.training import build_for, fresh_model, outputs_for
from core.training.trainable import last_layer
from core.weights.file import WeightsRefused
from core.weights.published import is_here, not_here, read

GONE = "The run whose weights this one would start from was deleted. Choose others to start from."
FILE = "start.safetensors"  # what a run that starts from another one's weights began with: that one may go on, or go


def starting_model(store: RunStore, config: RunConfig, data: Dataset, settings: Settings) -> nn.Module:
    """The network that a run of this config starts from: fresh weights, or those that `start_from` names.

    Raises ModelError where it can't be built, ConfigError where nothing would learn, CheckpointError where those weights can't be
    had.
    """
    model = build_for(config, data)
    take_start(store, config, model, settings)
    return model


def take_start(store: RunStore, config: RunConfig, model: nn.Module, settings: Settings) -> str:
    """Put the weights that a run of this config starts from into a fresh `model`, as far as they fit: of a run all but a last
    layer for other classes, of torchvision's whatever has the same shape.

    Returns what was taken over, in one line; "" where the weights stay fresh. Raises CheckpointError, with one line, where that
    can't be done.
    """
    start_from = config.training.start_from
    if not start_from:
        return ""
    own = {name: value.cpu() for name, value in model.state_dict().items()}
    try:
        if start_from == IMAGENET:
            whose = "ImageNet's weights"
            weights = pretrained_weights(config.model)
            if weights is None:
                raise CheckpointError("torchvision has none for this network.")
            found = fitting(own, read(weights, settings.data_dir, settings.cache_dir))
        else:
            whose = f"the weights of run {start_from[:8]!r}"
            found = _of_run(store, start_from, own, last_layer(model))
    except (CheckpointError, RunNotFound, WeightsRefused, OSError) as error:
        raise CheckpointError(f"This run can't start from {whose}: {reason(error).removesuffix('.')}.") from None
    take(model, found)
    return f"{whose}: {_taken_over(found)}"


def start_problem(store: RunStore, config: RunConfig, settings: Settings) -> str:
    """Why a run of this config can't start from the weights that it names, as far as that is known without reading any: one line;
    "" if it may be. Raises DataError, ConfigError, ModelError where there can be no such network at all."""
    start_from = config.training.start_from
    if not start_from:
        return ""
    if start_from == IMAGENET:
        weights = pretrained_weights(config.model)
        return "" if weights is None or is_here(weights, settings.data_dir, settings.cache_dir) else not_here(
            weights, settings.data_dir)
    try:
        run = store.get(start_from)
    except RunNotFound:
        return GONE
    if not has_checkpoint(store, start_from):
        return "The run whose weights this one would start from has kept none. Choose others to start from."
    return "" if fits(config, run.config, settings) else (
        "The run whose weights this one would start from has another network: only a last layer may differ. Choose the same "
        "network, or others to start from.")


def fits(config: RunConfig, other: RunConfig, settings: Settings) -> bool:
    """Whether a run of `config` can start from the weights of a run of `other`: all but the last layer must have the same names
    and shapes, but for the channels of a picture, and something must come before it. Numbers are not looked at.

    Raises DataError, ConfigError, ModelError where there can be no such network.
    """
    if config.model != other.model:
        return False
    about, others = (_ends(one, settings) for one in (config, other))
    if about == others:
        return True  # the same network: nothing to build
    with torch.device("meta"):
        own, theirs = (build(config.model, *ends) for ends in (about, others))
    found = fitting(own.state_dict(), theirs.state_dict())
    return bool(found.weights) and not found.missing and not found.extra and set(found.anew) <= set(last_layer(own))


def _ends(config: RunConfig, settings: Settings) -> tuple[tuple[int, ...], int]:
    """What goes into a run's network, and how many numbers come out."""
    shape = outline(config.data, settings.data_dir)
    return shape.input_shape, outputs_for(config, len(shape.source_classes))


def keep_start(store: RunStore, run_id: str, model: nn.Module) -> None:
    """Keep the weights that a run begins with, for its script. A full disk costs the file, not the run."""
    content = safetensors_save({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()})
    with suppress(OSError):
        write_atomically(store.folder(run_id) / FILE, lambda file: file.write(content), durable=False)


def start_weights(store: RunStore, run_id: str, settings: Settings) -> dict[str, Tensor]:
    """The state_dict that a run began with: drawn again from its seed, read again from torchvision's file, or as it was kept
    where it started from another run.

    Raises RunNotFound; DataError, ConfigError, ModelError where there can be no such network; CheckpointError where the weights
    are not here.
    """
    config = store.get(run_id).config
    shape = outline(config.data, settings.data_dir)
    model = fresh_model(config, shape.input_shape, len(shape.source_classes), shape.kind)
    if config.training.start_from in ("", IMAGENET):
        take_start(store, config, model, settings)
        return model.state_dict()
    try:
        weights = load_file(store.folder(run_id) / FILE)
        check_weights(model.state_dict(), weights)
    except CheckpointError:
        raise
    except (OSError, *UNREADABLE):
        raise CheckpointError("The weights that this run started with are not kept here: it has not begun, was brought from "
                              "elsewhere, or is of a version before 0.12.") from None
    return weights


def _of_run(store: RunStore, run_id: str, own: Mapping[str, Tensor], last: list[str]) -> Fitting:
    """A run's kept weights, as far as they fit; all but the last layer's must. Raises RunNotFound, CheckpointError."""
    path = checkpoint_path(store, run_id)
    try:
        store.get(run_id)  # a deleted one's files are there for a while
    except RunNotFound:
        raise CheckpointError("it was deleted.") from None
    if not path.exists():
        raise CheckpointError("it has kept no weights.")
    found = fitting(own, read_checkpoint(path).model.state_dict())
    other = [name for name in found.anew if name not in last]
    if found.missing or found.extra or other:
        if other:
            theirs, ours = found.anew[other[0]]
            why = f"its layer {other[0]} has shape {_shape(theirs)}, and this network needs {_shape(ours)}"
        elif found.missing:
            why = f"it has no {found.missing[0]}, which this network needs"
        else:
            why = f"this network needs no {found.extra[0]}"
        raise CheckpointError(f"its network is another one: {why}.")
    if not found.weights:
        raise CheckpointError("it is one layer for other classes, so nothing of it fits.")
    check_weights({name: own[name] for name in found.weights}, found.weights)
    return found


def _taken_over(found: Fitting) -> str:
    """What of some weights a network has now."""
    said = [f"{name} is new, of {_shape(ours)} instead of {_shape(theirs)}" for name, (theirs, ours) in found.anew.items()]
    if found.adapted:
        said.append(f"{found.adapted} is brought to another number of channels")
    return "; ".join(["all layers are taken over" if not found.anew else "all other layers are taken over", *said])


def _shape(values: tuple[int, ...]) -> str:
    return "×".join(map(str, values))
