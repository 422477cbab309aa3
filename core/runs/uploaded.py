"""Weights from elsewhere become a run: checked and matched by a process with limits, then used on every page like any other."""

import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from core.config import DataConfig, RunConfig, TrainingConfig
from core.data import DataError, fixed_normalization, load, outline
from core.errors import reason
from core.fields import ConfigError
from core.importing.names import plain_name
from core.models import ModelConfig, build
from core.process import configured
from core.runs.checkpoints import UNREADABLE, CheckpointError, Meaning, checkpoint_path, read_checkpoint, save_weights
from core.runs.database import StoreError
from core.runs.records import Run
from core.runs.store import RunStore
from core.settings import Settings
from core.subprocesses import ONE_THREAD, run
from core.trained_model import TrainedModel
from core.training import Checkpoint, Started
from core.weights.file import MAX_BYTES
from core.weights.matching import renamed_for
from core.wording import percent, size_of_bytes

SECONDS = 90.0  # by the clock
MOST_TRIED, SECONDS_OF_TRYING = 500, 10.0  # test images that each candidate is asked about, and for how long all of them
KNOWN = {"mnist": (0.1306604762738429, 0.30810780717887876)}  # of all 60,000, for who has not downloaded them


class UploadRefused(ValueError):
    """Weights that can't be used; the message is one line that says why."""


@dataclass(frozen=True)
class Upload:
    """What became of a file. notes: what the file could not say and was taken for granted, a line each."""

    run: Run
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """A network that the file's weights fit. title: what was taken for what the file does not say. accuracy: on test images, 0 to
    1; None where it has not been tried."""

    title: str
    model: ModelConfig
    accuracy: float | None = None


@dataclass(frozen=True, eq=False)
class ReadUpload:
    """A file that has been read and not yet kept. candidates: networks with these weights, those of the file's own names first;
    just one where nothing is open. tried: test images that they were asked about; 0 where the data are not here."""

    name: str
    config: RunConfig
    meaning: Meaning
    outputs: int
    weights: dict[str, Tensor]
    notes: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    tried: int = 0

    @property
    def best(self) -> int:
        """The candidate with the most right answers; the first where none has been tried."""
        known = [-1.0 if one.accuracy is None else one.accuracy for one in self.candidates]
        return known.index(max(known))


def keep_upload(store: RunStore, settings: Settings, content: bytes, name: str, data: DataConfig, owner: str) -> Upload:
    """Make a run of a file of weights, as the likeliest network that they fit.

    Args:
        content: the whole file, of unknown origin. name: the file's.
        data: what it learned from: data set, normalisation, and the target class, should it have a single answer.
        owner: who brings it.

    Raises:
        UploadRefused: with one line; nothing is kept then. StoreError: the runs folder can't be written to.
    """
    return keep_read(store, read_upload(settings, content, name, data), 0, owner)


def read_upload(settings: Settings, content: bytes, name: str, data: DataConfig) -> ReadUpload:
    """What a file of weights may be. Arguments and errors as of keep_upload()."""
    if len(content) > MAX_BYTES:
        raise UploadRefused(f"This file has {size_of_bytes(len(content))}; weights may have "
                            f"{size_of_bytes(MAX_BYTES, 0)} at most.")
    try:
        shape = outline(data, settings.data_dir).input_shape
    except DataError as error:
        raise UploadRefused(str(error)) from None
    with tempfile.TemporaryDirectory(prefix="playground-weights-") as folder_name:
        folder = Path(folder_name)
        found = _read(content, name, folder, shape)
        if found.get("mean"):  # a file that normalises its input itself
            data = _normalized(data, found["mean"], found["std"])
        config, meaning = _meaning(found, data, settings)
        try:
            weights = load_file(folder / "weights.safetensors")
        except (OSError, *UNREADABLE):
            raise UploadRefused("The file's weights could not be read. Save or download it again.") from None
    try:
        candidates = [Candidate(str(one["title"]), _network(one["model"])) for one in found.get("choices", [])]
    except ValueError as error:
        raise UploadRefused(f"This network can't be described here: {reason(error)}") from None
    read = ReadUpload(name, config, meaning, int(found["outputs"]), weights, tuple(map(str, found["notes"])),
                      tuple(candidates[1:] and candidates) or (Candidate("", config.model),))
    return with_accuracies(read, settings) if len(read.candidates) > 1 else read


def with_accuracies(read: ReadUpload, settings: Settings) -> ReadUpload:
    """Every candidate with its share of right answers on some test images, as far as the data are here and time allows."""
    try:
        # test images are the same whatever is held back
        test = load(read.config.data.model_copy(update={"validation": 1}), settings.data_dir, settings.cache_dir).test
        images, labels = test.take(torch.linspace(0, len(test) - 1, min(MOST_TRIED, len(test))).long())
    except (DataError, ConfigError):
        return read
    tried, start = [], time.monotonic()
    for place, one in enumerate(read.candidates):
        if place and time.monotonic() - start > SECONDS_OF_TRYING:
            tried.append(one)
            continue
        said = _trained(read, one).predict(images.float() / 255).argmax(1)
        tried.append(replace(one, accuracy=float((said == labels).float().mean())))
    return replace(read, candidates=tuple(tried), tried=len(labels))


