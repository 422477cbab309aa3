"""Saving and loading: what is in the files, what is refused, what does not fit, and what a forgotten eval() does."""

import io
import json
import math
import re
import zipfile
from dataclasses import dataclass

import torch
from safetensors.torch import save as safetensors_save
from torch import Tensor, nn

from core.weights.file import TensorRow, WeightsRefused, WeightsReport, read_weights, rows_of
from core.weights.pickle import names_in

__all__ = ["MISFITS", "Entry", "Forgetting", "Refusal", "SavedFile", "TensorRow", "WeightsRefused", "WeightsReport",
           "forget_eval", "misfit", "network", "read_weights", "refused_pickle", "saved_files", "saving_code", "state_rows"]

INPUTS, HIDDEN, CLASSES = 4, 8, 3
MARKER = "this text would have been printed by the file itself"


def network(dropout: float = 0.5, batch_norm: bool = True, hidden: int = HIDDEN) -> nn.Sequential:
    """4-8-3 with batch norm and dropout, from a fixed seed; small enough that every number fits on a page."""
    first, last = nn.Linear(INPUTS, hidden), nn.Linear(hidden, CLASSES)
    model = nn.Sequential(first, nn.BatchNorm1d(hidden) if batch_norm else nn.Identity(), nn.ReLU(), nn.Dropout(dropout), last)
    # as nn.Linear does after torch.manual_seed(0), but with a generator of our own: sessions share the global one
    generator = torch.Generator().manual_seed(0)
    for layer in (first, last):
        nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
        bound = layer.in_features ** -0.5
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return model


def state_rows(model: nn.Module) -> list[TensorRow]:
    """A network's state_dict as rows of a table."""
    return rows_of(model.state_dict())


# --- files


@dataclass(frozen=True)
class Entry:
    """One entry of an archive. about: what it is for."""

    name: str
    size: int
    about: str


@dataclass(frozen=True)
class SavedFile:
    """A network saved in one way. names: what its pickle asks Python for; header: a safetensors file's, as text, else empty."""

    title: str
    code: str
    content: bytes
    entries: list[Entry]
    names: list[str]
    header: str = ""


def saved_files(model: nn.Module) -> dict[str, SavedFile]:
    """The same network as a state_dict, as a whole object, and as safetensors; "weights", "object" and "safetensors"."""
    weights = model.state_dict()
    safe = safetensors_save(weights)
    length = int.from_bytes(safe[:8], "little")
    header = json.dumps(json.loads(safe[8:8 + length]), indent=1)
    return {
        "weights": _archive("Weights (state_dict)", 'torch.save(model.state_dict(), "weights.pth")',
                            _saved(weights, "weights.pth")),
        "object": _archive("The whole object", 'torch.save(model, "model.pth")', _saved(model, "model.pth")),
        "safetensors": SavedFile("safetensors", 'safetensors.torch.save_file(model.state_dict(), "weights.safetensors")', safe, [
            Entry("length", 8, "how long the header is"), Entry("header", length, "names, formats, shapes and places, as JSON"),
            Entry("numbers", len(safe) - 8 - length, "all tensors, one after the other")], [], header),
    }


def _saved(what: object, name: str) -> bytes:
    file = io.BytesIO()
    file.name = name  # torch.save names the folder in the archive after the file
    torch.save(what, file)
    return file.getvalue()


def _archive(title: str, code: str, content: bytes) -> SavedFile:
    archive = zipfile.ZipFile(io.BytesIO(content))
    entries = [Entry(info.filename, info.file_size, _entry_about(info.filename.partition("/")[2])) for info in archive.infolist()]
    pickle = next(entry.name for entry in entries if entry.name.endswith("/data.pkl"))
    return SavedFile(title, code, content, entries, names_in(archive.read(pickle)))


def _entry_about(name: str) -> str:
    if name.startswith("data/"):
        return "the numbers of one tensor"
    return {"data.pkl": "a pickle: names, shapes, and which numbers belong to which",
            "byteorder": "order of the bytes in a number",
            "version": "version of the format", ".format_version": "version of the archive",
            ".storage_alignment": "where numbers may begin", ".data/serialization_id": "a checksum of the rest"}.get(name, "")


# --- a refused pickle


@dataclass(frozen=True)
class Refusal:
    """What happened on loading. names: what the file asks Python for; message: PyTorch's own; ours: this page's line."""

    content: bytes
    names: list[str]
    message: str
    ours: str


class _Trick:
    """An object whose pickle says: to rebuild me, call print. A real attack would say os.system."""

    def __reduce__(self) -> tuple:
        return print, (MARKER,)


def refused_pickle() -> Refusal:
    """Write a file that asks for a function call, and let torch.load(weights_only=True) refuse it. Nothing in it runs."""
    content = _saved({"weight": _Trick()}, "weights.pth")
    names = _archive("", "", content).names
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:  # pickle.UnpicklingError, whose module nothing in here imports
        message = re.sub(r"\x1b\[\d*m", "", str(error))  # without the terminal's colours
    else:
        raise AssertionError("torch.load(weights_only=True) has loaded a pickle that asks for print")
    try:
        read_weights(content, "weights.pth")
    except WeightsRefused as refusal:
        ours = str(refusal)
    return Refusal(content, names, message, ours)


