"""A network's weights, their gradients and what the optimizer keeps for them, each as one vector.

The weights, gradients and states that PyTorch knows become views of these vectors: whoever reads or changes them there does so
here, and the other way round. An operation on a vector does for all weights what PyTorch does for one after the other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from core.config import AdagradConfig, AdamConfig, AdamWConfig, OptimizerConfig, RMSpropConfig, SGDConfig
from core.training.optimizers import Stepper
from core.training.update_rules import ADAGRAD_EPS, ADAM_EPS, RMSPROP_EPS

Operation = Callable[[], object]  # on arrays that it has been given before
FLOAT = np.float32


def number(value: float) -> np.ndarray:
    """A constant as NumPy takes it fastest: () float32."""
    return np.array(value, FLOAT)


class FlatWeights:
    """All weights of a network on the CPU, float32. Made by flatten().

    weights, gradients: (P,). kept: what the optimizer keeps by PyTorch's names, (P,) each. counts: of steps, (number of weight
    tensors,), where the optimizer counts them.
    """

    def __init__(self, optimizer: Stepper, names: tuple[str, ...], counts: bool) -> None:
        self.optimizer = optimizer
        ends = np.cumsum([weight.numel() for weight in optimizer.weights]).tolist()
        self.slices = [slice(end - weight.numel(), end) for end, weight in zip(ends, optimizer.weights, strict=True)]
        self.weights, self.gradients, self.scratch = (np.zeros(ends[-1], FLOAT) for _ in range(3))
        self.kept = {name: np.zeros(ends[-1], FLOAT) for name in names}
        self.counts = np.zeros(len(ends) if counts else 0, FLOAT)
        self.weight_views, self.gradient_views = self.views(self.weights), self.views(self.gradients)
        self.addresses = [view.data_ptr() for view in self.weight_views]
        self.kept_at = {name: vector.ctypes.data for name, vector in self.kept.items()}
        if counts:
            self.kept_at["step"] = self.counts.ctypes.data
        self.share()

    def views(self, vector: np.ndarray) -> list[Tensor]:
        """For each weight its part of a vector (P,), in its shape."""
        whole = torch.from_numpy(vector)
        return [whole[part].view(weight.shape) for part, weight in zip(self.slices, self.optimizer.weights, strict=True)]

    def share(self) -> None:
        """Take the values that PyTorch has now, and let it have them here from now on."""
        kept, counts = {name: self.views(vector) for name, vector in self.kept.items()}, torch.from_numpy(self.counts)
        for place, weight in enumerate(self.optimizer.weights):
            if weight.data_ptr() != self.weight_views[place].data_ptr():
                self.weight_views[place].copy_(weight.detach())
                weight.data = self.weight_views[place]
            state = self.optimizer.optimizer.state[weight]
            for name, views in kept.items():
                if state.get(name) is None:
                    views[place].zero_()
                elif state[name].data_ptr() != views[place].data_ptr():
                    views[place].copy_(state[name])
                state[name] = views[place]
            if len(counts):
                self.counts[place] = float(state.get("step", 0.0))
                state["step"] = counts[place]
        self.optimizer.state = {}  # what it has remembered is of other tensors
        self.share_gradients()

    def share_gradients(self) -> None:
        """The same for gradients alone, which a step of PyTorch's puts elsewhere."""
        for weight, view in zip(self.optimizer.weights, self.gradient_views, strict=True):
            if weight.grad is not view:
                if weight.grad is not None:
                    view.copy_(weight.grad)
                weight.grad = view

    @property
    def is_shared(self) -> bool:
        """Whether PyTorch's weights and the optimizer's state are still those here."""
        state = self.optimizer.optimizer.state[self.optimizer.weights[0]]
        return ([weight.data_ptr() for weight in self.optimizer.weights] == self.addresses
                and all(name in state and state[name].data_ptr() == address for name, address in self.kept_at.items()))

    def copy(self) -> "Copied":
        """All of it as it is now."""
        return Copied(self.weights.copy(), {name: vector.copy() for name, vector in self.kept.items()}, self.counts.copy())

    def state_of(self, copied: "Copied") -> dict[str, Tensor]:
        """The optimizer's state at a copy, by "number of the weight.name", as Stepper.load() takes it."""
        found: dict[str, Tensor] = {}
        for name, vector in copied.kept.items():
            found |= {f"{place}.{name}": view.clone() for place, view in enumerate(self.views(vector))}
        counts = torch.from_numpy(copied.counts)
        return found | {f"{place}.step": counts[place].clone() for place in range(len(counts))}


@dataclass(frozen=True, eq=False)
class Copied:
    """FlatWeights' vectors at one time."""

    weights: np.ndarray
    kept: dict[str, np.ndarray]
    counts: np.ndarray


def flatten(config: OptimizerConfig, optimizer: Stepper) -> FlatWeights | None:
    """The weights that an optimizer steps as one vector; None where there is no update() for it."""
    if not all(weight.dtype is torch.float32 and weight.device.type == "cpu" for weight in optimizer.weights):
        return None
    match config:
        case SGDConfig():
            names = ("momentum_buffer",) if config.momentum else ()
        case AdamConfig() | AdamWConfig():
            names = ("exp_avg", "exp_avg_sq")
        case RMSpropConfig():
            names = ("square_avg", "momentum_buffer") if config.momentum else ("square_avg",)
        case AdagradConfig():
            names = ("sum",)
    return FlatWeights(optimizer, names, counts=not isinstance(config, SGDConfig))


