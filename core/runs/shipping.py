"""Making what comes with the app: one training, whose weights become the shipped model, and whose looks the shipped recording.

What tells digits from other marks beside the model is learned after it.
"""

import json
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save as safetensors_save

from core.config import RunConfig
from core.data import Dataset, load
from core.evaluation.ood.score import learn_reference
from core.files import write_atomically
from core.presets import PRESETS
from core.runs.checkpoints import checkpoint_path, load_model, read_tensors
from core.runs.execute import execute
from core.runs.recording import RECORDING, record, recording_bytes
from core.runs.records import Run
from core.runs.shipped import JUDGE, MODEL, ShippedError
from core.runs.store import RunStore
from core.settings import Settings
from core.version import TORCH_VERSION

PRESET = PRESETS["digits-quick"]  # the one that needs no download
# With one thread and no other number format, the same machine makes the same weights to the last bit.
FIXED = {"training.threads": 1, "training.device": "cpu", "training.precision": "float32"}


def shipped_config() -> RunConfig:
    """What the shipped model is trained with."""
    return PRESET.config.with_values(FIXED)


def train_shipped(store: RunStore, settings: Settings) -> tuple[Run, Dataset]:
    """Train it here, as any run is trained that somebody watches; the run and its data. Raises ShippedError where it fails."""
    config = shipped_config()
    data = load(config.data, settings.data_dir, settings.cache_dir)
    watched = data.test.images[data.test.rows[:1]].float() / 255  # looks at the ten examples are taken beside a watched image
    run = execute(store, store.create_running(config, "command line", "foreground", PRESET.title, watch=watched),
                  replace(settings, sink=""))  # a run of this app's own
    if run.status != "finished":
        raise ShippedError(f"The training has {run.status}: {run.message}")
    return run, data


def write_shipped(store: RunStore, run: Run, data: Dataset, folder: Path) -> list[Path]:
    """Write the model, its judge and the recording of a finished run; all files. Raises OSError, ShippedError."""
    contents = {MODEL: model_bytes(store, run, data), JUDGE: judge_bytes(store, run, data),
                RECORDING: recording_bytes(record(store, run, data))}
    for name, content in contents.items():
        write_atomically(folder / name, lambda file, content=content: file.write(content))
    return [folder / name for name in contents]


def model_bytes(store: RunStore, run: Run, data: Dataset) -> bytes:
    """The run's checkpoint and what people are told of it: what core.runs.shipped.first_model() reads."""
    weights, about = read_tensors(checkpoint_path(store, run.id))
    originals = len(data.train) // (1 + run.config.data.variations)
    about |= {"title": data.title, "images": originals, "test_accuracy": run.test_accuracy, "torch": TORCH_VERSION}
    return safetensors_save(weights, metadata={"about": json.dumps(about)})


def judge_bytes(store: RunStore, run: Run, data: Dataset) -> bytes:
    """What tells digits from other marks beside the run's model: what core.runs.shipped.first_judge() reads."""
    judge = learn_reference(load_model(store, run.id).model, data, run.config.data.variations).judge
    assert judge is not None  # gray strokes, and enough of them
    return safetensors_save(judge.tensors(), metadata={"about": json.dumps({"of": MODEL})})
