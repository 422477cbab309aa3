"""One download of a data set at a time, among threads and processes, and how far it is for everybody else."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from core.data.dataset import DataError
from core.data.sources import spec_of
from core.wording import size_of_bytes

LOCK, PROGRESS = ".downloading", ".downloading.json"
EVERY = 0.5  # seconds between two lines for others
TRIES = 5  # to get the lock: a visitor who looks how far a download is holds it for a moment


class DownloadRunning(DataError):
    """Another visitor is downloading the same data set."""


@dataclass(frozen=True)
class Progress:
    """How far a download is; sizes in MB (10⁶ bytes). `share` is of all files, 0 to 1; speed in MB/s, 0 where not known."""

    file: str
    share: float
    megabytes: float
    total_megabytes: float
    speed: float = 0.0

    def __str__(self) -> str:
        """"train-images-idx3-ubyte.gz: 3.1 MB of 9.9 MB, 2.4 MB/s"."""
        have, total, speed = (size_of_bytes(1e6 * size) for size in (self.megabytes, self.total_megabytes, self.speed))
        return f"{self.file}: {have}" + (f" of {total}" if self.total_megabytes else "") + (f", {speed}/s" if self.speed else "")


@dataclass
class Published:
    """Where the one who downloads says how far it is."""

    path: Path
    _last: float = field(default=float("-inf"))

    def tell(self, progress: Progress) -> None:
        """Write it down, twice a second at most. Trouble with that is no trouble of the download."""
        now = time.monotonic()
        if now - self._last < EVERY:
            return
        self._last = now
        with suppress(OSError):
            self._part.write_text(json.dumps(asdict(progress)), encoding="utf-8")
            self._part.replace(self.path)  # not flushed to disk: it is of no use after a crash

    def forget(self) -> None:
        with suppress(OSError):
            self._part.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)

    @property
    def _part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")  # one is enough: only who holds the lock writes


@contextmanager
def alone(folder: Path, title: str) -> Iterator[Published]:
    """Hold the folder's lock. The system frees it if we die. Raises DownloadRunning where somebody else holds it."""
    published = Published(folder / PROGRESS)
    try:
        import fcntl
    except ImportError:  # Windows has no fcntl; two downloads there only do the work twice, as files are renamed whole
        yield published
        return
    with (folder / LOCK).open("w", encoding="utf-8") as lock:
        for attempt in range(TRIES):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == TRIES - 1:
                    raise DownloadRunning(f"{title} is being downloaded for another visitor. Wait a moment, then reload the "
                                          "page.") from None
                time.sleep(0.02)
        try:
            yield published
        finally:
            published.forget()


def progress_of(name: str, root: Path) -> Progress | None:
    """How far somebody's download of a data set is; None where nobody is at it. Raises DataMissing for an unknown name."""
    return progress_in(root / spec_of(name, root).folder)


def progress_in(folder: Path) -> Progress | None:
    """The same of what is downloaded into a folder."""
    if not _is_held(folder / LOCK):
        return None
    try:
        values = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
        numbers = {key: float(values[key]) for key in ("share", "megabytes", "total_megabytes", "speed")}
        return Progress(str(values["file"])[:200], **numbers | {"share": min(1.0, max(0.0, numbers["share"]))})
    except (OSError, ValueError, KeyError, TypeError):
        return Progress("", 0.0, 0.0, 0.0)  # it has only just begun


def _is_held(lock: Path) -> bool:
    try:
        import fcntl

        with open(os.fspath(lock), encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return False
    return False