# --- weights that do not fit


@dataclass(frozen=True)
class Misfit:
    """A way in which weights don't fit, with the line that mends it."""

    title: str
    about: str
    mend: str


MISFITS: dict[str, Misfit] = {
    "missing": Misfit("A layer is missing", "The network has a layer that the file knows nothing of: it was built with another "
                      "number of layers than the one that was saved.",
                      "Build the network as it was when it was saved. To keep what fits, strict=False leaves the rest at its "
                      "random first values."),
    "unexpected": Misfit("A layer too many", "The file has numbers for a layer that this network does not have.",
                         "Build the network as it was when it was saved; strict=False would drop those numbers."),
    "shape": Misfit("Another width", "The names fit and the shapes don't: the saved network had another number of units. "
                    "strict=False does not help here.",
                    "Make the layer as wide as in the file: the first number of its weight's shape."),
    "prefix": Misfit("A name in front", "The same weights, but every name begins with “module.”: they were saved from inside "
                     "nn.DataParallel. torch.compile puts “_orig_mod.” there.",
                     'weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}'),
}


def misfit(kind: str) -> str:
    """load_state_dict's real message for one of MISFITS. Raises KeyError for another kind."""
    weights = dict(network().state_dict())
    target: nn.Module = network()
    match kind:
        case "missing":
            weights = {name: tensor for name, tensor in weights.items() if not name.startswith("4.")}
        case "unexpected":
            weights |= {"5.weight": torch.zeros(CLASSES, CLASSES), "5.bias": torch.zeros(CLASSES)}
        case "shape":
            target = network(hidden=2 * HIDDEN)
        case "prefix":
            weights = {f"module.{name}": tensor for name, tensor in weights.items()}
        case _:
            raise KeyError(kind)
    try:
        target.load_state_dict(weights)
    except RuntimeError as error:
        return str(error)
    raise AssertionError(f"load_state_dict has taken weights that do not fit: {kind}")


# --- eval() forgotten


@dataclass(frozen=True)
class Forgetting:
    """The same example asked several times.

    answers: (times, CLASSES) probabilities; spread: largest difference between any two answers for the same class;
    drift: how far batch norm's running mean has moved, largest over units, without any training.
    """

    answers: Tensor
    spread: float
    drift: float


def forget_eval(training: bool, dropout: float = 0.5, batch_norm: bool = True, times: int = 5, seed: int = 0) -> Forgetting:
    """Ask a network for the same example `times` times, each time in a batch with seven others.

    Args:
        training: leave the network in training mode, as it is without eval().
        dropout: probability, 0 for none. batch_norm: whether it has that layer.
    """
    model = network(dropout, batch_norm).train(training)
    before = {name: value.clone() for name, value in model.named_buffers()}
    generator = torch.Generator().manual_seed(seed)
    example = torch.randn(1, INPUTS, generator=generator)
    answers = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for _ in range(times):
            others = torch.randn(7, INPUTS, generator=generator)
            answers.append(model(torch.cat([example, others])).softmax(1)[0])
    moved = [float((value - before[name]).abs().max()) for name, value in model.named_buffers() if "mean" in name]
    stacked = torch.stack(answers)
    return Forgetting(stacked, float((stacked.amax(0) - stacked.amin(0)).max()), max(moved, default=0.0))


CODE = '''import torch
from torch import nn


def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), {norm}, nn.ReLU(), nn.Dropout({dropout}), nn.Linear(8, 3))


# Save the weights, not the object
model = build()
torch.save(model.state_dict(), "weights.pth")

# Load them into a network built by the same code
again = build()
again.load_state_dict(torch.load("weights.pth", weights_only=True))
for name, tensor in again.state_dict().items():
    print(f"{{name}}: {{tuple(tensor.shape)}} {{tensor.dtype}}, {{tensor.numel() * tensor.element_size()}} bytes")

# The same example five times, each time among seven others
again.{mode}()
generator = torch.Generator().manual_seed(0)
example = torch.randn(1, 4, generator=generator)
torch.manual_seed(0)
with torch.no_grad():
    for _ in range(5):
        others = torch.randn(7, 4, generator=generator)
        print([round(p, 4) for p in again(torch.cat([example, others])).softmax(1)[0].tolist()])

# The same without a pickle (pip install safetensors)
from safetensors.torch import load_file, save_file

save_file(model.state_dict(), "weights.safetensors")
again.load_state_dict(load_file("weights.safetensors"))
'''


def saving_code(training: bool, dropout: float = 0.5, batch_norm: bool = True) -> str:
    """A script that saves, loads and asks as the page does; writes two files where it is started."""
    return CODE.format(norm="nn.BatchNorm1d(8)" if batch_norm else "nn.Identity()", dropout=float(dropout),
                       mode="train" if training else "eval")
