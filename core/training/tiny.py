"""Steps of tiny networks on points, in NumPy: 2-8-1 on ten points takes PyTorch longer to call than to calculate.

Everything that a step does to its batch is laid out once, as operations on arrays that stay where they are; a step is to do them
in a row. Losses, which nothing in a step needs, are worked out for many steps together. The weights stay PyTorch's (FlatWeights).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.data.batches import Batch, Batches
from core.training.flat import FLOAT, FlatWeights, Operation, flatten, number, update
from core.training.inference import Outputs
from core.training.step import TrainingStep, order_of_epoch
from core.transforms import has_chance

MOST_UNITS = 32  # of a layer; with larger ones the arithmetic is what takes time, and PyTorch does that as fast
MOST_IN_BATCH = 256
MOST_EXAMPLES, MOST_BATCHES = 20_000, 2_000  # in an epoch: arrays and operations for each are kept
ZERO, ONE, TWO = number(0), number(1), number(2)
SMALLEST_VARIANCE = number(1e-12)  # of a probability, p·(1 − p): PyTorch's binary cross-entropy divides by no less
LEAST_LOG = number(-100)  # of a probability, in PyTorch's binary cross-entropy

aten = torch.ops.aten


@dataclass(frozen=True, eq=False)
class TinyBatch(Batch):
    """A batch in its place among the epoch's. images (n, inputs) float32; logits: (n, outputs), where its step puts them."""

    logits: Tensor
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class Validated:
    """A network's answers to the validation examples, their mean loss, and the share of right ones (0 to 1)."""

    answers: Outputs
    loss: float
    accuracy: float


@dataclass
class Linear:
    """One linear layer's part of the flat vectors: weight and its gradient (outputs, inputs), bias (outputs,) or None; and the
    activations after it."""

    weight: np.ndarray
    weight_gradient: np.ndarray
    bias: np.ndarray | None
    bias_gradient: np.ndarray | None
    activations: list[nn.Module]


@dataclass
class Activation:
    """output: (n, units). backward turns the loss's gradient for the output, in place, into that for the input."""

    output: np.ndarray
    forward: list[Operation]
    backward: list[Operation]


# What each makes of its input z (n, units), and of the gradient g (n, units), which is changed in place

def _relu(module: nn.ReLU, z: np.ndarray, g: np.ndarray) -> Activation:
    a, slope = np.empty_like(z), np.empty_like(z)
    return Activation(a, [partial(np.maximum, z, ZERO, out=a)], [partial(np.sign, a, slope), partial(np.multiply, g, slope, g)])


def _leaky(module: nn.LeakyReLU, z: np.ndarray, g: np.ndarray) -> Activation:
    a, slope, least = np.empty_like(z), np.empty_like(z), number(module.negative_slope)
    return Activation(a, [partial(np.multiply, z, least, a), partial(np.maximum, z, a, out=a)],
                      [partial(np.sign, z, slope), partial(np.maximum, slope, least, out=slope),
                       partial(np.multiply, g, slope, g)])


def _tanh(module: nn.Tanh, z: np.ndarray, g: np.ndarray) -> Activation:
    a, slope = np.empty_like(z), np.empty_like(z)
    return Activation(a, [partial(np.tanh, z, a)], [
        partial(np.multiply, a, a, slope), partial(np.subtract, ONE, slope, slope), partial(np.multiply, g, slope, g)])


def _sigmoid(module: nn.Sigmoid, z: np.ndarray, g: np.ndarray) -> Activation:
    a, slope = np.empty_like(z), np.empty_like(z)
    return Activation(a, [_torch_sigmoid(z, a)], [
        partial(np.subtract, ONE, a, slope), partial(np.multiply, slope, a, slope), partial(np.multiply, g, slope, g)])


