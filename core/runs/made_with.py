"""What a run was made with: versions, machine and data, written beside its weights as it starts and as it ends.

It decides nothing: whoever compares two curves, or repeats a run elsewhere, reads it.
"""

import json
import os
import platform
import time
from contextlib import suppress
from typing import Any

import torch

from core.data import Dataset
from core.evaluation import fingerprint
from core.files import write_atomically
from core.runs.store import RunStore
from core.version import VERSION

FILE = "made_with.json"
MOST_BYTES = 200_000  # of a file that is read
SPLITS = ("train", "validation", "test")


def note_start(store: RunStore, run_id: str, step: int, device: torch.device, taken_over: str = "") -> None:
    """Write down what a run starts with, or goes on with at `step`. A full disk costs the note, not the run.

    taken_over: which weights it does not draw itself, in one line.
    """
    before = read_made_with(store, run_id).get("starts")
    starts = before if step and isinstance(before, list) else []
    now = {"step": step, "time": round(time.time()), **environment(device)} | ({"taken_over": taken_over} if taken_over else {})
    _write(store, run_id, {"starts": [*starts, now]})


def note_data(store: RunStore, run_id: str, data: Dataset) -> None:
    """Add what exactly was learned from and tested on: how many examples, and core.evaluation.fingerprint() of each split."""
    splits = {name: data.split(name) for name in SPLITS}
    found = {name: {"examples": len(split), "fingerprint": fingerprint(split)} for name, split in splits.items() if len(split)}
    if before := read_made_with(store, run_id):  # a run that was deleted meanwhile must not come back as a folder
        _write(store, run_id, before | {"data": found})


def environment(device: torch.device) -> dict[str, Any]:
    """Versions and the kind of machine; nothing that names one."""
    return {"torch_playground": VERSION, "torch": torch.__version__, "python": platform.python_version(),
            "system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count() or 0,
            "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else ""}


def read_made_with(store: RunStore, run_id: str) -> dict[str, Any]:
    """What was written down; {} for a run of an earlier version, or where the file is damaged. Raises RunNotFound for what is
    no id."""
    with suppress(OSError, ValueError, RecursionError):
        with (store.folder(run_id) / FILE).open("rb") as file:
            found = json.loads(file.read(MOST_BYTES))
        if isinstance(found, dict):
            return found
    return {}


def keep_made_with(store: RunStore, run_id: str, found: dict[str, Any]) -> None:
    """Keep what another store wrote down of a run that is brought here. Raises NotYours."""
    store.check_change(run_id)
    _write(store, run_id, found)


def _write(store: RunStore, run_id: str, found: dict[str, Any]) -> None:
    content = json.dumps(found).encode()
    with suppress(OSError):
        write_atomically(store.folder(run_id) / FILE, lambda file: file.write(content), durable=False)
