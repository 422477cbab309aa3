"""Where a training is, apart from its weights: enough to go on as if it had never stopped."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

# Prefixes of the tensors' names
OPTIMIZER, BEST, CURRENT, RANDOM = "optimizer.", "best.", "current.", "random."


@dataclass(frozen=True, eq=False)  # tensors have no single truth value, so == would raise
class TrainingState:
    """A place in a training.

    epoch, batch: the next batch to take, in which epoch (from 1); batch 0 is the first of the epoch.
    numbers: plain values: sums of the epoch so far, the plateau's and early stopping's memory.
    tensors: the optimizer's state as "optimizer.0.exp_avg" (number of the weight, name), PyTorch's random states as
        "random.cpu", the best weights as "best.…" and, where a Checkpoint holds the best weights, the latest as "current.…".
    """

    step: int
    epoch: int
    batch: int
    numbers: dict[str, float] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @property
    def interventions(self) -> int:
        """How many changes by hand it knows of: those of the run up to here."""
        return int(self.numbers.get("interventions", 0))

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix`, by the rest of their names."""
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}

    def about(self) -> dict[str, Any]:
        """Everything but the tensors, as plain JSON values."""
        return {"step": self.step, "epoch": self.epoch, "batch": self.batch, "numbers": self.numbers}
