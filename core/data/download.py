"""Downloads that a person asks for: torchvision's addresses and checksums, whole files or none."""

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from core.data.dataset import DataDamaged, DataError, DataMissing
from core.data.sources import spec_of
from core.files import write_atomically

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
        report: called as bytes arrive; the share never falls, and ends at 1.
        files: other files than torchvision's, for tests.

    Raises:
        DataMissing: nobody answers, or the answer is an error.
        DataDamaged: what came is not the file (its checksum differs).
        DataError: another visitor is downloading it, or the disk is full or read-only.
    """
    spec = spec_of(name)
    folder = root / spec.folder
    files = remotes(name) if files is None else files
    show = _forward_only(report)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, spec.title):
            for number, remote in enumerate(files):
                # unpacked will do as well, as it does for reading
                if not (folder / remote.name).exists() and not (folder / remote.name.removesuffix(".gz")).exists():
                    _fetch(remote, folder / remote.name, lambda p, n=number: show(replace(p, share=(n + p.share) / len(files))))
    except OSError as error:
        raise DataError(f"{spec.title} can't be kept in {folder}: {error.strerror or error}. Free some space, or set "
                        "PLAYGROUND_DATA to a folder that can be written to.") from None


def _forward_only(report: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """`report`, told of a share that never falls: a second address starts its file over."""
    furthest = 0.0

    def show(progress: Progress) -> None:
        nonlocal furthest
        furthest = max(furthest, progress.share)
        report(replace(progress, share=furthest))

    return show


def _fetch(remote: Remote, into: Path, report: Callable[[Progress], None]) -> None:
    """Try each address in turn. The last one's trouble is what is told."""
    trouble: DataError = DataMissing(f"There is no address for {remote.name}.")
    for address in remote.addresses:
        try:
            write_atomically(into, lambda file, address=address: _copy(address, remote, into.parent, file, report))
            return
        except DataError as error:
            trouble = error
    raise trouble


def _copy(address: str, remote: Remote, folder: Path, file: BinaryIO, report: Callable[[Progress], None]) -> None:
    """Copy one answer to `file`. Raises DataMissing where it doesn't come whole, DataDamaged where it is something else."""
    digest, have = hashlib.md5(usedforsecurity=False), 0
    for piece, total in _pieces(address, remote.name, folder):
        have += len(piece)
        digest.update(piece)
        file.write(piece)
        report(Progress(remote.name, min(1.0, have / total) if total else 0.0, have / 1e6, total / 1e6))
    if digest.hexdigest() != remote.md5:
        raise DataDamaged(f"What came as {remote.name} is not that file (its checksum differs). Try again later.")
    report(Progress(remote.name, 1.0, have / 1e6, have / 1e6))  # some servers don't say how long their answer is


def _pieces(address: str, name: str, folder: Path) -> Iterator[tuple[bytes, int]]:
    """An answer's bytes as they arrive, each piece with the length that was announced for all (0 if none was).

    A generator, so that the network's errors are told apart from the disk's, which are OSErrors too.
    """
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "torch-playground"})
        with urllib.request.urlopen(request, timeout=SECONDS_OF_SILENCE) as answer:
            total, have = int(answer.headers.get("Content-Length") or 0), 0
            while piece := answer.read(PIECE):
                have += len(piece)
                yield piece, total
        if have < total:
            raise EOFError(f"the connection ended after {have:,} of {total:,} bytes")
    except (OSError, EOFError, HTTPException, ValueError) as error:
        reason = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", None) or error
        line = " ".join(str(reason).split())[:200]  # some servers' words run over several lines
        raise DataMissing(f"{name} can't be downloaded ({line}). Is this machine online? "
                          f"You can also put the file into {folder} yourself.") from None


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
