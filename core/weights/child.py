"""The process that reads files of weights: python -m core.weights.child OPTIONS.

OPTIONS is a JSON object with "file", "name", "folder" and "input_shape" for an upload (core.runs.uploaded), or "checksum" in
place of the last for a file of torchvision's (core.weights.published). It writes weights.safetensors and result.json into the
folder.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from core.importing.limits import limit
from core.weights.choices import choices_for
from core.weights.file import WeightsRefused, check_tensor, load_weights, plain
from core.weights.matching import Mismatch, match_weights
from core.weights.onnx_file import looks_like_onnx
from core.weights.onnx_graph import read_onnx

MEMORY = 700 << 20  # bytes more than it has after its imports: an upload has 50 MB at most
TIMES = 4  # of a larger file's size
CPU_SECONDS = 60


def read(content: bytes, name: str, folder: Path, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Check the file, find its architecture and what else it could be, and write its weights as float32. Raises WeightsRefused
    and Mismatch."""
    if looks_like_onnx(content):
        graph = read_onnx(content, name, input_shape)
        save_file({key: value.contiguous().clone() for key, value in graph.weights.items()}, folder / "weights.safetensors")
        return {"model": graph.config.model_dump(mode="json"), "outputs": graph.outputs, "notes": graph.notes, "choices": [],
                "mean": graph.mean, "std": graph.std}
    found = load_weights(content, name)
    weights = {key: value.float() if value.is_floating_point() else value for key, value in found.tensors.items()}
    matched = match_weights(weights, input_shape)
    save_file({key: value.contiguous().clone() for key, value in matched.weights.items()}, folder / "weights.safetensors")
    notes = [*([found.note] if found.note else []), *matched.notes]
    choices = [{"title": one.title, "model": one.config.model_dump(mode="json")} for one in choices_for(matched, input_shape)]
    return {"model": matched.config.model_dump(mode="json"), "outputs": matched.outputs, "notes": notes, "choices": choices}


def read_published(path: Path, name: str, checksum: str, folder: Path) -> dict[str, Any]:
    """Write the tensors of a file whose SHA-256 begins with `checksum`. Raises WeightsRefused.

    PyTorch's own reader of tensors alone is asked, as torchvision's older files are of a format that core.weights.file refuses.
    """
    with path.open("rb") as file:  # one open file: what is read is what was checked
        if not hashlib.file_digest(file, "sha256").hexdigest().startswith(checksum):
            raise WeightsRefused(f"{plain(name)} is not the file that its name says: its checksum differs. Delete it and "
                                 "download it again.")
        file.seek(0)
        try:
            found = torch.load(file, map_location="cpu", weights_only=True)
        except MemoryError:
            raise
        except Exception as error:  # also pickle.UnpicklingError, for whatever is more than tensors
            raise WeightsRefused(f"{plain(name)} can't be read as a file of tensors ({type(error).__name__}). Delete it and "
                                 "download it again.") from None
    if not isinstance(found, dict) or not found or not all(
            isinstance(key, str) and isinstance(value, torch.Tensor) and value.layout is torch.strided
            for key, value in found.items()):
        raise WeightsRefused(f"{plain(name)} holds more than named tensors. Delete it and download it again.")
    for key, value in found.items():
        check_tensor(plain(name), key, value)
    save_file({key: value.detach().contiguous().clone() for key, value in found.items()}, folder / "weights.safetensors")
    return {}


def main(text: str) -> int:
    options = json.loads(text)
    torch.set_num_threads(1)
    torch.matmul(torch.ones(2, 2), torch.ones(2, 2))  # what starts threads or takes buffers does so before the limit
    path, folder = Path(options["file"]), Path(options["folder"])
    limit(max(MEMORY, TIMES * path.stat().st_size), CPU_SECONDS)
    try:
        if "checksum" in options:
            result = read_published(path, options["name"], options["checksum"], folder)
        else:
            result = read(path.read_bytes(), options["name"], folder, tuple(options["input_shape"]))
    except (WeightsRefused, Mismatch) as error:
        result = {"refused": str(error)}
    except MemoryError:
        result = {"refused": "Reading this file needs more memory than an upload may take."}
    except RuntimeError as error:  # PyTorch's word for memory that it could not get, or a shape that can't be
        result = {"refused": f"PyTorch can't read this file: {(str(error).splitlines() or [''])[0][:200]}"}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
