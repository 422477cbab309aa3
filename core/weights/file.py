"""A person's own .pth or .safetensors file, checked before anything in it is believed."""

import io
import json
import re
import struct
import zipfile
from dataclasses import dataclass
from math import prod

import safetensors
import torch
from safetensors.torch import load as safetensors_load
from torch import Tensor

from core.weights.pickle import PickleRefused, TensorRef, describe_pickle
from core.wording import size_of_bytes

MAX_BYTES = 50_000_000
MAX_PICKLE, MAX_HEADER = 2_000_000, 2_000_000  # bytes of the list of tensors
MAX_TENSORS = 10_000
MAX_DIMENSIONS = 16
ALLOWED = (torch.float32, torch.float16, torch.bfloat16, torch.int64)  # int64: batch norm counts its batches
NESTED = ("state_dict", "model_state_dict", "model")  # where training scripts put the weights


class WeightsRefused(ValueError):
    """A file that is not used; the message is one line that says why and what to do."""


@dataclass(frozen=True)
class TensorRow:
    """One tensor. first: its first values, four at most; size: bytes of all its numbers."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    first: tuple[float, ...]
    size: int


@dataclass(frozen=True)
class WeightsReport:
    """What a file holds. kind: "PyTorch" or "safetensors"; size: bytes of the file; note: "" or a remark."""

    kind: str
    size: int
    rows: list[TensorRow]
    note: str = ""

    @property
    def numbers(self) -> int:
        """How many values all tensors have together."""
        return sum(prod(row.shape) for row in self.rows)


@dataclass(frozen=True, eq=False)
class Weights:
    """A file's tensors after all checks. kind: "PyTorch" or "safetensors"; note: "" or a remark."""

    kind: str
    tensors: dict[str, Tensor]
    note: str = ""


def read_weights(content: bytes, name: str) -> WeightsReport:
    """Check an uploaded file and list its tensors. Nothing in it is run; memory stays within a few times its size.

    Args:
        content: the whole file.
        name: its name; the ending says nothing, what the file begins with does.

    Raises:
        WeightsRefused: with one line, whatever the bytes are.
    """
    found = load_weights(content, name)
    return WeightsReport(found.kind, len(content), rows_of(found.tensors), found.note)


def load_weights(content: bytes, name: str) -> Weights:
    """As read_weights(), with the tensors themselves."""
    if not content:
        raise WeightsRefused(f"{plain(name)} is empty. Save or download it again.")
    if len(content) > MAX_BYTES:
        raise WeightsRefused(f"{plain(name)} has {size_of_bytes(len(content))}; this page reads at most "
                             f"{size_of_bytes(MAX_BYTES, 0)}.")
    if content[:4] == b"PK\x03\x04":
        weights, note = _from_zip(content, plain(name))
        kind = "PyTorch"
    elif content[8:9] == b"{" and int.from_bytes(content[:8], "little") <= len(content) - 8:
        weights, note, kind = _from_safetensors(content, plain(name)), "", "safetensors"
    elif content[:1] == b"\x08" and b"\x12" in content[:4] and b"\x3a" in content[:200]:
        raise WeightsRefused(f"{plain(name)} looks like an ONNX file: a network's graph with its weights. Draw a digit reads "
                             "one; here, save model.state_dict() of the PyTorch network that it was made from.")
    elif content[:2] == b"\x80\x02":
        raise WeightsRefused(f"{plain(name)} is a bare pickle, as PyTorch wrote before version 1.6 and as pickle.dump writes. It "
                             "can't be checked before it is loaded: save it again with torch.save(model.state_dict(), …).")
    else:
        raise WeightsRefused(f"{plain(name)} is neither a .pth file nor a .safetensors file, or its beginning is damaged. "
                             "Save or download it again.")
    if not weights:
        raise WeightsRefused(f"{plain(name)} holds no tensors. Save model.state_dict().")
    for key, tensor in weights.items():
        check_tensor(plain(name), key, tensor)
    return Weights(kind, weights, note)


def plain(text: object, longest: int = 60) -> str:
    """A text from a file as an error line may show it, as code: printable, without Markdown's signs, and short."""
    kept = re.sub(r"[^\w .,:/()\[\]+-]", "?", str(text))
    return f"`{kept if len(kept) <= longest else kept[:longest - 1] + '…'}`"


