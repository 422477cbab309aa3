"""One training step, frozen: its batch, what zero_grad, backward and step do, and how one weight gets its new value.

The steps are those that fit() takes, from the same state and by the same TrainingStep, on the CPU: the same batches, dropout and
learning rates, bit for bit, in the number format that the run has there. Tiny networks on points are an exception: fit() takes
their steps in NumPy (core.training.tiny), which adds the same numbers in another order, so that they differ by rounding.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.config import PlateauConfig, RunConfig
from core.data import Dataset
from core.data.batches import Batch, Batches
from core.layers.table import describe_layers, totals
from core.models import build
from core.training import TrainingState, build_for, outputs_for
from core.training.inference import infer
from core.training.schedules import Plateau, learning_rate_at
from core.training.state import CURRENT, OPTIMIZER, RANDOM
from core.training.step import Phase, TrainingStep, batches_of_epoch, order_of_epoch
from core.training.trainable import train_mode
from core.training.update_rules import Line, State, update
from core.transforms import has_chance

# A frozen step keeps the weights before and after, the gradients before and after, and the optimizer's numbers before and after:
# up to ten copies with the live network, so 80 MB here. resnet18 (11 million) and vgg16 (138 million) are too large.
MOST_PARAMETERS = 2_000_000
# What a batch's activations may take; 50 MB a layer table counts become about 150 MB with their gradients.
ACTIVATION_BYTES = 50_000_000
CPU = torch.device("cpu")
CLIP_EPS = 1e-6  # torch.nn.utils.clip_grad_norm_ adds it to the norm
# Our float64 arithmetic and PyTorch's float32 differ by rounding: by 2⁻²³ of a weight, and by some of that in each line on the
# way to the change.
OF_WEIGHT, OF_CHANGE = 2.4e-7, 1e-5


class MicroscopeError(ValueError):
    """A step that can't be looked at; the message is one line that says why."""


@dataclass(frozen=True, eq=False)
class FrozenStep:
    """One step and what it did. Tensors are copies that later steps don't change.

    number: of this step, from 1; epoch: from 1. learning_rate: of this step.
    images: (N, C, H, W) uint8, points (N, F) or texts (N, L) as they are stored; labels: (N,) classes, or numbers to predict;
        of: the batch's full size, more than N where the batch was cut to fit into memory.
    logits: (N, outputs), probabilities: (N, classes), or the predicted number (N, 1); losses: (N,) of each example, loss: their
        mean, without L1; all before the step. loss_after: of the same batch with the new weights.
    old, before, of_loss, gradients, after: by parameter name: the gradients that the step before left (None: none), weights, the
        gradients of the loss alone (None: none came), those that the optimizer saw, after L1 and clipping, the weights after it.
    norm: Euclidean norm of all gradients, L1's part with them. clipped: what gradient clipping multiplied them by.
    state_before, state_after: by parameter name, what the optimizer keeps, by torch.optim's names.
    rates: by parameter name, the learning rate of this step, which may be smaller below the last layer; frozen ones have none.
    """

    number: int
    epoch: int
    learning_rate: float
    images: Tensor
    labels: Tensor
    of: int
    logits: Tensor
    probabilities: Tensor
    losses: Tensor
    loss: float
    loss_after: float
    old: dict[str, Tensor | None]
    before: dict[str, Tensor]
    of_loss: dict[str, Tensor | None]
    gradients: dict[str, Tensor | None]
    after: dict[str, Tensor]
    norm: float
    clipped: float
    state_before: dict[str, State]
    state_after: dict[str, State]
    rates: dict[str, float]


@dataclass(frozen=True)
class Pull:
    """How strongly one parameter is pulled at and how far it goes: Euclidean norms over all its values.

    gradient: as the optimizer saw it.
    change: of the step relative to the weights, ‖Δw‖ / ‖w‖; 0 where all weights are 0.
    """

    name: str
    shape: tuple[int, ...]
    weight: float
    gradient: float | None
    change: float


