"""A run in every form that it can be taken away in, and back from a bundle.

    subject = Subject(store, store.get(run_id), settings)
    Path("network.onnx").write_bytes(take(subject, "onnx"))
"""

from collections.abc import Callable
from dataclasses import dataclass

from core.data import DataError
from core.errors import reason
from core.export import ExportError, config_file, script, state_dict_file, weights_file
from core.export.start_code import START
from core.fields import ConfigError
from core.importing.bundle import METRICS
from core.models import ModelError
from core.runs import CheckpointError
from core.takeaway.brought_back import bring_back
from core.takeaway.bundle import core_files, write_bundle
from core.takeaway.charts import charts_zip
from core.takeaway.event_files import event_zip
from core.takeaway.exported_program import exported_program
from core.takeaway.metrics_table import metrics_csv
from core.takeaway.model_card import card
from core.takeaway.notebooks import NEEDS as NOTEBOOK_NEEDS
from core.takeaway.notebooks import notebook
from core.takeaway.onnx_writer import NEEDS as ONNX_NEEDS
from core.takeaway.onnx_writer import onnx_file
from core.takeaway.parts import Options, Subject, TakeawayError, missing

REFUSALS = (CheckpointError, ConfigError, DataError, ExportError, ModelError, TakeawayError)
NO_NOTEBOOK = "a notebook trains as it is made: python -m core export RUN --to notebook"


@dataclass(frozen=True)
class Kind:
    """One form.

    about: one line for people. mime: of a download. needs: packages of requirements-export.txt. weights: whether it is of the
    weights, which a run may not have kept. text: whether it can be shown on a screen. own_process: whether a server makes it in
    a process of its own, as it loads much of PyTorch, sets what holds for a whole process, or trains.
    """

    title: str
    ending: str
    mime: str
    about: str
    make: Callable[[Subject], bytes]
    needs: tuple[str, ...] = ()
    weights: bool = False
    text: bool = False
    own_process: bool = False
    file: str = ""  # its name in a bundle


def _script(subject: Subject) -> bytes:
    by_hand = subject.store.interventions(subject.run.id)
    return script(subject.run.config, subject.settings.data_dir, subject.options.fast, by_hand).encode()


def _config(subject: Subject) -> bytes:
    return config_file(subject.run.config, subject.store.interventions(subject.run.id))


def _pth(subject: Subject) -> bytes:
    return weights_file(subject.trained)


def _start(subject: Subject) -> bytes:
    return state_dict_file(subject.start_weights())


def _bundle(subject: Subject) -> bytes:
    """What can be made of the run now; bundle.json says of the rest why it is not there."""
    files, left_out = core_files(subject), {"notebook": NO_NOTEBOOK}
    for name, kind in KINDS.items():
        if not kind.file or kind.file in files or name == "start" and not subject.needs_start:
            continue
        try:
            files[kind.file] = take(subject, name)
        except REFUSALS as error:
            left_out[name] = reason(error)
    return write_bundle(files, left_out)


def why_not(subject: Subject, name: str) -> str:
    """Why a kind can't be made of a run, as far as it is known beforehand: one line; "" if it may be."""
    kind = KINDS[name]
    if kind.weights and subject.run.is_active:
        return "The run is still going, so its weights change; wait until it has ended."
    if kind.weights and not subject.has_weights:
        return "The run has kept no weights: it ended before its first epoch did."
    return missing(kind.needs)


def take(subject: Subject, name: str) -> bytes:
    """A run as a file of a kind (a name in KINDS).

    Raises one of REFUSALS, with one line, where it can't be made.
    """
    if line := why_not(subject, name):
        raise TakeawayError(line)
    return KINDS[name].make(subject)


def file_name(subject: Subject, name: str) -> str:
    """What the file is called: cnn-1a2b3c4d.onnx, cnn-1a2b3c4d-charts.zip; what a script reads, as that asks for it. Each kind's
    name is another one."""
    if name == "start":
        return START
    return f"{subject.run.config.model.architecture}-{subject.run.id[:8]}{KINDS[name].ending}"


OCTETS = "application/octet-stream"
KINDS: dict[str, Kind] = {
    "script": Kind("Training script", ".py", "text/x-python", "The whole run in plain PyTorch, in one file.", _script, text=True,
                   file="train.py"),
    "notebook": Kind("Notebook, executed", ".ipynb", "application/x-ipynb+json", "The script as a notebook. It is run as it is "
                     "made, which takes about as long as the run did, and says how its curve compares with the run's.", notebook,
                     NOTEBOOK_NEEDS, text=True, own_process=True),
    "pth": Kind("Weights for PyTorch", ".pth", OCTETS, "A state_dict as torch.save writes it: "
                "model.load_state_dict(torch.load(file, weights_only=True)).", _pth, weights=True, file="weights.pth"),
    "start": Kind("Weights it started with", ".pth", OCTETS, "The same from before the first step. The script of a run that "
                  "started from another one's weights reads this file, which must lie in the same folder.", _start, file=START),
    "safetensors": Kind("Weights as safetensors", ".safetensors", OCTETS, "The same weights in a format that can't run code; "
                        "settings, classes and normalisation are in its metadata.", Subject.checkpoint, weights=True,
                        file="checkpoint.safetensors"),
    "onnx": Kind("ONNX", ".onnx", OCTETS, "The network for other programs and languages, with any number of examples at once; "
                 "checked with onnxruntime on 100 inputs.", onnx_file, ONNX_NEEDS, weights=True, own_process=True,
                 file="model.onnx"),
    "torch-export": Kind("torch.export program", ".pt2", OCTETS, "The network as a program of PyTorch that needs no class: "
                         "torch.export.load(file).module().", exported_program, weights=True, own_process=True, file="model.pt2"),
    "csv": Kind("Metrics as a table", ".csv", "text/csv", "Every recorded value: a row for each step, a column for each metric.",
                metrics_csv, text=True, file=METRICS),
    "charts": Kind("Charts as PNG and SVG", "-charts.zip", "application/zip", "Every curve, and the confusion matrix of the test "
                   "data: each as PNG and as SVG.", charts_zip, own_process=True, file="charts.zip"),
    "tensorboard": Kind("TensorBoard's files", "-tensorboard.zip", "application/zip", "Every metric as event files: unpack, then "
                        "tensorboard --logdir on the folder.", event_zip, file="tensorboard.zip"),
    "config": Kind("Settings", ".json", "application/json", "Everything needed to repeat this run here.", _config, text=True),
    "card": Kind("Model card", ".md", "text/markdown", "What it is, what it learned from, how good it is and where that ends, as "
                 "Markdown with Hugging Face's metadata.", card, text=True, file="README.md"),
    "bundle": Kind("Everything in one zip", ".zip", "application/zip", "All that can be made of the run, with checksums. It can "
                   "be brought back here, or with python -m core import FILE.", _bundle, own_process=True),
}

__all__ = ["KINDS", "REFUSALS", "Kind", "Options", "Subject", "TakeawayError", "bring_back", "file_name", "take", "why_not"]
