"""What the store keeps of a search over settings: the search itself, and which run is which trial of it."""

from dataclasses import dataclass
from typing import Any, Literal

from core.actors import Actor

STUDIES = "sweeps"  # the folder below the runs folder that holds each search's study, see core.sweeps.study
SweepStatus = Literal["running", "paused", "finished", "stopped", "failed"]
TrialState = Literal["", "complete", "pruned", "failed"]  # "" while it is not known


class SweepNotFound(KeyError):
    """There is no such search."""

    def __str__(self) -> str:
        return f"There is no search {str(self.args[0])[:40]!r}."


@dataclass(frozen=True)
class Sweep:
    """A search. plan: core.sweeps.SweepPlan as JSON. kind: of the actor who began it. note: what it does or waits for now.
    result: core.sweeps.Result as JSON, "" until it has ended. driver, heartbeat: who drives it and when they said so last.
    seconds: for how long it was driven. Times are seconds since 1970."""

    number: int
    id: str
    owner: str
    kind: Literal["visitor", "teacher", "local"]
    lesson: str
    title: str
    plan: str
    status: SweepStatus
    message: str
    note: str
    created: float
    finished: float | None
    driver: str
    heartbeat: float
    seconds: float
    result: str

    @property
    def is_active(self) -> bool:
        """Going, or paused and able to go on."""
        return self.status in ("running", "paused")

    def actor(self) -> Actor:
        """Whoever began it, without limits: the settings know these."""
        return Actor(self.owner, self.kind, lesson=self.lesson)


@dataclass(frozen=True)
class TrialOf:
    """Which trial of which search a run is. repeat: 0 for the trial itself, else its settings once more with a fresh seed.
    params: the settings that the search has chosen, by their paths."""

    sweep: str
    trial: int
    repeat: int
    params: dict[str, Any]


@dataclass(frozen=True)
class Trial:
    """A trial's run as it is. number: of the run. value: what it came to by the search's metric, None where it has come to
    nothing. reason: why it failed. retries: how often it was begun again after its process had died. tested: whether its test
    images may be looked at."""

    run_id: str
    number: int
    trial: int
    repeat: int
    params: dict[str, Any]
    state: TrialState
    value: float | None
    reason: str
    retries: int
    tested: bool
    deleted: bool
    status: str
    message: str
    epoch: int
    validation_accuracy: float | None
    validation_loss: float | None
    test_accuracy: float | None
    test_loss: float | None
    seconds: float | None
    parameters: int | None
    created: float
    started: float | None
    finished: float | None

    @property
    def is_active(self) -> bool:
        return self.status in ("queued", "running") and not self.deleted
