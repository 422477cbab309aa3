"""A run as one zip of all that is available of it, with checksums: to keep, to hand on, and to bring back."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from math import isfinite

from core.export import config_file
from core.importing.bundle import ABOUT, CHECKSUMS, CONFIG, FORMAT, RUN, WEIGHTS
from core.takeaway.parts import Subject
from core.takeaway.record import record_of
from core.version import VERSION

TEXTS = (".md", ".json", ".csv", ".py")  # what is worth packing
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every entry: the same run gives the same bytes


def write_bundle(files: Mapping[str, bytes], left_out: Mapping[str, str]) -> bytes:
    """A zip of files by name, with bundle.json, which says what was left out and why, and SHA256SUMS over all of them."""
    about = {"torch_playground_bundle": FORMAT, "version": VERSION, "left_out": dict(left_out)}
    whole = {**files, ABOUT: json.dumps(about, indent=2, ensure_ascii=False).encode()}
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in whole.items())
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {**whole, CHECKSUMS: sums.encode()}.items():
            info = zipfile.ZipInfo(name, EPOCH)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED if name.endswith(TEXTS) else zipfile.ZIP_STORED
            archive.writestr(info, content)
    return file.getvalue()


def run_json(subject: Subject) -> bytes:
    """What the store knows of a run besides its settings and metrics, as plain JSON."""
    run = subject.run
    return json.dumps({
        "id": run.id, "title": run.title, "status": run.status, "message": run.message, "created": run.created,
        "seconds": run.seconds, "steps_per_epoch": run.steps_per_epoch, "steps": run.steps, "step": run.step, "epoch": run.epoch,
        "parameters": run.parameters, "device": run.device, "precision": run.precision,
        "validation_accuracy": run.validation_accuracy, "test_accuracy": run.test_accuracy,
        "test_loss": finite(run.test_loss), "record": record_of(subject.store, run)}, indent=2, ensure_ascii=False).encode()


def finite(value: float | None) -> float | None:
    """JSON has no word for NaN and infinity."""
    return value if value is not None and isfinite(value) else None


def core_files(subject: Subject) -> dict[str, bytes]:
    """What is needed to bring a run back: its settings and its record, and its weights where it has kept any."""
    files = {CONFIG: config_file(subject.run.config, subject.store.interventions(subject.run.id)), RUN: run_json(subject)}
    if subject.has_weights:
        files[WEIGHTS] = subject.checkpoint()
    return files