@dataclass(frozen=True)
class WeightTrace:
    """One weight through one step.

    old: the gradient it had from the step before; gradient: the new one before clipping; of_loss and penalty: the loss's part of
        it, and L1's; used: the one that the optimizer saw. Each None where there is none, but penalty, which is 0 then.
    lines: how the new value comes about, in float64; empty where there is no gradient. after: PyTorch's own new value.
    agrees: whether the last line is that value, up to float32's rounding.
    """

    name: str
    index: tuple[int, ...]
    before: float
    old: float | None
    gradient: float | None
    of_loss: float | None
    penalty: float
    used: float | None
    clipped: float
    state_before: dict[str, float]
    lines: tuple[Line, ...]
    computed: float
    after: float
    state_after: dict[str, float]
    agrees: bool

    @property
    def added_up(self) -> float:
        """What weight.grad would hold without zero_grad: backward() adds to what is there."""
        return (self.old or 0.0) + (self.gradient or 0.0)

    @property
    def per_thousandth(self) -> float:
        """About how much the loss, with L1's penalty, would change with this weight larger by 0.001."""
        return (self.gradient or 0.0) / 1000


class Microscope:
    """A training that is taken one step at a time. It works on a copy of the network and leaves PyTorch's random state alone."""

    def __init__(self, config: RunConfig, data: Dataset, model: nn.Module, state: TrainingState | None = None) -> None:
        """
        Args:
            model: with the weights to begin with. state: where a checkpoint's training was, so that its optimizer goes on;
                None begins as a new run does.

        Raises:
            MicroscopeError: a network with nothing to train, one too large, or no training images. ConfigError: a loss that does
                not suit the data.
        """
        check_size(model)
        if not len(data.train):
            raise MicroscopeError("There are no training images to take a batch from.")
        self.config, self.data, self.training = config, data, config.training
        self.training_step = TrainingStep(config.training, data.target, copy.deepcopy(model).float(), CPU)
        self.model, self.objective = self.training_step.model, self.training_step.objective
        self.parameters, self.optimizer = dict(self.model.named_parameters()), self.training_step.optimizer
        self.train = Batches(data, data.train, CPU, channels_last=self.training_step.channels_last)
        self.plateau = Plateau(self.training.schedule) if isinstance(self.training.schedule, PlateauConfig) else None
        self.per_epoch = -(-len(data.train) // self.training.batch_size)
        self.most_images = _most_images(self.model, data.input_shape)
        self.step, self.epoch, self.batch = 0, 1, 0
        self.random = torch.Generator().manual_seed(self.training.seed).get_state()
        if state is not None:
            self._restore(state)

    def _restore(self, state: TrainingState) -> None:
        """Go to where a checkpoint was taken, as Loop.restore does. Raises MicroscopeError for another optimizer's state."""
        if latest := state.under(CURRENT):
            self.model.load_state_dict(latest)
        self.step, self.epoch, self.batch = state.step, state.epoch, state.batch
        if self.plateau:
            self.plateau.restore(state.numbers)
        shapes = [weight.shape for weight in self.optimizer.weights]  # frozen ones have no state
        kept = state.under(OPTIMIZER)
        for name, value in kept.items():
            number = name.partition(".")[0]
            if not number.isdecimal() or int(number) >= len(shapes) or value.shape not in (torch.Size(), shapes[int(number)]):
                raise MicroscopeError(f"The checkpoint's optimizer state ({name}) does not fit this network; start the run anew.")
        self.optimizer.load(kept)
        self.random = state.under(RANDOM).get("cpu", self.random)

    def take_step(self) -> FrozenStep:
        """Do the next step as fit() does it, and freeze it."""
        images, batch, of = self._next_batch()
        rate = learning_rate_at(self.training, self.epoch, self.batch, self.per_epoch, self.plateau)
        old, before, state_before = self._gradients(), self._weights(), self._state()
        seen = _Seen(self)
        with self._dropout_as_in_training():
            train_mode(self.model)
            loss, logits = self.training_step.take(batch, rate, seen.look)
            later = torch.get_rng_state()
        # with the same units dropped; the figures by which batch norm goes on are not touched
        with self._dropout_as_in_training(), _buffers_kept(self.model), torch.no_grad():
            loss_after = float(self.training_step.answer(batch)[1])
        self.random = later
        gradients = self._gradients()
        frozen = FrozenStep(
            self.step + 1, self.epoch, rate, images, batch.labels, of, logits, self.objective.probabilities(logits),
            losses_of_each(self.objective.loss, logits, batch.labels), float(loss), loss_after, old, before,
            seen.of_loss or gradients, gradients, self._weights(), seen.norm, seen.clipped, state_before, self._state(),
            self._rates())
        self._move_on()
        return frozen

    def _next_batch(self) -> tuple[Tensor, Batch, int]:
        """The examples as they are stored, the batch that fit() takes next, as much of it as there is memory for, and how many
        it takes."""
        size = self.training.batch_size
        order = order_of_epoch(self.training, self.epoch, len(self.train))
        positions = order[self.batch * size:(self.batch + 1) * size]
        of, positions = len(positions), positions[:self.most_images]
        if has_chance(self.data.transforms):  # what is drawn belongs to more than this batch
            batch = next(batches_of_epoch(self.train, self.training, self.epoch, self.batch))
            batch = Batch(batch.images[:self.most_images], batch.labels[:self.most_images])
            mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (self.data.last_mean, self.data.last_std))
            return ((batch.images * std + mean).clamp(0, 1) * 255).round().to(torch.uint8), batch, of
        batch = next(self.train.iterate(len(positions), positions))
        return self.train.split.take(positions)[0], batch, of

    def _move_on(self) -> None:
        self.step, self.batch = self.step + 1, self.batch + 1
        if self.batch < self.per_epoch:
            return
        self.epoch, self.batch = self.epoch + 1, 0
        if self.plateau:  # what the epochs to come learn with depends on the validation loss
            validation = Batches(self.data, self.data.validation, CPU, channels_last=self.training_step.channels_last)
            self.plateau.look(infer(self.model, validation, self.training_step.autocast).loss(self.objective))

    def _weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.parameters.items()}

    def _gradients(self) -> dict[str, Tensor | None]:
        return {name: None if value.grad is None else value.grad.clone() for name, value in self.parameters.items()}

    def _state(self) -> dict[str, State]:
        return {name: {kind: kept.detach().clone() for kind, kept in self.optimizer.optimizer.state.get(value, {}).items()
                       if isinstance(kept, Tensor)} for name, value in self.parameters.items()}

    def _rates(self) -> dict[str, float]:
        of_weight = {id(weight): group["lr"] for group in self.optimizer.groups for weight in group["params"]}
        return {name: of_weight[id(value)] for name, value in self.parameters.items() if id(value) in of_weight}

    @contextmanager
    def _dropout_as_in_training(self) -> Iterator[None]:
        """Random numbers from where the run's are; PyTorch's own go on afterwards as if nothing had been."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.random)
            yield


class _Seen:
    """What a step passes through on its way, noted in between."""

    def __init__(self, scope: Microscope) -> None:
        self.scope = scope
        self.of_loss: dict[str, Tensor | None] = {}  # stays empty where nothing changes the gradients of the loss
        self.norm, self.clipped = 0.0, 1.0

    def look(self, phase: Phase) -> None:
        training = self.scope.training
        last = "l1" if training.l1 else "backward"  # phase after which the gradients have their whole length
        if phase == "backward" and (training.l1 or training.gradient_clipping):
            self.of_loss = self.scope._gradients()
        if phase == last:
            self.norm = float(nn.utils.get_total_norm([weight.grad for weight in self.scope.parameters.values()
                                                       if weight.grad is not None]))
        elif phase == "clipping":
            self.clipped = min(1.0, training.gradient_clipping / (self.norm + CLIP_EPS))


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    kept = {name: value.clone() for name, value in model.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in model.named_buffers():
                value.copy_(kept[name])


def check_size(model: nn.Module) -> None:
    """Raises MicroscopeError where there is nothing to train, or too much to keep a step of. Meta tensors will do."""
    count = sum(parameter.numel() for parameter in model.parameters())
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise MicroscopeError("This network has no weights to train, so a step changes nothing.")
    if count > MOST_PARAMETERS:
        raise MicroscopeError(f"This network has {count:,} parameters. A frozen step keeps each of them several times over, so "
                              f"networks of up to {MOST_PARAMETERS:,} can be looked at; choose a smaller one.")


def open_fresh(config: RunConfig, data: Dataset, begin: Callable[[RunConfig, Dataset], nn.Module] = build_for) -> Microscope:
    """Before the first step of a run of this config.

    Args:
        begin: makes the network that the run starts from; by default one with fresh weights, whatever `start_from` says.

    Raises:
        MicroscopeError; ModelError where the network can't be built; what `begin` raises.
    """
    check_config(config, data)
    return Microscope(config, data, begin(config, data))


def check_config(config: RunConfig, data: Dataset) -> None:
    """check_size for the network of a config, before any memory is taken for its weights."""
    with torch.device("meta"):
        check_size(build(config.model, data.input_shape, outputs_for(config, len(data.source_classes))))


def _most_images(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """How many images of a batch fit into ACTIVATION_BYTES; at least 2, because batch norm needs them."""
    each = totals(describe_layers(model, input_shape)).activation_bytes
    return max(2, ACTIVATION_BYTES // max(1, each))


def losses_of_each(loss, logits: Tensor, labels: Tensor) -> Tensor:
    """(N,) the loss of each example on its own; their mean is the batch's."""
    return torch.stack([loss(row.unsqueeze(0), label.unsqueeze(0)) for row, label in zip(logits, labels, strict=True)])


