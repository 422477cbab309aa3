"""One training step, and which batches an epoch has: what fit(), the microscope, the range test and the measurement of layers do.

They differ in what they look at, and in where learning rates come from; none of them has arithmetic of its own.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from core.config import TrainingConfig
from core.data.batches import Batch, Batches
from core.devices import autocast_type, suits_channels_last
from core.training.convolutional import chain_of_convolutions
from core.training.dense import Chain, chain_of, loss_and_gradient
from core.training.graphs import Forward
from core.training.objectives import objective_of
from core.training.optimizers import Stepper, build_optimizer
from core.training.shortcuts import FAILURES, Shortcuts
from core.training.trainable import weights_to_train

# What a run's seed is multiplied by before an epoch's number is added: runs with neighbouring seeds share no epoch's order
SEED_FACTOR = 100_003

# What has just been done: logits and loss are there; the loss's gradients are in weight.grad; L1's part is added to them; long
# ones are shortened; the weights are new. A step without L1 or without clipping does not come by there.
Phase = Literal["forward", "backward", "l1", "clipping", "update"]
Look = Callable[[Phase], object]


def shuffling_seed(seed: int, epoch: int) -> int:
    """What the order of an epoch (from 1) is drawn from, in a run with this seed."""
    return seed * SEED_FACTOR + epoch


def order_of_epoch(training: TrainingConfig, epoch: int, examples: int) -> Tensor:
    """(examples,) int64 on the CPU: positions in the training split, in the order in which an epoch (from 1) takes them.

    A generator for each epoch, so that an epoch's order depends on nothing that went before.
    """
    if not training.shuffle:
        return torch.arange(examples)
    return torch.randperm(examples, generator=torch.Generator().manual_seed(shuffling_seed(training.seed, epoch)))


def batches_of_epoch(batches: Batches, training: TrainingConfig, epoch: int, skip: int = 0) -> Iterator[Batch]:
    """What an epoch (from 1) trains with, but for the first `skip` batches. What random transforms draw does not depend on how
    many are skipped."""
    order = order_of_epoch(training, epoch, len(batches))
    return batches.iterate(training.batch_size, order, skip, (training.seed, epoch))


class TrainingStep:
    """A network with its loss and its optimizer, and what a step does to them.

    Another way to work out answers and gradients replaces answer() and backward(); what becomes of the gradients stays.
    """

    def __init__(self, training: TrainingConfig, target: str, model: nn.Module, device: torch.device,
                 shortcuts: Shortcuts | None = None) -> None:
        """Moves `model` to the device, in the memory format that suits it. shortcuts: what may be taken; None: what is usual.

        Raises:
            ConfigError: a loss that does not suit the data's `target`, "classes" or "number".
        """
        self.training, self.device = training, device
        self.shortcuts = shortcuts or Shortcuts(device)
        self.model = model.to(device)
        self.channels_last = suits_channels_last(model) and self.shortcuts.usable("channels_last")
        if self.channels_last:
            self.model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stub lacks it
        self.autocast = autocast_type(training.precision)
        self.forward = Forward(self.model, device, self.autocast, self.shortcuts)
        self.chain = self.find_chain()
        self.gradient: Tensor | None = None  # of the last loss for its logits, where the chain has answered
        self.objective = objective_of(training, target)
        weights = weights_to_train(self.model, training)
        self.optimizer = Stepper(build_optimizer(training.optimizer, weights, self.shortcuts), self.shortcuts)

    def take(self, batch: Batch, learning_rate: float, look: Look = lambda phase: None) -> tuple[Tensor, Tensor]:
        """Forward, loss, backward, new weights; the network is to be in training mode.

        Dropout draws from PyTorch's global random state. The gradients stay in weight.grad until the next step.

        Args:
            look: told after each phase, while the network, its gradients and the optimizer are as that phase left them. It must
                change none of them, and draw no random number.

        Returns:
            The loss, a scalar, mean over the batch and without L1; and the logits (n, outputs) float32. Both are from before the
            update, on the device and without a graph.
        """
        self.optimizer.learning_rate = learning_rate
        self.optimizer.zero_grad()
        logits, loss = self.answer(batch)
        look("forward")
        self.backward(loss)
        look("backward")
        if self.training.l1:
            self.add_l1()
            look("l1")
        if self.training.gradient_clipping:
            nn.utils.clip_grad_norm_(self.optimizer.weights, self.training.gradient_clipping)
            look("clipping")
        self.optimizer.step()
        look("update")
        return loss.detach(), logits.detach()

    def answer(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits (n, outputs) float32 and the mean loss of a batch."""
        self.gradient, self.batch = None, batch
        if self.chain is not None and not self.chain.is_watched and batch.images.dtype is torch.float32:
            try:
                with torch.no_grad():
                    logits = self.chain.forward(batch.images)
                    loss, self.gradient = loss_and_gradient(self.objective, logits, batch.labels)
                return logits, loss
            except FAILURES as error:
                self._give_up_chain(error)
        logits = self.forward(batch.images).float()  # the loss in float32: its sums and logarithms lose too much in bfloat16
        return logits, self.objective.loss(logits, batch.labels)

    def evaluate(self, images: Tensor) -> Tensor:
        """The network's logits for images (n, …), to be called in evaluation mode and without gradients."""
        if self.chain is not None and not self.chain.is_watched and images.dtype is torch.float32:
            try:
                return self.chain.forward(images, keep=False)
            except FAILURES as error:
                self._give_up_chain(error)
        return self.model(images)

    def backward(self, loss: Tensor) -> None:
        """Put the gradients of the loss that answer() returned last into weight.grad, where there was none."""
        if self.chain is not None and self.gradient is not None:
            try:
                with torch.no_grad():
                    self.chain.backward(self.gradient)
                return
            except FAILURES as error:
                self._give_up_chain(error)
                self.optimizer.zero_grad()  # some of them may be there
                _, loss = self.answer(self.batch)
        loss.backward()

    def find_chain(self) -> Chain | None:
        """The network as layers in a row, where it is such a network and that is faster than autograd with this device and
        number format."""
        if self.device.type != "cpu":  # kernels wait less for Python than for each other
            return None
        dense = chain_of(self.model, self.shortcuts) if self.autocast is None else None
        return dense or chain_of_convolutions(self.model, self.shortcuts, self.autocast)

    def _give_up_chain(self, error: Exception) -> None:
        """Autograd from now on. Raises the error where it is none of a shortcut's."""
        if self.chain is None or self.chain.shortcut is None:
            raise error
        self.shortcuts.give_up(self.chain.shortcut, error)
        self.chain = self.gradient = None

    def add_l1(self) -> None:
        """What l1 · Σ|w| in the loss would add to the gradients, l1 · sign(w), as autograd has it, which takes 0 at 0."""
        for weight in self.optimizer.weights:
            if weight.grad is not None:
                weight.grad.add_(weight.detach().sign(), alpha=self.training.l1)