def _gelu(module: nn.GELU, z: np.ndarray, g: np.ndarray) -> Activation:
    a = np.empty_like(z)
    zs, gs, outputs = torch.from_numpy(z), torch.from_numpy(g), torch.from_numpy(a)
    return Activation(a, [lambda: outputs.copy_(module(zs))],
                      [lambda: gs.copy_(aten.gelu_backward(gs, zs, approximate=module.approximate))])


def _softmax(module: nn.Softmax, z: np.ndarray, g: np.ndarray) -> Activation:
    """∂/∂z = a·(g − Σ g·a) over a row."""
    a = np.empty_like(z)
    return Activation(a, [_torch_softmax(z, a)], _softmax_backward(a, g))


ACTIVATIONS: dict[type[nn.Module], Callable[..., Activation]] = {
    nn.ReLU: _relu, nn.LeakyReLU: _leaky, nn.Tanh: _tanh, nn.Sigmoid: _sigmoid, nn.GELU: _gelu, nn.Softmax: _softmax}


def _torch_sigmoid(z: np.ndarray, out: np.ndarray) -> Operation:
    """PyTorch's, which overflows for no z."""
    return partial(torch.sigmoid, torch.from_numpy(z), out=torch.from_numpy(out))


def _torch_softmax(z: np.ndarray, out: np.ndarray) -> Operation:
    return partial(torch.softmax, torch.from_numpy(z), 1, out=torch.from_numpy(out))


def _softmax_backward(a: np.ndarray, g: np.ndarray) -> list[Operation]:
    product, total = np.empty_like(a), np.empty((len(a), 1), FLOAT)
    return [partial(np.multiply, g, a, product), partial(np.add.reduce, product, axis=1, out=total, keepdims=True),
            partial(np.subtract, g, total, g), partial(np.multiply, g, a, g)]


