"""Weights on disk: safetensors with all that is needed to use them, so that a checkpoint rebuilds its network alone."""

import json
import sys
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as safetensors_load
from safetensors.torch import save as safetensors_save
from torch import Tensor, nn

from core.config import RunConfig, config_bytes, read_config
from core.data import Dataset
from core.errors import reason
from core.fields import ConfigError
from core.files import why_not_written, write_atomically
from core.models import build
from core.runs.database import StoreError
from core.runs.store import RunStore
from core.trained_model import TrainedModel
from core.training import Checkpoint, TrainingState, computed_in
from core.training.objectives import objective_of
from core.version import VERSION, another_version

# What reading a file of any content can raise; RuntimeError is PyTorch's word for impossible shapes
UNREADABLE = (SafetensorError, ConfigError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
WEIGHTS, CONFIG, TRAINING = "checkpoint.safetensors", "config.json", "training.safetensors"
LATEST = "weights."  # prefix of the weights to go on with, beside the training's state


class CheckpointError(ValueError):
    """Weights that are not there or can't be used; the message is one line that says what is wrong."""


def save_checkpoint(store: RunStore, run_id: str, config: RunConfig, data: Dataset, checkpoint: Checkpoint) -> None:
    """Write a run's weights and config so that a crash leaves the old ones or the new ones. Raises StoreError."""
    save_weights(store, run_id, config, Meaning(data.classes, data.input_shape, data.mean, data.std), checkpoint)


@dataclass(frozen=True)
class Meaning:
    """What goes into a network and what comes out: class names, shape of one example, and what it is normalised with."""

    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def save_weights(store: RunStore, run_id: str, config: RunConfig, meaning: Meaning, checkpoint: Checkpoint) -> None:
    """As save_checkpoint(), where there is no data set at hand. Raises NotYours."""
    store.check_change(run_id)
    folder = store.folder(run_id)
    content = checkpoint_bytes(config, meaning, checkpoint)
    readable = config_bytes(config)
    try:
        write_atomically(folder / CONFIG, lambda file: file.write(readable))
        if checkpoint.state is not None:
            training = _training_file(checkpoint.weights, checkpoint.state)
            write_atomically(folder / TRAINING, lambda file: file.write(training))
        write_atomically(folder / WEIGHTS, lambda file: file.write(content))
    except OSError as error:
        raise StoreError(why_not_written(f"The runs folder {store.path}", error, "PLAYGROUND_RUNS")) from None


def checkpoint_bytes(config: RunConfig, data: Dataset | Meaning, checkpoint: Checkpoint) -> bytes:
    """What read_checkpoint() reads: weights and all that is needed to use them."""
    about = {"version": VERSION, "config": config.model_dump(mode="json"), "classes": data.classes,
             "input_shape": data.input_shape, "mean": data.mean, "std": data.std, "epoch": checkpoint.epoch,
             "step": checkpoint.step}
    return safetensors_save(checkpoint.weights, metadata={"about": json.dumps(about)})


def _training_file(weights: dict[str, Tensor], state: TrainingState) -> bytes:
    """Weights and state in one file, so that a crash between two files can't pair one with another's.

    A tensor with two names, as the best weights of a run that keeps those have at its end, is written once, under the first:
    safetensors refuses it twice. "same" says which name stands for which other.
    """
    tensors = state.tensors | {LATEST + name: value for name, value in weights.items()}
    names: dict[int, str] = {}
    same = {name: names[id(value)] for name, value in tensors.items() if names.setdefault(id(value), name) != name}
    return safetensors_save({name: value for name, value in tensors.items() if name not in same},
                            metadata={"about": json.dumps(state.about() | {"same": same})})


def load_training(store: RunStore, run_id: str, model: nn.Module) -> TrainingState | None:
    """Put a run's last weights into `model` and return the state to go on from; None where it has kept none.

    Raises CheckpointError where the file is damaged or for another network.
    """
    path = store.folder(run_id) / TRAINING
    if not path.exists():
        return None
    weights, state = _read_training(path, {name: value.cpu() for name, value in model.state_dict().items()})
    model.load_state_dict(weights)
    return state


def check_can_go_on(store: RunStore, run_id: str, model: nn.Module) -> None:
    """Whether what a run would go on from is whole, where it has kept anything. model: its network, on any device.

    Raises CheckpointError.
    """
    path = store.folder(run_id) / TRAINING
    if path.exists():
        _read_training(path, model.state_dict(), mapped=True)


def _read_training(path: Path, expected: dict[str, Tensor], mapped: bool = False) -> tuple[dict[str, Tensor], TrainingState]:
    """What a run wrote to go on from, once it is known to be whole and for such a network. Raises CheckpointError."""
    try:
        tensors, about = read_tensors(path, mapped)
        tensors |= {name: tensors[written] for name, written in about.get("same", {}).items()}
        weights = {name.removeprefix(LATEST): value for name, value in tensors.items() if name.startswith(LATEST)}
        check_weights(expected, weights)
        rest = {name: value for name, value in tensors.items() if not name.startswith(LATEST)}
        return weights, TrainingState(int(about["step"]), int(about["epoch"]), int(about["batch"]), dict(about["numbers"]), rest)
    except CheckpointError:
        raise
    except (OSError, *UNREADABLE) as error:
        raise CheckpointError(f"{path} is damaged ({type(error).__name__}). Start the run anew.") from None


def read_tensors(path: Path, mapped: bool = False) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A safetensors file's tensors and what it says about itself.

    mapped: leave the numbers in the file, from where the system takes those that are needed and drops them again. Not where an
    open file can't be replaced: a run that goes on training could then not write its next weights.
    """
    if mapped and sys.platform != "win32":
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["about"])  # noqa: SIM118
    return tensors_in(path.read_bytes())


def tensors_in(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """As read_tensors(), of a whole file's bytes."""
    tensors = safetensors_load(content)
    header = json.loads(content[8:8 + int.from_bytes(content[:8], "little")])
    return tensors, json.loads(header["__metadata__"]["about"])


def checkpoint_path(store: RunStore, run_id: str) -> Path:
    """Where a run's weights are, or would be. Raises RunNotFound for what is no id."""
    return store.folder(run_id) / WEIGHTS


def has_checkpoint(store: RunStore, run_id: str) -> bool:
    """Whether a run has kept any weights."""
    return checkpoint_path(store, run_id).exists()


def load_model(store: RunStore, run_id: str) -> TrainedModel:
    """A run's network with the weights it kept last, on the CPU, in evaluation mode.

    Raises:
        RunNotFound: there is no such run.
        CheckpointError: it has kept no weights, or they are damaged.
    """
    run = store.get(run_id)
    path = checkpoint_path(store, run_id)
    if not path.exists():
        raise CheckpointError(f"The run “{run.title or run.id}” has kept no weights: it ended before its first epoch did.")
    trained = read_checkpoint(path)  # its config may leave the number format open; it is asked in the one it was trained in
    return replace(trained, config=computed_in(trained.config, run.precision))


def read_checkpoint(path: Path) -> TrainedModel:
    """Rebuild a network from its checkpoint alone, after checking it. Raises CheckpointError."""
    wrote = VERSION
    try:
        weights, about = read_tensors(path, mapped=True)
        wrote = str(about.get("version", ""))
        return rebuilt(weights, about)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {error.strerror or reason(error)}.") from None
    except UNREADABLE as error:
        other = f"was written by {another_version(wrote)}"
        why = "is damaged" if wrote == VERSION else f"{other} and can't be used" if wrote else f"is damaged, or {other}"
        raise CheckpointError(f"{path} {why} ({reason(error)}). Train the run again.") from None


def rebuilt(weights: dict[str, Tensor], about: dict[str, Any]) -> TrainedModel:
    """A network from its weights and what a checkpoint says about them, after checking them.

    Raises CheckpointError where the weights are not its own, and one of UNREADABLE where `about` makes no sense.
    """
    config = read_config(about["config"])
    classes, shape = tuple(about["classes"]), tuple(about["input_shape"])
    mean, std = tuple(about["mean"]), tuple(about["std"])
    is_text = len(shape) == 1 and not mean  # words have no mean
    if not is_text and not (len(mean) == len(std) == shape[0] and all(map(isfinite, mean + std)) and min(std) > 0):
        raise ValueError(f"it says mean {mean} and standard deviation {std} of {shape[0]} channels")
    outputs = objective_of(config.training, "classes" if classes else "number").outputs(len(classes))
    with torch.device("meta"):  # the shapes alone; the weights come from the file
        model = build(config.model, shape, outputs)
    check_weights(model.state_dict(), weights)
    model.load_state_dict(weights, assign=True)
    return TrainedModel(config, classes, model.eval(), shape, mean, std, int(about["epoch"]))


def check_weights(expected: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
    """Names, shapes and number formats must be the network's own, and every value finite. Raises CheckpointError."""
    missing, extra = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing or extra:
        raise CheckpointError("These weights are for another network: "
                              f"missing {missing or 'nothing'}, not wanted {extra or 'nothing'}.")
    for name, want in expected.items():
        have = weights[name]
        if have.shape != want.shape or have.dtype != want.dtype:
            raise CheckpointError(f"{name} is {have.dtype} {tuple(have.shape)}; "
                                  f"this network needs {want.dtype} {tuple(want.shape)}.")
        # the extremes alone, which NaN passes through: a table of what is finite takes a third of the weights' memory
        if have.is_floating_point() and have.numel() and not bool(torch.isfinite(torch.stack(have.aminmax())).all()):
            raise CheckpointError(f"{name} holds NaN or infinite values.")
