"""fit(): the training loop, as a generator of events."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import hypot, inf, isfinite, nan

import torch
from torch import Tensor, nn

from core.config import PlateauConfig, RunConfig
from core.data.batches import Batch, Batches
from core.data.dataset import Dataset
from core.devices import is_convolutional
from core.training.by_hand import set_weight
from core.training.control import Command, Control
from core.training.events import (
    DIVERGED,
    Checkpoint,
    Epoch,
    Event,
    Fallback,
    Finished,
    Gradients,
    Intervention,
    LateCheckpoint,
    Outcome,
    Paused,
    Started,
    Step,
    Threads,
)
from core.training.inference import DENSE_BATCH, EVALUATION_BATCH, infer
from core.training.monitors import SampleMonitor, ValidationMonitor
from core.training.schedules import Plateau, learning_rate_at
from core.training.shortcuts import Shortcuts
from core.training.state import BEST, CURRENT, OPTIMIZER, RANDOM, TrainingState
from core.training.step import TrainingStep, batches_of_epoch
from core.training.threads import ThreadChoice
from core.training.tiny import TinyBatch, TinySteps, Validated, tiny_steps
from core.training.trainable import train_mode
from core.training.watchers import Watcher

# Steps whose losses are read from the device together: reading each one would make a GPU wait at every step.
STEPS_PER_READ = 64
SECONDS_PER_READ = 0.1  # sooner for slow networks, so that a chart moves
SECONDS_PER_LOOK = 0.05  # at the control, while paused


def fit(config: RunConfig, data: Dataset, model: nn.Module, device: torch.device, control: Control | None = None,
        resume: TrainingState | None = None, threads: ThreadChoice | None = None,
        watchers: Sequence[Watcher] = (), shortcuts: Shortcuts | None = None) -> Iterator[Event]:
    """Train `model` in place and report: Started, then Steps, an Epoch and a Checkpoint each epoch, Finished at the end.

    The same config, data and weights give the same events on the CPU at the same number of threads (but for seconds, and
    Gradients, SampleAnswers, Looks and Validation, which come by the clock; Paused and Interventions come where the control asks
    for them). Dropout draws from PyTorch's global random state, which is seeded here. A loss or weight that is NaN or infinite
    ends the run with reason "diverged", after a Checkpoint of the last good weights, which `model` then holds too. The model
    is left in training mode, as a loop of one's own leaves it. Where config.training.precision is "auto" it is float32 here;
    what is faster on this machine says core.training.choose() before.
    Weights that want no gradient are frozen: see core.training.trainable.

    Args:
        control: asked between steps whether to stop, to pause, to use another learning rate or to set a weight; each such
            change by hand is an Intervention. A run that goes on from a state keeps the learning rate it had there, until the
            control says another; without a control to the end.
        resume: a Checkpoint's state to go on from, with `model` holding that checkpoint's weights. The events are then those
            that an unbroken run would have sent from there.
        threads: what chooses the number of processor threads while it trains; None leaves PyTorch's as it is.
        watchers: their Looks come before the first step, between steps as they ask for it, and in the end, of the weights that
            are kept. A Look may come before the Step it is of, whose loss has not been read yet.
        shortcuts: what training may take beyond plain PyTorch; None: what is usual. Where one fails a Fallback says so.
    """
    loop = Loop(config, data, model, device, control, threads, watchers, shortcuts)
    if resume is not None:
        loop.restore(resume)
    yield Started(loop.steps_per_epoch, loop.steps, sum(p.numel() for p in model.parameters()), str(device), loop.precision)
    if threads is not None:
        yield Threads(loop.step, threads.threads)
    began = loop.began = time.perf_counter()
    yield from loop.look(loop.watchers)
    outcome: Outcome = "completed"
    message = ""
    while loop.epoch <= config.training.epochs:
        outcome = yield from loop.train_epoch()
        if outcome != "completed":
            break
        yield from loop.finish_epoch()
        if message := loop.reason_to_stop_early():
            break
        if loop.epoch <= config.training.epochs:
            yield loop.checkpoint()
            loop.keep_pace()
    if outcome == "diverged":
        model.load_state_dict(loop.last_good())
        message = (f"{DIVERGED} at step {loop.step} (epoch {loop.epoch}); the last good weights "
                   "were kept. Try a smaller learning rate.")
    yield from loop.fallbacks()
    yield loop.checkpoint(final=True)
    yield from loop.look(loop.watchers)
    yield Finished(outcome, loop.epoch - 1, loop.step, time.perf_counter() - began - loop.held_up, message)


Done = tuple[Tensor, Tensor, int] | TinyBatch  # a step's loss and number of right answers, still on the device, and its size


@dataclass
class Pending:
    """Steps whose losses have not been read from the device yet."""

    steps: list[Done] = field(default_factory=list)
    since: float = field(default_factory=time.perf_counter)

    def __len__(self) -> int:
        return len(self.steps)

    def is_due(self) -> bool:
        return len(self.steps) >= STEPS_PER_READ or time.perf_counter() - self.since >= SECONDS_PER_READ


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

    def __init__(self, config: RunConfig, data: Dataset, model: nn.Module, device: torch.device,
                 control: Control | None = None, threads: ThreadChoice | None = None, watchers: Sequence[Watcher] = (),
                 shortcuts: Shortcuts | None = None) -> None:
        training = config.training
        self.watchers = tuple(watchers)
        self.threads = threads if threads is not None and threads.is_open else None
        self.config, self.device, self.control = training, device, control
        self.training_step = TrainingStep(training, data.target, model, device, shortcuts)
        self.model, self.autocast = self.training_step.model, self.training_step.autocast
        self.objective, self.optimizer = self.training_step.objective, self.training_step.optimizer
        self.counts_right = data.target == "classes"
        self.train = Batches(data, data.train, device, channels_last=self.training_step.channels_last)
        self.validation = Batches(data, data.validation, device, channels_last=self.training_step.channels_last)
        shows = data.kind == "images" and self.counts_right
        self.samples = SampleMonitor(self.validation, len(data.classes), self.objective, self.autocast) if shows else None
        self.closer = ValidationMonitor(self.validation, len(data.classes), self.objective, self.autocast)
        is_dense = self.training_step.chain is not None and not is_convolutional(self.model)
        self.at_once = DENSE_BATCH if is_dense else EVALUATION_BATCH  # validation examples
        self.tiny = tiny_steps(self.training_step, self.train, self.validation)
        self.steps_per_epoch = -(-len(self.train) // training.batch_size)
        self.steps = self.steps_per_epoch * training.epochs
        self.step, self.epoch, self.batch = 0, 1, 0  # done; the next batch is the batch-th (from 0) of the epoch-th (from 1)
        self.sums = Sums()
        # pace: seconds for an epoch, as the control last said. held_up: seconds that it has made the loop wait
        self.pace, self.epoch_began, self.held_up = 0.0, time.perf_counter(), 0.0
        # what watchers are told: since when it trains, seconds of pauses, mean loss of the steps that were read last
        self.began, self.paused, self.recent_loss = self.epoch_began, 0.0, nan
        # changed by hand: the learning rate instead of the config's (None: the config's), the last weight edit's number, and how
        # many changes there were in all
        self.rate_by_hand: float | None = None
        self.edited, self.interventions = 0, 0
        self.single_steps = 0  # taken while paused, or void: what the control counts beyond is still to be taken
        self.plateau = Plateau(training.schedule) if isinstance(training.schedule, PlateauConfig) else None
        self.best_loss, self.epochs_waited = inf, 0
        self.best_weights: dict[str, Tensor] = {}
        self.last_good = self.copy()  # makes the state_dict of the last weights that were finite
        torch.manual_seed(training.seed)

    @property
    def precision(self) -> str:
        return "bfloat16" if self.autocast else "float32"

    # --- one epoch

    def train_epoch(self) -> Generator[Event, None, Outcome]:
        """What is left of one pass through the training images. Yields Steps; returns "completed", "stopped" or "diverged"."""
        if self.tiny is None or not self.model.training:
            train_mode(self.model)
        pending = Pending()
        nobody = Command(learning_rate=self.rate_by_hand)  # what a loop without a control is asked: to go on as it is
        for batch in self.batches():
            command = self.control.command() if self.control is not None else nobody
            if command.stop or command.pause or self.is_changed(command):
                # even so: weights that became NaN since the last read must not be kept
                if not (yield from self.read(pending)):
                    return "diverged"
                if command.pause and not command.stop:
                    yield from self.show()
                waiting = time.perf_counter()
                command = yield from self.wait(command)
                self.paused += time.perf_counter() - waiting
                if command.stop:
                    return "stopped"
                yield from self.change(command)
                pending = Pending()
            self.single_steps, self.pace = self.single_steps + 1 if command.pause else command.steps, command.pace
            began = time.perf_counter() if self.threads else 0.0
            pending.steps.append(self.train_step(batch))
            if self.threads and self.threads.step(time.perf_counter() - began):
                yield Threads(self.step + len(pending), self.threads.threads)
            if self.watchers and (due := self.due(pending)):
                yield from self.look(due, pending)
            if pending.is_due():
                if not (yield from self.read(pending)):
                    return "diverged"
                pending = Pending()
        return "completed" if (yield from self.read(pending)) else "diverged"

    def due(self, pending: Pending) -> list[Watcher]:
        """Those who want to look now, some steps after the last read."""
        seconds = time.perf_counter() - self.began - self.held_up - self.paused
        return [watcher for watcher in self.watchers if watcher.due(self.step + len(pending.steps), seconds)]

    def look(self, watchers: Sequence[Watcher], pending: Pending | None = None) -> Iterator[Event]:
        """What watchers see now. pending: the steps since the last read."""
        step = self.step + (len(pending) if pending is not None else 0)
        epoch = self.epoch if self.batch else max(1, self.epoch - 1)  # of the last step
        began = time.perf_counter()
        seconds = began - self.began - self.held_up - self.paused
        losses = self.results(pending)[0] if pending is not None else []
        loss = sum(losses) / len(losses) if losses else self.recent_loss
        for watcher in watchers:
            look = watcher.look(self.model, step, epoch, seconds, loss)
            if look is not None:
                yield look
        if pending is not None:  # what a look takes is no training
            pending.since += time.perf_counter() - began

    def show(self) -> Iterator[Event]:
        """While the run is paused: what somebody wants to see of the weights as they are now."""
        yield from self.look(self.watchers)
        yield Paused(self.step)

    def wait(self, command: Command) -> Generator[Event, None, Command]:
        """Sleep while the run is paused and no single step is asked for; the command that ends the wait. What is changed by hand
        meanwhile is done and shown at once."""
        while self.control is not None and command.pause and not command.stop:
            if self.is_changed(command):
                yield from self.change(command)
                yield from self.show()
            if command.steps > self.single_steps:
                break
            time.sleep(SECONDS_PER_LOOK)
            command = self.control.command()
        return command

    def is_changed(self, command: Command) -> bool:
        """Whether it asks for a change by hand that has not been made."""
        return command.learning_rate != self.rate_by_hand or bool(command.edits) and command.edits[-1].number > self.edited

    def change(self, command: Command) -> Iterator[Intervention]:
        """Make the changes by hand that it asks for. All steps must have been read."""
        own = self.config.optimizer.learning_rate
        before, after = (own if rate is None else rate for rate in (self.rate_by_hand, command.learning_rate))
        self.rate_by_hand = command.learning_rate
        if before != after:
            self.interventions += 1
            yield Intervention(self.interventions, self.step, "learning_rate", before, after)
        edits = [edit for edit in command.edits if edit.number > self.edited]
        for edit in edits:
            self.edited = edit.number
            if (old := set_weight(self.model, edit)) is None:
                continue  # whoever asks has looked before; a run must not end of it
            self.interventions += 1
            yield Intervention(self.interventions, self.step, "weight", old, edit.value, edit.layer, edit.row, edit.column,
                               edit.number)
        if edits:
            self.keep_good()

    def keep_pace(self) -> None:
        """After an epoch: wait until the time that it should take is over, where the control asks for a pace. Neither stopping
        nor pausing nor another pace has to wait for that."""
        waiting = time.perf_counter()
        while self.control is not None and (left := self.epoch_began + self.pace - time.perf_counter()) > 0:
            time.sleep(min(left, SECONDS_PER_LOOK))
            command = self.control.command()
            self.pace = 0.0 if command.stop or command.pause else command.pace
        self.epoch_began = time.perf_counter()
        self.held_up += self.epoch_began - waiting

    def batches(self) -> Iterator[Batch]:
        """What is left of the current epoch."""
        if self.tiny is not None:
            return self.tiny.of_epoch(self.epoch, self.batch)
        return batches_of_epoch(self.train, self.config, self.epoch, self.batch)

    def train_step(self, batch: Batch) -> Done:
        """The next step, on this batch. Returns what results() makes numbers of."""
        rate = learning_rate_at(self.config, self.epoch, self.batch, self.steps_per_epoch, self.plateau, self.rate_by_hand)
        self.batch += 1
        if self.tiny is not None and isinstance(batch, TinyBatch):
            self.tiny.take(batch, rate)
            return batch
        loss, logits = self.training_step.take(batch, rate)
        correct = (self.objective.predict(logits) == batch.labels).count_nonzero()
        return loss, correct, len(batch.labels)

    def fallbacks(self) -> Iterator[Event]:
        """What has failed since the last time."""
        yield from (Fallback(self.step, line) for line in self.training_step.shortcuts.news())

    def results(self, pending: Pending) -> tuple[list[float], list[int], list[int]]:
        """Of steps that are pending, the last ones of the current epoch: loss, number of right answers, size."""
        if self.tiny is not None:
            return self.tiny.results(self.batch - len(pending), len(pending))
        losses, correct, sizes = zip(*pending.steps, strict=True)
        return torch.stack(losses).tolist(), torch.stack(correct).tolist(), list(sizes)

    def read(self, pending: Pending) -> Generator[Event, None, bool]:
        """Turn pending steps into events. Returns whether all is still finite, and keeps the weights if so."""
        if not len(pending):
            return True
        losses, correct, sizes = self.results(pending)
        self.recent_loss = sum(losses) / len(losses)
        # here, where a GPU has caught up and nobody has been handed an event yet: what they do with it is not training
        seconds = time.perf_counter() - pending.since
        self.sums.seconds += seconds
        yield from self.fallbacks()
        for loss, right, size in zip(losses, correct, sizes, strict=True):
            self.step += 1
            if not isfinite(loss):
                return False
            self.sums.add(loss, right, size)
            yield Step(self.step, self.epoch, loss, right / size if self.counts_right else None)
        if not self.is_finite():
            return False
        self.keep_good()
        norms = gradient_norms(self.model) if self.tiny is None else self.tiny.gradient_norms()
        yield Gradients(self.step, self.optimizer.learning_rate, norms, sum(sizes), seconds)
        if self.samples is not None and self.samples.is_due():
            yield self.samples.look(self.model, self.step, self.epoch)
        self.training_step.forward.measured(len(pending), seconds, self.steps - self.step)
        return True

    def is_finite(self) -> bool:
        """Whether all weights are, and batch norm's running statistics, which can overflow before any weight does."""
        if self.tiny is not None:
            return self.tiny.is_finite
        values = list(self.model.state_dict().values())
        # a quarter to two thirds of the time: only finite numbers have a finite sum, though that may overflow
        sums = torch.stack([value.sum(dtype=torch.float32) for value in values if value.numel()])
        return bool(torch.isfinite(sums).all()) or all(bool(torch.isfinite(value).all()) for value in values)

    def keep_good(self) -> None:
        """The weights as they are now are what a run that diverges goes back to."""
        self.last_good = self.copy()

    def copy(self) -> Callable[[], dict[str, Tensor]]:
        """The weights as they are now, kept where they are; the result makes a state_dict of them."""
        if self.tiny is not None:
            return partial(self.tiny.weights_of, self.tiny.flat.weights.copy())
        kept = {name: value.clone() for name, value in self.model.state_dict().items()}
        return lambda: kept

    def finish_epoch(self) -> Iterator[Event]:
        """The epoch's means and what else a look at the validation images shows; the next epoch is the current one then."""
        done, sums = self.epoch, self.sums
        validated = self.validate()
        event = Epoch(self.epoch, self.step, sums.loss / sums.examples,
                      sums.correct / sums.examples if self.counts_right else None, validated.loss,
                      validated.accuracy if self.counts_right else None,
                      sums.seconds, sums.examples / max(sums.seconds, 1e-9))
        self.epoch, self.batch, self.sums = self.epoch + 1, 0, Sums()
        if self.plateau:
            self.plateau.look(event.validation_loss)
        if event.validation_loss < self.best_loss:
            self.best_loss, self.epochs_waited = event.validation_loss, 0
            if self.config.keep == "best":
                self.best_weights = copy_weights(self.model)
        else:
            self.epochs_waited += 1
        yield event
        last = done == self.config.epochs or bool(self.reason_to_stop_early())
        if self.samples is not None and (last or self.samples.is_due()):
            yield self.samples.look(self.model, self.step, done)
        if last or self.closer.is_due():
            yield self.closer.look(self.model, validated.answers, self.step, done)

    def validate(self) -> Validated:
        """How the network does on the validation examples."""
        if self.tiny is not None:
            return self.tiny.validate()
        answers = infer(self.model, self.validation, self.autocast, self.at_once, answer=self.training_step.evaluate)
        return Validated(answers, answers.loss(self.objective), answers.accuracy(self.objective))

    def reason_to_stop_early(self) -> str:
        """One line where the validation loss has not fallen for long enough; "" otherwise."""
        patience = self.config.early_stopping
        if not patience or self.epochs_waited < patience:
            return ""
        return f"Stopped early: the validation loss had not become smaller for {patience} epoch{'s' * (patience > 1)}."

    # --- going on later

    def checkpoint(self, final: bool = False) -> Checkpoint:
        """The weights to keep and the state to go on from. In the end the best weights, if the config says so."""
        if self.tiny is not None and not final:
            return self.late_checkpoint(self.tiny)
        latest = copy_weights(self.model)
        chosen = self.best_weights if final and self.best_weights else latest
        state = self.state()
        if chosen is not latest:
            state = TrainingState(state.step, state.epoch, state.batch, state.numbers,
                                  state.tensors | {CURRENT + name: value for name, value in latest.items()})
            self.model.load_state_dict(chosen)  # so that whoever evaluates the model evaluates what was kept
        return Checkpoint(self.epoch if self.batch else self.epoch - 1, self.step, chosen, state)

    def late_checkpoint(self, tiny: TinySteps) -> Checkpoint:
        """The same, put together only where somebody asks for it: with hundreds of epochs a second, few are."""
        flat, place, numbers, best = tiny.flat.copy(), (self.step, self.epoch, self.batch), self.numbers(), self.best_weights
        random = torch.get_rng_state()

        def made() -> Checkpoint:
            tensors = {BEST + name: value for name, value in best.items()}
            tensors |= {OPTIMIZER + name: value for name, value in tiny.flat.state_of(flat).items()}
            tensors[f"{RANDOM}cpu"] = random
            return Checkpoint(epoch, place[0], tiny.weights_of(flat.weights), TrainingState(*place, numbers, tensors))

        epoch = self.epoch if self.batch else self.epoch - 1
        return LateCheckpoint(epoch, self.step, made)

    def state(self) -> TrainingState:
        """Where the training is."""
        tensors = {BEST + name: value for name, value in self.best_weights.items()}
        for number, values in self.optimizer.optimizer.state_dict()["state"].items():
            for name, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"{OPTIMIZER}{number}.{name}"] = value.detach().to("cpu", copy=True).contiguous()
        tensors[f"{RANDOM}cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors[f"{RANDOM}cuda"] = torch.cuda.get_rng_state(self.device)
        return TrainingState(self.step, self.epoch, self.batch, self.numbers(), tensors)

    def numbers(self) -> dict[str, float]:
        """TrainingState's."""
        numbers = {"loss": self.sums.loss, "correct": self.sums.correct, "examples": self.sums.examples,
                   "seconds": self.sums.seconds, "best_loss": self.best_loss, "epochs_waited": self.epochs_waited}
        if self.plateau:
            numbers |= self.plateau.numbers()
        if self.interventions:
            numbers |= {"interventions": self.interventions, "edited": self.edited}
        if self.rate_by_hand is not None:
            numbers["learning_rate"] = self.rate_by_hand
        return {name: value for name, value in numbers.items() if isfinite(value)}  # JSON knows no infinity

    def restore(self, state: TrainingState) -> None:
        """Go to where `state` was taken. The model holds that checkpoint's weights already."""
        if latest := state.under(CURRENT):
            self.model.load_state_dict(latest)
        self.last_good = self.copy()
        self.step, self.epoch, self.batch = state.step, state.epoch, state.batch
        numbers = state.numbers
        self.sums = Sums(numbers.get("loss", 0.0), int(numbers.get("correct", 0)), int(numbers.get("examples", 0)),
                         numbers.get("seconds", 0.0))
        self.best_loss, self.epochs_waited = numbers.get("best_loss", inf), int(numbers.get("epochs_waited", 0))
        self.best_weights = state.under(BEST)
        if self.plateau:
            self.plateau.restore(numbers)
        self.rate_by_hand = numbers.get("learning_rate")
        self.interventions, self.edited = state.interventions, int(numbers.get("edited", 0))
        self.optimizer.load(state.under(OPTIMIZER))
        random = state.under(RANDOM)
        if "cpu" in random:
            torch.set_rng_state(random["cpu"])
        if "cuda" in random and self.device.type == "cuda":
            torch.cuda.set_rng_state(random["cuda"], self.device)


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """Euclidean norm of the gradients that each layer's own weights have now, by the layer's name; the sum over a layer's
    weights and biases. Layers without gradients are left out."""
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    if not found:
        return {}
    layers: dict[str, float] = {}
    norms = torch.stack([torch.linalg.vector_norm(gradient) for gradient in found.values()]).tolist()  # read together
    for name, norm in zip(found, norms, strict=True):
        layer = name.rpartition(".")[0]
        layers[layer] = hypot(layers.get(layer, 0.0), norm)
    return layers


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """The state_dict as contiguous copies on the CPU, which later steps don't change."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in model.state_dict().items()}