def _trained(read: ReadUpload, one: Candidate) -> TrainedModel:
    """A candidate with the file's weights. Raises UploadRefused."""
    weights = renamed_for(one.model, read.meaning.input_shape, read.outputs, read.weights)
    if weights is None:
        raise UploadRefused("The file's weights do not fit the network that they were matched with.")
    network = build(one.model, read.meaning.input_shape, read.outputs).eval()
    network.load_state_dict(weights)
    config = read.config.model_copy(update={"model": one.model})
    return TrainedModel(config, read.meaning.classes, network, read.meaning.input_shape, read.meaning.mean, read.meaning.std, 0)


def keep_read(store: RunStore, read: ReadUpload, choice: int, owner: str) -> Upload:
    """Make a run of what was read. choice: place of the candidate that it is. Raises as keep_upload()."""
    one = read.candidates[choice]
    model = _trained(read, one)
    title = f"Uploaded: {plain_name(read.name, 40) or 'weights'}"
    run = store.create_running(model.config, owner, f"upload-{os.getpid()}", title)
    try:
        weights = model.model.state_dict()
        save_weights(store, run.id, model.config, read.meaning, Checkpoint(0, 0, weights))
        read_checkpoint(checkpoint_path(store, run.id))
        store.begin(run.id, Started(0, 0, sum(value.numel() for value in weights.values()), "cpu", "float32"))
        store.finish(run.id, "finished", "Brought here as a file of weights; how it was trained is not known.")
    except (CheckpointError, StoreError) as error:
        store.finish(run.id, "failed", "The upload could not be kept.")
        store.delete(run.id)
        raise UploadRefused(str(error)) from None
    said = "" if one.accuracy is None else \
        f"Taken for: {one.title}, {percent(one.accuracy, 1)} of {read.tried:,} test images right."
    notes = read.notes if choice == 0 else tuple(note for note in read.notes if "ReLU" not in note)
    return Upload(store.get(run.id), (*notes, *([said] if said else [])))


def _network(values: dict[str, Any]) -> ModelConfig:
    return RunConfig.model_validate({"model": values}).model


def _normalized(data: DataConfig, mean: list[float], std: list[float]) -> DataConfig:
    """The data with the numbers that a file normalises its input with. Raises UploadRefused."""
    values = data.model_dump() | {"normalization": "channels", "channel_mean": mean, "channel_std": std}
    try:
        return DataConfig.model_validate(values)
    except ValueError as error:
        raise UploadRefused(f"The file normalises its input with numbers that can't be taken here: {reason(error)}") from None


def _read(content: bytes, name: str, folder: Path, shape: tuple[int, ...]) -> dict[str, Any]:
    """What the process says of the file. Raises UploadRefused."""
    (folder / "upload").write_bytes(content)
    options = json.dumps({"file": str(folder / "upload"), "name": name, "folder": str(folder), "input_shape": shape})
    try:
        code = run(*configured("other", "core.weights.child", options), seconds=SECONDS, environment=ONE_THREAD)
    except subprocess.TimeoutExpired:
        raise UploadRefused("Reading this file takes too long, so it was stopped. Save its state_dict again.") from None
    try:
        found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UploadRefused(f"Reading this file failed (exit code {code}): it may be made to break programs, or need more memory "
                            "than an upload may take.") from None
    if refused := found.get("refused"):
        raise UploadRefused(refused)
    return found


def _meaning(found: dict, data: DataConfig, settings: Settings) -> tuple[RunConfig, Meaning]:
    """The run's config and what its outputs mean. Raises UploadRefused where they are not as many as the data's classes."""
    about, outputs = outline(data, settings.data_dir), int(found["outputs"])
    names = about.source_classes
    if outputs in (1, 2) and len(names) != outputs:
        if data.target >= len(names):
            raise UploadRefused(f"The target class is {data.target}; {about.title} has classes 0 to {len(names) - 1}.")
        data = data.model_copy(update={"task": "is_target"})
        classes: tuple[str, ...] = (f"not {names[data.target]}", names[data.target])
    elif outputs == len(names):
        data, classes = data.model_copy(update={"task": "classes"}), names
    else:
        raise UploadRefused(f"The network answers with {outputs:,} classes; {about.title} has {len(names)}. Choose the data set "
                            "that it learned from.")
    try:
        config = RunConfig.model_validate({"data": data.model_dump(), "model": found["model"], "training": TrainingConfig(
            loss="bce_with_logits" if outputs == 1 else "cross_entropy").model_dump()})
    except ValueError as error:
        raise UploadRefused(f"This network can't be described here: {reason(error)}") from None
    return config, Meaning(classes, about.input_shape, *_normalization(data, settings, about.input_shape[0]))


def _normalization(data: DataConfig, settings: Settings, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation that the config names. Raises UploadRefused where they need data that are not here."""
    try:
        if fixed := fixed_normalization(data, channels):
            return fixed
        loaded = load(data, settings.data_dir, settings.cache_dir)
        return loaded.mean, loaded.std
    except (DataError, ConfigError) as error:
        if data.dataset in KNOWN:
            mean, std = KNOWN[data.dataset]
            return (mean,), (std,)
        raise UploadRefused(f"Its normalisation can't be worked out: {error}") from None
