"""A bundle becomes a run again: read by a process with limits and no torch, checked here, kept under a new id."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from core.config import RunConfig, read_config
from core.errors import reason
from core.fields import ConfigError
from core.importing.bundle import CONFIG, METRICS, MOST_BYTES, WEIGHTS, finite
from core.runs import Metric, Run, RunNotFound, RunStore, StoreError
from core.runs.checkpoints import CheckpointError, Meaning, checkpoint_path, read_checkpoint, save_weights
from core.runs.made_with import keep_made_with
from core.subprocesses import ONE_THREAD, run
from core.takeaway.parts import TakeawayError
from core.trained_model import TrainedModel
from core.training import Checkpoint, Intervention, InterventionError, Started
from core.training.by_hand import check_edit
from core.wording import size_of_bytes

SECONDS = 120.0  # by the clock
ENDED = ("finished", "stopped", "failed", "interrupted")
MOST_TITLE, MOST_CHANGES = 200, 20_000
COUNT = 10**12


def bring_back(store: RunStore, content: bytes | Path, owner: str) -> Run:
    """Keep a bundle's run under a new id, as one that was brought here.

    Args:
        content: the bundle, a file or its bytes, of unknown origin.

    Raises:
        TakeawayError: with one line; nothing is kept then. StoreError: the runs folder can't be written to.
    """
    size = _size(content)
    if size > MOST_BYTES:
        raise TakeawayError(f"This file has {size_of_bytes(size)}; a bundle may have {size_of_bytes(MOST_BYTES, 0)} at most.")
    with tempfile.TemporaryDirectory(prefix="playground-bundle-") as name:
        folder = Path(name)
        found = _read(content, folder)
        try:
            config = read_config((folder / CONFIG).read_bytes())
        except ConfigError as error:
            raise TakeawayError(f"The bundle's settings can't be used: it was written by Torch Playground "
                                f"{found['version'] or 'of unknown version'}. {error}") from None
        about = _checked(found["run"])
        trained = _weights(folder, config) if WEIGHTS in found["has"] else None
        metrics = _metrics(folder, found["metrics"]) if METRICS in found["has"] else []
        by_hand = _changes(about["record"], about["steps"] or 0, config, trained)
    return _keep(store, owner, config, about, trained, metrics, by_hand, str(found["version"]))


def _size(content: bytes | Path) -> int:
    try:
        return content.stat().st_size if isinstance(content, Path) else len(content)
    except OSError as error:
        raise TakeawayError(f"{content} can't be read: {error.strerror or reason(error)}.") from None


def _read(content: bytes | Path, folder: Path) -> dict[str, Any]:
    """What the process says of the bundle. Raises TakeawayError."""
    path = content if isinstance(content, Path) else folder / "upload.zip"
    try:
        if isinstance(content, bytes):
            path.write_bytes(content)
        code = run("core.importing.bundle", json.dumps({"file": str(path.absolute()), "folder": str(folder)}), seconds=SECONDS,
                   environment=ONE_THREAD)
    except subprocess.TimeoutExpired:
        raise TakeawayError("Reading this bundle takes too long, so it was stopped.") from None
    except OSError as error:
        raise TakeawayError(f"The bundle can't be read: {error.strerror or reason(error)}.") from None
    try:
        found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise TakeawayError(f"Reading this bundle failed (exit code {code}): it may be made to break programs, or need more "
                            "memory than a bundle may take.") from None
    if refused := found.get("refused"):
        raise TakeawayError(refused)
    return found


def _checked(about: dict[str, Any]) -> dict[str, Any]:
    """run.json's values, each in its bounds. Raises TakeawayError that names the first one that is not."""
    whole = {"steps_per_epoch", "steps", "step", "epoch", "parameters"}
    bounds = {**dict.fromkeys(whole, (0, COUNT)), "seconds": (0, COUNT), "validation_accuracy": (0, 1), "test_accuracy": (0, 1),
              "test_loss": (-COUNT, COUNT)}
    found: dict[str, Any] = {}
    for name, (low, high) in bounds.items():
        value = about.get(name)
        if value is not None and not (finite(value, low, high) and (name not in whole or isinstance(value, int))):
            raise TakeawayError(f"The bundle's run.json says {name} {str(value)[:40]!r}, which can't be.")
        found[name] = value
    if about.get("status") not in ENDED:
        raise TakeawayError(f"The bundle's run.json says status {str(about.get('status'))[:40]!r}; only runs that have ended are "
                            "brought back.")
    record = about.get("record")
    return found | {"status": about["status"], "record": record if isinstance(record, dict) else {}, **{
        name: " ".join(plain_text(about.get(name)).split())[:longest] for name, longest in
        (("id", 32), ("title", MOST_TITLE), ("message", 500), ("device", 20), ("precision", 20))}}