def update(config: OptimizerConfig, flat: FlatWeights, rate: np.ndarray) -> list[Operation]:
    """What turns gradients into new weights, as core.training.update_rules writes it, as operations to be done in a row.

    rate: () float32, the learning rate, read at each step.
    """
    weights, step = flat.weights, flat.scratch
    match config:
        case AdamConfig() | AdamWConfig():
            return _adam(config, flat, rate)
        case SGDConfig():
            operations, gradient = _decayed(config, flat)
            if not config.momentum:
                return [*operations, partial(np.multiply, gradient, rate, step), partial(np.subtract, weights, step, weights)]
            buffer, share = flat.kept["momentum_buffer"], number(config.momentum)
            operations += [partial(np.multiply, buffer, share, buffer), partial(np.add, buffer, gradient, buffer)]
            if config.nesterov:
                ahead = np.empty_like(step)
                operations += [partial(np.multiply, buffer, share, ahead), partial(np.add, ahead, gradient, step),
                               partial(np.multiply, step, rate, step)]
            else:
                operations.append(partial(np.multiply, buffer, rate, step))
            return [*operations, partial(np.subtract, weights, step, weights)]
        case RMSpropConfig():
            operations, gradient = _decayed(config, flat)
            squares, root = flat.kept["square_avg"], np.empty_like(step)
            operations += [
                partial(np.multiply, squares, number(config.alpha), squares), partial(np.multiply, gradient, gradient, root),
                partial(np.multiply, root, number(1 - config.alpha), root), partial(np.add, squares, root, squares),
                partial(np.sqrt, squares, root), partial(np.add, root, number(RMSPROP_EPS), root),
                partial(np.divide, gradient, root, step)]
            if config.momentum:
                buffer = flat.kept["momentum_buffer"]
                operations += [partial(np.multiply, buffer, number(config.momentum), buffer),
                               partial(np.add, buffer, step, buffer), partial(np.multiply, buffer, rate, step)]
            else:
                operations.append(partial(np.multiply, step, rate, step))
        case AdagradConfig():
            operations, gradient = _decayed(config, flat)
            total, root = flat.kept["sum"], np.empty_like(step)
            operations += [
                partial(np.multiply, gradient, gradient, root), partial(np.add, total, root, total),
                partial(np.sqrt, total, root), partial(np.add, root, number(ADAGRAD_EPS), root),
                partial(np.divide, gradient, root, step), partial(np.multiply, step, rate, step)]
    return [*operations, partial(np.subtract, weights, step, weights), partial(np.add, flat.counts, number(1), flat.counts)]


def _decayed(config: SGDConfig | AdamConfig | RMSpropConfig | AdagradConfig,
             flat: FlatWeights) -> tuple[list[Operation], np.ndarray]:
    """Weight decay as part of the gradient, beside the gradient itself, which stays as it is."""
    if not config.weight_decay:
        return [], flat.gradients
    decayed = np.empty_like(flat.gradients)
    return [partial(np.multiply, flat.weights, number(config.weight_decay), decayed),
            partial(np.add, decayed, flat.gradients, decayed)], decayed


def _adam(config: AdamConfig | AdamWConfig, flat: FlatWeights, rate: np.ndarray) -> list[Operation]:
    """η·m̂ / (√v̂ + ε) as η·√b₂/b₁ · m / (√v + ε·√b₂), with b = 1 − βᵗ, so that t counts for two numbers and no vector."""
    weights, counts, step, root = flat.weights, flat.counts, flat.scratch, np.empty_like(flat.scratch)
    first, second, size, least, kept = flat.kept["exp_avg"], flat.kept["exp_avg_sq"], number(0), number(0), number(1)
    decays_weights = isinstance(config, AdamWConfig) and config.weight_decay > 0
    operations, gradient = ([], flat.gradients) if isinstance(config, AdamWConfig) else _decayed(config, flat)

    def count() -> None:
        counts[...] += 1
        steps, now = int(counts[0]), float(rate)
        correction = (1 - config.beta2 ** steps) ** 0.5
        size[()], least[()] = now * correction / (1 - config.beta1 ** steps), ADAM_EPS * correction
        if decays_weights:
            kept[()] = 1 - now * config.weight_decay

    if decays_weights:
        operations.append(partial(np.multiply, weights, kept, weights))
    return [
        count, *operations,
        partial(np.multiply, first, number(config.beta1), first), partial(np.multiply, gradient, number(1 - config.beta1), step),
        partial(np.add, first, step, first), partial(np.multiply, second, number(config.beta2), second),
        partial(np.multiply, gradient, gradient, step), partial(np.multiply, step, number(1 - config.beta2), step),
        partial(np.add, second, step, second), partial(np.sqrt, second, root), partial(np.add, root, least, root),
        partial(np.divide, first, root, step), partial(np.multiply, step, size, step),
        partial(np.subtract, weights, step, weights)]