class TinySteps:
    """A tiny network's steps in a run, and its answers to the validation points. Made by tiny_steps()."""

    def __init__(self, step: TrainingStep, modules: list[nn.Module], flat: FlatWeights, train: Batches,
                 validation: Batches) -> None:
        self.step, self.flat, self.training = step, flat, step.training
        self.number = train.data.target == "number"
        self.linears = self._linears(modules)
        self.outputs = self.linears[-1].weight.shape[0]
        self.rooms: dict[int, dict[str, np.ndarray]] = {}
        self.rate = number(0)
        self.update = self._update()
        self.points, labels = _whole(train)
        self.labels, self.targets = labels.numpy(), self._targets(labels)
        # an epoch's points in its order, and what belongs to them
        self.x, self.y = np.empty_like(self.points), np.empty_like(self.labels)
        self.t, self.z = np.empty_like(self.targets), np.empty((len(self.x), self.outputs), FLOAT)
        self.logits = torch.from_numpy(self.z)
        self.batches: list[TinyBatch] = []
        points, labels = _whole(validation)
        self.validation_labels, self.validation_targets = labels.numpy(), self._targets(labels)
        self.validation_z = np.empty((len(points), self.outputs), FLOAT)
        self.validation = Outputs(torch.from_numpy(self.validation_z), labels)
        self.validating = self._pass(points, self.validation_z, None)
        self.names = [name for name, _ in step.model.named_parameters()]

    # --- what happens in a run

    def of_epoch(self, epoch: int, skip: int = 0) -> Iterator[TinyBatch]:
        """The same batches in the same order as batches_of_epoch(). Each epoch's take the place of the last one's."""
        if not self.flat.is_shared:
            self.flat.share()
        self.flat.share_gradients()
        order = order_of_epoch(self.training, epoch, len(self.x))
        rows = order.numpy()
        for source, place in ((self.points, self.x), (self.labels, self.y), (self.targets, self.t)):
            source.take(rows, 0, place, "clip")
        if not self.batches:
            self.batches = [self._batch(start) for start in range(0, len(self.x), self.training.batch_size)]
        return iter(self.batches[skip:] if skip else self.batches)

    def take(self, batch: TinyBatch, learning_rate: float) -> None:
        """TrainingStep.take(); the batch's logits say the rest."""
        if self.step.chain is None or self.step.chain.is_watched:
            _, logits = self.step.take(batch, learning_rate)
            batch.logits.copy_(logits)
            self.flat.share_gradients()
            return
        self.step.optimizer.learning_rate = learning_rate
        self.rate[()] = learning_rate
        with np.errstate(all="ignore"):  # what has become infinite ends the run, in one line
            for operation in batch.operations:
                operation()

    def results(self, first: int, count: int) -> tuple[list[float], list[int], list[int]]:
        """Mean loss, number of right answers (0 where a number is predicted) and size of `count` batches, from the first-th
        (from 0) of the epoch on."""
        size = self.training.batch_size
        rows = slice(first * size, min((first + count) * size, len(self.x)))
        losses, right = self._judged(self.z[rows], self.t[rows], self.y[rows])
        whole, sizes = len(losses) // size, [size] * count
        means = np.add.reduce(losses[:whole * size].reshape(whole, size), 1).tolist()
        means, sums = [total / size for total in means], np.add.reduce(right[:whole * size].reshape(whole, size), 1).tolist()
        if whole < count:
            rest = sizes[-1] = len(losses) - whole * size
            means.append(float(np.add.reduce(losses[-rest:])) / rest)
            sums.append(int(np.count_nonzero(right[-rest:])))
        return means, sums, sizes

    def validate(self) -> Validated:
        """All validation points' answers, until the next call."""
        answers = self.validation
        with np.errstate(all="ignore"):
            for operation in self.validating:
                operation()
        losses, right = self._judged(self.validation_z, self.validation_targets, self.validation_labels)
        count = len(losses)
        return Validated(answers, float(np.add.reduce(losses)) / count, int(np.count_nonzero(right)) / count)

    @property
    def is_finite(self) -> bool:
        """Whether all weights are."""
        return bool(np.isfinite(self.flat.weights).all())

    def gradient_norms(self) -> dict[str, float]:
        """Each layer's, as core.training.loop's."""
        with np.errstate(all="ignore"):
            squares = [float(gradient.dot(gradient)) for gradient in map(self.flat.gradients.__getitem__, self.flat.slices)]
        layers: dict[str, float] = {}
        for name, square in zip(self.names, squares, strict=True):
            layer = name.rpartition(".")[0]
            layers[layer] = layers.get(layer, 0.0) + square
        return {layer: square ** 0.5 for layer, square in layers.items()}

    def weights_of(self, vector: np.ndarray) -> dict[str, Tensor]:
        """The network's state_dict with the values of a copy of flat.weights."""
        return {name: view.clone() for name, view in zip(self.names, self.flat.views(vector), strict=True)}

    # --- how a step is laid out

    def _linears(self, modules: list[nn.Module]) -> list[Linear]:
        places = {weight.data_ptr(): place for place, weight in enumerate(self.flat.optimizer.weights)}
        found: list[Linear] = []
        for module in modules:
            if isinstance(module, nn.Linear):
                arrays: list[np.ndarray | None] = []
                for weight in (module.weight, module.bias):
                    place = None if weight is None else places[weight.data_ptr()]
                    arrays += [None if place is None else views[place].numpy()
                               for views in (self.flat.weight_views, self.flat.gradient_views)]
                weight, weight_gradient, bias, bias_gradient = arrays
                assert weight is not None and weight_gradient is not None
                found.append(Linear(weight, weight_gradient, bias, bias_gradient, []))
            elif type(module) in ACTIVATIONS:
                found[-1].activations.append(module)
        return found

    def _targets(self, labels: Tensor) -> np.ndarray:
        """(N, outputs) float32: what each output should be."""
        if self.number or self.outputs == 1:
            return labels.float().unsqueeze(1).numpy()
        targets = F.one_hot(labels, self.outputs).float()
        if self.training.loss == "cross_entropy" and self.training.label_smoothing:
            targets = targets * (1 - self.training.label_smoothing) + self.training.label_smoothing / self.outputs
        return targets.numpy()

    def _batch(self, start: int) -> TinyBatch:
        rows = slice(start, start + self.training.batch_size)
        x, z, t = self.x[rows], self.z[rows], self.t[rows]
        operations = (*self._pass(x, z, t), *self.update)
        return TinyBatch(torch.from_numpy(x), torch.from_numpy(self.y[rows]), self.logits[rows], operations)

    def _room(self, count: int, name: str, width: int) -> np.ndarray:
        """An array (count, width) that batches of this size share, as one is over when the next begins."""
        room = self.rooms.setdefault(count, {})
        if name not in room:
            room[name] = np.empty((count, width), FLOAT)
        return room[name]

    def _pass(self, x: np.ndarray, logits: np.ndarray, targets: np.ndarray | None) -> list[Operation]:
        """Forward; with targets, back to the gradients too."""
        forward: list[Operation] = []
        backward: list[list[Operation]] = []
        count, values, before = len(x), x, None
        ones = np.ones(count, FLOAT)
        for place, linear in enumerate(self.linears):
            width, last = len(linear.weight), linear is self.linears[-1]
            z = logits if last else self._room(count, f"z{place}", width)
            g = self._room(count, f"g{place}", width)
            forward.append(partial(np.dot, values, linear.weight.T, z))
            back: list[Operation] = [partial(np.dot, g.T, values, linear.weight_gradient)]
            if linear.bias is not None and linear.bias_gradient is not None:
                forward.append(partial(np.add, z, linear.bias, z))
                back.append(partial(np.dot, ones, g, linear.bias_gradient))
            if before is not None:
                back.append(partial(np.dot, g, linear.weight, before))
            values = z
            activations = []
            for module in linear.activations:
                activations.append(ACTIVATIONS[type(module)](module, values, g))
                forward += activations[-1].forward
                values = activations[-1].output
            backward.append([operation for activation in reversed(activations) for operation in activation.backward] + back)
            before = g
        if targets is None:
            return forward
        gradient = self._loss_gradient(logits, targets, self._room(count, f"g{len(self.linears) - 1}", self.outputs))
        return forward + gradient + [operation for layer in reversed(backward) for operation in layer]

    def _loss_gradient(self, z: np.ndarray, targets: np.ndarray, g: np.ndarray) -> list[Operation]:
        """From logits and targets (n, outputs) to the gradient of the batch's mean loss for the logits."""
        loss, p, variance = self.training.loss, np.empty_like(z), np.empty_like(z)
        share = number(1 / len(z) if loss in ("cross_entropy", "nll") else 1 / z.size)
        difference: list[Operation] = [partial(np.subtract, p, targets, g), partial(np.multiply, g, share, g)]
        sigmoid_slope: list[Operation] = [partial(np.subtract, ONE, p, variance), partial(np.multiply, variance, p, variance),
                                          partial(np.multiply, g, variance, g)]
        if self.number:  # z.size is the batch's, as there is one output
            return [partial(np.subtract, z, targets, g), partial(np.multiply, g, number(2 / z.size), g)]
        if loss in ("cross_entropy", "nll"):
            return [_torch_softmax(z, p), *difference]
        if loss == "bce_with_logits":
            return [_torch_sigmoid(z, p), *difference]
        if loss == "bce":
            *slope, times = sigmoid_slope
            least = np.empty_like(z)
            return [_torch_sigmoid(z, p), *difference, *slope, partial(np.maximum, variance, SMALLEST_VARIANCE, out=least),
                    partial(np.divide, g, least, g), times]
        difference.append(partial(np.multiply, g, TWO, g))
        if self.outputs == 1:
            return [_torch_sigmoid(z, p), *difference, *sigmoid_slope]
        return [_torch_softmax(z, p), *difference, *_softmax_backward(p, g)]

    def _judged(self, z: np.ndarray, targets: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of logits (n, outputs): the objective's loss of each example, whose mean it is, (n,) float32; and whether its answer is
        right, (n,) bool, nowhere where a number is predicted."""
        with np.errstate(all="ignore"):
            losses = self._losses(z, targets)
        if self.number:
            return losses, np.zeros(len(z), bool)
        return losses, ((z[:, 0] > 0) if self.outputs == 1 else z.argmax(1)) == labels

    def _losses(self, z: np.ndarray, targets: np.ndarray) -> np.ndarray:
        loss, one = self.training.loss, self.outputs == 1
        if self.number:
            losses = (z - targets) ** 2
        elif loss in ("cross_entropy", "nll"):
            shifted = z - z.max(1, keepdims=True)
            logs = shifted - np.log(np.add.reduce(np.exp(shifted), axis=1, keepdims=True))
            return -np.add.reduce(targets * logs, axis=1)
        elif loss == "bce_with_logits":
            losses = np.maximum(z, ZERO) - z * targets + np.log1p(np.exp(-np.abs(z)))
        elif loss == "bce":
            p = torch.sigmoid(torch.from_numpy(z)).numpy()
            losses = -(targets * np.maximum(np.log(p), LEAST_LOG) + (ONE - targets) * np.maximum(np.log1p(-p), LEAST_LOG))
        else:
            answers = torch.sigmoid(torch.from_numpy(z)) if one else torch.from_numpy(z).softmax(1)
            losses = (answers.numpy() - targets) ** 2
        return losses[:, 0] if one else losses.mean(1)

    def _update(self) -> list[Operation]:
        """From gradients to new weights: L1's part, clipping, the optimizer."""
        operations: list[Operation] = []
        flat, clipping = self.flat, self.training.gradient_clipping
        if self.training.l1:
            operations += [partial(np.sign, flat.weights, flat.scratch),
                           partial(np.multiply, flat.scratch, number(self.training.l1), flat.scratch),
                           partial(np.add, flat.gradients, flat.scratch, flat.gradients)]

        def clip() -> None:  # as nn.utils.clip_grad_norm_
            norm = float(flat.gradients.dot(flat.gradients)) ** 0.5
            if norm + 1e-6 > clipping:
                np.multiply(flat.gradients, FLOAT(clipping / (norm + 1e-6)), flat.gradients)

        if clipping:
            operations.append(clip)
        return operations + update(self.training.optimizer, flat, self.rate)


def tiny_steps(step: TrainingStep, train: Batches, validation: Batches) -> TinySteps | None:
    """The steps of a run on points, where its network is a tiny plain chain on the CPU; None for any other."""
    data, training = train.data, step.training
    if (step.chain is None or len(step.optimizer.groups) > 1 or data.kind != "points" or has_chance(data.transforms)
            or len(data.input_shape) != 1 or len(train) > MOST_EXAMPLES or len(validation) > MOST_EXAMPLES
            or training.batch_size > MOST_IN_BATCH or len(train) > MOST_BATCHES * training.batch_size):
        return None
    modules = [module for module in step.model.children() if type(module) not in (nn.Flatten, nn.Identity)]
    ends = modules[:1] + modules[-1:]
    if not all(isinstance(module, nn.Linear) for module in ends) or not all(map(_fits, modules)):
        return None
    flat = flatten(training.optimizer, step.optimizer)
    return TinySteps(step, modules, flat, train, validation) if flat is not None else None


def _fits(module: nn.Module) -> bool:
    match module:
        case nn.Linear():
            return max(module.in_features, module.out_features) <= MOST_UNITS
        case nn.Softmax():
            return module.dim == 1
        case nn.LeakyReLU():
            return 0 <= module.negative_slope <= 1
        case _:
            return type(module) in ACTIVATIONS


def _whole(batches: Batches) -> tuple[np.ndarray, Tensor]:
    """All of a split's points (N, inputs) as a network gets them, and their labels (N,)."""
    points, labels = batches.chunk(torch.arange(len(batches)), None)
    return points.contiguous().numpy(), labels
