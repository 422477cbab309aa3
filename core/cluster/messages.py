"""What server, its child and a worker tell each other, as plain values.

Knows no torch: the child has none, and a worker reads this before it has been configured.
"""

from dataclasses import dataclass, field
from typing import Any

# --- between server and worker; the child hands it on packed, as bytes

KEEP, DROP = "keep_file", "drop_file"  # of the run's folder: (run id, name, content as uint8 array); (run id, name)
DATA, WEIGHTS = "data_files", "weights_of"  # (digest) → files; (run id) → files or None. Files: {name: content as uint8 array}


@dataclass(frozen=True)
class Call:
    """Something that the server is to do for a run, in the order in which it was said.

    name: of a method of RunStore, or KEEP, DROP, DATA, WEIGHTS. number: by which its answer is known; 0 where none is waited for.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    named: dict[str, Any] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True)
class Answer:
    """What a call came to: its value, or what it raised."""

    number: int
    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class Order:
    """Server to worker: what the run should do now (a core.training.Command), whether it is still this worker's to write, why
    nothing can be written down any more ("" where it can), and answers."""

    command: Any
    ours: bool = True
    trouble: str = ""
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True)
class News:
    """Worker to server: calls since the last time, and whether that was all. error: what only a mistake in the code can raise."""

    calls: tuple[Call, ...] = ()
    ended: bool = False
    error: str = ""


@dataclass(frozen=True)
class DataFile:
    """A file of a data set. name: below the data directory, with slashes. digest: SHA-256 of its content."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True)
class DataFiles:
    """What a run learns from. root: the server's data directory, which the worker may see, too."""

    root: str
    files: tuple[DataFile, ...]
    digest: str


# --- between server and child

@dataclass(frozen=True)
class State:
    """Child to server: why it can't be used, in one line; "" where it can. joined: whether it has joined the cluster."""

    trouble: str = ""
    joined: bool = False


@dataclass(frozen=True)
class Request:
    """Server to child. name: of a method of core.cluster.bridge.Bridge. number: by which its reply is known."""

    number: int
    name: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Reply:
    """Child to server: what a request came to, or what it raised: PlaceGone, OSError for a file that can't be read, and
    RuntimeError for all else, each with one line."""

    number: int
    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class About:
    """A worker, as it says itself."""

    pid: int
    host: str
    python: str
    torch: str
    device: str


class PlaceGone(Exception):
    """A process on the cluster has died, or its machine has; the message is one line."""
