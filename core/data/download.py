"""Downloads that a person asks for: torchvision's addresses and checksums, whole files or none."""

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.data.dataset import DataDamaged, DataError, DataMissing
from core.data.sources import spec_of

SECONDS_OF_SILENCE = 30
PIECE = 1 << 16


@dataclass(frozen=True)
class Progress:
    """How far a download is; sizes in MB (10⁶ bytes). `share` is of all files, 0 to 1."""

    file: str
    share: float
    megabytes: float
    total_megabytes: float


@dataclass(frozen=True)
class Remote:
    """One file to fetch: its name, the MD5 it must have, and where it may be had, in order of preference."""

    name: str
    md5: str
    addresses: tuple[str, ...]


def remotes(name: str) -> list[Remote]:
    """The files of a data set as torchvision knows them. Raises DataMissing for one that has no download."""
    from core.torchvision_guard import torchvision  # here: 0.5 s that only a download needs

    classes = {"mnist": torchvision.datasets.MNIST, "fashion_mnist": torchvision.datasets.FashionMNIST}
    if name not in classes:
        raise DataMissing(f"{spec_of(name).title} has no download.")
    known = classes[name]
    return [Remote(file, md5, tuple(mirror + file for mirror in known.mirrors)) for file, md5 in known.resources]


def download(name: str, root: Path, report: Callable[[Progress], None] = lambda progress: None,
             files: list[Remote] | None = None) -> None:
    """Fetch what is missing of a data set into the data directory. A file is there whole and checked, or not at all.

    Args:
        report: called as bytes arrive.
        files: other files than torchvision's, for tests.

    Raises:
        DataMissing: nobody answers, or the answer is an error.
        DataDamaged: what came is not the file (its checksum differs).
        DataError: another visitor is downloading it, or the disk is full or read-only.
    """
    spec = spec_of(name)
    folder = root / spec.folder
    files = remotes(name) if files is None else files
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, spec.title):
            for number, remote in enumerate(files):
                if not (folder / remote.name).exists():
                    _fetch(remote, folder / remote.name, lambda p, n=number: report(
                        Progress(p.file, (n + p.share) / len(files), p.megabytes, p.total_megabytes)))
    except OSError as error:
        raise DataError(f"{spec.title} can't be kept in {folder}: {error.strerror or error}. Free some space, or set "
                        "PLAYGROUND_DATA to a folder that can be written to.") from None


def _fetch(remote: Remote, into: Path, report: Callable[[Progress], None]) -> None:
    """Try each address in turn. The last one's trouble is what is told."""
    trouble: DataError = DataMissing(f"There is no address for {remote.name}.")
    for address in remote.addresses:
        handle, part = tempfile.mkstemp(prefix=f".{remote.name}.", suffix=".part", dir=into.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                digest = _copy(address, remote.name, file.write, report)
                file.flush()
                os.fsync(file.fileno())
            if digest == remote.md5:
                os.replace(part, into)
                return
            trouble = DataDamaged(f"What came as {remote.name} is not that file (its checksum differs). Try again later.")
        except (urllib.error.URLError, TimeoutError, ConnectionError, EOFError) as error:
            reason = getattr(error, "reason", None) or error
            trouble = DataMissing(f"{remote.name} can't be downloaded ({reason}). Is this machine online? "
                                  f"You can also put the file into {into.parent} yourself.")
        finally:
            Path(part).unlink(missing_ok=True)
    raise trouble


def _copy(address: str, name: str, write: Callable[[bytes], object], report: Callable[[Progress], None]) -> str:
    """Copy one answer to `write`; its MD5. Raises EOFError where it ends before the length it announced."""
    digest = hashlib.md5(usedforsecurity=False)
    request = urllib.request.Request(address, headers={"User-Agent": "torch-playground"})
    with urllib.request.urlopen(request, timeout=SECONDS_OF_SILENCE) as answer:
        total, have = int(answer.headers.get("Content-Length") or 0), 0
        while piece := answer.read(PIECE):
            have += len(piece)
            digest.update(piece)
            write(piece)
            report(Progress(name, min(1.0, have / total) if total else 0.0, have / 1e6, total / 1e6))
    if have < total:
        raise EOFError(f"the connection ended after {have:,} of {total:,} bytes")
    return digest.hexdigest()


@contextmanager
def _alone(folder: Path, title: str) -> Iterator[None]:
    """Hold the folder's lock: one download at a time, among threads and processes. The system frees it if we die."""
    try:
        import fcntl
    except ImportError:  # Windows has no fcntl; two downloads there only do the work twice, as files are renamed whole
        yield
        return
    with (folder / ".downloading").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{title} is being downloaded for another visitor. Wait a moment, then reload the page.") from None
        yield
