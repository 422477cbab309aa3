"""What the store keeps: runs, their metrics and snapshots, as plain values."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from core.config import RunConfig

TEST_LOOKS = "test_looks"  # name of the snapshot that counts how often a run's network was asked about test images after its end
Status = Literal["queued", "running", "finished", "stopped", "failed", "interrupted"]
ACTIVE: tuple[Status, ...] = ("queued", "running")
Kind = Literal["training", "range_test"]
KINDS: tuple[Kind, ...] = ("training", "range_test")
NUMBER_FORMAT = "number_format"  # name of the snapshot that says what a run computes in, and why
SINK = "sink"  # name of the snapshot that says how far a run's metrics went elsewhere, and what came of it; see core.runs.outlet


class RunNotFound(KeyError):
    """There is no such run."""

    def __str__(self) -> str:
        asked = str(self.args[0])
        asked = asked if len(asked) <= 40 else f"{asked[:40]}…"
        return f"There is no run {asked!r}. It may have been deleted; the page “Compare runs” lists those there are."


@dataclass(frozen=True)
class Run:
    """One run as the store knows it. Times are seconds since 1970; accuracies from 0 to 1; None where not known yet.

    kind: a training, or a range test, which looks for a learning rate and is no result to compare.
    group_id: the same for runs that were started together and differ by their seed alone; "" for a run on its own.
    pace: seconds that an epoch should take at least. steps_requested: single steps asked for so far while it is paused.
    version: of Torch Playground that wrote its config; "" where it kept none.
    note, tags, starred, archived: what people said of it; archived since when. best_accuracy, best_loss: of all its epochs on the
    validation examples; validation_accuracy, validation_loss: of the last one. lesson: code of the one it was started in, or "".
    most_seconds, trained_before: how long it may train in all, None without a limit, and how long it had before it went on.
    """

    number: int
    id: str
    kind: Kind
    group_id: str
    owner: str
    title: str
    version: str
    config: RunConfig
    status: Status
    message: str
    created: float
    started: float | None
    finished: float | None
    heartbeat: float | None
    stop_requested: float | None
    pause_requested: float | None
    steps_requested: int
    learning_rate: float | None
    pace: float
    worker: str | None
    steps_per_epoch: int
    steps: int
    step: int
    first_step: int
    epoch: int
    parameters: int | None
    device: str
    precision: str
    validation_accuracy: float | None
    test_accuracy: float | None
    test_loss: float | None
    seconds: float | None
    note: str
    tags: tuple[str, ...]
    starred: bool
    archived: float | None
    best_accuracy: float | None
    best_loss: float | None
    validation_loss: float | None
    lesson: str
    most_seconds: float | None
    trained_before: float

    @property
    def is_active(self) -> bool:
        """Queued or running."""
        return self.status in ACTIVE

    @property
    def is_tested(self) -> bool:
        """Whether its answers to the test images are known."""
        return self.test_accuracy is not None or self.test_loss is not None

    @property
    def progress(self) -> float:
        """Share of the steps that are done, 0 to 1."""
        return self.step / self.steps if self.steps else 0.0

    def seconds_left(self, now: float) -> float | None:
        """Time to the last step at the pace so far, or to where its limit ends it; None before the first steps, while it waits,
        and right after it went on."""
        done = self.step - self.first_step
        if self.status != "running" or done <= 0 or self.started is None or self.pause_requested:
            return None
        taken = now - self.started
        left = taken / done * (self.steps - self.step)
        return max(0.0, left if self.most_seconds is None else min(left, self.most_seconds - self.trained_before - taken))


class Going(NamedTuple):
    """A run that a worker is doing. Times are those of whoever wrote them, to be compared with themselves alone.

    paused: since when it waits; None where it does not, or has been asked to in the meantime and not begun. seconds: that it
    had a training process before it went on. most_seconds, most_pause: of training, and of pause in all while others wait; None
    without a limit.
    """

    id: str
    worker: str | None
    heartbeat: float
    stop_requested: float | None
    paused: float | None
    seconds: float = 0.0
    most_seconds: float | None = None
    most_pause: float | None = None


class Metric(NamedTuple):  # made twice for each step: a frozen dataclass takes four times as long to make
    """One value of a run: `name` at `step`."""

    name: str
    step: int
    value: float


class Looked(NamedTuple):
    """How often test images were looked at, at least: by how many runs as they ended, and how often later, when a network was
    asked about all of them once more."""

    runs: int
    later: int


@dataclass(frozen=True)
class Metrics:
    """Metrics by name as (steps, values), and `seq`, from which the next call goes on."""

    seq: int
    series: dict[str, tuple[list[int], list[float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """Something that is no single number, such as a confusion matrix, as it was last: plain JSON values, at a step."""

    name: str
    step: int
    value: dict[str, Any]
