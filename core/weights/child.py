"""The process that reads uploaded weights: python -m core.weights.child OPTIONS.

OPTIONS is a JSON object with "file", "name", "folder" and "input_shape". Started by core.runs.uploaded. It writes
weights.safetensors and result.json into the folder.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from core.importing.child import limit
from core.weights.choices import choices_for
from core.weights.file import WeightsRefused, load_weights
from core.weights.matching import Mismatch, match_weights
from core.weights.onnx_graph import looks_like_onnx, read_onnx

MEMORY = 700 << 20  # bytes more than it has after its imports: an upload has 50 MB at most
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


def main(text: str) -> int:
    options = json.loads(text)
    torch.set_num_threads(1)
    torch.matmul(torch.ones(2, 2), torch.ones(2, 2))  # what starts threads or takes buffers does so before the limit
    limit(MEMORY, CPU_SECONDS)
    folder = Path(options["folder"])
    try:
        result = read(Path(options["file"]).read_bytes(), options["name"], folder, tuple(options["input_shape"]))
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
