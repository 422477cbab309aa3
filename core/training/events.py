"""What training reports: small frozen events, the same for a notebook, a test and a worker process."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from torch import Tensor

from core.training.state import TrainingState

Outcome = Literal["completed", "stopped", "diverged"]
DIVERGED = "The loss or a weight became NaN or infinite"  # how the message of a run that has diverged begins


@dataclass(frozen=True)
class Started:
    """Training is about to begin. precision: "float32" or "bfloat16"; why: that one, in one line, "" where it was asked for."""

    steps_per_epoch: int
    steps: int
    parameters: int
    device: str
    precision: str
    why: str = ""


@dataclass(frozen=True)
class Threads:
    """From the step after `step` on, training takes so many processor threads; at 0 before the first step of a run."""

    step: int
    threads: int


@dataclass(frozen=True)
class Fallback:
    """By this step something that is faster on some devices has failed here, and plain PyTorch took its place: one line."""

    step: int
    line: str


@dataclass(slots=True)  # not frozen: there are tens of thousands a second, and that takes three times as long to make
class Step:
    """One change of the weights: loss and accuracy (0 to 1) of its batch, before the change. Counted from 1.

    The accuracy is None where a number is predicted: there is no right or wrong then.
    """

    step: int
    epoch: int
    loss: float
    accuracy: float | None


@dataclass(frozen=True)
class Intervention:
    """A person changed something by hand after `step` steps, and the next one was the first that it acted on.

    number: counts those of a run, from 1. before, after: of the learning rate, which a schedule scales, or of one weight.
    layer, row, column: of a weight, its place in the layer's weight; without a column, in the layer's bias.
    edit: number of the WeightEdit that asked for it; 0 for a learning rate.
    """

    number: int
    step: int
    what: Literal["learning_rate", "weight"]
    before: float
    after: float
    layer: str = ""
    row: int | None = None
    column: int | None = None
    edit: int = 0


@dataclass(frozen=True)
class Gradients:
    """What the last step did, a few times a second: its learning rate, and the norm of each layer's gradient by its name.

    images, seconds: how many images the steps since the last such event have seen, and the time they took.
    """

    step: int
    learning_rate: float
    norms: dict[str, float]
    images: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Paused:
    """The loop waits before its next step because it was asked to; again after each single step, and after each Intervention
    while it waits."""

    step: int


@dataclass(frozen=True)
class SampleAnswers:
    """What the network says about a few validation images, the same ones all the time: now and then, and after the last epoch.

    positions: within the validation split. labels: what is right. answers: what it says, probabilities: how sure it is of that.
    """

    step: int
    epoch: int
    positions: tuple[int, ...]
    labels: tuple[int, ...]
    answers: tuple[int, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Validation:
    """What else an epoch's look at the validation examples shows; after each epoch, or now and then where epochs are very short,
    and after the last one.

    confusion: counts; rows are true classes, columns what the network said. Empty where a number is predicted.
    dead_units: for each ReLU by its name, the share (0 to 1) of its units, or of a convolution's channels, that were 0 for all
        of `examined` of the examples.
    """

    epoch: int
    step: int
    confusion: tuple[tuple[int, ...], ...]
    dead_units: dict[str, float]
    examined: int


@dataclass(frozen=True, eq=False)  # arrays have no single truth value, so == would raise
class Look:
    """What a watcher saw after `step` steps; at 0 before the first one.

    kind: which watcher's, such as "watch". epoch: from 1, in which the step was. seconds: of training so far, without pauses.
    """

    kind: str
    step: int
    epoch: int
    seconds: float
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True)
class Epoch:
    """One pass through the training images, then the validation images.

    Training figures are means over examples while the weights were changing. seconds and images_per_second are of the
    training part alone.
    """

    epoch: int
    step: int
    train_loss: float
    train_accuracy: float | None
    validation_loss: float
    validation_accuracy: float | None
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class Checkpoint:
    """The weights so far, a state_dict of copies on the CPU, and what fit() needs to go on from there (None: it can't)."""

    epoch: int
    step: int
    weights: dict[str, Tensor]
    state: TrainingState | None = None


class LateCheckpoint(Checkpoint):
    """A Checkpoint that is put together when it is first asked for what it holds."""

    def __init__(self, epoch: int, step: int, make: Callable[[], Checkpoint]) -> None:
        vars(self).update(epoch=epoch, step=step, make=make)  # it is frozen

    @cached_property
    def _made(self) -> Checkpoint:
        return vars(self)["make"]()

    @property
    def weights(self) -> dict[str, Tensor]:
        return self._made.weights

    @property
    def state(self) -> TrainingState | None:
        return self._made.state


@dataclass(frozen=True)
class Finished:
    """Training is over. `reason` says how, `message` in one line why where it did not run to its end."""

    reason: Outcome
    epochs: int
    steps: int
    seconds: float
    message: str = ""


Event = (Started | Threads | Fallback | Intervention | Step | Gradients | Paused | SampleAnswers | Look | Epoch | Validation
         | Checkpoint | Finished)