def rows_of(weights: dict[str, Tensor]) -> list[TensorRow]:
    """A state_dict as rows of a table; absurdly long names are cut."""
    return [TensorRow(name[:200], tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."),
                      tuple(tensor.flatten()[:4].tolist()), tensor.numel() * tensor.element_size())
            for name, tensor in weights.items()]


def check_tensor(file: str, name: str, tensor: Tensor) -> None:
    """Number format and finite values. Raises WeightsRefused."""
    if tensor.dtype not in ALLOWED:
        fix = "save model.float().state_dict()" if tensor.dtype == torch.float64 else "save float32 weights"
        raise WeightsRefused(f"{file}: {plain(name)} is {str(tensor.dtype).removeprefix('torch.')}; networks here use float32, "
                             f"float16 or bfloat16, and int64 to count. To use it, {fix}.")
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        bad = int((~torch.isfinite(tensor)).sum())
        raise WeightsRefused(f"{file}: {plain(name)} holds {bad:,} value{'s' * (bad > 1)} that are NaN or infinite. The training "
                             "that made it has diverged; take an earlier checkpoint.")


# --- safetensors


def _from_safetensors(content: bytes, file: str) -> dict[str, Tensor]:
    """A header in JSON, then raw numbers; the library checks that they fit."""
    length = int.from_bytes(content[:8], "little")
    if length > MAX_HEADER:
        raise WeightsRefused(f"{file}: its header has {size_of_bytes(length)}, more than any list of tensors needs.")
    try:
        header = json.loads(content[8:8 + length])
        kinds = {name: str(entry.get("dtype")) for name, entry in header.items() if name != "__metadata__"}
        if len(kinds) > MAX_TENSORS:
            raise WeightsRefused(f"{file} lists {len(kinds):,} tensors; this page reads at most {MAX_TENSORS:,}.")
        return dict(sorted(safetensors_load(content).items(), key=lambda item: _by_number(item[0])))
    except WeightsRefused:
        raise
    except (safetensors.SafetensorError, ValueError, AttributeError, KeyError, TypeError, RuntimeError, RecursionError,
            OverflowError):
        raise WeightsRefused(f"{file} is a damaged or unusual .safetensors file. Save or download it again.") from None


def _by_number(name: str) -> list[tuple[int, str]]:
    """Sorts fc2 before fc10: this format keeps no order of the layers, so that of their names has to do."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]{1,9})", name)]


# --- PyTorch's zip archive


def _from_zip(content: bytes, file: str) -> tuple[dict[str, Tensor], str]:
    """Check the archive's sizes, read its pickle as plain data, then cut the tensors out of the bytes."""
    entries = _entries(content, file)
    pickles = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
    if any(name.endswith("/archive_format") for name in entries) and not pickles:
        raise WeightsRefused(f"{file} is a program of torch.export, not weights. Save model.state_dict(), or take the run's .pth "
                             "or .safetensors file.")
    if len(pickles) != 1:
        raise WeightsRefused(f"{file} is a zip archive, but not one that torch.save makes: it has no list of tensors (data.pkl).")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in entries:
        raise WeightsRefused(f"{file} is a TorchScript program, not weights. Save model.state_dict().")
    if entries.get(f"{folder}byteorder", b"little") != b"little":
        raise WeightsRefused(f"{file} was saved on a machine with another byte order. Save it again on this kind of machine.")
    if len(entries[pickles[0]]) > MAX_PICKLE:
        raise WeightsRefused(f"{file}: its list of tensors is longer than any network's.")
    try:
        found = describe_pickle(entries[pickles[0]])
    except PickleRefused as refusal:
        raise WeightsRefused(_why(file, refusal)) from None
    described, note = _state_dict(found, file)
    claimed = sum(prod(ref.shape) * ref.storage.dtype.itemsize for ref in described.values())
    if claimed > 4 * len(content):  # tied weights count twice, which is fine; a thousand times is a trick
        raise WeightsRefused(f"{file}: its tensors share their numbers so often that they would take {size_of_bytes(claimed)}.")
    storages: dict[tuple[str, torch.dtype], Tensor] = {}
    return {name: _tensor(file, name, ref, entries, folder, storages) for name, ref in described.items()}, note


