"""fit(): the training loop, as a generator of events."""

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Protocol

import torch
from torch import Tensor, nn

from core.config import RunConfig
from core.data.batches import Batch, Batches
from core.data.dataset import Dataset
from core.devices import autocast_type
from core.training.events import Checkpoint, Epoch, Event, Finished, Started, Step
from core.training.inference import autocasting, infer
from core.training.objectives import OBJECTIVES
from core.training.optimizers import Stepper, build_optimizer

# Steps whose losses are read from the device together: reading each one would make a GPU wait at every step.
STEPS_PER_READ = 32
SECONDS_PER_READ = 0.1  # sooner for slow networks, so that a chart moves


class Control(Protocol):
    """How the outside world reaches a loop that is running."""

    def stop_requested(self) -> bool:
        """Looked at between steps, so it should be quick."""
        ...


def fit(config: RunConfig, data: Dataset, model: nn.Module, device: torch.device,
        control: Control | None = None) -> Iterator[Event]:
    """Train `model` in place and report: Started, then Steps, an Epoch and a Checkpoint each epoch, Finished at the end.

    The same config, data and weights give the same events on the CPU at the same number of threads (but for seconds).
    Dropout draws from PyTorch's global random state, which is seeded here. A loss or weight that is NaN or infinite ends
    the run with reason "diverged", after a Checkpoint of the last good weights, which `model` then holds too. The model is
    left in training mode, as a loop of one's own leaves it.
    """
    loop = Loop(config, data, model, device)
    yield Started(loop.steps_per_epoch, loop.steps_per_epoch * config.training.epochs,
                  sum(p.numel() for p in model.parameters()), str(device), loop.precision)
    began = time.perf_counter()
    epoch = 0
    outcome = "completed"
    for epoch in range(1, config.training.epochs + 1):
        outcome = yield from loop.train_epoch(epoch, control)
        if outcome != "completed":
            break
        yield loop.epoch_event(epoch)
        if epoch < config.training.epochs:
            yield Checkpoint(epoch, loop.step, copy_weights(model))
    message = ""
    if outcome == "diverged":
        model.load_state_dict(loop.last_good)
        message = (f"The loss or a weight became NaN or infinite at step {loop.step} (epoch {epoch}); the last good weights were "
                   "kept. Try a smaller learning rate.")
    yield Checkpoint(epoch, loop.step, copy_weights(model))
    yield Finished(outcome, epoch - (outcome != "completed"), loop.step, time.perf_counter() - began, message)


@dataclass
class Pending:
    """Steps whose losses have not been read from the device yet."""

    losses: list[Tensor] = field(default_factory=list)
    correct: list[Tensor] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    since: float = field(default_factory=time.perf_counter)

    def add(self, loss: Tensor, correct: Tensor, size: int) -> None:
        self.losses.append(loss)
        self.correct.append(correct)
        self.sizes.append(size)

    def is_due(self) -> bool:
        return len(self.losses) >= STEPS_PER_READ or time.perf_counter() - self.since >= SECONDS_PER_READ


@dataclass
class Sums:
    """What one epoch adds up, over examples; seconds are of training steps alone."""

    loss: float = 0.0
    correct: int = 0
    examples: int = 0
    seconds: float = 0.0

    def add(self, mean_loss: float, correct: int, examples: int) -> None:
        self.loss += mean_loss * examples
        self.correct += correct
        self.examples += examples


class Loop:
    """The state of one training: network, optimizer, place in the data, sums of the current epoch."""

    def __init__(self, config: RunConfig, data: Dataset, model: nn.Module, device: torch.device) -> None:
        training = config.training
        self.config, self.device = training, device
        convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
        self.model = model.to(device, memory_format=torch.channels_last) if convolutional else model.to(device)
        self.autocast = autocast_type(training.precision, device, convolutional)
        self.objective = OBJECTIVES[training.loss]
        self.optimizer = Stepper(build_optimizer(training.optimizer, model.parameters()))
        self.train = Batches(data, data.train, device, channels_last=convolutional)
        self.validation = Batches(data, data.validation, device, channels_last=convolutional)
        self.steps_per_epoch = -(-len(self.train) // training.batch_size)
        self.step = 0
        self.last_good = copy_weights(model)
        self.epoch_sums = Sums()
        torch.manual_seed(training.seed)

    @property
    def precision(self) -> str:
        return "bfloat16" if self.autocast else "float32"

    def train_epoch(self, epoch: int, control: Control | None) -> Generator[Event, None, str]:
        """One pass through the training images. Yields Steps; returns "completed", "stopped" or "diverged"."""
        # a generator for each epoch, so that an epoch's order depends on nothing that went before
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(self.config.seed * 100_003 + epoch))
        self.epoch_sums = Sums()
        self.model.train()
        pending = Pending()
        for batch in self.train.iterate(self.config.batch_size, order):
            if control is not None and control.stop_requested():
                # even so: weights that became NaN since the last read must not be kept
                return "stopped" if (yield from self.read(pending, epoch)) else "diverged"
            pending.add(*self.train_step(batch))
            if pending.is_due():
                if not (yield from self.read(pending, epoch)):
                    return "diverged"
                pending = Pending()
        return "completed" if (yield from self.read(pending, epoch)) else "diverged"

    def train_step(self, batch: Batch) -> tuple[Tensor, Tensor, int]:
        """Forward, loss, backward, new weights. Returns loss and number of right answers, both still on the device, and size."""
        self.optimizer.zero_grad()
        with autocasting(self.device, self.autocast):
            logits = self.model(batch.images)
        logits = logits.float()  # the loss in float32: its sums and logarithms lose too much in bfloat16
        loss = self.objective.loss(logits, batch.labels)
        loss.backward()
        self.optimizer.step()
        correct = (self.objective.predict(logits.detach()) == batch.labels).sum()
        return loss.detach(), correct, len(batch.labels)

    def read(self, pending: Pending, epoch: int) -> Generator[Step, None, bool]:
        """Turn pending steps into events. Returns whether all is still finite, and keeps the weights if so."""
        if not pending.losses:
            return True
        losses, correct = torch.stack(pending.losses).tolist(), torch.stack(pending.correct).tolist()
        # here, where a GPU has caught up and nobody has been handed an event yet: what they do with it is not training
        self.epoch_sums.seconds += time.perf_counter() - pending.since
        for loss, right, size in zip(losses, correct, pending.sizes, strict=True):
            self.step += 1
            if not isfinite(loss):
                return False
            self.epoch_sums.add(loss, right, size)
            yield Step(self.step, epoch, loss, right / size)
        state = self.model.state_dict()  # with batch norm's running statistics, which can overflow before any weight does
        if not all(bool(torch.isfinite(value).all()) for value in state.values()):
            return False
        self.last_good = {name: value.clone() for name, value in state.items()}
        return True

    def epoch_event(self, epoch: int) -> Epoch:
        """The epoch's means, after a look at the validation images."""
        sums = self.epoch_sums
        answers = infer(self.model, self.validation, self.autocast)
        return Epoch(epoch, self.step, sums.loss / sums.examples, sums.correct / sums.examples,
                     answers.loss(self.objective), answers.accuracy(self.objective),
                     sums.seconds, sums.examples / max(sums.seconds, 1e-9))


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """The state_dict as contiguous copies on the CPU, which later steps don't change."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in model.state_dict().items()}