def pulls(frozen: FrozenStep) -> list[Pull]:
    """A row for each parameter, in the network's order."""
    rows = []
    for name, before in frozen.before.items():
        gradient, size = frozen.gradients[name], float(before.norm())
        moved = float((frozen.after[name] - before).norm())
        rows.append(Pull(name, tuple(before.shape), size, None if gradient is None else float(gradient.norm()),
                         moved / size if size else 0.0))
    return rows


def strongest(frozen: FrozenStep, name: str) -> tuple[int, ...]:
    """Where a parameter's largest gradient is; all zeros where it has none. Raises MicroscopeError for an unknown name."""
    shape, gradient = _parameter(frozen, name).shape, frozen.gradients[name]
    if gradient is None or not gradient.numel():
        return (0,) * len(shape)
    return tuple(int(i) for i in torch.unravel_index(gradient.abs().nan_to_num(nan=-1.0).argmax(), shape))


def trace_weight(config: RunConfig, frozen: FrozenStep, name: str, index: tuple[int, ...]) -> WeightTrace:
    """How one weight got its new value. Raises MicroscopeError for a parameter or a place that isn't there."""
    shape = tuple(_parameter(frozen, name).shape)
    if len(index) != len(shape) or not all(0 <= i < size for i, size in zip(index, shape, strict=True)):
        last = ", ".join(str(size - 1) for size in shape) or "nothing"
        raise MicroscopeError(f"{name} has shape {'×'.join(map(str, shape)) or 'of one number'}; {list(index)} is not in it. "
                              f"Places go from 0 to {last}.")
    before, after, gradient = frozen.before[name][index], frozen.after[name][index], frozen.gradients[name]
    old, of_loss = frozen.old[name], frozen.of_loss[name]
    states = [{kind: value[index] if value.shape == shape else value for kind, value in kept.items()}
              for kept in (frozen.state_before[name], frozen.state_after[name])]
    lines: tuple[Line, ...] = ()
    computed = float(before)
    if gradient is not None:
        result = update(config.training.optimizer, frozen.rates[name], before, gradient[index], states[0])
        lines, computed = result.lines, float(result.weight)
    allowed = OF_WEIGHT * abs(float(before)) + OF_CHANGE * abs(float(after) - float(before)) + 1e-12
    as_numbers = [{kind: float(value) for kind, value in kept.items()} for kept in states]
    penalty = 0.0 if of_loss is None else config.training.l1 * float(before.sign())
    return WeightTrace(name, tuple(index), float(before), None if old is None else float(old[index]),
                 None if of_loss is None else float(of_loss[index]) + penalty,
                 None if of_loss is None else float(of_loss[index]), penalty,
                 None if gradient is None else float(gradient[index]), frozen.clipped,
                 as_numbers[0], lines, computed, float(after), as_numbers[1], abs(computed - float(after)) <= allowed)


def _parameter(frozen: FrozenStep, name: str) -> Tensor:
    if name not in frozen.before:
        raise MicroscopeError(f"This network has no parameter {name!r}; it has {', '.join(frozen.before)}.")
    return frozen.before[name]
