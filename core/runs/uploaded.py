"""Weights from elsewhere become a run: checked and matched by a process with limits, then used on every page like any other."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from core.config import DataConfig, RunConfig, TrainingConfig
from core.data import DataError, fixed_normalization, load, outline
from core.errors import reason
from core.fields import ConfigError
from core.importing.names import plain_name
from core.process import configured
from core.runs.checkpoints import UNREADABLE, CheckpointError, Meaning, checkpoint_path, read_checkpoint, save_weights
from core.runs.database import StoreError
from core.runs.records import Run
from core.runs.store import RunStore
from core.settings import Settings
from core.subprocesses import ONE_THREAD, run
from core.training import Checkpoint, Started
from core.weights.file import MAX_BYTES
from core.wording import size_of_bytes

SECONDS = 90.0  # by the clock
KNOWN = {"mnist": (0.1306604762738429, 0.30810780717887876)}  # of all 60,000, for who has not downloaded them


class UploadRefused(ValueError):
    """Weights that can't be used; the message is one line that says why."""


@dataclass(frozen=True)
class Upload:
    """What became of a file. notes: what the file could not say and was taken for granted, a line each."""

    run: Run
    notes: tuple[str, ...]


def keep_upload(store: RunStore, settings: Settings, content: bytes, name: str, data: DataConfig, owner: str) -> Upload:
    """Make a run of a .pth state_dict or a .safetensors file.

    Args:
        content: the whole file, of unknown origin. name: the file's.
        data: what it learned from: data set, normalisation, and the target class, should it have a single answer.
        owner: who brings it.

    Raises:
        UploadRefused: with one line; nothing is kept then. StoreError: the runs folder can't be written to.
    """
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
        config, meaning = _meaning(found, data, settings)
        try:
            weights = load_file(folder / "weights.safetensors")
        except (OSError, *UNREADABLE):
            raise UploadRefused("The file's weights could not be read. Save or download it again.") from None
    run = store.create_running(config, owner, f"upload-{os.getpid()}", f"Uploaded: {plain_name(name, 40) or 'weights'}")
    try:
        save_weights(store, run.id, config, meaning, Checkpoint(0, 0, weights))
        read_checkpoint(checkpoint_path(store, run.id))
        store.begin(run.id, Started(0, 0, sum(value.numel() for value in weights.values()), "cpu", "float32"))
        store.finish(run.id, "finished", "Brought here as a file of weights; how it was trained is not known.")
    except (CheckpointError, StoreError) as error:
        store.finish(run.id, "failed", "The upload could not be kept.")
        store.delete(run.id)
        raise UploadRefused(str(error)) from None
    return Upload(store.get(run.id), tuple(map(str, found["notes"])))


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