def plain_text(value: object) -> str:
    """A text's printable signs; "" for what is none."""
    return "".join(c if c.isprintable() else " " for c in value) if isinstance(value, str) else ""


def _weights(folder: Path, config: RunConfig) -> TrainedModel:
    """Raises TakeawayError where they are no weights of that run."""
    try:
        trained = read_checkpoint(folder / WEIGHTS)
    except CheckpointError as error:
        line = str(error).replace(str(folder / WEIGHTS), WEIGHTS).replace(" Train the run again.", "")
        raise TakeawayError(f"The bundle's weights can't be used: {line}") from None
    if trained.config != config:
        raise TakeawayError("The bundle is refused: its weights are those of a run with other settings.")
    trained.model.load_state_dict({name: value.clone() for name, value in trained.model.state_dict().items()}, assign=True)
    return trained  # in memory: the folder is about to go


def _metrics(folder: Path, names: list[str]) -> list[Metric]:
    with np.load(folder / "metrics.npz", allow_pickle=False) as arrays:
        return [Metric(name, step, value) for number, name in enumerate(names)
                for step, value in zip(arrays[f"steps{number}"].tolist(), arrays[f"values{number}"].tolist(), strict=True)]


def _changes(record: dict[str, Any], steps: int, config: RunConfig, trained: TrainedModel | None) -> list[Intervention]:
    """What was changed by hand: of weights only where there is the network that has them. A script repeats these, so each must
    be what could have been done here. Raises TakeawayError."""
    rows = record.get("changed_by_hand", [])
    found: list[Intervention] = []
    try:
        if not isinstance(rows, list) or len(rows) > MOST_CHANGES:
            raise InterventionError(f"they are no list of at most {MOST_CHANGES:,}")
        for row in rows:
            step, what, before, after = (row[name] for name in ("step", "what", "before", "after"))
            last, number = found[-1].step if found else 0, len(found) + 1
            if not (finite(step, last, steps) and isinstance(step, int) and finite(before, -COUNT, COUNT)):
                raise InterventionError(f"{str(row)[:80]!r} can't be")
            if what == "learning_rate" and before > 0 and finite(after, 0, COUNT):
                config.with_values({"training.optimizer.learning_rate": float(after)})
                found.append(Intervention(number, step, what, float(before), float(after)))
            elif what == "weight" and trained is not None:
                edit = check_edit(trained.model, row["layer"], row["row"], row.get("column"), after)
                found.append(Intervention(number, step, what, float(before), edit.value, edit.layer, edit.row, edit.column))
            elif what != "weight":
                raise InterventionError(f"{str(row)[:80]!r} can't be")
    except (InterventionError, ConfigError, LookupError, TypeError) as error:
        raise TakeawayError(f"The bundle's changes by hand can't be used: {plain_text(reason(error))[:200]}") from None
    return found


def _keep(store: RunStore, owner: str, config: RunConfig, about: dict[str, Any], trained: TrainedModel | None,
          metrics: list[Metric], by_hand: list[Intervention], version: str) -> Run:
    title = f"Brought in: {about['title'] or about['id'][:8] or 'a run'}"
    made = store.create_running(config, owner, f"bundle-{os.getpid()}", title)
    try:
        if trained is not None:
            meaning = Meaning(trained.classes, trained.input_shape, trained.mean, trained.std)
            save_weights(store, made.id, config, meaning, Checkpoint(about["epoch"] or 0, about["step"] or 0, {
                name: value.contiguous() for name, value in trained.model.state_dict().items()}))
            read_checkpoint(checkpoint_path(store, made.id))
        parameters = about["parameters"] if trained is None else sum(p.numel() for p in trained.model.parameters())
        store.begin(made.id, Started(about["steps_per_epoch"] or 0, about["steps"] or 0, parameters or 0, about["device"],
                                     about["precision"]))
        progress = {name: about[name] for name in ("step", "epoch", "validation_accuracy") if about[name] is not None}
        store.record(made.id, metrics, interventions=by_hand, **progress)
        record = about["record"]
        keep_made_with(store, made.id, {"starts": record.get("starts", []), "data": record.get("data", {}), "brought": {
            "run": about["id"], "version": version}})
        said = f" It ended with: {about['message']}" if about["message"] else ""
        store.finish(made.id, about["status"], f"Brought here as a bundle; its figures are what the bundle says.{said}",
                     about["test_accuracy"], about["test_loss"], about["seconds"])
        return store.get(made.id)
    except (CheckpointError, StoreError, RunNotFound) as error:
        store.finish(made.id, "failed", "The bundle could not be kept.")
        store.delete(made.id)
        raise TakeawayError(str(error)) from None
