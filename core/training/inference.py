"""A network's answers on a split. Whoever needs losses, accuracies or curves reduces them from here."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from core.data.batches import Batches
from core.training.objectives import Objective

# Small enough for a layer's output to be used again from the heap: 250 images of 28×28 at 32 channels are 25 MB in float32.
# Two convolutions answer 10,000 images in 0.46 s so, in batches of 1,000 in 1.0 s (2 cores; bfloat16: 0.21 and 0.60 s).
EVALUATION_BATCH = 250
LARGEST_BATCH = 770_000  # values: 250 images of 3×32×32; fewer images where they are larger


@dataclass(frozen=True)
class Answers:
    """logits: (N, outputs) float32; labels: (N,) int64; on the network's device, in the split's order."""

    logits: Tensor
    labels: Tensor

    def loss(self, objective: Objective) -> float:
        """Mean loss over examples."""
        return float(objective.loss(self.logits, self.labels))

    def accuracy(self, objective: Objective) -> float:
        """Share of right answers, 0 to 1."""
        return int((objective.predict(self.logits) == self.labels).sum()) / len(self.labels)


def infer(model: nn.Module, batches: Batches, autocast: torch.dtype | None = None,
          batch_size: int = EVALUATION_BATCH) -> Answers:
    """Run the network over all batches in evaluation mode; every module's mode is as before afterwards."""
    logits, labels = [], []
    with evaluation_mode(model), torch.inference_mode():
        for batch in batches.iterate(max(1, min(batch_size, LARGEST_BATCH // prod(batches.data.input_shape)))):
            with autocasting(batches.device, autocast):
                logits.append(model(batch.images))
            labels.append(batch.labels)
    return Answers(torch.cat(logits).float(), torch.cat(labels))


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Dropout off, batch norm on its running statistics; each module's own mode is restored, not only the root's."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def autocasting(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    """Autocast to `dtype`, or plain float32 for None."""
    # nothing at all for float32: entering a disabled autocast takes 5 % of a small network's step
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)
