"""What a page has a training process work out: that has in memory what training takes, and keeps no other page waiting.

The folder `asked` beside the runs' is the way there and back. A question is a file whose name stands for all that its answer
depends on, so whoever asks the same, now or later, has the same answer. A process that trains nothing takes it, says once a
second that it is at it, and leaves the answer. Where none does, whoever asked does it alone: pages.parts.learn.asked.

Not while a run trains: PyTorch's random numbers are the process's, and the run's are to be the same whoever asks what.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.fields import Config
from core.files import write_atomically
from core.runs.store import RunStore
from core.version import VERSION

FOLDER = "asked"
WANTED, TAKEN, ANSWER = ".wanted", ".taken", ".json"
NAME = re.compile(r"[a-z]+-[0-9a-f]{32}")
LARGEST = 1 << 20  # bytes of a question or an answer that is read
MOST_KEPT = 300  # answers, of a few kB each
SECONDS_OF_SILENCE = 5.0  # after which nobody waits for a question any more, and who has taken one has died


class Asked:
    """A question of a lab, as the page sees it that asks. lab: its name in core.runs.lab_answers."""

    def __init__(self, store: RunStore, lab: str, question: Config) -> None:
        self.lab, self.text = lab, question.model_dump_json()
        self.name = _name_of(lab, self.text)
        self.folder = store.path / FOLDER

    @property
    def answer(self) -> bytes | None:
        """What was kept, to be read with care; b"" where it could not be worked out, None where there is nothing yet."""
        return _read(self.folder / f"{self.name}{ANSWER}")

    @property
    def is_taken(self) -> bool:
        """Whether a process is at it."""
        return _is_fresh(self.folder / f"{self.name}{TAKEN}")

    @property
    def is_in_line(self) -> bool:
        """Whether a process is at this or another question."""
        return any(_is_fresh(path) for path in _files(self.folder, TAKEN))

    def want(self) -> bool:
        """Ask, or say that somebody still waits. Returns whether it is asked anew. Raises OSError where that can't be written."""
        if self.is_taken:
            return False
        path = self.folder / f"{self.name}{WANTED}"
        with suppress(FileNotFoundError):
            os.utime(path)
            return False
        content = json.dumps({"lab": self.lab, "question": self.text}).encode()
        write_atomically(path, lambda file: file.write(content), durable=False)
        return True

    def forget(self) -> None:
        """An answer that is of no use."""
        with suppress(OSError):
            (self.folder / f"{self.name}{ANSWER}").unlink()


@dataclass(frozen=True)
class Taken:
    """A question that this process has taken. path: its mark, which is there as long as it is worked on."""

    path: Path
    lab: str
    text: str

    def beat(self) -> None:
        """Say that this process is at it."""
        with suppress(OSError):  # it has just been answered
            os.utime(self.path)

    def keep(self, answer: bytes) -> None:
        """Leave the answer. One that can't be written down is worked out by who asked."""
        with suppress(OSError):
            write_atomically(self.path.with_suffix(ANSWER), lambda file: file.write(answer), durable=False)
        with suppress(OSError):
            self.path.unlink()
        _thin(self.path.parent)


def take(store: RunStore) -> Taken | None:
    """A question that somebody waits for, which is then this process's to answer; None where there is none."""
    for path in _files(store.path / FOLDER, WANTED):
        content = _read(path) if _is_fresh(path) and not path.with_suffix(ANSWER).exists() else None
        try:
            asked = json.loads(content or b"")
            lab, text = asked["lab"], asked["question"]
            if path.stem != _name_of(lab, text):
                raise ValueError("it is named after another question")
        except (ValueError, TypeError, KeyError, AttributeError):  # nobody waits any more, or it is no question
            with suppress(OSError):
                path.unlink()
            continue
        with suppress(OSError):  # another process has taken it
            path.rename(path.with_suffix(TAKEN))
            taken = Taken(path.with_suffix(TAKEN), lab, text)
            taken.beat()
            return taken
    return None


def _name_of(lab: str, text: str) -> str:
    """Another version may answer otherwise."""
    return f"{lab}-{hashlib.blake2b(f'{VERSION} {lab} {text}'.encode(), digest_size=16).hexdigest()}"


def _read(path: Path) -> bytes | None:
    """A file's content, if it is there and not too large."""
    try:
        return path.read_bytes() if path.stat().st_size <= LARGEST else b""
    except OSError:
        return None


def _is_fresh(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < SECONDS_OF_SILENCE
    except OSError:
        return False


def _files(folder: Path, kind: str) -> Iterator[Path]:
    return (path for path in sorted(folder.glob(f"*{kind}")) if NAME.fullmatch(path.stem))


def _thin(folder: Path) -> None:
    """Only the newest answers stay, and no question that nobody waits for."""
    with suppress(OSError):  # another process thins it out as well
        for path in [*_files(folder, WANTED), *_files(folder, TAKEN)]:
            if not _is_fresh(path):
                path.unlink()
        kept = sorted(_files(folder, ANSWER), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in kept[MOST_KEPT:]:
            path.unlink()
