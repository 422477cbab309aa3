"""A run's data on a machine of the cluster: the server's own folder where it is seen and holds the same, else a copy."""

import hashlib
import json
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from core.cluster.afar import digest_of
from core.cluster.messages import DataFile, DataFiles
from core.config import RunConfig
from core.data import DataDamaged
from core.data.files import files_of
from core.models import ModelError
from core.models.pretrained import IMAGENET, pretrained_weights
from core.weights.published import FOLDER, find

MOST_COPIES = 5  # of data sets that a machine keeps; the ones used last
COPIES = "cluster"  # folder of the cache


class KnownFiles:
    """On the server: what each run's data are. A file is read again where its time or size has changed."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._digests: dict[tuple[str, int, int], str] = {}

    def of(self, config: RunConfig) -> DataFiles:
        """What a run of this config learns from and starts with. Raises OSError."""
        files = tuple(self._file(name, path) for name, path in self.paths(config).items())
        whole = json.dumps([[file.name, file.size, file.digest] for file in files])
        return DataFiles(str(self.data_dir), files, hashlib.sha256(whole.encode()).hexdigest())

    def paths(self, config: RunConfig) -> dict[str, Path]:
        """Where these files are, by their names."""
        found = {path.relative_to(self.data_dir).as_posix(): path for path in files_of(config.data, self.data_dir)}
        if (weights := self._weights(config)) is not None:
            found[f"{FOLDER}/{weights.name}"] = weights
        return found

    def _weights(self, config: RunConfig) -> Path | None:
        """The file of torchvision's weights that a run starts from, wherever it is; None where it starts otherwise."""
        if config.training.start_from != IMAGENET:
            return None
        try:
            weights = pretrained_weights(config.model)
        except ModelError:
            return None
        return find(weights, self.data_dir) if weights is not None else None

    def _file(self, name: str, path: Path) -> DataFile:
        about = path.stat()
        key = str(path), about.st_size, about.st_mtime_ns
        if key not in self._digests:
            self._digests[key] = file_digest(path)
        return DataFile(name, about.st_size, self._digests[key])


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def place_of(data: DataFiles, cache: Path, fetch: Callable[[str], Mapping[str, np.ndarray]]) -> tuple[Path, Path]:
    """On a machine of the cluster: the data directory that holds exactly these files, and a cache folder for what is prepared of
    them. fetch: asks the server for their content.

    Raises DataDamaged where what was sent is not what was said, and OSError.
    """
    shared = Path(data.root)
    if not data.files or all(_is_same(shared / file.name, file) for file in data.files):
        return shared, cache
    place = cache / COPIES / data.digest[:32]
    if not place.is_dir():
        _copy(data, place, fetch(data.digest))
    place.touch()
    copies = sorted((cache / COPIES).iterdir(), key=lambda path: path.stat().st_mtime)
    for old in copies[:-MOST_COPIES]:
        shutil.rmtree(old, ignore_errors=True)
    return place / "data", place / "cache"


def _is_same(path: Path, file: DataFile) -> bool:
    try:
        return path.stat().st_size == file.size and file_digest(path) == file.digest
    except OSError:
        return False


def _copy(data: DataFiles, place: Path, content: Mapping[str, np.ndarray]) -> None:
    """Write the files beside their place, and put them there when all are whole."""
    part = place.with_name(f"{place.name}.{secrets.token_hex(6)}.part")
    try:
        for file in data.files:
            found = content.get(file.name)
            if found is None or len(found) != file.size or digest_of(found) != file.digest:
                raise DataDamaged(f"{file.name} has changed while it was sent to the cluster. Start the run again.")
            path = part / "data" / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(found.data)
        (part / "cache").mkdir(parents=True, exist_ok=True)
        part.rename(place)
    except OSError:
        if not place.is_dir():  # another run on this machine was faster
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
