"""Downloads that a person asks for: torchvision's addresses and checksums, whole files or none.

Data sets are fetched here, and pretrained weights by core.weights.published. What has come of a file is kept in a hidden part
file beside it, which no reader takes for the file. The next try asks for the rest (HTTP Range with If-Range: RFC 9110, sections
13.1.5 and 14.2) and starts over where the server can't or the file has changed. Only what has the right checksum is renamed into
place.
"""

import hashlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from email.message import Message
from http.client import HTTPException
from pathlib import Path

from core.data.dataset import DataDamaged, DataError, DataMissing
from core.data.download.lock import Progress, Published, alone
from core.data.download.speed import Speed
from core.data.sources import spec_of
from core.data.sources.imdb import ARCHIVE
from core.errors import os_reason
from core.files import put_in_place

SECONDS_OF_SILENCE = 30
CHUNK = 1 << 16
# the binary version, which torchvision does not know: its own is of pickles. MD5 as the data set's page gives it
CIFAR10 = ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530",
           "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz")
# MD5 as torchtext gives it
IMDB = (ARCHIVE, "7c2ac02c03563afcf9b574c7e56c153a", f"https://ai.stanford.edu/~amaas/data/sentiment/{ARCHIVE}")


@dataclass(frozen=True)
class Remote:
    """One file to fetch: its name, the MD5 it must have, and where it may be had, in order of preference.

    sha256: what its SHA-256 begins with, where that is known in place of the MD5.
    """

    name: str
    md5: str
    addresses: tuple[str, ...]
    sha256: str = ""

    def digest(self) -> "hashlib._Hash":
        """What its bytes are to be fed to."""
        return hashlib.sha256() if self.sha256 else hashlib.md5(usedforsecurity=False)

    def is_right(self, checksum: str) -> bool:
        """Whether a whole digest, as hexadecimal digits, is this file's."""
        return checksum.startswith(self.sha256) if self.sha256 else checksum == self.md5


def remotes(name: str) -> list[Remote]:
    """The files of a data set as torchvision knows them. Raises DataMissing for one that has no download."""
    known_here = {"cifar10": CIFAR10, "imdb": IMDB}
    if name in known_here:
        file, md5, address = known_here[name]
        return [Remote(file, md5, (address,))]
    from core.torchvision_guard import torchvision  # here: 0.5 s that only a download needs

    datasets = torchvision.datasets
    if name == "emnist_letters":
        return [Remote("gzip.zip", datasets.EMNIST.md5, (datasets.EMNIST.url,))]
    classes = {"mnist": datasets.MNIST, "fashion_mnist": datasets.FashionMNIST, "kmnist": datasets.KMNIST}
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
        DownloadRunning: another visitor is downloading it; core.data.download.lock.progress_of() says how far it is.
        DataError: the disk is full or read-only.
    """
    spec = spec_of(name)
    fetch(spec.title, root / spec.folder, remotes(name) if files is None else files, report)


def fetch(title: str, folder: Path, files: list[Remote], report: Callable[[Progress], None] = lambda progress: None) -> None:
    """Fetch what is missing of some files into a folder of the data directory, as download() does for a data set. title: what
    they are, for people."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder, title) as published:
            show = _forward_only(report, published)
            for number, remote in enumerate(files):
                # unpacked will do as well, as it does for reading
                if not (folder / remote.name).exists() and not (folder / remote.name.removesuffix(".gz")).exists():
                    _fetch(remote, folder / remote.name, lambda p, n=number: show(replace(p, share=(n + p.share) / len(files))))
    except OSError as error:
        raise DataError(f"{title} can't be kept in {folder}: {os_reason(error)}. Free some space, or set "
                        "PLAYGROUND_DATA to a folder that can be written to.") from None


def _forward_only(report: Callable[[Progress], None], published: Published) -> Callable[[Progress], None]:
    """Tells both, of a share that never falls (a second address may start its file over) and with the speed."""
    furthest, speed = 0.0, Speed()

    def show(progress: Progress) -> None:
        nonlocal furthest
        furthest = max(furthest, progress.share)
        speed.see(progress.file, progress.megabytes, time.monotonic())
        progress = replace(progress, share=furthest, speed=speed.value)
        published.tell(progress)
        report(progress)

    return show


def _fetch(remote: Remote, into: Path, report: Callable[[Progress], None]) -> None:
    """Try each address in turn, each going on from what has come. The last one's trouble is what is told."""
    trouble: DataError = DataMissing(f"There is no address for {remote.name}.")
    part = Part.of(into, remote.sha256 or remote.md5)
    if part.size and remote.is_right(_checksum(part.path, remote)):  # we died when it was whole and not yet renamed
        put_in_place(part.path, into)
        return part.forget()
    for address in remote.addresses:
        try:
            if _try(address, remote, part, report):
                put_in_place(part.path, into)
                part.forget()
                return
        except DataError as error:
            trouble = error
    raise trouble