def _entries(content: bytes, file: str) -> dict[str, bytes]:
    """Every entry's bytes, after a look at what the archive says about their sizes."""
    damaged = WeightsRefused(f"{file} is damaged: the archive can't be read to its end. Save or download it again.")
    try:
        if content.count(b"PK\x01\x02") > 2 * MAX_TENSORS:  # each entry of the directory begins so; a million take half a minute
            raise damaged
        archive = zipfile.ZipFile(io.BytesIO(content))
        infos = archive.infolist()
        claimed = sum(info.file_size for info in infos)
        if any(info.filename.count("/") > 1 and info.filename.split("/")[1] == "code" for info in infos):
            raise WeightsRefused(f"{file} is a TorchScript program, not weights. Save model.state_dict().")
        if any(info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size for info in infos):
            raise WeightsRefused(f"{file} is compressed and says it unpacks to {size_of_bytes(claimed)}. torch.save does not "
                                 "compress: save it again with torch.save.")
        if claimed > len(content):
            raise WeightsRefused(f"{file} says it holds {size_of_bytes(claimed)}, which is more than the file itself has. Save "
                                 "or download it again.")
        if len({info.filename for info in infos}) < len(infos):
            raise damaged
        return {info.filename: archive.read(info) for info in infos}
    except WeightsRefused:
        raise
    except (zipfile.BadZipFile, struct.error, OSError, ValueError, EOFError, RuntimeError, LookupError, OverflowError):
        raise damaged from None


def _why(file: str, refusal: PickleRefused) -> str:
    """What a refused pickle means to the person who has it."""
    asks = refusal.asks
    if "sparse" in asks:
        return f"{file} holds a sparse tensor, whose indices could point outside it. Save it with .to_dense()."
    if asks.startswith(("torch.nn.", "torchvision.", "__main__.")):
        return f"{file} holds a whole object ({plain(asks)}), not weights. Save model.state_dict() instead."
    if asks.startswith("torch.") or asks in {"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"}:
        return f"{file} holds more than plain tensors ({plain(asks)}). Save model.state_dict() alone."
    if asks and "." in asks:
        return (f"{file} is refused: on loading it would make Python run {plain(asks)}, and weights need nothing run. If it is a "
                "whole network of your own, save model.state_dict() instead.")
    return f"{file} is refused: {plain(str(refusal), 120).strip('`')}. Save model.state_dict() again."


def _state_dict(found: object, file: str) -> tuple[dict[str, TensorRef], str]:
    """The names and tensors of a state_dict, also where it lies inside a training script's checkpoint."""
    wrong = WeightsRefused(f"{file} holds no state_dict (names with tensors). Save model.state_dict().")
    note = ""
    if type(found) is not dict:
        raise wrong
    for key in NESTED:
        if type(inner := found.get(key)) is dict:
            others = [str(other) for other in found if other != key][:5]
            note = f"These are the weights under “{key}”; the file also holds {', '.join(map(plain, others)) or 'nothing else'}."
            found = inner
            break
    if len(found) > MAX_TENSORS:
        raise WeightsRefused(f"{file} lists {len(found):,} tensors; this page reads at most {MAX_TENSORS:,}.")
    if not all(type(name) is str and type(value) is TensorRef for name, value in found.items()):
        raise wrong
    return found, note


def _tensor(file: str, name: str, ref: TensorRef, entries: dict[str, bytes], folder: str,
            storages: dict[tuple[str, torch.dtype], Tensor]) -> Tensor:
    """The tensor that a description stands for, cut from the archive's bytes after checking that it lies inside them."""
    storage = ref.storage
    data = entries.get(f"{folder}data/{storage.key}")
    if data is None or not _fits(ref, len(data)):
        raise WeightsRefused(f"{file}: the shape of {plain(name)} does not fit its numbers. Save or download the file again.")
    if not prod(ref.shape):
        return torch.empty(ref.shape, dtype=storage.dtype)
    if (storage.key, storage.dtype) not in storages:
        storages[storage.key, storage.dtype] = torch.frombuffer(bytearray(data), dtype=storage.dtype)
    return storages[storage.key, storage.dtype].as_strided(ref.shape, ref.stride, ref.offset)


def _fits(ref: TensorRef, size: int) -> bool:
    """Whether a description stays inside its bytes and has no more numbers than there are."""
    steps = (ref.offset, *ref.shape, *ref.stride)
    if len(ref.shape) != len(ref.stride) or len(ref.shape) > MAX_DIMENSIONS or not 0 <= min(steps) <= max(steps) < 2**40:
        return False
    if ref.storage.numbers * ref.storage.dtype.itemsize != size or prod(ref.shape) > ref.storage.numbers:
        return False
    last = ref.offset + sum((length - 1) * step for length, step in zip(ref.shape, ref.stride, strict=True))
    return not prod(ref.shape) or last < ref.storage.numbers
