"""torchvision's weights as files: found on this machine, or downloaded when a person asks, and checked before they are believed.

Their name ends with the first eight digits of their SHA-256. A process with limits (core.weights.child) compares that, reads the
tensors and nothing else, and writes them as safetensors into the cache folder, from where runs map them.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from core.data.download import Remote, fetch
from core.data.download.lock import Progress, progress_in
from core.files import put_in_place
from core.models.pretrained import PretrainedWeights, fitting, published_shapes
from core.process import configured
from core.subprocesses import ONE_THREAD, run
from core.weights.file import WeightsRefused
from core.weights.matching import COUNTER
from core.wording import size_of_bytes

FOLDER = "weights"  # in the data directory: what is downloaded, and what a person brings
CHECKED = "weights"  # in the cache folder
SECONDS = 180.0  # by the clock, for 550 MB


def find(weights: PretrainedWeights, data_dir: Path, hub_dir: Path | None = None) -> Path | None:
    """The file in the data directory's folder weights, else in torch hub's cache, where torchvision keeps it; None where there is
    none."""
    hub = (Path(torch.hub.get_dir()) if hub_dir is None else hub_dir) / "checkpoints"
    return next((path for folder in (data_dir / FOLDER, hub) if (path := folder / weights.file).is_file()), None)


def is_here(weights: PretrainedWeights, data_dir: Path, cache_dir: Path) -> bool:
    """Whether a run can have them without a download; what is in the file is not looked at."""
    return _checked(weights, cache_dir).is_file() or find(weights, data_dir) is not None


def not_here(weights: PretrainedWeights, data_dir: Path) -> str:
    """One line for a machine without them."""
    return (f"torchvision's weights for this network are not on this machine. Download {weights.file} "
            f"({size_of_bytes(weights.size)}) under “Starting weights” on Train model, or put it into {data_dir / FOLDER}.")


def _checked(weights: PretrainedWeights, cache_dir: Path) -> Path:
    return cache_dir / CHECKED / f"{Path(weights.file).stem}.safetensors"


def download(weights: PretrainedWeights, data_dir: Path, report: Callable[[Progress], None] = lambda progress: None) -> None:
    """Fetch the file into the data directory: whole and checked, or what has come of it stays for the next try.

    Raises DataMissing where nobody answers, DataDamaged where what came is not the file, DownloadRunning while another visitor
    fetches some, DataError where the disk is full or read-only.
    """
    fetch("The pretrained weights", data_dir / FOLDER, [Remote(weights.file, "", (weights.address,), weights.checksum)], report)


def downloading(data_dir: Path) -> Progress | None:
    """How far somebody's download of weights is; None where nobody is at it."""
    return progress_in(data_dir / FOLDER)


def read(weights: PretrainedWeights, data_dir: Path, cache_dir: Path, hub_dir: Path | None = None) -> dict[str, Tensor]:
    """The file's tensors by name, mapped from the cache folder.

    Raises WeightsRefused, with one line: the file is not here, or is not what its name says.
    """
    checked = _checked(weights, cache_dir)
    if checked.is_file():
        try:
            return _of_network(load_file(checked), weights)
        except (OSError, SafetensorError, WeightsRefused):  # a damaged copy: there is the file
            checked.unlink(missing_ok=True)
    path = find(weights, data_dir, hub_dir)
    if path is None:
        raise WeightsRefused(not_here(weights, data_dir))
    checked.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".reading-", dir=checked.parent) as folder:
        _check(path, weights, Path(folder))
        tensors = Path(folder) / "weights.safetensors"
        _of_network(load_file(tensors), weights)
        put_in_place(tensors, checked)
    return load_file(checked)


def _check(path: Path, weights: PretrainedWeights, folder: Path) -> None:
    """Let the process read it. Raises WeightsRefused."""
    options = json.dumps({"file": str(path.absolute()), "name": weights.file, "folder": str(folder),
                          "checksum": weights.checksum})
    try:
        code = run(*configured("other", "core.weights.child", options), seconds=SECONDS, environment=ONE_THREAD)
    except subprocess.TimeoutExpired:
        raise WeightsRefused(f"Reading {weights.file} takes too long, so it was stopped. Delete it and download it "
                             "again.") from None
    try:
        found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise WeightsRefused(f"Reading {weights.file} failed (exit code {code}): it may be made to break programs, or need more "
                             "memory than there is. Delete it and download it again.") from None
    if refused := found.get("refused"):
        raise WeightsRefused(str(refused))


def _of_network(tensors: dict[str, Tensor], weights: PretrainedWeights) -> dict[str, Tensor]:
    """Exactly the tensors that torchvision's network has. Raises WeightsRefused."""
    found = fitting(published_shapes(weights.network), tensors)
    if [name for name in found.missing if name.rpartition(".")[2] != COUNTER] or found.extra or found.anew or found.adapted:
        raise WeightsRefused(f"{weights.file} holds the weights of another network than torchvision's {weights.network}: names "
                             "or shapes differ. Delete it and download it again.")
    return tensors
