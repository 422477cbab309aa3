"""How the outside world reaches a loop that is running."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class WeightEdit:
    """A weight that is to have another value.

    number: grows from one edit of a run to the next, so that none is done twice. layer: a module's name in the network. row,
        column: place in its weight; without a column, in its bias.
    """

    number: int
    layer: str
    row: int
    column: int | None
    value: float


@dataclass(frozen=True)
class Command:
    """What the loop should do now.

    learning_rate: instead of the config's, from the next step on; None for the config's.
    steps: how many single steps have been asked for in all. While the loop is paused it takes one for each that is new; those
        asked for while it was not paused are void.
    pace: seconds that an epoch should take at least, so that eyes can follow a training of a tenth of a second; 0 for as fast as
        it goes.
    edits: weights to set before the next step, ascending by number. The same ones may be told again: those done are passed by.
    """

    stop: bool = False
    pause: bool = False
    learning_rate: float | None = None
    steps: int = 0
    pace: float = 0.0
    edits: tuple[WeightEdit, ...] = ()


class Control(Protocol):
    """Asked between steps, so it should answer at once."""

    def command(self) -> Command: ...