def _try(address: str, remote: Remote, part: "Part", report: Callable[[Progress], None]) -> bool:
    """One address: True, or the DataError that says why not. A file that was pieced together wrongly is fetched anew, once."""
    for resume in (True, False):
        resumed = resume and part.size > 0
        if not resumed:
            part.clear()
        if remote.is_right(_copy(address, remote, part, report)):
            report(Progress(remote.name, 1.0, part.size / 1e6, part.size / 1e6))  # some servers don't say how much there is
            return True
        part.clear()
        if not resumed:
            break
    raise DataDamaged(f"What came as {remote.name} is not that file (its checksum differs). Try again later.")


@dataclass(frozen=True)
class Part:
    """What has come of a file so far, and what its server called that version of it.

    The checksum is in the name: a part is only ever of the file that is wanted.
    """

    path: Path
    about: Path

    @classmethod
    def of(cls, into: Path, checksum: str) -> "Part":
        path = into.with_name(f".{into.name}.{checksum[:8]}.part")
        return cls(path, path.with_name(path.name + ".json"))

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)
        self.forget()

    def forget(self) -> None:
        self.about.unlink(missing_ok=True)

    def validator(self, address: str) -> str:
        """The ETag or the date that came from this address; "" where there was none or the part is another address's."""
        with suppress(OSError, ValueError, AttributeError):
            about = json.loads(self.about.read_text(encoding="utf-8"))
            return str(about["validator"]) if about.get("address") == address else ""
        return ""

    def begin(self, address: str, validator: str) -> None:
        self.about.write_text(json.dumps({"address": address, "validator": validator}), encoding="utf-8")


@dataclass(frozen=True)
class _Answer:
    """An open answer. start: the byte of the file that it begins with. total: bytes of the whole file; 0 if not said."""

    body: http.client.HTTPResponse
    start: int
    total: int
    validator: str


def _copy(address: str, remote: Remote, part: Part, report: Callable[[Progress], None]) -> str:
    """Add what an answer brings to the part; the checksum of all of it. Raises DataMissing where it doesn't come whole."""
    digest, file = remote.digest(), None
    try:
        for chunk, answer in _chunks(address, remote.name, part):
            if file is None:
                file = part.path.open("ab" if answer.start else "wb")
                part.begin(address, answer.validator)
                have = answer.start
                _digest_file(part.path, digest, have)
            have += len(chunk)
            digest.update(chunk)
            file.write(chunk)
            report(Progress(remote.name, min(1.0, have / answer.total) if answer.total else 0.0, have / 1e6, answer.total / 1e6))
        if file is None:  # an answer without a byte: what is there already may be all
            _digest_file(part.path, digest, part.size)
        else:
            file.flush()
            os.fsync(file.fileno())
    finally:
        if file is not None:
            file.close()
    return digest.hexdigest()


def _checksum(path: Path, remote: Remote) -> str:
    digest = remote.digest()
    _digest_file(path, digest, path.stat().st_size)
    return digest.hexdigest()


def _digest_file(path: Path, digest: "hashlib._Hash", size: int) -> None:
    """Feed the first `size` bytes of a file."""
    if not size:
        return
    with path.open("rb") as file:
        while size and (chunk := file.read(min(size, 1 << 20))):
            digest.update(chunk)
            size -= len(chunk)


def _chunks(address: str, name: str, part: Part) -> Iterator[tuple[bytes, _Answer]]:
    """An answer's bytes as they arrive, each chunk with the answer it is of.

    A generator, so that the network's errors are told apart from the disk's, which are OSErrors too.
    """
    try:
        answer = _ask(address, part)
        with answer.body as body:
            have = answer.start
            while chunk := body.read(CHUNK):
                have += len(chunk)
                yield chunk, answer
        if have < answer.total:
            raise EOFError(f"the connection ended after {have:,} of {answer.total:,} bytes")
    except (OSError, EOFError, HTTPException, ValueError) as error:
        reason = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", None) or error
        line = " ".join(str(reason).split())[:200]  # some servers' words run over several lines
        raise DataMissing(f"{name} can't be downloaded ({line}). Is this machine online? "
                          f"You can also put the file into {part.path.parent} yourself.") from None


def _ask(address: str, part: Part) -> _Answer:
    """Ask for what is missing, or for everything where the server can't give the rest of the same file."""
    have = part.size
    headers = {"User-Agent": "torch-playground"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator := part.validator(address):
            headers["If-Range"] = validator
    try:
        body = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=SECONDS_OF_SILENCE)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:  # 416: there is nothing from there on, so the part is of something longer
            raise
        error.close()
        part.clear()
        return _ask(address, part)
    length = int(body.headers.get("Content-Length") or 0)
    validator = _validator(body.headers)
    if body.status != 206:
        return _Answer(body, 0, length, validator)
    if not have:
        body.close()
        raise HTTPException("a part came that was not asked for")
    told = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", body.headers.get("Content-Range", "").strip())
    if not told or int(told[1]) != have:
        body.close()
        part.clear()
        return _ask(address, part)
    return _Answer(body, have, int(told[3]) if told[3] != "*" else have + length, validator)


def _validator(headers: Message) -> str:
    """What If-Range may name: a strong ETag, else the date of the last change."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")
