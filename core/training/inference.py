"""A network's answers on a split. Whoever needs losses, accuracies or curves reduces them from here."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from core.data.batches import Batches
from core.torch_private import forward_hooks
from core.training.objectives import Objective

# Small enough for a layer's output to be used again from the heap: 250 images of 28×28 at 32 channels are 25 MB in float32.
# Two convolutions answer 10,000 images in 0.46 s so, in batches of 1,000 in 1.0 s (2 cores; bfloat16: 0.21 and 0.60 s).
EVALUATION_BATCH = 250
# Linear layers return little: 784-50-10 answers 5,000 images in 3.5 ms so, which are gathered by as many at once, and in batches
# of 250 in 4.3 ms (one thread)
DENSE_BATCH = 1250
MOST_AT_ONCE = 80 * 2**20  # bytes that the largest layer of a batch takes and returns
LARGEST_BATCH = 770_000  # values: 250 images of 3×32×32; fewer images where they are larger


@dataclass(frozen=True)
class Outputs:
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
          batch_size: int = EVALUATION_BATCH, report: Callable[[int], object] | None = None,
          answer: Callable[[Tensor], Tensor] | None = None) -> Outputs:
    """Run the network over all batches in evaluation mode; every module's mode is as before afterwards.

    answer: what the network does, from images to logits, where somebody knows a faster way than calling it.
    report: told after each batch how many examples have been answered; what it raises ends the work.
    """
    logits, labels = [], []
    with evaluation_mode(model), torch.inference_mode():
        for batch in batches.iterate(max(1, min(batch_size, LARGEST_BATCH // prod(batches.data.input_shape)))):
            with autocasting(batches.device, autocast):
                logits.append((answer or model)(batch.images))
            labels.append(batch.labels)
            if report is not None:
                report(sum(map(len, labels)))
    return Outputs(torch.cat(logits).float(), torch.cat(labels))


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


def autocasting(device: torch.device, dtype: torch.dtype | None, keep_converted: bool = True) -> AbstractContextManager[object]:
    """Autocast to `dtype`, or plain float32 for None.

    keep_converted: weights that are used twice are converted once.
    """
    # nothing at all for float32: entering a disabled autocast takes 5 % of a small network's step
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype, cache_enabled=keep_converted)


def largest_result(model: nn.Module, images: Tensor) -> int:
    """Bytes for each image that the largest layer takes and returns, as float32: what answering needs beside the weights.

    images: a few inputs (N, …), ready for the network, on its device. The network is left alone.
    """
    largest = 0

    def look(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        nonlocal largest
        both = [value.numel() for value in (*inputs, output) if isinstance(value, Tensor)]
        largest = max(largest, 4 * sum(both))

    network = private_copy(model)
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(look)
    with torch.inference_mode():
        network(images)
    return -(-largest // max(1, len(images)))


def batch_that_fits(model: nn.Module, images: Tensor, most: int) -> int:
    """How many images like these to ask about at once, at most `most`: fewer where the network makes large maps of them."""
    return max(1, min(most, MOST_AT_ONCE // max(1, largest_result(model, images))))


def private_copy(model: nn.Module) -> nn.Module:
    """The same network in evaluation mode, sharing the weights' memory and nothing else."""
    known: dict[int, object] = {id(weight): nn.Parameter(weight.detach(), requires_grad=False) for weight in model.parameters()}
    for module in model.modules():  # copied at once: another session may be adding hooks of its own
        for hooks in forward_hooks(module):
            known[id(hooks)] = OrderedDict(hooks)
    network = copy.deepcopy(model, known).eval()
    for module in network.modules():
        if getattr(module, "inplace", False):  # would overwrite what a method has kept of the layer before
            module.inplace = False  # pyright: ignore[reportArgumentType]  # torch's stub: a Tensor or Module, but anything may be
    return network
