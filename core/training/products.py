"""Products of matrices, by the faster of the two libraries that PyTorch has for them.

PyTorch hands float32 products to MKL, which leaves half of what AVX-512 can do unused on AMD's processors. oneDNN, which PyTorch
has for convolutions, does not: 64 images times 784×512 weights take 0.25 instead of 0.50 ms on one thread of an AMD EPYC. Where
MKL is as fast, it is taken: a call of oneDNN's costs 10 µs more.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from core.devices import processor_clock, with_threads
from core.torch_private import has_onednn_linear, onednn_linear
from core.training.shortcuts import FAILURES, Shortcuts

LEAST = 1_000_000  # multiplications of a product that oneDNN is asked for; 64×784 times 784×50 has 2.5 million
CLEARLY = 1.3  # times as fast as MKL: it is twice as fast or about as fast, so that a machine's answer is always the same
SIZE, TRIALS = 256, 7  # of the square product that is timed: 3 ms in all, once for each process


def times_as_fast(usual: Callable[[], object], other: Callable[[], object], clock: Callable[[], float]) -> float:
    """How many times as fast the other one is: the fastest of some calls of each, in turn, so that other work meets both."""
    best = {usual: float("inf"), other: float("inf")}
    for trial in range(TRIALS + 1):
        for call in best:
            began = clock()
            call()
            best[call] = min(best[call], clock() - began) if trial else best[call]  # the first one takes memory
    return best[usual] / max(best[other], 1e-9)


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN's products are clearly faster here than those that PyTorch takes itself.

    By the processor's time on one thread, which others that are busy don't lengthen: all processes of a machine are to take the
    same library, as its sums differ in their last bits.
    """
    if not has_onednn_linear():
        return False
    left, right, out = (torch.full((SIZE, SIZE), 0.5) for _ in range(3))
    with with_threads(1):
        return times_as_fast(lambda: torch.mm(left, right, out=out), lambda: onednn_linear(left, right, None),
                             processor_clock("thread")) >= CLEARLY


class Products:
    """The three products of a linear layer, float32 on the CPU. To be called without gradients.

    For x (n, inputs), weight (outputs, inputs) and the loss's gradient for the layer's output (n, outputs).
    """

    def __init__(self, shortcuts: Shortcuts) -> None:
        self.shortcuts = shortcuts
        self.takes_onednn = shortcuts.usable("onednn_products")

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The layer's output (n, outputs)."""
        if self._is_large(x, weight):
            try:
                return onednn_linear(x, weight, bias)
            except FAILURES as error:
                self._give_up(error)
        return F.linear(x, weight, bias)

    def for_weight(self, gradient: Tensor, x: Tensor, weight: Tensor, out: Tensor) -> Tensor:
        """The gradient for the weight, in `out` or in memory of its own."""
        if self._is_large(x, weight):
            try:
                return onednn_linear(gradient.t(), x.t(), None)
            except FAILURES as error:
                self._give_up(error)
        return torch.mm(gradient.t(), x, out=out)

    def for_input(self, gradient: Tensor, weight: Tensor) -> Tensor:
        """The gradient for the layer's input (n, inputs)."""
        if self._is_large(gradient, weight):
            try:
                return onednn_linear(gradient, weight.t(), None)
            except FAILURES as error:
                self._give_up(error)
        return gradient.mm(weight)

    def _is_large(self, rows: Tensor, weight: Tensor) -> bool:
        return self.takes_onednn and len(rows) * weight.numel() >= LEAST and onednn_is_faster()

    def _give_up(self, error: Exception) -> None:
        self.takes_onednn = False
        self.shortcuts.give_up("onednn_products", error)
