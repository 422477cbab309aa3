"""On a CUDA device: forward and backward pass recorded once and replayed, where that makes the rest of a run faster.

A small network's kernels are shorter than the time Python takes to launch them. A CUDA graph launches them all at once. Whether
that pays is measured in the run itself, and what is replayed is compared with what it replaces before it is used. Only where it
is asked for (PLAYGROUND_CUDA_GRAPHS), as no GPU has run it yet; and where it fails the network runs as ever.
"""

from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn

from core.training.inference import autocasting
from core.training.shortcuts import FAILURES, Shortcuts

WHERE = ("cuda",)  # kinds of device that can record
WINDOWS = 3  # looks at the speed before and after; the first of each has warming up in it and does not count
LEAST_SECONDS = 2.0  # of training left: recording takes a part of a second
GAIN = 0.95  # of the time of a step before; a replay that takes more is not worth its memory
MOST_DIFFERENCE = 0.02  # of the gradients' length: bfloat16 and sums in another order differ by less


class Forward:
    """The forward pass of a training's steps. Call it with a batch's images (n, …); it returns logits (n, outputs), float32 or of
    the autocast type."""

    def __init__(self, model: nn.Module, device: torch.device, autocast: torch.dtype | None,
                 shortcuts: Shortcuts | None = None) -> None:
        """shortcuts: whether recording is asked for, and what is told where it fails; None: it is not."""
        self.model, self.device, self.autocast = model, device, autocast
        self.shortcuts = shortcuts or Shortcuts(device)
        self.decided = device.type not in WHERE or not self.shortcuts.graphs or not self.shortcuts.usable("graphs")
        self.sample: Tensor | None = None  # the largest batch so far, to record with
        self.replay: Callable[[Tensor], Tensor] | None = None
        self.shape: torch.Size | None = None  # of the batches that can be replayed: not the smaller one at an epoch's end
        self.times: list[float] = []  # seconds a step, of the windows since the start or since recording
        self.before = 0.0  # seconds a step without replaying

    def __call__(self, images: Tensor) -> Tensor:
        if self.replay is not None and images.shape == self.shape:
            try:
                return self.replay(images)
            except FAILURES as error:
                self._give_up(error)
        if not self.decided and self.replay is None and (self.sample is None or len(images) > len(self.sample)):
            self.sample = images.clone()
        with autocasting(self.device, self.autocast):
            return self.model(images)

    def measured(self, steps: int, seconds: float, left: int) -> None:
        """What a window of steps took, and how many steps are left: on that recording begins and is given up."""
        if self.decided:
            return
        self.times.append(seconds / steps)
        if len(self.times) < WINDOWS:
            return
        now, self.times = median(self.times[1:]), []
        if self.replay is not None:  # it has been tried
            self.decided = True
            if now > GAIN * self.before:
                self.replay = None
            return
        if self.sample is not None and now * left >= LEAST_SECONDS:
            self.before, self.shape = now, self.sample.shape
            try:
                self.replay = recorded(self.model, self.sample, self.device, self.autocast)
            except FAILURES as error:
                self._give_up(error)
        self.decided, self.sample = self.replay is None, None

    def _give_up(self, error: Exception) -> None:
        self.replay, self.decided = None, True
        self.shortcuts.give_up("graphs", error)


class _Shell(nn.Module):
    """The network with its number format. Recording changes the forward() of what it is given; the network keeps its own."""

    def __init__(self, model: nn.Module, device: torch.device, autocast: torch.dtype | None) -> None:
        super().__init__()
        self.model, self.device, self.autocast = model, device, autocast
        self.training = model.training  # train() would change the network's layers, of which some may stay in evaluation mode

    def forward(self, images: Tensor) -> Tensor:
        # weights that were converted once and kept would be recorded as they are now
        with autocasting(self.device, self.autocast, keep_converted=False):
            return self.model(images)


def recorded(model: nn.Module, sample: Tensor, device: torch.device,
             autocast: torch.dtype | None) -> Callable[[Tensor], Tensor] | None:
    """The network's forward pass, recorded with its backward pass for batches like `sample`; None where that does something else
    than the network. Weights, running statistics, gradients and random state are as before.

    Raises what PyTorch does where it can't be recorded, as with an operation that waits for the device: one of FAILURES.
    """
    shell = _Shell(model, device, autocast)
    gradients = [weight.grad for weight in model.parameters()]
    statistics = [value.clone() for value in model.buffers()]
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            # a stand-in for real batches, which are copied into it
            record(shell, (sample.clone(),), allow_unused_input=True)
            return shell if _agree(shell, _Shell(model, device, autocast), sample) else None
    finally:
        with torch.no_grad():
            for value, kept in zip(model.buffers(), statistics, strict=True):
                value.copy_(kept)
        for weight, gradient in zip(model.parameters(), gradients, strict=True):
            weight.grad = gradient


def record(module: nn.Module, sample: tuple[Tensor, ...], allow_unused_input: bool) -> None:
    """Replace the module's forward() by a replay of its kernels."""
    torch.cuda.make_graphed_callables(module, sample, allow_unused_input=allow_unused_input)


def _agree(replay: nn.Module, eager: nn.Module, sample: Tensor) -> bool:
    """Whether both give the same gradients, for another batch than the one recorded: it is turned round and half as bright. What
    is left to chance, such as dropout, must be drawn alike, or they can't be compared and the replay is not used."""
    images = sample.flip(0) * 0.5 if sample.is_floating_point() else sample.flip(0)
    found = []
    for network in (replay, eager):
        with torch.random.fork_rng(devices=[sample.device] if sample.device.type == "cuda" else []):
            torch.manual_seed(0)
            weights = [weight for weight in network.parameters() if weight.requires_grad]
            logits = network(images).float()
            loss = (logits * torch.linspace(-1, 1, logits.numel(), device=logits.device).view_as(logits)).sum()
            gradients = torch.autograd.grad(loss, weights, allow_unused=True)
            found.append(torch.cat([(torch.zeros_like(weight) if gradient is None else gradient).flatten().float()
                                    for weight, gradient in zip(weights, gradients, strict=True)]))
    ours, theirs = found
    return bool((ours - theirs).norm() <= MOST_DIFFERENCE * theirs.norm())
